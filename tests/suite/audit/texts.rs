//! What attackers write, and what records make of it.

use gateless::audit::Disclosure;
use gateless::{Principal, PrincipalParts, ScopeSet, Timestamp};
use rstest::rstest;
use tower::service_fn;

use super::*;

/// The lines that a request of a caller with these texts leaves.
async fn lines(text: &str) -> Vec<String> {
    let world = World::of(Shelf::new(), Backpressure::FailRequest, |builder| {
        builder.subjects(Disclosure::Plain)
    });
    let parts = PrincipalParts {
        subject: Some(text.into()),
        client_id: Some(text.into()),
        key_id: Some(text.into()),
        scopes: ScopeSet::parse("orders:read").unwrap(),
        ..PrincipalParts::new(format!("https://idp.example.com/{text}"), Timestamp::MAX)
    };
    let principal = Principal::assert_authenticated(parts);
    let service = service_fn(move |request: Request<String>| {
        let trail = gateless::audit::Trail::of(request.extensions()).unwrap();
        trail.authenticated(&principal);
        async { Ok::<_, Infallible>(Response::new(String::new())) }
    });
    let request = Request::get("/").body(String::new()).unwrap();
    drop(world.audit.layer(service).oneshot(request).await.unwrap());
    world.written("request").await;
    world.shelf.lines()
}

#[rstest]
#[case::line("alice\n{\"v\":1,\"kind\":\"stop\"}")]
#[case::carriage_return("alice\r\nmallory")]
#[case::colours("\u{1b}[31malice\u{1b}[0m\u{9b}2J")]
#[case::title("\u{1b}]0;owned\u{7}")]
#[case::direction("\u{202e}ecila\u{2066}\u{200f}")]
#[case::separators("a\u{2028}b\u{2029}c\u{85}d\u{feff}")]
#[case::nul("a\0b\u{7f}")]
#[case::quote("\",\"outcome\":\"allowed\",\"x\":\"\\")]
#[tokio::test]
async fn tl_01_no_claim_forges_a_line_or_commands_a_terminal(#[case] text: &str) {
    let lines = lines(text).await;
    assert_eq!(lines.len(), 3, "start, checkpoint and request: {lines:#?}");
    assert!(
        lines
            .iter()
            .all(|line| line.bytes().all(|byte| matches!(byte, b' '..=b'~')))
    );
    let record: Value = serde_json::from_str(&lines[2]).unwrap();
    assert_eq!(record["subject"], text, "and nothing is lost");
    assert_eq!(record["outcome"], "allowed");
}

#[tokio::test]
async fn tl_01_long_texts_are_cut() {
    let text = "x".repeat(100_000);
    let lines = lines(&text).await;
    assert!(lines[2].len() < 3_000, "{}", lines[2].len());
    assert!(lines[2].contains("\\u2026"), "and it shows");
}

/// Methods, paths, agents and traces of clients are names out of closed sets, or nothing.
#[rstest]
#[case(
    "x-forged",
    "/pkg.Service/Method",
    None,
    "OTHER",
    Some("pkg.Service/Method")
)]
#[case(
    "POST",
    "/eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln/x",
    None,
    "POST",
    None
)]
#[case(
    "POST",
    "/pkg.Service/Method?access_token=canary",
    Some("00-zz"),
    "POST",
    Some("pkg.Service/Method")
)]
#[case("POST", "/a/b/c", None, "POST", None)]
#[case("POST", "/pkg.Service/", None, "POST", None)]
#[tokio::test]
async fn tl_03_tl_04_what_clients_choose_is_recorded_by_its_form(
    #[case] method: &str,
    #[case] path: &str,
    #[case] trace: Option<&str>,
    #[case] recorded_method: &str,
    #[case] grpc_method: Option<&str>,
) {
    let world = World::new();
    // As tonic answers for what is not there.
    let service = service_fn(async |request: Request<String>| {
        let is_there = request.uri().path() == "/pkg.Service/Method";
        let status = if is_there { "0" } else { "12" };
        Ok::<_, Infallible>(
            Response::builder()
                .header("grpc-status", status)
                .header("content-type", "application/grpc")
                .body(String::new())
                .unwrap(),
        )
    });
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/grpc")
        .header("user-agent", "canary/1.0")
        .body(String::new())
        .unwrap();
    if let Some(trace) = trace {
        request
            .headers_mut()
            .insert("traceparent", trace.parse().unwrap());
    }
    drop(world.audit.layer(service).oneshot(request).await.unwrap());
    let record = world.only().await;
    assert_eq!(record["method"], recorded_method);
    assert_eq!(
        record.get("grpc_method").and_then(Value::as_str),
        grpc_method
    );
    assert_eq!(record["agent"], "other");
    assert_eq!(record.get("trace"), None);
    assert!(!world.shelf.lines().concat().contains("canary"));
}

#[tokio::test]
async fn tl_18_numbers_and_time_since_the_start_go_on_when_the_clock_is_set() {
    let world = World::new();
    let service =
        service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
    let service = world.audit.layer(service);
    for _ in 0..3 {
        let request = Request::get("/").body(String::new()).unwrap();
        drop(service.clone().oneshot(request).await.unwrap());
        world.audit.handle().flush().await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        world.clock.set_wall(Timestamp::EPOCH);
    }
    let records = world.shelf.of_kind("request");
    let field = |name: &str| {
        records
            .iter()
            .map(|record| record[name].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(field("seq"), [2, 3, 4]);
    assert_eq!(field("up_us"), [0, 1_000_000, 2_000_000]);
    let epoch = "1970-01-01T00:00:00.000Z";
    assert_eq!(field("time"), ["2025-06-15T15:06:40.000Z", epoch, epoch]);
}

/// What was sent, and what was found out about it, is in no part of an answer.
#[tokio::test]
async fn tl_12_an_answer_says_nothing_of_what_was_sent() {
    use crate::support::{Protocol, auth, bearer, issuer, send};

    let token = issuer()
        .token()
        .header("kid", "canary-key-of-nobody")
        .audience("https://canary-audience.example.com")
        .subject("canary-subject-of-nobody")
        .mint();
    for protocol in Protocol::ALL {
        let request = protocol.request().header("authorization", bearer(&token));
        let answer = send(&auth(), request.body(String::new()).unwrap()).await;
        answer.keeps(&token);
        answer.keeps("canary-key-of-nobody canary-audience canary-subject-of-nobody");
        answer.keeps(crate::support::ISSUER);
    }
}
