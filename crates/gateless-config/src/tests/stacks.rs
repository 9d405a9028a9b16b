//! From settings to answers.

use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use gateless::audit::BootId;
use gateless::scope::ScopeGuard;
use gateless::stack::Stack;
use gateless::{Peer, PeerAddress, Revocation, scopes};
use gateless_testkit::TestIssuer;
use tower::{Layer, ServiceExt};

use crate::{Config, Settings};

const AUDIENCE: &str = "https://orders.example.com";

/// One for all tests: its keys take a while.
static ISSUER: LazyLock<TestIssuer> = LazyLock::new(TestIssuer::new);

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("gateless-config-{}", BootId::random()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Every stage that needs no server.
    fn settings(&self) -> Settings {
        fs::write(self.file("keys.json"), ISSUER.jwks().to_string()).unwrap();
        let text = r#"
            [audit]
            instance = "orders-1"
            sink = "file"
            backpressure = "refuse"
            [failures]
            quota = "2/min"
            [token]
            max_lifetime = "2h"
            [keys]
            source = "file"
            [denylist]
            store = "file"
            outage = "closed"
            [limits]
            requests = ["10/min"]
            fields = true
            [concurrency]
            max = 10
        "#;
        Settings::new()
            .toml("gateless.toml", text)
            .set("token.issuer", ISSUER.issuer(), "ISSUER")
            .set("token.audience", AUDIENCE, "AUDIENCE")
            .set("keys.path", self.file("keys.json"), "KEYS")
            .set("denylist.path", self.file("denylist"), "DENYLIST_PATH")
            .set("audit.path", self.file("audit.jsonl"), "AUDIT_PATH")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is among temporary files anyway.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn guard() -> ScopeGuard {
    ScopeGuard::all(scopes!["orders:read"])
}

async fn send(stack: &Stack, token: Option<&str>) -> (u16, bool) {
    let service = stack.layer(tower::service_fn(async |request: http::Request<String>| {
        assert!(request.headers().get("x-forwarded-user").is_none());
        Ok::<_, Infallible>(http::Response::new(String::new()))
    }));
    let mut request = http::Request::get("/orders").header("x-forwarded-user", "root");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut request = request.body(String::new()).unwrap();
    request
        .extensions_mut()
        .insert(PeerAddress("192.0.2.7".parse().unwrap()));
    let response = service.oneshot(request).await.unwrap();
    (
        response.status().as_u16(),
        response.headers().contains_key("ratelimit"),
    )
}

#[tokio::test]
async fn a_file_makes_a_stack_that_works() {
    let folder = Folder::new();
    let stack = Config::read(folder.settings())
        .unwrap()
        .build(guard())
        .unwrap();
    stack.ready().await.unwrap();
    let token = |scope: &str| {
        ISSUER
            .token()
            .audience(AUDIENCE)
            .scope(scope)
            .subject("alice")
            .mint()
    };
    let good = token("orders:read");

    assert_eq!(send(&stack, None).await, (401, false));
    assert_eq!(send(&stack, Some(&good)).await, (200, true));
    assert_eq!(send(&stack, Some(&token("orders:write"))).await.0, 403);
    let others = ISSUER
        .token()
        .audience("https://other.example")
        .scope("orders:read")
        .mint();
    assert_eq!(send(&stack, Some(&others)).await.0, 401);

    let denylist = stack.denylist().unwrap();
    denylist
        .revoke(&Revocation::subject(ISSUER.issuer(), "alice"))
        .await
        .unwrap();
    assert_eq!(send(&stack, Some(&good)).await.0, 401);
    let bob = ISSUER
        .token()
        .audience(AUDIENCE)
        .scope("orders:read")
        .subject("bob")
        .mint();
    assert_eq!(send(&stack, Some(&bob)).await.0, 200);

    let mut guesses = Vec::new();
    for guess in ["a.b.c", "d.e.f", "g.h.i"] {
        guesses.push(send(&stack, Some(guess)).await.0);
    }
    assert_eq!(guesses, [401, 401, 429]);
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(send(&stack, Some(&bob)).await.0);
    }
    assert_eq!((statuses[0], statuses[9]), (200, 429));

    stack
        .audit()
        .unwrap()
        .close(std::time::Duration::from_secs(5))
        .await
        .unwrap();
    let records = fs::read_to_string(folder.file("audit.jsonl")).unwrap();
    assert!(
        records.lines().count() > 10 && records.contains("orders-1"),
        "{records}"
    );
}

#[tokio::test]
async fn a_stage_that_is_switched_off_is_not_there() {
    let folder = Folder::new();
    let off = ["AUDIT", "FAILURES", "DENYLIST", "LIMITS", "CONCURRENCY"];
    let off = off.map(|name| (format!("GATELESS__{name}__ENABLED"), "false"));
    let config = Config::read(folder.settings().environment(off)).unwrap();
    let stack = config.build(guard()).unwrap();
    assert!(stack.denylist().is_none() && stack.audit().is_none());
    for _ in 0..20 {
        assert_eq!(send(&stack, Some("a.b.c")).await.0, 401);
    }
}

#[test]
fn reading_makes_nothing() {
    let folder = Folder::new();
    Config::read(folder.settings()).unwrap();
    let names = fs::read_dir(&folder.0).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["keys.json"]);
}

#[tokio::test]
async fn all_that_cannot_be_opened_is_named() {
    let folder = Folder::new();
    let taken = folder.file("keys.json/below");
    let settings = folder.settings();
    let settings = settings.set("denylist.path", &taken, "DENYLIST_PATH");
    let settings = settings.set("audit.path", &taken, "AUDIT_PATH");
    let error = Config::read(settings).unwrap().build(guard()).unwrap_err();
    let named: Vec<_> = error.faults().iter().map(|fault| fault.setting()).collect();
    assert_eq!(named, ["DENYLIST_PATH", "AUDIT_PATH"], "{error}");
}

#[test]
fn a_denylist_needs_a_runtime() {
    let folder = Folder::new();
    let error = Config::read(folder.settings())
        .unwrap()
        .build(guard())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("denylist is missing: the layer has to be built within a tokio runtime"),
        "{error}"
    );
}

#[tokio::test]
async fn tokens_that_may_be_missing_need_a_guard() {
    let folder = Folder::new();
    let settings = folder
        .settings()
        .set("token.authentication", "optional", "AUTH");
    let config = Config::read(settings).unwrap();
    assert!(config.clone().build(guard()).is_ok());
    let error = config
        .connection(Peer::connection())
        .into_builder()
        .unwrap()
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("guard"), "{error}");
}

#[tokio::test]
async fn documents_can_bring_the_guard() {
    let folder = Folder::new();
    let document = r#"{
        "openapi": "3.1.0", "info": { "title": "orders", "version": "1" },
        "components": { "securitySchemes": { "oauth": { "type": "oauth2", "flows": {
            "clientCredentials": { "tokenUrl": "https://idp.example.com/token", "scopes": { "orders:read": "" } } } } } },
        "paths": { "/orders": { "get": { "security": [ { "oauth": ["orders:read"] } ], "responses": {} } } }
    }"#;
    fs::write(folder.file("openapi.json"), document).unwrap();
    let settings = folder.settings();
    let error = Config::read(settings.clone())
        .unwrap()
        .build_with_routes()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "unusable configuration: routes is missing: it takes openapi, descriptor_set or both"
    );
    let settings = settings.set("routes.openapi", folder.file("openapi.json"), "OPENAPI");
    // A program that brings its own does not take theirs for it.
    let error = Config::read(settings.clone())
        .unwrap()
        .build(ScopeGuard::all(scopes!["orders:read"]))
        .unwrap_err();
    assert!(error.to_string().contains("routes is of no use"), "{error}");
    assert!(Config::read(settings).unwrap().build_with_routes().is_ok());
}

/// Who has a /48 is one place, and not 65,536 of them.
#[test]
fn what_the_program_says_of_places_stays_where_nothing_is_set() {
    let connection = Peer::connection().ipv6_prefix(48);
    let config = |more: &str| Config::read(super::with(more)).unwrap();
    for (more, expected) in [
        ("", connection.clone()),
        (
            "[peer]\nipv6_prefix = 56",
            connection.clone().ipv6_prefix(56),
        ),
    ] {
        assert_eq!(
            format!("{:?}", config(more).place().of(connection.clone())),
            format!("{expected:?}")
        );
    }
}
