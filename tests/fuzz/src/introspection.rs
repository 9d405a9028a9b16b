//! What an authorization server answers about a token: plain, and signed. The first byte of the input says which.
//!
//! A caller comes of an answer only where the plain reading of another parser finds an active token for this service. A signed
//! answer is read only when it is one of ours, whatever else is done to it.

use std::sync::LazyLock;

use gateless_jwt::{Algorithm, Answer, AnswerFault, IntrospectionPolicy};
use serde_json::{Value, json};

use crate::Target;
use crate::claims::are_good;
use crate::kit;

pub(crate) const TARGET: Target = Target {
    name: "introspection",
    run,
    made,
    words: crate::claims::WORDS,
    rounds: 20_000,
};

const RECIPIENT: &str = "orders-service";
const TOKEN: &str = "an-opaque-token";

static POLICY: LazyLock<IntrospectionPolicy> = LazyLock::new(|| {
    IntrospectionPolicy::new(kit::ISSUER, kit::AUDIENCE).algorithms([Algorithm::EdDSA])
});

/// Checks what comes of this: behind `P` a plain answer, behind `E` the claims around a signed one, behind `S` a signed one.
pub(crate) fn run(data: &[u8]) -> bool {
    match data.split_first() {
        Some((b'P', body)) => plain(body),
        Some((b'E', claims)) => envelope(claims),
        Some((b'S', jwt)) => signed(jwt),
        _ => false,
    }
}

fn plain(body: &[u8]) -> bool {
    let Ok(answer) = Answer::read(body) else {
        return false;
    };
    let said = kit::plain(body).expect("an answer that is no JSON, or says something twice");
    assert_eq!(said["active"], matches!(answer, Answer::Active(_)));
    judge(answer, &said)
}

/// `said` is the same, as another parser reads it.
fn judge(answer: Answer, said: &Value) -> bool {
    let Answer::Active(active) = answer else {
        return false;
    };
    let kept: Value = serde_json::from_str(active.json()).unwrap();
    assert_eq!(kept, *said);
    let again = Answer::read(active.json().as_bytes());
    let Ok(Answer::Active(again)) = again else {
        panic!("what is kept cannot be read again");
    };
    let facts = active.into_facts(TOKEN, &POLICY, kit::now());
    let from_cache = again.into_facts(TOKEN, &POLICY, kit::now());
    let (Ok(facts), Ok(from_cache)) = (&facts, &from_cache) else {
        assert_eq!(facts.err(), from_cache.err());
        return false;
    };
    let judged = facts.clone().judge(&POLICY, kit::now());
    let by_cache = from_cache.clone().judge(&POLICY, kit::now());
    let principal = match (judged, by_cache) {
        (Ok(principal), Ok(other)) => {
            assert_eq!(principal.subject(), other.subject());
            principal
        }
        (one, other) => {
            assert_eq!(one.err(), other.err());
            return false;
        }
    };
    are_good(said);
    assert!(
        said.get("iss")
            .is_none_or(|issuer| issuer.is_null() || issuer == kit::ISSUER)
    );
    let kind = said.get("token_type").filter(|it| !it.is_null());
    assert!(kind.is_none_or(|kind| {
        kind.as_str()
            .is_some_and(|kind| !kind.eq_ignore_ascii_case("dpop"))
    }));
    let named = ["sub", "client_id"]
        .iter()
        .any(|name| said[*name].as_str() == principal.subject().or(principal.client_id()));
    assert!(named, "a caller that the answer does not name");
    true
}

fn verify(jwt: &str) -> Result<Answer, AnswerFault> {
    Answer::verify(jwt, kit::keys(), &POLICY, RECIPIENT, kit::now(), kit::now())
}

fn envelope(claims: &[u8]) -> bool {
    let Ok(answer) = verify(&kit::sign(&kit::header("token-introspection+jwt"), claims)) else {
        return false;
    };
    let said = kit::plain(claims).expect("claims that are no JSON, or say something twice");
    assert_eq!(said["iss"], kit::ISSUER);
    let for_us = said["aud"] == RECIPIENT
        || said["aud"]
            .as_array()
            .is_some_and(|all| all.contains(&RECIPIENT.into()));
    assert!(for_us, "for somebody else");
    assert!(said["iat"].is_number());
    judge(answer, &said["token_introspection"])
}

fn signed(jwt: &[u8]) -> bool {
    let Ok(jwt) = std::str::from_utf8(jwt) else {
        return false;
    };
    let is_ours = ours().iter().any(|one| one == jwt);
    assert_eq!(
        verify(jwt).is_ok(),
        is_ours,
        "an answer that nobody signed is believed, or one of ours is not"
    );
    is_ours
}

fn envelope_of(answer: &Value) -> Value {
    json!({"iss": kit::ISSUER, "aud": RECIPIENT, "iat": kit::NOW, "token_introspection": answer})
}

fn ours() -> &'static [String] {
    static OURS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let sign = |answer: &Value| {
            let claims = envelope_of(answer).to_string();
            kit::sign(&kit::header("token-introspection+jwt"), claims.as_bytes())
        };
        answers().iter().map(sign).collect()
    });
    &OURS
}

fn answers() -> Vec<Value> {
    vec![
        kit::claims_with(json!({"active": true, "token_type": "Bearer"})),
        kit::claims_with(json!({"active": true, "token_type": "DPoP", "cnf": {"jkt": "x"}})),
        kit::claims_with(json!({"active": true, "username": "alice", "exp": kit::NOW - 31})),
        json!({"active": false}),
    ]
}

fn made() -> Vec<Vec<u8>> {
    let mut made = Vec::new();
    for answer in answers() {
        made.push(format!("P{answer}").into_bytes());
        made.push(format!("E{}", envelope_of(&answer)).into_bytes());
    }
    let active = &answers()[0];
    for (name, value) in [
        ("active", json!(false)),
        ("aud", json!("other")),
        ("exp", json!(0)),
        ("cnf", json!({"jkt": "x"})),
        ("sub", json!("admin")),
    ] {
        made.push(format!("P{}", kit::twice(active, name, &value)).into_bytes());
    }
    for (name, value) in [("aud", json!("other")), ("iss", json!("other"))] {
        let envelope = envelope_of(active);
        made.push(format!("E{}", kit::twice(&envelope, name, &value)).into_bytes());
        let mut other = envelope;
        other[name] = value;
        made.push(format!("E{other}").into_bytes());
    }
    made.extend(ours().iter().map(|jwt| format!("S{jwt}").into_bytes()));
    made
}
