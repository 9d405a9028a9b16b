//! What the benchmarks share: tokens, the stack in front of a service that does nothing, and what it is held against.

mod held;
mod opaque;
mod whole;

use std::convert::Infallible;
use std::fmt;
use std::future::{Future as _, Ready, ready};
use std::hash::{BuildHasherDefault, Hasher};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateless::bearer::{BearerAuth, BearerHandle, Keys, TokenCache, TokenPolicy};
use gateless::gate::Gated;
use gateless::scope::ScopeGuard;
use gateless::{OnOutage, scopes};
use gateless_testkit::{SigningAlgorithm, TestIssuer};
use http::header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::util::ServiceFn;
use tower::{Layer as _, Service, service_fn};

pub use self::held::{Door, Held, Nowhere, flush, waiter};
pub use self::opaque::{Asker, Asking, Known, Server, answers, asking, field};
pub use self::whole::{Bodied, Kind, OneByOne, Stacked, Whole, asked, bodied};

/// What so many threads find at the same time, on average.
pub fn in_threads(threads: usize, run: impl Fn() -> f64 + Sync) -> f64 {
    if threads == 1 {
        return run();
    }
    let sum: f64 = thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(&run)).collect();
        let times = handles.into_iter();
        times
            .map(|handle| handle.join().expect("it does not panic"))
            .sum()
    });
    sum / threads as f64
}

/// Whom the tokens are for.
pub const AUDIENCE: &str = "https://api.example.com";

/// How many different tokens take turns, so that no single one becomes a habit of the branch predictor.
pub const SAMPLES: u32 = 8;

/// A kind of token. All are of about 700 bytes, but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// RSA with 2048 bits and SHA-256, and the claims that RFC 9068 asks for.
    Rs256,
    /// ECDSA on P-256, and the usual claims.
    Es256,
    /// Ed25519, and the usual claims.
    EdDsa,
    /// RSA, and the usual claims: about 1 kB.
    Rs256Usual,
}

impl Case {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Es256, Self::EdDsa, Self::Rs256Usual];

    /// What the tokens are signed with.
    #[must_use]
    pub const fn algorithm(self) -> SigningAlgorithm {
        match self {
            Self::Rs256 | Self::Rs256Usual => SigningAlgorithm::Rs256,
            Self::Es256 => SigningAlgorithm::Es256,
            Self::EdDsa => SigningAlgorithm::EdDsa,
        }
    }

    /// A token of this kind, with an id of its own, that is good for an hour.
    #[must_use]
    pub fn mint(self, issuer: &TestIssuer) -> String {
        let required = issuer
            .token()
            .algorithm(self.algorithm())
            .subject("248289761001")
            .client_id("orders-web")
            .audience(AUDIENCE)
            .scope("openid orders:read orders:write")
            .expires_in(3600);
        if self == Self::Rs256 {
            return required.mint();
        }
        required
            .session_id("2d8a4a5e-6a0b-4f0e-9d54-7a1c0c1f4b55")
            .claim("auth_time", 1_763_800_000)
            .claim("acr", "urn:mace:incommon:iap:silver")
            .claim("email", "jane.doe@example.com")
            .claim("email_verified", true)
            .claim("roles", json!(["clerk", "buyer"]))
            .mint()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256Usual => "RS256, more claims",
        })
    }
}

/// A service that answers at once. It drops the request, and with it whatever was attached on the way.
pub type Noop = ServiceFn<fn(Request<()>) -> Ready<Result<Response<()>, Infallible>>>;

/// The service that answers at once.
#[must_use]
pub fn noop() -> Noop {
    service_fn(|_| ready(Ok(Response::new(()))))
}

/// A quarter, half, and three quarters of the values lie below these.
#[must_use]
pub fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_unstable_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| *values.get(values.len() * quarter / 4).unwrap_or(&f64::NAN))
}

/// `BearerAuth` and `ScopeGuard` in front of it.
pub type Stack = Gated<Gated<Noop, ScopeGuard>, BearerAuth>;

/// All who take part in one case, and the tokens that they get in turns.
#[derive(Debug)]
pub struct Bench {
    /// The tokens.
    pub samples: Vec<Sample>,
    /// The service alone.
    pub noop: Noop,
    /// The stack in front of the service.
    pub stack: Stack,
    /// Forgets tokens, so that the next request with each is the first.
    pub handle: BearerHandle,
    /// The key, for a signature and nothing else.
    pub raw: ParsedPublicKey,
    /// jsonwebtoken, for reference.
    pub peer: Peer,
}

impl Bench {
    /// Makes keys and tokens, and sees to it that nobody refuses them: refusals would be fast.
    ///
    /// # Panics
    ///
    /// When somebody does.
    #[must_use]
    pub fn new(case: Case) -> Self {
        let issuer = TestIssuer::new();
        let samples: Vec<_> = (0..SAMPLES)
            .map(|_| Sample::new(case.mint(&issuer)))
            .collect();
        let jwk = jwk(&issuer, case.algorithm());

        let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE);
        let keys = policy
            .read_keys(json!({ "keys": [jwk] }).to_string().as_bytes())
            .expect("the key can be used");
        let auth = BearerAuth::builder(policy, Keys::fixed(keys))
            .build()
            .expect("the settings are sound");
        let guard = ScopeGuard::all(scopes!["orders:read"]);
        let noop = noop();

        let mut bench = Self {
            samples,
            noop,
            handle: auth.handle().clone(),
            stack: auth.layer(guard.layer(noop)),
            raw: raw_key(&issuer, case),
            peer: Peer::new(issuer.issuer(), &jwk),
        };
        for sample in &bench.samples {
            assert_eq!(answer(&mut bench.stack, sample.request()), StatusCode::OK);
            assert!(sample.verify(&bench.raw));
            assert!(bench.peer.decode(sample).is_some());
        }
        bench
    }
}

/// A token, whole and taken apart.
#[derive(Debug)]
pub struct Sample {
    token: String,
    field: HeaderValue,
    message: String,
    signature: Vec<u8>,
}

impl Sample {
    /// Takes a token apart.
    ///
    /// # Panics
    ///
    /// When it is no compact JWS.
    #[must_use]
    pub fn new(token: String) -> Self {
        let (message, signature) = token.rsplit_once('.').expect("it is a compact JWS");
        Self {
            field: format!("Bearer {token}").parse().expect("it is ASCII"),
            message: message.to_owned(),
            signature: URL_SAFE_NO_PAD.decode(signature).expect("it is base64url"),
            token,
        }
    }

    /// The length of the token.
    #[must_use]
    pub const fn token_len(&self) -> usize {
        self.token.len()
    }

    /// A request with the token.
    #[must_use]
    pub fn request(&self) -> Request<()> {
        request(&self.field)
    }

    /// The token as it was signed.
    #[must_use]
    pub const fn token(&self) -> &str {
        self.token.as_str()
    }

    /// Verifies the signature, which was decoded before, and does nothing else.
    #[must_use]
    pub fn verify(&self, key: &ParsedPublicKey) -> bool {
        key.verify_sig(self.message.as_bytes(), &self.signature)
            .is_ok()
    }
}

/// A request with this `Authorization`.
#[must_use]
pub fn request(field: &HeaderValue) -> Request<()> {
    Request::get("https://api.example.com/orders?page=2")
        .header(HOST, "api.example.com")
        .header(USER_AGENT, "orders-client/1.4")
        .header(ACCEPT, "application/json")
        .header(AUTHORIZATION, field)
        .body(())
        .expect("all of its parts are sound")
}

/// Those who take part where every token is known already.
#[derive(Debug)]
pub struct Hot {
    /// The tokens.
    pub samples: Vec<Sample>,
    /// The service alone.
    pub noop: Noop,
    /// The stack in front of it. Its keys were fetched from an issuer, so that their age is looked at as well.
    pub stack: Stack,
    /// The digests of the tokens, in a cache that holds them all.
    pub digests: Digests,
}

/// A cache by SHA-256, as one would write it.
pub type Digests = moka::sync::Cache<[u8; 32], Arc<str>, BuildHasherDefault<Prefix>>;

/// Digests are random already: their first bytes are as good as any hash of them.
#[derive(Clone, Debug, Default)]
pub struct Prefix(u64);

impl Hasher for Prefix {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(prefix) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*prefix);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Hot {
    /// `tokens` different ones, each of which was seen once.
    ///
    /// # Panics
    ///
    /// When one of them is refused.
    #[must_use]
    pub fn new(tokens: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be had");
        let (issuer, auth) = runtime.block_on(async {
            let issuer = TestIssuer::serve().await.expect("a port is free");
            let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE).danger_allow_http_loopback();
            // Longer than this runs: nothing is fetched while it is timed.
            let keys = Keys::jwks_url(issuer.jwks_url(), OnOutage::FailClosed)
                .lifetime(Duration::from_secs(24 * 3600));
            let cache = TokenCache::new().max_tokens(200_000).max_bytes(1 << 30);
            let auth = BearerAuth::builder(policy, keys).token_cache(cache);
            let auth = auth.build().expect("the settings are sound");
            auth.ready().await.expect("the issuer is there");
            (issuer, auth)
        });
        let noop = noop();
        let guard = ScopeGuard::all(scopes!["orders:read"]);
        let mut hot = Self {
            samples: (0..tokens)
                .map(|_| Sample::new(Case::EdDsa.mint(&issuer)))
                .collect(),
            noop,
            stack: auth.layer(guard.layer(noop)),
            digests: moka::sync::Cache::builder()
                .max_capacity(200_000)
                .build_with_hasher(BuildHasherDefault::default()),
        };
        for sample in &hot.samples {
            assert_eq!(answer(&mut hot.stack, sample.request()), StatusCode::OK);
            hot.digests.insert(sha256(sample), sample.token().into());
        }
        hot.digests.run_pending_tasks();
        hot
    }
}

/// The digest that everybody would take.
///
/// # Panics
///
/// Never: SHA-256 has 32 bytes.
#[must_use]
pub fn sha256(sample: &Sample) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, sample.token().as_bytes());
    digest.as_ref().try_into().expect("it has 32 bytes")
}

/// Sends a request through a service that need not wait for anything.
pub fn answer<S, B>(service: &mut S, request: Request<()>) -> StatusCode
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    match pin!(service.call(request)).poll(&mut cx) {
        Poll::Ready(Ok(response)) => response.status(),
        Poll::Pending => unreachable!("there is nothing to wait for"),
    }
}

/// The `decode` of jsonwebtoken, told to check what `BearerAuth` checks as far as it can.
#[derive(Debug)]
pub struct Peer {
    key: DecodingKey,
    validation: Validation,
}

/// What the stack also hands on as values of their own.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "they are made, which is what costs")]
pub struct PeerClaims {
    iss: String,
    sub: String,
    client_id: String,
    aud: String,
    jti: String,
    sid: Option<String>,
    acr: Option<String>,
    scope: String,
    iat: u64,
    exp: u64,
    auth_time: Option<u64>,
}

impl Peer {
    fn new(issuer: &str, jwk: &Value) -> Self {
        // Other packages of a build may switch on other backends: then there is no default. Only once for a process.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let algorithm = member(jwk, "alg").parse().expect("it is known there");
        let jwk = serde_json::from_value(jwk.clone()).expect("it is a JWK");
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        validation.validate_nbf = true;
        Self {
            key: DecodingKey::from_jwk(&jwk).expect("it is a public key"),
            validation,
        }
    }

    /// Decodes and validates a token; the key is parsed every time, as jsonwebtoken does it.
    #[must_use]
    pub fn decode(&self, sample: &Sample) -> Option<PeerClaims> {
        let decoded = jsonwebtoken::decode(&sample.token, &self.key, &self.validation);
        decoded.ok().map(|token| token.claims)
    }
}

fn jwk(issuer: &TestIssuer, algorithm: SigningAlgorithm) -> Value {
    let keys = issuer.jwks();
    let keys = keys.get("keys").and_then(Value::as_array);
    keys.into_iter()
        .flatten()
        .find(|key| member(key, "alg") == algorithm.name())
        .expect("it has a key for each of the three")
        .clone()
}

/// The key of the issuer that tokens of this kind are verified with, parsed once.
///
/// # Panics
///
/// When the issuer has none.
#[must_use]
pub fn raw_key(issuer: &TestIssuer, case: Case) -> ParsedPublicKey {
    let algorithm = case.algorithm();
    let jwk = &jwk(issuer, algorithm);
    let decoded = |name| {
        URL_SAFE_NO_PAD
            .decode(member(jwk, name))
            .expect("it is base64url")
    };
    let key = match algorithm {
        SigningAlgorithm::Es256 => {
            let point = [vec![4], decoded("x"), decoded("y")].concat();
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point)
        }
        SigningAlgorithm::EdDsa => ParsedPublicKey::new(&ED25519, decoded("x")),
        _ => PublicKeyComponents {
            n: decoded("n"),
            e: decoded("e"),
        }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256),
    };
    key.expect("the key is sound")
}

fn member<'j>(jwk: &'j Value, name: &str) -> &'j str {
    jwk.get(name).and_then(Value::as_str).unwrap_or_default()
}
