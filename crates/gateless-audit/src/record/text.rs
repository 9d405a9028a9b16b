//! Texts that others chose.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// A text in a record: 256 bytes at most. What is longer is cut, and ends with `…`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Text<'a> {
    /// The longest text, in bytes.
    pub const MAX_LEN: usize = 256;

    /// The text, cut if it is too long.
    #[must_use]
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        if text.len() <= Self::MAX_LEN {
            return Self(text);
        }
        const MARK: char = '…';
        let room = Self::MAX_LEN - MARK.len_utf8();
        let end = text
            .char_indices()
            .map(|(at, char)| at + char.len_utf8())
            .take_while(|end| *end <= room)
            .last();
        let mut cut = text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned();
        cut.push(MARK);
        Self(cut.into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, kept for longer.
    #[must_use]
    pub fn into_owned(self) -> Text<'static> {
        Text(self.0.into_owned().into())
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
