//! Guesses and honest mistakes, from one place and from many, through the layers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateless_core::{
    ConfigError, Dependency, PresentationFault, Quota, Rejection, Renderer, TokenFault, Wire,
};
use gateless_testkit::{FakeClock, Recorder, SigningAlgorithm, TestIssuer};
use http::{Request, Response};
use rstest::rstest;
use tower::{Layer as _, Service as _, ServiceExt as _};

use super::decide::{Meaning, meaning};
use super::*;
use crate::bearer::{BearerAuth, Keys, TokenPolicy};
use crate::gate::{CredentialFingerprint, Gate as _, Head};
use crate::known::Knowledge;
use crate::peer::{Peer, PeerAddress, TrustedProxies};

const AUDIENCE: &str = "https://api.example.com";
const HERE: &str = "192.0.2.7";

/// A service behind both layers: twenty failures a minute from one place.
struct World {
    clock: FakeClock,
    issuer: TestIssuer,
    auth: BearerAuth,
    limit: FailureLimit,
}

impl World {
    fn new() -> Self {
        Self::with(Peer::default())
    }

    fn with(peer: Peer) -> Self {
        let clock = FakeClock::new();
        let issuer = TestIssuer::builder().clock(Arc::new(clock.clone())).build();
        let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE);
        let keys = policy.read_keys(issuer.jwks().to_string().as_bytes());
        let auth = BearerAuth::builder(policy, Keys::fixed(keys.unwrap()))
            .clock(Arc::new(clock.clone()))
            .build()
            .unwrap();
        let limit = FailureLimit::builder(Quota::per_minute(20), auth.handle().clone())
            .peer(peer)
            .clock(Arc::new(clock.clone()))
            .build()
            .unwrap();
        Self {
            clock,
            issuer,
            auth,
            limit,
        }
    }

    fn good(&self) -> String {
        let token = self.issuer.token().algorithm(SigningAlgorithm::Es256);
        token.mint()
    }

    async fn send(&self, request: Request<String>) -> Response<()> {
        let service = self.limit.layer(self.auth.layer(Recorder::new()));
        service.oneshot(request).await.unwrap().map(|_| ())
    }

    async fn ask(&self, from: &str, token: &str) -> u16 {
        self.send(request(from, token)).await.status().as_u16()
    }

    /// So many guesses, of which no two are the same, and how many of them were looked at.
    async fn guess(&self, from: &str, guesses: u32) -> usize {
        let mut looked_at = 0;
        for guess in 0..guesses {
            match self.ask(from, &format!("another-{guess}")).await {
                401 => looked_at += 1,
                status => assert_eq!(status, 429),
            }
        }
        looked_at
    }
}

fn request(from: &str, token: &str) -> Request<String> {
    let mut request = Request::new(String::new());
    if !token.is_empty() {
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
    }
    let from: IpAddr = from.parse().unwrap();
    request.extensions_mut().insert(PeerAddress(from));
    request
}

fn retry_after(response: &Response<()>) -> Duration {
    let secs = response.headers()["retry-after"].to_str().unwrap();
    Duration::from_secs(secs.parse().unwrap())
}

#[tokio::test]
async fn tk_15_twenty_guesses_are_looked_at_and_then_only_tokens_that_are_known() {
    let world = World::new();
    let (known, stranger) = (world.good(), world.good());
    assert_eq!(world.ask(HERE, &known).await, 200);
    assert_eq!(world.guess(HERE, 30).await, 20);

    assert_eq!(world.ask(HERE, &known).await, 200, "known to be good");
    assert_eq!(world.ask(HERE, "").await, 401, "nothing to guess with");
    assert_eq!(world.ask("192.0.2.8", "guess").await, 401, "elsewhere");

    let refused = world.send(request(HERE, &stranger)).await;
    assert_eq!(refused.status(), 429);
    let excess = refused.extensions().get::<Rejection>().unwrap().excess();
    assert_eq!(excess.unwrap().kind().name(), "failures");
    let told = retry_after(&refused);
    assert!((3..=5).contains(&told.as_secs()), "{told:?}");
    world.clock.advance(told);
    assert_eq!(world.ask(HERE, &stranger).await, 200);

    // What is known is judged anew: it has expired meanwhile.
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(world.guess(HERE, 20).await, 20);
    assert_eq!(world.ask(HERE, &known).await, 429);
}

#[tokio::test]
async fn tk_15_a_caller_of_grpc_is_told_in_its_own_way() {
    let world = World::new();
    let ask = async |token: &str| {
        let mut request = request(HERE, token);
        let value = "application/grpc".parse().unwrap();
        request.headers_mut().insert("content-type", value);
        let response = world.send(request).await;
        assert_eq!(response.status(), 200);
        response.headers().get("grpc-status").cloned()
    };
    for guess in 0..20 {
        let status = ask(&format!("guess-{guess}")).await;
        assert_eq!(status.unwrap(), "16");
    }
    assert_eq!(ask("guess-20").await.unwrap(), "8");
}

#[tokio::test]
async fn tk_16_a_neighbour_with_a_broken_token_takes_one_unit() {
    let world = World::new();
    let broken = world.issuer.token().signature([1; 64]).mint();
    for _ in 0..1_000 {
        assert_eq!(world.ask(HERE, &broken).await, 401);
    }
    assert_eq!(world.guess(HERE, 30).await, 19);
    // It counts once more when the period is over.
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.ask(HERE, &broken).await, 401);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.ask(HERE, &broken).await, 401);
    assert_eq!(world.guess(HERE, 30).await, 19);
}

#[tokio::test]
async fn tk_16_tokens_that_their_issuer_made_are_no_guesses() {
    let world = World::new();
    let token = || {
        let token = world.issuer.token();
        token.algorithm(SigningAlgorithm::Es256)
    };
    for user in 0..1_000 {
        let expired = token().subject(format!("user-{user}")).expires_in(-60);
        assert_eq!(world.ask(HERE, &expired.mint()).await, 401);
    }
    let elsewhere = token().audience("https://other.example.com").mint();
    assert_eq!(world.ask(HERE, &elsewhere).await, 401);
    assert_eq!(world.ask(HERE, "").await, 401);
    assert_eq!(world.guess(HERE, 30).await, 20);
}

#[tokio::test]
async fn tk_02_addresses_of_one_network_share_their_failures() {
    let world = World::new();
    for guess in 0..25 {
        let from = format!("2001:db8:0:1::{guess:x}");
        let status = world.ask(&from, &format!("guess-{guess}")).await;
        assert_eq!(status, if guess < 20 { 401 } else { 429 }, "{guess}");
    }
    assert_eq!(world.ask("2001:db8:0:2::1", "guess").await, 401);
}

#[tokio::test]
async fn tk_01_a_made_up_field_is_no_other_place() {
    let behind = Peer::connection().behind_proxies(TrustedProxies::hops(1));
    for (peer, chain) in [(Peer::connection(), ""), (behind, ", 203.0.113.9")] {
        let world = World::with(peer);
        for guess in 0..25 {
            let mut request = request("10.0.0.1", &format!("guess-{guess}"));
            let spoofed = format!("198.51.100.{guess}{chain}").parse().unwrap();
            request.headers_mut().insert("x-forwarded-for", spoofed);
            let status = world.send(request).await.status();
            assert_eq!(status, if guess < 20 { 401 } else { 429 }, "{guess}");
        }
    }
}

#[test]
fn tk_03_a_million_prefixes_take_no_more_room_than_was_said() {
    let limit = FailureLimit::builder(Quota::per_minute(20), Always(Knowledge::Unknown))
        .max_prefixes(4_096)
        .build()
        .unwrap();
    let rejection = TokenFault::Malformed.into();
    for prefix in 0..1_000_000_u64 {
        limit.0.note(limit.0.tagger.tag(&prefix), &rejection, None);
    }
    let held = limit.0.table.len();
    assert!((3_000..=4_096).contains(&held), "{held}");
}

/// Says the same of all credentials.
struct Always(Knowledge);

impl KnownTokens for Always {
    fn knows(&self, _: Head<'_>) -> Knowledge {
        self.0
    }
}

#[test]
fn only_refused_credentials_that_nobody_vouches_for_count() {
    let guesses = TokenFault::ALL
        .iter()
        .filter(|fault| !fault.proves_origin());
    let mut guesses: Vec<Rejection> = guesses.map(|fault| (*fault).into()).collect();
    let was_looked_at = |fault: &&PresentationFault| {
        !matches!(
            fault,
            PresentationFault::CrossSite | PresentationFault::Exposed
        )
    };
    let presented = PresentationFault::ALL.iter().filter(was_looked_at);
    guesses.extend(presented.map(|fault| (*fault).into()));
    for rejection in guesses {
        assert_eq!(meaning(&rejection), Meaning::Guess, "{rejection:?}");
    }
    for fault in TokenFault::ALL.iter().filter(|fault| fault.proves_origin()) {
        assert_eq!(meaning(&(*fault).into()), Meaning::Genuine, "{fault}");
    }
    let excess = gateless_core::Excess::new(gateless_core::ExcessKind::Requests, Duration::ZERO);
    for rejection in [
        Rejection::CredentialsMissing,
        PresentationFault::CrossSite.into(),
        PresentationFault::Exposed.into(),
        Rejection::CallerNotPermitted,
        Rejection::RouteUnknown,
        Rejection::RouteUndeclared,
        Rejection::PipelineMisordered,
        excess.into(),
        Rejection::DependencyUnavailable {
            dependency: Dependency::Introspection,
            retry_after: Duration::ZERO,
        },
    ] {
        assert_eq!(meaning(&rejection), Meaning::Nothing, "{rejection:?}");
    }
}

#[tokio::test]
async fn a_stage_that_leaves_no_fingerprint_counts_each_time() {
    let limit = FailureLimit::builder(Quota::per_minute(3), Always(Knowledge::Unknown));
    let service = limit.build().unwrap().layer(tower::service_fn(|_| async {
        let rejection = TokenFault::Malformed.into();
        let response = Renderer::default().render(&rejection, Wire::Http);
        Ok::<_, std::convert::Infallible>(response)
    }));
    for expected in [401, 401, 401, 429] {
        let response = service.clone().oneshot(request(HERE, "same")).await;
        assert_eq!(response.unwrap().status(), expected);
    }
}

#[tokio::test]
async fn requests_under_way_are_answered_and_owe_no_more_than_a_burst() {
    let world = World::new();
    let mut service = world.limit.layer(world.auth.layer(Recorder::new()));
    let mut answers = Vec::new();
    for guess in 0..50 {
        answers.push(service.call(request(HERE, &format!("guess-{guess}"))));
    }
    for answer in answers {
        assert_eq!(answer.await.unwrap().status(), 401);
    }
    assert_eq!(world.ask(HERE, "guess").await, 429);
    world.clock.advance(Duration::from_secs(3));
    assert_eq!(world.guess(HERE, 60).await, 1);
}

#[tokio::test]
async fn what_passes_is_not_touched() {
    let world = World::new();
    let inner = Recorder::new();
    let service = world.limit.layer(inner.clone());
    let response = service.oneshot(request(HERE, "token")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers().is_empty());
    let request = &inner.requests()[0];
    assert_eq!(request.headers["authorization"], "Bearer token");
}

#[tokio::test]
async fn without_an_address_the_deployment_is_at_fault() {
    let world = World::new();
    let response = world.send(Request::new(String::new())).await;
    assert_eq!(response.status(), 500);
    let rejection = response.extensions().get::<Rejection>();
    assert_eq!(rejection, Some(&Rejection::PipelineMisordered));
}

#[rstest]
#[case(
    FailureLimit::builder(Quota::per_minute(0), Always(Knowledge::Unknown)),
    "quota"
)]
#[case(few().max_prefixes(0), "max_prefixes is zero")]
#[case(few().max_prefixes(16_000_001), "max_prefixes is above")]
#[case(few().peer(Peer::connection().ipv6_prefix(0)), "ipv6_prefix")]
fn unusable_settings_are_named(#[case] builder: FailureLimitBuilder, #[case] says: &str) {
    let error: ConfigError = builder.build().unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
}

fn few() -> FailureLimitBuilder {
    FailureLimit::builder(Quota::per_minute(20), Always(Knowledge::Unknown))
}

#[tokio::test]
async fn a_handle_knows_the_tokens_that_were_accepted_for_as_long_as_they_would_be() {
    let world = World::new();
    let token = world.good();
    let broken = world.issuer.token().signature([1; 64]).mint();
    let knows = |token: &str| {
        let request = request(HERE, token);
        world.auth.handle().knows(Head::of(&request))
    };
    assert_eq!(knows(""), Knowledge::NoCredentials);
    assert_eq!(knows(&token), Knowledge::Unknown, "nothing is checked");
    for token in [&token, &broken] {
        world.ask(HERE, token).await;
    }
    assert_eq!(knows(&token), Knowledge::KnownGood);
    assert_eq!(knows(&broken), Knowledge::Unknown);
    assert_eq!(knows("not, well"), Knowledge::Unknown);
    // Of the token, which is signed by none of the others.
    let key = es256(&world.issuer);
    let handle = world.auth.handle();
    assert!(handle.refuse_key(world.issuer.issuer(), &key));
    assert_eq!(knows(&token), Knowledge::Unknown);
}

fn es256(issuer: &TestIssuer) -> String {
    let jwks = issuer.jwks();
    let mut keys = jwks["keys"].as_array().unwrap().iter();
    let key = keys.find(|key| key["kty"] == "EC").unwrap();
    key["kid"].as_str().unwrap().to_owned()
}

#[cfg(feature = "introspection")]
mod opaque {
    use gateless_core::OnOutage;

    use super::*;
    use crate::hybrid::HybridAuth;
    use crate::introspection::{
        ClientAuthentication, Endpoint, Introspection, IntrospectionPolicy, Secret,
    };

    fn introspection(issuer: &TestIssuer, clock: &FakeClock) -> Introspection {
        let secret = Secret::new(TestIssuer::CLIENT_SECRET);
        Introspection::builder(
            IntrospectionPolicy::new(issuer.issuer(), AUDIENCE).danger_allow_http_loopback(),
            Endpoint::discovery(OnOutage::FailClosed),
            ClientAuthentication::basic(TestIssuer::CLIENT_ID, secret),
        )
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap()
    }

    #[tokio::test]
    async fn tf_13_a_scan_reaches_the_authorization_server_as_often_as_the_quota_says() {
        let clock = FakeClock::new();
        let issuer = TestIssuer::builder().clock(Arc::new(clock.clone()));
        let issuer = issuer.serve().await.unwrap();
        let auth = introspection(&issuer, &clock);
        let limit = FailureLimit::builder(Quota::per_minute(20), auth.handle().clone())
            .clock(Arc::new(clock.clone()))
            .build()
            .unwrap();
        let ask = async |token: &str| {
            let service = limit.layer(auth.layer(Recorder::new()));
            let response = service.oneshot(request(HERE, token)).await.unwrap();
            response.status().as_u16()
        };
        let known = issuer.opaque_token().mint();
        assert_eq!(ask(&known).await, 200);
        let before = issuer.introspected().len();
        for _ in 0..100 {
            assert_eq!(ask("guess-0").await, 401, "the same one again");
        }
        for guess in 0..100 {
            let expected = if guess < 20 { 401 } else { 429 };
            assert_eq!(ask(&format!("guess-{guess}")).await, expected);
        }
        assert_eq!(issuer.introspected().len(), before + 20);
        assert_eq!(ask(&known).await, 200);
        // When the answer is not fresh any more, its server is asked again: the token is nobody's guess all the same.
        let request = request(HERE, &known);
        let knows = || auth.handle().knows(Head::of(&request));
        assert_eq!(knows(), Knowledge::KnownGood);
        clock.advance(Duration::from_secs(31));
        assert_eq!(knows(), Knowledge::KnownGood);
        for guess in 100..125 {
            ask(&format!("guess-{guess}")).await;
        }
        assert_eq!(ask("guess-125").await, 429);
        let before = issuer.introspected().len();
        assert_eq!(ask(&known).await, 200);
        assert_eq!(issuer.introspected().len(), before + 1);
        clock.advance(Duration::from_secs(86_400));
        assert_eq!(knows(), Knowledge::Unknown);
    }

    #[tokio::test]
    async fn both_halves_of_a_hybrid_know_theirs() {
        let clock = FakeClock::new();
        let issuer = TestIssuer::builder().clock(Arc::new(clock.clone()));
        let issuer = issuer.serve().await.unwrap();
        let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE).danger_allow_http_loopback();
        let bearer = BearerAuth::builder(policy, Keys::discovery(OnOutage::FailClosed))
            .clock(Arc::new(clock.clone()))
            .build()
            .unwrap();
        let auth = HybridAuth::new(&bearer, &introspection(&issuer, &clock)).unwrap();
        for token in [issuer.token().mint(), issuer.opaque_token().mint()] {
            let request = || request(HERE, &token);
            assert_eq!(auth.knows(Head::of(&request())), Knowledge::Unknown);
            let response = auth.layer(Recorder::new()).oneshot(request()).await;
            assert_eq!(response.unwrap().status(), 200);
            assert_eq!(auth.knows(Head::of(&request())), Knowledge::KnownGood);
            let fingerprint = CredentialFingerprint::of(token.as_bytes());
            assert_eq!(auth.fingerprint(Head::of(&request())), Some(fingerprint));
        }
        let anonymous = request(HERE, "");
        assert_eq!(auth.knows(Head::of(&anonymous)), Knowledge::NoCredentials);
        assert_eq!(auth.fingerprint(Head::of(&anonymous)), None);
    }
}
