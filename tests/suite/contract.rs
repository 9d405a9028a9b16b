//! The tower contract, layer by layer and mounted wherever a service can stand.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::handler::Handler as _;
use axum::routing::get;
use bytes::Bytes;
use gateless::bearer::{BearerAuth, Keys, OptionalBearerAuth, TokenPolicy};
use gateless::gate::{Gate, Gated, Head, Pass, Step, Verdict};
use gateless::hybrid::HybridAuth;
use gateless::introspection::{
    ClientAuthentication, Endpoint, Introspection, IntrospectionBuilder, IntrospectionPolicy,
    Secret,
};
use gateless::scope::ScopeGuard;
use gateless::strip::StripIdentityHeaders;
use gateless::{GateBody, OnOutage, Principal, Rejection, scopes};
use gateless_testkit::{FakeClock, Fault, TestIssuer, Unforgiving};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::time::timeout;
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;
use tower::buffer::Buffer;
use tower::limit::ConcurrencyLimit;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::sockets::{DEADLINE, exchange, listen, serve, status};
use crate::support::{AUDIENCE, auth, auth_with, bearer, issuer, policy};

pub(crate) type Asked = Request<String>;

/// A request that `auth` lets through, with the scope that the guard asks for.
pub(crate) fn good() -> Asked {
    asked(issuer())
}

fn asked(issuer: &TestIssuer) -> Asked {
    Request::get("/")
        .header(
            "authorization",
            bearer(issuer.token().scope("orders:read").mint()),
        )
        .header("x-user", "admin")
        .body(String::new())
        .unwrap()
}

fn bad() -> Asked {
    let token = issuer().token().expires_in(-60).issued_in(-90).mint();
    Request::get("/")
        .header("authorization", bearer(token))
        .body(String::new())
        .unwrap()
}

fn guard() -> ScopeGuard {
    ScopeGuard::all(scopes!["orders:read"])
}

/// A layer whose keys are at an issuer: its first request waits, and so does every one with a key that is unknown.
async fn waiting() -> (TestIssuer, FakeClock, BearerAuth) {
    let clock = FakeClock::new();
    let builder = TestIssuer::builder().clock(Arc::new(clock.clone()));
    let issuer = builder.serve().await.unwrap();
    let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE).danger_allow_http_loopback();
    let auth = BearerAuth::builder(policy, Keys::discovery(OnOutage::FailClosed))
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    (issuer, clock, auth)
}

/// Every other request to the layer waits, as the tokens have a key that is new each time.
fn waiting_request(issuer: &TestIssuer, clock: &FakeClock) -> Asked {
    issuer.rotate();
    clock.advance(Duration::from_secs(31));
    asked(issuer)
}

/// Puts `layer` over services that hold it to its word, and over those that hand out clones and permits.
pub(crate) async fn keeps_the_contract<L, B>(layer: &L, mut request: impl FnMut() -> Asked)
where
    L: Layer<Unforgiving>
        + Layer<ConcurrencyLimit<Unforgiving>>
        + Layer<Buffer<Asked, Ready<Result<Response<String>, Infallible>>>>,
    <L as Layer<Unforgiving>>::Service:
        Service<Asked, Response = Response<B>, Error = Infallible> + Clone,
    <L as Layer<ConcurrencyLimit<Unforgiving>>>::Service:
        Service<Asked, Response = Response<B>, Error = Infallible> + Clone,
    <L as Layer<Buffer<Asked, Ready<Result<Response<String>, Infallible>>>>>::Service:
        Service<Asked, Response = Response<B>, Error = BoxError> + Clone,
{
    let inner = Unforgiving::new();
    drive(layer.layer(inner.clone()), &mut request).await;
    assert_eq!(inner.calls(), 4);

    // One permit: a request that kept it would starve the next.
    let inner = Unforgiving::new();
    let limited = ConcurrencyLimit::new(inner.clone(), 1);
    drive(layer.layer(limited), &mut request).await;
    assert_eq!(inner.calls(), 4);

    let inner = Unforgiving::new();
    let (buffered, worker) = Buffer::pair(inner.clone(), 1);
    let worker = tokio::spawn(worker);
    drive(layer.layer(buffered), &mut request).await;
    assert_eq!(inner.calls(), 4);
    worker.await.unwrap();
}

/// Polls `service` until it is ready for an [`Asked`].
async fn polled<S: Service<Asked>>(service: &mut S) -> Result<&mut S, S::Error> {
    timeout(DEADLINE, service.ready())
        .await
        .expect("a permit is lost")
}

async fn drive<S, B>(mut service: S, request: &mut impl FnMut() -> Asked)
where
    S: Service<Asked, Response = Response<B>> + Clone,
    S::Error: std::fmt::Debug,
{
    let four = async {
        // Polled once for each call; polled more often than needed; and a clone that was not polled.
        for polls in 1..=3 {
            for _ in 1..polls {
                service.ready().await.unwrap();
            }
            let answer = service.ready().await.unwrap().call(request()).await;
            assert_eq!(answer.unwrap().status(), 200);
        }
        // Readiness of one is not readiness of the other: the original is dropped, and with it what it reserved.
        service.ready().await.unwrap();
        let clone = service.clone();
        drop(service);
        let answer = clone.oneshot(request()).await;
        assert_eq!(answer.unwrap().status(), 200);
    };
    timeout(DEADLINE, four).await.expect("starved");
}

#[tokio::test]
async fn tm_08_bearer_auth_calls_the_service_that_was_polled() {
    keeps_the_contract(&auth(), good).await;
}

#[tokio::test]
async fn tm_08_bearer_auth_that_waits_calls_the_service_that_was_polled() {
    let (issuer, clock, auth) = waiting().await;
    keeps_the_contract(&auth, || waiting_request(&issuer, &clock)).await;
    assert_eq!(issuer.requests().jwks, 12, "every request had to wait");
}

#[tokio::test]
async fn tm_08_optional_bearer_auth_calls_the_service_that_was_polled() {
    let optional = auth_with(policy()).build_optional().unwrap();
    keeps_the_contract(&optional, good).await;
    keeps_the_contract(&optional, || Request::new(String::new())).await;
}

/// A layer whose tokens are asked about at an issuer: each request waits whose token is new.
async fn introspecting() -> (TestIssuer, IntrospectionBuilder) {
    let clock = FakeClock::new();
    let builder = TestIssuer::builder().clock(Arc::new(clock.clone()));
    let issuer = builder.serve().await.unwrap();
    let policy = IntrospectionPolicy::new(issuer.issuer(), AUDIENCE).danger_allow_http_loopback();
    let secret = Secret::new(TestIssuer::CLIENT_SECRET);
    let layer = Introspection::builder(
        policy,
        Endpoint::url(issuer.introspection_url(), OnOutage::FailClosed).timeout(DEADLINE),
        ClientAuthentication::basic(TestIssuer::CLIENT_ID, secret),
    );
    (issuer, layer.clock(Arc::new(clock)))
}

/// With a token that nobody asked about before.
fn opaque(issuer: &TestIssuer) -> Asked {
    let token = issuer.opaque_token().scope("orders:read").mint();
    let request = Request::get("/").header("authorization", bearer(token));
    request.body(String::new()).unwrap()
}

#[tokio::test]
async fn tm_08_introspection_calls_the_service_that_was_polled() {
    let (issuer, layer) = introspecting().await;
    let layer = layer.build().unwrap();
    keeps_the_contract(&layer, || opaque(&issuer)).await;
    assert_eq!(
        issuer.requests().introspection,
        12,
        "every request had to wait"
    );
    let known = opaque(&issuer);
    keeps_the_contract(&layer, || known.clone()).await;
    assert_eq!(issuer.requests().introspection, 13, "one had to wait");
}

#[tokio::test]
async fn tm_08_optional_introspection_calls_the_service_that_was_polled() {
    let (issuer, layer) = introspecting().await;
    let optional = layer.build_optional().unwrap();
    keeps_the_contract(&optional, || opaque(&issuer)).await;
    keeps_the_contract(&optional, || Request::new(String::new())).await;
}

#[tokio::test]
async fn tm_08_hybrid_auth_calls_the_service_that_was_polled() {
    let (issuer, layer) = introspecting().await;
    let hybrid = HybridAuth::new(&auth(), &layer.build().unwrap()).unwrap();
    keeps_the_contract(&hybrid, good).await;
    keeps_the_contract(&hybrid, || opaque(&issuer)).await;
    assert_eq!(issuer.requests().introspection, 12);
}

#[tokio::test]
async fn tm_10_a_request_that_is_dropped_while_its_token_is_asked_about_gives_its_permit_back() {
    let (issuer, layer) = introspecting().await;
    issuer.set_introspection_fault(Fault::Hang);
    let inner = Unforgiving::new();
    let limited = ConcurrencyLimit::new(inner.clone(), 1);
    let mut service = layer.build().unwrap().layer(limited);
    let waits = polled(&mut service).await.unwrap().call(opaque(&issuer));
    let next = ServiceExt::<Asked>::ready(&mut service);
    assert!(timeout(Duration::ZERO, next).await.is_err());
    drop(waits);
    issuer.clear_fault();
    let ready = polled(&mut service).await.unwrap();
    let answer = ready.call(opaque(&issuer)).await.unwrap();
    assert_eq!((answer.status().as_u16(), inner.calls()), (200, 1));
}

#[tokio::test]
async fn tm_08_scope_guard_calls_the_service_that_was_polled() {
    let principal = principal().await;
    keeps_the_contract(&guard(), || {
        let mut request = good();
        principal.clone().attach(request.extensions_mut());
        request
    })
    .await;
}

#[tokio::test]
async fn tm_08_strip_identity_headers_calls_the_service_that_was_polled() {
    keeps_the_contract(&StripIdentityHeaders::default(), good).await;
}

#[tokio::test]
async fn tm_08_a_whole_stack_calls_the_service_that_was_polled() {
    let (issuer, clock, auth) = waiting().await;
    let inner = Unforgiving::new();
    let stack = ServiceBuilder::new()
        .layer(StripIdentityHeaders::default())
        .layer(auth)
        .layer(guard())
        .service(ConcurrencyLimit::new(inner.clone(), 1));
    drive(stack, &mut || waiting_request(&issuer, &clock)).await;
    assert_eq!(inner.calls(), 4);
}

async fn principal() -> Principal {
    let whoami = service_fn(async |request: Asked| {
        let principal = Principal::of(request.extensions()).unwrap().clone();
        Ok::<_, Infallible>(Response::new(format!("{principal:?}"))).map(|mut response| {
            response.extensions_mut().insert(principal);
            response
        })
    });
    let answer = auth().layer(whoami).oneshot(good()).await.unwrap();
    answer.extensions().get::<Principal>().unwrap().clone()
}

#[tokio::test]
async fn tm_10_a_refused_request_gives_its_permit_back() {
    let inner = ConcurrencyLimit::new(Unforgiving::new(), 1);
    let mut service = auth().layer(inner);
    for _ in 0..3 {
        let answer = polled(&mut service)
            .await
            .unwrap()
            .call(bad())
            .await
            .unwrap();
        assert_eq!(answer.status(), 401);
        let answer = polled(&mut service)
            .await
            .unwrap()
            .call(good())
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn tm_10_a_request_that_is_dropped_while_it_waits_gives_its_permit_back() {
    let (issuer, _, auth) = waiting().await;
    issuer.set_jwks_fault(Fault::Hang);
    let inner = Unforgiving::new();
    let mut service = auth.layer(ConcurrencyLimit::new(inner.clone(), 1));
    let waits = polled(&mut service).await.unwrap().call(asked(&issuer));
    let next = ServiceExt::<Asked>::ready(&mut service);
    assert!(
        timeout(Duration::ZERO, next).await.is_err(),
        "the one permit is with the request that waits"
    );
    drop(waits);
    issuer.clear_fault();
    let ready = polled(&mut service).await.unwrap();
    let answer = ready.call(asked(&issuer)).await.unwrap();
    assert_eq!((answer.status().as_u16(), inner.calls()), (200, 1));
}

#[tokio::test]
async fn a_request_that_waits_and_is_refused_gives_its_permit_back() {
    let (issuer, _, auth) = waiting().await;
    let inner = Unforgiving::new();
    let mut service = auth.layer(ConcurrencyLimit::new(inner.clone(), 1));
    let unknown = issuer.token().header("kid", "unknown").mint();
    for (token, expected) in [(unknown, 401), (issuer.token().mint(), 200)] {
        let request = Request::get("/").header("authorization", bearer(token));
        let ready = polled(&mut service).await.unwrap();
        let answer = ready.call(request.body(String::new()).unwrap()).await;
        assert_eq!(answer.unwrap().status(), expected);
    }
    assert_eq!(inner.calls(), 1);
}

#[tokio::test]
async fn tm_09_a_service_that_panics_spoils_nothing_for_the_next_request() {
    let (issuer, _, waiting) = waiting().await;
    for (auth, issuer) in [(auth(), self::issuer()), (waiting, &issuer)] {
        let inner = service_fn(async |request: Asked| {
            assert!(request.body() != "panic", "on purpose");
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let stack = ServiceBuilder::new().layer(auth).layer(guard());
        let service = stack.service(ConcurrencyLimit::new(inner, 1));
        for _ in 0..3 {
            let request = asked(issuer).map(|_| "panic".to_owned());
            let panics = tokio::spawn(service.clone().oneshot(request));
            assert!(panics.await.unwrap_err().is_panic());
            let answer = timeout(DEADLINE, service.clone().oneshot(asked(issuer)));
            let answer = answer.await.expect("a lock is held").unwrap();
            assert_eq!(answer.status(), 200);
        }
    }
}

/// Fails where it is told to.
#[derive(Clone)]
struct Failing {
    when_polled: bool,
}

impl Service<Asked> for Failing {
    type Response = Response<String>;
    type Error = &'static str;
    type Future = Ready<Result<Response<String>, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(if self.when_polled {
            Err("not ready")
        } else {
            Ok(())
        })
    }

    fn call(&mut self, _: Asked) -> Self::Future {
        ready(Err("failed"))
    }
}

async fn hands_errors_on<L>(layer: &L, request: impl Fn() -> Asked)
where
    L: Layer<Failing>,
    L::Service: Service<Asked, Response = Response<GateBody<String>>, Error = &'static str>,
{
    for (when_polled, error) in [(true, "not ready"), (false, "failed")] {
        let service = layer.layer(Failing { when_polled });
        assert_eq!(service.oneshot(request()).await.unwrap_err(), error);
    }
}

#[tokio::test]
async fn errors_of_the_service_pass_through_every_layer() {
    let (issuer, _, waiting) = waiting().await;
    let optional: OptionalBearerAuth = auth_with(policy()).build_optional().unwrap();
    let principal = principal().await;
    hands_errors_on(&auth(), good).await;
    hands_errors_on(&waiting, || asked(&issuer)).await;
    hands_errors_on(&optional, good).await;
    hands_errors_on(&StripIdentityHeaders::default(), good).await;
    hands_errors_on(&guard(), || {
        let mut request = good();
        principal.clone().attach(request.extensions_mut());
        request
    })
    .await;
}

/// Passes everything, at once or after a wait, and has something to say in the response.
#[derive(Clone)]
struct Announces {
    waits: bool,
}

impl Gate for Announces {
    const NAME: &'static str = "announces";
    type Wait = Pin<Box<dyn Future<Output = Verdict> + Send>>;

    fn decide(&self, head: Head<'_>) -> Step<Self::Wait> {
        let method = head.method.clone();
        let verdict = move || {
            if method == http::Method::DELETE {
                return Err(Rejection::CredentialsMissing);
            }
            Ok(Pass::new()
                .strip_header(HeaderName::from_static("x-user"))
                .response_header(
                    HeaderName::from_static("x-gate"),
                    HeaderValue::from_static("a"),
                )
                .response_header(
                    HeaderName::from_static("x-gate"),
                    HeaderValue::from_static("b"),
                ))
        };
        if self.waits {
            Step::Wait(Box::pin(async move {
                tokio::task::yield_now().await;
                verdict()
            }))
        } else {
            Step::Now(verdict())
        }
    }
}

#[tokio::test]
async fn what_a_gate_says_is_added_to_the_response_and_taken_off_the_request() {
    for waits in [false, true] {
        let inner = service_fn(async |request: Asked| {
            assert!(!request.headers().contains_key("x-user"));
            let response = Response::builder().header("x-gate", "inner");
            Ok::<_, Infallible>(response.body("body".to_owned()).unwrap())
        });
        let service = Gated::new(inner, Announces { waits });
        let answer = service.clone().oneshot(good()).await.unwrap();
        let said: Vec<_> = answer.headers().get_all("x-gate").iter().collect();
        assert_eq!(said, ["inner", "a", "b"]);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "body");

        let mut refused = good();
        *refused.method_mut() = http::Method::DELETE;
        let answer = service.oneshot(refused).await.unwrap();
        assert_eq!(answer.status(), 401);
        assert!(!answer.headers().contains_key("x-gate"));
    }
}

#[tokio::test]
async fn the_body_of_the_service_arrives_frame_by_frame() {
    use http_body::{Body as _, Frame};
    let inner = service_fn(async |_: Asked| {
        let frames = [
            Ok::<_, Infallible>(Frame::data(Bytes::from("a"))),
            Ok(Frame::data(Bytes::from("b"))),
            Ok(Frame::trailers(
                [("grpc-status", "0")]
                    .map(|(name, value)| {
                        (
                            HeaderName::from_static(name),
                            HeaderValue::from_static(value),
                        )
                    })
                    .into_iter()
                    .collect(),
            )),
        ];
        let stream = tokio_stream::iter(frames);
        Ok::<_, Infallible>(Response::new(http_body_util::StreamBody::new(stream)))
    });
    let answer = auth().layer(inner).oneshot(good()).await.unwrap();
    let collected = answer.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(collected.to_bytes(), "ab");

    // A whole body keeps its length, also through a refusal.
    let whole = service_fn(async |_: Asked| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("whole"))))
    });
    let answer = auth().layer(whole).oneshot(good()).await.unwrap();
    assert_eq!(answer.body().size_hint().exact(), Some(5));
    assert!(!answer.body().is_end_stream());
    let answer = auth().layer(whole).oneshot(bad()).await.unwrap();
    let length = answer.body().size_hint().exact().unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes().len() as u64,
        length
    );
}

async fn whoami(principal: Principal) -> String {
    principal.subject().unwrap().to_owned()
}

#[tokio::test]
async fn mounted_on_every_part_of_an_axum_router() {
    let (issuer, _, waiting) = waiting().await;
    for (auth, issuer) in [(auth(), self::issuer()), (waiting, &issuer)] {
        let stack = ServiceBuilder::new()
            .layer(StripIdentityHeaders::default())
            .layer(auth.clone())
            .layer(guard());
        let app = Router::new()
            .nest(
                "/layer",
                Router::new().route("/", get(whoami)).layer(stack.clone()),
            )
            .nest(
                "/route_layer",
                Router::new()
                    .route("/", get(whoami))
                    .route_layer(stack.clone()),
            )
            .route("/method_router", get(whoami).layer(stack.clone()))
            .route(
                "/method_route_layer",
                get(whoami).route_layer(stack.clone()),
            )
            .route("/handler", get(whoami.layer(stack.clone())))
            .route("/apart", get(whoami.layer(guard())).layer(auth.clone()));
        let address = serve(app).await;
        let token = issuer.token().scope("orders:read").mint();
        for path in [
            "layer",
            "route_layer",
            "method_router",
            "method_route_layer",
            "handler",
            "apart",
        ] {
            for (credentials, expected) in [
                (format!("Authorization: Bearer {token}\r\n"), 200),
                (String::new(), 401),
            ] {
                let answer = exchange(
                    address,
                    format!(
                        "GET /{path} HTTP/1.1\r\nHost: a\r\n{credentials}Connection: close\r\n\r\n"
                    ),
                )
                .await;
                assert_eq!(status(&answer), Some(expected), "{path}: {answer}");
                assert_eq!(answer.ends_with("user-1"), expected == 200, "{answer}");
            }
        }
    }
}

#[tokio::test]
async fn mounted_on_a_bare_hyper_service() {
    let (listener, address) = listen().await;
    let service = ServiceBuilder::new()
        .layer(auth())
        .layer(guard())
        .service(service_fn(
            async |request: Request<hyper::body::Incoming>| {
                let principal = Principal::of(request.extensions()).unwrap();
                let subject = principal.subject().unwrap().to_owned();
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(subject))))
            },
        ));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(
                TokioIo::new(stream),
                TowerToHyperService::new(service.clone()),
            );
            tokio::spawn(connection);
        }
    });
    for (scope, expected, body) in [("orders:read", 200, "user-1"), ("orders", 403, "}")] {
        let token = issuer().token().scope(scope).mint();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        let answer = exchange(address, request).await;
        assert_eq!(status(&answer), Some(expected), "{answer}");
        assert!(answer.ends_with(body), "{answer}");
    }
    // A refusal is framed like any answer: the next request on the connection is served.
    let token = issuer().token().scope("orders:read").mint();
    let answer = exchange(
        address,
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n\
             GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        ),
    )
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 401") && answer.ends_with("user-1"),
        "{answer}"
    );
}

/// `test.Whoami`, without generated code: `/Name` answers with the caller's subject, `/Names` with a stream of two.
#[derive(Clone)]
pub(crate) struct Whoami;

impl tonic::server::NamedService for Whoami {
    const NAME: &'static str = "test.Whoami";
}

impl Service<Request<tonic::body::Body>> for Whoami {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let mut grpc = tonic::server::Grpc::new(ProstCodec::<String, String>::default());
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/test.Whoami/Name" => grpc.unary(service_fn(name), request).await,
                "/test.Whoami/Names" => grpc.server_streaming(service_fn(names), request).await,
                _ => tonic::Status::unimplemented("").into_http(),
            })
        })
    }
}

async fn name(request: tonic::Request<String>) -> Result<tonic::Response<String>, tonic::Status> {
    let principal = Principal::of(request.extensions())
        .map_err(|rejection| tonic::Status::internal(rejection.to_string()))?;
    let subject = principal.subject().unwrap();
    Ok(tonic::Response::new(format!(
        "{} {subject}",
        request.get_ref()
    )))
}

type Names = tokio_stream::Iter<std::vec::IntoIter<Result<String, tonic::Status>>>;

async fn names(request: tonic::Request<String>) -> Result<tonic::Response<Names>, tonic::Status> {
    let name = name(request).await?.into_inner();
    let twice = vec![Ok(name.clone()), Ok(name)];
    Ok(tonic::Response::new(tokio_stream::iter(twice)))
}

/// A tonic server with `auth` in front, and a channel to it.
pub(crate) async fn grpc(auth: BearerAuth) -> tonic::transport::Channel {
    let (listener, address) = listen().await;
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let server = tonic::transport::Server::builder()
        .layer(StripIdentityHeaders::default())
        .layer(auth)
        .layer(guard())
        .add_service(Whoami)
        .serve_with_incoming(incoming);
    tokio::spawn(server);
    let endpoint = tonic::transport::Endpoint::try_from(format!("http://{address}"));
    endpoint.unwrap().connect().await.unwrap()
}

fn call(token: Option<&str>) -> tonic::Request<String> {
    let mut request = tonic::Request::new("I am".to_owned());
    if let Some(token) = token {
        let credentials = bearer(token).parse().unwrap();
        request.metadata_mut().insert("authorization", credentials);
    }
    request
}

#[tokio::test]
async fn tm_01_mounted_on_a_tonic_server() {
    let (issuer, _, waiting) = waiting().await;
    for (auth, issuer) in [(auth(), self::issuer()), (waiting, &issuer)] {
        let mut client = tonic::client::Grpc::new(grpc(auth).await);
        let granted = issuer.token().scope("orders:read").mint();
        let mut unary = async |token: Option<String>| {
            client.ready().await.unwrap();
            let path = PathAndQuery::from_static("/test.Whoami/Name");
            let codec = ProstCodec::<String, String>::default();
            client.unary(call(token.as_deref()), path, codec).await
        };
        let answer = unary(Some(granted)).await.unwrap();
        assert_eq!(answer.into_inner(), "I am user-1");

        for (token, code, reason) in [
            (None, tonic::Code::Unauthenticated, "CREDENTIALS_MISSING"),
            (
                Some(issuer.token().expires_in(-60).issued_in(-90).mint()),
                tonic::Code::Unauthenticated,
                "TOKEN_INVALID",
            ),
            (
                Some(issuer.token().scope("orders").mint()),
                tonic::Code::PermissionDenied,
                "SCOPE_INSUFFICIENT",
            ),
        ] {
            let status = unary(token).await.unwrap_err();
            assert_eq!(status.code(), code);
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((&*info.reason, &*info.domain), (reason, "gateless"));
            if code == tonic::Code::PermissionDenied {
                assert_eq!(info.metadata["missing_scopes"], "orders:read");
            }
        }
    }
}

#[tokio::test]
async fn tm_01_a_stream_is_refused_before_its_first_message() {
    let mut client = tonic::client::Grpc::new(grpc(auth()).await);
    let mut stream = async |token: Option<String>| {
        client.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Whoami/Names");
        let codec = ProstCodec::<String, String>::default();
        client
            .server_streaming(call(token.as_deref()), path, codec)
            .await
    };
    let token = issuer().token().scope("orders:read").mint();
    let mut names = stream(Some(token)).await.unwrap().into_inner();
    for _ in 0..2 {
        assert_eq!(names.message().await.unwrap().unwrap(), "I am user-1");
    }
    assert_eq!(names.message().await.unwrap(), None);
    let status = stream(None).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
}

#[tokio::test]
async fn an_issuer_that_is_away_is_unavailable_to_a_tonic_client() {
    let (issuer, _, auth) = waiting().await;
    issuer.set_fault(Fault::Status(500));
    let mut client = tonic::client::Grpc::new(grpc(auth).await);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.Whoami/Name");
    let codec = ProstCodec::<String, String>::default();
    let token = issuer.token().mint();
    let status = client
        .unary(call(Some(&token)), path, codec)
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let delay = status.get_error_details().retry_info().unwrap().retry_delay;
    assert_eq!(delay, Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn clones_of_a_layer_share_their_keys() {
    let (issuer, _, auth) = waiting().await;
    for _ in 0..3 {
        let service = auth.clone().layer(Unforgiving::new());
        assert_eq!(service.oneshot(asked(&issuer)).await.unwrap().status(), 200);
    }
    assert_eq!(issuer.requests().jwks, 1);
}

#[test]
fn layers_and_services_are_send_sync_and_static() {
    fn is<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn is_send<T: Send + 'static>(_: &T) {}
    is(&auth());
    is(&guard());
    is(&StripIdentityHeaders::default());
    fn is_layer<T: Clone + Send + Sync + 'static>() {}
    is_layer::<Introspection>();
    is_layer::<HybridAuth>();
    is_layer::<Gated<Unforgiving, HybridAuth>>();
    let mut service = auth().layer(guard().layer(Unforgiving::new()));
    is(&service);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let ready: Poll<Result<(), Infallible>> = Service::<Asked>::poll_ready(&mut service, &mut cx);
    assert!(ready.is_ready());
    is_send(&service.call(good()));
}
