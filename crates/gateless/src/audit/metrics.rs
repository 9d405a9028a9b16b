//! What is counted of records. Without the feature `metrics` nothing is.

#[cfg(not(feature = "metrics"))]
pub(super) use self::disabled::Metrics;
#[cfg(feature = "metrics")]
pub(super) use self::enabled::Metrics;

/// A request has no record, or was not served for that: counted at once, as the writer may be at a loss itself.
pub(super) fn missed(result: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("gateless_audit_missed_total", "result" => result).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = result;
}

#[cfg(feature = "metrics")]
mod enabled {
    use gateless_audit::SignalKind;
    use metrics::{Counter, Gauge, counter, gauge};

    use crate::audit::sighting::Sighting;

    /// Owned by the writer.
    pub(in crate::audit) struct Metrics {
        failures: Counter,
        lost: Counter,
        waiting: Gauge,
    }

    impl Metrics {
        pub(in crate::audit) fn new() -> Self {
            Self {
                failures: counter!("gateless_audit_write_failures_total"),
                lost: counter!("gateless_audit_missed_total", "result" => "lost"),
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

        pub(in crate::audit) fn failed(&self) {
            self.failures.increment(1);
        }

        pub(in crate::audit) fn lost(&self, records: u64) {
            self.lost.increment(records);
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

        pub(in crate::audit) const fn failed(&self) {}

        pub(in crate::audit) const fn lost(&self, _: u64) {}

        pub(in crate::audit) const fn waiting(&self, _: usize) {}

        pub(in crate::audit) const fn signalled(&self, _: SignalKind) {}

        pub(in crate::audit) const fn aside_lost(&self, _: &'static str, _: u64) {}
    }
}
