//! A set of keys, as an issuer publishes it: every entry is used or skipped, none for an algorithm that is not allowed, and a
//! token is good only with a set that has the key in it.

use gateless::bearer::{Algorithm, KeySet};
use gateless_jwt::Unverified;
use serde_json::{Value, json};

use crate::Target;
use crate::kit;

pub(crate) const TARGET: Target = Target {
    name: "jwks",
    run,
    made,
    words: &[
        "\"keys\":",
        "\"kty\":",
        "\"OKP\"",
        "\"RSA\"",
        "\"EC\"",
        "\"oct\"",
        "\"crv\":",
        "\"Ed25519\"",
        "\"Ed448\"",
        "\"P-256\"",
        "\"P-384\"",
        "\"alg\":",
        "\"EdDSA\"",
        "\"ES256\"",
        "\"RS256\"",
        "\"HS256\"",
        "\"use\":\"enc\"",
        "\"use\":\"sig\"",
        "\"key_ops\":[",
        "\"verify\"",
        "\"kid\":",
        "\"d\":",
        "\"k\":",
        "\"x5c\":[]",
        "\"AQAB\"",
        "\"e\":",
        "\"n\":",
        "null",
        "{",
        "}",
        "[",
        "]",
        ",",
        "=",
        "AAAA",
    ],
    rounds: 20_000,
};

const ASYMMETRIC: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Checks what comes of this as a document with keys.
pub(crate) fn run(data: &[u8]) -> bool {
    let mut is_good = false;
    for allowed in [
        &ASYMMETRIC[..],
        &[Algorithm::EdDSA],
        &[Algorithm::ES256, Algorithm::HS256],
    ] {
        let Ok(set) = KeySet::from_json(data, allowed) else {
            continue;
        };
        let document: Value =
            serde_json::from_slice(data).expect("keys of something that is no JSON");
        let entries = document["keys"].as_array().unwrap();
        assert_eq!(set.keys().len() + set.skipped().len(), entries.len());
        for key in set.keys() {
            assert!(allowed.contains(&key.algorithm()), "{}", key.algorithm());
            assert!(
                ASYMMETRIC.contains(&key.algorithm()),
                "a secret out of a document"
            );
        }
        let ids: Vec<_> = set
            .keys()
            .iter()
            .filter_map(|key| key.id())
            .map(str::to_owned)
            .collect();
        let token = Unverified::parse(&kit::good_tokens()[0]).unwrap();
        if token.verify(&set, &kit::policy()).is_ok() {
            assert!(
                entries.iter().any(may_sign),
                "a token is good with keys of others, or with one that is for something else"
            );
            assert!(allowed.contains(&Algorithm::EdDSA));
            is_good = true;
        } else {
            // Plainly there, and nothing beside it that could be meant.
            let is_named = |it: &&Value| it["kid"] == "k1";
            let is_there = entries.contains(&kit::jwks()["keys"][0])
                && entries.iter().filter(is_named).count() == 1
                && allowed.contains(&Algorithm::EdDSA);
            assert!(!is_there, "a good token is refused");
        }
        // What is refused by its id vouches for nothing.
        let refusing = set
            .clone()
            .succeeding(&set)
            .refusing(ids.iter().map(String::as_str).chain(["k1"]));
        let token = Unverified::parse(&kit::good_tokens()[0]).unwrap();
        assert!(token.verify(&refusing, &kit::policy()).is_err());
    }
    is_good
}

/// The entry is our key, by the name that stands in the token, and for signatures of its kind.
fn may_sign(entry: &Value) -> bool {
    let is = |name: &str, allowed: &[&str]| match &entry[name] {
        Value::Null => true,
        value => allowed.iter().any(|one| value == one),
    };
    let ops = &entry["key_ops"];
    entry["kty"] == "OKP"
        && entry["crv"] == "Ed25519"
        && entry["x"] == *kit::public()
        && entry["kid"] == "k1"
        && is("alg", &["EdDSA", "Ed25519"])
        && is("use", &["sig"])
        && (ops.is_null()
            || ops
                .as_array()
                .is_some_and(|ops| ops.contains(&"verify".into())))
}

fn made() -> Vec<Vec<u8>> {
    let ours = kit::jwks()["keys"][0].clone();
    let p256 = json!({
        "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "p",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let secret =
        json!({"kty": "oct", "alg": "HS256", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr8"});
    let with = |name: &str, value: Value| {
        let mut key = ours.clone();
        key[name] = value;
        json!({"keys": [key]})
    };
    [
        json!({"keys": [ours]}),
        with("use", "enc".into()),
        with("alg", "ES256".into()),
        with("kid", "k2".into()),
        with("key_ops", json!(["sign"])),
        with("key_ops", json!(["verify"])),
        with("crv", "X25519".into()),
        with("x", "AA".into()),
        json!({"keys": [p256, ours, secret]}),
        json!({"keys": [p256, {"kty": "RSA"}, 1, null, {"kty": "OKP", "crv": "Ed448", "x": "AA"}], "x": {}}),
        json!({"keys": []}),
    ]
    .map(|document| document.to_string().into_bytes())
    .into()
}
