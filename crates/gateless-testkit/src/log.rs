//! A revocation log in memory, which fails and forgets on demand.

use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateless_core::{
    Appended, Clock, LogPosition, LogTail, RevocationChange, RevocationId, RevocationLog,
    RevocationRecord, StoreError, StoreFuture,
};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// A way for a [`MemoryLog`] to misbehave, until it is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFault {
    /// Every call ends in an error, at once.
    Fail,
    /// Every call stays without an answer for good, also after the fault is cleared.
    Hang,
}

/// A [`RevocationLog`] in memory. Clones are the same log, as instances of a fleet see it.
///
/// It loads in small parts, so that whoever takes the first for all of it is noticed. It keeps every change until it is
/// [trimmed](Self::trim). Needs a tokio runtime with a timer for followers that wait.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use gateless_core::{LogTail, Revocation, RevocationChange, RevocationLog, Timestamp};
/// use gateless_testkit::{FakeClock, LogFault, MemoryLog};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), gateless_core::StoreError> {
/// let log = MemoryLog::new(Arc::new(FakeClock::new()));
/// let start = log.load(&mut |_| ()).await?;
///
/// let session = Revocation::session("https://idp.example.com", "session-1");
/// let record = session.record(FakeClock::START, Duration::from_secs(3600), Duration::ZERO);
/// let revoke = RevocationChange::Revoke(record);
/// log.append(&[revoke]).await?;
/// assert_eq!(log.records(), [record]);
///
/// // Another instance, which waits for up to ten seconds:
/// let LogTail::Changes { changes, position } = log.clone().follow(&start, Duration::from_secs(10)).await? else {
///     panic!("nothing was lost");
/// };
/// assert_eq!(changes, [revoke]);
///
/// log.lose_everything();
/// assert_eq!(log.follow(&position, Duration::ZERO).await?, LogTail::Lost);
/// log.set_fault(LogFault::Fail);
/// assert!(log.append(&[revoke]).await.is_err());
/// assert_eq!((log.appends(), log.loads(), log.follows()), (2, 1, 2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryLog(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    history: Mutex<History>,
    faults: Mutex<Faults>,
    /// Tells those that wait that something is different now.
    changed: Notify,
    appends: AtomicU64,
    loads: AtomicU64,
    follows: AtomicU64,
}

#[derive(Default)]
struct History {
    /// Which life of the log this is. Positions of another one mean nothing here.
    incarnation: u64,
    records: HashMap<RevocationId, RevocationRecord>,
    changes: Vec<RevocationChange>,
    /// How many changes came before those that are still kept.
    trimmed: u64,
}

#[derive(Clone, Copy, Default)]
struct Faults {
    all: Option<LogFault>,
    appends: bool,
    loads: bool,
    follows: bool,
}

impl MemoryLog {
    /// How many records are handed out at a time.
    pub const PART: usize = 256;

    /// An empty log, whose records end by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            clock,
            history: Mutex::default(),
            faults: Mutex::default(),
            changed: Notify::new(),
            appends: AtomicU64::default(),
            loads: AtomicU64::default(),
            follows: AtomicU64::default(),
        }))
    }

    /// From now on every call goes wrong in this way, those included that wait for something to follow.
    pub fn set_fault(&self, fault: LogFault) {
        self.change_faults(|faults| faults.all = Some(fault));
    }

    /// Whether calls of [`append`](RevocationLog::append) fail, whatever becomes of others.
    pub fn fail_appends(&self, fail: bool) {
        self.change_faults(|faults| faults.appends = fail);
    }

    /// Whether calls of [`load`](RevocationLog::load) fail, whatever becomes of others.
    pub fn fail_loads(&self, fail: bool) {
        self.change_faults(|faults| faults.loads = fail);
    }

    /// Whether calls of [`follow`](RevocationLog::follow) fail, those included that wait, whatever becomes of others.
    pub fn fail_follows(&self, fail: bool) {
        self.change_faults(|faults| faults.follows = fail);
    }

    /// From now on everything goes well again.
    pub fn clear_fault(&self) {
        self.change_faults(|faults| *faults = Faults::default());
    }

    /// Drops the changes that were made, and keeps the records: who has not followed them all gets [`LogTail::Gap`].
    pub fn trim(&self) {
        let mut history = lock(&self.0.history);
        history.trimmed = history.end();
        history.changes = Vec::new();
    }

    /// Starts anew and empty, as a server does that came back without its data: followers get [`LogTail::Lost`].
    pub fn lose_everything(&self) {
        let mut history = lock(&self.0.history);
        *history = History {
            incarnation: history.incarnation + 1,
            ..History::default()
        };
        drop(history);
        self.0.changed.notify_waiters();
    }

    /// Drops the record of `id`, and tells nobody, as no log should. Whether there was one.
    pub fn forget(&self, id: RevocationId) -> bool {
        lock(&self.0.history).records.remove(&id).is_some()
    }

    /// How often something was appended, those times included that went wrong.
    #[must_use]
    pub fn appends(&self) -> u64 {
        self.0.appends.load(Ordering::Relaxed)
    }

    /// How often everything was loaded, those times included that went wrong.
    #[must_use]
    pub fn loads(&self) -> u64 {
        self.0.loads.load(Ordering::Relaxed)
    }

    /// How often the log was followed, those times included that went wrong.
    #[must_use]
    pub fn follows(&self) -> u64 {
        self.0.follows.load(Ordering::Relaxed)
    }

    /// Everything that is in force. In no order.
    #[must_use]
    pub fn records(&self) -> Vec<RevocationRecord> {
        self.live().0
    }

    fn live(&self) -> (Vec<RevocationRecord>, LogPosition) {
        let now = self.0.clock.wall();
        let history = lock(&self.0.history);
        let records = history.records.values();
        let live = records.filter(|record| record.is_live(now)).copied();
        (live.collect(), history.position(history.end()))
    }

    fn change_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut lock(&self.0.faults));
        self.0.changed.notify_waiters();
    }

    async fn misbehave(&self, of_call: fn(&Faults) -> bool) -> Result<(), StoreError> {
        let faults = *lock(&self.0.faults);
        match faults.all {
            Some(LogFault::Hang) => pending().await,
            Some(LogFault::Fail) => Err(StoreError::new("a test asked for this failure")),
            None if of_call(&faults) => Err(StoreError::new("a test asked for this failure")),
            None => Ok(()),
        }
    }

    async fn tail(&self, position: &LogPosition, wait: Duration) -> Result<LogTail, StoreError> {
        let deadline = Instant::now().checked_add(wait);
        loop {
            // Listens before it looks, so that nothing comes in between unnoticed.
            let changed = self.0.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            self.misbehave(|faults| faults.follows).await?;
            let tail = lock(&self.0.history).behind(position);
            let is_all = matches!(&tail, LogTail::Changes { changes, .. } if changes.is_empty());
            if !is_all || wait.is_zero() {
                return Ok(tail);
            }
            match deadline {
                None => changed.await,
                Some(deadline) => {
                    if timeout_at(deadline, changed).await.is_err() {
                        return Ok(tail);
                    }
                }
            }
        }
    }
}

impl History {
    fn end(&self) -> u64 {
        self.trimmed + self.changes.len() as u64
    }

    fn position(&self, place: u64) -> LogPosition {
        let [life, place] = [self.incarnation, place].map(u64::to_be_bytes);
        LogPosition::new([life, place].concat())
    }

    /// The place in this log that `position` means, if it is of this log.
    fn place(&self, position: &LogPosition) -> Option<u64> {
        let (life, place) = position.as_bytes().split_first_chunk::<8>()?;
        let place = u64::from_be_bytes(place.try_into().ok()?);
        let is_here = u64::from_be_bytes(*life) == self.incarnation && place <= self.end();
        is_here.then_some(place)
    }

    fn behind(&self, position: &LogPosition) -> LogTail {
        let Some(place) = self.place(position) else {
            return LogTail::Lost;
        };
        let Some(seen) = place.checked_sub(self.trimmed) else {
            return LogTail::Gap;
        };
        let seen = usize::try_from(seen).unwrap_or(usize::MAX);
        // All of it: who has this knows everything.
        let changes: Vec<_> = self.changes.iter().skip(seen).copied().collect();
        let position = self.position(place + changes.len() as u64);
        LogTail::Changes { changes, position }
    }

    /// A change that changes nothing is not kept.
    fn append(&mut self, change: RevocationChange) {
        let is_new = match change {
            RevocationChange::Revoke(record) => {
                let before = self.records.get(&record.id());
                let merged = before.and_then(|before| before.merge(&record));
                let merged = merged.unwrap_or(record);
                self.records.insert(record.id(), merged) != Some(merged)
            }
            RevocationChange::Unrevoke(id) => self.records.remove(&id).is_some(),
            // There are no others yet, and one that is not understood is none of this log's business.
            _ => true,
        };
        if is_new {
            self.changes.push(change);
        }
    }
}

impl RevocationLog for MemoryLog {
    fn append<'a>(&'a self, changes: &'a [RevocationChange]) -> StoreFuture<'a, Appended> {
        self.0.appends.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            self.misbehave(|faults| faults.appends).await?;
            let mut history = lock(&self.0.history);
            changes.iter().for_each(|change| history.append(*change));
            drop(history);
            self.0.changed.notify_waiters();
            Ok(Appended::Stored)
        })
    }

    fn load<'a>(
        &'a self,
        sink: &'a mut (dyn FnMut(&[RevocationRecord]) + Send),
    ) -> StoreFuture<'a, LogPosition> {
        self.0.loads.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            self.misbehave(|faults| faults.loads).await?;
            let (records, position) = self.live();
            records.chunks(Self::PART).for_each(sink);
            Ok(position)
        })
    }

    fn follow<'a>(&'a self, position: &'a LogPosition, wait: Duration) -> StoreFuture<'a, LogTail> {
        self.0.follows.fetch_add(1, Ordering::Relaxed);
        Box::pin(self.tail(position, wait))
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog")
            .field("records", &lock(&self.0.history).records.len())
            .field("fault", &lock(&self.0.faults).all)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use gateless_core::{Revocation, Timestamp};
    use tokio::time::timeout;

    use super::*;
    use crate::FakeClock;

    const ISSUER: &str = "https://idp.example.com";
    const HOUR: Duration = Duration::from_secs(3600);

    fn record(name: &str) -> RevocationRecord {
        Revocation::session(ISSUER, name).record(FakeClock::START, HOUR, Duration::ZERO)
    }

    fn revoke(name: &str) -> RevocationChange {
        RevocationChange::Revoke(record(name))
    }

    fn log() -> MemoryLog {
        MemoryLog::new(Arc::new(FakeClock::new()))
    }

    async fn position(log: &MemoryLog) -> LogPosition {
        log.load(&mut |_| ()).await.unwrap()
    }

    fn changes(tail: LogTail) -> (Vec<RevocationChange>, LogPosition) {
        match tail {
            LogTail::Changes { changes, position } => (changes, position),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn who_lags_behind_what_was_trimmed_gets_a_gap() {
        let log = log();
        let start = position(&log).await;
        log.append(&[revoke("a")]).await.unwrap();
        let end = position(&log).await;
        log.trim();
        assert_eq!(
            log.follow(&start, Duration::ZERO).await.unwrap(),
            LogTail::Gap
        );
        let (none, _) = changes(log.follow(&end, Duration::ZERO).await.unwrap());
        assert_eq!(none, []);
        log.append(&[revoke("b")]).await.unwrap();
        let (one, _) = changes(log.follow(&end, HOUR).await.unwrap());
        assert_eq!(one, [revoke("b")]);
        assert_eq!(log.records().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_hears_of_losses_and_faults() {
        let log = log();
        let start = position(&log).await;
        let waiting = |log: &MemoryLog, from: &LogPosition| {
            let (log, from) = (log.clone(), from.clone());
            tokio::spawn(async move { log.follow(&from, HOUR).await })
        };
        let follower = waiting(&log, &start);
        tokio::task::yield_now().await;
        log.lose_everything();
        assert_eq!(follower.await.unwrap().unwrap(), LogTail::Lost);

        let start = position(&log).await;
        let follower = waiting(&log, &start);
        tokio::task::yield_now().await;
        log.fail_follows(true);
        follower.await.unwrap().unwrap_err();
        log.append(&[revoke("a")]).await.unwrap();
        log.clear_fault();

        let follower = waiting(&log, &position(&log).await);
        let before = Instant::now();
        let (none, _) = changes(follower.await.unwrap().unwrap());
        assert_eq!((none, before.elapsed()), (vec![], HOUR));
    }

    #[tokio::test(start_paused = true)]
    async fn faults_last_until_they_are_cleared() {
        let log = log();
        let start = position(&log).await;
        log.fail_appends(true);
        log.append(&[revoke("a")]).await.unwrap_err();
        log.follow(&start, Duration::ZERO).await.unwrap();
        log.fail_loads(true);
        log.load(&mut |_| ()).await.unwrap_err();
        log.set_fault(LogFault::Hang);
        timeout(HOUR, log.append(&[revoke("a")])).await.unwrap_err();
        timeout(HOUR, log.follow(&start, Duration::ZERO))
            .await
            .unwrap_err();
        log.set_fault(LogFault::Fail);
        log.follow(&start, HOUR).await.unwrap_err();
        log.clear_fault();
        assert_eq!(log.records(), []);
        log.append(&[revoke("a")]).await.unwrap();
        position(&log).await;
        assert_eq!((log.appends(), log.loads(), log.follows()), (3, 3, 3));
    }

    #[tokio::test]
    async fn records_end_by_the_clock_and_are_forgotten_without_a_word() {
        let clock = FakeClock::new();
        let log = MemoryLog::new(Arc::new(clock.clone()));
        let start = position(&log).await;
        log.append(&[revoke("a"), revoke("b")]).await.unwrap();
        let (_, end) = changes(log.follow(&start, HOUR).await.unwrap());
        assert!(log.forget(record("a").id()) && !log.forget(record("a").id()));
        let (none, _) = changes(log.follow(&end, Duration::ZERO).await.unwrap());
        assert_eq!((none, log.records()), (vec![], vec![record("b")]));
        clock.advance(record("b").until().since(FakeClock::START));
        assert_eq!(log.records(), []);
        clock.set_wall(Timestamp::EPOCH);
        assert_eq!(log.records().len(), 1);
    }

    #[tokio::test]
    async fn nothing_of_what_is_kept_prints() {
        let log = log();
        log.append(&[revoke("a")]).await.unwrap();
        let text = format!("{log:?}");
        assert_eq!(text, "MemoryLog { records: 1, fault: None, .. }");
    }
}
