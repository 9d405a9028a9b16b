//! Settings of the layer, checked all at once.

use std::sync::Arc;
use std::time::Duration;

use gateless_core::{Clock, ConfigError, OnOutage, Renderer, RevocationLog};
use tokio::runtime::Handle;

use super::Denylist;
use super::decide::{Outage, Terms};
use super::handle::{DenylistHandle, Live};
use crate::clock::SystemClock;
use crate::purge::ForgetRevoked;

/// What happens when something is revoked and the list has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// It is not revoked, and whoever asked for it is told so. An instance that cannot hold what others revoked counts as
    /// out of date.
    #[default]
    Refuse,
    /// Every token of every issuer that was issued until now is revoked in its place: all have to sign in again, and the
    /// list has room.
    RevokeEverything,
}

/// Settings of a [`Denylist`]. Only the log and what its outage means have to be given; they are arguments of
/// [`Denylist::builder`].
#[derive(Debug)]
#[must_use]
pub struct DenylistBuilder {
    pub(super) log: Arc<dyn RevocationLog>,
    on_outage: OnOutage,
    fresh_for: Duration,
    token_lifetime: Duration,
    accepts_dateless: bool,
    pub(super) clock_skew: Duration,
    pub(super) capacity: usize,
    pub(super) when_full: WhenFull,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) renderer: Renderer,
    pub(super) caches: Vec<Box<dyn ForgetRevoked>>,
}

impl DenylistBuilder {
    pub(super) fn new(log: Arc<dyn RevocationLog>, on_outage: OnOutage) -> Self {
        Self {
            log,
            on_outage,
            fresh_for: Duration::from_secs(30),
            token_lifetime: Duration::from_secs(24 * 60 * 60),
            accepts_dateless: false,
            clock_skew: Duration::from_secs(5),
            capacity: 1_000_000,
            when_full: WhenFull::Refuse,
            clock: Arc::new(SystemClock::new()),
            renderer: Renderer::default(),
            caches: Vec::new(),
        }
    }

    /// For how long a list is as good as new after its log was last heard of. 30 s by default, and between 2 s and an hour: the
    /// log is asked four times in that time, and once a second at least. It is the longest that a revocation can go unnoticed by an instance that is cut off,
    /// unless [`OnOutage::StaleFor`] adds to it.
    pub const fn fresh_for(mut self, fresh_for: Duration) -> Self {
        self.fresh_for = fresh_for;
        self
    }

    /// How long tokens live at most, from `iat` to `exp`. 24 hours by default, as
    /// `TokenPolicy::max_lifetime`. Records are forgotten after that, so tokens that live longer are refused. All who share a
    /// log have the same, as what one of them says is remembered for as long as its own tokens live.
    pub const fn token_lifetime(mut self, token_lifetime: Duration) -> Self {
        self.token_lifetime = token_lifetime;
        self
    }

    /// Accepts tokens that do not say when they were issued (`iat`), as long as they end within
    /// [`token_lifetime`](Self::token_lifetime). Off by default: nobody can tell for how long such a token lives, and one that
    /// lives longer than that comes back when what was revoked about it is forgotten.
    pub const fn optional_issued_at(mut self) -> Self {
        self.accepts_dateless = true;
        self
    }

    /// By how much the clocks of the issuers may be ahead of this one. 5 s by default, 300 s at most.
    ///
    /// Where all tokens of somebody until now are revoked, those are meant that say they were issued until then; so a token
    /// that is issued right after it, within this time, is refused too. Nobody has to wait who says the time
    /// (`Revocation::issued_until`).
    pub const fn clock_skew(mut self, clock_skew: Duration) -> Self {
        self.clock_skew = clock_skew;
        self
    }

    /// How many records are held at most. 1,000,000 by default, which take about 25 MB once they are there.
    ///
    /// Up to four fifths of that, records are held for an hour beyond their end: a clock that runs ahead for a while
    /// must not make the list shorter.
    pub const fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// What happens when there is no room. [`WhenFull::Refuse`] by default.
    pub const fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// A cache that is told when callers are revoked: the handle of a stage that authenticates. Several can be given.
    pub fn forgets(mut self, cache: impl ForgetRevoked) -> Self {
        self.caches.push(Box::new(cache));
        self
    }

    /// Where the time comes from. The system's clocks by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How refusals look. Problem details by default.
    pub fn renderer(mut self, renderer: Renderer) -> Self {
        self.renderer = renderer;
        self
    }

    /// Checks all settings and makes the layer, and begins to load the list: a task of the runtime follows the log for as
    /// long as there is a layer or handle.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every setting that cannot be used, and where there is no tokio runtime.
    pub fn build(self) -> Result<Denylist, ConfigError> {
        let mut faults = ConfigError::collect();
        if self.fresh_for < Duration::from_secs(2) {
            faults.add(
                "fresh_for",
                "is below 2 s: a slow answer of the log would be an outage",
            );
        }
        if self.fresh_for > Duration::from_secs(3600) {
            faults.add(
                "fresh_for",
                "is above an hour: revoking would mean nothing for that long",
            );
        }
        if self.token_lifetime.is_zero() {
            faults.add("token_lifetime", "is zero: every token would be refused");
        }
        if self.token_lifetime > Duration::from_secs(400 * 24 * 60 * 60) {
            faults.add("token_lifetime", "is above 400 days");
        }
        if self.clock_skew > Duration::from_secs(300) {
            faults.add("clock_skew", "is above the 300 s that are allowed");
        }
        if self.capacity == 0 {
            faults.add("capacity", "is zero: nothing could be revoked");
        }
        if Handle::try_current().is_err() {
            faults.add(
                "runtime",
                "is missing: the layer has to be built within a tokio runtime",
            );
        }
        faults.into_result()?;
        let terms = Terms {
            fresh_for: self.fresh_for,
            token_lifetime: self.token_lifetime,
            accepts_dateless: self.accepts_dateless,
        };
        let outage = Outage::Policy(self.on_outage);
        let handle = DenylistHandle::start(Live::new(self, terms));
        Ok(Denylist { handle, outage })
    }
}
