//! A shared counter of quotas in memory, which fails and forgets on demand.

use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateless_core::{
    Ask, Clock, Decision, Limit, Monotonic, QuotaStore, StoreError, StoreFuture, StoreKey, Taken,
    decide,
};

/// A way for a [`MemoryQuotas`] to misbehave, until it is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaFault {
    /// Every call ends in an error, at once.
    Fail,
    /// Every call stays without an answer for good, also after the fault is cleared.
    Hang,
}

/// A [`QuotaStore`] in memory. Clones are the same counter, as instances of a fleet see it.
///
/// It counts by the monotonic side of its clock, to the microsecond: the clock of the server, and not that of whoever
/// asks. A caller who is ahead under no limit is forgotten sooner or later.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use gateless_core::{Ask, Decision, Quota, QuotaStore, StoreKey};
/// use gateless_testkit::{FakeClock, MemoryQuotas, QuotaFault};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = FakeClock::new();
/// let quotas = MemoryQuotas::new(Arc::new(clock.clone()));
/// let limits = [Quota::per_minute(1).check()?];
/// let key = StoreKey::new([7; 32]);
/// let taken = quotas.take(&key, &limits, Ask::exactly(1)).await?;
/// assert_eq!(taken.decision, Decision::Granted(1));
///
/// // Another instance:
/// let refused = quotas.clone().take(&key, &limits, Ask::exactly(1)).await?;
/// assert!(matches!(refused.decision, Decision::Refused { .. }));
///
/// clock.advance(Duration::from_secs(60));
/// let taken = quotas.take(&key, &limits, Ask::exactly(1)).await?;
/// assert_eq!(taken.decision, Decision::Granted(1));
///
/// quotas.set_fault(QuotaFault::Fail);
/// assert!(quotas.take(&key, &limits, Ask::exactly(1)).await.is_err());
/// assert_eq!(quotas.calls(), 4);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryQuotas(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    callers: Mutex<Callers>,
    fault: Mutex<Option<QuotaFault>>,
    calls: AtomicU64,
}

/// Up to when is paid for what each caller had, under each limit.
#[derive(Default)]
struct Callers {
    paid: HashMap<StoreKey, Vec<u64>>,
    /// How many there may be before those are forgotten who are not ahead.
    enough: usize,
}

impl MemoryQuotas {
    /// How many callers there are at least before anybody is forgotten.
    const FEW: usize = 1024;

    /// Nobody has had anything yet. Time passes on `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            clock,
            callers: Mutex::default(),
            fault: Mutex::default(),
            calls: AtomicU64::default(),
        }))
    }

    /// From now on every call goes wrong in this way.
    pub fn set_fault(&self, fault: QuotaFault) {
        *lock(&self.0.fault) = Some(fault);
    }

    /// From now on everything goes well again.
    pub fn clear_fault(&self) {
        *lock(&self.0.fault) = None;
    }

    /// Forgets what everybody had, as a server does that came back without its data.
    pub fn lose_everything(&self) {
        *lock(&self.0.callers) = Callers::default();
    }

    /// How often somebody asked, those times included that went wrong.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// How many callers are ahead under any limit.
    #[must_use]
    pub fn callers(&self) -> usize {
        let now = self.now();
        let callers = lock(&self.0.callers);
        callers.paid.values().filter(|paid| owes(paid, now)).count()
    }

    /// In microseconds. Not zero: that stands for a caller of whom nothing is known.
    fn now(&self) -> u64 {
        let start = Monotonic::from_start(Duration::ZERO);
        let since = self.0.clock.monotonic().since(start);
        u64::try_from(since.as_micros()).map_or(u64::MAX, |since| since.saturating_add(1))
    }

    fn decide(&self, key: &StoreKey, limits: &[Limit], ask: Ask) -> Taken {
        let mut callers = lock(&self.0.callers);
        // Under the lock: nobody counts by an earlier time than the one before.
        let now = self.now();
        let mut paid = callers.paid.get(key).cloned().unwrap_or_default();
        paid.resize(limits.len(), 0);
        let decision = decide(limits, &paid, now, ask);
        if let Decision::Granted(units) = decision {
            for (paid, limit) in paid.iter_mut().zip(limits) {
                *paid = limit.after(*paid, now, units);
            }
            callers.put(key, &paid, now);
        }
        let each = limits.iter().zip(&paid);
        Taken {
            decision,
            debts: each.map(|(limit, paid)| limit.debt(*paid, now)).collect(),
        }
    }

    async fn misbehave(&self) -> Result<(), StoreError> {
        let fault = *lock(&self.0.fault);
        match fault {
            None => Ok(()),
            Some(QuotaFault::Fail) => Err(StoreError::new("a test asked for this failure")),
            Some(QuotaFault::Hang) => pending().await,
        }
    }
}

impl Callers {
    fn put(&mut self, key: &StoreKey, paid: &[u64], now: u64) {
        self.paid.insert(key.clone(), paid.to_vec());
        if self.paid.len() > self.enough.max(MemoryQuotas::FEW) {
            self.paid.retain(|_, paid| owes(paid, now));
            self.enough = self.paid.len().saturating_mul(2);
        }
    }
}

fn owes(paid: &[u64], now: u64) -> bool {
    paid.iter().any(|paid| *paid > now)
}

impl QuotaStore for MemoryQuotas {
    fn take<'a>(
        &'a self,
        key: &'a StoreKey,
        limits: &'a [Limit],
        ask: Ask,
    ) -> StoreFuture<'a, Taken> {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            self.misbehave().await?;
            Ok(self.decide(key, limits, ask))
        })
    }
}

impl fmt::Debug for MemoryQuotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQuotas")
            .field("callers", &lock(&self.0.callers).paid.len())
            .field("fault", &*lock(&self.0.fault))
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use gateless_core::Quota;

    use super::*;
    use crate::FakeClock;

    const MINUTE: Duration = Duration::from_secs(60);

    fn key(number: u16) -> StoreKey {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        StoreKey::new(bytes)
    }

    #[tokio::test(start_paused = true)]
    async fn faults_last_until_they_are_cleared() {
        let quotas = MemoryQuotas::new(Arc::new(FakeClock::new()));
        let limits = [Quota::per_minute(1).check().unwrap()];
        let (key, ask) = (key(1), Ask::exactly(1));
        quotas.set_fault(QuotaFault::Fail);
        quotas.take(&key, &limits, ask).await.unwrap_err();
        quotas.set_fault(QuotaFault::Hang);
        let waited = tokio::time::timeout(MINUTE, quotas.take(&key, &limits, ask)).await;
        assert!(waited.is_err());
        quotas.clear_fault();
        let taken = quotas.take(&key, &limits, ask).await.unwrap();
        assert_eq!(taken.decision, Decision::Granted(1), "nothing was paid for");
        assert_eq!(taken.debts, [60_000_000]);
        quotas.lose_everything();
        let taken = quotas.take(&key, &limits, ask).await.unwrap();
        assert_eq!(taken.decision, Decision::Granted(1));
        assert_eq!(quotas.calls(), 4);
    }

    #[tokio::test]
    async fn who_is_not_ahead_is_forgotten_and_nobody_else() {
        let clock = FakeClock::new();
        let quotas = MemoryQuotas::new(Arc::new(clock.clone()));
        let limits = [Quota::per_minute(1).check().unwrap()];
        let slow = [Quota::per_hour(1).check().unwrap()];
        let ask = Ask::exactly(1);
        quotas.take(&key(0), &slow, ask).await.unwrap();
        for number in 1..5000 {
            clock.advance(Duration::from_secs(1));
            quotas.take(&key(number), &limits, ask).await.unwrap();
            if number == 3590 {
                let refused = quotas.take(&key(0), &slow, ask).await.unwrap();
                assert!(matches!(refused.decision, Decision::Refused { .. }));
            }
        }
        assert_eq!(quotas.callers(), 60);
        assert!(lock(&quotas.0.callers).paid.len() <= MemoryQuotas::FEW + 1);
    }

    #[tokio::test]
    async fn no_key_prints() {
        let quotas = MemoryQuotas::new(Arc::new(FakeClock::new()));
        let limits = [Quota::per_minute(1).check().unwrap()];
        quotas
            .take(&key(1), &limits, Ask::exactly(1))
            .await
            .unwrap();
        let text = format!("{quotas:?}");
        assert_eq!(text, "MemoryQuotas { callers: 1, fault: None, .. }");
    }
}
