//! The bodies that an issuer sends.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// What an endless body consists of: JSON may begin with any number of spaces (RFC 8259 §2).
static SPACES: [u8; 16 * 1024] = [b' '; 16 * 1024];

/// A body that is sent whole, or goes wrong on its way.
pub(crate) enum Payload {
    Whole(Bytes),
    /// Breaks off after this much.
    Cut(Bytes),
    Broken,
    /// One byte whenever the pause is over.
    Drip {
        rest: Bytes,
        every: Duration,
        pause: Pin<Box<Sleep>>,
    },
    Endless,
}

impl Payload {
    /// The content byte by byte, the first one after a pause like every other.
    pub(crate) fn drip(content: Bytes, every: Duration) -> Self {
        Self::Drip {
            rest: content,
            every,
            pause: Box::pin(sleep(every)),
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let data = match &mut *self {
            Self::Whole(rest) | Self::Drip { rest, .. } if rest.is_empty() => {
                return Poll::Ready(None);
            }
            Self::Cut(rest) if rest.is_empty() => {
                // What was written has to leave first: hyper does not flush in front of an error.
                *self = Self::Broken;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Self::Broken => {
                return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
            }
            Self::Whole(rest) | Self::Cut(rest) => mem::take(rest),
            Self::Drip { rest, every, pause } => {
                ready!(pause.as_mut().poll(cx));
                pause.set(sleep(*every));
                rest.split_to(1)
            }
            Self::Endless => Bytes::from_static(&SPACES),
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(rest) | Self::Drip { rest, .. } => SizeHint::with_exact(rest.len() as u64),
            Self::Cut(_) | Self::Broken | Self::Endless => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn drops_fall_one_by_one() {
        let every = Duration::from_secs(3600);
        let start = Instant::now();
        let mut payload = Payload::drip(Bytes::from_static(b"abc"), every);
        assert_eq!(payload.size_hint().exact(), Some(3));

        let mut fallen = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut payload).poll_frame(cx)).await {
            fallen.push((start.elapsed(), frame.unwrap().into_data().unwrap()));
        }
        let expected = [(1, "a"), (2, "b"), (3, "c")];
        assert_eq!(fallen, expected.map(|(n, byte)| (n * every, byte.into())));
    }
}
