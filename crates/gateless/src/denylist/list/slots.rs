//! A table of digests and ends, in 17 bytes a slot, which one writes and many read.

use std::iter;
use std::sync::atomic::{AtomicU64, Ordering};

use gateless_core::Timestamp;

/// When a record ends, in seconds since two seconds before 1970.
///
/// The smallest number says that there is no record any more, and the largest that it has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End(u32);

impl End {
    /// There was a record here. Nothing else has an end below `FIRST`.
    pub(super) const DEAD: Self = Self(0);
    /// The earliest that a record ends.
    const FIRST: Self = Self(2);
    /// There is no end.
    pub(super) const NEVER: Self = Self(u32::MAX);
    /// The latest that it can say.
    const LAST: Self = Self(u32::MAX - 1);

    /// The end of a record: rounded up, so that nothing is let through too early.
    pub(super) fn of(until: Timestamp) -> Self {
        let started = i64::from(until.as_millis().rem_euclid(1000) > 0);
        let secs = until.as_secs().saturating_add(2 + started);
        u32::try_from(secs.max(Self::FIRST.0.into())).map_or(Self::NEVER, Self)
    }

    /// What is past its end now, has this one or an earlier one.
    pub(super) fn past(now: Timestamp) -> Self {
        let secs = now.as_secs().saturating_add(2).max(Self::DEAD.0.into());
        u32::try_from(secs).map_or(Self::LAST, |secs| Self(secs).min(Self::LAST))
    }

    pub(super) fn until(self) -> Timestamp {
        if self == Self::NEVER {
            Timestamp::MAX
        } else {
            Timestamp::from_secs(i64::from(self.0) - 2)
        }
    }
}

/// The 96 bits of an id, as they lie in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest {
    high: u64,
    low: u32,
}

impl Digest {
    pub(super) fn new(bytes: [u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, low @ ..] = bytes;
        Self {
            high: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            low: u32::from_be_bytes(low),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; 12] {
        let [a, b, c, d, e, f, g, h] = self.high.to_be_bytes();
        let [i, j, k, l] = self.low.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }
}

/// Where a digest belongs, by a secret of its own: ids may be chosen by somebody who would like all of them in one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secret([u64; 2]);

impl Secret {
    pub(super) const fn new(random: [u64; 2]) -> Self {
        Self(random)
    }

    /// 64 bits that nobody can tell in advance.
    #[inline]
    pub(super) fn hash(self, digest: Digest) -> u64 {
        let [one, other] = self.0;
        let product = u128::from(digest.high ^ one) * u128::from(u64::from(digest.low) ^ other);
        high_half(product) ^ low_half(product)
    }
}

/// Where in `0..range` the top bits of `hash` are.
#[inline]
pub(super) fn scaled(hash: u64, range: usize) -> usize {
    let place = high_half(u128::from(hash) * (range as u128));
    usize::try_from(place).expect("it is less than the range")
}

#[inline]
const fn high_half(product: u128) -> u64 {
    (product >> 64) as u64
}

#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the other half is not wanted"
)]
const fn low_half(product: u128) -> u64 {
    product as u64
}

/// The rest of the digest, and the end.
#[inline]
fn tail(digest: Digest, end: End) -> u64 {
    u64::from(digest.low) << 32 | u64::from(end.0)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "these are its two halves")]
const fn split(tail: u64) -> (u32, End) {
    ((tail >> 32) as u32, End(tail as u32))
}

/// A place for one record.
#[derive(Debug, Default)]
pub(super) struct Slot {
    head: AtomicU64,
    tail: AtomicU64,
}

impl Slot {
    /// By the only writer, in a slot that has a digest.
    pub(super) fn set_end(&self, end: End) {
        let (low, _) = split(self.tail.load(Ordering::Relaxed));
        let digest = Digest { high: 0, low };
        self.tail.store(tail(digest, end), Ordering::Release);
    }

    /// By the only writer, in a slot that has no tag yet.
    fn fill(&self, digest: Digest, end: End) {
        self.head.store(digest.high, Ordering::Relaxed);
        self.tail.store(tail(digest, end), Ordering::Relaxed);
    }

    #[inline]
    fn read(&self) -> (Digest, End) {
        let (low, end) = split(self.tail.load(Ordering::Acquire));
        let high = self.head.load(Ordering::Relaxed);
        (Digest { high, low }, end)
    }
}

/// How many slots have their tags in one word.
const GROUP: usize = 7;
/// A one in each byte.
const ONES: u64 = u64::from_ne_bytes([1; 8]);
/// The first bit of each tag.
const FIRSTS: u64 = (ONES << 7) >> 8;

/// The tags of a group of slots, the first in the lowest byte: none where nothing was ever, and else seven bits of the
/// hash below a one. They are given in order, and never change.
///
/// Most slots are somebody else's, and most groups do not have the digest at all. That the tags tell, which are few enough
/// for the caches.
///
/// The highest byte says who had no room here and went on: each sets one of its bits, by its hash. So even of the groups
/// that are full, few send on whom they have not.
#[derive(Debug, Default)]
struct Tags(AtomicU64);

/// What a hash has to do with tags. Its place is made of the first bits; none of these is, nor zero in the whole shard.
#[derive(Clone, Copy)]
struct Mark {
    tag: u64,
    went_on: u64,
}

impl Mark {
    #[inline]
    const fn of(hash: u64) -> Self {
        Self {
            tag: hash >> 16 & 0x7f | 0x80,
            went_on: 1 << 56 << (hash >> 13 & 7),
        }
    }

    /// The slots with this tag, as the first bits of their bytes.
    ///
    /// Those above one may be named in error, but only where there is a tag: where there is none, the first bit differs.
    #[inline]
    const fn matching(self, word: u64) -> u64 {
        let differ = word ^ (self.tag * ONES);
        differ.wrapping_sub(ONES) & !differ & FIRSTS
    }
}

/// Slots in groups, which are searched from where a digest belongs for as long as it may have gone on.
///
/// Once there is a digest in a slot, it is never there for another: the tail changes, and only the end in it. The digest
/// and the first end are written before the tag, which is released. A reader acquires the tags first, and looks only
/// where there is one. So it finds the digest there whole, and as long as the table is. What it takes from the tail it
/// takes from one read, so that the end belongs to the digest. Where a tag, or the bit of who went on, is not there yet,
/// the record is one that is being added now.
#[derive(Debug, Default)]
pub(super) struct Slots {
    tags: Box<[Tags]>,
    slots: Box<[[Slot; GROUP]]>,
}

impl Slots {
    /// With room for as many and a quarter more, so that it is 64 to 80 in a hundred that are taken.
    pub(super) fn with_room_for(records: usize) -> Self {
        if records == 0 {
            return Self::default();
        }
        let slots = records + records / 16 * 9 + records % 16;
        let groups = slots.div_ceil(GROUP);
        Self {
            tags: iter::repeat_with(Tags::default).take(groups).collect(),
            slots: iter::repeat_with(Default::default).take(groups).collect(),
        }
    }

    /// How many digests may be here, dead ones included.
    pub(super) fn room(&self) -> usize {
        self.tags.len() * GROUP / 5 * 4
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tags.len() * GROUP
    }

    /// The slot of `digest`, and the end in it.
    #[inline]
    pub(super) fn find(&self, hash: u64, digest: Digest) -> Option<(&Slot, End)> {
        let mark = Mark::of(hash);
        let mut group = scaled(hash, self.tags.len());
        for _ in 0..self.tags.len() {
            let word = self.tags.get(group)?.0.load(Ordering::Acquire);
            let mut matching = mark.matching(word);
            while matching != 0 {
                let slot = self.slots.get(group)?.get(first(matching))?;
                let (here, end) = slot.read();
                if here == digest {
                    return Some((slot, end));
                }
                matching &= matching - 1;
            }
            if word & mark.went_on == 0 {
                return None;
            }
            group = (group + 1) % self.tags.len();
        }
        None
    }

    /// By the only writer, for a digest that is not here, where there is room.
    pub(super) fn insert(&self, hash: u64, digest: Digest, end: End) {
        let mark = Mark::of(hash);
        let (before, from) = self.tags.split_at(scaled(hash, self.tags.len()));
        let (slots_before, slots_from) = self.slots.split_at(before.len());
        let groups = from.iter().zip(slots_from);
        for (Tags(tags), slots) in groups.chain(before.iter().zip(slots_before)) {
            let word = tags.load(Ordering::Relaxed);
            let free = first(!word & FIRSTS);
            if let Some(slot) = slots.get(free) {
                slot.fill(digest, end);
                tags.store(word | mark.tag << (8 * free), Ordering::Release);
                return;
            }
            tags.store(word | mark.went_on, Ordering::Release);
        }
        unreachable!("there is room");
    }

    /// All that have a digest, dead ones included.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Slot, Digest, End)> {
        let groups = self.tags.iter().zip(&self.slots);
        groups.flat_map(|(Tags(tags), slots)| {
            let given = first(!tags.load(Ordering::Acquire) & FIRSTS);
            slots.iter().take(given).map(|slot| {
                let (digest, end) = slot.read();
                (slot, digest, end)
            })
        })
    }
}

/// Which byte the lowest bit is in, of those that are set; one that there is not, where none is.
#[inline]
const fn first(bits: u64) -> usize {
    bits.trailing_zeros() as usize / 8
}
