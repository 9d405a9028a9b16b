//! A log that is none: for one process, and gone with it.

use std::time::Duration;

use gateless_core::{
    Appended, LogPosition, LogTail, RevocationChange, RevocationLog, RevocationRecord, StoreFuture,
};

/// Keeps nothing: what is revoked is forgotten when the process ends, and no other instance hears of it.
///
/// For tests and demonstrations, and for services whose tokens do not outlive a restart. Whoever can make the service
/// restart can use a revoked token again.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Ephemeral;

impl Ephemeral {
    /// The log. All of them are the same.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl RevocationLog for Ephemeral {
    fn append<'a>(&'a self, _: &'a [RevocationChange]) -> StoreFuture<'a, Appended> {
        Box::pin(async { Ok(Appended::Stored) })
    }

    fn load<'a>(
        &'a self,
        _: &'a mut (dyn FnMut(&[RevocationRecord]) + Send),
    ) -> StoreFuture<'a, LogPosition> {
        Box::pin(async { Ok(LogPosition::new([])) })
    }

    fn follow<'a>(&'a self, _: &'a LogPosition, _: Duration) -> StoreFuture<'a, LogTail> {
        Box::pin(async { Ok(LogTail::Alone) })
    }
}
