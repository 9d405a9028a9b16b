//! Records of what was issued until a point in time: of subjects, clients, issuers, or of everything.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::{iter, mem};

use foldhash::quality::RandomState;
use gateless_core::{RevocationId, RevocationKind, RevocationRecord, Timestamp};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::slots::scaled;
use super::{ListFull, Places};

const SHARDS: usize = 16;

/// Hash tables with a lock each. There are few of these records, and they keep two times.
pub(super) struct Marks {
    random: RandomState,
    count: AtomicUsize,
    shards: Box<[RwLock<Shard>]>,
}

struct Shard {
    marks: HashMap<[u8; 12], Mark, RandomState>,
    /// No record ends before this.
    earliest: Timestamp,
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            marks: HashMap::default(),
            earliest: Timestamp::MAX,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    issued_until: Timestamp,
    until: Timestamp,
}

impl Marks {
    pub(super) fn new() -> Self {
        Self {
            random: RandomState::default(),
            count: AtomicUsize::new(0),
            shards: (iter::repeat_with(RwLock::default).take(SHARDS)).collect(),
        }
    }

    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn refuses(
        &self,
        id: RevocationId,
        issued_at: Option<Timestamp>,
        now: Timestamp,
    ) -> bool {
        if self.count() == 0 {
            return false;
        }
        let shard = read(self.shard(id));
        shard.marks.get(&id.digest()).is_some_and(|mark| {
            let is_meant = issued_at.is_none_or(|issued| issued <= mark.issued_until);
            is_meant && now < mark.until
        })
    }

    pub(super) fn revoke(
        &self,
        record: &RevocationRecord,
        now: Timestamp,
        places: &Places,
        take: fn(&Places) -> Result<(), ListFull>,
    ) -> Result<bool, ListFull> {
        let new = Mark {
            // A record of such a kind always has one.
            issued_until: record.issued_until().unwrap_or(Timestamp::MAX),
            until: record.until(),
        };
        let mut shard = write(self.shard(record.id()));
        match shard.marks.entry(record.id().digest()) {
            Entry::Occupied(mut entry) => {
                let mark = entry.get_mut();
                let merged = if mark.until <= now {
                    // As if it had been forgotten already.
                    new
                } else {
                    Mark {
                        issued_until: mark.issued_until.max(new.issued_until),
                        until: mark.until.max(new.until),
                    }
                };
                if mem::replace(mark, merged) == merged {
                    return Ok(false);
                }
            }
            Entry::Vacant(entry) => {
                take(places)?;
                self.count.fetch_add(1, Ordering::Relaxed);
                entry.insert(new);
            }
        }
        shard.earliest = shard.earliest.min(new.until);
        Ok(true)
    }

    pub(super) fn unrevoke(&self, id: RevocationId, places: &Places) -> bool {
        let mut shard = write(self.shard(id));
        let was_there = shard.marks.remove(&id.digest()).is_some();
        self.give_back(usize::from(was_there), places);
        was_there
    }

    pub(super) fn for_each(
        &self,
        kind: RevocationKind,
        now: Timestamp,
        sink: &mut impl FnMut(RevocationRecord),
    ) {
        for shard in &self.shards {
            let live: Vec<_> = (read(shard).marks.iter())
                .filter(|(_, mark)| now < mark.until)
                .map(|(digest, mark)| {
                    let id = RevocationId::from_digest(kind, *digest);
                    RevocationRecord::new(id, Some(mark.issued_until), mark.until)
                })
                .collect();
            // Without the lock, as whoever gets them may change the list.
            live.into_iter().for_each(&mut *sink);
        }
    }

    pub(super) fn sweep(&self, now: Timestamp, places: &Places) -> usize {
        let mut freed = 0;
        for shard in &self.shards {
            if now < read(shard).earliest {
                continue;
            }
            let mut shard = write(shard);
            let before = shard.marks.len();
            shard.marks.retain(|_, mark| now < mark.until);
            let ends = shard.marks.values().map(|mark| mark.until);
            shard.earliest = ends.min().unwrap_or(Timestamp::MAX);
            let here = before - shard.marks.len();
            if shard.marks.len() < shard.marks.capacity() / 4 {
                shard.marks.shrink_to_fit();
            }
            self.give_back(here, places);
            freed += here;
        }
        freed
    }

    fn give_back(&self, here: usize, places: &Places) {
        self.count.fetch_sub(here, Ordering::Relaxed);
        places.give_back(here);
    }

    fn shard(&self, id: RevocationId) -> &RwLock<Shard> {
        let hash = self.random.hash_one(id.digest());
        let shard = self.shards.get(scaled(hash, SHARDS));
        shard.expect("there are as many shards")
    }
}

fn read(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}
