use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gateless_core::{
    Ask, ConfigError, Decision, Limit, Quota, QuotaStore, StoreError, StoreFuture, StoreKey, Taken,
    decide,
};
use gateless_testkit::FakeClock;
use rstest::rstest;
use tokio::time::Instant;

use super::*;
use crate::limit::count::Count;
use crate::limit::table::{Tag, Tagger};

mod exact;
mod law;
mod leased;
mod outage;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A store with a clock of its own, which can be made to behave badly.
#[derive(Clone, Debug)]
struct Double(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: FakeClock,
    paid: Mutex<HashMap<StoreKey, Vec<u64>>>,
    behaviour: Mutex<Behaviour>,
    calls: AtomicU64,
    granted: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
enum Behaviour {
    Works,
    /// Takes, and answers later.
    Slow(Duration),
    Hangs,
    Fails,
    Panics,
    /// Grants one unit less than what is asked for.
    Stingy,
    /// Refuses for as long as there is.
    Grim,
}

impl Double {
    fn new(clock: FakeClock) -> Self {
        Self(Arc::new(Inner {
            clock,
            paid: Mutex::default(),
            behaviour: Mutex::new(Behaviour::Works),
            calls: AtomicU64::new(0),
            granted: AtomicU64::new(0),
        }))
    }

    fn is(&self, behaviour: Behaviour) {
        *self.0.behaviour.lock().unwrap() = behaviour;
    }

    fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// The units that it gave out.
    fn granted(&self) -> u64 {
        self.0.granted.load(Ordering::SeqCst)
    }

    fn decide(&self, key: &StoreKey, limits: &[Limit], ask: Ask) -> Taken {
        let now = micros(&self.0.clock);
        let mut paid = self.0.paid.lock().unwrap();
        let paid = paid.entry(key.clone());
        let paid = paid.or_insert_with(|| vec![0; limits.len()]);
        let decision = decide(limits, paid, now, ask);
        if let Decision::Granted(units) = decision {
            for (paid, limit) in paid.iter_mut().zip(limits) {
                *paid = limit.after(*paid, now, units);
            }
            self.0.granted.fetch_add(units.into(), Ordering::SeqCst);
        }
        let debts = limits.iter().zip(&*paid);
        Taken {
            decision,
            debts: debts.map(|(limit, paid)| limit.debt(*paid, now)).collect(),
        }
    }
}

impl QuotaStore for Double {
    fn take<'a>(
        &'a self,
        key: &'a StoreKey,
        limits: &'a [Limit],
        ask: Ask,
    ) -> StoreFuture<'a, Taken> {
        Box::pin(async move {
            self.0.calls.fetch_add(1, Ordering::SeqCst);
            let behaviour = *self.0.behaviour.lock().unwrap();
            let mut taken = self.decide(key, limits, ask);
            match behaviour {
                Behaviour::Works => {}
                Behaviour::Slow(time) => tokio::time::sleep(time).await,
                Behaviour::Hangs => std::future::pending().await,
                Behaviour::Fails => return Err(StoreError::new("connection refused")),
                Behaviour::Panics => panic!("the store has a bug"),
                Behaviour::Stingy => taken.decision = Decision::Granted(ask.least() - 1),
                Behaviour::Grim => {
                    taken.decision = Decision::Refused {
                        limit: 0,
                        retry_after: Duration::MAX,
                    };
                }
            }
            Ok(taken)
        })
    }
}

fn micros(clock: &FakeClock) -> u64 {
    use gateless_core::{Clock as _, Monotonic};

    let elapsed = clock
        .monotonic()
        .since(Monotonic::from_start(Duration::ZERO));
    u64::try_from(elapsed.as_micros()).unwrap()
}

/// A store, and the callers of a service in front of it. The store and its instances have the same clock, unless a test
/// gives one another.
struct World {
    clock: FakeClock,
    store: Double,
    tagger: Tagger,
    quota: Quota,
}

impl World {
    fn new(quota: Quota) -> Self {
        let clock = FakeClock::new();
        clock.advance(Duration::from_secs(1_000));
        Self {
            store: Double::new(clock.clone()),
            clock,
            tagger: Tagger::default(),
            quota,
        }
    }

    fn exact(&self, on_outage: LimitOutage) -> Arc<Front> {
        self.front(SharedLimits::exact(self.store.clone(), on_outage))
    }

    fn leased(&self, units: u32) -> Arc<Front> {
        let store = self.store.clone();
        self.front(SharedLimits::leased(store, units, LimitOutage::FailClosed))
    }

    fn front(&self, settings: SharedLimits) -> Arc<Front> {
        self.front_at(&self.clock, settings)
    }

    fn front_at(&self, clock: &FakeClock, settings: SharedLimits) -> Arc<Front> {
        let limits = Box::new([self.quota.check().unwrap()]);
        Arc::new(Front::new(settings, limits, 100, Arc::new(clock.clone())))
    }

    fn tag(&self, caller: u8) -> Tag {
        self.tagger.tag(&caller)
    }

    fn take(&self, front: &Arc<Front>, caller: u8, cost: u32) -> Taking {
        front.take(self.tag(caller), || StoreKey::new([caller; 32]), cost)
    }

    async fn count(&self, front: &Arc<Front>, caller: u8, cost: u32) -> Count {
        match self.take(front, caller, cost) {
            Taking::Now(count) => count,
            Taking::Wait(count) => count.await,
        }
    }

    /// Counted without waiting.
    fn at_once(&self, front: &Arc<Front>, caller: u8, cost: u32) -> Count {
        match front.take(self.tag(caller), || panic!("the key is made"), cost) {
            Taking::Now(count) => count,
            Taking::Wait(_) => panic!("the store is asked"),
        }
    }

    /// Has begun to wait, with the task that asks under way.
    async fn begin(
        &self,
        front: &Arc<Front>,
        caller: u8,
        cost: u32,
    ) -> Pin<Box<dyn Future<Output = Count> + Send>> {
        let Taking::Wait(mut count) = self.take(front, caller, cost) else {
            panic!("it was counted at once");
        };
        assert!(is_pending(&mut count));
        settle().await;
        count
    }
}

fn is_pending(count: &mut Pin<Box<dyn Future<Output = Count> + Send>>) -> bool {
    let count = pin!(count);
    matches!(
        count.poll(&mut Context::from_waker(Waker::noop())),
        Poll::Pending
    )
}

/// Lets every task go as far as it gets without time.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

fn is_granted(count: &Count) -> bool {
    matches!(count, Count::Decided(taken) if matches!(taken.decision, Decision::Granted(_)))
}

fn wait_of(count: &Count) -> Duration {
    match count {
        Count::Decided(taken) => match taken.decision {
            Decision::Refused {
                limit: 0,
                retry_after,
            } => retry_after,
            ref other => panic!("not refused: {other:?}"),
        },
        other => panic!("not decided: {other:?}"),
    }
}

fn two_a_second() -> World {
    World::new(Quota::per_second(2))
}

#[rstest]
#[case::no_time(|it: SharedLimits| it.deadline(Duration::ZERO), "a deadline that is not between 0 and 60 s")]
#[case::minutes(|it: SharedLimits| it.deadline(Duration::from_millis(60_001)), "a deadline that is not")]
#[case::no_memory(|it: SharedLimits| it.max_remembered(0), "a max_remembered of zero")]
#[case::no_units(|it: SharedLimits| SharedLimits { mode: settings::Mode::Leased { units: 0 }, ..it }, "leases of zero units")]
#[case::too_large(
    |it: SharedLimits| SharedLimits { mode: settings::Mode::Leased { units: 11 }, ..it },
    "leases of 11 units, more than a burst of 60 in 60 s with a burst of 10"
)]
#[case::nobody(
    |it: SharedLimits| SharedLimits { on_outage: LimitOutage::LocalShare { instances: 0 }, ..it },
    "a local share for zero instances"
)]
fn tk_14_unusable_settings_are_named(
    #[case] change: fn(SharedLimits) -> SharedLimits,
    #[case] says: &str,
) {
    let quotas = [Quota::per_hour(100), Quota::per_minute(60).burst(10)];
    let limits = quotas.map(|quota| quota.check().unwrap());
    let store = Double::new(FakeClock::new());
    let usable = SharedLimits::leased(store, 10, LimitOutage::FailClosed);
    let faults = |settings: SharedLimits| {
        let mut faults = ConfigError::collect();
        settings.check(&limits, &mut faults);
        faults
    };
    let longest = usable.clone().deadline(Duration::from_secs(60));
    assert!(faults(longest).faults().is_empty());
    let faults = faults(change(usable));
    assert_eq!(faults.faults().len(), 1, "{faults}");
    assert_eq!(faults.faults()[0].setting(), "shared_limits");
    assert!(faults.to_string().contains(says), "{faults}");
}

#[test]
fn a_front_shows_its_settings_and_no_caller() {
    let world = two_a_second();
    let front = world.leased(1);
    let shown = format!("{front:?}");
    assert!(shown.contains("Leased { units: 1 }"), "{shown}");
    assert!(!shown.contains("places"), "{shown}");
}
