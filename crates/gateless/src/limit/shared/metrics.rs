//! What is counted of a store. Without the feature `metrics` nothing is, and nothing of this costs anything.

#[cfg(not(feature = "metrics"))]
pub(super) use self::disabled::Metrics;
#[cfg(feature = "metrics")]
pub(super) use self::enabled::Metrics;

/// How a call of the store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Granted,
    Refused,
    Failed,
    TimedOut,
}

#[cfg(feature = "metrics")]
mod enabled {
    use metrics::{Counter, counter};

    use super::super::settings::LimitOutage;
    use super::Ended;

    pub(in crate::limit::shared) struct Metrics {
        granted: Counter,
        refused: Counter,
        failed: Counter,
        timed_out: Counter,
        without: Counter,
    }

    impl Metrics {
        pub(in crate::limit::shared) fn new(on_outage: LimitOutage) -> Self {
            let calls = |result| counter!("gateless_limit_store_calls_total", "result" => result);
            let policy = match on_outage {
                LimitOutage::FailClosed => "closed",
                LimitOutage::LocalShare { .. } => "share",
                LimitOutage::DangerOpen => "open",
            };
            Self {
                granted: calls("granted"),
                refused: calls("refused"),
                failed: calls("failed"),
                timed_out: calls("timed_out"),
                without: counter!("gateless_limit_without_store_total", "policy" => policy),
            }
        }

        pub(in crate::limit::shared) fn called(&self, ended: Ended) {
            let counter = match ended {
                Ended::Granted => &self.granted,
                Ended::Refused => &self.refused,
                Ended::Failed => &self.failed,
                Ended::TimedOut => &self.timed_out,
            };
            counter.increment(1);
        }

        /// A request was decided on without the store.
        pub(in crate::limit::shared) fn went_without(&self) {
            self.without.increment(1);
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod disabled {
    use super::super::settings::LimitOutage;
    use super::Ended;

    pub(in crate::limit::shared) struct Metrics;

    impl Metrics {
        pub(in crate::limit::shared) const fn new(_: LimitOutage) -> Self {
            Self
        }

        pub(in crate::limit::shared) const fn called(&self, _: Ended) {}

        pub(in crate::limit::shared) const fn went_without(&self) {}
    }
}
