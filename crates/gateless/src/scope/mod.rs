//! Lets a request through only when its caller has what the route asks for.
//!
//! | answer | when |
//! |---|---|
//! | `403`, `insufficient_scope` with every scope that is needed ([RFC 6750 §3.1]) | scopes are missing |
//! | `401`, `insufficient_user_authentication` with `acr_values` and `max_age` ([RFC 9470 §3]) | the person has to sign in again, or better |
//! | `403` without a challenge | the caller is not of the right kind, or lacks a claim |
//! | `401` | nobody is signed in, behind optional authentication |
//! | `500` | no authentication layer runs before: the deployment's fault, not the caller's |
//!
//! gRPC callers get `PERMISSION_DENIED`, `UNAUTHENTICATED` or `INTERNAL`. A [`ScopeTable`] has further answers, for routes
//! that nobody declared or that are not there.
//!
//! There are two ways to say what a route asks for. With the route:
//!
//! ```
//! use gateless::scope::ScopeGuard;
//! use gateless::{Requirement, scope, scopes};
//!
//! let read = ScopeGuard::all(scopes!["orders:read"]);
//! let manage = ScopeGuard::new(Requirement::all([
//!     Requirement::from(scope!("orders:read")),
//!     Requirement::any(scopes!["orders:write", "orders:admin"]),
//! ]));
//! # let _ = (read, manage);
//! ```
//!
//! on a `MethodRouter`, with `route_layer` on a router, or around one service. It does not look at the path, so path
//! tricks cannot get around it. With axum, `Require` reads better: `get(list).require(scope!("orders:read"))`.
//!
//! Or all of them in one [`ScopeTable`], which can be listed and published, and denies what it does not list:
//!
//! ```
//! use gateless::scope::{ScopeGuard, ScopeTable};
//! use gateless::{Access, scope};
//!
//! let table = ScopeTable::builder()
//!     .get("/orders", scope!("orders:read"))
//!     .post("/orders", scope!("orders:write"))
//!     .get("/whoami", Access::authenticated())
//!     .get("/healthz", Access::open("asked by the platform"))
//!     .build()?;
//! let guard = ScopeGuard::table(table);
//! # let _ = guard;
//! # Ok::<(), gateless::ConfigError>(())
//! ```
//!
//! The chapter `routes` of the manual compares them.
//!
//! [RFC 6750 §3.1]: https://www.rfc-editor.org/rfc/rfc6750#section-3.1
//! [RFC 9470 §3]: https://www.rfc-editor.org/rfc/rfc9470#section-3

#[cfg(feature = "axum")]
mod axum;
mod decide;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use gateless_core::{Access, Clock, Renderer, Requirement, Scope};

#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use self::axum::{Granted, Need, Require};
pub use self::table::{Description, ScopeTable, ScopeTableBuilder};
use crate::clock::SystemClock;
pub use crate::matched::MatchedRoute;

/// A layer that holds each request's principal against what the route asks for.
#[derive(Clone)]
pub struct ScopeGuard(Arc<Guard>);

#[derive(Clone)]
struct Guard {
    asks: Asks,
    renderer: Renderer,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Debug)]
enum Asks {
    /// Of each request the same.
    Always(Arc<Access>),
    /// What stands in the table for the route.
    Table(ScopeTable),
}

impl ScopeGuard {
    /// Asks for `requirement`.
    #[must_use]
    pub fn new(requirement: impl Into<Requirement>) -> Self {
        Self::asking(Asks::Always(Arc::new(Access::Requires(requirement.into()))))
    }

    /// Asks for every one of `scopes`. An empty list does not compile.
    #[must_use]
    pub fn all<const N: usize>(scopes: [Scope; N]) -> Self {
        Self::new(Requirement::all(scopes))
    }

    /// Asks for at least one of `scopes`. An empty list does not compile.
    #[must_use]
    pub fn any<const N: usize>(scopes: [Scope; N]) -> Self {
        Self::new(Requirement::any(scopes))
    }

    /// Asks for what `table` says of the route that matched the request, and refuses a request without one.
    ///
    /// The challenges are then those of this guard: where they have settings, give it the [`renderer`](Self::renderer)
    /// that the authentication has.
    ///
    /// Mount it where the route is known: with `Router::layer` of axum, behind the authentication, or with
    /// `Server::layer` of tonic. Where open routes are in the table, the authentication has to be optional
    /// (`build_optional`): the table is then what refuses strangers, everywhere else.
    #[must_use]
    pub fn table(table: ScopeTable) -> Self {
        Self::asking(Asks::Table(table))
    }

    /// A route that is open to everybody, if it asks for nothing there.
    #[cfg(feature = "stack")]
    pub(crate) fn open_route(&self) -> Option<&gateless_core::Route> {
        let Asks::Table(table) = &self.0.asks else {
            return None;
        };
        let mut declarations = table.declarations().iter();
        let open = declarations.find(|it| matches!(it.access, Access::Open { .. }))?;
        Some(&open.route)
    }

    fn asking(asks: Asks) -> Self {
        Self(Arc::new(Guard {
            asks,
            renderer: Renderer::default(),
            clock: Arc::new(SystemClock::new()),
        }))
    }

    /// How refusals look. Problem details by default.
    #[must_use]
    pub fn renderer(mut self, renderer: Renderer) -> Self {
        Arc::make_mut(&mut self.0).renderer = renderer;
        self
    }

    /// Where the time comes from, for [`Requirement::max_age`]. The system's clock by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        Arc::make_mut(&mut self.0).clock = clock;
        self
    }
}

impl From<Requirement> for ScopeGuard {
    fn from(requirement: Requirement) -> Self {
        Self::new(requirement)
    }
}

impl From<Scope> for ScopeGuard {
    fn from(scope: Scope) -> Self {
        Self::new(scope)
    }
}

/// Asks for all of them. An empty list does not compile.
impl<const N: usize> From<[Scope; N]> for ScopeGuard {
    fn from(scopes: [Scope; N]) -> Self {
        Self::all(scopes)
    }
}

gate_layer!(ScopeGuard);

impl fmt::Debug for ScopeGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeGuard")
            .field("asks", &self.0.asks)
            .field("renderer", &self.0.renderer)
            .finish_non_exhaustive()
    }
}
