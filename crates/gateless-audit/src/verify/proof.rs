//! Shows one record to somebody who does not get to see the others.

use serde::{Deserialize, Serialize};

use crate::boot::BootId;
use crate::hash::LineHash;
use crate::line;
use crate::record::{Entry, Event};
use crate::seal::SealPublicKey;

/// One record, the checkpoint that covers it, and the hashes between them: an inclusion proof as in RFC 6962 §2.1.1.
///
/// It shows that the record was written before the checkpoint was signed, and holds nothing of other records but hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The line of the record.
    pub record: String,
    /// The hashes from the record up to the root, the lowest first.
    pub path: Vec<LineHash>,
    /// The line of the checkpoint.
    pub checkpoint: String,
}

/// There is nothing to make a proof of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoProof {
    /// The record is not among the lines.
    #[error("the record is not there")]
    NoRecord,
    /// No checkpoint after the record is among the lines, or not all lines that it covers are.
    #[error("no checkpoint covers the record, or records beside it are missing")]
    NoCheckpoint,
}

/// A proof that proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// One of the two lines is no record, or the second is no checkpoint.
    #[error("it does not hold a record and a checkpoint")]
    Unreadable,
    /// None of the keys has signed the checkpoint.
    #[error("none of the keys has signed the checkpoint")]
    NotSigned,
    /// The checkpoint covers other records.
    #[error("the checkpoint does not cover the record")]
    NotCovered,
    /// The hashes do not lead from the record to the root that is signed.
    #[error("the record is not the one that was signed")]
    Different,
}

impl Proof {
    /// The record, if one of the keys has signed a checkpoint that covers it.
    ///
    /// # Errors
    ///
    /// [`ProofError`] when that is not shown.
    pub fn check(&self, keys: &[SealPublicKey]) -> Result<Entry<'_>, ProofError> {
        let record = as_written(&self.record).ok_or(ProofError::Unreadable)?;
        let entry = as_written(&self.checkpoint).ok_or(ProofError::Unreadable)?;
        let Event::Checkpoint(checkpoint) = &entry.event else {
            return Err(ProofError::Unreadable);
        };
        if !keys.iter().any(|key| checkpoint.is_signed_by(key, &entry)) {
            return Err(ProofError::NotSigned);
        }
        let is_same = record.boot == entry.boot && record.instance == entry.instance;
        let covered = checkpoint.first..checkpoint.end;
        if !is_same || !covered.contains(&record.seq) {
            return Err(ProofError::NotCovered);
        }
        let leaf = LineHash::of_line(self.record.as_bytes());
        let (index, len) = (record.seq - covered.start, covered.end - covered.start);
        if climb(leaf, index, len, &self.path) != Some(checkpoint.root) {
            return Err(ProofError::Different);
        }
        Ok(record)
    }
}

/// A record, if it is written as records are: there is one way to read it.
fn as_written(text: &str) -> Option<Entry<'_>> {
    let entry = line::parse(text).ok()?;
    let mut written = Vec::with_capacity(text.len());
    line::write(&entry, &mut written);
    (entry.version == Entry::VERSION && written == text.as_bytes()).then_some(entry)
}

/// Makes a [`Proof`] out of a log that is read once. Of other records it keeps the hashes since the last checkpoint only.
#[derive(Clone, Debug)]
pub struct Prover {
    boot: BootId,
    seq: u64,
    /// The number of the first line in `leaves`.
    first: u64,
    leaves: Vec<LineHash>,
    record: Option<String>,
}

impl Prover {
    /// One that looks for record `seq` of the run `boot`.
    #[must_use]
    pub const fn new(boot: BootId, seq: u64) -> Self {
        Self {
            boot,
            seq,
            first: 0,
            leaves: Vec::new(),
            record: None,
        }
    }

    /// Takes the next line of the log, without its line feed, and says whether that makes a proof. Lines that are no records, or of
    /// other chains, are passed over.
    pub fn line(&mut self, text: &str) -> Option<Proof> {
        let entry = line::parse(text).ok()?;
        if entry.boot != self.boot {
            return None;
        }
        let next = self.first + u64::try_from(self.leaves.len()).ok()?;
        if entry.seq != next {
            self.first = entry.seq;
            self.leaves.clear();
        }
        if let Event::Checkpoint(checkpoint) = &entry.event {
            let skip = checkpoint.first.checked_sub(self.first);
            let covered = skip.and_then(|skip| self.leaves.get(usize::try_from(skip).ok()?..));
            let record = self.record.clone();
            if let (Some(leaves), Some(record)) = (covered, record)
                && checkpoint.end == entry.seq
                && (checkpoint.first..checkpoint.end).contains(&self.seq)
            {
                let index = usize::try_from(self.seq - checkpoint.first).ok()?;
                let mut path = Vec::new();
                if descend(leaves, index, &mut path) == checkpoint.root {
                    return Some(Proof {
                        record,
                        path,
                        checkpoint: text.to_owned(),
                    });
                }
            }
            self.first = entry.seq;
            self.leaves.clear();
        }
        self.leaves.push(LineHash::of_line(text.as_bytes()));
        if entry.seq == self.seq {
            self.record = Some(text.to_owned());
        }
        None
    }

    /// Why there was no proof, when there are no more lines.
    #[must_use]
    pub const fn why_not(&self) -> NoProof {
        match self.record {
            None => NoProof::NoRecord,
            Some(_) => NoProof::NoCheckpoint,
        }
    }
}

/// A proof of record `seq` of the run `boot`, out of the lines of a log.
///
/// ```
/// use std::time::Duration;
///
/// use gateless_audit::verify::prove;
/// use gateless_audit::{Batch, BootId, Chain, Event, SealKey};
/// use gateless_core::Timestamp;
///
/// let (key, now) = (SealKey::random(), Timestamp::from_secs(1_795_000_000));
/// let (mut chain, mut batch) = (Chain::new("orders-1", BootId::random()), Batch::new());
/// chain.append(Event::Start(Default::default()), now, Duration::ZERO, &mut batch);
/// chain.append(Event::Stop, now, Duration::ZERO, &mut batch);
/// chain.checkpoint(&key, now, Duration::ZERO, &mut batch);
///
/// let proof = prove(batch.lines(), chain.boot(), 1)?;
/// assert_eq!(proof.check(&[key.public().clone()])?.event, Event::Stop);
/// assert!(proof.check(&[SealKey::random().public().clone()]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`NoProof`] when the record is not there, or no checkpoint covers it.
pub fn prove<'a>(
    lines: impl IntoIterator<Item = &'a str>,
    boot: BootId,
    seq: u64,
) -> Result<Proof, NoProof> {
    let mut prover = Prover::new(boot, seq);
    let proof = lines.into_iter().find_map(|line| prover.line(line));
    proof.ok_or_else(|| prover.why_not())
}

/// The largest power of two that is less than `len`, for a `len` of two and more.
const fn split(len: usize) -> usize {
    1 << (usize::BITS - 1 - (len - 1).leading_zeros())
}

/// The root of `leaves`, and on the way the hashes beside the path to the leaf at `index`.
fn descend(leaves: &[LineHash], index: usize, path: &mut Vec<LineHash>) -> LineHash {
    if leaves.len() < 2 {
        return leaves.first().copied().unwrap_or(LineHash::ZERO);
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (left, right) = if index < left.len() {
        let node = descend(left, index, path);
        let beside = root(right);
        path.push(beside);
        (node, beside)
    } else {
        let node = descend(right, index - left.len(), path);
        let beside = root(left);
        path.push(beside);
        (beside, node)
    };
    LineHash::of_nodes(left, right)
}

fn root(leaves: &[LineHash]) -> LineHash {
    let mut tree = crate::merkle::Tree::new();
    for leaf in leaves {
        tree.push(*leaf);
    }
    tree.root()
}

/// The root that `path` leads to from `leaf`, the one at `index` of `len` (RFC 9162 §2.1.3.2).
fn climb(leaf: LineHash, index: u64, len: u64, path: &[LineHash]) -> Option<LineHash> {
    let (mut at, mut last) = (index, len.checked_sub(1)?);
    let mut node = leaf;
    for beside in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            node = LineHash::of_nodes(*beside, node);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            node = LineHash::of_nodes(node, *beside);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(node)
}
