//! A compact token, as it comes in `Authorization`.
//!
//! Nobody gets in but with a token of ours, to the byte; and a refusal is one of a handful of answers that are known
//! beforehand, so that nothing of what was sent can be in one.

use std::sync::LazyLock;

use bytes::Bytes;
use gateless::bearer::BearerAuth;
use http::{HeaderValue, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::Target;
use crate::kit::{self, Answer};

pub(crate) const TARGET: Target = Target {
    name: "token",
    run,
    made,
    words: &[
        ".",
        "..",
        "=",
        "==",
        "-",
        "_",
        "eyJ",
        "e30",
        "bnVsbA",
        "IiI",
        "eyJhbGciOiJub25lIn0",
        "eyJhbGciOiJFZERTQSJ9",
        "eyJhbGciOiJIUzI1NiJ9",
        "AAAA",
        "____",
        "%",
        "\t",
        " ",
        ",",
        "\"",
    ],
    rounds: 6_000,
};

static AUTH: LazyLock<BearerAuth> = LazyLock::new(|| kit::auth().build().unwrap());
/// The same, remembering nothing.
static FORGETFUL: LazyLock<BearerAuth> =
    LazyLock::new(|| kit::auth().without_token_cache().build().unwrap());

/// Checks what comes of this as a token.
pub(crate) fn run(data: &[u8]) -> bool {
    let Ok(credentials) = HeaderValue::from_bytes(&[b"Bearer ", data].concat()) else {
        return false;
    };
    let is_good = || {
        let spaces = data.iter().take_while(|byte| **byte == b' ').count();
        kit::good_tokens()
            .iter()
            .any(|good| *good.as_bytes() == data[spaces..])
    };
    for grpc in [false, true] {
        let first = ask(&AUTH, Some(&credentials), grpc);
        assert_eq!(
            ask(&FORGETFUL, Some(&credentials), grpc),
            first,
            "the cache makes a difference"
        );
        match first.caller() {
            Some(_) => assert!(is_good(), "a token that nobody signed is accepted"),
            None => {
                assert!(!is_good(), "a good token is refused");
                is_known(&first, grpc);
            }
        }
    }
    is_good()
}

pub(crate) fn ask(auth: &BearerAuth, credentials: Option<&HeaderValue>, grpc: bool) -> Answer {
    kit::send(auth, request(credentials, grpc))
}

fn request(credentials: Option<&HeaderValue>, grpc: bool) -> Request<Full<Bytes>> {
    let mut request = Request::get("/orders");
    if grpc {
        request = Request::post("/shop.Orders/List").header("content-type", "application/grpc");
    }
    if let Some(credentials) = credentials {
        request = request.header("authorization", credentials);
    }
    request.body(Full::default()).unwrap()
}

/// It is one of the answers that anybody gets who sends nothing, or nonsense: so it says nothing about what was sent.
pub(crate) fn is_known(answer: &Answer, grpc: bool) {
    static KNOWN: LazyLock<Vec<Answer>> = LazyLock::new(|| {
        let mut known = Vec::new();
        for grpc in [false, true] {
            for credentials in [None, Some("Bearer"), Some("Bearer a")] {
                let credentials = credentials.map(HeaderValue::from_static);
                let answer = ask(&AUTH, credentials.as_ref(), grpc);
                assert_eq!(answer.caller(), None);
                known.push(answer);
            }
        }
        known
    });
    assert!(
        KNOWN.contains(answer),
        "an answer of its own: {}",
        answer.status
    );
    if !grpc {
        assert!(matches!(answer.status, 400 | 401), "{}", answer.status);
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem["status"], answer.status);
    }
}

fn made() -> Vec<Vec<u8>> {
    let mut tokens = kit::good_tokens().to_vec();
    let good = tokens[0].clone();
    for (typ, changes) in [
        ("at+jwt", json!({"exp": kit::NOW - 300})),
        ("at+jwt", json!({"aud": "other"})),
        ("at+jwt", json!({"cnf": {"jkt": "x"}})),
        ("JWT", json!({})),
    ] {
        let claims = kit::claims_with(changes).to_string();
        tokens.push(kit::sign(&kit::header(typ), claims.as_bytes()));
    }
    let (signed, _) = good.rsplit_once('.').unwrap();
    tokens.push(format!("{signed}."));
    // Other spellings of the same bytes: 64 of them leave four bits of the last letter loose, and these are A, Q, g and w.
    let mut letters = good.clone().into_bytes();
    let last = letters.last_mut().unwrap();
    *last += 1;
    tokens.push(String::from_utf8(letters).unwrap());
    for end in ["=", "==", ".", "\t"] {
        tokens.push(format!("{good}{end}"));
    }
    tokens.push(kit::sign(br#"{"alg":"none"}"#, b"{}"));
    tokens.into_iter().map(String::into_bytes).collect()
}
