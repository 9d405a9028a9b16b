//! How much a caller may have: quotas as values, and the decision about one request.
//!
//! The decision is the generic cell rate algorithm (GCRA, ITU-T I.371): what is kept of a caller is one point in time for
//! each quota, up to which what they had so far is paid for. There is no window at whose edge two bursts meet.

mod decide;
mod excess;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::decide::{Ask, Decision, decide};
pub use self::excess::{Excess, ExcessKind};
pub use self::store::{QuotaStore, Taken};
use crate::config::ConfigError;

/// So many units in a period, and so many at once.
///
/// In any span of time a caller gets at most the burst and what the span brings: `burst + limit * span / period`. The
/// burst is the limit itself unless [`burst`](Self::burst) says otherwise, so that a caller who comes back finds the
/// whole quota; in the very first period they may then have up to twice of it. A burst of 1 spaces requests evenly.
///
/// ```
/// use gateless_core::Quota;
///
/// let minute = Quota::per_minute(60).burst(10);
/// let month = Quota::per(10_000, std::time::Duration::from_secs(30 * 86_400)).named("month");
/// assert_eq!(month.to_string(), "10000 in 2592000 s");
/// assert!(Quota::per_minute(0).check().is_err());
/// # let _ = minute;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    limit: u32,
    period: Duration,
    burst: u32,
    name: Option<Arc<str>>,
}

impl Quota {
    /// The most units that there can be in a minute: [`check`](Self::check) refuses more.
    pub const MOST_PER_MINUTE: u32 = 6_000_000;

    /// `limit` units in each `period`.
    #[must_use]
    pub const fn per(limit: u32, period: Duration) -> Self {
        Self {
            limit,
            period,
            burst: limit,
            name: None,
        }
    }

    /// `limit` units a second.
    #[must_use]
    pub const fn per_second(limit: u32) -> Self {
        Self::per(limit, Duration::from_secs(1))
    }

    /// `limit` units a minute.
    #[must_use]
    pub const fn per_minute(limit: u32) -> Self {
        Self::per(limit, Duration::from_secs(60))
    }

    /// `limit` units an hour.
    #[must_use]
    pub const fn per_hour(limit: u32) -> Self {
        Self::per(limit, Duration::from_secs(3600))
    }

    /// `limit` units in 24 hours.
    #[must_use]
    pub const fn per_day(limit: u32) -> Self {
        Self::per(limit, Duration::from_secs(86_400))
    }

    /// How many units a caller may have at once. The limit by default.
    #[must_use]
    pub const fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    /// What callers know it by, where they are told about quotas. `60-in-60s` and the like by default.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Checks that it means something.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the setting `quota`: nothing in it may be zero, the period is between a millisecond and 366
    /// days, there are at most 100,000 units a second, the burst is worth at most ten years, and a name is made of 1 to 64 letters,
    /// digits or characters of `-_.:/`.
    pub fn check(&self) -> Result<Limit, ConfigError> {
        let mut faults = ConfigError::collect();
        let mut refuse = |problem: &str| faults.add("quota", format!("of {self} {problem}"));
        if self.limit == 0 {
            refuse("lets nobody through");
        }
        if self.burst == 0 {
            refuse("has a burst of zero, which lets nobody through");
        }
        let (least, most) = (Duration::from_millis(1), Duration::from_secs(366 * 86_400));
        if self.period < least || self.period > most {
            refuse("has a period that is not between a millisecond and 366 days");
        }
        // Rounded up: a caller never gets more than what is written.
        let interval = micros(self.period).div_ceil(u64::from(self.limit.max(1)));
        let fastest = micros(self.period) / Self::SHORTEST;
        if u64::from(self.limit) > fastest {
            refuse("is more than 100,000 a second");
        }
        let tolerance = interval.saturating_mul(u64::from(self.burst));
        if tolerance > Self::LONGEST {
            refuse("has a burst that is worth more than ten years");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
        let is_name = |name: &str| !name.is_empty() && name.len() <= 64 && name.chars().all(plain);
        if !self.name.as_deref().is_none_or(is_name) {
            refuse("has a name that is not 1 to 64 letters, digits or characters of -_.:/");
        }
        faults.into_result()?;
        let name = self.name.clone().unwrap_or_else(|| self.default_name());
        Ok(Limit {
            quota: self.clone(),
            name,
            interval,
            tolerance,
        })
    }

    /// The shortest time between two units, in microseconds.
    const SHORTEST: u64 = 10;
    /// The longest time that a burst can be worth, in microseconds: some ten years. Sums with the time since 1970 stay below
    /// 2^53, where also a server that counts in floating point counts exactly.
    const LONGEST: u64 = 10 * 366 * 86_400 * 1_000_000;

    fn default_name(&self) -> Arc<str> {
        match self.period.subsec_nanos() {
            0 => format!("{}-in-{}s", self.limit, self.period.as_secs()).into(),
            _ => format!("{}-in-{}ms", self.limit, self.period.as_millis()).into(),
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} s", self.limit, self.period.as_secs_f64())?;
        if self.burst != self.limit {
            write!(f, " with a burst of {}", self.burst)?;
        }
        Ok(())
    }
}

fn micros(of: Duration) -> u64 {
    u64::try_from(of.as_micros()).unwrap_or(u64::MAX)
}

/// A [`Quota`] that was checked, in the numbers that are counted with.
///
/// All times are whole microseconds. A quota whose units do not come in whole microseconds is rounded towards fewer: by
/// at most 0.1 % at 1,000 units a second, and 10 % at 100,000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    quota: Quota,
    name: Arc<str>,
    interval: u64,
    tolerance: u64,
}

impl Limit {
    /// The most limits that one caller has at once.
    pub const MOST: usize = 8;

    /// What it was made of.
    #[must_use]
    pub const fn quota(&self) -> &Quota {
        &self.quota
    }

    /// What callers know it by.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How many units come in a [`period`](Self::period).
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.quota.limit
    }

    /// In which time.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.quota.period
    }

    /// How many units a caller may have at once.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.quota.burst
    }

    /// In which time one unit comes back, in microseconds.
    #[must_use]
    pub const fn interval(&self) -> u64 {
        self.interval
    }

    /// In which time a whole burst comes back, in microseconds: as far ahead as anybody can be.
    #[must_use]
    pub const fn tolerance(&self) -> u64 {
        self.tolerance
    }

    /// The share of one of `instances` that do not know of each other. A burst of 1 is the least that there is.
    ///
    /// Together they let no more through than this limit, as long as there are as many as was said and the burst can be
    /// divided; each has a burst of 1 beyond that.
    #[must_use]
    pub fn share(&self, instances: u32) -> Self {
        let instances = instances.max(1);
        let burst = (self.quota.burst / instances).max(1);
        let interval = self.interval.saturating_mul(u64::from(instances));
        Self {
            quota: Quota {
                burst,
                ..self.quota.clone()
            },
            name: Arc::clone(&self.name),
            interval,
            tolerance: interval.saturating_mul(u64::from(burst)),
        }
    }
}
