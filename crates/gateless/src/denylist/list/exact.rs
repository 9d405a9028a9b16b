//! Records of things that are refused whatever they say of themselves: tokens, sessions and keys.

use std::hash::{BuildHasher as _, RandomState};
use std::iter;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use gateless_core::{RevocationId, RevocationKind, RevocationRecord, Timestamp};

use super::slots::{Digest, End, Secret, Slots, scaled};
use super::{ListFull, Places};

/// How many parts are written independently of each other, and grow one by one.
const SHARDS: usize = 64;

/// A hash table that readers search without a lock, as records may be many and changes are few next to requests.
pub(super) struct Exact {
    secret: Secret,
    count: AtomicUsize,
    shards: Box<[Shard]>,
}

#[derive(Default)]
struct Shard {
    slots: ArcSwap<Slots>,
    writer: Mutex<Writer>,
}

/// What only writers know of a shard.
struct Writer {
    /// How many slots have a digest.
    used: usize,
    /// How many of them have no record.
    dead: usize,
    /// No record ends before this.
    earliest: End,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            used: 0,
            dead: 0,
            earliest: End::NEVER,
        }
    }
}

impl Exact {
    pub(super) fn new() -> Self {
        // The randomness of the system, by way of a keyed hash.
        let random = RandomState::new();
        Self {
            secret: Secret::new([1, 2].map(|number: u64| random.hash_one(number))),
            count: AtomicUsize::new(0),
            shards: iter::repeat_with(Shard::default).take(SHARDS).collect(),
        }
    }

    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn refuses(&self, id: RevocationId, now: Timestamp) -> bool {
        if self.count() == 0 {
            return false;
        }
        let digest = Digest::new(id.digest());
        let (shard, hash) = self.place(digest);
        let slots = shard.slots.load();
        let found = slots.find(hash, digest);
        found.is_some_and(|(_, end)| End::past(now) < end)
    }

    pub(super) fn revoke(
        &self,
        record: &RevocationRecord,
        now: Timestamp,
        places: &Places,
        take: fn(&Places) -> Result<(), ListFull>,
    ) -> Result<bool, ListFull> {
        let (digest, end) = (Digest::new(record.id().digest()), End::of(record.until()));
        let (shard, hash) = self.place(digest);
        let mut writer = shard.writer();
        let mut slots = shard.slots.load_full();
        let found = slots.find(hash, digest);
        match found {
            Some((_, before)) if before >= end => return Ok(false),
            Some((slot, before)) => {
                if before == End::DEAD {
                    take(places)?;
                    self.count.fetch_add(1, Ordering::Relaxed);
                    writer.dead -= 1;
                }
                slot.set_end(end);
            }
            None => {
                take(places)?;
                self.count.fetch_add(1, Ordering::Relaxed);
                if writer.used >= slots.room() {
                    // What is past its end does not move with the others, so a list need not grow because of it.
                    let freed = self.kill(&slots, &mut writer, End::past(now));
                    slots = self.rebuild(shard, &slots, &mut writer, 1);
                    self.give_back(freed, places);
                }
                slots.insert(hash, digest, end);
                writer.used += 1;
            }
        }
        writer.earliest = writer.earliest.min(end);
        Ok(true)
    }

    pub(super) fn unrevoke(&self, id: RevocationId, places: &Places) -> bool {
        let digest = Digest::new(id.digest());
        let (shard, hash) = self.place(digest);
        let mut writer = shard.writer();
        let slots = shard.slots.load();
        match slots.find(hash, digest) {
            Some((slot, end)) if end > End::DEAD => {
                slot.set_end(End::DEAD);
                writer.dead += 1;
                self.give_back(1, places);
                true
            }
            _ => false,
        }
    }

    pub(super) fn for_each(
        &self,
        kind: RevocationKind,
        now: Timestamp,
        sink: &mut impl FnMut(RevocationRecord),
    ) {
        let past = End::past(now);
        for shard in &self.shards {
            let slots = shard.slots.load_full();
            for (_, digest, end) in slots.iter().filter(|(.., end)| past < *end) {
                let id = RevocationId::from_digest(kind, digest.to_bytes());
                sink(RevocationRecord::new(id, None, end.until()));
            }
        }
    }

    pub(super) fn sweep(&self, now: Timestamp, places: &Places) -> usize {
        self.drop_to(End::past(now), places)
    }

    /// Drops the records that end at `until` or before.
    pub(super) fn drop_until(&self, until: Timestamp, places: &Places) -> usize {
        self.drop_to(End::of(until), places)
    }

    fn drop_to(&self, last: End, places: &Places) -> usize {
        let mut freed = 0;
        for shard in &self.shards {
            let mut writer = shard.writer();
            let slots = shard.slots.load_full();
            let here = self.kill(&slots, &mut writer, last);
            if writer.dead > writer.used / 4 {
                self.rebuild(shard, &slots, &mut writer, 0);
            }
            self.give_back(here, places);
            freed += here;
        }
        freed
    }

    /// Marks the records as dead that end at `last` or before, and says how many they were.
    fn kill(&self, slots: &Slots, writer: &mut Writer, last: End) -> usize {
        if last < writer.earliest {
            return 0;
        }
        let (mut killed, mut earliest) = (0, End::NEVER);
        for (slot, _, end) in slots.iter().filter(|(.., end)| *end > End::DEAD) {
            if end <= last {
                slot.set_end(End::DEAD);
                killed += 1;
            } else {
                earliest = earliest.min(end);
            }
        }
        writer.dead += killed;
        writer.earliest = earliest;
        killed
    }

    /// Moves what is alive to slots of its own, with room for some more.
    fn rebuild(
        &self,
        shard: &Shard,
        slots: &Slots,
        writer: &mut Writer,
        more: usize,
    ) -> Arc<Slots> {
        let live = writer.used - writer.dead;
        let moved = Arc::new(Slots::with_room_for(live + more));
        for (_, digest, end) in slots.iter().filter(|(.., end)| *end > End::DEAD) {
            moved.insert(self.place(digest).1, digest, end);
        }
        shard.slots.store(Arc::clone(&moved));
        writer.used = live;
        writer.dead = 0;
        moved
    }

    /// How many slots there are.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        let slots = self.shards.iter().map(|shard| shard.slots.load().len());
        slots.sum()
    }

    fn give_back(&self, places_here: usize, places: &Places) {
        self.count.fetch_sub(places_here, Ordering::Relaxed);
        places.give_back(places_here);
    }

    /// The shard by the first bits of the hash, and the hash for the place in it without them.
    #[inline]
    fn place(&self, digest: Digest) -> (&Shard, u64) {
        let hash = self.secret.hash(digest);
        let shard = self.shards.get(scaled(hash, SHARDS));
        let rest = hash << SHARDS.trailing_zeros();
        (shard.expect("there are as many shards"), rest)
    }
}

impl Shard {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
