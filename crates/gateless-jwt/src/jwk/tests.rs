//! Sets of keys: what is taken, what is skipped, and what spoils the set.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::testing::{Signer, authenticate, claims, encode, key_set, merged, policy, signer};

fn read(jwks: &[Value]) -> Result<KeySet, KeySetError> {
    KeySet::from_json(
        json!({ "keys": jwks }).to_string().as_bytes(),
        &Algorithm::ALL,
    )
}

/// Why a key is not used, in a set with another key that is.
fn skipped(jwk: Value) -> Option<SkipReason> {
    let set = read(&[jwk, signer(Algorithm::EdDSA).jwk()]).unwrap();
    match set.skipped() {
        [] => None,
        [only] => {
            assert_eq!((only.index, set.keys().len()), (0, 1));
            assert_eq!(set.keys()[0].algorithm(), Algorithm::EdDSA);
            Some(only.reason)
        }
        more => panic!("{more:?}"),
    }
}

fn rsa() -> Value {
    merged(signer(Algorithm::RS256).jwk(), json!({ "kid": "other" }))
}

fn ec() -> Value {
    merged(signer(Algorithm::ES256).jwk(), json!({ "kid": "other" }))
}

fn ed25519() -> Value {
    let other = Signer::generate(Algorithm::EdDSA);
    merged(other.jwk(), json!({ "kid": "other" }))
}

#[test]
fn every_public_key_is_read_and_verifies() {
    for algorithm in Algorithm::ALL {
        if algorithm.family() == Family::Hmac {
            continue;
        }
        let issuer = signer(algorithm);
        let set = read(&[issuer.jwk()]).unwrap();
        assert_eq!(set.keys()[0].algorithm(), algorithm);
        assert_eq!(set.keys()[0].id(), Some(&*issuer.id()));
        assert!(set.skipped().is_empty());
        assert!(authenticate(&issuer.token(&claims()), &set, &policy()).is_ok());
    }
}

#[rstest]
#[case::same_algorithm("EdDSA", true)]
#[case::another_name_of_it("Ed25519", true)]
fn te_21_keys_with_one_id_and_one_algorithm_are_both_tried(#[case] alg: &str, #[case] ok: bool) {
    let (first, second) = (
        Signer::generate(Algorithm::EdDSA),
        Signer::generate(Algorithm::EdDSA),
    );
    let keys = key_set(&[first.jwk(), merged(second.jwk(), json!({ "alg": alg }))]);
    for issuer in [first, second] {
        let result = authenticate(&issuer.token(&claims()), &keys, &policy());
        assert_eq!(result.is_ok(), ok);
    }
}

#[test]
fn te_21_keys_with_one_id_and_two_algorithms_spoil_the_set() {
    let jwks = |algorithms: [Algorithm; 2]| {
        algorithms.map(|algorithm| merged(signer(algorithm).jwk(), json!({ "kid": "same" })))
    };
    for pair in [
        [Algorithm::RS256, Algorithm::PS256],
        [Algorithm::ES256, Algorithm::ES384],
        [Algorithm::RS256, Algorithm::EdDSA],
    ] {
        assert_eq!(read(&jwks(pair)).unwrap_err(), KeySetError::AmbiguousId);
    }
    // One that is skipped anyway does no harm.
    let [first, second] = jwks([Algorithm::ES256, Algorithm::RS256]);
    let second = merged(second, json!({ "use": "enc" }));
    assert!(read(&[first.clone(), second]).is_ok());
    // Keys without an id are not the same.
    let [mut first, mut second] = jwks([Algorithm::ES256, Algorithm::RS256]);
    first.as_object_mut().unwrap().remove("kid");
    second.as_object_mut().unwrap().remove("kid");
    assert_eq!(read(&[first, second]).unwrap().keys().len(), 2);
}

#[rstest]
#[case::te_22(json!({ "use": "enc" }), Some(SkipReason::OtherUse))]
#[case::te_22(json!({ "use": "" }), Some(SkipReason::OtherUse))]
#[case::te_22(json!({ "use": "SIG" }), Some(SkipReason::OtherUse))]
#[case::te_22(json!({ "use": 7 }), Some(SkipReason::Malformed))]
#[case::te_22(json!({ "key_ops": ["sign"] }), Some(SkipReason::OtherUse))]
#[case::te_22(json!({ "key_ops": [] }), Some(SkipReason::OtherUse))]
#[case::te_22(json!({ "key_ops": ["encrypt", "wrapKey"] }), Some(SkipReason::OtherUse))]
#[case::te_22(json!({ "key_ops": "verify" }), Some(SkipReason::Malformed))]
#[case::te_22(json!({ "key_ops": ["verify"], "use": "enc" }), Some(SkipReason::OtherUse))]
#[case::te_22(json!({ "key_ops": ["sign", "verify"] }), None)]
#[case::te_24(json!({ "alg": "RS512", "kty": "EC" }), Some(SkipReason::AlgorithmNotAllowed))]
#[case::te_24(json!({ "alg": "ES384" }), Some(SkipReason::AlgorithmNotAllowed))]
#[case::te_24(json!({ "alg": "none" }), Some(SkipReason::AlgorithmNotAllowed))]
#[case::te_24(json!({ "alg": "HS256" }), Some(SkipReason::AlgorithmNotAllowed))]
#[case::te_24(json!({ "alg": "es256" }), Some(SkipReason::AlgorithmNotAllowed))]
#[case::te_24(json!({ "alg": "ECDH-ES" }), Some(SkipReason::AlgorithmNotAllowed))]
#[case::te_24(json!({ "alg": null }), Some(SkipReason::Malformed))]
#[case::te_25(json!({ "kty": "AKP" }), Some(SkipReason::UnknownType))]
#[case::te_25(json!({ "kty": "ec" }), Some(SkipReason::UnknownType))]
#[case::te_25(json!({ "kty": "OKP" }), Some(SkipReason::UnknownType))]
#[case::te_25(json!({ "kty": null }), Some(SkipReason::Malformed))]
#[case::te_25(json!({ "crv": "P-521" }), Some(SkipReason::UnknownType))]
#[case::te_25(json!({ "crv": "secp256k1" }), Some(SkipReason::UnknownType))]
#[case::te_25(json!({ "crv": 256 }), Some(SkipReason::Malformed))]
#[case::te_25(json!({ "kid": "" }), Some(SkipReason::Malformed))]
#[case::te_25(json!({ "kid": 7 }), Some(SkipReason::Malformed))]
#[case::te_25(json!({ "kid": "k".repeat(257) }), Some(SkipReason::Malformed))]
#[case::te_25(json!({ "future": { "a": [1, null] }, "exp": 7 }), None)]
#[case::te_26(json!({ "x": "" }), Some(SkipReason::InvalidPoint))]
#[case::te_26(json!({ "x": "AQ" }), Some(SkipReason::InvalidPoint))]
#[case::te_26(json!({ "x": encode([0; 33]) }), Some(SkipReason::InvalidPoint))]
#[case::te_26(json!({ "x": encode([0; 32]), "y": encode([0; 32]) }), Some(SkipReason::InvalidPoint))]
#[case::te_26(json!({ "y": encode([1; 32]) }), Some(SkipReason::InvalidPoint))]
#[case::te_26(json!({ "x": encode([0xff; 32]), "y": encode([0xff; 32]) }), Some(SkipReason::InvalidPoint))]
#[case::te_26(json!({ "x": null }), Some(SkipReason::Malformed))]
#[case::te_26(json!({ "y": "!!" }), Some(SkipReason::Malformed))]
#[case::te_26(json!({ "crv": "P-384", "alg": "ES384" }), Some(SkipReason::InvalidPoint))]
fn what_is_wrong_with_one_key_skips_that_key(
    #[case] changes: Value,
    #[case] reason: Option<SkipReason>,
) {
    let result = skipped_or_used(merged(ec(), changes));
    assert_eq!(result, reason);
}

/// Like [`skipped`], for keys that may be good.
fn skipped_or_used(jwk: Value) -> Option<SkipReason> {
    let set = read(&[jwk.clone(), signer(Algorithm::EdDSA).jwk()]).unwrap();
    if set.skipped().is_empty() {
        assert_eq!(set.keys().len(), 2);
        return None;
    }
    skipped(jwk)
}

#[test]
fn te_26_a_missing_coordinate_or_number_skips_the_key() {
    for (jwk, names) in [
        (ec(), &["x", "y", "crv", "kty"][..]),
        (rsa(), &["n", "e", "kty"]),
        (ed25519(), &["x", "crv", "kty"]),
    ] {
        for name in names {
            let mut jwk = jwk.clone();
            jwk.as_object_mut().unwrap().remove(*name).unwrap();
            let expected = match *name {
                "crv" => SkipReason::UnknownType,
                _ => SkipReason::Malformed,
            };
            assert_eq!(skipped(jwk), Some(expected), "{name}");
        }
    }
}

#[test]
fn te_26_coordinates_are_not_padded_or_cut() {
    // A point whose x starts with a zero byte is written with it.
    let issuer = (0..)
        .map(|_| Signer::generate(Algorithm::ES256))
        .find(|signer| signer.jwk()["x"].as_str().unwrap().starts_with("AA"))
        .unwrap();
    let jwk = merged(issuer.jwk(), json!({ "kid": "other" }));
    assert_eq!(skipped_or_used(jwk.clone()), None);
    let x = base64url::decode(jwk["x"].as_str().unwrap().as_bytes()).unwrap();
    let cut = merged(jwk.clone(), json!({ "x": encode(&x[1..]) }));
    assert_eq!(skipped(cut), Some(SkipReason::InvalidPoint));
    // Nor do they lend each other a byte.
    let y = base64url::decode(jwk["y"].as_str().unwrap().as_bytes()).unwrap();
    let both = [x, y].concat();
    let (x, y) = both.split_at(31);
    let lent = merged(jwk, json!({ "x": encode(x), "y": encode(y) }));
    assert_eq!(skipped(lent), Some(SkipReason::InvalidPoint));
}

#[rstest]
#[case::of_small_order(&[0; 32])]
#[case::the_neutral_element(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]
#[case::not_reduced(&[0xff; 32])]
#[case::too_short(&[0x42; 31])]
#[case::too_long(&[0x42; 33])]
#[case::empty(&[])]
fn tc_06_te_26_an_ed25519_key_that_is_none_is_skipped(#[case] x: &[u8]) {
    let jwk = merged(ed25519(), json!({ "x": encode(x) }));
    assert_eq!(skipped(jwk), Some(SkipReason::InvalidPoint));
}

/// aws-lc-rs decompresses an Ed25519 key only when it verifies: such a key gets into the set there, and is of no use.
#[test]
fn te_26_an_ed25519_key_off_the_curve_verifies_nothing() {
    // y = 2 is on no point: (y² − 1) / (d y² + 1) is not a square.
    let mut x = [0; 32];
    x[0] = 2;
    let jwk = merged(ed25519(), json!({ "x": encode(x) }));
    let set = read(&[jwk, signer(Algorithm::ES256).jwk()]).unwrap();
    let skipped = usize::from(!cfg!(feature = "aws_lc_rs"));
    assert_eq!(set.skipped().len(), skipped);
    for key in set.keys() {
        for signature in [[0; 64], [1; 64], [0x10; 64]] {
            assert!(!key.verify(b"message", &signature));
        }
    }
}

#[test]
fn tc_07_tc_08_an_rsa_key_has_a_sound_size_and_exponent() {
    let modulus = signer(Algorithm::RS256).modulus();
    let sized = |bits: usize| {
        let mut number = vec![0xa5; bits.div_ceil(8)];
        number[0] = 1 << ((bits - 1) % 8);
        number
    };
    let mut even = modulus.clone();
    *even.last_mut().unwrap() &= 0xfe;
    let weak = Some(SkipReason::Weak);
    for (n, e, reason) in [
        (modulus.clone(), vec![1, 0, 1], None),
        (modulus.clone(), vec![0, 1, 0, 1], None),
        ([&[0], &modulus[..]].concat(), vec![1, 0, 1], None),
        (modulus.clone(), vec![3], None),
        (modulus.clone(), vec![0xff, 0xff, 0xff, 0xff], None),
        (modulus.clone(), vec![1], weak),
        (modulus.clone(), vec![0], weak),
        (modulus.clone(), vec![], weak),
        (modulus.clone(), vec![2], weak),
        (modulus.clone(), vec![1, 0, 0], weak),
        (modulus.clone(), vec![1, 0, 0, 0, 1], weak),
        (even, vec![1, 0, 1], weak),
        (sized(1024), vec![1, 0, 1], weak),
        (sized(2047), vec![1, 0, 1], weak),
        (sized(2048), vec![1, 0, 1], None),
        (sized(4096), vec![1, 0, 1], None),
        (sized(8193), vec![1, 0, 1], weak),
        (sized(16_384), vec![1, 0, 1], weak),
        (vec![], vec![1, 0, 1], weak),
        (vec![0; 256], vec![1, 0, 1], weak),
    ] {
        let jwk = merged(rsa(), json!({ "n": encode(&n), "e": encode(&e) }));
        let bits = n.len() * 8;
        assert_eq!(skipped_or_used(jwk), reason, "{bits} bits, exponent {e:?}");
    }
    // The `rsa` crate ends at 4096 bits.
    let largest = merged(rsa(), json!({ "n": encode(sized(8192)), "e": "AQAB" }));
    let reason = if cfg!(feature = "aws_lc_rs") {
        None
    } else {
        weak
    };
    assert_eq!(skipped_or_used(largest), reason);
}

#[test]
fn te_23_secrets_are_never_taken_from_a_document() {
    let secret = signer(Algorithm::HS256).jwk();
    assert_eq!(skipped(secret.clone()), Some(SkipReason::Symmetric));
    let Err(KeySetError::NoUsableKey { skipped }) = read(&[secret]) else {
        panic!("a secret was taken");
    };
    assert_eq!(
        skipped,
        [SkippedKey {
            index: 0,
            reason: SkipReason::Symmetric
        }]
    );
}

#[test]
fn te_23_what_a_document_exposes_is_told() {
    let jwk = signer(Algorithm::ES256).jwk();
    let private = merged(jwk.clone(), json!({ "kid": "other", "d": encode([7; 32]) }));
    let secret = signer(Algorithm::HS256).jwk();
    let set = read(&[jwk, private, secret]).unwrap();
    assert_eq!(set.exposed(), [1, 2]);
}

#[test]
fn te_23_private_members_are_ignored() {
    let issuer = signer(Algorithm::ES256);
    let private = merged(issuer.jwk(), json!({ "d": encode([7; 32]) }));
    let keys = key_set(&[private]);
    assert!(authenticate(&issuer.token(&claims()), &keys, &policy()).is_ok());
    assert!(!format!("{keys:?}").contains("BwcH"));
}

#[test]
fn te_24_a_key_without_alg_is_for_the_one_algorithm_that_is_allowed() {
    for (algorithm, others) in [
        (Algorithm::RS256, &[Algorithm::PS256, Algorithm::RS384][..]),
        (Algorithm::PS512, &[Algorithm::RS256]),
        (Algorithm::ES256, &[]),
        (Algorithm::ES384, &[]),
        (Algorithm::EdDSA, &[]),
    ] {
        let mut jwk = signer(algorithm).jwk();
        jwk.as_object_mut().unwrap().remove("alg");
        let document = json!({ "keys": [jwk] }).to_string();
        let read = |allowed: &[Algorithm]| KeySet::from_json(document.as_bytes(), allowed);
        let reason = |result: Result<KeySet, KeySetError>| match result {
            Err(KeySetError::NoUsableKey { skipped }) => skipped[0].reason,
            other => panic!("{other:?}"),
        };
        let set = read(&[algorithm, Algorithm::HS256]).unwrap();
        assert_eq!(set.keys()[0].algorithm(), algorithm);
        for other in others {
            assert_eq!(
                reason(read(&[algorithm, *other])),
                SkipReason::AlgorithmAmbiguous
            );
        }
        // CVE-2026-44699: an asymmetric key never becomes one for HMAC.
        assert_eq!(
            reason(read(&[Algorithm::HS256])),
            SkipReason::AlgorithmNotAllowed
        );
        assert_eq!(reason(read(&[])), SkipReason::AlgorithmNotAllowed);
    }
}

#[test]
fn te_25_entries_that_are_no_objects_are_skipped() {
    for entry in [json!(null), json!(7), json!("key"), json!([]), json!({})] {
        assert_eq!(skipped(entry), Some(SkipReason::Malformed));
    }
}

#[test]
fn te_27_certificates_in_a_key_are_ignored() {
    let issuer = signer(Algorithm::RS256);
    let jwk = merged(
        issuer.jwk(),
        json!({ "x5c": ["MIIB"], "x5t": "a", "x5u": "http://169.254.169.254/", "x5t#S256": 7 }),
    );
    let keys = key_set(&[jwk]);
    assert!(authenticate(&issuer.token(&claims()), &keys, &policy()).is_ok());
}

#[rstest]
#[case::te_10(b"")]
#[case::te_10(b"{")]
#[case::te_10(b"{}")]
#[case::te_10(b"[]")]
#[case::te_10(b"null")]
#[case::te_10(b"<html>")]
#[case::te_10(b"{\"keys\":{}}")]
#[case::te_10(b"{\"keys\":null}")]
#[case::te_10(b"{\"keys\":[]} {}")]
#[case::te_10(b"\xff\xfe")]
fn what_is_no_set_is_refused(#[case] document: &[u8]) {
    assert_eq!(
        KeySet::from_json(document, &Algorithm::ALL).unwrap_err(),
        KeySetError::Malformed
    );
}

#[test]
fn te_10_a_set_without_keys_is_not_one() {
    assert_eq!(
        read(&[]).unwrap_err(),
        KeySetError::NoUsableKey { skipped: vec![] }
    );
}

#[test]
fn te_15_a_set_has_limits() {
    let jwk = ec();
    let with = |count: usize| {
        let jwks: Vec<_> = (0..count)
            .map(|index| merged(jwk.clone(), json!({ "kid": format!("{index}") })))
            .collect();
        read(&jwks)
    };
    assert_eq!(with(MAX_KEYS).unwrap().keys().len(), MAX_KEYS);
    assert_eq!(with(MAX_KEYS + 1).unwrap_err(), KeySetError::TooManyKeys);

    let document = json!({ "keys": [jwk] }).to_string();
    let padded = |length: usize| document.clone() + &" ".repeat(length - document.len());
    assert!(KeySet::from_json(padded(MAX_DOCUMENT).as_bytes(), &Algorithm::ALL).is_ok());
    assert_eq!(
        KeySet::from_json(padded(MAX_DOCUMENT + 1).as_bytes(), &Algorithm::ALL).unwrap_err(),
        KeySetError::TooLarge
    );
    let deep = "[".repeat(MAX_DOCUMENT);
    assert!(KeySet::from_json(deep.as_bytes(), &Algorithm::ALL).is_err());
}

/// JSON of any form, with the names and values that keys and tokens use.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "RSA",
            "EC",
            "OKP",
            "oct",
            "P-256",
            "P-384",
            "Ed25519",
            "RS256",
            "ES256",
            "EdDSA",
            "sig",
            "enc",
            "verify",
            "AQAB",
            "AQ",
            "",
            "a b",
            "https://idp.example.com",
            "https://api.example.com",
            "Bearer",
            "Refresh",
        ])
        .prop_map(str::to_owned),
        prop::collection::vec(any::<u8>(), 0..70).prop_map(encode),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-10_000_000_000_i64..10_000_000_000).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let name = prop_oneof![
        "[a-z_]{0,4}",
        prop::sample::select(vec![
            "keys", "kty", "crv", "alg", "use", "key_ops", "kid", "n", "e", "x", "y", "k", "d",
            "sub", "iss", "act",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn tc_17_no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(KeySet::from_json(&bytes, &Algorithm::ALL).is_err());
    }

    #[test]
    fn tc_17_no_json_makes_the_reader_panic(json in any_json(), keys in prop::collection::vec(any_json(), 0..4)) {
        let _ = KeySet::from_json(json.to_string().as_bytes(), &Algorithm::ALL);
        let _ = read(&keys);
    }

    #[test]
    fn tc_17_no_odd_member_makes_the_reader_panic(
        which in 0_usize..3,
        name in prop::sample::select(vec!["kty", "crv", "alg", "use", "key_ops", "kid", "n", "e", "x", "y", "d"]),
        value in any_json(),
    ) {
        let jwk = match which {
            0 => rsa(),
            1 => ec(),
            _ => merged(signer(Algorithm::EdDSA).jwk(), json!({ "kid": "other" })),
        };
        let set = read(&[merged(jwk, json!({ name: value })), signer(Algorithm::ES384).jwk()]);
        // At worst the odd key is skipped.
        prop_assert!(set.is_ok_and(|set| set.keys().len() + set.skipped().len() == 2));
    }
}
