//! Which files a log has, and their lines.

use std::collections::HashSet;
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

/// The current files of the logs in a folder. Copies of checkpoints are no log.
fn logs_in(folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| Failed::file(folder, &error))? {
        let path = entry.map_err(|error| Failed::file(folder, &error))?.path();
        if let Some(current) = file_name::current(&path) {
            logs.push(current);
        } else if path.extension() == Some(OsStr::new("jsonl"))
            && !path.to_string_lossy().contains("checkpoints")
        {
            logs.push(path);
        }
    }
    logs.sort();
    logs.dedup();
    Ok(logs)
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
