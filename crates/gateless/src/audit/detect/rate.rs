//! Tokens that are used far more often than before.
//!
//! It is told in the minute in which it happens, with the request from which on there are enough. A token that was forgotten,
//! as there were more in use than entries, begins anew: nothing is told of it for three minutes.

use std::time::Duration;

use gateless_audit::SignalKind;

use super::detection::Unusual;
use super::tracked::Tracked;
use super::{Detector, Finding, Moment};
use crate::audit::sighting::Sighting;

/// How often each token is used.
#[derive(Debug)]
pub(super) struct Rate {
    unusual: Unusual,
    tokens: Tracked<Usage>,
}

#[derive(Debug)]
struct Usage {
    /// When it was first used, in milliseconds: its minutes begin with that.
    began: u64,
    /// The number of its minute.
    minute: u64,
    /// How often it was used in that.
    count: u64,
    /// How often it was used in an average minute before, in thousandths.
    average: u64,
    /// When it was told last.
    told: Option<u64>,
}

const MINUTE: u64 = 60_000;
/// How long it is quiet after something was told.
const QUIET: u64 = 10 * MINUTE;
/// In how many minutes nothing is known of a token.
const UNKNOWN: u64 = 3;

impl Rate {
    pub(super) const fn new(unusual: Unusual, max_tracked: usize) -> Self {
        let tokens = Tracked::new(max_tracked);
        Self { unusual, tokens }
    }
}

impl Detector for Rate {
    fn see(&mut self, seen: &Sighting<'_>, moment: Moment<'_>) -> Option<Finding> {
        let (token, now) = (moment.token?, moment.now);
        let usage = self.tokens.hear(token, now, || Usage::new(now))?;
        usage.add(now);
        let quiet = |told: u64| now.saturating_sub(told) < QUIET;
        if usage.minute < UNKNOWN
            || !usage.is_unusual(self.unusual)
            || usage.told.is_some_and(quiet)
        {
            return None;
        }
        usage.told = Some(now);
        let minute = Duration::from_millis(MINUTE);
        Some(Finding {
            principal: seen.principal.cloned(),
            peer: seen.peer,
            ..Finding::new(SignalKind::UnusualRate, usage.count, minute)
        })
    }
}

impl Usage {
    /// After so many minutes without a request nothing is left of any average.
    const FORGOTTEN: u64 = 200;

    const fn new(now: u64) -> Self {
        Self {
            began: now,
            minute: 0,
            count: 0,
            average: 0,
            told: None,
        }
    }

    fn add(&mut self, now: u64) {
        let minute = now.saturating_sub(self.began) / MINUTE;
        // Those in which nothing happened are part of the average.
        for _ in 0..minute.saturating_sub(self.minute).min(Self::FORGOTTEN) {
            self.end_minute();
        }
        // A thread that comes late counts in the minute that is.
        self.minute = self.minute.max(minute);
        self.count = self.count.saturating_add(1);
    }

    fn end_minute(&mut self) {
        let count = std::mem::take(&mut self.count).saturating_mul(1_000);
        self.average = if self.minute == 0 {
            count
        } else {
            // A quarter of the new one: half of an average is younger than three minutes.
            (self.average.saturating_mul(3).saturating_add(count)) / 4
        };
        self.minute = self.minute.saturating_add(1);
    }

    fn is_unusual(&self, unusual: Unusual) -> bool {
        let expected = self.average.saturating_mul(unusual.factor.into());
        self.count >= unusual.at_least.into() && self.count.saturating_mul(1_000) >= expected
    }
}

#[cfg(test)]
impl Rate {
    pub(super) fn tracked(&self) -> usize {
        self.tokens.len()
    }
}
