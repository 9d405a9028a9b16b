//! The last records, and those that come.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{Failed, files, show};
use crate::lines::LONGEST;

/// How often a file is looked at.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Args, Debug)]
pub(super) struct Tail {
    /// Go on with what comes, also in the files that follow.
    #[arg(short)]
    follow: bool,
    /// How many records.
    #[arg(short = 'n', default_value_t = 10)]
    number: usize,
    /// The current file of a log.
    path: PathBuf,
}

impl Tail {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<ExitCode, Failed> {
        let mut following = Following::default();
        if self.follow {
            // Before the last records are read: what comes meanwhile is printed twice rather than never.
            following.open_at_end(&self.path)?;
        }
        let files = match files::of(std::slice::from_ref(&self.path)) {
            Err(_) if self.follow => Vec::new(),
            files => files?,
        };
        // The last two files: the current one can be new.
        let recent = files
            .get(files.len().saturating_sub(2)..)
            .unwrap_or_default();
        let mut rows = VecDeque::new();
        files::each_record(recent, |_, entry| {
            rows.push_back(show::row(entry));
            if rows.len() > self.number {
                rows.pop_front();
            }
            Ok(true)
        })?;
        for row in &rows {
            writeln!(out, "{row}")?;
        }
        out.flush()?;
        if !self.follow {
            return Ok(ExitCode::SUCCESS);
        }
        loop {
            if following.read(out)? {
                out.flush()?;
                continue;
            }
            // The writer gives the current file another name, and begins a new one.
            if following.is_replaced(&self.path) {
                following.read(out)?;
                following.open(&self.path)?;
                continue;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[derive(Debug, Default)]
struct Following {
    file: Option<File>,
    /// The beginning of a line.
    part: Vec<u8>,
    /// The line is too long, and its rest is passed over.
    is_long: bool,
}

impl Following {
    fn open(&mut self, path: &Path) -> Result<(), Failed> {
        self.part.clear();
        self.is_long = false;
        self.file = match File::open(path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failed::file(path, &error)),
        };
        Ok(())
    }

    fn open_at_end(&mut self, path: &Path) -> Result<(), Failed> {
        self.open(path)?;
        if let Some(file) = &mut self.file {
            file.seek(std::io::SeekFrom::End(0))
                .map_err(|error| Failed::file(path, &error))?;
        }
        Ok(())
    }

    /// Prints what came, and says whether there was anything.
    fn read(&mut self, out: &mut impl Write) -> Result<bool, Failed> {
        let Some(file) = &mut self.file else {
            return Ok(false);
        };
        let mut chunk = [0; 8192];
        let mut has_read = false;
        loop {
            let len = file
                .read(&mut chunk)
                .map_err(|error| Failed::says(error.to_string()))?;
            if len == 0 {
                return Ok(has_read);
            }
            has_read = true;
            for byte in chunk.get(..len).unwrap_or_default() {
                if *byte != b'\n' {
                    self.is_long |= self.part.len() >= LONGEST;
                    if !self.is_long {
                        self.part.push(*byte);
                    }
                    continue;
                }
                let text = std::str::from_utf8(&self.part).unwrap_or_default();
                match crate::line::parse(text) {
                    Ok(entry) if !self.is_long => writeln!(out, "{}", show::row(&entry))?,
                    _ => writeln!(out, "(a line that is no record)")?,
                }
                self.part.clear();
                self.is_long = false;
            }
        }
    }

    /// Whether another file has the path now.
    fn is_replaced(&self, path: &Path) -> bool {
        let (Some(file), Ok(there)) = (&self.file, fs::metadata(path)) else {
            return self.file.is_none() && path.exists();
        };
        file.metadata().is_ok_and(|here| !is_same(&here, &there))
    }
}

#[cfg(unix)]
fn is_same(one: &fs::Metadata, two: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (two.dev(), two.ino())
}

/// Where files have no number: a new one was made at another time.
#[cfg(not(unix))]
fn is_same(one: &fs::Metadata, two: &fs::Metadata) -> bool {
    one.created().ok() == two.created().ok()
}
