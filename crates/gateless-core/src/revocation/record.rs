//! What is remembered of a revocation.

use std::time::Duration;

use super::id::RevocationId;
use crate::time::Timestamp;

/// What a list remembers of a revocation: what is refused, which tokens are meant, and until when it matters.
///
/// Records of the same id are merged, so that they can come several times and in any order: both times only ever become
/// later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RevocationRecord {
    id: RevocationId,
    issued_until: Option<Timestamp>,
    until: Timestamp,
}

impl RevocationRecord {
    /// How long a record is kept beyond the end of the last token that it is about: twice as much as any token policy lets
    /// clocks differ by, as a token may begin late by one clock and end late by another.
    pub const LEEWAY: Duration = Duration::from_secs(600);

    /// How many bytes [`to_bytes`](Self::to_bytes) gives.
    pub const LEN: usize = RevocationId::LEN + 16;

    /// Refuses what `id` names, as far as it was issued until `issued_until`, and up to `until`.
    #[must_use]
    pub const fn new(id: RevocationId, issued_until: Option<Timestamp>, until: Timestamp) -> Self {
        // A watermark says until when; everything else means all that there is. So equal records have equal bytes.
        let issued_until = match (id.kind().is_watermark(), issued_until) {
            (true, None) => Some(Timestamp::MAX),
            (true, some) => some,
            (false, _) => None,
        };
        Self {
            id,
            issued_until,
            until,
        }
    }

    /// What it is about.
    #[must_use]
    pub const fn id(&self) -> RevocationId {
        self.id
    }

    /// Of a watermark: tokens that were issued then or before are refused.
    #[must_use]
    pub const fn issued_until(&self) -> Option<Timestamp> {
        self.issued_until
    }

    /// From when on no token can be left that it is about. [`Timestamp::MAX`] where there is no such time.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// Whether it still matters at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// Both in one: the later of both times. None when they are not about the same.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Option<Self> {
        (self.id == other.id).then(|| Self {
            id: self.id,
            issued_until: self.issued_until.max(other.issued_until),
            until: self.until.max(other.until),
        })
    }

    /// The bytes of it, for a log.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let issued_until = self.issued_until.unwrap_or(Timestamp::EPOCH).as_millis();
        let parts = (self.id.to_bytes().into_iter())
            .chain(issued_until.to_be_bytes())
            .chain(self.until.as_millis().to_be_bytes());
        for (byte, part) in bytes.iter_mut().zip(parts) {
            *byte = part;
        }
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) gave; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, times) = bytes.split_first_chunk::<{ RevocationId::LEN }>()?;
        let (issued_until, until) = times.split_first_chunk::<8>()?;
        let time = |bytes: [u8; 8]| Timestamp::from_millis(i64::from_be_bytes(bytes));
        let record = Self::new(
            RevocationId::from_bytes(id)?,
            Some(time(*issued_until)),
            time(until.try_into().ok()?),
        );
        // One spelling only.
        (record.to_bytes() == *bytes).then_some(record)
    }
}

/// One step in the history of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevocationChange {
    /// Something is refused, or for longer than before.
    Revoke(RevocationRecord),
    /// Something is not refused any more. Only ever said on purpose.
    Unrevoke(RevocationId),
}

impl RevocationChange {
    /// What it is about.
    #[must_use]
    pub const fn id(&self) -> RevocationId {
        match self {
            Self::Revoke(record) => record.id(),
            Self::Unrevoke(id) => *id,
        }
    }

    /// The bytes of it, for a log: those of the record, or those of the id alone.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Revoke(record) => record.to_bytes().to_vec(),
            Self::Unrevoke(id) => id.to_bytes().to_vec(),
        }
    }

    /// What [`to_bytes`](Self::to_bytes) gave; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match <&[u8; RevocationId::LEN]>::try_from(bytes) {
            Ok(id) => RevocationId::from_bytes(id).map(Self::Unrevoke),
            Err(_) => RevocationRecord::from_bytes(bytes).map(Self::Revoke),
        }
    }
}
