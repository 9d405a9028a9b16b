//! TM-19, and [`RouteCheck`]: that what is published and declared is what is asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{any, get, post};
use gateless::bearer::{BearerAuth, Keys};
use gateless::resource::ResourceMetadata;
use gateless::scope::{Require as _, ScopeTable, ScopeTableBuilder};
use gateless::{
    Access, Declaration, PrincipalKind, Requirement, Route, ScopeHierarchy, acr, scope, scopes,
};
use gateless_testkit::{RouteCheck, RouteFaults, TestIssuer};
use http::{Method, Request};
use serde_json::Value;
use tonic::service::Routes;

use super::{behind, guarding};
use crate::contract::Whoami;
use crate::support::{AUDIENCE, auth, bearer, issuer, keys_of, policy, send_to};

/// One row of each kind.
fn rows() -> ScopeTableBuilder {
    let payments = Requirement::all([
        Requirement::from(scope!("payments:send")),
        Requirement::acr([acr!("phr"), acr!("phrh")]),
        Requirement::max_age(Duration::from_secs(300)),
        Requirement::kind(PrincipalKind::User),
    ]);
    let report = Requirement::any([
        Requirement::all(scopes!["reports:read", "reports:all"]),
        Requirement::all(scopes!["audit:read", "audit:all"]),
    ]);
    let tenant = Requirement::all([
        Requirement::from(scope!("tenants:read")),
        Requirement::claim("tenant", "acme"),
        Requirement::claim(["realm", "roles"], "admin"),
    ]);
    ScopeTable::builder()
        .get("/orders", scope!("orders:read"))
        .post("/orders", scopes!["orders:read", "orders:write"])
        .get("/orders/{id}", scope!("orders:read"))
        .delete("/orders/{id}", scope!("orders:admin"))
        .post("/payments", payments)
        .get("/reports/{*rest}", report)
        .get("/tenant", tenant)
        .put("/machines", Requirement::kind(PrincipalKind::Client))
        .get("/whoami", Access::authenticated())
        .get("/healthz", Access::open("asked by the platform"))
        .grpc("test.Whoami/Name", scope!("names:read"))
        .grpc("test.Whoami/Names", scopes!["names:read", "names:all"])
}

fn table() -> ScopeTable {
    let implied = ScopeHierarchy::new()
        .implies(scope!("orders:admin"), scopes!["orders:write"])
        .implies(scope!("orders:write"), scopes!["orders:read"]);
    rows().hierarchy(implied).build().unwrap()
}

/// What is declared, and nothing else.
fn routes() -> Router {
    let grpc = Routes::new(Whoami).into_axum_router();
    Router::new()
        .route("/orders", get(async || "list").post(async || "create"))
        .route("/orders/{id}", get(async || "one").delete(async || "gone"))
        .route("/payments", post(async || "sent"))
        .route("/reports/{*rest}", get(async || "report"))
        .route("/tenant", get(async || "tenant"))
        .route("/machines", any(async || "machine"))
        .route("/whoami", get(async || "who"))
        .route("/healthz", get(async || "healthy"))
        .merge(grpc)
}

async fn check(declared: &[Declaration], app: Router) -> Result<usize, RouteFaults> {
    let check = RouteCheck::new(issuer().token()).at("/orders/{id}", "/orders/7");
    check.run::<Body, _, _>(declared, app).await
}

#[tokio::test]
async fn tj_16_a_walk_through_a_table_finds_each_of_its_routes_as_declared() {
    let app = behind(routes(), table());
    let requests = check(table().declarations(), app).await.unwrap();
    assert!(requests > 150, "{requests}");
}

#[tokio::test]
async fn tj_16_a_walk_finds_whatever_a_table_has_otherwise() {
    let declared = table();
    let without = |route: &str| {
        let rows = declared.declarations().iter();
        let rows = rows.filter(|row| row.route.to_string() != route);
        ScopeTable::builder().extend(rows.cloned())
    };
    let in_place_of = |method: Method, path: &str, access: Access| {
        without(&format!("{method} {path}")).http(method, path, access)
    };
    let strong = Requirement::all([
        Requirement::from(scope!("payments:send")),
        Requirement::acr([acr!("phr")]),
        Requirement::max_age(Duration::from_secs(300)),
        Requirement::kind(PrincipalKind::User),
    ]);
    let open = || Access::open("for a test");
    let any_token = Access::authenticated;
    let get = |path: &str, access: Access| in_place_of(Method::GET, path, access);
    for (says, other) in [
        (
            "GET /whoami, everything: refused with route_undeclared",
            without("GET /whoami"),
        ),
        ("GET /tenant, no token: answered", get("/tenant", open())),
        (
            "GET /healthz, no token: refused with credentials_missing",
            get("/healthz", any_token()),
        ),
        (
            "GET /orders/{id}, no scope: answered",
            get("/orders/{id}", any_token()),
        ),
        (
            "GET /orders/{id}, everything: refused with scope_insufficient",
            get("/orders/{id}", scope!("other").into()),
        ),
        (
            "GET /tenant, without the claim tenant: answered",
            get("/tenant", scope!("tenants:read").into()),
        ),
        (
            "POST /payments, no acr: refused with AuthenticationInsufficient",
            in_place_of(Method::POST, "/payments", strong.into()),
        ),
        (
            "PUT /machines, the other kind of caller: answered",
            in_place_of(Method::PUT, "/machines", any_token()),
        ),
        (
            "PATCH /machines, not declared: answered",
            in_place_of(Method::PATCH, "/machines", any_token()),
        ),
        (
            "gRPC test.Whoami/Names, everything: refused with route_unknown",
            without("gRPC test.Whoami/Names"),
        ),
    ] {
        let app = behind(routes(), other.build().unwrap());
        let faults = check(declared.declarations(), app).await.expect_err(says);
        let is_named = |line: &String| line.contains(says);
        assert!(faults.lines().iter().any(is_named), "{says}: {faults}");
    }
    // No table at all, no authentication, no such routes.
    for app in [
        routes(),
        routes().layer(auth()),
        routes().layer(guarding(table())),
        behind(Router::new(), table()),
    ] {
        assert!(check(declared.declarations(), app).await.is_err());
    }
}

/// The declarations of a service that has no table.
fn declarations() -> Vec<Declaration> {
    let http = |method: Method, path: &str, access: Access| {
        Declaration::new(
            Route::Http {
                method,
                path: path.into(),
            },
            access,
        )
    };
    let strong = Requirement::all([
        Requirement::acr([acr!("phr")]),
        Requirement::max_age(Duration::from_secs(300)),
    ]);
    vec![
        http(Method::GET, "/orders", scope!("orders:read").into()),
        http(Method::POST, "/orders", scope!("orders:write").into()),
        http(Method::GET, "/orders/{id}", scope!("orders:read").into()),
        http(Method::POST, "/payments", strong.into()),
        http(
            Method::GET,
            "/tenant",
            Requirement::claim("tenant", "acme").into(),
        ),
        http(
            Method::PUT,
            "/machines",
            Requirement::kind(PrincipalKind::Client).into(),
        ),
    ]
}

/// The same, written next to the routes; `/payments` asks for what is given.
fn annotated(payments: Requirement) -> Router {
    let list = async || "list";
    let create = async || "create";
    let orders = Router::new().route("/orders/{id}", get(list));
    Router::new()
        .route(
            "/orders",
            get(list.require(scope!("orders:read"))).post(create.require(scope!("orders:write"))),
        )
        .merge(orders.require(scope!("orders:read")))
        .route("/payments", post(create).require(payments))
        .route(
            "/tenant",
            get(list.require(Requirement::claim("tenant", "acme"))),
        )
        .route(
            "/machines",
            axum::routing::put(create.require(Requirement::kind(PrincipalKind::Client))),
        )
}

#[tokio::test]
async fn tj_16_a_walk_needs_no_table_and_finds_what_stands_next_to_the_routes() {
    // By the clock of the system: a guard that stands next to a route has no other.
    let issuer = TestIssuer::new();
    let keys = Keys::fixed(keys_of(&issuer, &policy()));
    let auth = BearerAuth::builder(policy(), keys).build().unwrap();
    let check = RouteCheck::new(issuer.token().audience(AUDIENCE));
    let recent = Requirement::max_age(Duration::from_secs(300));
    let strong = Requirement::all([Requirement::acr([acr!("phr")]), recent.clone()]);
    let declared = declarations();

    let app = annotated(strong.clone()).layer(auth.clone());
    let requests = check.run::<Body, _, _>(&declared, app).await.unwrap();
    assert!(requests > 70, "{requests}");

    let app = annotated(recent).layer(auth.clone());
    let faults = check.run::<Body, _, _>(&declared, app).await.unwrap_err();
    let is_named = |line: &String| line.starts_with("POST /payments, no acr: answered");
    assert!(faults.lines().iter().any(is_named), "{faults}");

    let forgotten = annotated(strong).route("/reports", get(async || "reports"));
    let report = Declaration::new(
        Route::Http {
            method: Method::GET,
            path: "/reports".into(),
        },
        scope!("reports:read"),
    );
    let declared = [declared, vec![report]].concat();
    let app = forgotten.layer(auth);
    let faults = check.run::<Body, _, _>(&declared, app).await.unwrap_err();
    let is_named = |line: &String| line.starts_with("GET /reports, no scope: answered");
    assert!(faults.lines().iter().any(is_named), "{faults}");
    let is_about_it = |line: &String| line.contains(" /reports, ");
    assert!(faults.lines().iter().all(is_about_it), "{faults}");
}

/// The scopes that the challenges of a route name, to callers who have all but one of some alternative.
async fn asked_for(app: &Router, row: &Declaration) -> BTreeSet<String> {
    let mut asked = BTreeSet::new();
    let Some(requirement) = row.access.requirement() else {
        return asked;
    };
    for scopes in requirement.alternatives(64).unwrap() {
        for missing in &scopes {
            let granted = scopes.iter().filter(|scope| *scope != missing);
            let granted: Vec<_> = granted.map(|scope| scope.as_str()).collect();
            // Whatever else some route asks for is there.
            let token = issuer()
                .token()
                .scope(granted.join(" "))
                .acr("phr")
                .signed_in(0)
                .claim("tenant", "acme")
                .claim("realm", serde_json::json!({ "roles": ["admin"] }))
                .mint();
            let request = match &row.route {
                Route::Http { method, path } => Request::builder()
                    .method(method)
                    .uri(path.replace("{id}", "7").replace("{*rest}", "a/b")),
                Route::Grpc { method } => {
                    Request::post(format!("/{method}")).header("content-type", "application/grpc")
                }
                other => panic!("{other}"),
            };
            let request = request.header("authorization", bearer(token));
            let answer = send_to(app, request.body(Body::empty()).unwrap()).await;
            let Some(challenge) = answer.headers.get("www-authenticate") else {
                // What is missing is implied by what is there.
                assert_eq!(answer.rejection, None, "{}", row.route);
                continue;
            };
            let challenge = challenge.to_str().unwrap();
            let (_, scopes) = challenge.split_once(" scope=\"").expect("scopes are named");
            let (scopes, _) = scopes.split_once('"').unwrap();
            asked.extend(scopes.split(' ').map(str::to_owned));
        }
    }
    asked
}

#[tokio::test]
async fn tm_19_the_metadata_list_the_scopes_that_challenges_ask_for_and_no_other() {
    let table = table();
    let metadata = ResourceMetadata::builder(AUDIENCE)
        .authorization_server(issuer().issuer())
        .scopes_supported(table.scopes())
        .build()
        .unwrap();
    let app = behind(routes(), table.clone()).route_service(metadata.path(), metadata.service());
    let request = Request::get(metadata.path()).body(Body::empty()).unwrap();
    let document = send_to(&app, request).await;
    assert_eq!(document.status, 200);
    let document: Value = serde_json::from_slice(&document.body).unwrap();
    let published = document["scopes_supported"].as_array().unwrap().iter();
    let published: Vec<_> = published
        .map(|it| it.as_str().unwrap().to_owned())
        .collect();

    let mut asked = BTreeSet::new();
    for row in table.declarations() {
        let of_row = asked_for(&app, row).await;
        let named = row.access.requirement().map(Requirement::scopes);
        let named: BTreeSet<_> = named
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(of_row, named, "{}", row.route);
        asked.extend(of_row);
    }
    assert!(asked.len() > 10, "{asked:?}");
    // Both directions, and each once.
    assert_eq!(published.len(), asked.len());
    assert_eq!(published.into_iter().collect::<BTreeSet<_>>(), asked);
    // A scope more in the table is one more in the document.
    let more = rows().put("/orders/{id}", scope!("orders:change"));
    let more = more.build().unwrap().scopes();
    assert!(more.contains(&scope!("orders:change")));
    assert_eq!(more.len(), asked.len() + 1);
}
