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

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn encode(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    fn jwt(issuer: &str) -> TokenShape {
        TokenShape::Jwt {
            issuer: issuer.into(),
        }
    }

    #[rstest]
    #[case(r#"{"alg":"RS256"}"#, r#"{"iss":"https://a.example.com"}"#)]
    #[case("{}", r#"{"iss":"https://a.example.com","sub":1}"#)]
    #[case(
        r#"{"alg":"ES512","crit":["x"]}"#,
        r#"{"iss":"https://a.example.com"}"#
    )]
    #[case(r#"{"alg":"a","alg":"b"}"#, r#"{"iss":"https://a.example.com"}"#)]
    #[case(" \t\r\n{\n}", r#" {"iss":"https://a.example.com"} "#)]
    fn tf_25_a_jwt_says_whose_it_is(#[case] header: &str, #[case] payload: &str) {
        let token = format!("{}.{}.c2ln", encode(header), encode(payload));
        assert_eq!(TokenShape::of(&token), jwt("https://a.example.com"));
    }

    #[rstest]
    #[case::without_an_issuer("{}")]
    #[case::null(r#"{"iss":null}"#)]
    #[case::a_list(r#"{"iss":["https://a.example.com"]}"#)]
    #[case::twice(r#"{"iss":"https://a.example.com","iss":"https://b.example.com"}"#)]
    #[case::a_list_of_claims("[]")]
    #[case::no_json("claims")]
    #[case::empty("")]
    fn tf_25_a_jwt_without_an_issuer_is_not_opaque(#[case] payload: &str) {
        let token = format!("{}.{}.c2ln", encode(r#"{"alg":"RS256"}"#), encode(payload));
        assert_eq!(TokenShape::of(&token), TokenShape::Jose);
    }

    #[rstest]
    #[case::encrypted("a.b.c.d", TokenShape::Jose)]
    #[case::empty_segments("...", TokenShape::Jose)]
    #[case::two_segments("eyJpc3MiOiJhIn0", TokenShape::Jose)]
    #[case::no_signature("eyJpc3MiOiJhIn0.", TokenShape::Jose)]
    #[case::signed("eyJpc3MiOiJhIn0.c2ln", jwt("a"))]
    #[case::padded_signature("eyJpc3MiOiJhIn0.c2ln=", TokenShape::Jose)]
    #[case::four_segments("eyJpc3MiOiJhIn0.c2ln.c2ln", TokenShape::Jose)]
    #[case::nothing("", TokenShape::Jose)]
    fn tf_25_what_follows_a_jose_header_is_never_opaque(
        #[case] rest: &str,
        #[case] expected: TokenShape,
    ) {
        let token = format!("{}.{rest}", encode(r#"{"alg":"RS256"}"#));
        assert_eq!(TokenShape::of(&token), expected);
    }

    #[rstest]
    #[case("")]
    #[case(".")]
    #[case("e")]
    #[case("ey")]
    #[case("ey.a.b")]
    #[case("2YotnFZFEjr1zCsicMWpAA")]
    #[case("ory_at_abc.def")]
    #[case("v4.public.eyJzdWIiOiJhIn0.Zm9v")]
    #[case("eyJhbGciOiJSUzI1NiJ9")]
    #[case("eyJhbGciOiJSUzI1NiJ9=.eyJpc3MiOiJhIn0.c2ln")]
    #[case::no_json("eyJhbGci.eyJpc3MiOiJhIn0.c2ln")]
    #[case::a_text("ImEi.eyJpc3MiOiJhIn0.c2ln")]
    #[case::a_list("W10.eyJpc3MiOiJhIn0.c2ln")]
    #[case::a_list_after_spaces("ICBbXQ.eyJpc3MiOiJhIn0.c2ln")]
    #[case::two_objects("e317fQ.eyJpc3MiOiJhIn0.c2ln")]
    fn everything_else_is_opaque(#[case] token: &str) {
        assert_eq!(TokenShape::of(token), TokenShape::Opaque);
    }

    #[test]
    fn the_first_two_characters_tell_every_object() {
        for before in [
            "", " ", "\t", "\n", "\r", "  ", " \t", "\t\n", "\n ", "\r\n", "\r\r",
        ] {
            for first in ["\"a\":1", "}", " ", "\t", "\n", "\r"] {
                let header = format!("{before}{{{first}");
                for token in [
                    format!("{}.", URL_SAFE_NO_PAD.encode(&header)),
                    format!("{}.", URL_SAFE.encode(&header)),
                ] {
                    assert!(TokenShape::may_be_jose(token.as_bytes()), "{header:?}");
                    let without = token.trim_end_matches('.');
                    assert!(!TokenShape::may_be_jose(without.as_bytes()));
                }
            }
        }
        for token in ["2Yotn.a", "v4.public.a", "ez.a", "Wy.a", "", "e", "."] {
            assert!(!TokenShape::may_be_jose(token.as_bytes()), "{token}");
        }
    }

    #[test]
    fn debug_prints_no_issuer() {
        assert_eq!(format!("{:?}", jwt("canary")), "Jwt { .. }");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = TokenShape::of(&text);
        }

        #[test]
        fn what_cannot_be_of_jose_is_opaque(
            header in "[ \\t\\r\\n]{0,3}\\{[ \\t\\r\\n]{0,3}(\"a\": ?1)?\\}",
            rest in "(\\.[A-Za-z0-9_-]{0,12}){0,5}",
        ) {
            let token = encode(&header) + &rest;
            let is_opaque = TokenShape::of(&token) == TokenShape::Opaque;
            prop_assert_eq!(is_opaque, rest.is_empty());
            prop_assert_eq!(TokenShape::may_be_jose(token.as_bytes()), !rest.is_empty());
        }
    }
}
