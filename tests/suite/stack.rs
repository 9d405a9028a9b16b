//! The stack: what the layers answer one by one, it answers as a whole.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use gateless::audit::Backpressure;
use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
use gateless::denylist::{Denylist, Ephemeral};
use gateless::hybrid::HybridAuth;
use gateless::introspection::{
    ClientAuthentication, Endpoint, Introspection, IntrospectionPolicy, Secret,
};
use gateless::limit::{ConcurrencyLimit, FailureLimit, LimitKey, RateLimit};
use gateless::scope::{ScopeGuard, ScopeTable};
use gateless::stack::Stack;
use gateless::strip::StripIdentityHeaders;
use gateless::{
    Access, MatchedRoute, OnOutage, PeerAddress, Principal, Quota, Rejection, Revocation, scope,
    scopes,
};
use gateless_testkit::{FakeClock, Fault, LogFault, MemoryLog, TestIssuer};
use http::{HeaderMap, Request, Response, StatusCode};
use serde_json::Value;
use tower::{Layer, ServiceBuilder, ServiceExt as _, service_fn};

use crate::audit::{Shelf, World};
use crate::contract::keeps_the_contract;
use crate::sockets::{exchange, serve, status};
use crate::support::{
    AUDIENCE, Answer, ISSUER, Protocol, Refusal, auth_with, bearer, issuer, policy, send,
};

/// One of each stage, and one stack of them. Neither has served anything.
struct Stages {
    world: World,
    failures: FailureLimit,
    auth: BearerAuth,
    denylist: Denylist,
    rate: RateLimit,
    concurrency: ConcurrencyLimit,
    guard: ScopeGuard,
}

impl Stages {
    async fn new(guard: ScopeGuard) -> Self {
        let auth = auth_with(policy()).build().unwrap();
        let clock = Arc::new(FakeClock::new());
        let denylist = Denylist::builder(Ephemeral::new(), OnOutage::FailClosed);
        let denylist = denylist.clock(clock.clone()).build().unwrap();
        denylist.handle().ready().await.unwrap();
        let failures = FailureLimit::builder(Quota::per_minute(3), auth.handle().clone());
        let rate = RateLimit::builder(LimitKey::caller(), [Quota::per_minute(5)]);
        Self {
            world: World::of(Shelf::new(), Backpressure::FailRequest, |builder| builder),
            failures: failures.clock(clock.clone()).build().unwrap(),
            auth,
            denylist,
            rate: rate.rate_limit_fields().clock(clock).build().unwrap(),
            concurrency: ConcurrencyLimit::builder(LimitKey::caller(), 2)
                .build()
                .unwrap(),
            guard,
        }
    }

    fn stack(&self) -> Stack {
        Stack::builder(self.auth.clone())
            .audit(self.world.audit.clone())
            .failures(self.failures.clone())
            .denylist(self.denylist.clone())
            .rate(self.rate.clone())
            .concurrency(self.concurrency.clone())
            .guard(self.guard.clone())
            .build()
            .unwrap()
    }
}

/// Asks one after the other, and says what was answered, without what is different each time.
async fn answers<L, B>(
    layer: &L,
    requests: &[Request<String>],
) -> Vec<(Option<&'static str>, StatusCode, HeaderMap, Vec<u8>)>
where
    L: Layer<gateless_testkit::Recorder>,
    L::Service: tower::Service<Request<String>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = bytes::Bytes>,
    B::Error: std::fmt::Debug,
{
    let mut answers = Vec::new();
    for request in requests {
        let Answer {
            status,
            mut headers,
            mut body,
            rejection,
            ..
        } = send(layer, request.clone()).await;
        // It is spread, under a key of the layer, and the field of a refusal says the same.
        headers.remove("retry-after");
        headers.remove("grpc-status-details-bin");
        if let Some(left) = headers.get_mut("ratelimit") {
            let text = left.to_str().unwrap();
            let quota = text.split(";t=").next().unwrap();
            *left = quota.parse().unwrap();
        }
        // The trailers of gRPC-Web say it in the body.
        if matches!(rejection, Some(Rejection::RateExceeded(_))) {
            body.clear();
        }
        let reason = rejection.map(|rejection| rejection.reason());
        answers.push((reason, status, headers, body.to_vec()));
    }
    answers
}

/// The records, without what is different each time.
async fn records(world: &World) -> Vec<Value> {
    let mut records = world.written("request").await;
    for record in &mut records {
        for field in [
            "boot",
            "credential",
            "hash",
            "policy_epoch",
            "prev",
            "subject",
            "token",
        ] {
            record.as_object_mut().unwrap().remove(field);
        }
    }
    records
}

/// What can happen to requests, in this order.
fn requests(protocol: Protocol) -> Vec<Request<String>> {
    let ask = |credentials: Option<String>| {
        let mut request = protocol.request().header("x-user", "admin");
        if let Some(credentials) = credentials {
            request = request.header("authorization", credentials);
        }
        let mut request = request.body(String::new()).unwrap();
        let peer = PeerAddress("192.0.2.7".parse().unwrap());
        request.extensions_mut().insert(peer);
        if protocol == Protocol::Http {
            let route = MatchedRoute::new("/orders");
            request.extensions_mut().insert(route);
        }
        request
    };
    let token = |subject: &str, scope: &str| {
        let token = issuer().token().subject(subject).scope(scope);
        Some(bearer(token.mint()))
    };
    let bad = |signature: u8| Some(bearer(issuer().token().signature([signature; 256]).mint()));
    let read = "orders:read";
    let mut requests = vec![
        ask(token("alice", read)),
        ask(None),
        ask(Some("Bearer".into())),
        ask(token("alice", "orders:write")),
        ask(token("revoked", read)),
    ];
    // More than the limit of a caller.
    requests.extend((0..5).map(|_| ask(token("alice", read))));
    // More guesses than one place has, and then somebody who is not known.
    requests.extend((1..=4).map(|signature| ask(bad(signature))));
    requests.push(ask(token("bob", read)));
    requests.push(ask(token("alice", read)));
    requests
}

#[tokio::test]
async fn a_stack_answers_and_records_what_its_layers_do_one_by_one() {
    let table = || {
        let table = ScopeTable::builder()
            .get("/orders", scope!("orders:read"))
            .grpc("shop.Orders/List", scope!("orders:read"));
        ScopeGuard::table(table.build().unwrap())
    };
    let read = || ScopeGuard::all(scopes!["orders:read"]);
    for guard in [&read as &dyn Fn() -> ScopeGuard, &table] {
        for protocol in Protocol::ALL {
            let (whole, apart) = (Stages::new(guard()).await, Stages::new(guard()).await);
            for stages in [&whole, &apart] {
                let revoked = Revocation::subject(ISSUER, "revoked");
                stages.denylist.handle().revoke(&revoked).await.unwrap();
            }
            let layers = ServiceBuilder::new()
                .layer(apart.world.audit.clone())
                .layer(StripIdentityHeaders::default())
                .layer(apart.failures.clone())
                .layer(apart.auth.clone())
                .layer(apart.denylist.clone())
                .layer(apart.rate.clone())
                .layer(apart.concurrency.clone())
                .layer(apart.guard.clone())
                .into_inner();
            let requests = requests(protocol);
            let one_by_one = answers(&layers, &requests).await;
            let as_a_whole = answers(&whole.stack(), &requests).await;
            assert_eq!(as_a_whole, one_by_one);
            // Otherwise this test would compare too little.
            let reasons: BTreeSet<_> = one_by_one.iter().map(|(reason, ..)| *reason).collect();
            assert!(reasons.len() >= 7, "{reasons:?}");
            assert_eq!(records(&whole.world).await, records(&apart.world).await);
        }
    }
}

fn good() -> Request<String> {
    let token = issuer().token().scope("orders:read").mint();
    let request = Request::get("/").header("authorization", bearer(token));
    let mut request = request.body(String::new()).unwrap();
    let peer = PeerAddress("192.0.2.7".parse().unwrap());
    request.extensions_mut().insert(peer);
    request
}

fn read() -> ScopeGuard {
    ScopeGuard::all(scopes!["orders:read"])
}

#[tokio::test]
async fn tm_08_a_stack_calls_the_service_that_was_polled() {
    let stages = Stages::new(read()).await;
    let lenient = RateLimit::builder(LimitKey::caller(), [Quota::per_minute(600)]);
    let stack = Stack::builder(stages.auth.clone())
        .audit(stages.world.audit.clone())
        .failures(stages.failures.clone())
        .denylist(stages.denylist.clone())
        .rate(lenient.build().unwrap())
        .concurrency(stages.concurrency.clone())
        .guard(read())
        .build()
        .unwrap();
    keeps_the_contract(&stack, good).await;
    let bare = Stack::builder(stages.auth.clone()).build().unwrap();
    keeps_the_contract(&bare, good).await;
}

/// A stack whose second stage waits: for the keys of an issuer, or for what it says of an opaque token.
async fn waiting() -> (TestIssuer, FakeClock, Denylist, Stack) {
    let clock = FakeClock::new();
    let builder = TestIssuer::builder().clock(Arc::new(clock.clone()));
    waiting_on(builder.serve().await.unwrap(), clock).await
}

async fn waiting_on(
    issuer: TestIssuer,
    clock: FakeClock,
) -> (TestIssuer, FakeClock, Denylist, Stack) {
    let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE).danger_allow_http_loopback();
    let auth = BearerAuth::builder(policy, Keys::discovery(OnOutage::FailClosed))
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let introspection = Introspection::builder(
        IntrospectionPolicy::new(issuer.issuer(), AUDIENCE).danger_allow_http_loopback(),
        Endpoint::url(issuer.introspection_url(), OnOutage::FailClosed),
        ClientAuthentication::basic(
            TestIssuer::CLIENT_ID,
            Secret::new(TestIssuer::CLIENT_SECRET),
        ),
    );
    let introspection = introspection.clock(Arc::new(clock.clone()));
    let hybrid = HybridAuth::new(&auth, &introspection.build().unwrap()).unwrap();
    let denylist = Denylist::builder(Ephemeral::new(), OnOutage::FailClosed);
    let denylist = denylist.clock(Arc::new(clock.clone())).build().unwrap();
    denylist.handle().ready().await.unwrap();
    let stack = Stack::builder(hybrid)
        .denylist(denylist.clone())
        .guard(read())
        .build()
        .unwrap();
    (issuer, clock, denylist, stack)
}

#[tokio::test]
async fn a_request_that_waited_goes_on_through_the_stages_behind() {
    let (issuer, clock, denylist, stack) = waiting().await;
    let revoked = Revocation::subject(issuer.issuer(), "revoked");
    for protocol in Protocol::ALL {
        let ask = async |token: String| {
            let request = protocol.request().header("authorization", bearer(&token));
            send(&stack, request.body(String::new()).unwrap()).await
        };
        for opaque in [false, true] {
            let token = |subject: &str, scope: &str| {
                if opaque {
                    return issuer.opaque_token().subject(subject).scope(scope).mint();
                }
                // A key that nobody has seen: the request has to wait for it.
                issuer.rotate();
                clock.advance(Duration::from_secs(31));
                issuer.token().subject(subject).scope(scope).mint()
            };
            ask(token("alice", "orders:read")).await.passed();
            let refusal = Refusal::scope(&["orders:read"], &["orders:read"]);
            let answer = ask(token("alice", "orders:write")).await;
            answer.refused(protocol, &refusal);
            let token = token("revoked", "orders:read");
            denylist.handle().revoke(&revoked).await.unwrap();
            let answer = ask(token).await;
            answer.refused(protocol, &Refusal::tok(gateless::TokenFault::Revoked));
        }
    }
    assert!(issuer.requests().jwks > 4 && issuer.requests().introspection > 4);
}

#[tokio::test]
async fn tm_08_a_stack_that_waits_calls_the_service_that_was_polled() {
    let (issuer, _, _, stack) = waiting().await;
    let request = || {
        let token = issuer.opaque_token().scope("orders:read").mint();
        let request = Request::get("/").header("authorization", bearer(token));
        request.body(String::new()).unwrap()
    };
    keeps_the_contract(&stack, request).await;
    assert_eq!(issuer.requests().introspection, 12, "every request waits");
}

#[tokio::test]
async fn both_who_go_along_with_a_request_see_it_end() {
    let stages = Stages::new(read()).await;
    let stack = stages.stack();
    // Two under way are too many for a third, and no longer when they have ended.
    let body = service_fn(async |_: Request<String>| {
        Ok::<_, Infallible>(Response::new("body".to_owned()))
    });
    let service = stack.layer(body);
    let [first, second] = [(), ()].map(|()| service.clone().oneshot(good()));
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(service.clone().oneshot(good()).await.unwrap().status(), 429);
    drop((first, second));
    assert_eq!(service.oneshot(good()).await.unwrap().status(), 200);

    // Whoever counts guesses has seen that there was none: what nobody remembers counts as one when nobody answers it.
    let auth = auth_with(policy()).without_token_cache().build().unwrap();
    let failures = FailureLimit::builder(Quota::per_minute(3), auth.handle().clone());
    let stack = Stack::builder(auth)
        .failures(failures.build().unwrap())
        .concurrency(stages.concurrency.clone())
        .build()
        .unwrap();
    for _ in 0..6 {
        let answer = stack.layer(body).oneshot(good()).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn a_stack_is_ready_when_its_stages_are() {
    let (issuer, clock, _, stack) = waiting().await;
    stack.ready().await.unwrap();
    assert!(stack.bearer().is_some() && stack.introspection().is_some());
    assert!(stack.denylist().is_some() && stack.audit().is_none());

    // Everything that is not ready is named at once.
    issuer.set_fault(Fault::Status(500));
    let (_, _, _, stack) = waiting_on(issuer, clock).await;
    let not_ready = stack.ready().await.unwrap_err();
    assert!(not_ready.keys.is_some() && not_ready.introspection.is_some());
    assert!(not_ready.denylist.is_none());
    let says = not_ready.to_string();
    assert!(
        says.contains("keys") && says.contains("introspected"),
        "{says}"
    );
}

#[tokio::test(start_paused = true)]
async fn another_outage_policy_is_for_the_denylist_alone() {
    let stages = Stages::new(read()).await;
    let clock = FakeClock::new();
    let log = MemoryLog::new(Arc::new(clock.clone()));
    let denylist = Denylist::builder(log.clone(), OnOutage::FailClosed);
    let denylist = denylist.clock(Arc::new(clock.clone())).build().unwrap();
    denylist.handle().ready().await.unwrap();
    let stack = Stack::builder(stages.auth.clone());
    let stack = stack.denylist(denylist).guard(read()).build().unwrap();
    log.set_fault(LogFault::Fail);
    clock.advance(Duration::from_secs(60));
    assert_eq!(send(&stack, good()).await.status, 503);
    let tolerant = stack.denylist_on_outage(OnOutage::StaleFor(Duration::from_secs(3600)));
    send(&tolerant, good()).await.passed();
    assert_eq!(send(&stack, good()).await.status, 503);
}

#[tokio::test]
async fn mounted_on_a_router() {
    let stages = Stages::new(read()).await;
    let optional = auth_with(policy()).build_optional().unwrap();
    let table = ScopeTable::builder()
        .get("/healthz", Access::open("the platform asks"))
        .get("/orders", scope!("orders:read"));
    let stack = Stack::builder(optional)
        .audit(stages.world.audit.clone())
        .denylist(stages.denylist.clone())
        .guard(ScopeGuard::table(table.build().unwrap()))
        .build()
        .unwrap();
    let whoami = async |caller: Principal| caller.subject().unwrap().to_owned();
    let app = Router::new()
        .route("/healthz", get(async || "fine"))
        .route("/orders", get(whoami))
        .layer(stack);
    let address = serve(app).await;
    let token = issuer()
        .token()
        .scope("orders:read")
        .subject("alice")
        .mint();
    let good = format!("Authorization: Bearer {token}\r\n");
    for (path, credentials, expected) in [
        ("/healthz", "", 200),
        ("/orders", &good, 200),
        ("/orders", "", 401),
        ("/nowhere", &good, 404),
        ("/nowhere", "", 401),
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{credentials}\r\n");
        assert_eq!(
            status(&exchange(address, request).await),
            Some(expected),
            "{path}"
        );
    }
    assert_eq!(stages.world.written("request").await.len(), 5);
}
