//! Which configuration a decision was taken under.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a configuration: each layer that is built, and each [reload](crate::bearer::BearerHandle::reload), has
/// one that no other has in this process. Later is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyEpoch(u64);

impl PolicyEpoch {
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }

    #[cfg(feature = "audit")]
    pub(crate) const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for PolicyEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
