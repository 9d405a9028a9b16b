//! What a route needs, written next to it: forms for axum.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::handler::{Handler, Layered};
use axum::routing::MethodRouter;
use gateless_core::{Clock as _, ExtractorRejection, Principal, Requirement};
use http::request::Parts;

use super::ScopeGuard;
use crate::clock::SystemClock;
use crate::gate::{self, Gate as _};
use crate::notes::Notes;

/// Puts a requirement in front of a handler, of the methods of a path, or of all routes of a router.
///
/// ```
/// use axum::Router;
/// use axum::routing::{get, post};
/// use gateless::scope::Require as _;
/// use gateless::{Requirement, scope, scopes};
///
/// let orders: Router = Router::new()
///     // A handler: this method alone.
///     .route("/orders", get(list.require(scope!("orders:read"))).post(create.require(scope!("orders:write"))))
///     // A path with all its methods, those included that it does not have.
///     .route("/admin", get(admin).delete(clear).require(Requirement::any(scopes!["orders:admin", "root"])));
/// // All routes of a router.
/// let reports: Router = Router::new().route("/reports", get(list)).require(scope!("reports:read"));
/// # async fn list() {}
/// # async fn create() {}
/// # async fn admin() {}
/// # async fn clear() {}
/// # let _ = orders.merge(reports);
/// ```
///
/// What is added later, a route or a method, is not covered. Behind a router or a path, a method that is not there gets
/// `405` from callers who may, and `403` from others; behind a handler it is `405` for everybody who is signed in. Unknown
/// paths stay `404`. The authentication belongs around the whole router. Where challenges have settings, a realm or
/// the address of metadata, hand over a guard with that renderer.
///
/// `Via` tells the three apart and is always inferred.
#[diagnostic::on_unimplemented(
    message = "a guard cannot be put in front of `{Self}`",
    label = "is no router, no method router and no handler",
    note = "`require` is for a `Router`, a `MethodRouter` or a handler",
    note = "whether a function is a handler tells `#[axum::debug_handler]`"
)]
pub trait Require<Via>: Sized {
    /// What it becomes.
    type Required;

    /// Puts `guard` in front: a scope, several, a [`Requirement`], or a [`ScopeGuard`] with settings of its own.
    ///
    /// # Panics
    ///
    /// For a router without routes, as `route_layer` does.
    fn require(self, guard: impl Into<ScopeGuard>) -> Self::Required;
}

/// Marks a router, or the methods of a path.
#[derive(Debug)]
pub struct Routes(());

impl<S: Clone + Send + Sync + 'static> Require<Routes> for Router<S> {
    type Required = Self;

    fn require(self, guard: impl Into<ScopeGuard>) -> Self {
        self.route_layer(guard.into())
    }
}

impl<S: Clone + Send + Sync + 'static> Require<Routes> for MethodRouter<S> {
    type Required = Self;

    fn require(self, guard: impl Into<ScopeGuard>) -> Self {
        // Not `route_layer`, which leaves the fallback out: `any` is one.
        self.layer(guard.into())
    }
}

/// For handlers of so many arguments. Each on its own, as a `MethodRouter` is a handler too, of no such form.
macro_rules! for_handlers {
    ($(($($argument:ident),*))*) => {$(
        impl<H, S, $($argument),*> Require<(S, ($($argument,)*))> for H
        where
            H: Handler<($($argument,)*), S>,
            S: Clone + Send + Sync + 'static,
            $($argument: 'static,)*
        {
            type Required = Layered<ScopeGuard, Self, ($($argument,)*), S>;

            fn require(self, guard: impl Into<ScopeGuard>) -> Self::Required {
                self.layer(guard.into())
            }
        }
    )*};
}

// Without arguments axum has `((),)`; otherwise a mark of its own and then the arguments.
for_handlers! {
    (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) (A, B, C, D, E, F, G)
    (A, B, C, D, E, F, G, I) (A, B, C, D, E, F, G, I, J) (A, B, C, D, E, F, G, I, J, K)
    (A, B, C, D, E, F, G, I, J, K, L) (A, B, C, D, E, F, G, I, J, K, L, M)
    (A, B, C, D, E, F, G, I, J, K, L, M, N) (A, B, C, D, E, F, G, I, J, K, L, M, N, O)
    (A, B, C, D, E, F, G, I, J, K, L, M, N, O, P) (A, B, C, D, E, F, G, I, J, K, L, M, N, O, P, Q)
    (A, B, C, D, E, F, G, I, J, K, L, M, N, O, P, Q, R)
}

/// A requirement with a name, for [`Granted`]. Made by [`need!`](crate::need!).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no requirement with a name",
    label = "names no requirement",
    note = "make one with `gateless::need!`"
)]
pub trait Need: Send + Sync + 'static {
    /// What the caller must have.
    fn requirement() -> &'static Requirement;
}

/// Names a requirement, so that handlers can ask for it in their arguments.
///
/// ```
/// use gateless::scope::Granted;
/// use gateless::{Requirement, need, scope, scopes};
///
/// need! {
///     /// May see orders.
///     pub ReadOrders: scope!("orders:read");
///     /// May change them.
///     pub WriteOrders: Requirement::any(scopes!["orders:write", "orders:admin"]);
/// }
///
/// async fn list(caller: Granted<ReadOrders>) -> String {
///     format!("the orders of {}", caller.subject().unwrap_or("a client"))
/// }
/// # let _ = axum::routing::get::<_, _, ()>(list);
/// ```
#[macro_export]
macro_rules! need {
    ($($(#[$attribute:meta])* $visibility:vis $name:ident: $requirement:expr;)+) => {$(
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $visibility struct $name;

        impl $crate::scope::Need for $name {
            fn requirement() -> &'static $crate::Requirement {
                static NEED: ::std::sync::LazyLock<$crate::Requirement> =
                    ::std::sync::LazyLock::new(|| ::std::convert::From::from($requirement));
                &NEED
            }
        }
    )+};
}

/// The caller, who meets the requirement `N`: proof in a handler's signature.
///
/// An extractor that refuses like a [`ScopeGuard`] without settings. It runs when the handler is about to, after the
/// arguments before it; a guard in front of the route refuses earlier. See [`need!`](crate::need!).
pub struct Granted<N> {
    principal: Principal,
    need: PhantomData<fn() -> N>,
}

impl<N> Granted<N> {
    /// The caller.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }
}

impl<N> Deref for Granted<N> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl<S: Sync, N: Need> FromRequestParts<S> for Granted<N> {
    type Rejection = ExtractorRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let principal = Principal::of(&parts.extensions).and_then(|principal| {
            N::requirement().check(principal, SystemClock::new().wall())?;
            Ok(principal.clone())
        });
        match principal {
            Ok(principal) => Ok(Self {
                principal,
                need: PhantomData,
            }),
            Err(rejection) => {
                gate::note_refusal(ScopeGuard::NAME, &rejection);
                Notes::of(&parts.extensions).refused(ScopeGuard::NAME, &rejection, None);
                Err(ExtractorRejection::new(rejection, parts))
            }
        }
    }
}

impl<N> Clone for Granted<N> {
    fn clone(&self) -> Self {
        Self {
            principal: self.principal.clone(),
            need: PhantomData,
        }
    }
}

impl<N> fmt::Debug for Granted<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Granted").field(&self.principal).finish()
    }
}
