//! Whom an answer is for: this layer, under this configuration, until somebody says otherwise.

use std::time::Duration;

use gateless::introspection::{ClientAuthentication, Introspection, IntrospectionHandle, Secret};
use gateless::{AccessToken, Principal, TokenFault};
use gateless_testkit::{Fault, Recorder, TestIssuer};
use http::Request;
use rstest::rstest;
use tower::{Layer as _, ServiceExt as _};

use super::{World, accepts, known, rejects, until};
use crate::support::{Refusal, bearer};

#[tokio::test]
async fn tf_16_tf_20_what_one_layer_was_told_is_nothing_to_another() {
    let world = World::new().await;
    let token = world.issuer.opaque_token().mint();
    let post = ClientAuthentication::post(
        TestIssuer::CLIENT_ID,
        Secret::new(TestIssuer::CLIENT_SECRET),
    );
    let layers = [
        world.layer(),
        world.layer(),
        world
            .asking(world.policy(), world.endpoint(), post)
            .build()
            .unwrap(),
    ];
    for (calls, layer) in (1..).zip(&layers) {
        accepts(layer, &token).await;
        assert_eq!(world.calls(), calls);
    }
    // One that is for another audience says no to what the first says yes to.
    let policy = gateless::introspection::IntrospectionPolicy::new(
        world.issuer.issuer(),
        "https://other.example.com",
    );
    let other = world.asking(
        policy.danger_allow_http_loopback(),
        world.endpoint(),
        known(),
    );
    let other = other.build().unwrap();
    for _ in 0..2 {
        rejects(&other, &token, &Refusal::tok(TokenFault::AudienceMismatch)).await;
        accepts(&layers[0], &token).await;
    }
}

/// One server says yes and the other no, to the same text.
#[tokio::test]
async fn tf_16_the_answer_of_one_server_is_not_that_of_another() {
    let (one, other) = (World::new().await, World::new().await);
    let token = one.issuer.opaque_token().mint();
    let (trusting, strange) = (one.layer(), other.layer());
    for _ in 0..2 {
        accepts(&trusting, &token).await;
        rejects(&strange, &token, &Refusal::tok(TokenFault::Inactive)).await;
    }
    assert_eq!((one.calls(), other.calls()), (1, 1));
}

#[tokio::test]
async fn tf_20_calls_under_way_are_not_shared_by_two_layers() {
    let world = World::new().await;
    let token = world.issuer.opaque_token().mint();
    world.issuer.set_introspection_fault(Fault::Hang);
    let requests = [world.layer(), world.layer()].map(|layer| waits(&layer, &token));
    until(|| world.calls() == 2).await;
    world.issuer.clear_fault();
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
}

/// A request on its way.
fn waits(layer: &Introspection, token: &str) -> tokio::task::JoinHandle<u16> {
    let request = Request::get("/").header("authorization", bearer(token));
    let service = layer.layer(Recorder::new());
    let answer = service.oneshot(request.body(String::new()).unwrap());
    tokio::spawn(async { answer.await.unwrap().status().as_u16() })
}

#[tokio::test]
async fn clones_of_a_layer_share_what_they_know() {
    let world = World::new().await;
    let layer = world.layer();
    let token = world.issuer.opaque_token().mint();
    accepts(&layer.clone(), &token).await;
    accepts(&layer.clone(), &token).await;
    accepts(&layer, &token).await;
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn tf_21_what_was_found_out_under_one_policy_is_nothing_to_the_next() {
    let world = World::new().await;
    let layer = world.layer();
    let mounted = layer.clone();
    let token = world.issuer.opaque_token().mint();
    accepts(&mounted, &token).await;
    let before = layer.handle().epoch();
    let strict = world.policy().allowed_clients(["batch"]);
    let strict = world.asking(strict, world.endpoint(), known());
    let epoch = layer.handle().reload(strict).unwrap();
    assert_ne!(epoch, before);
    assert_eq!(layer.handle().epoch(), epoch);
    let fault = Refusal::tok(TokenFault::ClientNotAllowed);
    rejects(&mounted, &token, &fault).await;
    assert_eq!(world.calls(), 2);
    // The same settings again are another configuration all the same.
    layer.handle().reload(world.builder()).unwrap();
    assert!(world.issuer.revoke(&token));
    rejects(&mounted, &token, &Refusal::tok(TokenFault::Inactive)).await;
    assert_eq!(world.calls(), 3);
}

#[tokio::test]
async fn tf_21_a_configuration_that_cannot_be_used_changes_nothing() {
    let world = World::new().await;
    let layer = world.layer();
    let token = world.issuer.opaque_token().mint();
    accepts(&layer, &token).await;
    let epoch = layer.handle().epoch();
    let unusable = world.endpoint().timeout(Duration::ZERO);
    let unusable = world.asking(world.policy(), unusable, known());
    layer.handle().reload(unusable).unwrap_err();
    assert_eq!(layer.handle().epoch(), epoch);
    accepts(&layer, &token).await;
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn tf_21_an_answer_that_is_under_way_is_not_remembered_for_the_next_configuration() {
    let world = World::new().await;
    let layer = world.layer();
    let token = world.issuer.opaque_token().mint();
    world.issuer.set_introspection_fault(Fault::Hang);
    let waiting = waits(&layer, &token);
    until(|| world.calls() == 1).await;
    layer.handle().reload(world.builder()).unwrap();
    world.issuer.clear_fault();
    assert_eq!(waiting.await.unwrap(), 200);
    assert!(world.issuer.revoke(&token));
    rejects(&layer, &token, &Refusal::tok(TokenFault::Inactive)).await;
}

#[tokio::test]
async fn tf_22_what_was_forgotten_is_asked_about_again_and_nothing_else_is() {
    let world = World::new().await;
    let layer = world.layer();
    let of = |subject: &str| world.issuer.opaque_token().subject(subject).mint();
    let (theirs, ours) = (of("user-7"), of("user-8"));
    accepts(&layer, &theirs).await;
    accepts(&layer, &ours).await;
    for token in [&theirs, &ours] {
        assert!(world.issuer.revoke(token));
    }
    let handle = layer.handle();
    handle.forget_where(|caller| caller.subject() == Some("user-9"));
    accepts(&layer, &theirs).await;
    handle.forget_where(|caller| caller.subject() == Some("user-7"));
    rejects(&layer, &theirs, &Refusal::tok(TokenFault::Inactive)).await;
    accepts(&layer, &ours).await;
    assert_eq!(world.calls(), 3);
    handle.forget_tokens();
    rejects(&layer, &ours, &Refusal::tok(TokenFault::Inactive)).await;
}

/// The server answered before the person was signed out; the answer arrives after that.
#[tokio::test]
async fn tf_22_an_answer_that_is_under_way_while_its_token_is_forgotten_is_not_remembered() {
    let world = World::new().await;
    let layer = world.layer();
    let token = world.issuer.opaque_token().mint();
    world.issuer.set_introspection_fault(Fault::Hang);
    let waiting = waits(&layer, &token);
    until(|| world.calls() == 1).await;
    layer.handle().forget_where(|_: &Principal| false);
    // Who comes now does not join that call.
    let next = waits(&layer, &token);
    until(|| world.calls() == 2).await;
    layer.handle().forget_tokens();
    world.issuer.clear_fault();
    assert_eq!((waiting.await.unwrap(), next.await.unwrap()), (200, 200));
    assert!(world.issuer.revoke(&token));
    rejects(&layer, &token, &Refusal::tok(TokenFault::Inactive)).await;
}

#[tokio::test]
async fn tf_22_one_token_can_be_forgotten_by_itself() {
    let world = World::new().await;
    let layer = world.layer();
    let [gone, stays] = [(), ()].map(|()| world.issuer.opaque_token().mint());
    accepts(&layer, &gone).await;
    accepts(&layer, &stays).await;
    assert!(world.issuer.revoke(&gone) && world.issuer.revoke(&stays));
    layer.handle().forget_token(&AccessToken::new(&gone));
    rejects(&layer, &gone, &Refusal::tok(TokenFault::Inactive)).await;
    accepts(&layer, &stays).await;
}

/// What is known of a token that is early makes it good in a moment: that is forgotten as well.
#[rstest]
#[case::of_somebody(|handle: &IntrospectionHandle, _: &str| handle.forget_where(|caller| caller.subject().is_some()))]
#[case::of_a_token(|handle: &IntrospectionHandle, token: &str| handle.forget_token(&AccessToken::new(token)))]
#[case::of_all(|handle: &IntrospectionHandle, _: &str| handle.forget_tokens())]
#[tokio::test]
async fn tf_22_what_is_known_of_a_refused_token_is_forgotten_too(
    #[case] forget: fn(&IntrospectionHandle, &str),
) {
    let world = World::new().await;
    let layer = world.layer();
    let token = world.issuer.opaque_token().not_before_in(33).mint();
    rejects(&layer, &token, &Refusal::tok(TokenFault::NotYetValid)).await;
    forget(layer.handle(), &token);
    assert!(world.issuer.revoke(&token));
    world.advance(Duration::from_secs(3));
    rejects(&layer, &token, &Refusal::tok(TokenFault::Inactive)).await;
}
