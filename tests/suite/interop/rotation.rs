//! New keys while requests go on: no good token is refused at any time, and those of the old keys are, once they were
//! withdrawn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::{get, post};
use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
use gateless::scope::ScopeGuard;
use gateless::{OnOutage, scopes};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::layers::{empty_message, spawn};
use super::{AUDIENCE, AuthorizationServer, Caller, Outcome};
use crate::denylist::redis::common::PATIENCE;

#[tokio::test]
async fn a_real_authorization_server_rotates_its_keys_under_load() {
    let server = AuthorizationServer::start().await;
    let old = server.token(AUDIENCE, "orders:read").await;
    let rotate = async || {
        server.operate("/test/rotate").await;
        server.token(AUDIENCE, "orders:read").await
    };
    let withdraw = async || server.operate("/test/withdraw").await;
    rotates_under_load(server.issuer(), old, rotate, withdraw).await;
}

/// `rotate` returns a token of the new key.
pub(super) async fn rotates_under_load(
    issuer: &str,
    old: String,
    rotate: impl AsyncFnOnce() -> String,
    withdraw: impl AsyncFnOnce(),
) {
    let mut tasks = JoinSet::new();
    let address = spawn(orders(issuer), &mut tasks).await;
    let caller = Caller::of(&address).await;
    both(&caller, &old, "before").await;

    let done = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    let mut under_load = async |token: &str, says: &'static str| {
        for _ in 0..3 {
            let caller = Caller::of(&address).await;
            let (token, done) = (token.to_owned(), Arc::clone(&done));
            load.spawn(async move {
                while !done.load(Ordering::SeqCst) {
                    both(&caller, &token, says).await;
                }
            });
        }
    };
    under_load(&old, "the old key, under load").await;
    let new = rotate().await;
    // The first request with the new key has to be served as well as the last one.
    under_load(&new, "the new key, under load").await;
    // Time for the keys to be renewed a few times.
    let begin = Instant::now();
    while begin.elapsed() < 3 * LIFETIME {
        both(&caller, &new, "the new key").await;
        both(&caller, &old, "the old key, not withdrawn").await;
        sleep(Duration::from_millis(20)).await;
    }
    done.store(true, Ordering::SeqCst);
    while let Some(ended) = load.join_next().await {
        ended.expect("each request was served");
    }

    withdraw().await;
    let begin = Instant::now();
    while caller.get("/orders", Some(&old)).await.status != 401 {
        assert!(begin.elapsed() < PATIENCE, "a withdrawn key is still good");
        both(&caller, &new, "the new key, the old one withdrawn").await;
        sleep(Duration::from_millis(50)).await;
    }
    for token in [&new, &old] {
        let outcome = match token == &old {
            true => Outcome::BadToken,
            false => Outcome::Passes,
        };
        let answer = caller.get("/orders", Some(token)).await;
        answer.assert(outcome, "in the end");
        let answer = caller.grpc("/orders.v1.Orders/List", Some(token)).await;
        answer.assert(outcome, "in the end, gRPC");
    }
}

/// Of keys: so short that the test does not take minutes.
const LIFETIME: Duration = Duration::from_secs(2);

fn orders(issuer: &str) -> Router {
    let policy = TokenPolicy::new(issuer, AUDIENCE).danger_allow_http_loopback();
    // A fetch that takes long on a busy machine is no part of this.
    let keys = Keys::discovery(OnOutage::StaleFor(Duration::from_secs(60)));
    let keys = keys.lifetime(LIFETIME).cooldown(Duration::from_secs(1));
    let auth = BearerAuth::builder(policy, keys).build();
    Router::new()
        .route("/orders", get(async || "orders"))
        .route("/orders.v1.Orders/List", post(empty_message))
        .route_layer(ScopeGuard::all(scopes!["orders:read"]))
        .layer(auth.expect("settings that can be used"))
}

async fn both(caller: &Caller, token: &str, says: &str) {
    let answer = caller.get("/orders", Some(token)).await;
    answer.assert(Outcome::Passes, says);
    let answer = caller.grpc("/orders.v1.Orders/List", Some(token)).await;
    answer.assert(Outcome::Passes, says);
}
