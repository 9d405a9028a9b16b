//! What is counted of the denylist, and under which names.

use std::collections::BTreeMap;

use gateless_testkit::LogFault;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Everything that was counted since the last time, and how the gauges stand.
fn counted(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let denylist = snapshot.filter(|(key, ..)| key.key().name().contains("denylist"));
    denylist
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

#[test]
fn th_02_the_age_of_the_list_and_what_it_decides_are_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(live(&snapshotter)));
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
