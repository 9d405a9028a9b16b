//! An endpoint that fails: 503 within the deadline, nothing remembered, and nothing to restart.

use std::time::Instant;

use gateless::TokenFault;
use gateless_testkit::Fault;
use rstest::rstest;

use super::stub::{Stub, active};
use super::{PAUSE, SHORT, World, accepts, ask, rejects};
use crate::sockets::listen;
use crate::support::{Protocol, Refusal};

fn body(content_type: &str, body: impl Into<Vec<u8>>) -> Fault {
    Fault::Body(content_type.into(), body.into())
}

fn nested(levels: usize) -> String {
    let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
    format!(r#"{{"active":true,"deep":{open}{close}}}"#)
}

fn huge() -> String {
    format!(r#"{{"active":true,"pad":"{}"}}"#, "x".repeat(64 * 1024))
}

/// The beginnings of a compressed file, which nobody here unpacks.
fn packed() -> Fault {
    Fault::Encoded {
        encoding: "gzip".into(),
        body: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1, 0, 0, 255, 255],
    }
}

const NO_OBJECT: &str = "the answer is unusable: the answer is not one strict JSON object";
const NO_JSON: &str = "answered something else than application/json";

#[rstest]
#[case::tf_10_error_500(Fault::Status(500), "answered 500")]
#[case::tf_10_bad_gateway(Fault::Status(502), "answered 502")]
#[case::tf_10_unavailable(Fault::Status(503), "answered 503")]
#[case::tf_10_not_found(Fault::Status(404), "answered 404")]
#[case::tf_10_forbidden(Fault::Status(403), "answered 403")]
#[case::tf_10_no_content(Fault::Status(204), "answered 204")]
#[case::tf_10_created(Fault::Status(201), "answered 201")]
#[case::tf_10_html(body("text/html", "<h1>Sorry</h1>"), NO_JSON)]
#[case::tf_10_html_with_a_good_answer(body("text/html", r#"{"active":true}"#), NO_JSON)]
#[case::tf_10_text(body("text/plain", r#"{"active":false}"#), NO_JSON)]
#[case::tf_10_html_as_json(body("application/json", "<h1>Sorry</h1>"), NO_OBJECT)]
#[case::tf_10_nothing(body("application/json", ""), NO_OBJECT)]
#[case::tf_10_no_object(body("application/json", "true"), NO_OBJECT)]
#[case::tf_10_twice_active(
    body("application/json", r#"{"active":false,"active":true}"#),
    NO_OBJECT
)]
#[case::tf_10_no_utf_8(
    body("application/json", b"{\"active\":true,\"sub\":\"\xff\"}"),
    NO_OBJECT
)]
#[case::tf_10_more_behind(body("application/json", r#"{"active":true}{}"#), NO_OBJECT)]
#[case::tf_10_cut_off(Fault::Truncated, "answered only in part")]
#[case::tf_10_hangs_up(Fault::Disconnect, "not reachable")]
#[case::tf_10_packed(packed(), NO_OBJECT)]
#[case::tf_11_deep(body("application/json", nested(17)), NO_OBJECT)]
#[case::tf_11_huge(body("application/json", huge()), "answered more than 65536 bytes")]
#[case::tf_11_without_an_end(Fault::Endless, "answered more than 65536 bytes")]
#[tokio::test]
async fn tf_10_tf_11_no_answer_is_an_outage_and_never_a_verdict(
    #[case] fault: Fault,
    #[case] says: &str,
) {
    let world = World::new().await;
    survives(&world, &world.layer(), fault, says).await;
}

/// What is known goes on, what is not known waits, and all is well when the server is.
async fn survives(
    world: &World,
    layer: &gateless::introspection::Introspection,
    fault: Fault,
    says: &str,
) {
    let before = world.issuer.opaque_token().mint();
    accepts(layer, &before).await;
    world.issuer.set_introspection_fault(fault);
    let token = world.issuer.opaque_token().mint();
    rejects(layer, &token, &Refusal::unanswered(1)).await;
    rejects(layer, &token, &Refusal::unanswered(1)).await;
    let status = layer.handle().status();
    assert!(
        status.last_failure().is_some_and(|why| why.ends_with(says)),
        "{status}"
    );
    let calls = world.calls();
    accepts(layer, &before).await;
    assert_eq!(world.calls(), calls, "that was remembered");

    world.issuer.clear_fault();
    world.advance(PAUSE);
    accepts(layer, &token).await;
    let status = layer.handle().status();
    assert!(
        !status.is_paused() && status.last_failure().is_none(),
        "{status}"
    );
}

#[tokio::test]
async fn tf_10_tm_12_an_endpoint_that_never_answers_costs_the_deadline_and_no_more() {
    let world = World::new().await;
    let layer = world.hasty();
    let began = Instant::now();
    survives(&world, &layer, Fault::Hang, "no answer in time").await;
    // At most five calls wait; then it is left alone.
    assert!(began.elapsed() < SHORT * 20, "{began:?}");
}

#[tokio::test]
async fn tf_10_tf_11_tm_12_an_answer_that_drips_is_none() {
    let world = World::new().await;
    let drip = Fault::Drip { every: SHORT / 4 };
    survives(&world, &world.hasty(), drip, "no answer in time").await;
}

#[tokio::test]
async fn tf_11_what_is_just_small_enough_is_read() {
    let world = World::new().await;
    let padded = world.issuer.opaque_token();
    let padded = padded.claim("pad", "x".repeat(60 * 1024)).mint();
    accepts(&world.layer(), &padded).await;
    let mut deep = serde_json::json!(1);
    for _ in 0..14 {
        deep = serde_json::json!([deep]);
    }
    let deep = world.issuer.opaque_token().claim("deep", deep).mint();
    accepts(&world.layer(), &deep).await;
}

#[tokio::test]
async fn tf_10_no_redirect_is_followed() {
    let world = World::new().await;
    let elsewhere = Stub::serve(|_| active("user-1")).await;
    let fault = Fault::Redirect(elsewhere.url.clone());
    survives(&world, &world.layer(), fault, "answered 302").await;
    assert_eq!(elsewhere.calls(), 0, "the token went elsewhere");
}

#[tokio::test]
async fn tf_09_a_401_for_us_is_never_one_for_the_caller() {
    let world = World::new().await;
    let layer = world.layer();
    let before = world.issuer.opaque_token().mint();
    accepts(&layer, &before).await;
    world.issuer.set_client_secret("another");
    let token = world.issuer.opaque_token().mint();
    let answer = ask(&layer, Protocol::Http, &token).await;
    answer.refused(Protocol::Http, &Refusal::unanswered(1));
    let alarm = "ERROR gateless.introspection.call";
    assert!(answer.logs.contains(alarm), "{}", answer.logs);
    assert!(answer.logs.contains("check the client's credentials"));
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
    let status = layer.handle().status();
    let why = status.last_failure().unwrap();
    assert!(why.ends_with("does not accept the credentials of this service"));
    accepts(&layer, &before).await;

    world
        .issuer
        .set_client_secret(gateless_testkit::TestIssuer::CLIENT_SECRET);
    world.advance(PAUSE);
    accepts(&layer, &token).await;
}

#[tokio::test]
async fn tf_10_a_server_that_is_not_there_is_an_outage_until_it_is() {
    let world = World::new().await;
    let layer = world.layer();
    let before = world.issuer.opaque_token().mint();
    accepts(&layer, &before).await;
    world.issuer.shutdown().await;
    let token = world.issuer.opaque_token().mint();
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
    accepts(&layer, &before).await;
}

/// The listener takes connections, and nobody reads them.
#[tokio::test]
async fn tf_10_a_server_that_reads_nothing_costs_the_deadline() {
    let world = World::new().await;
    let (_listener, address) = listen().await;
    let url = format!("http://{address}/introspect");
    let endpoint = gateless::introspection::Endpoint::url(url, gateless::OnOutage::FailClosed);
    let endpoint = endpoint.timeout(SHORT);
    let layer = world.asking(world.policy(), endpoint, super::known());
    let layer = layer.build().unwrap();
    let began = Instant::now();
    rejects(&layer, "opaque-and-unknown", &Refusal::unanswered(1)).await;
    assert!(began.elapsed() < SHORT * 20, "{began:?}");
}

#[tokio::test]
async fn tf_23_an_error_is_never_remembered_as_inactive() {
    let world = World::new().await;
    let layer = world.layer();
    let token = world.issuer.opaque_token().mint();
    world.issuer.set_introspection_fault(Fault::Status(500));
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
    world.issuer.clear_fault();
    accepts(&layer, &token).await;
    // An answer of no is.
    let unknown = "not-issued-yet-by-anybody";
    let inactive = Refusal::tok(TokenFault::Inactive);
    rejects(&layer, unknown, &inactive).await;
    let calls = world.calls();
    rejects(&layer, unknown, &inactive).await;
    assert_eq!(world.calls(), calls);
}
