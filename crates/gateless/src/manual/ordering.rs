//! # Which layer goes where
//!
//! Each stage relies on what those outside of it leave behind, so the order is not a matter of taste:
//!
//! ```text
//! request ─► AuditLog ─► StripIdentityHeaders ─► FailureLimit ─► BearerAuth ─► Denylist ─► RateLimit ─► ScopeGuard ─► handler
//! ```
//!
//! - **One layer authenticates**: [`BearerAuth`](crate::bearer::BearerAuth), `Introspection`, or `HybridAuth` where some
//!   tokens are JWTs and some are not. Two of them in a row both have to accept the token, which is never what is meant.
//! - **Cross-origin requests**: a browser asks with an `OPTIONS` request that carries no token. Put the CORS layer
//!   *outside* of [`BearerAuth`](crate::bearer::BearerAuth), so that it answers those itself. `BearerAuth` lets no
//!   `OPTIONS` request through without a token.
//! - **`AuditLog`** goes outside of all of them, so that it sees what each refuses. On a router of axum, `Router::layer` lets it know the route;
//!   around a whole router it learns of it from the stages inside. What is outside of it, such as CORS, is not recorded.
//! - **Tracing and compression** go outside too. `BearerAuth` marks the `Authorization` field as sensitive only on the
//!   request that it hands on: an outer layer that prints header fields prints the token. Use
//!   `tower_http::sensitive_headers` there.
//! - **`Denylist`** goes directly behind the authentication, around the same routes. What is inside of the authentication and
//!   outside of it takes revoked tokens.
//! - **`StripIdentityHeaders`** goes outside of the authentication and of everything else that could believe a field.
//! - **`FailureLimit`** goes outside of the authentication: it counts what that refuses. Inside of it, it would never see
//!   anything.
//! - **`RateLimit`** and `ConcurrencyLimit` go behind the denylist, so that revoked tokens take nothing from their former owners, and
//!   outside of the guard, so that refused requests count too.
//! - **`ScopeGuard`** goes where the route is known: on a method router, with `route_layer`, or around one service; with
//!   a table, on the whole router, inside of the authentication. See [`routes`](super::routes).
//!
//! ## The two orders of writing
//!
//! `ServiceBuilder` runs its layers from top to bottom. `Router::layer` wraps what is there already, so the layer that
//! is added *last* runs *first*:
//!
//! ```
//! # use axum::{Router, routing::get};
//! # use gateless::{bearer::BearerAuth, scope::ScopeGuard, strip::StripIdentityHeaders};
//! # fn app(auth: BearerAuth, read: ScopeGuard) -> Router {
//! Router::new()
//!     .route("/orders", get(|| async { "[]" }).route_layer(read)) // third
//!     .layer(auth)                                          // second
//!     .layer(StripIdentityHeaders::default())               // first
//! # }
//! ```
//!
//! ## All of them as one
//!
//! With the feature `stack`, `Stack` has them all in their order, and refuses to be built where two contradict each other:
//! an optional authentication that nothing stands behind, or a table with open routes behind one that is not optional.
//! A request goes through it in one service, not in one for each stage, each of which a router of axum boxes.
//!
//! ```
//! # #[cfg(feature = "stack")]
//! # mod complete {
//! use axum::Router;
//! use gateless::ConfigError;
//! use gateless::audit::AuditLog;
//! use gateless::bearer::BearerAuth;
//! use gateless::denylist::Denylist;
//! use gateless::limit::{FailureLimit, RateLimit};
//! use gateless::scope::ScopeGuard;
//! use gateless::stack::Stack;
//!
//! # pub struct Stages {
//! #     guard: ScopeGuard, limit: RateLimit, denylist: Denylist,
//! #     auth: BearerAuth, failures: FailureLimit, audit: AuditLog,
//! # }
//! fn guarded(routes: Router, stages: Stages) -> Result<Router, ConfigError> {
//!     let stack = Stack::builder(stages.auth) // the order of what follows is of no matter
//!         .audit(stages.audit)
//!         .failures(stages.failures)
//!         .denylist(stages.denylist)
//!         .rate(stages.limit)
//!         .guard(stages.guard)
//!         .build()?;
//!     Ok(routes.layer(stack))
//! }
//! # }
//! ```
//!
//! One `Router::layer` after the other does the same, with the guard first and the audit log last. The crate
//! `gateless-config` makes a stack from one TOML file and the environment.
//!
//! ## When the order is wrong
//!
//! A [`ScopeGuard`](crate::scope::ScopeGuard) that finds no caller, because no authentication layer ran before it,
//! refuses every request with `500` / `INTERNAL` and logs one error. So does an extractor for
//! [`Principal`](crate::Principal). It is not a `401`: the caller can do nothing about it, and a retry with a fresh
//! token would hide the fault.
//!
//! | what is wrong | what happens |
//! |---|---|
//! | a guard, a denylist or a limit by caller outside of the authentication | `500` for every request, one error `gateless.misordered` |
//! | `FailureLimit` inside of the authentication | the same, and `gateless.failure_limit.inside` |
//! | a limit by address where nobody leaves one | `500`, and `gateless.limit.no_peer` |
//! | a table where no route is known: around a whole router | every request is denied, and `gateless.unrouted` says so |
//! | the denylist around fewer routes than the authentication | nothing tells: revoked tokens pass on the others |
//! | `AuditLog` inside of another stage | nothing tells: what that refuses has no record |
//!
//! Routes that are added after `Router::layer` are outside of it. A fallback is inside, `route_layer` does not cover
//! it. Where in doubt, put the authentication around the whole router and open single routes by nesting.
//!
//! ## Optional authentication
//!
//! [`OptionalBearerAuth`](crate::bearer::OptionalBearerAuth) is a type of its own, so that no setting turns a
//! protected route into an open one. It lets requests without credentials through; a token that is there has to be
//! good. Handlers take `Option<Principal>`; a guard behind it refuses anonymous requests with `401`.
//!
//! ## Long-lived streams
//!
//! A request is judged when it arrives. A stream or WebSocket that stays open after the token has expired is not
//! closed: end it at [`Principal::expires_at`](crate::Principal::expires_at).
