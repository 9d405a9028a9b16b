//! The keys of one issuer while serving: who may use them, and who may fetch new ones when.
//!
//! Requests read a snapshot and never wait behind a fetch when their key is in it. Fetches run in tasks of their own,
//! one at a time, so that no caller who goes away takes one down for the others.

use std::collections::BTreeSet;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use gateless_core::{Clock, Monotonic};
use gateless_jwt::{KeySet, SkippedKey};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::Instrument as _;

use super::fetch::{Document, Fetch, FetchError, Fetched, Validator};
use super::metrics::KeyMetrics;
use super::schedule::{Standing, Timing};
use super::search::Lack;
use super::status::KeyStatus;

pub(crate) struct KeyStore {
    issuer: Box<str>,
    /// `None` for keys that never change.
    source: Option<Box<dyn Fetch>>,
    timing: Timing,
    clock: Arc<dyn Clock>,
    held: ArcSwap<Held>,
    progress: Mutex<Progress>,
    /// Counts finished fetches.
    finished: watch::Sender<u64>,
    metrics: KeyMetrics,
}

/// The keys that requests are judged with.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) keys: KeySet,
    /// Changes with every set.
    pub(crate) version: u64,
    /// Since when they are held; `None` when there are none.
    since: Option<Monotonic>,
    renew_after: Duration,
    validator: Option<Validator>,
}

/// What fetches are doing. All decisions on them are taken under its lock, which is never held over an await.
#[derive(Debug, Default)]
struct Progress {
    /// Numbers the fetches.
    begun: u64,
    /// The fetch under way. What one with another number brings comes too late.
    fetching: Option<u64>,
    last_begun: Option<Monotonic>,
    /// For a token of an unknown key.
    last_forced: Option<Monotonic>,
    /// For want of any key.
    last_first: Option<Monotonic>,
    /// What went wrong with the last fetch.
    failure: Option<Box<str>>,
    /// Key ids that are refused whatever the issuer publishes.
    refused: BTreeSet<Box<str>>,
    has_timer: bool,
}

/// What a request that lacks its key can do.
pub(super) enum Demand {
    /// There are others than those that it was judged with.
    Look,
    /// A fetch is under way, which perhaps began just now: wait for it.
    Wait {
        finished: watch::Receiver<u64>,
        is_own: bool,
    },
    /// It is too early for another fetch; the last one failed, or did not bring the key.
    Refused { has_failed: bool },
}

/// What became of the wish for a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    Now,
    Before,
    TooEarly,
}

impl Cause {
    const fn of(lack: Lack) -> Self {
        match lack {
            Lack::Key { .. } => Self::Forced,
            Lack::Keys => Self::First,
        }
    }
}

impl Progress {
    /// When a fetch began that counts for this cause.
    const fn last(&self, cause: Cause) -> Option<Monotonic> {
        match cause {
            Cause::Forced => self.last_forced,
            Cause::First => self.last_first,
            Cause::Renewal => self.last_begun,
        }
    }
}

/// Why somebody wants new keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// A token names a key that is not there. At most once per cooldown.
    Forced,
    /// There are no keys that may be used. At most once per cooldown, and of no account to `Forced`: the issuer may begin
    /// to use a new key a moment after the first fetch.
    First,
    /// The keys held are getting old.
    Renewal,
}

impl KeyStore {
    /// Keys that never change.
    pub(super) fn fixed(issuer: &str, timing: Timing, keys: KeySet, clock: Arc<dyn Clock>) -> Self {
        let store = Self::new(issuer, None, timing, clock);
        store.hold(keys);
        store
    }

    /// Keys that `source` delivers.
    pub(super) fn fetched(
        issuer: &str,
        source: Box<dyn Fetch>,
        timing: Timing,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::new(issuer, Some(source), timing, clock)
    }

    fn new(
        issuer: &str,
        source: Option<Box<dyn Fetch>>,
        timing: Timing,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            source,
            timing,
            clock,
            held: ArcSwap::default(),
            progress: Mutex::default(),
            finished: watch::Sender::new(0),
            metrics: KeyMetrics::new(issuer),
        }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether there may be newer keys than those that are held.
    pub(crate) const fn can_fetch(&self) -> bool {
        self.source.is_some()
    }

    pub(crate) const fn timeout(&self) -> Duration {
        self.timing.timeout
    }

    /// Puts keys in place as if they were fetched just now.
    pub(crate) fn hold(&self, keys: KeySet) {
        self.replace(&self.progress(), Fetched::New(Document::new(keys)));
    }

    /// The keys, and whether they may be used. Sees to it that ageing ones are renewed, without waiting for that.
    pub(crate) fn usable(self: &Arc<Self>) -> (Guard<Arc<Held>>, Standing) {
        let held = self.held.load();
        let Some(since) = held.since else {
            return (held, Standing::Missing);
        };
        if self.source.is_none() {
            return (held, Standing::Fresh);
        }
        let now = self.clock.monotonic();
        let age = now.since(since);
        let standing = self.timing.standing(age);
        if age >= held.renew_after
            // Who has to wait for keys asks for them.
            && standing != Standing::Missing
            && let Ok(progress) = self.progress.try_lock()
        {
            // Whoever holds the lock is about to begin a fetch: a request never waits for that.
            self.begin(progress, Cause::Renewal, now);
        }
        (held, standing)
    }

    /// A token was decided on with these keys.
    pub(crate) fn used(&self, standing: Standing) {
        if standing == Standing::Stale {
            self.metrics.stale_used();
        }
    }

    /// Asks for newer keys on behalf of a request that cannot do without.
    pub(super) fn demand(self: &Arc<Self>, lack: Lack) -> Demand {
        let now = self.clock.monotonic();
        let finished = self.finished.subscribe();
        // What is held is only replaced under this lock.
        let progress = self.progress();
        let held = self.held.load();
        let is_other = match lack {
            Lack::Key { version } => held.version != version,
            Lack::Keys => self.standing(&held, now) != Standing::Missing,
        };
        if is_other {
            return Demand::Look;
        }
        match self.begin(progress, Cause::of(lack), now) {
            Begun::Now => Demand::Wait {
                finished,
                is_own: true,
            },
            Begun::Before => Demand::Wait {
                finished,
                is_own: false,
            },
            Begun::TooEarly => Demand::Refused {
                has_failed: self.progress().failure.is_some(),
            },
        }
    }

    /// How long to wait until it is worth asking for the same again: a second at least.
    pub(super) fn pause(&self, lack: Lack) -> Duration {
        let last = self.progress().last(Cause::of(lack));
        let pause = self.timing.wait(last, self.clock.monotonic());
        pause.max(Duration::from_secs(1))
    }

    /// Fetches for the first time, so that the first requests find keys. Also starts the timer that renews them.
    pub(crate) async fn warm_up(self: &Arc<Self>) -> bool {
        let is_missing = || self.usable().1 == Standing::Missing;
        // Keys from a file are there already, and nobody has begun a fetch.
        if self.source.is_some()
            && let Ok(runtime) = Handle::try_current()
            && !mem::replace(&mut self.progress().has_timer, true)
        {
            self.start_timer(&runtime);
        }
        if !is_missing() {
            return true;
        }
        let fetched = async {
            while is_missing() {
                let mut finished = self.finished.subscribe();
                let now = self.clock.monotonic();
                if self.begin(self.progress(), Cause::Renewal, now) == Begun::TooEarly {
                    return;
                }
                // The one that ends may be one from before a purge, which brings nothing: then there is another.
                let _ = finished.changed().await;
            }
        };
        // Whether it came in time shows in what is held then.
        let _ = tokio::time::timeout(self.timing.timeout, fetched).await;
        !is_missing()
    }

    /// Throws the keys away, with what a fetch under way may bring, and begins a new one. False for keys that never
    /// change: there is nowhere to fetch them from.
    pub(crate) fn purge(self: &Arc<Self>) -> bool {
        if self.source.is_none() {
            return false;
        }
        let mut progress = self.progress();
        let version = self.held.load().version + 1;
        self.held.store(Arc::new(Held {
            keys: KeySet::default().refusing(progress.refused.iter().cloned()),
            version,
            ..Held::default()
        }));
        progress.fetching = None;
        progress.last_begun = None;
        progress.last_forced = None;
        progress.last_first = None;
        self.begin(progress, Cause::Renewal, self.clock.monotonic());
        true
    }

    /// Refuses the key with this id from now on, whatever is fetched.
    pub(crate) fn refuse(&self, key_id: &str) {
        let mut progress = self.progress();
        if progress.refused.insert(key_id.into()) {
            let held = self.held.load();
            self.held.store(Arc::new(Held {
                keys: held.keys.clone().refusing([key_id]),
                version: held.version + 1,
                since: held.since,
                renew_after: held.renew_after,
                validator: held.validator.clone(),
            }));
        }
    }

    pub(crate) fn status(&self) -> KeyStatus {
        let held = self.held.load();
        let now = self.clock.monotonic();
        let age = held.since.map(|since| now.since(since));
        let state = self.standing(&held, now);
        let failure = self.progress().failure.clone();
        KeyStatus::new(&self.issuer, state, age, &held.keys, failure)
    }

    /// Whether what is held may be used.
    fn standing(&self, held: &Held, now: Monotonic) -> Standing {
        match (held.since, &self.source) {
            (None, _) => Standing::Missing,
            (Some(_), None) => Standing::Fresh,
            (Some(since), Some(_)) => self.timing.standing(now.since(since)),
        }
    }

    /// Begins a fetch unless one is under way or it is too early for another.
    fn begin(
        self: &Arc<Self>,
        mut progress: MutexGuard<'_, Progress>,
        cause: Cause,
        now: Monotonic,
    ) -> Begun {
        if progress.fetching.is_some() {
            return Begun::Before;
        }
        if self.source.is_none() || !self.timing.wait(progress.last(cause), now).is_zero() {
            return Begun::TooEarly;
        }
        // The cooldown is claimed before the fetch and whatever comes of it.
        progress.last_begun = Some(now);
        match cause {
            Cause::Forced => progress.last_forced = Some(now),
            Cause::First => progress.last_first = Some(now),
            Cause::Renewal => {}
        }
        let Ok(runtime) = Handle::try_current() else {
            self.report(&mut progress, &FetchError::NoRuntime);
            return Begun::TooEarly;
        };
        progress.begun += 1;
        progress.fetching = Some(progress.begun);
        let fetching = Fetching {
            store: Arc::clone(self),
            number: progress.begun,
        };
        let needs_timer = !mem::replace(&mut progress.has_timer, true);
        // A runtime that is shutting down drops what it is given, and dropping a fetch takes the lock.
        drop(progress);
        let span = tracing::info_span!("gateless.keys.fetch", issuer = &*self.issuer);
        runtime.spawn(fetching.run().instrument(span));
        if needs_timer {
            self.start_timer(&runtime);
        }
        Begun::Now
    }

    fn start_timer(self: &Arc<Self>, runtime: &Handle) {
        runtime.spawn(renew(Arc::downgrade(self), self.timing.cooldown));
    }

    /// Puts what was fetched in place of what is held. `progress` is locked meanwhile.
    fn replace(&self, progress: &Progress, fetched: Fetched) {
        let held = self.held.load();
        let (max_age, next) = match fetched {
            Fetched::New(document) => {
                let refused = progress.refused.iter().cloned();
                let keys = document.keys.succeeding(&held.keys).refusing(refused);
                for SkippedKey { index, reason } in keys.skipped() {
                    tracing::debug!(
                        name: "gateless.keys.skipped",
                        issuer = &*self.issuer,
                        index,
                        ?reason,
                        "key skipped"
                    );
                }
                for index in keys.exposed() {
                    tracing::error!(
                        name: "gateless.keys.exposed",
                        issuer = &*self.issuer,
                        index,
                        "the issuer publishes a secret: whoever reads its keys can sign with it"
                    );
                }
                let next = Held {
                    keys,
                    version: held.version + 1,
                    validator: document.validator,
                    ..Held::default()
                };
                (document.max_age, next)
            }
            Fetched::Unchanged { max_age } => {
                let next = Held {
                    keys: held.keys.clone(),
                    version: held.version,
                    validator: held.validator.clone(),
                    ..Held::default()
                };
                (max_age, next)
            }
        };
        let keys = next.keys.keys().len();
        self.held.store(Arc::new(Held {
            since: Some(self.clock.monotonic()),
            renew_after: self.timing.renew_after(max_age, spread()),
            ..next
        }));
        self.metrics.replaced(keys, self.clock.wall());
    }

    /// A fetch failed. What is held is not touched by that.
    fn report(&self, progress: &mut Progress, error: &FetchError) {
        let age = self
            .held
            .load()
            .since
            .map(|since| self.clock.monotonic().since(since));
        let held = age.map_or(Standing::Missing, |age| self.timing.standing(age));
        tracing::warn!(
            name: "gateless.keys.failed",
            issuer = &*self.issuer,
            %error,
            ?held,
            "keys could not be fetched"
        );
        self.metrics.failed();
        progress.failure = Some(error.to_string().into());
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Some number, another in every process.
fn spread() -> u8 {
    getrandom::u32().map_or(0, |random| random.to_le_bytes()[0])
}

/// A fetch under way. Whatever becomes of it, also when its task panics or is dropped, the next one may begin.
struct Fetching {
    store: Arc<KeyStore>,
    number: u64,
}

impl Fetching {
    async fn run(self) {
        let store = &self.store;
        let Some(source) = &store.source else { return };
        let known = store.held.load().validator.clone();
        let fetched = tokio::time::timeout(store.timing.timeout, source.fetch(known)).await;
        let fetched = fetched.unwrap_or(Err(FetchError::TimedOut));

        let mut progress = store.progress();
        if progress
            .fetching
            .take_if(|number| *number == self.number)
            .is_none()
        {
            tracing::debug!(
                name: "gateless.keys.discarded",
                issuer = store.issuer(),
                "keys that were asked for before a purge are not used"
            );
            return;
        }
        match fetched {
            Ok(fetched) => {
                let is_new = matches!(fetched, Fetched::New(_));
                store.replace(&progress, fetched);
                progress.failure = None;
                drop(progress);
                store.metrics.fetched(is_new);
                tracing::debug!(
                    name: "gateless.keys.fetched",
                    issuer = store.issuer(),
                    is_new,
                    keys = store.held.load().keys.keys().len(),
                    "keys fetched"
                );
            }
            // A bad answer never takes good keys away.
            Err(error) => store.report(&mut progress, &error),
        }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        let mut progress = self.store.progress();
        if progress.fetching == Some(self.number) {
            progress.fetching = None;
            progress.failure = Some("cut off".into());
        }
        drop(progress);
        self.store.finished.send_modify(|count| *count += 1);
    }
}

/// Keeps keys fresh, and goes on asking for the first ones, while no request does; ends with the store.
async fn renew(store: Weak<KeyStore>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(store) = store.upgrade() else { return };
        if store.usable().1 == Standing::Missing {
            store.begin(store.progress(), Cause::First, store.clock.monotonic());
        }
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore")
            .field("issuer", &self.issuer)
            .field("source", &self.source)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
