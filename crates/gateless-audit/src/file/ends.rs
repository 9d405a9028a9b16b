//! What stands at the two ends of a file.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use gateless_core::Timestamp;

use crate::boot::BootId;
use crate::hash::LineHash;
use crate::line::parse;
use crate::record::Link;

/// How much is read at most to find a line. The longest record is far below it.
const MAX_READ: u64 = 4 << 20;

/// When the first readable record of a file was made, and in which run.
pub(super) fn first(path: &Path) -> io::Result<Option<(Timestamp, BootId)>> {
    let mut head = Vec::new();
    File::open(path)?.take(MAX_READ).read_to_end(&mut head)?;
    let mut lines = complete(&head).split(|byte| *byte == b'\n');
    Ok(lines.find_map(|line| {
        let entry = parse(std::str::from_utf8(line).ok()?).ok()?;
        Some((entry.time, entry.boot))
    }))
}

/// The last complete line that is a record. What a killed process wrote only in part is passed over.
pub(super) fn last(path: &Path) -> io::Result<Option<Link>> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    let mut window = 64 << 10;
    loop {
        let start = end.saturating_sub(window);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        (&mut file).take(end - start).read_to_end(&mut tail)?;
        // The first line of the window is cut in front, most likely: it is no JSON then.
        let found = complete(&tail).rsplit(|byte| *byte == b'\n').find_map(link);
        if found.is_some() || start == 0 || window >= MAX_READ {
            return Ok(found);
        }
        window *= 4;
    }
}

/// Without what stands behind the last line feed.
fn complete(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    bytes.get(..end.unwrap_or(0)).unwrap_or_default()
}

fn link(line: &[u8]) -> Option<Link> {
    let entry = parse(std::str::from_utf8(line).ok()?).ok()?;
    Some(Link {
        boot: entry.boot,
        seq: entry.seq,
        hash: LineHash::of_line(line),
    })
}
