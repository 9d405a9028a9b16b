//! What is kept of one chain while it is read.

use std::collections::VecDeque;
use std::sync::Arc;

use gateless_core::Timestamp;

use super::report::{ChainReport, Position, Signed};
use crate::boot::BootId;
use crate::hash::LineHash;
use crate::merkle::Tree;
use crate::record::{Entry, Link};

/// How many hashes of a chain are kept, for a later run that speaks of one of them.
const KEPT: usize = 1024;

/// A line that was read.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) file: Arc<str>,
    pub(super) line: u64,
    /// How many lines were read before it, in all files.
    pub(super) order: u64,
}

impl At {
    pub(super) fn position(&self, boot: Option<BootId>, seq: Option<u64>) -> Position {
        Position {
            file: (&*self.file).into(),
            line: self.line,
            boot,
            seq,
        }
    }
}

/// Two records that do not go together. Which of them was changed, the next one tells.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) earlier: (At, u64),
    pub(super) later: (At, u64),
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) boot: BootId,
    pub(super) instance: Box<str>,
    pub(super) first: u64,
    pub(super) first_at: At,
    pub(super) first_time: Timestamp,
    /// What the first record says of the one before.
    pub(super) first_prev: LineHash,
    pub(super) last: u64,
    pub(super) last_at: At,
    pub(super) last_time: Timestamp,
    pub(super) last_up_us: u64,
    /// The hash of the last line.
    pub(super) head: LineHash,
    recent: VecDeque<LineHash>,
    pub(super) records: u64,
    pub(super) doubt: Option<Doubt>,
    /// The lines that the next checkpoint covers, and the number of the first of them.
    pub(super) open: Tree,
    pub(super) open_first: u64,
    /// Whether all of these lines are there, and go together.
    pub(super) is_open_whole: bool,
    pub(super) heartbeat_secs: Option<u64>,
    pub(super) checkpoints: u64,
    /// Whether a checkpoint is later than now.
    pub(super) is_ahead: bool,
    /// The last one that is not.
    pub(super) last_checkpoint: Option<Timestamp>,
    pub(super) signed: Option<Signed>,
    pub(super) stopped: Option<u64>,
    pub(super) after_stop: u64,
    /// The key of the last good signature.
    pub(super) key: Option<Box<str>>,
    /// The key that the first record names.
    pub(super) seal: Option<Box<str>>,
    /// Records that later runs know as the last one, and these runs.
    pub(super) confirmed_by: Vec<(u64, (Box<str>, BootId))>,
    /// The highest of them.
    pub(super) confirmed: Option<u64>,
}

impl Run {
    pub(super) fn new(entry: &Entry<'_>, at: &At, hash: LineHash) -> Self {
        let mut run = Self {
            boot: entry.boot,
            instance: (&*entry.instance).into(),
            first: entry.seq,
            first_at: at.clone(),
            first_time: entry.time,
            first_prev: entry.prev,
            last: entry.seq,
            last_at: at.clone(),
            last_time: entry.time,
            last_up_us: entry.up_us,
            head: hash,
            recent: VecDeque::new(),
            records: 0,
            doubt: None,
            open: Tree::new(),
            open_first: entry.seq,
            is_open_whole: entry.seq == 0,
            heartbeat_secs: None,
            checkpoints: 0,
            is_ahead: false,
            last_checkpoint: None,
            signed: None,
            stopped: None,
            after_stop: 0,
            key: None,
            seal: None,
            confirmed_by: Vec::new(),
            confirmed: None,
        };
        run.push(entry, at, hash);
        run
    }

    /// Takes the next record, whatever is wrong with it.
    pub(super) fn push(&mut self, entry: &Entry<'_>, at: &At, hash: LineHash) {
        self.last = entry.seq;
        self.last_at = at.clone();
        self.last_time = entry.time;
        self.last_up_us = entry.up_us;
        self.head = hash;
        self.records += 1;
        self.open.push(hash);
        self.recent.push_back(hash);
        if self.recent.len() > KEPT {
            self.recent.pop_front();
        }
    }

    /// Forgets what the next checkpoint covers, as a part of it is not there.
    pub(super) fn break_off(&mut self, seq: u64) {
        self.open.take();
        self.open_first = seq;
        self.is_open_whole = false;
        self.recent.clear();
    }

    /// The hash of a record that was read not long ago.
    pub(super) fn recent(&self, seq: u64) -> Option<LineHash> {
        let back = usize::try_from(self.last.checked_sub(seq)?).ok()?;
        let index = self.recent.len().checked_sub(back + 1)?;
        self.recent.get(index).copied()
    }

    pub(super) fn at_last(&self) -> Position {
        self.last_at.position(Some(self.boot), Some(self.last))
    }

    pub(super) fn at_first(&self) -> Position {
        self.first_at.position(Some(self.boot), Some(self.first))
    }

    /// What is missing before the first record, if that is not the first of the chain.
    pub(super) fn before_first(&self) -> Option<Link> {
        Some(Link {
            boot: self.boot,
            seq: self.first.checked_sub(1)?,
            hash: self.first_prev,
        })
    }

    pub(super) fn report(&self) -> ChainReport {
        let covered = self.signed.map_or(self.first, |signed| signed.seq + 1);
        ChainReport {
            instance: self.instance.to_string(),
            boot: self.boot,
            first: self.first,
            last: self.last,
            records: self.records,
            since: self.first_time,
            until: self.last_time,
            checkpoints: self.checkpoints,
            signed: self.signed,
            key: self.key.clone(),
            only_chained: (self.last + 1).saturating_sub(covered),
            is_stopped: self.stopped.is_some(),
        }
    }
}
