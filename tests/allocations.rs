//! How much memory a request costs, counted exactly: allocations between a call and its answer.
//!
//! Upper bounds, measured and written down. A smaller number is good news and a new bound; a larger one is a
//! regression to explain. What the service behind the layers allocates is none of their business: it allocates nothing.
// clippy.toml allows this in tests, but takes the helper functions of a test file for something else.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
use gateless::gate::Gated;
use gateless::hybrid::HybridAuth;
use gateless::introspection::{
    ClientAuthentication, Endpoint, Introspection, IntrospectionPolicy, Secret,
};
use gateless::limit::{FailureLimit, LimitKey, PeerAddress, RateLimit};
use gateless::scope::{MatchedRoute, ScopeGuard, ScopeTable};
use gateless::strip::StripIdentityHeaders;
use gateless::{OnOutage, Principal, Quota, Requirement, scope, scopes};
use gateless_testkit::{FakeClock, SigningAlgorithm, TestIssuer, TokenBuilder};
use http::{Request, Response};
use tokio::runtime::Runtime;
use tower::{Layer, Service, ServiceBuilder, ServiceExt as _};

/// Answers, and hands out who asked.
#[derive(Clone)]
struct NoOp;

impl Service<Request<()>> for NoOp {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let mut response = Response::new(());
        *response.extensions_mut() = request.into_parts().0.extensions;
        ready(Ok(response))
    }
}

/// The answer to `request`, and the allocations that it took. The request is made before, and dropped after.
fn count<S, B>(mut service: S, request: Request<()>) -> (Response<B>, u64)
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let mut answer = None;
    let counted = allocation_counter::measure(|| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let future = pin!(service.call(request));
        let Poll::Ready(answered) = future.poll(&mut cx) else {
            panic!("nothing here has to wait");
        };
        answer = Some(answered);
    });
    (answer.unwrap().unwrap(), counted.count_total)
}

struct Pipeline {
    issuer: TestIssuer,
    auth: BearerAuth,
}

fn pipeline() -> Pipeline {
    let clock = Arc::new(FakeClock::new());
    let issuer = TestIssuer::builder().clock(clock.clone()).build();
    let policy = TokenPolicy::new(issuer.issuer(), "https://api.example.com");
    let keys = policy.read_keys(issuer.jwks().to_string().as_bytes());
    let auth = BearerAuth::builder(policy, Keys::fixed(keys.unwrap()))
        .clock(clock)
        .build()
        .unwrap();
    Pipeline { issuer, auth }
}

impl Pipeline {
    fn token(&self) -> TokenBuilder {
        self.issuer
            .token()
            .algorithm(SigningAlgorithm::Es256)
            .scope("orders:read orders:write")
    }

    fn request(token: &str) -> Request<()> {
        Request::get("/orders")
            .header("authorization", format!("Bearer {token}"))
            .body(())
            .unwrap()
    }

    fn stack(
        &self,
        guard: ScopeGuard,
    ) -> impl Layer<
        NoOp,
        Service: Service<
            Request<()>,
            Response = Response<gateless::GateBody<gateless::GateBody<()>>>,
            Error = Infallible,
        >,
    > {
        ServiceBuilder::new()
            .layer(self.auth.clone())
            .layer(guard)
            .into_inner()
    }
}

fn guard() -> ScopeGuard {
    ScopeGuard::new(Requirement::all([
        Requirement::from(scope!("orders:read")),
        Requirement::any(scopes!["orders:admin", "orders:write"]),
    ]))
}

#[test]
fn the_no_op_service_allocates_nothing() {
    let request = Request::get("/").body(()).unwrap();
    assert_eq!(count(NoOp, request).1, 0);
}

#[test]
fn a_rate_limit_passes_a_known_caller_without_an_allocation_and_a_failure_limit_with_two() {
    let pipeline = pipeline();
    let token = pipeline.token().mint();
    let (answer, _) = count(pipeline.auth.layer(NoOp), Pipeline::request(&token));
    let principal = answer.extensions().get::<Principal>().unwrap().clone();
    let quotas = [Quota::per_second(100), Quota::per_day(100_000)];
    let rate = RateLimit::builder(LimitKey::caller(), quotas)
        .build()
        .unwrap();
    let mut allocated = Vec::new();
    for _ in 0..3 {
        let mut request = Request::get("/orders").body(()).unwrap();
        principal.clone().attach(request.extensions_mut());
        let (answer, allocations) = count(rate.layer(NoOp), request);
        assert_eq!(answer.status(), 200);
        allocated.push(allocations);
    }
    // The caller's place in the table, once.
    assert_eq!(allocated[1..], [0, 0]);

    let failures = FailureLimit::builder(Quota::per_minute(20), pipeline.auth.handle().clone());
    let failures = failures.build().unwrap();
    for _ in 0..3 {
        let mut request = Pipeline::request(&token);
        let address: std::net::IpAddr = "192.0.2.7".parse().unwrap();
        request.extensions_mut().insert(PeerAddress(address));
        let (answer, allocations) = count(failures.layer(NoOp), request);
        assert_eq!(answer.status(), 200);
        // What goes along with the request, and the share in its credentials.
        assert!(allocations <= 2, "{allocations}");
    }
}

#[test]
fn a_scope_guard_passes_a_request_without_an_allocation() {
    let pipeline = pipeline();
    let request = Pipeline::request(&pipeline.token().mint());
    let (answer, _) = count(pipeline.auth.layer(NoOp), request);
    let principal = answer.extensions().get::<Principal>().unwrap().clone();

    let mut request = Request::get("/orders").body(()).unwrap();
    principal.attach(request.extensions_mut());
    let (answer, allocations) = count(guard().layer(NoOp), request);
    assert_eq!((answer.status().as_u16(), allocations), (200, 0));
}

#[test]
fn a_route_is_looked_up_without_an_allocation() {
    let pipeline = pipeline();
    let token = Pipeline::request(&pipeline.token().mint());
    let (answer, _) = count(pipeline.auth.layer(NoOp), token);
    let principal = answer.extensions().get::<Principal>().unwrap().clone();

    let rows = (0..1000).fold(ScopeTable::builder(), |table, index| {
        let read = scope!("orders:read");
        let path = format!("/tenants/{{tenant}}/orders-{index}/{{id}}");
        table
            .get(&path, read.clone())
            .grpc(&format!("shop.v1.Orders/Get{index}"), read)
    });
    let table = ScopeGuard::table(rows.build().unwrap());
    let routes = [
        (
            "GET",
            "/tenants/{name}/orders-999/{order}",
            "/tenants/a/orders-999/1",
        ),
        (
            "HEAD",
            "/tenants/{tenant}/orders-0/{id}",
            "/tenants/a/orders-0/1",
        ),
        ("POST", "/shop.v1.Orders/{*rest}", "/shop.v1.Orders/Get500"),
    ];
    for (method, route, path) in routes {
        let request = Request::builder().method(method).uri(path);
        let mut request = request.body(()).unwrap();
        principal.clone().attach(request.extensions_mut());
        request.extensions_mut().insert(MatchedRoute::new(route));
        let (answer, allocations) = count(table.layer(NoOp), request);
        assert_eq!((answer.status().as_u16(), allocations), (200, 0), "{route}");
    }
}

#[test]
fn stripping_identity_fields_costs_nothing_when_there_are_none() {
    let request = Pipeline::request("a");
    let (answer, allocations) = count(StripIdentityHeaders::default().layer(NoOp), request);
    assert_eq!((answer.status().as_u16(), allocations), (200, 0));
}

/// The first request with a token; nothing is cached yet. Three segments, the strings of header and claims, the
/// scopes, the principal and its place in the extensions, and the token's place among those remembered. What aws-lc allocates in C is not counted.
#[test]
fn a_cold_token_passes_with_few_allocations() {
    let pipeline = pipeline();
    let mut over = Vec::new();
    for (algorithm, bound) in [
        (SigningAlgorithm::Rs256, 19),
        (SigningAlgorithm::Es256, 19),
        (SigningAlgorithm::EdDsa, 19),
    ] {
        let request = Pipeline::request(&pipeline.token().algorithm(algorithm).mint());
        let (answer, allocations) = count(pipeline.stack(guard()).layer(NoOp), request);
        assert_eq!(answer.status(), 200);
        if allocations > bound {
            over.push((algorithm, allocations, bound));
        }
    }
    assert!(over.is_empty(), "{over:?}");
}

/// A token that was verified before: all that is allocated is the place of the principal in the extensions.
#[test]
fn a_hot_token_passes_with_no_allocation_but_that_of_its_principal() {
    let pipeline = pipeline();
    let token = pipeline.token().mint();
    let (answer, _) = count(
        pipeline.stack(guard()).layer(NoOp),
        Pipeline::request(&token),
    );
    let principal = answer.extensions().get::<Principal>().unwrap().clone();
    let mut request = Pipeline::request(&token);
    let attached = allocation_counter::measure(|| principal.attach(request.extensions_mut()));

    let (answer, allocations) = count(
        pipeline.stack(guard()).layer(NoOp),
        Pipeline::request(&token),
    );
    assert_eq!(answer.status(), 200);
    assert_eq!(allocations, attached.count_total);
}

/// What a token that was seen once allocates, and what the place of its principal in the extensions does.
fn count_known<L>(runtime: &Runtime, layer: &L, token: &str) -> (u64, u64)
where
    L: Layer<Gated<NoOp, ScopeGuard>>,
    L::Service: Service<
            Request<()>,
            Response = Response<gateless::GateBody<gateless::GateBody<()>>>,
            Error = Infallible,
        > + Clone,
{
    let service = layer.layer(guard().layer(NoOp));
    let first = service.clone().oneshot(Pipeline::request(token));
    let first = runtime.block_on(first).unwrap();
    let principal = first.extensions().get::<Principal>().unwrap().clone();
    let mut request = Pipeline::request(token);
    let attached = allocation_counter::measure(|| principal.attach(request.extensions_mut()));

    let (answer, allocations) = count(service, Pipeline::request(token));
    assert_eq!(answer.status(), 200);
    (allocations, attached.count_total)
}

/// Asking about a token once is enough to judge it anew with each request, for no more than a JWT takes. Finding out
/// which kind a token is allocates nothing either.
#[test]
fn a_known_token_of_either_kind_passes_with_no_allocation_but_that_of_its_principal() {
    let runtime = Runtime::new().unwrap();
    let clock = Arc::new(FakeClock::new());
    let issuer = TestIssuer::builder().clock(clock.clone()).serve();
    let issuer = runtime.block_on(issuer).unwrap();
    let audience = "https://api.example.com";
    let policy = TokenPolicy::new(issuer.issuer(), audience).danger_allow_http_loopback();
    let keys = policy.read_keys(issuer.jwks().to_string().as_bytes());
    let bearer = BearerAuth::builder(policy, Keys::fixed(keys.unwrap())).clock(clock.clone());
    let bearer = bearer.build().unwrap();
    let introspection = Introspection::builder(
        IntrospectionPolicy::new(issuer.issuer(), audience).danger_allow_http_loopback(),
        Endpoint::url(issuer.introspection_url(), OnOutage::FailClosed),
        ClientAuthentication::basic(
            TestIssuer::CLIENT_ID,
            Secret::new(TestIssuer::CLIENT_SECRET),
        ),
    );
    let introspection = introspection.clock(clock).build().unwrap();
    let hybrid = HybridAuth::new(&bearer, &introspection).unwrap();

    let scopes = "orders:read orders:write";
    let jwt = issuer.token().scope(scopes).mint();
    let opaque = issuer.opaque_token().scope(scopes).mint();
    for (what, (allocations, attached)) in [
        ("JWT", count_known(&runtime, &bearer, &jwt)),
        ("opaque", count_known(&runtime, &introspection, &opaque)),
        ("JWT of two kinds", count_known(&runtime, &hybrid, &jwt)),
        (
            "opaque of two kinds",
            count_known(&runtime, &hybrid, &opaque),
        ),
    ] {
        assert!(attached > 0);
        assert_eq!(allocations, attached, "{what}");
    }
    assert_eq!(issuer.requests().introspection, 1);
}

/// What an attacker can have for the price of a request. One of them is for the labels of the
/// counter, two for what is remembered.
#[test]
fn a_refusal_costs_few_allocations() {
    let pipeline = pipeline();
    let token = pipeline.token();
    let cases = [
        ("no token", Request::get("/").body(()).unwrap(), 401, 10),
        ("bad characters", Pipeline::request("a,b"), 400, 16),
        ("dots", Pipeline::request(&".".repeat(8000)), 401, 15),
        ("not base64", Pipeline::request("~.~.~"), 401, 15),
        ("no JSON", Pipeline::request("AAAA.AAAA.AAAA"), 401, 19),
        (
            "a kid",
            Pipeline::request(&token.clone().header("kid", "x").mint()),
            401,
            30,
        ),
        (
            "a signature",
            Pipeline::request(&token.clone().signature([1; 64]).mint()),
            401,
            30,
        ),
        (
            "expired",
            Pipeline::request(&token.clone().issued_in(-99).expires_in(-60).mint()),
            401,
            31,
        ),
        (
            "no scope",
            Pipeline::request(&token.scope("profile").mint()),
            403,
            50,
        ),
    ];
    // Once, so that nothing that is made for the process is counted.
    let first = Request::get("/").body(()).unwrap();
    count(pipeline.stack(guard()).layer(NoOp), first);
    let mut over = Vec::new();
    for (name, request, status, bound) in cases {
        let (answer, allocations) = count(pipeline.stack(guard()).layer(NoOp), request);
        assert_eq!(answer.status(), status, "{name}");
        if allocations > bound {
            over.push((name, allocations, bound));
        }
    }
    assert!(over.is_empty(), "{over:?}");
}
