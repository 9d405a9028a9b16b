//! What is counted of tokens. Without the feature `metrics` nothing is, and nothing of this costs anything.
//!
//! What is counted with each request is registered once, when a layer is built, and is one addition from then on.

#[cfg(not(feature = "metrics"))]
pub(super) use self::disabled::TokenMetrics;
#[cfg(feature = "metrics")]
pub(super) use self::enabled::TokenMetrics;

/// How a token came to its decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It was known, and is good.
    Cached,
    /// It was known, and is not good.
    KnownBad,
    /// It was checked, and is good.
    Verified,
    /// It was checked, and is not good.
    Refused,
}

#[cfg(feature = "metrics")]
mod enabled {
    use metrics::{Counter, Gauge, counter, gauge};

    use super::Found;

    /// What happened to the tokens of one layer.
    pub(in crate::bearer) struct TokenMetrics {
        cached: Counter,
        known_bad: Counter,
        verified: Counter,
        refused: Counter,
        good: Gauge,
        bad: Gauge,
        reloaded: Counter,
        not_reloaded: Counter,
    }

    impl TokenMetrics {
        pub(in crate::bearer) fn new() -> Self {
            let tokens = |result| counter!("gateless_tokens_total", "result" => result);
            let entries = |pool| gauge!("gateless_token_cache_entries", "pool" => pool);
            let reloads = |result| counter!("gateless_reloads_total", "result" => result);
            Self {
                cached: tokens("cached"),
                known_bad: tokens("known_bad"),
                verified: tokens("verified"),
                refused: tokens("refused"),
                good: entries("good"),
                bad: entries("bad"),
                reloaded: reloads("applied"),
                not_reloaded: reloads("refused"),
            }
        }

        pub(in crate::bearer) fn found(&self, found: Found) {
            let counter = match found {
                Found::Cached => &self.cached,
                Found::KnownBad => &self.known_bad,
                Found::Verified => &self.verified,
                Found::Refused => &self.refused,
            };
            counter.increment(1);
        }

        pub(in crate::bearer) fn remembered(&self, entries: impl FnOnce() -> [usize; 2]) {
            let [good, bad] = entries();
            self.good.set(good as f64);
            self.bad.set(bad as f64);
        }

        pub(in crate::bearer) fn reloaded(&self, is_applied: bool) {
            let counter = if is_applied {
                &self.reloaded
            } else {
                &self.not_reloaded
            };
            counter.increment(1);
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod disabled {

    use super::Found;

    pub(in crate::bearer) struct TokenMetrics;

    impl TokenMetrics {
        pub(in crate::bearer) const fn new() -> Self {
            Self
        }

        pub(in crate::bearer) const fn found(&self, _: Found) {}

        pub(in crate::bearer) fn remembered(&self, _: impl FnOnce() -> [usize; 2]) {}

        pub(in crate::bearer) const fn reloaded(&self, _: bool) {}
    }
}
