//! What is counted of limits, for whoever runs the service.

use gateless::Quota;
use gateless::limit::{LimitKey, LimitOutage, SharedLimits};
use gateless_testkit::{MemoryQuotas, QuotaFault};
use metrics_util::debugging::DebuggingRecorder;
use serde_json::json;

use super::*;
use crate::observing::counted;

async fn live() {
    let world = World::new();
    let quota = [Quota::per_minute(2)];
    let limit = world.builder(LimitKey::caller(), &quota).named("orders");
    let limit = limit.unlimited_tier("internal").tier_claim("plan");
    let instance = world.instance_of(limit);
    instance.admits(5, &token_of("user-1").mint()).await;
    let internal = token_of("user-2").claim("plan", json!("internal"));
    instance.admits(4, &internal.mint()).await;

    let shadow = world
        .builder(LimitKey::caller(), &quota)
        .named("trial")
        .shadow();
    world
        .instance_of(shadow)
        .admits(5, &token_of("user-1").mint())
        .await;

    for (name, on_outage) in [
        ("closed", LimitOutage::FailClosed),
        ("share", LimitOutage::LocalShare { instances: 1 }),
        ("open", LimitOutage::DangerOpen),
    ] {
        let store = MemoryQuotas::new(Arc::new(world.clock.clone()));
        let shared = SharedLimits::exact(store.clone(), on_outage);
        let limit = world.builder(LimitKey::caller(), &quota).named(name);
        let instance = world.instance_of(limit.shared(shared));
        let token = token_of("user-1").mint();
        instance.send(Protocol::Http, &token).await;
        store.set_fault(QuotaFault::Fail);
        for _ in 0..3 {
            instance.send(Protocol::Http, &token).await;
        }
    }
}

#[test]
fn what_becomes_of_requests_is_counted_by_limit() {
    let recorder = DebuggingRecorder::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(live()));
    let counted = counted(&recorder.snapshotter());
    for (limit, result, expected) in [
        ("orders", "admitted", 2.0),
        ("orders", "refused", 3.0),
        ("orders", "unlimited", 4.0),
        ("trial", "admitted", 2.0),
        ("trial", "shadowed", 3.0),
        ("trial", "refused", 0.0),
        ("closed", "admitted", 1.0),
        ("closed", "unavailable", 3.0),
        ("share", "admitted", 3.0),
        ("share", "refused", 1.0),
        ("open", "let_through", 3.0),
    ] {
        let name = format!("gateless_limit_requests_total{{limit={limit},result={result}}}");
        assert_eq!(counted.get(&name), Some(&expected), "{name}");
    }
    for (policy, expected) in [("closed", 3.0), ("share", 3.0), ("open", 3.0)] {
        let name = format!("gateless_limit_without_store_total{{policy={policy}}}");
        assert_eq!(counted.get(&name), Some(&expected), "{name}");
    }
    let refused = "gateless_refusals_total{code=rate_exceeded,reason=requests,stage=limit}";
    assert_eq!(counted.get(refused), Some(&4.0));
}
