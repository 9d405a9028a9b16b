//! The layers themselves, on a service as small as it gets.

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
use gateless::scope::ScopeGuard;
use gateless::{OnOutage, Principal, scopes};
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{AUDIENCE, AuthorizationServer, Caller, Outcome, Wallet, reading_needs_a_good_token};

#[tokio::test]
async fn layers_take_the_tokens_of_a_real_authorization_server_and_no_others() {
    let server = AuthorizationServer::start().await;
    let wallet = Wallet::fill(&server).await;
    let mut tasks = JoinSet::new();
    let address = serve(server.issuer(), &mut tasks).await;
    let caller = Caller::of(&address).await;

    reading_needs_a_good_token(&caller, &wallet).await;
}

#[tokio::test]
async fn every_algorithm_of_a_real_authorization_server_is_understood() {
    let server = AuthorizationServer::start().await;
    let mut tasks = JoinSet::new();
    let address = serve(server.issuer(), &mut tasks).await;
    let caller = Caller::of(&address).await;

    for (resource, algorithm) in [("", "RS256"), ("/es256", "ES256"), ("/eddsa", "EdDSA")] {
        let token = server
            .token(&format!("{AUDIENCE}{resource}"), "orders:read orders:write")
            .await;
        assert_eq!(algorithm_of(&token), algorithm);
        let answer = caller.get("/orders", Some(&token)).await;
        answer.assert(Outcome::Passes, algorithm);
        let client = server.client();
        assert_eq!(
            answer.body,
            format!(
                "{client} at {} may orders:read orders:write",
                server.issuer()
            )
        );
    }
}

async fn serve(issuer: &str, tasks: &mut JoinSet<()>) -> String {
    let policy = TokenPolicy::new(issuer, AUDIENCE)
        .audience(format!("{AUDIENCE}/es256"))
        .audience(format!("{AUDIENCE}/eddsa"))
        .danger_allow_http_loopback();
    let auth = BearerAuth::builder(policy, Keys::discovery(OnOutage::FailClosed))
        .build()
        .expect("settings that can be used");
    let read = ScopeGuard::all(scopes!["orders:read"]);
    let router = Router::new()
        .route("/orders", get(describe))
        .route("/orders.v1.Orders/List", post(empty_message))
        .route_layer(read)
        .layer(auth);
    spawn(router, tasks).await
}

/// Serves until `tasks` is dropped.
pub(super) async fn spawn(router: Router, tasks: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    tasks.spawn(async {
        axum::serve(listener, router)
            .await
            .expect("serving goes on")
    });
    address
}

/// Says who called.
async fn describe(principal: Principal) -> String {
    format!(
        "{} at {} may {}",
        principal.client_id().unwrap_or("nobody"),
        principal.issuer(),
        principal.scopes()
    )
}

/// What a gRPC method answers when all is well and there is nothing to say.
pub(super) async fn empty_message() -> Response {
    let trailers = HeaderMap::from_iter([("grpc-status".parse().expect("a name"), 0.into())]);
    let body = Full::from(&[0; 5][..]).with_trailers(async { Some(Ok(trailers)) });
    ([("content-type", "application/grpc")], Body::new(body)).into_response()
}

fn algorithm_of(token: &str) -> String {
    let header = token.split('.').next().expect("a JWT has a header");
    let header = URL_SAFE_NO_PAD.decode(header).expect("base64url");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    let algorithm = header.get("alg").and_then(Value::as_str);
    algorithm.expect("a header names its algorithm").to_owned()
}
