//! What a record says.

mod request;
mod signal;
mod text;
pub(crate) mod time;

use gateless_core::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::request::{
    EndKind, Flag, LimitResult, Limited, Outcome, Protocol, Request, TokenFound,
};
pub use self::signal::{Signal, SignalKind};
pub use self::text::Text;
use crate::boot::BootId;
use crate::checkpoint::Checkpoint;
use crate::hash::LineHash;

/// One record: what happened, when, where, and its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry<'a> {
    /// The version of this format: [`Entry::VERSION`].
    #[serde(rename = "v")]
    pub version: u32,
    /// The number of the record in its chain. The first is 0, and none is left out.
    pub seq: u64,
    /// When it happened, by the clock of the machine. That clock can be set; `seq` and `up_us` cannot.
    #[serde(with = "time")]
    pub time: Timestamp,
    /// How long the process had been running, in microseconds, by a clock that never goes back.
    pub up_us: u64,
    /// Which instance of the service it was.
    #[serde(borrow)]
    pub instance: Text<'a>,
    /// Which run of it.
    pub boot: BootId,
    /// What happened. Its `kind` says which of them it is.
    #[serde(flatten, borrow)]
    pub event: Event<'a>,
    /// The hash of the line before; of the first line, zero.
    pub prev: LineHash,
}

impl Entry<'_> {
    /// The version of the format that this crate writes.
    pub const VERSION: u32 = 1;
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event<'a> {
    /// A process began to write.
    #[serde(borrow)]
    Start(Start<'a>),
    /// A request was decided on.
    #[serde(borrow)]
    Request(Box<Request<'a>>),
    /// The response of an earlier request has ended, or never left.
    End(End),
    /// The same as an earlier request happened again.
    Repeated(Repeated),
    /// Records are missing, or requests were not served, as the sink was slow or away.
    #[serde(borrow)]
    Gap(Gap<'a>),
    /// Something that an operator has to hear about.
    #[serde(borrow)]
    Signal(Signal<'a>),
    /// All that was written before is signed.
    Checkpoint(Checkpoint),
    /// Old files were deleted, as retention says.
    Retired(Retired),
    /// The process ended in an orderly way. Nothing comes after it but a checkpoint.
    Stop,
}

/// A process began to write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start<'a> {
    /// The version of gateless.
    #[serde(borrow)]
    pub software: Text<'a>,
    /// Which key names callers and tokens.
    #[serde(borrow)]
    pub pseudonyms: Text<'a>,
    /// Which key signs checkpoints, if there are any.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub seal: Option<Text<'a>>,
    /// After how many seconds at most another checkpoint comes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heartbeat_secs: Option<u64>,
    /// What was written last in the same place by an earlier run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous: Option<Link>,
}

/// One line of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Whose chain it is.
    pub boot: BootId,
    /// The number of the record.
    pub seq: u64,
    /// The hash of the line.
    pub hash: LineHash,
}

/// The response of an earlier request has ended. Written only where the record of the request was written before that: see
/// [`Durability`](crate::Durability).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The number of the request's record.
    pub of: u64,
    /// How it ended.
    pub end: EndKind,
    /// The gRPC status, where it came in the trailers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grpc_status: Option<u16>,
    /// How many bytes of the body were handed on.
    pub sent_bytes: u64,
    /// How long the whole request took, in microseconds.
    pub duration_us: u64,
}

/// Requests that were the same as an earlier one in all that is recorded but time and trace, and were refused as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeated {
    /// The number of the record of the first of them.
    pub of: u64,
    /// How many there were since then, or since the last such record.
    pub count: u64,
    /// When the first of these was.
    #[serde(with = "time")]
    pub first: Timestamp,
    /// When the last of these was.
    #[serde(with = "time")]
    pub last: Timestamp,
    /// Whether they came from several places, so that there were too many kinds of them to tell apart.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_mixed: bool,
}

/// Records are missing, or requests were not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap<'a> {
    /// The sink that lost records which are in this chain; none where the chain itself lacks them.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub sink: Option<Text<'a>>,
    /// Requests that were served and have no record; of another sink, records.
    pub lost: u64,
    /// Requests that were not served, as they could not be recorded: they got 503, or their client did not wait.
    pub unserved: u64,
    /// When that began.
    #[serde(with = "time")]
    pub since: Timestamp,
}

/// Old files were deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// How many.
    pub files: u64,
    /// The last line of the newest of them.
    pub through: Link,
}
