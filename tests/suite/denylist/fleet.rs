//! Several instances with one log: what one revokes, all refuse, whatever happens to the log.

use gateless_testkit::LogFault;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn th_01_what_one_instance_revokes_all_refuse() {
    let world = World::new();
    let fleet = [
        world.instance().await,
        world.instance().await,
        world.instance().await,
    ];
    let token = world.issuer.token().token_id("token-1").mint();
    for instance in &fleet {
        instance.accepts(&token).await;
    }
    let revocation = Revocation::token(ISSUER, "token-1");
    fleet[0].revoke(revocation.clone()).await;
    fleet[0].refuses(&token).await;
    // Without a tick of the clock: they wait for it.
    sleep(Duration::from_millis(1)).await;
    for instance in &fleet {
        instance.refuses(&token).await;
    }
    fleet[2].handle().unrevoke(revocation.id()).await.unwrap();
    sleep(Duration::from_millis(1)).await;
    for instance in &fleet {
        instance.accepts(&token).await;
    }
}

#[tokio::test(start_paused = true)]
async fn th_23_who_starts_later_knows_what_was_revoked_before() {
    let world = World::new();
    let early = world.instance().await;
    let token = world.issuer.token().token_id("token-1").mint();
    early.revoke(Revocation::token(ISSUER, "token-1")).await;
    early.revoke(Revocation::subject(ISSUER, "user-9")).await;
    early
        .handle()
        .unrevoke(Revocation::subject(ISSUER, "user-9").id())
        .await
        .unwrap();
    drop(early);
    let late = world.instance().await;
    late.refuses(&token).await;
    late.accepts(&world.issuer.token().subject("user-9").mint())
        .await;
}

#[tokio::test(start_paused = true)]
async fn th_05_who_missed_something_notices_and_loads_it() {
    let world = World::new();
    let [here, there] = [world.instance().await, world.instance().await];
    let session = |name: &str| world.issuer.token().session_id(name).mint();
    here.revoke(Revocation::session(ISSUER, "taken-back")).await;
    world.pass(SECOND).await;
    there.refuses(&session("taken-back")).await;
    world.log.fail_follows(true);
    world.pass(2 * SECOND).await;
    here.revoke(Revocation::session(ISSUER, "missed")).await;
    here.handle()
        .unrevoke(Revocation::session(ISSUER, "taken-back").id())
        .await
        .unwrap();
    world.log.trim();
    there.accepts(&session("missed")).await;
    world.log.clear_fault();
    world.pass(2 * SECOND).await;
    there.refuses(&session("missed")).await;
    // The whole list came, in place of the old one.
    there.accepts(&session("taken-back")).await;
    assert!(there.handle().is_ready());
}

#[tokio::test(start_paused = true)]
async fn th_22_one_that_is_cut_off_notices_by_itself() {
    let world = World::new();
    // Two logs: the second instance hears nothing of the first.
    let here = world.instance().await;
    let elsewhere = MemoryLog::new(Arc::new(world.clock.clone()));
    let builder = Denylist::builder(elsewhere.clone(), OnOutage::FailClosed);
    let builder = builder.clock(Arc::new(world.clock.clone()));
    let there = world.instance_of(builder).await;
    elsewhere.set_fault(LogFault::Hang);
    world.pass(40 * SECOND).await;
    let token = world.issuer.token().mint();
    here.accepts(&token).await;
    there.is_down_for(&token).await;
}

#[tokio::test(start_paused = true)]
async fn th_23_a_log_that_came_back_without_its_data_is_given_what_is_known() {
    let world = World::new();
    let [here, there] = [world.instance().await, world.instance().await];
    let token = world.issuer.token().token_id("token-1").mint();
    here.revoke(Revocation::token(ISSUER, "token-1")).await;
    here.revoke(Revocation::key(ISSUER, "key-1")).await;
    here.revoke(Revocation::client(ISSUER, "client-9")).await;
    world.pass(SECOND).await;
    let before = world.log.records();
    assert_eq!(before.len(), 3);
    world.log.lose_everything();
    assert!(world.log.records().is_empty());
    for _ in 0..20 {
        for instance in [&here, &there] {
            instance.refuses(&token).await;
        }
        world.pass(SECOND / 10).await;
    }
    let sorted = |mut records: Vec<gateless::RevocationRecord>| {
        records.sort_by_key(|record| record.id());
        records
    };
    assert_eq!(sorted(world.log.records()), sorted(before));
    world.instance().await.refuses(&token).await;
}

#[tokio::test(start_paused = true)]
async fn th_23_what_cannot_be_put_back_at_once_is_put_back_later() {
    let world = World::new();
    let here = world.instance().await;
    here.revoke(Revocation::token(ISSUER, "token-1")).await;
    world.pass(SECOND).await;
    world.log.lose_everything();
    world.log.fail_appends(true);
    world.pass(10 * SECOND).await;
    assert!(world.log.records().is_empty());
    world.log.clear_fault();
    world.pass(2 * SECOND).await;
    assert_eq!(world.log.records().len(), 1);
}

/// The log is asked for everything only once it was filled again: who starts in between must not take it for empty.
#[tokio::test(start_paused = true)]
async fn th_04_what_was_lost_is_put_back_before_it_is_loaded() {
    let world = World::new();
    let here = world.instance().await;
    here.revoke(Revocation::token(ISSUER, "token-1")).await;
    world.pass(SECOND).await;
    world.log.fail_loads(true);
    world.log.lose_everything();
    world.pass(SECOND).await;
    assert_eq!(world.log.records().len(), 1);
    world.log.clear_fault();
}

#[tokio::test(start_paused = true)]
async fn th_15_what_is_taken_back_and_revoked_by_another_stays_revoked() {
    let world = World::new();
    let [here, there] = [world.instance().await, world.instance().await];
    let token = world.issuer.token().token_id("token-1").mint();
    let revocation = Revocation::token(ISSUER, "token-1");
    for _ in 0..50 {
        here.revoke(revocation.clone()).await;
        let (taken_back, ()) = tokio::join!(here.handle().unrevoke(revocation.id()), async {
            tokio::task::yield_now().await;
            there.revoke(revocation.clone()).await;
        });
        taken_back.unwrap();
        world.pass(Duration::from_millis(10)).await;
        let is_revoked = !world.log.records().is_empty();
        for instance in [&here, &there] {
            match is_revoked {
                true => instance.refuses(&token).await,
                false => instance.accepts(&token).await,
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn th_23_what_was_lost_is_put_back_before_anything_is_loaded() {
    let world = World::new();
    let here = world.instance().await;
    here.revoke(Revocation::token(ISSUER, "token-1")).await;
    world.pass(SECOND).await;
    world.log.lose_everything();
    // As long as this takes, somebody who starts now waits as well, and then takes what there is for all of it.
    world.log.fail_loads(true);
    world.pass(2 * SECOND).await;
    assert_eq!(world.log.records().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn th_05_what_is_revoked_while_the_list_is_loaded_anew_stays_revoked() {
    let world = World::new();
    let here = world.instance().await;
    let token = world.issuer.token().token_id("token-1").mint();
    for round in 0..50_u32 {
        world.log.trim();
        let other = Revocation::session(ISSUER, &format!("session-{round}"));
        let (revoked, ()) = tokio::join!(here.handle().revoke(&other), async {
            tokio::task::yield_now().await;
        });
        revoked.unwrap();
        let revocation = Revocation::token(ISSUER, "token-1");
        here.revoke(revocation.clone()).await;
        for _ in 0..5 {
            here.refuses(&token).await;
            sleep(Duration::from_millis(u64::from(round % 7))).await;
        }
        here.handle().unrevoke(revocation.id()).await.unwrap();
    }
}
