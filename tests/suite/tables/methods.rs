//! TJ-16, TA-20 to TA-22: methods, against a table.

use axum::Router;
use axum::body::Body;
use axum::routing::{any, get};
use gateless::scope::ScopeTable;
use gateless::{Access, scope};
use http::{HeaderValue, Method, Request};
use tower_http::cors::CorsLayer;

use super::{METHODS, Reached, asks, behind, credentials, over_sockets, request, status_of};
use crate::sockets::serve;
use crate::support::{Protocol, Refusal, send_to};

/// Routes that answer every method there is, and a table that declares a few.
fn answers_everything(reached: &Reached) -> Router {
    let table = ScopeTable::builder()
        .get("/orders", scope!("orders:read"))
        .post("/orders", scope!("orders:write"))
        .delete("/orders/{id}", scope!("orders:write"))
        .get("/open", Access::open("for a test"))
        .build()
        .unwrap();
    let app = Router::new()
        .route("/orders", any(reached.at("orders")))
        .route("/orders/{id}", any(reached.at("order")))
        .route("/open", any(reached.at("open")));
    behind(app, table)
}

#[tokio::test]
async fn tj_16_a_method_that_is_not_declared_is_refused_and_the_others_are_named() {
    let reached = Reached::default();
    let app = answers_everything(&reached);
    let both = Some("orders:read orders:write");
    for (path, declared, allow) in [
        ("/orders", &["GET", "HEAD", "POST"][..], "GET, HEAD, POST"),
        ("/orders/1", &["DELETE"], "DELETE"),
        ("/open", &["GET", "HEAD"], "GET, HEAD"),
    ] {
        let invented = Method::from_bytes(b"PURGE").unwrap();
        for method in METHODS.into_iter().chain([invented]) {
            let is_declared = declared.contains(&method.as_str());
            let answer = asks(&app, method.clone(), path, both).await;
            if is_declared {
                assert_eq!(answer.status, 200, "{method} {path}");
                assert_eq!(reached.take().len(), 1);
                continue;
            }
            if method == Method::HEAD {
                assert_eq!((answer.status.as_u16(), answer.body.len()), (405, 0));
                assert_eq!(answer.headers["allow"], allow);
            } else {
                answer.refused(Protocol::Http, &Refusal::no_method(allow));
            }
            // Who is not signed in does not learn which methods there are, also of an open route.
            let answer = asks(&app, method.clone(), path, None).await;
            assert_eq!(answer.status, 401, "{method} {path}");
            assert!(!answer.headers.contains_key("allow"));
            assert!(reached.take().is_empty(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn ta_20_a_table_goes_by_the_real_method_and_the_route_that_matched() {
    let reached = Reached::default();
    let app = answers_everything(&reached);
    let address = serve(app).await;
    for (name, value) in [
        ("x-http-method-override", "GET"),
        ("x-http-method", "GET"),
        ("x-method-override", "GET"),
        ("x-original-method", "GET"),
        ("x-original-url", "/open"),
        ("x-rewrite-url", "/open"),
        ("x-forwarded-uri", "/open"),
        ("x-forwarded-path", "/open"),
        ("x-forwarded-prefix", "/open"),
        ("x-matched-path", "/open"),
    ] {
        for (method, path, scope, expected) in [
            (Method::POST, "/orders", Some("orders:read"), 403),
            (Method::DELETE, "/orders", Some("orders:read"), 405),
            (Method::DELETE, "/orders/1", Some("orders:read"), 403),
            (Method::GET, "/orders", None, 401),
            (Method::GET, "/nothing", Some("orders:read"), 404),
            (Method::GET, "/orders", Some("orders:read"), 200),
        ] {
            let credentials = credentials(scope);
            let ask = || {
                let mut request = Request::builder().method(&method).uri(path);
                if let Some(credentials) = &credentials {
                    request = request.header("authorization", credentials);
                }
                request.header(name, value).body(Body::empty()).unwrap()
            };
            for answer in over_sockets(address, ask).await {
                assert_eq!(answer.status, expected, "{name} {method} {path}");
            }
            let times = if expected == 200 { 2 } else { 0 };
            assert_eq!(reached.take().len(), times, "{name} {method} {path}");
        }
    }
}

#[tokio::test]
async fn ta_21_preflights_are_for_cors_and_no_options_ever_reaches_a_handler() {
    let reached = Reached::default();
    let app = answers_everything(&reached);
    let origin = HeaderValue::from_static("https://app.example.com");
    let cors = CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET]);
    let with_cors = app.clone().layer(cors);
    let preflight = |method: Method, path: &str, scope: Option<&str>| {
        let mut request = request(&method, path, scope);
        let fields = request.headers_mut();
        fields.insert(
            "origin",
            HeaderValue::from_static("https://app.example.com"),
        );
        fields.insert(
            "access-control-request-method",
            HeaderValue::from_static("GET"),
        );
        request
    };
    for path in ["/orders", "/orders/1", "/open", "/undeclared"] {
        for scope in [None, Some("orders:read orders:write")] {
            // Outermost, CORS answers preflights: for it, and for nobody else.
            let answer = send_to(&with_cors, preflight(Method::OPTIONS, path, scope)).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
            assert!(answer.headers.contains_key("access-control-allow-methods"));
            assert_eq!(answer.rejection, None);
            // Without it, OPTIONS is a method like any other.
            let expected = match (scope, path) {
                (None, _) => 401,
                (_, "/undeclared") => 404,
                _ => 405,
            };
            let answer = send_to(&app, preflight(Method::OPTIONS, path, scope)).await;
            assert_eq!(answer.status, expected, "{path}");
            let answer = asks(&app, Method::OPTIONS, path, scope).await;
            assert_eq!(answer.status, expected, "{path}");
        }
    }
    // The fields of a preflight make none of another method.
    for (method, path) in [
        (Method::GET, "/orders"),
        (Method::POST, "/orders"),
        (Method::DELETE, "/orders/1"),
        (Method::HEAD, "/orders"),
    ] {
        for app in [&app, &with_cors] {
            let answer = send_to(app, preflight(method.clone(), path, None)).await;
            assert_eq!(answer.status, 401, "{method} {path}");
        }
    }
    assert!(reached.take().is_empty());
    // A refusal can be read by a page of the origin that may ask.
    let answer = send_to(&with_cors, preflight(Method::GET, "/orders", None)).await;
    assert_eq!(
        answer.headers["access-control-allow-origin"],
        "https://app.example.com"
    );
}

#[tokio::test]
async fn ta_22_head_is_like_get_and_trace_is_refused() {
    let reached = Reached::default();
    let app = answers_everything(&reached);
    let address = serve(app.clone()).await;
    for (scope, expected) in [
        (None, 401),
        (Some("orders:write"), 403),
        (Some("orders:read"), 200),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let asked = method.clone();
            let ask = || request(&asked, "/orders", scope);
            for answer in over_sockets(address, ask).await {
                assert_eq!(answer.status, expected, "{method}");
                assert_eq!(answer.body.is_empty(), method == Method::HEAD);
            }
            assert_eq!(reached.take().len(), if expected == 200 { 2 } else { 0 });
        }
    }
    for path in ["/orders", "/orders/1", "/open"] {
        for (scope, expected) in [(None, 401), (Some("orders:read orders:write"), 405)] {
            let ask = || request(&Method::TRACE, path, scope);
            for answer in over_sockets(address, ask).await {
                assert_eq!(answer.status, expected, "{path}");
                let said = String::from_utf8_lossy(&answer.body).to_lowercase();
                assert!(!said.contains("authorization"), "{said}");
            }
        }
    }
    assert!(reached.take().is_empty());
    // A row of its own wins over that of GET.
    let table = ScopeTable::builder()
        .get("/orders", Access::open("for a test"))
        .http(Method::HEAD, "/orders", scope!("head"))
        .build()
        .unwrap();
    let app = behind(
        Router::new().route("/orders", get(async || "orders")),
        table,
    );
    assert_eq!(status_of(&app, Method::GET, "/orders", None).await, 200);
    assert_eq!(status_of(&app, Method::HEAD, "/orders", None).await, 401);
    let head = status_of(&app, Method::HEAD, "/orders", Some("head"));
    assert_eq!(head.await, 200);
}

#[tokio::test]
async fn tj_10_the_router_names_its_own_methods_and_the_table_only_to_who_is_signed_in() {
    // The field that axum adds to whatever answers a method that its router does not have.
    let table = ScopeTable::builder()
        .get("/orders", scope!("orders:read"))
        .post("/orders", scope!("orders:write"));
    let app = Router::new().route("/orders", get(async || "orders"));
    let app = behind(app, table.build().unwrap());
    let answer = asks(&app, Method::POST, "/orders", None).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.headers["allow"], "GET,HEAD");
    let answer = asks(&app, Method::PUT, "/orders", Some("profile")).await;
    answer.refused(Protocol::Http, &Refusal::no_method("GET, HEAD, POST"));
}
