//! Signed answers (RFC 9701).

use super::*;
use crate::testing;

/// What the server knows this service by.
const RECIPIENT: &str = "orders-service";

fn issuer() -> &'static Signer {
    signer(Algorithm::EdDSA)
}

fn header() -> Value {
    json!({ "typ": "token-introspection+jwt" })
}

/// The claims around an answer, which was made a second after [`NOW`].
fn envelope() -> Value {
    json!({
        "iss": ISSUER,
        "aud": RECIPIENT,
        "iat": NOW + 1,
        "token_introspection": answer(),
    })
}

fn envelope_with(changes: Value) -> Value {
    let mut envelope = merged(envelope(), changes);
    let members = envelope.as_object_mut().unwrap();
    members.retain(|_, value| !value.is_null());
    envelope
}

/// Asked at [`NOW`], and answered two seconds later.
fn verify(jwt: &str) -> Result<Answer, AnswerFault> {
    verify_with(jwt, &issuer().keys(), &policy())
}

fn verify_with(
    jwt: &str,
    keys: &KeySet,
    policy: &IntrospectionPolicy,
) -> Result<Answer, AnswerFault> {
    let later = Timestamp::from_secs(NOW + 2);
    Answer::verify(jwt, keys, policy, RECIPIENT, now(), later)
}

fn fault_of(changes: Value) -> Option<AnswerFault> {
    let jwt = issuer().token_with(header(), &envelope_with(changes));
    verify(&jwt).err()
}

#[test]
fn tf_08_a_signed_answer_is_the_answer_in_it() {
    let jwt = issuer().token_with(header(), &envelope());
    let Ok(Answer::Active(token)) = verify(&jwt) else {
        panic!("not active");
    };
    let inner: Value = serde_json::from_str(token.json()).unwrap();
    assert_eq!(inner, answer());
    let facts = token.into_facts(TOKEN, &policy(), now()).unwrap();
    let principal = facts.judge(&policy(), now()).unwrap();
    assert_eq!(principal.subject(), Some("user-1"));

    let inactive = envelope_with(json!({ "token_introspection": { "active": false } }));
    let jwt = issuer().token_with(header(), &inactive);
    assert!(matches!(verify(&jwt), Ok(Answer::Inactive)));
}

#[rstest]
#[case::tf_08(json!({ "iss": null }), Some(AnswerFault::Issuer))]
#[case::tf_08(json!({ "iss": "https://other.example.com" }), Some(AnswerFault::Issuer))]
#[case::tf_08(json!({ "iss": "https://idp.example.com/" }), Some(AnswerFault::Issuer))]
#[case::tf_08(json!({ "aud": null }), Some(AnswerFault::Recipient))]
#[case::tf_08(json!({ "aud": "other-service" }), Some(AnswerFault::Recipient))]
#[case::tf_08(json!({ "aud": AUDIENCE }), Some(AnswerFault::Recipient))]
#[case::tf_08(json!({ "aud": ["other-service", RECIPIENT] }), None)]
#[case::tf_08(json!({ "iat": null }), Some(AnswerFault::Replayed))]
#[case::tf_08(json!({ "iat": NOW - 30 }), None)]
#[case::tf_08(json!({ "iat": NOW - 31 }), Some(AnswerFault::Replayed))]
#[case::tf_08(json!({ "iat": NOW - 86_400 }), Some(AnswerFault::Replayed))]
#[case::tf_08(json!({ "iat": NOW + 32 }), None)]
#[case::tf_08(json!({ "iat": NOW + 33 }), Some(AnswerFault::Replayed))]
#[case::tf_08(json!({ "exp": NOW }), None)]
#[case::tf_08(json!({ "exp": NOW - 28 }), Some(AnswerFault::Replayed))]
#[case::tf_08(json!({ "nbf": NOW + 32 }), None)]
#[case::tf_08(json!({ "nbf": NOW + 33 }), Some(AnswerFault::Replayed))]
#[case(json!({ "iat": "now" }), Some(AnswerFault::Unreadable))]
#[case(json!({ "aud": 1 }), Some(AnswerFault::Unreadable))]
#[case(json!({ "aud": [] }), Some(AnswerFault::Unreadable))]
#[case(json!({ "iss": 1 }), Some(AnswerFault::Unreadable))]
#[case(json!({ "token_introspection": null }), Some(AnswerFault::Unreadable))]
#[case(json!({ "token_introspection": null, "active": true }), Some(AnswerFault::Unreadable))]
#[case(json!({ "token_introspection": true }), Some(AnswerFault::Unreadable))]
#[case(json!({ "token_introspection": [{ "active": true }] }), Some(AnswerFault::Unreadable))]
#[case(json!({ "token_introspection": "{\"active\":true}" }), Some(AnswerFault::Unreadable))]
#[case::tf_01(json!({ "token_introspection": {}, "active": true }), Some(AnswerFault::ActiveInvalid))]
#[case::tf_01(json!({ "token_introspection": { "active": "true" } }), Some(AnswerFault::ActiveInvalid))]
#[case(json!({ "token_introspection": { "active": true, "exp": "1" } }), Some(AnswerFault::ClaimsInvalid))]
fn the_claims_around_an_answer_are_held_against_the_question(
    #[case] changes: Value,
    #[case] expected: Option<AnswerFault>,
) {
    assert_eq!(fault_of(changes), expected);
}

/// Servers write whole seconds, and are not to be taken for liars because of it.
#[test]
fn tf_08_an_answer_within_the_second_of_the_question_is_fresh() {
    let policy = policy().leeway(Duration::ZERO);
    let verify = |iat: i64| {
        let jwt = issuer().token_with(header(), &envelope_with(json!({ "iat": iat })));
        let asked_at = Timestamp::from_millis(NOW * 1000 + 900);
        let now = Timestamp::from_millis(NOW * 1000 + 950);
        Answer::verify(&jwt, &issuer().keys(), &policy, RECIPIENT, asked_at, now).err()
    };
    assert_eq!(verify(NOW), None);
    assert_eq!(verify(NOW - 1), Some(AnswerFault::Replayed));
    assert_eq!(verify(NOW + 1), Some(AnswerFault::Replayed));
}

/// A long leeway is for what is ahead: an old answer may be one from before the token was revoked.
#[rstest]
#[case(0, 0)]
#[case(10, 10)]
#[case(30, 30)]
#[case(300, 30)]
fn tf_08_leeway_does_not_let_old_answers_in(#[case] leeway: u64, #[case] oldest: i64) {
    let policy = policy().leeway(Duration::from_secs(leeway));
    let verify = |iat: i64| {
        let jwt = issuer().token_with(header(), &envelope_with(json!({ "iat": iat })));
        verify_with(&jwt, &issuer().keys(), &policy).err()
    };
    assert_eq!(verify(NOW - oldest), None);
    assert_eq!(verify(NOW - oldest - 1), Some(AnswerFault::Replayed));
}

/// The claims around an answer are the issuer's own and stay strict.
#[rstest]
#[case("iss")]
#[case("aud")]
#[case("iat")]
#[case("exp")]
#[case("nbf")]
fn null_around_a_signed_answer_is_a_wrong_type(#[case] name: &str) {
    let jwt = issuer().token_with(header(), &merged(envelope(), json!({ name: null })));
    assert_eq!(verify(&jwt).unwrap_err(), AnswerFault::Unreadable);
}

#[rstest]
#[case(json!({ "typ": "application/token-introspection+jwt" }), None)]
#[case(json!({ "typ": "Token-Introspection+JWT" }), None)]
#[case::tb_39(json!({ "typ": "at+jwt" }), Some(TokenFault::TypeNotAllowed))]
#[case::tb_39(json!({ "typ": "JWT" }), Some(TokenFault::TypeNotAllowed))]
#[case::tb_39(json!({ "typ": "logout+jwt" }), Some(TokenFault::TypeNotAllowed))]
#[case::tb_39(json!({ "typ": "token-introspection" }), Some(TokenFault::TypeNotAllowed))]
#[case::tb_39(json!({ "typ": "" }), Some(TokenFault::TypeNotAllowed))]
#[case(json!({ "typ": 1 }), Some(TokenFault::HeaderInvalid))]
#[case(json!({ "crit": ["x"], "x": 1 }), Some(TokenFault::HeaderUnsupported))]
#[case(json!({ "b64": false }), Some(TokenFault::HeaderUnsupported))]
#[case(json!({ "cty": "JWT" }), Some(TokenFault::HeaderUnsupported))]
#[case(json!({ "jwk": {} }), Some(TokenFault::HeaderCarriesKey))]
#[case(json!({ "jku": "https://idp.example.com/jwks" }), Some(TokenFault::HeaderCarriesKey))]
#[case(json!({ "x5u": "https://idp.example.com/x5u" }), Some(TokenFault::HeaderCarriesKey))]
#[case(json!({ "alg": "none" }), Some(TokenFault::AlgorithmNotAllowed))]
#[case(json!({ "kid": "other" }), Some(TokenFault::KeyUnknown))]
fn tf_08_the_header_is_that_of_an_answer(
    #[case] changes: Value,
    #[case] expected: Option<TokenFault>,
) {
    let jwt = issuer().token_with(merged(header(), changes), &envelope());
    let expected = expected.map(AnswerFault::SignatureInvalid);
    assert_eq!(verify(&jwt).err(), expected);
}

#[test]
fn tf_08_a_missing_type_is_not_that_of_an_answer() {
    let header = json!({ "alg": "EdDSA", "kid": issuer().id() }).to_string();
    let jwt = issuer().sign(header, envelope().to_string());
    let expected = AnswerFault::SignatureInvalid(TokenFault::TypeNotAllowed);
    assert_eq!(verify(&jwt).unwrap_err(), expected);
}

#[test]
fn tf_08_only_allowed_algorithms_sign_answers() {
    let jwt = issuer().token_with(header(), &envelope());
    let other = policy().algorithms([Algorithm::ES256]);
    let fault = verify_with(&jwt, &issuer().keys(), &other).unwrap_err();
    let expected = AnswerFault::SignatureInvalid(TokenFault::AlgorithmNotAllowed);
    assert_eq!(fault, expected);
}

#[test]
fn tf_08_a_signature_of_another_key_is_refused() {
    let forger = Signer::generate(Algorithm::EdDSA);
    let jwt = forger.token_with(header(), &envelope());
    let expected = AnswerFault::SignatureInvalid(TokenFault::SignatureInvalid);
    assert_eq!(verify(&jwt).unwrap_err(), expected);
    assert!(verify_with(&jwt, &key_set(&[forger.jwk()]), &policy()).is_ok());
}

#[test]
fn tf_08_one_changed_byte_spoils_a_signed_answer() {
    let jwt = issuer().token_with(header(), &envelope());
    let keys = issuer().keys();
    for at in 0..jwt.len() {
        let mut changed = jwt.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(verify_with(&changed, &keys, &policy()).is_err(), "{at}");
    }
}

#[rstest]
#[case(r#"{"active":true}"#, AnswerFault::NotSigned)]
#[case(" {\"active\":true}", AnswerFault::NotSigned)]
#[case("", AnswerFault::SignatureInvalid(TokenFault::Malformed))]
#[case("a.b", AnswerFault::SignatureInvalid(TokenFault::Malformed))]
#[case("a.b.c.d.e", AnswerFault::SignatureInvalid(TokenFault::Encrypted))]
fn what_is_no_signed_answer_is_none(#[case] text: &str, #[case] expected: AnswerFault) {
    assert_eq!(verify(text).unwrap_err(), expected);
}

#[test]
fn a_name_twice_anywhere_spoils_a_signed_answer() {
    let sign = |payload: String| {
        let header = merged(header(), json!({ "alg": "EdDSA", "kid": issuer().id() }));
        verify(&issuer().sign(header.to_string(), payload)).err()
    };
    let around = |answer: &str, more: &str| {
        format!(
            r#"{{"iss":"{ISSUER}","aud":"{RECIPIENT}","iat":{NOW},"token_introspection":{answer}{more}}}"#
        )
    };
    let inactive = r#"{"active":false}"#;
    assert_eq!(sign(around(inactive, "")), None);
    let expected = Some(AnswerFault::Unreadable);
    let twice = r#","token_introspection":{"active":true}"#;
    assert_eq!(sign(around(inactive, twice)), expected);
    let escaped = r#","\u0074oken_introspection":{"active":true}"#;
    assert_eq!(sign(around(inactive, escaped)), expected);
    let inner = r#"{"active":false,"active":true}"#;
    assert_eq!(sign(around(inner, "")), expected);
    let depth = |arrays: usize| {
        let (open, close) = ("[".repeat(arrays), "]".repeat(arrays));
        sign(around(
            &format!(r#"{{"active":false,"x":{open}{close}}}"#),
            "",
        ))
    };
    assert_eq!(depth(14), None);
    assert_eq!(depth(15), expected);
}

#[test]
fn numbers_of_a_signed_answer_keep_their_digits() {
    let payload = format!(
        r#"{{"iss":"{ISSUER}","aud":"{RECIPIENT}","iat":{NOW},"token_introspection":
            {{"active":true,"exp":{}.25,"tenant":123456789012345678901234567890}}}}"#,
        NOW + 60
    );
    let header = merged(header(), json!({ "alg": "EdDSA", "kid": issuer().id() }));
    let jwt = issuer().sign(header.to_string(), payload);
    let Ok(Answer::Active(token)) = verify(&jwt) else {
        panic!("not active");
    };
    let expected = format!(
        r#"{{"active":true,"exp":{}.25,"tenant":123456789012345678901234567890}}"#,
        NOW + 60
    );
    assert_eq!(token.json(), expected);
}

/// Neither can be taken for the other, even when one is made to look like the other in all but its type.
#[test]
fn tb_39_an_answer_is_no_access_token_and_an_access_token_is_no_answer() {
    let both = merged(claims(), envelope());
    let both = merged(both, json!({ "aud": [AUDIENCE, RECIPIENT] }));
    let token = issuer().token(&both);
    let answer = issuer().token_with(header(), &both);
    let keys = issuer().keys();

    for policy in [
        testing::policy(),
        testing::policy().profile(crate::Profile::Lax),
    ] {
        let at = |token| testing::authenticate(token, &keys, &policy).map(|_| ());
        assert_eq!(at(&answer), Err(TokenFault::TypeNotAllowed));
        // The same claims under the right type are let in: it was the type.
        let fresh = issuer().token(&merged(both.clone(), json!({ "iat": NOW })));
        assert_eq!(at(&fresh), Ok(()));
    }
    assert!(verify(&answer).is_ok());
    let expected = AnswerFault::SignatureInvalid(TokenFault::TypeNotAllowed);
    assert_eq!(verify(&token).unwrap_err(), expected);
}
