//! What every counter of quotas has to do, as a suite for those who write one.

mod bounds;
mod cases;
#[cfg(test)]
mod tests;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use gateless_core::{Ask, Decision, Limit, Quota, QuotaStore, StoreKey, Taken};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use self::bounds::{Caller, Passed};
use self::cases::{ROUNDS, STEP, cases};

/// How long a store is given to finish behind the back of a caller that went away.
const AFTERWARDS: Duration = Duration::from_millis(50);

const ONE: Ask = Ask::exactly(1);

/// Holds a [`QuotaStore`] to its contract.
///
/// `make` connects to the store, which need not be empty: the suite picks its keys at random. It is called twice, and
/// both have to count together, as two instances of a fleet do. `advance` lets time pass: a store on a
/// [`FakeClock`](crate::FakeClock) has it moved, a real one sleeps, some three seconds in all.
///
/// A store with a clock of its own is held to what was possible in the time that an answer took. On a clock that stands
/// still, in a runtime that is paused, every answer has to be the one of [`decide`](gateless_core::decide).
///
/// ```
/// use std::sync::Arc;
///
/// use gateless_testkit::{FakeClock, MemoryQuotas, quota_store_conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = FakeClock::new();
/// let quotas = MemoryQuotas::new(Arc::new(clock.clone()));
/// quota_store_conformance(async || quotas.clone(), async |by| clock.advance(by)).await;
/// // A real one: `async |by| tokio::time::sleep(by).await`
/// # }
/// ```
///
/// # Panics
///
/// When the store does not conform, with what it did. Needs a tokio runtime with a timer.
pub async fn quota_store_conformance<S: QuotaStore>(
    make: impl AsyncFn() -> S,
    advance: impl AsyncFn(Duration),
) {
    let here = Arc::new(make().await);
    let there = Arc::new(make().await);

    it_is_decided_as_in_the_table(&*here, &*there, &advance).await;
    two_keys_do_not_meet(&*here).await;
    no_two_get_the_same_units(&here, &there).await;
    a_dropped_call_does_no_harm(&*here, &*there).await;
    who_waits_as_long_as_told_is_let_through(&*here, &advance).await;
    no_span_of_time_brings_more_than_it_may(&here, &there, &advance).await;
}

fn key() -> StoreKey {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).expect("the system has randomness");
    StoreKey::new(bytes)
}

fn limit(quota: &Quota) -> [Limit; 1] {
    [quota.check().expect("a quota of the suite means something")]
}

async fn take(store: &impl QuotaStore, key: &StoreKey, limits: &[Limit], ask: Ask) -> Taken {
    let taken = store.take(key, limits, ask).await;
    taken.expect("the store answers")
}

async fn units(store: &impl QuotaStore, key: &StoreKey, limits: &[Limit], ask: Ask) -> u32 {
    match take(store, key, limits, ask).await.decision {
        Decision::Granted(units) => units,
        Decision::Refused { .. } => 0,
    }
}

/// Every second question goes to the other instance.
async fn it_is_decided_as_in_the_table<S: QuotaStore>(
    here: &S,
    there: &S,
    advance: &impl AsyncFn(Duration),
) {
    let mut callers = Vec::from_iter(cases().into_iter().map(|case| {
        let caller = Caller::new(case.name, &case.limits);
        (key(), caller, case)
    }));
    let mut passed = Passed::new();
    for this in 0..ROUNDS {
        if this > 0 {
            passed.advance(advance, STEP).await;
        }
        for (key, caller, case) in &mut callers {
            for (place, (round, ask, expected)) in case.steps.iter().enumerate() {
                if *round != this {
                    continue;
                }
                let store = if place % 2 == 0 { here } else { there };
                let least = passed.least();
                let taken = take(store, key, &case.limits, *ask).await;
                let most = passed.most();
                if least == most {
                    let name = case.name;
                    assert_eq!(taken.decision, *expected, "{name}: step {place}");
                }
                caller.judge(*ask, &taken, least, most);
            }
        }
    }
}

/// One bit apart at either end and in the middle, also where the bytes are no text, or look like the end of one.
async fn two_keys_do_not_meet(store: &impl QuotaStore) {
    let mut base = *key().as_bytes();
    let mut keys = vec![StoreKey::new(base)];
    for place in [0, 15, 16, 31] {
        for byte in [0x00, 0x01, b'a', b'A', b' ', b'}', 0x0a, 0xfe, 0xff] {
            let mut bytes = base;
            if let Some(changed) = bytes.get_mut(place) {
                *changed = byte;
            }
            keys.push(StoreKey::new(bytes));
        }
    }
    // Behind a NUL byte.
    let [first, .., last] = &mut base;
    (*first, *last) = (0, last.wrapping_add(1));
    keys.push(StoreKey::new(base));
    let mut seen = Vec::new();
    let limits = limit(&Quota::per_day(1));
    for key in keys {
        let is_new = !seen.contains(&key);
        let had = units(store, &key, &limits, ONE).await;
        assert_eq!(had, u32::from(is_new), "each key has a quota of its own");
        seen.push(key);
    }
}

async fn no_two_get_the_same_units<S: QuotaStore>(here: &Arc<S>, there: &Arc<S>) {
    // Nothing comes back while this takes place.
    let limits = limit(&Quota::per_day(20));
    for (ask, takers) in [
        (ONE, 64),
        (Ask::stock(1, 7, 2), 64),
        (Ask::stock(2, 3, 1), 32),
    ] {
        let key = key();
        let taken = at_once(here, there, &key, &limits, ask, takers).await;
        let all = if ask.least() == 1 { 20..=20 } else { 19..=20 };
        assert!(
            all.contains(&taken),
            "{takers} who ask at the same time get the 20 units that there are, and not {taken}"
        );
    }
}

/// How many units they get in all.
async fn at_once<S: QuotaStore>(
    here: &Arc<S>,
    there: &Arc<S>,
    key: &StoreKey,
    limits: &[Limit],
    ask: Ask,
    takers: u32,
) -> u32 {
    let mut calls = JoinSet::new();
    for taker in 0..takers {
        let store = Arc::clone(if taker % 2 == 0 { here } else { there });
        let (key, limits) = (key.clone(), limits.to_vec());
        calls.spawn(async move {
            yield_now().await;
            units(&*store, &key, &limits, ask).await
        });
    }
    let mut all = 0;
    while let Some(taken) = calls.join_next().await {
        match taken {
            Ok(units) => all += units,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(failed) => panic!("a concurrent call ends well: {failed}"),
            },
        }
    }
    all
}

/// A caller that waited long enough goes away. Nobody knows whether it had something; the others are not worse off, and
/// get answers of their own.
async fn a_dropped_call_does_no_harm<S: QuotaStore>(here: &S, there: &S) {
    const BURST: u32 = 20;
    let limits = limit(&Quota::per_day(BURST));
    let (given_up, other) = (key(), key());
    let mut witness = Caller::new("somebody else", &limits);
    let passed = Passed::new();
    let (mut had, mut unknown) = (0, 1);
    drop(here.take(&given_up, &limits, ONE));
    for patience in [0, 0, 0, 100, 500, 1000, 5000].map(Duration::from_micros) {
        match timeout(patience, here.take(&given_up, &limits, ONE)).await {
            Ok(taken) => {
                let decision = taken.expect("the store answers").decision;
                had += u32::from(decision == Decision::Granted(1));
            }
            Err(_) => unknown += 1,
        }
        let ask = Ask::stock(1, 3, 1);
        let least = passed.least();
        let taken = take(here, &other, &limits, ask).await;
        witness.judge(ask, &taken, least, passed.most());
    }
    sleep(AFTERWARDS).await;
    for _ in 0..2 * BURST {
        had += units(there, &given_up, &limits, ONE).await;
    }
    let possible = BURST - unknown..=BURST;
    assert!(
        possible.contains(&had),
        "with {unknown} calls given up, {possible:?} units are had, and not {had}"
    );
}

async fn who_waits_as_long_as_told_is_let_through(
    store: &impl QuotaStore,
    advance: &impl AsyncFn(Duration),
) {
    let quotas = [Quota::per_second(8).burst(2), Quota::per_second(4).burst(3)];
    let limits = quotas.map(|quota| limit(&quota)).concat();
    let (key, ask) = (key(), Ask::exactly(2));
    for _ in 0..3 {
        let mut told = None;
        // A slow store may have more by the time it is asked again, but not each time.
        for _ in 0..50 {
            if let Decision::Refused { retry_after, .. } =
                take(store, &key, &limits, ask).await.decision
            {
                told = Some(retry_after);
                break;
            }
        }
        advance(told.expect("a burst has an end")).await;
        let had = units(store, &key, &limits, ask).await;
        assert_eq!(had, 2, "who waits as long as told is let through");
    }
}

async fn no_span_of_time_brings_more_than_it_may<S: QuotaStore>(
    here: &Arc<S>,
    there: &Arc<S>,
    advance: &impl AsyncFn(Duration),
) {
    let limits = limit(&Quota::per_second(50).burst(5));
    let [law] = &limits;
    let (key, step) = (key(), Duration::from_millis(20));
    let mut passed = Passed::new();
    let start = passed.least();
    let mut had = 0;
    for _ in 0..10 {
        had += u64::from(at_once(here, there, &key, &limits, ONE, 8).await);
        passed.advance(advance, step).await;
        let units = |until: u64| u64::from(law.burst()) + (until - start) / law.interval();
        // What the last step brought was not asked for yet.
        let possible = units(passed.least()) - 1..=units(passed.most());
        assert!(
            possible.contains(&had),
            "so much time brings {possible:?} units, and not {had}"
        );
    }
}
