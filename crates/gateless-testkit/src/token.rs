//! A mint for tokens: good ones, and bad ones in a single respect.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::algorithm::SigningAlgorithm;
use crate::issuer::TestIssuer;
use crate::key::SigningKey;

/// An access token in the making: it starts as a good one (RFC 9068), and a test changes what it is about.
///
/// | header | | claims | |
/// |---|---|---|---|
/// | `alg` | `RS256` | `iss` | the issuer |
/// | `typ` | `at+jwt` | `sub` | `user-1` |
/// | `kid` | that of the signing key | `client_id` | `client-1` |
/// | | | `aud` | `https://api.example.com` |
/// | | | `iat`, `exp` | now, and 300 seconds later |
/// | | | `jti` | a new one for each [`TestIssuer::token`] |
///
/// There is no `scope` until one is set. "Now" is when [`TestIssuer::token`] was called; a clone keeps it, and the
/// `jti`.
///
/// ```
/// # use gateless_testkit::TestIssuer;
/// let issuer = TestIssuer::new();
/// let expired = issuer.token().issued_in(-600).expires_in(-300).mint();
/// let forged = issuer.token().header("alg", "none").unsigned().mint();
/// assert!(forged.ends_with('.'));
/// # assert_eq!(expired.split('.').count(), 3);
/// ```
#[derive(Clone, Debug)]
#[must_use = "there is no token before `mint`"]
pub struct TokenBuilder {
    issuer: TestIssuer,
    now: i64,
    algorithm: SigningAlgorithm,
    key_id: Option<String>,
    /// What is set (`Some`) or left out (`None`), whatever the signing key says.
    header: BTreeMap<String, Option<Value>>,
    claims: Map<String, Value>,
    raw_header: Option<Vec<u8>>,
    raw_claims: Option<Vec<u8>>,
    seal: Seal,
}

#[derive(Clone, Debug)]
enum Seal {
    Key,
    Hmac(Vec<u8>),
    Bytes(Vec<u8>),
}

impl TokenBuilder {
    pub(crate) fn new(issuer: TestIssuer, id: String, now: i64) -> Self {
        let name = issuer.issuer().to_owned();
        Self::blank(issuer, now)
            .claim("iss", name)
            .subject("user-1")
            .client_id("client-1")
            .audience("https://api.example.com")
            .issued_in(0)
            .expires_in(300)
            .token_id(id)
    }

    /// Without any claim.
    pub(crate) fn blank(issuer: TestIssuer, now: i64) -> Self {
        Self {
            issuer,
            now,
            algorithm: SigningAlgorithm::Rs256,
            key_id: None,
            header: BTreeMap::new(),
            claims: Map::new(),
            raw_header: None,
            raw_claims: None,
            seal: Seal::Key,
        }
    }

    pub(crate) const fn now(&self) -> i64 {
        self.now
    }

    pub(crate) const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// `sub`: whom the token is about.
    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.claim("sub", subject.into())
    }

    /// `client_id`: who asked for the token.
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        self.claim("client_id", client_id.into())
    }

    /// `aud`: whom the token is for; a string, or an array of them.
    pub fn audience(self, audience: impl Into<Value>) -> Self {
        self.claim("aud", audience)
    }

    /// `scope`: what is granted, separated by spaces.
    pub fn scope(self, scope: impl Into<String>) -> Self {
        self.claim("scope", scope.into())
    }

    /// `jti`: the id of this one token.
    pub fn token_id(self, token_id: impl Into<String>) -> Self {
        self.claim("jti", token_id.into())
    }

    /// `sid`: the session that the token belongs to.
    pub fn session_id(self, session_id: impl Into<String>) -> Self {
        self.claim("sid", session_id.into())
    }

    /// `exp`: this many seconds from now, or ago when negative.
    pub fn expires_in(self, secs: i64) -> Self {
        let at = self.now.saturating_add(secs);
        self.claim("exp", at)
    }

    /// `iat`: this many seconds from now, or ago when negative.
    pub fn issued_in(self, secs: i64) -> Self {
        let at = self.now.saturating_add(secs);
        self.claim("iat", at)
    }

    /// `auth_time`: when the person signed in, this many seconds from now, or ago when negative.
    pub fn signed_in(self, secs: i64) -> Self {
        let at = self.now.saturating_add(secs);
        self.claim("auth_time", at)
    }

    /// `acr`: how the person signed in.
    pub fn acr(self, acr: impl Into<String>) -> Self {
        self.claim("acr", acr.into())
    }

    /// `nbf`: this many seconds from now, or ago when negative.
    pub fn not_before_in(self, secs: i64) -> Self {
        let at = self.now.saturating_add(secs);
        self.claim("nbf", at)
    }

    /// Any claim, with any value. Of two calls for the same claim, by whatever method, the later one counts.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Leaves a claim out.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Any header parameter, with any value; it wins over what the signing key says of itself.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.header.insert(name.into(), Some(value.into()));
        self
    }

    /// Leaves a header parameter out.
    pub fn without_header(mut self, name: impl Into<String>) -> Self {
        self.header.insert(name.into(), None);
        self
    }

    /// Signs with the issuer's youngest key for `algorithm`. Without one, it makes and publishes one.
    pub fn algorithm(mut self, algorithm: SigningAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets `kid`, and signs with the issuer's key of that id when there is one for the token's algorithm.
    ///
    /// The algorithm stays what it is: an id of another algorithm's key, or of no key, is a lie in the header.
    pub fn key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Uses these bytes as the header segment, decoded, and signs over them.
    pub fn raw_header(mut self, header: impl Into<Vec<u8>>) -> Self {
        self.raw_header = Some(header.into());
        self
    }

    /// Uses these bytes as the claims segment, decoded, and signs over them.
    pub fn raw_claims(mut self, claims: impl Into<Vec<u8>>) -> Self {
        self.raw_claims = Some(claims.into());
        self
    }

    /// Leaves the signature empty. The header still names the algorithm of the key: see [`header`](Self::header).
    pub fn unsigned(self) -> Self {
        self.signature(Vec::new())
    }

    /// Uses these bytes as the signature.
    pub fn signature(mut self, signature: impl Into<Vec<u8>>) -> Self {
        self.seal = Seal::Bytes(signature.into());
        self
    }

    /// Signs by HMAC with SHA-256, under `alg` `HS256` and the `kid` of the key that would have signed.
    ///
    /// With a public key as the secret, this is the key confusion of RFC 8725 §2.1.
    pub fn hmac_with(mut self, secret: &[u8]) -> Self {
        self.seal = Seal::Hmac(secret.to_vec());
        self
    }

    /// The token in its compact form (RFC 7515 §7.1).
    #[must_use]
    pub fn mint(self) -> String {
        let Self {
            issuer,
            now: _,
            algorithm,
            key_id,
            header: changes,
            claims,
            raw_header,
            raw_claims,
            seal,
        } = self;
        let key = issuer.keys().signer(algorithm, key_id.as_deref());

        let header = raw_header.unwrap_or_else(|| {
            let name = match seal {
                Seal::Hmac(_) => "HS256",
                Seal::Key | Seal::Bytes(_) => algorithm.name(),
            };
            let mut header = Map::new();
            header.insert("alg".into(), name.into());
            header.insert("typ".into(), "at+jwt".into());
            let key_id = key_id.unwrap_or_else(|| key.id().to_owned());
            header.insert("kid".into(), key_id.into());
            for (name, change) in changes {
                match change {
                    Some(value) => header.insert(name, value),
                    None => header.remove(&name),
                };
            }
            Value::Object(header).to_string().into_bytes()
        });
        let claims = raw_claims.unwrap_or_else(|| Value::Object(claims).to_string().into_bytes());

        let message = signing_input(&header, &claims);
        let signature = match seal {
            Seal::Key => key.sign(message.as_bytes()),
            Seal::Hmac(secret) => {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
                hmac::sign(&secret, message.as_bytes()).as_ref().to_vec()
            }
            Seal::Bytes(bytes) => bytes,
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A token with this header and these claims, signed.
pub(crate) fn sign(key: &SigningKey, header: &[u8], claims: &[u8]) -> String {
    let message = signing_input(header, claims);
    let signature = key.sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Puts a token together from its three parts, decoded, whatever they hold. Nothing is signed.
#[must_use]
pub fn encode_segments(header: &[u8], claims: &[u8], signature: &[u8]) -> String {
    let message = signing_input(header, claims);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// What a signature is computed over (RFC 7515 §5.1).
fn signing_input(header: &[u8], claims: &[u8]) -> String {
    let [header, claims] = [header, claims].map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
    format!("{header}.{claims}")
}
