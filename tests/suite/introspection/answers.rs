//! What the server may say for a token to pass.

use std::time::Duration;

use gateless::introspection::IntrospectionPolicy;
use gateless::{Principal, PrincipalKind, TokenFault};
use gateless_testkit::OpaqueTokenBuilder;
use rstest::rstest;
use serde_json::{Value, json};

use super::{World, accepts, ask, known, rejects};
use crate::support::{AUDIENCE, Protocol, Refusal};

/// The layer with another policy.
async fn decides(
    world: &World,
    policy: IntrospectionPolicy,
    token: &str,
    refused: Option<TokenFault>,
) {
    let layer = world.asking(policy, world.endpoint(), known());
    let layer = layer.build().unwrap();
    match refused {
        None => drop(accepts(&layer, token).await),
        Some(fault) => rejects(&layer, token, &Refusal::tok(fault)).await,
    }
}

#[tokio::test]
async fn a_good_opaque_token_passes_as_whom_the_server_names() {
    let world = World::new().await;
    let token = world.issuer.opaque_token().scope("orders:read a").mint();
    let passed = accepts(&world.layer(), &token).await;
    let principal = Principal::of(&passed.extensions).unwrap();
    assert_eq!(principal.issuer(), world.issuer.issuer());
    assert_eq!(principal.subject(), Some("user-1"));
    assert_eq!(principal.client_id(), Some("client-1"));
    assert_eq!(principal.audience().collect::<Vec<_>>(), [AUDIENCE]);
    assert_eq!(principal.scopes().iter().count(), 2);
    // Servers seldom name one for an opaque token.
    assert_eq!(principal.token_id(), None);
}

#[tokio::test]
async fn a_client_that_acts_for_itself_has_no_subject() {
    let world = World::new().await;
    let token = world.issuer.opaque_token().without("sub").mint();
    let passed = accepts(&world.layer(), &token).await;
    let principal = Principal::of(&passed.extensions).unwrap();
    assert_eq!(principal.client_id(), Some("client-1"));
    assert_eq!(principal.kind(), PrincipalKind::Client);
}

#[tokio::test]
async fn a_token_that_is_not_active_is_refused() {
    let world = World::new().await;
    let layer = world.layer();
    let inactive = Refusal::tok(TokenFault::Inactive);
    rejects(&layer, "unheard-of-by-this-server", &inactive).await;
    let revoked = world.issuer.opaque_token().mint();
    assert!(world.issuer.revoke(&revoked));
    rejects(&layer, &revoked, &inactive).await;
    // Whatever else is said of it.
    let chatty = world.issuer.opaque_token().claim("active", false).mint();
    rejects(&layer, &chatty, &inactive).await;
}

#[rstest]
#[case::text(json!("true"))]
#[case::text_of_no(json!("false"))]
#[case::one(json!(1))]
#[case::zero(json!(0))]
#[case::null(json!(null))]
#[case::list(json!([true]))]
#[case::object(json!({"value": true}))]
#[tokio::test]
async fn tf_01_only_the_boolean_true_makes_a_token_active(#[case] active: Value) {
    let world = World::new().await;
    is_nonsense(&world, world.issuer.opaque_token().claim("active", active)).await;
}

#[tokio::test]
async fn tf_01_an_answer_without_active_makes_no_token_active() {
    let world = World::new().await;
    is_nonsense(&world, world.issuer.opaque_token().without("active")).await;
    is_nonsense(&world, world.issuer.opaque_token().answer(json!({}))).await;
}

/// Refused, logged as what no server says, and remembered by nobody.
async fn is_nonsense(world: &World, token: OpaqueTokenBuilder) {
    let (layer, token) = (world.layer(), token.mint());
    let before = world.calls();
    let refusal = Refusal::tok(TokenFault::AnswerInvalid);
    let answer = ask(&layer, Protocol::Http, &token).await;
    answer.refused(Protocol::Http, &refusal);
    let logged = answer.logs.contains("the endpoint breaks RFC 7662");
    assert!(logged, "{}", answer.logs);
    rejects(&layer, &token, &refusal).await;
    assert_eq!(world.calls() - before, 5, "it is asked again each time");
    assert!(!layer.handle().status().is_paused());
}

#[rstest]
#[case::tf_02_expired(|it: OpaqueTokenBuilder| it.issued_in(-99).expires_in(-30), TokenFault::Expired)]
#[case::tf_02_not_yet_valid(|it: OpaqueTokenBuilder| it.not_before_in(31), TokenFault::NotYetValid)]
#[case::tf_02_issued_in_future(|it: OpaqueTokenBuilder| it.issued_in(31), TokenFault::IssuedInFuture)]
#[case::tf_02_no_end(|it: OpaqueTokenBuilder| it.without("exp"), TokenFault::ClaimMissing)]
#[case::tf_02_end_as_text(|it: OpaqueTokenBuilder| it.claim("exp", "soon"), TokenFault::ClaimsInvalid)]
#[case::tf_02_end_null(|it: OpaqueTokenBuilder| it.claim("exp", Value::Null), TokenFault::ClaimMissing)]
#[case::tf_02_lives_too_long(|it: OpaqueTokenBuilder| it.expires_in(86_401), TokenFault::LifetimeTooLong)]
#[case::tf_03_for_another(|it: OpaqueTokenBuilder| it.audience("https://other.example.com"), TokenFault::AudienceMismatch)]
#[case::tf_03_for_others(|it: OpaqueTokenBuilder| it.audience(json!(["a", "b"])), TokenFault::AudienceMismatch)]
#[case::tf_03_almost(|it: OpaqueTokenBuilder| it.audience(format!("{AUDIENCE}/")), TokenFault::AudienceMismatch)]
#[case::tf_03_for_nobody(|it: OpaqueTokenBuilder| it.without("aud"), TokenFault::ClaimMissing)]
#[case::tf_03_for_an_empty_list(|it: OpaqueTokenBuilder| it.audience(json!([])), TokenFault::ClaimMissing)]
#[case::tf_03_for_a_number(|it: OpaqueTokenBuilder| it.audience(1), TokenFault::ClaimsInvalid)]
#[case::tf_03_for_its_client(|it: OpaqueTokenBuilder| it.audience("client-1"), TokenFault::AudienceMismatch)]
#[case::tf_03_for_its_client_and_untyped(|it: OpaqueTokenBuilder| it.audience("client-1").without("token_type"), TokenFault::UseNotAllowed)]
#[case::tf_04_another_issuer(|it: OpaqueTokenBuilder| it.claim("iss", "https://other.example.com"), TokenFault::IssuerUnknown)]
#[case::tf_04_issuer_as_list(|it: OpaqueTokenBuilder| it.claim("iss", json!(["a"])), TokenFault::ClaimsInvalid)]
#[case::tf_05_a_refresh_token(|it: OpaqueTokenBuilder| it.token_type("refresh_token"), TokenFault::UseNotAllowed)]
#[case::tf_05_not_applicable(|it: OpaqueTokenBuilder| it.token_type("N_A"), TokenFault::UseNotAllowed)]
#[case::tf_05_another_scheme(|it: OpaqueTokenBuilder| it.token_type("mac"), TokenFault::UseNotAllowed)]
#[case::tf_05_use_refresh(|it: OpaqueTokenBuilder| it.claim("token_use", "refresh"), TokenFault::UseNotAllowed)]
#[case::tf_05_use_id(|it: OpaqueTokenBuilder| it.claim("token_use", "id"), TokenFault::UseNotAllowed)]
#[case::tf_05_bound_by_dpop(|it: OpaqueTokenBuilder| it.token_type("DPoP"), TokenFault::BindingUnsupported)]
#[case::tf_05_bound_to_a_key(|it: OpaqueTokenBuilder| it.claim("cnf", json!({"jkt": "x"})), TokenFault::BindingUnsupported)]
#[case::nobody(|it: OpaqueTokenBuilder| it.without("sub").without("client_id"), TokenFault::ClaimMissing)]
#[tokio::test]
async fn tf_02_tf_03_tf_04_tf_05_active_is_not_enough(
    #[case] spoil: fn(OpaqueTokenBuilder) -> OpaqueTokenBuilder,
    #[case] fault: TokenFault,
) {
    let world = World::new().await;
    let token = spoil(world.issuer.opaque_token()).keep_active().mint();
    rejects(&world.layer(), &token, &Refusal::tok(fault)).await;
}

#[rstest]
#[case::tf_02_a_clock_that_is_a_little_ahead(|it: OpaqueTokenBuilder| it.issued_in(-99).expires_in(-29))]
#[case::tf_02_a_clock_that_is_a_little_behind(|it: OpaqueTokenBuilder| it.issued_in(30).not_before_in(30))]
#[case::tf_03_one_of_several(|it: OpaqueTokenBuilder| it.audience(json!(["a", AUDIENCE])))]
#[case::tf_04_the_issuer_need_not_be_named(|it: OpaqueTokenBuilder| it.without("iss"))]
#[case::tf_05_the_type_need_not_be_named(|it: OpaqueTokenBuilder| it.without("token_type"))]
#[case::tf_05_the_type_in_odd_case(|it: OpaqueTokenBuilder| it.token_type("bEARER"))]
#[case::tf_05_the_use_is_access(|it: OpaqueTokenBuilder| it.claim("token_use", "access"))]
#[tokio::test]
async fn what_servers_say_of_good_tokens_is_enough(
    #[case] vary: fn(OpaqueTokenBuilder) -> OpaqueTokenBuilder,
) {
    let world = World::new().await;
    let token = vary(world.issuer.opaque_token()).keep_active().mint();
    accepts(&world.layer(), &token).await;
}

/// Servers call those active too, and say no more than this of them.
#[tokio::test]
async fn tf_03_tf_05_a_refresh_token_never_passes_whatever_is_set() {
    let world = World::new().await;
    let token = world.issuer.opaque_token();
    let refresh = token.without("aud").without("token_type").mint();
    let missing = Some(TokenFault::ClaimMissing);
    decides(&world, world.policy(), &refresh, missing).await;
    let legacy = || world.policy().danger_accept_missing_audience();
    decides(&world, legacy(), &refresh, missing).await;
    let access = world.issuer.opaque_token().without("aud").mint();
    decides(&world, world.policy(), &access, missing).await;
    decides(&world, legacy(), &access, None).await;
}

#[tokio::test]
async fn the_policy_is_asked_of_answers_as_of_signed_tokens() {
    let world = World::new().await;
    let endless = world.issuer.opaque_token().without("exp").mint();
    let assumed = Duration::from_secs(60);
    decides(
        &world,
        world.policy().assume_lifetime(assumed),
        &endless,
        None,
    )
    .await;
    let token = world.issuer.opaque_token().mint();
    let others = || world.policy().allowed_clients(["batch"]);
    let fault = Some(TokenFault::ClientNotAllowed);
    decides(&world, others(), &token, fault).await;
    decides(
        &world,
        world.policy().allowed_clients(["client-1"]),
        &token,
        None,
    )
    .await;
    let brief = || world.policy().max_lifetime(Duration::from_secs(299));
    let fault = Some(TokenFault::LifetimeTooLong);
    decides(&world, brief(), &token, fault).await;
    let both = world.issuer.opaque_token().audience(json!([AUDIENCE, "b"]));
    let fault = Some(TokenFault::AudienceMismatch);
    decides(
        &world,
        world.policy().single_audience(),
        &both.mint(),
        fault,
    )
    .await;
}
