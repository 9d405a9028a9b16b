//! What is counted of introspection: closed labels, and nothing in them that a caller chose.

use std::collections::BTreeMap;

use gateless_testkit::Fault;
use metrics_util::debugging::{DebuggingRecorder, Snapshotter};

use super::{LIFETIME, World, known};
use crate::observing::counted;
use crate::support::{Protocol, Refusal};
use gateless::{OnOutage, TokenFault};

/// One request in HTTP, and what becomes of it.
async fn ask(
    layer: &gateless::introspection::Introspection,
    token: &str,
    refused: Option<Refusal>,
) {
    let answer = super::ask(layer, Protocol::Http, token).await;
    match refused {
        None => drop(answer.passed()),
        Some(refusal) => answer.refused(Protocol::Http, &refusal),
    }
}

/// Tokens and answers of every kind.
async fn live(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let world = World::new().await;
    let stale = OnOutage::StaleFor(LIFETIME);
    let layer = world.asking(world.policy(), world.endpoint_with(stale), known());
    let layer = layer.build().unwrap();
    let good = world.issuer.opaque_token().mint();
    for _ in 0..3 {
        ask(&layer, &good, None).await;
    }
    let inactive = || Some(Refusal::tok(TokenFault::Inactive));
    for _ in 0..2 {
        ask(&layer, "canary-unknown", inactive()).await;
    }
    let odd = world.issuer.opaque_token().claim("active", "true").mint();
    let nonsense = Refusal::tok(TokenFault::AnswerInvalid);
    ask(&layer, &odd, Some(nonsense)).await;
    let stranger = crate::support::issuer().token().mint();
    let unknown = Refusal::tok(TokenFault::IssuerUnknown);
    ask(&layer, &stranger, Some(unknown)).await;

    let down = || Some(Refusal::unanswered(1));
    for fault in [
        Fault::Status(500),
        Fault::Body("canary/type".into(), "canary".into()),
        Fault::Disconnect,
    ] {
        world.issuer.set_introspection_fault(fault);
        ask(&layer, "canary-in-an-outage", down()).await;
    }
    world.issuer.set_introspection_fault(Fault::Status(500));
    world.advance(LIFETIME);
    ask(&layer, &good, None).await;
    world.issuer.clear_fault();
    world.issuer.set_client_secret("canary");
    ask(&layer, "canary-unauthorized", down()).await;

    let counted = counted(snapshotter).into_iter();
    // The port of the issuer is another in each run.
    counted
        .map(|(name, value)| (name.replace(world.issuer.issuer(), "ISSUER"), value))
        .collect()
}

#[test]
fn tl_02_what_is_counted_of_introspection_has_closed_labels_and_the_right_values() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let live = || runtime.block_on(live(&snapshotter));
    let counted = metrics::with_local_recorder(&recorder, live);
    let tokens =
        |result| format!("gateless_introspected_tokens_total{{issuer=ISSUER,result={result}}}");
    let calls = |result| format!("gateless_introspections_total{{issuer=ISSUER,result={result}}}");
    let refusals = |code, reason| {
        format!("gateless_refusals_total{{code={code},reason={reason},stage=introspection}}")
    };
    let entries =
        |pool| format!("gateless_introspection_cache_entries{{issuer=ISSUER,pool={pool}}}");
    let expected: BTreeMap<String, f64> = [
        (tokens("active"), 1.0),
        (tokens("cached"), 2.0),
        (tokens("refused"), 3.0),
        (tokens("known_bad"), 1.0),
        (tokens("stale"), 1.0),
        (tokens("unanswered"), 4.0),
        (calls("active"), 1.0),
        (calls("inactive"), 1.0),
        (calls("invalid"), 1.0),
        (calls("status"), 2.0),
        (calls("unusable"), 1.0),
        // Tried twice.
        (calls("unreachable"), 2.0),
        (calls("unauthorized"), 1.0),
        (
            "gateless_introspections_under_way{issuer=ISSUER}".into(),
            0.0,
        ),
        (entries("good"), 1.0),
        (entries("bad"), 1.0),
        (refusals("token_invalid", "inactive"), 2.0),
        (refusals("token_invalid", "answer_invalid"), 1.0),
        (refusals("token_invalid", "issuer_unknown"), 1.0),
        (refusals("dependency_unavailable", "introspection"), 4.0),
    ]
    .into();
    assert_eq!(counted, expected);
}
