//! What a token looks like from outside.

use std::fmt;

use serde::de::MapAccess;

use crate::base64url;
use crate::json::{self, Object, Text};

/// What a token looks like from outside; decides where it may be sent.
///
/// A token that is asked about is shown to whoever is asked. One that another issuer made is none of their business: it
/// could be used by them (RFC 9700 §4.9). Nothing here is believed: whatever the shape, the token is still to be
/// verified or asked about.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenShape {
    /// Nothing can be told: good only at the authorization server that made it.
    Opaque,
    /// A signed JWT that says who made it. Says so without proof: only good for picking one of the configured issuers.
    Jwt {
        /// The `iss`, as it stands there.
        issuer: Box<str>,
    },
    /// A token of JOSE in another form: encrypted, without an issuer, or malformed.
    Jose,
}

impl TokenShape {
    /// The shape of `token`.
    ///
    /// What begins with a JSON object in base64url and a dot is of JOSE, and a JWT when it has three segments with a
    /// payload that names its issuer; the header need not be one that is understood here. Everything else is opaque,
    /// however many dots there are in it.
    #[must_use]
    pub fn of(token: &str) -> Self {
        if !Self::may_be_jose(token.as_bytes()) {
            return Self::Opaque;
        }
        let header = token.split('.').next().unwrap_or_default();
        if !base64url::decode(header.as_bytes()).is_some_and(|header| is_object(&header)) {
            return Self::Opaque;
        }
        issuer(token).map_or(Self::Jose, |issuer| Self::Jwt { issuer })
    }

    /// Whether the token could be of JOSE, by its first two characters and a dot. `false` is certain: it is
    /// [`Opaque`](Self::Opaque).
    #[must_use]
    pub fn may_be_jose(token: &[u8]) -> bool {
        // How a `{` begins in base64url, before a quotation mark, white space or `}`; then how white space before it
        // does: a space, a tab or line feed, a carriage return.
        let begins_with_object = matches!(
            token,
            [b'e', b'y' | b'w' | b'3', ..]
                | [b'I', b'A' | b'C' | b'H', ..]
                | [b'C', b'Q' | b'S' | b'X' | b'g' | b'i' | b'n', ..]
                | [b'D', b'Q' | b'S' | b'X', ..]
        );
        begins_with_object && token.contains(&b'.')
    }
}

impl fmt::Debug for TokenShape {
    /// What a token says of itself is not printed before it is believed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opaque => f.write_str("Opaque"),
            Self::Jwt { .. } => f.debug_struct("Jwt").finish_non_exhaustive(),
            Self::Jose => f.write_str("Jose"),
        }
    }
}

/// Whether it is a JSON object, strict or not: a token with a bad header must not pass for an opaque one.
fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
        && serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok()
}

/// The `iss` of a token with three segments and a strict payload.
fn issuer(token: &str) -> Option<Box<str>> {
    let mut segments = token.split('.').skip(1);
    let (payload, signature) = (segments.next()?, segments.next()?);
    if segments.next().is_some() || base64url::decode(signature.as_bytes())?.is_empty() {
        return None;
    }
    let payload = base64url::decode(payload.as_bytes())?;
    let Issuer(issuer) = json::read(str::from_utf8(&payload).ok()?, Issuer(None))?;
    issuer
}

struct Issuer(Option<Box<str>>);

impl<'de> Object<'de> for Issuer {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "iss" => self.0 = Some(map.next_value::<Text<'_>>()?.into_boxed()),
            _ => json::ignore(map)?,
        }
        Ok(())
    }
}
