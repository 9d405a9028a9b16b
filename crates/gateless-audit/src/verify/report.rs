//! What a verification found.

use std::fmt;

use gateless_core::Timestamp;
use serde::Serialize;

use crate::boot::BootId;
use crate::record::time as rfc3339;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// What is wrong, in the order of the lines.
    pub findings: Vec<Finding>,
    /// What an operator should know, although nothing is wrong with the log: a clock that was set, a process that died.
    pub notices: Vec<Finding>,
    /// How many more findings and notices there were than are listed.
    pub unlisted: u64,
    /// How many lines were read.
    pub lines: u64,
    /// Each chain, in the order in which they begin.
    pub chains: Vec<ChainReport>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// The first thing that is wrong.
    #[must_use]
    pub fn first(&self) -> Option<&Finding> {
        self.findings.first()
    }
}

/// One thing that was found, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// Where.
    pub at: Position,
    /// The same as a sentence. It holds numbers, ids and hashes, and no text out of the log.
    pub says: String,
}

impl fmt::Display for Finding {
    /// The file is not part of it: its name is somebody else's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.at.line)?;
        if let Some(boot) = self.at.boot {
            write!(f, ", boot {boot}")?;
        }
        if let Some(seq) = self.at.seq {
            write!(f, ", seq {seq}")?;
        }
        write!(f, ": {}: {}", self.kind.code(), self.says)
    }
}

/// A place in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Position {
    /// The file, as its reader called it.
    pub file: Box<str>,
    /// The number of the line. The first is 1.
    pub line: u64,
    /// The chain that the line belongs to, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootId>,
    /// The number of the record, where the line has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// What is known of one chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChainReport {
    /// Which instance of the service it was.
    pub instance: String,
    /// Which run of it.
    pub boot: BootId,
    /// The number of the first record that is there.
    pub first: u64,
    /// The number of the last record that is there.
    pub last: u64,
    /// How many records are there.
    pub records: u64,
    /// When the first of them was written.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub since: Timestamp,
    /// When the last of them was written.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub until: Timestamp,
    /// How many checkpoints are there, whoever signed them.
    pub checkpoints: u64,
    /// The last checkpoint that was signed with one of the keys that the reader has. All records before it are what was written.
    pub signed: Option<Signed>,
    /// The id of the key that signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
    /// How many records no such checkpoint covers. They are chained to each other, and whoever can write the file can write them.
    pub only_chained: u64,
    /// Whether the process said that it ends.
    pub is_stopped: bool,
}

/// A checkpoint whose signature is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// Its number: it covers all records before it.
    pub seq: u64,
    /// When it was signed.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub time: Timestamp,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $code:literal,)+) => {
        /// What was found. The [codes](Self::code) stay as they are.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[non_exhaustive]
        pub enum FindingKind {
            $($(#[$doc])* #[serde(rename = $code)] $variant,)+
        }

        impl FindingKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its stable name.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }
        }
    };
}

kinds! {
    /// A line is no record.
    NotARecord = "not_a_record",
    /// A line is a record, and not in the form in which records are written: somebody else wrote it.
    NotAsWritten = "not_as_written",
    /// A record has a version that this reader does not know.
    UnknownVersion = "unknown_version",
    /// The last line of a file has no line feed. A notice where later records show that none is missing there.
    TornLine = "torn_line",
    /// A line is longer than any record.
    LineTooLong = "line_too_long",
    /// A record is not the one that the next record goes with.
    Altered = "altered",
    /// Records between two others are not there.
    RecordsMissing = "records_missing",
    /// A record stands behind one with the same or a higher number: it was moved, copied or put in.
    OutOfOrder = "out_of_order",
    /// The first records of a chain are not there, and no record says that they were deleted in an orderly way.
    BeginningMissing = "beginning_missing",
    /// A whole run is not there.
    RunMissing = "run_missing",
    /// The last records of a chain are not there.
    EndMissing = "end_missing",
    /// A record is not the one that a checkpoint in the second place, or a later run, speaks of.
    Contradicted = "contradicted",
    /// A checkpoint does not fit the records before it.
    CheckpointWrong = "checkpoint_wrong",
    /// The signature of a checkpoint is not good.
    SignatureWrong = "signature_wrong",
    /// A checkpoint is signed with a key that the reader does not have.
    UnknownKey = "unknown_key",
    /// No checkpoint of a chain is signed with a key that the reader has.
    Unsigned = "unsigned",
    /// The only record that says why others are missing is not covered by a good signature: anybody can have written it.
    RetirementUnsigned = "retirement_unsigned",
    /// There was no checkpoint for longer than the process had promised: it is dead, or the end of the chain was cut off.
    Silent = "silent",
    /// There is more after the end of a process than one checkpoint.
    AfterStop = "after_stop",
    /// A line of the second place is no checkpoint with a good signature.
    SecondPlaceWrong = "second_place_wrong",
    /// There are more chains than one verification keeps apart.
    TooManyChains = "too_many_chains",
    /// A chain is of another instance than the one that was asked for.
    OtherInstance = "other_instance",
    /// There is no record at all.
    Empty = "empty",
    /// Notice: the clock of the machine was set.
    ClockSet = "clock_set",
    /// Notice: a process ended without saying so. The record was the last one when a later run began.
    Died = "died",
    /// Notice: a chain has no end, and nothing here can tell whether there was more.
    OpenEnd = "open_end",
    /// Notice: older records were deleted, as a later record says.
    Retired = "retired",
    /// Notice: not signed yet, and it is not time for that.
    NotSignedYet = "not_signed_yet",
}
