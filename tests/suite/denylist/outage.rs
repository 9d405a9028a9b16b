//! What happens while nobody can say whether a token was revoked.

use gateless_testkit::LogFault;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn th_02_fail_closed_answers_for_as_long_as_the_list_is_fresh() {
    let world = World::new();
    let instance = world.instance().await;
    let token = world.issuer.token().mint();
    let revoked = world.issuer.token().session_id("session-1").mint();
    instance
        .revoke(Revocation::session(ISSUER, "session-1"))
        .await;
    world.log.set_fault(LogFault::Fail);
    world.pass(28 * SECOND).await;
    instance.accepts(&token).await;
    instance.refuses(&revoked).await;
    world.pass(3 * SECOND).await;
    instance.is_down_for(&token).await;
    assert!(!instance.handle().is_ready());
    // What is known to be revoked is not the log's fault.
    instance.refuses(&revoked).await;
    assert!(instance.handle().status().last_failure().is_some());

    world.log.clear_fault();
    world.pass(2 * SECOND).await;
    instance.accepts(&token).await;
    assert!(instance.handle().is_ready());
    assert_eq!(instance.handle().status().last_failure(), None);
}

#[tokio::test(start_paused = true)]
async fn th_02_the_shortest_bound_is_kept_by_who_is_up_to_date() {
    for fresh_for in [2 * SECOND, 3 * SECOND, 30 * SECOND] {
        let world = World::new();
        let builder = world.builder(OnOutage::FailClosed);
        let instance = world.instance_of(builder.fresh_for(fresh_for)).await;
        for _ in 0..500 {
            let step = Duration::from_millis(10);
            world.clock.advance(step);
            sleep(step).await;
            let age = instance.handle().status().age().unwrap();
            assert!(age <= fresh_for * 2 / 3, "{age:?} of {fresh_for:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn th_02_stale_for_adds_to_that_and_ends() {
    let world = World::new();
    let builder = world.builder(OnOutage::StaleFor(60 * SECOND));
    let instance = world.instance_of(builder.fresh_for(10 * SECOND)).await;
    let token = world.issuer.token().mint();
    world.log.set_fault(LogFault::Hang);
    world.pass(65 * SECOND).await;
    instance.accepts(&token).await;
    assert!(!instance.handle().is_ready());
    world.pass(8 * SECOND).await;
    instance.is_down_for(&token).await;
}

#[tokio::test(start_paused = true)]
async fn th_02_each_route_has_a_choice_of_its_own() {
    let world = World::new();
    let instance = world.instance().await;
    let token = world.issuer.token().mint();
    let revoked = world.issuer.token().session_id("session-1").mint();
    instance
        .revoke(Revocation::session(ISSUER, "session-1"))
        .await;
    world.log.set_fault(LogFault::Fail);
    world.pass(60 * SECOND).await;
    instance.is_down_for(&token).await;
    let on = |denylist: Denylist| Instance {
        auth: instance.auth.clone(),
        denylist,
    };
    let patient = on(instance
        .denylist
        .on_outage(OnOutage::StaleFor(600 * SECOND)));
    let open = on(instance.denylist.danger_open_on_outage());
    for route in [&patient, &open] {
        route.accepts(&token).await;
        route.refuses(&revoked).await;
    }
    world.pass(600 * SECOND).await;
    let token = world.issuer.token().mint();
    patient.is_down_for(&token).await;
    open.accepts(&token).await;
    on(open.denylist.on_outage(OnOutage::FailClosed))
        .is_down_for(&token)
        .await;
}

#[tokio::test(start_paused = true)]
async fn th_04_nobody_passes_before_the_list_was_loaded() {
    let world = World::new();
    world.log.set_fault(LogFault::Fail);
    let auth = world.auth(world.policy());
    let denylist = world
        .builder(OnOutage::StaleFor(3600 * SECOND))
        .build()
        .unwrap();
    let instance = Instance { auth, denylist };
    let token = world.issuer.token().mint();
    let open = Instance {
        auth: instance.auth.clone(),
        denylist: instance.denylist.danger_open_on_outage(),
    };
    for route in [&instance, &open] {
        route.is_down_for(&token).await;
    }
    let handle = instance.handle();
    assert!(!handle.is_ready() && handle.status().age().is_none());
    let unavailable = handle.ready().await.unwrap_err();
    assert!(
        unavailable
            .to_string()
            .starts_with("the denylist cannot be loaded")
    );
    for route in [&instance, &open] {
        route.is_down_for(&token).await;
    }
    world.log.clear_fault();
    world.pass(2 * SECOND).await;
    handle.ready().await.unwrap();
    for route in [&instance, &open] {
        route.accepts(&token).await;
    }
}

#[tokio::test(start_paused = true)]
async fn th_02_what_cannot_be_stored_is_not_revoked_and_that_is_said() {
    let world = World::new();
    let instance = world.instance().await;
    let token = world.issuer.token().token_id("token-1").mint();
    let revocation = Revocation::token(ISSUER, "token-1");
    world.log.fail_appends(true);
    let error = instance.handle().revoke(&revocation).await.unwrap_err();
    assert!(matches!(
        error,
        gateless::denylist::RevokeError::NotStored(_)
    ));
    instance.accepts(&token).await;
    let error = instance
        .handle()
        .unrevoke(revocation.id())
        .await
        .unwrap_err();
    assert!(error.to_string().starts_with("the change is not stored"));
    world.log.clear_fault();
    world.log.set_fault(LogFault::Hang);
    let error = instance.handle().revoke(&revocation).await.unwrap_err();
    assert!(matches!(error, gateless::denylist::RevokeError::TimedOut));
    // It may be stored, so it is refused here.
    instance.refuses(&token).await;
    world.log.clear_fault();
    instance.revoke(revocation).await;
    instance.refuses(&token).await;
}

#[tokio::test(start_paused = true)]
async fn tm_10_what_nobody_waits_for_any_more_is_revoked_all_the_same() {
    use std::future::Future as _;
    use std::task::{Context, Poll, Waker};

    let world = World::new();
    let instance = world.instance().await;
    let token = world.issuer.token().token_id("token-1").mint();
    let revocation = Revocation::token(ISSUER, "token-1");
    let mut revoke = Box::pin(instance.handle().revoke(&revocation));
    let first = revoke
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(first, Poll::Pending));
    drop(revoke);
    world.pass(SECOND).await;
    instance.refuses(&token).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_on_when_the_last_layer_is_gone() {
    let world = World::new();
    let instance = world.instance().await;
    drop(instance);
    world.pass(3 * SECOND).await;
    let asked = world.log.follows();
    world.pass(30 * SECOND).await;
    assert_eq!(world.log.follows(), asked);
}
