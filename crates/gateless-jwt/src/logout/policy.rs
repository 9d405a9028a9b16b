//! What is asked of the logout tokens of one issuer.

use std::sync::Arc;
use std::time::Duration;

use gateless_core::ConfigError;

use crate::algorithm::Algorithm;
use crate::terms::Terms;

/// What is asked of the logout tokens of one issuer. Issuer and client have no default, everything else is strict.
///
/// ```
/// use std::time::Duration;
///
/// use gateless_jwt::LogoutPolicy;
///
/// let policy = LogoutPolicy::new("https://idp.example.com", "orders-web")
///     .max_age(Duration::from_secs(120));
/// policy.check()?;
/// # Ok::<(), gateless_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LogoutPolicy {
    pub(super) terms: Terms,
    pub(super) client_id: Box<str>,
    pub(super) max_age: Duration,
    pub(super) accepts_untyped: bool,
    pub(super) accepts_missing_expiry: bool,
}

impl LogoutPolicy {
    /// Tokens of `issuer` for the client that is registered there as `client_id`; both compared byte for byte.
    pub fn new(issuer: impl Into<Arc<str>>, client_id: impl Into<Box<str>>) -> Self {
        let terms = Terms::new(issuer.into(), Box::default());
        Self {
            terms: Terms {
                // Who it is for is the client, and no other.
                audiences: Vec::new(),
                ..terms
            },
            client_id: client_id.into(),
            max_age: Duration::from_secs(600),
            accepts_untyped: false,
            accepts_missing_expiry: false,
        }
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.terms.issuer
    }

    /// The client that the tokens are for.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
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

    /// The algorithms that tokens may use, in place of RS256, ES256 and `EdDSA`.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.terms.algorithms = algorithms.into_iter().collect();
        self
    }

    /// How far clocks may differ where a token says when it ends or begins. 30 seconds by default, 300 at most.
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.terms.leeway = leeway;
        self
    }

    /// How far from now a token may have been issued (`iat`), before and after. Ten minutes by default: servers try again
    /// for a while, and a sign-out that is refused leaves somebody signed in.
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Accepts tokens without `typ`, which the specification only recommends (§2.4). The `events` tell what they are
    /// then. A token that says any other `typ` than `logout+jwt` is refused all the same.
    pub const fn optional_type(mut self) -> Self {
        self.accepts_untyped = true;
        self
    }

    /// Accepts tokens without `exp`, for servers that follow drafts from before it was required. One that is there still
    /// counts, and `iat` bounds how long a token is good in any case.
    pub const fn optional_expiry(mut self) -> Self {
        self.accepts_missing_expiry = true;
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
        if self.client_id.trim().is_empty() {
            faults.add("client_id", "is empty");
        }
        if self.max_age.is_zero() {
            faults.add("max_age", "is zero: every token would be refused");
        }
        faults.into_result()
    }
}
