//! The decision: is there enough left? No clock, no lock, no store.

use std::time::Duration;

use super::Limit;

/// How many units are asked for.
///
/// What is more than the burst of a limit counts as a whole burst under that limit, as nobody could ever have more: it waits
/// until all of it is there, and takes all of it. Under the other limits it counts as what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    least: u32,
    most: u32,
    divisor: u32,
}

impl Ask {
    /// So many, or none.
    #[must_use]
    pub const fn exactly(units: u32) -> Self {
        Self {
            least: units,
            most: units,
            divisor: 1,
        }
    }

    /// Units in stock: as many as `most`, but no more than one part in `divisor` of what there is, so that others find
    /// some too; and if that is less than `least`, then `least` or none.
    #[must_use]
    pub const fn stock(least: u32, most: u32, divisor: u32) -> Self {
        Self {
            least,
            most: if most < least { least } else { most },
            divisor: if divisor == 0 { 1 } else { divisor },
        }
    }

    /// The fewest that are of use.
    #[must_use]
    pub const fn least(self) -> u32 {
        self.least
    }

    /// The most that are wanted.
    #[must_use]
    pub const fn most(self) -> u32 {
        self.most
    }

    /// Which part of what there is may be taken at most.
    #[must_use]
    pub const fn divisor(self) -> u32 {
        self.divisor
    }

    /// The same, of no more than any of the limits can tell from a whole burst.
    #[must_use]
    pub fn within(self, limits: &[Limit]) -> Self {
        let burst = limits.iter().map(Limit::burst).max().unwrap_or(u32::MAX);
        Self {
            least: self.least.min(burst),
            most: self.most.min(burst),
            divisor: self.divisor,
        }
    }
}

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// So many units may be had, and are to be paid for: [`Limit::after`].
    Granted(u32),
    /// There are not enough. Nothing is paid for.
    Refused {
        /// The place of the limit that makes one wait longest.
        limit: usize,
        /// When there are enough, if nobody else takes any.
        retry_after: Duration,
    },
}

/// Decides on one request under several limits at once: all of them have to have enough, and then all of them pay.
///
/// `stored` says for each of the limits up to when what the caller had is paid for, in microseconds since any fixed
/// start, and `now` is the time since the same start. Zero stands for a caller of whom nothing is known.
///
/// A clock that was set back is not followed: nobody is further ahead than a whole burst.
///
/// ```
/// use gateless_core::{Ask, Decision, Quota, decide};
///
/// let limits = [Quota::per_second(2).check()?];
/// let mut paid = [0];
/// for (now, units) in [(0, 1), (0, 1), (500_000, 1)] {
///     assert_eq!(decide(&limits, &paid, now, Ask::exactly(1)), Decision::Granted(units));
///     paid[0] = limits[0].after(paid[0], now, units);
/// }
/// let refused = decide(&limits, &paid, 500_000, Ask::exactly(1));
/// assert!(matches!(refused, Decision::Refused { retry_after, .. } if retry_after.as_millis() == 500));
/// # Ok::<(), gateless_core::ConfigError>(())
/// ```
#[must_use]
pub fn decide(limits: &[Limit], stored: &[u64], now: u64, ask: Ask) -> Decision {
    let ask = ask.within(limits);
    let each = || limits.iter().zip(stored);
    let mut longest: Option<(usize, u64)> = None;
    for (place, (limit, stored)) in each().enumerate() {
        let wait = limit.wait(*stored, now, ask.least);
        if wait > longest.map_or(0, |(_, wait)| wait) {
            longest = Some((place, wait));
        }
    }
    if let Some((limit, wait)) = longest {
        return Decision::Refused {
            limit,
            retry_after: Duration::from_micros(wait),
        };
    }
    if ask.most == ask.least {
        return Decision::Granted(ask.least);
    }
    let available = each().map(|(limit, stored)| limit.available(*stored, now));
    let available = available.min().unwrap_or(ask.most);
    let part = available / ask.divisor;
    Decision::Granted(part.clamp(ask.least, ask.most))
}

impl Limit {
    /// By how much a caller is ahead, in microseconds.
    #[must_use]
    pub fn debt(&self, stored: u64, now: u64) -> u64 {
        stored.saturating_sub(now).min(self.tolerance)
    }

    /// How many units there are.
    #[must_use]
    pub fn available(&self, stored: u64, now: u64) -> u32 {
        let units = (self.tolerance - self.debt(stored, now)) / self.interval;
        u32::try_from(units).unwrap_or(u32::MAX)
    }

    /// How long it takes until there are `units`, in microseconds; zero when they are there.
    #[must_use]
    pub fn wait(&self, stored: u64, now: u64, units: u32) -> u64 {
        let cost = self.interval.saturating_mul(u64::from(units));
        self.debt(stored, now)
            .saturating_sub(self.tolerance.saturating_sub(cost))
    }

    /// What is to be stored once `units` were taken: up to when they are paid for.
    #[must_use]
    pub fn after(&self, stored: u64, now: u64, units: u32) -> u64 {
        let cost = self.interval.saturating_mul(u64::from(units));
        let paid = now.saturating_add(self.debt(stored, now));
        paid.saturating_add(cost)
            .min(now.saturating_add(self.tolerance))
    }
}
