//! # What each route asks for
//!
//! One value, a [`Requirement`](crate::Requirement), in three places. Take the one that fits; they can be mixed, and where
//! two of them are on the way of a request, both have to be met.
//!
//! | | reads | can be listed | a route that was forgotten |
//! |---|---|---|---|
//! | with the route: `Require`, [`ScopeGuard`](crate::scope::ScopeGuard) | best | no | needs a token, and no scope |
//! | in the handler: `Granted` | as a proof | no | needs a token, and no scope |
//! | in a table: [`ScopeTable`](crate::scope::ScopeTable) | apart from the code | yes | is denied |
//!
//! `Require` and `Granted` are in [`scope`](mod@crate::scope), with the feature `axum`.
//!
//! ## With the route
//!
//! ```
//! use axum::Router;
//! use axum::routing::{get, post};
//! use gateless::scope;
//! use gateless::bearer::BearerAuth;
//! # #[cfg(feature = "axum")]
//! use gateless::scope::Require as _;
//!
//! # #[cfg(feature = "axum")]
//! fn app(auth: BearerAuth) -> Router {
//!     Router::new()
//!         .route("/orders", get(list.require(scope!("orders:read"))).post(create.require(scope!("orders:write"))))
//!         .layer(auth)
//! }
//! # async fn list() {}
//! # async fn create() {}
//! ```
//!
//! ## In a table
//!
//! ```
//! use axum::Router;
//! use axum::routing::get;
//! use gateless::bearer::OptionalBearerAuth;
//! use gateless::scope::{ScopeGuard, ScopeTable};
//! use gateless::{Access, ConfigError, scope};
//!
//! fn app(auth: OptionalBearerAuth) -> Result<Router, ConfigError> {
//!     let table = ScopeTable::builder()
//!         .get("/orders", scope!("orders:read"))
//!         .get("/orders/{id}", scope!("orders:read"))
//!         .get("/healthz", Access::open("asked by the platform"))
//!         .build()?;
//!     Ok(Router::new()
//!         .route("/orders", get(list))
//!         .route("/orders/{id}", get(show))
//!         .route("/healthz", get(|| async { "ok" }))
//!         .layer(ScopeGuard::table(table))
//!         .layer(auth)) // outer: it is added last
//! }
//! # async fn list() {}
//! # async fn show() {}
//! ```
//!
//! The authentication is optional here, because the table has an open route: the table is what refuses strangers, on every
//! other route, unknown ones included. Without open routes, [`BearerAuth`](crate::bearer::BearerAuth) will do.
//!
//! A row is chosen by the route that the router *matched*, with its method. `//orders`, `/Orders`, `/%6Frders` or
//! `/orders/../admin` are no routes, so they have no rows. Mount the guard with `Router::layer`, not around the whole router as
//! a service: only inside of it the match is known. What axum mounts with `nest_service` has none, and is denied: use
//! `route_service` with the paths that it answers, or a guard of its own inside. Routes that are added after `layer` are
//! outside of the table. A router of another framework leaves a [`MatchedRoute`](crate::scope::MatchedRoute) in the request.
//!
//! Strangers get `401` wherever a route is not open, so that they do not learn which paths exist. Of the methods of a path
//! axum tells them itself: it adds `Allow` to whatever is answered to a method that the path does not have.
//!
//! gRPC methods are matched by exact path, on `Server::layer` of tonic as well as behind tonic's routes in axum. Health and
//! reflection services are routes like others: mounted and not declared, they are denied.
//!
//! What a client is told is up to the stage that refuses. Where challenges name a realm, or the metadata of RFC 9728, every
//! guard needs the renderer too: `ScopeGuard::table(table).renderer(renderer)`, `.require(guard)`.
//!
//! ## From an OpenAPI document
//!
//! With the feature `openapi`, [`OpenApi`](https://docs.rs/gateless/latest/gateless/openapi/struct.OpenApi.html) reads `security`
//! from a document, parsed or made by utoipa and its like (`OpenApi::of`), into rows; `OpenApi::write` puts rows into a
//! document. Names of parameters may differ from those of the router. What the document leaves open is a fault:
//!
//! | in the document | |
//! |---|---|
//! | no `security` at the operation | that of the document counts |
//! | none there either, or an empty one without a reason | refused: write `security: []` at operations that are meant to be open |
//! | a scheme that is no bearer token | refused, unless something else checks it: `checked_elsewhere` |
//! | several schemes that could be the bearer token | refused, until `bearer_token` names those that are |
//! | `x-gateless-requirement` at an operation | what OpenAPI has no word for, as the JSON of a [`Requirement`](crate::Requirement) |
//!
//! ## From a `.proto` file
//!
//! With the feature `proto`, an option of each method says it, next to the method:
//!
//! ```proto
//! import "gateless/options.proto";
//!
//! service Orders {
//!   rpc List(ListRequest) returns (ListResponse) {
//!     option (gateless.access) = { all: "orders:read" };
//!   }
//! }
//! ```
//!
//! The file comes with this crate: in a build script, `gateless::proto::INCLUDE_DIR` is where it lies. There it needs nothing
//! else of it:
//!
//! ```toml
//! [build-dependencies]
//! gateless = { version = "0.1", default-features = false, features = ["proto"] }
//! ```
//!
//! Hand
//! `gateless::proto::declarations` the descriptor set *as the compiler wrote it*: read into the types of prost and written
//! again, it has lost all options. `examples/orders` does both, an OpenAPI document and a `.proto` file.
//!
//! ## More than scopes
//!
//! | requirement | met by | otherwise |
//! |---|---|---|
//! | [`acr`](crate::Requirement::acr) | a token that names one of these ways to sign in | `401`, `insufficient_user_authentication`, `acr_values` |
//! | [`max_age`](crate::Requirement::max_age) | an `auth_time` that is not longer ago | the same, `max_age` |
//! | [`kind`](crate::Requirement::kind) | a user, or a client that acts for itself | `403` without a challenge |
//! | [`claim`](crate::Requirement::claim) | exactly this value, or a list with it | `403` without a challenge |
//! | [`all`](crate::Requirement::all), [`any`](crate::Requirement::any) | all of these, one of these | for the alternative that asks for the least |
//!
//! Scopes are compared exactly. That one implies another has to be said, in a
//! [`ScopeHierarchy`](crate::ScopeHierarchy).
//!
//! ## To see it, and to prove it
//!
//! [`ScopeTable::describe`](crate::scope::ScopeTable::describe) prints every row, as text or JSON. `RouteCheck` in
//! `gateless-testkit` asks a service for every row, without a token, with one that lacks something, and with the right one.
//! It calls the router of axum in the same process: `RouteCheck::new(token).run::<Body, _, _>(table.declarations(), app)`.
//! [`ScopeTable::scopes`](crate::scope::ScopeTable::scopes) is what belongs into `scopes_supported` of the protected resource
//! metadata (RFC 9728), which the feature `resource_metadata` serves.
