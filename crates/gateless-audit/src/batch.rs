//! Lines that are written together.

use std::fmt;

/// Some lines in a row, as sinks get them: each is a record in JSON, and ends with a line feed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Batch {
    text: String,
    /// Where each line ends, behind its line feed.
    ends: Vec<usize>,
}

impl Batch {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            text: String::new(),
            ends: Vec::new(),
        }
    }

    /// Adds a line; it must not have a line feed yet.
    pub fn push(&mut self, line: &str) {
        debug_assert!(!line.contains('\n'), "one line is one record");
        self.text.push_str(line);
        self.text.push('\n');
        self.ends.push(self.text.len());
    }

    /// The lines, without their line feeds.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All of them as they are written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Takes all lines out. The room for them stays.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }
}

impl fmt::Debug for Batch {
    /// Without the records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("lines", &self.ends.len())
            .field("bytes", &self.text.len())
            .finish()
    }
}
