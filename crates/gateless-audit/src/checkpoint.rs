//! A signature over all that was written so far.

use gateless_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::boot::BootId;
use crate::hash::LineHash;
use crate::seal::{SealKey, SealPublicKey, Signature};

/// Signs what a chain has written since its last checkpoint: the root of a Merkle tree over the lines, and the hash of the last
/// one, which holds all lines before it.
///
/// It stands in the chain, and a copy of it in a second place shows what was cut off the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The number of the first record that it covers.
    pub first: u64,
    /// The number of the record behind the last that it covers: its own.
    pub end: u64,
    /// The root of the tree over the lines that it covers.
    pub root: LineHash,
    /// The hash of the last line that it covers.
    pub head: LineHash,
    /// The id of the key that signed it.
    pub key: Box<str>,
    /// Ed25519 (RFC 8032) over all of it.
    pub signature: Signature,
}

impl Checkpoint {
    pub(crate) fn sign(
        key: &SealKey,
        boot: BootId,
        time: Timestamp,
        first: u64,
        end: u64,
        root: LineHash,
        head: LineHash,
    ) -> Self {
        let mut checkpoint = Self {
            first,
            end,
            root,
            head,
            key: key.id().into(),
            signature: Signature::NONE,
        };
        checkpoint.signature = key.sign(&checkpoint.message(boot, time));
        checkpoint
    }

    /// Whether `key` signed this checkpoint of the run `boot` at `time`.
    #[must_use]
    pub fn is_signed_by(&self, key: &SealPublicKey, boot: BootId, time: Timestamp) -> bool {
        key.has_signed(&self.message(boot, time), &self.signature)
    }

    /// What is signed: one line for each part, after the name of the format.
    fn message(&self, boot: BootId, time: Timestamp) -> Vec<u8> {
        let Self {
            first,
            end,
            root,
            head,
            key,
            signature: _,
        } = self;
        let time = time.as_millis();
        format!(
            "gateless audit checkpoint 1\n{boot}\n{time}\n{first}\n{end}\n{root}\n{head}\n{key}"
        )
        .into_bytes()
    }
}
