//! Where a token is looked for in a request, and what happens to it there.

mod sources;
#[cfg(test)]
mod tests;
mod transport;

use gateless_core::{ConfigError, PresentationFault, Principal};
use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE};
use http::{HeaderName, HeaderValue};

pub use self::sources::CsrfDefence;
pub(crate) use self::sources::Presented;
use self::sources::{Cookie, Sources};
pub use self::transport::{SecureTransport, TlsEvidence};
use crate::gate::{CredentialFingerprint, Head, Pass};

/// Where a token is looked for in a request, and what happens to it there.
///
/// The `Authorization` field is always looked at. A token in two places at once is refused with `400`: each hop could
/// believe another one (RFC 6750 §2).
///
/// ```
/// use gateless::bearer::{Credentials, CsrfDefence};
///
/// let origins = CsrfDefence::Origins(vec!["https://app.example.com".into()]);
/// let credentials = Credentials::new().cookie("session", origins).strip();
/// # let _ = credentials;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Credentials {
    sources: Sources,
    tls: Option<TlsEvidence>,
    is_stripped: bool,
}

impl Credentials {
    /// The `Authorization` field alone, with a token of at most 8192 bytes.
    pub const fn new() -> Self {
        Self {
            sources: Sources {
                cookie: None,
                header: None,
                query: None,
                max_token_len: 8 * 1024,
            },
            tls: None,
            is_stripped: false,
        }
    }

    /// The longest token that is looked at, in bytes. 8192 by default; a longer one is refused before it is decoded.
    pub const fn max_token_len(mut self, bytes: usize) -> Self {
        self.sources.max_token_len = bytes;
        self
    }

    /// Takes the token from this cookie as well. Browsers send cookies with requests that other sites cause, so a
    /// defence against that has to be named (RFC 6750 §5.3).
    pub fn cookie(mut self, name: impl Into<Box<str>>, defence: CsrfDefence) -> Self {
        self.sources.cookie = Some(Cookie {
            name: name.into(),
            defence,
        });
        self
    }

    /// Takes the token from this header field as well, without a scheme in front.
    pub fn header(mut self, name: HeaderName) -> Self {
        self.sources.header = Some(name);
        self
    }

    /// Takes the token from this query parameter as well. Addresses end up in logs, histories and `Referer` fields
    /// (RFC 6750 §5.3, RFC 9700 §4.3.2): only for clients that cannot do anything else, with short-lived tokens.
    /// Responses are then marked `Cache-Control: private` (RFC 6750 §2.3).
    pub fn danger_query_parameter(mut self, name: impl Into<Box<str>>) -> Self {
        self.sources.query = Some(name.into());
        self
    }

    /// Refuses tokens that did not come over TLS. Off by default, as TLS often ends before the service.
    pub const fn require_tls(mut self, evidence: TlsEvidence) -> Self {
        self.tls = Some(evidence);
        self
    }

    /// Takes the `Authorization` field, and that of [`header`](Self::header), off requests that pass, so that the
    /// handler cannot hand the token on. A cookie or a query parameter stays. The fields that tokens come in are
    /// marked as sensitive in any case.
    pub const fn strip(mut self) -> Self {
        self.is_stripped = true;
        self
    }

    /// The token of a request, or `None` when it has no bearer credentials.
    pub(crate) fn find<'r>(
        &self,
        head: Head<'r>,
    ) -> Result<Option<Presented<'r>>, PresentationFault> {
        let found = self.sources.find(head)?;
        let is_exposed = || self.tls.is_some_and(|evidence| !evidence.is_secure(head));
        if found.is_some() && is_exposed() {
            return Err(PresentationFault::Exposed);
        }
        Ok(found)
    }

    /// What tells the credentials of a request from others: the token, wherever it stands. Where it is not presented well,
    /// all that is in the `Authorization` fields, or without any the kind of fault.
    pub(crate) fn fingerprint(&self, head: Head<'_>) -> Option<CredentialFingerprint> {
        Some(match self.sources.find(head) {
            Ok(None) => return None,
            Ok(Some(presented)) => CredentialFingerprint::of(presented.bytes()),
            Err(fault) => {
                let values = head.headers.get_all(AUTHORIZATION).iter();
                let values: Vec<_> = values.map(HeaderValue::as_bytes).collect();
                match values.as_slice() {
                    [] => CredentialFingerprint::of(fault.code().as_bytes()),
                    // No value of a field has a line feed in it.
                    values => CredentialFingerprint::of(&values.join(&b'\n')),
                }
            }
        })
    }

    /// What is known of the credentials of a request, where `is_known` says whether a token is good.
    #[cfg(feature = "limit")]
    pub(crate) fn knowledge<'r>(
        &self,
        head: Head<'r>,
        is_known: impl FnOnce(Presented<'r>) -> bool,
    ) -> crate::known::Knowledge {
        use crate::known::Knowledge;

        match self.find(head) {
            Ok(None) => Knowledge::NoCredentials,
            Ok(Some(presented)) if is_known(presented) => Knowledge::KnownGood,
            Ok(Some(_)) | Err(_) => Knowledge::Unknown,
        }
    }

    /// A request with a good token goes on.
    pub(crate) fn pass(&self, principal: Principal) -> Pass {
        let mut pass = Pass::authenticated(principal);
        if self.is_stripped {
            pass = pass.strip_credentials();
        }
        if let Some(name) = &self.sources.header {
            pass = if self.is_stripped {
                pass.strip_header(name.clone())
            } else {
                pass.sensitive_header(name.clone())
            };
        }
        if self.sources.cookie.is_some() {
            pass = pass.sensitive_header(COOKIE);
        }
        if self.sources.query.is_some() {
            pass = pass.response_header(CACHE_CONTROL, HeaderValue::from_static("private"));
        }
        pass
    }

    pub(crate) fn check(&self, faults: &mut ConfigError) {
        if self.sources.max_token_len == 0 {
            faults.add("max_token_len", "is zero: every token would be refused");
        }
        if let Some(Cookie { name, defence }) = &self.sources.cookie {
            if name.is_empty() {
                faults.add("cookie", "has no name");
            }
            check_defence(defence, faults);
        }
        let has_meaning = |name: &HeaderName| *name == AUTHORIZATION || *name == COOKIE;
        if self.sources.header.as_ref().is_some_and(has_meaning) {
            faults.add("header", "is a field with a meaning of its own");
        }
        if self.sources.query.as_deref().is_some_and(str::is_empty) {
            faults.add("danger_query_parameter", "has no name");
        }
        if let Some(TlsEvidence::ForwardedProto { trusted_hops: 0 }) = self.tls {
            faults.add(
                "require_tls",
                "trusts no proxy, so that nothing could prove TLS",
            );
        }
    }
}

fn check_defence(defence: &CsrfDefence, faults: &mut ConfigError) {
    let CsrfDefence::Origins(origins) = defence else {
        return;
    };
    if origins.is_empty() {
        faults.add("cookie", "names no origin that may send it");
    }
    let is_origin = |origin: &String| {
        origin.split_once("://").is_some_and(|(scheme, host)| {
            !scheme.is_empty() && !host.is_empty() && !host.contains(['/', '*'])
        })
    };
    if !origins.iter().all(is_origin) {
        faults.add(
            "cookie",
            "names an origin that is not like https://app.example.com",
        );
    }
}

impl Default for Credentials {
    fn default() -> Self {
        Self::new()
    }
}
