//! What is counted of records. Without the feature `metrics` nothing is.

#[cfg(not(feature = "metrics"))]
pub(super) use self::disabled::Metrics;
#[cfg(feature = "metrics")]
pub(super) use self::enabled::Metrics;

#[cfg(feature = "metrics")]
mod enabled {
    use gateless_audit::SignalKind;
    use metrics::{Counter, Gauge, counter, gauge};

    use crate::audit::sighting::Sighting;

    /// Owned by the writer.
    pub(in crate::audit) struct Metrics {
        lost: Counter,
        unserved: Counter,
        failures: Counter,
        waiting: Gauge,
    }

    impl Metrics {
        pub(in crate::audit) fn new() -> Self {
            Self {
                lost: counter!("gateless_audit_missed_total", "result" => "lost"),
                unserved: counter!("gateless_audit_missed_total", "result" => "unserved"),
                failures: counter!("gateless_audit_write_failures_total"),
                waiting: gauge!("gateless_audit_waiting"),
            }
        }

        /// Routes are those of the router, and methods those that there are.
        pub(in crate::audit) fn saw(&self, sighting: &Sighting<'_>) {
            counter!(
                "gateless_audit_requests_total",
                "outcome" => sighting.outcome.name(),
                "reason" => sighting.rejection.map_or("none", |rejection| rejection.reason()),
                "route" => sighting.route.unwrap_or("none").to_owned()
            )
            .increment(1);
        }

        pub(in crate::audit) fn missed(&self, lost: u64, unserved: u64) {
            self.lost.increment(lost);
            self.unserved.increment(unserved);
        }

        pub(in crate::audit) fn failed(&self) {
            self.failures.increment(1);
        }

        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        pub(in crate::audit) fn waiting(&self, records: usize) {
            self.waiting.set(records as f64);
        }

        pub(in crate::audit) fn signalled(&self, signal: SignalKind) {
            counter!("gateless_audit_signals_total", "signal" => signal.name()).increment(1);
        }

        pub(in crate::audit) fn aside_lost(&self, sink: &'static str, records: u64) {
            counter!("gateless_audit_sink_lost_total", "sink" => sink).increment(records);
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod disabled {
    use gateless_audit::SignalKind;

    use crate::audit::sighting::Sighting;

    pub(in crate::audit) struct Metrics;

    impl Metrics {
        pub(in crate::audit) const fn new() -> Self {
            Self
        }

        pub(in crate::audit) const fn saw(&self, _: &Sighting<'_>) {}

        pub(in crate::audit) const fn missed(&self, _: u64, _: u64) {}

        pub(in crate::audit) const fn failed(&self) {}

        pub(in crate::audit) const fn waiting(&self, _: usize) {}

        pub(in crate::audit) const fn signalled(&self, _: SignalKind) {}

        pub(in crate::audit) const fn aside_lost(&self, _: &'static str, _: u64) {}
    }
}
