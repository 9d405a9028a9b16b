//! TE: the life of an issuer's keys, over real sockets. A fake clock rules ages and cooldowns; nothing sleeps.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateless::OnOutage;
use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
use gateless::{Clock as _, TokenFault};
use gateless_testkit::{
    FakeClock, Fault, Recorder, Requests, SigningAlgorithm, TestIssuer, Unforgiving,
};
use http::Request;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::task::{self, JoinSet};
use tower::{Layer as _, ServiceExt as _};

use crate::served::{COOLDOWN, HOUR, LIFETIME, Setup, policy, stranger};
use crate::support::{AUDIENCE, Protocol, Refusal, bearer, refuses, send};

#[tokio::test]
async fn discovery_and_keys_are_fetched_once_and_used_from_then_on() {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    assert_eq!(setup.issuer.requests(), Requests::default());
    for _ in 0..5 {
        setup.accepts_new().await;
    }
    assert_eq!(
        setup.issuer.requests(),
        Requests {
            discovery: 1,
            jwks: 1,
            ..Requests::default()
        }
    );
}

#[tokio::test]
async fn te_01_random_kids_cause_one_fetch_per_cooldown() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    for cooldowns in 1..=3 {
        for number in 0..200 {
            let kid = format!("{cooldowns}-{number}");
            let token = setup
                .issuer
                .token()
                .algorithm(SigningAlgorithm::Es256)
                .header("kid", kid);
            setup
                .refuses(&token.mint(), &Refusal::tok(stranger()))
                .await;
        }
        assert_eq!(setup.fetches(), 1 + cooldowns);
        // Not a moment earlier.
        setup.clock.advance(COOLDOWN - Duration::from_millis(1));
        let token = setup.issuer.token().header("kid", "again").mint();
        setup.refuses(&token, &Refusal::tok(stranger())).await;
        assert_eq!(setup.fetches(), 1 + cooldowns);
        setup.clock.advance(Duration::from_millis(1));
    }
    setup.accepts_new().await;
}

#[tokio::test]
async fn te_01_a_flood_at_once_causes_one_fetch() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    let mut flood = JoinSet::new();
    for number in 0..500 {
        let token = setup.issuer.token().algorithm(SigningAlgorithm::EdDsa);
        let token = token.header("kid", format!("flood-{number}")).mint();
        let request = Request::get("/").header("authorization", bearer(token));
        let service = setup.auth.layer(Recorder::new());
        flood.spawn(service.oneshot(request.body(String::new()).unwrap()));
    }
    while let Some(answer) = flood.join_next().await {
        assert_eq!(answer.unwrap().unwrap().status(), 401);
    }
    assert_eq!(setup.fetches(), 2);
}

#[rstest]
#[case(Fault::EmptySet)]
#[case(Fault::Status(500))]
#[tokio::test]
async fn te_02_a_flood_without_any_keys_causes_one_fetch_per_cooldown(#[case] fault: Fault) {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    setup.issuer.set_jwks_fault(fault);
    for cooldowns in 1..=2 {
        for number in 0..50 {
            let token = setup
                .issuer
                .token()
                .header("kid", format!("{number}"))
                .mint();
            setup.refuses(&token, &Refusal::down(30)).await;
        }
        assert_eq!(setup.fetches(), cooldowns);
        setup.clock.advance(COOLDOWN);
    }
}

#[tokio::test]
async fn tb_34_a_kid_that_cannot_be_looked_up_causes_no_fetch() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    for kid in [json!("k".repeat(300)), json!(7), json!([]), json!("")] {
        let token = setup.issuer.token().header("kid", kid).mint();
        setup
            .refuses(&token, &Refusal::tok(TokenFault::HeaderInvalid))
            .await;
    }
    assert_eq!(setup.fetches(), 1);
}

#[tokio::test]
async fn tb_36_a_token_without_kid_and_a_bad_signature_cause_no_fetch() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    let refusal = Refusal::tok(TokenFault::SignatureInvalid);
    for token in [
        setup.issuer.token(),
        setup.issuer.token().without_header("kid"),
    ] {
        setup
            .refuses(&token.signature([1; 256]).mint(), &refusal)
            .await;
    }
    assert_eq!(setup.fetches(), 1);
}

#[tokio::test]
async fn te_04_ten_thousand_first_requests_cause_one_fetch() {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    setup.issuer.set_jwks_fault(Fault::Hang);
    let token = setup.issuer.token().mint();
    let mut herd = JoinSet::new();
    let inner = Unforgiving::new();
    for _ in 0..10_000 {
        let request = Request::get("/").header("authorization", bearer(&token));
        let service = setup.auth.layer(inner.clone());
        herd.spawn(service.oneshot(request.body(String::new()).unwrap()));
    }
    setup.fetched(1).await;
    assert_eq!(inner.calls(), 0);
    setup.issuer.clear_fault();
    while let Some(answer) = herd.join_next().await {
        assert_eq!(answer.unwrap().unwrap().status(), 200);
    }
    assert_eq!(inner.calls(), 10_000);
    assert_eq!(
        setup.issuer.requests(),
        Requests {
            discovery: 1,
            jwks: 1,
            ..Requests::default()
        }
    );
}

/// A paused runtime moves its time when nothing else is left to do: the deadline passes at once.
#[tokio::test(start_paused = true)]
async fn te_04_who_waits_for_keys_waits_no_longer_than_the_timeout() {
    let keys = Keys::discovery(HOUR).timeout(Duration::from_secs(2));
    let setup = Setup::new(keys).await;
    setup.issuer.set_fault(Fault::Hang);
    let before = tokio::time::Instant::now();
    let mut herd = JoinSet::new();
    for protocol in Protocol::ALL.repeat(20) {
        let request = protocol.request();
        let token = setup.issuer.token().mint();
        let auth = setup.auth.clone();
        herd.spawn(async move {
            let request = request.header("authorization", bearer(&token));
            (
                protocol,
                send(&auth, request.body(String::new()).unwrap()).await,
            )
        });
    }
    while let Some(answered) = herd.join_next().await {
        let (protocol, answer) = answered.unwrap();
        assert_eq!(
            answer.rejection.as_ref().unwrap().code(),
            "dependency_unavailable"
        );
        assert!(answer.reached.is_empty());
        if protocol == Protocol::Http {
            assert_eq!(answer.status, 503);
            assert!(answer.headers.contains_key("retry-after"));
        }
    }
    let waited = before.elapsed();
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(5)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!(setup.issuer.requests().discovery, 1);
}

#[tokio::test]
async fn te_05_one_who_waits_goes_away_and_the_others_get_their_keys() {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    setup.issuer.set_jwks_fault(Fault::Hang);
    let token = setup.issuer.token().mint();
    let ask = || {
        let request = Request::get("/").header("authorization", bearer(&token));
        let service = setup.auth.layer(Recorder::new());
        tokio::spawn(service.oneshot(request.body(String::new()).unwrap()))
    };
    // The first is the one that began the fetch.
    let first = ask();
    setup.fetched(1).await;
    let second = ask();
    task::yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    setup.issuer.clear_fault();
    assert_eq!(second.await.unwrap().unwrap().status(), 200);
    assert_eq!(setup.fetches(), 1);
}

#[tokio::test]
async fn te_05_all_who_wait_go_away_and_the_next_finds_the_keys() {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    setup.issuer.set_jwks_fault(Fault::Hang);
    let token = setup.issuer.token().mint();
    let request = Request::get("/").header("authorization", bearer(&token));
    let service = setup.auth.layer(Recorder::new());
    let only = tokio::spawn(service.oneshot(request.body(String::new()).unwrap()));
    setup.fetched(1).await;
    only.abort();
    setup.issuer.clear_fault();
    setup.accepts(&token).await;
    assert_eq!(setup.fetches(), 1);
}

#[tokio::test]
async fn te_06_te_07_keys_are_renewed_ahead_while_requests_go_on() {
    let setup = Setup::warm(Keys::discovery(OnOutage::FailClosed)).await;
    setup
        .clock
        .advance(LIFETIME / 5 * 4 - Duration::from_secs(1));
    setup.accepts_new().await;
    assert_eq!(setup.fetches(), 1);
    setup.clock.advance(Duration::from_secs(1));
    // The issuer hangs, and nobody waits for it.
    setup.issuer.set_jwks_fault(Fault::Hang);
    setup.accepts_new().await;
    setup.fetched(2).await;
    setup.accepts_new().await;
    setup.issuer.clear_fault();
    // Past the end of the first set: only the second can be in use.
    setup.clock.advance(LIFETIME / 5);
    setup.accepts_new().await;
    assert_eq!(setup.fetches(), 2);
}

#[tokio::test]
async fn te_08_te_09_an_outage_is_bridged_as_long_as_was_chosen() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    setup.issuer.shutdown().await;
    setup.clock.advance(LIFETIME + Duration::from_secs(3599));
    setup.accepts_new().await;
    setup.clock.advance(Duration::from_secs(1));
    // Beyond the bound: never 401, never 200, in any protocol.
    let token = setup.issuer.token().mint();
    refuses(&setup.auth, &Refusal::down(30), &token, |request| {
        request.header("authorization", bearer(&token))
    })
    .await;
    // A stranger's token is no reason to tell more.
    let stranger = setup.issuer.token().header("kid", "x").mint();
    setup.refuses(&stranger, &Refusal::down(30)).await;
}

#[tokio::test]
async fn te_08_the_record_of_a_decision_with_stale_keys_says_so() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    let world = crate::audit::World::new();
    let layer = tower::ServiceBuilder::new()
        .layer(&world.audit)
        .layer(&setup.auth);
    let service = layer.service(Recorder::new());
    let ask = async || {
        let token = setup.issuer.token().mint();
        let request = Request::get("/").header("authorization", bearer(token));
        let request = request.body(String::new()).unwrap();
        drop(service.clone().oneshot(request).await.unwrap());
    };
    ask().await;
    setup.issuer.shutdown().await;
    setup.clock.advance(LIFETIME + Duration::from_secs(10));
    ask().await;
    let records = world.written("request").await;
    assert_eq!(records[0].get("flags"), None);
    assert_eq!(records[1]["outcome"], "allowed");
    assert_eq!(records[1]["flags"], serde_json::json!(["stale_keys"]));
}

#[tokio::test]
async fn te_09_fail_closed_ends_with_the_lifetime() {
    let setup = Setup::warm(Keys::discovery(OnOutage::FailClosed)).await;
    setup.issuer.set_fault(Fault::Status(503));
    setup.clock.advance(LIFETIME - Duration::from_millis(1));
    setup.accepts_new().await;
    setup.clock.advance(Duration::from_millis(1));
    setup
        .refuses(&setup.issuer.token().mint(), &Refusal::down(30))
        .await;
    // `Retry-After` counts down, and keeping to it helps.
    setup.clock.advance(Duration::from_millis(12_500));
    setup
        .refuses(&setup.issuer.token().mint(), &Refusal::down(18))
        .await;
    setup.issuer.clear_fault();
    setup.clock.advance(Duration::from_secs(18));
    setup.accepts_new().await;
}

#[tokio::test]
async fn te_09_an_unknown_key_during_an_outage_may_be_a_good_one() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    setup.issuer.rotate();
    setup.issuer.set_jwks_fault(Fault::Status(500));
    let rotated = setup.issuer.token().mint();
    setup.refuses(&rotated, &Refusal::down(30)).await;
    setup.issuer.clear_fault();
    setup.clock.advance(COOLDOWN);
    setup.accepts(&rotated).await;
}

#[rstest]
#[case::te_10_an_empty_set(Fault::EmptySet)]
#[case::te_10_html(Fault::Body("text/html".into(), b"<html>sign in</html>".to_vec()))]
#[case::te_10_not_modified(Fault::Status(304))]
#[case::te_10_an_error_with_a_body(Fault::Status(500))]
#[case::te_10_no_content(Fault::Status(204))]
#[case::te_10_truncated(Fault::Truncated)]
#[case::te_10_a_list(Fault::Body("application/json".into(), b"[]".to_vec()))]
#[case::te_10_null(Fault::Body("application/json".into(), br#"{"keys":null}"#.to_vec()))]
#[case::te_10_only_secrets(Fault::Body("application/json".into(), br#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#.to_vec()))]
#[case::te_15_too_large(Fault::Body("application/json".into(), vec![b' '; 512 * 1024 + 1]))]
#[case::te_15_too_many_keys(Fault::Body("application/json".into(), too_many_keys()))]
#[case::te_16_a_redirect(Fault::Redirect("http://169.254.169.254/latest/meta-data".into()))]
#[tokio::test]
async fn te_10_te_15_te_16_a_bad_answer_never_takes_good_keys_away(#[case] fault: Fault) {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    setup.issuer.set_jwks_fault(fault);
    setup.clock.advance(LIFETIME);
    setup.accepts_new().await;
    setup.fetched(2).await;
    // A stranger's token waits for the fetch to end, or begins one of its own: the answer has been judged then.
    let stranger = setup.issuer.token().header("kid", "x").mint();
    setup.refuses(&stranger, &Refusal::down(30)).await;
    setup.accepts_new().await;

    // And without keys to begin with, there are none.
    let cold = BearerAuth::builder(policy(&setup.issuer), Keys::discovery(HOUR))
        .clock(Arc::new(setup.clock.clone()))
        .build()
        .unwrap();
    let token = setup.issuer.token().mint();
    refuses(&cold, &Refusal::down(30), &token, |request| {
        request.header("authorization", bearer(&token))
    })
    .await;
    assert_eq!(
        cold.ready().await.unwrap_err().issuers(),
        [setup.issuer.issuer()]
    );
}

fn too_many_keys() -> Vec<u8> {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    json!({"keys": vec![key; 101]}).to_string().into_bytes()
}

#[tokio::test]
async fn te_12_a_withdrawn_key_is_gone_with_the_next_set() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    let old = setup.issuer.token().expires_in(3600).mint();
    setup.issuer.rotate();
    setup.accepts(&old).await;
    setup.clock.advance(LIFETIME / 5 * 4);
    setup.accepts(&old).await;
    setup.fetched(2).await;
    setup.accepts_new().await;
    setup.refuses(&old, &Refusal::tok(stranger())).await;
}

#[tokio::test]
async fn te_14_the_first_token_of_a_new_key_is_accepted() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    setup.issuer.rotate_keeping_old();
    setup.accepts_new().await;
    assert_eq!(setup.fetches(), 2);
    for _ in 0..3 {
        setup.accepts_new().await;
    }
    assert_eq!(setup.fetches(), 2);
}

/// The fetch that brought the first keys is none that a made-up key id caused.
#[tokio::test]
async fn te_14_the_first_token_of_a_new_key_is_accepted_just_after_the_start() {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    setup.accepts_new().await;
    setup.issuer.rotate_keeping_old();
    setup.accepts_new().await;
    assert_eq!(setup.fetches(), 2);
    // From here on it is as ever.
    setup.issuer.rotate_keeping_old();
    let next = setup.issuer.token().mint();
    setup.refuses(&next, &Refusal::tok(stranger())).await;
    assert_eq!(setup.fetches(), 2);
}

#[tokio::test]
async fn te_16_a_redirect_is_not_followed() {
    let elsewhere = TestIssuer::serve().await.unwrap();
    for is_discovery in [true, false] {
        let setup = Setup::new(Keys::discovery(HOUR)).await;
        let redirect = Fault::Redirect(elsewhere.jwks_url());
        match is_discovery {
            true => setup.issuer.set_discovery_fault(redirect),
            false => setup.issuer.set_jwks_fault(redirect),
        }
        setup
            .refuses(&setup.issuer.token().mint(), &Refusal::down(30))
            .await;
    }
    assert_eq!(elsewhere.requests(), Requests::default());
}

#[tokio::test]
async fn te_19_td_29_metadata_of_another_issuer_are_refused() {
    let clock = FakeClock::new();
    for announced in ["https://idp.example.com", "http://127.0.0.1", ""] {
        let issuer = TestIssuer::builder()
            .clock(Arc::new(clock.clone()))
            .discovery_issuer(announced)
            .serve()
            .await
            .unwrap();
        let auth = BearerAuth::builder(policy(&issuer), Keys::discovery(HOUR))
            .clock(Arc::new(clock.clone()))
            .build()
            .unwrap();
        let token = issuer.token().mint();
        refuses(&auth, &Refusal::down(30), &token, |request| {
            request.header("authorization", bearer(&token))
        })
        .await;
        assert_eq!(
            issuer.requests(),
            Requests {
                discovery: 1,
                jwks: 0,
                ..Requests::default()
            }
        );
    }
}

fn metadata(issuer: &TestIssuer, jwks_uri: &str) -> Fault {
    let metadata = json!({"issuer": issuer.issuer(), "jwks_uri": jwks_uri});
    Fault::Body("application/json".into(), metadata.to_string().into_bytes())
}

#[tokio::test]
async fn te_19_keys_on_another_host_have_to_be_allowed() {
    let elsewhere = TestIssuer::serve().await.unwrap();
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    setup
        .issuer
        .set_discovery_fault(metadata(&setup.issuer, &elsewhere.jwks_url()));
    setup
        .refuses(&setup.issuer.token().mint(), &Refusal::down(30))
        .await;
    assert_eq!(elsewhere.requests().jwks, 0);

    let allowed = Setup::new(Keys::discovery(HOUR).allow_host("127.0.0.1")).await;
    elsewhere.set_jwks(allowed.issuer.jwks());
    allowed
        .issuer
        .set_discovery_fault(metadata(&allowed.issuer, &elsewhere.jwks_url()));
    allowed.accepts_new().await;
    assert_eq!((elsewhere.requests().jwks, allowed.fetches()), (1, 0));
}

#[rstest]
#[case("http://idp.example.com/jwks")]
#[case("ftp://127.0.0.1/jwks")]
#[case("file:///etc/passwd")]
#[case("http://169.254.169.254/jwks")]
#[case("jwks")]
#[case("")]
#[tokio::test]
async fn te_16_te_19_the_address_of_the_keys_has_to_be_secure(#[case] jwks_uri: &str) {
    let setup = Setup::new(Keys::discovery(HOUR).allow_host("169.254.169.254")).await;
    setup
        .issuer
        .set_discovery_fault(metadata(&setup.issuer, jwks_uri));
    setup
        .refuses(&setup.issuer.token().mint(), &Refusal::down(30))
        .await;
    assert_eq!(
        setup.issuer.requests(),
        Requests {
            discovery: 1,
            jwks: 0,
            ..Requests::default()
        }
    );
}

#[tokio::test]
async fn te_28_an_issuer_that_is_not_configured_is_not_asked() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    let other = TestIssuer::serve().await.unwrap();
    let refusal = Refusal::tok(TokenFault::IssuerUnknown);
    setup.refuses(&other.token().mint(), &refusal).await;
    assert_eq!(other.requests(), Requests::default());
    assert_eq!(setup.fetches(), 1);
}

#[tokio::test]
async fn tb_35_te_29_two_issuers_with_one_address_have_their_own_keys() {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    let url = setup.issuer.jwks_url();
    let keys = || Keys::jwks_url(&*url, HOUR);
    let other = TokenPolicy::new("http://127.0.0.1:9/other", AUDIENCE).danger_allow_http_loopback();
    let auth = BearerAuth::builder(policy(&setup.issuer), keys())
        .issuer(other, keys())
        .clock(Arc::new(setup.clock.clone()))
        .build()
        .unwrap();
    for (iss, fetches) in [(setup.issuer.issuer(), 1), ("http://127.0.0.1:9/other", 2)] {
        let token = setup.issuer.token().claim("iss", iss).mint();
        let request = Request::get("/").header("authorization", bearer(&token));
        let answer = send(&auth, request.body(String::new()).unwrap()).await;
        answer.passed();
        assert_eq!(setup.fetches(), fetches);
    }
}

#[tokio::test]
async fn one_issuer_that_is_away_does_not_concern_the_other() {
    let (up, down) = (
        Setup::new(Keys::discovery(HOUR)).await,
        Setup::new(Keys::discovery(HOUR)).await,
    );
    down.issuer.shutdown().await;
    let auth = BearerAuth::builder(policy(&up.issuer), Keys::discovery(HOUR))
        .issuer(policy(&down.issuer), Keys::discovery(HOUR))
        .clock(Arc::new(up.clock.clone()))
        .build()
        .unwrap();
    let away = auth.ready().await.unwrap_err();
    assert_eq!(away.issuers(), [down.issuer.issuer()]);
    assert!(away.to_string().contains(down.issuer.issuer()));
    let both = Setup {
        clock: up.clock.clone(),
        issuer: up.issuer.clone(),
        auth,
    };
    both.accepts_new().await;
    both.ask(&down.issuer.token().mint())
        .await
        .refused(Protocol::Http, &Refusal::down(30));
}

#[tokio::test]
async fn a_service_starts_without_its_issuer() {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    setup.issuer.set_fault(Fault::Status(502));
    assert!(setup.auth.ready().await.is_err());
    setup
        .refuses(&setup.issuer.token().mint(), &Refusal::down(30))
        .await;
    setup.issuer.clear_fault();
    setup.clock.advance(COOLDOWN);
    setup.accepts_new().await;
}

#[tokio::test]
async fn td_11_the_age_of_keys_is_not_read_off_the_wall() {
    let setup = Setup::warm(Keys::discovery(OnOutage::FailClosed)).await;
    let noon = setup.clock.wall();
    for secs in [-31_536_000, 31_536_000] {
        setup
            .clock
            .set_wall(gateless::Timestamp::from_secs(noon.as_secs() + secs));
        setup.accepts_new().await;
    }
    assert_eq!(setup.fetches(), 1);
}

/// A file of its own, removed at the end.
struct File(PathBuf);

impl File {
    fn new(name: &str, jwks: &Value) -> Self {
        let name = format!("gateless-tests-{}-{name}.json", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.write(jwks.to_string());
        file
    }

    fn write(&self, content: impl AsRef<[u8]>) {
        std::fs::write(&self.0, content).unwrap();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn from_file(name: &str) -> (Setup, File) {
    let clock = FakeClock::new();
    let issuer = TestIssuer::builder().clock(Arc::new(clock.clone())).build();
    let file = File::new(name, &issuer.jwks());
    let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE);
    let auth = BearerAuth::builder(policy, Keys::file(&file.0))
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    (
        Setup {
            clock,
            issuer,
            auth,
        },
        file,
    )
}

#[tokio::test]
async fn te_14_a_replaced_file_is_read_for_the_first_token_of_a_new_key() {
    let (setup, file) = from_file("rotated").await;
    setup.accepts_new().await;
    let old = setup.issuer.token().mint();
    setup.issuer.rotate();
    let new = setup.issuer.token().mint();
    setup.refuses(&new, &Refusal::tok(stranger())).await;
    file.write(setup.issuer.jwks().to_string());
    setup.refuses(&new, &Refusal::tok(stranger())).await;
    setup.clock.advance(COOLDOWN);
    setup.accepts(&new).await;
    setup.refuses(&old, &Refusal::tok(stranger())).await;
}

#[tokio::test]
async fn te_10_a_file_that_cannot_be_used_leaves_the_keys_as_they_are() {
    let (setup, file) = from_file("spoiled").await;
    for content in ["", "{\"keys\":[]}", "not JSON"] {
        file.write(content);
        setup.clock.advance(LIFETIME);
        setup.accepts_new().await;
        // Waits until the file has been read, and failed.
        setup
            .refuses(
                &setup.issuer.token().header("kid", "x").mint(),
                &Refusal::down(30),
            )
            .await;
        setup.accepts_new().await;
    }
    std::fs::remove_file(&file.0).unwrap();
    setup.clock.advance(Duration::from_secs(86_400));
    setup.accepts_new().await;
}

#[tokio::test]
async fn a_file_has_to_be_there_when_the_layer_is_built() {
    let policy = TokenPolicy::new("https://idp.example.com", AUDIENCE);
    let error = BearerAuth::builder(policy, Keys::file("/nowhere/jwks.json")).build();
    let error = error.unwrap_err();
    assert_eq!(error.faults()[0].setting(), "keys");
    assert!(error.to_string().contains("/nowhere/jwks.json"), "{error}");
}
