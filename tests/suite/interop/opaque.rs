//! Opaque tokens of a real authorization server, at services that ask it about them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::routing::{get, post};
use gateless::bearer::{Algorithm, BearerAuth, Keys, TokenPolicy};
use gateless::hybrid::HybridAuth;
use gateless::introspection::{
    AnswerCache, ClientAuthentication, Endpoint, Introspection, IntrospectionBuilder,
    IntrospectionPolicy, Secret,
};
use gateless::scope::ScopeGuard;
use gateless::{OnOutage, Principal, Timestamp, scopes};
use gateless_testkit::FakeClock;
use tokio::task::JoinSet;

use super::layers::{empty_message, spawn};
use super::{AUDIENCE, AuthorizationServer, Caller, OPAQUE, Outcome};

/// What they do not take tokens for.
const OTHER: &str = "https://opaque.example.com/other";

#[tokio::test]
async fn a_service_that_asks_takes_the_tokens_that_a_real_authorization_server_vouches_for() {
    let server = AuthorizationServer::start().await;
    let (good, scopeless, foreign, revoked, jwt) = tokio::join!(
        server.token(OPAQUE, "orders:read orders:write"),
        server.token(OPAQUE, "orders:unheard-of"),
        server.token(OTHER, "orders:read"),
        server.token(OPAQUE, "orders:read"),
        server.token(AUDIENCE, "orders:read"),
    );
    server.revoke(&revoked).await;
    let layer = asking(&server, policy(&server)).build().unwrap();
    let mut tasks = JoinSet::new();
    let address = spawn(orders().layer(layer), &mut tasks).await;
    let caller = Caller::of(&address).await;

    for (says, token, outcome) in [
        ("nothing", None, Outcome::NoCredentials),
        ("no token at all", Some("garbage"), Outcome::BadToken),
        ("revoked", Some(&*revoked), Outcome::BadToken),
        ("for another service", Some(&foreign), Outcome::BadToken),
        (
            "for refreshing",
            Some(server.refresh_token()),
            Outcome::BadToken,
        ),
        ("a JWT", Some(&jwt), Outcome::BadToken),
        (
            "without scope",
            Some(&scopeless),
            Outcome::Lacks("orders:read"),
        ),
        ("good", Some(&good), Outcome::Passes),
    ] {
        both(&caller, token, outcome, says).await;
    }

    let answer = caller.get("/orders", Some(&good)).await;
    assert_eq!(answer.body, introduction(&server));
}

#[tokio::test]
async fn a_refresh_token_of_a_real_authorization_server_opens_nothing_whatever_the_audience() {
    let server = AuthorizationServer::start().await;
    let good = server.token(OPAQUE, "orders:read").await;
    let policy = policy(&server).danger_accept_missing_audience();
    let layer = asking(&server, policy).build().unwrap();
    let mut tasks = JoinSet::new();
    // No scope is asked for: what is refused is the token.
    let router = Router::new().route("/orders", get(introduce));
    let address = spawn(router.layer(layer), &mut tasks).await;
    let caller = Caller::of(&address).await;

    let answer = caller.get("/orders", Some(server.refresh_token())).await;
    answer.assert(Outcome::BadToken, "a refresh token");
    let answer = caller.get("/orders", Some(&good)).await;
    answer.assert(Outcome::Passes, "an access token");
}

#[tokio::test]
async fn jwts_that_a_real_authorization_server_does_not_introspect_keep_nobody_else_out() {
    let server = AuthorizationServer::start().await;
    let (good, jwt) = tokio::join!(
        server.token(OPAQUE, "orders:read"),
        server.token(AUDIENCE, "orders:read"),
    );
    let layer = asking(&server, policy(&server)).build().unwrap();
    let handle = layer.handle().clone();
    let mut tasks = JoinSet::new();
    let address = spawn(orders().layer(layer), &mut tasks).await;
    let caller = Caller::of(&address).await;

    // More than it takes to leave an endpoint alone, and each of them another token.
    for more in 0..8 {
        let jwt = format!("{jwt}{}", "AAAA".repeat(more));
        let answer = caller.get("/orders", Some(&jwt)).await;
        answer.assert(Outcome::BadToken, "a JWT");
    }
    let status = handle.status();
    assert!(
        !status.is_paused() && status.last_failure().is_none(),
        "{status}"
    );
    both(&caller, Some(&good), Outcome::Passes, "never seen before").await;
}

#[tokio::test]
async fn a_service_takes_both_kinds_of_tokens_of_a_real_authorization_server() {
    let server = AuthorizationServer::start().await;
    let (opaque, jwt, forged) = tokio::join!(
        server.token(OPAQUE, "orders:read orders:write"),
        server.token(AUDIENCE, "orders:read orders:write"),
        async {
            let jwt = server.token(AUDIENCE, "orders:read").await;
            super::with_another_signature(&jwt)
        },
    );
    let policy_of_jwts = TokenPolicy::new(server.issuer(), AUDIENCE).danger_allow_http_loopback();
    let bearer = BearerAuth::builder(policy_of_jwts, Keys::discovery(OnOutage::FailClosed));
    let introspection = asking(&server, policy(&server)).build().unwrap();
    let auth = HybridAuth::new(&bearer.build().unwrap(), &introspection).unwrap();
    let mut tasks = JoinSet::new();
    let address = spawn(orders().layer(auth), &mut tasks).await;
    let caller = Caller::of(&address).await;

    for (says, token, outcome) in [
        ("nothing", None, Outcome::NoCredentials),
        ("no token at all", Some("garbage"), Outcome::BadToken),
        ("a forged JWT", Some(&*forged), Outcome::BadToken),
        // The server introspects no JWT: this one was checked here.
        ("a JWT", Some(&jwt), Outcome::Passes),
        ("opaque", Some(&opaque), Outcome::Passes),
        (
            "for refreshing",
            Some(server.refresh_token()),
            Outcome::BadToken,
        ),
    ] {
        both(&caller, token, outcome, says).await;
    }
    let answer = caller.get("/orders", Some(&opaque)).await;
    assert_eq!(answer.body, introduction(&server));
}

#[tokio::test]
async fn a_token_that_is_revoked_there_is_refused_here_once_its_answer_is_too_old() {
    let server = AuthorizationServer::start().await;
    let minted = server.token(OPAQUE, "orders:read").await;
    let clock = FakeClock::at(now());
    let cache = AnswerCache::new().lifetime(Duration::from_secs(30));
    let layer = asking(&server, policy(&server))
        .answer_cache(cache)
        .clock(Arc::new(clock.clone()));
    let mut tasks = JoinSet::new();
    let router = orders().layer(layer.build().unwrap());
    let caller = Caller::of(&spawn(router, &mut tasks).await).await;

    let token = Some(&*minted);
    both(&caller, token, Outcome::Passes, "good").await;
    server.revoke(&minted).await;
    both(&caller, token, Outcome::Passes, "just revoked").await;
    clock.advance(Duration::from_millis(29_999));
    both(&caller, token, Outcome::Passes, "before the lifetime ends").await;
    clock.advance(Duration::from_millis(1));
    both(&caller, token, Outcome::BadToken, "after the lifetime").await;
}

#[tokio::test]
async fn a_real_authorization_server_knows_who_asks_by_each_way_to_prove_it() {
    let server = AuthorizationServer::start().await;
    let token = server.token(OPAQUE, "orders:read").await;
    let (post, key) = (server.post_client(), server.jwt_client());
    let signing_key = Secret::new(&*key.private_key);
    let algorithm = Algorithm::ES256;
    for (way, authentication, outcome) in [
        ("client_secret_basic", basic(&server), Outcome::Passes),
        (
            "client_secret_post",
            ClientAuthentication::post(&*post.id, Secret::new(&*post.secret)),
            Outcome::Passes,
        ),
        (
            "private_key_jwt",
            ClientAuthentication::private_key_jwt(&*key.id, signing_key, algorithm)
                .key_id(&*key.key_id),
            Outcome::Passes,
        ),
        (
            "a wrong secret by client_secret_basic",
            ClientAuthentication::basic(&*server.signed_client().id, Secret::new("wrong")),
            Outcome::Unavailable,
        ),
        (
            "a wrong secret by client_secret_post",
            ClientAuthentication::post(&*post.id, Secret::new("wrong")),
            Outcome::Unavailable,
        ),
    ] {
        let endpoint = Endpoint::discovery(OnOutage::FailClosed);
        let layer = Introspection::builder(policy(&server), endpoint, authentication);
        let layer = layer.build().unwrap();
        let is_right = matches!(outcome, Outcome::Passes);
        assert_eq!(layer.handle().ready().await.is_ok(), is_right, "{way}");
        let mut tasks = JoinSet::new();
        let address = spawn(orders().layer(layer), &mut tasks).await;
        both(&Caller::of(&address).await, Some(&token), outcome, way).await;
    }
}

#[tokio::test]
async fn answers_that_a_real_authorization_server_signs_are_believed() {
    let server = AuthorizationServer::start().await;
    let (good, revoked) = tokio::join!(
        server.token(OPAQUE, "orders:read orders:write"),
        server.token(OPAQUE, "orders:read"),
    );
    server.revoke(&revoked).await;
    let url = server.introspection_url();
    let post = server.post_client();
    let by_post = || ClientAuthentication::post(&*post.id, Secret::new(&*post.secret));
    let discovered = Endpoint::discovery(OnOutage::FailClosed);
    let known = Endpoint::url(url, OnOutage::FailClosed);
    for (what, endpoint, authentication) in [
        ("ES256, discovered", discovered.clone(), basic(&server)),
        ("ES256, known", known.clone(), basic(&server)),
        ("RS256, discovered", discovered, by_post()),
        ("RS256, known", known, by_post()),
    ] {
        let keys = Keys::discovery(OnOutage::FailClosed);
        let layer = Introspection::builder(policy(&server), endpoint, authentication);
        let layer = layer.signed_answers(keys).build().unwrap();
        let mut tasks = JoinSet::new();
        let address = spawn(orders().layer(layer), &mut tasks).await;
        let caller = Caller::of(&address).await;

        both(&caller, Some(&good), Outcome::Passes, what).await;
        both(&caller, Some(&revoked), Outcome::BadToken, what).await;
        let answer = caller.get("/orders", Some(&good)).await;
        assert_eq!(answer.body, introduction(&server), "{what}");
    }
}

#[tokio::test]
async fn a_signed_answer_for_another_recipient_is_not_believed() {
    let server = AuthorizationServer::start().await;
    let good = server.token(OPAQUE, "orders:read").await;
    let layer = asking(&server, policy(&server))
        .signed_answers(Keys::discovery(OnOutage::FailClosed))
        .recipient("another-service");
    let mut tasks = JoinSet::new();
    let router = orders().layer(layer.build().unwrap());
    let caller = Caller::of(&spawn(router, &mut tasks).await).await;
    both(&caller, Some(&good), Outcome::Unavailable, "not for us").await;
}

fn policy(server: &AuthorizationServer) -> IntrospectionPolicy {
    IntrospectionPolicy::new(server.issuer(), OPAQUE).danger_allow_http_loopback()
}

fn basic(server: &AuthorizationServer) -> ClientAuthentication {
    let client = server.signed_client();
    ClientAuthentication::basic(&*client.id, Secret::new(&*client.secret))
}

fn asking(server: &AuthorizationServer, policy: IntrospectionPolicy) -> IntrospectionBuilder {
    let endpoint = Endpoint::discovery(OnOutage::FailClosed);
    Introspection::builder(policy, endpoint, basic(server))
}

/// A service as small as it gets, over HTTP and gRPC.
fn orders() -> Router {
    Router::new()
        .route("/orders", get(introduce))
        .route("/orders.v1.Orders/List", post(empty_message))
        .route_layer(ScopeGuard::all(scopes!["orders:read"]))
}

/// Says who called.
async fn introduce(principal: Principal) -> String {
    format!(
        "{:?} {} at {} may {}; subject {:?}, token id {:?}",
        principal.kind(),
        principal.client_id().unwrap_or("nobody"),
        principal.issuer(),
        principal.scopes(),
        principal.subject(),
        principal.token_id(),
    )
}

/// What it says of the client, which acts for itself.
fn introduction(server: &AuthorizationServer) -> String {
    format!(
        "Client {} at {} may orders:read orders:write; subject None, token id None",
        server.client(),
        server.issuer()
    )
}

async fn both(caller: &Caller, token: Option<&str>, outcome: Outcome, says: &str) {
    let answer = caller.get("/orders", token).await;
    answer.assert(outcome, &format!("GET /orders, {says}"));
    let answer = caller.grpc("/orders.v1.Orders/List", token).await;
    answer.assert(outcome, &format!("gRPC List, {says}"));
}

pub(super) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_secs(i64::try_from(now.as_secs()).unwrap())
}
