//! What is asked of any token of an issuer, however it is known to be the issuer's.

use std::sync::Arc;
use std::time::Duration;

use gateless_core::ConfigError;

use crate::algorithm::Algorithm;

/// The largest leeway: beyond five minutes it is the clock that has to be mended.
const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// The part that all policies have in common, as a token that is signed and one that is introspected must not differ
/// in it. The setters of the policies document each of these.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) issuer: Arc<str>,
    pub(crate) audiences: Vec<Box<str>>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) leeway: Duration,
    pub(crate) max_lifetime: Duration,
    pub(crate) allowed_clients: Option<Vec<Box<str>>>,
    pub(crate) single_audience: bool,
    /// Only for introspected tokens: a signed one always names its audience.
    pub(crate) accepts_missing_audience: bool,
    pub(crate) forbids_delegation: bool,
    pub(crate) allows_http_loopback: bool,
    pub(crate) scope_claim: ScopeClaim,
    pub(crate) client_claim: Option<Box<str>>,
}

/// Where the granted scopes stand. One claim in one form; every other spelling is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeClaim {
    pub(crate) name: Box<str>,
    pub(crate) form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    List,
}

impl ScopeClaim {
    /// A string of scopes separated by spaces; the default is `scope` (RFC 9068 §2.2.3).
    #[must_use]
    pub fn text(name: impl Into<Box<str>>) -> Self {
        Self {
            name: name.into(),
            form: Form::Text,
        }
    }

    /// A list of strings, one scope each; `scp` and `permissions` are seen.
    #[must_use]
    pub fn list(name: impl Into<Box<str>>) -> Self {
        Self {
            name: name.into(),
            form: Form::List,
        }
    }
}

impl Terms {
    /// The defaults: see the setters of [`TokenPolicy`](crate::TokenPolicy).
    pub(crate) fn new(issuer: Arc<str>, audience: Box<str>) -> Self {
        Self {
            issuer,
            audiences: vec![audience],
            algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
            leeway: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(24 * 60 * 60),
            allowed_clients: None,
            single_audience: false,
            accepts_missing_audience: false,
            forbids_delegation: false,
            allows_http_loopback: false,
            scope_claim: ScopeClaim::text("scope"),
            client_claim: None,
        }
    }

    /// Every setting that cannot be used.
    pub(crate) fn check(&self, must_be_https: bool) -> ConfigError {
        let mut faults = ConfigError::collect();
        self.check_issuer(must_be_https, &mut faults);
        if self
            .audiences
            .iter()
            .any(|audience| audience.trim().is_empty())
        {
            faults.add("audience", "is empty");
        }
        if self.algorithms.is_empty() {
            faults.add("algorithms", "allows none");
        }
        if self.leeway > MAX_LEEWAY {
            faults.add(
                "leeway",
                format!("of {:?} is longer than the 300 s allowed", self.leeway),
            );
        }
        if self.max_lifetime.is_zero() {
            faults.add("max_lifetime", "is zero: every token would be refused");
        }
        if self.allowed_clients.as_ref().is_some_and(Vec::is_empty) {
            faults.add("allowed_clients", "is empty: every token would be refused");
        }
        if self.scope_claim.name.is_empty() {
            faults.add("scope_claim", "has no name");
        }
        if self.client_claim.as_deref().is_some_and(str::is_empty) {
            faults.add("client_claim", "has no name");
        }
        faults
    }

    fn check_issuer(&self, must_be_https: bool, faults: &mut ConfigError) {
        let issuer = &*self.issuer;
        // A password may have a `/` in it, and stand where no host ends.
        let shown = match issuer.contains('@') {
            true => String::new(),
            false => format!("{issuer} "),
        };
        if issuer.trim().is_empty() || issuer.chars().any(|c| c.is_control() || c == ' ') {
            faults.add("issuer", "is empty, or has spaces or control characters");
        } else if has_credentials(issuer) {
            faults.add("issuer", "has credentials in it");
        } else if issuer.starts_with("http://") {
            if !self.allows_http_loopback {
                faults.add("issuer", format!("{shown}is not an https URL"));
            } else if !is_loopback(issuer) {
                faults.add("issuer", format!("{shown}is neither https nor on loopback"));
            }
        } else if must_be_https && !issuer.starts_with("https://") {
            faults.add(
                "issuer",
                format!("{shown}is not an https URL, as RFC 9068 wants it"),
            );
        } else if issuer.contains(['?', '#']) {
            faults.add(
                "issuer",
                format!("{issuer} has a query or fragment (RFC 8414 section 2)"),
            );
        }
    }

    /// Whether one of those that the token names is this service, and with a `single_audience` all of them.
    pub(crate) fn accepts_audience<'a>(&self, audience: impl Iterator<Item = &'a str>) -> bool {
        let is_ours = |named: &str| self.audiences.iter().any(|accepted| **accepted == *named);
        let mut named = audience.peekable();
        if named.peek().is_none() {
            self.accepts_missing_audience
        } else if self.single_audience {
            named.all(is_ours)
        } else {
            named.any(is_ours)
        }
    }

    /// Whether the token was issued to an allowed client.
    pub(crate) fn accepts_client(&self, client: Option<&str>) -> bool {
        self.allowed_clients.as_ref().is_none_or(|allowed| {
            client.is_some_and(|client| allowed.iter().any(|id| **id == *client))
        })
    }
}

/// Whether a URL has a user or password before its host. Such a URL is not repeated anywhere.
fn has_credentials(url: &str) -> bool {
    url.split_once("://")
        .and_then(|(_, rest)| rest.split(['/', '?', '#']).next())
        .is_some_and(|authority| authority.contains('@'))
}

/// Whether an `http://` address names a loopback host.
fn is_loopback(url: &str) -> bool {
    let authority = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split(['/', '?', '#']).next());
    let Some(authority) = authority.filter(|authority| !authority.contains('@')) else {
        return false;
    };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}
