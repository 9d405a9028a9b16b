//! What happens when there is no room.

use gateless::denylist::{RevokeError, WhenFull};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn session(number: u32) -> Revocation {
    Revocation::session(ISSUER, &format!("session-{number}"))
}

#[tokio::test(start_paused = true)]
async fn th_13_a_full_list_says_so_and_drops_nothing() {
    let world = World::new();
    let builder = world.builder(OnOutage::FailClosed).capacity(100);
    let instance = world.instance_of(builder).await;
    for number in 0..100 {
        instance.revoke(session(number)).await;
    }
    let appends = world.log.appends();
    for number in 100..110 {
        let refused = instance.handle().revoke(&session(number)).await;
        assert!(matches!(refused, Err(RevokeError::Full)));
    }
    // The others did not get it either.
    assert_eq!(world.log.appends(), appends);
    // What is there already can be said again, and made longer.
    instance.revoke(session(7)).await;
    for number in 0..100 {
        let name = format!("session-{number}");
        instance
            .refuses(&world.issuer.token().session_id(name).mint())
            .await;
    }
    assert_eq!(instance.handle().status().records(), 100);
    instance.accepts(&world.issuer.token().mint()).await;

    // There is room when something is past its end.
    world.clock.advance(Duration::from_secs(24 * 3600 + 600));
    world.pass(2 * SECOND).await;
    instance.revoke(session(100)).await;
}

#[tokio::test(start_paused = true)]
async fn th_13_a_full_list_can_fall_back_to_all_that_was_issued_until_then() {
    let world = World::new();
    let builder = || {
        let builder = world.builder(OnOutage::FailClosed).capacity(100);
        builder.when_full(WhenFull::RevokeEverything)
    };
    let [here, there] = [
        world.instance_of(builder()).await,
        world.instance_of(builder()).await,
    ];
    let token = |number: u32| world.issuer.token().token_id(format!("token-{number}"));
    let old = world.issuer.token().expires_in(3600).mint();
    for number in 0..100 {
        here.revoke(Revocation::token(ISSUER, &format!("token-{number}")))
            .await;
    }
    here.accepts(&old).await;
    let revoked: Vec<_> = (0..101)
        .map(|number| token(number).expires_in(3600).mint())
        .collect();
    here.revoke(Revocation::token(ISSUER, "token-100")).await;
    world.pass(SECOND).await;
    for instance in [&here, &there] {
        for token in revoked.iter().step_by(10).chain([&old]) {
            instance.refuses(token).await;
        }
    }
    // By as much as the clock of an issuer may be ahead.
    world.pass(62 * SECOND).await;
    for instance in [&here, &there] {
        instance.accepts(&world.issuer.token().mint()).await;
        instance.refuses(&old).await;
        assert!(instance.handle().status().records() < 10);
    }
}

#[tokio::test(start_paused = true)]
async fn th_13_where_nothing_would_make_way_nobody_is_signed_out_for_it() {
    let world = World::new();
    let builder = world.builder(OnOutage::FailClosed).capacity(100);
    let builder = builder.when_full(WhenFull::RevokeEverything);
    let instance = world.instance_of(builder).await;
    for number in 0..100 {
        instance.revoke(session(number)).await;
    }
    let refused = instance.handle().revoke(&session(100)).await;
    assert!(matches!(refused, Err(RevokeError::Full)));
    instance.accepts(&world.issuer.token().mint()).await;
}

#[tokio::test(start_paused = true)]
async fn th_13_two_that_take_the_last_place_stop_nobody() {
    let world = World::new();
    let builder = || world.builder(OnOutage::FailClosed).capacity(16);
    let [here, there] = [
        world.instance_of(builder()).await,
        world.instance_of(builder()).await,
    ];
    for number in 0..15 {
        here.revoke(session(number)).await;
    }
    sleep(Duration::from_millis(1)).await;
    let (one, other) = (session(15), session(16));
    let (one, other) = tokio::join!(here.handle().revoke(&one), there.handle().revoke(&other));
    assert!(one.is_ok() && other.is_ok());
    world.pass(40 * SECOND).await;
    for instance in [&here, &there] {
        instance.accepts(&world.issuer.token().mint()).await;
        for number in [15, 16] {
            let token = world.issuer.token().session_id(format!("session-{number}"));
            instance.refuses(&token.mint()).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn th_13_what_made_way_for_everything_does_not_come_back_with_it() {
    let world = World::new();
    let instance = world.instance().await;
    let everything = gateless::RevocationId::everything();
    let token = world
        .issuer
        .token()
        .token_id("token-1")
        .expires_in(3600)
        .mint();
    instance.revoke(Revocation::token(ISSUER, "token-1")).await;
    instance.revoke(Revocation::of(everything)).await;
    let refused = instance.handle().unrevoke(everything).await;
    assert!(matches!(refused, Err(RevokeError::Final)));
    // Also where the log says so.
    let change = gateless::RevocationChange::Unrevoke(everything);
    gateless::RevocationLog::append(&world.log, &[change])
        .await
        .unwrap();
    world.pass(60 * SECOND).await;
    instance.refuses(&token).await;
    instance.accepts(&world.issuer.token().mint()).await;
}

#[tokio::test(start_paused = true)]
async fn th_13_what_is_there_can_be_said_again_when_the_list_is_full() {
    let world = World::new();
    let builder = world.builder(OnOutage::FailClosed).capacity(100);
    let instance = world.instance_of(builder).await;
    let sessions: Vec<_> = (0..100).map(session).collect();
    for _ in 0..2 {
        instance.handle().revoke_all(&sessions).await.unwrap();
    }
    let more = [session(0), session(100)];
    assert!(instance.handle().revoke_all(&more).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn revocations_at_once_are_all_or_none_and_not_too_many() {
    let world = World::new();
    let instance = world.instance().await;
    let sessions: Vec<_> = (0..1001).map(session).collect();
    let refused = instance.handle().revoke_all(&sessions).await;
    assert!(matches!(refused, Err(RevokeError::TooMany)));
    instance.handle().revoke_all(&sessions[1..]).await.unwrap();
    assert_eq!(instance.handle().status().records(), 1000);
}

#[tokio::test(start_paused = true)]
async fn th_13_who_cannot_hold_what_others_revoked_is_out_of_date() {
    let world = World::new();
    let large = world.instance().await;
    let small = world.builder(OnOutage::FailClosed).capacity(10);
    let small = world.instance_of(small).await;
    // More than several instances could put there at once.
    let sessions: Vec<_> = (0..4_020).map(session).collect();
    for part in sessions.chunks(1000) {
        large.handle().revoke_all(part).await.unwrap();
    }
    world.pass(40 * SECOND).await;
    let token = world.issuer.token().mint();
    large.accepts(&token).await;
    small.is_down_for(&token).await;
    assert_eq!(
        small.handle().status().last_failure(),
        Some("the list has no room for what others revoked")
    );
    // A new one of that size does not even start.
    let builder = world.builder(OnOutage::FailClosed).capacity(10);
    let late = builder.build().unwrap();
    assert!(late.handle().ready().await.is_err());
}
