//! Every route and who gets through to it, in one value.

mod builder;
mod describe;
mod methods;
mod paths;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, Once, PoisonError};

use gateless_core::{Access, Declaration, Scope};
use http::Method;

pub use self::builder::ScopeTableBuilder;
pub use self::describe::Description;
use self::methods::Methods;
use self::paths::Paths;
use crate::gate::Head;
use crate::matched::Matched;

/// How many undeclared routes are named in the log, each once.
const MOST_LOGGED: usize = 100;

/// Every route, and who gets through to it. What is not in it is denied.
///
/// A request is judged by the route that the *router* matched, never by the path that the client wrote, so that no
/// spelling of a path leads to another row than to another handler. gRPC methods are matched by their exact path.
///
/// | the request | is answered with (HTTP / gRPC) |
/// |---|---|
/// | matches a row | what the row says |
/// | matches a route that has rows, but none for its method | `405` with `Allow` / `UNIMPLEMENTED` |
/// | matches a route without any row | `403` / `PERMISSION_DENIED`, and one error in the log for the route |
/// | matches no route: would go to a fallback | `404` / `UNIMPLEMENTED` |
///
/// All of that only for callers who are signed in; others get `401` but for open routes. A row for `GET` is good for
/// `HEAD` as well, unless `HEAD` has one of its own.
///
/// ```
/// use gateless::scope::ScopeTable;
/// use gateless::{Access, ScopeHierarchy, scope, scopes};
///
/// let table = ScopeTable::builder()
///     .get("/orders/{id}", scope!("orders:read"))
///     .post("/orders", scope!("orders:write"))
///     .grpc("orders.v1.Orders/Get", scope!("orders:read"))
///     .get("/healthz", Access::open("asked by the platform"))
///     .hierarchy(ScopeHierarchy::new().implies(scope!("orders:write"), scopes!["orders:read"]))
///     .build()?;
/// assert_eq!(table.describe().to_string(), "\
/// GET  /healthz              open: asked by the platform
/// POST /orders               orders:write
/// GET  /orders/{id}          orders:read (implied by orders:write)
/// gRPC orders.v1.Orders/Get  orders:read (implied by orders:write)
/// everything else            denied
/// ");
/// # Ok::<(), gateless::ConfigError>(())
/// ```
///
/// Cloning is a reference count.
#[derive(Clone)]
pub struct ScopeTable(Arc<Rows>);

struct Rows {
    /// Sorted by path and method, gRPC last.
    declarations: Vec<Declaration>,
    http: Paths,
    grpc: Methods,
    logged: Mutex<Vec<Box<str>>>,
    unrouted: Once,
}

/// The rows of one path.
struct Path {
    methods: Vec<(Method, Arc<Access>)>,
    /// The field `Allow`.
    allow: Arc<str>,
}

/// What the table says of a request.
#[derive(Debug)]
pub(super) enum Found<'a> {
    Declared(&'a Arc<Access>),
    /// Other methods of the route are declared.
    NoMethod {
        allow: &'a Arc<str>,
    },
    /// There is a route, and no row for it.
    Undeclared,
    /// There is no route.
    Nothing,
}

impl ScopeTable {
    /// A table without rows, to be filled.
    pub fn builder() -> ScopeTableBuilder {
        ScopeTableBuilder::default()
    }

    /// All rows, sorted by path and method, gRPC methods last.
    #[must_use]
    pub fn declarations(&self) -> &[Declaration] {
        &self.0.declarations
    }

    /// Whether a gRPC method with this path is declared.
    pub(super) fn has_method(&self, path: &str) -> bool {
        self.0.grpc.get(path).is_some()
    }

    /// Every scope that some route asks for, each once, sorted: what a resource publishes as `scopes_supported`
    /// (RFC 9728 §2).
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        let requirements = self.0.declarations.iter();
        let requirements = requirements.filter_map(|row| row.access.requirement());
        let mut scopes: Vec<_> = requirements.flat_map(|one| one.scopes()).collect();
        scopes.sort();
        scopes.dedup();
        scopes
    }

    /// The table for people, as text, and for programs, as JSON.
    #[must_use]
    pub fn describe(&self) -> Description<'_> {
        Description::of(&self.0.declarations)
    }

    /// The row for a request. Allocates nothing, but to log a route that has none.
    pub(super) fn find<'a>(&'a self, matched: Matched<'a>, head: Head<'a>) -> Found<'a> {
        let path = head.uri.path();
        match matched {
            Matched::Route(route) => match self.0.grpc.behind(route, path) {
                Some(found) => self.0.grpc(found, head.method),
                None => self.0.http(route, head.method),
            },
            Matched::Unrouted => match self.0.grpc.get(path) {
                Some(access) => self.0.grpc(Some(access), head.method),
                None => {
                    self.0.log_unrouted();
                    Found::Nothing
                }
            },
            #[cfg(feature = "axum")]
            Matched::Fallback => Found::Nothing,
        }
    }
}

impl Rows {
    fn grpc<'a>(&'a self, found: Option<&'a Arc<Access>>, method: &Method) -> Found<'a> {
        match found {
            Some(access) if method == Method::POST => Found::Declared(access),
            _ => Found::Nothing,
        }
    }

    fn http(&self, route: &str, method: &Method) -> Found<'_> {
        let Some(path) = self.http.get(route) else {
            self.log_undeclared(route);
            return Found::Undeclared;
        };
        let row = |wanted: &Method| {
            let mut methods = path.methods.iter();
            methods.find_map(|(method, access)| (method == wanted).then_some(access))
        };
        let access = row(method).or_else(|| {
            let is_head = method == Method::HEAD;
            is_head.then(|| row(&Method::GET)).flatten()
        });
        match access {
            Some(access) => Found::Declared(access),
            None => Found::NoMethod { allow: &path.allow },
        }
    }

    /// Once: outside of a router no row of HTTP can ever be found.
    #[cold]
    fn log_unrouted(&self) {
        if !self.http.is_empty() {
            self.unrouted.call_once(|| {
                tracing::error!(
                    name: "gateless.unrouted",
                    "a table of routes is asked before a router has matched the request: mount it with `Router::layer`, \
                     not around the router, and turn on the feature `axum`"
                );
            });
        }
    }

    /// Once for each route: it is a fault of the deployment, and shows with every request.
    #[cold]
    fn log_undeclared(&self, route: &str) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() < MOST_LOGGED && !logged.iter().any(|known| **known == *route) {
            logged.push(route.into());
            tracing::error!(
                name: "gateless.undeclared",
                route,
                "a route is in the router and not in the table: it is denied to everybody"
            );
        }
    }
}

impl fmt::Debug for ScopeTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.0.declarations.iter();
        f.debug_map()
            .entries(rows.map(|row| (row.route.to_string(), row.access.to_string())))
            .finish()
    }
}
