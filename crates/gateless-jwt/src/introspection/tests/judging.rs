//! From an answer to a principal.

use super::*;

#[test]
fn a_complete_answer_gives_a_principal() {
    let principal = authenticate(
        &answer_with(
            json!({ "username": "alice", "sid": "session-1", "acr": "gold", "tenant": 7 }),
        ),
        &policy(),
    )
    .unwrap();
    assert_eq!(principal.issuer(), ISSUER);
    assert_eq!(principal.subject(), Some("user-1"));
    assert_eq!(principal.client_id(), Some("web"));
    assert_eq!(principal.token_id(), Some("token-1"));
    assert_eq!(principal.session_id(), Some("session-1"));
    assert_eq!(principal.authentication_context(), Some("gold"));
    assert_eq!(principal.kind(), PrincipalKind::User);
    assert!(principal.scopes().contains(&scope!("orders:read")));
    assert!(principal.audience().eq([AUDIENCE]));
    assert_eq!(principal.expires_at(), Timestamp::from_secs(NOW + 540));
    assert_eq!(principal.issued_at(), Some(Timestamp::from_secs(NOW - 60)));
    assert_eq!(principal.key_id(), None);
    let claims: Value = principal.claims().unwrap();
    assert_eq!(
        (&claims["username"], &claims["tenant"], &claims["active"]),
        (&json!("alice"), &json!(7), &json!(true))
    );
}

/// RFC 7662 §2.2: everything but `active` is optional. These are not missed.
#[test]
fn an_answer_may_be_brief() {
    let brief = json!({
        "iss": null, "jti": null, "iat": null, "token_type": null, "scope": null, "client_id": null,
    });
    let principal = authenticate(&answer_with(brief), &policy()).unwrap();
    assert_eq!(principal.issuer(), ISSUER);
    assert!(principal.scopes().is_empty());
    assert_eq!(principal.client_id(), None);
}

#[rstest]
#[case::tf_02(json!({ "exp": NOW - 29 }), None)]
#[case::tf_02(json!({ "exp": NOW - 30 }), Some(TokenFault::Expired))]
#[case::tf_02(json!({ "exp": NOW - 3600, "iat": NOW - 7200 }), Some(TokenFault::Expired))]
#[case::tf_02(json!({ "exp": 0, "iat": 0 }), Some(TokenFault::Expired))]
#[case::tf_02(json!({ "nbf": NOW + 30 }), None)]
#[case::tf_02(json!({ "nbf": NOW + 31 }), Some(TokenFault::NotYetValid))]
#[case::tf_02(json!({ "iat": NOW + 31 }), Some(TokenFault::IssuedInFuture))]
#[case::tf_02(json!({ "exp": NOW + 86_400 - 60 }), None)]
#[case::tf_02(json!({ "exp": NOW + 86_400 }), Some(TokenFault::LifetimeTooLong))]
#[case::tf_02(json!({ "exp": NOW + 86_401, "iat": null }), Some(TokenFault::LifetimeTooLong))]
#[case::tf_02(json!({ "exp": null }), Some(TokenFault::ClaimMissing))]
fn active_does_not_stand_above_the_times(
    #[case] changes: Value,
    #[case] expected: Option<TokenFault>,
) {
    assert_eq!(fault(changes, &policy()), expected);
}

#[rstest]
#[case::tf_03(json!(AUDIENCE), None)]
#[case::tf_03(json!(["https://other.example.com", AUDIENCE]), None)]
#[case::tf_03(json!("https://other.example.com"), Some(TokenFault::AudienceMismatch))]
#[case::tf_03(json!("https://api.example.com/"), Some(TokenFault::AudienceMismatch))]
#[case::tf_03(json!("HTTPS://api.example.com"), Some(TokenFault::AudienceMismatch))]
#[case::tf_03(json!(""), Some(TokenFault::AudienceMismatch))]
#[case::tf_03(json!("*"), Some(TokenFault::AudienceMismatch))]
#[case::tf_03(json!(null), Some(TokenFault::ClaimMissing))]
#[case::tf_03(json!([]), Some(TokenFault::ClaimMissing))]
#[case::tf_05("web".into(), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!(["web"]), Some(TokenFault::UseNotAllowed))]
fn the_audience_is_this_service(#[case] audience: Value, #[case] expected: Option<TokenFault>) {
    assert_eq!(fault(json!({ "aud": audience }), &policy()), expected);
}

#[rstest]
#[case::tf_03(json!({ "aud": null }), None)]
#[case::tf_03(json!({ "aud": [] }), None)]
#[case::tf_03(json!({ "aud": null, "token_type": "bearer" }), None)]
#[case::tf_05(json!({ "aud": null, "token_type": null }), Some(TokenFault::ClaimMissing))]
#[case::tf_05(json!({ "aud": [], "token_type": null }), Some(TokenFault::ClaimMissing))]
#[case::tf_05(json!({ "aud": null, "token_type": "refresh_token" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_03(json!({ "aud": "https://other.example.com" }), Some(TokenFault::AudienceMismatch))]
#[case::tf_03(json!({ "aud": [""] }), Some(TokenFault::AudienceMismatch))]
#[case::tf_05(json!({ "aud": "web" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_03(json!({ "aud": AUDIENCE, "token_type": null }), None)]
fn an_audience_that_may_be_missing_still_has_to_match(
    #[case] changes: Value,
    #[case] expected: Option<TokenFault>,
) {
    let policy = policy().danger_accept_missing_audience();
    assert_eq!(fault(changes.clone(), &policy), expected);
    assert_eq!(fault(changes, &policy.single_audience()), expected);
}

#[test]
fn tf_03_facts_without_an_audience_are_judged_by_the_policy_that_is_given() {
    let lenient = policy().danger_accept_missing_audience();
    let facts = active(&answer_with(json!({ "aud": null })))
        .into_facts(&lenient, now())
        .unwrap();
    assert!(facts.judge_ref(&lenient, now()).is_ok());
    let strict = facts.judge(&policy(), now());
    assert_eq!(strict.unwrap_err(), TokenFault::AudienceMismatch);
}

#[rstest]
#[case::tf_04(json!(ISSUER), None)]
#[case::tf_04(json!(null), None)]
#[case::tf_04(json!("https://idp.example.com/"), Some(TokenFault::IssuerUnknown))]
#[case::tf_04(json!("https://IDP.example.com"), Some(TokenFault::IssuerUnknown))]
#[case::tf_04(json!("https://other.example.com"), Some(TokenFault::IssuerUnknown))]
#[case::tf_04(json!(""), Some(TokenFault::IssuerUnknown))]
fn an_issuer_that_is_named_is_the_one_that_was_asked(
    #[case] issuer: Value,
    #[case] expected: Option<TokenFault>,
) {
    assert_eq!(fault(json!({ "iss": issuer }), &policy()), expected);
}

#[test]
fn tf_04_facts_of_one_issuer_are_no_facts_of_another() {
    let facts = active(&answer()).into_facts(&policy(), now()).unwrap();
    let other = IntrospectionPolicy::new("https://other.example.com", AUDIENCE);
    let kept = facts.judge_ref(&other, now());
    assert_eq!(kept.unwrap_err(), TokenFault::IssuerUnknown);
    let judged = facts.judge(&other, now());
    assert_eq!(judged.unwrap_err(), TokenFault::IssuerUnknown);
}

#[rstest]
#[case::tf_05(json!({ "token_type": "Bearer" }), None)]
#[case::tf_05(json!({ "token_type": "bearer" }), None)]
#[case::tf_05(json!({ "token_type": "BEARER" }), None)]
#[case::tf_05(json!({ "token_type": null }), None)]
#[case::tf_05(json!({ "token_type": "refresh_token" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "token_type": "access_token" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "token_type": "N_A" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "token_type": "" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "token_type": "Bearer " }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "token_type": "mac" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "token_type": "DPoP" }), Some(TokenFault::BindingUnsupported))]
#[case::tf_05(json!({ "token_type": "dpop" }), Some(TokenFault::BindingUnsupported))]
#[case::tf_05(json!({ "token_use": "access_token" }), None)]
#[case::tf_05(json!({ "token_use": "access" }), None)]
#[case::tf_05(json!({ "token_use": "refresh_token" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "token_use": "id" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "typ": "Bearer" }), None)]
#[case::tf_05(json!({ "typ": "Refresh" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "typ": "Offline" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "typ": "ID" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "nonce": "n" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "at_hash": "h" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "events": {} }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "htm": "GET" }), Some(TokenFault::UseNotAllowed))]
#[case(json!({ "cnf": { "jkt": "a" } }), Some(TokenFault::BindingUnsupported))]
#[case(json!({ "cnf": { "x5t#S256": "a" } }), Some(TokenFault::BindingUnsupported))]
fn only_a_bearer_access_token_opens_the_service(
    #[case] changes: Value,
    #[case] expected: Option<TokenFault>,
) {
    assert_eq!(fault(changes, &policy()), expected);
}

#[rstest]
#[case(json!({}), Ok(PrincipalKind::User))]
#[case(json!({ "client_id": null }), Ok(PrincipalKind::User))]
#[case(json!({ "sub": null }), Ok(PrincipalKind::Client))]
#[case(json!({ "sub": "web" }), Ok(PrincipalKind::Client))]
#[case(json!({ "sub": null, "client_id": null, "azp": "web" }), Ok(PrincipalKind::Client))]
#[case(json!({ "sub": null, "client_id": null }), Err(TokenFault::ClaimMissing))]
#[case(json!({ "sub": null, "client_id": null, "username": "alice" }), Err(TokenFault::ClaimMissing))]
fn somebody_is_named(#[case] changes: Value, #[case] expected: Result<PrincipalKind, TokenFault>) {
    let principal = authenticate(&answer_with(changes), &policy());
    assert_eq!(principal.map(|principal| principal.kind()), expected);
}

#[test]
fn a_username_is_no_identity() {
    let named = answer_with(json!({ "sub": null, "username": "alice" }));
    assert_eq!(authenticate(&named, &policy()).unwrap().subject(), None);
}

#[rstest]
#[case(policy().allowed_clients(["web"]), json!({}), None)]
#[case(policy().allowed_clients(["batch"]), json!({}), Some(TokenFault::ClientNotAllowed))]
#[case(policy().allowed_clients(["web"]), json!({ "client_id": null }), Some(TokenFault::ClientNotAllowed))]
#[case(policy().client_claim("cid").allowed_clients(["web"]), json!({ "cid": "web" }), None)]
#[case(policy().client_claim("cid").allowed_clients(["web"]), json!({}), Some(TokenFault::ClientNotAllowed))]
#[case(policy().client_claim("cid"), json!({ "cid": 1 }), Some(TokenFault::ClaimsInvalid))]
#[case(policy(), json!({ "act": { "sub": "agent" } }), None)]
#[case(policy().forbid_delegation(), json!({ "act": { "sub": "agent" } }), Some(TokenFault::DelegationNotAllowed))]
#[case(policy().single_audience(), json!({}), None)]
#[case(policy().single_audience(), json!({ "aud": [AUDIENCE, "https://other.example.com"] }), Some(TokenFault::AudienceMismatch))]
#[case(policy().audience("urn:orders"), json!({ "aud": "urn:orders" }), None)]
#[case(policy().leeway(Duration::ZERO), json!({ "exp": NOW }), Some(TokenFault::Expired))]
#[case(policy().max_lifetime(Duration::from_secs(599)), json!({}), Some(TokenFault::LifetimeTooLong))]
#[case(policy().max_lifetime(Duration::from_secs(600)), json!({}), None)]
#[case(policy(), json!({ "scope": ["orders:read"] }), Some(TokenFault::ClaimsInvalid))]
#[case(policy().scope_claim(ScopeClaim::list("scp")), json!({ "scp": ["orders:read"] }), None)]
#[case(policy().scope_claim(ScopeClaim::list("scp")), json!({ "scp": "orders:read" }), Some(TokenFault::ClaimsInvalid))]
fn settings_mean_what_they_mean_for_signed_tokens(
    #[case] policy: IntrospectionPolicy,
    #[case] changes: Value,
    #[case] expected: Option<TokenFault>,
) {
    assert_eq!(fault(changes, &policy), expected);
}

#[test]
fn scopes_are_read_from_the_one_claim_that_is_set() {
    let answer = answer_with(json!({ "scp": ["orders:admin"] }));
    let policy = policy().scope_claim(ScopeClaim::list("scp"));
    let principal = authenticate(&answer, &policy).unwrap();
    assert!(principal.scopes().iter().eq(["orders:admin"]));
}

#[test]
fn tf_02_a_life_that_is_assumed_begins_when_the_server_was_asked() {
    let policy = policy()
        .assume_lifetime(Duration::from_secs(60))
        .leeway(Duration::ZERO);
    let endless = answer_with(json!({ "exp": null }));
    let facts = active(&endless).into_facts(&policy, now()).unwrap();
    let end = Timestamp::from_secs(NOW + 60);
    assert_eq!(facts.expires_at(), end);
    let last = Timestamp::from_millis(end.as_millis() - 1);
    assert!(facts.judge_ref(&policy, last).is_ok());
    assert_eq!(facts.judge(&policy, end).unwrap_err(), TokenFault::Expired);
    // What the server says stands above it, be it shorter or longer.
    for exp in [NOW + 10, NOW + 540] {
        let answer = answer_with(json!({ "exp": exp }));
        let facts = active(&answer).into_facts(&policy, now()).unwrap();
        assert_eq!(facts.expires_at(), Timestamp::from_secs(exp));
    }
}

#[test]
fn size_counts_at_least_the_claims() {
    let answer = answer_with(json!({ "x": "x".repeat(10_000) }));
    let facts = active(&answer).into_facts(&policy(), now()).unwrap();
    assert!(facts.size() > 10_000);
}
