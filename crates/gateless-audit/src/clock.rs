//! The clock of the machine, for whoever hands in none.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gateless_core::{Clock, Monotonic, Timestamp};

/// What sinks use unless they are told otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MachineClock {
    start: Instant,
}

impl MachineClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the time comes from"
    )]
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for MachineClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the time comes from"
    )]
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Timestamp::EPOCH.saturating_add(since.unwrap_or(Duration::ZERO))
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(self.start.elapsed())
    }
}
