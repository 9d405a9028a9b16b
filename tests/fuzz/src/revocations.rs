//! The body of a request to the API for operators: it revokes exactly one thing of an issuer that is known, or nothing.

use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use gateless::denylist::{Denylist, Ephemeral, RevocationApi};
use gateless::{OnOutage, Principal, scope};
use gateless_core::{PrincipalParts, Timestamp, TokenDigest};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

use crate::Target;
use crate::kit;

pub(crate) const TARGET: Target = Target {
    name: "revocations",
    run,
    made,
    words: &[
        "\"jti\":",
        "\"token_sha256\":",
        "\"sid\":",
        "\"sub\":",
        "\"client\":",
        "\"kid\":",
        "\"issuer\":",
        "\"iss\":",
        "\"exp\":",
        "\"issued_until\":",
        "\"https://idp.example.com\"",
        "1750000000",
        "-1",
        "9223372036854775807",
        "1e9",
        "null",
        "\"\"",
        "{",
        "}",
        ",",
        ":",
        "\"",
        "\\u0000",
        "[",
        "]",
    ],
    rounds: 10_000,
};

struct World {
    runtime: Runtime,
    api: RevocationApi,
    denylist: Denylist,
}

static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let denylist = runtime.block_on(async {
        let builder =
            Denylist::builder(Ephemeral::new(), OnOutage::FailClosed).clock(Arc::new(kit::Still));
        let denylist = builder.build().unwrap();
        denylist.handle().ready().await.unwrap();
        denylist
    });
    let api =
        RevocationApi::builder(denylist.handle(), scope!("tokens:revoke")).issuer(kit::ISSUER);
    Mutex::new(World {
        runtime,
        api: api.build().unwrap(),
        denylist,
    })
});

/// Of another issuer: nothing that is revoked here is theirs.
fn operator() -> Principal {
    Principal::assert_authenticated(PrincipalParts {
        scopes: gateless::ScopeSet::parse("tokens:revoke").unwrap(),
        ..PrincipalParts::new(
            "https://operators.example.com",
            Timestamp::from_secs(kit::NOW + 300),
        )
    })
}

const NAMES: [&str; 7] = [
    "jti",
    "token_sha256",
    "sid",
    "sub",
    "client",
    "kid",
    "issuer",
];

/// Whom the body plainly names, by its only name, and somebody of whom nothing but the issuer is the same.
fn named(name: &str, value: &str) -> [Principal; 2] {
    let parts = |who: &str| PrincipalParts {
        subject: Some(format!("subject {who}").into()),
        client_id: Some(format!("client {who}").into()),
        token_id: Some(format!("token {who}").into()),
        session_id: Some(format!("session {who}").into()),
        key_id: Some(format!("key {who}").into()),
        // Before any time that may be said, and after none.
        issued_at: Some(Timestamp::from_secs(0)),
        ..PrincipalParts::new(kit::ISSUER, Timestamp::from_secs(kit::NOW + 300))
    };
    let (mut one, other) = (parts("of the one"), parts("of another"));
    let named = || Some(value.into());
    match name {
        "jti" => one.token_id = named(),
        "sid" => one.session_id = named(),
        "sub" => one.subject = named(),
        "client" => one.client_id = named(),
        "kid" => one.key_id = named(),
        "token_sha256" => {
            one.token_id = None;
            one.token_digest = Some(TokenDigest::new(digits(value).try_into().unwrap()));
        }
        _ => {}
    }
    [one, other].map(Principal::assert_authenticated)
}

fn digits(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn ask(world: &World, method: http::Method, data: &[u8]) -> (u16, Value) {
    let mut request = Request::builder()
        .method(method)
        .uri("/admin/revocations")
        .header("content-type", "application/json");
    request.extensions_mut().unwrap().insert(operator());
    let request = request
        .body(Full::new(Bytes::copy_from_slice(data)))
        .unwrap();
    world.runtime.block_on(async {
        let response = world.api.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let said = serde_json::from_slice(&body).expect("an answer in JSON");
        (status, said)
    })
}

/// Checks what comes of this body.
pub(crate) fn run(data: &[u8]) -> bool {
    let world = WORLD
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let (status, said) = ask(&world, http::Method::POST, data);
    if status != 200 {
        // Nothing is in the list, so that there is room.
        assert!(matches!(status, 400 | 413), "answered with {status}");
        assert!(said["status"] != "stored");
        return false;
    }
    let Some(Value::Object(asked)) = kit::plain(data) else {
        panic!("revoked by something that is no object, or says something twice");
    };
    let names: Vec<_> = NAMES
        .iter()
        .filter_map(|name| Some((*name, asked.get(*name)?.as_str()?)))
        .collect();
    let [(name, value)] = names[..] else {
        panic!("not exactly one thing is named");
    };
    let issuer = asked
        .get("iss")
        .filter(|it| !it.is_null())
        .or(asked.get("issuer"))
        .filter(|it| !it.is_null());
    assert!(
        issuer.is_none_or(|issuer| issuer == kit::ISSUER),
        "of an issuer that nobody knows"
    );
    assert_eq!(said["status"], "stored");

    // It is what was named that is revoked, nothing else is, and it can be taken back.
    let [one, other] = named(name, value);
    let handle = world.denylist.handle();
    // Of what was issued until then, and these are as old as time.
    let is_past = asked.get("issued_until").and_then(Value::as_i64) < Some(0)
        && asked.get("issued_until").is_some_and(Value::is_i64);
    assert!(handle.is_revoked(&one) || is_past, "{name} is not revoked");
    assert!(
        name == "issuer" || !handle.is_revoked(&other),
        "{name} revokes others"
    );
    let (status, _) = ask(&world, http::Method::DELETE, data);
    assert_eq!(status, 200, "what is revoked cannot be taken back");
    assert!(!handle.is_revoked(&one), "{name} is still revoked");
    true
}

fn made() -> Vec<Vec<u8>> {
    [
        r#"{"jti":"token-1","exp":1750000300}"#,
        r#"{"token_sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}"#,
        r#"{"iss":"https://idp.example.com","sid":"session-1"}"#,
        r#"{"sub":"user-1","issued_until":1750000000}"#,
        r#"{"client":"client-1"}"#,
        r#"{"kid":"k1"}"#,
        r#"{"issuer":"https://idp.example.com"}"#,
        r#"{"jti":"a","sub":"b"}"#,
        r#"{"jti":"a","exp":-1,"iss":"https://other.example.com"}"#,
        r#"{"sub":"a","sub":"b"}"#,
        r#"{"sub":"a","kid":null,"iss":null}"#,
        r#"{"sub":"a","issued_until":1750000301}"#,
        r#"{"sub":"a","iss":"https://other.example.com"}"#,
        r#"{"issuer":"https://other.example.com"}"#,
        r#"{"issuer":"https://idp.example.com","iss":"https://idp.example.com"}"#,
        r#"{"sid":""}"#,
        r#"{}"#,
    ]
    .map(|body| body.as_bytes().to_vec())
    .into()
}
