//! Where a follower is, and what an answer of the server means for it.

use gateless_core::{LogPosition, LogTail, RevocationChange};
use redis::Value;

use crate::error::Fault;

/// A place in a log: after which change of which history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) epoch: [u8; 16],
    pub(super) sequence: u64,
    pub(super) nonce: [u8; 16],
}

impl Place {
    pub(super) fn read(position: &LogPosition) -> Option<Self> {
        let (epoch, rest) = position.as_bytes().split_first_chunk()?;
        let (sequence, nonce) = rest.split_first_chunk()?;
        Some(Self {
            epoch: *epoch,
            sequence: u64::from_be_bytes(*sequence),
            nonce: nonce.try_into().ok()?,
        })
    }

    pub(super) fn write(&self) -> LogPosition {
        let bytes = [&self.epoch[..], &self.sequence.to_be_bytes(), &self.nonce];
        LogPosition::new(bytes.concat())
    }

    /// From the fields of the hash about the log; `None` where there is no log.
    pub(super) fn from_fields(
        epoch: Option<&[u8]>,
        head: Option<&[u8]>,
        nonce: Option<&[u8]>,
    ) -> Option<Self> {
        Some(Self {
            epoch: epoch?.try_into().ok()?,
            sequence: str::from_utf8(head?).ok()?.parse().ok()?,
            nonce: nonce?.try_into().ok()?,
        })
    }
}

/// One entry of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) sequence: u64,
    pub(super) before: [u8; 16],
    pub(super) nonce: [u8; 16],
    pub(super) change: Vec<u8>,
}

impl Entry {
    /// Those of an answer to `XREAD` of one stream.
    pub(super) fn read(answer: &Value) -> Option<Vec<Self>> {
        let streams = match answer {
            Value::Nil => return Some(Vec::new()),
            Value::Array(streams) => streams,
            _ => return None,
        };
        let [Value::Array(stream)] = streams.as_slice() else {
            return None;
        };
        let [_, Value::Array(entries)] = stream.as_slice() else {
            return None;
        };
        entries.iter().map(Self::read_one).collect()
    }

    fn read_one(entry: &Value) -> Option<Self> {
        let Value::Array(entry) = entry else {
            return None;
        };
        let [Value::BulkString(id), Value::Array(fields)] = entry.as_slice() else {
            return None;
        };
        let sequence = str::from_utf8(id).ok()?.strip_suffix("-0")?.parse().ok()?;
        let (pairs, _) = fields.as_chunks::<2>();
        let field = |wanted: &[u8]| {
            pairs.iter().find_map(|pair| match pair {
                [Value::BulkString(name), Value::BulkString(value)] if name == wanted => {
                    Some(value.as_slice())
                }
                _ => None,
            })
        };
        Some(Self {
            sequence,
            before: field(b"p")?.try_into().ok()?,
            nonce: field(b"n")?.try_into().ok()?,
            change: field(b"c")?.to_vec(),
        })
    }
}

/// What a read means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing goes on from there.
    Broken(LogTail),
    /// These came, up to this place. There may be more.
    More(Vec<RevocationChange>, Place),
    /// The follower has everything.
    UpToDate,
    /// The log is ahead, and nothing came: it was written in between, or what was written is not there any more.
    Ahead,
}

/// Holds what came behind `place` against the `head` that was read after it.
pub(super) fn judge(
    place: &Place,
    entries: &[Entry],
    head: Option<&Place>,
) -> Result<Verdict, Fault> {
    let lost = Ok(Verdict::Broken(LogTail::Lost));
    let Some(head) = head.filter(|head| head.epoch == place.epoch) else {
        return lost;
    };
    let Some(first) = entries.first() else {
        return match head.sequence.cmp(&place.sequence) {
            std::cmp::Ordering::Less => lost,
            std::cmp::Ordering::Equal if head.nonce != place.nonce => lost,
            std::cmp::Ordering::Equal => Ok(Verdict::UpToDate),
            std::cmp::Ordering::Greater => Ok(Verdict::Ahead),
        };
    };
    if Some(first.sequence) != place.sequence.checked_add(1) {
        return Ok(Verdict::Broken(LogTail::Gap));
    }
    let mut at = *place;
    let mut changes = Vec::with_capacity(entries.len());
    for entry in entries {
        if Some(entry.sequence) != at.sequence.checked_add(1) || entry.before != at.nonce {
            return lost;
        }
        at.sequence = entry.sequence;
        at.nonce = entry.nonce;
        changes.push(RevocationChange::from_bytes(&entry.change).ok_or(Fault::Unknown)?);
    }
    if head.sequence < at.sequence {
        return lost;
    }
    Ok(Verdict::More(changes, at))
}

#[cfg(test)]
mod tests {
    use gateless_core::RevocationId;

    use super::*;

    const AT: Place = Place {
        epoch: [1; 16],
        sequence: 7,
        nonce: [7; 16],
    };

    fn entry(sequence: u8) -> Entry {
        Entry {
            sequence: sequence.into(),
            before: [sequence - 1; 16],
            nonce: [sequence; 16],
            change: RevocationId::everything().to_bytes().to_vec(),
        }
    }

    fn head(sequence: u8) -> Place {
        Place {
            sequence: sequence.into(),
            nonce: [sequence; 16],
            ..AT
        }
    }

    fn says(entries: &[Entry], head: Option<Place>) -> String {
        match judge(&AT, entries, head.as_ref()) {
            Ok(Verdict::More(changes, _)) => format!("{} more", changes.len()),
            Ok(Verdict::Broken(tail)) => format!("{tail:?}"),
            Ok(verdict) => format!("{verdict:?}"),
            Err(fault) => format!("{fault:?}"),
        }
    }

    #[test]
    fn nothing_stale_is_confirmed() {
        let other_epoch = |place: Place| Place {
            epoch: [2; 16],
            ..place
        };
        let other_nonce = |place: Place| Place {
            nonce: [99; 16],
            ..place
        };
        let strange = Entry {
            change: vec![200; 13],
            ..entry(8)
        };
        let other_chain = Entry {
            before: [99; 16],
            ..entry(9)
        };
        for (entries, head, expected) in [
            (vec![], None, "Lost"),
            (vec![], Some(head(7)), "UpToDate"),
            (vec![], Some(head(6)), "Lost"),
            (vec![], Some(head(8)), "Ahead"),
            (vec![], Some(other_nonce(head(7))), "Lost"),
            (vec![], Some(other_epoch(head(7))), "Lost"),
            (vec![entry(8)], None, "Lost"),
            (vec![entry(8)], Some(head(8)), "1 more"),
            (vec![entry(8), entry(9)], Some(head(12)), "2 more"),
            (vec![entry(8), entry(9)], Some(head(8)), "Lost"),
            (vec![entry(8)], Some(other_epoch(head(8))), "Lost"),
            (vec![entry(9)], Some(head(9)), "Gap"),
            (vec![entry(8), other_chain.clone()], Some(head(9)), "Lost"),
            (vec![entry(8), entry(10)], Some(head(10)), "Lost"),
            (vec![strange], Some(head(8)), "Unknown"),
        ] {
            assert_eq!(says(&entries, head), expected, "{entries:?} {head:?}");
        }
        let other_start = Entry {
            before: [99; 16],
            ..entry(8)
        };
        assert_eq!(says(&[other_start], Some(head(8))), "Lost");
    }

    #[test]
    fn places_are_read_back_and_nothing_else_is() {
        let position = AT.write();
        assert_eq!(Place::read(&position), Some(AT));
        for bytes in [&b""[..], &[0; 39], &[0; 41]] {
            assert_eq!(Place::read(&LogPosition::new(bytes)), None);
        }
    }
}
