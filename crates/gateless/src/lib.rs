//! Bearer-token security for Rust services as composable Tower layers.
//!
//! ```text
//! request ─► AuditLog ─► FailureLimit ─► BearerAuth │ Introspection ─► Denylist ─► RateLimit ─► ScopeGuard ─► handler
//!            records     who guesses?    who is it?                    revoked?    too much?    may they?
//! ```
//!
//! Each service checks its tokens itself: there is no gateway to be slow, wrong or down for everybody. A layer mounts
//! unchanged on an axum router, a tonic server and a bare hyper service, and answers each request in its own
//! protocol: problem details and challenges for HTTP, a real status for gRPC.
//!
#![cfg_attr(all(feature = "jwks", feature = "scope"), doc = "```")]
#![cfg_attr(not(all(feature = "jwks", feature = "scope")), doc = "```ignore")]
//! use std::time::Duration;
//!
//! use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
//! use gateless::scope::ScopeGuard;
//! use gateless::{OnOutage, scopes};
//!
//! # fn main() -> Result<(), gateless::ConfigError> {
//! let hour = Duration::from_secs(3600);
//! let auth = BearerAuth::builder(
//!     TokenPolicy::new("https://idp.example.com", "https://orders.example.com"),
//!     Keys::discovery(OnOutage::StaleFor(hour)),
//! )
//! .build()?;
//! let read = ScopeGuard::all(scopes!["orders:read"]);
//! // Router::new()
//! //     .route("/orders", get(list).route_layer(read))
//! //     .layer(auth)
//! # let _ = (auth, read);
//! # Ok(())
//! # }
//! ```
//!
//! | stage | feature | refuses with (HTTP / gRPC) |
//! |---|---|---|
//! | `audit::AuditLog` | `audit` | 503 / 14 while it cannot be recorded, if that is the choice |
//! | [`bearer::BearerAuth`](mod@crate::bearer) | `bearer`, `jwks` | 400, 401 / 16; 503 / 14 while keys cannot be had |
//! | `introspection::Introspection` | `introspection` | the same; 503 / 14 while the authorization server cannot be asked |
//! | `hybrid::HybridAuth` | `introspection` | what the two above say |
//! | `denylist::Denylist` | `denylist`, `denylist_file` | 401 / 16 for what was revoked; 503 / 14 while that cannot be known |
//! | `limit::FailureLimit` | `limit` | 429 / 8 for places from which too many bad tokens came; good ones go on |
//! | `limit::RateLimit`, `limit::ConcurrencyLimit` | `limit`, `limit_shared` | 429 / 8 for callers who had too much; 503 / 14 while a fleet cannot count, if that is the choice |
//! | [`scope::ScopeGuard`](mod@crate::scope) | `scope` | 403 / 7, naming the missing scopes; 401 / 16 for a sign-in that is too old or too weak; 404, 405 / 12 |
//! | [`strip::StripIdentityHeaders`] | – | – |
//!
//! A stage that needs an earlier one and does not find it answers 500 and logs one error: a fault of the deployment
//! is not the caller's. The chapters of the [manual](crate::manual) go deeper.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `default` | `bearer`, `jwks`, `scope` and `aws_lc_rs` |
//! | `full` | everything, with aws-lc-rs |
//! | `stack` | `Stack`: all stages in their order, as one layer |
//! | `audit` | `AuditLog`: a record of each decision |
//! | `audit_otlp` | records for an OpenTelemetry collector (OTLP over HTTP) |
//! | `bearer` | `BearerAuth`: JWT access tokens, with keys from the configuration or a file |
//! | `jwks` | keys of an issuer over HTTP: discovery and JWKS URLs |
//! | `introspection` | opaque tokens: the answers of an issuer's introspection endpoint |
//! | `denylist` | `Denylist`: what is refused although its issuer signed it |
//! | `denylist_file` | the denylist of one machine, in a file |
//! | `limit` | `RateLimit`, `FailureLimit` and `ConcurrencyLimit`: how much a caller may have |
//! | `limit_shared` | limits that a fleet shares |
//! | `limit_fields` | what is left of a quota, told in `RateLimit` fields: a draft of the IETF, which may still change |
//! | `scope` | `ScopeGuard`, and tables of routes |
//! | `axum` | for axum: extractors, and guards that know the matched route |
//! | `resource_metadata` | RFC 9728: the document that says where tokens for this service come from |
//! | `openapi` | declarations from an OpenAPI document, and into it |
//! | `proto` | declarations from the options of gRPC methods |
//! | `metrics` | counters and gauges through the `metrics` facade |
//! | `aws_lc_rs` | signatures by aws-lc-rs: the fast ones. Wins where both backends are on |
//! | `rust_crypto` | signatures by the RustCrypto crates: no C compiler needed |
//!
//! With `default-features = false` and `scope` alone no cryptography and no HTTP client is compiled.
#![cfg_attr(docsrs, feature(doc_cfg))]

// First, for the macro in it.
#[macro_use]
pub mod gate;

#[cfg(feature = "audit")]
#[cfg_attr(docsrs, doc(cfg(feature = "audit")))]
pub mod audit;
#[cfg(feature = "bearer")]
#[cfg_attr(docsrs, doc(cfg(feature = "bearer")))]
pub mod bearer;
mod body;
#[cfg(any(feature = "introspection", feature = "limit_shared"))]
mod circuit;
#[cfg(any(
    feature = "audit",
    feature = "bearer",
    feature = "denylist",
    feature = "limit",
    feature = "scope"
))]
mod clock;
#[cfg(feature = "bearer")]
mod credentials;
#[cfg(feature = "denylist")]
#[cfg_attr(docsrs, doc(cfg(feature = "denylist")))]
pub mod denylist;
#[cfg(feature = "bearer")]
mod digest;
#[cfg(feature = "bearer")]
mod epoch;
#[cfg(feature = "introspection")]
#[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
pub mod hybrid;
#[cfg(feature = "introspection")]
#[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
pub mod introspection;
#[cfg(feature = "bearer")]
mod keys;
#[cfg(feature = "limit")]
mod known;
#[cfg(feature = "limit")]
#[cfg_attr(docsrs, doc(cfg(feature = "limit")))]
pub mod limit;
pub mod manual;
#[cfg(any(feature = "audit", feature = "limit", feature = "scope"))]
mod matched;
mod metrics;
mod notes;
#[cfg(feature = "openapi")]
#[cfg_attr(docsrs, doc(cfg(feature = "openapi")))]
pub mod openapi;
#[cfg(feature = "jwks")]
mod outbound;
#[cfg(any(feature = "limit", feature = "scope"))]
mod pattern;
#[cfg(any(feature = "audit", feature = "limit"))]
mod peer;
#[cfg(feature = "bearer")]
mod pool;
#[cfg(feature = "proto")]
#[cfg_attr(docsrs, doc(cfg(feature = "proto")))]
pub mod proto;
#[cfg(feature = "denylist")]
mod purge;
#[cfg(feature = "resource_metadata")]
#[cfg_attr(docsrs, doc(cfg(feature = "resource_metadata")))]
pub mod resource;
#[cfg(feature = "scope")]
#[cfg_attr(docsrs, doc(cfg(feature = "scope")))]
pub mod scope;
#[cfg(feature = "stack")]
#[cfg_attr(docsrs, doc(cfg(feature = "stack")))]
pub mod stack;
pub mod strip;
#[cfg(feature = "denylist")]
mod verifier;

pub use body::GateBody;
#[cfg(any(
    feature = "audit",
    feature = "bearer",
    feature = "denylist",
    feature = "limit",
    feature = "scope"
))]
#[cfg_attr(
    docsrs,
    doc(cfg(any(
        feature = "audit",
        feature = "bearer",
        feature = "denylist",
        feature = "limit",
        feature = "scope"
    )))
)]
pub use clock::SystemClock;
pub use gateless_core::{
    Access, AccessToken, Acr, Actor, Anonymous, Ask, ClaimPath, ClaimValue, ClaimsError, Clock,
    ConfigError, ConfigFault, Decision, Declaration, Dependency, EmptyRequirement, Excess,
    ExcessKind, InvalidAcr, InvalidScope, Limit, Monotonic, OnOutage, PresentationFault, Principal,
    PrincipalKind, PrincipalParts, Problem, ProblemBody, Quota, QuotaStore, Rejection, Renderer,
    RendererBuilder, Requirement, Route, Scope, ScopeHierarchy, ScopeSet, SharedStore, Shortfall,
    StepUp, StoreError, StoreFuture, StoreKey, Taken, Timestamp, TokenDigest, TokenFault, Wire,
    acr, decide, scope, scopes,
};
#[cfg(feature = "denylist")]
#[cfg_attr(docsrs, doc(cfg(feature = "denylist")))]
pub use gateless_core::{
    Appended, LogPosition, LogTail, Revocation, RevocationChange, RevocationId, RevocationIds,
    RevocationKind, RevocationLog, RevocationRecord,
};
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use gateless_core::{Claims, ExtractorRejection};
#[cfg(any(feature = "audit", feature = "limit", feature = "scope"))]
#[cfg_attr(
    docsrs,
    doc(cfg(any(feature = "audit", feature = "limit", feature = "scope")))
)]
pub use matched::MatchedRoute;
#[cfg(any(feature = "audit", feature = "limit"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "audit", feature = "limit"))))]
pub use peer::{Peer, PeerAddress, TrustedProxies};
