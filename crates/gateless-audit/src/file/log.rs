//! The files while they are written.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use gateless_core::{Monotonic, Timestamp};

use super::disk::{Disk, Found, Identity, create_folder, folder};
use super::ends;
use super::lock::Lock;
use super::retention::Full;
use super::{FileSink, Settings};
use crate::batch::Batch;
use crate::boot::BootId;
use crate::file_name::{self, Rotated};
use crate::line::parse;
use crate::record::{Event, Link, Retired};
use crate::sink::Durability;

/// How long it takes until a rename is tried again that failed.
const ROTATE_AGAIN: Duration = Duration::from_secs(10);

/// What there is from `open` on.
#[derive(Debug)]
pub(super) struct Log {
    boot: BootId,
    lock: Lock,
    file: File,
    identity: Identity,
    /// Up to here the file is as it should be.
    len: u64,
    /// Whether there may be something behind `len`.
    is_torn: bool,
    /// The batch of which something is behind `len`.
    torn: Vec<u8>,
    /// How much of it stands in files that could not be set back: whole lines, which are not written again.
    stands: usize,
    /// Up to here the file is known to be on the disk.
    synced: u64,
    /// What is between the two, if records have to be on the disk. After a failed `fsync` the system may have thrown it away
    /// and say nothing of it the next time, so it is written again.
    unsynced: Vec<u8>,
    /// Whether that has happened.
    is_in_doubt: bool,
    /// Whether the folder has names that may not be on the disk.
    has_new_names: bool,
    /// The time of the first record of the file.
    first: Timestamp,
    began: Monotonic,
    rotate_after: Option<Monotonic>,
    /// Files that are to go, and of which nobody was told yet.
    chosen: Vec<PathBuf>,
    retired: Option<Retired>,
    /// Files that are to go once the record that says so is written.
    told: Vec<PathBuf>,
    /// Whether something was written since somebody was told.
    is_told_written: bool,
}

impl Log {
    /// Puts what an earlier run left out of the way, and begins a file.
    pub(super) fn open(
        settings: &Settings,
        disk: &mut dyn Disk,
        boot: BootId,
    ) -> io::Result<(Self, Option<Link>)> {
        create_folder(&settings.path)?;
        let lock = Lock::take(&settings.path)?;
        let previous = last_link(&settings.path)?;
        let (file, identity) = begin(settings, disk)?;
        let mut log = Self {
            boot,
            lock,
            file,
            identity,
            len: 0,
            is_torn: false,
            torn: Vec::new(),
            stands: 0,
            synced: 0,
            unsynced: Vec::new(),
            is_in_doubt: false,
            has_new_names: true,
            first: settings.clock.wall(),
            began: settings.clock.monotonic(),
            rotate_after: None,
            chosen: Vec::new(),
            retired: None,
            told: Vec::new(),
            is_told_written: false,
        };
        log.retire(settings);
        Ok((log, previous))
    }

    pub(super) fn write(
        &mut self,
        settings: &Settings,
        disk: &mut dyn Disk,
        batch: &Batch,
    ) -> io::Result<()> {
        let bytes = batch.as_bytes();
        // Whether the batch is there already, and only its `fsync` failed.
        let is_again = self.is_in_doubt && self.unsynced.ends_with(bytes);
        self.look(settings, disk)?;
        self.repair(settings, disk)?;
        if self.torn != bytes {
            self.torn.clear();
            self.stands = 0;
        }
        let bytes = bytes.get(self.stands..).unwrap_or_default();
        if is_again || bytes.is_empty() {
            return Ok(());
        }
        if self.is_full(settings, bytes) {
            self.rotate(settings, disk)?;
        }
        if self.len == 0 {
            let first = batch.lines().next().and_then(|line| parse(line).ok());
            self.first = first.map_or_else(|| settings.clock.wall(), |entry| entry.time);
            self.began = settings.clock.monotonic();
        }
        if let Err(error) = disk.append(&mut self.file, bytes) {
            if disk.set_len(&self.file, self.len).is_err() {
                self.is_torn = true;
                self.torn = batch.as_bytes().to_vec();
            }
            return Err(error);
        }
        self.torn.clear();
        self.stands = 0;
        self.len += bytes.len() as u64;
        self.told_with(batch);
        if settings.durability == Durability::Synced {
            self.unsynced.extend_from_slice(bytes);
        } else {
            self.remove(settings, disk);
        }
        Ok(())
    }

    pub(super) fn sync(&mut self, settings: &Settings, disk: &mut dyn Disk) -> io::Result<()> {
        if self.is_torn || self.is_in_doubt {
            // It may be a long time since the batch was written.
            self.look(settings, disk)?;
            self.repair(settings, disk)?;
        }
        let names = match self.has_new_names {
            true => disk.sync_folder(folder(&settings.path)),
            false => Ok(()),
        };
        if let Err(error) = names.and_then(|()| disk.sync(&self.file)) {
            self.is_in_doubt = !self.unsynced.is_empty();
            return Err(error);
        }
        self.has_new_names = false;
        self.synced = self.len;
        self.unsynced.clear();
        self.remove(settings, disk);
        Ok(())
    }

    pub(super) fn take_retired(&mut self) -> Option<Retired> {
        let retired = self.retired.take()?;
        self.told.append(&mut self.chosen);
        self.is_told_written = false;
        Some(retired)
    }

    /// A batch was written after it was told which files go.
    fn told_with(&mut self, batch: &Batch) {
        if self.told.is_empty() || self.is_told_written {
            return;
        }
        let is_retired =
            |line| parse(line).is_ok_and(|entry| matches!(entry.event, Event::Retired(_)));
        if batch.lines().any(is_retired) {
            self.is_told_written = true;
        } else {
            // The record was given up, and nobody knows. They are chosen again with the next file.
            self.told.clear();
        }
    }

    /// Begins another file where somebody else has deleted, renamed, written or cut this one.
    fn look(&mut self, settings: &Settings, disk: &mut dyn Disk) -> io::Result<()> {
        match self.identity.look(&settings.path) {
            Found::Gone => {
                tracing::warn!(
                    name: "gateless.audit.file_gone",
                    path = %settings.path.display(),
                    "the audit log was deleted or renamed by somebody else; a new file begins"
                );
                self.replace(settings, disk)
            }
            Found::Here { len } if self.is_strange(len) => {
                tracing::warn!(
                    name: "gateless.audit.file_changed",
                    path = %settings.path.display(),
                    "the audit log is longer or shorter than what was written; a new file begins"
                );
                self.replace(settings, disk)
            }
            Found::Here { .. } | Found::Unclear => Ok(()),
        }
    }

    /// Whether nothing that happened here explains why the file is so long.
    const fn is_strange(&self, len: u64) -> bool {
        if self.is_torn || self.is_in_doubt {
            len < self.good()
        } else {
            len != self.len
        }
    }

    /// How much of the file is known to be there.
    const fn good(&self) -> u64 {
        if self.is_in_doubt {
            self.synced
        } else {
            self.len
        }
    }

    /// Sets the file back to what is known to be good. Where that fails, it is left as it is, and another one begins.
    fn repair(&mut self, settings: &Settings, disk: &mut dyn Disk) -> io::Result<()> {
        if !self.is_torn && !self.is_in_doubt {
            return Ok(());
        }
        let good = self.good();
        if disk.set_len(&self.file, good).is_ok() {
            self.len = good;
        } else {
            self.keep_landed(settings, disk);
            self.replace(settings, disk)?;
        }
        if self.is_in_doubt {
            self.is_torn = true;
            disk.append(&mut self.file, &self.unsynced)?;
            self.len += self.unsynced.len() as u64;
            self.is_in_doubt = false;
        }
        self.is_torn = false;
        Ok(())
    }

    /// Lines of the torn batch that are whole behind the good end of the file count as written.
    fn keep_landed(&mut self, settings: &Settings, disk: &mut dyn Disk) {
        if self.is_in_doubt {
            return;
        }
        if settings.durability == Durability::Synced && disk.sync(&self.file).is_err() {
            return;
        }
        let end = self.file.metadata().map_or(0, |metadata| metadata.len());
        let more = usize::try_from(end.saturating_sub(self.len)).unwrap_or(usize::MAX);
        let rest = self.torn.get(self.stands..).unwrap_or_default();
        let landed = rest.get(..more).unwrap_or(rest);
        let last = landed.iter().rposition(|byte| *byte == b'\n');
        let whole = last.map_or(0, |at| at + 1);
        self.stands += whole;
        self.len += whole as u64;
        if settings.durability == Durability::Synced {
            self.synced = self.len;
            self.unsynced.clear();
        }
    }

    fn is_full(&self, settings: &Settings, more: &[u8]) -> bool {
        let now = settings.clock.monotonic();
        let may = self.rotate_after.is_none_or(|after| now >= after);
        let is_large = self.len.saturating_add(more.len() as u64) > settings.rotate_at;
        let is_old = now.since(self.began) >= settings.rotate_every;
        may && self.len > 0 && (is_large || is_old)
    }

    /// Gives the file its last name, and begins another one. If that is not possible now, the old one goes on.
    fn rotate(&mut self, settings: &Settings, disk: &mut dyn Disk) -> io::Result<()> {
        if !self.unsynced.is_empty() {
            self.sync(settings, disk)?;
        }
        let name = free_name(&settings.path, self.first, file_name::short(self.boot));
        let turned = name.and_then(|name| {
            disk.rename(&settings.path, &name)?;
            self.has_new_names = true;
            disk.create(&settings.path, settings.mode)
                .and_then(|file| Ok((Identity::of(&file.metadata()?), file)))
                .inspect_err(|_| {
                    // Else the next batch would take the file for one that somebody else has moved.
                    let _ = disk.rename(&name, &settings.path);
                })
        });
        match turned {
            Ok((identity, file)) => {
                self.set_file(file, identity, settings);
                self.retire(settings);
            }
            Err(error) => {
                self.rotate_after = Some(settings.clock.monotonic() + ROTATE_AGAIN);
                tracing::warn!(
                    name: "gateless.audit.not_rotated",
                    path = %settings.path.display(),
                    %error,
                    "the audit log grows beyond its bound, as a new file cannot be begun"
                );
            }
        }
        Ok(())
    }

    /// Begins another file after the old one is lost or no good.
    fn replace(&mut self, settings: &Settings, disk: &mut dyn Disk) -> io::Result<()> {
        create_folder(&settings.path)?;
        if !self.lock.is_in_place() {
            // Deleted as well: another process may have begun since then.
            self.lock = Lock::take(&settings.path)?;
        }
        let (file, identity) = begin(settings, disk)?;
        self.set_file(file, identity, settings);
        // What may not have reached the disk is not known to be in the old one.
        self.is_in_doubt = !self.unsynced.is_empty();
        self.retire(settings);
        Ok(())
    }

    fn set_file(&mut self, file: File, identity: Identity, settings: &Settings) {
        self.file = file;
        self.identity = identity;
        self.len = 0;
        self.synced = 0;
        self.is_torn = false;
        self.has_new_names = true;
        self.rotate_after = None;
        self.first = settings.clock.wall();
        self.began = settings.clock.monotonic();
    }

    /// Chooses what is too much. It goes when the record that says so is written: what is deleted without one looks like tampering.
    /// If the process dies before that, the next run chooses it again.
    fn retire(&mut self, settings: &Settings) {
        if settings.keep.keeps_all() {
            return;
        }
        self.chosen.clear();
        self.retired = None;
        let outcome = full_files(&settings.path).and_then(|full| {
            let facts: Vec<_> = full.iter().map(|(_, facts)| *facts).collect();
            let now = settings.clock.wall();
            let surplus = settings.keep.surplus(&facts, self.first, now);
            let mut through = None;
            for (path, _) in full.into_iter().take(surplus) {
                if self.told.contains(&path) {
                    continue;
                }
                // A file without a record is named with the next one that has some; one that cannot be read stays.
                through = ends::last(&path)?.or(through);
                self.chosen.push(path);
                let files = self.chosen.len() as u64;
                self.retired = through.map(|through| Retired { files, through });
            }
            Ok(())
        });
        if let Err(error) = outcome {
            not_deleted(settings, &error);
        }
    }

    /// Deletes what a written record says is deleted. A file that cannot be deleted is chosen again the next time.
    fn remove(&mut self, settings: &Settings, disk: &mut dyn Disk) {
        if !std::mem::take(&mut self.is_told_written) {
            return;
        }
        for path in std::mem::take(&mut self.told) {
            match disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return not_deleted(settings, &error);
                }
                _ => {}
            }
        }
    }
}

fn not_deleted(settings: &Settings, error: &io::Error) {
    tracing::warn!(
        name: "gateless.audit.not_deleted",
        path = %settings.path.display(),
        %error,
        "old files of the audit log cannot be deleted"
    );
}

/// An empty file at the path of the log. What is there has its last name after that, whatever is in it.
fn begin(settings: &Settings, disk: &mut dyn Disk) -> io::Result<(File, Identity)> {
    let path = &settings.path;
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            let (first, boot) = match ends::first(path)? {
                Some((first, boot)) => (first, file_name::short(boot)),
                // Nobody knows which run it was.
                None => (modified(&metadata), 0),
            };
            disk.rename(path, &free_name(path, first, boot)?)?;
        }
        Ok(_) => {
            let message = format!("{} is not a regular file", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = disk.create(path, settings.mode)?;
    let identity = Identity::of(&file.metadata()?);
    Ok((file, identity))
}

fn modified(metadata: &Metadata) -> Timestamp {
    let modified = metadata.modified().ok();
    let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Timestamp::EPOCH.saturating_add(since.unwrap_or_default())
}

/// A name that no file has. Only the holder of the lock gives such names, so that none comes in between.
fn free_name(path: &Path, time: Timestamp, boot: u32) -> io::Result<PathBuf> {
    let full = file_name::set(path)?;
    let names = full.iter().filter_map(|full| file_name::parse(path, full));
    let of_boot = names.clone().filter(|name| name.boot == boot);
    // A clock that was set back must not make a later run an earlier one.
    let others = names.clone().filter(|name| name.boot != boot);
    let newest = others.map(|name| name.time).max();
    let time = match newest {
        Some(newest) if newest >= time => newest.saturating_add(Duration::from_millis(1)),
        _ => time,
    };
    let mut number = of_boot.map(|name| name.number).max().unwrap_or(0);
    loop {
        number = number.saturating_add(1);
        let name = file_name::format(path, &Rotated { time, boot, number });
        // What cannot be looked at may be there, and a rename would take its place.
        match fs::symlink_metadata(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(name),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
}

/// The full files of the log, the oldest first.
fn full_files(path: &Path) -> io::Result<Vec<(PathBuf, Full)>> {
    let mut full = Vec::new();
    for file in file_name::set(path)? {
        let Some(name) = file_name::parse(path, &file) else {
            continue;
        };
        let metadata = fs::symlink_metadata(&file)?;
        if metadata.is_file() {
            let first = name.time;
            let bytes = metadata.len();
            full.push((file, Full { first, bytes }));
        }
    }
    Ok(full)
}

/// The last line of the newest file that has one.
fn last_link(path: &Path) -> io::Result<Option<Link>> {
    // Runs that wrote nothing leave files without a line. After so many of them, nothing is known of the run before.
    const MAX_FILES: usize = 16;
    for file in file_name::set(path)?.iter().rev().take(MAX_FILES) {
        if !fs::symlink_metadata(file)?.is_file() {
            continue;
        }
        if let Some(link) = ends::last(file)? {
            return Ok(Some(link));
        }
    }
    Ok(None)
}

/// So that a sink that was not opened says so.
pub(super) fn not_open(sink: &FileSink) -> io::Error {
    let message = format!("{} is not open", sink.settings.path.display());
    io::Error::other(message)
}
