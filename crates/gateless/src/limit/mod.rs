//! Refuses requests of callers who had too much.
//!
//! | request | HTTP | gRPC |
//! |---|---|---|
//! | beyond a quota, or one too many at the same time | 429 `rate_exceeded` with `Retry-After` | `RESOURCE_EXHAUSTED` with `RetryInfo` |
//! | the store that a fleet counts in is away, and that means to refuse | 503 with `Retry-After` | `UNAVAILABLE` |
//! | no authentication layer runs before | 500 | `INTERNAL` |
//! | anything else, also a request of nobody behind optional authentication | passes | the same |
//!
//! There are three layers:
//!
//! - [`RateLimit`], behind the authentication: how much each caller may have, by who they are.
//! - [`FailureLimit`], before it: slows down whoever guesses tokens, by where they come from. Good tokens go on.
//! - [`ConcurrencyLimit`], behind it: how many requests of one caller may be under way at once.
//!
//! ```
//! use gateless::Quota;
//! use gateless::limit::{LimitKey, RateLimit};
//!
//! let limit = RateLimit::builder(
//!     LimitKey::caller(),
//!     [Quota::per_second(20), Quota::per_day(100_000)],
//! )
//! .tier("partner", [Quota::per_second(200)])
//! .tier_claim("plan")
//! .build()?;
//! // Router::new().route(..).layer(limit).layer(denylist).layer(auth)
//! # let _ = limit;
//! # Ok::<(), gateless::ConfigError>(())
//! ```
//!
//! The decision is the [generic cell rate algorithm](crate::decide): exact, without windows whose edges let twice as many
//! through, and one number for each quota of a caller. What one process counts is in a table of a fixed size, and no
//! flood of keys gives anybody back what they had.

mod builder;
mod concurrency;
mod cost;
mod count;
mod decide;
mod failures;
mod fields;
mod jitter;
mod key;
mod meter;
mod metrics;
mod pace;
#[cfg(feature = "limit_shared")]
mod shared;
#[cfg(feature = "limit_shared")]
mod store_key;
mod table;
mod tier;

use std::fmt;
use std::sync::Arc;

use gateless_core::Quota;

pub use self::builder::RateLimitBuilder;
pub use self::concurrency::{ConcurrencyLimit, ConcurrencyLimitBuilder};
use self::decide::Limiter;
pub use self::failures::{FailureLimit, FailureLimitBuilder};
pub use self::key::LimitKey;
pub use self::meter::RateMeter;
pub(crate) use self::metrics::Outcome;

#[cfg(feature = "limit_shared")]
#[cfg_attr(docsrs, doc(cfg(feature = "limit_shared")))]
pub use self::shared::{LimitOutage, SharedLimits};
pub use crate::known::{Knowledge, KnownTokens};
pub use crate::peer::{Peer, PeerAddress, TrustedProxies};

/// A layer that lets each caller have so much and no more. It stands behind the authentication, and behind the denylist.
///
/// Cloning it, and mounting it in several places, shares the quotas.
#[derive(Clone)]
pub struct RateLimit(Arc<Limiter>);

impl RateLimit {
    /// Lets all requests with the same `key` have `quotas`, each of them. One layer has up to eight quotas; for quotas of different
    /// keys, such as each caller and each tenant, put two layers in a row.
    pub fn builder(key: LimitKey, quotas: impl IntoIterator<Item = Quota>) -> RateLimitBuilder {
        RateLimitBuilder::new(key, quotas.into_iter().collect())
    }

    /// Lets as many credentials be refused from one place as `quota` says: the stage *before* the authentication. See
    /// [`FailureLimit::builder`].
    #[doc(alias = "FailureLimit")]
    pub fn failures(quota: Quota, known: impl KnownTokens) -> FailureLimitBuilder {
        FailureLimit::builder(quota, known)
    }
}

gate_layer!(RateLimit);

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimit").field(&self.0).finish()
    }
}
