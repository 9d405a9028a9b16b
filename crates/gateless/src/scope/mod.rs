//! Lets a request through only when its token grants the scopes that a route asks for.
//!
//! A token without them gets `403` and `insufficient_scope` with every scope that is needed ([RFC 6750 §3.1]), a gRPC
//! caller `PERMISSION_DENIED`. A request without a principal gets `401` behind optional authentication, and `500`
//! where no authentication layer runs before: that is the deployment's fault, not the caller's.
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
//! assert_eq!(manage.requirement().to_string(), "all(orders:read, any(orders:write, orders:admin))");
//! # let _ = read;
//! ```
//!
//! Put it where the route is known: on a `MethodRouter`, with `route_layer` on a router, or around one service. It
//! does not look at the path, so path tricks cannot get around it.
//!
//! [RFC 6750 §3.1]: https://www.rfc-editor.org/rfc/rfc6750#section-3.1

mod decide;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use gateless_core::{Renderer, Requirement, Scope};
use tower_layer::Layer;

use crate::gate::Gated;

/// A layer that holds each request's principal against a [`Requirement`].
#[derive(Clone, Debug)]
pub struct ScopeGuard {
    requirement: Arc<Requirement>,
    renderer: Renderer,
}

impl ScopeGuard {
    /// Asks for `requirement`.
    #[must_use]
    pub fn new(requirement: impl Into<Requirement>) -> Self {
        Self {
            requirement: Arc::new(requirement.into()),
            renderer: Renderer::default(),
        }
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

    /// How refusals look. Problem details by default.
    #[must_use]
    pub fn renderer(mut self, renderer: Renderer) -> Self {
        self.renderer = renderer;
        self
    }

    /// What is asked for.
    #[must_use]
    pub fn requirement(&self) -> &Requirement {
        &self.requirement
    }
}

impl<S> Layer<S> for ScopeGuard {
    type Service = Gated<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Gated::new(inner, self.clone())
    }
}
