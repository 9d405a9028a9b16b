//! The texts that may stand in a space-separated list of a challenge: scopes, and authentication contexts.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// `1*( %x21 / %x23-5B / %x5D-7E )`, RFC 6749 §3.3: printable ASCII without space, quote and backslash.
#[derive(Clone)]
pub(crate) struct Token(Text);

#[derive(Clone)]
enum Text {
    Literal(&'static str),
    Shared(Arc<str>),
}

impl Token {
    /// Panics when it is no token; in a `const` context that is a compile error.
    pub(crate) const fn literal(literal: &'static str) -> Self {
        assert!(
            is_token(literal.as_bytes()),
            "not a token as in scope and acr_values (RFC 6749 section 3.3)"
        );
        Self(Text::Literal(literal))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        is_token(text.as_bytes()).then(|| Self(Text::Shared(text.into())))
    }

    pub(crate) fn as_str(&self) -> &str {
        match &self.0 {
            Text::Literal(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Token {}

impl PartialOrd for Token {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Token {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

pub(crate) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

pub(crate) const fn is_token(mut bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        return false;
    }
    while let [first, rest @ ..] = bytes {
        if !is_token_byte(*first) {
            return false;
        }
        bytes = rest;
    }
    true
}
