//! TJ-03: every way to put routers together, in front of one table.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{any, get, post};
use gateless::scope::{Require as _, ScopeTable};
use gateless::{Access, scope};
use http::{Method, Uri};
use tower::{ServiceBuilder, service_fn};
use tower_http::cors::CorsLayer;

use super::{METHODS, Reached, asks, behind, guarding, optional, status_of};
use crate::sockets::serve;
use crate::support::{Protocol, Refusal};

/// Three routes: one that is declared, one that is open, one that was forgotten. And what is left over.
fn three(reached: &Reached) -> Router {
    Router::new()
        .route("/declared", get(reached.at("declared")))
        .route("/open", get(reached.at("open")))
        .route("/forgotten", any(reached.at("forgotten")))
        .fallback(reached.at("fallback"))
        .method_not_allowed_fallback(reached.at("no such method"))
}

/// Where they are put.
const PREFIXES: [&str; 4] = ["", "/nested", "/nested/deep", "/deep/er/est"];

/// All the ways to put routers together that leave a route to be matched.
fn composed(reached: &Reached) -> Router {
    let service = {
        let reached = reached.clone();
        service_fn(move |_: Request| {
            reached.note("service");
            std::future::ready(Ok::<Response, Infallible>(Response::default()))
        })
    };
    let deep = Router::new().nest("/deep", three(reached));
    let nested = three(reached).merge(deep);
    let deeper = Router::new().nest("/est", three(reached));
    let merged = Router::new()
        .route("/merged/declared", get(reached.at("declared")))
        .route("/merged/forgotten", any(reached.at("forgotten")));
    three(reached)
        .nest("/nested", nested)
        .nest("/deep", Router::new().nest("/er", deeper))
        .merge(merged)
        .route_service("/service/declared", service.clone())
        .route_service("/service/forgotten", service.clone())
        .nest_service("/mounted", service.clone())
        .nest_service("/routed", three(reached))
        .route("/wild/declared/{*rest}", get(reached.at("declared")))
        .route("/wild/forgotten/{*rest}", any(reached.at("forgotten")))
        .route("/param/{id}/declared", get(reached.at("declared")))
        .route("/param/{id}/forgotten", any(reached.at("forgotten")))
        .route("/param/{id}", any(reached.at("forgotten")))
        .route(
            "/methods/declared",
            get(reached.at("declared")).merge(post(reached.at("forgotten"))),
        )
}

fn declared() -> ScopeTable {
    let mut table = ScopeTable::builder();
    for prefix in PREFIXES {
        table = table
            .get(&format!("{prefix}/declared"), scope!("orders:read"))
            .get(&format!("{prefix}/open"), Access::open("for a test"));
    }
    for path in [
        "/merged/declared",
        "/service/declared",
        "/wild/declared/{*rest}",
        "/param/{any_name}/declared",
        "/methods/declared",
    ] {
        table = table.get(path, scope!("orders:read"));
    }
    table.build().unwrap()
}

/// Paths, and what is there.
fn paths() -> Vec<(String, &'static str)> {
    let mut paths = Vec::new();
    for prefix in PREFIXES {
        for (path, what) in [
            ("/declared", "declared"),
            ("/open", "open"),
            ("/forgotten", "undeclared"),
            ("/declared/", "nothing"),
            ("/open/", "nothing"),
            ("/open/x", "nothing"),
            ("/unknown", "nothing"),
            ("/unknown/open", "nothing"),
        ] {
            paths.push((format!("{prefix}{path}"), what));
        }
    }
    for (path, what) in [
        ("/", "nothing"),
        ("/nested", "nothing"),
        ("/nested/", "nothing"),
        ("/merged/declared", "declared"),
        ("/merged/forgotten", "undeclared"),
        ("/service/declared", "declared"),
        ("/service/forgotten", "undeclared"),
        ("/mounted", "undeclared"),
        // Below a service that is mounted whole, the router knows no routes.
        ("/mounted/", "undeclared"),
        ("/mounted/open", "nothing"),
        ("/routed/declared", "nothing"),
        ("/routed/open", "nothing"),
        ("/routed/forgotten", "nothing"),
        ("/wild/declared/a", "declared"),
        ("/wild/declared/a/b/open", "declared"),
        ("/wild/forgotten/a", "undeclared"),
        ("/wild/forgotten/declared/open", "undeclared"),
        ("/param/1/declared", "declared"),
        ("/param/open/declared", "declared"),
        ("/param/1/forgotten", "undeclared"),
        ("/param/open", "undeclared"),
        ("/methods/declared", "declared"),
    ] {
        paths.push((path.to_owned(), what));
    }
    paths
}

/// Asks for everything, in every way, and holds the answers against the table.
async fn nothing_undeclared_is_reached(app: &Router, reached: &Reached) {
    for (path, what) in paths() {
        for method in METHODS {
            let is_get = method == Method::GET || method == Method::HEAD;
            for scope in [None, Some("profile"), Some("orders:read")] {
                let expected = match (what, scope) {
                    ("open", _) if is_get => 200,
                    (_, None) => 401,
                    ("nothing", _) => 404,
                    ("undeclared", _) => 403,
                    _ if !is_get => 405,
                    (_, Some("orders:read")) => 200,
                    _ => 403,
                };
                let answer = asks(app, method.clone(), &path, scope).await;
                let which = format!("{method} {path} {scope:?}");
                assert_eq!(answer.status, expected, "{which}");
                if expected == 200 {
                    assert_eq!(answer.rejection, None, "{which}");
                    let names = reached.take();
                    let is_right = match &*names {
                        [name] => name == what || name == "service" && what == "declared",
                        _ => false,
                    };
                    assert!(is_right, "{which} reached {names:?}");
                } else {
                    let rejection = answer.rejection.expect("refused by the table");
                    assert_eq!(rejection.status(), expected, "{which}");
                    assert_eq!(reached.take(), [""; 0], "{which}");
                }
            }
        }
    }
}

#[tokio::test]
async fn tj_03_no_composition_leads_around_a_table() {
    let reached = Reached::default();
    let app = behind(composed(&reached), declared());
    nothing_undeclared_is_reached(&app, &reached).await;
}

#[tokio::test]
async fn tj_03_other_layers_before_and_after_change_nothing() {
    let reached = Reached::default();
    // Inside of the guard one that turns every request into one for an open route.
    async fn redirects(mut request: Request, next: Next) -> Response {
        *request.uri_mut() = Uri::from_static("/open");
        next.run(request).await
    }
    let app = composed(&reached)
        .layer(from_fn(redirects))
        .layer(ServiceBuilder::new().concurrency_limit(8));
    let app = behind(app, declared())
        .layer(from_fn(redirects))
        .layer(from_fn(async |request: Request, next: Next| {
            next.run(request).await
        }));
    nothing_undeclared_is_reached(&app, &reached).await;
}

#[tokio::test]
async fn tj_03_the_whole_can_be_nested_merged_or_be_a_fallback_itself() {
    let reached = Reached::default();
    let whole = || behind(composed(&reached), declared());
    // Merged with another, and as the fallback of another that has routes of its own.
    let own = || Router::new().route("/own", get(reached.at("own")));
    let merged = own().merge(whole());
    let fallback = own().fallback_service(whole());
    let state = Router::new()
        .route("/state", get(async |State(()): State<()>| "state"))
        .with_state(())
        .fallback_service(whole());
    for app in [merged, fallback, state] {
        nothing_undeclared_is_reached(&app, &reached).await;
    }
    // As a service on a route of another: to axum the route is that of both together, which no table has.
    let service = ServiceBuilder::new().concurrency_limit(8).service(whole());
    let wild = Router::new().route_service("/{*rest}", service);
    for path in [
        "/declared",
        "/open",
        "/forgotten",
        "/unknown",
        "/wild/declared/a",
    ] {
        let answer = asks(&wild, Method::GET, path, Some("orders:read")).await;
        answer.refused(Protocol::Http, &Refusal::undeclared());
        assert_eq!(status_of(&wild, Method::GET, path, None).await, 401);
    }
    assert!(reached.take().is_empty());
}

#[tokio::test]
async fn tj_03_a_nested_router_can_have_a_table_of_its_own() {
    let reached = Reached::default();
    let inner_table = ScopeTable::builder()
        .get("/nested/declared", scope!("inner"))
        .get("/nested/open", Access::open("for a test"))
        .build()
        .unwrap();
    // Under the same names as in the router that it stands in, also where the whole router is one service.
    let inner = || three(&reached).layer(guarding(inner_table.clone()));
    let apps = [
        Router::new().nest("/nested", inner()).layer(optional()),
        Router::new()
            .nest_service("/nested", inner())
            .layer(optional()),
    ];
    for app in apps {
        for (path, scope, expected) in [
            ("/nested/declared", None, 401),
            ("/nested/declared", Some("orders:read"), 403),
            ("/nested/declared", Some("inner"), 200),
            ("/nested/open", None, 200),
            ("/nested/forgotten", None, 401),
            ("/nested/forgotten", Some("inner"), 403),
            ("/nested/unknown", None, 401),
            ("/nested/unknown", Some("inner"), 404),
            ("/nested/open/x", None, 401),
        ] {
            let status = status_of(&app, Method::GET, path, scope).await;
            assert_eq!(status, expected, "{path} {scope:?}");
            assert_eq!(reached.take().len(), usize::from(expected == 200));
        }
    }
    // Two tables: what either of them does not list is denied, and open is what is open in both.
    let outer_table = ScopeTable::builder()
        .get("/nested/declared", scope!("outer"))
        .get("/nested/open", scope!("outer"))
        .get("/nested/forgotten", scope!("outer"))
        .build()
        .unwrap();
    let app = behind(Router::new().nest("/nested", inner()), outer_table);
    for (path, scope, expected) in [
        ("/nested/declared", "outer", 403),
        ("/nested/declared", "inner", 403),
        ("/nested/declared", "inner outer", 200),
        ("/nested/open", "inner", 403),
        ("/nested/open", "outer", 200),
        ("/nested/forgotten", "inner outer", 403),
        ("/nested/unknown", "inner outer", 404),
    ] {
        let status = status_of(&app, Method::GET, path, Some(scope)).await;
        assert_eq!(status, expected, "{path} {scope}");
        assert_eq!(reached.take().len(), usize::from(expected == 200));
    }
    // A table that forgets the prefix opens nothing.
    let table = ScopeTable::builder()
        .get("/declared", Access::authenticated())
        .get("/open", Access::open("for a test"))
        .build()
        .unwrap();
    let inner = three(&reached).layer(guarding(table));
    let app = Router::new().nest("/nested", inner).layer(optional());
    for path in ["/nested/declared", "/nested/open"] {
        let answer = asks(&app, Method::GET, path, Some("inner")).await;
        answer.refused(Protocol::Http, &Refusal::undeclared());
    }
    assert!(reached.take().is_empty());
}

#[tokio::test]
async fn tj_03_what_is_added_after_the_layers_is_closed_by_what_stands_with_it() {
    // Routes that are added after `layer` are not covered by it: that is axum's rule, for a table too.
    let reached = Reached::default();
    let app = behind(composed(&reached), declared())
        .route(
            "/late",
            get(reached.at("late").require(scope!("orders:read"))),
        )
        .merge(
            Router::new()
                .route("/late/merged", get(reached.at("late")))
                .require(scope!("orders:read")),
        )
        .nest(
            "/late/nested",
            Router::new().route("/x", get(reached.at("late")).require(scope!("orders:read"))),
        );
    for path in ["/late", "/late/merged", "/late/nested/x"] {
        for scope in [None, Some("orders:read")] {
            assert_eq!(
                status_of(&app, Method::GET, path, scope).await,
                500,
                "{path}"
            );
        }
    }
    assert!(reached.take().is_empty());
    nothing_undeclared_is_reached(&app, &reached).await;
}

#[tokio::test]
async fn tj_03_the_guard_of_a_route_layer_leaves_unknown_paths_to_the_router() {
    let reached = Reached::default();
    let stack = ServiceBuilder::new()
        .layer(optional())
        .layer(guarding(declared()));
    let app = Router::new()
        .route("/declared", get(reached.at("declared")))
        .route("/forgotten", get(reached.at("forgotten")))
        .route_layer(stack)
        .layer(CorsLayer::new());
    for (path, scope, expected) in [
        ("/declared", None, 401),
        ("/declared", Some("orders:read"), 200),
        ("/forgotten", None, 401),
        ("/forgotten", Some("orders:read"), 403),
        ("/unknown", None, 404),
    ] {
        assert_eq!(status_of(&app, Method::GET, path, scope).await, expected);
    }
    assert_eq!(reached.take(), ["declared"]);
}

#[tokio::test]
async fn tj_03_a_composition_on_a_real_socket_is_no_other() {
    let reached = Reached::default();
    let app = behind(composed(&reached), declared());
    let address = serve(app).await;
    for (path, what) in paths() {
        for scope in [None, Some("orders:read")] {
            let expected = match (what, scope) {
                ("open", _) => 200,
                (_, None) => 401,
                ("nothing", _) => 404,
                ("undeclared", _) => 403,
                _ => 200,
            };
            let request = || super::request(&Method::GET, &path, scope);
            for answer in super::over_sockets(address, request).await {
                assert_eq!(answer.status, expected, "{path} {scope:?}");
            }
            let times = if expected == 200 { 2 } else { 0 };
            assert_eq!(reached.take().len(), times, "{path}");
        }
    }
}
