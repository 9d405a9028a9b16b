//! What is remembered of callers between two calls of the store, in a fixed number of places.
//!
//! Nothing here gives anybody anything that was not paid for. Who has to make way loses what was in stock for them, or the
//! store is asked once more.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateless_core::{Decision, Limit};
use hashbrown::HashTable;

use super::lease::Line;
use crate::limit::table::Tag;

/// The callers of whom something is remembered.
pub(super) struct Places {
    shards: Box<[Mutex<Shard>]>,
}

impl Places {
    /// The most shards. They are for writers on several cores, who are few.
    const SHARDS: usize = 64;
    /// With fewer callers than this in a shard, some would be full long before others.
    const SHARD: usize = 512;
    /// The most places of a shard: they are counted in 32 bits.
    const LARGEST: usize = 1 << 24;

    /// So many places at most.
    pub(super) fn new(most: usize) -> Self {
        let shards = (most / Self::SHARD).clamp(1, Self::SHARDS);
        let capacity = (most / shards).clamp(1, Self::LARGEST);
        let shard = || Mutex::new(Shard::new(capacity));
        Self {
            shards: std::iter::repeat_with(shard).take(shards).collect(),
        }
    }

    /// Where a caller is looked for. Others of the same shard wait until it is dropped.
    pub(super) fn seat(&self, tag: Tag) -> Seat<'_> {
        let shard = self.shards.get(tag.part() % self.shards.len());
        let shard = shard.expect("the remainder leaves none but places that there are");
        Seat {
            shard: shard.lock().unwrap_or_else(PoisonError::into_inner),
            tag,
        }
    }

    /// How many places are in use. A walk over the shards.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let lock = |shard: &Mutex<Shard>| shard.lock().unwrap().places.len();
        self.shards.iter().map(lock).sum()
    }
}

/// One caller's place, if they have one.
pub(super) struct Seat<'p> {
    shard: MutexGuard<'p, Shard>,
    tag: Tag,
}

impl Seat<'_> {
    pub(super) fn find(&mut self) -> Option<&mut Place> {
        let place = self.shard.find(self.tag)?;
        self.shard.places.get_mut(place)
    }

    /// The caller's place, or a new one; `None` when everybody who is looked at for it waits for an answer.
    pub(super) fn find_or_make(&mut self, now: u64) -> Option<&mut Place> {
        let place = match self.shard.find(self.tag) {
            Some(place) => place,
            None => self.shard.make(Place::new(self.tag), now)?,
        };
        self.shard.places.get_mut(place)
    }
}

/// A part of the callers.
struct Shard {
    /// Where in `places` somebody is.
    index: HashTable<u32>,
    places: Vec<Place>,
    capacity: usize,
    /// The place that is looked at next when one is needed.
    hand: usize,
}

impl Shard {
    /// How many are looked at to find the one who has least to lose.
    const LOOKED_AT: usize = 8;

    const fn new(capacity: usize) -> Self {
        Self {
            index: HashTable::new(),
            places: Vec::new(),
            capacity,
            hand: 0,
        }
    }

    fn find(&self, tag: Tag) -> Option<usize> {
        let is_it = |place: &u32| self.get(*place).is_some_and(|place| place.tag == tag);
        self.index
            .find(tag.hash(), is_it)
            .map(|place| *place as usize)
    }

    fn get(&self, place: u32) -> Option<&Place> {
        self.places.get(place as usize)
    }

    /// Makes room for somebody of whom nothing was remembered.
    fn make(&mut self, new: Place, now: u64) -> Option<usize> {
        let hash = new.tag.hash();
        let (loss, victim) = self.cheapest(now);
        let place = if loss == Some(0) || self.places.len() >= self.capacity {
            loss?;
            self.replace(victim, new);
            victim
        } else {
            self.places.push(new);
            self.places.len() - 1
        };
        let places = &self.places;
        let hasher = |place: &u32| {
            places
                .get(*place as usize)
                .map_or(0, |place| place.tag.hash())
        };
        let number = u32::try_from(place).expect("a shard has fewer places");
        self.index.insert_unique(hash, number, hasher);
        Some(place)
    }

    /// Who loses least of the next few, and what they lose; nothing when none of them can make way.
    fn cheapest(&mut self, now: u64) -> (Option<u64>, usize) {
        let (mut least, mut victim) = (None, 0);
        for _ in 0..Self::LOOKED_AT.min(self.places.len()) {
            let place = self.hand % self.places.len();
            self.hand = place + 1;
            let loss = self.places.get(place).and_then(|place| place.loss(now));
            if loss.is_some_and(|loss| least.is_none_or(|least| loss < least)) {
                (least, victim) = (loss, place);
            }
            if least == Some(0) {
                break;
            }
        }
        (least, victim)
    }

    fn replace(&mut self, victim: usize, new: Place) {
        let Some(old) = self.places.get_mut(victim) else {
            return;
        };
        let old = std::mem::replace(old, new);
        let is_it = |place: &u32| *place as usize == victim;
        if let Ok(entry) = self.index.find_entry(old.tag.hash(), is_it) {
            entry.remove();
        }
    }
}

/// What is remembered of a caller.
pub(super) struct Place {
    tag: Tag,
    /// Units that were paid for and not used.
    pub(super) credit: u32,
    refusal: Option<Refusal>,
    /// Those who wait, while somebody asks for them. Boxed: most have none.
    pub(super) line: Option<Box<Line>>,
}

impl Place {
    const fn new(tag: Tag) -> Self {
        Self {
            tag,
            credit: 0,
            refusal: None,
            line: None,
        }
    }

    /// What is decided without the store, if that can be. `now` is in microseconds.
    pub(super) fn take(&mut self, cost: u32, now: u64, limits: &[Limit]) -> Option<Decision> {
        match self.credit.checked_sub(cost) {
            Some(rest) => {
                self.credit = rest;
                Some(Decision::Granted(cost))
            }
            None => self.refuse(cost, now, limits),
        }
    }

    /// The refusal that is known already, if it is one of this request too.
    pub(super) fn refuse(&self, cost: u32, now: u64, limits: &[Limit]) -> Option<Decision> {
        self.refusal?
            .of(cost.checked_sub(self.credit)?, now, limits)
    }

    /// Remembers a refusal. One of fewer units says more, for as long as it lasts.
    pub(super) fn remember(&mut self, refusal: Refusal, now: u64) {
        let says_more = |old: Refusal| old.is_live(now) && old.units < refusal.units;
        if !self.refusal.is_some_and(says_more) {
            self.refusal = Some(refusal);
        }
    }

    /// What is lost if this one makes way; nobody does for whom somebody is asking.
    fn loss(&self, now: u64) -> Option<u64> {
        let is_refused = self.refusal.is_some_and(|refusal| refusal.is_live(now));
        let loss = u64::from(self.credit) * 2 + u64::from(is_refused);
        self.line.is_none().then_some(loss)
    }
}

/// The store refused to give a caller so many units.
///
/// What a caller owes only grows by asking. So until the time that the store named, nobody gets as many for them. That time is
/// measured by the clock of this process, whose tick it may be longer. The store is asked again after ten seconds at most, as it
/// may have lost what it knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    units: u32,
    limit: usize,
    /// In microseconds.
    until: u64,
    /// From when on the store is asked again.
    again: u64,
}

impl Refusal {
    /// In microseconds.
    const LONGEST: u64 = 10_000_000;

    /// What the store said when it was asked for `units`. Its time counts from when the question was sent, so that nobody
    /// waits longer than the truth, and is at most what a whole burst takes.
    pub(super) fn new(
        units: u32,
        limit: usize,
        retry_after: Duration,
        sent: u64,
        limits: &[Limit],
    ) -> Option<Self> {
        let by = limits.get(limit)?;
        let wait = u64::try_from(retry_after.as_micros()).unwrap_or(u64::MAX);
        let wait = wait.min(by.tolerance());
        // One unit less is there by one interval earlier: so this is said of the fewest units that are not there either, for as
        // long as they are not.
        let fewer = u32::try_from(wait.saturating_sub(1) / by.interval()).unwrap_or(u32::MAX);
        let fewer = fewer.min(units.saturating_sub(1));
        let wait = wait - by.interval().saturating_mul(u64::from(fewer)).min(wait);
        Some(Self {
            units: units - fewer,
            limit,
            until: sent.saturating_add(wait),
            again: sent.saturating_add(wait.min(Self::LONGEST)),
        })
    }

    const fn is_live(&self, now: u64) -> bool {
        now < self.again
    }

    /// The refusal of `units`, when this implies it. More units take as much longer as the limit needs to bring them.
    fn of(&self, units: u32, now: u64, limits: &[Limit]) -> Option<Decision> {
        let by = limits.get(self.limit)?;
        units.checked_sub(self.units)?;
        // What is more than a burst waits for a whole one.
        let more = units.min(by.burst()).saturating_sub(self.units);
        let more = by.interval().saturating_mul(u64::from(more));
        self.is_live(now).then(|| Decision::Refused {
            limit: self.limit,
            retry_after: Duration::from_micros((self.until - now).saturating_add(more)),
        })
    }
}
