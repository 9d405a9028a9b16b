//! Where records go.

use std::io;

use crate::batch::Batch;
use crate::boot::BootId;
use crate::record::{Link, Retired};

/// Takes records. One thread owns it, calls it with one batch after the other, and may wait in it: no request does.
///
/// ```
/// use std::io;
/// use std::sync::mpsc::Sender;
///
/// use gateless_audit::{AuditSink, Batch};
///
/// /// Hands each line to somebody else.
/// struct Forward(Sender<String>);
///
/// impl AuditSink for Forward {
///     fn name(&self) -> &'static str {
///         "forward"
///     }
///
///     fn write(&mut self, batch: &Batch) -> io::Result<()> {
///         for line in batch.lines() {
///             self.0.send(line.to_owned()).map_err(io::Error::other)?;
///         }
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no place for audit records",
    label = "writes no records",
    note = "`FileSink`, `StdoutSink`, `TracingSink` and `ChannelSink` are, and what implements `AuditSink`",
    note = "what opening it returns is a `Result`: is a `?` missing?"
)]
pub trait AuditSink: Send + 'static {
    /// What it is called in events and metrics: `file`, `stdout`.
    fn name(&self) -> &'static str;

    /// How safe a record is before a response leaves. [`Durability::Queued`] by default.
    fn durability(&self) -> Durability {
        Durability::Queued
    }

    /// Called once, before anything is written. Says what was written last by an earlier run, where that is known.
    ///
    /// # Errors
    ///
    /// When it cannot be written to. The layer is not built then.
    fn open(&mut self, boot: BootId) -> io::Result<Option<Link>> {
        let _ = boot;
        Ok(None)
    }

    /// Writes all of a batch or, after an error, nothing of it: the same batch comes again.
    ///
    /// # Errors
    ///
    /// When it could not be written.
    fn write(&mut self, batch: &Batch) -> io::Result<()>;

    /// Returns when all that was written would survive a loss of power.
    ///
    /// # Errors
    ///
    /// When that is not certain.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What retention has deleted since this was asked last: it becomes a record, so that it does not look like tampering.
    fn retired(&mut self) -> Option<Retired> {
        None
    }

    /// How many lines it has taken and then given up since this was asked last: somebody behind it refused them for good.
    fn lost(&mut self) -> u64 {
        0
    }
}

impl AuditSink for Box<dyn AuditSink> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn durability(&self) -> Durability {
        (**self).durability()
    }

    fn open(&mut self, boot: BootId) -> io::Result<Option<Link>> {
        (**self).open(boot)
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        (**self).write(batch)
    }

    fn sync(&mut self) -> io::Result<()> {
        (**self).sync()
    }

    fn retired(&mut self) -> Option<Retired> {
        (**self).retired()
    }

    fn lost(&mut self) -> u64 {
        (**self).lost()
    }
}

/// How safe a record is before the response to its request leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// It is in the memory of the process: what a `kill -9` takes with it is some milliseconds of records.
    #[default]
    Queued,
    /// It is with the operating system: it survives the process, and not a loss of power.
    Written,
    /// It is on the disk. Requests that come at the same time share one `fsync`.
    Synced,
}
