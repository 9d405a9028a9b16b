//! Records as events of `tracing`.

use std::cell::Cell;
use std::io;

use crate::batch::Batch;
use crate::line::parse;
use crate::record::{Event, Request};
use crate::sink::AuditSink;

/// Hands each record to `tracing`: one event `gateless.audit.record` with the target `gateless.audit`.
///
/// Its level is INFO; of signals and gaps, WARN. Its fields are `kind`, `seq` and the whole line as `record`; of a request also
/// `outcome`, `reason` (or the code of the refusal where there is no finer reason), `route` (or the gRPC method) and `status`.
///
/// Nobody says whether a subscriber kept an event, and filters may drop it: use it beside a sink that does say.
///
/// An event of this sink makes no other: should a subscriber write records while it handles one, those are left out.
///
/// ```
/// use gateless_audit::{AuditSink, Batch, TracingSink};
///
/// let mut sink = TracingSink::new();
/// sink.write(&Batch::new())?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingSink {
    _private: (),
}

impl TracingSink {
    /// A new one.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

thread_local! {
    static IS_WITHIN: Cell<bool> = const { Cell::new(false) };
}

impl AuditSink for TracingSink {
    fn name(&self) -> &'static str {
        "tracing"
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        if IS_WITHIN.replace(true) {
            return Ok(());
        }
        let _end = End;
        batch.lines().for_each(emit);
        Ok(())
    }
}

/// Also when a subscriber panics.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        IS_WITHIN.set(false);
    }
}

fn emit(line: &str) {
    let entry = parse(line).ok();
    let event = entry.as_ref().map(|entry| &entry.event);
    let seq = entry.as_ref().map(|entry| entry.seq);
    let kind = event.map(kind);
    let request: Option<&Request<'_>> = match event {
        Some(Event::Request(request)) => Some(&**request),
        _ => None,
    };
    let outcome = request.map(|request| request.outcome.name());
    let reason = request.and_then(|request| request.reason.as_deref().or(request.code.as_deref()));
    let route =
        request.and_then(|request| request.route.as_deref().or(request.grpc_method.as_deref()));
    let status = request.and_then(|request| request.status);
    if matches!(event, Some(Event::Signal(_) | Event::Gap(_))) {
        tracing::warn!(
            name: "gateless.audit.record",
            target: "gateless.audit",
            kind, seq, record = line
        );
    } else {
        tracing::info!(
            name: "gateless.audit.record",
            target: "gateless.audit",
            kind, seq, outcome, reason, route, status, record = line
        );
    }
}

/// As in a record.
pub(crate) const fn kind(event: &Event<'_>) -> &'static str {
    match event {
        Event::Start(_) => "start",
        Event::Request(_) => "request",
        Event::End(_) => "end",
        Event::Repeated(_) => "repeated",
        Event::Gap(_) => "gap",
        Event::Signal(_) => "signal",
        Event::Checkpoint(_) => "checkpoint",
        Event::Retired(_) => "retired",
        Event::Stop => "stop",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use gateless_core::Timestamp;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Level, Metadata, Subscriber};

    use super::*;
    use crate::boot::BootId;
    use crate::chain::Chain;
    use crate::record::{Gap, Outcome, Protocol};

    type Seen = (Level, &'static str, String, BTreeMap<&'static str, String>);

    /// Keeps events.
    #[derive(Clone, Default)]
    struct Keeps(Arc<Mutex<Vec<Seen>>>);

    struct Fields(BTreeMap<&'static str, String>);

    impl Visit for Fields {
        fn record_str(&mut self, field: &Field, value: &str) {
            self.0.insert(field.name(), value.to_owned());
        }

        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.0.insert(field.name(), format!("{value:?}"));
        }
    }

    impl Subscriber for Keeps {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            let mut fields = Fields(BTreeMap::new());
            event.record(&mut fields);
            let of = event.metadata();
            let seen = (*of.level(), of.name(), of.target().to_owned(), fields.0);
            self.0.lock().unwrap().push(seen);
        }
    }

    #[test]
    fn a_record_is_one_event() {
        let mut chain = Chain::new("orders-1", BootId::random());
        let (mut batch, now) = (Batch::new(), Timestamp::from_secs(1_750_000_000));
        let request = Request {
            status: Some(403),
            route: Some("/orders/{id}".into()),
            code: Some("scope_insufficient".into()),
            ..Request::new(Protocol::Http, Outcome::Denied)
        };
        let gap = Gap {
            sink: None,
            lost: 1,
            unserved: 0,
            since: now,
        };
        for event in [
            Event::Request(Box::new(request)),
            Event::Gap(gap),
            Event::Stop,
        ] {
            chain.append(event, now, Duration::ZERO, &mut batch);
        }
        let keeps = Keeps::default();
        // With a single subscriber in the process, `tracing` asks that of the thread that meets an event first: none, there.
        let _second = tracing::Dispatch::new(Keeps::default());
        tracing::subscriber::with_default(keeps.clone(), || {
            TracingSink::new().write(&batch).unwrap();
            TracingSink::new().write(&batch).unwrap();
        });
        let seen = keeps.0.lock().unwrap();
        assert_eq!(seen.len(), 6);
        let lines: Vec<_> = batch.lines().collect();
        for (at, (level, name, target, fields)) in seen.iter().take(3).enumerate() {
            let expected = if at == 1 { Level::WARN } else { Level::INFO };
            assert_eq!((*level, *name), (expected, "gateless.audit.record"));
            assert_eq!(target, "gateless.audit");
            assert_eq!(fields["record"], lines[at]);
            assert_eq!(fields["seq"], at.to_string());
        }
        let fields = &seen[0].3;
        for (field, value) in [
            ("kind", "request"),
            ("outcome", "denied"),
            ("reason", "scope_insufficient"),
            ("route", "/orders/{id}"),
            ("status", "403"),
        ] {
            assert_eq!(fields[field], value);
        }
    }

    #[test]
    fn the_kind_is_that_of_the_line() {
        let mut chain = Chain::new("orders-1", BootId::random());
        let mut batch = Batch::new();
        chain.append(Event::Stop, Timestamp::EPOCH, Duration::ZERO, &mut batch);
        let line = batch.lines().next().unwrap();
        let kind = kind(&parse(line).unwrap().event);
        assert!(line.contains(&format!("\"kind\":\"{kind}\"")), "{line}");
    }
}
