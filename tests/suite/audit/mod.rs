//! TL: what is recorded of requests, by the layer alone and on whole pipelines.

mod answers;
#[cfg(unix)]
mod files;
mod flood;
mod identity;
#[cfg(unix)]
mod kill;
mod pressure;
mod served;
mod streams;
mod texts;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use gateless::audit::{
    AuditLog, AuditLogBuilder, AuditSink, Backpressure, Batch, Durability, SealKey,
};
use gateless_testkit::FakeClock;
use http::{Request, Response};
use serde_json::Value;
use tower::{Layer, Service, ServiceExt as _};

/// A sink in memory, that does what a disk does at its worst.
#[derive(Clone)]
pub(crate) struct Shelf(Arc<Inner>);

struct Inner {
    durability: Durability,
    lines: Mutex<Vec<String>>,
    fails: AtomicBool,
    is_stuck: Mutex<bool>,
    freed: Condvar,
    writes: AtomicU64,
    syncs: AtomicU64,
}

impl Shelf {
    pub(crate) fn new() -> Self {
        Self::with(Durability::Queued)
    }

    pub(crate) fn with(durability: Durability) -> Self {
        Self(Arc::new(Inner {
            durability,
            lines: Mutex::default(),
            fails: AtomicBool::new(false),
            is_stuck: Mutex::new(false),
            freed: Condvar::new(),
            writes: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
        }))
    }

    /// From now on, each write fails, or does not.
    pub(crate) fn fail(&self, fails: bool) {
        self.0.fails.store(fails, Ordering::SeqCst);
    }

    /// From now on, each write waits, or goes on.
    pub(crate) fn stick(&self, is_stuck: bool) {
        *self.0.is_stuck.lock().unwrap() = is_stuck;
        self.0.freed.notify_all();
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lines.lock().unwrap().clone()
    }

    pub(crate) fn records(&self) -> Vec<Value> {
        let lines = self.lines();
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Value> {
        let mut records = self.records();
        records.retain(|record| record["kind"] == kind);
        records
    }
}

impl AuditSink for Shelf {
    fn name(&self) -> &'static str {
        "shelf"
    }

    fn durability(&self) -> Durability {
        self.0.durability
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        self.0.writes.fetch_add(1, Ordering::SeqCst);
        let stuck = self.0.is_stuck.lock().unwrap();
        drop(self.0.freed.wait_while(stuck, |stuck| *stuck).unwrap());
        if self.0.fails.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let lines = batch.lines().map(str::to_owned);
        self.0.lines.lock().unwrap().extend(lines);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// An audit layer over a shelf, on a clock that stands still.
pub(crate) struct World {
    pub(crate) clock: FakeClock,
    pub(crate) shelf: Shelf,
    pub(crate) audit: AuditLog,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(Shelf::new(), Backpressure::FailRequest, |builder| builder)
    }

    pub(crate) fn of(
        shelf: Shelf,
        backpressure: Backpressure,
        set: impl FnOnce(AuditLogBuilder) -> AuditLogBuilder,
    ) -> Self {
        let clock = FakeClock::new();
        let builder = AuditLog::builder("orders-1", shelf.clone(), backpressure)
            .clock(Arc::new(clock.clone()))
            .seal(SealKey::random());
        Self {
            clock,
            shelf,
            audit: set(builder).build().unwrap(),
        }
    }

    /// All records of a kind, when what was handed over is written.
    pub(crate) async fn written(&self, kind: &str) -> Vec<Value> {
        self.audit.handle().flush().await.unwrap();
        self.shelf.of_kind(kind)
    }

    /// The record of the only request.
    pub(crate) async fn only(&self) -> Value {
        let records = self.written("request").await;
        assert_eq!(records.len(), 1, "{records:#?}");
        records.into_iter().next().unwrap()
    }
}

/// Waits in real time until `is_true`, which it soon is.
pub(crate) async fn eventually(what: &str, is_true: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !is_true() {
        assert!(begin.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
