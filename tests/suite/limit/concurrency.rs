//! Requests that are under way at the same time.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use gateless::limit::{ConcurrencyLimit, LimitKey};
use gateless::{Quota, Rejection};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

use super::*;
use crate::served::at_once;
use crate::support::Refusal;

/// A body that goes on until the test ends it.
struct Stream(mpsc::Receiver<Bytes>);

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A service whose responses are streams, with the other ends of them.
fn streams() -> (
    impl Service<
        http::Request<String>,
        Response = http::Response<Stream>,
        Error = Infallible,
        Future: Send,
    > + Clone,
    mpsc::UnboundedReceiver<mpsc::Sender<Bytes>>,
) {
    let (ends, theirs) = mpsc::unbounded_channel();
    let service = service_fn(move |_| {
        let (end, stream) = mpsc::channel(1);
        ends.send(end).unwrap();
        async move { Ok(http::Response::new(Stream(stream))) }
    });
    (service, theirs)
}

fn limit(max: u32) -> ConcurrencyLimit {
    ConcurrencyLimit::builder(LimitKey::caller(), max)
        .build()
        .unwrap()
}

fn request(token: &str) -> http::Request<String> {
    presenting(token)(Protocol::Http.request())
        .body(String::new())
        .unwrap()
}

#[tokio::test]
async fn a_request_is_under_way_until_its_body_has_ended_or_nobody_wants_it() {
    let (service, mut ends) = streams();
    let world = World::new();
    let service = Stack::new(limit(2), world.auth()).layer(service);
    let (one, two) = (token_of("user-1").mint(), token_of("user-2").mint());
    let call = async |token: &str| service.clone().oneshot(request(token)).await.unwrap();

    let first = call(&one).await;
    let second = call(&one).await;
    assert_eq!(call(&one).await.status(), 429);
    assert_eq!(call(&two).await.status(), 200, "another caller");

    // The first comes to its end.
    let end = ends.recv().await.unwrap();
    end.send("the last".into()).await.unwrap();
    drop(end);
    let mut body = first.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    assert_eq!(call(&one).await.status(), 429, "not yet");
    assert!(body.frame().await.is_none());
    let third = call(&one).await;
    assert_eq!(third.status(), 200);
    assert_eq!(call(&one).await.status(), 429);

    // Nobody reads the second any more.
    drop(second);
    assert_eq!(call(&one).await.status(), 200);
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_any_more_or_that_fails_is_not_under_way() {
    let world = World::new();
    let layer = Stack::new(limit(1), world.auth());
    let hangs = layer.layer(service_fn(|_: http::Request<String>| {
        std::future::pending::<Result<http::Response<String>, &str>>()
    }));
    let fails = layer.layer(service_fn(|_: http::Request<String>| async {
        Err::<http::Response<String>, _>("no")
    }));
    let token = token_of("user-1").mint();
    for _ in 0..3 {
        let mut waiting = Box::pin(hangs.clone().oneshot(request(&token)));
        assert!(at_once(waiting.as_mut()).is_none());
        let refused = hangs.clone().oneshot(request(&token)).await.unwrap();
        assert_eq!(refused.status(), 429);
        assert!(at_once(waiting.as_mut()).is_none());
        drop(waiting);
        assert_eq!(
            fails.clone().oneshot(request(&token)).await.unwrap_err(),
            "no"
        );
    }
}

#[tokio::test]
async fn a_refusal_in_every_protocol() {
    let world = World::new();
    let (service, _ends) = streams();
    let layer = Stack::new(limit(1), world.auth());
    let held = layer.layer(service);
    let token = token_of("user-1").mint();
    let _first = held.oneshot(request(&token)).await.unwrap();
    for protocol in Protocol::ALL {
        let request = presenting(&token)(protocol.request()).body(String::new());
        let answer = send(&layer, request.unwrap()).await;
        let secs = answer
            .rejection
            .as_ref()
            .and_then(Rejection::retry_after_secs);
        let secs = secs.unwrap();
        assert!((1..=2).contains(&secs));
        answer.refused(protocol, &Refusal::rate("concurrency", secs));
        answer.keeps(&token);
    }
}

#[tokio::test]
async fn in_shadow_nobody_is_refused() {
    let world = World::new();
    let (service, _ends) = streams();
    let shadow = ConcurrencyLimit::builder(LimitKey::caller(), 1)
        .shadow()
        .build()
        .unwrap();
    let layer = Stack::new(shadow, world.auth());
    let token = token_of("user-1").mint();
    let _first = layer.layer(service).oneshot(request(&token)).await.unwrap();
    let answer = send(&layer, request(&token)).await;
    answer.passed();
    assert!(answer.logs.contains("would have been refused"));
}

#[tokio::test]
async fn it_stands_beside_a_rate_and_each_refuses_for_itself() {
    let world = World::new();
    let rate = world
        .builder(LimitKey::caller(), &[Quota::per_minute(2)])
        .build()
        .unwrap();
    let layer = Stack::new(Stack::new(rate, limit(1)), world.auth());
    let token = token_of("user-1").mint();
    for expected in [200, 200, 429] {
        let answer = send(&layer, request(&token)).await;
        assert_eq!(answer.status, expected);
    }
}
