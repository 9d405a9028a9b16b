//! A JOSE header, under a good signature: whoever gets in, its header names our algorithm and our type, and no extension.

use std::sync::LazyLock;

use gateless::bearer::BearerAuth;
use http::HeaderValue;
use serde_json::{Value, json};

use crate::Target;
use crate::kit;
use crate::token::{ask, is_known};

pub(crate) const TARGET: Target = Target {
    name: "header",
    run,
    made,
    words: &[
        "\"alg\":",
        "\"typ\":",
        "\"kid\":",
        "\"crit\":",
        "\"b64\":",
        "\"zip\":\"DEF\"",
        "\"jwk\":{}",
        "\"jku\":",
        "\"x5u\":",
        "\"x5c\":[]",
        "\"cty\":",
        "\"none\"",
        "\"EdDSA\"",
        "\"Ed25519\"",
        "\"HS256\"",
        "\"at+jwt\"",
        "\"application/at+jwt\"",
        "\"JWT\"",
        "null",
        "true",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "\\u0061",
        "\\ud800",
        "1e400",
        " ",
        "\n",
        "\u{feff}",
        "\"k1\"",
    ],
    rounds: 6_000,
};

/// Without a cache: a new signature each time would fill it.
pub(crate) static AUTH: LazyLock<BearerAuth> =
    LazyLock::new(|| kit::auth().without_token_cache().build().unwrap());

/// Of these a header has none: they bring keys along, or change what the rest means.
const NEVER: [&str; 9] = [
    "crit", "b64", "zip", "enc", "epk", "jwk", "jku", "x5u", "x5c",
];

/// Checks what comes of this as the header of a token whose claims and signature are good.
pub(crate) fn run(data: &[u8]) -> bool {
    let token = kit::sign(data, kit::claims().to_string().as_bytes());
    let credentials = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    let answer = ask(&AUTH, Some(&credentials), false);
    let Some(caller) = answer.caller() else {
        is_known(&answer, false);
        return false;
    };
    assert_eq!(caller, "user-1");
    let Some(Value::Object(header)) = kit::plain(data) else {
        panic!("something is accepted that is no header, or names something twice");
    };
    assert!(["EdDSA", "Ed25519"].iter().any(|alg| header["alg"] == *alg));
    let typ = header["typ"].as_str().unwrap().to_ascii_lowercase();
    assert!(["at+jwt", "application/at+jwt"].contains(&&*typ), "{typ}");
    assert!(
        NEVER.iter().all(|name| !header.contains_key(*name)),
        "{header:?}"
    );
    assert!(
        header.get("kid").is_none_or(|kid| kid == "k1"),
        "another key is named"
    );
    // In another spelling it means the same.
    let again = Value::Object(header).to_string();
    if again.as_bytes() != data {
        assert!(run(again.as_bytes()), "it depends on the spelling");
    }
    true
}

fn made() -> Vec<Vec<u8>> {
    let more = [
        json!({"alg": "EdDSA", "typ": "at+jwt"}),
        json!({"alg": "Ed25519", "typ": "application/at+jwt", "kid": "k1", "x": [1, {"y": null}]}),
        json!({"alg": "none", "typ": "at+jwt"}),
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "k2"}),
        json!({"alg": "EdDSA", "typ": "JWT", "kid": "k1"}),
        json!({"alg": "EdDSA", "kid": "k1"}),
        json!({"alg": "EdDSA", "typ": "at+jwt", "crit": ["b64"], "b64": false}),
        json!({"alg": "EdDSA", "typ": "at+jwt", "jwk": {"kty": "OKP"}}),
        json!({"alg": "EdDSA", "typ": "dpop+jwt", "jku": "https://evil.example.com"}),
    ];
    let mut headers = vec![kit::header("at+jwt")];
    headers.extend(more.iter().map(|header| header.to_string().into_bytes()));
    for (name, value) in [
        ("alg", "none"),
        ("typ", "JWT"),
        ("kid", "k2"),
        ("kid", "k1"),
    ] {
        headers.push(kit::twice(&more[1], name, &value.into()).into_bytes());
    }
    headers
}
