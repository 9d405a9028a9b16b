//! How well a person proved who they are: the authentication context class (`acr`).

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::token::Token;

/// One authentication context class reference: a value of the claim `acr` (OpenID Connect Core §2), such as `phr` or a
/// URN of the issuer's. Compared byte for byte; which of two is the stronger one only the issuer knows.
///
/// ```
/// use gateless_core::{Acr, acr};
///
/// const PHISHING_RESISTANT: Acr = acr!("phr");
/// assert_eq!(PHISHING_RESISTANT, Acr::parse("phr")?);
/// assert!(Acr::parse("two words").is_err());
/// # Ok::<(), gateless_core::InvalidAcr>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Acr(Token);

/// A text that cannot stand in the `acr_values` of a challenge (RFC 9470 §3): empty, or with a space, a quote, a
/// backslash or something that is not printable ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an acr is one or more printable ASCII characters without space, quote and backslash")]
pub struct InvalidAcr;

impl Acr {
    /// From a literal. Prefer the [`acr!`](crate::acr!) macro, which forces the check to compile time.
    ///
    /// # Panics
    ///
    /// When `literal` cannot stand in a challenge; in a `const` context that is a compile error.
    #[must_use]
    pub const fn literal(literal: &'static str) -> Self {
        Self(Token::literal(literal))
    }

    /// From text that is only known while the program runs.
    ///
    /// # Errors
    ///
    /// [`InvalidAcr`] when it cannot stand in a challenge.
    pub fn parse(text: &str) -> Result<Self, InvalidAcr> {
        Token::parse(text).map(Self).ok_or(InvalidAcr)
    }

    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Acr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Acr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Acr({:?})", self.as_str())
    }
}

impl Serialize for Acr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Acr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

/// An [`Acr`](crate::Acr) from a literal, checked when the program is compiled.
#[macro_export]
macro_rules! acr {
    ($literal:literal) => {
        const { $crate::Acr::literal($literal) }
    };
}
