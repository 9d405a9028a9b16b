//! A thread that writes records, and how to know what it is doing.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use gateless::audit::{AuditLog, AuditSink, Batch, BootId, Durability};
use tokio::runtime::Runtime;

/// Throws all away.
#[derive(Debug)]
pub struct Nowhere;

impl AuditSink for Nowhere {
    fn name(&self) -> &'static str {
        "nowhere"
    }

    fn write(&mut self, _: &Batch) -> io::Result<()> {
        Ok(())
    }
}

/// A sink that can be made to wait, so that it is known what the thread that writes is doing.
#[derive(Debug)]
pub struct Held<S> {
    /// Where what gets through goes.
    pub sink: S,
    /// What it waits for.
    pub door: Arc<Door>,
}

/// What a [`Held`] sink waits for.
#[derive(Debug, Default)]
pub struct Door {
    state: Mutex<DoorState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct DoorState {
    is_shut: bool,
    is_waiting: bool,
    /// How many batches have passed.
    passed: u64,
}

impl Door {
    fn state(&self) -> MutexGuard<'_, DoorState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until(&self, is_so: impl Fn(&DoorState) -> bool) -> MutexGuard<'_, DoorState> {
        let state = self.changed.wait_while(self.state(), |state| !is_so(state));
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the writer stands in front of it. `send` gives it something to write.
    pub fn shut(&self, send: impl FnOnce()) {
        self.state().is_shut = true;
        send();
        drop(self.wait_until(|state| state.is_waiting));
    }

    /// Lets all through.
    pub fn open(&self) {
        self.state().is_shut = false;
        self.changed.notify_all();
    }

    /// How many batches have passed.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.state().passed
    }
}

impl<S: AuditSink> AuditSink for Held<S> {
    fn name(&self) -> &'static str {
        self.sink.name()
    }

    fn durability(&self) -> Durability {
        // The thread that writes would not be what it is held for otherwise.
        Durability::Queued
    }

    fn open(&mut self, boot: BootId) -> io::Result<Option<gateless_audit::Link>> {
        self.sink.open(boot)
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        self.door.state().is_waiting = true;
        self.door.changed.notify_all();
        let mut state = self.door.wait_until(|state| !state.is_shut);
        state.is_waiting = false;
        state.passed += 1;
        drop(state);
        self.sink.write(batch)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sink.sync()
    }
}

/// Returns when all is written. A flush by itself may be over before that, where there is more than one batch.
///
/// # Panics
///
/// When the log is closed.
pub fn flush(runtime: &Runtime, log: &AuditLog) {
    while log.handle().status().waiting > 0 {
        let flushed = runtime.block_on(log.handle().flush());
        flushed.expect("it is not closed");
    }
}

/// For waiting only.
///
/// # Panics
///
/// When there is no runtime.
#[must_use]
pub fn waiter() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime can be had")
}
