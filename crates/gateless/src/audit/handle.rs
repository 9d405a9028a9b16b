//! What a service asks of its audit layer while it runs.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateless_audit::{BootId, PseudonymKey};
use tokio::sync::oneshot;

use super::Log;
use super::service::within;

/// A running audit layer: how it stands, and its orderly end. Cloning is a reference count.
#[derive(Clone)]
pub struct AuditHandle(pub(super) Arc<Log>);

/// How an audit layer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditStatus {
    /// Whether records are written: `false` while the sink fails, and after the end.
    pub is_writing: bool,
    /// How many records are not written yet, with those of requests that are under way.
    pub waiting: usize,
    /// How many there may be.
    pub capacity: usize,
    /// Whether it has been closed.
    pub is_closed: bool,
}

/// Not everything was written when the time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not all records were written in time")]
pub struct Unwritten;

/// Longer than anybody waits.
const A_YEAR: Duration = Duration::from_secs(365 * 86_400);

/// How much longer than it was told to a writer may take that does not hang.
const GRACE: Duration = Duration::from_secs(1);

impl AuditHandle {
    /// How it stands. For probes: a service that must not serve without records is not ready while it cannot write any.
    #[must_use]
    pub fn status(&self) -> AuditStatus {
        let queue = &self.0.queue;
        AuditStatus {
            is_writing: !queue.is_down(),
            waiting: queue.taken(),
            capacity: queue.capacity(),
            is_closed: queue.is_closing(),
        }
    }

    /// Which run of the process this is.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.0.boot
    }

    /// The key that names callers and tokens: to ask whether one was there.
    #[must_use]
    pub fn pseudonyms(&self) -> &PseudonymKey {
        &self.0.naming.key
    }

    /// Returns when everything is written that was handed over before, with counts of what was folded.
    ///
    /// # Errors
    ///
    /// [`Unwritten`] after [`close`](Self::close).
    pub async fn flush(&self) -> Result<(), Unwritten> {
        let (done, written) = oneshot::channel();
        self.0.queue.order(|orders| orders.flushes.push(done));
        // Put there after all was thrown away, it would wait for nobody.
        if self.0.queue.is_closed() {
            self.0.queue.orders().flushes.clear();
        }
        written.await.map_err(|_| Unwritten)
    }

    /// Writes what is left, the last checkpoint, and that this is the end; then nothing is written any more. Call it when
    /// the server has stopped: requests that come later are treated as when the sink is away.
    ///
    /// Without it the last records of a process that ends may be missing, and the log looks as if it was cut.
    ///
    /// # Errors
    ///
    /// [`Unwritten`] when that took longer than `at_most`, as the sink failed or hangs. Asked again, it says the same again.
    pub async fn close(&self, at_most: Duration) -> Result<(), Unwritten> {
        let queue = &self.0.queue;
        let (done, closed) = oneshot::channel();
        let until = Instant::now().checked_add(at_most);
        let until = until.unwrap_or_else(|| Instant::now() + A_YEAR);
        queue.order(|orders| {
            orders.closing.get_or_insert(until);
            orders.closers.push(done);
        });
        if queue.is_closed() {
            queue.close(queue.is_complete());
        }
        // A sink that hangs does not come back to look at the time.
        match within(at_most.saturating_add(GRACE), closed).await {
            Some(Ok(true)) => Ok(()),
            _ => Err(Unwritten),
        }
    }
}

impl fmt::Debug for AuditHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuditHandle").field(&self.0).finish()
    }
}
