//! Stores that are broken in one way each, and what the suite says of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gateless_core::StoreFuture;
use rstest::rstest;
use tokio::runtime::Builder;
use tokio::spawn;

use super::*;
use crate::{FakeClock, MemoryStore};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// None: what the others are compared with.
    Sound,
    /// Whole seconds, of which none means for ever, as in many protocols.
    ZeroSecondsAreForEver,
    /// Whole seconds, of which none means that nothing is done.
    ZeroSecondsAreSkipped,
    /// Whole seconds, rounded up, and one more to be on the safe side.
    OneSecondMore,
    /// Keys as texts that end at a NUL.
    KeysEndAtNul,
    /// A value is written in two halves.
    WritesInHalves,
    /// What is there is cut off before it is replaced.
    TruncatesFirst,
    /// What a caller gave up is done later, behind its back.
    MakesUpForIt,
}

#[derive(Clone, Debug)]
struct Broken {
    store: MemoryStore,
    flaw: Flaw,
}

/// Does what was not done in time.
struct MakeUp(Option<(MemoryStore, StoreKey, Vec<u8>, Duration)>);

impl Drop for MakeUp {
    fn drop(&mut self) {
        if let Some((store, key, value, lifetime)) = self.0.take() {
            spawn(async move {
                sleep(Duration::from_millis(20)).await;
                store.put(&key, value, lifetime).await
            });
        }
    }
}

impl Broken {
    fn key(&self, key: &StoreKey) -> StoreKey {
        let mut bytes = *key.as_bytes();
        if self.flaw == Flaw::KeysEndAtNul {
            let after = bytes.iter_mut().skip_while(|byte| **byte != 0);
            after.for_each(|byte| *byte = 0);
        }
        StoreKey::new(bytes)
    }
}

impl SharedStore for Broken {
    fn get<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move { self.store.get(&self.key(key)).await })
    }

    fn put<'a>(
        &'a self,
        key: &'a StoreKey,
        value: Vec<u8>,
        lifetime: Duration,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let key = self.key(key);
            let whole = Duration::from_secs(lifetime.as_secs());
            let lifetime = match self.flaw {
                Flaw::ZeroSecondsAreForEver if whole.is_zero() => LONG,
                Flaw::ZeroSecondsAreSkipped if whole.is_zero() => return Ok(()),
                Flaw::OneSecondMore if whole < lifetime => whole + 2 * SHORT,
                _ => lifetime,
            };
            match self.flaw {
                Flaw::WritesInHalves => {
                    let mut halves = self.store.get(&key).await?.unwrap_or_default();
                    halves.resize(value.len(), 0);
                    let middle = value.len() / 2;
                    halves[..middle].copy_from_slice(&value[..middle]);
                    self.store.put(&key, halves, lifetime).await?;
                    yield_now().await;
                }
                Flaw::TruncatesFirst => {
                    self.store.put(&key, Vec::new(), lifetime).await?;
                    yield_now().await;
                }
                Flaw::MakesUpForIt => {
                    let put = (self.store.clone(), key.clone(), value.clone(), lifetime);
                    let mut given_up = MakeUp(Some(put));
                    yield_now().await;
                    given_up.0 = None;
                }
                _ => {}
            }
            self.store.put(&key, value, lifetime).await
        })
    }
}

/// What the suite says, if anything.
fn objection(flaw: Flaw) -> Option<String> {
    let clock = FakeClock::new();
    let store = MemoryStore::new(Arc::new(clock.clone()));
    let broken = Broken { store, flaw };
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let suite = shared_store_conformance(async || broken.clone(), async |by| clock.advance(by));
    let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(suite))).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
}

#[test]
fn a_sound_store_conforms() {
    assert_eq!(objection(Flaw::Sound), None);
}

#[rstest]
#[case(Flaw::ZeroSecondsAreForEver, "a value put for 1ms is gone after it")]
#[case(
    Flaw::ZeroSecondsAreSkipped,
    "a value put for 1ms takes the place of what was there"
)]
#[case(Flaw::OneSecondMore, "a value put for 1.5s is gone after it")]
#[case(Flaw::KeysEndAtNul, "a key does not end at a NUL byte")]
#[case(Flaw::WritesInHalves, "a reader sees a value as it was put, or none")]
#[case(Flaw::TruncatesFirst, "a reader sees a value as it was put, or none")]
#[case(Flaw::MakesUpForIt, "a put that was given up is not made up for later")]
fn a_store_with_one_flaw_is_found(#[case] flaw: Flaw, #[case] expected: &str) {
    let objection = objection(flaw).expect("the suite finds something");
    assert!(objection.contains(expected), "{objection}");
}
