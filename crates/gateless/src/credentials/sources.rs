//! Where the token stands in a request, and whether it is presented as RFC 6750 §2 asks. Nothing is decoded here.

use gateless_core::PresentationFault;
use http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use http::{HeaderMap, HeaderName, Method, Uri};

use crate::gate::Head;

const SCHEME: &[u8] = b"bearer";

/// The places where a token is looked for. The `Authorization` field always is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sources {
    pub(super) cookie: Option<Cookie>,
    pub(super) header: Option<HeaderName>,
    pub(super) query: Option<Box<str>>,
    pub(super) max_token_len: usize,
}

/// What stands where a token is expected, neither empty nor too long. Its characters are looked at only when it is not
/// known already: a token that was accepted before has none but good ones.
#[derive(Clone, Copy)]
pub(crate) struct Presented<'r>(&'r [u8]);

impl<'r> Presented<'r> {
    /// As it came.
    pub(crate) const fn bytes(self) -> &'r [u8] {
        self.0
    }

    /// The token, when it has the form of one.
    pub(crate) fn token(self) -> Result<&'r str, PresentationFault> {
        if !is_b64token(self.0) {
            return Err(PresentationFault::BadCharacters);
        }
        std::str::from_utf8(self.0).map_err(|_| PresentationFault::BadCharacters)
    }
}

/// A cookie that carries a token, and what keeps other sites from sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cookie {
    pub(super) name: Box<str>,
    pub(super) defence: CsrfDefence,
}

/// What keeps another site from making a browser send a cookie credential (RFC 6750 §5.3).
///
/// It is asked of every request whose method can change something, that is, of all but `GET`, `HEAD` and `OPTIONS`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CsrfDefence {
    /// The `Origin` field has to be one of these, such as `https://app.example.com`.
    Origins(Vec<String>),
    /// This field has to be there: a form cannot set one, and a script of another site only with leave by CORS.
    CustomHeader(HeaderName),
}

impl CsrfDefence {
    fn admits(&self, method: &Method, headers: &HeaderMap) -> bool {
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return true;
        }
        match self {
            Self::Origins(origins) => {
                let mut sent = headers.get_all(ORIGIN).iter();
                match (sent.next(), sent.next()) {
                    (Some(origin), None) => origins
                        .iter()
                        .any(|allowed| allowed.as_bytes() == origin.as_bytes()),
                    _ => false,
                }
            }
            Self::CustomHeader(name) => headers.contains_key(name),
        }
    }
}

impl Sources {
    /// The token of a request, or `None` when it has no bearer credentials.
    pub(super) fn find<'r>(
        &self,
        head: Head<'r>,
    ) -> Result<Option<Presented<'r>>, PresentationFault> {
        let mut found = authorization(head.headers)?;
        if self.has_further_sources() {
            let further = [
                self.in_header(head),
                self.in_cookie(head)?,
                self.in_query(head.uri)?,
            ];
            for token in further.into_iter().flatten() {
                if found.replace(token).is_some() {
                    return Err(PresentationFault::SeveralSources);
                }
            }
        }
        found.map(|token| self.check(token)).transpose()
    }

    const fn has_further_sources(&self) -> bool {
        self.cookie.is_some() || self.header.is_some() || self.query.is_some()
    }

    fn check<'r>(&self, token: &'r [u8]) -> Result<Presented<'r>, PresentationFault> {
        if token.is_empty() {
            Err(PresentationFault::EmptyToken)
        } else if token.len() > self.max_token_len {
            Err(PresentationFault::TooLong)
        } else {
            Ok(Presented(token))
        }
    }

    fn in_header<'r>(&self, head: Head<'r>) -> Option<&'r [u8]> {
        let mut values = head.headers.get_all(self.header.as_ref()?).iter();
        match (values.next(), values.next()) {
            // Two values are no token: the comma that joins them is not a token character.
            (Some(_), Some(_)) => Some(b","),
            (value, _) => value.map(http::HeaderValue::as_bytes),
        }
    }

    fn in_cookie<'r>(&self, head: Head<'r>) -> Result<Option<&'r [u8]>, PresentationFault> {
        let Some(Cookie { name, defence }) = &self.cookie else {
            return Ok(None);
        };
        let pairs = head.headers.get_all(COOKIE).iter().flat_map(|value| {
            value
                .as_bytes()
                .split(|byte| *byte == b';')
                .map(<[u8]>::trim_ascii)
        });
        let token = only(pairs.filter_map(|pair| value_of(pair, name.as_bytes())))?;
        if token.is_some() && !defence.admits(head.method, head.headers) {
            return Err(PresentationFault::CrossSite);
        }
        Ok(token)
    }

    fn in_query<'r>(&self, uri: &'r Uri) -> Result<Option<&'r [u8]>, PresentationFault> {
        let (Some(name), Some(query)) = (&self.query, uri.query()) else {
            return Ok(None);
        };
        let pairs = query.as_bytes().split(|byte| *byte == b'&');
        only(pairs.filter_map(|pair| value_of(pair, name.as_bytes())))
    }
}

/// The value of a `name=value` pair with this name.
fn value_of<'r>(pair: &'r [u8], name: &[u8]) -> Option<&'r [u8]> {
    pair.strip_prefix(name)?.strip_prefix(b"=")
}

/// The only item, or none. Of two, each hop could pick another.
fn only<'r>(
    mut items: impl Iterator<Item = &'r [u8]>,
) -> Result<Option<&'r [u8]>, PresentationFault> {
    match (items.next(), items.next()) {
        (Some(_), Some(_)) => Err(PresentationFault::SeveralSources),
        (item, _) => Ok(item),
    }
}

/// The bearer credentials of the `Authorization` field (RFC 6750 §2.1, RFC 9110 §11.4).
fn authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, PresentationFault> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(PresentationFault::RepeatedHeader);
    }
    let value = value.as_bytes();
    let scheme_len = value
        .iter()
        .take_while(|byte| is_token_char(**byte))
        .count();
    let (scheme, rest) = value.split_at_checked(scheme_len).unwrap_or((value, &[]));
    if scheme.eq_ignore_ascii_case(SCHEME) {
        match rest {
            [] => Err(PresentationFault::EmptyToken),
            [b' ', ..] => {
                let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
                Ok(rest.get(spaces..))
            }
            _ => Err(PresentationFault::BadCharacters),
        }
    } else if scheme.is_empty() && !value.is_empty() || !value.iter().all(is_visible) {
        // No scheme at all, or one spelled with characters that only look like letters.
        Err(PresentationFault::BadCharacters)
    } else {
        Ok(None)
    }
}

/// `tchar`, RFC 9110 §5.6.2.
const fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

const fn is_visible(byte: &u8) -> bool {
    matches!(*byte, b' ' | b'\t' | 0x21..=0x7e)
}

/// `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`, RFC 6750 §2.1.
fn is_b64token(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = token.get(..token.len() - padding).unwrap_or_default();
    let is_body = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(*byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
    };
    // Not `all`, which leaves early: without that the check takes many bytes at a time, and a quarter of the time.
    !body.is_empty() && body.iter().fold(true, |all, byte| all & is_body(byte))
}
