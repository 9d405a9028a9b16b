//! Tools for testing services behind gateless: an issuer that signs what you ask for and fails on demand, a clock
//! that you move, and services that are strict about the tower contract.
//!
//! ```
//! use std::sync::Arc;
//!
//! use gateless_testkit::{Fault, FakeClock, SigningAlgorithm, TestIssuer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let clock = FakeClock::new();
//! let issuer = TestIssuer::builder().clock(Arc::new(clock.clone())).serve().await?;
//! // Point the service under test at `issuer.issuer()`; it finds the key set by discovery. Then send it tokens:
//! let good = issuer.token().scope("orders:read").mint();
//! let expired = issuer.token().expires_in(-1).mint();
//! let confused = issuer.token().algorithm(SigningAlgorithm::Es256).header("alg", "RS256").mint();
//!
//! issuer.rotate(); // `good` was signed by a key that is gone now
//! issuer.set_jwks_fault(Fault::Status(503)); // and the new ones cannot be had
//! assert_eq!(issuer.requests().jwks, 0); // nobody asked yet
//! # drop((good, expired, confused));
//! # Ok(())
//! # }
//! ```
//!
//! | word | meaning |
//! |---|---|
//! | [`TestIssuer`] | keys, their publication over HTTP, what caches are told, and ways for that to go wrong ([`Fault`]) |
//! | [`TokenBuilder`] | a good access token, to be spoiled in one respect |
//! | [`OpaqueTokenBuilder`] | one that says nothing itself, and what the issuer says of it when it is [asked](TestIssuer#introspection) |
//! | [`Introspected`], [`ClientAuth`] | how somebody asked |
//! | [`FakeClock`] | wall and monotonic time that stand still until they are moved |
//! | [`RouteCheck`] | proof that a service asks on each route for what is declared |
//! | [`MemoryStore`] | a store that instances of a service share, which fails on demand ([`StoreFault`]) |
//! | [`shared_store_conformance`] | what a store has to do, for those who write one |
//! | [`MemoryLog`] | a log of revocations that instances of a service share, which fails and forgets on demand ([`LogFault`]) |
//! | [`revocation_log_conformance`] | what such a log has to do, for those who write one |
//! | [`MemoryQuotas`] | a counter of quotas that instances of a service share, which fails and forgets on demand ([`QuotaFault`]) |
//! | [`quota_store_conformance`] | what such a counter has to do, for those who write one |
//! | [`Unforgiving`], [`Recorder`] | services to put under a layer |
//!
//! # Not for production
//!
//! Whoever trusts a test issuer trusts everybody. Keep this crate in `[dev-dependencies]`. Where it gets into a program
//! all the same, it says so on standard error, and panics when `GATELESS_ENV` is `prod` or `production`.

mod algorithm;
mod builder;
mod caching;
mod clock;
mod conformance;
mod fault;
mod guard;
mod introspection;
mod issuer;
mod jws;
mod key;
mod keyring;
mod log;
mod log_conformance;
mod payload;
mod quota;
mod quota_conformance;
mod routes;
mod server;
mod service;
mod site;
mod store;
mod token;

pub use algorithm::SigningAlgorithm;
pub use builder::TestIssuerBuilder;
pub use clock::FakeClock;
pub use conformance::shared_store_conformance;
pub use fault::Fault;
pub use introspection::{ClientAuth, Introspected, OpaqueTokenBuilder};
pub use issuer::{Requests, TestIssuer};
pub use log::{LogFault, MemoryLog};
pub use log_conformance::revocation_log_conformance;
pub use quota::{MemoryQuotas, QuotaFault};
pub use quota_conformance::quota_store_conformance;
pub use routes::{RouteCheck, RouteFaults};
pub use service::{Recorder, Unforgiving};
pub use store::{MemoryStore, StoreFault};
pub use token::{TokenBuilder, encode_segments};
