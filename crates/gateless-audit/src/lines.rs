//! Reads a log line by line, and never more of it than a line has.

use std::io::{self, BufRead};

/// The longest line that is read. A record has some hundreds of bytes, and 256 for each text at most.
pub(crate) const LONGEST: usize = 64 * 1024;

/// What [`Lines::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line: see [`Lines::text`].
    Whole,
    /// The end of the file, and no line feed before it.
    Torn,
    /// A line that is too long. It was passed over.
    Long,
}

/// The lines of a log.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// The number of the line that was read last. The first is 1.
    pub(crate) number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) const fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            number: 0,
        }
    }

    /// The line that was read last, without its line feed.
    pub(crate) fn text(&self) -> &[u8] {
        &self.buffer
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        self.buffer.clear();
        let mut is_long = false;
        loop {
            let part = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                part => part?,
            };
            if part.is_empty() {
                let is_end = self.buffer.is_empty() && !is_long;
                self.number += u64::from(!is_end);
                return Ok((!is_end).then_some(Line::Torn));
            }
            let end = part.iter().position(|byte| *byte == b'\n');
            let text = part.get(..end.unwrap_or(part.len())).unwrap_or_default();
            is_long |= self.buffer.len() + text.len() > LONGEST;
            if !is_long {
                self.buffer.extend_from_slice(text);
            }
            let used = text.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                self.number += 1;
                return Ok(Some(if is_long { Line::Long } else { Line::Whole }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_whole_torn_or_too_long() {
        let long = "x".repeat(LONGEST + 1);
        let fits = "y".repeat(LONGEST);
        let text = format!("one\n\n{long}\n{fits}\ntwo");
        let mut lines = Lines::new(io::BufReader::with_capacity(7, text.as_bytes()));
        for (number, says, len) in [
            (1, Some(Line::Whole), 3),
            (2, Some(Line::Whole), 0),
            (3, Some(Line::Long), LONGEST),
            (4, Some(Line::Whole), LONGEST),
            (5, Some(Line::Torn), 3),
            (5, None, 0),
        ] {
            assert_eq!(lines.next().unwrap(), says);
            assert_eq!(lines.number, number);
            assert!(lines.text().len() <= len);
        }
    }
}
