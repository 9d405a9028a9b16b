//! In front of a log that others keep: what it cannot take now is kept on this machine until it can.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateless_core::{
    Appended, Clock, LogPosition, LogTail, Monotonic, RevocationChange, RevocationId,
    RevocationLog, RevocationRecord, StoreError, StoreFuture,
};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::sealed::{Fault, Kind, RevocationFileError, SealedFile};
use crate::clock::SystemClock;

/// How many changes are put into the log at once when it is back.
const MAX_DRAINED: usize = 512;

/// A log that is allowed to be away: revocations are kept in a file until it is back.
///
/// An append goes to the inner log. When that fails, or takes longer than the deadline, the changes are written to the
/// file, and [`Appended::Queued`] is the answer: this machine will not forget them, and nobody else knows of them yet. What
/// is queued is put into the inner log, in its order, by the appends and follows that come later; a denylist follows
/// all the time. Nothing overtakes it: while something is queued, an append is queued behind it.
///
/// A change can reach the inner log twice, as it is not known whether a call that failed had its effect. Of revocations that
/// does no harm. What was taken back meanwhile on another machine is then revoked again.
///
/// The file is like that of a [`RevocationFile`](super::RevocationFile): durable when the append is done, for one process,
/// and refused when it is damaged.
///
/// ```
/// # use std::sync::Arc;
/// use gateless::denylist::{RevocationFile, RevocationOutbox};
///
/// # let directory = std::env::temp_dir().join(format!("gateless-doc-outbox-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// // One that a fleet shares, in its place.
/// let shared = Arc::new(RevocationFile::open(directory.join("shared"))?);
/// let log = RevocationOutbox::builder(shared, directory.join("outbox")).open()?;
/// assert_eq!(log.queued(), 0);
/// # drop(log);
/// # std::fs::remove_dir_all(directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RevocationOutbox {
    log: Arc<dyn RevocationLog>,
    queue: Arc<Queue>,
    deadline: Duration,
    clock: Box<dyn Clock>,
    /// Held by whoever moves changes from the queue to the log, and by whoever must not have them moved.
    moving: tokio::sync::Mutex<()>,
    failed_at: Mutex<Option<Monotonic>>,
}

/// The settings of a [`RevocationOutbox`].
#[derive(Debug)]
#[must_use]
pub struct RevocationOutboxBuilder {
    log: Arc<dyn RevocationLog>,
    path: PathBuf,
    deadline: Duration,
    capacity: usize,
    clock: Box<dyn Clock>,
}

impl RevocationOutboxBuilder {
    /// How long an append waits for the inner log. Two seconds by default: somebody waits for the answer.
    ///
    /// For as long again after a failure appends do not ask the inner log at all.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How many changes are queued at most; further appends fail then. 100,000 by default, some tens of megabytes.
    pub const fn capacity(mut self, changes: usize) -> Self {
        self.capacity = changes;
        self
    }

    /// Another clock.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Opens the file, or makes it. Reads and checks all of it, on the thread that calls it.
    ///
    /// # Errors
    ///
    /// [`RevocationFileError`] when it is open elsewhere, damaged, or out of reach. Each names the path.
    pub fn open(self) -> Result<RevocationOutbox, RevocationFileError> {
        let Self {
            log,
            path,
            deadline,
            capacity,
            clock,
        } = self;
        Ok(RevocationOutbox {
            log,
            queue: Arc::new(Queue::open(&path, capacity)?),
            deadline,
            clock,
            moving: tokio::sync::Mutex::new(()),
            failed_at: Mutex::new(None),
        })
    }
}

impl RevocationOutbox {
    /// Puts a file at `path` in front of `log`.
    pub fn builder(
        log: Arc<dyn RevocationLog>,
        path: impl Into<PathBuf>,
    ) -> RevocationOutboxBuilder {
        RevocationOutboxBuilder {
            log,
            path: path.into(),
            deadline: Duration::from_secs(2),
            capacity: 100_000,
            clock: Box::new(SystemClock::new()),
        }
    }

    /// How many changes wait for the inner log.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether the inner log took the changes. When it did not, why is written to the log of the program.
    async fn offer(&self, changes: &[RevocationChange]) -> Option<Appended> {
        let problem = match timeout(self.deadline, self.log.append(changes)).await {
            Ok(Ok(appended)) => {
                *self.failed_at() = None;
                return Some(appended);
            }
            Ok(Err(error)) => error,
            Err(elapsed) => StoreError::new(elapsed),
        };
        let problem = std::error::Error::source(&problem).map(ToString::to_string);
        tracing::warn!(
            problem,
            "the log of revocations is away: changes are queued"
        );
        *self.failed_at() = Some(self.clock.monotonic());
        None
    }

    /// Puts what is queued into the inner log, from the front. Tells whether nothing is left.
    async fn drain(&self) -> Result<bool, StoreError> {
        loop {
            let queue = Arc::clone(&self.queue);
            let (keys, changes) = blocking(move || queue.front()).await?;
            if changes.is_empty() {
                return Ok(true);
            }
            if self.offer(&changes).await.is_none() {
                return Ok(false);
            }
            let queue = Arc::clone(&self.queue);
            blocking(move || queue.remove(keys)).await?;
        }
    }

    /// Whether the inner log may be asked: nothing is queued that would be overtaken.
    async fn is_clear(&self) -> Result<bool, StoreError> {
        if self.queue.len() == 0 {
            return Ok(true);
        }
        let failed_at = *self.failed_at();
        if failed_at.is_some_and(|at| self.clock.monotonic().since(at) < self.deadline) {
            return Ok(false);
        }
        match self.moving.try_lock() {
            Ok(_moving) => self.drain().await,
            Err(_) => Ok(false),
        }
    }

    fn failed_at(&self) -> MutexGuard<'_, Option<Monotonic>> {
        self.failed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl RevocationLog for RevocationOutbox {
    fn append<'a>(&'a self, changes: &'a [RevocationChange]) -> StoreFuture<'a, Appended> {
        Box::pin(async move {
            if self.is_clear().await?
                && let Some(appended) = self.offer(changes).await
            {
                return Ok(appended);
            }
            let (queue, changes) = (Arc::clone(&self.queue), changes.to_vec());
            blocking(move || queue.push(&changes)).await?;
            Ok(Appended::Queued)
        })
    }

    fn load<'a>(
        &'a self,
        sink: &'a mut (dyn FnMut(&[RevocationRecord]) + Send),
    ) -> StoreFuture<'a, LogPosition> {
        Box::pin(async move {
            // Nothing may move while both are read: a change that was taken back could be missed, or be taken back twice.
            let _moving = self.moving.lock().await;
            let queue = Arc::clone(&self.queue);
            let queued = blocking(move || queue.all()).await?;
            let queued = on_top(&queued);
            let mut inner = |records: &[RevocationRecord]| {
                let is_left = |record: &&RevocationRecord| {
                    queued
                        .get(&record.id())
                        .is_none_or(|change| !change.is_taken_back)
                };
                let left: Vec<_> = records.iter().filter(is_left).copied().collect();
                sink(&left);
            };
            let position = self.log.load(&mut inner).await?;
            let records: Vec<_> = queued.values().filter_map(|change| change.record).collect();
            if !records.is_empty() {
                sink(&records);
            }
            Ok(position)
        })
    }

    fn follow<'a>(&'a self, position: &'a LogPosition, wait: Duration) -> StoreFuture<'a, LogTail> {
        Box::pin(async move {
            if self.queue.len() > 0 {
                let _moving = self.moving.lock().await;
                self.drain().await?;
            }
            self.log.follow(position, wait).await
        })
    }
}

impl fmt::Debug for RevocationOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationOutbox")
            .field("log", &self.log)
            .field("queued", &self.queued())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// What the changes that are queued come to, for one id.
#[derive(Default)]
struct OnTop {
    /// Whatever the inner log has is void.
    is_taken_back: bool,
    record: Option<RevocationRecord>,
}

fn on_top(changes: &[RevocationChange]) -> HashMap<RevocationId, OnTop> {
    let mut all: HashMap<_, OnTop> = HashMap::new();
    for change in changes {
        let on_top = all.entry(change.id()).or_default();
        if let RevocationChange::Revoke(new) = change {
            let merged = on_top.record.and_then(|old| old.merge(new));
            on_top.record = merged.or(Some(*new));
        } else {
            *on_top = OnTop {
                is_taken_back: true,
                record: None,
            };
        }
    }
    all
}

/// The file: changes under ascending numbers.
struct Queue {
    file: SealedFile,
    capacity: usize,
    /// Held from reading `keys` until the file and they say the same again.
    writing: Mutex<()>,
    /// The numbers of what is in it. There may be none behind the last of them, where writing failed.
    keys: Mutex<Range<u64>>,
}

impl Queue {
    fn open(path: &Path, capacity: usize) -> Result<Self, RevocationFileError> {
        let file = SealedFile::open(path, Kind::Outbox)?;
        let mut keys: Option<Range<u64>> = None;
        file.read(|key, value| {
            let (key, _) = entry(key, value)?;
            let start = keys.as_ref().map_or(key, |keys| keys.start);
            keys = Some(start..key.saturating_add(1));
            Ok(true)
        })?;
        Ok(Self {
            file,
            capacity,
            writing: Mutex::new(()),
            keys: Mutex::new(keys.unwrap_or_default()),
        })
    }

    fn keys(&self) -> MutexGuard<'_, Range<u64>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn len(&self) -> usize {
        let keys = self.keys();
        usize::try_from(keys.end.saturating_sub(keys.start)).unwrap_or(usize::MAX)
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, changes: &[RevocationChange]) -> Result<(), StoreError> {
        let _writing = self.writing();
        let pushed = self.file.write(|batch| {
            let count = usize::try_from(batch.count()).unwrap_or(usize::MAX);
            if count.saturating_add(changes.len()) > self.capacity {
                return Ok(false);
            }
            let mut keys = self.keys();
            for change in changes {
                // Used up even when writing fails: it is not known then what is in the file.
                batch.put(&keys.end.to_be_bytes(), &change.to_bytes())?;
                keys.end = keys.end.saturating_add(1);
            }
            Ok(true)
        });
        match pushed {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::new(format!(
                "the log of revocations is away, and the outbox is full with {} changes",
                self.capacity
            ))),
            Err(error) => Err(StoreError::new(error)),
        }
    }

    /// The oldest changes, and their keys.
    fn front(&self) -> Result<(Range<u64>, Vec<RevocationChange>), StoreError> {
        let _writing = self.writing();
        let front = self.read(MAX_DRAINED)?;
        if front.1.is_empty() {
            let mut keys = self.keys();
            keys.start = keys.end;
        }
        Ok(front)
    }

    fn all(&self) -> Result<Vec<RevocationChange>, StoreError> {
        self.read(usize::MAX).map(|(_, changes)| changes)
    }

    fn read(&self, most: usize) -> Result<(Range<u64>, Vec<RevocationChange>), StoreError> {
        let mut keys = 0..0;
        let mut changes = Vec::new();
        let read = self.file.read(|key, value| {
            let (key, change) = entry(key, value)?;
            if changes.is_empty() {
                keys.start = key;
            }
            keys.end = key + 1;
            changes.push(change);
            Ok(changes.len() < most)
        });
        read.map_err(StoreError::new)?;
        Ok((keys, changes))
    }

    fn remove(&self, keys: Range<u64>) -> Result<(), StoreError> {
        let _writing = self.writing();
        let removed = self.file.write(|batch| {
            keys.clone()
                .try_for_each(|key| batch.remove(&key.to_be_bytes()))
        });
        removed.map_err(StoreError::new)?;
        self.keys().start = keys.end;
        Ok(())
    }
}

fn entry(key: &[u8], value: &[u8]) -> Result<(u64, RevocationChange), Fault> {
    let key = key.try_into().map(u64::from_be_bytes).ok();
    key.zip(RevocationChange::from_bytes(value))
        .ok_or_else(|| Fault::damaged("an entry is no change"))
}

/// Work on the file, on a thread that may wait for a disk. It is done also when nobody waits for it any more.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let runtime = Handle::try_current().map_err(StoreError::new)?;
    runtime
        .spawn_blocking(work)
        .await
        .map_err(StoreError::new)?
}
