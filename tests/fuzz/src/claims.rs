//! Claims, under a good signature: whoever gets in, the claims say so in the plain reading of another parser.

use http::HeaderValue;
use serde_json::{Value, json};

use crate::Target;
use crate::header::AUTH;
use crate::kit;
use crate::token::{ask, is_known};

pub(crate) const TARGET: Target = Target {
    name: "claims",
    run,
    made,
    words: WORDS,
    rounds: 6_000,
};

pub(crate) const WORDS: &[&str] = &[
    "\"iss\":",
    "\"aud\":",
    "\"sub\":",
    "\"exp\":",
    "\"nbf\":",
    "\"iat\":",
    "\"jti\":",
    "\"scope\":",
    "\"client_id\":",
    "\"cnf\":{}",
    "\"cnf\":null",
    "\"act\":{\"sub\":\"x\"}",
    "\"sid\":",
    "\"acr\":",
    "\"auth_time\":",
    "\"typ\":",
    "\"token_use\":",
    "\"active\":true",
    "\"events\":",
    "\"nonce\":",
    "\"https://api.example.com\"",
    "\"https://idp.example.com\"",
    "1750000000",
    "1750000300",
    "1e400",
    "-0.0",
    "1.75e9",
    "9007199254740993",
    "null",
    "true",
    "false",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\u0061",
    "\u{feff}",
    " ",
    "\n",
    "\u{202e}",
    "[[[[[[[[[[[[[[[[[[",
];

/// Checks what comes of this as the claims of a token whose header and signature are good.
pub(crate) fn run(data: &[u8]) -> bool {
    let token = kit::sign(&kit::header("at+jwt"), data);
    let credentials = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    let answer = ask(&AUTH, Some(&credentials), false);
    let Some(caller) = answer.caller() else {
        is_known(&answer, false);
        return false;
    };
    let Some(Value::Object(claims)) = kit::plain(data) else {
        panic!("something is accepted that is no object, or says something twice");
    };
    assert_eq!(claims["iss"], kit::ISSUER);
    assert_eq!(claims["sub"], caller);
    are_good(&Value::Object(claims.clone()));
    assert!(claims["iat"].is_number() && claims["jti"].is_string());
    // In another spelling they say the same.
    let again = Value::Object(claims).to_string();
    if again.as_bytes() != data {
        let token = kit::sign(&kit::header("at+jwt"), again.as_bytes());
        let credentials = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        // Escapes that are written out can make it too long, and nothing else changes.
        if credentials.len() <= 8 * 1024 {
            assert_eq!(ask(&AUTH, Some(&credentials), false), answer);
        }
    }
    true
}

/// For this service, at this time, and bound to no key.
#[track_caller]
pub(crate) fn are_good(claims: &Value) {
    let for_us = match &claims["aud"] {
        Value::Array(many) => many.iter().any(|one| one == kit::AUDIENCE),
        one => one == kit::AUDIENCE,
    };
    assert!(for_us, "for somebody else");
    let now = 1_750_000_000.0;
    let ends = claims["exp"].as_f64().expect("an end");
    assert!(ends + kit::LEEWAY > now - 1.0, "it has ended");
    for begin in ["nbf", "iat"] {
        if let Some(begin) = claims.get(begin).filter(|it| !it.is_null()) {
            let begin = begin.as_f64().expect("a time");
            assert!(begin - kit::LEEWAY < now + 1.0, "it has not begun");
        }
    }
    assert!(
        claims.get("cnf").is_none(),
        "a bound token is taken for one that is not"
    );
}

fn made() -> Vec<Vec<u8>> {
    let changes = [
        json!({}),
        json!({"aud": [kit::AUDIENCE, "https://other.example.com"]}),
        json!({"exp": 1_750_000_300.5, "nbf": kit::NOW, "acr": "phr", "auth_time": kit::NOW}),
        json!({"act": {"sub": "admin", "act": {"sub": "x"}}, "roles": ["a", "b"], "x": {"y": [1, 2.5, null]}}),
        json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}),
        json!({"exp": kit::NOW - 31}),
        json!({"sub": "\u{202e}\n", "scope": "a  b"}),
    ];
    let mut made = changes
        .map(|changes| kit::claims_with(changes).to_string())
        .to_vec();
    for (name, value) in [
        ("sub", json!("admin")),
        ("aud", json!("other")),
        ("exp", json!(0)),
        ("scope", json!("")),
        ("x", json!({"y": 1})),
    ] {
        made.push(kit::twice(&kit::claims_with(json!({"x": 1})), name, &value));
    }
    // Below the first level.
    made.push(
        kit::claims_with(json!({"x": {"y": 1}}))
            .to_string()
            .replace("\"y\":1", "\"y\":1,\"y\":2"),
    );
    made.push(kit::claims_with(json!({"nbf": kit::NOW + 40})).to_string());
    made.push(kit::claims_with(json!({"iss": "https://other.example.com"})).to_string());
    made.push(kit::claims_with(json!({"aud": "https://other.example.com"})).to_string());
    made.into_iter().map(String::into_bytes).collect()
}
