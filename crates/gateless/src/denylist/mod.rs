//! Refuses tokens that were revoked, although their issuer signed them and they have not expired.
//!
//! | request | HTTP | gRPC |
//! |---|---|---|
//! | the token was revoked, or its session, subject, client, issuer or key | 401 `invalid_token`, the same text as for every bad token | `UNAUTHENTICATED` |
//! | the token lives longer than the list remembers anything | the same | the same |
//! | the list was not loaded yet, or is too old to tell | 503 with `Retry-After` | `UNAVAILABLE` |
//! | no authentication layer runs before | 500 | `INTERNAL` |
//! | anything else, also a request of nobody behind optional authentication | passes | the same |
//!
//! The whole list is in the memory of each process, so that a request waits for nobody. What is revoked is kept in a
//! [log](RevocationLog), which outlives the process and brings it to all others: a file for one machine
//! (`RevocationFile`, feature `denylist_file`), Redis for a fleet (the crate `gateless-redis`), or this process alone
//! ([`Ephemeral`]).
//!
//! ```
//! use gateless::denylist::{Denylist, Ephemeral};
//! use gateless::{OnOutage, Revocation};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let denylist = Denylist::builder(Ephemeral::new(), OnOutage::FailClosed).build()?;
//! denylist.handle().ready().await?;
//!
//! // Router::new().route(..).layer(denylist.clone()).layer(auth)
//! let handle = denylist.handle().clone();
//! handle.revoke(&Revocation::session("https://idp.example.com", "session-1")).await?;
//! # Ok(())
//! # }
//! ```
//!
//! It knows when it does not know. An instance that cannot reach the log goes on with what it has for
//! [`fresh_for`](DenylistBuilder::fresh_for), and then does what [`OnOutage`] says. One that missed something loads the
//! whole list anew; one whose log came back without its data puts back what it has.

mod builder;
mod decide;
mod ephemeral;
#[cfg(feature = "denylist_file")]
mod file;
mod freshness;
mod handle;
mod inlets;
mod list;
mod metrics;
#[cfg(feature = "denylist_file")]
mod outbox;
mod revoke;
#[cfg(feature = "denylist_file")]
mod sealed;
mod sync;

use std::fmt;
use std::time::Duration;

use gateless_core::{OnOutage, RevocationLog};
#[cfg(feature = "bearer")]
#[cfg_attr(docsrs, doc(cfg(feature = "bearer")))]
pub use gateless_jwt::LogoutPolicy;

pub use self::builder::{DenylistBuilder, WhenFull};
use self::decide::Outage;
pub use self::ephemeral::Ephemeral;
#[cfg(feature = "denylist_file")]
#[cfg_attr(docsrs, doc(cfg(feature = "denylist_file")))]
pub use self::file::RevocationFile;
pub use self::handle::{DenylistHandle, DenylistStatus, DenylistUnavailable};
#[cfg(feature = "bearer")]
#[cfg_attr(docsrs, doc(cfg(feature = "bearer")))]
pub use self::inlets::{BackchannelLogout, BackchannelLogoutBuilder};
pub use self::inlets::{
    ClientCredentials, RevocationApi, RevocationApiBuilder, RevocationEndpoint,
    RevocationEndpointBuilder,
};
pub use self::list::{ListFull, RevocationList};
#[cfg(feature = "denylist_file")]
#[cfg_attr(docsrs, doc(cfg(feature = "denylist_file")))]
pub use self::outbox::{RevocationOutbox, RevocationOutboxBuilder};
pub use self::revoke::RevokeError;
#[cfg(feature = "denylist_file")]
#[cfg_attr(docsrs, doc(cfg(feature = "denylist_file")))]
pub use self::sealed::RevocationFileError;
pub use crate::purge::ForgetRevoked;
pub use crate::verifier::{TokenVerifier, Verification};

/// How long records are kept past their end: a clock that runs ahead for a while must not make a list shorter.
const GRACE: Duration = Duration::from_secs(60 * 60);

/// A layer that refuses what was revoked. It stands behind the authentication.
///
/// Cloning it, and mounting it in several places, shares the list.
#[derive(Clone)]
pub struct Denylist {
    handle: DenylistHandle,
    outage: Outage,
}

impl Denylist {
    /// Refuses what `log` says is revoked. `on_outage` is what happens when the log cannot be reached for longer than
    /// [`fresh_for`](DenylistBuilder::fresh_for).
    pub fn builder(log: impl RevocationLog, on_outage: OnOutage) -> DenylistBuilder {
        DenylistBuilder::new(std::sync::Arc::new(log), on_outage)
    }

    /// What can be asked of this layer and its clones, and done to them, while they serve: revoking above all.
    #[must_use]
    pub const fn handle(&self) -> &DenylistHandle {
        &self.handle
    }

    /// The same list with another choice for the time that its log is away: for routes that are worth more, or less.
    #[must_use]
    pub fn on_outage(&self, on_outage: OnOutage) -> Self {
        Self {
            handle: self.handle.clone(),
            outage: Outage::Policy(on_outage),
        }
    }

    /// The same list for routes that have to go on whatever happens: while the log is away, what is not known to be revoked
    /// passes, for however long. Each such request is counted.
    ///
    /// A thief who can keep the log away can then use what was revoked meanwhile. Until the list was loaded for the
    /// first time, requests get 503 here too.
    #[must_use]
    pub fn danger_open_on_outage(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            outage: Outage::Open,
        }
    }
}

gate_layer!(Denylist);

impl fmt::Debug for Denylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Denylist")
            .field("handle", &self.handle)
            .field("outage", &self.outage)
            .finish()
    }
}
