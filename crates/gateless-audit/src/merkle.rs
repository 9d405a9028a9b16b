//! The tree of hashes that a checkpoint signs (RFC 6962 §2.1).

use crate::hash::LineHash;

/// Grows by one leaf at a time, and keeps one hash for each level.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    len: u64,
    /// The roots of the complete subtrees, the largest first: one for each bit that is set in `len`.
    peaks: Vec<LineHash>,
}

impl Tree {
    pub(crate) const fn new() -> Self {
        Self {
            len: 0,
            peaks: Vec::new(),
        }
    }

    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn push(&mut self, leaf: LineHash) {
        let mut node = leaf;
        for _ in 0..self.len.trailing_ones() {
            let left = self.peaks.pop().expect("there is one for each bit");
            node = LineHash::of_nodes(left, node);
        }
        self.peaks.push(node);
        self.len += 1;
    }

    /// The root; of an empty tree, zero.
    pub(crate) fn root(&self) -> LineHash {
        let smallest_first = self.peaks.iter().rev().copied();
        let root = smallest_first.reduce(|right, left| LineHash::of_nodes(left, right));
        root.unwrap_or(LineHash::ZERO)
    }

    /// What was there; an empty tree stays.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}
