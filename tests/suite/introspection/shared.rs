//! What one instance was told, another need not ask: over a store that nobody has to trust.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use gateless::introspection::{
    AnswerCache, ClientAuthentication, Introspection, IntrospectionBuilder, IntrospectionPolicy,
    Secret, SharedAnswers,
};
use gateless::{AccessToken, Principal, SharedStore as _, TokenFault};
use gateless_testkit::{FakeClock, MemoryStore, StoreFault, TestIssuer};
use http::Request;
use rstest::rstest;

use super::{SHORT, World, accepts, known, rejects, until};
use crate::support::{AUDIENCE, Refusal, bearer, send};

const MINUTE: Duration = Duration::from_secs(60);

/// How far the clocks of a fleet may be apart.
const SKEW: Duration = Duration::from_secs(5);

struct Fleet {
    world: World,
    store: MemoryStore,
}

impl Fleet {
    async fn new() -> Self {
        let world = World::new().await;
        let store = MemoryStore::new(Arc::new(world.clock.clone()));
        Self { world, store }
    }

    fn shared(&self, secret: u8) -> SharedAnswers {
        let store = Arc::new(self.store.clone());
        SharedAnswers::new(store, [secret; 32]).timeout(Duration::from_millis(50))
    }

    fn joins(&self, builder: IntrospectionBuilder) -> Introspection {
        let builder = builder.shared_answers(self.shared(7));
        let cache = AnswerCache::new().lifetime(MINUTE);
        builder.answer_cache(cache).build().unwrap()
    }

    fn instance(&self) -> Introspection {
        self.joins(self.world.builder())
    }

    /// A token that the first instance was told about, and shared.
    async fn told(&self) -> (Introspection, String) {
        let first = self.instance();
        let token = self.world.issuer.opaque_token().subject("canary").mint();
        accepts(&first, &token).await;
        until(|| self.store.contents().len() == 1).await;
        assert_eq!((self.world.calls(), self.store.puts()), (1, 1));
        (first, token)
    }

    /// How many calls a request of `layer` costs.
    async fn costs(&self, layer: &Introspection, token: &str) -> u64 {
        let before = self.world.calls();
        let request = Request::get("/").header("authorization", bearer(token));
        let answer = send(layer, request.body(String::new()).unwrap()).await;
        answer.keeps(token);
        let principal = Principal::of(&answer.passed().extensions).unwrap();
        assert_eq!(principal.subject(), Some("canary"));
        self.world.calls() - before
    }
}

#[tokio::test]
async fn an_answer_is_asked_for_once_by_a_whole_fleet() {
    let fleet = Fleet::new().await;
    let (_, token) = fleet.told().await;
    for _ in 0..3 {
        let another = fleet.instance();
        assert_eq!(fleet.costs(&another, &token).await, 0);
        let gets = fleet.store.gets();
        assert_eq!(fleet.costs(&another, &token).await, 0);
        assert_eq!(fleet.store.gets(), gets, "it is in the instance by now");
    }
}

#[tokio::test]
async fn tf_14_an_answer_is_as_old_as_the_question_whoever_asked_it() {
    let fleet = Fleet::new().await;
    let (first, token) = fleet.told().await;
    assert!(fleet.world.issuer.revoke(&token));
    fleet.world.advance(MINUTE - Duration::from_millis(1));
    let second = fleet.instance();
    assert_eq!(fleet.costs(&second, &token).await, 0);
    fleet.world.advance(Duration::from_millis(1));
    let inactive = Refusal::tok(TokenFault::Inactive);
    for layer in [&first, &second, &fleet.instance()] {
        rejects(layer, &token, &inactive).await;
    }
}

#[tokio::test]
async fn tf_14_an_instance_goes_by_its_own_lifetime() {
    let fleet = Fleet::new().await;
    let (_, token) = fleet.told().await;
    let brief = AnswerCache::new().lifetime(Duration::from_secs(10));
    let brief = || {
        let builder = fleet.world.builder().shared_answers(fleet.shared(7));
        builder.answer_cache(brief).build().unwrap()
    };
    fleet.world.advance(Duration::from_secs(9));
    let early = brief();
    assert_eq!(fleet.costs(&early, &token).await, 0);
    fleet.world.advance(Duration::from_secs(1));
    assert_eq!(fleet.costs(&early, &token).await, 1);
}

#[tokio::test]
async fn tf_14_tf_27_a_shared_answer_ends_with_its_token() {
    let fleet = Fleet::new().await;
    let token = fleet.world.issuer.opaque_token().expires_in(20).mint();
    accepts(&fleet.instance(), &token).await;
    until(|| fleet.store.contents().len() == 1).await;
    fleet.world.advance(Duration::from_secs(20));
    let inactive = Refusal::tok(TokenFault::Inactive);
    rejects(&fleet.instance(), &token, &inactive).await;
    assert_eq!(fleet.world.calls(), 2);
}

#[tokio::test]
async fn tf_23_what_is_refused_is_not_shared() {
    let fleet = Fleet::new().await;
    let refused = Refusal::tok(TokenFault::Inactive);
    rejects(&fleet.instance(), "soon-to-be-issued", &refused).await;
    let token = fleet.world.issuer.opaque_token().text("soon-to-be-issued");
    accepts(&fleet.instance(), &token.mint()).await;
    assert_eq!(fleet.world.calls(), 2);
}

#[rstest]
#[case::fails(StoreFault::Fail)]
#[case::hangs(StoreFault::Hang)]
#[tokio::test]
async fn a_store_that_is_of_no_use_costs_a_moment_and_the_server_is_asked(
    #[case] fault: StoreFault,
) {
    let fleet = Fleet::new().await;
    let (_, token) = fleet.told().await;
    fleet.store.set_fault(fault);
    let second = fleet.instance();
    assert_eq!(fleet.costs(&second, &token).await, 1);
    assert_eq!(fleet.costs(&second, &token).await, 0);
    fleet.store.clear_fault();
    assert_eq!(fleet.costs(&fleet.instance(), &token).await, 0);
}

#[tokio::test]
async fn tf_22_what_was_shared_before_something_was_forgotten_is_not_used() {
    let fleet = Fleet::new().await;
    let (_, token) = fleet.told().await;
    let second = fleet.instance();
    second.handle().forget_where(|_| false);
    // Also what was shared a little later, by an instance that is behind.
    assert_eq!(fleet.costs(&second, &token).await, 1);
    second.handle().forget_tokens();
    fleet.world.advance(SKEW);
    assert_eq!(fleet.costs(&second, &token).await, 1);
    // A new configuration does not bring it back.
    let again = fleet.world.builder().shared_answers(fleet.shared(7));
    second.handle().forget_tokens();
    second.handle().reload(again).unwrap();
    assert_eq!(fleet.costs(&second, &token).await, 1);
    // What is asked later than that is used again.
    second.handle().forget_tokens();
    fleet.world.advance(SKEW + Duration::from_secs(1));
    let puts = fleet.store.puts();
    fleet.costs(&fleet.instance(), &token).await;
    fleet.world.advance(MINUTE);
    fleet.costs(&fleet.instance(), &token).await;
    until(|| fleet.store.puts() > puts && !fleet.store.contents().is_empty()).await;
    assert_eq!(fleet.costs(&second, &token).await, 0);
}

#[tokio::test]
async fn an_answer_out_of_the_future_is_not_used() {
    let fleet = Fleet::new().await;
    let (_, token) = fleet.told().await;
    for (behind, calls) in [(SKEW, 0), (SKEW + Duration::from_secs(1), 1)] {
        let clock = FakeClock::at(FakeClock::START.saturating_sub(behind));
        let leeway = fleet.world.policy().leeway(2 * MINUTE);
        let builder = fleet.world.asking(leeway, fleet.world.endpoint(), known());
        let slow = fleet.joins(builder.clock(Arc::new(clock)));
        assert_eq!(fleet.costs(&slow, &token).await, calls, "{behind:?}");
    }
}

/// Whoever has another secret, client, policy, or way to be answered.
#[tokio::test]
async fn tf_16_an_answer_is_for_those_who_would_have_been_given_it() {
    let fleet = Fleet::new().await;
    let (_, token) = fleet.told().await;
    let world = &fleet.world;
    let stranger = world.builder().shared_answers(fleet.shared(8));
    assert_eq!(fleet.costs(&stranger.build().unwrap(), &token).await, 1);
    world.issuer.accept_bearer("of-this-service");
    let other = ClientAuthentication::bearer(Secret::new("of-this-service"));
    let other = world.asking(world.policy(), world.endpoint(), other);
    let other = other.recipient("of-this-service");
    assert_eq!(fleet.costs(&fleet.joins(other), &token).await, 1);
    let endpoint = gateless::introspection::Endpoint::discovery(gateless::OnOutage::FailClosed);
    let other = world.asking(world.policy(), endpoint, known());
    assert_eq!(fleet.costs(&fleet.joins(other), &token).await, 1);
    let calls = world.calls();
    let keys =
        gateless::bearer::Keys::jwks_url(world.issuer.jwks_url(), gateless::OnOutage::FailClosed);
    let signed = fleet.joins(world.builder().signed_answers(keys));
    // Only plain JSON is there: it is not taken from the store either.
    rejects(&signed, &token, &Refusal::unanswered(1)).await;
    assert!(world.calls() > calls);
    // The same client by another method is the same client, and each judges by its own policy.
    let post = ClientAuthentication::post(
        TestIssuer::CLIENT_ID,
        Secret::new(TestIssuer::CLIENT_SECRET),
    );
    let same = world.asking(world.policy(), world.endpoint(), post);
    assert_eq!(fleet.costs(&fleet.joins(same), &token).await, 0);
    let elsewhere = IntrospectionPolicy::new(world.issuer.issuer(), "https://b.example.com");
    let elsewhere = elsewhere.danger_allow_http_loopback();
    let elsewhere = fleet.joins(world.asking(elsewhere, world.endpoint(), known()));
    let refused = Refusal::tok(TokenFault::AudienceMismatch);
    rejects(&elsewhere, &token, &refused).await;
}

#[tokio::test]
async fn tf_19_whoever_reads_the_store_learns_neither_tokens_nor_claims() {
    let fleet = Fleet::new().await;
    let (first, token) = fleet.told().await;
    let contents = fleet.store.contents();
    let [(key, value)] = &contents[..] else {
        panic!("one")
    };
    let hash = digest(&SHA256, token.as_bytes());
    let secrets = [
        token.as_bytes(),
        b"canary",
        b"active",
        b"client-1",
        AUDIENCE.as_bytes(),
        hash.as_ref(),
        &[7; 32],
    ];
    for bytes in [&key.as_bytes()[..], value] {
        for secret in secrets {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret));
        }
    }
    let printed = format!("{first:?} {:?} {:?}", fleet.store, fleet.shared(7));
    assert!(!printed.contains("canary") && !printed.contains("7, 7"));
}

/// Whoever writes to the store can make instances ask the server, and nothing else.
#[tokio::test]
async fn tf_08_tf_16_whoever_writes_to_the_store_makes_up_no_answer() {
    let fleet = Fleet::new().await;
    let (first, token) = fleet.told().await;
    let other = fleet.world.issuer.opaque_token().subject("admin").mint();
    let (key, value) = fleet.store.contents().remove(0);
    accepts(&first, &other).await;
    until(|| fleet.store.contents().len() == 2).await;
    let others = fleet.store.contents();
    let (_, of_other) = others.iter().find(|(it, _)| *it != key).unwrap();
    let mut changed = value.clone();
    *changed.last_mut().unwrap() ^= 1;
    let plain = br#"{"active":true,"sub":"admin"}"#.to_vec();
    for bad in [
        of_other.clone(),
        changed,
        plain,
        Vec::new(),
        vec![0; 70_000],
    ] {
        fleet.store.put(&key, bad, MINUTE).await.unwrap();
        assert_eq!(fleet.costs(&fleet.instance(), &token).await, 1);
    }
    // An older value of its own is as old as it is.
    fleet.store.put(&key, value.clone(), MINUTE).await.unwrap();
    assert_eq!(fleet.costs(&fleet.instance(), &token).await, 0);
    fleet.world.advance(MINUTE);
    fleet.store.put(&key, value, MINUTE).await.unwrap();
    assert_eq!(fleet.costs(&fleet.instance(), &token).await, 1);
}

/// The store has a time of its own, and the server all of its.
#[tokio::test]
async fn a_store_that_hangs_takes_no_time_from_the_server() {
    let fleet = Fleet::new().await;
    let (_, token) = fleet.told().await;
    fleet.store.set_fault(StoreFault::Hang);
    let endpoint = fleet.world.endpoint().timeout(SHORT);
    let builder = fleet.world.asking(fleet.world.policy(), endpoint, known());
    let slow = builder.shared_answers(fleet.shared(7).timeout(SHORT));
    let slow = slow.build().unwrap();
    assert_eq!(fleet.costs(&slow, &token).await, 1);
    assert!(slow.handle().status().last_failure().is_none());
}

/// One instance asks for itself, is told that the token is not active, and tells the others.
#[tokio::test]
async fn tf_22_an_instance_that_knows_better_tells_the_others() {
    let fleet = Fleet::new().await;
    let (_, token) = fleet.told().await;
    let second = fleet.instance();
    assert_eq!(fleet.costs(&second, &token).await, 0);
    assert!(fleet.world.issuer.revoke(&token));
    assert_eq!(fleet.costs(&fleet.instance(), &token).await, 0);
    second.handle().forget_token(&AccessToken::new(&token));
    let inactive = Refusal::tok(TokenFault::Inactive);
    rejects(&second, &token, &inactive).await;
    until(|| fleet.store.puts() == 2).await;
    rejects(&fleet.instance(), &token, &inactive).await;
}

/// A store in trouble does not get more to do by that.
#[tokio::test]
async fn tf_13_nothing_is_shared_of_tokens_that_nobody_knows() {
    let fleet = Fleet::new().await;
    let instance = fleet.instance();
    let inactive = Refusal::tok(TokenFault::Inactive);
    rejects(&instance, "unknown-opaque-token", &inactive).await;
    fleet.store.set_fault(StoreFault::Fail);
    rejects(&instance, "another-opaque-token", &inactive).await;
    assert_eq!(fleet.store.puts(), 0);
}
