//! What a caller proves itself with, as it came.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use url::form_urlencoded;

use super::form::Form;
use super::refusal::Refusal;
use crate::jws::Jws;

/// How a caller of the introspection endpoint proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientAuth {
    /// `client_secret_basic`: id and secret by HTTP Basic, both form-encoded (RFC 6749 §2.3.1).
    SecretBasic,
    /// `client_secret_post`: id and secret as parameters (RFC 6749 §2.3.1).
    SecretPost,
    /// `private_key_jwt`: a signed assertion (RFC 7523 §2.2).
    PrivateKeyJwt,
    /// A bearer token (RFC 7662 §2.1).
    Bearer,
}

/// The one method that a request uses, and what it shows for it. Nothing is checked.
pub(super) enum Credentials {
    Basic {
        client_id: String,
        secret: String,
    },
    Post {
        client_id: String,
        secret: String,
    },
    Assertion {
        client_id: String,
        assertion: String,
    },
    Bearer(String),
}

impl Credentials {
    /// More than one method at once is forbidden (RFC 6749 §2.3).
    pub(super) fn of(headers: &HeaderMap, form: &Form) -> Result<Self, Refusal> {
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let field = fields.next();
        let secret = form.get("client_secret");
        let assertion = form.get("client_assertion");
        let kind = form.get("client_assertion_type");

        let asserted = assertion.or(kind).is_some();
        let methods = [
            field.is_some(),
            fields.next().is_some(),
            secret.is_some(),
            asserted,
        ];
        if methods.into_iter().filter(|it| *it).count() > 1 {
            let too_many = "more than one method of client authentication";
            return Err(Refusal::invalid_request(too_many));
        }

        let client_id = form.get("client_id");
        let credentials = if let Some(field) = field {
            let text = field.to_str().unwrap_or_default();
            Self::of_field(text).ok_or(Refusal::invalid_client("unreadable credentials"))?
        } else if let Some(secret) = secret {
            let without_id = Refusal::invalid_request("a client_secret without a client_id");
            Self::Post {
                client_id: client_id.ok_or(without_id)?.to_owned(),
                secret: secret.to_owned(),
            }
        } else if asserted {
            Self::of_assertion(assertion, kind)?
        } else {
            return Err(Refusal::invalid_client("no client authentication"));
        };
        match (client_id, credentials.client_id()) {
            (Some(said), Some(shown)) if said != shown => Err(Refusal::invalid_request(
                "another client_id than that shown",
            )),
            _ => Ok(credentials),
        }
    }

    /// From the value of `Authorization`.
    fn of_field(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Bearer(rest.to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (client_id, secret) = pair.split_once(':')?;
        Some(Self::Basic {
            client_id: form_decode(client_id)?,
            secret: form_decode(secret)?,
        })
    }

    fn of_assertion(assertion: Option<&str>, kind: Option<&str>) -> Result<Self, Refusal> {
        if kind != Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") {
            return Err(Refusal::invalid_request("another client_assertion_type"));
        }
        let assertion = assertion.unwrap_or_default();
        let claims = Jws::parse(assertion).and_then(|jws| jws.unverified_claims());
        let client_id = claims.as_ref().and_then(|it| it.get("sub")?.as_str());
        let unreadable = Refusal::invalid_client("unreadable client_assertion");
        Ok(Self::Assertion {
            client_id: client_id.ok_or(unreadable)?.to_owned(),
            assertion: assertion.to_owned(),
        })
    }

    pub(super) const fn method(&self) -> ClientAuth {
        match self {
            Self::Basic { .. } => ClientAuth::SecretBasic,
            Self::Post { .. } => ClientAuth::SecretPost,
            Self::Assertion { .. } => ClientAuth::PrivateKeyJwt,
            Self::Bearer(_) => ClientAuth::Bearer,
        }
    }

    /// Who the caller says it is. A bearer token says nothing.
    pub(super) fn client_id(&self) -> Option<&str> {
        match self {
            Self::Basic { client_id, .. }
            | Self::Post { client_id, .. }
            | Self::Assertion { client_id, .. } => Some(client_id),
            Self::Bearer(_) => None,
        }
    }
}

/// Undoes the encoding of RFC 6749 appendix B. Nothing when there is something that it never leaves as it is: whoever
/// forgets to encode is not to learn from a test that it works.
fn form_decode(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._+%!~'()".contains(&byte);
    let escaped = |rest: &str| {
        let digits = rest.bytes().take(2);
        digits.filter(u8::is_ascii_hexdigit).count() == 2
    };
    let is_encoded = text.bytes().all(plain) && text.split('%').skip(1).all(escaped);
    // A form of one parameter that has no value.
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    let (decoded, _) = pairs.next().filter(|_| is_encoded)?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("resource-server", Some("resource-server"))]
    #[case::by_a_form("s3cr%26t%3A+%2B%25%2F", Some("s3cr&t: +%/"))]
    #[case::by_a_url("s3cr%26t%3a%20%2b%25%2f!", Some("s3cr&t: +%/!"))]
    #[case::ampersand("s3cr&t", None)]
    #[case::equals("s3cr=t", None)]
    #[case::colon("s3cr:t", None)]
    #[case::space("s3cr t", None)]
    #[case::percent("50%", None)]
    #[case::percent_and_one_digit("50%2", None)]
    #[case::nothing("", None)]
    fn what_was_not_encoded_is_not_decoded(#[case] text: &str, #[case] decoded: Option<&str>) {
        assert_eq!(form_decode(text).as_deref(), decoded);
    }
}
