//! A law, for whatever paths: a handler is only ever reached by who meets what its route declares.

use std::collections::HashMap;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use gateless::scope::{ScopeGuard, ScopeTable};
use gateless::{Access, Principal, PrincipalParts, Scope, ScopeSet, Timestamp};
use http::{Method, Request, StatusCode};
use proptest::prelude::*;
use tower::util::MapRequestLayer;
use tower::{ServiceBuilder, ServiceExt as _};

/// Routes of every form that do not exclude each other, and the scope that each asks for.
const ROUTES: [(&str, &str); 10] = [
    ("/", "root"),
    ("/a", "a"),
    ("/a/b", "ab"),
    ("/a/{p}", "ap"),
    ("/a/b/c", "abc"),
    ("/b/{p}/c", "bpc"),
    ("/b/{p}", "bp"),
    ("/c/{*w}", "cw"),
    ("/c/d", "cd"),
    ("/{p}", "p"),
];

/// What paths are made of.
const PIECES: [&str; 16] = [
    "a", "b", "c", "d", "", ".", "..", "%61", "A", "a%2Fb", "{p}", "{*w}", "*", ":p", "a;v=1",
    "a?b",
];

const METHODS: [Method; 5] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::OPTIONS,
];

/// Whether `GET` and `POST` of each route are declared, and whether as open.
type Declared = Vec<(bool, bool, bool)>;

fn table(declared: &Declared) -> Option<ScopeTable> {
    let rows = ROUTES.iter().zip(declared);
    let table = rows.fold(ScopeTable::builder(), |table, ((path, scope), declared)| {
        let (with_get, with_post, is_open) = *declared;
        let access = |method: &str| match is_open {
            true => Access::open("for a law"),
            false => Scope::parse(&format!("{method}:{scope}")).unwrap().into(),
        };
        let table = if with_get {
            table.get(path, access("get"))
        } else {
            table
        };
        if with_post {
            table.post(path, access("post"))
        } else {
            table
        }
    });
    table.build().ok()
}

/// Each handler answers with its method and its route.
fn app(table: ScopeTable, caller: Option<Principal>) -> Router {
    let routes = ROUTES.iter().fold(Router::new(), |app, (path, scope)| {
        let methods = get(move || async move { format!("get:{scope}") });
        app.route(
            path,
            methods.merge(post(move || async move { format!("post:{scope}") })),
        )
    });
    let attach = MapRequestLayer::new(move |mut request: Request<Body>| {
        match caller.clone() {
            Some(caller) => caller.attach(request.extensions_mut()),
            None => gateless::Anonymous::attach(request.extensions_mut()),
        }
        request
    });
    let guard = ScopeGuard::table(table);
    routes
        .fallback(async || "fallback")
        .layer(ServiceBuilder::new().layer(attach).layer(guard))
}

fn caller(scopes: &[String]) -> Principal {
    Principal::assert_authenticated(PrincipalParts {
        scopes: ScopeSet::parse(scopes.join(" ")).unwrap(),
        ..PrincipalParts::new("https://idp.example.com", Timestamp::EPOCH)
    })
}

async fn holds(
    declared: Declared,
    granted: Option<Vec<String>>,
    asked: Vec<(Method, String)>,
) -> Result<(), TestCaseError> {
    let Some(table) = table(&declared) else {
        return Ok(()); // nothing is declared: that does not build
    };
    let rows: HashMap<_, _> = ROUTES
        .iter()
        .map(|(_, scope)| *scope)
        .zip(&declared)
        .collect();
    let app = app(table, granted.as_deref().map(caller));
    for (method, path) in asked {
        let mut request = Request::new(Body::empty());
        let Ok(uri) = path.parse() else { continue };
        (*request.method_mut(), *request.uri_mut()) = (method.clone(), uri);
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 10_000)
            .await
            .unwrap();
        let reached = String::from_utf8(body.to_vec()).unwrap();
        if status != StatusCode::OK {
            prop_assert!(
                matches!(status.as_u16(), 401 | 403 | 404 | 405),
                "{method} {path}: {status}"
            );
            continue;
        }
        if method == Method::HEAD {
            continue; // without a body nobody tells which handler it was
        }
        let Some((verb, scope)) = reached.split_once(':') else {
            return Err(TestCaseError::fail(format!(
                "{method} {path} reached {reached}"
            )));
        };
        let (with_get, with_post, is_open) = *rows[scope];
        let is_declared = if verb == "get" { with_get } else { with_post };
        prop_assert!(
            is_declared,
            "{method} {path} reached {reached}, which is not declared"
        );
        let is_granted = granted
            .as_ref()
            .is_some_and(|granted| granted.contains(&reached));
        prop_assert!(is_open || is_granted, "{method} {path} reached {reached}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tj_05_tj_16_no_path_reaches_a_handler_but_by_what_its_route_declares(
        declared in prop::collection::vec(any::<(bool, bool, bool)>(), ROUTES.len()),
        granted in prop::option::of(prop::collection::vec((any::<bool>(), 0..ROUTES.len()), 0..8)),
        asked in prop::collection::vec((
            prop::sample::select(METHODS.to_vec()),
            prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..5),
        ), 1..40),
    ) {
        let scope = |(is_get, route): (bool, usize)| {
            let verb = if is_get { "get" } else { "post" };
            format!("{verb}:{}", ROUTES[route].1)
        };
        let granted = granted.map(|granted| granted.into_iter().map(scope).collect());
        let asked = asked.into_iter().map(|(method, pieces)| (method, format!("/{}", pieces.join("/"))));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(holds(declared, granted, asked.collect()))?;
    }
}
