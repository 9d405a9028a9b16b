//! What a fleet shares: a store for small values, behind a trait.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What a [`SharedStore`] answers with, later.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Small values that a fleet shares for a while: what one instance put there, the others find.
///
/// A store is a help and not an authority. It may forget anything at any time, and whoever uses it asks the true source
/// then. It is not trusted either: keys and values are opaque to it, and what comes out of it is checked. What it must
/// not do is keep a value past its lifetime, mix up two keys, or hand out a part of a value.
///
/// Callers bound how long they wait and drop the future then, so an implementation needs no deadline of its own; it has
/// to bear being dropped at any point. Its `Debug` shows no credentials. `gateless-testkit` has a suite that every implementation should pass.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Mutex, PoisonError};
/// use std::time::{Duration, Instant};
///
/// use gateless_core::{SharedStore, StoreFuture, StoreKey};
///
/// /// For one process, and never tidied up: a sketch.
/// #[derive(Debug, Default)]
/// struct Local(Mutex<HashMap<StoreKey, (Instant, Vec<u8>)>>);
///
/// impl SharedStore for Local {
///     fn get<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<Vec<u8>>> {
///         let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         let live = values.get(key).filter(|(until, _)| Instant::now() < *until);
///         let value = live.map(|(_, value)| value.clone());
///         Box::pin(async move { Ok(value) })
///     }
///
///     fn put<'a>(&'a self, key: &'a StoreKey, value: Vec<u8>, lifetime: Duration) -> StoreFuture<'a, ()> {
///         let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         values.insert(key.clone(), (Instant::now() + lifetime, value));
///         Box::pin(async { Ok(()) })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store that a fleet shares",
    label = "keeps no values for a fleet",
    note = "of a `RedisServer` make one with `RedisStore::new(server)`",
    note = "in tests, `MemoryStore` of gateless-testkit"
)]
pub trait SharedStore: Send + Sync + fmt::Debug + 'static {
    /// The value of `key`, or `None` when there is none, or none any more.
    fn get<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<Vec<u8>>>;

    /// Keeps `value` for `lifetime`, in place of what was there. A lifetime is a millisecond at least; a store that
    /// counts in larger units rounds it down, and keeps nothing where that leaves nothing.
    fn put<'a>(
        &'a self,
        key: &'a StoreKey,
        value: Vec<u8>,
        lifetime: Duration,
    ) -> StoreFuture<'a, ()>;
}

impl<S: SharedStore + ?Sized> SharedStore for Arc<S> {
    fn get<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<Vec<u8>>> {
        (**self).get(key)
    }

    fn put<'a>(
        &'a self,
        key: &'a StoreKey,
        value: Vec<u8>,
        lifetime: Duration,
    ) -> StoreFuture<'a, ()> {
        (**self).put(key, value, lifetime)
    }
}

/// Where a value is kept: 32 bytes that tell two values apart, and nothing about what they were made from.
///
/// ```
/// let key = gateless_core::StoreKey::new([7; 32]);
/// assert_eq!(key.as_bytes(), &[7; 32]);
/// assert_eq!(format!("{key:?}"), "StoreKey([redacted])");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// A key of these bytes. They should be a keyed digest, never a token or a name as it is.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey([redacted])")
    }
}

/// A shared store failed. Why is in the [source](Error::source).
///
/// ```
/// use std::error::Error;
///
/// let error = gateless_core::StoreError::new("connection refused");
/// assert_eq!(error.to_string(), "the shared store failed");
/// assert_eq!(error.source().unwrap().to_string(), "connection refused");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the shared store failed")]
pub struct StoreError {
    source: Box<dyn Error + Send + Sync>,
}

impl StoreError {
    /// Wraps what the client of the store says.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}
