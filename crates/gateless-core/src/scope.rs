//! Scopes as RFC 6749 §3.3 defines them: exact, case-sensitive, separated by spaces.

use std::borrow::Borrow;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::token::{Token, is_token, is_token_byte};

/// One scope token. Two scopes are equal only when they are equal byte for byte.
///
/// A literal is checked when the program is compiled, text from elsewhere when it is parsed:
///
/// ```
/// use gateless_core::{Scope, scope};
///
/// const READ: Scope = scope!("orders:read");
/// assert_eq!(READ, Scope::parse("orders:read")?);
/// assert!(Scope::parse("orders read").is_err());
/// # Ok::<(), gateless_core::InvalidScope>(())
/// ```
///
/// ```compile_fail
/// # use gateless_core::scope;
/// let wrong = scope!("orders read"); // a space separates scopes: this is two of them
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Token);

/// A text that is not a scope token: empty, or with a character outside RFC 6749 §3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope is one or more printable ASCII characters without space, quote and backslash")]
pub struct InvalidScope;

impl Scope {
    /// A scope from a literal. Prefer the [`scope!`](crate::scope!) macro, which forces the check to compile time.
    ///
    /// # Panics
    ///
    /// When `literal` is not a scope token; in a `const` context that is a compile error.
    #[must_use]
    pub const fn literal(literal: &'static str) -> Self {
        Self(Token::literal(literal))
    }

    /// A scope from text that is only known while the program runs.
    ///
    /// # Errors
    ///
    /// [`InvalidScope`] when it is empty or holds a character outside RFC 6749 §3.3.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        Token::parse(text).map(Self).ok_or(InvalidScope)
    }

    /// The scope as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Borrow<str> for Scope {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({:?})", self.as_str())
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

/// A [`Scope`](crate::Scope) from a literal, checked when the program is compiled.
#[macro_export]
macro_rules! scope {
    ($literal:literal) => {
        const { $crate::Scope::literal($literal) }
    };
}

/// An array of [`Scope`](crate::Scope)s from literals, each checked when the program is compiled.
///
/// ```
/// # use gateless_core::scopes;
/// let both = scopes!["orders:read", "orders:write"];
/// assert_eq!(both.len(), 2);
/// ```
#[macro_export]
macro_rules! scopes {
    ($($literal:literal),* $(,)?) => {
        [$($crate::scope!($literal)),*]
    };
}

/// The scopes that a token grants, in the token's order.
///
/// Membership is exact: no prefix, no wildcard, no case folding (RFC 6749 §3.3).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ScopeSet(Box<str>);

impl ScopeSet {
    /// The grant of a token that names no scope.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads the `scope` parameter: tokens separated by spaces. Surplus spaces mean nothing, duplicates count once.
    ///
    /// # Errors
    ///
    /// [`InvalidScope`] when a token holds a character outside RFC 6749 §3.3.
    pub fn parse(text: impl Into<Box<str>>) -> Result<Self, InvalidScope> {
        let text = text.into();
        if text.bytes().all(|byte| byte == b' ' || is_token_byte(byte)) {
            Ok(Self(text))
        } else {
            Err(InvalidScope)
        }
    }

    /// Reads scopes that came as a list, one token an element.
    ///
    /// # Errors
    ///
    /// [`InvalidScope`] when an element is not exactly one scope token.
    pub fn from_tokens<'a>(
        tokens: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidScope> {
        let mut text = String::new();
        for token in tokens {
            if !is_token(token.as_bytes()) {
                return Err(InvalidScope);
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(token);
        }
        Ok(Self(text.into()))
    }

    /// Whether `scope` is granted.
    #[must_use]
    pub fn contains(&self, scope: &Scope) -> bool {
        // By bytes: searching a `char` has a price of its own, which counts where the answer is this short.
        let mut granted = self.0.as_bytes().split(|byte| *byte == b' ');
        granted.any(|granted| granted == scope.as_str().as_bytes())
    }

    /// The granted scopes in the token's order; one that the token repeats appears again.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|token| !token.is_empty())
    }

    /// Whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("read", true)]
    #[case("https://api.example.com/orders.read", true)]
    #[case("a,b", true)]
    #[case("", false)]
    #[case("a b", false)]
    #[case("a\"b", false)]
    #[case("a\\b", false)]
    #[case("caf\u{e9}", false)]
    #[case("a\tb", false)]
    fn a_scope_is_what_rfc_6749_says(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(Scope::parse(text).is_ok(), valid);
    }

    #[rstest]
    #[case("read write", "read", true)]
    #[case("readwrite", "read", false)]
    #[case("Read", "read", false)]
    #[case("admin:*", "admin:read", false)]
    #[case(" read  read ", "read", true)]
    #[case("read,write", "read", false)]
    #[case("", "read", false)]
    fn tj_06_membership_is_exact(
        #[case] granted: &str,
        #[case] asked: &str,
        #[case] expected: bool,
    ) {
        let granted = ScopeSet::parse(granted).unwrap();
        assert_eq!(granted.contains(&Scope::parse(asked).unwrap()), expected);
    }

    #[test]
    fn a_list_element_with_a_space_is_not_two_scopes() {
        assert_eq!(ScopeSet::from_tokens(["a b"]), Err(InvalidScope));
        assert_eq!(ScopeSet::from_tokens(["a", "b"]), ScopeSet::parse("a b"));
    }
}
