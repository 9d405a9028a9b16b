//! What is counted of refused credentials. Without the feature `metrics` nothing is, and nothing of this costs anything.

#[cfg(not(feature = "metrics"))]
pub(super) use self::disabled::Metrics;
#[cfg(feature = "metrics")]
pub(super) use self::enabled::Metrics;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// Credentials were refused, and count.
    Counted,
    /// They count already.
    Repeated,
    /// They do not count: their issuer made them.
    Genuine,
    /// A request was refused.
    Refused,
    /// A request was not, because its token is known to be good.
    Known,
}

#[cfg(feature = "metrics")]
mod enabled {
    use metrics::{Counter, Gauge, counter, gauge};

    use super::Happened;

    /// What happened at one layer.
    pub(in crate::limit::failures) struct Metrics {
        counted: Counter,
        repeated: Counter,
        genuine: Counter,
        refused: Counter,
        known: Counter,
        prefixes: Gauge,
    }

    impl Metrics {
        pub(in crate::limit::failures) fn new() -> Self {
            let results = |result| counter!("gateless_failure_limit_total", "result" => result);
            Self {
                counted: results("counted"),
                repeated: results("repeated"),
                genuine: results("genuine"),
                refused: results("refused"),
                known: results("known"),
                prefixes: gauge!("gateless_failure_limit_prefixes"),
            }
        }

        pub(in crate::limit::failures) fn happened(&self, happened: Happened) {
            let counter = match happened {
                Happened::Counted => &self.counted,
                Happened::Repeated => &self.repeated,
                Happened::Genuine => &self.genuine,
                Happened::Refused => &self.refused,
                Happened::Known => &self.known,
            };
            counter.increment(1);
        }

        pub(in crate::limit::failures) fn measured(&self, prefixes: impl FnOnce() -> usize) {
            self.prefixes.set(prefixes() as f64);
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod disabled {
    use super::Happened;

    pub(in crate::limit::failures) struct Metrics;

    impl Metrics {
        pub(in crate::limit::failures) const fn new() -> Self {
            Self
        }

        pub(in crate::limit::failures) const fn happened(&self, _: Happened) {}

        pub(in crate::limit::failures) fn measured(&self, _: impl FnOnce() -> usize) {}
    }
}
