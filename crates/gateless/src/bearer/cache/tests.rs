//! Known tokens get the answer that unknown ones would get.

use std::sync::LazyLock;
use std::time::Duration as Span;

use gateless_core::{PrincipalKind, Rejection, Timestamp};
use gateless_jwt::{KeySet, TokenPolicy, Unverified};
use gateless_testkit::{FakeClock, Recorder, SigningAlgorithm, TestIssuer};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use std::sync::Arc;
use tower::{Layer as _, ServiceExt as _};

use super::*;
use crate::Principal;
use crate::bearer::{BearerAuth, BearerAuthBuilder, Keys};

const AUDIENCE: &str = "https://api.example.com";

fn issuer() -> &'static TestIssuer {
    static ISSUER: LazyLock<TestIssuer> = LazyLock::new(|| {
        let issuer = TestIssuer::builder()
            .clock(Arc::new(FakeClock::new()))
            .build();
        for _ in 0..2 {
            issuer.add_key(SigningAlgorithm::EdDsa);
        }
        issuer
    });
    &ISSUER
}

/// The Ed25519 keys of the issuer: three of them.
fn jwks() -> &'static [Value] {
    static KEYS: LazyLock<Vec<Value>> = LazyLock::new(|| {
        let keys = issuer().jwks()["keys"].as_array().unwrap().clone();
        keys.into_iter()
            .filter(|key| key["alg"] == "EdDSA")
            .collect()
    });
    &KEYS
}

fn policy() -> TokenPolicy {
    TokenPolicy::new(issuer().issuer(), AUDIENCE)
}

fn key_set(jwks: &[Value]) -> KeySet {
    let document = json!({ "keys": jwks }).to_string();
    policy().read_keys(document.as_bytes()).unwrap()
}

fn builder(policy: TokenPolicy, clock: &FakeClock) -> BearerAuthBuilder {
    BearerAuth::builder(policy, Keys::fixed(key_set(jwks()))).clock(Arc::new(clock.clone()))
}

fn auth(clock: &FakeClock) -> BearerAuth {
    builder(policy(), clock).build().unwrap()
}

fn token(key: usize) -> gateless_testkit::TokenBuilder {
    issuer()
        .token()
        .algorithm(SigningAlgorithm::EdDsa)
        .key_id(jwks()[key]["kid"].as_str().unwrap())
}

/// What became of a request: the token's id and the caller, or why not.
type Answer = Result<(Option<String>, PrincipalKind), Rejection>;

fn ask(auth: &BearerAuth, token: &str) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let recorder = Recorder::new();
    let request = http::Request::get("/").header("authorization", format!("Bearer {token}"));
    let service = auth.layer(recorder.clone());
    let answer = service.oneshot(request.body(String::new()).unwrap());
    let response = runtime.block_on(answer).unwrap();
    match response.extensions().get::<Rejection>() {
        Some(rejection) => Err(rejection.clone()),
        None => {
            let requests = recorder.requests();
            let principal = Principal::of(&requests[0].extensions).unwrap();
            Ok((principal.token_id().map(Into::into), principal.kind()))
        }
    }
}

fn fault(auth: &BearerAuth, token: &str) -> Option<TokenFault> {
    match ask(auth, token) {
        Ok(_) => None,
        Err(Rejection::TokenInvalid(fault)) => Some(fault),
        Err(other) => panic!("{other}"),
    }
}

/// How many tokens are known as good, and as bad.
fn known(auth: &BearerAuth) -> [usize; 2] {
    auth.handle().current().tokens.as_ref().unwrap().len()
}

fn secs(secs: u64) -> Span {
    Span::from_secs(secs)
}

#[test]
fn tf_14_tf_27_a_known_token_dies_when_it_expires() {
    let clock = FakeClock::new();
    let auth = auth(&clock);
    let token = token(0).expires_in(60).mint();
    assert_eq!(fault(&auth, &token), None);
    assert_eq!(known(&auth), [1, 0]);
    clock.advance(secs(89));
    assert_eq!(fault(&auth, &token), None);
    clock.advance(secs(1));
    assert_eq!(fault(&auth, &token), Some(TokenFault::Expired));
    // Its place is free again, and a client that goes on with it does not cost a signature each time.
    assert_eq!(known(&auth), [0, 0]);
    assert_eq!(fault(&auth, &token), Some(TokenFault::Expired));
    assert_eq!(known(&auth), [0, 1]);
    assert_eq!(fault(&auth, &token), Some(TokenFault::Expired));
}

#[test]
fn tf_28_a_known_token_is_judged_by_the_clock_as_it_is_now() {
    let clock = FakeClock::new();
    let auth = auth(&clock);
    let token = token(0).not_before_in(0).mint();
    assert_eq!(fault(&auth, &token), None);
    let now = clock.wall();
    clock.set_wall(now.saturating_sub(secs(31)));
    assert_eq!(fault(&auth, &token), Some(TokenFault::NotYetValid));
    clock.set_wall(now);
    assert_eq!(fault(&auth, &token), None);
    clock.set_wall(Timestamp::EPOCH);
    assert_eq!(fault(&auth, &token), Some(TokenFault::NotYetValid));
}

#[test]
fn tf_16_tf_20_what_one_layer_knows_is_nothing_to_another() {
    let clock = FakeClock::new();
    let one = auth(&clock);
    let elsewhere = TokenPolicy::new(issuer().issuer(), "https://other.example.com");
    let other = builder(elsewhere, &clock).build().unwrap();
    let token = token(0).mint();
    for _ in 0..2 {
        assert_eq!(fault(&one, &token), None);
        assert_eq!(fault(&other, &token), Some(TokenFault::AudienceMismatch));
    }
}

#[test]
fn tf_21_what_was_found_out_under_one_policy_is_nothing_to_the_next() {
    let clock = FakeClock::new();
    let auth = auth(&clock);
    let (mine, theirs) = (token(0).mint(), token(0).client_id("batch").mint());
    let before = auth.handle().epoch();
    for token in [&mine, &theirs] {
        assert_eq!(fault(&auth, token), None);
    }
    assert_eq!(known(&auth), [2, 0]);

    let stricter = builder(policy().allowed_clients(["web"]), &clock);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let epoch = runtime.block_on(auth.handle().reload(stricter)).unwrap();
    assert!(epoch > before);
    assert_eq!(known(&auth), [0, 0]);
    assert_eq!(fault(&auth, &theirs), Some(TokenFault::ClientNotAllowed));
    assert_eq!(auth.handle().epoch(), epoch);

    // A request that began under the old policy leaves nothing that the new one would find.
    let tokens = auth.handle().current().tokens.clone().unwrap();
    let facts = Unverified::parse(&theirs).unwrap();
    let facts = facts.verify(&key_set(jwks()), &policy()).unwrap();
    let late = Known {
        issuer: 0,
        finding: Finding::Facts(facts),
    };
    tokens.remember_good(tokens.key(before, theirs.as_bytes()), late);
    assert!(
        tokens
            .recall(&tokens.key(epoch, theirs.as_bytes()), &clock)
            .is_none_or(|it| !it.was_good)
    );
    assert_eq!(fault(&auth, &theirs), Some(TokenFault::ClientNotAllowed));
}

#[test]
fn tf_23_a_bad_token_is_known_for_five_seconds_and_never_longer_than_it_is_bad() {
    let clock = FakeClock::new();
    let auth = auth(&clock);
    let forged = token(0).signature([1; 64]).mint();
    let early = token(0).not_before_in(32).mint();
    assert_eq!(fault(&auth, &forged), Some(TokenFault::SignatureInvalid));
    assert_eq!(fault(&auth, &early), Some(TokenFault::NotYetValid));
    assert_eq!(known(&auth), [0, 2]);
    let is_known = |token: &str| {
        let tokens = auth.handle().current().tokens.clone().unwrap();
        let key = tokens.key(auth.handle().epoch(), token.as_bytes());
        tokens.recall(&key, &clock).is_some()
    };
    assert!(is_known(&forged));
    clock.advance(secs(2));
    assert_eq!(fault(&auth, &early), None);
    clock.advance(Span::from_millis(2999));
    assert!(is_known(&forged));
    clock.advance(Span::from_millis(1));
    assert!(!is_known(&forged));
    assert_eq!(fault(&auth, &forged), Some(TokenFault::SignatureInvalid));
}

#[test]
fn tf_23_a_bad_signature_is_known_for_these_keys_only() {
    let clock = FakeClock::new();
    let auth = auth(&clock);
    let keys = |jwks: &[Value]| auth.handle().current().issuers[0].keys.hold(key_set(jwks));
    let mut renamed = jwks()[1].clone();
    renamed["kid"] = jwks()[0]["kid"].clone();
    // Signed by the second key in the name of the first.
    let token = issuer()
        .token()
        .algorithm(SigningAlgorithm::EdDsa)
        .key_id(jwks()[1]["kid"].as_str().unwrap())
        .header("kid", jwks()[0]["kid"].clone())
        .mint();
    assert_eq!(fault(&auth, &token), Some(TokenFault::SignatureInvalid));
    keys(&[renamed]);
    assert_eq!(fault(&auth, &token), None);
}

#[test]
fn te_12_a_known_token_dies_with_its_key() {
    let clock = FakeClock::new();
    let auth = auth(&clock);
    let (first, second) = (token(0).mint(), token(1).mint());
    for token in [&first, &second, &first, &second] {
        assert_eq!(fault(&auth, token), None);
    }
    auth.handle().current().issuers[0]
        .keys
        .hold(key_set(&jwks()[1..]));
    assert_eq!(fault(&auth, &first), Some(TokenFault::KeyUnknown));
    assert_eq!(fault(&auth, &second), None);
}

#[test]
fn te_13_a_known_token_dies_when_its_key_is_refused() {
    let clock = FakeClock::new();
    let auth = auth(&clock);
    let (first, second) = (token(0).mint(), token(1).mint());
    for token in [&first, &second] {
        assert_eq!(fault(&auth, token), None);
    }
    let kid = jwks()[0]["kid"].as_str().unwrap();
    assert!(auth.handle().refuse_key(issuer().issuer(), kid));
    assert_eq!(fault(&auth, &first), Some(TokenFault::KeyRefused));
    assert_eq!(fault(&auth, &second), None);
}

/// A cache, and something to put into it.
fn filled(settings: TokenCache, tokens: usize) -> (Tokens, Facts) {
    let token = token(0).mint();
    let facts = Unverified::parse(&token).unwrap();
    let facts = facts.verify(&key_set(jwks()), &policy()).unwrap();
    let cache = settings.build().unwrap();
    flood(&cache, &facts, "first", tokens);
    (cache, facts)
}

fn known_good(facts: &Facts) -> Known {
    Known {
        issuer: 0,
        finding: Finding::Facts(facts.clone()),
    }
}

fn key(cache: &Tokens, name: &str, number: usize) -> TokenKey {
    static EPOCH: LazyLock<PolicyEpoch> = LazyLock::new(PolicyEpoch::next);
    cache.key(*EPOCH, format!("{name} {number}").as_bytes())
}

fn flood(cache: &Tokens, facts: &Facts, name: &str, tokens: usize) {
    for number in 0..tokens {
        cache.remember_good(key(cache, name, number), known_good(facts));
    }
}

#[rstest]
#[case::by_number(TokenCache::new().max_tokens(500), 500, usize::MAX)]
#[case::by_bytes(TokenCache::new().max_bytes(500 * 1024), usize::MAX, 500 * 1024)]
fn tf_24_the_cache_is_bounded(
    #[case] settings: TokenCache,
    #[case] max_tokens: usize,
    #[case] max_bytes: usize,
) {
    let (cache, facts) = filled(settings, 20_000);
    let [good, _] = cache.len();
    let bytes = good * facts.size();
    assert!(
        good <= max_tokens && bytes <= max_bytes,
        "{good} tokens, {bytes} bytes"
    );
    assert!(good > 100, "{good} tokens: most of the room is not used");
}

#[test]
fn tf_24_a_flood_of_bad_tokens_touches_no_good_one() {
    let (cache, facts) = filled(TokenCache::new().max_tokens(500), 400);
    let before = cache.len();
    let now = Monotonic::from_start(secs(1));
    for number in 0..20_000 {
        let known = Known {
            issuer: 0,
            finding: Finding::Fault {
                fault: TokenFault::SignatureInvalid,
                version: 1,
            },
        };
        cache.remember_bad(key(&cache, "bad", number), known, now);
    }
    let [good, bad] = cache.len();
    assert_eq!(good, before[0]);
    assert!(bad <= MAX_REFUSED, "{bad} are remembered");
    // Facts of bad tokens are as large as those of good ones, and bounded all the same.
    let (cache, _) = filled(TokenCache::new().max_bytes(512 * 1024), 0);
    for number in 0..20_000 {
        cache.remember_bad(key(&cache, "bad", number), known_good(&facts), now);
    }
    assert!(cache.len()[1] * facts.size() <= 64 * 1024);
}

#[test]
fn tf_24_a_flood_of_good_tokens_does_not_push_out_those_in_use() {
    let clock = FakeClock::new();
    let (cache, facts) = filled(TokenCache::new().max_tokens(1000), 300);
    let is_known = |number| {
        cache
            .recall(&key(&cache, "first", number), &clock)
            .is_some()
    };
    for number in 0..300 {
        is_known(number);
        is_known(number);
    }
    // Ten times what there is room for, while each of those in use comes again once in a while.
    for wave in 0..100 {
        flood(&cache, &facts, &format!("wave {wave}"), 100);
        for number in (wave % 10..300).step_by(10) {
            is_known(number);
        }
    }
    let kept = (0..300).filter(|number| is_known(*number)).count();
    assert!(kept >= 285, "{kept} of 300 are left");
}

#[test]
fn tf_19_nothing_of_a_token_is_in_what_is_printed() {
    let clock = FakeClock::new();
    let auth = auth(&clock);
    let token = token(0).subject("canary").mint();
    assert_eq!(fault(&auth, &token), None);
    let tokens = auth.handle().current().tokens.clone().unwrap();
    let recalled = tokens.recall(&tokens.key(auth.handle().epoch(), token.as_bytes()), &clock);
    let printed = format!("{tokens:?} {recalled:?}");
    assert!(!printed.contains("canary"), "{printed}");
    for part in token.split('.') {
        assert!(!printed.contains(part), "{printed}");
    }
}

#[rstest]
#[case(TokenCache::new().max_tokens(0))]
#[case(TokenCache::new().max_bytes(64 * 1024 - 1))]
fn a_cache_without_room_is_refused(#[case] settings: TokenCache) {
    let error = builder(policy(), &FakeClock::new())
        .token_cache(settings)
        .build();
    assert_eq!(error.unwrap_err().faults()[0].setting(), "token_cache");
}

/// What can happen to a layer.
#[derive(Clone, Debug)]
enum Event {
    Ask(usize),
    Advance(u64),
    Turn(i64),
    Keys(Vec<usize>),
    Refuse(usize),
    Reload(usize),
    Forget,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0..tokens().len()).prop_map(Event::Ask),
        2 => (1_u64..90).prop_map(Event::Advance),
        1 => (-120_i64..120).prop_map(Event::Turn),
        2 => prop::sample::subsequence(vec![0, 1, 2], 1..=3).prop_map(Event::Keys),
        1 => (0_usize..3).prop_map(Event::Refuse),
        1 => (0..policies().len()).prop_map(Event::Reload),
        1 => Just(Event::Forget),
    ]
}

/// Tokens of many kinds, all made when the clock of the test starts.
fn tokens() -> &'static [String] {
    static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let good = token(0).mint();
        let (head, _) = good.rsplit_once('.').unwrap();
        let (_, other) = token(0)
            .subject("other")
            .mint()
            .rsplit_once('.')
            .map(|(_, it)| ((), it.to_owned()))
            .unwrap();
        vec![
            good.clone(),
            token(1).mint(),
            token(2).mint(),
            token(0).without_header("kid").mint(),
            token(2).without_header("kid").mint(),
            token(0).expires_in(60).mint(),
            token(1).expires_in(120).issued_in(-60).mint(),
            token(0).not_before_in(60).mint(),
            token(1).issued_in(45).mint(),
            token(0).audience("https://other.example.com").mint(),
            token(0)
                .audience(json!([AUDIENCE, "https://other.example.com"]))
                .mint(),
            token(1).client_id("batch").mint(),
            token(1).claim("act", json!({ "sub": "helper" })).mint(),
            token(0).claim("cnf", json!({ "jkt": "x" })).mint(),
            token(0).expires_in(4000).mint(),
            token(0).without("jti").mint(),
            token(0).header("typ", "JWT").mint(),
            token(0).header("kid", "nobody").mint(),
            token(1).header("kid", jwks()[0]["kid"].clone()).mint(),
            token(0).signature([1; 64]).mint(),
            format!("{head}.{other}"),
            format!("{good}A"),
            token(0).claim("iss", "https://other.example.com").mint(),
            "not.a.token".to_owned(),
        ]
    });
    &TOKENS
}

fn policies() -> [TokenPolicy; 6] {
    [
        policy(),
        policy().single_audience(),
        policy().allowed_clients(["batch"]),
        policy().forbid_delegation().leeway(secs(0)),
        policy().max_lifetime(secs(900)).leeway(secs(120)),
        TokenPolicy::new(issuer().issuer(), "https://other.example.com"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens to tokens, keys, policies and clocks.
    #[test]
    fn tf_15_tf_21_tf_27_the_answer_with_the_cache_is_the_answer_without(
        events in prop::collection::vec(event(), 1..60),
        max_tokens in prop::sample::select(vec![1_usize, 4, 100_000]),
    ) {
        let clock = FakeClock::new();
        let cache = TokenCache::new().max_tokens(max_tokens);
        let source = Keys::fixed(key_set(jwks()));
        let build = |policy| BearerAuth::builder(policy, source.clone()).clock(Arc::new(clock.clone()));
        let with = build(policy()).token_cache(cache).build().unwrap();
        let without = build(policy()).without_token_cache().build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for event in events {
            match event {
                Event::Ask(token) => {
                    let token = &tokens()[token];
                    prop_assert_eq!(ask(&with, token), ask(&without, token), "{}", token);
                }
                Event::Advance(by) => clock.advance(secs(by)),
                Event::Turn(by) => {
                    let now = clock.wall().as_millis();
                    clock.set_wall(Timestamp::from_millis(now + by * 1000));
                }
                Event::Keys(chosen) => {
                    let chosen: Vec<_> = chosen.iter().map(|key| jwks()[*key].clone()).collect();
                    for auth in [&with, &without] {
                        auth.handle().current().issuers[0].keys.hold(key_set(&chosen));
                    }
                }
                Event::Refuse(key) => {
                    for auth in [&with, &without] {
                        let kid = jwks()[key]["kid"].as_str().unwrap();
                        assert!(auth.handle().refuse_key(issuer().issuer(), kid));
                    }
                }
                Event::Reload(index) => {
                    let policy = &policies()[index];
                    let reload = with.handle().reload(build(policy.clone()).token_cache(cache));
                    prop_assert!(runtime.block_on(reload).is_ok());
                    let reload = without.handle().reload(build(policy.clone()).without_token_cache());
                    prop_assert!(runtime.block_on(reload).is_ok());
                }
                Event::Forget => with.handle().forget_tokens(),
            }
        }
    }
}
