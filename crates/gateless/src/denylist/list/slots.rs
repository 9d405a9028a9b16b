//! A table of digests and ends, in 16 bytes a slot, which one writes and many read.

use std::iter;
use std::sync::atomic::{AtomicU64, Ordering};

use gateless_core::Timestamp;

/// When a record ends, in seconds since two seconds before 1970.
///
/// The two smallest numbers say that there is no record, and the largest that it has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End(u32);

impl End {
    /// Nothing was ever here.
    const FREE: Self = Self(0);
    /// There was a record here.
    pub(super) const DEAD: Self = Self(1);
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

/// A place for one record. Once there is a digest in it, it is never there for another: the tail changes, and only the
/// end in it.
///
/// So two words are as good as one. The head is written before the first tail, and the tail is released. A reader
/// acquires the tail first. Where that is free, there is nothing here yet, whatever the head says, and the record is one
/// that is being added now. Where it is not, the head of the same digest is there, and will be as long as the table is.
/// What the reader takes from the tail it takes from one read, so that the end belongs to the digest.
#[derive(Debug, Default)]
pub(super) struct Slot {
    head: AtomicU64,
    tail: AtomicU64,
}

impl Slot {
    /// The end in it, as its writer sees it.
    pub(super) fn end(&self) -> End {
        split(self.tail.load(Ordering::Relaxed)).1
    }

    /// By the only writer, in a slot that has a digest.
    pub(super) fn set_end(&self, end: End) {
        let (low, _) = split(self.tail.load(Ordering::Relaxed));
        let digest = Digest { high: 0, low };
        self.tail.store(tail(digest, end), Ordering::Release);
    }

    fn fill(&self, digest: Digest, end: End) {
        self.head.store(digest.high, Ordering::Relaxed);
        self.tail.store(tail(digest, end), Ordering::Release);
    }
}

/// Slots that are searched from where a digest belongs to the first that is free. There always is one.
#[derive(Debug, Default)]
pub(super) struct Slots(Box<[Slot]>);

impl Slots {
    /// With room for as many and a quarter more, so that it is 64 to 80 in a hundred that are taken.
    pub(super) fn with_room_for(records: usize) -> Self {
        if records == 0 {
            return Self::default();
        }
        let slots = (records + records / 16 * 9 + records % 16).max(8);
        Self(iter::repeat_with(Slot::default).take(slots).collect())
    }

    /// How many digests may be here, dead ones included.
    pub(super) fn room(&self) -> usize {
        self.0.len() / 5 * 4
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The slot of `digest`, and the end in it.
    #[inline]
    pub(super) fn find(&self, hash: u64, digest: Digest) -> Option<(&Slot, End)> {
        let (before, from) = self.0.split_at_checked(scaled(hash, self.0.len()))?;
        for slot in from.iter().chain(before) {
            let (low, end) = split(slot.tail.load(Ordering::Acquire));
            if end == End::FREE {
                return None;
            }
            if low == digest.low && slot.head.load(Ordering::Relaxed) == digest.high {
                return Some((slot, end));
            }
        }
        None
    }

    /// By the only writer, for a digest that is not here, where there is room.
    pub(super) fn insert(&self, hash: u64, digest: Digest, end: End) {
        let (before, from) = self.0.split_at(scaled(hash, self.0.len()));
        let mut slots = from.iter().chain(before);
        let free = slots.find(|slot| slot.end() == End::FREE);
        free.expect("there is room").fill(digest, end);
    }

    /// All that have a digest, dead ones included.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Slot, Digest, End)> {
        self.0.iter().filter_map(|slot| {
            let (low, end) = split(slot.tail.load(Ordering::Acquire));
            let high = slot.head.load(Ordering::Relaxed);
            (end != End::FREE).then_some((slot, Digest { high, low }, end))
        })
    }
}
