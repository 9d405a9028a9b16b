//! Settings of the layer, checked all at once.

use std::fmt;
use std::sync::Arc;

use gateless_core::{Clock, ConfigError, Quota, Renderer};

use super::super::pace::Pace;
use super::super::table::{Table, Tagger};
use super::FailureLimit;
use super::decide::Live;
use super::metrics::Metrics;
use super::seen::Seen;
use crate::clock::SystemClock;
use crate::known::KnownTokens;
use crate::peer::Peer;

/// Settings of a [`FailureLimit`]. Only the quota and who knows good tokens have to be given; they are arguments of
/// [`FailureLimit::builder`].
#[must_use]
pub struct FailureLimitBuilder {
    quota: Quota,
    known: Box<dyn KnownTokens>,
    peer: Peer,
    max_prefixes: usize,
    clock: Arc<dyn Clock>,
    renderer: Renderer,
}

impl FailureLimitBuilder {
    /// The most prefixes that anybody can ask for.
    const MOST_PREFIXES: usize = 16_000_000;

    pub(super) fn new(quota: Quota, known: Box<dyn KnownTokens>) -> Self {
        Self {
            quota,
            known,
            peer: Peer::connection(),
            max_prefixes: 100_000,
            clock: Arc::new(SystemClock::new()),
            renderer: Renderer::default(),
        }
    }

    /// Where requests come from. [`Peer::connection`] by default: behind a proxy that is the proxy, for all of them.
    pub fn peer(mut self, peer: Peer) -> Self {
        self.peer = peer;
        self
    }

    /// From how many places refusals are remembered, about. 100,000 by default, which take up to 6 MB; 16 million at most.
    ///
    /// When there are more, the places that owe least make way, and whoever is new then starts with what they owed. As many
    /// refused credentials are remembered, so that they count once; with more of them the oldest count again.
    pub const fn max_prefixes(mut self, prefixes: usize) -> Self {
        self.max_prefixes = prefixes;
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

    /// Checks all settings and makes the layer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every setting that cannot be used.
    pub fn build(self) -> Result<FailureLimit, ConfigError> {
        let Self {
            quota,
            known,
            peer,
            max_prefixes,
            clock,
            renderer,
        } = self;
        let mut faults = ConfigError::collect();
        let locator = peer.locator(&mut faults);
        if max_prefixes == 0 {
            faults.add("max_prefixes", "is zero: nothing could be counted");
        }
        if max_prefixes > Self::MOST_PREFIXES {
            faults.add("max_prefixes", "is above 16 million");
        }
        let limit = quota.check().map_err(|error| faults.merge(error));
        // Without a limit there is a fault.
        let Some(limit) = limit.ok().filter(|_| faults.faults().is_empty()) else {
            return Err(faults);
        };
        Ok(FailureLimit(Arc::new(Live {
            seen: Seen::new(max_prefixes, limit.period()),
            table: Table::new([limit], max_prefixes),
            tagger: Tagger::default(),
            locator,
            known,
            started: clock.monotonic(),
            clock,
            renderer,
            reached: Pace::default(),
            measured: Pace::default(),
            metrics: Metrics::new(),
        })))
    }
}

impl fmt::Debug for FailureLimitBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailureLimitBuilder")
            .field("quota", &self.quota)
            .field("peer", &self.peer)
            .field("max_prefixes", &self.max_prefixes)
            .finish_non_exhaustive()
    }
}
