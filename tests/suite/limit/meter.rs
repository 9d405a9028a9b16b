//! What goes on after a request was let through.

use std::convert::Infallible;

use gateless::limit::{LimitKey, RateMeter};
use gateless::{Quota, Rejection};
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::*;

/// Serves as many messages as the meter lets it, and says how many that were.
async fn messages(request: http::Request<String>) -> Result<http::Response<String>, Infallible> {
    let meter = RateMeter::of(request.extensions())
        .expect("a meter")
        .clone();
    let mut sent = 0;
    let end = loop {
        match meter.take(2).await {
            Ok(()) => sent += 1,
            Err(end) => break end,
        }
    };
    assert!(matches!(end, Rejection::RateExceeded(_)));
    Ok(http::Response::new(sent.to_string()))
}

#[tokio::test]
async fn tk_20_each_message_of_a_stream_can_be_paid_for() {
    let world = World::new();
    let builder = world.builder(LimitKey::caller(), &[Quota::per_minute(10)]);
    let instance = world.instance_of(builder.metered());
    let token = token_of("user-1").mint();
    let service = instance.layer().layer(service_fn(messages));
    let call = || {
        let request = presenting(&token)(Protocol::Http.request());
        service
            .clone()
            .oneshot(request.body(String::new()).unwrap())
    };
    let body = async |response: http::Response<gateless::GateBody<_>>| {
        let body = http_body_util::BodyExt::collect(response.into_body());
        String::from_utf8(body.await.unwrap().to_bytes().to_vec()).unwrap()
    };
    // One for the request, and two for each of four messages; the fifth message was not there any more.
    let first = call().await.unwrap();
    assert_eq!(first.status(), 200);
    assert_eq!(body(first.map(|body| body)).await, "4");
    // One is left, and then nothing.
    assert_eq!(body(call().await.unwrap()).await, "0");
    assert_eq!(call().await.unwrap().status(), 429);
}

#[tokio::test]
async fn without_asking_for_it_there_is_no_meter() {
    let world = World::new();
    let instance = world.instance(LimitKey::caller(), &[Quota::per_minute(10)]);
    let answer = instance
        .send(Protocol::Http, &token_of("user-1").mint())
        .await;
    assert!(RateMeter::of(&answer.passed().extensions).is_none());
}
