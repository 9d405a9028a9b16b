//! The layer on real servers, with real clients.

use std::net::SocketAddr;

use axum::Router;
use axum::ServiceExt as _;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use gateless::Peer;
use gateless_testkit::Recorder;
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::*;
use crate::contract::{Asked, good, keeps_the_contract};
use crate::sockets::{DEADLINE, listen};
use crate::support::{auth, issuer};

fn world(peer: Peer) -> World {
    World::of(Shelf::new(), Backpressure::FailRequest, |builder| {
        builder.without_folding().peer(peer)
    })
}

fn of_axum() -> Peer {
    Peer::from_extensions(|extensions| {
        let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        Some(address.ip())
    })
}

/// Asks for a path as a browser does, and reads all of the answer.
async fn browse(address: SocketAddr, path: &str, token: Option<&str>) -> u16 {
    let builder = reqwest::Client::builder().no_proxy().timeout(DEADLINE);
    let mut request = builder
        .build()
        .unwrap()
        .get(format!("http://{address}{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    answer.bytes().await.unwrap();
    status
}

/// Some fields of each request's record, when there are `count` of them.
async fn written<const N: usize>(
    world: &World,
    count: usize,
    fields: [&str; N],
) -> Vec<[Value; N]> {
    let handle = world.audit.handle();
    eventually("all have ended", || handle.status().waiting == 0).await;
    let records = world.written("request").await;
    assert_eq!(records.len(), count, "{records:#?}");
    let pick = |record: &Value| fields.map(|field| record[field].clone());
    records.iter().map(pick).collect()
}

fn orders() -> Router {
    let one = async || "an order";
    Router::new().route("/orders/{id}", get(one)).layer(auth())
}

#[tokio::test]
async fn each_request_to_an_axum_router_has_its_record() {
    let world = world(of_axum());
    let app = orders().layer(world.audit.clone());
    let (listener, address) = listen().await;
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let token = issuer().token().mint();
    assert_eq!(browse(address, "/orders/7?x=y", Some(&token)).await, 200);
    assert_eq!(browse(address, "/orders/8", None).await, 401);
    assert_eq!(browse(address, "/elsewhere", Some(&token)).await, 404);
    let fields = ["route", "status", "outcome", "peer", "end", "sent_bytes"];
    let records = written(&world, 3, fields).await;
    let (route, peer) = (Value::from("/orders/{id}"), Value::from("127.0.0.1"));
    assert_eq!(
        records[0],
        [
            route.clone(),
            200.into(),
            "allowed".into(),
            peer.clone(),
            "complete".into(),
            8.into()
        ]
    );
    assert_eq!(records[1][..3], [route, 401.into(), "denied".into()]);
    assert_eq!(records[2][..2], [Value::Null, 404.into()]);
    for record in &records {
        assert_eq!((&record[3], &record[4]), (&peer, &"complete".into()));
    }
}

#[tokio::test]
async fn each_request_to_a_service_around_a_whole_router_has_its_record() {
    let world = world(of_axum());
    let app = world.audit.layer(orders());
    // This `serve` takes services with its own body only.
    let app = service_fn(move |request: Request<Body>| {
        let response = app.clone().oneshot(request);
        async move { Ok::<_, Infallible>(response.await?.map(Body::new)) }
    });
    let (listener, address) = listen().await;
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let token = issuer().token().mint();
    assert_eq!(browse(address, "/orders/7", Some(&token)).await, 200);
    assert_eq!(browse(address, "/orders/8", None).await, 401);
    assert_eq!(browse(address, "/elsewhere", None).await, 401);
    let records = written(&world, 3, ["route", "status", "peer"]).await;
    // Out there nobody has routed the request yet; the authentication in the router tells.
    let (route, peer) = (Value::from("/orders/{id}"), Value::from("127.0.0.1"));
    assert_eq!(records[0], [route.clone(), 200.into(), peer.clone()]);
    assert_eq!(records[1], [route, 401.into(), peer.clone()]);
    assert_eq!(records[2], [Value::Null, 401.into(), peer]);
}

type Ticking = mpsc::UnboundedSender<Result<String, Status>>;

/// `test.Clock`, without generated code: `/Now` answers, `/Never` has a status of its own, and `/Ticks` is a stream, whose other end
/// a test gets.
#[derive(Clone)]
struct TheClock(mpsc::UnboundedSender<Ticking>);

impl tonic::server::NamedService for TheClock {
    const NAME: &'static str = "test.Clock";
}

impl Service<Request<tonic::body::Body>> for TheClock {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let mut grpc = tonic::server::Grpc::new(ProstCodec::<String, String>::default());
        let streams = self.0.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/test.Clock/Now" => {
                    let now = async |_| Ok(tonic::Response::new("now".to_owned()));
                    grpc.unary(service_fn(now), request).await
                }
                "/test.Clock/Never" => {
                    let never = async |_: tonic::Request<String>| {
                        Err::<tonic::Response<String>, _>(Status::not_found("never"))
                    };
                    grpc.unary(service_fn(never), request).await
                }
                "/test.Clock/Ticks" => {
                    let ticks = move |_: tonic::Request<String>| {
                        let (ticking, ticks) = mpsc::unbounded_channel();
                        streams.send(ticking).unwrap();
                        let stream = UnboundedReceiverStream::new(ticks);
                        std::future::ready(Ok(tonic::Response::new(stream)))
                    };
                    grpc.server_streaming(service_fn(ticks), request).await
                }
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

type Client = tonic::client::Grpc<tonic::transport::Channel>;

async fn clock(world: &World) -> (Client, mpsc::UnboundedReceiver<Ticking>) {
    let (streams, tickings) = mpsc::unbounded_channel();
    let (listener, address) = listen().await;
    let server = tonic::transport::Server::builder()
        .layer(world.audit.clone())
        .add_service(TheClock(streams))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    let endpoint = tonic::transport::Endpoint::try_from(format!("http://{address}"));
    let endpoint = endpoint.unwrap().timeout(DEADLINE);
    let client = tonic::client::Grpc::new(endpoint.connect().await.unwrap());
    (client, tickings)
}

fn of_tonic() -> Peer {
    Peer::from_extensions(|extensions| {
        let connection = extensions.get::<TcpConnectInfo>()?;
        Some(connection.remote_addr()?.ip())
    })
}

fn codec() -> ProstCodec<String, String> {
    ProstCodec::default()
}

#[tokio::test]
async fn each_call_to_a_tonic_server_has_its_record() {
    let world = world(of_tonic());
    let (mut client, _) = clock(&world).await;
    for (path, code) in [
        ("/test.Clock/Now", Code::Ok),
        ("/test.Clock/Never", Code::NotFound),
        ("/test.Clock/Made-up", Code::Unimplemented),
    ] {
        client.ready().await.unwrap();
        let path = PathAndQuery::from_static(path);
        let request = tonic::Request::new(String::new());
        let answer: Result<tonic::Response<String>, _> = client.unary(request, path, codec()).await;
        assert_eq!(
            answer.map_or_else(|status| status.code(), |_| Code::Ok),
            code
        );
    }
    let fields = ["grpc_method", "grpc_status", "protocol", "peer", "end"];
    let records = written(&world, 3, fields).await;
    for (record, (method, status)) in records.iter().zip([
        (Value::from("test.Clock/Now"), 0),
        (Value::from("test.Clock/Never"), 5),
        // A name that a client made up is not kept.
        (Value::Null, 12),
    ]) {
        let says = [
            method,
            status.into(),
            "grpc".into(),
            "127.0.0.1".into(),
            "complete".into(),
        ];
        assert_eq!(*record, says);
    }
}

#[tokio::test]
async fn a_stream_of_a_tonic_server_is_recorded_at_its_end() {
    let world = world(of_tonic());
    let (mut client, mut tickings) = clock(&world).await;
    // Whole, with a status of its own, and one whose client goes away.
    for (status, end) in [
        (Some(0), "complete"),
        (Some(10), "complete"),
        (None, "aborted"),
    ] {
        let before = world.written("request").await.len();
        client.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Clock/Ticks");
        let request = tonic::Request::new(String::new());
        let answer = client.server_streaming(request, path, codec()).await;
        let mut ticks: tonic::Streaming<String> = answer.unwrap().into_inner();
        let ticking = tickings.recv().await.unwrap();
        for _ in 0..2 {
            ticking.send(Ok("tick".to_owned())).unwrap();
            assert_eq!(ticks.message().await.unwrap().unwrap(), "tick");
        }
        assert_eq!(world.audit.handle().status().waiting, 1);
        assert_eq!(world.written("request").await.len(), before);
        world.clock.advance(Duration::from_secs(3));
        match status {
            Some(0) => {
                drop(ticking);
                assert_eq!(ticks.message().await.unwrap(), None);
            }
            Some(_) => {
                ticking.send(Err(Status::aborted("that was it"))).unwrap();
                assert_eq!(ticks.message().await.unwrap_err().code(), Code::Aborted);
            }
            None => {
                drop(ticks);
                tokio::time::timeout(DEADLINE, ticking.closed())
                    .await
                    .unwrap();
            }
        }
        let fields = ["grpc_status", "end", "duration_us", "sent_bytes"];
        let record = written(&world, before + 1, fields).await.pop().unwrap();
        // Each message has five bytes in front, and is a string in a field.
        let says = [
            status.map_or(Value::Null, Value::from),
            end.into(),
            3_000_000.into(),
            22.into(),
        ];
        assert_eq!(record, says);
    }
}

fn written_first() -> World {
    let shelf = Shelf::with(Durability::Written);
    World::of(shelf, Backpressure::FailRequest, |builder| builder)
}

#[tokio::test]
async fn tm_08_audit_logs_call_the_service_that_was_polled() {
    for world in [World::new(), written_first()] {
        keeps_the_contract(&world.audit, good).await;
        assert_eq!(world.written("request").await.len(), 12);
    }
}

/// A request that waits for a place goes to the service that was polled, too.
#[tokio::test]
async fn tm_08_audit_logs_that_wait_call_the_service_that_was_polled() {
    let world = World::of(Shelf::new(), Backpressure::Block(DEADLINE), |builder| {
        builder.capacity(1)
    });
    let held = world.audit.layer(Recorder::new());
    let held = held.oneshot(Asked::new(String::new())).await.unwrap();
    assert_eq!(world.audit.handle().status().waiting, 1);
    let waiting = {
        let audit = world.audit.clone();
        tokio::spawn(async move { keeps_the_contract(&audit, good).await })
    };
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    drop(held);
    waiting.await.unwrap();
    assert_eq!(world.written("request").await.len(), 13);
}
