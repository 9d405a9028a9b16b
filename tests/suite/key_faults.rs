//! TE: issuers that misbehave, floods that would have keys fetched, and addresses that are not reached.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
use gateless_testkit::{FakeClock, Fault, Recorder, TestIssuer, Unforgiving};
use http::Request;
use rstest::rstest;
use serde_json::json;
use tokio::net::TcpListener;
use tower::{Layer as _, ServiceExt as _};
use tracing::subscriber::{NoSubscriber, set_default};

use crate::served::{COOLDOWN, HOUR, LIFETIME, Setup, at_once, policy, stranger};
use crate::sockets::{self, listen};
use crate::support::{AUDIENCE, Protocol, Refusal, bearer};

/// An outage, whatever it says of how long it lasts: 503, never 401.
async fn is_down(setup: &Setup, token: &str) {
    let answer = setup.ask(token).await;
    let after = answer.headers.get("retry-after").expect("503");
    let after: u64 = after.to_str().unwrap().parse().unwrap();
    assert!((1..=30).contains(&after), "{after}");
    answer.refused(Protocol::Http, &Refusal::down(after));
}

/// Good keys stay in place whatever is answered, and where there are none it is an outage.
async fn withstands(keys: Keys, fault: Fault, says: &str) {
    let setup = Setup::warm(keys.clone()).await;
    setup.issuer.set_jwks_fault(fault);
    setup.clock.advance(LIFETIME);
    setup.accepts_new().await;
    // Waits for the fetch that the one before began.
    is_down(&setup, &setup.issuer.token().header("kid", "x").mint()).await;
    setup.accepts_new().await;

    let auth = setup.builder(policy(&setup.issuer), keys).build().unwrap();
    let cold = Setup { auth, ..setup };
    is_down(&cold, &cold.issuer.token().mint()).await;
    assert!(cold.auth.ready().await.is_err());
    let failure = cold.status().last_failure().map(str::to_owned);
    assert_eq!(failure.as_deref(), Some(says));
    assert_eq!(cold.status().keys(), 0);
    // And it heals.
    cold.issuer.clear_fault();
    cold.clock.advance(COOLDOWN);
    cold.accepts_new().await;
}

/// A paused runtime moves its time when nothing else is left to do: what would take minutes is over at once.
#[rstest]
#[case::drip(Fault::Drip { every: Duration::from_millis(500) })]
#[case::slow(Fault::Slow(Duration::from_secs(3)))]
#[case::silent(Fault::Hang)]
#[tokio::test(start_paused = true)]
async fn te_15_tm_12_an_answer_that_takes_too_long_is_none(#[case] fault: Fault) {
    let keys = Keys::discovery(HOUR).timeout(Duration::from_secs(2));
    withstands(keys, fault, "no answer in time").await;
}

#[tokio::test]
async fn te_15_an_answer_without_an_end_is_none() {
    let keys = Keys::discovery(HOUR);
    withstands(keys, Fault::Endless, "answered more than 524288 bytes").await;
}

#[tokio::test]
async fn te_15_nothing_is_decompressed() {
    let issuer = TestIssuer::new();
    for spaces in [0, 10 * 1024 * 1024] {
        let body = gzip(issuer.jwks().to_string().as_bytes(), spaces);
        assert!(body.len() < 128 * 1024);
        let fault = Fault::Encoded {
            encoding: "gzip".into(),
            body,
        };
        withstands(
            Keys::discovery(HOUR),
            fault,
            "the document is not a JWK set",
        )
        .await;
    }
}

/// `text`, and `spaces` behind it, as RFC 1952 and RFC 1951 have it.
fn gzip(text: &[u8], spaces: usize) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    // As it is: a block of type 0, and not the last one.
    let length = u16::try_from(text.len()).unwrap();
    packed.push(0);
    packed.extend(length.to_le_bytes());
    packed.extend((!length).to_le_bytes());
    packed.extend(text);
    // The last one, of type 1: a space, and then as many as there are 258 bytes from one byte before.
    let mut bits = vec![true, true, false];
    let mut code = |value: u32, length: u32| {
        bits.extend((0..length).rev().map(|bit| value >> bit & 1 == 1));
    };
    let repeats = spaces / 258;
    if repeats > 0 {
        code(0x50, 8);
    }
    for _ in 0..repeats {
        code(0b1100_0101, 8);
        code(0, 5);
    }
    code(0, 7);
    packed.extend(bits.chunks(8).map(|byte| {
        let bits = byte.iter().enumerate();
        bits.fold(0_u8, |byte, (place, bit)| byte | u8::from(*bit) << place)
    }));
    let total = text.len() + if repeats > 0 { 1 + 258 * repeats } else { 0 };
    let plain = text.iter().copied().chain(std::iter::repeat(b' '));
    let sum = plain.take(total).fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            sum >> 1 ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    });
    packed.extend((!sum).to_le_bytes());
    packed.extend(u32::try_from(total).unwrap().to_le_bytes());
    packed
}

#[tokio::test]
async fn te_01_te_12_an_issuer_that_rotates_with_each_fetch_is_asked_once_per_cooldown() {
    let clock = FakeClock::new();
    let issuer = TestIssuer::builder().clock(Arc::new(clock.clone())).build();
    let asked = Arc::<AtomicU64>::default();
    let churn = {
        let (issuer, asked) = (issuer.clone(), Arc::clone(&asked));
        move || async move {
            asked.fetch_add(1, Ordering::Relaxed);
            issuer.rotate();
            axum::Json(issuer.jwks())
        }
    };
    let address = sockets::serve(Router::new().route("/jwks", get(churn))).await;
    let keys = Keys::jwks_url(format!("http://{address}/jwks"), HOUR);
    let auth = BearerAuth::builder(policy(&issuer), keys)
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let setup = Setup {
        clock,
        issuer,
        auth,
    };
    // The first keys are needed for anything at all.
    let mut orphan = setup.issuer.token().expires_in(3600).mint();
    setup.auth.ready().await.unwrap();
    for fetches in 2..=5 {
        setup.refuses(&orphan, &Refusal::tok(stranger())).await;
        for _ in 0..20 {
            setup.accepts_new().await;
            setup.refuses(&orphan, &Refusal::tok(stranger())).await;
        }
        assert_eq!(asked.load(Ordering::Relaxed), fetches);
        orphan = setup.issuer.token().expires_in(3600).mint();
        setup.accepts(&orphan).await;
        setup.issuer.rotate();
        let lost = setup.issuer.token().mint();
        setup.refuses(&lost, &Refusal::tok(stranger())).await;
        setup.accepts(&orphan).await;
        setup.clock.advance(COOLDOWN);
        orphan = lost;
    }
}

/// A token with a key id that nobody has; what it says otherwise is that of `good`.
fn junk(good: &str, kid: &str) -> String {
    let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": kid}).to_string();
    let (_, rest) = good.split_once('.').unwrap();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))
}

#[tokio::test]
async fn te_01_te_03_a_hundred_thousand_kids_cause_one_fetch_per_cooldown() {
    // Others in this process have everything logged.
    let _silent = set_default(NoSubscriber::default());
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    let good = setup.issuer.token().expires_in(3600).mint();
    let inner = Unforgiving::new();
    let service = setup.auth.layer(inner.clone());
    for cooldowns in 1..=5 {
        for number in 0..20_000 {
            let token = junk(&good, &format!("{cooldowns}-{number}"));
            let request = Request::get("/").header("authorization", bearer(token));
            let request = request.body(String::new()).unwrap();
            let answer = service.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 401);
        }
        assert_eq!(setup.fetches(), 1 + cooldowns);
        setup.clock.advance(COOLDOWN);
    }
    assert_eq!(inner.calls(), 0);
    // Nothing was held against any of them: what was unknown is known as soon as it is there.
    setup.issuer.rotate_keeping_old();
    setup.accepts_new().await;
}

#[tokio::test]
async fn te_01_te_07_a_known_key_does_not_wait_behind_a_flood() {
    let setup = Setup::warm(Keys::discovery(HOUR)).await;
    setup.issuer.set_fault(Fault::Hang);
    let good = setup.issuer.token().mint();
    let mut flood = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let token = junk(&good, &format!("flood-{number}"));
        let request = Request::get("/").header("authorization", bearer(token));
        let service = setup.auth.layer(Recorder::new());
        flood.spawn(service.oneshot(request.body(String::new()).unwrap()));
    }
    setup.until(|| setup.issuer.requests().discovery == 2).await;
    // One that was seen before, and one that was not.
    for token in [good.clone(), setup.issuer.token().mint(), good] {
        let answer = at_once(setup.ask(&token)).expect("decided at once");
        answer.passed();
    }
    assert_eq!(flood.len(), 1000);
    setup.issuer.clear_fault();
    while let Some(answer) = flood.join_next().await {
        assert_eq!(answer.unwrap().unwrap().status(), 401);
    }
    assert_eq!(setup.fetches(), 2);
}

/// Counts who connects, and hangs up.
async fn doorbell() -> (SocketAddr, Arc<AtomicU64>) {
    let (listener, address) = listen().await;
    let rung = Arc::<AtomicU64>::default();
    let count = Arc::clone(&rung);
    tokio::spawn(async move {
        while let Ok((stream, _)) = TcpListener::accept(&listener).await {
            count.fetch_add(1, Ordering::Relaxed);
            drop(stream);
        }
    });
    (address, rung)
}

#[rstest]
#[case::te_17_by_name("localhost")]
#[case::te_16_by_address("127.0.0.1")]
#[case::te_16_by_a_mapped_address("[::ffff:127.0.0.1]")]
#[case::te_16_by_a_number("2130706433")]
#[tokio::test]
async fn te_16_te_17_a_private_address_is_not_connected_to_unless_allowed(#[case] host: &str) {
    let (address, rung) = doorbell().await;
    let issuer = format!("https://{host}:{}", address.port());
    let jwks = format!("{issuer}/jwks");
    for (keys, is_allowed) in [
        (Keys::discovery(HOUR), false),
        (Keys::jwks_url(&*jwks, HOUR), false),
        (Keys::discovery(HOUR).allow_private_addresses(), true),
        (Keys::jwks_url(&*jwks, HOUR).allow_private_addresses(), true),
    ] {
        let before = rung.load(Ordering::Relaxed);
        let auth = BearerAuth::builder(TokenPolicy::new(&*issuer, AUDIENCE), keys)
            .clock(Arc::new(FakeClock::new()))
            .build()
            .unwrap();
        assert!(auth.ready().await.is_err());
        // The accepting task may need a moment of its own.
        sockets::exchange(address, "").await;
        let connections = rung.load(Ordering::Relaxed) - before - 1;
        let statuses = auth.handle().key_status();
        let failure = statuses[0].last_failure().unwrap();
        assert_eq!(connections > 0, is_allowed, "{failure}");
        assert_eq!(
            failure.contains("`allow_private_addresses` is not set"),
            !is_allowed,
            "{failure}"
        );
    }
}

#[rstest]
#[case("https://10.0.0.1/jwks")]
#[case("https://[fd00::1]/jwks")]
#[case("https://[::ffff:c0a8:1]/jwks")]
#[case("https://169.254.169.254/latest/meta-data")]
#[tokio::test]
async fn te_16_metadata_lead_to_no_private_address(#[case] jwks_uri: &str) {
    let host = jwks_uri.split('/').nth(2).unwrap();
    let setup = Setup::new(Keys::discovery(HOUR).allow_host(host)).await;
    let metadata = json!({"issuer": setup.issuer.issuer(), "jwks_uri": jwks_uri});
    setup.issuer.set_discovery_fault(Fault::Body(
        "application/json".into(),
        metadata.to_string().into_bytes(),
    ));
    setup
        .refuses(&setup.issuer.token().mint(), &Refusal::down(30))
        .await;
    let status = setup.status();
    let failure = status.last_failure().unwrap();
    assert!(failure.contains("`allow_private_addresses`"), "{failure}");
}
