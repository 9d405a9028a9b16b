//! # Which layer goes where
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
//! ## When the order is wrong
//!
//! A [`ScopeGuard`](crate::scope::ScopeGuard) that finds no caller, because no authentication layer ran before it,
//! refuses every request with `500` / `INTERNAL` and logs one error. So does an extractor for
//! [`Principal`](crate::Principal). It is not a `401`: the caller can do nothing about it, and a retry with a fresh
//! token would hide the fault.
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
