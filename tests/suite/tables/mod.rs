//! TJ: a table of routes in front of whole applications, over real sockets. What it does not list is denied.

mod checked;
mod compositions;
mod grpc;
mod law;
mod methods;
mod paths;
mod require;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::routing::{any, get, post};
use gateless::bearer::OptionalBearerAuth;
use gateless::scope::{MatchedRoute, ScopeGuard, ScopeTable};
use gateless::{Access, PrincipalKind, Requirement, acr, scope, scopes};
use gateless_testkit::FakeClock;
use http::{Method, Request};
use rstest::rstest;
use tower::{ServiceBuilder, ServiceExt as _};

use crate::logs;
use crate::sockets::{Http2, exchange_bytes, parse, serve};
use crate::support::{
    Answer, Protocol, Refusal, auth_with, bearer, issuer, passes, policy, refuses, send_to,
};

fn optional() -> OptionalBearerAuth {
    auth_with(policy()).build_optional().unwrap()
}

/// A guard whose clock stands where that of the issuer does.
fn guarding(table: ScopeTable) -> ScopeGuard {
    ScopeGuard::table(table).clock(Arc::new(FakeClock::new()))
}

/// `app` as it should be mounted: who is there is found out first, and then what the table says.
fn behind(app: Router, table: ScopeTable) -> Router {
    let stack = ServiceBuilder::new()
        .layer(optional())
        .layer(guarding(table));
    app.layer(stack)
}

/// The handlers that were reached.
#[derive(Clone, Debug, Default)]
struct Reached(Arc<Mutex<Vec<String>>>);

impl Reached {
    fn note(&self, name: &str) {
        self.0.lock().unwrap().push(name.to_owned());
    }

    /// Those since it was last asked.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// A handler that notes that it was reached, and answers with its name.
    fn at(
        &self,
        name: &'static str,
    ) -> impl Fn() -> std::future::Ready<&'static str> + Clone + Send + Sync + 'static {
        let reached = self.clone();
        move || {
            reached.note(name);
            std::future::ready(name)
        }
    }
}

/// A token with such scopes, or none at all.
fn credentials(scope: Option<&str>) -> Option<String> {
    scope.map(|scope| bearer(issuer().token().scope(scope).mint()))
}

fn request(method: &Method, path: &str, scope: Option<&str>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(credentials) = credentials(scope) {
        request = request.header("authorization", credentials);
    }
    request.body(Body::empty()).unwrap()
}

async fn asks(app: &Router, method: Method, path: &str, scope: Option<&str>) -> Answer {
    send_to(app, request(&method, path, scope)).await
}

async fn status_of(app: &Router, method: Method, path: &str, scope: Option<&str>) -> u16 {
    asks(app, method, path, scope).await.status.as_u16()
}

/// The same request in HTTP/1.1, and in HTTP/2, to a real socket.
async fn over_sockets(address: SocketAddr, request: impl Fn() -> Request<Body>) -> [Answer; 2] {
    let asked = request();
    let mut text = format!("{} {} HTTP/1.1\r\nHost: a\r\n", asked.method(), asked.uri());
    for (name, value) in asked.headers() {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    text.push_str("Connection: close\r\nContent-Length: 0\r\n\r\n");
    let first = parse(&exchange_bytes(address, text).await);
    let mut asked = request();
    *asked.uri_mut() = format!("http://a{}", asked.uri()).parse().unwrap();
    let second = Http2::connect(address).await.send(asked).await;
    [first, second].map(Answer::of)
}

/// Each way to be refused has a route.
fn every_refusal(reached: &Reached) -> (Router, ScopeTable) {
    let table = ScopeTable::builder()
        .get("/orders", scopes!["orders:read", "orders:list"])
        .post("/orders", scopes!["orders:read", "orders:list"])
        .delete("/gone", scope!("orders:write"))
        .get("/clients", Requirement::kind(PrincipalKind::Client))
        .post("/clients", Requirement::kind(PrincipalKind::Client))
        .get("/strong", Requirement::acr([acr!("phr"), acr!("phrh")]))
        .post("/strong", Requirement::acr([acr!("phr"), acr!("phrh")]))
        .build()
        .unwrap();
    let each = || get(reached.at("handler")).post(reached.at("handler"));
    let app = Router::new()
        .route("/orders", each())
        .route("/gone", each().delete(reached.at("handler")))
        .route("/clients", each())
        .route("/strong", each())
        .route("/undeclared", each())
        .fallback(reached.at("fallback"));
    (app, table)
}

#[rstest]
#[case("/orders", None, Refusal::none())]
#[case("/gone", None, Refusal::none())]
#[case("/undeclared", None, Refusal::none())]
#[case("/nothing", None, Refusal::none())]
#[case("/orders", Some("orders:list"), Refusal::scope(&["orders:read"], &["orders:read", "orders:list"]))]
#[case::tj_16("/gone", Some("orders:write"), Refusal::no_method("DELETE"))]
#[case::tj_15("/clients", Some("orders:write"), Refusal::not_permitted())]
#[case::tj_14("/strong", Some("orders:write"), Refusal::step(&["phr", "phrh"], None))]
#[case::tj_01("/undeclared", Some("orders:write"), Refusal::undeclared())]
#[case::tj_03("/nothing", Some("orders:write"), Refusal::no_route())]
#[tokio::test]
async fn tj_01_a_table_refuses_alike_on_every_wire(
    #[case] path: &str,
    #[case] scope: Option<&str>,
    #[case] refusal: Refusal,
) {
    let reached = Reached::default();
    let (app, table) = every_refusal(&reached);
    let app = behind(app, table);
    let address = serve(app.clone()).await;
    let credentials = credentials(scope);
    let secret = credentials.clone().unwrap_or_default();
    for protocol in Protocol::ALL {
        let request = || {
            let method = match protocol {
                Protocol::Http => Method::GET,
                _ => Method::POST,
            };
            let mut request = Request::builder().method(method).uri(path);
            if let Some(content_type) = protocol.content_type() {
                request = request.header("content-type", content_type);
            }
            if let Some(credentials) = &credentials {
                request = request.header("authorization", credentials);
            }
            request.body(Body::empty()).unwrap()
        };
        let answer = send_to(&app, request()).await;
        answer.refused(protocol, &refusal);
        answer.keeps(&secret);
        for answer in over_sockets(address, request).await {
            answer.reads(protocol, &refusal);
            answer.keeps(&secret);
        }
    }
    assert!(reached.take().is_empty());
}

#[rstest]
#[case::tj_01("/undeclared", Refusal::undeclared())]
#[case::tj_16("/gone", Refusal::no_method("DELETE"))]
#[case::tj_15("/clients", Refusal::not_permitted())]
#[tokio::test]
async fn tj_01_a_route_of_a_router_of_ones_own_is_refused_in_every_protocol(
    #[case] route: &str,
    #[case] refusal: Refusal,
) {
    let (_, table) = every_refusal(&Reached::default());
    let stack = ServiceBuilder::new()
        .layer(optional())
        .layer(guarding(table))
        .into_inner();
    let token = issuer().token().scope("orders:read orders:list").mint();
    let make = |route: &str| {
        let (route, credentials) = (MatchedRoute::new(route), bearer(&token));
        move |request: http::request::Builder| {
            let request = request.extension(route.clone());
            request.header("authorization", credentials.clone())
        }
    };
    refuses(&stack, &refusal, &token, make(route)).await;
    passes(&stack, &token, make("/orders")).await;
    // No route at all, and a route that only a client claims.
    refuses(&stack, &Refusal::no_route(), &token, |request| {
        let request = request.header("authorization", bearer(&token));
        request.header("x-matched-route", "/orders")
    })
    .await;
}

#[tokio::test]
async fn tj_01_a_route_without_a_declaration_is_refused() {
    let reached = Reached::default();
    let app = Router::new()
        .route("/orders", get(reached.at("orders")))
        .route("/forgotten", any(reached.at("forgotten")))
        .route("/forgotten/{id}", any(reached.at("forgotten")));
    let table = ScopeTable::builder().get("/orders", scope!("orders:read"));
    let app = behind(app, table.build().unwrap());
    for path in ["/forgotten", "/forgotten/1"] {
        for method in [Method::GET, Method::POST, Method::OPTIONS, Method::TRACE] {
            for scope in ["", "orders:read", "*", "admin"] {
                let answer = asks(&app, method.clone(), path, Some(scope)).await;
                answer.refused(Protocol::Http, &Refusal::undeclared());
            }
            let answer = asks(&app, method, path, None).await;
            answer.refused(Protocol::Http, &Refusal::none());
        }
    }
    assert!(reached.take().is_empty());
    assert_eq!(
        status_of(&app, Method::GET, "/orders", Some("orders:read")).await,
        200
    );
    assert_eq!(reached.take(), ["orders"]);
}

/// Prints what is logged at ERROR; [`tj_01_a_route_without_a_declaration_is_logged_once`] runs it in a process of its own.
#[tokio::test]
async fn undeclared_in_a_process_of_its_own() {
    logs::capture();
    let app = Router::new()
        .route("/orders", get(async || "orders"))
        .route("/forgotten/{id}", get(async || "forgotten"))
        .route("/other", get(async || "other"));
    let table = ScopeTable::builder().get("/orders", scope!("orders:read"));
    let app = behind(app, table.build().unwrap());
    let mut logged = String::new();
    for path in [
        "/forgotten/canary-1",
        "/forgotten/canary-2",
        "/other",
        "/other",
        "/orders",
        "/nothing",
    ] {
        for scope in [None, Some("orders:read"), Some("")] {
            logged.push_str(&asks(&app, Method::GET, path, scope).await.logs);
        }
    }
    let is_error = |line: &&str| line.contains("ERROR");
    let errors: Vec<_> = logged.lines().filter(is_error).collect();
    println!("errors={}", errors.len());
    for error in errors {
        assert!(!error.contains("canary"), "{error}");
        println!("error about {}", error.split("route=").nth(1).unwrap());
    }
}

#[test]
fn tj_01_a_route_without_a_declaration_is_logged_once() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "tables::undeclared_in_a_process_of_its_own",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("errors=2\n"), "{said}");
    for route in ["/forgotten/{id}", "/other"] {
        let about = format!("error about \"{route}\"");
        assert_eq!(said.matches(&about).count(), 1, "{said}");
    }
}

#[tokio::test]
async fn a_table_around_a_router_denies_everything_and_says_why_once() {
    logs::capture();
    let app = Router::new().route("/orders", get(async || "orders"));
    let table = ScopeTable::builder().get("/orders", scope!("orders:read"));
    let stack = ServiceBuilder::new()
        .layer(optional())
        .layer(guarding(table.build().unwrap()))
        .service(app);
    logs::take();
    for _ in 0..3 {
        let request = request(&Method::GET, "/orders", Some("orders:read"));
        assert_eq!(stack.clone().oneshot(request).await.unwrap().status(), 404);
    }
    let said = logs::take();
    assert_eq!(
        said.matches("before a router has matched").count(),
        1,
        "{said}"
    );
}

const METHODS: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
];

#[tokio::test]
async fn tj_02_a_table_without_authentication_is_a_fault_of_the_deployment_but_for_open_routes() {
    let table = ScopeTable::builder()
        .get("/orders", scope!("orders:read"))
        .get("/open", Access::open("for a test"))
        .build()
        .unwrap();
    let app = Router::new()
        .route("/orders", get(async || "orders").post(async || "orders"))
        .route("/undeclared", post(async || "undeclared"))
        .route("/open", get(async || "open"))
        .layer(ScopeGuard::table(table));
    for (method, path) in [
        (Method::GET, "/orders"),
        (Method::POST, "/orders"),
        (Method::POST, "/undeclared"),
        (Method::GET, "/nothing"),
        (Method::POST, "/open"),
    ] {
        let answer = asks(&app, method.clone(), path, Some("orders:read")).await;
        assert_eq!(answer.status, 500, "{method} {path}");
    }
    assert_eq!(status_of(&app, Method::GET, "/open", None).await, 200);
}
