//! Paths with parameters, compared by structure: what a parameter is called makes no difference.

use std::fmt;
use std::hash::{Hash, Hasher};

/// The path of a route, as axum writes it: `/orders/{id}`, `/files/{*rest}`; `{{` and `}}` stand for braces.
#[cfg_attr(feature = "limit", derive(Clone))]
pub(crate) struct Pattern(Box<str>);

impl Pattern {
    /// A path as it stands, whether a router of axum ever matches it or not.
    #[cfg(feature = "limit")]
    pub(crate) fn of(path: impl Into<Box<str>>) -> Self {
        Self(path.into())
    }

    /// Why no router of axum ever matches such a path.
    #[cfg(feature = "scope")]
    pub(crate) fn parse(path: &str) -> Result<Self, &'static str> {
        let Some(relative) = path.strip_prefix('/') else {
            return Err("does not begin with a slash");
        };
        if path.contains(['?', '#']) {
            return Err("has a query or a fragment, which is no part of a path");
        }
        if path
            .chars()
            .any(|c| c.is_control() || c == ' ' || c == '\\')
        {
            return Err("has a character that no path of a request has");
        }
        let mut segments = relative.split('/').peekable();
        while let Some(segment) = segments.next() {
            let is_last = segments.peek().is_none();
            check_segment(segment, is_last)?;
        }
        Ok(Self(path.into()))
    }

    /// Whether `route` has the same structure.
    pub(crate) fn is(&self, route: &str) -> bool {
        *self.0 == *route || Pieces(&self.0).eq(Pieces(route))
    }

    #[cfg(feature = "limit")]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn hashed(&self) -> Hashed<'_> {
        Hashed(&self.0)
    }
}

#[cfg(feature = "scope")]
fn check_segment(segment: &str, is_last: bool) -> Result<(), &'static str> {
    if segment == "." || segment == ".." {
        return Err("has a segment of dots, which clients resolve before they ask");
    }
    if segment.starts_with(':') {
        return Err("names a parameter with a colon; write {name}");
    }
    if segment.starts_with('*') {
        return Err("names a wildcard without braces; write {*name}");
    }
    let plain = segment.replace("{{", "").replace("}}", "");
    let mut rest = &*plain;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return Err("opens a brace and does not close it");
        };
        let is_wildcard = name.starts_with('*');
        if name.trim_start_matches('*').is_empty() || name.contains(['{', '*']) && !is_wildcard {
            return Err("has a parameter without a proper name");
        }
        if is_wildcard && !(is_last && before.is_empty() && after.is_empty()) {
            return Err("has a wildcard that is not its last segment");
        }
        if before.contains('}') {
            return Err("closes a brace that is not open");
        }
        if !after.is_empty() {
            return Err("has text behind a parameter, up to the next slash");
        }
        rest = after;
    }
    if rest.contains('}') {
        return Err("closes a brace that is not open");
    }
    Ok(())
}

#[cfg(feature = "limit")]
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

#[cfg(feature = "limit")]
impl Eq for Pattern {}

#[cfg(feature = "limit")]
impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hashed().hash(state);
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Hashes a path as [`Pattern::is`] compares it.
pub(crate) struct Hashed<'a>(pub(crate) &'a str);

impl Hash for Hashed<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for piece in Pieces(self.0) {
            state.write(piece.as_bytes());
        }
        state.write_u8(0xff);
    }
}

#[cfg(feature = "limit")]
impl hashbrown::Equivalent<Pattern> for Hashed<'_> {
    fn equivalent(&self, pattern: &Pattern) -> bool {
        pattern.is(self.0)
    }
}

/// The texts of a path, with `{}` for each parameter and `{*}` for a wildcard.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (piece, rest) = match self.0.find('{') {
            None if self.0.is_empty() => return None,
            None => (self.0, ""),
            Some(0) if self.0.starts_with("{{") => self.0.split_at(2),
            Some(0) => {
                let piece = if self.0.starts_with("{*") {
                    "{*}"
                } else {
                    "{}"
                };
                (piece, self.0.split_once('}').map_or("", |(_, rest)| rest))
            }
            Some(at) => self.0.split_at(at),
        };
        self.0 = rest;
        Some(piece)
    }
}
