//! TE-13 and what is around it: keys thrown away and refused by hand, and what an operator is told of them.

use std::time::Duration;

use gateless::TokenFault;
use gateless::bearer::{BearerAuth, KeyState, Keys};
use gateless_testkit::{FakeClock, Fault, Recorder, SigningAlgorithm, TestIssuer};
use http::Request;
use serde_json::json;
use tower::{Layer as _, ServiceExt as _};

use crate::logs;
use crate::served::{COOLDOWN, HOUR, LIFETIME, Setup, at_once, policy, stranger};
use crate::support::{self, Protocol, Refusal, bearer};

fn refused() -> Refusal {
    Refusal::tok(TokenFault::KeyRefused)
}

#[tokio::test]
async fn te_13_purged_keys_are_an_outage_until_there_are_new_ones() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    // Its facts are remembered, and that does not help it.
    let token = setup.issuer.token().mint();
    setup.accepts(&token).await;
    setup.issuer.set_jwks_fault(Fault::Status(500));
    assert!(setup.handle().purge_keys(setup.issuer.issuer()));
    assert!(!setup.handle().is_ready());
    support::refuses(&setup.auth, &Refusal::down(30), &token, |request| {
        request.header("authorization", bearer(&token))
    })
    .await;
    setup.issuer.clear_fault();
    setup.clock.advance(COOLDOWN);
    setup.accepts(&token).await;
    assert!(setup.handle().is_ready());
}

#[tokio::test]
async fn te_13_requests_wait_for_the_keys_after_a_purge() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    let token = setup.issuer.token().mint();
    setup.accepts(&token).await;
    setup.issuer.set_jwks_fault(Fault::Hang);
    assert!(setup.handle().purge_keys(setup.issuer.issuer()));
    let request = Request::get("/").header("authorization", bearer(&token));
    let service = setup.auth.layer(Recorder::new());
    let waits = tokio::spawn(service.oneshot(request.body(String::new()).unwrap()));
    setup.fetched(2).await;
    assert!(!waits.is_finished());
    setup.issuer.clear_fault();
    assert_eq!(waits.await.unwrap().unwrap().status(), 200);
    // The fetch that the purge began was enough.
    assert_eq!(setup.fetches(), 2);
}

#[tokio::test]
async fn te_13_what_was_asked_for_before_a_purge_is_not_used() {
    logs::capture();
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    let attacker = TestIssuer::builder().issuer(setup.issuer.issuer()).build();
    let now = FakeClock::START.as_secs();
    let forged = attacker
        .token()
        .claim("iat", now)
        .claim("exp", now + 3600)
        .mint();
    setup.issuer.set_jwks_fault(Fault::Hang);
    setup.clock.advance(LIFETIME / 5 * 4);
    setup.accepts_new().await;
    setup.fetched(2).await;

    // The next one gets no further than the metadata.
    setup.issuer.set_discovery_fault(Fault::Hang);
    assert!(setup.handle().purge_keys(setup.issuer.issuer()));
    logs::take();
    let jwks = attacker.jwks().to_string().into_bytes();
    setup
        .issuer
        .set_jwks_fault(Fault::Body("application/json".into(), jwks));
    setup
        .until(|| logs::take().contains("keys that were asked for before a purge are not used"))
        .await;
    assert_eq!(setup.status().state(), KeyState::Missing);
    assert!(at_once(setup.ask(&forged)).is_none(), "decided by old keys");

    setup.issuer.clear_fault();
    setup.refuses(&forged, &Refusal::tok(stranger())).await;
    setup.accepts_new().await;
}

#[tokio::test]
async fn te_13_who_waits_for_readiness_after_a_purge_waits_for_the_new_keys() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    setup.issuer.set_jwks_fault(Fault::Hang);
    setup.clock.advance(LIFETIME / 5 * 4);
    setup.accepts_new().await;
    setup.fetched(2).await;
    setup.issuer.set_discovery_fault(Fault::Hang);
    assert!(setup.handle().purge_keys(setup.issuer.issuer()));
    let handle = setup.handle().clone();
    let ready = tokio::spawn(async move { handle.ready().await });
    tokio::task::yield_now().await;
    // What comes now is too late, and no answer to anybody.
    setup.issuer.set_jwks_fault(Fault::Status(500));
    setup.settle().await;
    setup.issuer.clear_fault();
    assert_eq!(ready.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn te_13_only_keys_that_can_be_fetched_are_purged() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    assert!(!setup.handle().purge_keys("https://idp.example.com"));
    assert!(!setup.handle().purge_keys(""));
    setup.accepts_new().await;
    setup.settle().await;
    assert_eq!(setup.fetches(), 1);

    let fixed = support::auth();
    assert!(!fixed.handle().purge_keys(support::ISSUER));
    assert!(fixed.handle().is_ready());
    let token = support::issuer().token().mint();
    support::passes(&fixed, &token, |request| {
        request.header("authorization", bearer(&token))
    })
    .await;
}

/// Tokens of a key that is refused and of one that is not, as they have to be answered.
struct Pair {
    refused: String,
    kept: String,
}

impl Pair {
    fn mint(setup: &Setup) -> Self {
        let token = |algorithm| {
            let token = setup.issuer.token().algorithm(algorithm);
            token.expires_in(7200).mint()
        };
        Self {
            refused: token(SigningAlgorithm::Rs256),
            kept: token(SigningAlgorithm::EdDsa),
        }
    }

    async fn stays_refused(&self, setup: &Setup) {
        for _ in 0..2 {
            setup.refuses(&self.refused, &refused()).await;
            setup.accepts(&self.kept).await;
        }
        let Self { refused: new, kept } = Self::mint(setup);
        setup.refuses(&new, &refused()).await;
        setup.accepts(&kept).await;
    }
}

#[tokio::test]
async fn te_13_a_refused_key_is_refused_from_the_next_request_on_and_for_good() {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    setup.issuer.enable_etags();
    setup.auth.ready().await.unwrap();
    let issuer = setup.issuer.issuer().to_owned();
    let key_id = setup.issuer.kids().remove(0);
    // In the cache of verified tokens, both of them.
    let pair = Pair::mint(&setup);
    for token in [&pair.refused, &pair.kept, &pair.refused] {
        setup.accepts(token).await;
    }
    assert!(setup.handle().refuse_key(&issuer, &key_id));
    support::refuses(&setup.auth, &refused(), &pair.refused, |request| {
        request.header("authorization", bearer(&pair.refused))
    })
    .await;
    pair.stays_refused(&setup).await;
    assert_eq!(setup.fetches(), 1, "newer keys would not help");

    // The issuer says that nothing has changed, and that something has.
    setup.clock.advance(LIFETIME / 5 * 4);
    setup.accepts(&pair.kept).await;
    setup.renewed(2).await;
    assert_eq!(setup.issuer.not_modified(), 1);
    pair.stays_refused(&setup).await;
    setup.issuer.add_key(SigningAlgorithm::Es256);
    setup.clock.advance(LIFETIME / 5 * 4);
    setup.accepts(&pair.kept).await;
    setup.renewed(3).await;
    pair.stays_refused(&setup).await;

    // Even those who threw the keys away do not get it back, and see so meanwhile.
    assert!(setup.handle().refuse_key(&issuer, &key_id));
    assert!(setup.handle().purge_keys(&issuer));
    assert_eq!(setup.status().refused(), [Box::from(&*key_id)]);
    setup.renewed(4).await;
    pair.stays_refused(&setup).await;
    assert_eq!(setup.status().refused(), [Box::from(&*key_id)]);

    // The same store, and a new one.
    for (keys, fetches) in [
        (Keys::discovery(HOUR), 4),
        (Keys::discovery(HOUR).lifetime(LIFETIME / 2), 5),
    ] {
        let new = setup.builder(policy(&setup.issuer), keys);
        setup.handle().reload(new).await.unwrap();
        assert_eq!(setup.fetches(), fetches);
        assert_eq!(setup.status().refused(), [Box::from(&*key_id)]);
        pair.stays_refused(&setup).await;
    }
    assert!(
        !setup
            .handle()
            .refuse_key("https://idp.example.com", &key_id)
    );
}

#[tokio::test]
async fn te_13_a_refused_key_is_refused_also_for_tokens_that_do_not_name_it() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    let nameless = setup.issuer.token().without_header("kid").mint();
    setup.accepts(&nameless).await;
    let key_id = setup.issuer.kids().remove(0);
    assert!(setup.handle().refuse_key(setup.issuer.issuer(), &key_id));
    for _ in 0..2 {
        let answer = setup.ask(&nameless).await;
        assert_eq!(answer.status, 401);
        assert!(answer.reached.is_empty());
    }
}

#[tokio::test]
async fn te_13_a_key_can_be_refused_before_it_is_there() {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    let old = setup.issuer.jwks();
    let key_id = setup.issuer.add_key(SigningAlgorithm::EdDsa);
    setup.issuer.set_jwks(old);
    let leaked = setup
        .issuer
        .token()
        .algorithm(SigningAlgorithm::EdDsa)
        .expires_in(3600)
        .mint();
    // Even before there are any keys at all.
    assert!(setup.handle().refuse_key(setup.issuer.issuer(), &key_id));
    setup.auth.ready().await.unwrap();
    assert_eq!(setup.status().refused(), [Box::from(&*key_id)]);
    setup.refuses(&leaked, &refused()).await;
    setup.issuer.clear_jwks_override();
    setup.clock.advance(LIFETIME / 5 * 4);
    setup.accepts_new().await;
    setup.renewed(2).await;
    let shown = setup.status();
    assert!(shown.key_ids().iter().any(|id| **id == *key_id));
    setup.refuses(&leaked, &refused()).await;
    setup.accepts_new().await;
}

#[tokio::test]
async fn te_13_te_29_a_key_is_refused_for_one_issuer_only() {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    let url = setup.issuer.jwks_url();
    let other = "http://127.0.0.1:9/other";
    let theirs = gateless::bearer::TokenPolicy::new(other, support::AUDIENCE);
    let auth = setup
        .builder(policy(&setup.issuer), Keys::discovery(HOUR))
        .issuer(
            theirs.danger_allow_http_loopback(),
            Keys::jwks_url(url, HOUR),
        )
        .build()
        .unwrap();
    let both = Setup { auth, ..setup };
    let key_id = both.issuer.kids().remove(0);
    assert!(both.handle().refuse_key(both.issuer.issuer(), &key_id));
    both.refuses(&both.issuer.token().mint(), &refused()).await;
    let token = both.issuer.token().claim("iss", other).mint();
    both.accepts(&token).await;
}

#[tokio::test]
async fn te_07_te_08_te_09_the_status_says_how_the_keys_stand() {
    let setup = Setup::new(Keys::discovery(HOUR)).await;
    let issuer = setup.issuer.issuer();
    let shows = |state, is_ready, line: &str| {
        let status = setup.status();
        assert_eq!(status.issuer(), issuer);
        assert_eq!(status.to_string(), format!("{issuer}: {line}"));
        assert_eq!(status.state(), state);
        assert_eq!(setup.handle().is_ready(), is_ready);
    };
    shows(KeyState::Missing, false, "missing, 0 keys");
    assert_eq!(setup.status().age(), None);
    setup.settle().await;
    assert_eq!(setup.fetches(), 0, "asking fetches nothing");

    setup.auth.ready().await.unwrap();
    shows(KeyState::Fresh, true, "fresh, 3 keys, 0 s old");
    let ids: Vec<_> = setup
        .status()
        .key_ids()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(ids, setup.issuer.kids());

    setup.issuer.set_jwks_fault(Fault::Status(500));
    setup.clock.advance(LIFETIME - Duration::from_secs(1));
    setup.fails_to_renew().await;
    let failed = "last fetch failed: answered 500";
    shows(
        KeyState::Fresh,
        true,
        &format!("fresh, 3 keys, 599 s old, {failed}"),
    );
    setup.clock.advance(Duration::from_secs(1));
    shows(
        KeyState::Stale,
        true,
        &format!("stale, 3 keys, 600 s old, {failed}"),
    );
    setup.clock.advance(Duration::from_secs(3599));
    shows(
        KeyState::Stale,
        true,
        &format!("stale, 3 keys, 4199 s old, {failed}"),
    );
    setup.clock.advance(Duration::from_secs(1));
    shows(
        KeyState::Missing,
        false,
        &format!("missing, 3 keys, 4200 s old, {failed}"),
    );

    setup.issuer.clear_fault();
    setup.accepts_new().await;
    shows(KeyState::Fresh, true, "fresh, 3 keys, 0 s old");
    assert_eq!(setup.status().last_failure(), None);
    assert!(setup.handle().refuse_key(issuer, "leaked"));
    shows(KeyState::Fresh, true, "fresh, 3 keys, 0 s old, 1 refused");
    assert_eq!(
        [KeyState::Fresh, KeyState::Stale, KeyState::Missing].map(KeyState::name),
        ["fresh", "stale", "missing"]
    );
}

#[tokio::test]
async fn te_14_te_25_the_status_shows_new_keys_before_they_sign_and_those_that_cannot_be_used() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    let key_id = setup.issuer.add_key(SigningAlgorithm::Es256);
    let mut published = setup.issuer.jwks();
    let keys = published["keys"].as_array_mut().unwrap();
    keys.push(json!({"kty": "oct", "kid": "secret", "k": "AAAA"}));
    keys.push(json!({"kty": "AKP", "kid": "future"}));
    setup.issuer.set_jwks(published);
    setup.clock.advance(LIFETIME / 5 * 4);
    setup.accepts_new().await;
    setup.renewed(2).await;
    let status = setup.status();
    assert_eq!((status.keys(), status.skipped()), (4, 2));
    assert!(status.key_ids().iter().any(|id| **id == *key_id));
    assert!(!format!("{status:?} {status}").contains("secret"));
}

#[tokio::test]
async fn te_09_one_issuer_without_keys_is_not_ready_and_both_are_shown_in_order() {
    let (up, down) = (
        Setup::new(Keys::discovery(HOUR)).await,
        Setup::new(Keys::discovery(HOUR)).await,
    );
    down.issuer.set_fault(Fault::Status(502));
    let auth = BearerAuth::builder(policy(&up.issuer), Keys::discovery(HOUR))
        .issuer(policy(&down.issuer), Keys::discovery(HOUR))
        .clock(std::sync::Arc::new(up.clock.clone()))
        .build()
        .unwrap();
    assert!(auth.ready().await.is_err());
    let states: Vec<_> = auth
        .handle()
        .key_status()
        .iter()
        .map(|status| (status.issuer().to_owned(), status.state()))
        .collect();
    let expected = [
        (up.issuer.issuer().to_owned(), KeyState::Fresh),
        (down.issuer.issuer().to_owned(), KeyState::Missing),
    ];
    assert_eq!(states, expected);
    assert!(!auth.handle().is_ready());
    down.issuer.clear_fault();
    up.clock.advance(COOLDOWN);
    auth.ready().await.unwrap();
    assert!(auth.handle().is_ready());
}

#[test]
fn fixed_keys_are_always_fresh() {
    let auth = support::auth();
    let [status] = <[_; 1]>::try_from(auth.handle().key_status()).unwrap();
    assert_eq!((status.state(), status.keys()), (KeyState::Fresh, 3));
    let key_id = support::issuer().kids().remove(0);
    assert!(auth.handle().refuse_key(support::ISSUER, &key_id));
    let token = support::issuer().token().mint();
    let request = Request::get("/").header("authorization", bearer(&token));
    let answer = at_once(support::send(&auth, request.body(String::new()).unwrap())).unwrap();
    answer.refused(Protocol::Http, &refused());
}
