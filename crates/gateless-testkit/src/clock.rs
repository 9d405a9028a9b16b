//! Time that a test moves, so that nothing sleeps.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gateless_core::{Clock, Monotonic, Timestamp};

/// A clock that stands still until a test moves it. Clones show the same time.
///
/// ```
/// use std::time::Duration;
///
/// use gateless_core::Clock;
/// use gateless_testkit::FakeClock;
///
/// let clock = FakeClock::new();
/// let before = clock.wall();
/// clock.advance(Duration::from_secs(301));
/// assert_eq!(clock.wall().since(before), Duration::from_secs(301));
/// ```
#[derive(Clone, Debug)]
pub struct FakeClock(Arc<Mutex<Hands>>);

#[derive(Debug)]
struct Hands {
    wall: Timestamp,
    monotonic: Monotonic,
}

impl FakeClock {
    /// Where [`new`](Self::new) starts: 2025-06-15 15:06:40 UTC.
    pub const START: Timestamp = Timestamp::from_secs(1_750_000_000);

    /// A clock at [`START`](Self::START), the same date in every run.
    #[must_use]
    pub fn new() -> Self {
        Self::at(Self::START)
    }

    /// A clock whose wall shows `wall`; its monotonic side starts at zero.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Hands {
            wall,
            monotonic: Monotonic::from_start(Duration::ZERO),
        })))
    }

    /// Lets `by` pass, on the wall and on the monotonic side.
    ///
    /// The wall counts milliseconds: the part of `by` below one is dropped there.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.hands();
        hands.wall = hands.wall.saturating_add(by);
        hands.monotonic = hands.monotonic + by;
    }

    /// Sets the wall to `wall`, forwards or backwards, as an administrator or NTP would; no time passes.
    pub fn set_wall(&self, wall: Timestamp) {
        self.hands().wall = wall;
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for FakeClock {
    fn wall(&self) -> Timestamp {
        self.hands().wall
    }

    fn monotonic(&self) -> Monotonic {
        self.hands().monotonic
    }
}

/// The machine's time, for an issuer that is not given a clock.
#[derive(Debug)]
pub(crate) struct SystemClock {
    started: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::EPOCH.saturating_add(since_epoch)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(self.started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_moves_both_sides_of_every_clone() {
        let clock = FakeClock::new();
        let clone = clock.clone();
        let (wall, monotonic) = (clone.wall(), clone.monotonic());
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(clone.wall().since(wall), Duration::from_millis(1_500));
        assert_eq!(
            clone.monotonic().since(monotonic),
            Duration::from_millis(1_500)
        );
    }

    #[test]
    fn setting_the_wall_lets_no_time_pass() {
        let clock = FakeClock::new();
        let monotonic = clock.monotonic();
        for wall in [Timestamp::EPOCH, Timestamp::from_secs(4_000_000_000)] {
            clock.set_wall(wall);
            assert_eq!(clock.wall(), wall);
            assert_eq!(clock.monotonic(), monotonic);
        }
    }

    #[test]
    fn the_system_clock_shows_a_date_after_this_was_written() {
        assert!(SystemClock::new().wall() > FakeClock::START);
    }
}
