//! What is counted of the denylist. Without the feature `metrics` nothing is, and nothing of this costs anything.

#[cfg(not(feature = "metrics"))]
pub(super) use self::disabled::Metrics;
#[cfg(feature = "metrics")]
pub(super) use self::enabled::Metrics;

#[cfg(feature = "metrics")]
mod enabled {
    use gateless_core::RevocationKind;
    use metrics::{Counter, Gauge, counter, gauge};

    use super::super::decide::Judgement;
    use super::super::freshness::Standing;
    use super::super::list::RevocationList;

    /// What happened to the callers and changes of one list.
    pub(in crate::denylist) struct Metrics {
        clear: Counter,
        stale: Counter,
        open: Counter,
        outlives: Counter,
        unknown: Counter,
        records: Gauge,
        age: Gauge,
    }

    impl Metrics {
        pub(in crate::denylist) fn new(capacity: usize) -> Self {
            let checks = |result| counter!("gateless_denylist_checks_total", "result" => result);
            gauge!("gateless_denylist_capacity").set(capacity as f64);
            let age = gauge!("gateless_denylist_age_seconds");
            // Not as if it was up to date: it was never loaded.
            age.set(f64::INFINITY);
            Self {
                clear: checks("clear"),
                stale: checks("stale"),
                open: checks("open"),
                outlives: checks("outlives"),
                unknown: checks("unknown"),
                records: gauge!("gateless_denylist_records"),
                age,
            }
        }

        pub(in crate::denylist) fn judged(&self, judgement: Judgement) {
            let counter = match judgement {
                Judgement::Clear => &self.clear,
                Judgement::ClearWhenLastSeen => &self.stale,
                Judgement::LetThrough => &self.open,
                Judgement::OutlivesTheList => &self.outlives,
                Judgement::Unknown => &self.unknown,
                Judgement::Revoked(kind) => {
                    counter!("gateless_denylist_revoked_used_total", "kind" => kind.name())
                        .increment(1);
                    return;
                }
            };
            counter.increment(1);
        }

        /// Something was revoked here, or taken back.
        pub(in crate::denylist) fn changed(&self, change: &'static str, kind: RevocationKind) {
            counter!("gateless_denylist_changes_total", "change" => change, "kind" => kind.name())
                .increment(1);
        }

        /// How it went with the log.
        pub(in crate::denylist) fn synced(&self, result: &'static str) {
            counter!("gateless_denylist_syncs_total", "result" => result).increment(1);
        }

        pub(in crate::denylist) fn measured(&self, list: &RevocationList, standing: Standing) {
            self.records.set(list.len() as f64);
            if let Standing::Aged(age) = standing {
                self.age.set(age.as_secs_f64());
            }
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod disabled {
    use gateless_core::RevocationKind;

    use super::super::decide::Judgement;
    use super::super::freshness::Standing;
    use super::super::list::RevocationList;

    pub(in crate::denylist) struct Metrics;

    impl Metrics {
        pub(in crate::denylist) const fn new(_: usize) -> Self {
            Self
        }

        pub(in crate::denylist) const fn judged(&self, _: Judgement) {}

        pub(in crate::denylist) const fn changed(&self, _: &'static str, _: RevocationKind) {}

        pub(in crate::denylist) const fn synced(&self, _: &'static str) {}

        pub(in crate::denylist) const fn measured(&self, _: &RevocationList, _: Standing) {}
    }
}
