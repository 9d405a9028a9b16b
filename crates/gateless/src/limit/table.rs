//! What callers took, in a table with a fixed number of places.
//!
//! A caller who owes nothing is as good as one who was never here, so their place is free for others. When all who are
//! looked at owe something, the one who owes least makes way, and what they owed is remembered for all of them together: nobody
//! of whom nothing is known is better off than that. So no flood of callers gives anybody back what they had. What it can do is to
//! make strangers poorer: by a unit, while it lasts, where there are about as many callers as places; and down to nothing where there
//! are so many that each has to make way before a whole burst is back. That is logged.

use std::hash::{BuildHasher as _, DefaultHasher, Hash, Hasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gateless_core::{Ask, Decision, Limit, decide};
use hashbrown::HashTable;

use super::pace::Pace;

/// Which caller, as a hash under a key of this process: nobody outside can make two callers one.
///
/// Of a million callers two have the same with a chance of 3 in 100 million; they would share their quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tag(u64);

/// Makes tags.
#[derive(Clone, Debug, Default)]
pub(super) struct Tagger(RandomState);

impl Tagger {
    pub(super) fn tag(&self, of: &impl Hash) -> Tag {
        Tag(self.0.hash_one(of))
    }

    /// Of something that is fed piece by piece, if it can be.
    pub(super) fn tag_by<E>(
        &self,
        feed: impl FnOnce(&mut DefaultHasher) -> Result<(), E>,
    ) -> Result<Tag, E> {
        let mut hasher = self.0.build_hasher();
        feed(&mut hasher)?;
        Ok(Tag(hasher.finish()))
    }
}

impl Tag {
    /// The hash itself, for tables of callers.
    #[cfg(feature = "limit_shared")]
    pub(super) const fn hash(self) -> u64 {
        self.0
    }

    /// Something to choose a shard by.
    pub(super) fn part(self) -> usize {
        // Neither the lowest bits nor the highest ones: tables use those.
        usize::try_from(self.0 >> 32 & 0xffff).unwrap_or_default()
    }

    /// Something to spread waits by: another one for each caller at each time.
    pub(super) const fn mixed_with(self, now: u64) -> u64 {
        // Fibonacci hashing: neighbouring times are far apart.
        (self.0 ^ now).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
    }
}

/// A table of callers under the same limits.
#[derive(Debug)]
pub(super) struct Table {
    limits: Box<[Limit]>,
    shards: Box<[Mutex<Shard>]>,
    crowded: Pace,
}

impl Table {
    /// The most shards. They are for writers on several cores, who are few.
    const SHARDS: usize = 128;
    /// With fewer callers than this in a shard, some would be full long before others.
    const SHARD: usize = 512;

    /// One for `max_keys` callers at once.
    pub(super) fn new(limits: impl Into<Box<[Limit]>>, max_keys: usize) -> Self {
        let limits = limits.into();
        let shards = (max_keys / Self::SHARD).clamp(1, Self::SHARDS);
        // A power of two, so that a mask chooses one.
        let shards = 1 << shards.ilog2();
        let capacity = max_keys.div_ceil(shards).min(Shard::LARGEST);
        let shard = || Mutex::new(Shard::new(limits.len(), capacity));
        Self {
            shards: std::iter::repeat_with(shard).take(shards).collect(),
            limits,
            crowded: Pace::default(),
        }
    }

    pub(super) const fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// Takes what is asked for, or nothing. `now` is in microseconds since any fixed start.
    pub(super) fn take(&self, tag: Tag, now: u64, ask: Ask) -> Decision {
        self.take_and(tag, now, ask, |_| ())
    }

    /// The same, and shows up to when what the caller had is paid for after that, under each limit.
    pub(super) fn take_and(
        &self,
        tag: Tag,
        now: u64,
        ask: Ask,
        show: impl FnOnce(&[u64]),
    ) -> Decision {
        let mut shard = self.shard(tag);
        let place = shard.find(tag);
        let paid = shard.paid(place);
        let decision = decide(&self.limits, paid, now, ask);
        match decision {
            Decision::Granted(units) if units > 0 => {
                let place = place.unwrap_or_else(|| self.make_room(&mut shard, tag, now));
                show(shard.pay(place, &self.limits, now, units));
            }
            _ => show(paid),
        }
        decision
    }

    /// Makes a caller pay, also for more than they have: nobody owes more than a whole burst.
    pub(super) fn charge(&self, tag: Tag, now: u64, units: u32) {
        let mut shard = self.shard(tag);
        let place = shard.find(tag);
        let place = place.unwrap_or_else(|| self.make_room(&mut shard, tag, now));
        shard.pay(place, &self.limits, now, units);
    }

    fn make_room(&self, shard: &mut Shard, tag: Tag, now: u64) -> usize {
        let (place, is_crowded) = shard.make_room(tag, now);
        if is_crowded && let Some(unlogged) = self.crowded.is_due(now) {
            tracing::warn!(
                name: "gateless.limit.crowded",
                unlogged,
                "a limit has more callers than places for them: strangers begin with what those owed who made way"
            );
        }
        place
    }

    /// What would be decided. Nobody pays.
    pub(super) fn ask(&self, tag: Tag, now: u64, ask: Ask) -> Decision {
        let shard = self.shard(tag);
        decide(&self.limits, shard.paid(shard.find(tag)), now, ask)
    }

    /// How many callers have a place. A walk over the shards.
    pub(super) fn len(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| lock(shard).index.len()).sum()
    }

    fn shard(&self, tag: Tag) -> MutexGuard<'_, Shard> {
        let shard = self.shards.get(tag.part() & (self.shards.len() - 1));
        lock(shard.expect("the mask leaves none but places that there are"))
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Whatever panicked elsewhere, what was paid is paid.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A part of the callers.
#[derive(Debug)]
struct Shard {
    /// Where in `entries` a tag is.
    index: HashTable<u32>,
    /// One after the other: the tag, and up to when the caller paid under each limit.
    entries: Vec<u64>,
    /// How many numbers an entry has.
    width: usize,
    /// How many entries there may be.
    capacity: usize,
    /// The entry that is looked at next when room is needed.
    hand: usize,
    /// Up to when they who made way had paid, under each limit: the latest of each.
    floor: Box<[u64]>,
}

impl Shard {
    /// The most entries: their places are counted in 32 bits.
    const LARGEST: usize = 1 << 24;
    /// How many are looked at to find the one who owes least.
    const LOOKED_AT: usize = 8;
    /// How many of those who owe nothing are dropped with each that is new.
    const TIDIED: usize = 2;

    fn new(limits: usize, capacity: usize) -> Self {
        Self {
            index: HashTable::new(),
            entries: Vec::new(),
            width: 1 + limits,
            capacity: capacity.max(1),
            hand: 0,
            floor: vec![0; limits].into(),
        }
    }

    fn find(&self, tag: Tag) -> Option<usize> {
        let is_it = |place: &u32| self.entry(*place as usize).first() == Some(&tag.0);
        let place = self.index.find(tag.0, is_it)?;
        Some(*place as usize)
    }

    /// What is kept of a caller, or what is assumed of a stranger.
    fn paid(&self, place: Option<usize>) -> &[u64] {
        match place {
            Some(place) => self.entry(place).get(1..).unwrap_or_default(),
            None => &self.floor,
        }
    }

    fn pay(&mut self, place: usize, limits: &[Limit], now: u64, units: u32) -> &[u64] {
        let start = place * self.width + 1;
        let entry = self.entries.get_mut(start..start + limits.len());
        let entry = entry.unwrap_or_default();
        for (paid, limit) in entry.iter_mut().zip(limits) {
            *paid = limit.after(*paid, now, units);
        }
        entry
    }

    /// A place for a stranger, who starts with what is assumed of strangers; and whether somebody made way who owed something.
    fn make_room(&mut self, tag: Tag, now: u64) -> (usize, bool) {
        if self.len() < self.capacity {
            for _ in 0..Self::TIDIED.min(self.len()) {
                self.tidy(now);
            }
            let place = self.len();
            self.entries.push(tag.0);
            self.entries.extend_from_slice(&self.floor);
            self.insert(tag.0, place);
            return (place, false);
        }
        let victim = self.poorest(now);
        let is_crowded = self.paid_off(victim) > now;
        self.forget(victim);
        let (start, floor) = (victim * self.width, &mut self.floor);
        if let Some([old, paid @ ..]) = self.entries.get_mut(start..start + self.width) {
            for (floor, paid) in floor.iter_mut().zip(paid) {
                *floor = (*floor).max(*paid);
                *paid = *floor;
            }
            *old = tag.0;
        }
        self.insert(tag.0, victim);
        (victim, is_crowded)
    }

    /// The one who owes least, of the next few.
    fn poorest(&mut self, now: u64) -> usize {
        let mut best = (u64::MAX, self.hand % self.len());
        for _ in 0..Self::LOOKED_AT.min(self.len()) {
            let place = self.hand % self.len();
            self.hand = place + 1;
            let owed = self.paid_off(place);
            if owed < best.0 {
                best = (owed, place);
            }
            if owed <= now {
                break;
            }
        }
        best.1
    }

    /// Drops the next one, if they owe nothing.
    fn tidy(&mut self, now: u64) {
        let place = self.hand % self.len();
        self.hand = place + 1;
        if self.paid_off(place) > now {
            return;
        }
        self.forget(place);
        let last = self.len() - 1;
        if place < last {
            let tag = self.tag(last);
            if let Ok(moved) = (self.index)
                .find_entry(tag, |other| *other as usize == last)
                .map(|entry| entry.into_mut())
            {
                *moved = narrow(place);
            }
            let start = last * self.width;
            self.entries
                .copy_within(start..start + self.width, place * self.width);
        }
        self.entries.truncate(last * self.width);
    }

    /// From when on this caller owes nothing under any limit.
    fn paid_off(&self, place: usize) -> u64 {
        let paid = self.paid(Some(place)).iter().copied();
        paid.max().unwrap_or_default()
    }

    fn insert(&mut self, tag: u64, place: usize) {
        let (entries, width) = (&self.entries, self.width);
        let hash = |place: &u32| entries.get(*place as usize * width).copied();
        let hasher = |place: &u32| hash(place).unwrap_or_default();
        self.index.insert_unique(tag, narrow(place), hasher);
    }

    fn forget(&mut self, place: usize) {
        let tag = self.tag(place);
        if let Ok(entry) = (self.index).find_entry(tag, |other| *other as usize == place) {
            entry.remove();
        }
    }

    fn tag(&self, place: usize) -> u64 {
        self.entry(place).first().copied().unwrap_or_default()
    }

    fn entry(&self, place: usize) -> &[u64] {
        let start = place * self.width;
        let entry = self.entries.get(start..start + self.width);
        entry.unwrap_or_default()
    }

    const fn len(&self) -> usize {
        self.entries.len() / self.width
    }
}

fn narrow(place: usize) -> u32 {
    u32::try_from(place).expect("a shard has fewer places")
}

#[cfg(test)]
mod tests;
