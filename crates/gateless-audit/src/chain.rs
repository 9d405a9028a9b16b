//! Records in the order in which they were written, each holding the hash of the one before.

use std::time::Duration;

use gateless_core::Timestamp;

use crate::batch::Batch;
use crate::boot::BootId;
use crate::checkpoint::{Checkpoint, Place};
use crate::hash::LineHash;
use crate::line;
use crate::merkle::Tree;
use crate::record::{Entry, Event, Text};
use crate::seal::SealKey;

/// The chain of one run of one process: it gives each record its number, and the hash of the line before it.
///
/// ```
/// use std::time::Duration;
///
/// use gateless_audit::{Batch, BootId, Chain, Event, LineHash, parse};
/// use gateless_core::Timestamp;
///
/// let mut chain = Chain::new("orders-1", BootId::random());
/// let (mut batch, now) = (Batch::new(), Timestamp::from_secs(1_750_000_000));
/// chain.append(Event::Stop, now, Duration::ZERO, &mut batch);
/// chain.append(Event::Stop, now, Duration::ZERO, &mut batch);
/// let lines: Vec<_> = batch.lines().collect();
/// assert_eq!(parse(lines[1])?.prev, LineHash::of_line(lines[0].as_bytes()));
/// # Ok::<(), gateless_audit::Unreadable>(())
/// ```
#[derive(Debug)]
pub struct Chain {
    instance: Box<str>,
    boot: BootId,
    /// The number of the next record.
    seq: u64,
    prev: LineHash,
    /// What checkpoints promise.
    heartbeat_secs: Option<u64>,
    /// What the next checkpoint covers.
    open: Tree,
    line: Vec<u8>,
}

impl Chain {
    /// An empty chain.
    #[must_use]
    pub fn new(instance: impl Into<Box<str>>, boot: BootId) -> Self {
        Self {
            instance: instance.into(),
            boot,
            seq: 0,
            prev: LineHash::ZERO,
            heartbeat_secs: None,
            open: Tree::new(),
            line: Vec::new(),
        }
    }

    /// Says in each checkpoint after how many seconds at most another one comes, so that this is signed too.
    #[must_use]
    pub const fn heartbeat(mut self, secs: u64) -> Self {
        self.heartbeat_secs = Some(secs);
        self
    }

    /// Whose chain it is.
    #[must_use]
    pub const fn boot(&self) -> BootId {
        self.boot
    }

    /// How many records no checkpoint covers yet.
    #[must_use]
    pub const fn uncovered(&self) -> u64 {
        self.open.len()
    }

    /// Adds a record of what happened at `time`, `up` after the process began, and returns its number.
    pub fn append(
        &mut self,
        event: Event<'_>,
        time: Timestamp,
        up: Duration,
        batch: &mut Batch,
    ) -> u64 {
        let seq = self.seq;
        let entry = Entry {
            version: Entry::VERSION,
            seq,
            time,
            up_us: micros(up),
            instance: Text::from(&*self.instance),
            boot: self.boot,
            event,
            prev: self.prev,
        };
        self.line.clear();
        line::write(&entry, &mut self.line);
        self.prev = LineHash::of_line(&self.line);
        self.open.push(self.prev);
        self.seq += 1;
        let text = std::str::from_utf8(&self.line);
        batch.push(text.expect("a line is ASCII"));
        seq
    }

    /// Signs all that was added since the last checkpoint, and adds the checkpoint to the chain.
    pub fn checkpoint(
        &mut self,
        key: &SealKey,
        time: Timestamp,
        up: Duration,
        batch: &mut Batch,
    ) -> u64 {
        let covered = self.open.take();
        let instance = Text::from(&*self.instance);
        let place = Place {
            boot: self.boot,
            instance: &instance,
            time,
            up_us: micros(up),
        };
        let checkpoint = Checkpoint::sign(
            key,
            &place,
            self.seq - covered.len(),
            self.seq,
            covered.root(),
            self.prev,
            self.heartbeat_secs,
        );
        self.append(Event::Checkpoint(checkpoint), time, up, batch)
    }
}

fn micros(up: Duration) -> u64 {
    u64::try_from(up.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::parse;
    use crate::record::{Outcome, Protocol, Request};

    fn request(subject: &str) -> Request<'_> {
        Request {
            subject: Some(Text::from(subject)),
            ..Request::new(Protocol::Http, Outcome::Allowed)
        }
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let mut chain = Chain::new("orders-1", BootId::random());
        let mut batch = Batch::new();
        let now = Timestamp::from_millis(1_763_842_151_042);
        let key = SealKey::random();
        let subject = "a \"b\"\r\n\u{1b}[31m\u{202e}\u{2028}\u{7f}\u{9b}😀 é";
        let event = Event::Request(Box::new(request(subject)));
        chain.append(event.clone(), now, Duration::from_micros(7), &mut batch);
        chain.checkpoint(&key, now, Duration::from_micros(8), &mut batch);
        let lines: Vec<_> = batch.lines().collect();
        assert!(
            batch
                .as_bytes()
                .iter()
                .all(|b| matches!(b, b' '..=b'~' | b'\n'))
        );
        let first = parse(lines[0]).unwrap();
        assert_eq!((first.seq, first.time, first.up_us), (0, now, 7));
        assert_eq!(first.event, event);
        assert_eq!(first.prev, LineHash::ZERO);
        let second = parse(lines[1]).unwrap();
        let Event::Checkpoint(checkpoint) = &second.event else {
            panic!("{second:?}")
        };
        assert!(checkpoint.is_signed_by(key.public(), &second));
        for other in [
            Entry {
                boot: BootId::random(),
                ..second.clone()
            },
            Entry {
                time: Timestamp::from_millis(1),
                ..second.clone()
            },
            Entry {
                up_us: 9,
                ..second.clone()
            },
            Entry {
                instance: Text::from("orders-2"),
                ..second.clone()
            },
        ] {
            assert!(!checkpoint.is_signed_by(key.public(), &other));
        }
        assert_eq!(checkpoint.root, LineHash::of_line(lines[0].as_bytes()));
        assert_eq!((checkpoint.first, checkpoint.end), (0, 1));
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let long = "é".repeat(200);
        let text = Text::from(&*long);
        assert!(
            text.len() <= Text::MAX_LEN && text.ends_with('…'),
            "{text:?}"
        );
        assert_eq!(text.matches('é').count(), 126);
    }
}
