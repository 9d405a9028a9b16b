//! The running example of gateless: orders over HTTP and gRPC, on one port, behind the same layers.
//!
//! ```text
//! request ─► router ─► AuditLog ─► StripIdentityHeaders ─► FailureLimit ─► OptionalHybridAuth ─► Denylist ─► RateLimit ─► ScopeGuard ─► handler
//!                      records all                             who guesses?    who is it,            revoked?    too much?    what does the table
//!                                                                              if anybody?                                    say of this route?
//! ```
//!
//! [`app`] puts it together; [`policy`] says who may do what. Start with `cargo run -p orders`, which brings its own
//! issuer and prints requests to try, or let `cargo run -p orders -- --tour` try them all.

mod audit;
mod auth;
pub mod config;
mod grpc;
mod http;
mod limits;
pub mod policy;
mod revocation;
mod serve;
pub mod store;
pub mod tour;

use std::time::Duration;

use axum::Router;
use gateless::audit::AuditLog;
use gateless::denylist::Denylist;
use gateless::scope::ScopeGuard;
use gateless::strip::StripIdentityHeaders;
use gateless::{ConfigError, OnOutage};

pub use crate::audit::{LAST_RECORDS, Records};
pub use crate::auth::{Auth, bearer_auth, embedded_introspection, introspection};
pub use crate::limits::{Limits, PerMinute};
pub use crate::revocation::{Revocations, denylist};
pub use crate::serve::serve;
use crate::store::Store;

/// What the build script makes of `proto/orders/v1/orders.proto`: messages, client and server.
#[allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::use_self,
    reason = "generated"
)]
pub mod proto {
    tonic::include_proto!("orders.v1");

    /// The file as the compiler wrote it, with the options that say who gets through to which method.
    pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/orders.bin"));
}

/// The whole service as one router, for a server or a test.
///
/// Everything is inside the layers, also the fallback. The authentication is optional, so that the table decides which
/// routes are open: what is not declared is denied.
///
/// # Errors
///
/// [`ConfigError`] when the documents that declare the routes make no sense.
pub fn app(
    auth: Auth,
    denylist: Denylist,
    limits: &Limits,
    audit: AuditLog,
    store: Store,
) -> Result<Router, ConfigError> {
    let (rate, failures) = (limits.rate()?, limits.failures(&auth)?);
    let guard = ScopeGuard::table(policy::table()?);
    let probes = http::probes(auth.keys().clone(), denylist.handle().clone());
    let routes = http::routes(store.clone())
        .merge(probes)
        .merge(grpc::routes(store));
    // Operators have to get in while the log is away: what they revoke then counts here at once, if it can be queued.
    let hour = OnOutage::StaleFor(Duration::from_secs(3600));
    let operating = Router::new()
        .route_service("/admin/revocations", revocation::api(&denylist, &auth)?)
        .layer(guard.clone())
        .layer(denylist.on_outage(hour));
    // The layer that is added last runs first.
    let guarded = match rate {
        Some(rate) => routes.layer(guard).layer(rate),
        None => routes.layer(guard),
    };
    let guarded = guarded.layer(denylist).merge(operating);
    let authenticated = match auth {
        Auth::Bearer(auth) => guarded.layer(auth),
        Auth::Hybrid(.., auth) => guarded.layer(auth),
    };
    let limited = match failures {
        Some(failures) => authenticated.layer(failures),
        None => authenticated,
    };
    Ok(limited.layer(StripIdentityHeaders::default()).layer(audit))
}

/// The code of the README has to compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(test)]
mod tests;
