//! What happens to tokens that were good the last time, while their server is away.

use std::time::Duration;

use gateless::introspection::Introspection;
use gateless::{OnOutage, TokenFault};
use gateless_testkit::{Fault, Recorder};
use http::Request;
use rstest::rstest;
use tokio::task::JoinHandle;
use tower::{Layer as _, ServiceExt as _};

use super::{FAILURES, LIFETIME, PAUSE, World, accepts, ask, known, rejects, until};
use crate::support::{Protocol, Refusal, bearer};

const TOLERANCE: Duration = Duration::from_secs(60);
const MILLI: Duration = Duration::from_millis(1);

fn layer(world: &World, on_outage: OnOutage) -> Introspection {
    let endpoint = world.endpoint_with(on_outage);
    let layer = world.asking(world.policy(), endpoint, known());
    layer.build().unwrap()
}

fn tolerant(world: &World) -> Introspection {
    layer(world, OnOutage::StaleFor(TOLERANCE))
}

#[rstest]
#[case::an_error(Fault::Status(500))]
#[case::another_error(Fault::Status(503))]
#[case::nonsense(Fault::Body("text/html".into(), "<h1>Sorry</h1>".into()))]
#[case::nobody_there(Fault::Disconnect)]
#[case::nothing_there(Fault::Status(404))]
#[tokio::test]
async fn te_09_a_known_token_goes_on_for_as_long_as_was_agreed_and_no_longer(#[case] fault: Fault) {
    let world = World::new().await;
    let layer = tolerant(&world);
    let token = world.issuer.opaque_token().mint();
    accepts(&layer, &token).await;
    world.issuer.set_introspection_fault(fault);
    world.advance(LIFETIME);
    accepts(&layer, &token).await;
    assert!(world.calls() > 1, "the server is asked all the same");
    world.advance(TOLERANCE - MILLI);
    accepts(&layer, &token).await;
    world.advance(MILLI);
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
    // What was never known is not let in at any time.
    rejects(&layer, "unknown-opaque-token", &Refusal::unanswered(1)).await;

    world.issuer.clear_fault();
    world.advance(PAUSE);
    accepts(&layer, &token).await;
}

#[tokio::test]
async fn where_nothing_was_agreed_a_known_token_ends_with_its_answer() {
    let world = World::new().await;
    let layer = layer(&world, OnOutage::FailClosed);
    let token = world.issuer.opaque_token().mint();
    accepts(&layer, &token).await;
    world.issuer.set_introspection_fault(Fault::Status(500));
    world.advance(LIFETIME - MILLI);
    accepts(&layer, &token).await;
    world.advance(MILLI);
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
}

#[tokio::test]
async fn an_endpoint_that_is_left_alone_does_not_end_it() {
    let world = World::new().await;
    let layer = tolerant(&world);
    let token = world.issuer.opaque_token().mint();
    accepts(&layer, &token).await;
    world.issuer.set_introspection_fault(Fault::Status(502));
    world.advance(LIFETIME);
    for _ in 0..2 * FAILURES {
        accepts(&layer, &token).await;
    }
    assert!(layer.handle().status().is_paused());
    assert_eq!(world.calls(), 1 + FAILURES);
}

#[tokio::test]
async fn tf_14_no_token_outlives_its_end_because_its_server_is_away() {
    let world = World::new().await;
    let layer = tolerant(&world);
    let token = world.issuer.opaque_token().expires_in(45).mint();
    accepts(&layer, &token).await;
    world.issuer.set_introspection_fault(Fault::Status(500));
    world.advance(Duration::from_secs(45) - MILLI);
    accepts(&layer, &token).await;
    world.advance(MILLI);
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
}

#[tokio::test]
async fn tf_22_a_token_that_was_called_inactive_in_between_does_not_come_back() {
    let world = World::new().await;
    let layer = tolerant(&world);
    let token = world.issuer.opaque_token().mint();
    accepts(&layer, &token).await;
    assert!(world.issuer.revoke(&token));
    world.advance(LIFETIME);
    let inactive = Refusal::tok(TokenFault::Inactive);
    rejects(&layer, &token, &inactive).await;
    world.issuer.set_introspection_fault(Fault::Status(500));
    rejects(&layer, &token, &inactive).await;
    world.advance(Duration::from_secs(5));
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
}

/// What makes no sense is no outage: the token is refused, and what was known before is not used.
#[tokio::test]
async fn tf_01_a_nonsensical_answer_is_not_outvoted_by_an_older_one() {
    let world = World::new().await;
    let layer = tolerant(&world);
    let token = world.issuer.opaque_token().text("opaque-then-odd").mint();
    accepts(&layer, &token).await;
    let odd = world.issuer.opaque_token().claim("active", "true");
    let odd = odd.text("opaque-then-odd").mint();
    world.advance(LIFETIME);
    rejects(&layer, &odd, &Refusal::tok(TokenFault::AnswerInvalid)).await;
    world.issuer.set_introspection_fault(Fault::Status(500));
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
}

#[tokio::test]
async fn tf_22_what_was_forgotten_does_not_come_back_while_the_server_is_away() {
    let world = World::new().await;
    let layer = tolerant(&world);
    let token = world.issuer.opaque_token().mint();
    accepts(&layer, &token).await;
    world.issuer.set_introspection_fault(Fault::Status(500));
    layer.handle().forget_tokens();
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
}

/// A token that the policy came to refuse, by the clock, is refused, and an outage changes nothing about it.
#[tokio::test]
async fn tf_28_an_older_answer_is_judged_by_the_clock_as_it_is_now() {
    let world = World::new().await;
    let layer = tolerant(&world);
    let token = world.issuer.opaque_token().not_before_in(0).mint();
    let answer = ask(&layer, Protocol::Http, &token).await;
    answer.passed();
    world.issuer.set_introspection_fault(Fault::Status(500));
    world.advance(LIFETIME);
    accepts(&layer, &token).await;
    let start = gateless_testkit::FakeClock::START;
    world
        .clock
        .set_wall(start.saturating_sub(Duration::from_secs(31)));
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
}

/// It does not want to be asked about just this token: that is no outage.
#[tokio::test]
async fn te_09_a_server_that_refuses_to_answer_is_not_away() {
    let world = World::new().await;
    let layer = tolerant(&world);
    let token = world.issuer.opaque_token().mint();
    accepts(&layer, &token).await;
    world.issuer.set_introspection_fault(Fault::Status(403));
    world.advance(LIFETIME);
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
}

/// The turns of those who are known are taken by calls that do not end: that is what an outage looks like at first.
#[rstest]
#[case::stale(OnOutage::StaleFor(TOLERANCE))]
#[case::closed(OnOutage::FailClosed)]
#[tokio::test]
async fn te_09_without_a_turn_a_known_token_goes_on_as_was_agreed(#[case] on_outage: OnOutage) {
    let world = World::new().await;
    let endpoint = world.endpoint_with(on_outage);
    let endpoint = endpoint.max_concurrent(1).max_waiting(0);
    let layer = world.asking(world.policy(), endpoint, known()).build();
    let layer = layer.unwrap();
    let (one, other) = (
        world.issuer.opaque_token().mint(),
        world.issuer.opaque_token().mint(),
    );
    accepts(&layer, &one).await;
    accepts(&layer, &other).await;
    world.issuer.set_introspection_fault(Fault::Hang);
    world.advance(LIFETIME);
    let busy = asks(&layer, &one);
    until(|| world.calls() == 3).await;
    match on_outage {
        OnOutage::FailClosed => rejects(&layer, &other, &Refusal::unanswered(1)).await,
        _ => drop(accepts(&layer, &other).await),
    }
    world.issuer.clear_fault();
    assert_eq!(busy.await.unwrap(), 200);
    accepts(&layer, &other).await;
}

/// A request in a task of its own.
fn asks(layer: &Introspection, token: &str) -> JoinHandle<u16> {
    let request = Request::get("/").header("authorization", bearer(token));
    let request = request.body(String::new()).unwrap();
    let answer = layer.layer(Recorder::default()).oneshot(request);
    tokio::spawn(async { answer.await.unwrap().status().as_u16() })
}

#[tokio::test]
async fn tf_22_a_refusal_ends_what_was_known_whatever_else_is_forgotten_meanwhile() {
    let world = World::new().await;
    let layer = tolerant(&world);
    let token = world.issuer.opaque_token().mint();
    accepts(&layer, &token).await;
    world.advance(LIFETIME);
    world.issuer.set_introspection_fault(Fault::Hang);
    assert!(world.issuer.revoke(&token));
    let waiting = asks(&layer, &token);
    until(|| world.calls() == 2).await;
    layer.handle().forget_where(|_| false);
    world.issuer.clear_fault();
    assert_eq!(waiting.await.unwrap(), 401);
    world.issuer.set_introspection_fault(Fault::Status(500));
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
}
