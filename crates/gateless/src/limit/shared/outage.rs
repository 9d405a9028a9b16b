//! Whether the store is asked, what people are told about it, and what is done without it.

use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateless_core::{Ask, Clock, Limit, StoreError, Taken};

use super::settings::LimitOutage;
use crate::circuit::{Circuit, Leave};
use crate::limit::count::Count;
use crate::limit::table::{Table, Tag};

/// When to try again after a call that failed, while the store is not left alone yet.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How the store has done lately.
#[derive(Debug)]
pub(super) struct Health {
    circuit: Mutex<Circuit>,
    clock: Arc<dyn Clock>,
}

impl Health {
    pub(super) const fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            circuit: Mutex::new(Circuit::new()),
            clock,
        }
    }

    /// Whether a call may begin.
    pub(super) fn admit(&self) -> Option<Leave> {
        let now = self.clock.monotonic();
        self.circuit().admit(now).ok()
    }

    /// For how long the store is left alone, if it is.
    pub(super) fn pause(&self) -> Option<Duration> {
        let now = self.clock.monotonic();
        self.circuit().pause(now)
    }

    pub(super) fn answered(&self, leave: Leave) {
        let is_back = self.circuit().answered(leave);
        if is_back {
            tracing::info!(name: "gateless.limit.store_back", "the store of limits answers again");
        }
    }

    pub(super) fn failed(&self, leave: Leave, error: &StoreError) {
        let now = self.clock.monotonic();
        let is_open = self.circuit().failed(leave, now, None);
        if is_open {
            let error = error.source();
            tracing::warn!(
                name: "gateless.limit.store_failed",
                error,
                "the store of limits is left alone, but for one call a second"
            );
        }
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is done without the store.
#[derive(Debug)]
pub(super) enum Fallback {
    Closed,
    /// What callers had in outages, under the shares of the limits.
    Share {
        table: Table,
        /// The most that a request can cost: what is more than a share's burst would be had for the price of that.
        most: u32,
    },
    Open,
}

impl Fallback {
    pub(super) fn new(on_outage: LimitOutage, limits: &[Limit], max_keys: usize) -> Self {
        match on_outage {
            LimitOutage::FailClosed => Self::Closed,
            LimitOutage::LocalShare { instances } => {
                let shares: Vec<_> = limits.iter().map(|limit| limit.share(instances)).collect();
                let most = shares.iter().map(Limit::burst).min();
                Self::Share {
                    most: most.unwrap_or(u32::MAX),
                    table: Table::new(shares, max_keys),
                }
            }
            LimitOutage::DangerOpen => Self::Open,
        }
    }

    /// Decides on a request. `now` is in microseconds, `pause` is how long the store is left alone.
    pub(super) fn decide(&self, tag: Tag, cost: u32, now: u64, pause: Option<Duration>) -> Count {
        match self {
            Self::Share { table, most } if cost <= *most => Count::Decided(Taken {
                decision: table.take(tag, now, Ask::exactly(cost)),
                debts: Vec::new(),
            }),
            Self::Closed | Self::Share { .. } => Count::Unavailable {
                retry_after: pause.unwrap_or(RETRY_AFTER),
            },
            Self::Open => Count::LetThrough,
        }
    }
}
