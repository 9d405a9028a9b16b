//! What is counted of the denylist, and under which names.

use std::collections::BTreeMap;

use gateless_testkit::LogFault;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Everything of that name that was counted since the last time, and how the gauges stand.
fn counted_as(snapshotter: &Snapshotter, part: &str) -> BTreeMap<String, f64> {
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let named = snapshot.filter(|(key, ..)| key.key().name().contains(part));
    named
        .filter_map(|(key, _, _, value)| {
            let labels: Vec<_> = key.key().labels().map(|label| label.value()).collect();
            let name = key.key().name().trim_start_matches("gateless_denylist_");
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(gauge) => gauge.into_inner(),
                DebugValue::Histogram(_) => panic!("there is none"),
            };
            (value != 0.0).then(|| ([&[name], &labels[..]].concat().join(" "), value))
        })
        .collect()
}

fn counted(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    counted_as(snapshotter, "denylist")
}

/// In time that the test moves, with what is counted meanwhile.
fn counting<F: Future<Output = ()>>(test: impl FnOnce(Snapshotter) -> F) {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(test(snapshotter)));
}

#[test]
fn tf_22_what_is_revoked_is_forgotten_by_the_cache_and_nothing_else_is() {
    counting(async |snapshotter| {
        let world = World::new();
        let instance = world.instance().await;
        let [revoked, other] = ["session-1", "session-2"]
            .map(|session| world.issuer.token().session_id(session).mint());
        for token in [&revoked, &other] {
            instance.accepts(token).await;
        }
        instance
            .revoke(Revocation::session(ISSUER, "session-1"))
            .await;
        // Caches are walked through once a second.
        world.pass(3 * SECOND).await;
        let _ = counted_as(&snapshotter, "gateless_tokens_total");
        // Whoever does not ask the list verifies the one anew, and knows the other.
        for token in [&revoked, &other] {
            passes(&instance.auth, token, presenting(token)).await;
        }
        let counted = counted_as(&snapshotter, "gateless_tokens_total");
        let expected = [("cached", 7.0), ("verified", 1.0)];
        let expected =
            expected.map(|(result, count)| (format!("gateless_tokens_total {result}"), count));
        assert_eq!(counted, expected.into());
    });
}

#[test]
fn th_02_a_list_that_was_never_loaded_is_infinitely_old() {
    counting(async |snapshotter| {
        let world = World::new();
        world.log.set_fault(LogFault::Fail);
        let denylist = world.builder(OnOutage::FailClosed).build().unwrap();
        world.pass(SECOND).await;
        assert_eq!(counted(&snapshotter)["age_seconds"], f64::INFINITY);
        world.log.clear_fault();
        denylist.handle().ready().await.unwrap();
        assert!(!counted(&snapshotter).contains_key("age_seconds"));
    });
}

#[test]
fn th_02_the_age_of_the_list_and_what_it_decides_are_counted() {
    counting(async |snapshotter| live(&snapshotter).await);
}

async fn live(snapshotter: &Snapshotter) {
    let world = World::new();
    let instance = world.instance().await;
    let handle = instance.handle();
    let token = world.issuer.token().mint();
    let revoked = world.issuer.token().session_id("session-1").mint();
    instance
        .revoke(Revocation::session(ISSUER, "session-1"))
        .await;
    handle
        .unrevoke(Revocation::session(ISSUER, "session-2").id())
        .await
        .unwrap();
    instance.accepts(&token).await;
    instance.refuses(&revoked).await;
    let expected = [
        ("capacity", 1_000_000.0),
        ("changes_total revoke session", 1.0),
        ("changes_total unrevoke session", 1.0),
        ("checks_total clear", 4.0),
        ("records", 1.0),
        ("revoked_used_total session", 4.0),
        ("syncs_total loaded", 1.0),
    ];
    let named = |counted: &[(&str, f64)]| -> BTreeMap<String, f64> {
        let counted = counted.iter();
        counted
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect()
    };
    assert_eq!(counted(snapshotter), named(&expected));

    world.log.set_fault(LogFault::Fail);
    world.pass(40 * SECOND).await;
    instance.is_down_for(&token).await;
    let open = Instance {
        auth: instance.auth.clone(),
        denylist: instance.denylist.danger_open_on_outage(),
    };
    open.accepts(&token).await;
    assert!(handle.revoke(&Revocation::issuer(ISSUER)).await.is_err());
    let away = counted(snapshotter);
    assert!(away["age_seconds"] > 35.0, "{away:?}");
    assert!(away["syncs_total failed"] > 10.0, "{away:?}");
    for (name, value) in [
        ("checks_total unknown", 4.0),
        ("checks_total open", 4.0),
        ("changes_total failed issuer", 1.0),
    ] {
        assert_eq!(away.get(name), Some(&value), "{name} of {away:?}");
    }
}
