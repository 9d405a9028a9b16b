//! Many at once: with the same token, and each with another.

use std::convert::Infallible;
use std::time::Duration;

use gateless::Principal;
use gateless::introspection::{AnswerCache, Introspection};
use gateless_testkit::{Fault, Unforgiving};
use http::{Request, Response};
use tokio::task::JoinSet;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tracing::subscriber::{NoSubscriber, set_default};

use super::{SHORT, World, accepts, known, rejects, until};
use crate::sockets::DEADLINE;
use crate::support::{Refusal, bearer};

const CROWD: usize = 10_000;

/// One request, on its way.
async fn asks(layer: Introspection, token: String) -> u16 {
    let request = Request::get("/").header("authorization", bearer(token));
    let service = layer.layer(Unforgiving::new());
    let answer = service.oneshot(request.body(String::new()).unwrap()).await;
    answer.unwrap().status().as_u16()
}

/// How often each status came.
async fn statuses(crowd: JoinSet<u16>) -> Vec<(u16, usize)> {
    let all = tokio::time::timeout(3 * DEADLINE, crowd.join_all()).await;
    let mut all = all.expect("somebody still waits");
    all.sort_unstable();
    let chunks = all.chunk_by(|one, other| one == other);
    chunks.map(|chunk| (chunk[0], chunk.len())).collect()
}

fn crowd(layer: &Introspection, token: impl Fn(usize) -> String) -> JoinSet<u16> {
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        crowd.spawn(asks(layer.clone(), token(number)));
    }
    crowd
}

#[tokio::test]
async fn tf_12_ten_thousand_requests_with_one_token_make_one_call() {
    // Others in this process have everything logged.
    let _silent = set_default(NoSubscriber::default());
    let world = World::new().await;
    for layer in [
        world.layer(),
        world.builder().without_answer_cache().build().unwrap(),
    ] {
        let before = world.calls();
        let token = world.issuer.opaque_token().mint();
        world.issuer.set_introspection_fault(Fault::Hang);
        let crowd = crowd(&layer, |_| token.clone());
        until(|| world.calls() > before).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        world.issuer.clear_fault();
        assert_eq!(statuses(crowd).await, [(200, CROWD)]);
        assert_eq!(world.calls() - before, 1);
    }
}

#[tokio::test]
async fn tf_12_ten_thousand_requests_with_one_token_make_two_calls_at_a_server_that_fails() {
    let _silent = set_default(NoSubscriber::default());
    for (fault, most) in [(Fault::Disconnect, 2), (Fault::Status(500), 1)] {
        let world = World::new().await;
        let layer = world.layer();
        world.issuer.set_introspection_fault(fault);
        let crowd = crowd(&layer, |_| "one-opaque-token".to_owned());
        assert_eq!(statuses(crowd).await, [(503, CROWD)]);
        assert!((1..=most).contains(&world.calls()), "{}", world.calls());
    }
}

#[tokio::test]
async fn tf_13_ten_thousand_tokens_are_asked_about_a_few_at_a_time() {
    let _silent = set_default(NoSubscriber::default());
    let world = World::new().await;
    let endpoint = world.endpoint().max_concurrent(8).max_waiting(CROWD);
    let endpoint = endpoint.timeout(3 * DEADLINE);
    let layer = world.asking(world.policy(), endpoint, known());
    let layer = layer.build().unwrap();
    // Long enough to meet others at the server.
    let slow = Fault::Slow(Duration::from_millis(1));
    world.issuer.set_introspection_fault(slow);
    let crowd = crowd(&layer, |number| format!("opaque-token-{number}"));
    assert_eq!(statuses(crowd).await, [(401, CROWD)]);
    assert_eq!(world.calls(), CROWD as u64);
    let most = world.issuer.most_concurrent_introspections();
    assert!((2..=8).contains(&most), "{most} at once");
}

#[tokio::test]
async fn tf_13_whoever_is_one_too_many_is_told_at_once() {
    let _silent = set_default(NoSubscriber::default());
    let world = World::new().await;
    // One of three turns is kept for tokens that are known.
    let endpoint = world.endpoint().max_concurrent(3).max_waiting(2);
    let layer = world.asking(world.policy(), endpoint, known());
    let layer = layer.build().unwrap();
    let before = world.issuer.opaque_token().mint();
    accepts(&layer, &before).await;
    world.issuer.set_introspection_fault(Fault::Hang);
    let mut crowd = crowd(&layer, |number| format!("opaque-token-{number}"));
    // Nothing is answered; who is beyond the limits is told all the same.
    for _ in 0..CROWD - 5 {
        assert_eq!(crowd.join_next().await.unwrap().unwrap(), 503);
    }
    rejects(&layer, "one-token-more", &Refusal::unanswered(1)).await;
    accepts(&layer, &before).await;
    // A token that is asked about already is not one more.
    crowd.spawn(asks(layer.clone(), "opaque-token-0".into()));
    until(|| world.calls() == 1 + 2).await;
    world.issuer.clear_fault();
    assert_eq!(statuses(crowd).await, [(401, 6)]);
    assert_eq!(world.issuer.most_concurrent_introspections(), 2);
    assert_eq!(world.calls(), 1 + 5);
    // And there is room again.
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
}

#[tokio::test]
async fn tf_13_waiting_for_a_turn_ends_with_the_deadline() {
    let world = World::new().await;
    let endpoint = world.endpoint().timeout(SHORT).max_concurrent(1);
    let layer = world.asking(world.policy(), endpoint, known());
    let layer = layer.build().unwrap();
    world.issuer.set_introspection_fault(Fault::Hang);
    let mut crowd = JoinSet::new();
    for number in 0..4 {
        crowd.spawn(asks(layer.clone(), format!("opaque-token-{number}")));
    }
    assert_eq!(statuses(crowd).await, [(503, 4)]);
    assert!(world.calls() <= 2, "{}", world.calls());
}

#[tokio::test]
async fn tf_13_what_does_not_look_like_a_token_of_the_server_is_not_asked_about() {
    let world = World::new().await;
    let layer = world.builder().token_prefix("at_").token_prefix("pat_");
    let layer = layer.token_lengths(8..=16).build().unwrap();
    let malformed = Refusal::tok(gateless::TokenFault::Malformed);
    for scan in [
        "admin",
        "at_1",
        "at_1234567890abcdef",
        "rt_12345678",
        "AT_12345678",
    ] {
        let scan = world.issuer.opaque_token().text(scan).mint();
        rejects(&layer, &scan, &malformed).await;
    }
    assert_eq!(world.calls(), 0);
    for good in ["at_12345", "pat_12345678"] {
        accepts(&layer, &world.issuer.opaque_token().text(good).mint()).await;
    }
}

/// A caller goes away: the call goes on for the others, and for who comes later.
#[tokio::test]
async fn tf_12_a_caller_that_goes_away_takes_nothing_along() {
    let world = World::new().await;
    let layer = world.layer();
    let token = world.issuer.opaque_token().mint();
    world.issuer.set_introspection_fault(Fault::Hang);
    let first = tokio::spawn(asks(layer.clone(), token.clone()));
    until(|| world.calls() == 1).await;
    let others: Vec<_> = (0..3)
        .map(|_| tokio::spawn(asks(layer.clone(), token.clone())))
        .collect();
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    world.issuer.clear_fault();
    for other in others {
        assert_eq!(other.await.unwrap(), 200);
    }
    accepts(&layer, &token).await;
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn tf_12_a_call_that_nobody_waits_for_any_more_is_remembered_all_the_same() {
    let world = World::new().await;
    let layer = world.layer();
    let token = world.issuer.opaque_token().mint();
    world.issuer.set_introspection_fault(Fault::Hang);
    let only = tokio::spawn(asks(layer.clone(), token.clone()));
    until(|| world.calls() == 1).await;
    only.abort();
    let _ = only.await;
    world.issuer.clear_fault();
    // Joins the call, or finds what it found out.
    accepts(&layer, &token).await;
    assert_eq!(world.calls(), 1);
}

#[derive(Clone, Debug, PartialEq)]
struct Subject(String);

async fn whoami(request: Request<String>) -> Result<Response<String>, Infallible> {
    let principal = Principal::of(request.extensions()).unwrap();
    let mut response = Response::new(String::new());
    let subject = principal.subject().unwrap().to_owned();
    response.extensions_mut().insert(Subject(subject));
    Ok(response)
}

/// Answers come in any order over few connections, and some callers go away: nobody gets the answer of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tf_07_nobody_gets_the_answer_to_the_question_of_another() {
    let _silent = set_default(NoSubscriber::default());
    let world = World::new().await;
    let cache = AnswerCache::new().lifetime(Duration::from_millis(1));
    let endpoint = world.endpoint().max_concurrent(4);
    let layer = world.asking(world.policy(), endpoint, known());
    let layer = layer.answer_cache(cache).build().unwrap();
    for number in 0..100 {
        let token = world
            .issuer
            .opaque_token()
            .subject(format!("user-{number}"));
        let _ = token.text(format!("token-of-user-{number}")).mint();
    }
    // Long enough for several to be under way.
    let slow = Fault::Slow(Duration::from_millis(1));
    world.issuer.set_introspection_fault(slow);
    let mut crowd = JoinSet::new();
    for request in 0_u64..2_000 {
        let (layer, clock) = (layer.clone(), world.clock.clone());
        crowd.spawn(async move {
            // Some tokens are good, some are not known, in no order.
            let number = request * 7919 % 130;
            let service = layer.layer(service_fn(whoami));
            let asked = Request::get("/");
            let asked = asked.header("authorization", bearer(format!("token-of-user-{number}")));
            let asked = service.oneshot(asked.body(String::new()).unwrap());
            if request % 13 == 0 {
                let _ = tokio::time::timeout(Duration::from_micros(request % 700), asked).await;
                clock.advance(Duration::from_millis(1));
                return;
            }
            let answer: Response<_> = asked.await.unwrap();
            let subject = answer.extensions().get::<Subject>().cloned();
            let expected = (number < 100).then(|| Subject(format!("user-{number}")));
            assert_eq!((subject, answer.status() == 200), (expected, number < 100));
        });
    }
    let all = tokio::time::timeout(DEADLINE, crowd.join_all()).await;
    all.expect("somebody still waits");
    assert!(world.issuer.most_concurrent_introspections() > 1);
}
