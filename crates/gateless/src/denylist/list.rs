//! The list itself: what is refused, in memory, with the time as an argument.

mod exact;
mod marks;
mod slots;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use gateless_core::{RevocationId, RevocationIds, RevocationKind, RevocationRecord, Timestamp};

use self::exact::Exact;
use self::marks::Marks;

/// What is refused now: the records of all revocations that are in force, for look-ups that take no lock and wait for
/// nobody.
///
/// It is bounded: where a new record finds no room it says so, and nothing is dropped in silence. An empty list costs a
/// request next to nothing, and so does a kind of record that there is none of.
///
/// ```
/// use std::time::Duration;
///
/// use gateless::denylist::RevocationList;
/// use gateless::{Principal, PrincipalParts, Revocation, RevocationKind, Timestamp};
///
/// let now = Timestamp::from_secs(1_800_000_000);
/// let list = RevocationList::new(100_000);
/// let session = Revocation::session("https://idp.example.com", "session-1");
/// list.revoke(&session.record(now, Duration::from_secs(3600), Duration::from_secs(5)), now)?;
///
/// let caller = Principal::assert_authenticated(PrincipalParts {
///     session_id: Some("session-1".into()),
///     ..PrincipalParts::new("https://idp.example.com", now)
/// });
/// let refused = list.find(caller.revocation_ids(), None, now);
/// assert_eq!(refused, Some(RevocationKind::Session));
/// # Ok::<(), gateless::denylist::ListFull>(())
/// ```
///
/// # What a record refuses
///
/// One of a token, a session or a key refuses until its end, which is rounded up to a whole second here. Ends beyond the
/// year 2105 are taken for none. A watermark, of a subject, a client, an issuer or everything, refuses until its end what
/// was issued at its point in time or before, to the millisecond, and what does not say when it was issued.
///
/// # Memory
///
/// A record of a token, a session or a key takes 21 to 27 bytes, when there are many. One of the others takes more, as a
/// hash table of the usual kind does; of them there are few. Room is taken when it is needed, and given back by
/// [`sweep`](Self::sweep).
pub struct RevocationList {
    places: Places,
    /// One for each kind, in the order of [`RevocationKind::ALL`].
    records: [Records; RevocationKind::ALL.len()],
    /// Worked out once, as it is looked for with each request.
    everything: RevocationId,
}

/// There is no room for another record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list of revocations is full")]
pub struct ListFull;

impl RevocationList {
    /// An empty list with room for `capacity` records of all kinds together.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            places: Places {
                capacity,
                taken: AtomicUsize::new(0),
            },
            records: RevocationKind::ALL.map(Records::new),
            everything: RevocationId::everything(),
        }
    }

    /// Refuses what `record` is about, or for longer than before, and says whether that changed anything. A record that is
    /// past its end changes nothing.
    ///
    /// # Errors
    ///
    /// [`ListFull`], where it would be one record more than there is room for, also without those that are past their
    /// end. A record of what is on the list already needs no room.
    pub fn revoke(&self, record: &RevocationRecord, now: Timestamp) -> Result<bool, ListFull> {
        if !record.is_live(now) {
            return Ok(false);
        }
        let records = self.of(record.id().kind());
        records
            .revoke(record, now, &self.places, Places::take)
            .or_else(|ListFull| {
                self.sweep(now);
                records.revoke(record, now, &self.places, Places::take)
            })
    }

    /// Does not refuse `id` any more, and says whether there was a record of it.
    pub fn unrevoke(&self, id: RevocationId) -> bool {
        self.of(id.kind()).unrevoke(id, &self.places)
    }

    /// Why somebody is refused who could be revoked under `ids`, and whose token was issued at `issued_at`; `None` for
    /// who is not.
    ///
    /// Of several reasons it is the one that concerns most others: the key, the issuer, everything, the client, the
    /// subject or who acts for it, the session, the token; in this order.
    #[must_use]
    #[inline]
    pub fn find(
        &self,
        ids: &RevocationIds,
        issued_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<RevocationKind> {
        if self.is_empty() {
            return None;
        }
        let by = |id: RevocationId| {
            let refuses = self.of(id.kind()).refuses(id, issued_at, now);
            refuses.then_some(id.kind())
        };
        // First: when single tokens make way for a watermark, that is there before they are gone.
        let token = ids.tokens().find_map(by);
        (ids.key().and_then(by))
            .or_else(|| by(ids.issuer()))
            .or_else(|| by(self.everything))
            .or_else(|| ids.client().and_then(by))
            .or_else(|| ids.subjects().find_map(by))
            .or_else(|| ids.session().and_then(by))
            .or(token)
    }

    /// Whether there is a record of `id` that is in force.
    #[must_use]
    #[inline]
    pub fn contains(&self, id: RevocationId, now: Timestamp) -> bool {
        // What does not say when it was issued is refused by every record.
        self.of(id.kind()).refuses(id, None, now)
    }

    /// How many records there are. Those that are past their end are among them, until they are
    /// [swept](Self::sweep).
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.places.taken.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records there is room for.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.places.capacity
    }

    /// How many there are of each kind.
    #[must_use]
    pub fn counts(&self) -> [(RevocationKind, usize); RevocationKind::ALL.len()] {
        RevocationKind::ALL.map(|kind| (kind, self.of(kind).count()))
    }

    /// Hands out everything that is in force, in no order, to put it back into a log that lost it.
    ///
    /// What is changed meanwhile may be in it or not. `sink` may change the list.
    pub fn for_each(&self, now: Timestamp, mut sink: impl FnMut(RevocationRecord)) {
        for (kind, records) in RevocationKind::ALL.into_iter().zip(&self.records) {
            match records {
                Records::Exact(records) => records.for_each(kind, now, &mut sink),
                Records::Marks(records) => records.for_each(kind, now, &mut sink),
            }
        }
    }

    /// Forgets what is past its end, gives the memory back where it is worth it, and says how many records that were.
    ///
    /// Where nothing can have ended since the last time, it looks at nothing.
    pub fn sweep(&self, now: Timestamp) -> usize {
        let records = self.records.iter();
        let freed = records.map(|records| records.sweep(now, &self.places));
        freed.sum()
    }

    /// Refuses everything that `watermark` says, and drops the records of single tokens that it makes superfluous; says
    /// how many those were. What a list that is full falls back to.
    ///
    /// Records of sessions and keys stay, as they refuse tokens that are issued later as well, and so do watermarks. A
    /// record of a token that ends later than `watermark` stays too: it would be missed then. The watermark itself always
    /// has room. Does nothing for one that is past its end, and for a record that is not about
    /// [everything](RevocationKind::Everything).
    ///
    /// The point in time of the watermark has to be later than any token can be issued that is on the list, or tokens are
    /// let through that were revoked: a record does not say when its token was issued. A watermark until now, and what
    /// clocks differ by, is.
    pub fn compact(&self, watermark: &RevocationRecord, now: Timestamp) -> usize {
        let is_everything = watermark.id() == self.everything;
        if !is_everything || !watermark.is_live(now) {
            return 0;
        }
        let everything = self.of(RevocationKind::Everything);
        // Before the tokens go, so that there is no moment at which neither refuses them.
        let kept = everything.revoke(watermark, now, &self.places, Places::take_anyway);
        match (kept, self.of(RevocationKind::Token)) {
            (Ok(_), Records::Exact(tokens)) => tokens.drop_until(watermark.until(), &self.places),
            _ => 0,
        }
    }

    #[inline]
    fn of(&self, kind: RevocationKind) -> &Records {
        let index = usize::from(kind as u8 - 1);
        self.records.get(index).expect("kinds count from one")
    }
}

impl fmt::Debug for RevocationList {
    /// Numbers only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationList")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

/// The records of one kind.
enum Records {
    Exact(Exact),
    Marks(Marks),
}

impl Records {
    fn new(kind: RevocationKind) -> Self {
        if kind.is_watermark() {
            Self::Marks(Marks::new())
        } else {
            Self::Exact(Exact::new())
        }
    }

    fn revoke(
        &self,
        record: &RevocationRecord,
        now: Timestamp,
        places: &Places,
        take: fn(&Places) -> Result<(), ListFull>,
    ) -> Result<bool, ListFull> {
        match self {
            Self::Exact(records) => records.revoke(record, now, places, take),
            Self::Marks(records) => records.revoke(record, now, places, take),
        }
    }

    fn unrevoke(&self, id: RevocationId, places: &Places) -> bool {
        match self {
            Self::Exact(records) => records.unrevoke(id, places),
            Self::Marks(records) => records.unrevoke(id, places),
        }
    }

    #[inline]
    fn refuses(&self, id: RevocationId, issued_at: Option<Timestamp>, now: Timestamp) -> bool {
        match self {
            Self::Exact(records) => records.refuses(id, now),
            Self::Marks(records) => records.refuses(id, issued_at, now),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Exact(records) => records.count(),
            Self::Marks(records) => records.count(),
        }
    }

    fn sweep(&self, now: Timestamp, places: &Places) -> usize {
        match self {
            Self::Exact(records) => records.sweep(now, places),
            Self::Marks(records) => records.sweep(now, places),
        }
    }
}

/// How many records there are, and may be.
///
/// A place is taken before its record can be found, and given back after it cannot be found any more. So whoever sees
/// that no place is taken has nothing to look for: what was revoked before is counted.
struct Places {
    capacity: usize,
    taken: AtomicUsize,
}

impl Places {
    fn take(&self) -> Result<(), ListFull> {
        let one_more = |taken: usize| (taken < self.capacity).then(|| taken + 1);
        let taken = (self.taken).fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.map(drop).map_err(|_| ListFull)
    }

    fn take_anyway(&self) -> Result<(), ListFull> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn give_back(&self, places: usize) {
        self.taken.fetch_sub(places, Ordering::Relaxed);
    }
}
