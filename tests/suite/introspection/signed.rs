//! Answers that are signed (RFC 9701): by the issuer, for this service, to this question.

use std::time::Duration;

use gateless::bearer::Keys;
use gateless::introspection::Introspection;
use gateless::{OnOutage, TokenFault};
use gateless_testkit::{Fault, SigningAlgorithm, TestIssuer, TokenBuilder};
use rstest::rstest;

use super::{FAILURES, SHORT, World, accepts, ask, known, rejects};
use crate::support::{Protocol, Refusal};

const SIGNED: &str = "application/token-introspection+jwt";
const COOLDOWN: Duration = Duration::from_secs(30);

async fn signing() -> (World, Introspection) {
    let world = World::new().await;
    world.issuer.sign_introspections(true);
    let layer = layer(&world);
    (world, layer)
}

fn keys(world: &World) -> Keys {
    Keys::jwks_url(world.issuer.jwks_url(), OnOutage::FailClosed)
}

fn layer(world: &World) -> Introspection {
    let builder = world.builder().signed_answers(keys(world));
    builder.build().unwrap()
}

fn answers(world: &World, content_type: &str, body: String) {
    let fault = Fault::Body(content_type.into(), body.into_bytes());
    world.issuer.set_introspection_fault(fault);
}

#[tokio::test]
async fn tf_08_a_signed_answer_is_asked_for_checked_and_believed() {
    let (world, layer) = signing().await;
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
    let asked = world.issuer.introspected().pop().unwrap();
    assert_eq!(asked.accept.as_deref(), Some(SIGNED));
    rejects(
        &layer,
        "unknown-opaque-token",
        &Refusal::tok(TokenFault::Inactive),
    )
    .await;
    let expired = world.issuer.opaque_token().issued_in(-99).expires_in(-60);
    let expired = expired.keep_active().mint();
    rejects(&layer, &expired, &Refusal::tok(TokenFault::Expired)).await;
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
        world.issuer.sign_introspections_with(algorithm);
        accepts(&layer, &world.issuer.opaque_token().mint()).await;
    }
    assert_eq!(world.issuer.requests().jwks, 1);
}

#[tokio::test]
async fn tf_08_an_answer_that_is_not_signed_is_none() {
    let (world, layer) = signing().await;
    world.issuer.sign_introspections(false);
    let token = world.issuer.opaque_token().mint();
    let down = Refusal::unanswered(1);
    rejects(&layer, &token, &down).await;
    let status = layer.handle().status();
    assert!(
        status
            .last_failure()
            .is_some_and(|why| why.ends_with(SIGNED)),
        "{status}"
    );
    // Nor is it with the name of a signed one.
    answers(&world, SIGNED, r#"{"active":true}"#.into());
    rejects(&layer, &token, &down).await;
    let status = layer.handle().status();
    assert!(
        status
            .last_failure()
            .is_some_and(|why| why.ends_with("the answer is not signed")),
        "{status}"
    );
    // And nobody gets a signed one who did not ask for it.
    let answer = world
        .issuer
        .introspection_answer(&token, TestIssuer::CLIENT_ID);
    answers(&world, SIGNED, answer.mint());
    rejects(&world.layer(), &token, &down).await;
}

#[rstest]
#[case::for_another(|it: TokenBuilder| it.audience("another-client"))]
#[case::for_the_api(|it: TokenBuilder| it.audience(crate::support::AUDIENCE))]
#[case::for_nobody(|it: TokenBuilder| it.without("aud"))]
#[case::by_another(|it: TokenBuilder| it.claim("iss", "https://other.example.com"))]
#[case::by_nobody(|it: TokenBuilder| it.without("iss"))]
#[case::too_old(|it: TokenBuilder| it.issued_in(-31))]
#[case::too_new(|it: TokenBuilder| it.issued_in(31))]
#[case::without_a_date(|it: TokenBuilder| it.without("iat"))]
#[case::expired(|it: TokenBuilder| it.expires_in(-30))]
#[case::an_access_token(|it: TokenBuilder| it.header("typ", "at+jwt"))]
#[case::any_jwt(|it: TokenBuilder| it.header("typ", "JWT"))]
#[case::of_no_type(|it: TokenBuilder| it.without_header("typ"))]
#[case::of_no_algorithm(|it: TokenBuilder| it.header("alg", "none").unsigned())]
#[case::not_signed(|it: TokenBuilder| it.unsigned())]
#[case::forged(|it: TokenBuilder| it.signature([1; 256]))]
#[case::with_a_shared_secret(|it: TokenBuilder| it.hmac_with(b"s3cr&t: +%/"))]
#[case::without_an_answer(|it: TokenBuilder| it.without("token_introspection"))]
#[case::of_active_alone(|it: TokenBuilder| it.without("token_introspection").claim("active", true))]
#[case::an_answer_as_text(|it: TokenBuilder| it.claim("token_introspection", r#"{"active":true}"#))]
#[tokio::test]
async fn tf_08_a_signed_answer_has_to_be_right_in_every_respect(
    #[case] spoil: fn(TokenBuilder) -> TokenBuilder,
) {
    let (world, layer) = signing().await;
    let token = world.issuer.opaque_token().mint();
    let good = world
        .issuer
        .introspection_answer(&token, TestIssuer::CLIENT_ID);
    answers(&world, SIGNED, spoil(good.clone()).mint());
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
    assert!(
        !layer.handle().status().is_paused(),
        "others are not shut out by that"
    );
    answers(&world, SIGNED, good.mint());
    accepts(&layer, &token).await;
}

/// Somebody on the way kept an answer from when the token was good.
#[tokio::test]
async fn tf_08_an_older_answer_does_not_bring_a_token_back() {
    let (world, layer) = signing().await;
    let token = world.issuer.opaque_token().mint();
    let kept = world
        .issuer
        .introspection_answer(&token, TestIssuer::CLIENT_ID);
    accepts(&layer, &token).await;
    assert!(world.issuer.revoke(&token));
    world.advance(Duration::from_secs(31));
    answers(&world, SIGNED, kept.mint());
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
    let status = layer.handle().status();
    assert!(
        status
            .last_failure()
            .is_some_and(|why| why.ends_with("not made for this question")),
        "{status}"
    );
}

#[tokio::test]
async fn tf_08_the_keys_of_anybody_else_sign_nothing() {
    let (world, layer) = signing().await;
    let token = world.issuer.opaque_token().mint();
    let builder = TestIssuer::builder().issuer(world.issuer.issuer());
    let stranger = builder
        .clock(std::sync::Arc::new(world.clock.clone()))
        .build();
    let _ = stranger.opaque_token().text(&*token).mint();
    let forged = stranger.introspection_answer(&token, TestIssuer::CLIENT_ID);
    answers(&world, SIGNED, forged.mint());
    for protocol in Protocol::ALL {
        let answer = ask(&layer, protocol, &token).await;
        let after = answer.rejection.as_ref().unwrap().retry_after_secs();
        let after = after.unwrap();
        assert!((1..=30).contains(&after), "{after}");
        answer.refused(protocol, &Refusal::unanswered(after));
    }
}

#[tokio::test]
async fn tf_08_new_keys_of_the_issuer_are_followed() {
    let (world, layer) = signing().await;
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
    for _ in 0..2 {
        world.advance(COOLDOWN);
        world.issuer.rotate();
        accepts(&layer, &world.issuer.opaque_token().mint()).await;
    }
    assert_eq!(world.issuer.requests().jwks, 3);
}

#[tokio::test]
async fn tf_08_without_keys_no_signed_answer_is_believed() {
    let (world, layer) = signing().await;
    world.issuer.set_jwks_fault(Fault::Status(500));
    let token = world.issuer.opaque_token().mint();
    let answer = ask(&layer, Protocol::Http, &token).await;
    let after = answer
        .rejection
        .as_ref()
        .unwrap()
        .retry_after_secs()
        .unwrap();
    answer.refused(Protocol::Http, &Refusal::unanswered(after));
    world.issuer.clear_fault();
    world.advance(COOLDOWN);
    accepts(&layer, &token).await;
}

#[tokio::test]
async fn tf_08_the_recipient_can_have_another_name_than_the_client() {
    let world = World::new().await;
    world.issuer.sign_introspections(true);
    let builder = world.builder().signed_answers(keys(&world));
    let layer = builder.recipient("https://api.example.com/rs");
    let layer = layer.build().unwrap();
    let token = world.issuer.opaque_token().mint();
    rejects(&layer, &token, &Refusal::unanswered(1)).await;
    let named = world
        .issuer
        .introspection_answer(&token, "https://api.example.com/rs");
    answers(&world, SIGNED, named.mint());
    accepts(&layer, &token).await;
}

/// It is the keys that are away, and not the endpoint: that goes on being asked.
#[tokio::test]
async fn te_09_keys_that_do_not_come_are_no_fault_of_the_endpoint() {
    let world = World::new().await;
    world.issuer.sign_introspections(true);
    world.issuer.set_jwks_fault(Fault::Hang);
    let endpoint = world.endpoint().timeout(SHORT);
    let builder = world.asking(world.policy(), endpoint, known());
    let layer = builder.signed_answers(keys(&world)).build().unwrap();
    for _ in 0..=FAILURES {
        let token = world.issuer.opaque_token().mint();
        let answer = ask(&layer, Protocol::Http, &token).await;
        answer.refused(Protocol::Http, &Refusal::unanswered(1));
    }
    let status = layer.handle().status();
    assert!(!status.is_paused(), "{status}");
    let why = status.last_failure().unwrap();
    assert!(why.contains("keys for signed answers"), "{why}");
    world.issuer.clear_fault();
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
}
