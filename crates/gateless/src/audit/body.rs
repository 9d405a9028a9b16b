//! A response body whose end is recorded.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use gateless_audit::EndKind;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::seat::{Seat, grpc_status};
use crate::body::GateBody;

pin_project! {
    /// The body of a response that has passed an audit layer.
    pub struct AuditBody<B> {
        #[pin]
        body: GateBody<B>,
        watch: Option<Watch>,
    }
}

/// What is known of a body that has not ended.
struct Watch {
    /// Taken out when the end is recorded.
    seat: Option<Seat>,
    sent_bytes: u64,
    /// Whether the body is at it right now: if it ends like that, it has panicked.
    is_polled: bool,
    /// How long it will be, where that is known.
    exact: Option<u64>,
    grpc_status: Option<u16>,
}

impl<B> AuditBody<B> {
    /// Of a refusal, or of a request that is recorded elsewhere.
    pub(super) const fn unwatched(body: GateBody<B>) -> Self {
        Self { body, watch: None }
    }
}

impl<B: Body<Data = Bytes>> AuditBody<B> {
    /// Watches over `body` for `seat`.
    pub(super) fn new(parts: &Parts, body: GateBody<B>, seat: Seat) -> Self {
        let watch = Watch {
            exact: exact(parts, &body, &seat),
            seat: Some(seat),
            sent_bytes: 0,
            is_polled: false,
            grpc_status: None,
        };
        let mut this = Self {
            body,
            watch: Some(watch),
        };
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            finish(&mut this.watch, EndKind::Upgraded);
        } else if this.body.is_end_stream() {
            finish(&mut this.watch, EndKind::Complete);
        }
        this
    }
}

/// How much of a body a server asks for, where that is known: it does not ask for its end then.
fn exact<B: Body<Data = Bytes>>(parts: &Parts, body: &GateBody<B>, seat: &Seat) -> Option<u64> {
    let has_none = matches!(parts.status.as_u16(), 100..=199 | 204 | 304);
    if has_none || seat.is_head_only() {
        return Some(0);
    }
    body.size_hint().exact().or_else(|| {
        let length = parts.headers.get(CONTENT_LENGTH)?;
        length.to_str().ok()?.parse().ok()
    })
}

fn finish(watch: &mut Option<Watch>, how: EndKind) {
    if let Some(mut watch) = watch.take() {
        watch.finish(how);
    }
}

impl Watch {
    fn finish(&mut self, how: EndKind) {
        if let Some(seat) = self.seat.take() {
            let is_length_known = self.exact.is_some();
            seat.ended(how, self.sent_bytes, self.grpc_status, is_length_known);
        }
    }

    fn see(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            let len = u64::try_from(data.len()).unwrap_or(u64::MAX);
            self.sent_bytes = self.sent_bytes.saturating_add(len);
        }
        if let Some(trailers) = frame.trailers_ref() {
            self.grpc_status = grpc_status(trailers);
        }
    }
}

impl Drop for Watch {
    /// A server that knows the length of a body does not ask for more than that.
    fn drop(&mut self) {
        self.finish(if self.is_polled {
            EndKind::Failed
        } else if self.exact == Some(self.sent_bytes) {
            EndKind::Complete
        } else {
            EndKind::Aborted
        });
    }
}

impl<B: Body<Data = Bytes>> Body for AuditBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        if let Some(watch) = this.watch {
            watch.is_polled = true;
        }
        let polled = this.body.as_mut().poll_frame(cx);
        if let Some(watch) = this.watch {
            watch.is_polled = false;
        }
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => finish(this.watch, EndKind::Complete),
            Poll::Ready(Some(Err(_))) => finish(this.watch, EndKind::Failed),
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(watch) = this.watch {
                    watch.see(frame);
                }
                // Trailers are the last frame, and a server asks for nothing behind a body that says that it is at its end.
                if frame.is_trailers() || this.body.is_end_stream() {
                    finish(this.watch, EndKind::Complete);
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: fmt::Debug> fmt::Debug for AuditBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuditBody").field(&self.body).finish()
    }
}
