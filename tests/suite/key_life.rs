//! TE: for how long keys are good: what the issuer says of it, what it may not say, and rotation while requests go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gateless::OnOutage;
use gateless::bearer::{KeyState, Keys};
use gateless_testkit::{Fault, Recorder, SigningAlgorithm, TestIssuer};
use http::Request;
use rstest::rstest;
use serde_json::json;
use tokio::task::{self, JoinSet};
use tower::{Layer as _, ServiceExt as _};

use crate::served::{COOLDOWN, HOUR, LIFETIME, Setup, stranger};
use crate::support::{Refusal, bearer};

const RENEWAL: Duration = Duration::from_secs(480);

fn fail_closed() -> Keys {
    Keys::discovery(OnOutage::FailClosed)
}

#[rstest]
#[case::short("max-age=100", None, 100)]
#[case::among_others("public, max-age=100, must-revalidate", None, 100)]
#[case::its_age_is_subtracted("max-age=300", Some(100), 200)]
#[case::never_below_a_minute("max-age=5", None, 60)]
#[case::not_at_all("max-age=0", None, 60)]
#[case::older_than_that("max-age=100", Some(1000), 60)]
#[case::no_cache("no-cache", None, 60)]
#[case::no_store("no-store", None, 60)]
#[case::the_strictest_counts("max-age=300, no-cache", None, 60)]
#[case::never_beyond_the_lifetime("max-age=86400", None, 600)]
#[case::age_without_max_age("public", Some(599), 600)]
#[case::no_number("max-age=soon", None, 600)]
#[case::negative("max-age=-1", None, 600)]
#[case::nonsense("=;,\"", None, 600)]
#[case::empty("", None, 600)]
#[tokio::test]
async fn te_06_the_issuer_says_when_its_keys_are_renewed(
    #[case] cache_control: &str,
    #[case] age: Option<u64>,
    #[case] fresh: u64,
) {
    let setup = Setup::new(fail_closed()).await;
    setup.issuer.set_cache_control(cache_control);
    if let Some(age) = age {
        setup.issuer.set_age(age);
    }
    setup.auth.ready().await.unwrap();
    // Between seven and eight tenths, as chance has it.
    let early = Duration::from_secs(fresh) / 10 * 7 - Duration::from_millis(1);
    setup.clock.advance(early);
    setup.accepts_new().await;
    setup.settle().await;
    assert_eq!(setup.fetches(), 1);
    setup
        .clock
        .advance(Duration::from_secs(fresh) / 10 * 8 - early);
    setup.accepts_new().await;
    setup.renewed(2).await;
}

#[rstest]
#[case("max-age=60")]
#[case("no-store, max-age=0")]
#[tokio::test]
async fn te_07_te_08_a_short_max_age_does_not_make_an_outage_shorter(#[case] cache_control: &str) {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    setup.issuer.set_cache_control(cache_control);
    setup.auth.ready().await.unwrap();
    setup.issuer.set_fault(Fault::Status(503));
    setup.clock.advance(LIFETIME - Duration::from_secs(1));
    setup.fails_to_renew().await;
    assert_eq!(setup.status().state(), KeyState::Fresh);
    setup.clock.advance(Duration::from_secs(3600));
    setup.accepts_new().await;
    assert_eq!(setup.status().state(), KeyState::Stale);
    setup.clock.advance(Duration::from_secs(1));
    setup
        .refuses(&setup.issuer.token().mint(), &Refusal::down(30))
        .await;
}

#[tokio::test]
async fn te_07_keys_that_did_not_change_are_fresh_again() {
    let setup = Setup::new(fail_closed()).await;
    setup.issuer.enable_etags();
    setup.auth.ready().await.unwrap();
    let lasting = setup.issuer.token().expires_in(7200).mint();
    for renewals in 1..=3 {
        setup.clock.advance(RENEWAL);
        setup.accepts(&lasting).await;
        setup.renewed(1 + renewals).await;
        assert_eq!(setup.issuer.not_modified(), renewals);
    }
    // Of the answers only the first had keys in it, and it is long past its lifetime.
    setup.clock.advance(LIFETIME - Duration::from_secs(121));
    setup.accepts_new().await;
    assert_eq!(setup.status().state(), KeyState::Fresh);
    assert_eq!(setup.status().key_ids().len(), 3);
}

#[tokio::test]
async fn te_12_a_document_that_changed_is_taken_also_after_one_that_did_not() {
    let setup = Setup::new(fail_closed()).await;
    setup.issuer.enable_etags();
    setup.auth.ready().await.unwrap();
    let old = setup.issuer.token().expires_in(7200).mint();
    setup.clock.advance(RENEWAL);
    setup.accepts(&old).await;
    setup.renewed(2).await;
    setup.issuer.rotate();
    setup.clock.advance(RENEWAL);
    setup.accepts(&old).await;
    setup.renewed(3).await;
    assert_eq!(setup.issuer.not_modified(), 1);
    setup.refuses(&old, &Refusal::tok(stranger())).await;
    setup.accepts_new().await;
}

#[tokio::test]
async fn te_14_a_new_key_is_found_where_documents_have_tags() {
    let setup = Setup::new(fail_closed()).await;
    setup.issuer.enable_etags();
    setup.auth.ready().await.unwrap();
    setup.issuer.rotate_keeping_old();
    setup.accepts_new().await;
    assert_eq!((setup.fetches(), setup.issuer.not_modified()), (2, 0));
}

#[tokio::test]
async fn te_06_what_did_not_change_has_a_max_age_of_its_own() {
    let setup = Setup::new(fail_closed()).await;
    setup.issuer.enable_etags();
    setup.auth.ready().await.unwrap();
    setup.issuer.set_cache_control("max-age=100");
    setup.clock.advance(RENEWAL);
    setup.accepts_new().await;
    setup.renewed(2).await;
    setup.clock.advance(Duration::from_secs(80));
    setup.accepts_new().await;
    setup.renewed(3).await;
    assert_eq!(setup.issuer.not_modified(), 2);
}

#[tokio::test]
async fn te_10_an_answer_that_nothing_changed_is_an_error_when_nobody_asked() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    setup.issuer.set_jwks_fault(Fault::Status(304));
    setup.clock.advance(RENEWAL);
    setup.fails_to_renew().await;
    assert_eq!(setup.status().last_failure(), Some("answered 304"));
    assert_eq!(setup.status().age(), Some(RENEWAL));
}

#[tokio::test]
async fn te_10_te_13_after_a_purge_the_whole_document_is_asked_for() {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    setup.issuer.enable_etags();
    setup.auth.ready().await.unwrap();
    assert!(setup.handle().purge_keys(setup.issuer.issuer()));
    setup.renewed(2).await;
    setup.accepts_new().await;
    assert_eq!(setup.issuer.not_modified(), 0);

    // An answer that nothing changed is worth nothing then.
    setup.issuer.set_jwks_fault(Fault::Status(304));
    assert!(setup.handle().purge_keys(setup.issuer.issuer()));
    setup
        .refuses(&setup.issuer.token().mint(), &Refusal::down(30))
        .await;
    assert_eq!(setup.status().last_failure(), Some("answered 304"));
}

/// All of these come with the tag of the document that they are not.
#[rstest]
#[case(Fault::Status(500))]
#[case(Fault::Status(206))]
#[case(Fault::Truncated)]
#[case(Fault::Redirect("https://idp.example.com/".into()))]
#[tokio::test]
async fn te_10_an_answer_that_cannot_be_used_leaves_no_tag_behind(#[case] fault: Fault) {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    setup.issuer.enable_etags();
    setup.auth.ready().await.unwrap();
    setup.clock.advance(RENEWAL);
    let old = setup.issuer.token().mint();
    setup.issuer.rotate();
    setup.issuer.set_jwks_fault(fault);
    setup.accepts(&old).await;
    setup
        .until(|| setup.status().last_failure().is_some())
        .await;
    setup.issuer.clear_fault();
    setup.clock.advance(COOLDOWN);
    setup.accepts_new().await;
    assert_eq!(setup.issuer.not_modified(), 0);
}

#[tokio::test]
async fn te_19_te_20_the_tag_of_one_address_means_nothing_at_another() {
    let setup = Setup::new(Keys::discovery(HOUR).allow_host("127.0.0.1")).await;
    let elsewhere = TestIssuer::serve().await.unwrap();
    elsewhere.set_jwks(setup.issuer.jwks());
    for issuer in [&setup.issuer, &elsewhere] {
        issuer.enable_etags();
    }
    setup.auth.ready().await.unwrap();
    let metadata = json!({"issuer": setup.issuer.issuer(), "jwks_uri": elsewhere.jwks_url()});
    setup.issuer.set_discovery_fault(Fault::Body(
        "application/json".into(),
        metadata.to_string().into_bytes(),
    ));
    setup.clock.advance(RENEWAL);
    setup.accepts_new().await;
    setup
        .until(|| setup.status().age() == Some(Duration::ZERO))
        .await;
    assert_eq!(
        (elsewhere.requests().jwks, elsewhere.not_modified()),
        (1, 0)
    );
}

/// Sends good tokens all the time, from several tasks.
struct Load {
    senders: JoinSet<()>,
    sent: Arc<[AtomicU64; 8]>,
    is_over: Arc<AtomicBool>,
}

impl Load {
    fn start(setup: &Setup) -> Self {
        let (sent, is_over) = (
            Arc::new(std::array::from_fn(|_| AtomicU64::new(0))),
            Arc::<AtomicBool>::default(),
        );
        let mut load = Self {
            senders: JoinSet::new(),
            sent,
            is_over,
        };
        for number in 0..load.sent.len() {
            let (sent, is_over) = (Arc::clone(&load.sent), Arc::clone(&load.is_over));
            let (issuer, auth) = (setup.issuer.clone(), setup.auth.clone());
            load.senders.spawn(async move {
                while !is_over.load(Ordering::Acquire) {
                    let token = issuer.token().algorithm(SigningAlgorithm::EdDsa);
                    let token = token.expires_in(3600).mint();
                    let request = Request::get("/").header("authorization", bearer(token));
                    let request = request.body(String::new()).unwrap();
                    let answer = auth.layer(Recorder::new()).oneshot(request).await.unwrap();
                    assert_eq!(answer.status(), 200, "{:?}", answer.extensions());
                    sent[number].fetch_add(1, Ordering::Release);
                    // Who signs and verifies all the time leaves the threads no time to look what came over the network.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        }
        load
    }

    /// Waits until each task has sent a token that was not made yet when this was called.
    async fn goes_on(&self, setup: &Setup) {
        let counts = || [0, 1, 2, 3, 4, 5, 6, 7].map(|task| self.count(task));
        let before = counts();
        let has_gone_on = || {
            counts()
                .iter()
                .zip(before)
                .all(|(now, then)| *now >= then + 2)
        };
        setup.until(has_gone_on).await;
    }

    fn count(&self, task: usize) -> u64 {
        self.sent[task].load(Ordering::Acquire)
    }

    /// Ends it. Panics when any token was refused.
    async fn end(mut self) -> u64 {
        self.is_over.store(true, Ordering::Release);
        while let Some(ended) = self.senders.join_next().await {
            ended.unwrap();
        }
        self.sent
            .iter()
            .map(|sent| sent.load(Ordering::Acquire))
            .sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn te_12_te_14_ten_rotations_under_load_refuse_no_good_token() {
    // Nobody is to be refused because this machine has other things to do as well.
    let setup = Setup::warm(fail_closed().timeout(Duration::from_secs(60))).await;
    let first = setup.issuer.token().expires_in(36_000).mint();
    let load = Load::start(&setup);
    for rotation in 1..=10 {
        // Published first, signed with from then on.
        setup.issuer.clear_jwks_override();
        setup.issuer.rotate_keeping_old();
        load.goes_on(&setup).await;
        // No token of an older key is on its way any more: those keys are withdrawn.
        let mut published = setup.issuer.jwks();
        published["keys"] = published["keys"].as_array().unwrap()[3 * rotation..].into();
        setup.issuer.set_jwks(published);
        setup.clock.advance(RENEWAL);
        load.goes_on(&setup).await;
        setup
            .until(|| setup.status().age() == Some(Duration::ZERO))
            .await;
        assert_eq!(setup.status().key_ids().len(), 3);
        setup.clock.advance(COOLDOWN);
    }
    assert!(load.end().await >= 8 * 10 * 2);
    // One fetch for each new key, one for each withdrawal.
    assert_eq!(setup.fetches(), 1 + 2 * 10);
    setup.refuses(&first, &Refusal::tok(stranger())).await;
}

#[tokio::test]
async fn te_30_who_waited_is_judged_with_the_keys_that_came() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    let old = setup.issuer.token().mint();
    setup.accepts(&old).await;
    setup.issuer.set_jwks_fault(Fault::Hang);
    assert!(setup.handle().purge_keys(setup.issuer.issuer()));
    setup.fetched(2).await;
    let ask = |token: &str| {
        let request = Request::get("/").header("authorization", bearer(token));
        let service = setup.auth.layer(Recorder::new());
        tokio::spawn(service.oneshot(request.body(String::new()).unwrap()))
    };
    // Both wait for the same set: neither is judged with anything of the one before.
    let of_old = ask(&old);
    setup.issuer.rotate();
    let of_new = ask(&setup.issuer.token().mint());
    setup.settle().await;
    assert!(!of_old.is_finished() && !of_new.is_finished());
    setup.issuer.clear_fault();
    assert_eq!(of_old.await.unwrap().unwrap().status(), 401);
    assert_eq!(of_new.await.unwrap().unwrap().status(), 200);
}

/// Two sets that give one id to different keys: a request sees one or the other, never a mixture.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn te_30_keys_that_are_replaced_meanwhile_are_never_mixed() {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    let mut sets = Vec::new();
    let mut tokens = Vec::new();
    for _ in 0..2 {
        setup.issuer.rotate();
        let [rs, es, ed] = <[_; 3]>::try_from(setup.issuer.kids()).unwrap();
        let mut set = setup.issuer.jwks();
        for (key, id) in set["keys"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .zip(["a", "b", "c"])
        {
            key["kid"] = id.into();
        }
        sets.push(set);
        let token = |algorithm, key: &str, id: &str| {
            let token = setup.issuer.token().algorithm(algorithm).key_id(key);
            token.header("kid", id).mint()
        };
        tokens.push(token(SigningAlgorithm::Rs256, &rs, "a"));
        tokens.push(token(SigningAlgorithm::Es256, &es, "b"));
        tokens.push(token(SigningAlgorithm::EdDsa, &ed, "c"));
    }
    setup.issuer.set_jwks(sets[0].clone());
    setup.auth.ready().await.unwrap();
    let is_over = Arc::<AtomicBool>::default();
    let mut senders = JoinSet::new();
    for token in tokens.clone() {
        let (auth, is_over) = (setup.auth.clone(), Arc::clone(&is_over));
        senders.spawn(async move {
            let mut seen = [0_u32; 2];
            while !is_over.load(Ordering::Acquire) {
                let request = Request::get("/").header("authorization", bearer(&token));
                let request = request.body(String::new()).unwrap();
                let answer = auth.layer(Recorder::new()).oneshot(request).await.unwrap();
                let rejection = answer.extensions().get::<gateless::Rejection>();
                match rejection.map(gateless::Rejection::reason) {
                    None => seen[0] += 1,
                    Some("signature_invalid") => seen[1] += 1,
                    Some(other) => panic!("{other}"),
                }
                task::yield_now().await;
            }
            seen
        });
    }
    for round in 1..=20_u64 {
        let current = usize::from(round % 2 == 1);
        setup.issuer.set_jwks(sets[current].clone());
        assert!(setup.handle().purge_keys(setup.issuer.issuer()));
        setup.until(|| setup.handle().is_ready()).await;
        // From here on, and whatever the tasks did meanwhile, only the current set counts.
        for (number, token) in tokens.iter().enumerate() {
            if number / 3 == current {
                setup.accepts(token).await;
            } else {
                let invalid = gateless::TokenFault::SignatureInvalid;
                setup.refuses(token, &Refusal::tok(invalid)).await;
            }
        }
    }
    is_over.store(true, Ordering::Release);
    while let Some(seen) = senders.join_next().await {
        let seen = seen.unwrap();
        assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
    }
}
