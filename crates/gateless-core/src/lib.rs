//! The vocabulary of gateless: who the caller is, what a route needs, and how a refusal looks on the wire.
//!
//! Everything here is a value or a pure function. There is no clock, no runtime and no framework in this crate;
//! time is always an argument, and the layers that do the waiting live in the `gateless` crate.
//!
//! | word | meaning |
//! |---|---|
//! | [`Principal`] | the authenticated caller; made only by a successful check |
//! | [`Scope`], [`ScopeSet`] | one scope, and the scopes that a token grants |
//! | [`Requirement`] | what a caller must have, as a value |
//! | [`Access`] | what a route declares: a requirement, or that it is open, and why |
//! | [`Rejection`] | every way to say no, with its code, statuses and challenge |
//! | [`Wire`], [`Renderer`] | gRPC or HTTP, and the response that carries a rejection |
//! | [`OnOutage`] | what happens while a dependency is away |
//! | [`SharedStore`] | small values that a fleet shares for a while |
//! | [`Quota`], [`decide`] | how much a caller may have, and the decision about one request |
//! | [`QuotaStore`] | where a fleet counts that together |
//! | `Revocation`, `RevocationLog` | what is refused although its issuer signed it, and where that is kept |
//! | [`Clock`], [`Timestamp`], [`Monotonic`] | wall-clock time for claims, monotonic time for ages |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod acr;
#[cfg(feature = "axum")]
mod axum;
mod config;
mod digest;
mod fault;
mod grpc;
mod outage;
mod principal;
mod problem;
mod quota;
mod rejection;
mod render;
mod requirement;
#[cfg(feature = "revocation")]
mod revocation;
mod scope;
mod secret;
mod store;
mod time;
mod token;
mod wire;

pub use access::{Access, Declaration, Route};
pub use acr::{Acr, InvalidAcr};
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use axum::{Claims, ExtractorRejection};
pub use config::{ConfigError, ConfigFault};
pub use digest::TokenDigest;
pub use fault::{PresentationFault, TokenFault};
pub use outage::OnOutage;
pub use principal::{Actor, Anonymous, ClaimsError, Principal, PrincipalKind, PrincipalParts};
pub use problem::{Problem, ProblemBody};
pub use quota::{Ask, Decision, Excess, ExcessKind, Limit, Quota, QuotaStore, Taken, decide};
pub use rejection::{Dependency, Rejection};
pub use render::{Renderer, RendererBuilder};
pub use requirement::{
    ClaimPath, ClaimValue, EmptyRequirement, Requirement, ScopeHierarchy, Shortfall, StepUp,
};
#[cfg(feature = "revocation")]
#[cfg_attr(docsrs, doc(cfg(feature = "revocation")))]
pub use revocation::{
    Appended, LogPosition, LogTail, Revocation, RevocationChange, RevocationId, RevocationIds,
    RevocationKind, RevocationLog, RevocationRecord,
};
pub use scope::{InvalidScope, Scope, ScopeSet};
pub use secret::AccessToken;
pub use store::{SharedStore, StoreError, StoreFuture, StoreKey};
pub use time::{Clock, Monotonic, Timestamp};
pub use wire::Wire;
