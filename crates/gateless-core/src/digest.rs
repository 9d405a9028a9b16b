//! What a token without an id is told apart by.

use std::fmt;

/// The SHA-256 of a token that has no id: of an opaque token as it is, of a JWT without its signature, as that can be
/// written in several ways.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// From a SHA-256.
    #[must_use]
    pub const fn new(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }

    /// Of a token: of all of it when it is opaque, of the first two parts with the dot between them when it is a JWT.
    #[cfg(feature = "revocation")]
    #[cfg_attr(docsrs, doc(cfg(feature = "revocation")))]
    #[must_use]
    pub fn of(text: &str) -> Self {
        use sha2::{Digest as _, Sha256};

        Self(Sha256::digest(text).into())
    }

    /// The bytes of it.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest([redacted])")
    }
}
