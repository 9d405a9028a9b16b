//! The running example of gateless: orders over HTTP and gRPC, on one port, behind the same layers.
//!
//! ```text
//! request ─► router ─► AuditLog ─► StripIdentityHeaders ─► FailureLimit ─► OptionalHybridAuth ─► Denylist ─► RateLimit ─► ScopeGuard ─► handler
//!                      records all                             who guesses?    who is it,            revoked?    too much?    what does the table
//!                                                                              if anybody?                                    say of this route?
//! ```
//!
//! All of them are one [`Stack`], which `gateless-config` makes of `gateless.toml` and of what the environment adds
//! ([`config`]). [`app`] puts the service behind it; [`policy`] says who may do what. Start with `cargo run -p orders`,
//! which brings its own issuer and prints requests to try, or let `cargo run -p orders -- --tour` try them all.

pub mod config;
mod grpc;
mod http;
mod layers;
pub mod policy;
mod serve;
pub mod store;
pub mod tour;

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use gateless::bearer::BearerHandle;
use gateless::denylist::{RevocationApi, RevocationApiBuilder};
use gateless::introspection::IntrospectionHandle;
use gateless::stack::Stack;
use gateless::{ConfigError, OnOutage, scope};

pub use crate::layers::LAST_RECORDS;
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
/// [`ConfigError`] when there is nobody whose tokens could be revoked.
pub fn app(stack: &Stack, store: Store) -> Result<Router, ConfigError> {
    // Operators have to get in while the log is away: what they revoke then counts here at once, if it can be queued.
    // Nothing else is different for them: they have as many requests as any caller.
    let hour = OnOutage::StaleFor(Duration::from_secs(3600));
    let operating = operators(stack)?.layer(stack.denylist_on_outage(hour));
    let routes = http::routes(store.clone())
        .merge(http::probes(stack.clone()))
        .merge(grpc::routes(store));
    Ok(routes.layer(stack.clone()).merge(operating))
}

/// The way in for those who revoke tokens, of the issuers that are believed.
fn operators(stack: &Stack) -> Result<Router, ConfigError> {
    let Some(denylist) = stack.denylist() else {
        return Ok(Router::new());
    };
    let of_jwts = stack.bearer().map(BearerHandle::key_status);
    let of_jwts = of_jwts
        .iter()
        .flatten()
        .map(|status| status.issuer().into());
    let of_opaque = stack.introspection().map(IntrospectionHandle::status);
    let of_opaque = of_opaque.iter().map(|status| status.issuer().into());
    // Mostly the same.
    let issuers: BTreeSet<Box<str>> = of_jwts.chain(of_opaque).collect();
    let api = RevocationApi::builder(denylist, scope!("tokens:revoke"));
    let api = issuers.into_iter().fold(api, RevocationApiBuilder::issuer);
    Ok(Router::new().route_service("/admin/revocations", api.build()?))
}

/// The same handlers without any layer: for measuring what the layers cost, and for nothing else. Everybody gets through.
pub fn bare(store: Store) -> Router {
    http::routes(store.clone()).merge(grpc::routes(store))
}

/// The code of the README has to compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(test)]
mod tests;
