//! What is revoked is refused, and nothing else is.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateless::bearer::Profile;
use gateless::denylist::RevocationList;
use gateless::{
    Clock as _, Principal, Revocation, RevocationId, Timestamp, TokenDigest, TokenFault,
};
use gateless_testkit::{FakeClock, TestIssuer, TokenBuilder};
use rstest::rstest;

use super::*;
use crate::support::{Protocol, send};

/// The same token with the other signature that verifies: (r, n - s) in place of (r, s).
fn other_half(token: &str) -> String {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = false;
    for (s, n) in signature[32..].iter_mut().zip(N).rev() {
        let (difference, first) = n.overflowing_sub(*s);
        let (difference, second) = difference.overflowing_sub(u8::from(borrow));
        (*s, borrow) = (difference, first || second);
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Somebody's token, with all the names that it could be revoked by.
fn token(issuer: &TestIssuer) -> TokenBuilder {
    issuer
        .token()
        .token_id("token-1")
        .session_id("session-1")
        .subject("user-1")
        .client_id("client-1")
}

#[rstest]
#[case::th_01_the_token(Revocation::token(ISSUER, "token-1"), |other: TokenBuilder| other.token_id("token-2"))]
#[case::th_20_the_session(Revocation::session(ISSUER, "session-1"), |other: TokenBuilder| other.session_id("session-2"))]
#[case::the_subject(Revocation::subject(ISSUER, "user-1"), |other: TokenBuilder| other.subject("user-2"))]
#[case::the_client(Revocation::client(ISSUER, "client-1"), |other: TokenBuilder| other.client_id("client-2"))]
#[tokio::test(start_paused = true)]
async fn th_01_what_is_revoked_is_refused_from_the_next_request_on_and_nothing_else(
    #[case] revocation: Revocation,
    #[case] otherwise: fn(TokenBuilder) -> TokenBuilder,
) {
    let world = World::new();
    let instance = world.instance().await;
    let (revoked, other) = (
        token(&world.issuer).mint(),
        otherwise(token(&world.issuer)).mint(),
    );
    for token in [&revoked, &other] {
        instance.accepts(token).await;
    }
    instance.revoke(revocation.clone()).await;
    instance.refuses(&revoked).await;
    instance.accepts(&other).await;

    // Said again it changes nothing; only on purpose it is taken back.
    instance.revoke(revocation.clone()).await;
    world.pass(Duration::from_secs(120)).await;
    instance.refuses(&revoked).await;
    instance.handle().unrevoke(revocation.id()).await.unwrap();
    instance.accepts(&revoked).await;
}

#[tokio::test(start_paused = true)]
async fn te_13_a_key_is_revoked_with_everything_that_it_signed() {
    let world = World::new();
    let instance = world.instance().await;
    let old = world.issuer.token().mint();
    instance.accepts(&old).await;
    let key_id = world.issuer.kids().remove(0);
    let algorithm = gateless_testkit::SigningAlgorithm::Es256;
    instance.revoke(Revocation::key(ISSUER, &key_id)).await;
    instance.refuses(&old).await;
    // Also what is signed with it from now on, and for ever.
    world.pass(Duration::from_secs(60)).await;
    instance.refuses(&world.issuer.token().mint()).await;
    world.clock.advance(Duration::from_secs(40 * 24 * 3600));
    world.pass(Duration::from_secs(2)).await;
    instance.refuses(&world.issuer.token().mint()).await;
    let later = world.issuer.token().key_id(&world.issuer.kids()[1]);
    instance.accepts(&later.algorithm(algorithm).mint()).await;
}

#[tokio::test(start_paused = true)]
async fn an_issuer_is_revoked_with_all_that_it_issued_until_then() {
    let world = World::new();
    let instance = world.instance().await;
    let old = world.issuer.token().expires_in(3600).mint();
    instance.revoke(Revocation::issuer(ISSUER)).await;
    instance.refuses(&old).await;
    world.pass(Duration::from_secs(6)).await;
    instance.accepts(&world.issuer.token().mint()).await;
    instance.refuses(&old).await;
}

#[tokio::test(start_paused = true)]
async fn th_10_the_same_names_of_another_issuer_are_somebody_else() {
    let world = World::new();
    let instance = world.instance().await;
    let token = token(&world.issuer).mint();
    let other = "https://other.example.com";
    for revocation in [
        Revocation::token(other, "token-1"),
        Revocation::session(other, "session-1"),
        Revocation::subject(other, "user-1"),
        Revocation::client(other, "client-1"),
        Revocation::issuer(other),
        Revocation::key(other, &world.issuer.kids()[0]),
    ] {
        instance.revoke(revocation).await;
    }
    instance.accepts(&token).await;
}

#[tokio::test(start_paused = true)]
async fn th_07_a_token_without_an_id_is_revoked_in_every_spelling_of_its_signature() {
    let world = World::new();
    let policy = world.policy().profile(Profile::Lax);
    let auth = world.auth(policy);
    let denylist = world.builder(OnOutage::FailClosed).build().unwrap();
    denylist.handle().ready().await.unwrap();
    let instance = Instance { auth, denylist };

    let es256 = gateless_testkit::SigningAlgorithm::Es256;
    let token = world.issuer.token().algorithm(es256).without("jti").mint();
    let respelt = other_half(&token);
    assert_ne!(token, respelt);
    let another = world.issuer.token().without("jti").mint();
    for token in [&token, &respelt, &another] {
        instance.accepts(token).await;
    }
    let (signed, _) = token.rsplit_once('.').unwrap();
    let digest = TokenDigest::of(signed);
    instance
        .revoke(Revocation::token_digest(ISSUER, &digest))
        .await;
    for token in [&token, &respelt] {
        instance.refuses(token).await;
    }
    instance.accepts(&another).await;
}

#[tokio::test(start_paused = true)]
async fn th_07_a_token_with_an_id_is_revoked_in_every_spelling_of_its_signature() {
    let world = World::new();
    let instance = world.instance().await;
    let es256 = gateless_testkit::SigningAlgorithm::Es256;
    let token = token(&world.issuer).algorithm(es256).mint();
    instance.revoke(Revocation::token(ISSUER, "token-1")).await;
    instance.refuses(&token).await;
    instance.refuses(&other_half(&token)).await;
}

#[rstest]
#[case::a_number("jti", serde_json::json!(7))]
#[case::a_list("jti", serde_json::json!(["token-1"]))]
#[case::null("jti", serde_json::json!(null))]
#[case::a_session_that_is_a_number("sid", serde_json::json!(7))]
#[tokio::test(start_paused = true)]
async fn th_09_an_id_that_is_no_text_does_not_get_past_the_list(
    #[case] name: &str,
    #[case] value: serde_json::Value,
) {
    let world = World::new();
    let instance = world.instance().await;
    let token = token(&world.issuer).claim(name, value).mint();
    let invalid = Refusal::tok(TokenFault::ClaimsInvalid);
    instance.refuses_as(&token, &invalid).await;
}

#[tokio::test(start_paused = true)]
async fn th_08_a_token_is_refused_until_its_very_end() {
    let world = World::new();
    let instance = world.instance().await;
    let token = token(&world.issuer).expires_in(3600).mint();
    let caller = Principal::assert_authenticated(gateless::PrincipalParts {
        token_id: Some("token-1".into()),
        ..gateless::PrincipalParts::new(
            ISSUER,
            FakeClock::START.saturating_add(Duration::from_secs(3600)),
        )
    });
    // Its end is known, and it is not remembered for a day.
    instance
        .revoke(Revocation::this_token(&caller).unwrap())
        .await;
    // Its end, and the leeway of the policy.
    world.clock.advance(Duration::from_millis(3_629_999));
    world.pass(Duration::from_secs(2)).await;
    let expired = Refusal::tok(TokenFault::Expired);
    instance.refuses_as(&token, &expired).await;

    let world = World::new();
    let instance = world.instance().await;
    let token = self::token(&world.issuer).expires_in(3600).mint();
    instance
        .revoke(Revocation::this_token(&caller).unwrap())
        .await;
    world
        .clock
        .advance(Duration::from_millis(3_629_000 - 2_000));
    world.pass(Duration::from_secs(2)).await;
    instance.refuses(&token).await;
    world.pass(Duration::from_millis(999)).await;
    instance.refuses(&token).await;
    // What nobody can use any more is not kept.
    world.pass(Duration::from_secs(600)).await;
    assert!(!instance.handle().is_revoked(&caller));
}

#[tokio::test(start_paused = true)]
async fn td_11_a_clock_that_is_ahead_for_a_while_has_the_list_forget_nothing() {
    let world = World::new();
    let instance = world.instance().await;
    let [before, meanwhile] = ["token-1", "token-2"].map(|id| {
        let token = world.issuer.token().token_id(id).expires_in(3600);
        let end = FakeClock::START.saturating_add(Duration::from_secs(3630));
        let revocation = Revocation::token(ISSUER, id).expires_at(end);
        (token.mint(), revocation)
    });
    instance.revoke(before.1).await;
    instance.refuses(&before.0).await;
    let right = world.clock.wall();
    world
        .clock
        .set_wall(right.saturating_add(Duration::from_secs(3630 + 1800)));
    instance.revoke(meanwhile.1).await;
    world.pass(Duration::from_secs(30)).await;
    world
        .clock
        .set_wall(right.saturating_add(Duration::from_secs(30)));
    instance.refuses(&before.0).await;
    instance.refuses(&meanwhile.0).await;
}

/// What has ended takes nobody's place, although it is held for another while.
#[tokio::test(start_paused = true)]
async fn th_13_what_has_ended_makes_way_where_room_gets_short() {
    let world = World::new();
    let builder = world.builder(OnOutage::FailClosed).capacity(10);
    let instance = world.instance_of(builder).await;
    let revoke = async |number: u32| {
        let end = world.clock.wall().saturating_add(Duration::from_secs(60));
        let id = format!("token-{number}");
        instance
            .revoke(Revocation::token(ISSUER, &id).expires_at(end))
            .await;
    };
    for number in 0..7 {
        revoke(number).await;
    }
    // Its end and the leeway of a record, twice.
    world.pass(Duration::from_secs(1320)).await;
    assert_eq!(instance.handle().status().records(), 7);
    for number in 10..20 {
        revoke(number).await;
    }
    assert_eq!(instance.handle().status().records(), 10);
}

/// `issued` is in milliseconds from the time that is said.
#[rstest]
#[case::long_before(-3_600_000, true)]
#[case::just_before(-1, true)]
#[case::in_the_same_moment(0, true)]
#[case::just_after(1, false)]
#[case::long_after(3_600_000, false)]
#[tokio::test(start_paused = true)]
async fn th_11_what_was_issued_until_then_is_dead_and_what_came_later_lives(
    #[case] issued: i64,
    #[case] is_dead: bool,
) {
    let world = World::new();
    let instance = world.instance().await;
    let said = FakeClock::START;
    instance
        .revoke(Revocation::subject(ISSUER, "user-1").issued_until(said))
        .await;
    world.clock.advance(Duration::from_secs(3601));
    world.pass(Duration::from_secs(3)).await;
    let iat = (said.as_millis() + issued) as f64 / 1000.0;
    let token = token(&world.issuer).claim("iat", iat).expires_in(60).mint();
    match is_dead {
        true => instance.refuses(&token).await,
        false => instance.accepts(&token).await,
    }
}

#[tokio::test(start_paused = true)]
async fn th_11_td_11_the_clock_of_the_issuer_may_be_a_little_ahead() {
    let world = World::new();
    let instance = world.instance().await;
    let ahead = |secs| token(&world.issuer).issued_in(secs).mint();
    instance.revoke(Revocation::subject(ISSUER, "user-1")).await;
    instance.refuses(&ahead(5)).await;
    instance.accepts(&ahead(6)).await;
}

#[tokio::test(start_paused = true)]
async fn th_11_a_later_word_counts_and_an_earlier_one_does_not() {
    let world = World::new();
    let instance = world.instance().await;
    let until = |secs| {
        Revocation::subject(ISSUER, "user-1")
            .issued_until(Timestamp::from_secs(FakeClock::START.as_secs() + secs))
    };
    let token = token(&world.issuer).issued_in(-50).mint();
    instance.revoke(until(-60)).await;
    instance.accepts(&token).await;
    instance.revoke(until(-40)).await;
    instance.refuses(&token).await;
    // TH-15: an old event that comes again takes nothing back.
    instance.revoke(until(-60)).await;
    instance.refuses(&token).await;
}

#[tokio::test(start_paused = true)]
async fn th_12_who_cannot_prove_to_be_newer_is_refused() {
    let world = World::new();
    let policy = world.policy().profile(Profile::Lax);
    let auth = world.auth(policy);
    let denylist = world.builder(OnOutage::FailClosed).optional_issued_at();
    let denylist = denylist.build().unwrap();
    denylist.handle().ready().await.unwrap();
    let instance = Instance { auth, denylist };
    let dateless = |subject: &str| token(&world.issuer).subject(subject).without("iat").mint();
    let long_ago = Timestamp::from_secs(1);
    instance
        .revoke(Revocation::subject(ISSUER, "user-1").issued_until(long_ago))
        .await;
    instance.accepts(&dateless("user-2")).await;
    // A word of 1970 is not kept: no token of then is left.
    instance.revoke(Revocation::subject(ISSUER, "user-1")).await;
    instance.refuses(&dateless("user-1")).await;
    instance.accepts(&dateless("user-2")).await;
}

#[tokio::test(start_paused = true)]
async fn th_12_who_does_not_say_when_it_was_issued_could_outlive_the_list() {
    let world = World::new();
    let auth = world.auth(world.policy().profile(Profile::Lax));
    let denylist = world.builder(OnOutage::FailClosed).build().unwrap();
    denylist.handle().ready().await.unwrap();
    let instance = Instance { auth, denylist };
    let too_long = Refusal::tok(TokenFault::LifetimeTooLong);
    let dateless = token(&world.issuer).without("iat").mint();
    instance.refuses_as(&dateless, &too_long).await;
    instance.accepts(&token(&world.issuer).mint()).await;
}

#[tokio::test(start_paused = true)]
async fn te_13_a_key_is_revoked_also_for_tokens_that_do_not_name_it() {
    let world = World::new();
    let instance = world.instance().await;
    let nameless = token(&world.issuer).without_header("kid").mint();
    instance.accepts(&nameless).await;
    let key_id = world.issuer.kids().remove(0);
    instance.revoke(Revocation::key(ISSUER, &key_id)).await;
    instance.refuses(&nameless).await;
    let another = token(&world.issuer)
        .token_id("another")
        .without_header("kid");
    instance.refuses(&another.mint()).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_acts_for_others_is_revoked_there_too() {
    let world = World::new();
    let instance = world.instance().await;
    let token = token(&world.issuer)
        .claim("act", serde_json::json!({"sub": "clerk"}))
        .mint();
    instance.accepts(&token).await;
    instance.revoke(Revocation::subject(ISSUER, "clerk")).await;
    instance.refuses(&token).await;
}

#[tokio::test(start_paused = true)]
async fn th_08_a_token_that_outlives_the_list_is_refused() {
    let world = World::new();
    let day = Duration::from_secs(24 * 3600);
    let auth = world.auth(world.policy().max_lifetime(30 * day));
    let denylist = world.builder(OnOutage::FailClosed).build().unwrap();
    denylist.handle().ready().await.unwrap();
    let instance = Instance { auth, denylist };
    let of = |secs| world.issuer.token().expires_in(secs).mint();
    instance.accepts(&of(86_400)).await;
    let too_long = Refusal::tok(TokenFault::LifetimeTooLong);
    instance.refuses_as(&of(86_401), &too_long).await;
}

#[tokio::test(start_paused = true)]
async fn tf_22_a_token_that_is_remembered_as_good_is_refused() {
    let world = World::new();
    let instance = world.instance().await;
    let token = token(&world.issuer).mint();
    instance.accepts(&token).await;
    instance.revoke(Revocation::token(ISSUER, "token-1")).await;
    // Before anybody was told to forget anything.
    instance.refuses(&token).await;
}

#[tokio::test(start_paused = true)]
async fn th_19_a_long_request_can_ask_again() {
    let world = World::new();
    let instance = world.instance().await;
    let token = token(&world.issuer).mint();
    let parts = passes(&instance.layer(), &token, presenting(&token)).await;
    let caller = Principal::of(&parts.extensions).unwrap();
    let recheck = || instance.handle().recheck(caller, OnOutage::FailClosed);
    assert_eq!(recheck(), Ok(()));
    assert!(!instance.handle().is_revoked(caller));
    instance
        .revoke(Revocation::this_token(caller).unwrap())
        .await;
    assert_eq!(recheck(), Err(TokenFault::Revoked.into()));
    assert!(instance.handle().is_revoked(caller));
}

#[tokio::test(start_paused = true)]
async fn th_01_the_use_of_a_revoked_token_is_told_without_naming_it() {
    let world = World::new();
    let instance = world.instance().await;
    let token = token(&world.issuer).token_id("canary-of-a-jti").mint();
    instance
        .revoke(Revocation::token(ISSUER, "canary-of-a-jti"))
        .await;
    let request = presenting(&token)(Protocol::Http.request());
    let answer = send(&instance.layer(), request.body(String::new()).unwrap()).await;
    assert!(
        answer.logs.contains("a revoked token was used"),
        "{}",
        answer.logs
    );
    answer.keeps("canary-of-a-jti");
    answer.keeps(&token);
    let printed = format!("{:?} {:?}", instance.denylist, world.log);
    assert!(!printed.contains("canary"), "{printed}");
}

#[tokio::test(start_paused = true)]
async fn tj_01_behind_no_authentication_nobody_passes() {
    let world = World::new();
    let instance = world.instance().await;
    let answer = send(
        &instance.denylist,
        Protocol::Http.request().body(String::new()).unwrap(),
    )
    .await;
    assert_eq!(answer.status, 500);
    assert!(answer.reached.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_is_nobody_has_nothing_to_revoke() {
    let world = World::new();
    let instance = world.instance().await;
    let keys = crate::support::keys_of(&world.issuer, &world.policy());
    let auth = BearerAuth::builder(world.policy(), gateless::bearer::Keys::fixed(keys))
        .clock(Arc::new(world.clock.clone()))
        .build_optional()
        .unwrap();
    let layer = Stack::new(instance.denylist.clone(), auth);
    passes(&layer, "", |request| request).await;
    let token = token(&world.issuer).mint();
    instance.revoke(Revocation::subject(ISSUER, "user-1")).await;
    let revoked = Refusal::tok(TokenFault::Revoked);
    refuses(&layer, &revoked, &token, presenting(&token)).await;
}

/// TH-06: there is no filter in front of the list that could be wrong about somebody.
#[test]
fn th_06_nobody_is_locked_out_by_chance() {
    let list = RevocationList::new(100_000);
    let record = |number: u32| {
        Revocation::token(ISSUER, &format!("revoked-{number}")).record(
            FakeClock::START,
            Duration::from_secs(3600),
            Duration::ZERO,
        )
    };
    for number in 0..20_000 {
        list.revoke(&record(number), FakeClock::START).unwrap();
    }
    let other = |number: u32| RevocationId::token(ISSUER, &format!("good-{number}"));
    assert!((0..200_000).all(|number| !list.contains(other(number), FakeClock::START)));
}
