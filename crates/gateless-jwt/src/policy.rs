//! What is asked of the tokens of one issuer.

use std::sync::Arc;
use std::time::Duration;

use gateless_core::ConfigError;

use crate::algorithm::Algorithm;
use crate::jwk::{KeySet, KeySetError};
use crate::terms::{ScopeClaim, Terms};

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
    pub(crate) terms: Terms,
    pub(crate) profile: Profile,
    pub(crate) requires_low_s: bool,
    pub(crate) ignores_key_headers: bool,
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

impl TokenPolicy {
    /// Tokens of `issuer` that are meant for `audience`; both compared byte for byte.
    pub fn new(issuer: impl Into<Arc<str>>, audience: impl Into<Box<str>>) -> Self {
        Self {
            terms: Terms::new(issuer.into(), audience.into()),
            profile: Profile::Rfc9068,
            requires_low_s: false,
            ignores_key_headers: false,
        }
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.terms.issuer
    }

    /// The algorithms that are allowed.
    #[must_use]
    pub fn allowed_algorithms(&self) -> &[Algorithm] {
        &self.terms.algorithms
    }

    /// Whether the issuer may be reached over plain HTTP on a loopback address.
    #[must_use]
    pub const fn is_http_loopback_allowed(&self) -> bool {
        self.terms.allows_http_loopback
    }

    /// Reads a JWK set document, taking the keys that this policy's [`algorithms`](Self::algorithms) can use.
    ///
    /// # Errors
    ///
    /// [`KeySetError`] when the document as a whole cannot be used.
    pub fn read_keys(&self, document: &[u8]) -> Result<KeySet, KeySetError> {
        KeySet::from_json(document, &self.terms.algorithms)
    }

    /// Accepts one more audience. A token has to name at least one of those accepted (RFC 7519 §4.1.3).
    pub fn audience(mut self, audience: impl Into<Box<str>>) -> Self {
        self.terms.audiences.push(audience.into());
        self
    }

    /// Refuses tokens that are meant for anybody else as well: those could be replayed by the other audience
    /// (RFC 9700 §2.3). Off by default.
    pub const fn single_audience(mut self) -> Self {
        self.terms.single_audience = true;
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
        self.terms.algorithms = algorithms.into_iter().collect();
        self
    }

    /// How far the clocks of issuer and service may be apart. 30 s by default, at most 300 s.
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.terms.leeway = leeway;
        self
    }

    /// The longest life (`exp − iat`) that is accepted. 24 hours by default.
    ///
    /// A stolen token is good until it expires: short lives are the first defence (RFC 9700 §2.2). Set it to what the
    /// issuer really uses.
    pub const fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.terms.max_lifetime = max_lifetime;
        self
    }

    /// Accepts only tokens that were issued to these clients. Any client by default.
    pub fn allowed_clients<T: Into<Box<str>>>(
        mut self,
        clients: impl IntoIterator<Item = T>,
    ) -> Self {
        self.terms.allowed_clients = Some(clients.into_iter().map(Into::into).collect());
        self
    }

    /// Refuses tokens with an `act` claim: nobody acts for anybody else here (RFC 8693 §4.1). Off by default.
    pub const fn forbid_delegation(mut self) -> Self {
        self.terms.forbids_delegation = true;
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
        self.terms.scope_claim = claim;
        self
    }

    /// Where the client id stands, in place of `client_id` (and `azp` in the lax profile): `cid` and `appid` are seen.
    pub fn client_claim(mut self, name: impl Into<Box<str>>) -> Self {
        self.terms.client_claim = Some(name.into());
        self
    }

    /// Lets the issuer be an `http://` address, on loopback only. For tests and demonstrations.
    pub const fn danger_allow_http_loopback(mut self) -> Self {
        self.terms.allows_http_loopback = true;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every setting that cannot be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.terms
            .check(self.profile == Profile::Rfc9068)
            .into_result()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn faults(policy: &TokenPolicy) -> Vec<String> {
        policy.check().map_or_else(
            |error| {
                error
                    .faults()
                    .iter()
                    .map(|fault| fault.setting().to_owned())
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
        assert_eq!(
            policy.terms.accepts_audience(audience.iter().copied()),
            accepted
        );
        let policy = policy.single_audience();
        assert_eq!(
            policy.terms.accepts_audience(audience.iter().copied()),
            alone
        );
    }
}
