//! The JOSE header: the one part of a token that is read before its signature is checked, so it is read strictly.

use std::borrow::Cow;

use gateless_core::TokenFault;
use serde::de::{Error, MapAccess};

use crate::algorithm::Algorithm;
use crate::json::{self, Object, Text};

/// The longest `kid` that is looked up.
const MAX_KEY_ID: usize = 256;

/// What the header of a token says. All of it is a claim of whoever made the token, to be held against the key.
#[derive(Clone, Debug)]
pub struct Header {
    algorithm: Algorithm,
    key_id: Option<Box<str>>,
    media_type: Option<Cow<'static, str>>,
    carries_key: bool,
}

impl Header {
    /// The `alg`.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `kid`.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    pub(crate) fn into_key_id(self) -> Option<Box<str>> {
        self.key_id
    }

    /// Whether it carries a key or a place to get one from (`jwk`, `jku`, `x5u`, `x5c`). Never used; refused unless
    /// the policy [ignores](crate::TokenPolicy::ignore_key_headers) it.
    #[must_use]
    pub const fn carries_key(&self) -> bool {
        self.carries_key
    }

    /// The `typ` in lower case, without the `application/` that may be left out (RFC 7515 §4.1.9).
    #[must_use]
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    pub(crate) fn parse(json: &[u8]) -> Result<Self, TokenFault> {
        let json = str::from_utf8(json).map_err(|_| TokenFault::HeaderInvalid)?;
        let members = json::read(json, Members::default()).ok_or(TokenFault::HeaderInvalid)?;
        if members.unsupported {
            return Err(TokenFault::HeaderUnsupported);
        }
        let algorithm = members.algorithm.ok_or(TokenFault::HeaderInvalid)?;
        Ok(Self {
            algorithm: algorithm.ok_or(TokenFault::AlgorithmNotAllowed)?,
            key_id: members.key_id,
            media_type: members.media_type,
            carries_key: members.carries_key,
        })
    }
}

#[derive(Default)]
struct Members {
    /// Missing, unknown, or known.
    algorithm: Option<Option<Algorithm>>,
    key_id: Option<Box<str>>,
    media_type: Option<Cow<'static, str>>,
    carries_key: bool,
    unsupported: bool,
}

impl<'de> Object<'de> for Members {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "alg" => {
                let Text(name) = map.next_value()?;
                self.algorithm = Some(Algorithm::from_name(&name));
            }
            "kid" => {
                let Text(id) = map.next_value()?;
                if id.is_empty() || id.len() > MAX_KEY_ID {
                    return Err(A::Error::custom("kid is empty or too long"));
                }
                self.key_id = Some(id.into());
            }
            "typ" => {
                let Text(media_type) = map.next_value()?;
                self.media_type = Some(short_media_type(&media_type));
            }
            "cty" => {
                let Text(content_type) = map.next_value()?;
                self.unsupported |= short_media_type(&content_type) == "jwt";
            }
            "jwk" | "jku" | "x5u" | "x5c" => {
                self.carries_key = true;
                json::ignore(map)?;
            }
            // No extension is understood here, so `crit` can only name one that is not (RFC 7515 §4.1.11), and a
            // malformed `crit` is no better. RFC 7797 §7: `b64` is not for JWTs. `enc` and `zip` are of JWE.
            "crit" | "b64" | "zip" | "enc" => {
                self.unsupported = true;
                json::ignore(map)?;
            }
            _ => json::ignore(map)?,
        }
        Ok(())
    }
}

fn short_media_type(media_type: &str) -> Cow<'static, str> {
    // As most access tokens spell it: nothing to allocate.
    if media_type == "at+jwt" {
        return Cow::Borrowed("at+jwt");
    }
    let lower = media_type.to_ascii_lowercase();
    match lower.strip_prefix("application/") {
        Some(short) if !short.contains('/') => short.to_owned().into(),
        _ => lower.into(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"alg":"RS256","typ":"at+jwt","kid":"k1"}"#)]
    #[case(r#"{"alg":"RS256","x5t":"abc","cty":"json","unknown":{"a":[1,2]}}"#)]
    fn a_plain_header_is_read(#[case] json: &str) {
        assert_eq!(
            Header::parse(json.as_bytes()).unwrap().algorithm(),
            Algorithm::RS256
        );
    }

    #[rstest]
    #[case::tb_16("[]", TokenFault::HeaderInvalid)]
    #[case::tb_16("null", TokenFault::HeaderInvalid)]
    #[case::tb_16("\"RS256\"", TokenFault::HeaderInvalid)]
    #[case::tb_17(r#"{"alg":"RS256","alg":"none"}"#, TokenFault::HeaderInvalid)]
    #[case::tb_19("{}", TokenFault::HeaderInvalid)]
    #[case::tb_19(r#"{"alg":256}"#, TokenFault::HeaderInvalid)]
    #[case::tb_19(r#"{"alg":["RS256"]}"#, TokenFault::HeaderInvalid)]
    #[case::tb_19(r#"{"alg":null}"#, TokenFault::HeaderInvalid)]
    #[case::tb_01(r#"{"alg":"none"}"#, TokenFault::AlgorithmNotAllowed)]
    #[case::tb_02(r#"{"alg":"nOnE"}"#, TokenFault::AlgorithmNotAllowed)]
    #[case::tb_07(r#"{"alg":"Ed448"}"#, TokenFault::AlgorithmNotAllowed)]
    #[case::tb_27(
        r#"{"alg":"PBES2-HS256+A128KW","p2c":2147483648}"#,
        TokenFault::AlgorithmNotAllowed
    )]
    #[case::tb_28(r#"{"alg":"RSA1_5"}"#, TokenFault::AlgorithmNotAllowed)]
    #[case::tb_23(r#"{"alg":"RS256","crit":["x"],"x":1}"#, TokenFault::HeaderUnsupported)]
    #[case::tb_24(r#"{"alg":"RS256","crit":[]}"#, TokenFault::HeaderUnsupported)]
    #[case::tb_24(r#"{"alg":"RS256","crit":"x"}"#, TokenFault::HeaderUnsupported)]
    #[case::tb_24(r#"{"alg":"RS256","crit":["alg"]}"#, TokenFault::HeaderUnsupported)]
    #[case::tb_24(r#"{"alg":"RS256","crit":["absent"]}"#, TokenFault::HeaderUnsupported)]
    #[case::tb_25(r#"{"alg":"RS256","b64":false}"#, TokenFault::HeaderUnsupported)]
    #[case::tb_25(
        r#"{"alg":"RS256","b64":false,"crit":["b64"]}"#,
        TokenFault::HeaderUnsupported
    )]
    #[case::tb_26(r#"{"alg":"RS256","zip":"DEF"}"#, TokenFault::HeaderUnsupported)]
    #[case::tb_34(r#"{"alg":"RS256","kid":""}"#, TokenFault::HeaderInvalid)]
    #[case::tb_34(r#"{"alg":"RS256","kid":7}"#, TokenFault::HeaderInvalid)]
    #[case::tb_34(r#"{"alg":"RS256","kid":["a"]}"#, TokenFault::HeaderInvalid)]
    #[case::tb_34(r#"{"alg":"RS256","kid":null}"#, TokenFault::HeaderInvalid)]
    #[case::tb_40(r#"{"alg":"RS256","cty":"JWT"}"#, TokenFault::HeaderUnsupported)]
    #[case::tb_40(
        r#"{"alg":"RS256","cty":"application/jwt"}"#,
        TokenFault::HeaderUnsupported
    )]
    fn a_header_with_a_fault_is_refused(#[case] json: &str, #[case] fault: TokenFault) {
        assert_eq!(Header::parse(json.as_bytes()).unwrap_err(), fault);
    }

    #[test]
    fn tb_34_a_long_kid_is_refused() {
        let header = |length| format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(length));
        assert!(Header::parse(header(MAX_KEY_ID).as_bytes()).is_ok());
        assert!(Header::parse(header(MAX_KEY_ID + 1).as_bytes()).is_err());
    }

    #[rstest]
    #[case("at+jwt", "at+jwt")]
    #[case("AT+JWT", "at+jwt")]
    #[case("application/at+jwt", "at+jwt")]
    #[case("Application/AT+JWT", "at+jwt")]
    #[case("application/a/b", "application/a/b")]
    fn tb_38_typ_is_a_media_type(#[case] typ: &str, #[case] media_type: &str) {
        let header = Header::parse(format!(r#"{{"alg":"RS256","typ":"{typ}"}}"#).as_bytes());
        assert_eq!(header.unwrap().media_type(), Some(media_type));
    }
}
