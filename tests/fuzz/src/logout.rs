//! A logout token: behind `S` as it comes, behind `C` its claims under a good signature.
//!
//! Nobody is signed out by a token that is not ours; and by one that is, only who stands in it.

use std::sync::LazyLock;

use gateless_core::Revocation;
use gateless_jwt::{Algorithm, LogoutPolicy, LogoutToken};
use serde_json::{Value, json};

use crate::Target;
use crate::kit;

pub(crate) const TARGET: Target = Target {
    name: "logout",
    run,
    made,
    words: crate::claims::WORDS,
    rounds: 8_000,
};

const CLIENT: &str = "orders-web";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

static POLICY: LazyLock<LogoutPolicy> =
    LazyLock::new(|| LogoutPolicy::new(kit::ISSUER, CLIENT).algorithms([Algorithm::EdDSA]));

/// Checks what comes of this.
pub(crate) fn run(data: &[u8]) -> bool {
    match data.split_first() {
        Some((b'S', token)) => {
            let Ok(token) = std::str::from_utf8(token) else {
                return false;
            };
            // The last one is an ID token.
            let is_ours = ours()[..3].iter().any(|one| one == token);
            assert_eq!(
                verify(token).is_some(),
                is_ours,
                "a token that nobody signed signs somebody out, or one of ours does not"
            );
            is_ours
        }
        Some((b'C', claims)) => judge(claims),
        _ => false,
    }
}

fn verify(token: &str) -> Option<LogoutToken> {
    LogoutToken::verify(token, kit::keys(), &POLICY, kit::now()).ok()
}

fn judge(claims: &[u8]) -> bool {
    let Some(token) = verify(&kit::sign(&kit::header("logout+jwt"), claims)) else {
        return false;
    };
    let said = kit::plain(claims).expect("claims that are no JSON, or say something twice");
    assert_eq!(said["iss"], kit::ISSUER);
    let for_us = said["aud"] == CLIENT
        || said["aud"]
            .as_array()
            .is_some_and(|all| all.contains(&CLIENT.into()));
    assert!(for_us, "for somebody else");
    assert!(said["events"][EVENT].is_object(), "no logout");
    assert!(
        said.get("nonce").is_none(),
        "an ID token signs somebody out"
    );
    assert_eq!(said["jti"], token.token_id());
    let of = |name: &str| said[name].as_str();
    assert_eq!(of("sid"), token.session_id());
    assert_eq!(of("sub"), token.subject());
    assert!(token.session_id().or(token.subject()).is_some());
    // The session where it is named, or else the subject until then: one of them, and no more.
    let one = match (of("sid"), of("sub")) {
        (Some(sid), _) => Revocation::session(kit::ISSUER, sid),
        (None, subject) => {
            Revocation::subject(kit::ISSUER, subject.unwrap()).issued_until(token.issued_at())
        }
    };
    assert_eq!(token.revocations(), [one]);
    let (issued, end) = (said["iat"].as_f64().unwrap(), said["exp"].as_f64().unwrap());
    // Ten minutes by default: it may come late, and again.
    assert!(
        (issued - 1_750_000_000.0).abs() < 601.0,
        "too old, or from the future"
    );
    assert!(end + kit::LEEWAY > 1_749_999_999.0, "it has ended");
    true
}

fn all() -> Vec<Value> {
    let with = |changes: Value| {
        let mut claims = json!({
            "iss": kit::ISSUER, "aud": CLIENT, "iat": kit::NOW, "exp": kit::NOW + 120, "jti": "logout-1", "events": {EVENT: {}},
        });
        claims
            .as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        claims
    };
    vec![
        with(json!({"sub": "user-1", "sid": "session-1"})),
        with(json!({"sub": "user-1"})),
        with(json!({"sid": "session-1", "aud": [CLIENT]})),
        with(json!({"sid": "session-1", "nonce": "n"})),
    ]
}

fn ours() -> &'static [String] {
    static OURS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let sign =
            |claims: &Value| kit::sign(&kit::header("logout+jwt"), claims.to_string().as_bytes());
        all().iter().map(sign).collect()
    });
    &OURS
}

fn made() -> Vec<Vec<u8>> {
    let claims = all().into_iter().map(|claims| format!("C{claims}"));
    let tokens = ours().iter().map(|token| format!("S{token}"));
    let first = &all()[0];
    let twice = [
        ("sub", json!("admin")),
        ("aud", json!("other")),
        ("events", json!({})),
        ("nonce", json!(1)),
    ];
    let twice = twice.map(|(name, value)| format!("C{}", kit::twice(first, name, &value)));
    let others = [
        ("aud", json!("other")),
        ("iss", json!("https://other.example.com")),
        ("events", json!({})),
        ("exp", json!(kit::NOW - 100)),
        ("iat", json!(kit::NOW + 602)),
        ("iat", json!(kit::NOW - 602)),
        ("exp", json!(null)),
        ("sid", json!(7)),
    ];
    let others = others.map(|(name, value)| {
        let mut claims = first.clone();
        claims[name] = value;
        format!("C{claims}")
    });
    let claims = claims.chain(twice).chain(others);
    claims.chain(tokens).map(String::into_bytes).collect()
}
