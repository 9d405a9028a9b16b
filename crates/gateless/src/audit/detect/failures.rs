//! Credentials that are no good: somebody guesses, or a deployment is broken.
//!
//! The time begins with the first failure of a place and starts over when it has passed, so nothing is told below the number,
//! and with twice the number in any such time at the latest. Whoever stays below is not seen. With failures from more places
//! than there are entries between two of one place, that one is forgotten and its count begins anew: a flood from so many
//! places is seen by the count of all.

use gateless_audit::SignalKind;
use gateless_core::Rejection;

use super::detection::Often;
use super::tracked::Tracked;
use super::{Detector, Finding, Moment, millis};
use crate::audit::sighting::Sighting;

/// Failures of each place.
#[derive(Debug)]
pub(super) struct Failures {
    often: Often,
    places: Tracked<Count>,
}

/// Failures of all places.
#[derive(Debug)]
pub(super) struct Everywhere {
    often: Often,
    count: Count,
}

/// Failures of a time.
#[derive(Debug)]
struct Count {
    since: u64,
    count: u64,
    /// With how many it is told next.
    told_at: u64,
    /// Why, as long as all have the same reason.
    reason: Option<&'static str>,
}

impl Failures {
    pub(super) const fn new(often: Often, max_tracked: usize) -> Self {
        let places = Tracked::new(max_tracked);
        Self { often, places }
    }
}

impl Detector for Failures {
    fn see(&mut self, seen: &Sighting<'_>, moment: Moment<'_>) -> Option<Finding> {
        let (rejection, peer) = (failure(seen)?, seen.peer?);
        let (often, now) = (self.often, moment.now);
        let count = (self.places).hear(moment.place(peer), now, || Count::new(often, now))?;
        let finding = count.add(often, now, rejection)?;
        let peer = Some(peer);
        Some(Finding { peer, ..finding })
    }
}

impl Everywhere {
    pub(super) fn new(often: Often) -> Self {
        // It begins with the first failure.
        let count = Count::new(often, 0);
        Self { often, count }
    }
}

impl Detector for Everywhere {
    fn see(&mut self, seen: &Sighting<'_>, moment: Moment<'_>) -> Option<Finding> {
        self.count.add(self.often, moment.now, failure(seen)?)
    }
}

/// Why credentials were refused of which nothing proves that their issuer made them.
fn failure<'a>(seen: &Sighting<'a>) -> Option<&'a Rejection> {
    seen.rejection
        .filter(|rejection| rejection.may_be_a_guess())
}

impl Count {
    fn new(often: Often, now: u64) -> Self {
        Self {
            since: now,
            count: 0,
            told_at: often.count.into(),
            reason: None,
        }
    }

    /// One more: a finding if it is the one from which on there are enough, or twice as many as were told.
    fn add(&mut self, often: Often, now: u64, rejection: &Rejection) -> Option<Finding> {
        let is_over = now.saturating_sub(self.since) >= millis(often.within);
        if self.count == 0 || is_over {
            *self = Self::new(often, now);
            self.reason = Some(rejection.reason());
        }
        self.count = self.count.saturating_add(1);
        self.reason = self.reason.filter(|reason| *reason == rejection.reason());
        if self.count < self.told_at {
            return None;
        }
        self.told_at = self.told_at.saturating_mul(2);
        let finding = Finding::new(SignalKind::ValidationFailures, self.count, often.within);
        let reason = self.reason;
        Some(Finding { reason, ..finding })
    }
}

#[cfg(test)]
impl Failures {
    pub(super) fn tracked(&self) -> usize {
        self.places.len()
    }
}
