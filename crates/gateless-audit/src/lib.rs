//! Records of what gateless decided, so that they can be trusted later.
//!
//! A service writes them with the layer `AuditLog` of gateless. This crate is what both the layer and a reader know: what a
//! record says ([`Event`]), how records are chained and signed ([`Chain`], [`Checkpoint`]), how callers are named without
//! naming them ([`PseudonymKey`]), and where records go ([`AuditSink`]).
//!
//! | to | see |
//! |---|---|
//! | check a log | [`verify`], or the tool `gateless-audit verify` |
//! | show one record to somebody | [`verify::prove`], [`verify::Proof`] |
//! | know what a field means | [`format`](mod@format) |
//! | hand records to a system that reads OCSF | [`ocsf()`], [`Mapped::ocsf`] |
//! | keep records in files, or send them elsewhere | [`FileSink`], [`StdoutSink`], [`TracingSink`], [`audit_channel`], [`Aside`] |
//! | find the files of a log | [`file_name`] |
//!
//! A record is one line of JSON, in printable ASCII: whatever a token or a client says cannot end a line, colour a terminal or
//! turn the direction of a text.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod also;
mod batch;
mod boot;
mod chain;
mod channel;
mod checkpoint;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod clock;
mod file;
pub mod file_name;
pub mod format;
mod hash;
mod line;
#[cfg(any(feature = "cli", test))]
mod lines;
mod mapped;
mod merkle;
mod ocsf;
#[cfg(feature = "otlp")]
mod otlp;
mod pseudonym;
mod record;
mod seal;
mod sink;
mod stdout;
mod tracing_sink;
pub mod verify;

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
pub use ocsf::{OCSF_VERSION, ocsf};
#[cfg(feature = "otlp")]
#[cfg_attr(docsrs, doc(cfg(feature = "otlp")))]
pub use otlp::OtlpSink;
pub use pseudonym::{InvalidKey, PseudonymKey};
pub use record::{
    End, EndKind, Entry, Event, Flag, Gap, LimitResult, Limited, Link, Outcome, Protocol, Repeated,
    Request, Retired, Signal, SignalKind, Start, Text, TokenFound,
};
pub use seal::{InvalidSeal, SealKey, SealPublicKey};
pub use sink::{AuditSink, Durability};
pub use stdout::StdoutSink;
pub use tracing_sink::TracingSink;
