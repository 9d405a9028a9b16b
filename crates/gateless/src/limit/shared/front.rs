//! The way of a request to the store and back.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateless_core::{
    Ask, Clock, Decision, Limit, Monotonic, QuotaStore, StoreError, StoreKey, Taken,
};
use tokio::runtime::Handle;

use super::metrics::{Ended, Metrics};
use super::outage::{Fallback, Health};
use super::places::{Places, Refusal};
use super::settings::{Mode, SharedLimits};
use crate::circuit::Leave;
use crate::limit::count::Count;
use crate::limit::table::Tag;

/// The limits of one tier, in front of the store that counts them.
pub(in crate::limit) struct Front {
    pub(super) limits: Box<[Limit]>,
    /// The largest burst. A request that costs more is one that costs this.
    burst: u32,
    mode: Mode,
    pub(super) deadline: Duration,
    store: Arc<dyn QuotaStore>,
    pub(super) places: Places,
    pub(super) health: Health,
    fallback: Fallback,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    /// How many requests ask for themselves at the moment.
    under_way: AtomicUsize,
}

/// The most requests that ask for themselves at once: what one connection carries in well below a deadline.
const MOST_UNDER_WAY: usize = 1024;

/// A request that asks for itself, until this is dropped.
struct UnderWay(Arc<Front>);

impl UnderWay {
    fn begin(front: &Arc<Front>) -> Option<Self> {
        let before = front.under_way.fetch_add(1, Ordering::Relaxed);
        let begun = Self(Arc::clone(front));
        (before < MOST_UNDER_WAY).then_some(begun)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a request is counted.
pub(in crate::limit) enum Taking {
    /// Counted: nothing is boxed or cloned.
    Now(Count),
    /// The store is asked. Ends within the deadline.
    Wait(Pin<Box<dyn Future<Output = Count> + Send>>),
}

impl Front {
    /// `max_keys` is for how many callers at most a local share is counted.
    pub(in crate::limit) fn new(
        settings: SharedLimits,
        limits: Box<[Limit]>,
        max_keys: usize,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let SharedLimits {
            store,
            mode,
            on_outage,
            deadline,
            max_remembered,
        } = settings;
        Self {
            burst: limits.iter().map(Limit::burst).max().unwrap_or(u32::MAX),
            mode,
            deadline,
            store,
            places: Places::new(max_remembered),
            health: Health::new(Arc::clone(&clock)),
            fallback: Fallback::new(on_outage, &limits, max_keys),
            metrics: Metrics::new(on_outage),
            clock,
            under_way: AtomicUsize::new(0),
            limits,
        }
    }

    /// Counts a request. `key` is made only when the store is asked.
    ///
    /// The store is asked by a task of its own, so that whoever goes away neither loses what was taken nor hides that the store
    /// is slow. Without a runtime it cannot be asked; a request is always in one.
    pub(in crate::limit) fn take(
        self: &Arc<Self>,
        tag: Tag,
        key: impl FnOnce() -> StoreKey,
        cost: u32,
    ) -> Taking {
        let cost = cost.min(self.burst);
        if cost == 0 {
            return Taking::Now(Count::of(Decision::Granted(0)));
        }
        match self.mode {
            Mode::Exact => self.take_exactly(tag, key, cost),
            Mode::Leased { units } => self.take_of_stock(tag, key, cost, units),
        }
    }

    fn take_exactly(
        self: &Arc<Self>,
        tag: Tag,
        key: impl FnOnce() -> StoreKey,
        cost: u32,
    ) -> Taking {
        let now = self.now();
        let known =
            (self.places.seat(tag).find()).and_then(|place| place.refuse(cost, now, &self.limits));
        if let Some(refused) = known {
            return Taking::Now(Count::of(refused));
        }
        let Ok(runtime) = Handle::try_current() else {
            return Taking::Now(self.without_store(tag, cost));
        };
        match self.health.admit() {
            Some(leave) => self.ask_for_one(&runtime, tag, key(), cost, leave),
            None => Taking::Now(self.without_store(tag, cost)),
        }
    }

    /// Asks for what one request costs, and nothing else.
    pub(super) fn ask_for_one(
        self: &Arc<Self>,
        runtime: &Handle,
        tag: Tag,
        key: StoreKey,
        cost: u32,
        leave: Leave,
    ) -> Taking {
        let Some(under_way) = UnderWay::begin(self) else {
            // Whatever was chosen for outages: this is none.
            let retry_after = Duration::from_secs(1);
            return Taking::Now(Count::Unavailable { retry_after });
        };
        let front = Arc::clone(self);
        let call = runtime.spawn(async move {
            let _under_way = under_way;
            let sent = front.now();
            let taken = front.ask(&key, Ask::exactly(cost), leave).await?;
            if let Some(refusal) = front.refusal(&taken.decision, cost, sent)
                && let Some(place) = front.places.seat(tag).find_or_make(sent)
            {
                place.remember(refusal, sent);
            }
            Some(taken)
        });
        let front = Arc::clone(self);
        Taking::Wait(Box::pin(async move {
            match call.await {
                Ok(Some(taken)) => Count::Decided(taken),
                _ => front.without_store(tag, cost),
            }
        }))
    }

    /// Asks the store. Nothing when it does not answer within the deadline, or not what was asked for.
    pub(super) async fn ask(&self, key: &StoreKey, ask: Ask, leave: Leave) -> Option<Taken> {
        // Nobody gives more than a burst at once.
        let ask = ask.within(&self.limits);
        let answer = self.store.take(key, &self.limits, ask);
        let (ended, error) = match tokio::time::timeout(self.deadline, answer).await {
            Ok(Ok(taken)) => match taken.decision {
                Decision::Granted(units) if units < ask.least() => {
                    let error = StoreError::new("it granted less than what was asked for");
                    (Ended::Failed, error)
                }
                decision => {
                    self.metrics.called(match decision {
                        Decision::Granted(_) => Ended::Granted,
                        Decision::Refused { .. } => Ended::Refused,
                    });
                    self.health.answered(leave);
                    return Some(taken);
                }
            },
            Ok(Err(error)) => (Ended::Failed, error),
            Err(elapsed) => (Ended::TimedOut, StoreError::new(elapsed)),
        };
        self.metrics.called(ended);
        self.health.failed(leave, &error);
        None
    }

    /// What is to be remembered of an answer.
    pub(super) fn refusal(&self, decision: &Decision, units: u32, sent: u64) -> Option<Refusal> {
        match *decision {
            Decision::Granted(_) => None,
            Decision::Refused { limit, retry_after } => {
                Refusal::new(units, limit, retry_after, sent, &self.limits)
            }
        }
    }

    pub(super) fn without_store(&self, tag: Tag, cost: u32) -> Count {
        self.metrics.went_without();
        let pause = self.health.pause();
        self.fallback.decide(tag, cost, self.now(), pause)
    }

    /// In microseconds since the start of the clock.
    pub(super) fn now(&self) -> u64 {
        let start = Monotonic::from_start(Duration::ZERO);
        let elapsed = self.clock.monotonic().since(start);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front")
            .field("limits", &self.limits)
            .field("mode", &self.mode)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
