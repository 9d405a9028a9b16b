//! Records of what gateless decided, so that they can be trusted later.
//!
//! A service writes them with the layer `AuditLog` of gateless. This crate is what both the layer and a reader know: what a
//! record says ([`Event`]), how records are chained and signed ([`Chain`], [`Checkpoint`]), how callers are named without
//! naming them ([`PseudonymKey`]), and where records go ([`AuditSink`]).
//!
//! A record is one line of JSON, in printable ASCII: whatever a token or a client says cannot end a line, colour a terminal or
//! turn the direction of a text.

mod batch;
mod boot;
mod chain;
mod checkpoint;
mod hash;
mod line;
mod merkle;
mod pseudonym;
mod record;
mod seal;
mod sink;

pub use batch::Batch;
pub use boot::BootId;
pub use chain::Chain;
pub use checkpoint::Checkpoint;
pub use hash::LineHash;
pub use line::{Unreadable, parse};
pub use pseudonym::{InvalidKey, PseudonymKey};
pub use record::{
    End, EndKind, Entry, Event, Flag, Gap, LimitResult, Limited, Link, Outcome, Protocol, Repeated,
    Request, Retired, Signal, SignalKind, Start, Text, TokenFound,
};
pub use seal::{InvalidSeal, SealKey, SealPublicKey};
pub use sink::{AuditSink, Durability};
