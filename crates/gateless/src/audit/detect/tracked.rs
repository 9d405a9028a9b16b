//! What a detector knows of places or tokens, in a table with a fixed number of entries.
//!
//! When it is full, the one of a few that was quiet longest makes way. So whoever comes from more places, or has more tokens,
//! than there are entries can make a detector forget; each detector says what that leaves.

use hashbrown::HashTable;

/// Entries by tags, which are hashes under a key of this process: nobody outside can make two of them one.
#[derive(Debug)]
pub(super) struct Tracked<T> {
    /// Where in `entries` a tag is.
    index: HashTable<usize>,
    entries: Vec<Entry<T>>,
    max: usize,
    /// The entry that is looked at next when room is needed.
    hand: usize,
}

#[derive(Debug)]
struct Entry<T> {
    tag: u64,
    /// When something was heard of it last, in milliseconds.
    heard: u64,
    what: T,
}

impl<T> Tracked<T> {
    /// How many are looked at to find the one that was quiet longest.
    const LOOKED_AT: usize = 8;

    pub(super) const fn new(max: usize) -> Self {
        Self {
            index: HashTable::new(),
            entries: Vec::new(),
            max,
            hand: 0,
        }
    }

    /// What is known under a tag; of a stranger, what is made for it.
    pub(super) fn hear(&mut self, tag: u64, now: u64, new: impl FnOnce() -> T) -> Option<&mut T> {
        let place = match self.find(tag) {
            Some(place) => place,
            None => {
                let (heard, what) = (now, new());
                self.insert(Entry { tag, heard, what })?
            }
        };
        let entry = self.entries.get_mut(place)?;
        // Threads may come in another order than their times.
        entry.heard = entry.heard.max(now);
        Some(&mut entry.what)
    }

    fn find(&self, tag: u64) -> Option<usize> {
        let entries = &self.entries;
        let is_it = |place: &usize| entries.get(*place).is_some_and(|entry| entry.tag == tag);
        self.index.find(tag, is_it).copied()
    }

    /// Where it is from then on; nowhere if there may be no entries at all.
    fn insert(&mut self, new: Entry<T>) -> Option<usize> {
        let tag = new.tag;
        let place = if self.entries.len() < self.max {
            self.entries.push(new);
            self.entries.len() - 1
        } else {
            let place = self.quietest()?;
            let entry = self.entries.get_mut(place)?;
            let old = std::mem::replace(entry, new).tag;
            if let Ok(entry) = self.index.find_entry(old, |other| *other == place) {
                entry.remove();
            }
            place
        };
        let entries = &self.entries;
        let hasher = |place: &usize| entries.get(*place).map_or(0, |entry| entry.tag);
        self.index.insert_unique(tag, place, hasher);
        Some(place)
    }

    /// The one that was quiet longest, of the next few.
    fn quietest(&mut self) -> Option<usize> {
        let len = self.entries.len();
        let start = self.hand;
        let next = (start..start + Self::LOOKED_AT.min(len)).map(|place| place % len);
        self.hand = (start + Self::LOOKED_AT).checked_rem(len)?;
        let heard = |place: &usize| self.entries.get(*place).map(|entry| entry.heard);
        next.min_by_key(heard)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.index.len(), self.entries.len());
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_known_stays_while_there_is_room() {
        let mut tracked = Tracked::new(100);
        for tag in 0..100 {
            *tracked.hear(tag, tag, || 0).unwrap() += tag;
        }
        for tag in 0..100 {
            assert_eq!(tracked.hear(tag, 100, || 0), Some(&mut tag.clone()));
        }
    }

    #[test]
    fn the_quietest_makes_way() {
        let mut tracked = Tracked::new(8);
        for tag in 0..8 {
            tracked.hear(tag, tag, || tag);
        }
        tracked.hear(0, 8, || 0);
        tracked.hear(8, 9, || 8);
        let known: Vec<_> = tracked.entries.iter().map(|entry| entry.what).collect();
        assert_eq!(known, [0, 8, 2, 3, 4, 5, 6, 7]);
        assert!(tracked.find(1).is_none());
    }

    #[test]
    fn whoever_is_heard_all_the_time_outlives_a_flood() {
        let mut tracked = Tracked::new(64);
        for now in 0..10_000 {
            tracked.hear(u64::MAX, now, || ()).unwrap();
            let place = tracked.find(u64::MAX);
            tracked.hear(now, now, || ()).unwrap();
            assert_eq!(tracked.find(u64::MAX), place);
        }
    }

    #[test]
    fn without_room_nothing_is_known() {
        assert_eq!(Tracked::new(0).hear(1, 1, || ()), None);
    }

    proptest! {
        #[test]
        fn there_are_never_more_than_was_said(
            max in 1usize..50,
            heard in proptest::collection::vec((0u64..100, 0u64..1_000), 0..500),
        ) {
            let mut tracked = Tracked::new(max);
            for (tag, now) in heard {
                let what = tracked.hear(tag, now, || tag).copied();
                prop_assert_eq!(what, Some(tag), "nobody is taken for another");
                prop_assert!(tracked.len() <= max);
            }
        }
    }
}
