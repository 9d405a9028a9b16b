//! Records in the form of somebody else.

use std::fmt;
use std::io;

use crate::batch::Batch;
use crate::boot::BootId;
use crate::line::{self, parse};
use crate::ocsf::ocsf;
use crate::record::{Entry, Link, Retired};
use crate::sink::{AuditSink, Durability};

/// Writes records into another sink in another form: what `map` makes of each. A record of which it makes nothing is left out.
///
/// The chain is in our form alone, so nobody can verify what stands behind this. Use it beside a sink that has the records as
/// they are.
///
/// ```
/// use gateless_audit::{AuditSink, Batch, BootId, Chain, Event, Mapped, audit_channel};
/// use gateless_core::Timestamp;
///
/// let (channel, mut receiver) = audit_channel(100);
/// let mut sink = Mapped::new(channel, |entry| Some(format!("{} {}", entry.seq, entry.instance.as_str())));
///
/// let mut chain = Chain::new("orders-1", BootId::random());
/// let mut batch = Batch::new();
/// chain.append(Event::Stop, Timestamp::EPOCH, Default::default(), &mut batch);
/// sink.write(&batch)?;
/// assert_eq!(receiver.recv().unwrap().text(), "0 orders-1");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Mapped<S, F = fn(&Entry<'_>) -> Option<String>> {
    inner: S,
    map: F,
    /// Kept for its memory.
    batch: Batch,
}

impl<S, F> Mapped<S, F>
where
    S: AuditSink,
    F: FnMut(&Entry<'_>) -> Option<String> + Send + 'static,
{
    /// Writes what `map` makes of each record into `inner`. It is asked again when a batch comes again after an error, and has
    /// to say the same then. Line feeds in what it says become spaces.
    #[must_use]
    pub const fn new(inner: S, map: F) -> Self {
        Self {
            inner,
            map,
            batch: Batch::new(),
        }
    }
}

impl<S: AuditSink> Mapped<S> {
    /// Writes events of OCSF into `inner`: see [`ocsf`], which says what is left out. They are printable ASCII, as records are.
    ///
    /// ```
    /// use gateless_audit::{FileSink, Mapped};
    ///
    /// let sink = Mapped::ocsf(FileSink::new("/var/log/orders/ocsf.jsonl"));
    /// ```
    #[must_use]
    pub const fn ocsf(inner: S) -> Self {
        Self::new(inner, ocsf_line)
    }
}

fn ocsf_line(entry: &Entry<'_>) -> Option<String> {
    let event = ocsf(entry)?;
    let mut line = Vec::new();
    line::write(&event, &mut line);
    String::from_utf8(line).ok()
}

impl<S, F> AuditSink for Mapped<S, F>
where
    S: AuditSink,
    F: FnMut(&Entry<'_>) -> Option<String> + Send + 'static,
{
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn open(&mut self, boot: BootId) -> io::Result<Option<Link>> {
        self.inner.open(boot)
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        self.batch.clear();
        for line in batch.lines() {
            let mapped = parse(line).ok().and_then(|entry| (self.map)(&entry));
            match mapped {
                Some(line) if line.contains(['\n', '\r']) => {
                    self.batch.push(&line.replace(['\n', '\r'], " "));
                }
                Some(line) => self.batch.push(&line),
                None => {}
            }
        }
        if self.batch.is_empty() {
            return Ok(());
        }
        self.inner.write(&self.batch)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.inner.sync()
    }

    fn retired(&mut self) -> Option<Retired> {
        self.inner.retired()
    }

    fn lost(&mut self) -> u64 {
        self.inner.lost()
    }
}

impl<S: fmt::Debug, F> fmt::Debug for Mapped<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gateless_core::Timestamp;

    use super::*;
    use crate::chain::Chain;
    use crate::channel::audit_channel;
    use crate::record::{Event, Outcome, Protocol, Request};

    #[test]
    fn what_is_left_out_is_no_empty_line_and_what_is_mapped_is_one_line() {
        let (channel, mut receiver) = audit_channel(10);
        let mut sink = Mapped::new(channel, |entry: &Entry<'_>| match entry.seq {
            1 => None,
            seq => Some(format!("{seq}\r\n!")),
        });
        let mut chain = Chain::new("orders-1", BootId::random());
        let mut batch = Batch::new();
        for _ in 0..3 {
            chain.append(Event::Stop, Timestamp::EPOCH, Duration::ZERO, &mut batch);
        }
        batch.push("not a record");
        sink.write(&batch).unwrap();
        assert_eq!(receiver.recv().unwrap().text(), "0  !");
        assert_eq!(receiver.recv().unwrap().text(), "2  !");
        drop(sink);
        assert!(receiver.recv().is_none());
    }

    #[test]
    fn tl_01_an_event_of_ocsf_is_printable_ascii() {
        let (channel, mut receiver) = audit_channel(10);
        let mut chain = Chain::new("orders-1", BootId::random());
        let mut batch = Batch::new();
        let request = Request {
            subject: Some("a\u{202e}b\u{2028}\n".into()),
            ..Request::new(Protocol::Http, Outcome::Allowed)
        };
        let event = Event::Request(Box::new(request));
        chain.append(event, Timestamp::EPOCH, Duration::ZERO, &mut batch);
        Mapped::ocsf(channel).write(&batch).unwrap();
        let line = receiver.recv().unwrap();
        let event: serde_json::Value = serde_json::from_str(line.text()).unwrap();
        assert_eq!(event["class_uid"], 6003);
        assert!(line.text().contains("\\u202e"), "{}", line.text());
        assert!(line.text().bytes().all(|byte| matches!(byte, b' '..=b'~')));
    }
}
