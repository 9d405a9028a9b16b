//! Which files a log has, and their lines.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::Failed;
use crate::file_name;
use crate::lines::{Line, Lines};
use crate::record::Entry;

/// All files of the logs at `paths`, in the order in which they were written. A path is the current file of a log, whose full files
/// stand beside it, or a folder, or any file.
pub(super) fn of(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failed> {
    let mut files = Vec::new();
    for path in paths {
        let failed = |error| Failed::file(path, &error);
        let logs = if path.is_dir() {
            logs_in(path)?
        } else {
            vec![path.clone()]
        };
        let before = files.len();
        for log in logs {
            files.extend(file_name::set(&log).map_err(failed)?);
        }
        if files.len() == before {
            return Err(Failed::says(format!("{}: no log is there", path.display())));
        }
    }
    // `audit*.jsonl` names the full files, and the current one, which brings them along.
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

/// The files at `paths`, each with the full files beside it.
pub(super) fn sets(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failed> {
    let mut files = Vec::new();
    for path in paths {
        let set = file_name::set(path).map_err(|error| Failed::file(path, &error))?;
        if set.is_empty() {
            return Err(Failed::says(format!("{}: not there", path.display())));
        }
        files.extend(set);
    }
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

/// The current files of the logs in a folder. Copies of checkpoints are no log, and neither is what does not begin with a record.
fn logs_in(folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    let failed = |error| Failed::file(folder, &error);
    let mut logs = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let current = file_name::current(&path);
        let is_log = current.is_some() || path.extension() == Some(OsStr::new("jsonl"));
        if is_log && entry.file_type().map_err(failed)?.is_file() {
            logs.insert(current.unwrap_or(path));
        }
    }
    let mut read = Vec::new();
    for log in logs {
        let name = log.file_name().unwrap_or_default().to_string_lossy();
        if !name.contains("checkpoints") && is_of_records(&log)? {
            read.push(log);
        } else {
            let log = super::show::ascii(&log.display().to_string());
            eprintln!("gateless-audit: {log} is skipped: it is no log");
        }
    }
    Ok(read)
}

/// Whether the first whole line of a set of files is a record. Where there is none, nothing speaks against it.
fn is_of_records(log: &Path) -> Result<bool, Failed> {
    for path in file_name::set(log).map_err(|error| Failed::file(log, &error))? {
        let mut lines = open(&path)?;
        match lines.next().map_err(|error| Failed::file(&path, &error))? {
            Some(Line::Whole) => {
                let text = std::str::from_utf8(lines.text()).unwrap_or_default();
                return Ok(crate::line::parse(text).is_ok());
            }
            Some(Line::Long) => return Ok(false),
            Some(Line::Torn) | None => {}
        }
    }
    Ok(true)
}

pub(super) fn open(path: &Path) -> Result<Lines<BufReader<File>>, Failed> {
    let file = File::open(path).map_err(|error| Failed::file(path, &error))?;
    Ok(Lines::new(BufReader::with_capacity(1 << 16, file)))
}

/// Hands on each line of `files` that is whole.
pub(super) fn each_line(
    files: &[PathBuf],
    mut take: impl FnMut(&str) -> Result<bool, Failed>,
) -> Result<(), Failed> {
    for path in files {
        let mut lines = open(path)?;
        while let Some(line) = lines.next().map_err(|error| Failed::file(path, &error))? {
            let text = std::str::from_utf8(lines.text()).unwrap_or_default();
            if line == Line::Whole && !take(text)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Hands on each record of `files`, until `take` has enough, and counts the lines that are none.
pub(super) fn each_record(
    files: &[PathBuf],
    mut take: impl FnMut(&str, &Entry<'_>) -> Result<bool, Failed>,
) -> Result<u64, Failed> {
    let mut others = 0;
    each_line(files, |text| match crate::line::parse(text) {
        Ok(entry) => take(text, &entry),
        Err(_) => {
            others += 1;
            Ok(true)
        }
    })?;
    Ok(others)
}

/// What a small file holds.
pub(super) fn text(path: &Path) -> Result<String, Failed> {
    fs::read_to_string(path).map_err(|error| Failed::file(path, &error))
}
