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

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use gateless_core::{Clock, Monotonic, Timestamp};

    /// Stands still until it is moved.
    #[derive(Debug)]
    pub(crate) struct Manual(AtomicU64);

    impl Manual {
        pub(crate) fn new() -> Arc<Self> {
            Arc::new(Self(AtomicU64::new(1_795_378_151_123)))
        }

        pub(crate) fn pass(&self, time: Duration) {
            let millis = u64::try_from(time.as_millis()).unwrap();
            self.0.fetch_add(millis, Ordering::Relaxed);
        }
    }

    impl Clock for Manual {
        fn wall(&self) -> Timestamp {
            let millis = self.0.load(Ordering::Relaxed);
            Timestamp::from_millis(i64::try_from(millis).unwrap())
        }

        fn monotonic(&self) -> Monotonic {
            Monotonic::from_start(Duration::from_millis(self.0.load(Ordering::Relaxed)))
        }
    }
}
