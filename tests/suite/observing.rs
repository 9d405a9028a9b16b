//! What is counted and logged: under the names that the manual lists, and with nothing in it that a caller chose.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateless::bearer::{BearerAuth, KeyState, Keys, TokenPolicy};
use gateless::scope::ScopeGuard;
use gateless::{OnOutage, scopes};
use gateless_testkit::{FakeClock, Fault, Recorder, TestIssuer};
use http::Request;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tower::{ServiceBuilder, ServiceExt as _};

use crate::support::{AUDIENCE, bearer};

/// Everything that was counted: names with labels, and their values. Counters begin again after it.
pub(crate) fn counted(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let snapshot = snapshotter.snapshot().into_vec();
    let counted = snapshot.into_iter().map(|(key, _, _, value)| {
        let key = key.key();
        let mut labels: Vec<_> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        labels.sort();
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(_) => panic!("there are none"),
        };
        (format!("{}{{{}}}", key.name(), labels.join(",")), value)
    });
    counted.collect()
}

async fn ask(auth: &BearerAuth, token: &str) -> u16 {
    let service = ServiceBuilder::new()
        .layer(auth.clone())
        .layer(ScopeGuard::all(scopes!["orders:read"]))
        .service(Recorder::new());
    let request = Request::get("/").header("authorization", bearer(token));
    let response = service.oneshot(request.body(String::new()).unwrap()).await;
    response.unwrap().status().as_u16()
}

/// The whole life of a layer, with tokens of every kind.
async fn live(clock: &FakeClock, snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let issuer = TestIssuer::builder().clock(Arc::new(clock.clone()));
    let issuer = issuer.serve().await.unwrap();
    issuer.enable_etags();
    let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE).danger_allow_http_loopback();
    let keys = || {
        Keys::jwks_url(
            issuer.jwks_url(),
            OnOutage::StaleFor(Duration::from_secs(600)),
        )
    };
    let build = |policy| BearerAuth::builder(policy, keys()).clock(Arc::new(clock.clone()));
    let auth = build(policy.clone()).build().unwrap();
    auth.ready().await.unwrap();

    let good = issuer.token().scope("orders:read").mint();
    for _ in 0..3 {
        assert_eq!(ask(&auth, &good).await, 200);
    }
    let forged = issuer.token().signature([1; 64]).subject("canary").mint();
    for _ in 0..2 {
        assert_eq!(ask(&auth, &forged).await, 401);
    }
    let scopeless = issuer.token().scope("canary").mint();
    assert_eq!(ask(&auth, &scopeless).await, 403);
    assert_eq!(ask(&auth, "canary").await, 401);
    assert_eq!(ask(&auth, "canary,").await, 400);
    let junk = issuer.token().header("kid", "canary").mint();
    assert_eq!(ask(&auth, &junk).await, 401);

    issuer.set_fault(Fault::Status(500));
    clock.advance(Duration::from_secs(600));
    let long = issuer.token().scope("orders:read").mint();
    assert_eq!(ask(&auth, &long).await, 200);
    assert_eq!(auth.handle().key_status()[0].state(), KeyState::Stale);
    // Waits until the renewal that this began has failed, and asks once itself.
    assert_eq!(ask(&auth, &junk).await, 503);

    auth.handle().reload(build(policy.clone())).await.unwrap();
    let unusable = build(policy.leeway(Duration::from_secs(301)));
    auth.handle().reload(unusable).await.unwrap_err();

    let mut counted = counted(snapshotter);
    // The port of the issuer is another in each run.
    for name in counted.keys().cloned().collect::<Vec<_>>() {
        let value = counted.remove(&name).unwrap();
        counted.insert(name.replace(issuer.issuer(), "ISSUER"), value);
    }
    counted
}

#[test]
fn tl_02_what_is_counted_has_closed_labels_and_the_right_values() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let clock = FakeClock::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut counted =
        metrics::with_local_recorder(&recorder, || runtime.block_on(live(&clock, &snapshotter)));

    let now = counted.remove("gateless_keys_fetched_timestamp_seconds{issuer=ISSUER}");
    assert!(now.is_some_and(|now| now > 1_500_000_000.0), "{now:?}");
    let refusals = |code, reason| {
        format!("gateless_refusals_total{{code={code},reason={reason},stage=bearer}}")
    };
    let expected: BTreeMap<String, f64> = [
        (refusals("token_invalid", "signature_invalid"), 2.0),
        (refusals("token_invalid", "malformed"), 1.0),
        (refusals("token_invalid", "key_unknown"), 1.0),
        (refusals("credentials_malformed", "bad_characters"), 1.0),
        (refusals("dependency_unavailable", "keys"), 1.0),
        (
            "gateless_refusals_total{code=scope_insufficient,reason=scope_insufficient,stage=scope}".into(),
            1.0,
        ),
        ("gateless_tokens_total{result=cached}".into(), 2.0),
        ("gateless_tokens_total{result=verified}".into(), 3.0),
        ("gateless_tokens_total{result=known_bad}".into(), 1.0),
        ("gateless_tokens_total{result=refused}".into(), 2.0),
        ("gateless_token_cache_entries{pool=good}".into(), 3.0),
        ("gateless_token_cache_entries{pool=bad}".into(), 1.0),
        ("gateless_key_fetches_total{issuer=ISSUER,result=new}".into(), 1.0),
        ("gateless_key_fetches_total{issuer=ISSUER,result=unchanged}".into(), 1.0),
        ("gateless_key_fetches_total{issuer=ISSUER,result=failed}".into(), 2.0),
        ("gateless_keys{issuer=ISSUER}".into(), 3.0),
        ("gateless_stale_keys_used_total{issuer=ISSUER}".into(), 1.0),
        ("gateless_reloads_total{result=applied}".into(), 1.0),
        ("gateless_reloads_total{result=refused}".into(), 1.0),
    ]
    .into();
    assert_eq!(counted, expected);
}

/// The texts in double quotes that begin with `start` and have no space, in the code of `gateless`.
fn names_in_code(start: &str) -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/gateless/src");
    crate::checklist::sources(&source)
        .iter()
        .filter(|(path, _)| !path.components().any(|part| part.as_os_str() == "manual"))
        .flat_map(|(_, text)| text.split('"'))
        .filter(|text| text.starts_with(start) && !text.contains(char::is_whitespace))
        .map(str::to_owned)
        .collect()
}

/// The names of events of `gateless-audit`, which has names of other things that look the same.
fn events_of_sinks() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/gateless-audit/src");
    let sources = crate::checklist::sources(&source);
    let lines = sources.iter().flat_map(|(_, text)| text.lines());
    let names = lines.filter_map(|line| line.trim().strip_prefix("name: \"gateless."));
    names
        .filter_map(|rest| rest.split('"').next())
        .map(|rest| format!("gateless.{rest}"))
        .collect()
}

#[test]
fn the_manual_lists_every_name_and_no_other() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/gateless/src/manual");
    let manual = fs::read_to_string(manual.join("observing.rs")).unwrap();
    let listed: BTreeSet<_> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `gateless"))
        .filter_map(|line| line.split('`').next())
        .map(|rest| format!("gateless{rest}"))
        .collect();
    let used: BTreeSet<_> = ["gateless_", "gateless."]
        .iter()
        .flat_map(|start| names_in_code(start))
        .chain(events_of_sinks())
        .collect();
    assert_eq!(used, listed);
}

#[test]
fn every_event_has_a_name() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let sources = crate::checklist::sources(&crates);
    let mut events = 0;
    let is_code = |path: &Path| !path.components().any(|part| part.as_os_str() == "manual");
    for (path, text) in sources.iter().filter(|(path, _)| is_code(path)) {
        for level in ["error", "warn", "info", "debug", "trace"] {
            for event in text.split(&format!("tracing::{level}!(")).skip(1) {
                events += 1;
                let begins = event.trim_start();
                assert!(
                    begins.starts_with("name: \"gateless."),
                    "{path:?}: {begins:.60}"
                );
            }
        }
    }
    assert!(events > 50, "{events}");
}
