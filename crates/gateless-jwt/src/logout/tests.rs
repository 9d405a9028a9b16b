//! Whole logout tokens, made by an issuer that signs anything, against what is asked of them.

use std::time::Duration;

use gateless_core::{Revocation, Timestamp, TokenFault};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::testing::{self, AUDIENCE, ISSUER, NOW, Signer, authenticate, merged, signer};
use crate::{Algorithm, KeySet, Profile};

const CLIENT: &str = "orders-web";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn issuer() -> &'static Signer {
    signer(Algorithm::EdDSA)
}

fn policy() -> LogoutPolicy {
    LogoutPolicy::new(ISSUER, CLIENT)
}

fn header() -> Value {
    json!({ "typ": "logout+jwt" })
}

fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": CLIENT,
        "iat": NOW,
        "exp": NOW + 120,
        "jti": "logout-1",
        "sub": "user-1",
        "sid": "session-1",
        "events": { EVENT: {} },
    })
}

/// The same with some set otherwise; those that are null here are left out.
fn claims_with(changes: Value) -> Value {
    let mut claims = merged(claims(), changes);
    let members = claims.as_object_mut().unwrap();
    members.retain(|_, value| !value.is_null());
    claims
}

fn verify_at(token: &str, policy: &LogoutPolicy, secs: i64) -> Result<LogoutToken, TokenFault> {
    LogoutToken::verify(token, &issuer().keys(), policy, Timestamp::from_secs(secs))
}

fn verify(claims: &Value, policy: &LogoutPolicy) -> Result<LogoutToken, TokenFault> {
    verify_at(&issuer().token_with(header(), claims), policy, NOW)
}

#[test]
fn th_14_a_logout_token_says_who_signed_out() {
    let token = verify(&claims(), &policy()).unwrap();
    assert_eq!(token.issuer(), ISSUER);
    assert_eq!(token.token_id(), "logout-1");
    assert_eq!(token.session_id(), Some("session-1"));
    assert_eq!(token.subject(), Some("user-1"));
    assert_eq!(token.issued_at(), Timestamp::from_secs(NOW));
    assert_eq!(token.expires_at(), Some(Timestamp::from_secs(NOW + 120)));
}

#[test]
fn th_15_a_replay_revokes_the_same_again() {
    let session = verify(&claims(), &policy()).unwrap();
    let expected = [Revocation::session(ISSUER, "session-1")];
    assert_eq!(session.revocations(), expected);
    let no_subject = claims_with(json!({ "sub": null }));
    let no_subject = verify(&no_subject, &policy()).unwrap();
    assert_eq!(no_subject.revocations(), expected);

    let subject = claims_with(json!({ "sid": null }));
    let subject = issuer().token_with(header(), &subject);
    let until = Timestamp::from_secs(NOW);
    let expected = [Revocation::subject(ISSUER, "user-1").issued_until(until)];
    for secs in [NOW, NOW + 1, NOW + 100] {
        let token = verify_at(&subject, &policy(), secs).unwrap();
        assert_eq!(token.revocations(), expected);
    }
}

#[rstest]
#[case::its_end(json!({}), 150)]
#[case::its_age(json!({ "exp": NOW + 3600 }), 601)]
#[case::its_age(json!({ "exp": null }), 601)]
fn th_15_it_says_for_how_long_it_has_to_be_remembered(#[case] changes: Value, #[case] secs: i64) {
    let policy = policy().optional_expiry();
    let token = issuer().token_with(header(), &claims_with(changes));
    let good_until = |at| Some(verify_at(&token, &policy, at).ok()?.good_until());
    let expected = Some(Timestamp::from_secs(NOW + secs));
    assert_eq!(good_until(NOW), expected);
    assert_eq!(good_until(NOW + secs - 1), expected);
    assert_eq!(good_until(NOW + secs), None);
}

#[rstest]
#[case::iss(json!({ "iss": null }), Some(TokenFault::ClaimMissing))]
#[case::iss(json!({ "iss": "https://other.example.com" }), Some(TokenFault::IssuerUnknown))]
#[case::iss(json!({ "iss": "https://idp.example.com/" }), Some(TokenFault::IssuerUnknown))]
#[case::iss(json!({ "iss": [ISSUER] }), Some(TokenFault::ClaimsInvalid))]
#[case::aud(json!({ "aud": null }), Some(TokenFault::ClaimMissing))]
#[case::aud(json!({ "aud": "other" }), Some(TokenFault::AudienceMismatch))]
#[case::aud(json!({ "aud": "Orders-Web" }), Some(TokenFault::AudienceMismatch))]
#[case::aud(json!({ "aud": ["other", CLIENT] }), None)]
#[case::aud(json!({ "aud": [] }), Some(TokenFault::ClaimsInvalid))]
#[case::aud(json!({ "aud": 7 }), Some(TokenFault::ClaimsInvalid))]
#[case::iat(json!({ "iat": null }), Some(TokenFault::ClaimMissing))]
#[case::iat(json!({ "iat": NOW.to_string() }), Some(TokenFault::ClaimsInvalid))]
#[case::iat(json!({ "iat": NOW - 600 }), None)]
#[case::iat(json!({ "iat": NOW - 601 }), Some(TokenFault::Expired))]
#[case::iat(json!({ "iat": NOW + 600, "exp": NOW + 700 }), None)]
#[case::iat(json!({ "iat": NOW + 601, "exp": NOW + 700 }), Some(TokenFault::IssuedInFuture))]
#[case::iat(json!({ "iat": NOW + 121 }), Some(TokenFault::IssuedInFuture))]
#[case::exp(json!({ "exp": null }), Some(TokenFault::ClaimMissing))]
#[case::exp(json!({ "iat": NOW - 60, "exp": NOW - 29 }), None)]
#[case::exp(json!({ "iat": NOW - 60, "exp": NOW - 30 }), Some(TokenFault::Expired))]
#[case::exp(json!({ "exp": "never" }), Some(TokenFault::ClaimsInvalid))]
#[case::nbf(json!({ "nbf": NOW + 30 }), None)]
#[case::nbf(json!({ "nbf": NOW + 31 }), Some(TokenFault::NotYetValid))]
#[case::jti(json!({ "jti": null }), Some(TokenFault::ClaimMissing))]
#[case::jti(json!({ "jti": "" }), Some(TokenFault::ClaimsInvalid))]
#[case::jti(json!({ "jti": 7 }), Some(TokenFault::ClaimsInvalid))]
#[case::events(json!({ "events": null }), Some(TokenFault::ClaimMissing))]
#[case::events(json!({ "events": {} }), Some(TokenFault::UseNotAllowed))]
#[case::events(json!({ "events": { "https://schemas.openid.net/secevent/caep/event-type/session-revoked": {} } }), Some(TokenFault::UseNotAllowed))]
#[case::events(json!({ "events": { EVENT: {}, "https://other.example.com": [7] } }), None)]
#[case::events(json!({ "events": { EVENT: { "reason": ["a"] } } }), None)]
#[case::events(json!({ "events": { EVENT: null } }), Some(TokenFault::ClaimsInvalid))]
#[case::events(json!({ "events": { EVENT: true } }), Some(TokenFault::ClaimsInvalid))]
#[case::events(json!({ "events": { EVENT: [] } }), Some(TokenFault::ClaimsInvalid))]
#[case::events(json!({ "events": [EVENT] }), Some(TokenFault::ClaimsInvalid))]
#[case::events(json!({ "events": EVENT }), Some(TokenFault::ClaimsInvalid))]
#[case::nonce(json!({ "nonce": "n-1" }), Some(TokenFault::UseNotAllowed))]
#[case::nonce(json!({ "nonce": 7 }), Some(TokenFault::UseNotAllowed))]
#[case::who(json!({ "sid": null, "sub": null }), Some(TokenFault::ClaimMissing))]
#[case::who(json!({ "sid": 7 }), Some(TokenFault::ClaimsInvalid))]
#[case::who(json!({ "sub": ["user-1"] }), Some(TokenFault::ClaimsInvalid))]
#[case::who(json!({ "sub": "" }), Some(TokenFault::ClaimsInvalid))]
#[case::keycloak(json!({ "typ": "Logout" }), None)]
#[case::keycloak(json!({ "typ": "Bearer" }), Some(TokenFault::UseNotAllowed))]
fn th_14_each_claim_is_held_against_the_policy(
    #[case] changes: Value,
    #[case] expected: Option<TokenFault>,
) {
    let claims = claims_with(changes);
    assert_eq!(verify(&claims, &policy()).err(), expected);
    // That a type may be missing changes nothing about what has one.
    assert_eq!(verify(&claims, &policy().optional_type()).err(), expected);
}

#[rstest]
#[case::twice(r#""jti":"a""#)]
#[case::twice(r#""sid":"session-2""#)]
#[case::twice(r#""events":{}"#)]
#[case::null(r#""nbf":null"#)]
fn th_14_members_are_strict(#[case] more: &str) {
    let payload = claims().to_string();
    let payload = format!("{},{more}}}", payload.strip_suffix('}').unwrap());
    let header = r#"{"alg":"EdDSA","typ":"logout+jwt"}"#;
    let token = issuer().sign(header, payload);
    let fault = verify_at(&token, &policy(), NOW).unwrap_err();
    assert_eq!(fault, TokenFault::ClaimsInvalid);
}

#[test]
fn th_14_members_of_an_event_are_unique_too() {
    let event = format!(r#"{{"{EVENT}":{{}},"{EVENT}":{{}}}}"#);
    let payload = claims().to_string();
    let payload = payload.replace(&json!({ EVENT: {} }).to_string(), &event);
    let header = r#"{"alg":"EdDSA","typ":"logout+jwt"}"#;
    let token = issuer().sign(header, payload);
    let fault = verify_at(&token, &policy(), NOW).unwrap_err();
    assert_eq!(fault, TokenFault::ClaimsInvalid);
}

#[rstest]
#[case(json!("logout+jwt"), None, None)]
#[case(json!("application/logout+jwt"), None, None)]
#[case(json!("Logout+JWT"), None, None)]
#[case(json!("JWT"), Some(TokenFault::TypeNotAllowed), Some(TokenFault::TypeNotAllowed))]
#[case(json!("at+jwt"), Some(TokenFault::TypeNotAllowed), Some(TokenFault::TypeNotAllowed))]
#[case(json!("secevent+jwt"), Some(TokenFault::TypeNotAllowed), Some(TokenFault::TypeNotAllowed))]
#[case(json!("token-introspection+jwt"), Some(TokenFault::TypeNotAllowed), Some(TokenFault::TypeNotAllowed))]
#[case(json!(""), Some(TokenFault::TypeNotAllowed), Some(TokenFault::TypeNotAllowed))]
fn th_21_the_type_is_the_one_of_logout_tokens(
    #[case] typ: Value,
    #[case] strict: Option<TokenFault>,
    #[case] lenient: Option<TokenFault>,
) {
    let token = issuer().token_with(json!({ "typ": typ }), &claims());
    assert_eq!(verify_at(&token, &policy(), NOW).err(), strict);
    let optional = policy().optional_type();
    assert_eq!(verify_at(&token, &optional, NOW).err(), lenient);
}

fn untyped(claims: &Value) -> String {
    issuer().sign(r#"{"alg":"EdDSA"}"#, claims.to_string())
}

#[test]
fn th_21_a_missing_type_is_accepted_only_where_that_is_said() {
    let token = untyped(&claims());
    let fault = verify_at(&token, &policy(), NOW).unwrap_err();
    assert_eq!(fault, TokenFault::TypeNotAllowed);
    verify_at(&token, &policy().optional_type(), NOW).unwrap();
}

#[test]
fn th_14_an_end_that_may_be_missing_still_counts() {
    let policy = policy().optional_expiry();
    let without = verify(&claims_with(json!({ "exp": null })), &policy).unwrap();
    assert_eq!(without.expires_at(), None);
    let old = claims_with(json!({ "exp": null, "iat": NOW - 601 }));
    assert_eq!(verify(&old, &policy).unwrap_err(), TokenFault::Expired);
    let over = claims_with(json!({ "iat": NOW - 60, "exp": NOW - 30 }));
    assert_eq!(verify(&over, &policy).unwrap_err(), TokenFault::Expired);
}

#[test]
fn th_14_the_signature_is_one_of_the_issuer() {
    let fault = |token: &str, keys: &KeySet, policy: &LogoutPolicy| {
        LogoutToken::verify(token, keys, policy, Timestamp::from_secs(NOW)).err()
    };
    let token = issuer().token_with(header(), &claims());
    let (keys, policy) = (issuer().keys(), policy());
    assert_eq!(fault(&token, &keys, &policy), None);
    let forged = Signer::generate(Algorithm::EdDSA).token_with(header(), &claims());
    let forged = fault(&forged, &keys, &policy);
    assert!(matches!(
        forged,
        Some(TokenFault::SignatureInvalid | TokenFault::KeyUnknown)
    ));
    let other = KeySet::new([]);
    assert_eq!(fault(&token, &other, &policy), Some(TokenFault::KeyUnknown));
    let only_rsa = policy.clone().algorithms([Algorithm::RS256]);
    let not_allowed = Some(TokenFault::AlgorithmNotAllowed);
    assert_eq!(fault(&token, &keys, &only_rsa), not_allowed);
    let with_key = json!({ "typ": "logout+jwt", "jwk": issuer().jwk() });
    let with_key = issuer().token_with(with_key, &claims());
    let carries = Some(TokenFault::HeaderCarriesKey);
    assert_eq!(fault(&with_key, &keys, &policy), carries);
    let (start, _) = token.rsplit_once('.').unwrap();
    let malformed = Some(TokenFault::Malformed);
    assert_eq!(fault(&format!("{start}."), &keys, &policy), malformed);
    let none = testing::encode(r#"{"alg":"none","typ":"logout+jwt"}"#);
    let (_, rest) = token.split_once('.').unwrap();
    assert_eq!(
        fault(&format!("{none}.{rest}"), &keys, &policy),
        not_allowed
    );
}

/// Also for a client that is its own audience, and with nothing said about types anywhere.
#[test]
fn th_21_nothing_else_is_taken_for_a_logout_token() {
    let optional = policy().optional_type();
    let access = merged(
        testing::claims(),
        json!({ "aud": CLIENT, "sid": "session-1" }),
    );
    let id_token = merged(access.clone(), json!({ "nonce": "n-1", "auth_time": NOW }));
    let id_token_without_nonce = merged(access.clone(), json!({ "at_hash": "a" }));
    let answer = merged(
        claims(),
        json!({ "token_introspection": { "active": true } }),
    );
    for (claims, typ) in [
        (&access, "at+jwt"),
        (&access, "JWT"),
        (&id_token, "JWT"),
        (&answer, "token-introspection+jwt"),
    ] {
        let token = issuer().token_with(json!({ "typ": typ }), claims);
        for policy in [policy(), optional.clone()] {
            let fault = verify_at(&token, &policy, NOW).unwrap_err();
            assert_eq!(fault, TokenFault::TypeNotAllowed, "{typ}");
        }
    }
    for claims in [&access, &id_token, &id_token_without_nonce] {
        let fault = verify_at(&untyped(claims), &optional, NOW).unwrap_err();
        assert_eq!(fault, TokenFault::ClaimMissing);
    }
    let id_token = merged(claims(), json!({ "nonce": "n-1" }));
    let fault = verify_at(&untyped(&id_token), &optional, NOW).unwrap_err();
    assert_eq!(fault, TokenFault::UseNotAllowed);
}

#[test]
fn th_21_a_logout_token_is_no_access_token() {
    let strict = testing::policy();
    let lax = testing::policy().profile(Profile::Lax);
    let fault = |token: &str, policy| authenticate(token, &issuer().keys(), policy).unwrap_err();
    let for_the_api = claims_with(json!({ "aud": AUDIENCE }));
    // With every claim that an access token has.
    let complete = merged(testing::claims(), json!({ "events": { EVENT: {} } }));
    for claims in [&claims(), &for_the_api, &complete] {
        let typed = issuer().token_with(header(), claims);
        for policy in [&strict, &lax] {
            assert_eq!(fault(&typed, policy), TokenFault::TypeNotAllowed);
        }
        assert_eq!(fault(&untyped(claims), &strict), TokenFault::TypeNotAllowed);
        assert_eq!(fault(&untyped(claims), &lax), TokenFault::UseNotAllowed);
    }
}

#[test]
fn every_unusable_setting_is_named_at_once() {
    let policy = LogoutPolicy::new("http://idp.example.com", " ")
        .algorithms([])
        .leeway(Duration::from_secs(301))
        .max_age(Duration::ZERO);
    let error = policy.check().unwrap_err();
    let named: Vec<_> = (error.faults().iter())
        .map(gateless_core::ConfigFault::setting)
        .collect();
    let expected = ["issuer", "algorithms", "leeway", "client_id", "max_age"];
    assert_eq!(named, expected);
    LogoutPolicy::new(ISSUER, CLIENT).check().unwrap();
}

#[test]
fn tl_02_nothing_prints_who_signed_out() {
    let canary = json!({ "sub": "canary", "sid": "canary", "jti": "canary" });
    let token = verify(&claims_with(canary), &policy()).unwrap();
    let printed = format!("{token:?}");
    assert!(!printed.contains("canary"), "{printed}");
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z]{1,8}".prop_map(Value::from),
        prop::collection::vec(any::<i32>(), 0..3).prop_map(Value::from),
        Just(json!({})),
        Just(json!({ "a": "b" })),
    ]
}

fn type_of(value: &Value) -> std::mem::Discriminant<Value> {
    std::mem::discriminant(value)
}

proptest! {
    #[test]
    fn th_14_a_claim_of_another_type_is_refused(
        name in prop::sample::select(vec!["iss", "aud", "iat", "exp", "jti", "sub", "sid", "events"]),
        value in any_value(),
        lenient in any::<bool>(),
    ) {
        prop_assume!(type_of(&claims()[name]) != type_of(&value));
        let mut claims = claims();
        claims[name] = value;
        let policy = match lenient {
            true => policy().optional_type().optional_expiry(),
            false => policy(),
        };
        prop_assert_eq!(verify(&claims, &policy).unwrap_err(), TokenFault::ClaimsInvalid);
    }

    #[test]
    fn th_14_without_any_claim_but_one_of_two_it_is_refused(
        name in prop::sample::select(vec!["iss", "aud", "iat", "exp", "jti", "events"]),
        who in prop::sample::select(vec!["sub", "sid"]),
    ) {
        let without = claims_with(json!({ who: null }));
        prop_assert!(verify(&without, &policy()).is_ok());
        let without = claims_with(json!({ who: null, name: null }));
        prop_assert_eq!(verify(&without, &policy()).unwrap_err(), TokenFault::ClaimMissing);
    }
}
