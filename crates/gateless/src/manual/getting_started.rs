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
//! A service of tower becomes one of hyper by `TowerToHyperService`. Whoever accepts connections knows where they come
//! from, and says so for the layers that ask: limits by address, and the audit log.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use gateless::bearer::BearerAuth;
//! use gateless::scope::ScopeGuard;
//! use gateless::{Principal, scopes};
//! use http::{Request, Response};
//! use hyper::body::Incoming;
//! use hyper::server::conn::http1;
//! use hyper_util::rt::TokioIo;
//! use hyper_util::service::TowerToHyperService;
//! use tokio::net::TcpListener;
//! use tower::{ServiceBuilder, service_fn};
//!
//! async fn serve(auth: BearerAuth, listener: TcpListener) -> std::io::Result<()> {
//!     let service = ServiceBuilder::new() // from top to bottom
//!         .layer(auth)
//!         .layer(ScopeGuard::all(scopes!["orders:read"]))
//!         .service(service_fn(list));
//!     loop {
//!         let (stream, _peer) = listener.accept().await?;
//!         // Where a layer asks for it: map_request, and put a gateless::PeerAddress into the extensions.
//!         let service = TowerToHyperService::new(service.clone());
//!         let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
//!         tokio::spawn(connection);
//!     }
//! }
//!
//! async fn list(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
//!     let caller = Principal::of(request.extensions()).expect("the guard lets nobody else through");
//!     Ok(Response::new(format!("the orders of {}", caller.subject().unwrap_or("a client"))))
//! }
//! # let _ = serve;
//! ```
//!
//! Response bodies have `bytes::Bytes` as their data, as those of axum and tonic do.
//!
//! ## All of it
//!
//! `BearerAuth` and `ScopeGuard` are where most services begin. What comes next, and where it stands:
//!
//! | to | add | chapter |
//! |---|---|---|
//! | deny routes that nobody declared | `ScopeGuard::table` in place of single guards | [`routes`](super::routes) |
//! | take opaque tokens as well | `Introspection` or `HybridAuth` in place of `BearerAuth` | `introspection` |
//! | end tokens before their time | `Denylist`, inside of the authentication | `revocation` |
//! | bound what a caller has | `RateLimit`, inside of that | `limits` |
//! | slow down whoever guesses | `FailureLimit`, outside of the authentication | `limits` |
//! | know afterwards who did what | `AuditLog`, outside of everything | `audit` |
//!
//! `Stack` puts them into their order as one layer, and refuses what contradicts itself: see [`ordering`](super::ordering).
//! What to watch is in `operating`.
//!
//! ## Tests
//!
//! `gateless-testkit` is an issuer for tests. It signs any token, good or bad in one respect, in the process or over
//! a loopback socket. Do not switch checks off in tests: mint a token that passes them.
