//! What is asked of the tokens that an authorization server is asked about.

use std::sync::Arc;
use std::time::Duration;

use gateless_core::ConfigError;

use crate::algorithm::Algorithm;
use crate::terms::{ScopeClaim, Terms};

/// What is asked of the tokens of one authorization server that are introspected. Issuer and audience have no default,
/// everything else is strict.
///
/// That the server calls a token active only says that the token is good somewhere. Whether it is good here is asked
/// of its claims, as with a token that is signed (RFC 7662 §4).
///
/// # Access tokens and others
///
/// Servers call refresh tokens active too, and some answer for ID tokens. An answer is *typed* when it says of itself
/// that it is about an access token:
///
/// | member | says so with, in any case | is seen at |
/// |---|---|---|
/// | `token_type` | `Bearer` (RFC 7662 §2.2), `access_token` | most servers |
/// | `typ` | `Bearer`, `at+jwt`, `access`, `access_token` | Keycloak |
/// | `token_use` | the same | Ory Hydra |
/// | `token_usage` | the same | OpenIddict |
/// | `purpose` | `access_token` | Curity |
/// | `tokenName` | `access_token` | ForgeRock |
///
/// Any other text in one of them (in the last two: any other kind of `…_token`) names another use, and the token is refused ([`TokenFault::UseNotAllowed`]); a `typ` of
/// `JWT` says nothing, and a `token_type` of `DPoP` asks for a proof that nothing here checks.
///
/// An answer that is not typed has to name both `aud` and `exp`. Where [`danger_accept_missing_audience`] lets it go
/// without `aud`, or [`assume_lifetime`] without `exp`, it must be typed, or [`danger_accept_untyped`] be set.
///
/// An answer that is not typed is also refused when its `aud` names nobody but its client, or when it has a member of ID
/// tokens, security events or proofs (`nonce`, `at_hash`, `c_hash`, `s_hash`, `events`, `htm`, `htu`), whatever is set. A
/// typed one may have these: an opaque token of Spring Authorization Server is for its client, and an access token of
/// Keycloak before version 24 has a `nonce`.
///
/// # Members that are `null`
///
/// They are read as if they were not there, as Doorkeeper writes `"client_id": null` for a token without a client. Two
/// are not: with `"active": null` nothing is said, and a token with `"cnf": null` counts as bound to a key.
///
/// [`TokenFault::UseNotAllowed`]: gateless_core::TokenFault::UseNotAllowed
/// [`assume_lifetime`]: Self::assume_lifetime
/// [`danger_accept_missing_audience`]: Self::danger_accept_missing_audience
/// [`danger_accept_untyped`]: Self::danger_accept_untyped
///
/// ```
/// use std::time::Duration;
///
/// use gateless_jwt::IntrospectionPolicy;
///
/// let policy = IntrospectionPolicy::new("https://idp.example.com", "https://api.example.com")
///     .max_lifetime(Duration::from_secs(3600))
///     .allowed_clients(["web", "batch"]);
/// policy.check()?;
/// # Ok::<(), gateless_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct IntrospectionPolicy {
    pub(crate) terms: Terms,
    pub(crate) assumed_lifetime: Option<Duration>,
    pub(crate) subject_claim: Option<Box<str>>,
    pub(crate) accepts_untyped: bool,
}

impl IntrospectionPolicy {
    /// Tokens of `issuer` that are meant for `audience`; both compared byte for byte.
    ///
    /// An answer need not name its issuer (RFC 7662 §2.2): the server was asked because it is this one.
    pub fn new(issuer: impl Into<Arc<str>>, audience: impl Into<Box<str>>) -> Self {
        Self {
            terms: Terms::new(issuer.into(), audience.into()),
            assumed_lifetime: None,
            subject_claim: None,
            accepts_untyped: false,
        }
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.terms.issuer
    }

    /// The algorithms that signed answers may use.
    #[must_use]
    pub fn allowed_algorithms(&self) -> &[Algorithm] {
        &self.terms.algorithms
    }

    /// Whether the issuer may be reached over plain HTTP on a loopback address.
    #[must_use]
    pub const fn is_http_loopback_allowed(&self) -> bool {
        self.terms.allows_http_loopback
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

    /// The algorithms that signed answers (RFC 9701) may use, in place of RS256, ES256 and `EdDSA`.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.terms.algorithms = algorithms.into_iter().collect();
        self
    }

    /// How far the clocks of issuer and service may be apart. 30 s by default, at most 300 s.
    ///
    /// A signed answer may seem to be older than the question by no more than 30 s of that: what is longer would let old
    /// answers in again.
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.terms.leeway = leeway;
        self
    }

    /// The longest life (`exp − iat`) that is accepted. 24 hours by default.
    ///
    /// Where the answer names no `iat`, what is left of the life may not be longer than that. Where it names no `exp`,
    /// nothing is known of its life: then [`assume_lifetime`](Self::assume_lifetime) is all that counts, however long
    /// ago the token was issued.
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

    /// Where the scopes stand. `scope` as text by default (RFC 7662 §2.2).
    pub fn scope_claim(mut self, claim: ScopeClaim) -> Self {
        self.terms.scope_claim = claim;
        self
    }

    /// Where the client id stands, in place of `client_id` and `azp`: `cid` and `appid` are seen.
    pub fn client_claim(mut self, name: impl Into<Box<str>>) -> Self {
        self.terms.client_claim = Some(name.into());
        self
    }

    /// Where the subject stands, in place of `sub`: a member whose value is text, and as good an identifier as `sub` has
    /// to be. `sub` is not taken then, also where the member is not there.
    ///
    /// A token without a subject is taken for that of a client that acts for itself, unless a `username`, `user_name`,
    /// `user_id`, `uid`, `preferred_username`, `email` or `sub` beside it names anybody but that client: such an answer is
    /// refused, as somebody's token would look like the client's own.
    /// Some servers name the user as `username` only, as django-oauth-toolkit and WSO2 Identity Server: set this to
    /// `username` for those.
    ///
    /// Choose a member that the server never gives to another user again, and that users cannot change: RFC 7662 §2.2
    /// asks for neither of a `username`. See also whom the server names for a client that acts for itself: WSO2 has named
    /// the owner of the client there, who is taken for the caller then.
    pub fn subject_claim(mut self, name: impl Into<Box<str>>) -> Self {
        self.subject_claim = Some(name.into());
        self
    }

    /// For servers that name no `exp`: a token without one is taken to end this long after it was asked about.
    ///
    /// `exp` is optional in an answer (RFC 7662 §2.2). Without this setting a token that does not say when it ends is
    /// refused. A server that knows the end but does not tell it says `active: false` after it, so choose no more than
    /// the time for which you would go without asking again.
    ///
    /// An answer without `exp` has to be [typed](Self#access-tokens-and-others): the refresh tokens of Doorkeeper have
    /// neither `exp` nor `token_type`, and an `aud` where they are bound to a resource.
    pub const fn assume_lifetime(mut self, lifetime: Duration) -> Self {
        self.assumed_lifetime = Some(lifetime);
        self
    }

    /// Accepts tokens of which the server does not say whom they are meant for.
    ///
    /// Any token of that server then opens this service, also one that was meant for another (RFC 9700 §2.3). An `aud`
    /// that is there still has to match.
    ///
    /// An answer without `aud` has to be [typed](Self#access-tokens-and-others): npm's oidc-provider answers for refresh
    /// tokens too, without `aud` and `token_type`.
    pub const fn danger_accept_missing_audience(mut self) -> Self {
        self.terms.accepts_missing_audience = true;
        self
    }

    /// Accepts answers without `aud` or `exp` that do not say that the token is an access token, where another setting
    /// lets these be missing.
    ///
    /// A refresh token then opens this service if the server calls it active: the answers of Doorkeeper for a refresh
    /// token that is bound to a resource have `aud`, and neither `token_type` nor `exp`; those of npm's oidc-provider
    /// have neither `aud` nor `token_type`. This is for servers that introspect access tokens only and never say a type,
    /// as django-oauth-toolkit. An answer that names another use is refused all the same.
    pub const fn danger_accept_untyped(mut self) -> Self {
        self.accepts_untyped = true;
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
        let mut faults = self.terms.check(false);
        if self.subject_claim.as_deref().is_some_and(str::is_empty) {
            faults.add("subject_claim", "has no name");
        }
        if self.assumed_lifetime.is_some_and(|life| life.is_zero()) {
            faults.add(
                "assume_lifetime",
                "is zero: a token without exp would be refused",
            );
        }
        if self.assumed_lifetime > Some(self.terms.max_lifetime) {
            faults.add(
                "assume_lifetime",
                "is longer than max_lifetime: a token without exp would be refused",
            );
        }
        faults.into_result()
    }
}
