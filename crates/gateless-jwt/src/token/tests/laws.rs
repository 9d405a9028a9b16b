//! What holds for every token.

use super::*;

fn good() -> &'static (String, KeySet) {
    static GOOD: std::sync::OnceLock<(String, KeySet)> = std::sync::OnceLock::new();
    GOOD.get_or_init(|| (issuer().token(&claims()), issuer().keys()))
}

#[test]
fn tc_17_every_single_byte_of_a_token_counts() {
    let (token, keys) = good();
    for at in 0..token.len() {
        let mut removed = token.clone();
        let byte = removed.remove(at);
        assert!(authenticate(&removed, keys, &policy()).is_err());
        for other in [b'A', b'-', b'_', b'.', b'=', b' ', 0, byte as u8 ^ 1] {
            let mut changed = token.clone().into_bytes();
            changed[at] = other;
            let changed = String::from_utf8(changed).unwrap();
            let mut inserted = token.clone();
            inserted.insert(at, char::from(other));
            let same = changed == *token;
            assert_eq!(authenticate(&changed, keys, &policy()).is_ok(), same);
            assert!(authenticate(&inserted, keys, &policy()).is_err());
        }
    }
}

proptest! {
    #[test]
    fn tc_17_no_text_makes_the_parser_panic(text in any::<String>()) {
        prop_assert!(Unverified::parse(&text).is_err());
    }

    #[test]
    fn tc_17_no_dotted_text_makes_the_parser_panic(
        text in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}(\\.[a-z]{0,3}){0,3}"
    ) {
        prop_assert!(Unverified::parse(&text).is_err());
    }

    #[test]
    fn tc_17_no_signed_bytes_make_the_parser_panic(
        header in prop::collection::vec(any::<u8>(), 0..64),
        payload in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        prop_assert!(strict(&issuer().sign(header, payload)).is_err());
    }

    #[test]
    fn tc_17_no_odd_claims_make_the_verification_panic(
        name in prop::sample::select(vec![
            "iss", "sub", "client_id", "azp", "jti", "sid", "aud", "scope", "scp", "exp", "nbf", "iat",
            "auth_time", "acr", "act", "cnf", "typ", "token_use", "x",
        ]),
        value in crate::jwk::tests::any_json(),
    ) {
        let token = issuer().token(&claims_with(json!({ name: value })));
        // Whatever comes out: what is accepted is still what was asked for.
        for principal in [strict(&token), lax(&token)].into_iter().flatten() {
            prop_assert_eq!(principal.issuer(), ISSUER);
            prop_assert!(principal.audience().any(|aud| aud == AUDIENCE));
            prop_assert!(principal.expires_at().as_secs() > NOW - 30);
        }
    }

    #[test]
    fn a_token_with_one_byte_changed_is_refused(
        at in any::<prop::sample::Index>(),
        byte in 0_u8..0x80,
    ) {
        let (token, keys) = good();
        let mut changed = token.clone().into_bytes();
        changed[at.index(token.len())] = byte;
        let changed = String::from_utf8(changed).unwrap();
        let same = changed == *token;
        prop_assert_eq!(authenticate(&changed, keys, &policy()).is_ok(), same);
    }

    #[test]
    fn a_payload_with_one_byte_changed_is_refused(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (token, keys) = good();
        let [header, payload, signature] = segments(token);
        let mut payload = crate::base64url::decode(payload.as_bytes()).unwrap();
        let at = at.index(payload.len());
        prop_assume!(payload[at] != byte);
        payload[at] = byte;
        let changed = format!("{header}.{}.{signature}", encode(payload));
        prop_assert!(authenticate(&changed, keys, &policy()).is_err());
    }
}
