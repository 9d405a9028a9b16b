use super::*;

#[tokio::test]
async fn units_in_stock_are_given_out_without_a_call() {
    let world = World::new(Quota::per_hour(100));
    let front = world.leased(10);
    assert!(is_granted(&world.count(&front, 1, 1).await));
    for _ in 0..9 {
        assert!(is_granted(&world.at_once(&front, 1, 1)));
    }
    assert_eq!((world.store.calls(), world.store.granted()), (1, 10));
    assert!(is_granted(&world.count(&front, 1, 3).await));
    assert!(is_granted(&world.at_once(&front, 1, 7)));
    assert_eq!((world.store.calls(), world.store.granted()), (2, 20));
    assert!(is_granted(&world.count(&front, 2, 1).await), "another one");
    assert_eq!(world.store.calls(), 3);
}

#[tokio::test]
async fn what_is_in_stock_counts_towards_what_is_needed() {
    let world = World::new(Quota::per_hour(100));
    let front = world.leased(10);
    assert!(is_granted(&world.count(&front, 1, 4).await));
    assert!(is_granted(&world.count(&front, 1, 8).await));
    // Six were left, so two were needed and eight would not fit beyond ten.
    assert_eq!(world.store.granted(), 10 + 4);
    assert!(is_granted(&world.at_once(&front, 1, 2)));
}

#[tokio::test]
async fn units_in_stock_are_paid_for_and_can_be_used_later() {
    let world = World::new(Quota::per_hour(100));
    let front = world.leased(10);
    assert!(is_granted(&world.count(&front, 1, 1).await));
    world.clock.advance(Duration::from_secs(86_400));
    assert!(is_granted(&world.at_once(&front, 1, 9)));
}

#[tokio::test]
async fn tk_07_near_the_limit_leases_shrink_until_they_are_exact() {
    let world = World::new(Quota::per_hour(20));
    let fleet = [(); 2].map(|()| world.leased(8));
    let mut stocks = Vec::new();
    let mut admitted = 0;
    for round in 0..60 {
        let before = world.store.granted();
        admitted += u32::from(is_granted(&world.count(&fleet[round % 2], 1, 1).await));
        if world.store.granted() > before {
            stocks.push(world.store.granted() - before);
        }
    }
    assert_eq!(stocks, [5, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(admitted, 20);
    assert!(world.store.calls() <= 11 + 2, "{}", world.store.calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tk_07_many_requests_of_one_caller_at_once_make_few_calls_and_get_what_was_granted() {
    for _ in 0..50 {
        let world = Arc::new(World::new(Quota::per_hour(40)));
        let settings = SharedLimits::leased(world.store.clone(), 10, LimitOutage::FailClosed);
        let front = world.front(settings.deadline(Duration::from_secs(30)));
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let (world, front) = (Arc::clone(&world), Arc::clone(&front));
            crowd.spawn(async move { world.count(&front, 1, 1).await });
        }
        let counts = crowd.join_all().await;
        let refused = counts.iter().filter(|count| !is_granted(count));
        let refused = refused.map(wait_of).count();
        assert_eq!((64 - refused, world.store.granted()), (40, 40));
        assert!(world.store.calls() <= 20, "{} calls", world.store.calls());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tk_07_a_fleet_on_several_threads_lets_no_more_through_than_the_store_gave_out() {
    for units in [1, 5, 20] {
        let world = Arc::new(World::new(Quota::per_hour(100)));
        let settings = SharedLimits::leased(world.store.clone(), units, LimitOutage::FailClosed);
        let settings = settings.deadline(Duration::from_secs(30));
        let fleet = [(); 3].map(|()| world.front(settings.clone()));
        let mut crowd = tokio::task::JoinSet::new();
        for number in 0..600 {
            let (world, front) = (Arc::clone(&world), Arc::clone(&fleet[number % 3]));
            crowd.spawn(async move { world.count(&front, 1, 1).await });
        }
        let counts = crowd.join_all().await;
        let admitted = counts.iter().filter(|count| is_granted(count)).count();
        // Each instance is asked for more than there is, so nothing stays in stock.
        assert_eq!((admitted, world.store.granted()), (100, 100), "{units}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_same_caller_waits_for_the_same_call() {
    let world = World::new(Quota::per_hour(100));
    let front = world.leased(10);
    world.store.is(Behaviour::Slow(10 * MILLI));
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..25 {
        let Taking::Wait(count) = world.take(&front, 1, 1) else {
            panic!("the store is asked");
        };
        crowd.spawn(count);
    }
    let counts = crowd.join_all().await;
    assert!(counts.iter().all(is_granted));
    // One call for all who wait, however many they are.
    assert_eq!((world.store.calls(), world.store.granted()), (1, 25));
}

#[tokio::test(start_paused = true)]
async fn where_there_is_not_enough_for_all_who_wait_those_get_it_who_came_first() {
    let world = World::new(Quota::per_hour(7));
    let front = world.leased(7);
    let mut crowd = Vec::new();
    for _ in 0..5 {
        let Taking::Wait(count) = world.take(&front, 1, 2) else {
            panic!("the store is asked");
        };
        crowd.push(count);
    }
    for (number, count) in crowd.into_iter().enumerate() {
        assert_eq!(is_granted(&count.await), number < 3);
    }
    // All seven, of which one is left over for nobody; then there is not enough for the next two.
    assert_eq!((world.store.calls(), world.store.granted()), (2, 7));
    let world = World::new(Quota::per_hour(5));
    let front = world.leased(5);
    assert!(is_granted(&world.count(&front, 1, 2).await));
    world.store.is(Behaviour::Slow(MILLI));
    // Five are wanted and three are there. The first call brings one; then four are too many, and two are there.
    let mut crowd = Vec::new();
    for _ in 0..5 {
        crowd.push(world.begin(&front, 1, 1).await);
    }
    for (number, count) in crowd.into_iter().enumerate() {
        assert_eq!(is_granted(&count.await), number < 3);
    }
    assert_eq!(world.store.granted(), 5);
    // The others are too many, and one of them is; the last ones need not ask.
    assert_eq!(world.store.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn first_come_first_served() {
    let world = World::new(Quota::per_hour(12));
    let front = world.leased(4);
    assert!(is_granted(&world.count(&front, 1, 1).await));
    assert_eq!(world.store.granted(), 3, "a quarter of twelve");
    world.store.is(Behaviour::Slow(10 * MILLI));
    let large = world.begin(&front, 1, 10).await;
    let small = world.begin(&front, 1, 1).await;
    // The small one could be served from the stock, and does not push in.
    assert!(is_granted(&large.await));
    assert!(is_granted(&small.await));
    assert_eq!(world.store.granted(), 12);
    assert!(!is_granted(&world.count(&front, 1, 1).await));
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_holds_up_nobody_who_wants_less() {
    let world = World::new(Quota::per_hour(12));
    let front = world.leased(4);
    assert!(is_granted(&world.count(&front, 1, 1).await));
    world.store.is(Behaviour::Slow(10 * MILLI));
    let large = world.begin(&front, 1, 12).await;
    let small = world.begin(&front, 1, 2).await;
    // One unit is missing.
    assert_eq!(wait_of(&large.await), Duration::from_secs(300));
    assert!(is_granted(&small.await), "from the stock");
    assert_eq!((world.store.calls(), world.store.granted()), (2, 3));
    assert!(!wait_of(&world.at_once(&front, 1, 12)).is_zero());
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_leaves_the_units_to_the_others() {
    let world = World::new(Quota::per_hour(100));
    let front = world.leased(4);
    world.store.is(Behaviour::Slow(10 * MILLI));
    let gone = world.begin(&front, 1, 1).await;
    let other = world.begin(&front, 1, 1).await;
    drop(gone);
    assert!(is_granted(&other.await));
    for _ in 0..3 {
        assert!(is_granted(&world.at_once(&front, 1, 1)));
    }
    assert_eq!(world.store.calls(), 1);
    // Nobody asks for those who have gone.
    let first = world.begin(&front, 1, 1).await;
    drop(world.begin(&front, 1, 50).await);
    assert!(is_granted(&first.await));
    settle().await;
    assert_eq!((world.store.calls(), world.store.granted()), (2, 8));
    assert!(is_granted(&world.at_once(&front, 1, 3)));
    // Also when nobody is left.
    drop(world.begin(&front, 1, 1).await);
    tokio::time::sleep(SECOND).await;
    assert!(is_granted(&world.at_once(&front, 1, 4)));
    assert_eq!(world.store.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn after_a_call_that_failed_nobody_waits_and_the_next_one_asks() {
    for fault in [Behaviour::Fails, Behaviour::Hangs, Behaviour::Panics] {
        let world = World::new(Quota::per_hour(100));
        let front = world.leased(4);
        assert!(is_granted(&world.count(&front, 1, 3).await));
        world.store.is(fault);
        // One is in stock. The first needs two; the second can have that one, once nothing more comes.
        let Taking::Wait(first) = world.take(&front, 1, 2) else {
            panic!("there is one");
        };
        let Taking::Wait(second) = world.take(&front, 1, 1) else {
            panic!("others wait");
        };
        let first = tokio::spawn(first);
        tokio::time::advance(MILLI).await;
        let second = tokio::spawn(second);
        assert!(!is_granted(&first.await.unwrap()), "{fault:?}");
        assert!(is_granted(&second.await.unwrap()), "{fault:?}");
        world.store.is(Behaviour::Works);
        settle().await;
        assert!(is_granted(&world.count(&front, 1, 2).await), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tk_03_who_finds_no_room_asks_for_one_request_and_who_makes_way_loses_what_was_paid() {
    let world = World::new(Quota::per_hour(100));
    let settings = SharedLimits::leased(world.store.clone(), 10, LimitOutage::FailClosed);
    let front = world.front(settings.max_remembered(1));
    world.store.is(Behaviour::Slow(10 * MILLI));
    let first = world.begin(&front, 1, 1).await;
    // The only place is that of somebody who waits.
    assert!(is_granted(&world.count(&front, 2, 1).await));
    assert_eq!(world.store.granted(), 10 + 1);
    assert!(is_granted(&first.await));
    // Nobody waits any more: nine units make way.
    assert!(is_granted(&world.count(&front, 2, 1).await));
    assert_eq!(front.places.len(), 1);
    assert_eq!(world.store.calls(), 3);
    assert!(is_granted(&world.count(&front, 1, 1).await));
    assert_eq!(world.store.calls(), 4);
}

#[tokio::test]
async fn who_has_least_in_stock_makes_way_first() {
    let world = World::new(Quota::per_hour(100));
    let settings = SharedLimits::leased(world.store.clone(), 10, LimitOutage::FailClosed);
    let front = world.front(settings.max_remembered(3));
    for (caller, cost) in [(1, 1), (2, 8), (3, 5)] {
        assert!(is_granted(&world.count(&front, caller, cost).await));
    }
    assert!(is_granted(&world.count(&front, 4, 1).await));
    // The second had two left, fewer than the others.
    assert!(is_granted(&world.at_once(&front, 1, 9)));
    assert!(is_granted(&world.at_once(&front, 3, 5)));
    assert_eq!(world.store.calls(), 4);
    assert!(is_granted(&world.count(&front, 2, 1).await));
    assert_eq!(world.store.calls(), 5);
}
