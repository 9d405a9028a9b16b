//! How many requests of whom are under way. It has an entry for each caller who has one, and for nobody else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::gate::{Escort, ResponseHead};
use crate::limit::table::Tag;

/// Few, as each is held for a moment only.
const SHARDS: usize = 32;

#[derive(Debug, Default)]
pub(super) struct UnderWay {
    shards: [Mutex<HashMap<Tag, u32>>; SHARDS],
    refused: AtomicU64,
}

/// A request that is under way, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    under_way: Arc<UnderWay>,
    tag: Tag,
}

impl UnderWay {
    /// One more, unless there are `max`.
    pub(super) fn enter(self: &Arc<Self>, tag: Tag, max: u32) -> Option<Place> {
        let mut shard = self.shard(tag);
        let count = shard.entry(tag).or_insert(0);
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Place {
            under_way: Arc::clone(self),
            tag,
        })
    }

    /// The number of the next refusal.
    pub(super) fn refused(&self) -> u64 {
        self.refused.fetch_add(1, Ordering::Relaxed)
    }

    fn shard(&self, tag: Tag) -> MutexGuard<'_, HashMap<Tag, u32>> {
        let shard = self.shards.get(tag.part() % SHARDS);
        let shard = shard.expect("the remainder is below the number of shards");
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shard = self.under_way.shard(self.tag);
        if let Some(count) = shard.get_mut(&self.tag) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&self.tag);
            }
        }
    }
}

/// Stays until the body has ended.
impl Escort for Place {
    fn answered(self: Box<Self>, _: ResponseHead<'_>) -> Option<Box<dyn Escort>> {
        Some(self)
    }
}
