//! A signature over all that was written so far.

use gateless_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::boot::BootId;
use crate::hash::LineHash;
use crate::record::Entry;
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
    /// After how many seconds at most another one comes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heartbeat_secs: Option<u64>,
    /// The id of the key that signed it.
    pub key: Box<str>,
    /// Ed25519 (RFC 8032) over all of it.
    pub signature: Signature,
}

impl Checkpoint {
    pub(crate) fn sign(
        key: &SealKey,
        place: &Place<'_>,
        first: u64,
        end: u64,
        root: LineHash,
        head: LineHash,
        heartbeat_secs: Option<u64>,
    ) -> Self {
        let mut checkpoint = Self {
            first,
            end,
            root,
            head,
            heartbeat_secs,
            key: key.id().into(),
            signature: Signature::NONE,
        };
        checkpoint.signature = key.sign(&checkpoint.message(place));
        checkpoint
    }

    /// Whether `key` signed this checkpoint, and it stands in `entry`.
    #[must_use]
    pub fn is_signed_by(&self, key: &SealPublicKey, entry: &Entry<'_>) -> bool {
        let place = Place {
            boot: entry.boot,
            instance: &entry.instance,
            time: entry.time,
            up_us: entry.up_us,
        };
        *key.id() == *self.key && key.has_signed(&self.message(&place), &self.signature)
    }

    /// What is signed: one line for each part, after the name of the format. The instance is the last, as it may hold a line feed.
    fn message(&self, place: &Place<'_>) -> Vec<u8> {
        let Place {
            boot,
            instance,
            time,
            up_us,
        } = place;
        let Self {
            first,
            end,
            root,
            head,
            heartbeat_secs,
            key,
            signature: _,
        } = self;
        let heartbeat = heartbeat_secs
            .map(|secs| secs.to_string())
            .unwrap_or_default();
        let time = time.as_millis();
        format!(
            "gateless audit checkpoint 1\n{boot}\n{time}\n{first}\n{end}\n{root}\n{head}\n{key}\n{up_us}\n{heartbeat}\n{instance}"
        )
        .into_bytes()
    }
}

/// What the record of a checkpoint says besides the checkpoint. It is signed too: nothing comes after the last record of a chain
/// that would hold its hash.
pub(crate) struct Place<'a> {
    pub(crate) boot: BootId,
    pub(crate) instance: &'a str,
    pub(crate) time: Timestamp,
    pub(crate) up_us: u64,
}
