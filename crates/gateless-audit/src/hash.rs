//! The hash of a line, and of what is above it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A SHA-256 in a chain or a tree, written in base64url.
///
/// Lines and inner nodes of the tree are hashed with different first bytes, as in RFC 6962 §2.1, so that none can pass for the
/// other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LineHash([u8; 32]);

impl LineHash {
    /// What stands before the first line of a chain.
    pub const ZERO: Self = Self([0; 32]);

    /// Of one line, without its line feed.
    #[must_use]
    pub fn of_line(line: &[u8]) -> Self {
        Self(
            Sha256::new_with_prefix([0])
                .chain_update(line)
                .finalize()
                .into(),
        )
    }

    /// Of two nodes of the tree.
    #[must_use]
    pub fn of_nodes(left: Self, right: Self) -> Self {
        let hash = Sha256::new_with_prefix([1])
            .chain_update(left.0)
            .chain_update(right.0);
        Self(hash.finalize().into())
    }

    /// From base64url without padding.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LineHash({self})")
    }
}

impl Serialize for LineHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 43];
        let written = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text);
        let text = written.ok().and_then(|len| text.get(..len));
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        serializer.serialize_str(text.expect("32 bytes are 43 characters"))
    }
}

impl<'de> Deserialize<'de> for LineHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a SHA-256 in base64url"))
    }
}
