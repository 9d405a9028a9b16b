//! When keys are fetched again, and until when they may be used. No clock, no lock, no store.

use std::time::Duration;

use gateless_core::{Monotonic, OnOutage};

/// No issuer is asked more often than this, unless the lifetime that was set is shorter still. Some mark their keys
/// as `no-cache`.
const LEAST_FRESH: Duration = Duration::from_secs(60);

/// The limits of a store, as they were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) lifetime: Duration,
    pub(crate) on_outage: OnOutage,
    pub(crate) cooldown: Duration,
    pub(crate) timeout: Duration,
}

/// Whether keys may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Within their lifetime.
    Fresh,
    /// Past it, and used because the outage policy says so.
    Stale,
    /// Not there, or past all bounds.
    Missing,
}

impl Timing {
    /// Whether keys of this age may be used.
    pub(crate) fn standing(&self, age: Duration) -> Standing {
        if age < self.lifetime {
            Standing::Fresh
        } else if age < self.lifetime.saturating_add(self.on_outage.tolerance()) {
            Standing::Stale
        } else {
            Standing::Missing
        }
    }

    /// The age at which keys are fetched again, in the background.
    ///
    /// That is after four fifths of the time for which the issuer calls them fresh (`max_age`), and of their lifetime
    /// at the latest: an issuer can ask for more care and never for less. How long keys may be *used* is not the
    /// issuer's to say, as a short `max_age` would turn each short outage of its into one of ours.
    ///
    /// `spread` moves it up to a tenth ahead, so that the instances of a fleet that were started together do not come
    /// together for ever.
    pub(crate) fn renew_after(&self, max_age: Option<Duration>, spread: u8) -> Duration {
        let fresh = max_age
            .unwrap_or(self.lifetime)
            .max(LEAST_FRESH)
            .min(self.lifetime);
        fresh / 5 * 4 - fresh / (10 * u32::from(u8::MAX)) * u32::from(spread)
    }

    /// How long to wait until a fetch may begin, when one for the same cause began at `last`.
    pub(crate) fn wait(&self, last: Option<Monotonic>, now: Monotonic) -> Duration {
        last.map_or(Duration::ZERO, |last| {
            self.cooldown.saturating_sub(now.since(last))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    const fn timing(lifetime: Duration, on_outage: OnOutage) -> Timing {
        Timing {
            lifetime,
            on_outage,
            cooldown: secs(30),
            timeout: secs(5),
        }
    }

    #[rstest]
    #[case::te_07(OnOutage::FailClosed, 599, Standing::Fresh)]
    #[case::te_09(OnOutage::FailClosed, 600, Standing::Missing)]
    #[case::te_07(OnOutage::StaleFor(secs(60)), 599, Standing::Fresh)]
    #[case::te_08(OnOutage::StaleFor(secs(60)), 600, Standing::Stale)]
    #[case::te_08(OnOutage::StaleFor(secs(60)), 659, Standing::Stale)]
    #[case::te_09(OnOutage::StaleFor(secs(60)), 660, Standing::Missing)]
    #[case::no_overflow(OnOutage::StaleFor(Duration::MAX), u64::MAX - 1, Standing::Stale)]
    fn keys_are_used_as_long_as_was_chosen(
        #[case] on_outage: OnOutage,
        #[case] age: u64,
        #[case] standing: Standing,
    ) {
        assert_eq!(timing(secs(600), on_outage).standing(secs(age)), standing);
    }

    #[rstest]
    #[case::as_set(600, None, 480)]
    #[case::sooner(600, Some(100), 80)]
    #[case::never_later(600, Some(86_400), 480)]
    #[case::never_all_the_time(600, Some(0), 48)]
    #[case::but_as_often_as_set(10, Some(0), 8)]
    fn the_issuer_can_ask_for_more_care_and_not_for_less(
        #[case] lifetime: u64,
        #[case] max_age: Option<u64>,
        #[case] renewed: u64,
    ) {
        let timing = timing(secs(lifetime), OnOutage::FailClosed);
        assert_eq!(timing.renew_after(max_age.map(secs), 0), secs(renewed));
    }

    proptest! {
        #[test]
        fn te_06_renewal_is_spread_and_always_ahead_of_the_end(
            lifetime in 1_u64..1_000_000,
            max_age in prop::option::of(0_u64..1_000_000),
            spread in any::<u8>(),
        ) {
            let timing = timing(secs(lifetime), OnOutage::FailClosed);
            let max_age = max_age.map(secs);
            let renewed = timing.renew_after(max_age, spread);
            prop_assert!(renewed < secs(lifetime));
            prop_assert!(renewed <= timing.renew_after(max_age, 0));
            prop_assert!(renewed >= timing.renew_after(max_age, 0) / 8 * 7);
        }

        #[test]
        fn no_lifetime_is_too_long(spread in any::<u8>()) {
            let timing = timing(Duration::MAX, OnOutage::FailClosed);
            prop_assert!(timing.renew_after(None, spread) < Duration::MAX);
        }

        #[test]
        fn the_wait_ends_with_the_cooldown(began in 0_u64..1000, later in 0_u64..1000) {
            let at = |secs| Monotonic::from_start(Duration::from_secs(secs));
            let timing = timing(secs(600), OnOutage::FailClosed);
            let wait = timing.wait(Some(at(began)), at(began + later));
            prop_assert_eq!(wait, secs(30_u64.saturating_sub(later)));
            prop_assert_eq!(timing.wait(None, at(later)), Duration::ZERO);
        }
    }
}
