//! Where a fleet counts together, behind a trait.

use std::fmt;
use std::sync::Arc;

use super::{Ask, Decision, Limit};
use crate::store::{StoreFuture, StoreKey};

/// Counts for a whole fleet what callers take.
///
/// It decides as [`decide`](super::decide) does, by a clock that all instances share, and in one step: two that ask at the
/// same time do not get the same units. Keys are digests; it learns no name. It may forget a caller who is
/// owed nothing ([`Limit::debt`] of zero under every limit), and nobody else.
///
/// Callers bound how long they wait and drop the future then, so an implementation needs no deadline of its own; it has to bear
/// being dropped at any point, and whether units were taken is unknown then. Its `Debug` shows no credentials.
/// `gateless-testkit` has one for tests, and a suite that every implementation should pass.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store in which a fleet counts its limits",
    label = "counts for no fleet",
    note = "of a `RedisServer` make one with `RedisQuotas::new(server)`",
    note = "in tests, `MemoryQuotas` of gateless-testkit"
)]
pub trait QuotaStore: Send + Sync + fmt::Debug + 'static {
    /// Takes what `ask` says from each of `limits` of `key`, or nothing from any of them. There are between 1 and
    /// [`Limit::MOST`] limits, and a key always comes with the same ones.
    fn take<'a>(
        &'a self,
        key: &'a StoreKey,
        limits: &'a [Limit],
        ask: Ask,
    ) -> StoreFuture<'a, Taken>;
}

impl<S: QuotaStore + ?Sized> QuotaStore for Arc<S> {
    fn take<'a>(
        &'a self,
        key: &'a StoreKey,
        limits: &'a [Limit],
        ask: Ask,
    ) -> StoreFuture<'a, Taken> {
        (**self).take(key, limits, ask)
    }
}

/// What a [`QuotaStore`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What was decided.
    pub decision: Decision,
    /// By how much the caller is ahead under each of the limits after that, in microseconds.
    pub debts: Vec<u64>,
}
