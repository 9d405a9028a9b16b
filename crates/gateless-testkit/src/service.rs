//! Services to put under a layer: one is strict about the tower contract, one remembers what it was asked.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response};
use tower_service::Service;

/// Answers `200`, but panics when it is called without having been polled ready: each instance for each call.
///
/// A clone of a ready service is not ready (see [`tower_service::Service`]), which `service_fn` and most handlers
/// forgive, and a `Buffer`, a `ConcurrencyLimit` or a load balancer does not. A layer that calls the clone in place
/// of the instance that it polled passes every test until it meets one of them, or this.
///
/// The response has the type of body that the request had, empty.
///
/// ```
/// # use gateless_testkit::Unforgiving;
/// # use http::{Request, Response};
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let inner = Unforgiving::new();
/// let service = inner.clone(); // under the layer in question
/// let response: Response<String> = service.oneshot(Request::new(String::new())).await?;
/// assert_eq!(response.status(), 200);
/// assert_eq!(inner.calls(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Unforgiving {
    polled: bool,
    calls: Arc<AtomicU64>,
}

impl Unforgiving {
    /// One that was not called yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How often this one and its clones were called.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Clone for Unforgiving {
    /// Shares the count, but not the readiness.
    fn clone(&self) -> Self {
        Self {
            polled: false,
            calls: Arc::clone(&self.calls),
        }
    }
}

impl<B: Default> Service<Request<B>> for Unforgiving {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.polled = true;
        Poll::Ready(Ok(()))
    }

    /// # Panics
    ///
    /// When this instance was not polled ready since it was made, cloned or called.
    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(
            mem::take(&mut self.polled),
            "called without being polled ready"
        );
        self.calls.fetch_add(1, Ordering::Relaxed);
        ready(Ok(Response::default()))
    }
}

/// Answers `200`, and keeps the head of every request that reached it, extensions included. Clones keep one record.
///
/// The response has the type of body that the request had, empty.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Vec<Parts>>>);

impl Recorder {
    /// One with an empty record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The requests so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Parts> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl<B: Default> Service<Request<B>> for Recorder {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, _) = request.into_parts();
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(parts);
        ready(Ok(Response::default()))
    }
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;

    fn request() -> Request<String> {
        Request::default()
    }

    async fn poll(service: &mut Unforgiving) -> &mut Unforgiving {
        <Unforgiving as tower::ServiceExt<Request<String>>>::ready(service)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_call_after_a_poll_is_answered_and_counted() {
        let mut service = Unforgiving::new();
        let watcher = service.clone();
        for calls in 1..=2 {
            let response = poll(&mut service).await.call(request()).await.unwrap();
            assert_eq!((response.status().as_u16(), watcher.calls()), (200, calls));
        }
    }

    #[tokio::test]
    #[should_panic(expected = "called without being polled ready")]
    async fn a_call_without_a_poll_panics() {
        let _ = Unforgiving::new().call(request()).await;
    }

    #[tokio::test]
    #[should_panic(expected = "called without being polled ready")]
    async fn one_poll_is_not_enough_for_two_calls() {
        let mut service = Unforgiving::new();
        let _ = poll(&mut service).await.call(request()).await;
        let _ = service.call(request()).await;
    }

    #[tokio::test]
    #[should_panic(expected = "called without being polled ready")]
    async fn the_clone_of_a_ready_service_is_not_ready() {
        let mut service = Unforgiving::new();
        let _ = poll(&mut service).await.clone().call(request()).await;
    }

    #[tokio::test]
    async fn the_record_holds_heads_with_their_extensions() {
        let recorder = Recorder::new();
        let mut request = request();
        *request.uri_mut() = "/orders?page=2".parse().unwrap();
        request.extensions_mut().insert("left by a layer");
        recorder.clone().oneshot(request).await.unwrap();

        let seen = recorder.requests();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].uri, "/orders?page=2");
        assert_eq!(seen[0].extensions.get(), Some(&"left by a layer"));
    }
}
