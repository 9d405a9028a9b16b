//! In front of a log that others keep: what it cannot take now is kept on this machine until it can.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateless_core::{
    Appended, Clock, LogPosition, LogTail, Monotonic, RevocationChange, RevocationLog,
    RevocationRecord, StoreError, StoreFuture,
};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::sealed::{Fault, Kind, RevocationFileError, SealedFile};
use super::sync::innermost;
use crate::clock::SystemClock;

/// How many changes are put into the log at once when it is back.
const MAX_DRAINED: usize = 512;

/// A log that is allowed to be away: revocations are kept in a file until it is back.
///
/// An append goes to the inner log. When that fails, or takes longer than the deadline, the revocations are written to the
/// file, and [`Appended::Queued`] is the answer: this machine will not forget them, and nobody else knows of them yet. What
/// is queued is put into the inner log, in its order, by the appends and follows that come later; a denylist follows
/// all the time. Nothing overtakes it: while something is queued, an append is queued behind it.
///
/// A revocation can reach the inner log twice, as it is not known whether a call that failed had its effect. That does no
/// harm, except that what was taken back meanwhile on another machine is then revoked again.
///
/// Nothing is taken back later, as that could undo a newer revocation of another machine: an append with
/// [`RevocationChange::Unrevoke`] in it goes to the inner log, or fails as a whole. It also fails while revocations are
/// queued that the inner log does not take. One that failed may have had its effect.
///
/// The file is like that of a [`RevocationFile`](super::RevocationFile): durable when the append is done, for one process,
/// and refused when it is damaged.
///
/// ```
/// use gateless::denylist::{RevocationFile, RevocationOutbox};
///
/// # let directory = std::env::temp_dir().join(format!("gateless-doc-outbox-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// // One that a fleet shares, in its place.
/// let shared = RevocationFile::open(directory.join("shared"))?;
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
    clock: Arc<dyn Clock>,
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
    clock: Arc<dyn Clock>,
}

impl RevocationOutboxBuilder {
    /// How long an append waits for the inner log. Two seconds by default: somebody waits for the answer. Where something is
    /// queued, putting that there first may take as long again.
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
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
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
    pub fn builder(log: impl RevocationLog, path: impl Into<PathBuf>) -> RevocationOutboxBuilder {
        RevocationOutboxBuilder {
            log: Arc::new(log),
            path: path.into(),
            deadline: Duration::from_secs(2),
            capacity: 100_000,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// How many changes wait for the inner log.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Puts changes into the inner log, within the deadline.
    async fn offer(&self, changes: &[RevocationChange]) -> Result<Appended, StoreError> {
        let offered = timeout(self.deadline, self.log.append(changes)).await;
        let offered = offered.unwrap_or_else(|elapsed| Err(StoreError::new(elapsed)));
        *self.failed_at() = offered.is_err().then(|| self.clock.monotonic());
        offered
    }

    /// Puts what is queued into the inner log, from the front. Tells whether nothing is left.
    async fn drain(&self) -> Result<bool, StoreError> {
        loop {
            let queue = Arc::clone(&self.queue);
            let (keys, records) = blocking(move || queue.front()).await?;
            if records.is_empty() {
                return Ok(true);
            }
            let changes: Vec<_> = records.into_iter().map(RevocationChange::Revoke).collect();
            if let Err(error) = self.offer(&changes).await {
                warn(&error);
                return Ok(false);
            }
            let queue = Arc::clone(&self.queue);
            blocking(move || queue.remove(keys)).await?;
        }
    }

    /// Whether the inner log may be asked: nothing is queued that would be overtaken. Takes no longer than the deadline,
    /// however much is queued: a follower puts all of it there.
    async fn is_clear(&self) -> Result<bool, StoreError> {
        if self.queue.len() == 0 {
            return Ok(true);
        }
        let failed_at = *self.failed_at();
        if failed_at.is_some_and(|at| self.clock.monotonic().since(at) < self.deadline) {
            return Ok(false);
        }
        match self.moving.try_lock() {
            Ok(_moving) => {
                let drained = timeout(self.deadline, self.drain()).await;
                drained.unwrap_or_else(|_| {
                    *self.failed_at() = Some(self.clock.monotonic());
                    Ok(false)
                })
            }
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
            let records: Option<Vec<_>> = changes.iter().map(revoked).collect();
            let is_clear = self.is_clear().await?;
            let offered = if is_clear {
                self.offer(changes).await.map_err(Some)
            } else {
                Err(None)
            };
            match (offered, records) {
                (Ok(appended), _) => Ok(appended),
                (Err(problem), Some(records)) => {
                    problem.as_ref().inspect(|problem| warn(problem));
                    let queue = Arc::clone(&self.queue);
                    blocking(move || queue.push(&records)).await?;
                    Ok(Appended::Queued)
                }
                (Err(problem), None) => Err(StoreError::new(NotNow(problem))),
            }
        })
    }

    fn load<'a>(
        &'a self,
        sink: &'a mut (dyn FnMut(&[RevocationRecord]) + Send),
    ) -> StoreFuture<'a, LogPosition> {
        Box::pin(async move {
            // First what is queued: what moves meanwhile is then there twice, and not missing.
            let queue = Arc::clone(&self.queue);
            let queued = blocking(move || queue.all()).await?;
            let position = self.log.load(sink).await?;
            if !queued.is_empty() {
                sink(&queued);
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

/// Why something cannot be taken back.
#[derive(Debug, thiserror::Error)]
#[error(
    "nothing can be taken back while the log of revocations is away{}: try again when it is back",
    .0.as_ref().map(|error| format!(" ({})", innermost(error))).unwrap_or_default()
)]
struct NotNow(Option<StoreError>);

fn warn(problem: &StoreError) {
    let problem = innermost(problem);
    tracing::warn!(
        name: "gateless.denylist.queued",
        problem,
        "the log of revocations is away: revocations are queued"
    );
}

const fn revoked(change: &RevocationChange) -> Option<RevocationRecord> {
    match change {
        RevocationChange::Revoke(record) => Some(*record),
        _ => None,
    }
}

/// The file: records under ascending numbers.
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

    fn push(&self, records: &[RevocationRecord]) -> Result<(), StoreError> {
        let _writing = self.writing();
        let pushed = self.file.write(|batch| {
            let count = usize::try_from(batch.count()).unwrap_or(usize::MAX);
            if count.saturating_add(records.len()) > self.capacity {
                return Ok(false);
            }
            let mut keys = self.keys();
            for record in records {
                // Used up even when writing fails: it is not known then what is in the file.
                batch.put(&keys.end.to_be_bytes(), &record.to_bytes())?;
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

    /// The oldest records, and their keys.
    fn front(&self) -> Result<(Range<u64>, Vec<RevocationRecord>), StoreError> {
        let _writing = self.writing();
        let front = self.read(MAX_DRAINED)?;
        if front.1.is_empty() {
            let mut keys = self.keys();
            keys.start = keys.end;
        }
        Ok(front)
    }

    fn all(&self) -> Result<Vec<RevocationRecord>, StoreError> {
        self.read(usize::MAX).map(|(_, records)| records)
    }

    fn read(&self, most: usize) -> Result<(Range<u64>, Vec<RevocationRecord>), StoreError> {
        let mut keys = 0..0;
        let mut records = Vec::new();
        let read = self.file.read(|key, value| {
            let (key, record) = entry(key, value)?;
            if records.is_empty() {
                keys.start = key;
            }
            keys.end = key + 1;
            records.push(record);
            Ok(records.len() < most)
        });
        read.map_err(StoreError::new)?;
        Ok((keys, records))
    }

    fn remove(&self, keys: Range<u64>) -> Result<(), StoreError> {
        let _writing = self.writing();
        let removed = self.file.write(|batch| {
            keys.clone()
                .try_for_each(|key| batch.remove(&key.to_be_bytes()))
        });
        removed.map_err(StoreError::new)?;
        // Somebody who went away may be late with this.
        let mut now = self.keys();
        now.start = now.start.max(keys.end);
        Ok(())
    }
}

fn entry(key: &[u8], value: &[u8]) -> Result<(u64, RevocationRecord), Fault> {
    let key = key.try_into().map(u64::from_be_bytes).ok();
    key.zip(RevocationRecord::from_bytes(value))
        .ok_or_else(|| Fault::damaged("an entry is no record"))
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
