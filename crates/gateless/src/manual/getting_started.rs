//! # Getting started
//!
//! You need two facts about your tokens: the **issuer** (the `iss` claim, to the byte) and the **audience** (the `aud`
//! claim that means your service). There is no default for either, and no way to accept any.
//!
//! ## axum
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::Router;
//! use axum::routing::{get, post};
//! use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
//! use gateless::scope::ScopeGuard;
//! use gateless::{ConfigError, OnOutage, Principal, scopes};
//!
//! fn app() -> Result<Router, ConfigError> {
//!     let auth = BearerAuth::builder(
//!         TokenPolicy::new("https://idp.example.com", "https://orders.example.com"),
//!         Keys::discovery(OnOutage::StaleFor(Duration::from_secs(3600))),
//!     )
//!     .build()?;
//!     let read = ScopeGuard::all(scopes!["orders:read"]);
//!     let write = ScopeGuard::all(scopes!["orders:write"]);
//!     Ok(Router::new()
//!         .route("/orders", get(list).route_layer(read).merge(post(create).route_layer(write)))
//!         .layer(auth)
//!         .route("/healthz", get(|| async { "ok" })))
//! }
//!
//! async fn list() -> &'static str {
//!     "[]"
//! }
//!
//! # #[cfg(feature = "axum")]
//! async fn create(principal: Principal) -> String {
//!     format!("created by {}", principal.subject().unwrap_or("a client"))
//! }
//! # #[cfg(not(feature = "axum"))]
//! # async fn create() {}
//! # app().unwrap();
//! ```
//!
//! `route_layer` on a method leaves `405` to methods that the path does not have; `layer` would guard those too.
//! `Router::layer` covers the routes that were added *before* it: `/healthz` above is open.
//!
//! ## tonic
//!
//! The same value goes to `Server::layer`. A service with one requirement takes its guard along:
//!
//! ```
//! use gateless::bearer::BearerAuth;
//! use gateless::scope::ScopeGuard;
//! use gateless::scopes;
//! use tonic::service::LayerExt as _;
//! use tonic::transport::Server;
//! # use tonic::server::NamedService;
//!
//! # fn serve<S>(auth: BearerAuth, orders: S) where
//! #     S: tower::Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>,
//! #         Error = std::convert::Infallible> + NamedService + Clone + Send + Sync + 'static,
//! #     S::Future: Send,
//! # {
//! let guarded = ScopeGuard::all(scopes!["orders:read"]).named_layer(orders);
//! let server = Server::builder().layer(auth).add_service(guarded);
//! # let _ = server;
//! # }
//! ```
//!
//! Read the caller in a method with `Principal::of(request.extensions())`.
//!
//! ## hyper, or any tower service
//!
//! ```
//! # use gateless::bearer::BearerAuth;
//! # fn wrap<S>(auth: BearerAuth, service: S) {
//! let service = tower::ServiceBuilder::new().layer(auth).service(service);
//! # let _ = service;
//! # }
//! ```
//!
//! Response bodies have `bytes::Bytes` as their data, as those of axum and tonic do.
//!
//! ## Tests
//!
//! `gateless-testkit` is an issuer for tests. It signs any token, good or bad in one respect, in the process or over
//! a loopback socket. Do not switch checks off in tests: mint a token that passes them.
