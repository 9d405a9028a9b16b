//! What holds for every answer.

use super::*;
use crate::jwk::tests::any_json;

fn policies() -> [IntrospectionPolicy; 3] {
    let lenient = policy()
        .danger_accept_missing_audience()
        .assume_lifetime(Duration::from_secs(60));
    let most_lenient = lenient
        .clone()
        .danger_accept_untyped()
        .subject_claim("username");
    [policy(), lenient, most_lenient]
}

/// Everything that can be seen of a principal.
fn seen(principal: &Principal) -> impl PartialEq + std::fmt::Debug {
    let texts = [
        Some(principal.issuer()),
        principal.subject(),
        principal.client_id(),
        principal.token_id(),
        principal.session_id(),
        principal.authentication_context(),
    ];
    (
        texts.map(|text| text.map(str::to_owned)),
        principal.kind(),
        principal
            .scopes()
            .iter()
            .map(str::to_owned)
            .collect::<Vec<_>>(),
        principal.audience().map(str::to_owned).collect::<Vec<_>>(),
        (principal.expires_at(), principal.issued_at()),
        principal.authenticated_at(),
        principal.actors().len(),
        principal.claims::<Value>().unwrap(),
    )
}

/// The way of an answer that was kept as text.
fn again(json: &str, policy: &IntrospectionPolicy) -> Result<Principal, TokenFault> {
    let Ok(Answer::Active(token)) = Answer::read(json.as_bytes()) else {
        panic!("not active");
    };
    token.into_facts(TOKEN, policy, now())?.judge(policy, now())
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(Answer::read(&body).is_err());
    }

    #[test]
    fn no_json_makes_the_reader_panic(body in any_json()) {
        let _ = Answer::read(body.to_string().as_bytes());
    }

    #[test]
    fn tf_01_nothing_but_true_is_active(value in any_json()) {
        let read = Answer::read(answer_with(json!({ "active": value })).to_string().as_bytes());
        match value {
            Value::Bool(true) => prop_assert!(matches!(read, Ok(Answer::Active(_)))),
            Value::Bool(false) => prop_assert!(matches!(read, Ok(Answer::Inactive))),
            _ => prop_assert!(read.is_err()),
        }
    }

    #[test]
    fn odd_members_neither_panic_nor_open_what_is_closed(
        changes in prop::collection::hash_map(
            prop::sample::select(vec![
                "iss", "sub", "client_id", "azp", "jti", "sid", "aud", "scope", "scp", "exp", "nbf", "iat",
                "auth_time", "acr", "act", "cnf", "typ", "token_use", "token_usage", "purpose", "tokenName",
                "token_type", "username", "nonce", "x",
            ]),
            any_json(),
            0..3,
        ),
    ) {
        let answer = answer_with(json!(changes));
        for policy in policies() {
            let Ok(Answer::Active(token)) = Answer::read(answer.to_string().as_bytes()) else {
                continue;
            };
            let json = token.json().to_owned();
            let facts = token.into_facts(TOKEN, &policy, now());
            if let Ok(facts) = &facts {
                let by_ref = facts.judge_ref(&policy, now()).map(seen);
                let by_value = facts.clone().judge(&policy, now());
                prop_assert_eq!(by_ref, by_value.as_ref().map(seen).map_err(|fault| *fault));
            }
            let first = facts.and_then(|facts| facts.judge(&policy, now()));
            if let Ok(principal) = &first {
                prop_assert_eq!(principal.issuer(), ISSUER);
                prop_assert!(principal.subject().is_some() || principal.client_id().is_some());
                prop_assert!(principal.expires_at().as_secs() > NOW - 30);
                let mut audience = principal.audience().peekable();
                prop_assert!(audience.peek().is_none() || audience.any(|named| named == AUDIENCE));
            }
            // Kept as text and read again, an answer says the same.
            let second = again(&json, &policy);
            prop_assert_eq!(first.as_ref().map(seen), second.as_ref().map(seen));
        }
    }

    #[test]
    fn no_text_makes_a_signed_answer_panic(text in any::<String>()) {
        let keys = signer(Algorithm::EdDSA).keys();
        prop_assert!(Answer::verify(&text, &keys, &policy(), "me", now(), now()).is_err());
    }

    #[test]
    fn no_signed_claims_make_a_signed_answer_panic(claims in any_json()) {
        let signer = signer(Algorithm::EdDSA);
        let jwt = signer.token_with(json!({ "typ": "token-introspection+jwt" }), &claims);
        prop_assert!(Answer::verify(&jwt, &signer.keys(), &policy(), "me", now(), now()).is_err());
    }

    #[test]
    fn times_at_the_ends_do_not_overflow(
        asked_at in prop::sample::select(vec![i64::MIN, 0, i64::MAX]),
        at in prop::sample::select(vec![i64::MIN, 0, i64::MAX]),
        lifetime in prop::sample::select(vec![Duration::ZERO, Duration::MAX]),
    ) {
        let policy = policy().leeway(lifetime).max_lifetime(lifetime).assume_lifetime(lifetime);
        let token = active(&answer_with(json!({ "exp": null })));
        let facts = token.into_facts(TOKEN, &policy, Timestamp::from_millis(asked_at)).unwrap();
        let _ = facts.judge(&policy, Timestamp::from_millis(at));
    }
}
