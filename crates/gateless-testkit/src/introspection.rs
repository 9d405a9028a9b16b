//! Asking an issuer about a token (RFC 7662): what a test says about it.

mod clients;
mod credentials;
mod endpoint;
mod form;
mod ledger;
mod log;
mod opaque;
mod refusal;
mod signed;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateless_core::Clock;
use serde_json::Value;

use self::clients::Clients;
pub use self::credentials::ClientAuth;
use self::ledger::Ledger;
pub use self::log::Introspected;
use self::log::Log;
pub use self::opaque::OpaqueTokenBuilder;
use crate::algorithm::SigningAlgorithm;
use crate::fault::{Endpoint, Fault};
use crate::issuer::TestIssuer;
use crate::token::TokenBuilder;

/// The introspection endpoint of an issuer, and what it knows.
pub(crate) struct Introspection {
    pub(crate) endpoint: Endpoint,
    clients: Clients,
    ledger: Ledger,
    log: Log,
    settings: Mutex<Settings>,
    clock: Arc<dyn Clock>,
    issuer: String,
    url: String,
}

#[derive(Debug, Default)]
struct Settings {
    /// Whether a JWT of the issuer's own is answered for.
    jwts: bool,
    signing: Option<SigningAlgorithm>,
}

impl Introspection {
    pub(crate) const PATH: &str = "/introspect";

    pub(crate) fn new(issuer: &str, url: String, clock: Arc<dyn Clock>) -> Self {
        Self {
            endpoint: Endpoint::default(),
            clients: Clients::new(),
            ledger: Ledger::default(),
            log: Log::default(),
            settings: Mutex::default(),
            clock,
            issuer: issuer.to_owned(),
            url,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn now(&self) -> i64 {
        self.clock.wall().as_secs()
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// # Introspection
///
/// A served issuer answers `POST` on `/introspect`, and names that as the `introspection_endpoint` of its discovery
/// documents. What is wrong with a request is looked at before what it is about:
///
/// | request | answer |
/// |---|---|
/// | not a form, longer than 64 KiB, a parameter twice, two methods of authentication | `400` (too long: `413`), `invalid_request` |
/// | no client authentication, or a wrong one | `401`, `invalid_client`, with a challenge for `Basic` |
/// | no `token` | `400`, `invalid_request` |
/// | a JWT | `400`, `unsupported_token_type`, unless [`introspect_jwts`](Self::introspect_jwts) |
/// | a token that is unknown, expired or revoked | `{"active":false}` |
/// | a token of [`opaque_token`](Self::opaque_token) | what its builder says |
///
/// A caller is [`CLIENT_ID`](Self::CLIENT_ID) with [`CLIENT_SECRET`](Self::CLIENT_SECRET), by HTTP Basic or as
/// parameters; or has a key ([`register_client_key`](Self::register_client_key)) or a bearer token
/// ([`accept_bearer`](Self::accept_bearer)).
impl TestIssuer {
    /// The client that may ask from the start.
    pub const CLIENT_ID: &str = "resource-server";

    /// The secret of [`CLIENT_ID`](Self::CLIENT_ID), until [`set_client_secret`](Self::set_client_secret). Most of its
    /// characters mean something in a form: a client that does not encode it for HTTP Basic (RFC 6749 §2.3.1), or for
    /// the body, is refused.
    pub const CLIENT_SECRET: &str = "s3cr&t: +%/";

    /// A good opaque access token, to be changed as a test needs it.
    pub fn opaque_token(&self) -> OpaqueTokenBuilder {
        OpaqueTokenBuilder::new(self.clone(), self.introspection().now())
    }

    /// Answers `{"active":false}` for a token from now on; minted again, an opaque one is active again. Whether the
    /// issuer knows the token: an opaque one that was minted, or a JWT that one of its present keys signed.
    pub fn revoke(&self, token: &str) -> bool {
        let ledger = &self.introspection().ledger;
        let known = ledger.knows(token) || self.keys().claims_of(token).is_some();
        if known {
            ledger.revoke(token);
        }
        known
    }

    /// Where tokens are introspected.
    ///
    /// # Panics
    ///
    /// When the issuer is in memory only.
    #[must_use]
    pub fn introspection_url(&self) -> String {
        let _served = self.jwks_url();
        self.introspection().url().to_owned()
    }

    /// Makes the endpoint answer for the JWTs of the issuer too, as most servers do: one that its present keys signed
    /// is active with its claims until its `exp`; every other one is not. Off by default.
    pub fn introspect_jwts(&self, on: bool) {
        self.introspection().settings().jwts = on;
    }

    /// Signs the answers (RFC 9701) to requests that accept `application/token-introspection+jwt` by name, with RS256.
    /// Off by default. Errors are never signed.
    ///
    /// `aud` is the id of the client that asked; where a bearer token asked, `aud` of the token that it asked about, or
    /// the issuer when that has none.
    pub fn sign_introspections(&self, on: bool) {
        self.introspection().settings().signing = on.then_some(SigningAlgorithm::Rs256);
    }

    /// As [`sign_introspections`](Self::sign_introspections), with another algorithm.
    pub fn sign_introspections_with(&self, algorithm: SigningAlgorithm) {
        // Before somebody asks: whoever does is not to wait for a generation.
        self.keys().signer(algorithm, None).generate();
        self.introspection().settings().signing = Some(algorithm);
    }

    /// A good signed answer (RFC 9701 §5) about `token`, as it is known now, for the client `client_id`: to be spoiled,
    /// minted, and put in place by [`Fault::Body`] as `application/token-introspection+jwt`.
    ///
    /// ```
    /// # use gateless_testkit::{Fault, TestIssuer};
    /// # let issuer = TestIssuer::new();
    /// let token = issuer.opaque_token().mint();
    /// let answer = issuer.introspection_answer(&token, TestIssuer::CLIENT_ID);
    /// let for_another = answer.audience("another-server").mint();
    /// issuer.set_introspection_fault(Fault::Body(
    ///     "application/token-introspection+jwt".into(),
    ///     for_another.into(),
    /// ));
    /// ```
    pub fn introspection_answer(&self, token: &str, client_id: &str) -> TokenBuilder {
        let state = self.introspection();
        let now = state.now();
        let answer = state.about(self.keys(), token);
        let claims = signed::claims(self.issuer(), &client_id.into(), now, &answer);
        let builder = TokenBuilder::blank(self.clone(), now).header("typ", signed::TYPE);
        let Value::Object(claims) = claims else {
            return builder;
        };
        claims
            .into_iter()
            .fold(builder, |builder, (name, value)| builder.claim(name, value))
    }

    /// Changes the secret of [`CLIENT_ID`](Self::CLIENT_ID). The old one is refused from now on.
    pub fn set_client_secret(&self, secret: impl Into<String>) {
        self.introspection().clients.set_secret(secret.into());
    }

    /// Lets a client prove itself by assertions (RFC 7523 §3) that are signed with the private half of this JWK. A
    /// client may have several keys.
    ///
    /// An assertion has to name the client as `iss` and `sub`, the issuer or the endpoint as `aud`, and a `jti` that was
    /// not seen before; `exp` has to be there and not over, `nbf` not ahead.
    pub fn register_client_key(&self, client_id: impl Into<String>, jwk: Value) {
        self.introspection().clients.add_key(client_id.into(), jwk);
    }

    /// Lets everybody ask who presents this bearer token (RFC 7662 §2.1).
    pub fn accept_bearer(&self, token: impl Into<String>) {
        self.introspection().clients.add_bearer(token.into());
    }

    /// Makes the introspection endpoint misbehave. A fault comes before any check of the request: where it replaces the
    /// answer, a caller that is not known gets that too.
    ///
    /// # Panics
    ///
    /// As [`set_fault`](Self::set_fault).
    pub fn set_introspection_fault(&self, fault: Fault) {
        self.introspection().endpoint.set_fault(fault);
    }

    /// How many requests the introspection endpoint was handling at once, at most: from when their heads arrived until
    /// their answers began, or their clients went away. Those that hang, or are slow, are among them.
    #[must_use]
    pub fn most_concurrent_introspections(&self) -> u64 {
        self.introspection().endpoint.most_concurrent()
    }

    /// What the last requests to the introspection endpoint were like, oldest first, and 64 at most. One whose body is
    /// no form is not among them.
    #[must_use]
    pub fn introspected(&self) -> Vec<Introspected> {
        self.introspection().log.last()
    }
}
