//! Which credentials were refused from where not long ago, in a fixed number of places.
//!
//! Each has eight places where it can be, and takes the one whose time is over or, where there is none, comes first. So a
//! flood can push something out, and then it counts once more; nothing worse happens. A flood needs many prefixes: what comes from
//! one gets no further than its quota, so that no prefix can hold more places than that.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What was refused, as a hash under a key of this process, and up to when it is remembered. All zeros is a place that
/// nothing is in: its time was over before anything began.
type Place = [u64; 2];

/// Where something can be.
const PLACES: usize = 8;

/// The most parts. They are for writers on several cores.
const PARTS: usize = 64;

/// What was seen in the last while.
#[derive(Debug)]
pub(super) struct Seen {
    random: RandomState,
    parts: Box<[Mutex<Vec<Place>>]>,
    /// In microseconds.
    period: u64,
}

impl Seen {
    /// Room for at least `capacity`, each for `period`.
    pub(super) fn new(capacity: usize, period: Duration) -> Self {
        let sets = capacity.div_ceil(PLACES).max(1);
        let parts = sets.min(PARTS);
        let places = sets.div_ceil(parts) * PLACES;
        let part = || Mutex::new(vec![Place::default(); places]);
        Self {
            random: RandomState::new(),
            parts: std::iter::repeat_with(part).take(parts).collect(),
            period: u64::try_from(period.as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// Whether it was not there, at `now` in microseconds. From then on it is, for a period.
    pub(super) fn is_new(&self, what: &impl Hash, now: u64) -> bool {
        let hash = self.random.hash_one(what);
        let until = now.saturating_add(self.period);
        // One half of the hash chooses the part, the other the places in it.
        let Some(part) = self.parts.get(pick(hash >> 32, self.parts.len())) else {
            return true;
        };
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        let set = pick(hash & 0xffff_ffff, part.len() / PLACES);
        let places = part.chunks_exact_mut(PLACES).nth(set).unwrap_or_default();
        let is_it = |[which, until]: &Place| *which == hash && *until > now;
        if places.iter().any(is_it) {
            return false;
        }
        // The one that is over first, or was over long ago.
        if let Some(place) = places.iter_mut().min_by_key(|[_, until]| *until) {
            *place = [hash, until];
        }
        true
    }
}

/// One of so many, by 32 bits of a hash.
fn pick(hash: u64, of: usize) -> usize {
    let of = u64::try_from(of).unwrap_or(u64::MAX);
    usize::try_from(hash.saturating_mul(of) >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: u64 = 1_000_000;

    fn seen(capacity: usize) -> Seen {
        Seen::new(capacity, Duration::from_micros(PERIOD))
    }

    #[test]
    fn it_counts_once_in_a_period_from_the_first_microsecond_on() {
        let seen = seen(100);
        assert!(seen.is_new(&"a", 0));
        assert!(!seen.is_new(&"a", 0));
        assert!(seen.is_new(&"b", 0));
        assert!(
            !seen.is_new(&"a", PERIOD - 1),
            "seeing it again is no renewal"
        );
        assert!(seen.is_new(&"a", PERIOD));
        assert!(!seen.is_new(&"a", PERIOD));
    }

    #[test]
    fn tk_03_a_flood_takes_no_more_room_and_pushes_out_the_oldest() {
        let seen = seen(8);
        let room = |seen: &Seen| -> usize {
            let parts = seen.parts.iter();
            parts.map(|part| part.lock().unwrap().capacity()).sum()
        };
        let before = room(&seen);
        for what in 0..100_000_u64 {
            assert!(seen.is_new(&what, what));
        }
        assert_eq!(room(&seen), before);
        assert!(seen.is_new(&0_u64, 100_000));
        assert!(!seen.is_new(&99_999_u64, 100_000), "the newest is there");
    }

    #[test]
    fn most_of_what_there_is_room_for_is_there() {
        let seen = seen(10_000);
        for what in 0..5_000 {
            seen.is_new(&what, 0);
        }
        let again = (0..5_000).filter(|what| seen.is_new(what, 1)).count();
        assert!(again < 500, "{again} were forgotten");
    }

    proptest! {
        #[test]
        fn every_capacity_and_time_is_fine(capacity in 0usize..5_000, now: u64, what: u64) {
            let seen = seen(capacity);
            seen.is_new(&what, now);
            prop_assert_eq!(seen.is_new(&what, now), now == u64::MAX);
        }
    }
}
