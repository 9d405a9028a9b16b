//! TJ-14, TJ-15, TJ-12: requirements that are no scopes, from the token to the challenge.

use std::sync::Arc;
use std::time::Duration;

use gateless::bearer::BearerAuth;
use gateless::gate::Gated;
use gateless::scope::{MatchedRoute, ScopeGuard, ScopeTable};
use gateless::{PrincipalKind, Requirement, TokenFault, acr, scope, scopes};
use gateless_testkit::{FakeClock, Recorder, TokenBuilder};
use http::Request;
use rstest::rstest;
use serde_json::{Value, json};
use tower::{Layer, ServiceBuilder};

use crate::support::{
    Protocol, Refusal, auth, auth_with, bearer, issuer, keys_of, passes, policy, refuses, send,
};

/// The authentication, and a guard whose clock stands where that of the issuer does.
fn stack(
    requirement: impl Into<Requirement>,
) -> impl Layer<Recorder, Service = Gated<Gated<Recorder, ScopeGuard>, BearerAuth>> {
    let guard = ScopeGuard::new(requirement).clock(Arc::new(FakeClock::new()));
    ServiceBuilder::new()
        .layer(auth())
        .layer(guard)
        .into_inner()
}

/// The same requirement out of a table.
fn tabled(
    requirement: impl Into<Requirement>,
) -> impl Layer<Recorder, Service = Gated<Gated<Recorder, ScopeGuard>, BearerAuth>> {
    let requirement = requirement.into();
    let table = ScopeTable::builder()
        .get("/payments", requirement.clone())
        .post("/payments", requirement)
        .build()
        .unwrap();
    let guard = ScopeGuard::table(table).clock(Arc::new(FakeClock::new()));
    ServiceBuilder::new()
        .layer(auth())
        .layer(guard)
        .into_inner()
}

async fn refused(requirement: &Requirement, token: TokenBuilder, refusal: &Refusal) {
    let token = token.mint();
    let present = |request: http::request::Builder| {
        let request = request.extension(MatchedRoute::new("/payments"));
        request.header("authorization", bearer(&token))
    };
    refuses(&stack(requirement.clone()), refusal, &token, present).await;
    refuses(&tabled(requirement.clone()), refusal, &token, present).await;
}

async fn admitted(requirement: &Requirement, token: TokenBuilder) {
    let token = token.mint();
    let present = |request: http::request::Builder| {
        let request = request.extension(MatchedRoute::new("/payments"));
        request.header("authorization", bearer(&token))
    };
    passes(&stack(requirement.clone()), &token, present).await;
    passes(&tabled(requirement.clone()), &token, present).await;
}

#[rstest]
#[case::absent(None)]
#[case::weaker(Some("pwd"))]
#[case::of_another_case(Some("PHR"))]
#[case::a_prefix(Some("ph"))]
#[case::with_more(Some("phrhx"))]
#[case::both_in_one(Some("phr phrh"))]
#[case::with_a_space(Some("phr "))]
#[case::zero(Some("0"))]
#[tokio::test]
async fn tj_14_an_acr_that_is_absent_or_another_one_is_not_enough(#[case] acr: Option<&str>) {
    let requirement = Requirement::acr([acr!("phr"), acr!("phrh")]);
    let token = issuer().token().scope("payments:send").signed_in(0);
    let token = match acr {
        Some(acr) => token.acr(acr),
        None => token,
    };
    refused(&requirement, token, &Refusal::step(&["phr", "phrh"], None)).await;
}

#[rstest]
#[case("phr")]
#[case("phrh")]
#[tokio::test]
async fn tj_14_each_acr_that_is_listed_will_do(#[case] acr: &str) {
    let requirement = Requirement::acr([acr!("phr"), acr!("phrh")]);
    admitted(&requirement, issuer().token().acr(acr)).await;
    // How is not when.
    let recent = Requirement::all([requirement, Requirement::max_age(Duration::from_secs(60))]);
    let refusal = Refusal::step(&["phr", "phrh"], Some(60));
    refused(&recent, issuer().token().acr(acr), &refusal).await;
}

#[rstest]
#[case::a_number(json!(2))]
#[case::a_list(json!(["phr"]))]
#[case::an_object(json!({ "phr": true }))]
#[case::null(json!(null))]
#[case::a_bool(json!(true))]
#[tokio::test]
async fn tj_14_an_acr_of_another_type_opens_nothing(#[case] acr: Value) {
    let requirement = Requirement::acr([acr!("phr")]);
    let token = issuer().token().claim("acr", acr).mint();
    for protocol in Protocol::ALL {
        let request = protocol.request().header("authorization", bearer(&token));
        let request = request.body(String::new()).unwrap();
        let answer = send(&stack(requirement.clone()), request).await;
        let fault = Refusal::tok(TokenFault::ClaimsInvalid);
        answer.refused(protocol, &fault);
    }
}

#[rstest]
#[case::now(0, true)]
#[case::the_last_second(-300, true)]
#[case::a_second_too_long(-301, false)]
#[case::a_year(-31_536_000, false)]
#[case::a_clock_that_is_ahead(30, true)]
#[case::the_future(31, false)]
#[case::far_in_the_future(31_536_000, false)]
#[tokio::test]
async fn tj_14_signing_in_is_as_recent_as_the_route_asks_for(
    #[case] signed_in: i64,
    #[case] is_enough: bool,
) {
    let requirement = Requirement::max_age(Duration::from_secs(300));
    let token = issuer().token().signed_in(signed_in);
    if is_enough {
        admitted(&requirement, token).await;
    } else {
        refused(&requirement, token, &Refusal::step(&[], Some(300))).await;
    }
}

#[rstest]
#[case::zero(json!(0), None)]
#[case::a_text(json!("1750000000"), Some(TokenFault::ClaimsInvalid))]
#[case::a_list(json!([1_750_000_000]), Some(TokenFault::ClaimsInvalid))]
#[case::null(json!(null), Some(TokenFault::ClaimsInvalid))]
#[case::negative(json!(-1), None)]
#[case::beyond(json!(1e300), Some(TokenFault::ClaimsInvalid))]
#[tokio::test]
async fn tj_14_an_auth_time_that_is_absent_or_no_date_is_none(
    #[case] auth_time: Value,
    #[case] fault: Option<TokenFault>,
) {
    let requirement = Requirement::max_age(Duration::from_secs(300));
    let step = Refusal::step(&[], Some(300));
    refused(&requirement, issuer().token(), &step).await;
    let refusal = fault.map_or(step, Refusal::tok);
    let token = issuer().token().claim("auth_time", auth_time);
    refused(&requirement, token, &refusal).await;
}

#[tokio::test]
async fn tj_14_a_session_grows_old_while_its_token_is_still_good() {
    let clock = FakeClock::new();
    let auth = BearerAuth::builder(
        policy(),
        gateless::bearer::Keys::fixed(keys_of(issuer(), &policy())),
    )
    .clock(Arc::new(clock.clone()))
    .build()
    .unwrap();
    let guard = ScopeGuard::new(Requirement::max_age(Duration::from_secs(60)));
    let stack = ServiceBuilder::new()
        .layer(auth)
        .layer(guard.clock(Arc::new(clock.clone())))
        .into_inner();
    let token = issuer().token().signed_in(0).mint();
    let present = |request: http::request::Builder| request.header("authorization", bearer(&token));
    passes(&stack, &token, present).await;
    clock.advance(Duration::from_secs(60));
    passes(&stack, &token, present).await;
    clock.advance(Duration::from_secs(1));
    let refusal = Refusal::step(&[], Some(60));
    refuses(&stack, &refusal, &token, present).await;
    // Signed in anew, the same person gets through.
    let token = issuer().token().signed_in(61).mint();
    let present = |request: http::request::Builder| request.header("authorization", bearer(&token));
    passes(&stack, &token, present).await;
}

#[tokio::test]
async fn tj_14_one_challenge_asks_for_all_that_is_missing() {
    let requirement = Requirement::all([
        Requirement::all(scopes!["payments:read", "payments:send"]),
        Requirement::acr([acr!("phr")]),
        Requirement::max_age(Duration::from_secs(300)),
    ]);
    let both = ["payments:read", "payments:send"];
    let step = || Refusal::step(&["phr"], Some(300));
    let token = || issuer().token().scope("payments:read");
    let missing_all = step().and_scope(&["payments:send"], &both);
    refused(&requirement, token(), &missing_all).await;
    refused(&requirement, token().acr("phr"), &missing_all).await;
    refused(&requirement, token().signed_in(0), &missing_all).await;
    let signed_in = token().acr("phr").signed_in(-1);
    refused(
        &requirement,
        signed_in,
        &Refusal::scope(&["payments:send"], &both),
    )
    .await;
    let all = || issuer().token().scope("payments:send payments:read");
    refused(&requirement, all(), &step()).await;
    refused(&requirement, all().acr("phr").signed_in(-301), &step()).await;
    admitted(&requirement, all().acr("phr").signed_in(-300)).await;
    // The age is rounded up to what a challenge can say.
    let short = Requirement::max_age(Duration::from_millis(1_500));
    refused(&short, all(), &Refusal::step(&[], Some(2))).await;
}

#[tokio::test]
async fn tj_14_who_is_nobody_signs_in_first() {
    let guard = ScopeGuard::new(Requirement::acr([acr!("phr")]));
    let optional = auth_with(policy()).build_optional().unwrap();
    let stack = ServiceBuilder::new()
        .layer(optional)
        .layer(guard)
        .into_inner();
    refuses(&stack, &Refusal::none(), "", |request| request).await;
}

#[tokio::test]
async fn tj_15_the_scope_of_a_client_is_no_consent_of_a_user() {
    let consent = Requirement::all([
        Requirement::from(scope!("payments:send")),
        Requirement::kind(PrincipalKind::User),
    ]);
    let user = || issuer().token().scope("payments:send");
    let client = || user().subject("client-1");
    admitted(&consent, user()).await;
    refused(&consent, client(), &Refusal::not_permitted()).await;
    // Nor is it sent for scopes that would not help.
    refused(&consent, client().scope(""), &Refusal::not_permitted()).await;
    let lacking = Refusal::scope(&["payments:send"], &["payments:send"]);
    refused(&consent, user().scope("profile"), &lacking).await;

    let machines = Requirement::kind(PrincipalKind::Client);
    admitted(&machines, client()).await;
    refused(&machines, user(), &Refusal::not_permitted()).await;
    // Nothing that a token says of itself makes the one into the other.
    let liar = user()
        .claim("kind", "client")
        .claim("gty", "client-credentials")
        .claim("sub_kind", "client");
    refused(&machines, liar, &Refusal::not_permitted()).await;
}

#[rstest]
#[case(json!("acme"), true)]
#[case(json!(["other", "acme"]), true)]
#[case(json!("other"), false)]
#[case(json!("Acme"), false)]
#[case(json!("acme "), false)]
#[case(json!("acme,other"), false)]
#[case(json!(""), false)]
#[case(json!([]), false)]
#[case::tj_12_a_number(json!(7), false)]
#[case::tj_12_a_bool(json!(true), false)]
#[case::tj_12_null(json!(null), false)]
#[case::tj_12_an_object(json!({ "acme": "acme" }), false)]
#[case::tj_12_a_nested_list(json!([["acme"]]), false)]
#[case::tj_12_a_list_of_objects(json!([{ "tenant": "acme" }]), false)]
#[case::tj_12_a_deep_list(json!([[[[[[[["acme"]]]]]]]]), false)]
#[tokio::test]
async fn tj_12_a_claim_is_matched_exactly_or_not_at_all(
    #[case] tenant: Value,
    #[case] is_it: bool,
) {
    for requirement in [
        Requirement::claim("tenant", "acme"),
        Requirement::claim(["realm_access", "tenants"], "acme"),
    ] {
        let token = issuer().token().scope("tenant:acme acme");
        let token = token
            .claim("tenant", tenant.clone())
            .claim("realm_access", json!({ "tenants": tenant.clone() }));
        if is_it {
            admitted(&requirement, token).await;
        } else {
            refused(&requirement, token, &Refusal::not_permitted()).await;
        }
    }
}

#[tokio::test]
async fn tj_12_a_claim_that_is_absent_or_elsewhere_is_none() {
    let role = Requirement::claim(["realm_access", "roles"], "admin");
    for token in [
        issuer().token(),
        issuer().token().claim("roles", "admin"),
        issuer().token().claim("realm_access", "admin"),
        issuer()
            .token()
            .claim("realm_access", json!(["roles", "admin"])),
        issuer()
            .token()
            .claim("realm_access", json!([{ "roles": "admin" }])),
        issuer().token().claim("realm_access", 7),
        issuer().token().claim("realm_access.roles", "admin"),
        issuer().token().claim("realm_access/roles", "admin"),
        issuer()
            .token()
            .claim("resource_access", json!({ "roles": ["admin"] })),
    ] {
        refused(&role, token, &Refusal::not_permitted()).await;
    }
    let token = issuer().token();
    admitted(
        &role,
        token.claim("realm_access", json!({ "roles": ["user", "admin"] })),
    )
    .await;
    // A field of the request is no claim.
    let token = issuer().token().mint();
    let refusal = Refusal::not_permitted();
    let tenant = Requirement::claim("tenant", "acme");
    refuses(&stack(tenant), &refusal, &token, |request| {
        let request = request.header("authorization", bearer(&token));
        request.header("tenant", "acme").header("x-tenant", "acme")
    })
    .await;
}

#[tokio::test]
async fn tj_10_a_refusal_without_a_challenge_tells_nothing_of_what_would_do() {
    let secret = Requirement::any([
        Requirement::claim("tenant", "canary-tenant-name"),
        Requirement::claim("canary-claim-name", 7),
    ]);
    let token = issuer().token().claim("tenant", "canary-own-tenant").mint();
    for protocol in Protocol::ALL {
        let request: Request<String> = protocol
            .request()
            .header("authorization", bearer(&token))
            .body(String::new())
            .unwrap();
        let answer = send(&stack(secret.clone()), request).await;
        answer.refused(protocol, &Refusal::not_permitted());
        let said = format!("{answer:?}");
        assert!(!said.contains("canary"), "{said}");
    }
}
