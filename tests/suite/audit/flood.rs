//! Floods of refusals, and what operators hear about.

use gateless::audit::{Detection, SignalKind};
use gateless::denylist::Denylist;
use gateless::{OnOutage, PeerAddress, Revocation};
use gateless_testkit::{MemoryLog, Recorder};
use tower::ServiceBuilder;

use super::*;
use crate::support::{Protocol, auth, auth_with, bearer, issuer, policy};

fn guess(token: &str, peer: &str) -> Request<String> {
    let mut request = Protocol::Http
        .request()
        .header("authorization", bearer(token))
        .body(String::new())
        .unwrap();
    request
        .extensions_mut()
        .insert(PeerAddress(peer.parse().unwrap()));
    request
}

#[tokio::test]
async fn tl_10_a_flood_of_refusals_is_counted_and_the_first_is_written() {
    let world = World::of(Shelf::new(), Backpressure::FailRequest, |builder| {
        builder.detection(Detection::off())
    });
    let layer = ServiceBuilder::new().layer(&world.audit).layer(auth());
    let service = layer.service(Recorder::new());
    let token = issuer().token().mint();
    for n in 0..5_000 {
        drop(
            service
                .clone()
                .oneshot(guess("made-up", "192.0.2.7"))
                .await
                .unwrap(),
        );
        if n % 1_000 == 0 {
            drop(
                service
                    .clone()
                    .oneshot(guess(&token, "192.0.2.7"))
                    .await
                    .unwrap(),
            );
            world.audit.handle().flush().await.unwrap();
        }
    }
    let records = world.written("request").await;
    let refused: Vec<_> = records
        .iter()
        .filter(|record| record["outcome"] == "denied")
        .collect();
    assert_eq!(refused.len(), 1, "the first");
    assert_eq!(records.len() - 1, 5, "and all that was allowed");
    let repeated = world.written("repeated").await;
    let count: u64 = repeated
        .iter()
        .map(|record| record["count"].as_u64().unwrap())
        .sum();
    assert_eq!(count, 4_999);
    assert!(
        repeated
            .iter()
            .all(|record| record["of"] == refused[0]["seq"])
    );
    assert!(world.shelf.lines().len() < 30);
}

/// Also where a response waits for its record: the first is there, and the rest are counted.
#[tokio::test]
async fn tl_10_a_flood_does_not_fill_the_disk_where_responses_wait() {
    let shelf = Shelf::with(Durability::Written);
    let world = World::of(shelf.clone(), Backpressure::FailRequest, |builder| builder);
    let layer = ServiceBuilder::new().layer(&world.audit).layer(auth());
    let service = layer.service(Recorder::new());
    for _ in 0..1_000 {
        let refused = service.clone().oneshot(guess("made-up", "192.0.2.7"));
        drop(refused.await.unwrap());
        assert_eq!(shelf.of_kind("request").len(), 1);
    }
    assert!(shelf.lines().len() < 20, "{}", shelf.lines().len());
    let repeated = world.written("repeated").await;
    let count: u64 = repeated
        .iter()
        .map(|record| record["count"].as_u64().unwrap())
        .sum();
    assert_eq!(count, 999);
}

#[tokio::test]
async fn operators_hear_of_guesses_and_of_revoked_tokens() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    let world = World::of(Shelf::new(), Backpressure::FailRequest, |builder| {
        builder
            .detection(Detection::new().validation_failures(5, Duration::from_secs(60)))
            .on_signal(move |signal| listener.lock().unwrap().push(signal.signal))
    });
    let clock = Arc::new(world.clock.clone());
    let denylist = Denylist::builder(MemoryLog::new(clock.clone()), OnOutage::FailClosed)
        .clock(clock)
        .build()
        .unwrap();
    denylist.handle().ready().await.unwrap();
    let auth = auth_with(policy()).build().unwrap();
    let layer = ServiceBuilder::new()
        .layer(&world.audit)
        .layer(auth)
        .layer(denylist.clone());
    let service = layer.service(Recorder::new());
    for _ in 0..6 {
        drop(
            service
                .clone()
                .oneshot(guess("made-up", "192.0.2.7"))
                .await
                .unwrap(),
        );
    }
    let token = issuer().token().subject("alice").token_id("stolen").mint();
    let stolen = Revocation::token(crate::support::ISSUER, "stolen");
    denylist.handle().revoke(&stolen).await.unwrap();
    let response = service
        .clone()
        .oneshot(guess(&token, "192.0.2.8"))
        .await
        .unwrap();
    assert_eq!(response.status(), 401);
    drop(response);
    let signals = world.written("signal").await;
    assert_eq!(
        *heard.lock().unwrap(),
        [SignalKind::ValidationFailures, SignalKind::RevokedToken]
    );
    assert_eq!(
        (&signals[0]["signal"], &signals[0]["count"]),
        (&"validation_failures".into(), &5.into())
    );
    assert_eq!(signals[0]["peer"], "192.0.2.7");
    let record = world.written("request").await.pop().unwrap();
    assert_eq!(
        (&record["stage"], &record["reason"]),
        (&"denylist".into(), &"revoked".into())
    );
    assert_eq!(
        (&signals[1]["signal"], &signals[1]["token"]),
        (&"revoked_token".into(), &record["token"])
    );
    assert!(record["token"].is_string());
}
