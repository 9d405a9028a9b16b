//! Opaque tokens: a server that is asked about them, and the stacks in front of the service.

use std::convert::Infallible;
use std::time::Duration;

use gateless::OnOutage;
use gateless::bearer::{BearerAuth, Keys, TokenCache, TokenPolicy};
use gateless::gate::Gated;
use gateless::hybrid::HybridAuth;
use gateless::introspection::{
    AnswerCache, ClientAuthentication, Endpoint, Introspection, IntrospectionBuilder,
    IntrospectionPolicy, Secret,
};
use gateless::scope::ScopeGuard;
use gateless::scopes;
use gateless_testkit::TestIssuer;
use http::{HeaderValue, Request, Response, StatusCode};
use reqwest::Client;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tower::{Layer as _, Service, ServiceExt as _};
use url::form_urlencoded::{Serializer, byte_serialize};

use super::{AUDIENCE, Case, Noop, Stack, answer, noop, request};

/// Longer than any of this runs.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How many are on their way at once where tokens are made known.
const AT_ONCE: usize = 64;

/// An authorization server on a thread of its own.
#[derive(Debug)]
pub struct Server {
    /// The server.
    pub issuer: TestIssuer,
    _runtime: Runtime,
}

impl Server {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// When there is no thread or no port for it.
    #[must_use]
    pub fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be had");
        let issuer = runtime.block_on(async { TestIssuer::serve().await.expect("a port is free") });
        Self {
            issuer,
            _runtime: runtime,
        }
    }

    /// Tokens of the kind that clients get for themselves, as the fields that they are sent in.
    #[must_use]
    pub fn opaque(&self, tokens: usize) -> Vec<HeaderValue> {
        let mint = |_| field(&self.token());
        (0..tokens).map(mint).collect()
    }

    /// One that says what the tokens of [`Case`] say.
    #[must_use]
    pub fn token(&self) -> String {
        self.issuer
            .opaque_token()
            .subject("248289761001")
            .client_id("orders-web")
            .audience(AUDIENCE)
            .scope("openid orders:read orders:write")
            .expires_in(3600)
            .mint()
    }
}

/// A token as it is sent.
///
/// # Panics
///
/// When it is none.
#[must_use]
pub fn field(token: &str) -> HeaderValue {
    let field: HeaderValue = format!("Bearer {token}").parse().expect("it is ASCII");
    // The first clone of a field allocates: here, and not where memory is measured.
    drop(field.clone());
    field
}

/// A layer that asks `server` about tokens, and remembers 200,000 of them for as long as this runs.
pub fn asking(server: &Server, endpoint: fn(Endpoint) -> Endpoint) -> IntrospectionBuilder {
    let issuer = &server.issuer;
    let policy = IntrospectionPolicy::new(issuer.issuer(), AUDIENCE).danger_allow_http_loopback();
    let secret = Secret::new(TestIssuer::CLIENT_SECRET);
    let cache = AnswerCache::new()
        .lifetime(DAY)
        .max_tokens(200_000)
        .max_bytes(1 << 30);
    Introspection::builder(
        policy,
        endpoint(Endpoint::url(
            issuer.introspection_url(),
            OnOutage::FailClosed,
        )),
        ClientAuthentication::basic(TestIssuer::CLIENT_ID, secret),
    )
    .answer_cache(cache)
}

/// `Introspection` and `ScopeGuard` in front of the service.
pub type Asking = Gated<Gated<Noop, ScopeGuard>, Introspection>;

/// Those who take part where every token is known already, a JWT or not.
#[derive(Debug)]
pub struct Known {
    /// JWTs, as they are sent.
    pub jwts: Vec<HeaderValue>,
    /// Opaque tokens, as they are sent.
    pub opaque: Vec<HeaderValue>,
    /// The service alone.
    pub noop: Noop,
    /// For JWTs.
    pub bearer: Stack,
    /// For opaque ones.
    pub asking: Asking,
    /// For both.
    pub hybrid: Gated<Gated<Noop, ScopeGuard>, HybridAuth>,
}

impl Known {
    /// `tokens` different ones of each kind, each of which was seen once.
    ///
    /// # Panics
    ///
    /// When one of them is refused.
    #[must_use]
    pub fn new(tokens: usize) -> Self {
        let server = Server::start();
        let runtime = client_runtime();
        let policy =
            TokenPolicy::new(server.issuer.issuer(), AUDIENCE).danger_allow_http_loopback();
        let keys = Keys::jwks_url(server.issuer.jwks_url(), OnOutage::FailClosed).lifetime(DAY);
        let cache = TokenCache::new().max_tokens(200_000).max_bytes(1 << 30);
        let bearer = BearerAuth::builder(policy, keys).token_cache(cache).build();
        let bearer = bearer.expect("the settings are sound");
        let introspection = asking(&server, |endpoint| endpoint).build();
        let introspection = introspection.expect("the settings are sound");
        let hybrid = HybridAuth::new(&bearer, &introspection).expect("they fit together");
        runtime
            .block_on(bearer.ready())
            .expect("the issuer is there");

        let noop = noop();
        let guard = ScopeGuard::all(scopes!["orders:read"]);
        let jwt = |_| field(&Case::EdDsa.mint(&server.issuer));
        let mut known = Self {
            jwts: (0..tokens).map(jwt).collect(),
            opaque: server.opaque(tokens),
            noop,
            bearer: bearer.layer(guard.layer(noop)),
            asking: introspection.layer(guard.layer(noop)),
            hybrid: hybrid.layer(guard.layer(noop)),
        };
        runtime.block_on(answers(&known.asking, &known.opaque));
        for token in &known.jwts {
            assert_eq!(answer(&mut known.bearer, request(token)), StatusCode::OK);
        }
        // Nobody has to wait any more.
        for token in known.jwts.iter().chain(&known.opaque) {
            assert_eq!(answer(&mut known.hybrid, request(token)), StatusCode::OK);
        }
        known
    }
}

fn client_runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be had")
}

/// Sends a request with each token, some at once, through a service that may have to wait.
///
/// # Panics
///
/// When one of them is refused.
pub async fn answers<S, B>(service: &S, tokens: &[HeaderValue])
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
    B: Send + 'static,
{
    let mut asked = JoinSet::new();
    for chunk in tokens.chunks(AT_ONCE) {
        for token in chunk {
            asked.spawn(service.clone().oneshot(request(token)));
        }
        while let Some(answered) = asked.join_next().await {
            let Ok(response) = answered.expect("it does not panic");
            assert_eq!(response.status(), StatusCode::OK);
        }
    }
}

/// Asks the endpoint as `Introspection` does, and makes nothing of the answer.
#[derive(Clone, Debug)]
pub struct Asker {
    client: Client,
    url: String,
    user: String,
    password: String,
}

impl Asker {
    /// One with a connection pool of its own.
    ///
    /// # Panics
    ///
    /// When no client can be had.
    #[must_use]
    pub fn of(server: &Server) -> Self {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect();
        let client = Client::builder().no_proxy().build();
        Self {
            client: client.expect("a client can be had"),
            url: server.issuer.introspection_url(),
            user: encoded(TestIssuer::CLIENT_ID),
            password: encoded(TestIssuer::CLIENT_SECRET),
        }
    }

    /// Asks about one token, and reads the whole answer.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub async fn ask(&self, token: &str) -> StatusCode {
        let mut form = Serializer::new(String::new());
        form.append_pair("token", token)
            .append_pair("token_type_hint", "access_token");
        let response = self
            .client
            .post(&self.url)
            .basic_auth(&self.user, Some(&self.password))
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.finish())
            .send()
            .await
            .expect("the server answers");
        let status = response.status();
        assert!(!response.bytes().await.expect("it is whole").is_empty());
        status
    }
}
