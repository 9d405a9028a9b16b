//! What can go wrong at an issuer's endpoint.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use tokio::sync::watch;

/// A way for an endpoint of a served [`TestIssuer`](crate::TestIssuer) to misbehave, until it is cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Answers with this status, yet with the true document: only a client that looks at the status notices.
    Status(u16),
    /// Answers `200` with this content type and this body.
    Body(String, Vec<u8>),
    /// Accepts the request and stays silent until the fault is cleared or replaced.
    Hang,
    /// Answers properly, after this long. Sleeps on tokio's timer, which a paused runtime moves by itself.
    Slow(Duration),
    /// Answers as [`Status`](Self::Status) does, after some time. On tokio's timer, like [`Slow`](Self::Slow).
    SlowStatus {
        /// How long it takes.
        after: Duration,
        /// The status.
        status: u16,
    },
    /// Answers `302` with this `Location`, and again with the true document.
    Redirect(String),
    /// Answers with a document that holds nothing: `{"keys":[]}` for the key set, `{}` for the discovery and for an
    /// introspection.
    EmptySet,
    /// Announces the whole document, sends half of it, and closes the connection.
    Truncated,
    /// Announces the whole document, and sends it byte by byte: `every` is what each of them, the first one too,
    /// has to wait. On tokio's timer, like [`Slow`](Self::Slow).
    Drip {
        /// The time from one byte to the next.
        every: Duration,
    },
    /// Answers `200`, announces no length, and sends spaces until the client goes away.
    Endless,
    /// Answers `200` with this `Content-Encoding`, as `application/json`, with this body: a compression bomb, say.
    /// Nothing is encoded here, and what the request accepts is not looked at.
    Encoded {
        /// The value of `Content-Encoding`.
        encoding: String,
        /// The body as it is sent.
        body: Vec<u8>,
    },
    /// Reads the request, and closes the connection without an answer.
    Disconnect,
}

impl Fault {
    /// # Panics
    ///
    /// When the fault cannot be sent: here, the test that asked for it is told, and not a task of the server.
    fn vet(&self) {
        match self {
            Self::Status(code) | Self::SlowStatus { status: code, .. } => assert!(
                *code >= 200 && StatusCode::from_u16(*code).is_ok(),
                "Fault::{self:?} is not the status of a final response"
            ),
            Self::Body(text, _) | Self::Redirect(text) | Self::Encoded { encoding: text, .. } => {
                header_value(text);
            }
            Self::Hang
            | Self::Slow(_)
            | Self::EmptySet
            | Self::Truncated
            | Self::Drip { .. }
            | Self::Endless
            | Self::Disconnect => {}
        }
    }

    /// What is sent in place of the true document, of which `empty` is the empty one.
    pub(crate) fn content(&self, empty: &'static str) -> Option<Bytes> {
        match self {
            Self::EmptySet => Some(Bytes::from_static(empty.as_bytes())),
            Self::Body(_, body) | Self::Encoded { body, .. } => Some(body.clone().into()),
            _ => None,
        }
    }
}

/// # Panics
///
/// When no header can carry the text.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text)
        .unwrap_or_else(|_| panic!("{text:?} cannot be the value of a header"))
}

/// The state of one endpoint: how often it was asked, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Endpoint {
    requests: AtomicU64,
    concurrent: AtomicU64,
    most_concurrent: AtomicU64,
    fault: watch::Sender<Option<Fault>>,
}

/// A request that is being handled, until this is dropped.
#[must_use]
pub(crate) struct Handling<'e>(&'e Endpoint);

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        self.0.concurrent.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Endpoint {
    /// # Panics
    ///
    /// When the fault cannot be sent.
    pub(crate) fn set_fault(&self, fault: Fault) {
        fault.vet();
        self.fault.send_replace(Some(fault));
    }

    pub(crate) fn clear_fault(&self) {
        self.fault.send_replace(None);
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Acquire)
    }

    /// How many requests were handled at once, at most.
    pub(crate) fn most_concurrent(&self) -> u64 {
        self.most_concurrent.load(Ordering::Relaxed)
    }

    /// Counts a request.
    pub(crate) fn receive(&self) -> Handling<'_> {
        let concurrent = self.concurrent.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_concurrent
            .fetch_max(concurrent, Ordering::Relaxed);
        // After the other counters: whoever waits for the request finds it in them.
        self.requests.fetch_add(1, Ordering::Release);
        Handling(self)
    }

    /// Waits until a request may be answered. What it returns is still wrong with the answer.
    pub(crate) async fn fault(&self) -> Option<Fault> {
        let mut faults = self.fault.subscribe();
        let fault = faults
            .wait_for(|fault| *fault != Some(Fault::Hang))
            .await
            .expect("the sender is a field of the endpoint, and that is borrowed")
            .clone();
        let (delay, rest) = match fault {
            Some(Fault::Slow(delay)) => (delay, None),
            Some(Fault::SlowStatus { after, status }) => (after, Some(Fault::Status(status))),
            _ => return fault,
        };
        tokio::time::sleep(delay).await;
        rest
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Fault::Status(100))]
    #[case(Fault::Status(1000))]
    #[case(Fault::SlowStatus { after: Duration::ZERO, status: 1000 })]
    #[case(Fault::Redirect("http://a/\n".into()))]
    #[case(Fault::Body("\0".into(), Vec::new()))]
    #[case(Fault::Encoded { encoding: "gzip\r\n".into(), body: Vec::new() })]
    #[should_panic(expected = "of a")]
    fn a_fault_that_cannot_be_sent_is_refused_at_once(#[case] fault: Fault) {
        Endpoint::default().set_fault(fault);
    }
}
