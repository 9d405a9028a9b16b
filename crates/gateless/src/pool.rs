//! Maps that input can fill: bounded by number and by bytes at once.
//!
//! When there is no room, what was asked for once goes before what is asked for often, so that a flood of new entries
//! does not push out the ones in use.

use std::hash::Hash;

use foldhash::quality::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

/// Entries that came and may go at any time.
pub(crate) type Pool<K, T> = Cache<K, T, Size, RandomState>;

/// What an entry holds on to.
pub(crate) trait Holds {
    /// About how much memory, in bytes, apart from the value itself.
    fn held(&self) -> usize;
}

/// A pool with room for so many entries, in so many bytes. Neither is zero.
pub(crate) fn pool<K, T>(entries: usize, bytes: usize) -> Pool<K, T>
where
    K: Eq + Hash,
    T: Clone + Holds,
{
    let options = OptionsBuilder::new()
        .estimated_items_capacity(entries)
        .weight_capacity(bytes as u64)
        .build()
        .expect("both capacities are set, and nothing else is asked for");
    // No entry counts for less than its share of all bytes: that bounds their number.
    let size = Size {
        least: bytes.div_ceil(entries) as u64,
    };
    let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
    Cache::with_options(options, size, hasher, lifecycle)
}

/// What an entry counts for.
#[derive(Clone, Debug)]
pub(crate) struct Size {
    least: u64,
}

impl<K, T: Holds> Weighter<K, T> for Size {
    fn weight(&self, _: &K, value: &T) -> u64 {
        ((size_of::<(K, T)>() + value.held()) as u64).max(self.least)
    }
}
