//! What is done at most once a second, however often there is a reason.

use std::sync::atomic::{AtomicU64, Ordering};

/// In microseconds.
const SECOND: u64 = 1_000_000;

/// When something is to be done again, and how often it was not done meanwhile.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: AtomicU64,
    skipped: AtomicU64,
}

impl Pace {
    /// Whether to do it now: then how often it was not done before. For one of those who ask at the same time.
    pub(super) fn is_due(&self, now: u64) -> Option<u64> {
        let next = self.next.load(Ordering::Relaxed);
        let then = now.saturating_add(SECOND);
        let take_turn = || {
            let order = Ordering::Relaxed;
            self.next.compare_exchange(next, then, order, order).is_ok()
        };
        if now >= next && take_turn() {
            return Some(self.skipped.swap(0, Ordering::Relaxed));
        }
        self.skipped.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_second_and_the_others_are_told() {
        let pace = Pace::default();
        assert_eq!(pace.is_due(0), Some(0));
        for now in [0, 1, SECOND - 1] {
            assert_eq!(pace.is_due(now), None);
        }
        assert_eq!(pace.is_due(SECOND), Some(3));
        assert_eq!(pace.is_due(SECOND), None);
        assert_eq!(pace.is_due(5 * SECOND), Some(1));
    }
}
