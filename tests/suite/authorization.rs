//! TJ: what a caller may do, and that no composition of routers opens a way around the question.

use std::process::Command;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{any, get, post};
use bytes::Bytes;
use gateless::bearer::{BearerAuth, Credentials, OptionalBearerAuth};
use gateless::scope::ScopeGuard;
use gateless::{Claims, Principal, Requirement, scope, scopes};
use gateless_testkit::TokenBuilder;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use rstest::rstest;
use serde_json::json;
use tower::{ServiceBuilder, ServiceExt as _};

use crate::sockets::{Http2, exchange, serve, status};
use crate::support::{Refusal, auth, auth_with, bearer, issuer, passes, policy, reading, refuses};
use crate::{contract, logs};

fn optional() -> OptionalBearerAuth {
    auth_with(policy()).build_optional().unwrap()
}

fn read() -> ScopeGuard {
    ScopeGuard::all(scopes!["orders:read"])
}

fn write() -> ScopeGuard {
    ScopeGuard::all(scopes!["orders:write"])
}

/// Sends a request to `app`; `scope` is what its token grants, or `None` for no token at all.
async fn ask(app: &Router, method: Method, path: &str, scope: Option<&str>) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(scope) = scope {
        let token = issuer().token().scope(scope).mint();
        request = request.header("authorization", bearer(token));
    }
    let request = request.body(Body::empty()).unwrap();
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

async fn gets(app: &Router, path: &str, scope: Option<&str>) -> u16 {
    ask(app, Method::GET, path, scope).await.status().as_u16()
}

fn behind_both(
    guard: &ScopeGuard,
) -> impl tower::Layer<
    gateless_testkit::Recorder,
    Service = gateless::gate::Gated<
        gateless::gate::Gated<gateless_testkit::Recorder, ScopeGuard>,
        BearerAuth,
    >,
> {
    ServiceBuilder::new()
        .layer(auth())
        .layer(guard.clone())
        .into_inner()
}

/// Refused for its scopes, in every protocol.
async fn lacks(guard: &ScopeGuard, granted: &str, missing: &[&str], required: &[&str]) {
    let token = issuer().token().scope(granted).mint();
    refuses(
        &behind_both(guard),
        &Refusal::scope(missing, required),
        &token,
        |request| request.header("authorization", bearer(&token)),
    )
    .await;
}

async fn suffices(guard: &ScopeGuard, granted: &str) {
    let token = issuer().token().scope(granted).mint();
    passes(&behind_both(guard), &token, |request| {
        request.header("authorization", bearer(&token))
    })
    .await;
}

#[tokio::test]
async fn tj_10_all_names_every_scope_that_is_needed_and_those_that_are_missing() {
    let guard = ScopeGuard::all(scopes!["orders:read", "orders:write", "invoices:read"]);
    let required = ["orders:read", "orders:write", "invoices:read"];
    suffices(&guard, "orders:read orders:write invoices:read").await;
    suffices(&guard, "x invoices:read orders:write  orders:read").await;
    lacks(&guard, "", &required, &required).await;
    lacks(
        &guard,
        "orders:write x",
        &["orders:read", "invoices:read"],
        &required,
    )
    .await;
    lacks(
        &guard,
        "orders:read orders:write",
        &["invoices:read"],
        &required,
    )
    .await;
}

#[tokio::test]
async fn tj_10_any_names_one_way_to_get_through() {
    let guard = ScopeGuard::any(scopes!["orders:read", "orders:admin"]);
    suffices(&guard, "orders:read").await;
    suffices(&guard, "orders:admin").await;
    lacks(&guard, "orders:write", &["orders:read"], &["orders:read"]).await;
}

#[tokio::test]
async fn tj_10_nested_requirements_name_the_shortest_way() {
    let guard = ScopeGuard::new(Requirement::any([
        Requirement::from(scope!("root")),
        Requirement::all([
            Requirement::from(scope!("orders:read")),
            Requirement::any(scopes!["orders:write", "orders:admin"]),
        ]),
    ]));
    suffices(&guard, "root").await;
    suffices(&guard, "orders:admin orders:read").await;
    lacks(&guard, "orders:write", &["root"], &["root"]).await;
    lacks(&guard, "orders:admin", &["root"], &["root"]).await;
    let deep = ScopeGuard::new(Requirement::all([
        Requirement::any([
            Requirement::all(scopes!["a", "b"]),
            Requirement::all(scopes!["c", "d"]),
        ]),
        Requirement::from(scope!("e")),
    ]));
    suffices(&deep, "e d c").await;
    lacks(&deep, "d e", &["c"], &["c", "d", "e"]).await;
    lacks(&deep, "a c d", &["e"], &["c", "d", "e"]).await;
}

#[rstest]
#[case("orders:readwrite")]
#[case("orders:rea")]
#[case("orders")]
#[case("Orders:read")]
#[case("ORDERS:READ")]
#[case("orders:*")]
#[case("*")]
#[case("orders:read,orders:write")]
#[case("xorders:read")]
#[case("orders:read;")]
#[case("orders%3Aread")]
#[case("orders:read:all orders:reader admin:orders:read")]
#[tokio::test]
async fn tj_06_a_scope_is_matched_exactly(#[case] granted: &str) {
    lacks(&read(), granted, &["orders:read"], &["orders:read"]).await;
}

#[test]
fn tj_07_tj_08_nothing_asked_for_cannot_be_built() {
    let none: [gateless::Scope; 0] = [];
    assert!(Requirement::try_all(none.clone()).is_err());
    assert!(Requirement::try_any(none).is_err());
    // `ScopeGuard::all([])` does not compile: see the documentation of `Requirement`.
}

#[tokio::test]
async fn tj_09_a_field_of_the_client_grants_nothing() {
    let token = issuer().token().scope("profile").mint();
    let refusal = Refusal::scope(&["orders:read"], &["orders:read"]);
    refuses(&behind_both(&read()), &refusal, &token, |request| {
        request
            .header("authorization", bearer(&token))
            .header("scope", "orders:read")
            .header("x-scope", "orders:read")
            .header("x-auth-scopes", "orders:read")
            .header("x-forwarded-scope", "orders:read")
    })
    .await;
}

#[tokio::test]
async fn tj_11_who_is_unknown_gets_401_and_who_may_not_gets_403() {
    let app = Router::new()
        .route("/orders", get(async || "orders").layer(read()))
        .layer(auth());
    for (scope, expected) in [
        (None, 401),
        (Some("profile"), 403),
        (Some("orders:read"), 200),
    ] {
        assert_eq!(gets(&app, "/orders", scope).await, expected, "{scope:?}");
    }
    let answer = ask(&app, Method::GET, "/orders", Some("")).await;
    assert_eq!(
        answer.headers()["www-authenticate"],
        "Bearer error=\"insufficient_scope\", \
         error_description=\"the access token does not grant what this request needs\", \
         scope=\"orders:read\""
    );
}

#[tokio::test]
async fn tj_10_a_refusal_tells_nothing_of_other_routes_and_of_the_caller() {
    let app = Router::new()
        .route("/orders", get(async || "orders").layer(read()))
        .route(
            "/admin",
            get(async || "admin").layer(ScopeGuard::all(scopes!["secret:admin"])),
        )
        .layer(auth());
    let answer = ask(&app, Method::GET, "/orders", Some("canary:scope")).await;
    let said = format!(
        "{:?} {}",
        answer.headers(),
        String::from_utf8_lossy(answer.body())
    );
    for unsaid in ["secret:admin", "canary:scope", "user-1", "client-1"] {
        assert!(!said.contains(unsaid), "{said}");
    }
}

#[tokio::test]
async fn tj_02_a_guard_without_authentication_is_a_fault_of_the_deployment() {
    let token = issuer().token().scope("orders:read").mint();
    refuses(&read(), &Refusal::misordered(), &token, |request| {
        request.header("authorization", bearer(&token))
    })
    .await;
    // The guard outside of the authentication is no better.
    let wrong_way_round = ServiceBuilder::new()
        .layer(read())
        .layer(auth())
        .into_inner();
    refuses(
        &wrong_way_round,
        &Refusal::misordered(),
        &token,
        |request| request.header("authorization", bearer(&token)),
    )
    .await;
    let app = Router::new().route("/", get(async |_: Principal| "in"));
    assert_eq!(gets(&app, "/", Some("orders:read")).await, 500);
    let app = Router::new().route("/", get(async |_: Option<Principal>| "in"));
    assert_eq!(gets(&app, "/", None).await, 500);
}

/// Prints what is logged at ERROR; [`tj_02_a_missing_layer_is_logged_once`] runs it in a process of its own.
#[tokio::test]
async fn misordered_in_a_process_of_its_own() {
    logs::capture();
    logs::take();
    let app = Router::new().route("/", get(async || "in").layer(read()));
    for _ in 0..3 {
        assert_eq!(gets(&app, "/", Some("orders:read")).await, 500);
    }
    let errors = logs::take()
        .lines()
        .filter(|line| line.contains("ERROR"))
        .count();
    println!("errors={errors}");
    assert!(errors <= 1);
}

#[test]
fn tj_02_a_missing_layer_is_logged_once() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "authorization::misordered_in_a_process_of_its_own",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("errors=1\n"), "{said}");
}

#[rstest]
#[case("/nested/deep/list", 200)]
#[case("/nested/deep/any", 200)]
#[case("/merged", 200)]
#[case("/service", 200)]
#[case("/service/anything/below", 200)]
#[case("/wild/a/b", 200)]
#[case("/param/1", 200)]
#[case("/unknown", 404)]
#[case("/nested", 404)]
#[case("/nested/unknown", 404)]
#[tokio::test]
async fn tj_03_no_composition_leads_around_the_layers(#[case] path: &str, #[case] routed: u16) {
    let app = composed();
    assert_eq!(gets(&app, path, None).await, 401, "without a token");
    assert_eq!(gets(&app, path, Some("orders:read")).await, routed);
    let without_scope = if routed == 404 { 404 } else { 403 };
    assert_eq!(gets(&app, path, Some("profile")).await, without_scope);
}

/// One application out of all the ways to put routers together.
fn composed() -> Router {
    let inner = Router::new()
        .route("/list", get(async || "list").layer(read()))
        .route("/any", any(async || "any").layer(read()));
    let merged = Router::new()
        .route("/merged", get(async || "merged"))
        .route_layer(read());
    let service = Router::new().fallback(async || "service").layer(read());
    Router::new()
        .nest("/nested", Router::new().nest("/deep", inner))
        .merge(merged)
        .nest_service("/service", service)
        .route(
            "/wild/{*rest}",
            get(async |Path(rest): Path<String>| rest).layer(read()),
        )
        .route(
            "/param/{id}",
            get(async |Path(id): Path<String>| id).layer(read()),
        )
        .fallback(async || (http::StatusCode::NOT_FOUND, "fallback"))
        .layer(auth())
}

#[tokio::test]
async fn tj_03_what_escapes_the_authentication_is_closed_by_the_guard() {
    // Routes and fallbacks that are added after `layer` are not covered by it: that is axum's rule.
    let app = Router::new()
        .route("/early", get(async || "early").layer(read()))
        .layer(auth())
        .route("/late", get(async || "late").layer(read()))
        .route("/handler", get(async |_: Principal| "handler"))
        .merge(
            Router::new()
                .route("/merged", get(async || "merged"))
                .route_layer(read()),
        );
    assert_eq!(gets(&app, "/early", Some("orders:read")).await, 200);
    for path in ["/late", "/handler", "/merged"] {
        for scope in [None, Some("orders:read")] {
            assert_eq!(gets(&app, path, scope).await, 500, "{path}");
        }
    }
}

#[tokio::test]
async fn tj_03_route_layer_keeps_the_answer_to_unknown_paths_open() {
    let app = Router::new()
        .route("/orders", get(async || "orders"))
        .route_layer(read())
        .route_layer(auth());
    assert_eq!(gets(&app, "/orders", None).await, 401);
    assert_eq!(gets(&app, "/orders", Some("profile")).await, 403);
    assert_eq!(gets(&app, "/unknown", None).await, 404);
}

#[tokio::test]
async fn tj_16_every_method_has_its_own_guard_or_none_at_all() {
    let app = Router::new()
        .route(
            "/orders",
            get(async || "list")
                .layer(read())
                .merge(post(async || "create").layer(write())),
        )
        .layer(auth());
    let both = "orders:read orders:write";
    for (method, scope, expected) in [
        (Method::GET, "orders:read", 200),
        (Method::GET, "orders:write", 403),
        (Method::HEAD, "orders:read", 200),
        (Method::HEAD, "orders:write", 403),
        (Method::POST, "orders:write", 200),
        (Method::POST, "orders:read", 403),
        (Method::PUT, both, 405),
        (Method::PATCH, both, 405),
        (Method::DELETE, both, 405),
        (Method::OPTIONS, both, 405),
        (Method::TRACE, both, 405),
    ] {
        let answer = ask(&app, method.clone(), "/orders", Some(scope)).await;
        assert_eq!(answer.status(), expected, "{method} {scope}");
        assert_eq!(ask(&app, method, "/orders", None).await.status(), 401);
    }
    // One guard around all of them.
    let app = Router::new()
        .route(
            "/orders",
            get(async || "list").post(async || "create").layer(write()),
        )
        .layer(auth());
    for method in [Method::GET, Method::HEAD, Method::POST] {
        let answer = ask(&app, method, "/orders", Some("orders:read")).await;
        assert_eq!(answer.status(), 403);
    }
}

/// Public, guarded and admin routes: what a path trick would confuse.
fn shop() -> Router {
    let admin = Router::new()
        .route("/users", get(async || "SECRET"))
        .route("/users/{id}", get(async || "SECRET"))
        .route_layer(ScopeGuard::all(scopes!["admin"]));
    Router::new()
        .route("/public/{*rest}", get(async || "public"))
        .route("/orders/{id}", get(async || "order").layer(read()))
        .nest("/admin", admin)
        .fallback(async || http::StatusCode::NOT_FOUND)
        .layer(auth())
}

pub(crate) const TRICKS: [&str; 34] = [
    "//admin/users",
    "/admin//users",
    "/admin/users/",
    "/admin/users//",
    "/./admin/users",
    "/admin/./users",
    "/public/../admin/users",
    "/public/..%2fadmin/users",
    "/public/%2e%2e/admin/users",
    "/public/%2e%2e%2fadmin%2fusers",
    "/public/..;/admin/users",
    "/public/.%2e/admin/users",
    "/orders/../admin/users",
    "/orders/1/../../admin/users",
    "/admin;v=1/users",
    "/admin/users;v=1",
    "/admin%2fusers",
    "/admin%2Fusers",
    "/%61dmin/users",
    "/admin/%75sers",
    "/ADMIN/users",
    "/Admin/Users",
    "/admin/users%00",
    "/admin/users%20",
    "/admin/users.json",
    "/admin/users?x=/public/a",
    "/admin/users#/public/a",
    "/admin/users/1",
    "/admin/users/..",
    "/admin/users/%2e%2e/users",
    "/admin\\users",
    "/admin/users%3f",
    "/admin/users%23",
    "/%2561dmin/users",
];

#[tokio::test]
async fn tj_05_no_spelling_of_a_path_gets_around_a_guard_in_http_1() {
    let address = serve(shop()).await;
    let token = issuer().token().scope("orders:read").mint();
    let admin = issuer().token().scope("admin").mint();
    let get = async |target: &str, token: &str| {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        exchange(address, request).await
    };
    assert!(get("/admin/users", &admin).await.ends_with("SECRET"));
    let absolute = TRICKS.map(|path| format!("http://a{path}"));
    let further = [
        "admin/users",
        "*",
        "a:80",
        "http://a@b/admin/users",
        "/admin/users\0",
        "/admin/us\ters",
    ];
    for target in TRICKS
        .into_iter()
        .chain(absolute.iter().map(|it| &**it))
        .chain(further)
    {
        let answer = get(target, &token).await;
        assert!(!answer.contains("SECRET"), "{target}: {answer}");
        assert!(
            matches!(status(&answer), Some(200 | 400 | 403 | 404)),
            "{target}: {answer}"
        );
        if status(&answer) == Some(200) {
            assert!(
                answer.ends_with("public") || answer.ends_with("order"),
                "{target}: {answer}"
            );
        }
        // Without a token no spelling is answered by a handler at all.
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = exchange(address, request).await;
        assert!(
            matches!(status(&answer), Some(400 | 401)),
            "{target}: {answer}"
        );
    }
}

#[tokio::test]
async fn tj_05_no_spelling_of_a_path_gets_around_a_guard_in_http_2() {
    let client = Http2::connect(serve(shop()).await).await;
    let token = issuer().token().scope("orders:read").mint();
    let mut sent = 0;
    for path in TRICKS {
        let Ok(uri) = format!("http://a{path}").parse::<http::Uri>() else {
            continue;
        };
        sent += 1;
        let request = Request::get(uri.clone()).header("authorization", bearer(&token));
        let answer = client.send(request.body(Body::empty()).unwrap()).await;
        assert_ne!(answer.body(), "SECRET", "{path}");
        assert!(
            matches!(answer.status().as_u16(), 200 | 400 | 403 | 404),
            "{path}"
        );
        let answer = client
            .send(Request::get(uri).body(Body::empty()).unwrap())
            .await;
        assert!(matches!(answer.status().as_u16(), 400 | 401), "{path}");
    }
    assert!(sent > 30, "{sent}");
}

#[rstest]
#[case("/test.Whoami/name")]
#[case("/test.whoami/Name")]
#[case("/TEST.WHOAMI/NAME")]
#[case("/test.Whoami%2FName")]
#[case("/test.Whoami/Name/")]
#[case("/test.Whoami/Name/extra")]
#[case("//test.Whoami/Name")]
#[case("/test.Whoami//Name")]
#[case("/test.Whoami/%4eame")]
#[case("/./test.Whoami/Name")]
#[case("/Name")]
#[tokio::test]
async fn tj_04_no_spelling_of_a_grpc_path_reaches_a_method(#[case] path: &'static str) {
    let mut client = tonic::client::Grpc::new(contract::grpc(auth()).await);
    for (scope, code) in [
        (Some("orders:read"), tonic::Code::Unimplemented),
        (Some("profile"), tonic::Code::PermissionDenied),
        (None, tonic::Code::Unauthenticated),
    ] {
        let mut request = tonic::Request::new("I am".to_owned());
        if let Some(scope) = scope {
            let token = bearer(issuer().token().scope(scope).mint());
            request
                .metadata_mut()
                .insert("authorization", token.parse().unwrap());
        }
        client.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static(path);
        let codec = tonic_prost::ProstCodec::<String, String>::default();
        let status = client.unary(request, path, codec).await.unwrap_err();
        assert_eq!(status.code(), code, "{scope:?}");
    }
}

#[tokio::test]
async fn an_anonymous_caller_is_asked_to_sign_in_by_a_guard() {
    let stack = ServiceBuilder::new()
        .layer(optional())
        .layer(read())
        .into_inner();
    refuses(&stack, &Refusal::none(), "", |request| request).await;
    let token = issuer().token().scope("orders:read").mint();
    passes(&stack, &token, |request| {
        request.header("authorization", bearer(&token))
    })
    .await;
}

#[derive(serde::Deserialize)]
struct Tenant {
    tenant: String,
}

fn extractors() -> Router {
    Router::new()
        .route(
            "/me",
            get(async |me: Principal| me.subject().unwrap().to_owned()),
        )
        .route(
            "/maybe",
            get(async |me: Option<Principal>| {
                me.map_or("nobody".to_owned(), |me| me.subject().unwrap().to_owned())
            }),
        )
        .route(
            "/tenant",
            get(async |Claims(claims): Claims<Tenant>| claims.tenant),
        )
        .route(
            "/both",
            get(async |me: Principal, Claims(claims): Claims<Tenant>| {
                format!("{} at {}", me.subject().unwrap(), claims.tenant)
            }),
        )
}

async fn extracted(app: &Router, path: &str, token: Option<TokenBuilder>) -> (u16, String) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header("authorization", bearer(token.mint()));
    }
    let answer = app
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn extractors_hand_the_caller_to_a_handler() {
    let token = || issuer().token().claim("tenant", "acme");
    for app in [extractors().layer(auth()), extractors().layer(optional())] {
        for (path, expected) in [
            ("/me", "user-1"),
            ("/maybe", "user-1"),
            ("/tenant", "acme"),
            ("/both", "user-1 at acme"),
        ] {
            let answer = extracted(&app, path, Some(token())).await;
            assert_eq!(answer, (200, expected.to_owned()), "{path}");
        }
    }
    let app = extractors().layer(optional());
    assert_eq!(
        extracted(&app, "/maybe", None).await,
        (200, "nobody".to_owned())
    );
    for path in ["/me", "/tenant", "/both"] {
        assert_eq!(extracted(&app, path, None).await.0, 401, "{path}");
    }
    for path in ["/me", "/maybe", "/tenant", "/both"] {
        assert_eq!(
            extracted(&extractors(), path, Some(token())).await.0,
            500,
            "{path}"
        );
    }
}

#[tokio::test]
async fn tj_12_a_claim_of_another_form_than_the_handler_asks_for_is_an_invalid_token() {
    let app = extractors().layer(auth());
    for token in [
        issuer().token(),
        issuer().token().claim("tenant", 7),
        issuer()
            .token()
            .claim("tenant", json!({"id": "canary-tenant"})),
    ] {
        let (status, body) = extracted(&app, "/tenant", Some(token)).await;
        assert_eq!(status, 401);
        assert!(
            body.contains("token_invalid") && !body.contains("canary"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn tj_13_the_token_can_be_taken_off_the_request() {
    let token = issuer().token().mint();
    let ask = |request: http::request::Builder| request.header("authorization", bearer(&token));
    let kept = passes(&auth(), &token, ask).await;
    assert_eq!(kept.headers["authorization"], bearer(&token));
    assert!(kept.headers["authorization"].is_sensitive());

    let strict = reading(Credentials::new().strip());
    let stripped = passes(&strict, &token, ask).await;
    assert!(!stripped.headers.contains_key("authorization"));
    assert!(Principal::of(&stripped.extensions).is_ok());
}
