//! Guessed tokens, in every protocol, and behind every kind of authentication.

use std::net::IpAddr;

use gateless::gate::Head;
use gateless::limit::{FailureLimit, Knowledge, KnownTokens, Peer, PeerAddress, TrustedProxies};
use gateless::{Quota, Rejection};
use gateless_testkit::TestIssuer;
use http::request::Builder as RequestBuilder;

use super::*;
use crate::support::{Refusal, send};

const TEN: Quota = Quota::per_minute(10);

/// A failure limit around an authentication.
struct Gate {
    clock: FakeClock,
    limit: FailureLimit,
    layer: Stack<BearerAuth, FailureLimit>,
}

impl Gate {
    fn new(peer: Peer) -> Self {
        let world = World::new();
        let auth = world.auth();
        let limit = RateLimit::failures(TEN, auth.handle().clone())
            .peer(peer)
            .clock(Arc::new(world.clock.clone()))
            .build()
            .unwrap();
        Self {
            clock: world.clock,
            limit: limit.clone(),
            layer: Stack::new(auth, limit),
        }
    }

    async fn ask(
        &self,
        protocol: Protocol,
        from: &str,
        token: &str,
        change: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Answer {
        let address: IpAddr = from.parse().unwrap();
        let request = presenting(token)(protocol.request()).extension(PeerAddress(address));
        send(&self.layer, change(request).body(String::new()).unwrap()).await
    }

    async fn status(&self, from: &str, token: &str) -> u16 {
        let answer = self
            .ask(Protocol::Http, from, token, |request| request)
            .await;
        answer.status.as_u16()
    }

    /// Guesses until it has to wait, and says how often that was.
    async fn guess(&self, from: &str) -> usize {
        for number in 0..1000 {
            if self.status(from, &format!("guess-{number}")).await == 429 {
                return number;
            }
        }
        panic!("nobody stops it");
    }
}

#[tokio::test]
async fn tk_15_tf_13_whoever_guesses_is_slowed_down_before_anybody_looks_in_every_protocol() {
    let gate = Gate::new(Peer::connection());
    assert_eq!(gate.guess("192.0.2.7").await, 10);
    for protocol in Protocol::ALL {
        let guess = "guess-that-nobody-looks-at";
        let answer = gate
            .ask(protocol, "192.0.2.7", guess, |request| request)
            .await;
        let secs = answer
            .rejection
            .as_ref()
            .and_then(Rejection::retry_after_secs);
        // A guess in six seconds, and a second or more to spread them.
        let secs = secs.unwrap();
        assert!((6..=8).contains(&secs), "{secs}");
        answer.refused(protocol, &Refusal::rate("failures", secs));
        answer.keeps(guess);
        answer.keeps("192.0.2.7");
    }
    // Elsewhere nobody notices.
    assert_eq!(gate.status("192.0.2.8", "guess-1").await, 401);
}

#[tokio::test]
async fn tk_16_neighbours_behind_the_same_address_are_not_locked_out() {
    let gate = Gate::new(Peer::connection());
    let (known, new) = (token_of("user-1").mint(), token_of("user-2").mint());
    assert_eq!(gate.status("192.0.2.7", &known).await, 200);
    // One stale token sent again and again, and many that have expired.
    for _ in 0..200 {
        assert_eq!(gate.status("192.0.2.7", "stale").await, 401);
    }
    for number in 0..200 {
        let expired = token_of(&format!("user-{number}"))
            .expires_in(-600)
            .issued_in(-900);
        assert_eq!(gate.status("192.0.2.7", &expired.mint()).await, 401);
    }
    assert_eq!(gate.guess("192.0.2.7").await, 9);
    // Known tokens go on in every protocol; a new one waits for as long as it is told, and requests without any do not.
    for protocol in Protocol::ALL {
        gate.ask(protocol, "192.0.2.7", &known, |request| request)
            .await
            .passed();
    }
    assert_eq!(gate.status("192.0.2.7", &new).await, 429);
    let nobody = Protocol::Http
        .request()
        .extension(PeerAddress("192.0.2.7".parse::<IpAddr>().unwrap()));
    let answer = send(&gate.layer, nobody.body(String::new()).unwrap()).await;
    assert_eq!(answer.rejection, Some(Rejection::CredentialsMissing));
    gate.clock.advance(Duration::from_secs(8));
    assert_eq!(gate.status("192.0.2.7", &new).await, 200);
}

#[tokio::test]
async fn tk_16_a_known_token_that_has_expired_or_whose_policy_changed_is_not_known() {
    let gate = Gate::new(Peer::connection());
    let known = token_of("user-1").expires_in(60).mint();
    assert_eq!(gate.status("192.0.2.7", &known).await, 200);
    gate.clock.advance(Duration::from_secs(120));
    assert_eq!(gate.guess("192.0.2.7").await, 10);
    assert_eq!(gate.status("192.0.2.7", &known).await, 429);
}

#[tokio::test]
async fn tk_01_a_forwarded_address_of_the_clients_own_making_changes_nothing() {
    for peer in [
        Peer::connection(),
        Peer::connection().behind_proxies(TrustedProxies::hops(1).networks(["10.0.0.0/8"])),
    ] {
        let gate = Gate::new(peer);
        let mut refused = 0;
        for number in 0..40 {
            let spoofed = format!("198.51.100.{number}");
            let answer = gate
                .ask(
                    Protocol::Http,
                    "192.0.2.7",
                    &format!("guess-{number}"),
                    |request| {
                        request
                            .header("x-forwarded-for", &spoofed)
                            .header("forwarded", format!("for={spoofed}"))
                            .header("x-real-ip", &spoofed)
                    },
                )
                .await;
            refused += usize::from(answer.status == 429);
        }
        assert_eq!(refused, 30);
    }
}

#[tokio::test]
async fn tk_01_behind_a_proxy_only_what_the_proxy_wrote_counts() {
    let gate = Gate::new(Peer::connection().behind_proxies(TrustedProxies::hops(1)));
    let mut refused = 0;
    for number in 0..40 {
        let answer = gate
            .ask(
                Protocol::Http,
                "10.0.0.1",
                &format!("guess-{number}"),
                |request| {
                    // The client writes the first entries, in one line or in several.
                    request
                        .header("x-forwarded-for", format!("198.51.100.{number}, 10.9.9.9"))
                        .header("x-forwarded-for", "203.0.113.5")
                },
            )
            .await;
        refused += usize::from(answer.status == 429);
    }
    assert_eq!(refused, 30);
    // Another client of the same proxy.
    let other = gate.ask(Protocol::Http, "10.0.0.1", "guess", |request| {
        request.header("x-forwarded-for", "203.0.113.6")
    });
    assert_eq!(other.await.status, 401);
}

#[tokio::test]
async fn tk_02_the_addresses_of_one_ipv6_network_are_one_place() {
    let gate = Gate::new(Peer::connection());
    let mut refused = 0;
    for number in 0..40 {
        let from = format!("2001:db8:1:2:{number:x}:{number:x}::1");
        refused += usize::from(gate.status(&from, &format!("guess-{number}")).await == 429);
    }
    assert_eq!(refused, 30);
    assert_eq!(gate.status("2001:db8:1:3::1", "guess").await, 401);
}

#[tokio::test]
async fn tk_15_refusals_that_are_not_about_credentials_do_not_count() {
    struct Nothing;
    impl KnownTokens for Nothing {
        fn knows(&self, _: Head<'_>) -> Knowledge {
            Knowledge::Unknown
        }
    }
    let failures = RateLimit::failures(TEN, Nothing).build().unwrap();
    let world = World::new();
    let rate = world
        .builder(LimitKey::caller(), &[Quota::per_minute(1)])
        .build()
        .unwrap();
    let layer = Stack::new(Stack::new(rate, world.auth()), failures);
    let token = token_of("user-1").mint();
    for number in 0..40 {
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let request = presenting(&token)(Protocol::Http.request()).extension(PeerAddress(address));
        let answer = send(&layer, request.body(String::new()).unwrap()).await;
        let expected = if number == 0 { None } else { Some("requests") };
        assert_eq!(answer.rejection.as_ref().map(Rejection::reason), expected);
    }
}

#[tokio::test]
async fn tk_15_a_server_that_does_not_say_who_asks_is_set_up_wrongly() {
    let gate = Gate::new(Peer::connection());
    let token = token_of("user-1").mint();
    crate::support::refuses(
        &gate.layer,
        &Refusal::misordered(),
        &token,
        presenting(&token),
    )
    .await;
}

#[tokio::test]
async fn tf_13_a_guess_that_nobody_waits_for_counts_and_a_known_token_does_not() {
    use tower::{Layer as _, ServiceExt as _, service_fn};

    let gate = Gate::new(Peer::connection());
    let known = token_of("user-1").mint();
    assert_eq!(gate.status("192.0.2.7", &known).await, 200);
    // Behind a limit, an authentication that takes its time, as one does that has to ask.
    let slow = gate.limit.layer(service_fn(|_: http::Request<String>| {
        std::future::pending::<Result<http::Response<String>, std::convert::Infallible>>()
    }));
    let cancelled = async |token: &str| {
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let request = presenting(token)(Protocol::Http.request()).extension(PeerAddress(address));
        let request = slow.clone().oneshot(request.body(String::new()).unwrap());
        let waiting = tokio::time::timeout(Duration::ZERO, request).await;
        waiting.map(|answer| answer.unwrap().status().as_u16()).ok()
    };
    for _ in 0..30 {
        assert_eq!(cancelled(&known).await, None);
    }
    let mut looked_at = 0;
    for number in 0..100 {
        looked_at += usize::from(cancelled(&format!("guess-{number}")).await.is_none());
    }
    assert_eq!(looked_at, 10);
    assert_eq!(gate.status("192.0.2.7", "guess").await, 429);
    assert_eq!(gate.status("192.0.2.7", &known).await, 200);
}

#[tokio::test]
async fn tk_16_a_refused_token_that_nobody_waits_for_the_next_time_counts_once() {
    use tower::{Layer as _, ServiceExt as _, service_fn};

    let gate = Gate::new(Peer::connection());
    let slow = gate.limit.layer(service_fn(|_: http::Request<String>| {
        std::future::pending::<Result<http::Response<String>, std::convert::Infallible>>()
    }));
    for number in 0..5 {
        let token = format!("guess-{number}");
        assert_eq!(gate.status("192.0.2.7", &token).await, 401);
        // However the scheme is written.
        for scheme in ["Bearer", "bearer"] {
            let address: IpAddr = "192.0.2.7".parse().unwrap();
            let request = Protocol::Http.request().extension(PeerAddress(address));
            let request = request.header("authorization", format!("{scheme} {token}"));
            let request = slow.clone().oneshot(request.body(String::new()).unwrap());
            let waiting = tokio::time::timeout(Duration::ZERO, request).await;
            assert!(waiting.is_err(), "{number}");
        }
    }
    // Five of ten are left.
    for number in 5..11 {
        let expected = if number < 10 { 401 } else { 429 };
        let token = format!("guess-{number}");
        assert_eq!(gate.status("192.0.2.7", &token).await, expected, "{number}");
    }
}

#[tokio::test]
async fn inside_of_the_authentication_it_would_see_nothing_and_says_so() {
    let gate = Gate::new(Peer::connection());
    let layer = Stack::new(gate.limit.clone(), World::new().auth());
    let address: IpAddr = "192.0.2.7".parse().unwrap();
    let token = token_of("user-1").mint();
    let inside =
        |request: RequestBuilder| presenting(&token)(request).extension(PeerAddress(address));
    crate::support::refuses(&layer, &Refusal::misordered(), &token, inside).await;
}

#[tokio::test]
async fn tk_16_what_should_not_have_come_this_way_is_no_guess() {
    use gateless::bearer::{Credentials, CsrfDefence, TlsEvidence};

    let origins = CsrfDefence::Origins(vec!["https://app.example.com".into()]);
    let world = World::new();
    for credentials in [
        Credentials::new().require_tls(TlsEvidence::Connection),
        Credentials::new().cookie("session", origins),
    ] {
        let auth = crate::support::reading(credentials);
        let failures = RateLimit::failures(TEN, auth.handle().clone());
        let limit = failures
            .clock(Arc::new(world.clock.clone()))
            .build()
            .unwrap();
        let layer = Stack::new(auth, limit);
        for number in 0..40 {
            let token = token_of(&format!("user-{number}")).mint();
            let address: IpAddr = "192.0.2.7".parse().unwrap();
            let request = http::Request::post("/orders").extension(PeerAddress(address));
            let request = match number % 2 {
                0 => presenting(&token)(request),
                _ => request.header("cookie", format!("session={token}")),
            };
            let answer = send(&layer, request.body(String::new()).unwrap()).await;
            assert_ne!(answer.status, 429, "{number}");
        }
    }
}

#[tokio::test]
async fn tk_16_forged_tokens_of_one_key_are_as_many_guesses() {
    let gate = Gate::new(Peer::connection());
    let forger = TestIssuer::builder()
        .clock(Arc::new(gate.clock.clone()))
        .build();
    let mut statuses = Vec::new();
    for number in 0..12 {
        let forged = forger.token().subject(format!("user-{number}")).mint();
        statuses.push(gate.status("192.0.2.7", &forged).await);
    }
    assert_eq!(statuses, [[401; 10].as_slice(), &[429; 2]].concat());
}
