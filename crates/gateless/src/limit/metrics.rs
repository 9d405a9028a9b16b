//! What is counted of limits. Without the feature `metrics` nothing is, and nothing of this costs anything.

#[cfg(not(feature = "metrics"))]
pub(super) use self::disabled::Metrics;
#[cfg(feature = "metrics")]
pub(super) use self::enabled::Metrics;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Admitted,
    Refused,
    /// Would have been refused.
    Shadowed,
    Unlimited,
    /// Passed while nobody counted.
    #[cfg(feature = "limit_shared")]
    LetThrough,
    #[cfg(feature = "limit_shared")]
    Unavailable,
}

#[cfg(feature = "audit")]
impl From<Outcome> for gateless_audit::LimitResult {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Admitted => Self::Admitted,
            Outcome::Refused => Self::Refused,
            Outcome::Shadowed => Self::Shadowed,
            Outcome::Unlimited => Self::Unlimited,
            #[cfg(feature = "limit_shared")]
            Outcome::LetThrough => Self::LetThrough,
            #[cfg(feature = "limit_shared")]
            Outcome::Unavailable => Self::Unavailable,
        }
    }
}

#[cfg(feature = "metrics")]
mod enabled {
    use metrics::{Counter, counter};

    use super::Outcome;

    pub(in crate::limit) struct Metrics {
        admitted: Counter,
        refused: Counter,
        shadowed: Counter,
        unlimited: Counter,
        #[cfg(feature = "limit_shared")]
        let_through: Counter,
        #[cfg(feature = "limit_shared")]
        unavailable: Counter,
    }

    impl Metrics {
        pub(in crate::limit) fn new(name: &str) -> Self {
            let requests = |result| {
                let name = name.to_owned();
                counter!("gateless_limit_requests_total", "limit" => name, "result" => result)
            };
            Self {
                admitted: requests("admitted"),
                refused: requests("refused"),
                shadowed: requests("shadowed"),
                unlimited: requests("unlimited"),
                #[cfg(feature = "limit_shared")]
                let_through: requests("let_through"),
                #[cfg(feature = "limit_shared")]
                unavailable: requests("unavailable"),
            }
        }

        pub(in crate::limit) fn decided(&self, outcome: Outcome) {
            let counter = match outcome {
                Outcome::Admitted => &self.admitted,
                Outcome::Refused => &self.refused,
                Outcome::Shadowed => &self.shadowed,
                Outcome::Unlimited => &self.unlimited,
                #[cfg(feature = "limit_shared")]
                Outcome::LetThrough => &self.let_through,
                #[cfg(feature = "limit_shared")]
                Outcome::Unavailable => &self.unavailable,
            };
            counter.increment(1);
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod disabled {
    use super::Outcome;

    pub(in crate::limit) struct Metrics;

    impl Metrics {
        pub(in crate::limit) const fn new(_: &str) -> Self {
            Self
        }

        pub(in crate::limit) const fn decided(&self, _: Outcome) {}
    }
}
