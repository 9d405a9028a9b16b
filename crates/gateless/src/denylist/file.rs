//! The log of one machine: a file that survives whatever happens to the process.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateless_core::{
    Appended, Clock, LogPosition, LogTail, Monotonic, RevocationChange, RevocationLog,
    RevocationRecord, StoreError, StoreFuture, Timestamp,
};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::GRACE;
use super::sealed::{Batch, Fault, Kind, RevocationFileError, SealedFile};
use crate::clock::SystemClock;

/// How many appends may wait for the one that is being written. Who comes then waits for a place.
const MAX_WAITING: usize = 1024;

/// How many records are handed out at once.
const CHUNK: usize = 1024;

/// How often records that are past their end are looked for, at the least.
const PURGE_EVERY: Duration = Duration::from_secs(60 * 60);

/// After how many appended changes they are looked for all the same: as many as there were records then, and not fewer
/// than this. So a file is never much more than twice what is live.
const PURGE_AFTER: u64 = 4096;

/// The log of one process: a file.
///
/// What was appended is on the disk when the append is done, and is there again after a crash. Nobody else can write to the
/// file while it is open, so there is nothing to follow: a fleet needs a log that it shares.
///
/// Appends that come at the same time are written together, so many of them take hardly longer than one. The file is made
/// for its owner alone (`0600` on Unix). Records that are past their end are dropped an hour later.
///
/// # Damage
///
/// A file that is not whole is refused: a list that is silently shorter lets in what was revoked. To go on without it is a
/// decision that somebody has to take, by deleting the file. A backup is a copy of it, made while no process has it open.
///
/// Damage that is found while the file is in use makes every call fail from then on. Where panics abort the process
/// (`panic = "abort"`), some kinds of damage do that.
///
/// A disk that is full, or fails once, is no damage. But after an error of the system calls fail until the file is opened
/// again, which in practice means a restart of the process.
///
/// # The clock
///
/// When the file is opened, and every hour or so, records go that are more than an hour past their end by the wall clock. A
/// clock that is more than an hour ahead then forgets records that are in force, and they do not come back when it is set
/// right. Where a machine starts before its clock is set, let the service wait for that.
///
/// ```
/// use gateless::denylist::{RevocationFile, RevocationFileError};
///
/// # let directory = std::env::temp_dir().join(format!("gateless-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// let path = directory.join("revoked");
/// let log = RevocationFile::open(&path)?;
/// let again = RevocationFile::open(&path);
/// assert!(matches!(again, Err(RevocationFileError::InUse { .. })));
/// # drop(log);
/// # std::fs::remove_dir_all(directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RevocationFile {
    inner: Arc<Inner>,
    room: Arc<Semaphore>,
}

struct Inner {
    file: SealedFile,
    clock: Arc<dyn Clock>,
    queue: Mutex<Queue>,
}

struct Queue {
    waiting: VecDeque<Append>,
    is_writing: bool,
    purge: Purge,
}

/// An append on its way. Nobody may wait for it any more; it is written all the same.
struct Append {
    changes: Vec<RevocationChange>,
    done: oneshot::Sender<Result<(), Arc<RevocationFileError>>>,
    _place: OwnedSemaphorePermit,
}

impl RevocationFile {
    /// Opens the file at `path`, or makes it. Its directory has to be there.
    ///
    /// Reads and checks the whole file, on the thread that calls it: this is for the start of a program.
    ///
    /// # Errors
    ///
    /// [`RevocationFileError`] when it is open elsewhere, damaged, or out of reach. Each names the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RevocationFileError> {
        Self::open_with(path, Arc::new(SystemClock::new()))
    }

    /// The same with another clock, which says when records are past their end.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn open_with(
        path: impl AsRef<Path>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RevocationFileError> {
        let file = SealedFile::open(path.as_ref(), Kind::Revocations)?;
        let now = clock.wall();
        let left = file.write(|batch| purge(batch, now))?;
        let purge = Purge::done(left, clock.monotonic());
        let inner = Inner {
            file,
            clock,
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                is_writing: false,
                purge,
            }),
        };
        Ok(Self {
            inner: Arc::new(inner),
            room: Arc::new(Semaphore::new(MAX_WAITING)),
        })
    }

    async fn put(&self, changes: Vec<RevocationChange>) -> Result<(), StoreError> {
        let runtime = Handle::try_current().map_err(StoreError::new)?;
        let room = Arc::clone(&self.room);
        let place = room.acquire_owned().await.map_err(StoreError::new)?;
        let (done, waiting) = oneshot::channel();
        let append = Append {
            changes,
            done,
            _place: place,
        };
        if let Some(writer) = self.inner.enqueue(append) {
            runtime.spawn_blocking(move || writer.run());
        }
        match waiting.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(StoreError::new(error)),
            Err(_) => Err(StoreError::new("the runtime stopped before it was written")),
        }
    }
}

impl RevocationLog for RevocationFile {
    fn append<'a>(&'a self, changes: &'a [RevocationChange]) -> StoreFuture<'a, Appended> {
        Box::pin(async move {
            if !changes.is_empty() {
                self.put(changes.to_vec()).await?;
            }
            Ok(Appended::Stored)
        })
    }

    fn load<'a>(
        &'a self,
        sink: &'a mut (dyn FnMut(&[RevocationRecord]) + Send),
    ) -> StoreFuture<'a, LogPosition> {
        Box::pin(async move {
            let runtime = Handle::try_current().map_err(StoreError::new)?;
            let (sender, mut chunks) = mpsc::channel(2);
            let inner = Arc::clone(&self.inner);
            let reading = runtime.spawn_blocking(move || inner.read(&sender));
            while let Some(chunk) = chunks.recv().await {
                sink(&chunk);
            }
            let number = reading.await.map_err(StoreError::new)?;
            let number = number.map_err(StoreError::new)?;
            Ok(LogPosition::new(number.to_be_bytes()))
        })
    }

    fn follow<'a>(&'a self, _: &'a LogPosition, _: Duration) -> StoreFuture<'a, LogTail> {
        Box::pin(async { Ok(LogTail::Alone) })
    }
}

impl fmt::Debug for RevocationFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationFile")
            .field("file", &self.inner.file)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a writer to run, where there is none.
    fn enqueue(self: &Arc<Self>, append: Append) -> Option<Writer> {
        let mut queue = self.queue();
        queue.waiting.push_back(append);
        if queue.is_writing {
            return None;
        }
        queue.is_writing = true;
        Some(Writer {
            inner: Arc::clone(self),
            is_done: false,
        })
    }

    fn read(
        &self,
        chunks: &mpsc::Sender<Vec<RevocationRecord>>,
    ) -> Result<u64, RevocationFileError> {
        let mut chunk = Vec::new();
        let number = self.file.read(|key, value| {
            chunk.push(record(key, value)?);
            if chunk.len() < CHUNK {
                return Ok(true);
            }
            // Whoever does not wait any more gets no more.
            let chunk = std::mem::take(&mut chunk);
            Ok(chunks.blocking_send(chunk).is_ok())
        })?;
        if !chunk.is_empty() {
            let _ = chunks.blocking_send(chunk);
        }
        Ok(number)
    }
}

/// Writes what waits, until nothing does. There is one at a time.
struct Writer {
    inner: Arc<Inner>,
    is_done: bool,
}

impl Writer {
    fn run(mut self) {
        let mut next = self.next();
        while let Some((appends, is_purge_due)) = next {
            let written = self.write(&appends, is_purge_due).map_err(Arc::new);
            next = self.next();
            if next.is_none() {
                // Whoever was told and closes the file can open it again at once.
                drop(self);
                tell(appends, &written);
                return;
            }
            tell(appends, &written);
        }
    }

    /// Everything that waits now.
    fn next(&mut self) -> Option<(Vec<Append>, bool)> {
        let now = self.inner.clock.monotonic();
        let mut queue = self.inner.queue();
        let appends: Vec<_> = queue.waiting.drain(..).collect();
        if appends.is_empty() {
            queue.is_writing = false;
            self.is_done = true;
            return None;
        }
        let changes: usize = appends.iter().map(|append| append.changes.len()).sum();
        let is_purge_due = queue.purge.is_due(changes, now);
        Some((appends, is_purge_due))
    }

    fn write(&self, appends: &[Append], is_purge_due: bool) -> Result<(), RevocationFileError> {
        let now = self.inner.clock.wall();
        let left = self.inner.file.write(|batch| {
            for change in appends.iter().flat_map(|append| &append.changes) {
                apply(batch, change)?;
            }
            is_purge_due.then(|| purge(batch, now)).transpose()
        })?;
        if let Some(left) = left {
            self.inner.queue().purge = Purge::done(left, self.inner.clock.monotonic());
        }
        Ok(())
    }
}

fn tell(appends: Vec<Append>, written: &Result<(), Arc<RevocationFileError>>) {
    for append in appends {
        // Somebody who does not wait any more is not told.
        let _ = append.done.send(written.clone());
    }
}

impl Drop for Writer {
    /// A runtime that is shut down drops what it was to run. Those who wait are told, and the next append starts anew.
    fn drop(&mut self) {
        if !self.is_done {
            let mut queue = self.inner.queue();
            queue.is_writing = false;
            queue.waiting.clear();
        }
    }
}

/// When to look for records that are past their end.
struct Purge {
    after: u64,
    changes: u64,
    last: Monotonic,
}

impl Purge {
    fn done(left: u64, now: Monotonic) -> Self {
        Self {
            after: left.max(PURGE_AFTER),
            changes: 0,
            last: now,
        }
    }

    fn is_due(&mut self, changes: usize, now: Monotonic) -> bool {
        self.changes = self.changes.saturating_add(changes as u64);
        self.changes >= self.after || now.since(self.last) >= PURGE_EVERY
    }
}

fn apply(batch: &mut Batch<'_>, change: &RevocationChange) -> Result<(), Fault> {
    let key = change.id().to_bytes();
    match change {
        RevocationChange::Revoke(new) => {
            let old = batch.get(&key)?;
            let old = old.map(|value| record(&key, &value)).transpose()?;
            let merged = old.and_then(|old| old.merge(new)).unwrap_or(*new);
            if old != Some(merged) {
                batch.put(&key, &merged.to_bytes())?;
            }
            Ok(())
        }
        RevocationChange::Unrevoke(_) => batch.remove(&key),
        // The vocabulary may grow, and a log must not drop a word of it.
        _ => Err(Fault::Failed("this kind of change cannot be kept".into())),
    }
}

/// Drops what is past its end, and tells how much is left.
fn purge(batch: &mut Batch<'_>, now: Timestamp) -> Result<u64, Fault> {
    let now = now.saturating_sub(GRACE);
    batch.remove_if(|key, value| record(key, value).map(|record| !record.is_live(now)))?;
    Ok(batch.count())
}

fn record(key: &[u8], value: &[u8]) -> Result<RevocationRecord, Fault> {
    RevocationRecord::from_bytes(value)
        .filter(|record| record.id().to_bytes() == *key)
        .ok_or_else(|| Fault::damaged("an entry is no record"))
}
