//! A record as a line, and back.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

use crate::record::Entry;

/// Writes `entry`, in whatever form it is, as one line of printable ASCII, without a line feed.
pub(crate) fn write(entry: &impl Serialize, line: &mut Vec<u8>) {
    write_json(entry, line);
}

/// Writes JSON in one line of printable ASCII.
pub(crate) fn write_json(value: &impl Serialize, line: &mut Vec<u8>) {
    let mut serializer = Serializer::with_formatter(line, Ascii);
    let written = value.serialize(&mut serializer);
    written.expect("it has texts and numbers only, and memory does not fail");
}

/// Reads one line.
///
/// # Errors
///
/// [`Unreadable`] when it is not a record.
pub fn parse(line: &str) -> Result<Entry<'_>, Unreadable> {
    serde_json::from_str(line).map_err(|error| Unreadable {
        column: error.column(),
    })
}

/// A line that is no record. Holds nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a record (column {column})")]
pub struct Unreadable {
    column: usize,
}

/// Escapes all that is not printable ASCII: terminals, editors and viewers of logs do what is written, and not more.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| !matches!(c, ' '..='~')) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut chars = tail.chars();
            if let Some(char) = chars.next() {
                let mut units = [0; 2];
                for unit in char.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        CompactFormatter.write_char_escape(writer, escape)
    }
}
