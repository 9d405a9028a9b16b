//! Where revocations are kept, and how they reach everybody: behind a trait.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::record::{RevocationChange, RevocationRecord};
use crate::store::StoreFuture;

/// The history of a denylist: it keeps what is revoked beyond the life of a process, and brings it to all who follow it.
///
/// There is one order of changes, and every follower sees it. Records of the same id are [merged](RevocationRecord::merge);
/// a change that was made before does nothing. Records that are past their end may be forgotten, and nothing else may.
///
/// Callers bound how long they wait and drop the future then. A future that is dropped may have had its effect.
/// `gateless-testkit` has a suite that every implementation should pass.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no log of revocations",
    label = "keeps no revocations",
    note = "for a fleet, `RedisLog` of gateless-redis; for one machine, `RevocationFile`; for tests and trials, `Ephemeral`",
    note = "what opening it returns is a `Result`: is a `?` missing?"
)]
pub trait RevocationLog: Send + Sync + fmt::Debug + 'static {
    /// Puts `changes` at the end, in their order, all or none. When it is done, they are as durable as this log makes
    /// anything, and every [`load`](Self::load) that begins afterwards has them.
    fn append<'a>(&'a self, changes: &'a [RevocationChange]) -> StoreFuture<'a, Appended>;

    /// Hands out everything that is in force, in parts and in any order, and then the position to
    /// [`follow`](Self::follow) it from. Changes that are made meanwhile are in it or behind that position, or both.
    fn load<'a>(
        &'a self,
        sink: &'a mut (dyn FnMut(&[RevocationRecord]) + Send),
    ) -> StoreFuture<'a, LogPosition>;

    /// What came behind `position`. Where there is nothing, waits for up to `wait` for something to come.
    fn follow<'a>(&'a self, position: &'a LogPosition, wait: Duration) -> StoreFuture<'a, LogTail>;
}

impl<L: RevocationLog + ?Sized> RevocationLog for Arc<L> {
    fn append<'a>(&'a self, changes: &'a [RevocationChange]) -> StoreFuture<'a, Appended> {
        (**self).append(changes)
    }

    fn load<'a>(
        &'a self,
        sink: &'a mut (dyn FnMut(&[RevocationRecord]) + Send),
    ) -> StoreFuture<'a, LogPosition> {
        (**self).load(sink)
    }

    fn follow<'a>(&'a self, position: &'a LogPosition, wait: Duration) -> StoreFuture<'a, LogTail> {
        (**self).follow(position, wait)
    }
}

/// How far a change got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Appended {
    /// It is in the log: everybody who follows it will see it.
    Stored,
    /// The log is away. The change is kept durably on this machine, and will be put there.
    Queued,
}

/// What comes behind a position.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogTail {
    /// These changes, in this order: all that were there when the log was asked. The follower knows everything then.
    Changes {
        /// The changes.
        changes: Vec<RevocationChange>,
        /// Where to go on.
        position: LogPosition,
    },
    /// Changes are missing between the position and the oldest that is still there. The follower has to
    /// [load](RevocationLog::load) everything anew, in place of what it has.
    Gap,
    /// The log is not the one that the position is from, or has lost something that was in it: a server came back without
    /// its data, or with old data. The follower loads what is there on top of what it has, and puts what it has back.
    Lost,
    /// Nobody else writes to this log while it is open, so there is nothing to follow.
    Alone,
}

/// A place in a log. It means something to the log that gave it, and nothing to anybody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPosition(Box<[u8]>);

impl LogPosition {
    /// From the bytes that a log finds the place by.
    #[must_use]
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
