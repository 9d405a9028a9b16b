use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tk_07_a_fleet_lets_exactly_the_quota_through_whatever_comes_at_once() {
    let world = Arc::new(World::new(Quota::per_hour(50)));
    let fleet = [(); 2].map(|()| world.exact(LimitOutage::FailClosed));
    let mut crowd = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (world, front) = (Arc::clone(&world), Arc::clone(&fleet[number % 2]));
        crowd.spawn(async move { world.count(&front, 1, 1).await });
    }
    let granted = crowd.join_all().await;
    let granted = granted.iter().filter(|count| is_granted(count));
    assert_eq!(granted.count(), 50);
}

#[tokio::test]
async fn tk_08_how_the_clocks_of_the_instances_are_set_makes_no_difference() {
    use gateless_core::Timestamp;

    let world = two_a_second();
    let (early, late) = (FakeClock::at(Timestamp::EPOCH), FakeClock::new());
    late.advance(Duration::from_secs(86_400 * 365));
    let settings = SharedLimits::exact(world.store.clone(), LimitOutage::FailClosed);
    let fleet = [&early, &late].map(|clock| world.front_at(clock, settings.clone()));
    for front in &fleet {
        assert!(is_granted(&world.count(front, 1, 1).await));
    }
    for front in &fleet {
        assert_eq!(wait_of(&world.count(front, 1, 1).await), SECOND / 2);
    }
    late.set_wall(Timestamp::EPOCH);
    for clock in [&world.clock, &early, &late] {
        clock.advance(SECOND / 2);
    }
    assert!(is_granted(&world.count(&fleet[1], 1, 1).await));
    assert_eq!(wait_of(&world.count(&fleet[0], 1, 1).await), SECOND / 2);
}

#[tokio::test]
async fn what_the_store_says_is_handed_on() {
    let world = two_a_second();
    let front = world.exact(LimitOutage::FailClosed);
    let Count::Decided(taken) = world.count(&front, 1, 1).await else {
        panic!("not decided");
    };
    assert_eq!(taken.decision, Decision::Granted(1));
    assert_eq!(taken.debts, [500_000]);
    assert_eq!(front.places.len(), 0, "nothing to remember");
}

#[tokio::test]
async fn who_was_refused_is_refused_again_without_a_call_until_there_can_be_enough() {
    let world = two_a_second();
    let front = world.exact(LimitOutage::FailClosed);
    assert!(is_granted(&world.count(&front, 1, 2).await));
    assert_eq!(wait_of(&world.count(&front, 1, 1).await), SECOND / 2);
    for passed in 0..500 {
        let left = SECOND / 2 - passed * MILLI;
        assert_eq!(wait_of(&world.at_once(&front, 1, 1)), left);
        // More takes as much longer as it takes to come, and no more than a burst.
        assert_eq!(wait_of(&world.at_once(&front, 1, 2)), left + SECOND / 2);
        assert_eq!(wait_of(&world.at_once(&front, 1, 9)), left + SECOND / 2);
        world.clock.advance(MILLI);
    }
    assert_eq!(world.store.calls(), 2);
    assert!(is_granted(&world.count(&front, 1, 1).await));
    assert!(is_granted(&world.count(&front, 2, 1).await), "another one");
}

#[tokio::test]
async fn a_refusal_says_nothing_about_who_wants_less() {
    let world = two_a_second();
    let front = world.exact(LimitOutage::FailClosed);
    assert!(is_granted(&world.count(&front, 1, 1).await));
    assert_eq!(wait_of(&world.count(&front, 1, 2).await), SECOND / 2);
    assert!(is_granted(&world.count(&front, 1, 1).await));
    // Now there are two refusals, and the one of less says more.
    assert_eq!(wait_of(&world.count(&front, 1, 1).await), SECOND / 2);
    assert_eq!(wait_of(&world.at_once(&front, 1, 2)), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_counts_from_when_the_question_was_sent() {
    let world = two_a_second();
    let front = world.exact(LimitOutage::FailClosed);
    assert!(is_granted(&world.count(&front, 1, 2).await));
    world.store.is(Behaviour::Slow(30 * MILLI));
    let count = world.begin(&front, 1, 1).await;
    // The store has decided; its answer takes a while.
    world.clock.advance(300 * MILLI);
    assert_eq!(wait_of(&count.await), SECOND / 2);
    assert_eq!(wait_of(&world.at_once(&front, 1, 1)), 200 * MILLI);
    world.clock.advance(200 * MILLI);
    assert!(is_granted(&world.count(&front, 1, 1).await));
}

#[tokio::test]
async fn a_store_that_refuses_for_ever_is_believed_for_as_long_as_a_burst_takes() {
    let world = two_a_second();
    let front = world.exact(LimitOutage::FailClosed);
    world.store.is(Behaviour::Grim);
    assert_eq!(wait_of(&world.count(&front, 1, 1).await), Duration::MAX);
    world.store.is(Behaviour::Works);
    assert_eq!(wait_of(&world.at_once(&front, 1, 1)), SECOND);
    world.clock.advance(SECOND);
    assert!(is_granted(&world.count(&front, 1, 1).await));
}

#[tokio::test]
async fn what_costs_nothing_needs_no_store_and_what_costs_more_than_a_burst_costs_a_burst() {
    let world = two_a_second();
    for front in [world.exact(LimitOutage::FailClosed), world.leased(1)] {
        assert!(is_granted(&world.at_once(&front, 1, 0)));
    }
    let front = world.exact(LimitOutage::FailClosed);
    assert!(is_granted(&world.count(&front, 1, u32::MAX).await));
    assert_eq!(world.store.granted(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_hides_neither_a_refusal_nor_a_failure() {
    let world = two_a_second();
    let front = world.exact(LimitOutage::FailClosed);
    assert!(is_granted(&world.count(&front, 1, 2).await));
    drop(world.begin(&front, 1, 1).await);
    assert_eq!(wait_of(&world.at_once(&front, 1, 1)), SECOND / 2);
    world.store.is(Behaviour::Fails);
    for _ in 0..5 {
        drop(world.begin(&front, 2, 1).await);
    }
    let retry_after = SECOND;
    let unavailable = Count::Unavailable { retry_after };
    assert_eq!(world.at_once(&front, 2, 1), unavailable);
}

#[tokio::test]
async fn tk_03_no_more_is_remembered_than_there_are_places() {
    let world = World::new(Quota::per_hour(1));
    let store = world.store.clone();
    let settings = SharedLimits::exact(store, LimitOutage::FailClosed).max_remembered(10);
    let front = world.front(settings);
    for round in 0..2 {
        for caller in 0..=255 {
            let count = world.count(&front, caller, 1).await;
            assert_eq!(is_granted(&count), round == 0);
        }
    }
    assert_eq!(front.places.len(), 10);
    // Who was forgotten costs a call, and gets nothing for that.
    for caller in 0..=255 {
        assert!(!is_granted(&world.count(&front, caller, 1).await));
    }
    // All refusals are over: their places are used again.
    world.clock.advance(Duration::from_secs(3_600));
    assert!(is_granted(&world.count(&front, 1, 1).await));
    assert!(!is_granted(&world.count(&front, 1, 1).await));
    assert_eq!(front.places.len(), 10);
}
