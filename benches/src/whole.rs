//! All six stages in front of a service that does nothing: as a stack, and one by one.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateless::audit::{AuditLog, Audited, Backpressure, SealKey};
use gateless::bearer::{BearerAuth, BearerHandle, Keys, TokenCache, TokenPolicy};
use gateless::denylist::{Denylist, Ephemeral};
use gateless::gate::Gated;
use gateless::hybrid::HybridAuth;
use gateless::introspection::IntrospectionHandle;
use gateless::limit::{FailureLimit, LimitKey, RateLimit};
use gateless::scope::{MatchedRoute, ScopeGuard};
use gateless::strip::StripIdentityHeaders;
use gateless::{OnOutage, PeerAddress, Quota, Revocation, scopes};
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::runtime::Runtime;
use tower::util::ServiceFn;
use tower::{Layer, ServiceBuilder, ServiceExt as _, service_fn};

use super::{AUDIENCE, Case, Door, Held, Nowhere, Server, answer, asking, field, flush, request};

/// A service that answers at once, with an empty body.
pub type Bodied = ServiceFn<fn(Request<()>) -> Ready<Result<Response<String>, Infallible>>>;

/// The service that answers at once, with an empty body.
#[must_use]
pub fn bodied() -> Bodied {
    service_fn(|_| ready(Ok(Response::new(String::new()))))
}

/// The stack in front of it.
pub type Stacked = <gateless::stack::Stack as Layer<Bodied>>::Service;

/// The same stages, with a service for each.
pub type OneByOne = Audited<
    Gated<
        Gated<
            Gated<Gated<Gated<Gated<Bodied, ScopeGuard>, RateLimit>, Denylist>, HybridAuth>,
            FailureLimit,
        >,
        StripIdentityHeaders,
    >,
>;

/// What kind of token callers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A JWT.
    Jwt(Case),
    /// One that says nothing by itself.
    Opaque,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jwt(case) => case.fmt(f),
            Self::Opaque => f.pad("opaque"),
        }
    }
}

/// The stages, and tokens that they know.
#[derive(Debug)]
pub struct Whole {
    /// The tokens, as they are sent.
    pub fields: Vec<HeaderValue>,
    /// The tokens themselves.
    pub tokens: Vec<String>,
    /// The service alone.
    pub noop: Bodied,
    /// All in one.
    pub stack: Stacked,
    /// Each for itself.
    pub one_by_one: OneByOne,
    /// Forgets JWTs.
    pub bearer: BearerHandle,
    /// Forgets opaque tokens.
    pub introspection: IntrospectionHandle,
    log: AuditLog,
    door: Arc<Door>,
    runtime: Runtime,
    _server: Server,
}

impl Whole {
    /// `tokens` different ones, each of which was seen once. Ten thousand others are revoked.
    ///
    /// # Panics
    ///
    /// When one of them is refused.
    #[must_use]
    pub fn new(kind: Kind, tokens: usize) -> Self {
        let server = Server::start();
        let issuer = &server.issuer;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be had");
        let cache = TokenCache::new().max_tokens(200_000).max_bytes(1 << 30);
        let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE).danger_allow_http_loopback();
        // Longer than this runs: nothing is fetched while it is timed.
        let keys = Keys::jwks_url(issuer.jwks_url(), OnOutage::FailClosed)
            .lifetime(Duration::from_secs(24 * 3600));
        let bearer = BearerAuth::builder(policy, keys)
            .token_cache(cache)
            .build()
            .expect("the settings are sound");
        let introspection = asking(&server, |endpoint| endpoint)
            .build()
            .expect("the settings are sound");
        let auth = HybridAuth::new(&bearer, &introspection).expect("they go together");
        let denylist = runtime.block_on(async {
            bearer.ready().await.expect("the issuer is there");
            let denylist = Denylist::builder(Ephemeral::new(), OnOutage::FailClosed).build();
            let denylist = denylist.expect("the settings are sound");
            denylist.handle().ready().await.expect("it is empty");
            for token in 0..10_000 {
                let revoked = Revocation::token(issuer.issuer(), &format!("revoked-{token}"));
                denylist.handle().revoke(&revoked).await.expect("it fits");
            }
            denylist
        });
        let quota = Quota::per(1, Duration::from_secs(100)).burst(3_000_000);
        let rate = RateLimit::builder(LimitKey::caller(), [quota]).build();
        let rate = rate.expect("the settings are sound");
        let failures = FailureLimit::builder(Quota::per_minute(20), auth.clone()).build();
        let failures = failures.expect("the settings are sound");
        let guard = ScopeGuard::all(scopes!["orders:read"]);
        let door = Arc::<Door>::default();
        let sink = Held {
            sink: Nowhere,
            door: Arc::clone(&door),
        };
        let log = AuditLog::builder("orders-1", sink, Backpressure::FailRequest)
            .capacity(1 << 16)
            .seal(SealKey::random())
            .build()
            .expect("the settings are sound");
        let stack = gateless::stack::Stack::builder(auth.clone())
            .audit(log.clone())
            .failures(failures.clone())
            .denylist(denylist.clone())
            .rate(rate.clone())
            .guard(guard.clone())
            .build()
            .expect("they go together");
        let one_by_one = ServiceBuilder::new()
            .layer(log.clone())
            .layer(StripIdentityHeaders::default())
            .layer(failures)
            .layer(auth)
            .layer(denylist)
            .layer(rate)
            .layer(guard)
            .service(bodied());
        let tokens: Vec<_> = (0..tokens)
            .map(|_| match kind {
                Kind::Jwt(case) => case.mint(issuer),
                Kind::Opaque => server.token(),
            })
            .collect();
        let whole = Self {
            fields: tokens.iter().map(|token| field(token)).collect(),
            tokens,
            noop: bodied(),
            stack: stack.layer(bodied()),
            one_by_one,
            bearer: bearer.handle().clone(),
            introspection: introspection.handle().clone(),
            log,
            door,
            runtime,
            _server: server,
        };
        for field in &whole.fields {
            let service = whole.stack.clone();
            let answered = whole.runtime.block_on(service.oneshot(asked(field)));
            let Ok(response) = answered;
            assert_eq!(response.status(), StatusCode::OK);
        }
        whole
    }

    /// Does `work` while the thread that writes records waits, and lets it write them then.
    pub fn undisturbed<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut service = self.stack.clone();
        let first = self.fields.first().expect("there are tokens");
        self.door
            .shut(|| assert!(answer(&mut service, asked(first)).is_success()));
        let done = work();
        self.door.open();
        flush(&self.runtime, &self.log);
        done
    }
}

/// A request with a token, and with what a server and a router leave in its extensions.
#[must_use]
pub fn asked(field: &HeaderValue) -> Request<()> {
    let mut request = request(field);
    let address: IpAddr = [192, 0, 2, 7].into();
    request.extensions_mut().insert(PeerAddress(address));
    let route = MatchedRoute::new("/orders");
    request.extensions_mut().insert(route);
    request
}
