//! What is counted of keys. Without the feature `metrics` nothing is, and nothing of this costs anything.

#[cfg(not(feature = "metrics"))]
pub(super) use self::disabled::KeyMetrics;
#[cfg(feature = "metrics")]
pub(super) use self::enabled::KeyMetrics;

#[cfg(feature = "metrics")]
mod enabled {
    use gateless_core::Timestamp;
    use metrics::{Counter, Gauge, counter, gauge};

    /// What happened to the keys of one issuer.
    pub(in crate::keys) struct KeyMetrics {
        new: Counter,
        unchanged: Counter,
        failed: Counter,
        stale_used: Counter,
        keys: Gauge,
        fetched_at: Gauge,
    }

    impl KeyMetrics {
        pub(in crate::keys) fn new(issuer: &str) -> Self {
            let issuer = || issuer.to_owned();
            let fetches = |result| counter!("gateless_key_fetches_total", "issuer" => issuer(), "result" => result);
            Self {
                new: fetches("new"),
                unchanged: fetches("unchanged"),
                failed: fetches("failed"),
                stale_used: counter!("gateless_stale_keys_used_total", "issuer" => issuer()),
                keys: gauge!("gateless_keys", "issuer" => issuer()),
                fetched_at: gauge!("gateless_keys_fetched_timestamp_seconds", "issuer" => issuer()),
            }
        }

        pub(in crate::keys) fn fetched(&self, is_new: bool) {
            let counter = if is_new { &self.new } else { &self.unchanged };
            counter.increment(1);
        }

        pub(in crate::keys) fn failed(&self) {
            self.failed.increment(1);
        }

        pub(in crate::keys) fn stale_used(&self) {
            self.stale_used.increment(1);
        }

        pub(in crate::keys) fn replaced(&self, keys: usize, now: Timestamp) {
            self.keys.set(keys as f64);
            self.fetched_at.set(now.as_millis() as f64 / 1000.0);
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod disabled {
    use gateless_core::Timestamp;

    pub(in crate::keys) struct KeyMetrics;

    impl KeyMetrics {
        pub(in crate::keys) const fn new(_: &str) -> Self {
            Self
        }

        pub(in crate::keys) const fn fetched(&self, _: bool) {}

        pub(in crate::keys) const fn failed(&self) {}

        pub(in crate::keys) const fn stale_used(&self) {}

        pub(in crate::keys) const fn replaced(&self, _: usize, _: Timestamp) {}
    }
}
