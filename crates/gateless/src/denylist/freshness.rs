//! How long ago the list was known to be complete.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateless_core::Monotonic;

/// When the list was last known to have everything that the log has.
pub(super) struct Freshness {
    start: Monotonic,
    /// Milliseconds after the start.
    confirmed: AtomicU64,
}

/// Never so far.
const NEVER: u64 = u64::MAX;
/// Nobody else writes to the log: it is complete for good.
const ALWAYS: u64 = u64::MAX - 1;

/// What may be decided with a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was never loaded.
    Missing,
    /// It was complete this long ago.
    Aged(Duration),
}

impl Freshness {
    pub(super) const fn new(start: Monotonic) -> Self {
        Self {
            start,
            confirmed: AtomicU64::new(NEVER),
        }
    }

    /// The list had everything at `at`. Earlier news change nothing.
    pub(super) fn confirm(&self, at: Monotonic) {
        let at = u64::try_from(at.since(self.start).as_millis()).unwrap_or(ALWAYS - 1);
        let newer = |confirmed| match confirmed {
            NEVER => Some(at),
            confirmed => (confirmed < at).then_some(at),
        };
        let order = Ordering::AcqRel;
        // An error only says that there was nothing to change.
        let _ = self.confirmed.fetch_update(order, Ordering::Acquire, newer);
    }

    /// The list has everything, and will have.
    pub(super) fn confirm_for_good(&self) {
        self.confirmed.store(ALWAYS, Ordering::Release);
    }

    pub(super) fn is_for_good(&self) -> bool {
        self.confirmed.load(Ordering::Acquire) == ALWAYS
    }

    pub(super) fn standing(&self, now: Monotonic) -> Standing {
        match self.confirmed.load(Ordering::Acquire) {
            NEVER => Standing::Missing,
            ALWAYS => Standing::Aged(Duration::ZERO),
            confirmed => {
                let age = now.since(self.start + Duration::from_millis(confirmed));
                Standing::Aged(age)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(secs))
    }

    #[test]
    fn th_02_age_counts_from_the_last_news() {
        let freshness = Freshness::new(at(100));
        assert_eq!(freshness.standing(at(101)), Standing::Missing);
        freshness.confirm(at(110));
        assert_eq!(
            freshness.standing(at(117)),
            Standing::Aged(Duration::from_secs(7))
        );
        // News that come late are no news.
        freshness.confirm(at(105));
        assert_eq!(
            freshness.standing(at(117)),
            Standing::Aged(Duration::from_secs(7))
        );
        // The first moment counts as well.
        let freshness = Freshness::new(at(100));
        freshness.confirm(at(100));
        assert_eq!(
            freshness.standing(at(103)),
            Standing::Aged(Duration::from_secs(3))
        );
    }

    #[test]
    fn what_nobody_else_writes_does_not_age() {
        let freshness = Freshness::new(at(0));
        freshness.confirm_for_good();
        freshness.confirm(at(1));
        assert_eq!(
            freshness.standing(at(1_000_000)),
            Standing::Aged(Duration::ZERO)
        );
    }
}
