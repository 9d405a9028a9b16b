//! What every store has to do, as a suite for those who write one.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use gateless_core::{SharedStore, StoreKey};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

/// The lifetime of what the suite waits for to be gone. A store may count in whole seconds.
const SHORT: Duration = Duration::from_secs(1);

/// Lifetimes that are no whole seconds. A store that rounds one of them to zero is not to take that for no end.
const ODD: [Duration; 3] = [
    Duration::from_millis(1),
    Duration::from_millis(999),
    Duration::from_millis(1500),
];

/// How long a store is given to finish behind the back of a caller that went away.
const AFTERWARDS: Duration = Duration::from_millis(50);

/// What stays until the suite is over.
const LONG: Duration = Duration::from_secs(600);

/// Holds a [`SharedStore`] to its contract.
///
/// `make` connects to the store, which need not be empty: the suite picks its keys at random. It is called twice, and
/// both have to see the same values, as two instances of a fleet do. `advance` lets time pass: a store on a
/// [`FakeClock`](crate::FakeClock) has it moved, a real one sleeps. It is called once, with two seconds. Apart from that
/// the suite itself takes a moment, also on a clock that does not move.
///
/// ```
/// use std::sync::Arc;
///
/// use gateless_testkit::{FakeClock, MemoryStore, shared_store_conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = FakeClock::new();
/// let store = MemoryStore::new(Arc::new(clock.clone()));
/// shared_store_conformance(async || store.clone(), async |by| clock.advance(by)).await;
/// // A real one: `async |by| tokio::time::sleep(by).await`
/// # }
/// ```
///
/// # Panics
///
/// When the store does not conform, with what it did. Needs a tokio runtime with a timer.
pub async fn shared_store_conformance<S: SharedStore>(
    make: impl AsyncFn() -> S,
    advance: impl AsyncFn(Duration),
) {
    let here = Arc::new(make().await);
    let there = make().await;

    missing_is_none(&*here).await;
    what_one_put_another_gets(&*here, &there).await;
    keys_do_not_end_at_a_nul(&*here).await;
    two_keys_do_not_meet(&*here).await;
    values_of_any_size_come_back_whole(&*here).await;
    concurrent_puts_leave_one_of_the_values(&here).await;
    a_reader_sees_no_value_that_is_being_put(&here).await;
    a_dropped_call_does_no_harm(&*here).await;
    let newer = dropped_and_newer_puts(&*here).await;
    sleep(AFTERWARDS).await;
    the_newer_ones_stay(&*here, &newer).await;
    values_are_gone_after_their_lifetime(&*here, &there, advance).await;
    the_newer_ones_stay(&there, &newer).await;
}

fn key() -> StoreKey {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).expect("the system has randomness");
    StoreKey::new(bytes)
}

async fn put(store: &impl SharedStore, key: &StoreKey, value: &[u8], lifetime: Duration) {
    let kept = store.put(key, value.to_vec(), lifetime).await;
    kept.expect("a value is kept");
}

async fn get(store: &impl SharedStore, key: &StoreKey) -> Option<Vec<u8>> {
    store.get(key).await.expect("a value is looked up")
}

async fn missing_is_none(store: &impl SharedStore) {
    assert_eq!(get(store, &key()).await, None, "nothing was put there");
}

async fn what_one_put_another_gets(here: &impl SharedStore, there: &impl SharedStore) {
    let key = key();
    put(here, &key, b"first", LONG).await;
    let first = Some(b"first".to_vec());
    assert_eq!(get(here, &key).await, first, "what was put is there");
    assert_eq!(get(there, &key).await, first, "and for others too");
    for value in [&b"the second is longer"[..], b"3rd"] {
        put(there, &key, value, LONG).await;
        let got = get(here, &key).await;
        assert_eq!(got.as_deref(), Some(value), "in place of what was there");
    }
}

/// One bit apart at either end, also where the bytes are no text, or look like the end of one.
async fn two_keys_do_not_meet(store: &impl SharedStore) {
    let base = *key().as_bytes();
    let mut keys = Vec::new();
    for place in [0, 31] {
        for byte in [0x00, 0x01, b'a', b'A', 0xfe, 0xff] {
            let mut bytes = base;
            if let Some(changed) = bytes.get_mut(place) {
                *changed = byte;
            }
            let key = StoreKey::new(bytes);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    for key in &keys {
        put(store, key, key.as_bytes(), LONG).await;
    }
    for key in &keys {
        let own = get(store, key)
            .await
            .is_some_and(|value| value == key.as_bytes());
        assert!(own, "each key has its own value");
    }
}

/// A key is not over at a NUL byte.
async fn keys_do_not_end_at_a_nul(store: &impl SharedStore) {
    let mut bytes = *key().as_bytes();
    for (place, byte) in bytes.iter_mut().enumerate() {
        // No other NUL before that one.
        *byte = if place == 16 { 0 } else { *byte | 1 };
    }
    let one = StoreKey::new(bytes);
    if let Some(last) = bytes.last_mut() {
        *last ^= 2;
    }
    let other = StoreKey::new(bytes);
    put(store, &one, b"one", LONG).await;
    let met = get(store, &other).await;
    assert_eq!(met, None, "a key does not end at a NUL byte");
    put(store, &other, b"other", LONG).await;
    let own = get(store, &one).await;
    assert_eq!(
        own,
        Some(b"one".to_vec()),
        "a key does not end at a NUL byte"
    );
}

async fn values_of_any_size_come_back_whole(store: &impl SharedStore) {
    let every_byte = |length: usize| (0..=u8::MAX).cycle().take(length).collect::<Vec<_>>();
    for length in [0, 1, 255, 4096, 65_536] {
        let (key, value) = (key(), every_byte(length));
        put(store, &key, &value, LONG).await;
        let whole = get(store, &key).await == Some(value);
        assert!(whole, "a value of {length} bytes comes back as it was");
    }
}

async fn concurrent_puts_leave_one_of_the_values<S: SharedStore>(store: &Arc<S>) {
    let key = key();
    let mut puts = JoinSet::new();
    for writer in 0..16 {
        let (store, key) = (Arc::clone(store), key.clone());
        puts.spawn(async move { put(&*store, &key, &[writer; 8192], LONG).await });
    }
    while let Some(done) = puts.join_next().await {
        done.expect("a concurrent put ends well");
    }
    let value = get(&**store, &key)
        .await
        .expect("one of the values is there");
    let one = value.iter().all(|byte| Some(byte) == value.first());
    assert!(one && value.len() == 8192, "no value is a mixture of two");
}

/// Longer and shorter values take turns, so that the head of one with the tail of another is seen, and so is one that
/// was cut off. No value at all is fine: a store may forget.
async fn a_reader_sees_no_value_that_is_being_put<S: SharedStore>(store: &Arc<S>) {
    const ROUNDS: usize = 32;
    let key = key();
    let value_of = |writer: u8| vec![writer; 2048 * usize::from(writer)];
    let mut calls = JoinSet::new();
    for writer in 1..=4 {
        let (store, key) = (Arc::clone(store), key.clone());
        calls.spawn(async move {
            for _ in 0..ROUNDS {
                put(&*store, &key, &value_of(writer), LONG).await;
                yield_now().await;
            }
        });
    }
    for _ in 0..4 {
        let (store, key) = (Arc::clone(store), key.clone());
        calls.spawn(async move {
            for _ in 0..4 * ROUNDS {
                if let Some(seen) = get(&*store, &key).await {
                    let writer = seen.first().copied().unwrap_or_default();
                    let whole = writer > 0 && seen == value_of(writer);
                    assert!(whole, "a reader sees a value as it was put, or none");
                }
                yield_now().await;
            }
        });
    }
    while let Some(done) = calls.join_next().await {
        if let Err(failed) = done {
            match failed.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(failed) => panic!("a concurrent call ends well: {failed}"),
            }
        }
    }
}

/// A caller that waited long enough goes away.
async fn a_dropped_call_does_no_harm(store: &impl SharedStore) {
    let key = key();
    drop(store.put(&key, b"never polled".to_vec(), LONG));
    drop(store.get(&key));
    let value = b"polled once".to_vec();
    let given_up = timeout(Duration::ZERO, store.put(&key, value.clone(), LONG)).await;
    let left = get(store, &key).await;
    match given_up {
        Ok(kept) => {
            kept.expect("a value is kept");
            assert_eq!(left, Some(value), "a put that ended has happened");
        }
        Err(_) => assert!(
            left.is_none() || left == Some(value),
            "a put that was given up has happened or not"
        ),
    }
}

/// Puts that were given up at several points, each with a newer one after it.
async fn dropped_and_newer_puts(store: &impl SharedStore) -> Vec<StoreKey> {
    let mut keys = Vec::new();
    for patience in [0, 1, 5].map(Duration::from_millis) {
        let key = key();
        let _ = timeout(patience, store.put(&key, b"given up".to_vec(), LONG)).await;
        put(store, &key, b"newer", LONG).await;
        keys.push(key);
    }
    keys
}

/// What was given up may have happened by then, or never happens: later it would take the place of what is newer.
async fn the_newer_ones_stay(store: &impl SharedStore, keys: &[StoreKey]) {
    for key in keys {
        let newer = get(store, key).await.as_deref() == Some(b"newer");
        assert!(newer, "a put that was given up is not made up for later");
    }
}

async fn values_are_gone_after_their_lifetime(
    here: &impl SharedStore,
    there: &impl SharedStore,
    advance: impl AsyncFn(Duration),
) {
    let (short, long, renewed, cut) = (key(), key(), key(), key());
    put(here, &long, b"long", LONG).await;
    put(here, &cut, b"long", LONG).await;
    put(here, &cut, b"short", SHORT).await;
    put(here, &renewed, b"short", SHORT).await;
    put(here, &renewed, b"long", LONG).await;
    put(here, &short, b"short", SHORT).await;
    assert!(get(there, &short).await.is_some(), "there at first");
    let mut odd = Vec::new();
    for lifetime in ODD {
        let (new, over) = (key(), key());
        put(here, &new, b"short", lifetime).await;
        put(here, &over, b"long", LONG).await;
        put(here, &over, b"short", lifetime).await;
        let old = get(there, &over).await.as_deref() == Some(b"long");
        assert!(
            !old,
            "a value put for {lifetime:?} takes the place of what was there"
        );
        odd.extend([(lifetime, new), (lifetime, over)]);
    }

    advance(2 * SHORT).await;
    for (key, left, what) in [
        (&short, false, "gone after its lifetime"),
        (
            &cut,
            false,
            "gone after the lifetime that it was put with last",
        ),
        (
            &renewed,
            true,
            "there for the lifetime that it was put with last",
        ),
        (&long, true, "there until its lifetime is over"),
    ] {
        assert_eq!(get(here, key).await.is_some(), left, "{what}");
        assert_eq!(get(there, key).await.is_some(), left, "{what}");
    }
    for (lifetime, key) in &odd {
        let left = get(here, key).await.or(get(there, key).await);
        assert!(
            left.is_none(),
            "a value put for {lifetime:?} is gone after it"
        );
    }
}

#[cfg(test)]
mod tests;
