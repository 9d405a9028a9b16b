//! What can be asked of the layer, and done to it, while it serves.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use gateless_core::{
    Clock, OnOutage, Principal, Rejection, Renderer, RevocationChange, RevocationLog, Timestamp,
};
use tokio::sync::{Notify, RwLock, watch};

use super::builder::{DenylistBuilder, WhenFull};
use super::decide::{Judgement, Outage, Terms};
use super::freshness::{Freshness, Standing};
use super::list::RevocationList;
use super::metrics::Metrics;
use super::revoke::MAX_REVOCATIONS;
use super::sync;
use crate::notes::Notes;
use crate::purge::ForgetRevoked;

/// What can be asked of a [`Denylist`](super::Denylist) and all its clones, and done to them, while they serve.
///
/// Cloning it is a reference count.
#[derive(Clone)]
pub struct DenylistHandle(Arc<Live>);

/// The list, and all that keeps it up to date.
pub(super) struct Live {
    pub(super) log: Arc<dyn RevocationLog>,
    pub(super) list: ArcSwap<RevocationList>,
    pub(super) freshness: Freshness,
    pub(super) terms: Terms,
    pub(super) clock_skew: Duration,
    pub(super) capacity: usize,
    pub(super) when_full: WhenFull,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) renderer: Renderer,
    pub(super) metrics: Metrics,
    caches: Vec<Box<dyn ForgetRevoked>>,
    /// Something was revoked that a cache may remember.
    pub(super) to_purge: Arc<Notify>,
    /// The log has lost something that is known here.
    pub(super) to_put_back: Arc<Notify>,
    /// One change of the list at a time, and none while it is exchanged.
    changing: Mutex<Changing>,
    pub(super) progress: watch::Sender<Progress>,
    /// Taking something back stands alone: what is said about the same thing at the same time has an order.
    pub(super) taking_back: RwLock<()>,
}

/// A list with some room beyond its capacity, for what several instances put into the log at the same time: each of them
/// saw room for it.
pub(super) fn new_list(capacity: usize) -> RevocationList {
    let beyond = capacity / 16 + 4 * MAX_REVOCATIONS;
    RevocationList::new(capacity.saturating_add(beyond))
}

/// What only whoever changes the list looks at.
#[derive(Default)]
pub(super) struct Changing {
    /// What was changed since the list began to be loaded, while it is.
    pub(super) meanwhile: Option<Vec<RevocationChange>>,
    /// That it is nearly full was said.
    pub(super) has_warned: bool,
}

/// How the list gets on.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) is_loaded: bool,
    pub(super) failures: u64,
    /// How often the list was brought up to date.
    pub(super) turns: u64,
    pub(super) last_failure: Option<Arc<str>>,
}

impl Live {
    pub(super) fn new(builder: DenylistBuilder, terms: Terms) -> Self {
        let metrics = Metrics::new(builder.capacity);
        Self {
            log: builder.log,
            list: ArcSwap::from_pointee(new_list(builder.capacity)),
            freshness: Freshness::new(builder.clock.monotonic()),
            terms,
            clock_skew: builder.clock_skew,
            capacity: builder.capacity,
            when_full: builder.when_full,
            clock: builder.clock,
            renderer: builder.renderer,
            metrics,
            caches: builder.caches,
            to_purge: Arc::default(),
            to_put_back: Arc::default(),
            changing: Mutex::default(),
            progress: watch::Sender::new(Progress::default()),
            taking_back: RwLock::default(),
        }
    }

    pub(super) fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the caches who is revoked by now.
    pub(super) fn purge(&self) {
        let list = self.list.load();
        let now = self.clock.wall();
        let is_revoked = |caller: &Principal| {
            let ids = caller.revocation_ids();
            list.find(ids, caller.issued_at(), now).is_some()
        };
        for cache in &self.caches {
            cache.forget_revoked(&is_revoked);
        }
    }

    pub(super) fn has_caches(&self) -> bool {
        !self.caches.is_empty()
    }
}

impl DenylistHandle {
    pub(super) fn start(live: Live) -> Self {
        let live = Arc::new(live);
        sync::start(&live);
        Self(live)
    }

    pub(super) fn live(&self) -> &Arc<Live> {
        &self.0
    }

    /// Waits until the list was loaded. Until then every request gets 503.
    ///
    /// # Errors
    ///
    /// [`DenylistUnavailable`] when the log could not be read. The layer goes on trying.
    pub async fn ready(&self) -> Result<(), DenylistUnavailable> {
        let mut progress = self.0.progress.subscribe();
        let failures = progress.borrow().failures;
        let outcome = progress
            .wait_for(|progress| progress.is_loaded || progress.failures > failures)
            .await;
        // The sender is in the handle itself.
        match outcome {
            Ok(progress) if progress.is_loaded => Ok(()),
            Ok(progress) => Err(DenylistUnavailable {
                reason: progress.last_failure.as_deref().unwrap_or_default().into(),
            }),
            Err(_) => unreachable!("the sender lives as long as this handle"),
        }
    }

    /// Whether the list can be decided with: it was loaded, and is not older than
    /// [`fresh_for`](DenylistBuilder::fresh_for). Meant for a readiness probe; nothing is asked for by that.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match self.standing() {
            Standing::Missing => false,
            Standing::Aged(age) => age <= self.0.terms.fresh_for,
        }
    }

    /// Decides about a caller once more, for a request that takes long: a token can be revoked while its request is being
    /// answered. `on_outage` as for [`Denylist::builder`](super::Denylist::builder).
    ///
    /// # Errors
    ///
    /// What the layer would refuse the request with.
    pub fn recheck(&self, caller: &Principal, on_outage: OnOutage) -> Result<(), Rejection> {
        self.0
            .decide(caller, Outage::Policy(on_outage), Notes::none())
    }

    /// Whether a caller is revoked, as far as is known. It says nothing about how old that is.
    #[must_use]
    pub fn is_revoked(&self, caller: &Principal) -> bool {
        let judgement = self.0.judge(caller, Outage::Open);
        matches!(judgement, Judgement::Revoked(_))
    }

    /// How the list does.
    #[must_use]
    pub fn status(&self) -> DenylistStatus {
        let progress = self.0.progress.borrow();
        DenylistStatus {
            age: match self.standing() {
                Standing::Missing => None,
                Standing::Aged(age) => Some(age),
            },
            records: self.0.list.load().len(),
            capacity: self.0.capacity,
            last_failure: progress.last_failure.clone(),
        }
    }

    /// The time, by the clock of the list.
    pub(super) fn now(&self) -> Timestamp {
        self.0.clock.wall()
    }

    fn standing(&self) -> Standing {
        self.0.freshness.standing(self.0.clock.monotonic())
    }
}

impl fmt::Debug for DenylistHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Live {
            log,
            terms,
            clock_skew,
            when_full,
            ..
        } = &*self.0;
        f.debug_struct("DenylistHandle")
            .field("log", log)
            .field("terms", terms)
            .field("clock_skew", clock_skew)
            .field("when_full", when_full)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// The list cannot be loaded at the moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the denylist cannot be loaded: {reason}")]
pub struct DenylistUnavailable {
    reason: Box<str>,
}

/// How a denylist does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenylistStatus {
    age: Option<Duration>,
    records: usize,
    capacity: usize,
    last_failure: Option<Arc<str>>,
}

impl DenylistStatus {
    /// How long ago the list was last known to be complete; `None` when it was never loaded.
    #[must_use]
    pub const fn age(&self) -> Option<Duration> {
        self.age
    }

    /// How many records it holds.
    #[must_use]
    pub const fn records(&self) -> usize {
        self.records
    }

    /// How many it can hold.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// What went wrong the last time that the log was asked; `None` when nothing did.
    #[must_use]
    pub fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }
}

impl fmt::Display for DenylistStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.age {
            Some(age) => write!(f, "complete {} s ago", age.as_secs())?,
            None => f.write_str("not loaded")?,
        }
        write!(f, ", {} of {} records", self.records, self.capacity)?;
        match &self.last_failure {
            Some(failure) => write!(f, ", the log fails ({failure})"),
            None => Ok(()),
        }
    }
}
