//! In a process of its own: only a subscriber of the whole process is called from within itself.

use std::sync::atomic::{AtomicUsize, Ordering};

use gateless_audit::{AuditSink as _, Batch, TracingSink};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static EVENTS: AtomicUsize = AtomicUsize::new(0);

/// Writes a record about each event that it sees.
struct Eager;

impl Subscriber for Eager {
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

    fn event(&self, _: &Event<'_>) {
        let events = EVENTS.fetch_add(1, Ordering::Relaxed);
        assert!(events < 100, "events make events");
        write();
    }
}

fn write() {
    let mut batch = Batch::new();
    batch.push("a record");
    let written = TracingSink::new().write(&batch);
    assert!(written.is_ok());
}

#[test]
fn an_event_of_a_record_makes_no_other_record() {
    tracing::subscriber::set_global_default(Eager).unwrap();
    write();
    write();
    assert_eq!(EVENTS.load(Ordering::Relaxed), 2);
}
