//! How the files of one log are called, so that what writes them and what reads them agree.
//!
//! The current file has the path that the service was given: `audit.jsonl`. A file that is full stands beside it, and its name
//! says when its first record was written, in which run, and which file of that run it is:
//! `audit.20261122T200911.123Z-9744c580-000001.jsonl`. So the names sort as the files were written, as long as nobody sets the
//! clock back.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gateless_core::Timestamp;
use time::{Date, Month, Time, UtcDateTime};

use crate::boot::BootId;

/// What the name of a full file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rotated {
    /// The time of its first record.
    pub time: Timestamp,
    /// The first 8 hex digits of the run that wrote it: see [`short`].
    pub boot: u32,
    /// Which file of that run it is. The first is 1.
    pub number: u32,
}

/// What stands of a run in the name of a file: the number that its first 8 hex digits write.
#[must_use]
pub fn short(boot: BootId) -> u32 {
    let text = boot.to_string();
    let digits = text.get(..8).unwrap_or_default();
    u32::from_str_radix(digits, 16).unwrap_or_default()
}

/// The path of a full file of the log whose current file is `current`.
///
/// ```
/// use std::path::Path;
///
/// use gateless_audit::file_name::{Rotated, format, parse};
/// use gateless_core::Timestamp;
///
/// let current = Path::new("/var/log/audit.jsonl");
/// let rotated = Rotated { time: Timestamp::from_millis(1_795_378_151_123), boot: 0x9744_c580, number: 1 };
/// let path = format(current, &rotated);
/// assert_eq!(path, Path::new("/var/log/audit.20261122T200911.123Z-9744c580-000001.jsonl"));
/// assert_eq!(parse(current, &path), Some(rotated));
/// ```
#[must_use]
pub fn format(current: &Path, rotated: &Rotated) -> PathBuf {
    let nanos = i128::from(rotated.time.as_millis()) * 1_000_000;
    let time = UtcDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(UtcDateTime::UNIX_EPOCH);
    let mut name = current.file_stem().unwrap_or_default().to_owned();
    name.push(format!(
        ".{:04}{:02}{:02}T{:02}{:02}{:02}.{:03}Z-{:08x}-{:06}",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond(),
        rotated.boot,
        rotated.number,
    ));
    if let Some(extension) = current.extension() {
        name.push(".");
        name.push(extension);
    }
    current.with_file_name(name)
}

/// What the name of `path` says, if it is that of a full file of the log whose current file is `current`.
#[must_use]
pub fn parse(current: &Path, path: &Path) -> Option<Rotated> {
    let name = path.file_name()?.to_str()?;
    let stem = current.file_stem()?.to_str()?;
    let mut middle = name.strip_prefix(stem)?.strip_prefix('.')?;
    if let Some(extension) = current.extension().and_then(OsStr::to_str) {
        middle = middle.strip_suffix(extension)?.strip_suffix('.')?;
    }
    let mut parts = middle.split('-');
    let (time, boot, number) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if parts.next().is_some()
        || (boot.len(), time.len()) != (8, 20)
        || !boot.bytes().all(is_hex)
        || number.len() < 6
    {
        return None;
    }
    Some(Rotated {
        time: moment(time)?,
        boot: u32::from_str_radix(boot, 16).ok()?,
        number: digits(number)?,
    })
}

/// The path of the current file of the log that the full file `path` belongs to.
#[must_use]
pub fn current(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let (rest, last) = name.rsplit_once('.')?;
    // With an extension there are two dots before the name of the log ends, else one less.
    let (long, _) = rest.rsplit_once('.')?;
    let with_extension = long
        .rsplit_once('.')
        .map(|(stem, _)| format!("{stem}.{last}"));
    let names = with_extension.into_iter().chain([long.to_owned()]);
    let mut paths = names.map(|name| path.with_file_name(name));
    paths.find(|current| parse(current, path).is_some())
}

/// All files of the log whose current file is `current`, the oldest first. The current one is the last, if it is there.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn set(current: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = match current.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut rotated: Vec<(Rotated, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let path = current.with_file_name(name);
        rotated.extend(parse(current, &path).map(|rotated| (rotated, path)));
    }
    // The files of a run stand together and in their order, also when somebody set the clock back between two of them.
    let mut begins: HashMap<u32, Timestamp> = HashMap::new();
    for (name, _) in &rotated {
        let begin = begins.entry(name.boot).or_insert(name.time);
        *begin = (*begin).min(name.time);
    }
    rotated.sort_by_key(|(name, _)| {
        let begin = begins.get(&name.boot).copied();
        (begin, name.boot, name.number, name.time)
    });
    let mut paths: Vec<_> = rotated.into_iter().map(|(_, path)| path).collect();
    if current.try_exists()? {
        paths.push(current.to_owned());
    }
    Ok(paths)
}

/// `20261122T200911.123Z`
fn moment(text: &str) -> Option<Timestamp> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let (clock, millis) = clock.split_once('.')?;
    let month = Month::try_from(digits::<u8>(date.get(4..6)?)?).ok()?;
    let date = Date::from_calendar_date(digits(date.get(..4)?)?, month, digits(date.get(6..)?)?);
    let clock = Time::from_hms_milli(
        digits(clock.get(..2)?)?,
        digits(clock.get(2..4)?)?,
        digits(clock.get(4..)?)?,
        digits(millis)?,
    );
    let nanos = UtcDateTime::new(date.ok()?, clock.ok()?).unix_timestamp_nanos();
    i64::try_from(nanos / 1_000_000)
        .ok()
        .map(Timestamp::from_millis)
}

/// A number without a sign.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "audit.20261122T200911.123Z-9744c580-000001.jsonl";

    #[test]
    fn only_files_of_the_same_log_are_its_files() {
        let current = Path::new("logs/audit.jsonl");
        assert!(parse(current, Path::new(FULL)).is_some());
        assert_eq!(
            super::current(Path::new(FULL)),
            Some(PathBuf::from("audit.jsonl"))
        );
        assert_eq!(super::current(current), None);
        for other in [
            "audit.jsonl",
            "audit2.20261122T200911.123Z-9744c580-000001.jsonl",
            "audit.20261122T200911.123Z-9744c580-000001.jsonl.gz",
            "audit.20261122T200911.123Z-9744C580-000001.jsonl",
            "audit.20261122T200911.123Z-9744c580-00001.jsonl",
            "audit.20261122T200911.123Z-9744c580-+00001.jsonl",
            "audit.20261122T200911.123Z-9744c580-000001-1.jsonl",
            "audit.20261322T200911.123Z-9744c580-000001.jsonl",
            "audit.20261122T250911.123Z-9744c580-000001.jsonl",
            "audit.2026112éT20091.123Z-9744c580-000001.jsonl",
            "audit.checkpoints.jsonl",
        ] {
            assert_eq!(parse(current, Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn a_name_without_an_extension_has_none_later() {
        let current = Path::new("audit");
        let rotated = Rotated {
            time: Timestamp::from_millis(7),
            boot: short(BootId::parse("9744c580000000000000000000000001").unwrap()),
            number: 1_000_000,
        };
        let path = format(current, &rotated);
        assert_eq!(
            path,
            Path::new("audit.19700101T000000.007Z-9744c580-1000000")
        );
        assert_eq!(parse(current, &path), Some(rotated));
        assert_eq!(super::current(&path).as_deref(), Some(current));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_part_the_files_of_a_run() {
        let folder = std::env::temp_dir().join(format!("gateless-audit-{}", BootId::random()));
        fs::create_dir_all(&folder).unwrap();
        let names = [
            "audit.20261122T200000.000Z-9744c580-000001.jsonl",
            "audit.20261122T190000.000Z-9744c580-000002.jsonl",
            "audit.20261122T203000.000Z-9744c580-000003.jsonl",
            "audit.20261122T193000.000Z-00000000-000001.jsonl",
        ];
        for name in names {
            fs::write(folder.join(name), "").unwrap();
        }
        let paths = set(&folder.join("audit.jsonl")).unwrap();
        assert_eq!(paths, names.map(|name| folder.join(name)));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_log_is_read_in_the_order_in_which_it_was_written() {
        let folder = std::env::temp_dir().join(format!("gateless-audit-{}", BootId::random()));
        fs::create_dir_all(&folder).unwrap();
        let names = [
            "audit.20261122T200911.123Z-9744c580-000002.jsonl",
            "audit.20261122T200911.123Z-9744c580-000010.jsonl",
            "audit.20261123T000000.000Z-00000000-000001.jsonl",
            "audit.jsonl",
        ];
        for name in names.iter().rev().chain(&["other.jsonl"]) {
            fs::write(folder.join(name), "").unwrap();
        }
        let paths = set(&folder.join("audit.jsonl")).unwrap();
        assert_eq!(paths, names.map(|name| folder.join(name)));
        fs::remove_file(folder.join("audit.jsonl")).unwrap();
        assert_eq!(set(&folder.join("audit.jsonl")).unwrap().len(), 3);
        fs::remove_dir_all(folder).unwrap();
    }
}
