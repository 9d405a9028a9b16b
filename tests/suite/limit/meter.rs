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
async fn tk_20_the_meters_of_two_layers_both_take() {
    let world = World::new();
    let metered = |key, limit| {
        let builder = world.builder(key, &[Quota::per_minute(limit)]).metered();
        builder.build().unwrap()
    };
    let (tenants, callers) = (
        metered(LimitKey::client(), 12),
        metered(LimitKey::caller(), 100),
    );
    let layer = Stack::new(Stack::new(callers, tenants), world.auth());
    let service = layer.layer(service_fn(messages));
    let mut sent = Vec::new();
    for user in ["user-1", "user-2"] {
        let token = token_of(user).client_id("c").mint();
        let request = presenting(&token)(Protocol::Http.request()).body(String::new());
        let response = service.clone().oneshot(request.unwrap()).await.unwrap();
        let body = http_body_util::BodyExt::collect(response.into_body())
            .await
            .unwrap();
        sent.push(String::from_utf8(body.to_bytes().to_vec()).unwrap());
    }
    // One for each request and two for each message: the client has 12 for all of its users.
    assert_eq!(sent, ["5", "0"]);
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
