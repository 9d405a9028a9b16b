//! TJ-04, TM-02, TM-05: gRPC methods in a table, behind tonic and behind axum, next to routes of HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::routing::{any, get, post};
use gateless::scope::ScopeTable;
use gateless::{Access, scope};
use http::{Method, Request, Response};
use rstest::rstest;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_types::StatusExt as _;
use tower::Service;

use super::{Reached, behind, credentials, guarding, optional, over_sockets};
use crate::contract::Whoami;
use crate::sockets::{Frames, listen, serve};
use crate::support::{Protocol, Refusal, send_to};

/// [`Whoami`], and a note of each request that reaches it, whatever its path.
#[derive(Clone)]
struct Noting(Reached);

impl NamedService for Noting {
    const NAME: &'static str = Whoami::NAME;
}

impl Service<Request<tonic::body::Body>> for Noting {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = <Whoami as Service<Request<tonic::body::Body>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        self.0.note(request.uri().path());
        Whoami.call(request)
    }
}

/// `Name` is for who may read orders. `Names` is there and was forgotten.
fn table() -> ScopeTable {
    ScopeTable::builder()
        .grpc("test.Whoami/Name", scope!("orders:read"))
        .get("/orders", scope!("orders:read"))
        .post("/orders", scope!("orders:write"))
        .get("/open", Access::open("for a test"))
        .build()
        .unwrap()
}

/// Routes of HTTP, and the service of gRPC.
fn mixed(reached: &Reached) -> Router {
    let rest = Router::new()
        .route(
            "/orders",
            get(reached.at("orders")).post(reached.at("create")),
        )
        .route("/open", any(reached.at("open")))
        .route("/forgotten", post(reached.at("forgotten")));
    let grpc = Routes::new(Noting(reached.clone())).into_axum_router();
    behind(rest.merge(grpc), table())
}

/// A server of tonic alone, with the layers as tonic takes them.
async fn tonic_alone(reached: &Reached) -> SocketAddr {
    let (listener, address) = listen().await;
    let server = Server::builder()
        .layer(optional())
        .layer(guarding(table()))
        .add_service(Noting(reached.clone()))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    address
}

async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::try_from(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

/// How a call ends: with its answer, or with a code and the reason of gateless.
async fn call(
    channel: Channel,
    path: &'static str,
    scope: Option<&str>,
) -> Result<String, (tonic::Code, String)> {
    let mut client = tonic::client::Grpc::new(channel);
    let mut request = tonic::Request::new("I am".to_owned());
    if let Some(credentials) = credentials(scope) {
        let fields = request.metadata_mut();
        fields.insert("authorization", credentials.parse().unwrap());
    }
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static(path);
    let codec = tonic_prost::ProstCodec::<String, String>::default();
    let answer = client.unary(request, path, codec).await;
    answer.map(tonic::Response::into_inner).map_err(|status| {
        let details = status.get_error_details();
        let info = details.error_info().expect("refused by the table");
        assert_eq!(info.domain, "gateless");
        (status.code(), info.reason.clone())
    })
}

const SPELLINGS: [&str; 22] = [
    "/test.Whoami/name",
    "/test.Whoami/NAME",
    "/test.whoami/Name",
    "/TEST.WHOAMI/NAME",
    "/test.Whoami%2FName",
    "/test.Whoami%2fName",
    "/test%2eWhoami/Name",
    "/test.Whoami/%4eame",
    "/test.Whoami/Name/",
    "/test.Whoami/Name/extra",
    "/test.Whoami/Name%00",
    "/test.Whoami/Name;v=1",
    "/test.Whoami/../test.Whoami/Name",
    "/test.Whoami/./Name",
    "/./test.Whoami/Name",
    "//test.Whoami/Name",
    "/test.Whoami//Name",
    "/test.Whoami/",
    "/test.Whoami",
    "/Whoami/Name",
    "/Name",
    "/",
];

#[tokio::test]
async fn tj_04_no_spelling_of_a_grpc_path_gets_around_a_table() {
    let reached = Reached::default();
    for address in [serve(mixed(&reached)).await, tonic_alone(&reached).await] {
        let channel = channel(address).await;
        let answer = call(channel.clone(), "/test.Whoami/Name", Some("orders:read")).await;
        assert_eq!(answer.unwrap(), "I am user-1");
        assert_eq!(reached.take(), ["/test.Whoami/Name"]);
        // A query is no part of the name of a method, for the table as for tonic.
        let asked = call(channel.clone(), "/test.Whoami/Name?a=/b", Some("profile")).await;
        let denied = (
            tonic::Code::PermissionDenied,
            "SCOPE_INSUFFICIENT".to_owned(),
        );
        assert_eq!(asked.unwrap_err(), denied);
        for path in SPELLINGS
            .into_iter()
            .chain(["/test.Whoami/Names", "/other.Service/Name"])
        {
            for scope in [Some("orders:read"), Some("profile"), None] {
                let (code, reason) = call(channel.clone(), path, scope).await.unwrap_err();
                if scope.is_none() {
                    assert_eq!(code, tonic::Code::Unauthenticated, "{path}");
                    assert_eq!(reason, "CREDENTIALS_MISSING");
                } else {
                    assert_eq!(code, tonic::Code::Unimplemented, "{path}");
                    assert_eq!(reason, "ROUTE_UNKNOWN");
                }
            }
        }
        assert!(reached.take().is_empty());
    }
}

#[rstest]
#[case("test.Whoami/Name", false)]
#[case("test.Whoami/Names", false)]
#[case("orders", false)]
#[case("open", false)]
#[case("*", false)]
#[case("http://a/test.Whoami/Name", false)]
#[case("?/test.Whoami/Name", false)]
#[case("./test.Whoami/Name", false)]
#[case("\\test.Whoami/Name", false)]
#[case("%2ftest.Whoami/Name", false)]
#[case("/test.Whoami/Names", false)]
#[case("/test.Whoami/Name ", false)]
#[case(" /test.Whoami/Name", false)]
#[case("", false)]
#[case("/test.Whoami/Name", true)]
#[tokio::test]
async fn tj_04_a_path_that_no_client_library_would_send_reaches_no_method(
    #[case] path: &str,
    #[case] is_proper: bool,
) {
    let reached = Reached::default();
    for address in [serve(mixed(&reached)).await, tonic_alone(&reached).await] {
        for scope in [Some("orders:read"), Some("profile"), None] {
            let credentials = credentials(scope);
            let mut fields = vec![
                (":method", "POST"),
                (":scheme", "http"),
                (":path", path),
                (":authority", "a"),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
            ];
            if let Some(credentials) = &credentials {
                fields.push(("authorization", credentials));
            }
            let end = Frames::request(&fields).exchange(address).await;
            let expected: &[_] = if is_proper && scope == Some("orders:read") {
                assert_eq!(end, "answered");
                &["/test.Whoami/Name"]
            } else {
                &[]
            };
            assert_eq!(reached.take(), expected, "{path}, which was {end}");
        }
    }
}

#[tokio::test]
async fn tj_04_a_declared_method_opens_no_route_and_no_fallback_of_http() {
    let reached = Reached::default();
    // Declared, and not mounted: what is there in its place is another thing.
    let fallback = Router::new().fallback(reached.at("fallback"));
    let nested = Router::new().nest("/test.Whoami", fallback.clone());
    let wild = Router::new().route("/{service}/{method}", any(reached.at("wild")));
    let wilder = Router::new().route("/{*rest}", any(reached.at("wilder")));
    let half = Router::new().route("/test.Whoami/{method}", any(reached.at("half")));
    for app in [fallback, nested, wild, wilder, half] {
        let app = behind(app, table());
        for protocol in Protocol::ALL {
            let content_type = protocol.content_type().unwrap_or("application/json");
            let mut request = super::request(
                &Method::POST,
                "/test.Whoami/Name",
                Some("orders:read orders:write"),
            );
            let fields = request.headers_mut();
            fields.insert("content-type", content_type.parse().unwrap());
            let answer = send_to(&app, request).await;
            let rejection = answer.rejection.expect("refused by the table");
            assert!(matches!(rejection.status().as_u16(), 403 | 404));
        }
    }
    assert!(reached.take().is_empty());
    // Mounted method by method, and not by its service.
    let exact = Router::new().route("/test.Whoami/Name", post(reached.at("Name")));
    let app = behind(exact, table());
    for (scope, expected) in [
        (None, 401),
        (Some("profile"), 403),
        (Some("orders:read"), 200),
    ] {
        let status = super::status_of(&app, Method::POST, "/test.Whoami/Name", scope).await;
        assert_eq!(status, expected);
    }
    assert_eq!(reached.take(), ["Name"]);
}

#[rstest]
#[case("GET")]
#[case("PUT")]
#[case("HEAD")]
#[case("OPTIONS")]
#[tokio::test]
async fn tj_04_tj_16_a_grpc_method_is_asked_for_with_post_and_nothing_else(#[case] method: Method) {
    let reached = Reached::default();
    let address = serve(mixed(&reached)).await;
    for content_type in ["application/grpc", "application/json"] {
        for (scope, expected) in [(Some("orders:read"), 404), (None, 401)] {
            let answers = over_sockets(address, || {
                let mut request = super::request(&method, "/test.Whoami/Name", scope);
                let fields = request.headers_mut();
                fields.insert("content-type", content_type.parse().unwrap());
                request
            });
            for answer in answers.await {
                let is_grpc = content_type == "application/grpc";
                assert_eq!(answer.status, if is_grpc { 200 } else { expected });
                let code = if expected == 404 { "12" } else { "16" };
                let sent = answer.headers.get("grpc-status");
                assert_eq!(sent.is_some_and(|sent| sent == code), is_grpc);
            }
        }
    }
    assert!(reached.take().is_empty());
}

#[tokio::test]
async fn tm_02_on_one_port_the_content_type_alone_says_how_a_refusal_looks() {
    let reached = Reached::default();
    let address = serve(mixed(&reached)).await;
    // Paths of either kind, asked for in every protocol: also gRPC of a route of HTTP, and the reverse.
    for (path, scope, refusal) in [
        ("/orders", None, Refusal::none()),
        ("/test.Whoami/Name", None, Refusal::none()),
        (
            "/orders",
            Some("orders:read"),
            Refusal::scope(&["orders:write"], &["orders:write"]),
        ),
        (
            "/test.Whoami/Name",
            Some("profile"),
            Refusal::scope(&["orders:read"], &["orders:read"]),
        ),
        ("/open", Some("profile"), Refusal::no_method("GET, HEAD")),
        ("/forgotten", Some("profile"), Refusal::undeclared()),
        ("/test.Whoami/Names", Some("profile"), Refusal::no_route()),
        ("/test.Other/Name", Some("profile"), Refusal::no_route()),
        ("/nothing", Some("profile"), Refusal::no_route()),
    ] {
        for protocol in Protocol::ALL {
            let credentials = credentials(scope);
            let content_type = protocol.content_type().unwrap_or("application/json");
            let answers = over_sockets(address, || {
                let mut request = Request::post(path).header("content-type", content_type);
                if let Some(credentials) = &credentials {
                    request = request.header("authorization", credentials);
                }
                request.body(Body::empty()).unwrap()
            });
            for answer in answers.await {
                answer.reads(protocol, &refusal);
            }
        }
    }
    assert!(reached.take().is_empty());
}

/// The services that tonic has for everybody, mounted, and declared or not.
async fn with_health_and_reflection(table: ScopeTable, in_axum: bool) -> SocketAddr {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<Noting>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .unwrap();
    let reached = Reached::default();
    let routes = Routes::new(Noting(reached))
        .add_service(health)
        .add_service(reflection);
    if in_axum {
        return serve(behind(routes.into_axum_router(), table)).await;
    }
    let (listener, address) = listen().await;
    let server = Server::builder()
        .layer(optional())
        .layer(guarding(table))
        .add_routes(routes)
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    address
}

async fn health(channel: Channel) -> Result<i32, tonic::Code> {
    let request = HealthCheckRequest {
        service: Whoami::NAME.to_owned(),
    };
    let answer = HealthClient::new(channel).check(request).await;
    answer
        .map(|answer| answer.into_inner().status)
        .map_err(|status| status.code())
}

/// The names of the services, as reflection tells them.
async fn reflection(channel: Channel, scope: Option<&str>) -> Result<Vec<String>, tonic::Code> {
    let message = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message),
    };
    let mut request = tonic::Request::new(tokio_stream::iter([request]));
    if let Some(credentials) = credentials(scope) {
        let fields = request.metadata_mut();
        fields.insert("authorization", credentials.parse().unwrap());
    }
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let mut client = ServerReflectionClient::new(channel);
    let answer = client.server_reflection_info(request).await;
    let mut stream = answer.map_err(|status| status.code())?.into_inner();
    let message = stream.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = message.message_response else {
        panic!("{message:?}");
    };
    Ok(list.service.into_iter().map(|it| it.name).collect())
}

const REFLECTION: &str = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

#[rstest]
#[case::behind_tonic(false)]
#[case::behind_axum(true)]
#[tokio::test]
async fn tm_05_health_and_reflection_are_denied_unless_they_are_declared(#[case] in_axum: bool) {
    // Mounted, and not declared.
    let address = with_health_and_reflection(table(), in_axum).await;
    let client = channel(address).await;
    assert_eq!(
        health(client.clone()).await,
        Err(tonic::Code::Unauthenticated)
    );
    assert_eq!(
        reflection(client.clone(), None).await,
        Err(tonic::Code::Unauthenticated)
    );
    let denied = reflection(client, Some("orders:read")).await.unwrap_err();
    let expected = if in_axum {
        tonic::Code::PermissionDenied
    } else {
        tonic::Code::Unimplemented
    };
    assert_eq!(denied, expected);

    // Health open to the platform, reflection for developers: as declared, and no more.
    let declared = ScopeTable::builder()
        .extend(table().declarations().iter().cloned())
        .grpc(
            "grpc.health.v1.Health/Check",
            Access::open("asked by the platform"),
        )
        .grpc(REFLECTION, scope!("developer"))
        .build()
        .unwrap();
    let client = channel(with_health_and_reflection(declared, in_axum).await).await;
    let serving = ServingStatus::Serving as i32;
    assert_eq!(health(client.clone()).await, Ok(serving));
    for (scope, expected) in [
        (None, Err(tonic::Code::Unauthenticated)),
        (Some("orders:read"), Err(tonic::Code::PermissionDenied)),
    ] {
        assert_eq!(reflection(client.clone(), scope).await, expected);
    }
    let names = reflection(client.clone(), Some("developer")).await.unwrap();
    assert!(
        names.contains(&"grpc.health.v1.Health".to_owned()),
        "{names:?}"
    );
    // The other method of the service that is open in part.
    let watch = call(client, "/grpc.health.v1.Health/Watch", None).await;
    assert_eq!(watch.unwrap_err().0, tonic::Code::Unauthenticated);
}
