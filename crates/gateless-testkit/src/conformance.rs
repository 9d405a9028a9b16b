//! What every store has to do, as a suite for those who write one.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use gateless_core::{SharedStore, StoreKey};
use tokio::task::JoinSet;

/// The lifetime of what the suite waits for to be gone. A store may count in whole seconds.
const SHORT: Duration = Duration::from_secs(1);

/// What stays until the suite is over.
const LONG: Duration = Duration::from_secs(600);

/// Holds a [`SharedStore`] to its contract.
///
/// `make` connects to the store, which need not be empty: the suite picks its keys at random. It is called twice, and
/// both have to see the same values, as two instances of a fleet do. `advance` lets time pass: a store on a
/// [`FakeClock`](crate::FakeClock) has it moved, a real one sleeps. It is called once, with two seconds.
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
/// When the store does not conform, with what it did. Needs a tokio runtime.
pub async fn shared_store_conformance<S: SharedStore>(
    make: impl AsyncFn() -> S,
    advance: impl AsyncFn(Duration),
) {
    let here = Arc::new(make().await);
    let there = make().await;

    missing_is_none(&*here).await;
    what_one_put_another_gets(&*here, &there).await;
    two_keys_do_not_meet(&*here).await;
    values_of_any_size_come_back_whole(&*here).await;
    concurrent_puts_leave_one_of_the_values(&here).await;
    a_dropped_call_does_no_harm(&*here).await;
    values_are_gone_after_their_lifetime(&*here, &there, advance).await;
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

/// A caller that waited long enough goes away.
async fn a_dropped_call_does_no_harm(store: &impl SharedStore) {
    let key = key();
    drop(store.put(&key, b"never polled".to_vec(), LONG));
    drop(store.get(&key));
    let value = b"polled once".to_vec();
    let given_up = tokio::time::timeout(Duration::ZERO, store.put(&key, value.clone(), LONG)).await;
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
}
