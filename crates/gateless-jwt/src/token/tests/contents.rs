//! What the claims have to be like.

use super::*;

#[rstest]
#[case::td_01("exp", Some(TokenFault::ClaimMissing), Some(TokenFault::ClaimMissing))]
#[case::td_12("iss", Some(TokenFault::ClaimMissing), Some(TokenFault::ClaimMissing))]
#[case::td_14("aud", Some(TokenFault::ClaimMissing), Some(TokenFault::ClaimMissing))]
#[case::td_09("iat", Some(TokenFault::ClaimMissing), None)]
#[case::td_24("jti", Some(TokenFault::ClaimMissing), None)]
#[case::td_22("sub", Some(TokenFault::ClaimMissing), None)]
#[case::td_22("client_id", Some(TokenFault::ClaimMissing), None)]
#[case::td_26("scope", None, None)]
fn a_missing_claim(
    #[case] name: &str,
    #[case] in_strict: Option<TokenFault>,
    #[case] in_lax: Option<TokenFault>,
) {
    let token = issuer().token(&claims_without(name));
    assert_eq!(fault_of(strict(&token)), in_strict);
    assert_eq!(fault_of(lax(&token)), in_lax);
}

#[rstest]
#[case::td_03(json!({ "exp": "9999999999" }))]
#[case::td_05(json!({ "exp": 9_007_199_254_740_993_i64 }))]
#[case::td_05(json!({ "exp": 9_223_372_036_854_775_808_u64 }))]
#[case::td_05(json!({ "exp": 1e308 }))]
#[case::td_05(json!({ "exp": true }))]
#[case::td_05(json!({ "exp": null }))]
#[case::td_05(json!({ "exp": [] }))]
#[case::td_05(json!({ "exp": {} }))]
#[case::td_07(json!({ "nbf": "1800000000" }))]
#[case::td_07(json!({ "nbf": null }))]
#[case::td_08(json!({ "iat": "1800000000" }))]
#[case::td_12(json!({ "iss": [ISSUER] }))]
#[case::td_12(json!({ "iss": null }))]
#[case::td_12(json!({ "iss": { "value": ISSUER } }))]
#[case::td_14(json!({ "aud": [] }))]
#[case::td_17(json!({ "aud": 7 }))]
#[case::td_17(json!({ "aud": null }))]
#[case::td_17(json!({ "aud": { AUDIENCE: true } }))]
#[case::td_17(json!({ "aud": [[AUDIENCE]] }))]
#[case::td_17(json!({ "aud": [AUDIENCE, null] }))]
#[case::td_17(json!({ "aud": [AUDIENCE, 7] }))]
#[case::td_23(json!({ "sub": "" }))]
#[case::td_23(json!({ "sub": " \t" }))]
#[case::td_23(json!({ "sub": "\u{2003}" }))]
#[case::td_23(json!({ "sub": "a\u{7f}b" }))]
#[case::td_23(json!({ "sub": "a\nb" }))]
#[case::td_23(json!({ "sub": "a".repeat(1 << 20) }))]
#[case::td_23(json!({ "client_id": "" }))]
#[case::td_23(json!({ "client_id": "a".repeat(513) }))]
#[case::td_23(json!({ "jti": "" }))]
#[case::td_27(json!({ "sub": {} }))]
#[case::td_27(json!({ "sub": 7 }))]
#[case::td_27(json!({ "client_id": ["web"] }))]
#[case::td_27(json!({ "scope": {} }))]
#[case::td_33(json!({ "act": "service" }))]
#[case::td_33(json!({ "act": {} }))]
fn a_claim_of_the_wrong_type_or_form_is_refused(#[case] changes: Value) {
    let token = issuer().token(&claims_with(changes));
    let expected = Some(TokenFault::ClaimsInvalid);
    assert_eq!(fault_of(strict(&token)), expected);
    assert_eq!(fault_of(lax(&token)), expected);
}

#[rstest]
#[case::td_12("https://idp.example.com/")]
#[case::td_12("https://IDP.example.com")]
#[case::td_12("https://idp.example.com.evil.example")]
#[case::td_12("https://idp.example.co")]
#[case::td_12("https://idp.example%2Ecom")]
#[case::td_12("http://idp.example.com")]
#[case::td_12("https://idp.example.com ")]
#[case::td_12("https://idp.example.com\u{0}")]
#[case::td_12("")]
fn an_issuer_is_compared_byte_for_byte(#[case] iss: &str) {
    let token = issuer().token(&claims_with(json!({ "iss": iss })));
    assert_eq!(fault_of(strict(&token)), Some(TokenFault::IssuerUnknown));
    assert_eq!(fault_of(lax(&token)), Some(TokenFault::IssuerUnknown));
}

#[rstest]
#[case::td_15(json!([AUDIENCE, "https://other.example.com"]), true)]
#[case::td_15(json!(["https://other.example.com", AUDIENCE]), true)]
#[case::td_15(json!([AUDIENCE]), true)]
#[case::td_16(json!("https://api.example.com/"), false)]
#[case::td_16(json!("https://api.example.com/orders"), false)]
#[case::td_16(json!("https://api.example.co"), false)]
#[case::td_16(json!("https://API.EXAMPLE.COM"), false)]
#[case::td_16(json!("*"), false)]
#[case::td_16(json!("https://api.example.com https://other.example.com"), false)]
#[case::td_16(json!(""), false)]
#[case::td_16(json!([""]), false)]
#[case::td_21(json!("https://other.example.com"), false)]
fn an_audience_is_compared_byte_for_byte(#[case] aud: Value, #[case] accepted: bool) {
    let token = issuer().token(&claims_with(json!({ "aud": aud })));
    let expected = (!accepted).then_some(TokenFault::AudienceMismatch);
    assert_eq!(fault_of(strict(&token)), expected);
    assert_eq!(fault_of(lax(&token)), expected);
}

#[rstest]
#[case::td_18(json!({ "nonce": "n" }))]
#[case::td_18(json!({ "at_hash": "h" }))]
#[case::td_18(json!({ "c_hash": "h" }))]
#[case::td_18(json!({ "s_hash": "h" }))]
#[case::td_18(json!({ "nonce": null }))]
#[case::td_18(json!({ "aud": "web" }))]
#[case::td_18(json!({ "aud": ["web"] }))]
#[case::td_18(json!({ "aud": ["web", "web"] }))]
#[case::td_18(json!({ "typ": "ID" }))]
#[case::td_18(json!({ "token_use": "id" }))]
#[case::td_19(json!({ "typ": "Refresh" }))]
#[case::td_19(json!({ "typ": "Offline" }))]
#[case::td_19(json!({ "token_use": "refresh" }))]
#[case::td_20(json!({ "events": {} }))]
#[case::td_20(json!({ "typ": "Logout" }))]
#[case::td_20(json!({ "htm": "GET", "htu": "https://api.example.com/" }))]
fn a_token_of_another_kind_is_refused_by_the_lax_profile(#[case] changes: Value) {
    let token = issuer().sign(
        json!({ "alg": "EdDSA", "typ": "JWT" }).to_string(),
        claims_with(changes).to_string(),
    );
    let policy = policy().profile(Profile::Lax).audience("web");
    let result = authenticate(&token, &issuer().keys(), &policy);
    assert_eq!(fault_of(result), Some(TokenFault::UseNotAllowed));
}

#[test]
fn td_18_td_19_td_20_tokens_as_servers_make_them() {
    let policy = policy().profile(Profile::Lax).audience("web");
    for (what, payload, fault) in [
        (
            "an access token of Keycloak",
            json!({ "iss": ISSUER, "exp": NOW + 300, "iat": NOW, "jti": "a", "aud": "web",
                "sub": "9f", "typ": "Bearer", "azp": "app", "acr": "1", "sid": "s",
                "scope": "openid profile" }),
            None,
        ),
        (
            "an ID token of Keycloak",
            json!({ "iss": ISSUER, "exp": NOW + 300, "iat": NOW, "jti": "a", "aud": "web",
                "sub": "9f", "typ": "ID", "azp": "web", "at_hash": "h", "sid": "s" }),
            Some(TokenFault::UseNotAllowed),
        ),
        (
            "a refresh token of Keycloak",
            json!({ "iss": ISSUER, "exp": NOW + 300, "iat": NOW, "jti": "a", "aud": ISSUER,
                "sub": "9f", "typ": "Refresh", "azp": "web", "scope": "openid" }),
            Some(TokenFault::UseNotAllowed),
        ),
        (
            "an access token of Cognito, which names no audience",
            json!({ "iss": ISSUER, "exp": NOW + 300, "iat": NOW, "jti": "a", "sub": "9f",
                "token_use": "access", "client_id": "app", "scope": "openid" }),
            Some(TokenFault::ClaimMissing),
        ),
        (
            "an ID token of Cognito",
            json!({ "iss": ISSUER, "exp": NOW + 300, "iat": NOW, "jti": "a", "aud": "web",
                "sub": "9f", "token_use": "id", "auth_time": NOW }),
            Some(TokenFault::UseNotAllowed),
        ),
        (
            "a logout token",
            json!({ "iss": ISSUER, "exp": NOW + 300, "iat": NOW, "jti": "a", "aud": "web",
                "sub": "9f", "sid": "s",
                "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }),
            Some(TokenFault::UseNotAllowed),
        ),
        (
            "a client assertion, which has another audience",
            json!({ "iss": ISSUER, "sub": ISSUER, "aud": "https://idp.example.com/token",
                "exp": NOW + 300, "jti": "a" }),
            Some(TokenFault::AudienceMismatch),
        ),
    ] {
        let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": issuer().id() });
        let token = issuer().sign(header.to_string(), payload.to_string());
        let result = authenticate(&token, &issuer().keys(), &policy);
        assert_eq!(fault_of(result), fault, "{what}");
    }
}

#[test]
fn td_19_a_claim_that_says_its_use_is_believed_by_both_profiles() {
    for (changes, fault) in [
        (json!({ "typ": "Refresh" }), Some(TokenFault::UseNotAllowed)),
        (
            json!({ "token_use": "id" }),
            Some(TokenFault::UseNotAllowed),
        ),
        (json!({ "typ": 7 }), Some(TokenFault::ClaimsInvalid)),
        (json!({ "typ": "Bearer", "token_use": "access" }), None),
    ] {
        let token = issuer().token(&claims_with(changes));
        assert_eq!(fault_of(strict(&token)), fault);
        assert_eq!(fault_of(lax(&token)), fault);
    }
}

#[rstest]
#[case::td_22(Some("user-1"), Some("web"), PrincipalKind::User)]
#[case::td_22(Some("web"), Some("web"), PrincipalKind::Client)]
#[case::td_22(None, Some("web"), PrincipalKind::Client)]
#[case::td_22(None, None, PrincipalKind::Client)]
#[case::td_22(Some("user-1"), None, PrincipalKind::User)]
#[case::td_22(Some("WEB"), Some("web"), PrincipalKind::User)]
fn a_client_is_told_from_a_person(
    #[case] sub: Option<&str>,
    #[case] client_id: Option<&str>,
    #[case] kind: PrincipalKind,
) {
    let mut claims = claims();
    for (name, value) in [("sub", sub), ("client_id", client_id)] {
        match value {
            Some(value) => claims[name] = json!(value),
            None => drop(claims.as_object_mut().unwrap().remove(name)),
        }
    }
    let principal = lax(&issuer().token(&claims)).unwrap();
    assert_eq!(principal.kind(), kind);
    assert_eq!(principal.subject(), sub);
    assert_eq!(principal.client_id(), client_id);
}

#[test]
fn the_client_stands_where_the_policy_says() {
    let claims = claims_with(json!({
        "azp": "party", "cid": "configured", "list": ["web"], "blank": " ", "null": null, "line": "a\nb",
    }));
    let token = issuer().token(&claims);
    let client = |policy: TokenPolicy| {
        authenticate(&token, &issuer().keys(), &policy)
            .map(|principal| principal.client_id().map(str::to_owned))
    };
    let lax = policy().profile(Profile::Lax);
    assert_eq!(client(policy()).unwrap().as_deref(), Some("web"));
    assert_eq!(client(lax.clone()).unwrap().as_deref(), Some("web"));
    let configured = policy().client_claim("cid");
    assert_eq!(client(configured).unwrap().as_deref(), Some("configured"));
    let party = policy().client_claim("azp");
    assert_eq!(client(party).unwrap().as_deref(), Some("party"));
    let absent = lax.client_claim("absent");
    assert_eq!(client(absent).unwrap(), None);
    let absent = policy().client_claim("absent");
    assert_eq!(client(absent), Err(TokenFault::ClaimMissing));
    for wrong in ["list", "blank", "null", "line"] {
        let wrong = policy().client_claim(wrong);
        assert_eq!(client(wrong), Err(TokenFault::ClaimsInvalid));
    }

    // `azp` only stands in for a client id that is missing, and only in the lax profile.
    let mut claims = claims;
    claims.as_object_mut().unwrap().remove("client_id");
    let token = issuer().token(&claims);
    assert_eq!(fault_of(strict(&token)), Some(TokenFault::ClaimMissing));
    assert_eq!(super::lax(&token).unwrap().client_id(), Some("party"));
}

#[rstest]
#[case::td_26(json!({ "scope": "a b" }), ScopeClaim::text("scope"), Some("a b"))]
#[case::td_26(json!({ "scope": "a b " }), ScopeClaim::text("scope"), Some("a b"))]
#[case::td_26(json!({ "scope": "a a" }), ScopeClaim::text("scope"), Some("a a"))]
#[case::td_26(json!({ "scope": "" }), ScopeClaim::text("scope"), Some(""))]
#[case::td_26(json!({ "scope": "a,b" }), ScopeClaim::text("scope"), Some("a,b"))]
#[case::td_26(json!({ "scope": "a\tb" }), ScopeClaim::text("scope"), None)]
#[case::td_26(json!({ "scope": "a\"b" }), ScopeClaim::text("scope"), None)]
#[case::td_26(json!({ "scope": ["a"] }), ScopeClaim::text("scope"), None)]
#[case::td_26(json!({ "scope": 7 }), ScopeClaim::text("scope"), None)]
#[case::td_26(json!({ "scope": null }), ScopeClaim::text("scope"), None)]
#[case::td_26(json!({ "scope": "a", "scp": ["b"] }), ScopeClaim::text("scope"), Some("a"))]
#[case::td_26(json!({ "scope": "a", "scp": 7 }), ScopeClaim::text("scope"), Some("a"))]
#[case::td_26(json!({ "scope": "a", "scp": ["b"] }), ScopeClaim::list("scp"), Some("b"))]
#[case::td_26(json!({ "scope": "a", "scp": "b c" }), ScopeClaim::text("scp"), Some("b c"))]
#[case::td_26(json!({ "scope": "a", "scp": "b" }), ScopeClaim::list("scp"), None)]
#[case::td_26(json!({ "scope": "a", "scp": ["b c"] }), ScopeClaim::list("scp"), None)]
#[case::td_26(json!({ "scope": "a", "scp": [""] }), ScopeClaim::list("scp"), None)]
#[case::td_26(json!({ "scope": "a", "scp": ["b", 7] }), ScopeClaim::list("scp"), None)]
#[case::td_26(json!({ "scope": "a", "scp": [] }), ScopeClaim::list("scp"), Some(""))]
#[case::td_26(json!({ "scope": ["a", "b"] }), ScopeClaim::list("scope"), Some("a b"))]
#[case::td_26(json!({ "scope": "a" }), ScopeClaim::list("permissions"), Some(""))]
#[case::td_26(json!({ "permissions": ["a"] }), ScopeClaim::list("permissions"), Some("a"))]
#[case::td_26(json!({ "permissions": "a" }), ScopeClaim::list("permissions"), None)]
fn scopes_come_from_one_claim_in_one_form(
    #[case] changes: Value,
    #[case] claim: ScopeClaim,
    #[case] scopes: Option<&str>,
) {
    let token = issuer().token(&claims_with(changes));
    let result = authenticate(&token, &issuer().keys(), &policy().scope_claim(claim));
    match scopes {
        Some(scopes) => {
            let granted = result.unwrap();
            let granted: Vec<_> = granted.scopes().iter().collect();
            assert_eq!(granted.join(" "), scopes);
        }
        None => assert_eq!(fault_of(result), Some(TokenFault::ClaimsInvalid)),
    }
}

#[test]
fn td_31_a_subject_is_not_normalised() {
    for sub in [
        "Ame\u{301}lie",
        "Am\u{e9}lie",
        "AM\u{c9}LIE",
        "\u{430}dmin",
        " a ",
    ] {
        let token = issuer().token(&claims_with(json!({ "sub": sub })));
        assert_eq!(strict(&token).unwrap().subject(), Some(sub));
    }
}

#[test]
fn td_25_td_30_identifiers_come_with_their_issuer() {
    let principal = strict(&issuer().token(&claims())).unwrap();
    assert_eq!(
        (
            principal.issuer(),
            principal.subject(),
            principal.token_id()
        ),
        (ISSUER, Some("user-1"), Some("token-1"))
    );
}

#[rstest]
#[case::td_32(json!({ "jkt": "thumbprint" }))]
#[case::td_32(json!({ "x5t#S256": "thumbprint" }))]
#[case::td_32(json!({ "jwk": {} }))]
#[case::td_32(json!({ "unknown": 7 }))]
#[case::td_32(json!({}))]
#[case::td_32(json!(null))]
#[case::td_32(json!("text"))]
fn a_bound_token_is_not_a_bearer_token(#[case] cnf: Value) {
    let token = issuer().token(&claims_with(json!({ "cnf": cnf })));
    let expected = Some(TokenFault::BindingUnsupported);
    assert_eq!(fault_of(strict(&token)), expected);
    assert_eq!(fault_of(lax(&token)), expected);
}

#[test]
fn td_33_delegation_is_exposed_or_forbidden() {
    let token = issuer().token(&claims_with(
        json!({ "act": { "sub": "service", "act": { "sub": "batch", "iss": "https://a.example" } } }),
    ));
    let principal = strict(&token).unwrap();
    let actors: Vec<_> = principal
        .actors()
        .iter()
        .map(|actor| (&*actor.subject, actor.issuer.as_deref()))
        .collect();
    assert_eq!(
        actors,
        [("service", None), ("batch", Some("https://a.example"))]
    );
    let forbidding = policy().forbid_delegation();
    let result = authenticate(&token, &issuer().keys(), &forbidding);
    assert_eq!(fault_of(result), Some(TokenFault::DelegationNotAllowed));
    let plain = issuer().token(&claims());
    assert!(authenticate(&plain, &issuer().keys(), &forbidding).is_ok());
    assert!(strict(&plain).unwrap().actors().is_empty());
}

#[test]
fn td_27_names_that_are_special_elsewhere_are_just_claims() {
    let token = issuer().token(&claims_with(
        json!({ "__proto__": { "scope": "admin" }, "constructor": 1, "$where": "1" }),
    ));
    let principal = strict(&token).unwrap();
    assert!(!principal.scopes().contains(&scope!("admin")));
}

#[test]
fn td_34_distributed_claims_are_not_followed() {
    let token = issuer().token(&claims_with(json!({
        "_claim_names": { "scope": "src" },
        "_claim_sources": { "src": { "endpoint": "http://169.254.169.254/" } },
    })));
    assert!(strict(&token).is_ok());
}
