//! Guessed tokens, as whoever runs the service sees them: what is counted and logged.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateless::Quota;
use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
use gateless::limit::{FailureLimit, PeerAddress};
use gateless_testkit::{FakeClock, Recorder, TestIssuer};
use http::Request;
use metrics_util::debugging::DebuggingRecorder;
use tower::{ServiceBuilder, ServiceExt as _};

use crate::logs;
use crate::observing::counted;
use crate::support::{AUDIENCE, bearer};

async fn ask(limit: &FailureLimit, auth: &BearerAuth, from: &str, token: &str) -> u16 {
    let service = ServiceBuilder::new()
        .layer(limit.clone())
        .layer(auth.clone())
        .service(Recorder::new());
    let from: IpAddr = from.parse().unwrap();
    let request = Request::get("/").extension(PeerAddress(from));
    let request = request.header("authorization", bearer(token));
    let response = service.oneshot(request.body(String::new()).unwrap()).await;
    response.unwrap().status().as_u16()
}

/// Three guesses a minute: some that count, some that do not, and what comes after too many.
async fn live(clock: &FakeClock) {
    let issuer = TestIssuer::builder().clock(Arc::new(clock.clone())).build();
    let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE);
    let keys = policy.read_keys(issuer.jwks().to_string().as_bytes());
    let auth = BearerAuth::builder(policy, Keys::fixed(keys.unwrap()))
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let limit = FailureLimit::builder(Quota::per_minute(3), auth.handle().clone())
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let ask = async |from, token: &str| ask(&limit, &auth, from, token).await;

    let known = issuer.token().mint();
    assert_eq!(ask("192.0.2.7", &known).await, 200);
    let expired = issuer.token().expires_in(-60).mint();
    assert_eq!(ask("192.0.2.7", &expired).await, 401);
    for guess in ["canary-1", "canary-1", "canary-2", "canary-3"] {
        assert_eq!(ask("192.0.2.7", guess).await, 401);
    }
    for _ in 0..4 {
        assert_eq!(ask("192.0.2.7", "canary-4").await, 429);
    }
    assert_eq!(ask("192.0.2.7", &known).await, 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(ask("192.0.2.7", "canary-4").await, 429);
    assert_eq!(ask("2001:db8::7", "canary-4").await, 401);
}

#[test]
fn tk_15_guesses_are_counted_and_logged_and_nobody_is_named() {
    logs::capture();
    let recorder = DebuggingRecorder::new();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(live(&FakeClock::new())));

    let counted = counted(&recorder.snapshotter());
    let of = |name: &str| counted.get(name).copied();
    let results = ["counted", "repeated", "genuine", "refused", "known"];
    let results = results.map(|it| of(&format!("gateless_failure_limit_total{{result={it}}}")));
    assert_eq!(results, [4.0, 1.0, 1.0, 5.0, 1.0].map(Some));
    assert_eq!(of("gateless_failure_limit_prefixes{}"), Some(2.0));
    // To ask whether a token is known is not to decide on it.
    assert_eq!(of("gateless_tokens_total{result=cached}"), Some(1.0));

    let logged = logs::take();
    let reached: Vec<_> = logged
        .lines()
        .filter(|line| line.contains("too many were refused from one place"))
        .collect();
    assert_eq!(reached.len(), 2, "{logged}");
    assert!(reached[0].contains("unlogged=0"), "{logged}");
    assert!(reached[1].contains("unlogged=3"), "{logged}");
    for secret in ["192.0.2.7", "2001:db8", "canary"] {
        assert!(!logged.contains(secret), "{logged}");
    }
}
