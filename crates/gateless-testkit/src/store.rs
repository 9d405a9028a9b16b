//! A shared store in memory, which fails on demand.

use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateless_core::{Clock, Monotonic, SharedStore, StoreError, StoreFuture, StoreKey};

/// A way for a [`MemoryStore`] to misbehave, until it is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFault {
    /// Every call ends in an error, at once.
    Fail,
    /// Every call stays without an answer for good, also after the fault is cleared.
    Hang,
}

/// A [`SharedStore`] in memory. Clones are the same store, as instances of a fleet see it.
///
/// Bounded: when it is full, what would be gone first makes room.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use gateless_core::{SharedStore, StoreKey};
/// use gateless_testkit::{FakeClock, MemoryStore, StoreFault};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), gateless_core::StoreError> {
/// let clock = FakeClock::new();
/// let store = MemoryStore::new(Arc::new(clock.clone()));
/// let key = StoreKey::new([7; 32]);
/// store.put(&key, b"value".to_vec(), Duration::from_secs(60)).await?;
/// assert_eq!(store.get(&key).await?, Some(b"value".to_vec()));
///
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(store.get(&key).await?, None);
///
/// store.set_fault(StoreFault::Fail);
/// assert!(store.get(&key).await.is_err());
/// assert_eq!((store.gets(), store.puts()), (3, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    capacity: usize,
    values: Mutex<HashMap<StoreKey, Value>>,
    fault: Mutex<Option<StoreFault>>,
    gets: AtomicU64,
    puts: AtomicU64,
}

struct Value {
    until: Monotonic,
    bytes: Vec<u8>,
}

impl MemoryStore {
    /// How many values [`new`](Self::new) has room for.
    pub const CAPACITY: usize = 10_000;

    /// An empty store with room for [`CAPACITY`](Self::CAPACITY) values, whose lifetimes pass on `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_capacity(clock, Self::CAPACITY)
    }

    /// An empty store with room for `capacity` values.
    #[must_use]
    pub fn with_capacity(clock: Arc<dyn Clock>, capacity: usize) -> Self {
        Self(Arc::new(Inner {
            clock,
            capacity,
            values: Mutex::default(),
            fault: Mutex::default(),
            gets: AtomicU64::default(),
            puts: AtomicU64::default(),
        }))
    }

    /// From now on every call goes wrong in this way.
    pub fn set_fault(&self, fault: StoreFault) {
        *lock(&self.0.fault) = Some(fault);
    }

    /// From now on everything goes well again.
    pub fn clear_fault(&self) {
        *lock(&self.0.fault) = None;
    }

    /// How often a value was asked for, those times included that went wrong.
    #[must_use]
    pub fn gets(&self) -> u64 {
        self.0.gets.load(Ordering::Relaxed)
    }

    /// How often a value was put, those times included that went wrong.
    #[must_use]
    pub fn puts(&self) -> u64 {
        self.0.puts.load(Ordering::Relaxed)
    }

    /// Everything that is kept, as somebody sees it who reads the store. In no order.
    #[must_use]
    pub fn contents(&self) -> Vec<(StoreKey, Vec<u8>)> {
        let now = self.0.clock.monotonic();
        lock(&self.0.values)
            .iter()
            .filter(|(_, value)| now < value.until)
            .map(|(key, value)| (key.clone(), value.bytes.clone()))
            .collect()
    }

    fn read(&self, key: &StoreKey) -> Option<Vec<u8>> {
        let now = self.0.clock.monotonic();
        let values = lock(&self.0.values);
        let value = values.get(key).filter(|value| now < value.until)?;
        Some(value.bytes.clone())
    }

    fn write(&self, key: &StoreKey, bytes: Vec<u8>, lifetime: Duration) {
        let now = self.0.clock.monotonic();
        let mut values = lock(&self.0.values);
        values.retain(|other, value| other != key && now < value.until);
        while values.len() >= self.0.capacity {
            let first = values.iter().min_by_key(|(_, value)| value.until);
            let Some(first) = first.map(|(key, _)| key.clone()) else {
                return;
            };
            values.remove(&first);
        }
        let until = now + lifetime;
        values.insert(key.clone(), Value { until, bytes });
    }

    async fn misbehave(&self) -> Result<(), StoreError> {
        let fault = *lock(&self.0.fault);
        match fault {
            None => Ok(()),
            Some(StoreFault::Fail) => Err(StoreError::new("a test asked for this failure")),
            Some(StoreFault::Hang) => pending().await,
        }
    }
}

impl SharedStore for MemoryStore {
    fn get<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<Vec<u8>>> {
        self.0.gets.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            self.misbehave().await?;
            Ok(self.read(key))
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a StoreKey,
        value: Vec<u8>,
        lifetime: Duration,
    ) -> StoreFuture<'a, ()> {
        self.0.puts.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            self.misbehave().await?;
            self.write(key, value, lifetime);
            Ok(())
        })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("values", &lock(&self.0.values).len())
            .field("fault", &*lock(&self.0.fault))
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FakeClock, shared_store_conformance};

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn the_store_in_memory_conforms() {
        let clock = FakeClock::new();
        let store = MemoryStore::new(Arc::new(clock.clone()));
        shared_store_conformance(async || store.clone(), async |by| clock.advance(by)).await;
    }

    #[tokio::test]
    async fn a_full_store_drops_what_would_be_gone_first() {
        let store = MemoryStore::with_capacity(Arc::new(FakeClock::new()), 2);
        let key = |number| StoreKey::new([number; 32]);
        for (number, lifetime) in [(1, 2 * MINUTE), (2, MINUTE), (3, 3 * MINUTE)] {
            store
                .put(&key(number), vec![number], lifetime)
                .await
                .unwrap();
        }
        assert_eq!(store.contents().len(), 2);
        assert_eq!(store.get(&key(2)).await.unwrap(), None);
        assert_eq!(store.get(&key(1)).await.unwrap(), Some(vec![1]));
        // In place of one that is there, nothing has to go.
        store.put(&key(3), vec![4], MINUTE).await.unwrap();
        assert_eq!(store.contents().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn faults_last_until_they_are_cleared() {
        let store = MemoryStore::new(Arc::new(FakeClock::new()));
        let key = StoreKey::new([1; 32]);
        store.set_fault(StoreFault::Fail);
        store.put(&key, vec![1], MINUTE).await.unwrap_err();
        store.get(&key).await.unwrap_err();
        store.set_fault(StoreFault::Hang);
        let waited = tokio::time::timeout(MINUTE, store.get(&key)).await;
        assert!(waited.is_err());
        store.clear_fault();
        assert_eq!(store.get(&key).await.unwrap(), None);
        assert_eq!((store.gets(), store.puts()), (3, 1));
    }

    #[tokio::test]
    async fn what_is_kept_does_not_print() {
        let store = MemoryStore::new(Arc::new(FakeClock::new()));
        let key = StoreKey::new([1; 32]);
        store.put(&key, b"value".to_vec(), MINUTE).await.unwrap();
        let text = format!("{store:?}");
        assert_eq!(text, "MemoryStore { values: 1, fault: None, .. }");
    }
}
