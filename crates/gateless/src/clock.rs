//! The machine's clocks. The one place that asks them.

use std::time::Duration;

use gateless_core::{Clock, Monotonic, Timestamp};
#[cfg(target_os = "linux")]
use nix::time::ClockId;

/// The system's wall clock and monotonic clock.
///
/// On Linux these are the coarse ones, which are read several times faster and lag behind by a few milliseconds at
/// most: the tick of the kernel. Tokens and keys live for minutes.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The clock. All of them are the same.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        // Before 1970 the clock is so wrong that no token can be judged; the epoch refuses them all as not yet valid.
        let elapsed = since_epoch().unwrap_or_default();
        Timestamp::from_millis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(since_start())
    }
}

/// The system's clocks as exact as they are: for how long something took, which is less than a tick of the kernel.
#[cfg(feature = "audit")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct FineClock {
    start: std::time::Instant,
}

#[cfg(feature = "audit")]
impl FineClock {
    pub(crate) fn new() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }
}

#[cfg(feature = "audit")]
impl Clock for FineClock {
    fn wall(&self) -> Timestamp {
        SystemClock.wall()
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(self.start.elapsed())
    }
}

#[cfg(target_os = "linux")]
fn since_epoch() -> Option<Duration> {
    read(ClockId::CLOCK_REALTIME_COARSE)
}

/// Since the machine was started.
#[cfg(target_os = "linux")]
fn since_start() -> Duration {
    read(ClockId::CLOCK_MONOTONIC_COARSE).unwrap_or_default()
}

#[cfg(target_os = "linux")]
fn read(clock: ClockId) -> Option<Duration> {
    let time = clock.now().ok()?;
    let nanos = u32::try_from(time.tv_nsec()).ok()?;
    Some(Duration::new(u64::try_from(time.tv_sec()).ok()?, nanos))
}

#[cfg(not(target_os = "linux"))]
fn since_epoch() -> Option<Duration> {
    use std::time::{SystemTime, UNIX_EPOCH};

    SystemTime::now().duration_since(UNIX_EPOCH).ok()
}

/// Since this was first asked.
#[cfg(not(target_os = "linux"))]
fn since_start() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_wall_clock_is_the_systems() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let read = SystemClock::new().wall();
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let millis = u128::try_from(read.as_millis()).unwrap();
        // It lags behind by a tick, and by more where a machine stood still for a moment.
        assert!(millis + 1000 >= before.as_millis() && millis <= after.as_millis());
    }

    #[test]
    fn the_monotonic_clock_runs_and_never_back() {
        let clock = SystemClock::new();
        let (start, began) = (Instant::now(), clock.monotonic());
        let mut last = began;
        while last == began {
            let now = clock.monotonic();
            assert!(now >= last);
            assert!(start.elapsed() < Duration::from_secs(10), "it stands still");
            last = now;
        }
    }
}
