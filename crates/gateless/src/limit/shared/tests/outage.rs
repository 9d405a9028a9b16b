use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

const FAULTS: [Behaviour; 4] = [
    Behaviour::Hangs,
    Behaviour::Fails,
    Behaviour::Panics,
    Behaviour::Stingy,
];

#[tokio::test(start_paused = true)]
async fn tk_10_what_becomes_of_requests_without_a_store_is_what_was_said() {
    let retry_after = SECOND;
    let share = Decision::Granted(1);
    for (on_outage, expected) in [
        (LimitOutage::FailClosed, Count::Unavailable { retry_after }),
        (LimitOutage::LocalShare { instances: 2 }, Count::of(share)),
        (LimitOutage::DangerOpen, Count::LetThrough),
    ] {
        for fault in FAULTS {
            let world = two_a_second();
            world.store.is(fault);
            let store = || world.store.clone();
            for settings in [
                SharedLimits::exact(store(), on_outage),
                SharedLimits::leased(store(), 2, on_outage),
            ] {
                let front = world.front(settings);
                // A call that fails, and one that is not made.
                assert_eq!(world.count(&front, 1, 1).await, expected, "{fault:?}");
                for _ in 0..20 {
                    world.count(&front, 2, 1).await;
                }
                if !matches!(fault, Behaviour::Panics) {
                    assert_eq!(world.at_once(&front, 3, 1), expected, "{fault:?}");
                }
            }
        }
    }
}

#[test]
fn tk_10_without_a_runtime_there_is_no_store() {
    let world = two_a_second();
    for front in [world.exact(LimitOutage::DangerOpen), world.leased(1)] {
        let Taking::Now(count) = world.take(&front, 1, 1) else {
            panic!("nobody can wait");
        };
        assert!(!is_granted(&count));
    }
}

#[tokio::test]
async fn tk_10_a_local_share_is_the_quota_divided_by_the_instances_and_counted_on() {
    let world = World::new(Quota::per_second(8));
    let front = world.exact(LimitOutage::LocalShare { instances: 4 });
    let mut granted = 0;
    // Outages of 100 ms, one after the other: it does not help to bring about many.
    for _ in 0..10 {
        world.store.is(Behaviour::Fails);
        for _ in 0..10 {
            granted += u32::from(is_granted(&world.count(&front, 1, 1).await));
        }
        world.clock.advance(100 * MILLI);
    }
    // A burst of two, and two in the second that passed but for its end.
    assert_eq!(granted, 2 + 1);
}

#[tokio::test(start_paused = true)]
async fn tk_11_no_request_waits_longer_than_the_deadline() {
    let world = two_a_second();
    world.store.is(Behaviour::Hangs);
    let store = || world.store.clone();
    for settings in [
        SharedLimits::exact(store(), LimitOutage::DangerOpen),
        SharedLimits::leased(store(), 1, LimitOutage::DangerOpen),
    ] {
        for deadline in [50 * MILLI, 7 * MILLI] {
            let front = world.front(settings.clone().deadline(deadline));
            let began = Instant::now();
            assert_eq!(world.count(&front, 1, 1).await, Count::LetThrough);
            let waited = began.elapsed();
            assert!(
                waited >= deadline && waited <= deadline + MILLI,
                "{waited:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tk_11_nor_does_one_behind_many_others() {
    // A store that is just quick enough. Who comes while it is asked for somebody else has to wait for the next answer.
    let world = World::new(Quota::per_hour(100));
    world.store.is(Behaviour::Slow(40 * MILLI));
    let front = world.leased(1);
    let mut crowd = tokio::task::JoinSet::new();
    let began = Instant::now();
    for number in 0..10 {
        let Taking::Wait(count) = world.take(&front, 1, 1) else {
            panic!("the store is asked");
        };
        crowd.spawn(count);
        if number == 0 {
            tokio::time::sleep(MILLI).await;
        }
    }
    let counts = crowd.join_all().await;
    assert!(began.elapsed() <= 52 * MILLI, "{:?}", began.elapsed());
    assert_eq!(counts.iter().filter(|count| is_granted(count)).count(), 1);
    // What was brought for those who have gone is no stock beyond a lease.
    tokio::time::sleep(SECOND).await;
    assert_eq!(world.store.calls(), 2);
    assert!(is_granted(&world.at_once(&front, 1, 1)));
    assert!(matches!(world.take(&front, 1, 1), Taking::Wait(_)));
}

#[tokio::test(start_paused = true)]
async fn tk_11_a_store_that_is_slow_five_times_is_left_alone_but_for_one_call_a_second() {
    for is_exact in [true, false] {
        let world = two_a_second();
        world.store.is(Behaviour::Hangs);
        let front = match is_exact {
            true => world.exact(LimitOutage::FailClosed),
            false => world.leased(1),
        };
        for calls in 1..=5 {
            let unavailable = world.count(&front, 1, 1).await;
            assert!(matches!(unavailable, Count::Unavailable { .. }));
            assert_eq!(world.store.calls(), calls);
            settle().await;
        }
        let retry_after = SECOND;
        for caller in 1..10 {
            let unavailable = Count::Unavailable { retry_after };
            assert_eq!(world.at_once(&front, caller, 1), unavailable);
        }
        // One finds out, and nobody waits with it.
        world.clock.advance(SECOND);
        let probe = world.begin(&front, 1, 1).await;
        for caller in 1..10 {
            let unavailable = Count::Unavailable { retry_after };
            assert_eq!(world.at_once(&front, caller, 1), unavailable);
        }
        assert!(!is_granted(&probe.await));
        assert_eq!(world.store.calls(), 6);
        settle().await;
        // It is back, and everybody asks again.
        world.store.is(Behaviour::Works);
        world.clock.advance(SECOND);
        for caller in 11..15 {
            assert!(is_granted(&world.count(&front, caller, 1).await));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tk_11_what_is_in_stock_and_who_is_refused_is_known_without_a_store() {
    let world = World::new(Quota::per_hour(8));
    let settings = SharedLimits::leased(world.store.clone(), 2, LimitOutage::DangerOpen);
    let front = world.front(settings);
    assert!(is_granted(&world.count(&front, 1, 1).await));
    assert!(is_granted(&world.count(&front, 2, 8).await));
    assert!(!is_granted(&world.count(&front, 2, 1).await));
    world.store.is(Behaviour::Fails);
    for _ in 0..5 {
        assert_eq!(world.count(&front, 3, 1).await, Count::LetThrough);
    }
    assert!(is_granted(&world.at_once(&front, 1, 1)), "one was in stock");
    assert_eq!(world.at_once(&front, 1, 1), Count::LetThrough);
    assert!(!wait_of(&world.at_once(&front, 2, 1)).is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_too_slow_may_have_taken_units_and_nobody_gains_them() {
    let world = two_a_second();
    let front = world.exact(LimitOutage::FailClosed);
    world.store.is(Behaviour::Slow(SECOND));
    assert!(!is_granted(&world.count(&front, 1, 2).await));
    world.store.is(Behaviour::Works);
    assert_eq!(wait_of(&world.count(&front, 1, 1).await), SECOND / 2);
}

/// Names and fields of events, one a line.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "error" {
            self.0 = format!("{} error={value:?}", self.0);
        }
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("gateless::limit")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut fields = Fields(format!("{} {}", metadata.level(), metadata.name()));
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn an_outage_is_told_once_and_so_is_its_end() {
    let heard = Heard::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    tracing::subscriber::with_default(heard.clone(), || {
        runtime.block_on(async {
            let world = two_a_second();
            let front = world.exact(LimitOutage::FailClosed);
            world.store.is(Behaviour::Fails);
            for _ in 0..4 {
                for _ in 0..20 {
                    world.count(&front, 1, 1).await;
                }
                world.clock.advance(SECOND);
            }
            world.store.is(Behaviour::Works);
            for _ in 0..3 {
                world.count(&front, 1, 1).await;
            }
        });
    });
    let failed = "WARN gateless.limit.store_failed error=connection refused";
    let back = "INFO gateless.limit.store_back";
    assert_eq!(*heard.0.lock().unwrap(), [failed, back]);
}
