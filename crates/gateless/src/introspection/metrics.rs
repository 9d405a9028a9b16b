//! What is counted of introspection. Without the feature `metrics` nothing is, and nothing of this costs anything.

#[cfg(not(feature = "metrics"))]
pub(super) use self::disabled::Metrics;
#[cfg(feature = "metrics")]
pub(super) use self::enabled::Metrics;

/// How a token came to its decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It was known, and is good.
    Cached,
    /// It was known, and is not good.
    KnownBad,
    /// Its server was asked, and it is good.
    Active,
    /// Its server was asked, and it is not good.
    Refused,
    /// It was good the last time, and its server cannot be asked.
    Stale,
    /// Nobody knows.
    Unanswered,
}

#[cfg(feature = "metrics")]
mod enabled {
    use metrics::{Counter, Gauge, counter, gauge};

    use super::Found;

    /// What happened to the tokens and calls of one layer.
    pub(in crate::introspection) struct Metrics {
        issuer: Box<str>,
        cached: Counter,
        known_bad: Counter,
        active: Counter,
        refused: Counter,
        stale: Counter,
        unanswered: Counter,
        under_way: Gauge,
        good: Gauge,
        bad: Gauge,
    }

    impl Metrics {
        pub(in crate::introspection) fn new(issuer: &str) -> Self {
            let name = || issuer.to_owned();
            let tokens = |result| counter!("gateless_introspected_tokens_total", "issuer" => name(), "result" => result);
            let entries = |pool| gauge!("gateless_introspection_cache_entries", "issuer" => name(), "pool" => pool);
            Self {
                issuer: issuer.into(),
                cached: tokens("cached"),
                known_bad: tokens("known_bad"),
                active: tokens("active"),
                refused: tokens("refused"),
                stale: tokens("stale"),
                unanswered: tokens("unanswered"),
                under_way: gauge!("gateless_introspections_under_way", "issuer" => name()),
                good: entries("good"),
                bad: entries("bad"),
            }
        }

        pub(in crate::introspection) fn found(&self, found: Found) {
            let counter = match found {
                Found::Cached => &self.cached,
                Found::KnownBad => &self.known_bad,
                Found::Active => &self.active,
                Found::Refused => &self.refused,
                Found::Stale => &self.stale,
                Found::Unanswered => &self.unanswered,
            };
            counter.increment(1);
        }

        /// A call ended: `answered`, `invalid`, or the code of what went wrong.
        pub(in crate::introspection) fn called(&self, result: &'static str) {
            counter!("gateless_introspections_total", "issuer" => self.issuer.to_string(), "result" => result)
                .increment(1);
        }

        /// A new configuration came, and is used or not.
        pub(in crate::introspection) fn reloaded(&self, is_applied: bool) {
            let result = if is_applied { "applied" } else { "refused" };
            counter!("gateless_reloads_total", "result" => result).increment(1);
        }

        /// What the shared cache had to say: `found`, `missing`, or why it was of no use.
        pub(in crate::introspection) fn shared(&self, result: &'static str) {
            counter!("gateless_shared_answers_total", "issuer" => self.issuer.to_string(), "result" => result)
                .increment(1);
        }

        /// Counts a call as under way until it ends, or is dropped.
        pub(in crate::introspection) async fn during<T>(&self, call: impl Future<Output = T>) -> T {
            self.under_way.increment(1.0);
            let _under_way = UnderWay(&self.under_way);
            call.await
        }

        pub(in crate::introspection) fn remembered(&self, entries: impl FnOnce() -> [usize; 2]) {
            let [good, bad] = entries();
            self.good.set(good as f64);
            self.bad.set(bad as f64);
        }
    }

    struct UnderWay<'a>(&'a Gauge);

    impl Drop for UnderWay<'_> {
        fn drop(&mut self) {
            self.0.decrement(1.0);
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod disabled {
    use super::Found;

    pub(in crate::introspection) struct Metrics;

    impl Metrics {
        pub(in crate::introspection) const fn new(_: &str) -> Self {
            Self
        }

        pub(in crate::introspection) const fn found(&self, _: Found) {}

        pub(in crate::introspection) const fn called(&self, _: &'static str) {}

        pub(in crate::introspection) const fn reloaded(&self, _: bool) {}

        pub(in crate::introspection) const fn shared(&self, _: &'static str) {}

        pub(in crate::introspection) fn during<C: Future>(&self, call: C) -> C {
            call
        }

        pub(in crate::introspection) fn remembered(&self, _: impl FnOnce() -> [usize; 2]) {}
    }
}
