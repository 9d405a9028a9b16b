//! The choice that every dependency asks for: what to do while it is away.

use std::time::Duration;

/// What a stage does while a dependency cannot be reached.
///
/// There is no default on purpose: whoever puts a dependency in front of a payment decides what its outage means.
/// Whatever is chosen, an outage is never answered with `401`, and never silently with `200`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnOutage {
    /// Refuse with `503` / `UNAVAILABLE` as soon as what is held is past its lifetime.
    FailClosed,
    /// Go on with what is held for at most this much longer, then refuse with `503` / `UNAVAILABLE`.
    StaleFor(Duration),
}

impl OnOutage {
    /// How long what is held may be used past its lifetime.
    #[must_use]
    pub const fn tolerance(self) -> Duration {
        match self {
            Self::FailClosed => Duration::ZERO,
            Self::StaleFor(tolerance) => tolerance,
        }
    }
}
