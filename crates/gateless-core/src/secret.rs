//! Values that must not be printed.

use std::fmt;

use zeroize::Zeroizing;

/// A bearer token as received. Zeroized on drop; prints as its length only.
///
/// ```
/// let token = gateless_core::AccessToken::new("eyJhbGciOi");
/// assert_eq!(format!("{token:?}"), "AccessToken([10 bytes])");
/// ```
#[derive(Clone)]
pub struct AccessToken(Zeroizing<Box<str>>);

impl AccessToken {
    /// Takes a copy of `token`.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(Zeroizing::new(token.into()))
    }

    /// The token itself. Never log or store what this returns.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken([{} bytes])", self.0.len())
    }
}
