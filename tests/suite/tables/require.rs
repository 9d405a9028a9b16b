//! Requirements that stand with the routes: `.require(..)`, and [`Granted`] among the arguments of a handler.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::handler::Handler as _;
use axum::routing::{any, get, post};
use bytes::Bytes;
use gateless::scope::{Granted, Require as _, ScopeGuard};
use gateless::{PrincipalKind, Renderer, Requirement, acr, need, scope, scopes};
use http::{HeaderMap, Method, Request};
use rstest::rstest;

use super::{asks, optional, over_sockets, status_of};
use crate::logs;
use crate::sockets::serve;
use crate::support::{Answer, Protocol, Refusal, auth, bearer, issuer, send_to};

async fn list() -> &'static str {
    "list"
}

async fn create(_: Bytes) -> &'static str {
    "create"
}

#[derive(Clone)]
struct Shop {
    name: Arc<str>,
}

async fn with_state(State(shop): State<Shop>) -> String {
    shop.name.to_string()
}

async fn with_many(
    State(shop): State<Shop>,
    Path(id): Path<u32>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> String {
    let query = query.unwrap_or_default();
    let (fields, bytes) = (headers.contains_key("authorization"), body.len());
    format!("{} {id} {query} {method} {fields} {bytes}", shop.name)
}

/// Every place that a requirement can stand at.
fn annotated() -> Router {
    let read = || scope!("orders:read");
    let routers: Router<Shop> = Router::new()
        .route("/router", get(list).post(create))
        .route("/router/{id}", get(list))
        .require(read());
    Router::new()
        .route("/handler", get(list.require(read())).post(create))
        .route(
            "/handlers",
            get(list.require(read())).post(create.require(scope!("orders:write"))),
        )
        .route("/methods", get(list).post(create).require(read()))
        .route("/state", get(with_state.require(read())))
        .route(
            "/many/{id}",
            post(with_many.require(read())).get(with_many.require(read())),
        )
        .route("/closure", get((async || "closure").require(read())))
        .route(
            "/capture",
            get({
                let text = "capture".to_owned();
                (async move |State(shop): State<Shop>| format!("{text} {}", shop.name))
                    .require(read())
            }),
        )
        .route(
            "/any",
            get(list.require(Requirement::any(scopes!["orders:read", "root"]))),
        )
        .route(
            "/layered",
            get(list
                .layer(tower::layer::util::Identity::new())
                .require(read())),
        )
        .merge(routers)
        .with_state(Shop {
            name: "shop".into(),
        })
}

#[rstest]
#[case::on_a_router("GET", "/router", "list")]
#[case::on_a_router_with_another_method("POST", "/router", "create")]
#[case::on_a_router_with_another_path("GET", "/router/7", "list")]
#[case::on_a_handler("GET", "/handler", "list")]
#[case::on_a_handler_among_others("GET", "/handlers", "list")]
#[case::on_methods("GET", "/methods", "list")]
#[case::on_other_methods("POST", "/methods", "create")]
#[case::on_a_handler_with_state("GET", "/state", "shop")]
#[case::on_a_handler_with_many_arguments("POST", "/many/7?a=b", "shop 7 a=b POST true 0")]
#[case::on_the_same_handler_for_another_method("GET", "/many/7", "shop 7  GET true 0")]
#[case::on_a_closure("GET", "/closure", "closure")]
#[case::on_a_closure_that_captures("GET", "/capture", "capture shop")]
#[case::with_an_alternative("GET", "/any", "list")]
#[case::on_a_handler_with_layers("GET", "/layered", "list")]
#[tokio::test]
async fn a_requirement_stands_wherever_a_route_is_made(
    #[case] method: Method,
    #[case] path: &str,
    #[case] body: &str,
) {
    let lacking = Refusal::scope(&["orders:read"], &["orders:read"]);
    for app in [annotated().layer(auth()), annotated().layer(optional())] {
        let ask = async |scope| asks(&app, method.clone(), path, scope).await;
        ask(None).await.refused(Protocol::Http, &Refusal::none());
        for scope in ["profile", "orders:readx", ""] {
            ask(Some(scope)).await.refused(Protocol::Http, &lacking);
        }
        let answer = ask(Some("orders:read")).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.body),
            (200, body.as_bytes())
        );
        // What stands beside a route does not open another, and closes none.
        assert_eq!(
            status_of(&app, Method::PUT, path, Some("orders:read")).await,
            405
        );
    }
    let answer = asks(&annotated(), method, path, Some("orders:read")).await;
    answer.refused(Protocol::Http, &Refusal::misordered());
}

#[tokio::test]
async fn tj_16_a_requirement_on_a_handler_is_for_its_method_alone() {
    let app = annotated().layer(auth());
    for (method, path, scope, expected) in [
        (Method::POST, "/handler", "profile", 200),
        (Method::HEAD, "/handler", "profile", 403),
        (Method::HEAD, "/handler", "orders:read", 200),
        (Method::POST, "/handlers", "orders:read", 403),
        (Method::POST, "/handlers", "orders:write", 200),
        (Method::GET, "/handlers", "orders:write", 403),
        (Method::GET, "/any", "root", 200),
    ] {
        let status = status_of(&app, method.clone(), path, Some(scope)).await;
        assert_eq!(status, expected, "{method} {path} {scope}");
    }
}

need! {
    /// May read orders.
    ReadOrders: scope!("orders:read");
    /// May change them.
    pub(crate) WriteOrders: Requirement::all(scopes!["orders:read", "orders:write"]);
    /// A machine.
    Machine: Requirement::kind(PrincipalKind::Client);
    /// Cannot have been phished.
    Strong: Requirement::acr([acr!("phr")]);
}

fn granted() -> Router {
    Router::new()
        .route(
            "/read",
            get(async |caller: Granted<ReadOrders>| caller.subject().unwrap().to_owned()).post(
                async |caller: Granted<ReadOrders>| {
                    caller.principal().subject().unwrap().to_owned()
                },
            ),
        )
        .route(
            "/write",
            get(async |_: Granted<WriteOrders>| "written")
                .post(async |_: Granted<WriteOrders>, _: Bytes| "written"),
        )
        .route(
            "/machine",
            get(async |_: Granted<Machine>| "machine").post(async |_: Granted<Machine>| "machine"),
        )
        .route(
            "/strong",
            get(async |_: Granted<Strong>| "strong").post(async |_: Granted<Strong>| "strong"),
        )
        .route(
            "/both",
            get(async |_: Granted<ReadOrders>, _: Granted<Machine>| "both")
                .post(async |_: Granted<ReadOrders>, _: Granted<Machine>| "both"),
        )
}

#[rstest]
#[case("/read", Some("profile"), Refusal::scope(&["orders:read"], &["orders:read"]))]
#[case("/write", Some("orders:read"), Refusal::scope(&["orders:write"], &["orders:read", "orders:write"]))]
#[case::tj_15("/machine", Some("orders:read"), Refusal::not_permitted())]
#[case::tj_15("/both", Some("orders:read"), Refusal::not_permitted())]
#[case::tj_14("/strong", Some("orders:read"), Refusal::step(&["phr"], None))]
#[case("/read", None, Refusal::none())]
#[case("/strong", None, Refusal::none())]
#[tokio::test]
async fn tj_11_an_argument_refuses_as_a_guard_does(
    #[case] path: &str,
    #[case] scope: Option<&str>,
    #[case] refusal: Refusal,
) {
    let app = granted().layer(optional());
    let address = serve(app.clone()).await;
    let credentials = super::credentials(scope);
    for protocol in Protocol::ALL {
        let request = |credentials: Option<&String>| {
            let mut request = match protocol.content_type() {
                None => Request::get(path),
                Some(content_type) => Request::post(path).header("content-type", content_type),
            };
            if let Some(credentials) = credentials {
                request = request.header("authorization", credentials);
            }
            request.body(Body::empty()).unwrap()
        };
        let ask = || request(credentials.as_ref());
        let answer = send_to(&app, ask()).await;
        answer.refused(protocol, &refusal);
        answer.keeps(credentials.as_deref().unwrap_or_default());
        for answer in over_sockets(address, ask).await {
            answer.reads(protocol, &refusal);
        }
        // Without the layer that says who is there.
        let answer: Answer = send_to(&granted(), ask()).await;
        answer.refused(protocol, &Refusal::misordered());
    }
}

#[tokio::test]
async fn tj_11_an_argument_is_the_caller_who_has_what_it_asks_for() {
    for app in [granted().layer(auth()), granted().layer(optional())] {
        let answer = asks(&app, Method::GET, "/read", Some("orders:read")).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.body),
            (200, &b"user-1"[..])
        );
        let both = Some("orders:write orders:read");
        assert_eq!(status_of(&app, Method::POST, "/write", both).await, 200);
        let machine = issuer().token().subject("client-1").scope("orders:read");
        let strong = issuer().token().acr("phr");
        for (path, token, expected) in [
            ("/machine", machine.clone(), 200),
            ("/both", machine.clone(), 200),
            ("/both", machine.scope(""), 403),
            ("/strong", strong.clone(), 200),
            ("/strong", strong.acr("pwd"), 401),
        ] {
            let request = Request::get(path).header("authorization", bearer(token.mint()));
            let answer = send_to(&app, request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, expected, "{path}");
        }
    }
}

#[test]
fn an_argument_is_a_plain_value() {
    fn is<T: Clone + std::fmt::Debug + Send + Sync + 'static>() {}
    // Also where the name of the requirement is none of that.
    is::<Granted<ReadOrders>>();
    is::<Result<Granted<WriteOrders>, Infallible>>();
}

#[tokio::test]
async fn a_guard_with_settings_can_stand_with_a_route() {
    let renderer = Renderer::builder().realm("orders").build().unwrap();
    let guard = ScopeGuard::all(scopes!["orders:read"]).renderer(renderer);
    let app = Router::new()
        .route("/handler", get(list.require(guard.clone())))
        .route("/methods", get(list).require(guard))
        .layer(auth());
    for path in ["/handler", "/methods"] {
        let answer = asks(&app, Method::GET, path, Some("profile")).await;
        let challenge = answer.headers["www-authenticate"].to_str().unwrap();
        assert!(
            challenge.starts_with("Bearer realm=\"orders\", error="),
            "{challenge}"
        );
        assert_eq!(
            status_of(&app, Method::GET, path, Some("orders:read")).await,
            200
        );
    }
}

#[tokio::test]
async fn tj_16_a_requirement_of_a_path_covers_whatever_answers_for_it() {
    let read = || scope!("orders:read");
    let app = Router::new()
        .route("/any", any(list).require(read()))
        .route("/any-and-get", any(list).get(list).require(read()))
        .route("/fallback", get(list).fallback(list).require(read()))
        .route("/get", get(list).require(read()))
        .merge(Router::new().route("/router", get(list)).require(read()))
        .layer(auth());
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::DELETE,
        Method::TRACE,
    ];
    for path in ["/any", "/any-and-get", "/fallback", "/get", "/router"] {
        for method in methods.clone() {
            let status = status_of(&app, method.clone(), path, Some("profile")).await;
            assert_eq!(status, 403, "{method} {path}");
            let is_there = matches!(method, Method::GET | Method::HEAD)
                || !["/get", "/router"].contains(&path);
            let expected = if is_there { 200 } else { 405 };
            let status = status_of(&app, method.clone(), path, Some("orders:read")).await;
            assert_eq!(status, expected, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_refusal_of_an_extractor_is_noted_like_that_of_a_guard() {
    need! {
        Read: scope!("orders:read");
    }
    logs::capture();
    let app = Router::new()
        .route("/granted", get(async |_: Granted<Read>| "in"))
        .route("/guarded", get(list.require(scope!("orders:read"))))
        .layer(auth());
    let noted = async |path: &str| {
        let answer = asks(&app, Method::GET, path, Some("profile")).await;
        assert_eq!(answer.status, 403);
        let logs = answer.logs;
        let line = logs.lines().find(|line| line.contains("request refused"));
        line.expect(&logs)
            .split("request refused")
            .nth(1)
            .map(str::to_owned)
    };
    assert_eq!(noted("/granted").await, noted("/guarded").await);
}
