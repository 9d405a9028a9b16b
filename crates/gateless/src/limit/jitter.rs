//! When to come back: not all at once.

use std::time::Duration;

/// At least this much is spread: `Retry-After` counts in whole seconds, and a wait below one would not be spread at all.
const LEAST: Duration = Duration::from_secs(1);

/// `retry_after`, and up to a fifth of it on top, or up to a second where that is more: those who were refused together do
/// not come back together. Nobody is told to come back too early.
pub(super) fn jittered(retry_after: Duration, random: u64) -> Duration {
    let most = (retry_after / 5).max(LEAST);
    let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    let extra = Duration::from_millis(random % millis.saturating_add(1));
    retry_after.saturating_add(extra)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tk_19_nobody_is_called_back_early_and_nobody_very_late(millis in 0u64..10_000_000, random: u64) {
            let retry_after = Duration::from_millis(millis);
            let told = jittered(retry_after, random);
            prop_assert!(told >= retry_after);
            prop_assert!(told <= retry_after + (retry_after / 5).max(LEAST));
        }
    }

    #[test]
    fn tk_19_those_who_are_refused_together_come_back_over_a_second_and_more() {
        let told: std::collections::HashSet<_> = (0..10_000)
            .map(|random| jittered(Duration::from_secs(10), random))
            .collect();
        assert_eq!(told.len(), 2001);
        assert_eq!(jittered(Duration::MAX, u64::MAX), Duration::MAX);
    }
}
