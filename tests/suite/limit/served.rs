//! Limits on real servers, with real clients: tonic's and axum's, which say in their own ways where a request comes from.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use gateless::Quota;
use gateless::limit::{FailureLimit, LimitKey, Peer};
use http::uri::PathAndQuery;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;

use super::*;
use crate::contract::Whoami;
use crate::sockets::listen;

/// Three requests and two guesses a minute, around one authentication.
fn layers(peer: Peer) -> (FailureLimit, BearerAuth, RateLimit) {
    let world = World::new();
    let auth = world.auth();
    let failures = FailureLimit::builder(Quota::per_minute(2), auth.handle().clone());
    let rate = world.builder(LimitKey::caller(), &[Quota::per_minute(3)]);
    (
        failures.peer(peer).build().unwrap(),
        auth,
        rate.build().unwrap(),
    )
}

/// The details that a client of gRPC goes by.
fn is_told_to_wait(status: &Status) {
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "RATE_EXCEEDED");
    assert_eq!(details.error_info().unwrap().domain, "gateless");
    let delay = details.retry_info().unwrap().retry_delay.unwrap();
    assert!((1..=40).contains(&delay.as_secs()), "{delay:?}");
}

#[tokio::test]
async fn tk_18_a_client_of_tonic_is_told_that_its_quota_is_used_up() {
    let peer = Peer::from_extensions(|extensions| {
        let connection = extensions.get::<TcpConnectInfo>()?;
        Some(connection.remote_addr()?.ip())
    });
    let (failures, auth, rate) = layers(peer);
    let (listener, address) = listen().await;
    let server = tonic::transport::Server::builder()
        .layer(failures)
        .layer(auth)
        .layer(rate)
        .add_service(Whoami)
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    let endpoint = tonic::transport::Endpoint::try_from(format!("http://{address}"));
    let mut client = tonic::client::Grpc::new(endpoint.unwrap().connect().await.unwrap());
    let mut call = async |token: &str| {
        client.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Whoami/Name");
        let mut request = tonic::Request::new("I am".to_owned());
        let credentials = bearer(token).parse().unwrap();
        request.metadata_mut().insert("authorization", credentials);
        let codec = ProstCodec::<String, String>::default();
        client.unary(request, path, codec).await.map(|_| ())
    };
    let token = token_of("user-1").mint();
    for _ in 0..3 {
        call(&token).await.unwrap();
    }
    is_told_to_wait(&call(&token).await.unwrap_err());
    for number in 0..2 {
        let refused = call(&format!("guess-{number}")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
    is_told_to_wait(&call("guess").await.unwrap_err());
    // A token that is known gets past the one limit, and to the other.
    is_told_to_wait(&call(&token).await.unwrap_err());
    let new = token_of("user-2").mint();
    is_told_to_wait(&call(&new).await.unwrap_err());
}

#[tokio::test]
async fn a_client_of_axum_is_told_the_same_in_http() {
    let peer = Peer::from_extensions(|extensions| {
        let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        Some(address.ip())
    });
    let (failures, auth, rate) = layers(peer);
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .layer(rate)
        .layer(auth)
        .layer(failures)
        .into_make_service_with_connect_info::<SocketAddr>();
    let (listener, address) = listen().await;
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |token: &str| {
        let request = client.get(format!("http://{address}/")).bearer_auth(token);
        let answer = request.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.headers().contains_key("retry-after"),
        )
    };
    let token = token_of("user-1").mint();
    for _ in 0..3 {
        assert_eq!(ask(&token).await, (200, false));
    }
    assert_eq!(ask(&token).await, (429, true));
    assert_eq!(ask("guess-1").await, (401, false));
    assert_eq!(ask("guess-2").await, (401, false));
    assert_eq!(ask("guess-3").await, (429, true));
    assert_eq!(ask(&token).await, (429, true));
}
