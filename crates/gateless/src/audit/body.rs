//! A response body whose end is recorded.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use gateless_audit::EndKind;
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
    /// How long it will be, where that is known.
    exact: Option<u64>,
    grpc_status: Option<u16>,
}

impl<B: Body<Data = Bytes>> AuditBody<B> {
    /// Watches over `body`, if anybody wants to know.
    pub(super) fn new(body: GateBody<B>, seat: Option<Seat>) -> Self {
        let watch = seat.map(|seat| Watch {
            // Nothing of it is asked for.
            exact: match seat.is_head_only() {
                true => Some(0),
                false => body.size_hint().exact(),
            },
            seat: Some(seat),
            sent_bytes: 0,
            grpc_status: None,
        });
        let mut this = Self { body, watch };
        if this.body.is_end_stream() {
            finish(&mut this.watch, EndKind::Complete);
        }
        this
    }
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
        let is_whole = self.exact == Some(self.sent_bytes);
        self.finish(match is_whole {
            true => EndKind::Complete,
            false => EndKind::Aborted,
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
        let polled = this.body.as_mut().poll_frame(cx);
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
