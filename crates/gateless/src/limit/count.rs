//! What came of asking for units, wherever they are counted.

#[cfg(feature = "limit_shared")]
use std::time::Duration;

#[cfg(feature = "limit_shared")]
use gateless_core::Decision;
use gateless_core::Taken;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// It was decided. The debts are left out where nobody asks for them, or nobody knows.
    Decided(Taken),
    /// Nobody counts at the moment, and that is how it was chosen.
    #[cfg(feature = "limit_shared")]
    LetThrough,
    /// Nobody counts at the moment.
    #[cfg(feature = "limit_shared")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
}

#[cfg(feature = "limit_shared")]
impl Count {
    /// What is decided where nobody knows what a caller owes.
    pub(super) const fn of(decision: Decision) -> Self {
        Self::Decided(Taken {
            decision,
            debts: Vec::new(),
        })
    }
}
