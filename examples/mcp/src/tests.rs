use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::post;
use gateless::ConfigFault;
use gateless_testkit::TestIssuer;
use rstest::rstest;
use serde_json::json;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use super::*;

const ORIGIN: &str = "https://api.example.com";
const RESOURCE: &str = "https://api.example.com/mcp";

/// A server on a free port that trusts `issuer`; what clients call it.
async fn start(issuer: &TestIssuer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let app = app(&origin, issuer.issuer()).unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    format!("{origin}/mcp")
}

#[tokio::test]
async fn every_step_of_the_walk_is_right() {
    let issuer = TestIssuer::serve().await.unwrap();
    let resource = start(&issuer).await;
    let mut out = Vec::new();
    let all_right = walk::run(&resource, &issuer, &mut out).await.unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(all_right, "{out}");
    assert!(out.ends_with("6 of 6 answers were right\n"), "{out}");
    assert!(out.contains("whoami: alice"), "{out}");
}

#[tokio::test]
async fn a_wrong_answer_shows() {
    let issuer = TestIssuer::serve().await.unwrap();
    let resource = start(&issuer).await;
    let stranger = TestIssuer::serve().await.unwrap();
    let mut out = Vec::new();
    let all_right = walk::run(&resource, &stranger, &mut out).await.unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(!all_right, "{out}");
    for wrong in ["2. ", "4. ", "5. "] {
        let step = out.split("\n\n").find(|step| step.starts_with(wrong));
        assert!(step.is_some_and(|step| step.contains("WRONG")), "{out}");
    }
}

/// `initialize`, at the address that the server has on the internet.
async fn initialize(
    issuer: &TestIssuer,
    path: &str,
    fields: &[(&str, &str)],
) -> (StatusCode, HeaderMap) {
    let hello = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        },
    });
    let mut request = Request::post(path)
        .header("host", "api.example.com")
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .body(Body::from(hello.to_string()))
        .unwrap();
    for (name, value) in fields {
        let name: axum::http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let app = app(ORIGIN, issuer.issuer()).unwrap();
    let (head, _) = app.oneshot(request).await.unwrap().into_parts();
    (head.status, head.headers)
}

#[rstest]
#[case::none(None, 401, "Bearer scope=\"mcp:tools\"")]
#[case::other_audience(
    Some(("https://api.example.com/other", "mcp:tools")),
    401,
    "Bearer error=\"invalid_token\", error_description=\"the access token is not valid\", scope=\"mcp:tools\""
)]
#[case::the_origin_alone(
    Some((ORIGIN, "mcp:tools")),
    401,
    "Bearer error=\"invalid_token\", error_description=\"the access token is not valid\", scope=\"mcp:tools\""
)]
#[case::no_scope(
    Some((RESOURCE, "openid")),
    403,
    "Bearer error=\"insufficient_scope\", error_description=\"the access token does not grant what this request needs\", scope=\"mcp:tools\""
)]
#[case::right(Some((RESOURCE, "openid mcp:tools")), 200, "")]
#[tokio::test]
async fn what_each_token_gets(
    #[case] token: Option<(&str, &str)>,
    #[case] status: u16,
    #[case] challenge: &str,
) {
    let issuer = TestIssuer::serve().await.unwrap();
    let token = token.map(|(audience, scope)| {
        let token = issuer.token().audience(audience).scope(scope);
        format!("Bearer {}", token.mint())
    });
    let fields: Vec<_> = token
        .iter()
        .map(|token| ("authorization", &**token))
        .collect();
    let (got, headers) = initialize(&issuer, "/mcp", &fields).await;
    assert_eq!(got, status);
    if challenge.is_empty() {
        assert!(!headers.contains_key("www-authenticate"));
    } else {
        let url = "https://api.example.com/.well-known/oauth-protected-resource/mcp";
        let challenge = format!("{challenge}, resource_metadata=\"{url}\"");
        assert_eq!(headers["www-authenticate"], challenge);
    }
}

#[tokio::test]
async fn a_token_in_the_address_is_none() {
    let issuer = TestIssuer::serve().await.unwrap();
    let token = issuer.token().audience(RESOURCE).scope("mcp:tools").mint();
    let without = initialize(&issuer, "/mcp", &[]).await;
    let path = format!("/mcp?access_token={token}");
    assert_eq!(initialize(&issuer, &path, &[]).await, without);
}

#[tokio::test]
async fn tools_never_see_the_token() {
    let issuer = TestIssuer::serve().await.unwrap();
    let token = issuer.token().audience(RESOURCE).scope("mcp:tools").mint();
    let seen = post(async |request: Request<Body>| format!("{:?}", request.headers()));
    let routes = Router::new().route("/mcp", seen);
    let app = protected(routes, ORIGIN, issuer.issuer()).unwrap();
    let request = Request::post("/mcp")
        .header("authorization", format!("Bearer {token}"))
        .header("x-seen", "yes")
        .body(Body::empty());
    let response = app.oneshot(request.unwrap()).await.unwrap();
    let seen = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert_eq!(seen, "{\"x-seen\": \"yes\"}");
}

#[rstest]
#[case::another_host("host", "evil.example.com", 403)]
#[case::loopback("host", "127.0.0.1", 403)]
#[case::a_script("origin", "https://evil.example.com", 403)]
#[case::a_session_that_never_was("mcp-session-id", "1", 200)]
#[tokio::test]
async fn requests_that_browsers_were_talked_into(
    #[case] name: &str,
    #[case] value: &str,
    #[case] status: u16,
) {
    let issuer = TestIssuer::serve().await.unwrap();
    let token = issuer.token().audience(RESOURCE).scope("mcp:tools").mint();
    let token = format!("Bearer {token}");
    let fields = [("authorization", &*token), (name, value)];
    assert_eq!(initialize(&issuer, "/mcp", &fields).await.0, status);
}

#[tokio::test]
async fn the_metadata_are_open_and_everything_else_is_not() {
    let issuer = TestIssuer::serve().await.unwrap();
    for (path, status) in [
        ("/.well-known/oauth-protected-resource/mcp", 200),
        ("/mcp", 401),
        ("/mcp/", 401),
        ("/", 401),
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let app = app(ORIGIN, issuer.issuer()).unwrap();
        assert_eq!(
            app.oneshot(request).await.unwrap().status(),
            status,
            "{path}"
        );
    }
}

#[test]
fn an_unusable_address_is_named() {
    for (origin, issuer, setting) in [
        ("api.example.com", "https://idp.example.com", "resource"),
        (ORIGIN, "idp.example.com", "authorization_server"),
    ] {
        let error = app(origin, issuer).unwrap_err();
        let settings: Vec<_> = error.faults().iter().map(ConfigFault::setting).collect();
        assert_eq!(settings, [setting]);
    }
}
