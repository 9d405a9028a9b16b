//! How long an answer is used: no longer than it is good, and asked of anew with each request.

use std::time::Duration;

use gateless::introspection::{AnswerCache, Introspection};
use gateless::scope::ScopeGuard;
use gateless::{Clock as _, TokenFault, scopes};
use gateless_testkit::FakeClock;
use rstest::rstest;
use tower::ServiceBuilder;

use super::{LIFETIME, World, accepts, ask, rejects};
use crate::support::{Protocol, Refusal};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

fn keeping(world: &World, cache: AnswerCache) -> Introspection {
    world.builder().answer_cache(cache).build().unwrap()
}

#[rstest]
#[case::by_default(AnswerCache::new(), LIFETIME)]
#[case::for_a_second(AnswerCache::new().lifetime(SECOND), SECOND)]
#[case::for_a_minute(AnswerCache::new().lifetime(2 * LIFETIME), 2 * LIFETIME)]
#[tokio::test]
async fn tf_14_an_answer_is_used_for_its_lifetime_and_not_a_moment_longer(
    #[case] cache: AnswerCache,
    #[case] lifetime: Duration,
) {
    let world = World::new().await;
    let layer = keeping(&world, cache);
    let token = world.issuer.opaque_token().mint();
    accepts(&layer, &token).await;
    assert!(world.issuer.revoke(&token));
    for _ in 0..3 {
        accepts(&layer, &token).await;
    }
    world.advance(lifetime - MILLI);
    accepts(&layer, &token).await;
    assert_eq!(world.calls(), 1);
    world.advance(MILLI);
    rejects(&layer, &token, &Refusal::tok(TokenFault::Inactive)).await;
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn without_a_cache_each_request_is_asked_about() {
    let world = World::new().await;
    let layer = world.builder().without_answer_cache().build().unwrap();
    let token = world.issuer.opaque_token().mint();
    accepts(&layer, &token).await;
    assert_eq!(world.calls(), 4);
    assert!(world.issuer.revoke(&token));
    rejects(&layer, &token, &Refusal::tok(TokenFault::Inactive)).await;
}

/// A hit does not lengthen a life, and the leeway is not for what is kept (RFC 7662 §4).
#[tokio::test]
async fn tf_14_tf_27_no_answer_is_used_past_the_end_of_its_token() {
    let world = World::new().await;
    let layer = keeping(
        &world,
        AnswerCache::new().lifetime(Duration::from_secs(600)),
    );
    let token = world.issuer.opaque_token().expires_in(10).mint();
    for _ in 0..9 {
        accepts(&layer, &token).await;
        world.advance(SECOND);
    }
    accepts(&layer, &token).await;
    assert_eq!(world.calls(), 1);
    world.advance(SECOND);
    rejects(&layer, &token, &Refusal::tok(TokenFault::Inactive)).await;
    assert_eq!(world.calls(), 2);
}

/// Of a server that does not look at the end itself.
#[tokio::test]
async fn tf_14_tf_27_the_end_is_looked_at_whatever_the_server_says() {
    let world = World::new().await;
    let layer = keeping(
        &world,
        AnswerCache::new().lifetime(Duration::from_secs(600)),
    );
    let token = world
        .issuer
        .opaque_token()
        .expires_in(10)
        .keep_active()
        .mint();
    accepts(&layer, &token).await;
    world.advance(Duration::from_secs(10));
    // Within the leeway it is good, and asked about each time.
    accepts(&layer, &token).await;
    assert_eq!(world.calls(), 5);
    world.advance(Duration::from_secs(30));
    rejects(&layer, &token, &Refusal::tok(TokenFault::Expired)).await;
}

#[tokio::test]
async fn tf_28_a_known_token_is_judged_by_the_clock_as_it_is_now() {
    let world = World::new().await;
    let layer = world.layer();
    let token = world.issuer.opaque_token().not_before_in(0).mint();
    accepts(&layer, &token).await;
    let now = world.clock.wall();
    world
        .clock
        .set_wall(now.saturating_sub(Duration::from_secs(31)));
    rejects(&layer, &token, &Refusal::tok(TokenFault::NotYetValid)).await;
    // No time has passed: nothing would forget it but that.
    world.clock.set_wall(now);
    accepts(&layer, &token).await;
    world
        .clock
        .set_wall(now.saturating_add(Duration::from_secs(331)));
    rejects(&layer, &token, &Refusal::tok(TokenFault::Inactive)).await;
}

#[tokio::test]
async fn tf_28_a_token_that_is_early_is_good_when_its_time_comes() {
    let world = World::new().await;
    let layer = world.layer();
    let token = world.issuer.opaque_token().not_before_in(33).mint();
    let early = Refusal::tok(TokenFault::NotYetValid);
    rejects(&layer, &token, &early).await;
    world.advance(3 * SECOND - MILLI);
    rejects(&layer, &token, &early).await;
    assert_eq!(world.calls(), 1);
    world.advance(MILLI);
    accepts(&layer, &token).await;
}

#[tokio::test]
async fn tf_15_scopes_are_asked_for_with_each_request_of_a_token_that_was_asked_about() {
    let world = World::new().await;
    let layer = world.layer();
    let behind = |guard| {
        let layers = ServiceBuilder::new().layer(layer.clone()).layer(guard);
        layers.into_inner()
    };
    let read = behind(ScopeGuard::all(scopes!["orders:read"]));
    let write = behind(ScopeGuard::all(scopes!["orders:write"]));
    let token = world.issuer.opaque_token().scope("orders:read").mint();
    let refusal = Refusal::scope(&["orders:write"], &["orders:write"]);
    for _ in 0..3 {
        accepts(&read, &token).await;
        rejects(&write, &token, &refusal).await;
    }
    assert_eq!(world.calls(), 1);
    // A token without any is a token all the same.
    let scopeless = world.issuer.opaque_token().mint();
    accepts(&layer, &scopeless).await;
    let refusal = Refusal::scope(&["orders:read"], &["orders:read"]);
    rejects(&read, &scopeless, &refusal).await;
}

#[tokio::test]
async fn tf_23_a_token_that_is_refused_is_known_for_five_seconds_at_most() {
    let world = World::new().await;
    let layer = world.layer();
    let inactive = Refusal::tok(TokenFault::Inactive);
    rejects(&layer, "soon-to-be-issued", &inactive).await;
    assert_eq!(world.calls(), 1);
    let token = world.issuer.opaque_token().text("soon-to-be-issued").mint();
    world.advance(5 * SECOND - MILLI);
    rejects(&layer, &token, &inactive).await;
    assert_eq!(world.calls(), 1);
    world.advance(MILLI);
    accepts(&layer, &token).await;
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn tf_23_refusals_need_not_be_remembered() {
    let world = World::new().await;
    let layer = keeping(&world, AnswerCache::new().refused_lifetime(Duration::ZERO));
    let answer = ask(&layer, Protocol::Http, "soon-to-be-issued").await;
    answer.refused(Protocol::Http, &Refusal::tok(TokenFault::Inactive));
    let token = world.issuer.opaque_token().text("soon-to-be-issued").mint();
    accepts(&layer, &token).await;
}

#[tokio::test]
async fn tf_24_a_flood_of_tokens_that_nobody_knows_pushes_out_no_good_one() {
    let world = World::new().await;
    let small = AnswerCache::new().max_tokens(64).max_bytes(64 * 1024);
    let layer = keeping(&world, small);
    let good: Vec<_> = (0..10)
        .map(|_| world.issuer.opaque_token().mint())
        .collect();
    for token in &good {
        accepts(&layer, token).await;
    }
    for number in 0..500 {
        let junk = format!("opaque-token-of-nobody-{number}");
        let answer = ask(&layer, Protocol::Http, &junk).await;
        answer.refused(Protocol::Http, &Refusal::tok(TokenFault::Inactive));
    }
    let calls = world.calls();
    for token in &good {
        accepts(&layer, token).await;
    }
    assert_eq!(world.calls(), calls);
}

/// The facts of a token are not mixed with those of another that was asked about at the same time or later.
#[tokio::test]
async fn tf_16_tf_17_tokens_that_look_alike_have_answers_of_their_own() {
    let world = World::new().await;
    let layer = world.layer();
    let alike = [
        "token", "token=", "token==", "tokem", "Token", "token-", "oken", "ttoken",
    ];
    for _ in 0..2 {
        for text in alike {
            let _ = world.issuer.opaque_token().subject(text).text(text).mint();
        }
        for text in alike {
            let request = Protocol::Http.request();
            let request = request.header("authorization", format!("Bearer {text}"));
            let request = request.body(String::new()).unwrap();
            let answer = crate::support::send(&layer, request).await;
            let principal = gateless::Principal::of(&answer.passed().extensions).unwrap();
            assert_eq!(principal.subject(), Some(text));
        }
    }
    assert_eq!(world.calls(), alike.len() as u64);
    assert_eq!(world.clock.wall(), FakeClock::START);
}
