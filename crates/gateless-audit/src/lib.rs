//! Records of what gateless decided, so that they can be trusted later.
//!
//! A service writes them with the layer `AuditLog` of gateless. This crate is what both the layer and a reader know: what a
//! record says ([`Event`]), how records are chained and signed ([`Chain`], [`Checkpoint`]), how callers are named without
//! naming them ([`PseudonymKey`]), and where records go ([`AuditSink`]).
//!
//! A record is one line of JSON, in printable ASCII: whatever a token or a client says cannot end a line, colour a terminal or
//! turn the direction of a text.

mod also;
mod batch;
mod boot;
mod chain;
mod channel;
mod checkpoint;
mod clock;
mod file;
pub mod file_name;
mod hash;
mod line;
mod mapped;
mod merkle;
mod pseudonym;
mod record;
mod seal;
mod sink;
mod stdout;
mod tracing_sink;

pub use also::Aside;
pub use batch::Batch;
pub use boot::BootId;
pub use chain::Chain;
pub use channel::{AuditLine, AuditReceiver, ChannelSink, NoLine, audit_channel};
pub use checkpoint::Checkpoint;
pub use file::FileSink;
pub use hash::LineHash;
pub use line::{Unreadable, parse};
pub use mapped::Mapped;
pub use pseudonym::{InvalidKey, PseudonymKey};
pub use record::{
    End, EndKind, Entry, Event, Flag, Gap, LimitResult, Limited, Link, Outcome, Protocol, Repeated,
    Request, Retired, Signal, SignalKind, Start, Text, TokenFound,
};
pub use seal::{InvalidSeal, SealKey, SealPublicKey};
pub use sink::{AuditSink, Durability};
pub use stdout::StdoutSink;
pub use tracing_sink::TracingSink;
