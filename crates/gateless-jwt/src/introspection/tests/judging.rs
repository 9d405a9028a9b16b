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
#[case::tf_05("web".into(), Some(TokenFault::AudienceMismatch))]
#[case::tf_05(json!(["web"]), Some(TokenFault::AudienceMismatch))]
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
#[case::tf_05(json!({ "aud": "web" }), Some(TokenFault::AudienceMismatch))]
#[case::tf_05(json!({ "aud": "web", "token_type": null }), Some(TokenFault::UseNotAllowed))]
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
        .into_facts(TOKEN, &lenient, now())
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
    let facts = active(&answer())
        .into_facts(TOKEN, &policy(), now())
        .unwrap();
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
#[case::tf_05(json!({ "token_type": "access_token" }), None)]
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
#[case::tf_05(json!({ "token_use": "JWT" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "token_usage": "access_token" }), None)]
#[case::tf_05(json!({ "token_usage": "refresh_token" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "token_usage": "id_token" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "purpose": "access_token" }), None)]
#[case::tf_05(json!({ "purpose": "refresh_token" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "tokenName": "access_token" }), None)]
#[case::tf_05(json!({ "tokenName": "refresh_token" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "tokenName": "ID_Token" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "tokenName": "" }), None)]
#[case::tf_05(json!({ "purpose": "marketing" }), None)]
#[case::tf_05(json!({ "purpose": ["access_token"] }), None)]
#[case::tf_05(json!({ "typ": "JWT" }), None)]
#[case::tf_05(json!({ "typ": "at+JWT" }), None)]
#[case::tf_05(json!({ "typ": "Bearer" }), None)]
#[case::tf_05(json!({ "typ": "Refresh" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "typ": "Offline" }), Some(TokenFault::UseNotAllowed))]
#[case::tf_05(json!({ "typ": "ID" }), Some(TokenFault::UseNotAllowed))]
#[case(json!({ "cnf": { "jkt": "a" } }), Some(TokenFault::BindingUnsupported))]
#[case(json!({ "cnf": { "x5t#S256": "a" } }), Some(TokenFault::BindingUnsupported))]
fn only_a_bearer_access_token_opens_the_service(
    #[case] changes: Value,
    #[case] expected: Option<TokenFault>,
) {
    assert_eq!(fault(changes, &policy()), expected);
}

/// What only ID tokens, security events and proofs should have.
#[rstest]
fn tf_05_marks_of_another_kind_speak_against_answers_without_a_type(
    #[values("nonce", "at_hash", "c_hash", "s_hash", "events", "htm", "htu")] mark: &str,
) {
    let policy = policy();
    assert_eq!(fault(json!({ mark: "x" }), &policy), None);
    let expected = Some(TokenFault::UseNotAllowed);
    let untyped = json!({ mark: "x", "token_type": null });
    assert_eq!(fault(untyped.clone(), &policy), expected);
    assert_eq!(fault(untyped, &policy.danger_accept_untyped()), expected);
}

/// What answers say of themselves, and whether that is a type.
#[rstest]
#[case(json!({ "token_type": "bearer" }), true)]
#[case(json!({ "typ": "Bearer" }), true)]
#[case(json!({ "typ": "at+jwt" }), true)]
#[case(json!({ "typ": "JWT" }), false)]
#[case(json!({ "token_use": "access" }), true)]
#[case(json!({ "token_use": "Access_Token" }), true)]
#[case(json!({ "token_usage": "access_token" }), true)]
#[case(json!({ "purpose": "access_token" }), true)]
#[case(json!({ "purpose": "access" }), false)]
#[case(json!({ "tokenName": "access_token" }), true)]
#[case(json!({ "token_name": "access_token" }), false)]
#[case(json!({}), false)]
fn tf_05_what_is_missing_takes_a_type(#[case] says: Value, #[case] typed: bool) {
    let lenient = policy()
        .danger_accept_missing_audience()
        .assume_lifetime(Duration::from_secs(60));
    let expected = (!typed).then_some(TokenFault::ClaimMissing);
    let says = merged(json!({ "token_type": null }), says);
    for missing in [
        json!({ "aud": null }),
        json!({ "aud": [] }),
        json!({ "exp": null }),
        json!({ "aud": null, "exp": null }),
    ] {
        let changes = merged(says.clone(), missing);
        assert_eq!(fault(changes.clone(), &lenient), expected, "{changes}");
        let untyped = lenient.clone().danger_accept_untyped();
        assert_eq!(fault(changes.clone(), &untyped), None, "{changes}");
        // By itself it lets nothing be missing.
        let strict = policy().danger_accept_untyped();
        let missed = Some(TokenFault::ClaimMissing);
        assert_eq!(fault(changes.clone(), &strict), missed, "{changes}");
    }
    // Nothing is missing.
    assert_eq!(fault(says, &policy()), None);
}

#[rstest]
#[case(json!({ "token_type": "refresh_token" }))]
#[case(json!({ "token_use": "refresh_token" }))]
#[case(json!({ "typ": "Refresh" }))]
#[case(json!({ "aud": "web" }))]
fn tf_05_another_use_is_refused_where_no_type_is_needed(#[case] changes: Value) {
    let policy = policy()
        .audience("web")
        .danger_accept_missing_audience()
        .danger_accept_untyped();
    let changes = merged(json!({ "token_type": null }), changes);
    assert_eq!(fault(changes, &policy), Some(TokenFault::UseNotAllowed));
}

/// What servers answer as they come, for access tokens and for others.
#[rstest]
#[case::rfc_7662(
    json!({
        "active": true, "client_id": "l238j323ds-23ij4", "username": "jdoe", "scope": "read write dolphin",
        "sub": "Z5O3upPC88QrAjx00dis", "aud": AUDIENCE, "iss": ISSUER, "exp": NOW + 540, "iat": NOW - 60,
        "extension_field": "twenty-seven",
    }),
    policy(),
    None
)]
#[case::doorkeeper(
    json!({
        "active": true, "scope": "", "client_id": null, "token_type": "Bearer", "iat": NOW - 60, "exp": NOW + 540,
        "sub": "7",
    }),
    policy().danger_accept_missing_audience(),
    None
)]
#[case::doorkeeper_refresh(
    json!({ "active": true, "client_id": "web", "aud": AUDIENCE, "iat": NOW - 60, "sub": "7" }),
    policy().assume_lifetime(Duration::from_secs(60)),
    Some(TokenFault::ClaimMissing)
)]
#[case::oidc_provider_refresh(
    json!({ "active": true, "sub": "7", "client_id": "web", "exp": NOW + 540, "iat": NOW - 60, "iss": ISSUER }),
    policy().danger_accept_missing_audience(),
    Some(TokenFault::ClaimMissing)
)]
#[case::django_oauth_toolkit(
    json!({ "active": true, "scope": "read", "exp": NOW + 540, "client_id": "web", "username": "alice" }),
    policy().danger_accept_missing_audience().danger_accept_untyped().subject_claim("username"),
    None
)]
#[case::spring_authorization_server(
    json!({
        "active": true, "sub": "alice", "aud": ["web"], "nbf": NOW - 60, "scope": "read", "iss": ISSUER,
        "exp": NOW + 240, "iat": NOW - 60, "jti": "1", "client_id": "web", "token_type": "Bearer",
    }),
    policy().audience("web"),
    None
)]
#[case::keycloak_23(
    json!({
        "active": true, "exp": NOW + 240, "iat": NOW - 60, "jti": "1", "iss": ISSUER, "aud": AUDIENCE, "sub": "7",
        "typ": "Bearer", "azp": "web", "nonce": "n", "client_id": "web", "username": "alice",
    }),
    policy(),
    None
)]
#[case::keycloak_refresh(
    json!({
        "active": true, "exp": NOW + 240, "iat": NOW - 60, "jti": "1", "iss": ISSUER, "aud": ISSUER, "sub": "7",
        "typ": "Refresh", "azp": "web", "client_id": "web", "username": "alice",
    }),
    policy().audience(ISSUER),
    Some(TokenFault::UseNotAllowed)
)]
fn answers_of_servers_are_understood(
    #[case] answer: Value,
    #[case] policy: IntrospectionPolicy,
    #[case] expected: Option<TokenFault>,
) {
    assert_eq!(policy.check(), Ok(()));
    assert_eq!(authenticate(&answer, &policy).err(), expected);
}

#[rstest]
fn a_member_that_is_null_is_not_there(
    #[values(
        "iss",
        "client_id",
        "azp",
        "jti",
        "sid",
        "scope",
        "nbf",
        "iat",
        "auth_time",
        "acr",
        "act",
        "typ",
        "token_use",
        "token_usage",
        "token_type",
        "username",
        "nonce",
        "x"
    )]
    name: &str,
) {
    let is_null = merged(answer(), json!({ name: null }));
    let principal = authenticate(&is_null, &policy()).unwrap();
    let absent = authenticate(&answer_with(json!({ name: null })), &policy()).unwrap();
    let seen = |of: &Principal| {
        let texts =
            [of.client_id(), of.token_id(), of.session_id()].map(|text| text.map(str::to_owned));
        (
            texts,
            of.scopes().iter().count(),
            of.issued_at(),
            of.actors().len(),
            of.kind(),
        )
    };
    assert_eq!(seen(&principal), seen(&absent));
    // The claims stay as they were answered.
    assert_eq!(principal.claims::<Value>().unwrap(), is_null);
}

#[rstest]
#[case(json!({ "sub": null, "client_id": null }), policy(), Some(TokenFault::ClaimMissing))]
#[case(json!({ "exp": null }), policy(), Some(TokenFault::ClaimMissing))]
#[case(json!({ "aud": null }), policy(), Some(TokenFault::ClaimMissing))]
#[case(json!({ "aud": null, "token_type": null }), policy().danger_accept_missing_audience(), Some(TokenFault::ClaimMissing))]
#[case(json!({ "cnf": null }), policy(), Some(TokenFault::BindingUnsupported))]
#[case(json!({ "cid": null }), policy().client_claim("cid"), None)]
#[case(json!({ "cid": null }), policy().client_claim("cid").allowed_clients(["web"]), Some(TokenFault::ClientNotAllowed))]
#[case(json!({ "roles": null }), policy().scope_claim(ScopeClaim::list("roles")), None)]
#[case(json!({ "uid": null, "sub": null }), policy().subject_claim("uid"), None)]
#[case(json!({ "uid": null }), policy().subject_claim("uid"), Some(TokenFault::ClaimMissing))]
fn what_is_null_is_missed(
    #[case] changes: Value,
    #[case] policy: IntrospectionPolicy,
    #[case] expected: Option<TokenFault>,
) {
    let answer = merged(answer(), changes);
    assert_eq!(authenticate(&answer, &policy).err(), expected);
}

#[rstest]
#[case(json!({}), Ok(PrincipalKind::User))]
#[case(json!({ "client_id": null }), Ok(PrincipalKind::User))]
#[case(json!({ "sub": null }), Ok(PrincipalKind::Client))]
#[case(json!({ "sub": "web" }), Ok(PrincipalKind::Client))]
#[case(json!({ "sub": null, "client_id": null, "azp": "web" }), Ok(PrincipalKind::Client))]
#[case(json!({ "sub": null, "client_id": null }), Err(TokenFault::ClaimMissing))]
#[case(json!({ "sub": null, "client_id": null, "username": "alice" }), Err(TokenFault::ClaimMissing))]
#[case::td_22(json!({ "sub": null, "username": "alice" }), Err(TokenFault::ClaimMissing))]
#[case::td_22(json!({ "sub": null, "user_name": "alice" }), Err(TokenFault::ClaimMissing))]
#[case::td_22(json!({ "sub": null, "user_id": 17 }), Err(TokenFault::ClaimMissing))]
#[case::td_22(json!({ "sub": null, "uid": "alice" }), Err(TokenFault::ClaimMissing))]
#[case::td_22(json!({ "sub": null, "preferred_username": "alice" }), Err(TokenFault::ClaimMissing))]
#[case::td_22(json!({ "sub": null, "email": "alice@example.com" }), Err(TokenFault::ClaimMissing))]
#[case::td_22(json!({ "sub": null, "username": "WEB" }), Err(TokenFault::ClaimMissing))]
#[case::td_22(json!({ "sub": null, "username": "" }), Ok(PrincipalKind::Client))]
#[case::td_22(json!({ "sub": null, "username": 7 }), Err(TokenFault::ClaimMissing))]
#[case::td_22(json!({ "sub": null, "username": "web" }), Ok(PrincipalKind::Client))]
#[case::td_22(json!({ "sub": "web", "username": "alice" }), Ok(PrincipalKind::Client))]
fn somebody_is_named(#[case] changes: Value, #[case] expected: Result<PrincipalKind, TokenFault>) {
    let principal = authenticate(&answer_with(changes), &policy());
    assert_eq!(principal.map(|principal| principal.kind()), expected);
}

#[rstest]
#[case(json!({ "username": "alice" }), Ok((Some("alice"), PrincipalKind::User)))]
#[case(json!({ "username": "alice", "sub": null }), Ok((Some("alice"), PrincipalKind::User)))]
#[case(json!({ "username": "alice", "client_id": null }), Ok((Some("alice"), PrincipalKind::User)))]
#[case(json!({ "username": "web" }), Ok((Some("web"), PrincipalKind::Client)))]
#[case(json!({ "sub": null }), Ok((None, PrincipalKind::Client)))]
#[case(json!({ "sub": "web" }), Ok((None, PrincipalKind::Client)))]
#[case::td_22(json!({}), Err(TokenFault::ClaimMissing))]
#[case(json!({ "sub": null, "client_id": null }), Err(TokenFault::ClaimMissing))]
#[case::td_23(json!({ "username": "" }), Err(TokenFault::ClaimsInvalid))]
#[case::td_23(json!({ "username": " " }), Err(TokenFault::ClaimsInvalid))]
#[case::td_23(json!({ "username": "a\u{0}b" }), Err(TokenFault::ClaimsInvalid))]
#[case::td_23(json!({ "username": "a".repeat(513) }), Err(TokenFault::ClaimsInvalid))]
#[case(json!({ "username": 7 }), Err(TokenFault::ClaimsInvalid))]
#[case(json!({ "username": ["alice"] }), Err(TokenFault::ClaimsInvalid))]
fn the_subject_stands_where_the_policy_says(
    #[case] changes: Value,
    #[case] expected: Result<(Option<&str>, PrincipalKind), TokenFault>,
) {
    let policy = policy().subject_claim("username");
    let principal = authenticate(&answer_with(changes), &policy);
    let named = principal.as_ref();
    let named = named.map(|principal| (principal.subject(), principal.kind()));
    assert_eq!(named.map_err(|fault| *fault), expected);
}

/// A member that is not there hides nobody who is named in another.
#[test]
fn td_22_a_username_beside_a_missing_subject_is_no_client() {
    let policy = policy().subject_claim("uid");
    let named = json!({ "sub": null, "username": "alice" });
    assert_eq!(fault(named, &policy), Some(TokenFault::ClaimMissing));
    assert_eq!(
        fault(json!({ "uid": "7", "username": "alice" }), &policy),
        None
    );
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
    let facts = active(&endless).into_facts(TOKEN, &policy, now()).unwrap();
    let end = Timestamp::from_secs(NOW + 60);
    assert_eq!(facts.expires_at(), end);
    let last = Timestamp::from_millis(end.as_millis() - 1);
    assert!(facts.judge_ref(&policy, last).is_ok());
    assert_eq!(facts.judge(&policy, end).unwrap_err(), TokenFault::Expired);
    // What the server says stands above it, be it shorter or longer.
    for exp in [NOW + 10, NOW + 540] {
        let answer = answer_with(json!({ "exp": exp }));
        let facts = active(&answer).into_facts(TOKEN, &policy, now()).unwrap();
        assert_eq!(facts.expires_at(), Timestamp::from_secs(exp));
    }
}

#[test]
fn an_assumed_end_is_no_long_life() {
    let policy = policy().assume_lifetime(Duration::from_secs(60));
    let old = json!({ "exp": null, "iat": NOW - 10 * 86_400 });
    assert_eq!(fault(old, &policy), None);
    let whole_day = policy.assume_lifetime(Duration::from_secs(86_400));
    assert_eq!(fault(json!({ "exp": null }), &whole_day), None);
    // An end that the server names is held against it as before.
    let long = json!({ "iat": NOW - 10 * 86_400 });
    assert_eq!(fault(long, &whole_day), Some(TokenFault::LifetimeTooLong));
    let future = json!({ "exp": null, "iat": NOW + 31 });
    assert_eq!(fault(future, &whole_day), Some(TokenFault::IssuedInFuture));
}

#[test]
fn size_counts_at_least_the_claims() {
    let answer = answer_with(json!({ "x": "x".repeat(10_000) }));
    let facts = active(&answer).into_facts(TOKEN, &policy(), now()).unwrap();
    assert!(facts.size() > 10_000);
}

/// A client that is not where the policy looks for it is a client all the same.
#[rstest]
#[case(json!({ "client_id": "web" }))]
#[case(json!({ "client_id": null, "azp": "web" }))]
fn td_18_an_answer_for_its_client_is_known_by_every_name_of_that(#[case] changes: Value) {
    let policy = policy().audience("web").client_claim("cid");
    let untyped = merged(json!({ "aud": "web", "token_type": null }), changes);
    assert_eq!(fault(untyped, &policy), Some(TokenFault::UseNotAllowed));
}
