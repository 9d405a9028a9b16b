//! What is asked of the tokens of one issuer.

use std::sync::Arc;
use std::time::Duration;

use gateless_core::ConfigError;

use crate::algorithm::Algorithm;
use crate::jwk::{KeySet, KeySetError};

/// The largest leeway: beyond five minutes it is the clock that has to be mended.
const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// What is asked of the tokens of one issuer. Issuer and audience have no default, everything else is strict.
///
/// ```
/// use std::time::Duration;
///
/// use gateless_jwt::TokenPolicy;
///
/// let policy = TokenPolicy::new("https://idp.example.com", "https://api.example.com")
///     .max_lifetime(Duration::from_secs(3600))
///     .allowed_clients(["web", "batch"]);
/// policy.check()?;
/// # Ok::<(), gateless_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenPolicy {
    pub(crate) issuer: Arc<str>,
    pub(crate) audiences: Vec<Box<str>>,
    pub(crate) profile: Profile,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) leeway: Duration,
    pub(crate) max_lifetime: Duration,
    pub(crate) allowed_clients: Option<Vec<Box<str>>>,
    pub(crate) single_audience: bool,
    pub(crate) forbids_delegation: bool,
    pub(crate) requires_low_s: bool,
    pub(crate) ignores_key_headers: bool,
    pub(crate) allows_http_loopback: bool,
    pub(crate) scope_claim: ScopeClaim,
    pub(crate) client_claim: Option<Box<str>>,
}

/// Which form of access token an issuer makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// RFC 9068: `typ` is `at+jwt`; `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti` are there.
    Rfc9068,
    /// For servers that do not follow RFC 9068: `typ` may be missing or `JWT`; `sub`, `client_id`, `iat` and `jti`
    /// may be missing; the client may be named by `azp`.
    ///
    /// Tokens of other kinds are then told apart by what is in them. Refused are: any other `typ`; a `nonce`,
    /// `at_hash`, `c_hash`, `s_hash`, `events`, `htm` or `htu` claim; an `aud` that is just the client; and a claim
    /// `typ` or `token_use` that names another use. A server that makes ID tokens and access tokens alike beyond
    /// that cannot be used safely.
    Lax,
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

impl TokenPolicy {
    /// Tokens of `issuer` that are meant for `audience`; both compared byte for byte.
    pub fn new(issuer: impl Into<Arc<str>>, audience: impl Into<Box<str>>) -> Self {
        Self {
            issuer: issuer.into(),
            audiences: vec![audience.into()],
            profile: Profile::Rfc9068,
            algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
            leeway: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(24 * 60 * 60),
            allowed_clients: None,
            single_audience: false,
            forbids_delegation: false,
            requires_low_s: false,
            ignores_key_headers: false,
            allows_http_loopback: false,
            scope_claim: ScopeClaim::text("scope"),
            client_claim: None,
        }
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The algorithms that are allowed.
    #[must_use]
    pub fn allowed_algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Whether the issuer may be reached over plain HTTP on a loopback address.
    #[must_use]
    pub const fn is_http_loopback_allowed(&self) -> bool {
        self.allows_http_loopback
    }

    /// Reads a JWK set document, taking the keys that this policy's [`algorithms`](Self::algorithms) can use.
    ///
    /// # Errors
    ///
    /// [`KeySetError`] when the document as a whole cannot be used.
    pub fn read_keys(&self, document: &[u8]) -> Result<KeySet, KeySetError> {
        KeySet::from_json(document, &self.algorithms)
    }

    /// Accepts one more audience. A token has to name at least one of those accepted (RFC 7519 §4.1.3).
    pub fn audience(mut self, audience: impl Into<Box<str>>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Refuses tokens that are meant for anybody else as well: those could be replayed by the other audience
    /// (RFC 9700 §2.3). Off by default.
    pub const fn single_audience(mut self) -> Self {
        self.single_audience = true;
        self
    }

    /// The form of the tokens. [`Profile::Rfc9068`] by default.
    pub const fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// The algorithms that are allowed, in place of RS256, ES256 and `EdDSA`.
    ///
    /// They also decide what a key without `alg` is for: with just one RSA algorithm allowed, an RSA key is for that
    /// one; with several it is ambiguous and skipped.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// How far the clocks of issuer and service may be apart. 30 s by default, at most 300 s.
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// The longest life (`exp − iat`) that is accepted. 24 hours by default.
    ///
    /// A stolen token is good until it expires: short lives are the first defence (RFC 9700 §2.2). Set it to what the
    /// issuer really uses.
    pub const fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = max_lifetime;
        self
    }

    /// Accepts only tokens that were issued to these clients. Any client by default.
    pub fn allowed_clients<T: Into<Box<str>>>(
        mut self,
        clients: impl IntoIterator<Item = T>,
    ) -> Self {
        self.allowed_clients = Some(clients.into_iter().map(Into::into).collect());
        self
    }

    /// Refuses tokens with an `act` claim: nobody acts for anybody else here (RFC 8693 §4.1). Off by default.
    pub const fn forbid_delegation(mut self) -> Self {
        self.forbids_delegation = true;
        self
    }

    /// Refuses the larger of the two values that an ECDSA signature can have for s. Off by default: no RFC asks for
    /// it, and nothing in gateless depends on the spelling of a signature.
    pub const fn require_low_s(mut self) -> Self {
        self.requires_low_s = true;
        self
    }

    /// Accepts tokens whose header carries a key (`jwk`, `x5c`) or an address of one (`jku`, `x5u`), and ignores it.
    ///
    /// By default such a token is refused: an access token has no need for it. The key is never used and the address
    /// never fetched, whatever is set here.
    pub const fn ignore_key_headers(mut self) -> Self {
        self.ignores_key_headers = true;
        self
    }

    /// Where the scopes stand. `scope` as text by default.
    pub fn scope_claim(mut self, claim: ScopeClaim) -> Self {
        self.scope_claim = claim;
        self
    }

    /// Where the client id stands, in place of `client_id` (and `azp` in the lax profile): `cid` and `appid` are seen.
    pub fn client_claim(mut self, name: impl Into<Box<str>>) -> Self {
        self.client_claim = Some(name.into());
        self
    }

    /// Lets the issuer be an `http://` address, on loopback only. For tests and demonstrations.
    pub const fn danger_allow_http_loopback(mut self) -> Self {
        self.allows_http_loopback = true;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every setting that cannot be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut faults = ConfigError::collect();
        self.check_issuer(&mut faults);
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
        faults.into_result()
    }

    fn check_issuer(&self, faults: &mut ConfigError) {
        let issuer = &*self.issuer;
        if issuer.trim().is_empty() || issuer.chars().any(|c| c.is_control() || c == ' ') {
            faults.add("issuer", "is empty, or has spaces or control characters");
        } else if has_credentials(issuer) {
            faults.add("issuer", "has credentials in it");
        } else if issuer.starts_with("http://") {
            if !self.allows_http_loopback {
                faults.add("issuer", format!("{issuer} is not an https URL"));
            } else if !is_loopback(issuer) {
                faults.add(
                    "issuer",
                    format!("{issuer} is neither https nor on loopback"),
                );
            }
        } else if self.profile == Profile::Rfc9068 && !issuer.starts_with("https://") {
            faults.add(
                "issuer",
                format!("{issuer} is not an https URL, as RFC 9068 wants it"),
            );
        } else if issuer.contains(['?', '#']) {
            faults.add(
                "issuer",
                format!("{issuer} has a query or fragment (RFC 8414 section 2)"),
            );
        }
    }

    pub(crate) fn accepts_audience<'a>(&self, audience: impl Iterator<Item = &'a str>) -> bool {
        let is_ours = |named: &str| self.audiences.iter().any(|accepted| **accepted == *named);
        let mut audience = audience;
        if self.single_audience {
            // Every one of them has to be this service, and there is at least one.
            let mut named = audience.peekable();
            return named.peek().is_some() && named.all(is_ours);
        }
        audience.any(is_ours)
    }

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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn faults(policy: &TokenPolicy) -> Vec<&'static str> {
        policy.check().map_or_else(
            |error| {
                error
                    .faults()
                    .iter()
                    .map(gateless_core::ConfigFault::setting)
                    .collect()
            },
            |()| Vec::new(),
        )
    }

    #[test]
    fn every_unusable_setting_is_named_at_once() {
        let policy = TokenPolicy::new("http://idp.example.com", " ")
            .algorithms([])
            .leeway(Duration::from_secs(301))
            .max_lifetime(Duration::ZERO)
            .allowed_clients::<&str>([])
            .scope_claim(ScopeClaim::text(""))
            .client_claim("");
        let named = faults(&policy);
        assert_eq!(
            named,
            [
                "issuer",
                "audience",
                "algorithms",
                "leeway",
                "max_lifetime",
                "allowed_clients",
                "scope_claim",
                "client_claim"
            ]
        );
    }

    #[test]
    fn an_issuer_with_credentials_is_refused_and_not_repeated() {
        let policy = TokenPolicy::new("https://user:canary@idp.example.com", "a");
        let error = policy.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unusable configuration: issuer has credentials in it"
        );
    }

    #[test]
    fn td_10_the_leeway_has_a_limit() {
        let policy = |secs| {
            TokenPolicy::new("https://idp.example.com", "a").leeway(Duration::from_secs(secs))
        };
        assert!(faults(&policy(300)).is_empty());
        assert_eq!(faults(&policy(301)), ["leeway"]);
    }

    #[rstest]
    #[case("https://idp.example.com", false, true)]
    #[case("https://idp.example.com/realms/a", false, true)]
    #[case("http://127.0.0.1:8080", true, true)]
    #[case("http://[::1]:8080/a", true, true)]
    #[case("http://localhost", true, true)]
    #[case("http://127.0.0.1:8080", false, false)]
    #[case("http://idp.example.com", true, false)]
    #[case("http://127.0.0.1.example.com", true, false)]
    #[case("http://localhost@idp.example.com", true, false)]
    #[case("https://idp.example.com?a=b", false, false)]
    #[case("idp", false, false)]
    #[case("", false, false)]
    fn an_issuer_is_an_https_url(#[case] issuer: &str, #[case] danger: bool, #[case] usable: bool) {
        let mut policy = TokenPolicy::new(issuer, "a");
        if danger {
            policy = policy.danger_allow_http_loopback();
        }
        assert_eq!(faults(&policy).is_empty(), usable);
    }

    #[rstest]
    #[case(&["https://api.example.com"], true, true)]
    #[case(&["https://api.example.com", "https://other.example.com"], true, false)]
    #[case(&["https://other.example.com"], false, false)]
    #[case(&["https://api.example.com/"], false, false)]
    #[case(&["https://API.example.com"], false, false)]
    #[case(&["https://api.example.co"], false, false)]
    #[case(&["*"], false, false)]
    #[case(&[], false, false)]
    fn td_15_td_16_audiences_are_compared_exactly(
        #[case] audience: &[&str],
        #[case] accepted: bool,
        #[case] alone: bool,
    ) {
        let policy = TokenPolicy::new("https://idp.example.com", "https://api.example.com");
        assert_eq!(policy.accepts_audience(audience.iter().copied()), accepted);
        let policy = policy.single_audience();
        assert_eq!(policy.accepts_audience(audience.iter().copied()), alone);
    }
}
