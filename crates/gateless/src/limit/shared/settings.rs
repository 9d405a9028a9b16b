//! How a fleet counts together, and what is done while it cannot.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gateless_core::{ConfigError, Limit, QuotaStore};

/// The setting that faults are reported under.
const SETTING: &str = "shared_limits";

/// The longest deadline. Whoever waits longer is gone.
const LONGEST_DEADLINE: Duration = Duration::from_secs(60);

/// Limits that all instances of a service count together, in a [`QuotaStore`].
///
/// Without it each instance counts alone, and a caller has each quota once at every instance. The store counts by its own
/// clock, so that it makes no difference how those of the instances are set.
///
/// There are two ways to ask it:
///
/// | | [`exact`](Self::exact) | [`leased`](Self::leased) |
/// |---|---|---|
/// | a request asks the store | each one, but for those of a caller who was just refused | one in about `units` |
/// | more than the quota gets through | never | at most `units` for each instance, once |
///
/// In both, a caller who was refused is refused again without asking until there can be enough: whoever goes on sending
/// costs the store nothing.
///
/// A store that fails or is too slow five times in a row is left alone, but for one call a second that finds out whether it
/// is back. No other request waits for it in that time; what becomes of them says [`LimitOutage`].
///
/// ```
/// use std::time::Duration;
///
/// use gateless::limit::{LimitOutage, SharedLimits};
/// use gateless::{Ask, Limit, QuotaStore, StoreError, StoreFuture, StoreKey, Taken};
///
/// /// In place of Redis.
/// #[derive(Debug)]
/// struct Nowhere;
///
/// impl QuotaStore for Nowhere {
///     fn take<'a>(&'a self, _: &'a StoreKey, _: &'a [Limit], _: Ask) -> StoreFuture<'a, Taken> {
///         Box::pin(async { Err(StoreError::new("there is none")) })
///     }
/// }
///
/// // Four instances, each with a quarter of every quota while the store cannot be asked.
/// let shared = SharedLimits::leased(Nowhere, 20, LimitOutage::LocalShare { instances: 4 })
///     .deadline(Duration::from_millis(20));
/// # let _ = shared;
/// ```
#[derive(Clone)]
#[must_use]
pub struct SharedLimits {
    pub(super) store: Arc<dyn QuotaStore>,
    pub(super) mode: Mode,
    pub(super) on_outage: LimitOutage,
    pub(super) deadline: Duration,
    pub(super) max_remembered: usize,
}

/// How the store is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Exact,
    Leased { units: u32 },
}

impl SharedLimits {
    /// Asks the store with each request, in one call.
    ///
    /// No more gets through than the quota, however many instances there are and however many requests come at once, as long as the
    /// store keeps what it was told. A request takes longer by that call; more than a thousand of them at once get `503`. One that the deadline cuts short may have been counted by the store: what is
    /// wrong then is that the caller has a unit less.
    pub fn exact(store: impl QuotaStore, on_outage: LimitOutage) -> Self {
        Self::new(store, Mode::Exact, on_outage)
    }

    /// Takes up to `units` for a caller at once, and answers from that stock until it is used up.
    ///
    /// Units in stock are paid for when they are taken, and can be used later. So, of one caller,
    ///
    /// - in any span of time all instances together let through at most what the [`Quota`](gateless_core::Quota) says for that
    ///   span, and `units` for each instance on top of it, which were in stock when the span began;
    /// - from the first request on they never let through more than the store gave out, but for what [`LimitOutage`] adds;
    /// - what is in stock at an instance that ends is lost to the caller, as is what they have at an instance that they do not
    ///   come back to: at most `units` each; and so is what was brought for requests that nobody waits for any more.
    ///
    /// Where one request costs more than `units`, read that cost for `units`.
    ///
    /// An instance puts in stock no more than a quarter of what the caller has left, so that the others find some too: near
    /// the limit leases shrink to what is needed. Of the requests of one caller one asks at a time, and the others wait for
    /// what it brings, first come first served.
    ///
    /// A tenth of the quota, divided by the number of instances, is a good size, and no fewer than come at once: each call brings
    /// so many at most, and nobody waits for more than one deadline. More than a burst cannot be used.
    pub fn leased(store: impl QuotaStore, units: u32, on_outage: LimitOutage) -> Self {
        Self::new(store, Mode::Leased { units }, on_outage)
    }

    fn new(store: impl QuotaStore, mode: Mode, on_outage: LimitOutage) -> Self {
        Self {
            store: Arc::new(store),
            mode,
            on_outage,
            deadline: Duration::from_millis(50),
            max_remembered: 100_000,
        }
    }

    /// How long a request waits for the store, and how long an answer of the store may take. 50 ms by default: a store nearby
    /// answers in one or two, and 50 leave room for a pause of either side, while they are not much next to what a request takes.
    /// More than 0, and at most 60 s. The first request after a start pays for the connection too: a store behind TLS far away needs
    /// a longer one.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// For how many callers of each tier at most an instance remembers that they were refused, and what is in stock for them. 100,000
    /// by default, in some 9 MB. Where there are more, those with the least in stock make way: they lose what is paid for, or
    /// the store is asked once more. Nobody gains anything.
    pub const fn max_remembered(mut self, callers: usize) -> Self {
        self.max_remembered = callers;
        self
    }

    /// Tells what of this cannot be used with these limits.
    pub(in crate::limit) fn check(&self, limits: &[Limit], faults: &mut ConfigError) {
        let Self {
            store: _,
            mode,
            on_outage,
            deadline,
            max_remembered,
        } = self;
        if let Mode::Leased { units } = *mode {
            if units == 0 {
                faults.add(SETTING, "has leases of zero units");
            }
            for limit in limits.iter().filter(|limit| units > limit.burst()) {
                let quota = limit.quota();
                let problem = format!("has leases of {units} units, more than a burst of {quota}");
                faults.add(SETTING, problem);
            }
        }
        if let LimitOutage::LocalShare { instances: 0 } = on_outage {
            faults.add(SETTING, "has a local share for zero instances");
        }
        if deadline.is_zero() || *deadline > LONGEST_DEADLINE {
            faults.add(SETTING, "has a deadline that is not between 0 and 60 s");
        }
        if *max_remembered == 0 {
            faults.add(SETTING, "has a max_remembered of zero");
        }
    }
}

impl fmt::Debug for SharedLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLimits")
            .field("store", &self.store)
            .field("mode", &self.mode)
            .field("on_outage", &self.on_outage)
            .field("deadline", &self.deadline)
            .field("max_remembered", &self.max_remembered)
            .finish()
    }
}

/// What becomes of requests while the store of [`SharedLimits`] cannot be asked: it fails, it takes longer than the deadline,
/// or it is left alone after that.
///
/// There is no default. Whoever can make the store slow, by a flood for example, chooses when this applies; with leases, so does a
/// caller for themselves whose requests come faster than the store answers within the deadline. What an
/// instance still knows comes first: units in stock are used, and who was refused before is refused.
///
/// ```
/// use gateless::limit::LimitOutage;
///
/// // Six instances run at most.
/// let on_outage = LimitOutage::LocalShare { instances: 6 };
/// # let _ = on_outage;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitOutage {
    /// Nobody is let through: `503` / `UNAVAILABLE`. No attacker gets anything beyond their quota, and whoever can make the
    /// store slow shuts everybody out.
    FailClosed,
    /// Each instance counts alone, with its share of every quota ([`Limit::share`]).
    ///
    /// An attacker gains at most the quota once more, next to what the store gave out before, and others go on. The shares are
    /// counted during outages only, and what was had in one is still owed in the next: to bring about many of them brings
    /// nothing.
    ///
    /// A request that costs more than the burst of a share gets `503`, as with [`FailClosed`](Self::FailClosed).
    LocalShare {
        /// How many instances there are, at most. With more of them than was said here, all of them together let through more
        /// than the quota; where there are fewer, or requests are spread unevenly, callers get less. A share is a burst of at least 1.
        instances: u32,
    },
    /// Everybody is let through, and nothing is counted. Whoever can make the store slow has no limit any more.
    DangerOpen,
}
