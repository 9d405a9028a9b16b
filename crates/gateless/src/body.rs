//! The response body of every deciding stage: the inner one, or a rendered refusal.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::gate::Escort;

pin_project! {
    /// The inner body of a request that passed, or the small body of a refusal.
    pub struct GateBody<B> {
        #[pin]
        kind: Kind<B>,
        // Goes along until the body has ended.
        escort: Option<Box<dyn Escort>>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Refusal { bytes: Option<Bytes> },
    }
}

impl<B> GateBody<B> {
    pub(crate) const fn inner(body: B, escort: Option<Box<dyn Escort>>) -> Self {
        Self {
            kind: Kind::Inner { body },
            escort,
        }
    }

    pub(crate) fn refusal(bytes: Bytes, escort: Option<Box<dyn Escort>>) -> Self {
        Self {
            kind: Kind::Refusal {
                bytes: Some(bytes).filter(|bytes| !bytes.is_empty()),
            },
            escort,
        }
    }
}

impl<B: fmt::Debug> fmt::Debug for GateBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateBody")
            .field("kind", &self.kind)
            .field("is_escorted", &self.escort.is_some())
            .finish()
    }
}

impl<B: Body<Data = Bytes>> Body for GateBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        match this.kind.project() {
            KindProjection::Inner { body } => {
                let polled = body.poll_frame(cx);
                if let Poll::Ready(None | Some(Err(_))) = polled {
                    *this.escort = None;
                }
                polled
            }
            KindProjection::Refusal { bytes } => {
                let bytes = bytes.take();
                if bytes.is_none() {
                    *this.escort = None;
                }
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Refusal { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Refusal { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}
