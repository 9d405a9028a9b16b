//! Records in files.

mod disk;
mod ends;
mod lock;
mod log;
mod retention;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateless_core::{Clock, ConfigError};

use self::disk::{Disk, RealDisk};
use self::log::{Log, not_open};
use self::retention::Keep;
use crate::batch::Batch;
use crate::boot::BootId;
use crate::clock::MachineClock;
use crate::record::{Link, Retired};
use crate::sink::{AuditSink, Durability};

/// Writes records to a file, and begins another one when it is full.
///
/// The path names the file that is written: `/var/log/orders/audit.jsonl`. Each run of the service begins a new one, and so
/// does a file that is too large or too old: the file before it is renamed to what [`file_name`](crate::file_name) says. Nothing
/// is ever written into a file of an earlier run, not even behind a line that a killed process left torn.
///
/// - **One writer.** A lock on `audit.jsonl.lock` is held as long as the sink lives (`flock`). A second process, or a second
///   sink in the same one, gets an error from [`open`](AuditSink::open). Network file systems keep such locks badly: each
///   instance should write to a disk of its own.
/// - **No torn lines.** A batch that could be written only in part, as the disk was full, is taken back; it is written again when
///   there is room. Where not even that is possible, the file is left as it is, and the lines that are not yet in it go into a new
///   one. Only where an `fsync` failed too may a line stand in both: nothing else would make sure of it.
/// - **Deleted or moved by somebody else.** That is noticed with the next batch, and a new file begins (event
///   `gateless.audit.file_gone`). A folder that is gone is made again.
/// - **Written or cut by somebody else.** Where the file is longer or shorter than what was written, it is left as it is, and a new
///   file begins (event `gateless.audit.file_changed`).
/// - **Not renamed.** When a full file cannot be renamed, it is written further and tried again every 10 seconds (event
///   `gateless.audit.not_rotated`).
/// - **Symbolic links, pipes and devices** at the path are refused.
///
/// ```
/// use std::time::Duration;
///
/// use gateless_audit::{AuditSink, Batch, BootId, Chain, Durability, Event, FileSink};
/// use gateless_core::Timestamp;
///
/// # let folder = std::env::temp_dir().join(format!("gateless-doc-{}", BootId::random()));
/// # let path = folder.join("audit.jsonl");
/// let mut sink = FileSink::new(&path)
///     .durability(Durability::Synced)
///     .rotate_at(64 << 20)
///     .keep_for(Duration::from_secs(400 * 24 * 3600));
/// sink.check()?;
///
/// // What the layer does:
/// let mut chain = Chain::new("orders-1", BootId::random());
/// assert_eq!(sink.open(chain.boot())?, None);
/// let mut batch = Batch::new();
/// chain.append(Event::Stop, Timestamp::from_secs(1_750_000_000), Duration::ZERO, &mut batch);
/// sink.write(&batch)?;
/// sink.sync()?;
/// assert_eq!(std::fs::read(&path)?, batch.as_bytes());
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct FileSink {
    settings: Settings,
    disk: Box<dyn Disk>,
    log: Option<Log>,
}

#[derive(Debug)]
struct Settings {
    path: PathBuf,
    durability: Durability,
    rotate_at: u64,
    rotate_every: Duration,
    keep: Keep,
    mode: u32,
    clock: Arc<dyn Clock>,
}

/// Smaller files would be more names than lines.
const MIN_ROTATE_AT: u64 = 64 << 10;

impl FileSink {
    /// Writes to `path`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            settings: Settings {
                path: path.as_ref().to_owned(),
                durability: Durability::Written,
                rotate_at: 256 << 20,
                rotate_every: Duration::from_secs(24 * 3600),
                keep: Keep::default(),
                mode: 0o600,
                clock: Arc::new(MachineClock::new()),
            },
            disk: Box::new(RealDisk),
            log: None,
        }
    }

    /// How safe a record is before its response leaves. [`Durability::Written`] by default: nothing is lost with the process,
    /// and requests do not wait for the disk. With [`Durability::Synced`] they do, and an `fsync` takes milliseconds.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// The size at which a file is full, in bytes: 256 MiB by default, some 400 000 records; at least 64 KiB. Only lines that
    /// are written together can make a file larger.
    pub fn rotate_at(mut self, bytes: u64) -> Self {
        self.settings.rotate_at = bytes;
        self
    }

    /// The age at which a file is full: a day by default, so that what one asks about a day is in two files at most; at least
    /// one minute. It counts from the first record on, and is looked at when there is something to write.
    pub fn rotate_every(mut self, age: Duration) -> Self {
        self.settings.rotate_every = age;
        self
    }

    /// Keeps so many full files, and deletes the oldest beyond that. All are kept by default: deleting evidence is a choice.
    ///
    /// This and the other two bounds are looked at whenever a file begins; a file goes when any of them says so. What is
    /// deleted becomes a record ([`Retired`]), so that it does not look like tampering; the files go only after that is written.
    pub fn keep_files(mut self, files: usize) -> Self {
        self.settings.keep.files = Some(files);
        self
    }

    /// Deletes a full file when its last record is older than this. Kept for ever by default.
    pub fn keep_for(mut self, age: Duration) -> Self {
        self.settings.keep.age = Some(age);
        self
    }

    /// Keeps full files up to so many bytes together, and deletes the oldest beyond that. The file that is written comes on
    /// top. No bound by default.
    pub fn keep_bytes(mut self, bytes: u64) -> Self {
        self.settings.keep.bytes = Some(bytes);
        self
    }

    /// The permissions of the files on unix, whatever the umask: `0o600` by default, as records say who did what. A group that
    /// may read them gets `0o640`.
    pub fn mode(mut self, mode: u32) -> Self {
        self.settings.mode = mode;
        self
    }

    /// Where the age of files is read. The machine by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Whether the settings can be used. [`open`](AuditSink::open) asks this too.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming each setting that cannot.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Settings {
            path,
            durability: _,
            rotate_at,
            rotate_every,
            keep,
            mode,
            clock: _,
        } = &self.settings;
        let mut faults = ConfigError::collect();
        if path.file_name().is_none_or(|name| name.to_str().is_none()) {
            let path = path.display();
            faults.add("path", format!("{path} does not end with a name in UTF-8"));
        }
        if *rotate_at < MIN_ROTATE_AT {
            faults.add("rotate_at", format!("{rotate_at} is less than 64 KiB"));
        }
        if *rotate_every < Duration::from_secs(60) {
            let problem = format!("{rotate_every:?} is less than a minute");
            faults.add("rotate_every", problem);
        }
        if keep.files == Some(0) {
            faults.add("keep_files", "0 would delete each file when it is full");
        }
        if keep.age.is_some_and(|age| age < Duration::from_secs(60)) {
            faults.add("keep_for", "is less than a minute");
        }
        if keep.bytes.is_some_and(|bytes| bytes < *rotate_at) {
            let problem = "is less than rotate_at: each file would be deleted when it is full";
            faults.add("keep_bytes", problem);
        }
        if mode & 0o600 != 0o600 || mode & !0o664 != 0 {
            let problem = format!(
                "{mode:#o} is not between 0o600 and 0o664: the owner reads and writes, nobody executes, not all write"
            );
            faults.add("mode", problem);
        }
        faults.into_result()
    }
}

impl AuditSink for FileSink {
    fn name(&self) -> &'static str {
        "file"
    }

    fn durability(&self) -> Durability {
        self.settings.durability
    }

    fn open(&mut self, boot: BootId) -> io::Result<Option<Link>> {
        let fault = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        self.check().map_err(fault)?;
        // The lock of an earlier `open` would be in the way.
        self.log = None;
        let (log, previous) = Log::open(&self.settings, &mut *self.disk, boot)?;
        self.log = Some(log);
        Ok(previous)
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        match &mut self.log {
            Some(log) => log.write(&self.settings, &mut *self.disk, batch),
            None => Err(not_open(self)),
        }
    }

    /// After an error, what was not yet on the disk is written again by the next call of this or of
    /// [`write`](AuditSink::write); a batch that comes again is known by its text, and stands in the file once.
    fn sync(&mut self) -> io::Result<()> {
        match &mut self.log {
            Some(log) => log.sync(&self.settings, &mut *self.disk),
            None => Err(not_open(self)),
        }
    }

    fn retired(&mut self) -> Option<Retired> {
        self.log.as_mut().and_then(Log::take_retired)
    }
}
