//! A file of entries that is whole, or says that it is not.
//!
//! redb keeps the entries. It has checksums, and what it does with them is made for a database that may lose its last
//! commit: where the newest one does not add up, it goes back to the one before, and says nothing. A list of what is
//! revoked must not do that. So there is more here:
//!
//! - each entry has a digest of its own;
//! - each commit has a number, and says how many entries there are and what their digests add up to;
//! - in front of what redb writes is a page of ours, with the number of the last commit that anybody was told about.
//!
//! When a file is opened, and when it is read, all of it is checked.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{Database, ReadableTable, StorageBackend, Table, TableDefinition};
use sha2::{Digest as _, Sha256};

/// The page in front, which redb never sees.
const FRONT: u64 = 4096;
const MAGIC: [u8; 16] = *b"gateless-sealed\n";
const VERSION: u32 = 1;
/// Where the numbers of the last two commits stand: in sectors of their own, so that writing one leaves the other alone.
const SEALS: [u64; 2] = [512, 1024];

const ENTRIES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("entries");
const STATE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("state");
/// Its default is a gigabyte.
const CACHE: usize = 16 * 1024 * 1024;

/// How much of a SHA-256 is kept. It tells damage; whoever can write the file can also write digests.
const DIGEST: usize = 16;
type Digest = [u8; DIGEST];

/// Why a file of revocations cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationFileError {
    /// It is open already.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// What is in it is not what was written, or was never written by this.
    #[error(
        "{} is damaged, or is not such a file: restore a backup of it, or delete it, knowing that what was revoked is \
         forgotten then",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not add up.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It was written by a later version of this crate.
    #[error("{} has format {version}, which this version does not know: use the version that wrote it", path.display())]
    FormatUnknown {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// The system does not let this process read or write it.
    #[error(
        "{} cannot be read or written: it has to be a file that this process may read and write, in a directory that it \
         may write, on a disk with room left",
        path.display()
    )]
    Inaccessible {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// The same without the path.
#[derive(Debug)]
pub(super) enum Fault {
    InUse,
    Damaged(Box<dyn Error + Send + Sync>),
    FormatUnknown(u32),
    Failed(Box<dyn Error + Send + Sync>),
}

impl Fault {
    pub(super) fn damaged(what: &str) -> Self {
        Self::Damaged(what.into())
    }

    fn at(self, path: &Path) -> RevocationFileError {
        let path = path.to_owned();
        match self {
            Self::InUse => RevocationFileError::InUse { path },
            Self::Damaged(source) => RevocationFileError::Damaged { path, source },
            Self::FormatUnknown(version) => RevocationFileError::FormatUnknown { path, version },
            Self::Failed(source) => RevocationFileError::Inaccessible { path, source },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Something is expected behind the end, or redb found nonsense.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                Self::Damaged(error.into())
            }
            _ => Self::Failed(error.into()),
        }
    }
}

fn fault(error: impl Into<redb::Error>) -> Fault {
    match error.into() {
        redb::Error::DatabaseAlreadyOpen => Fault::InUse,
        redb::Error::Io(error) => error.into(),
        error @ (redb::Error::PreviousIo | redb::Error::ValueTooLarge(_)) => {
            Fault::Failed(error.into())
        }
        error => Fault::Damaged(error.into()),
    }
}

/// What the entries of a file are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Revocations,
    Outbox,
}

impl Kind {
    const fn tag(self) -> [u8; 4] {
        match self {
            Self::Revocations => *b"revo",
            Self::Outbox => *b"outb",
        }
    }
}

/// The file behind its first page. Holds the lock on it.
#[derive(Clone, Debug)]
struct Behind(Arc<FileBackend>);

impl StorageBackend for Behind {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len()?.saturating_sub(FRONT))
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        // Before memory is taken for it: a length that is damaged can be anything.
        let end = u64::try_from(len)
            .ok()
            .and_then(|len| offset.checked_add(len));
        if end.is_none_or(|end| self.len().is_ok_and(|len| len < end)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.read(offset + FRONT, len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = len.checked_add(FRONT).ok_or(io::ErrorKind::InvalidData)?;
        self.0.set_len(len)
    }

    fn sync_data(&self, eventual: bool) -> io::Result<()> {
        self.0.sync_data(eventual)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = offset
            .checked_add(FRONT)
            .ok_or(io::ErrorKind::InvalidData)?;
        self.0.write(offset, data)
    }
}

impl Behind {
    fn new(file: File) -> Result<Self, Fault> {
        FileBackend::new(file)
            .map_err(fault)
            .map(|file| Self(Arc::new(file)))
    }

    fn write_front(&self, kind: Kind) -> io::Result<()> {
        let mut front = MAGIC.to_vec();
        front.extend(kind.tag());
        front.extend(VERSION.to_be_bytes());
        front.extend(digest(&[&front]));
        self.0.write(0, &front)
    }

    fn check_front(&self, kind: Kind) -> Result<(), Fault> {
        let len = self.0.len()?;
        if len <= FRONT {
            return Err(Fault::damaged("the file is too short"));
        }
        let front = self.0.read(0, 24 + DIGEST)?;
        let (said, sum) = front.split_at_checked(24).unwrap_or_default();
        if !said.starts_with(&MAGIC) {
            return Err(Fault::damaged(
                "the file does not begin as one that this wrote",
            ));
        }
        if *sum != digest(&[said]) {
            return Err(Fault::damaged("the first page is damaged"));
        }
        let (tag, version) = said.split_at_checked(20).unwrap_or_default();
        if !tag.ends_with(&kind.tag()) {
            return Err(Fault::damaged(
                "the file is for something else: an outbox is not a log",
            ));
        }
        match u32::from_be_bytes(version.try_into().unwrap_or_default()) {
            VERSION => Ok(()),
            version => Err(Fault::FormatUnknown(version)),
        }
    }

    /// Notes that commit `number` is done. Only then may anybody rely on it.
    fn seal(&self, number: u64) -> io::Result<()> {
        let [even, odd] = SEALS;
        let mut seal = number.to_be_bytes().to_vec();
        seal.extend(digest(&[&seal]));
        self.0
            .write(if number.is_multiple_of(2) { even } else { odd }, &seal)?;
        self.0.sync_data(false)
    }

    /// The last commit that is noted. One of the two notes may be bad: it was being written.
    fn sealed(&self) -> Result<u64, Fault> {
        let mut last = None;
        for at in SEALS {
            let seal = self.0.read(at, 8 + DIGEST)?;
            if let Some((number, sum)) = seal.split_first_chunk::<8>()
                && *sum == digest(&[number])
            {
                last = last.max(Some(u64::from_be_bytes(*number)));
            }
        }
        last.ok_or_else(|| Fault::damaged("the first page is damaged"))
    }
}

fn digest(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    let mut digest = [0; DIGEST];
    for (to, from) in digest.iter_mut().zip(hash) {
        *to = from;
    }
    digest
}

/// What a commit says of all entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    number: u64,
    count: u64,
    sum: Digest,
}

impl State {
    fn add(&mut self, digest: &Digest) {
        self.count = self.count.wrapping_add(1);
        self.mix(digest);
    }

    fn take(&mut self, digest: &Digest) {
        self.count = self.count.wrapping_sub(1);
        self.mix(digest);
    }

    fn mix(&mut self, digest: &Digest) {
        for (sum, byte) in self.sum.iter_mut().zip(digest) {
            *sum ^= byte;
        }
    }

    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.number.to_be_bytes().to_vec();
        bytes.extend(self.count.to_be_bytes());
        bytes.extend(self.sum);
        bytes.extend(digest(&[&bytes]));
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (said, sum) = bytes.split_at_checked(16 + DIGEST)?;
        if *sum != digest(&[said]) {
            return None;
        }
        let (number, said) = said.split_first_chunk()?;
        let (count, sum) = said.split_first_chunk()?;
        Some(Self {
            number: u64::from_be_bytes(*number),
            count: u64::from_be_bytes(*count),
            sum: sum.try_into().ok()?,
        })
    }

    fn read(table: &impl ReadableTable<&'static [u8], &'static [u8]>) -> Result<Self, Fault> {
        let value = table.get(&b"state"[..]).map_err(fault)?;
        let state = value.and_then(|value| Self::from_bytes(value.value()));
        state.ok_or_else(|| Fault::damaged("the sums over all entries are missing or damaged"))
    }
}

/// Takes a value apart, and checks it.
fn checked<'v>(key: &[u8], value: &'v [u8]) -> Result<(Digest, &'v [u8]), Fault> {
    match value.split_first_chunk::<DIGEST>() {
        Some((sum, value)) if *sum == digest(&[key, value]) => Ok((*sum, value)),
        _ => Err(Fault::damaged("an entry is damaged")),
    }
}

/// Entries that are changed together.
pub(super) struct Batch<'t> {
    entries: Table<'t, &'static [u8], &'static [u8]>,
    state: State,
    is_changed: bool,
}

impl Batch<'_> {
    /// How many entries there are.
    pub(super) const fn count(&self) -> u64 {
        self.state.count
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let Some(value) = self.entries.get(key).map_err(fault)? else {
            return Ok(None);
        };
        checked(key, value.value()).map(|(_, value)| Some(value.to_vec()))
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let sum = digest(&[key, value]);
        let stored = [&sum, value].concat();
        if let Some(old) = self.entries.insert(key, &*stored).map_err(fault)? {
            self.state.take(&checked(key, old.value())?.0);
        }
        self.state.add(&sum);
        self.is_changed = true;
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> Result<(), Fault> {
        if let Some(old) = self.entries.remove(key).map_err(fault)? {
            self.state.take(&checked(key, old.value())?.0);
            self.is_changed = true;
        }
        Ok(())
    }

    /// Removes the entries of which `is_old` says so.
    pub(super) fn remove_if(
        &mut self,
        mut is_old: impl FnMut(&[u8], &[u8]) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let mut old = Vec::new();
        for entry in self.entries.iter().map_err(fault)? {
            let (key, value) = entry.map_err(fault)?;
            let (_, value) = checked(key.value(), value.value())?;
            if is_old(key.value(), value)? {
                old.push(key.value().to_vec());
            }
        }
        old.iter().try_for_each(|key| self.remove(key))
    }
}

/// The file, open.
#[derive(Debug)]
pub(super) struct SealedFile {
    path: PathBuf,
    behind: Behind,
    /// `None` only while it is dropped.
    database: Option<Database>,
    /// The last commit is not noted in front. Nothing is promised before it is.
    is_unsealed: AtomicBool,
    /// redb panicked: what it holds in memory is not to be relied on any more.
    is_broken: AtomicBool,
}

impl SealedFile {
    /// Opens the file at `path`, or makes it. Reads all of it.
    pub(super) fn open(path: &Path, kind: Kind) -> Result<Self, RevocationFileError> {
        let opened = contain(
            || match OpenOptions::new().read(true).write(true).open(path) {
                Ok(file) => open(Behind::new(file)?, kind),
                Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, kind),
                Err(error) => Err(error.into()),
            },
        );
        let (behind, database) = opened.map_err(|fault| fault.at(path))?;
        let file = Self {
            path: path.to_owned(),
            behind,
            database: Some(database),
            is_unsealed: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
        };
        file.check()?;
        Ok(file)
    }

    /// Everything is there, and nothing is older than what was promised.
    fn check(&self) -> Result<(), RevocationFileError> {
        let number = self.read(|_, _| Ok(true))?;
        let sealed = || {
            let sealed = self.behind.sealed()?;
            if number < sealed {
                return Err(Fault::damaged("the last changes are missing"));
            }
            if number > sealed {
                // The process ended in between.
                self.behind.seal(number)?;
            }
            Ok(())
        };
        sealed().map_err(|fault| fault.at(&self.path))
    }

    /// Changes entries: all or none, and durably. What `change` gives comes back when it is done.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&mut Batch<'_>) -> Result<T, Fault>,
    ) -> Result<T, RevocationFileError> {
        self.guard(|database| {
            let transaction = database.begin_write().map_err(fault)?;
            let (given, number) = {
                let mut table = transaction.open_table(STATE).map_err(fault)?;
                let mut batch = Batch {
                    entries: transaction.open_table(ENTRIES).map_err(fault)?,
                    state: State::read(&table)?,
                    is_changed: false,
                };
                let given = change(&mut batch)?;
                if !batch.is_changed {
                    let number = batch.state.number;
                    if self.is_unsealed.load(Ordering::Acquire) {
                        // What is there already is of a commit whose seal failed.
                        self.seal(number)?;
                    }
                    return Ok(given);
                }
                batch.state.number += 1;
                let state = batch.state;
                table
                    .insert(&b"state"[..], &*state.to_bytes())
                    .map_err(fault)?;
                (given, state.number)
            };
            transaction.commit().map_err(fault)?;
            self.is_unsealed.store(true, Ordering::Release);
            self.seal(number)?;
            Ok(given)
        })
    }

    fn seal(&self, number: u64) -> io::Result<()> {
        self.behind.seal(number)?;
        self.is_unsealed.store(false, Ordering::Release);
        Ok(())
    }

    /// Hands each entry to `sink` until that says `false`. Gives the number of the commit that they are of.
    pub(super) fn read(
        &self,
        mut sink: impl FnMut(&[u8], &[u8]) -> Result<bool, Fault>,
    ) -> Result<u64, RevocationFileError> {
        self.guard(|database| {
            let transaction = database.begin_read().map_err(fault)?;
            let table = transaction.open_table(STATE).map_err(fault)?;
            let expected = State::read(&table)?;
            let mut found = State {
                number: expected.number,
                ..State::default()
            };
            let entries = transaction.open_table(ENTRIES).map_err(fault)?;
            for entry in entries.iter().map_err(fault)? {
                let (key, value) = entry.map_err(fault)?;
                let (sum, value) = checked(key.value(), value.value())?;
                found.add(&sum);
                if !sink(key.value(), value)? {
                    return Ok(expected.number);
                }
            }
            if found == expected {
                Ok(found.number)
            } else {
                Err(Fault::damaged("entries are missing"))
            }
        })
    }

    fn guard<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Fault>,
    ) -> Result<T, RevocationFileError> {
        let database = match &self.database {
            Some(database) if !self.is_broken.load(Ordering::Acquire) => database,
            _ => return Err(Fault::damaged("damage was found before").at(&self.path)),
        };
        let done = contain(|| work(database));
        if let Err(Fault::Damaged(_)) = &done {
            self.is_broken.store(true, Ordering::Release);
        }
        done.map_err(|fault| fault.at(&self.path))
    }
}

impl Drop for SealedFile {
    fn drop(&mut self) {
        let database = self.database.take();
        // Closing writes too. There is nobody to tell, and the next one to open the file finds what there is to find.
        let _ = contain(|| {
            drop(database);
            Ok(())
        });
    }
}

/// redb asserts what it expects of its pages, and pages that are damaged do not do what is expected. Such a panic is what
/// the damage looks like, and must not take down the thread that it happens on. Nothing of the database is used after one.
fn contain<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panicked| {
        let said = panicked.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panicked.downcast_ref::<&str>().copied());
        Err(Fault::damaged(
            said.unwrap_or("its pages contradict each other"),
        ))
    })
}

fn open(behind: Behind, kind: Kind) -> Result<(Behind, Database), Fault> {
    behind.check_front(kind)?;
    let mut database = database(&behind)?;
    // It reads every page, and mends what it knows how to mend: the notes on which pages are free. Where it mends by going
    // back to an older commit, the number of that tells.
    database.check_integrity().map_err(fault)?;
    Ok((behind, database))
}

fn database(behind: &Behind) -> Result<Database, Fault> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder.create_with_backend(behind.clone()).map_err(fault)
}

/// Makes the file under another name first: what has the right name is complete.
fn create(path: &Path, kind: Kind) -> Result<(Behind, Database), Fault> {
    let mut name = path
        .file_name()
        .ok_or(io::ErrorKind::IsADirectory)
        .map_err(io::Error::from)?
        .to_owned();
    name.push(".new");
    let unfinished = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let behind = Behind::new(options.open(&unfinished)?)?;
    if path.try_exists()? {
        // Another process was quicker.
        return Err(Fault::InUse);
    }
    // Of a process that did not come to the end of this.
    behind.0.set_len(0)?;
    behind.0.set_len(FRONT)?;
    behind.write_front(kind)?;
    let database = database(&behind)?;
    let transaction = database.begin_write().map_err(fault)?;
    {
        let state = State {
            number: 1,
            ..State::default()
        };
        let mut table = transaction.open_table(STATE).map_err(fault)?;
        table
            .insert(&b"state"[..], &*state.to_bytes())
            .map_err(fault)?;
        transaction.open_table(ENTRIES).map_err(fault)?;
    }
    transaction.commit().map_err(fault)?;
    behind.seal(1)?;
    fs::rename(&unfinished, path)?;
    sync_directory_of(path)?;
    Ok((behind, database))
}

/// A new name is durable when its directory is.
#[cfg(unix)]
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory_of(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes the entries behind the back of the sums, as a fault of redb would.
    fn tampered(
        name: &str,
        tamper: impl FnOnce(&mut Table<'_, &'static [u8], &'static [u8]>),
    ) -> Result<u64, RevocationFileError> {
        let name = format!("gateless-sealed-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let file = SealedFile::open(&path, Kind::Revocations).unwrap();
        let three = |batch: &mut Batch<'_>| {
            [b"a", b"b", b"c"]
                .iter()
                .try_for_each(|key| batch.put(*key, b"value"))
        };
        file.write(three).unwrap();
        let transaction = file.database.as_ref().unwrap().begin_write().unwrap();
        tamper(&mut transaction.open_table(ENTRIES).unwrap());
        transaction.commit().unwrap();
        drop(file);
        let opened = SealedFile::open(&path, Kind::Revocations);
        let read = opened.and_then(|file| file.read(|_, _| Ok(true)));
        fs::remove_file(path).unwrap();
        read
    }

    #[test]
    fn what_does_not_add_up_is_damage() {
        assert_eq!(tampered("not", |_| ()).unwrap(), 2);
        let missing = tampered("missing", |entries| {
            entries.remove(&b"b"[..]).unwrap();
        });
        let replaced = tampered("replaced", |entries| {
            // An entry that is whole, under a key that is not its own.
            let stored = entries.remove(&b"b"[..]).unwrap().unwrap().value().to_vec();
            entries.insert(&b"d"[..], &*stored).unwrap();
        });
        let other = tampered("other", |entries| {
            entries.remove(&b"b"[..]).unwrap();
            let stored = [&digest(&[b"d", b"value"])[..], b"value"].concat();
            entries.insert(&b"d"[..], &*stored).unwrap();
        });
        for damaged in [missing, replaced, other] {
            let error = damaged.unwrap_err();
            assert!(
                matches!(error, RevocationFileError::Damaged { .. }),
                "{error:?}"
            );
        }
    }

    #[test]
    fn what_is_there_already_is_promised_only_when_it_is_sealed() {
        let name = format!("gateless-sealed-{}-seal", std::process::id());
        let path = std::env::temp_dir().join(name);
        let unwritable = path.with_extension("unwritable");
        fs::write(&unwritable, []).unwrap();
        let mut file = SealedFile::open(&path, Kind::Revocations).unwrap();
        let first = file.behind.sealed().unwrap();
        let put = |batch: &mut Batch<'_>| match batch.get(b"a")? {
            Some(_) => Ok(()),
            None => batch.put(b"a", b"value"),
        };
        let unwritable = Behind::new(File::open(unwritable).unwrap()).unwrap();
        let behind = std::mem::replace(&mut file.behind, unwritable);
        // It is in the database, and not sealed. To say so again does not help.
        for _ in 0..2 {
            let error = file.write(put).unwrap_err();
            assert!(
                matches!(error, RevocationFileError::Inaccessible { .. }),
                "{error:?}"
            );
        }
        file.behind = behind;
        assert_eq!(file.behind.sealed().unwrap(), first);
        file.write(put).unwrap();
        assert_eq!(file.behind.sealed().unwrap(), first + 1);
        drop(file);
        fs::remove_file(path.with_extension("unwritable")).unwrap();
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_panic_is_damage_and_the_last_that_is_done_with_the_file() {
        let name = format!("gateless-sealed-{}-panic", std::process::id());
        let path = std::env::temp_dir().join(name);
        let file = SealedFile::open(&path, Kind::Revocations).unwrap();
        let panics = |_: &mut Batch<'_>| -> Result<(), Fault> { panic!("of redb") };
        for error in [
            file.write(panics).unwrap_err(),
            file.read(|_, _| Ok(true)).unwrap_err(),
        ] {
            assert!(
                matches!(error, RevocationFileError::Damaged { .. }),
                "{error:?}"
            );
        }
        drop(file);
        let file = SealedFile::open(&path, Kind::Revocations).unwrap();
        assert_eq!(file.read(|_, _| Ok(true)).unwrap(), 1);
        fs::remove_file(path).unwrap();
    }
}
