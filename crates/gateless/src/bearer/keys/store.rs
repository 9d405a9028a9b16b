//! The keys of one issuer while serving: who may use them, and who may fetch new ones when.
//!
//! Requests read a snapshot and never wait behind a fetch when their key is in it. Fetches run in tasks of their own,
//! one at a time, so that no caller who goes away takes one down for the others.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use gateless_core::{Clock, Monotonic};
use gateless_jwt::{KeySet, SkippedKey};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::fetch::{Fetch, FetchError};

/// The limits of a store.
#[derive(Clone, Copy, Debug)]
pub(in crate::bearer) struct Timing {
    pub(in crate::bearer) lifetime: Duration,
    pub(in crate::bearer) tolerance: Duration,
    pub(in crate::bearer) cooldown: Duration,
    pub(in crate::bearer) timeout: Duration,
}

pub(in crate::bearer) struct KeyStore {
    issuer: Box<str>,
    fetch: Box<dyn Fetch>,
    timing: Timing,
    clock: Arc<dyn Clock>,
    held: ArcSwapOption<Held>,
    progress: Mutex<Progress>,
    /// Counts finished fetches.
    finished: watch::Sender<u64>,
}

/// A key set, and since when it is held.
#[derive(Debug)]
pub(in crate::bearer) struct Held {
    pub(in crate::bearer) keys: KeySet,
    since: Monotonic,
}

/// What fetches are doing. All decisions on them are taken under its lock, which is never held over an await.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    is_fetching: bool,
    last_begun: Option<Monotonic>,
    last_forced: Option<Monotonic>,
    last_failed: bool,
    has_timer: bool,
}

/// What a request that lacks its key can do.
pub(in crate::bearer) enum Demand {
    /// A fetch is under way: wait for it.
    Wait(watch::Receiver<u64>),
    /// No fetch may begin before this has passed; the last one failed, or did not bring the key.
    Refused {
        retry_after: Duration,
        last_failed: bool,
    },
}

/// Why somebody wants new keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// A token names a key that is not there, or there are none at all. At most once per cooldown.
    Forced,
    /// The keys held are getting old.
    Renewal,
}

impl KeyStore {
    pub(super) fn new(
        issuer: Box<str>,
        fetch: Box<dyn Fetch>,
        timing: Timing,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            issuer,
            fetch,
            timing,
            clock,
            held: ArcSwapOption::empty(),
            progress: Mutex::default(),
            finished: watch::Sender::new(0),
        })
    }

    pub(in crate::bearer) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(in crate::bearer) const fn timeout(&self) -> Duration {
        self.timing.timeout
    }

    /// Puts keys in place that were fetched just now.
    pub(in crate::bearer) fn hold(&self, keys: KeySet) {
        self.held.store(Some(Arc::new(Held {
            keys,
            since: self.clock.monotonic(),
        })));
    }

    /// The keys, when they may still be used. Sees to it that ageing ones are renewed, without waiting for that.
    pub(in crate::bearer) fn usable(self: &Arc<Self>) -> Option<Guard<Option<Arc<Held>>>> {
        let held = self.held.load();
        let now = self.clock.monotonic();
        let age = now.since(held.as_ref()?.since);
        if age >= self.timing.lifetime / 5 * 4
            && let Ok(progress) = self.progress.try_lock()
        {
            // Whoever holds the lock is about to begin a fetch: a request never waits for that.
            self.begin(progress, Cause::Renewal, now);
        }
        (age < self.timing.lifetime.saturating_add(self.timing.tolerance)).then_some(held)
    }

    /// Asks for newer keys on behalf of a request that cannot do without.
    pub(in crate::bearer) fn demand(self: &Arc<Self>) -> Demand {
        let now = self.clock.monotonic();
        let receiver = self.finished.subscribe();
        let Progress {
            is_fetching,
            last_forced,
            last_failed,
            ..
        } = self.begin(self.progress(), Cause::Forced, now);
        if is_fetching {
            return Demand::Wait(receiver);
        }
        let retry_after = last_forced.map_or(Duration::ZERO, |last| {
            self.timing.cooldown.saturating_sub(now.since(last))
        });
        Demand::Refused {
            retry_after,
            last_failed,
        }
    }

    /// Fetches for the first time, so that the first requests find keys. Also starts the timer that renews them.
    pub(in crate::bearer) async fn warm_up(self: &Arc<Self>) -> bool {
        if self.usable().is_none() {
            let mut finished = self.finished.subscribe();
            let now = self.clock.monotonic();
            if self.begin(self.progress(), Cause::Renewal, now).is_fetching {
                // Whether it came in time shows in what is held then.
                let _ = tokio::time::timeout(self.timing.timeout, finished.changed()).await;
            }
        }
        self.usable().is_some()
    }

    /// Begins a fetch unless one is under way or it is too early for another; tells how things stand then.
    fn begin(
        self: &Arc<Self>,
        mut progress: MutexGuard<'_, Progress>,
        cause: Cause,
        now: Monotonic,
    ) -> Progress {
        let last = match cause {
            Cause::Forced => progress.last_forced,
            Cause::Renewal => progress.last_begun,
        };
        let is_early = last.is_some_and(|last| now.since(last) < self.timing.cooldown);
        if progress.is_fetching || is_early {
            return *progress;
        }
        // The cooldown is claimed before the fetch and whatever comes of it.
        progress.last_begun = Some(now);
        if cause == Cause::Forced {
            progress.last_forced = Some(now);
        }
        let Ok(runtime) = Handle::try_current() else {
            progress.last_failed = true;
            self.report(&FetchError::NoRuntime);
            return *progress;
        };
        progress.is_fetching = true;
        let needs_timer = !mem::replace(&mut progress.has_timer, true);
        let begun = *progress;
        // A runtime that is shutting down drops what it is given, and dropping a fetch takes the lock.
        drop(progress);
        let fetching = Fetching {
            store: Arc::clone(self),
            failed: true,
        };
        runtime.spawn(fetching.run());
        if needs_timer {
            runtime.spawn(renew(Arc::downgrade(self), self.timing.cooldown));
        }
        begun
    }

    fn report(&self, error: &FetchError) {
        tracing::warn!(issuer = &*self.issuer, %error, "keys could not be fetched");
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fetch under way. Whatever becomes of it, also when its task panics or is dropped, the next one may begin.
struct Fetching {
    store: Arc<KeyStore>,
    failed: bool,
}

impl Fetching {
    async fn run(mut self) {
        let store = Arc::clone(&self.store);
        let fetched = tokio::time::timeout(store.timing.timeout, store.fetch.fetch()).await;
        match fetched.unwrap_or(Err(FetchError::TimedOut)) {
            Ok(keys) => {
                let issuer = store.issuer();
                for SkippedKey { index, reason } in keys.skipped() {
                    tracing::debug!(issuer, index, ?reason, "key skipped");
                }
                tracing::debug!(issuer, keys = keys.keys().len(), "keys fetched");
                store.hold(keys);
                self.failed = false;
            }
            // A bad answer never takes good keys away.
            Err(error) => store.report(&error),
        }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        let mut progress = self.store.progress();
        progress.is_fetching = false;
        progress.last_failed = self.failed;
        drop(progress);
        self.store.finished.send_modify(|count| *count += 1);
    }
}

/// Keeps keys fresh, and goes on asking for the first ones, while no request does; ends with the store.
async fn renew(store: Weak<KeyStore>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(store) = store.upgrade() else { return };
        if store.usable().is_none() {
            store.begin(store.progress(), Cause::Renewal, store.clock.monotonic());
        }
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore")
            .field("issuer", &self.issuer)
            .field("fetch", &self.fetch)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
