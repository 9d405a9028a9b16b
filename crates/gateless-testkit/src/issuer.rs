//! An identity provider for tests: it signs tokens, and publishes the keys to check them with.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gateless_core::Clock;
use serde_json::Value;

use crate::algorithm::SigningAlgorithm;
use crate::builder::{TestIssuerBuilder, jwks_url};
use crate::fault::{Fault, header_value};
use crate::introspection::Introspection;
use crate::keyring::KeyRing;
use crate::server::Server;
use crate::site::Site;
use crate::token::TokenBuilder;

/// A test issuer, in memory or on a socket. Clones are the same issuer.
///
/// It starts with one key each for RS256 (2048 bits), ES256 and EdDSA, and no two issuers share a key: a token
/// of one never verifies against the other, which a key cached for the process would break. An RSA key takes 100 ms
/// on average, and a few times that on a bad day, so each key is generated when it is first needed;
/// [`serve`](Self::serve) and [`rotate`](Self::rotate) generate theirs before they return, so that no fetch waits.
///
/// A served issuer stops, with all its connections, when its last clone and the last builder of a token that came from
/// it are dropped.
///
/// # Panics
///
/// Every way to make one panics when the environment variable `GATELESS_ENV` is `prod` or `production`, and the
/// first one in a process announces itself on standard error: whoever trusts a test issuer trusts everybody.
#[derive(Clone)]
pub struct TestIssuer(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) issuer: String,
    pub(crate) clock: Arc<dyn Clock>,
    /// Random, so that key and token ids of two issuers never meet.
    pub(crate) instance: String,
    pub(crate) tokens: AtomicU64,
    pub(crate) site: Arc<Site>,
    pub(crate) server: Option<Server>,
}

/// How often the endpoints of an issuer were asked, whatever the answer was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Requests to either of the discovery documents.
    pub discovery: u64,
    /// Requests to the key set.
    pub jwks: u64,
    /// Requests to introspect a token.
    pub introspection: u64,
}

impl TestIssuer {
    /// The issuer `https://idp.example.com`, in memory, on the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// An issuer with another name, clock or address.
    pub fn builder() -> TestIssuerBuilder {
        TestIssuerBuilder::default()
    }

    /// An issuer on a free port of 127.0.0.1, named after its address: `http://127.0.0.1:PORT`.
    ///
    /// It answers `GET` on `/.well-known/openid-configuration`, `/.well-known/oauth-authorization-server` and `/jwks`,
    /// and `POST` on [`/introspect`](#introspection), from a task of the current tokio runtime. The first two name endpoints for sign-in and tokens as well, as clients
    /// expect them to; nobody answers there.
    ///
    /// # Errors
    ///
    /// When no port can be bound.
    pub async fn serve() -> io::Result<Self> {
        Self::builder().serve().await
    }

    /// The name of the issuer: what its tokens carry as `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// A good access token (RFC 9068), to be changed as a test needs it.
    pub fn token(&self) -> TokenBuilder {
        let number = self.0.tokens.fetch_add(1, Ordering::Relaxed) + 1;
        let id = format!("{}-{number}", self.0.instance);
        let now = self.0.clock.wall().as_secs();
        TokenBuilder::new(self.clone(), id, now)
    }

    /// The public halves of the issuer's own keys as a JWK set, whatever [`set_jwks`](Self::set_jwks) publishes.
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.keys().jwks()
    }

    /// Where the key set is served.
    ///
    /// # Panics
    ///
    /// When the issuer is in memory only.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        let server = self.0.server.as_ref();
        let server = server.expect("this TestIssuer is not served; make it with `serve`");
        jwks_url(server.address())
    }

    /// The ids of the issuer's keys, oldest first.
    #[must_use]
    pub fn kids(&self) -> Vec<String> {
        self.keys().ids()
    }

    /// Publishes one more key, which signs the tokens of its algorithm from now on. Returns its id.
    pub fn add_key(&self, algorithm: SigningAlgorithm) -> String {
        self.keys().add(algorithm).id().to_owned()
    }

    /// Replaces all keys: one new key, with a new id, for each algorithm at hand. Tokens signed before are orphaned.
    pub fn rotate(&self) {
        self.keys().rotate(false);
    }

    /// Adds one new key for each algorithm at hand, which signs from now on. The old ones remain published.
    pub fn rotate_keeping_old(&self) {
        self.keys().rotate(true);
    }

    /// Publishes `jwks` in place of the issuer's keys. It is served as it is, however odd.
    pub fn set_jwks(&self, jwks: Value) {
        *self.0.site.jwks_override() = Some(jwks);
    }

    /// Publishes the issuer's own keys again.
    pub fn clear_jwks_override(&self) {
        *self.0.site.jwks_override() = None;
    }

    /// Makes every endpoint misbehave.
    ///
    /// # Panics
    ///
    /// When the fault cannot be sent: a status below 200 or above 999, or text that no header can carry.
    pub fn set_fault(&self, fault: Fault) {
        self.set_discovery_fault(fault.clone());
        self.set_jwks_fault(fault.clone());
        self.set_introspection_fault(fault);
    }

    /// Makes the key set misbehave.
    ///
    /// # Panics
    ///
    /// As [`set_fault`](Self::set_fault).
    pub fn set_jwks_fault(&self, fault: Fault) {
        self.0.site.jwks.set_fault(fault);
    }

    /// Makes both discovery documents misbehave.
    ///
    /// # Panics
    ///
    /// As [`set_fault`](Self::set_fault).
    pub fn set_discovery_fault(&self, fault: Fault) {
        self.0.site.discovery.set_fault(fault);
    }

    /// Heals every endpoint. Requests that were left hanging are answered now.
    pub fn clear_fault(&self) {
        self.0.site.discovery.clear_fault();
        self.0.site.jwks.clear_fault();
        self.introspection().endpoint.clear_fault();
    }

    /// Gives every answer of the key set this `Cache-Control` (RFC 9111 §5.2), faulty answers too. By default there is
    /// none, and on the discovery documents there never is.
    ///
    /// # Panics
    ///
    /// When no header can carry the text.
    pub fn set_cache_control(&self, value: &str) {
        let value = header_value(value);
        self.0.site.caching.settings().cache_control = Some(value);
    }

    /// Answers without `Cache-Control` again.
    pub fn clear_cache_control(&self) {
        self.0.site.caching.settings().cache_control = None;
    }

    /// Gives every answer of the key set this `Age` (RFC 9111 §5.1), as if a cache had held it for so long: what
    /// `max-age` allows is shorter by that much. By default there is none.
    pub fn set_age(&self, seconds: u64) {
        self.0.site.caching.settings().age = Some(seconds);
    }

    /// Gives every answer of the key set a strong `ETag`, which changes exactly when its content does, and answers `304`
    /// without content to a request whose `If-None-Match` lists it (RFC 9110 §13.1.2). Off by default.
    ///
    /// A [`Fault`] comes before any condition: it never becomes a `304` by what a request says. What it sends in place
    /// of the document has a tag of its own; where it spoils the delivery of the document, the tag is that of the
    /// document. So a client that remembers the tag of an answer that it could not use is told `304` afterwards.
    pub fn enable_etags(&self) {
        self.0.site.caching.settings().etags = true;
    }

    /// How often a request for the key set was answered with `304` because it listed the current `ETag`.
    #[must_use]
    pub fn not_modified(&self) -> u64 {
        self.0.site.caching.not_modified()
    }

    /// How often the endpoints were asked so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        Requests {
            discovery: self.0.site.discovery.requests(),
            jwks: self.0.site.jwks.requests(),
            introspection: self.introspection().endpoint.requests(),
        }
    }

    /// Stops serving: once this returns, the port is closed and open connections are cut. It still signs tokens.
    pub async fn shutdown(&self) {
        if let Some(server) = &self.0.server {
            server.stop().await;
        }
    }

    pub(crate) fn from_inner(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    pub(crate) fn introspection(&self) -> &Introspection {
        &self.0.site.introspection
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.0.site.keys
    }
}

impl Default for TestIssuer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer")
            .field("issuer", &self.issuer())
            .field("kids", &self.kids())
            .field("address", &self.0.server.as_ref().map(Server::address))
            .finish_non_exhaustive()
    }
}
