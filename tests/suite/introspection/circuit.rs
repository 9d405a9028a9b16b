//! Whom failures shut out: everybody when the server is away, and nobody when it is only some tokens that are odd.

use std::time::Duration;

use gateless::TokenFault;
use gateless_testkit::Fault;
use http::{HeaderValue, Response};
use rstest::rstest;
use serde_json::json;

use super::stub::{Stub, active, error, good, json};
use super::{FAILURES, PAUSE, World, accepts, ask, rejects};
use crate::support::{Protocol, Refusal};

#[tokio::test]
async fn tf_10_a_jwt_that_the_server_does_not_introspect_is_no_outage() {
    let world = World::new().await;
    let layer = world.layer();
    let refusal = Refusal::tok(TokenFault::NotIntrospectable);
    for calls in 1..=3 * FAILURES {
        let jwt = world.issuer.token().mint();
        rejects(&layer, &jwt, &refusal).await;
        assert_eq!(world.calls(), calls, "for a moment that is remembered");
    }
    assert!(!layer.handle().status().is_paused());
    accepts(&layer, &world.issuer.opaque_token().mint()).await;

    // A server that does is asked.
    world.issuer.introspect_jwts(true);
    accepts(&layer, &world.issuer.token().mint()).await;
    let revoked = world.issuer.token().mint();
    assert!(world.issuer.revoke(&revoked));
    rejects(&layer, &revoked, &Refusal::tok(TokenFault::Inactive)).await;
}

fn html() -> Response<String> {
    let mut page = Response::new("<h1>Blocked</h1>".to_owned());
    let html = HeaderValue::from_static("text/html");
    page.headers_mut().insert("content-type", html);
    page
}

/// What servers, and what stands in front of them, have been seen to answer to a token that they do not like.
#[rstest]
#[case::invalid_request(|| error(400, "invalid_request"))]
#[case::invalid_token(|| error(400, "invalid_token"))]
#[case::no_error(|| json(400, &json!({})))]
#[case::not_even_json(|| json(400, &json!("what?")))]
#[case::forbidden(|| error(403, "access_denied"))]
#[case::not_found(|| error(404, "invalid_request"))]
#[case::too_large(|| error(413, "invalid_request"))]
#[case::error_500(|| error(500, "server_error"))]
#[case::html(html)]
#[case::no_object(|| json(200, &json!([])))]
#[tokio::test]
async fn tf_10_whoever_sends_odd_tokens_shuts_nobody_else_out(
    #[case] answer: fn() -> Response<String>,
) {
    let stub = Stub::serve(move |token: &str| match token.starts_with("odd") {
        true => answer(),
        false => active("user-1"),
    })
    .await;
    let layer = stub.layer();
    for number in 0..4 * FAILURES {
        let odd = format!("odd-opaque-token-{number}");
        let answer = ask(&layer, Protocol::Http, &odd).await;
        answer.refused(Protocol::Http, &Refusal::unanswered(1));
    }
    rejects(&layer, "odd-opaque-token", &Refusal::unanswered(1)).await;
    assert_eq!(stub.calls(), 4 * FAILURES + 4, "each is asked about once");
    assert!(!layer.handle().status().is_paused());
    accepts(&layer, "even-opaque-token").await;
}

#[tokio::test]
async fn tf_10_a_server_that_is_away_is_asked_once_a_second_and_comes_back() {
    let world = World::new().await;
    let layer = world.layer();
    let known = world.issuer.opaque_token().mint();
    accepts(&layer, &known).await;
    world.issuer.set_introspection_fault(Fault::Disconnect);
    let token = || world.issuer.opaque_token().mint();
    let down = Refusal::unanswered(1);
    let refused = async || {
        let answer = ask(&layer, Protocol::Http, &token()).await;
        answer.refused(Protocol::Http, &down);
        answer.logs
    };
    for failures in 1..=FAILURES {
        assert!(!layer.handle().status().is_paused());
        refused().await;
        // Each was tried twice.
        assert_eq!(world.calls(), 1 + 2 * failures);
    }
    let status = layer.handle().status();
    assert!(
        status.is_paused() && status.to_string().contains("left alone"),
        "{status}"
    );
    let mut calls = world.calls();
    for _ in 0..3 {
        for _ in 0..10 {
            refused().await;
        }
        rejects(&layer, &token(), &down).await;
        accepts(&layer, &known).await;
        assert_eq!(world.calls(), calls, "it is left alone");
        world.advance(PAUSE - Duration::from_millis(1));
        refused().await;
        assert_eq!(world.calls(), calls, "for all of a second");
        world.advance(Duration::from_millis(1));
        refused().await;
        refused().await;
        calls += 1;
        assert_eq!(world.calls(), calls, "one call finds out");
    }
    world.issuer.clear_fault();
    refused().await;
    world.advance(PAUSE);
    accepts(&layer, &token()).await;
    accepts(&layer, &token()).await;
    let status = layer.handle().status();
    assert!(
        !status.is_paused() && status.last_failure().is_none(),
        "{status}"
    );
}

#[tokio::test]
async fn tf_09_credentials_that_are_not_accepted_are_not_tried_forever() {
    let world = World::new().await;
    let layer = world.layer();
    world.issuer.set_client_secret("another");
    for _ in 0..3 * FAILURES {
        let token = world.issuer.opaque_token().mint();
        let answer = ask(&layer, Protocol::Http, &token).await;
        answer.refused(Protocol::Http, &Refusal::unanswered(1));
    }
    assert_eq!(world.calls(), FAILURES);
}

#[tokio::test]
async fn failures_between_which_there_is_an_answer_shut_nobody_out() {
    let world = World::new().await;
    let layer = world.layer();
    for _ in 0..3 {
        world.issuer.set_introspection_fault(Fault::Status(502));
        for _ in 1..FAILURES {
            let token = world.issuer.opaque_token().mint();
            let answer = ask(&layer, Protocol::Http, &token).await;
            answer.refused(Protocol::Http, &Refusal::unanswered(1));
        }
        world.issuer.clear_fault();
        let token = world.issuer.opaque_token().mint();
        ask(&layer, Protocol::Http, &token).await.passed();
    }
}

fn throttled(status: u16, retry_after: Option<&'static str>) -> Response<String> {
    let mut answer = error(status, "temporarily_unavailable");
    if let Some(after) = retry_after {
        let after = HeaderValue::from_static(after);
        answer.headers_mut().insert("retry-after", after);
    }
    answer
}

/// How long a server is left alone that asks for it: at least a second, and no more than half a minute.
#[rstest]
#[case::tf_10_unavailable_for_three_seconds(503, Some("3"), 3)]
#[case::tf_10_too_many_for_three_seconds(429, Some("3"), 3)]
#[case::tf_10_too_many(429, None, 1)]
#[case::tf_10_too_many_until_a_date(429, Some("Fri, 31 Dec 2027 23:59:59 GMT"), 1)]
#[case::tf_10_for_no_time(503, Some("0"), 1)]
#[case::tf_10_for_a_year(503, Some("31536000"), 5)]
#[tokio::test]
async fn tf_10_a_server_that_asks_for_a_pause_gets_it(
    #[case] status: u16,
    #[case] retry_after: Option<&'static str>,
    #[case] pause: u64,
) {
    let stub = Stub::serve(move |token: &str| match token.starts_with("early") {
        true => throttled(status, retry_after),
        false => json(200, &good("user-1")),
    })
    .await;
    let layer = stub.layer();
    let down = Refusal::unanswered(pause);
    rejects(&layer, "early-opaque-token", &down).await;
    assert!(layer.handle().status().is_paused());
    rejects(&layer, "later-opaque-token", &down).await;
    assert_eq!(stub.calls(), 1, "it is left alone");
    stub.advance(Duration::from_secs(pause) - Duration::from_millis(1));
    rejects(&layer, "later-opaque-token", &Refusal::unanswered(1)).await;
    assert_eq!(stub.calls(), 1);
    stub.advance(Duration::from_millis(1));
    accepts(&layer, "later-opaque-token").await;
    assert!(!layer.handle().status().is_paused());
}

/// Whoever sends odd tokens must not keep it alone either: any answer shows that it is there.
#[tokio::test]
async fn tf_10_a_server_that_answers_something_is_back() {
    let world = World::new().await;
    let layer = world.layer();
    let token = || world.issuer.opaque_token().mint();
    let down = Refusal::unanswered(1);
    world.issuer.set_introspection_fault(Fault::Status(502));
    for _ in 0..FAILURES {
        let answer = ask(&layer, Protocol::Http, &token()).await;
        answer.refused(Protocol::Http, &down);
    }
    assert!(layer.handle().status().is_paused());
    world.issuer.set_introspection_fault(Fault::Status(500));
    world.advance(PAUSE);
    let answer = ask(&layer, Protocol::Http, &token()).await;
    answer.refused(Protocol::Http, &down);
    assert!(!layer.handle().status().is_paused());
    world.issuer.clear_fault();
    accepts(&layer, &token()).await;
}
