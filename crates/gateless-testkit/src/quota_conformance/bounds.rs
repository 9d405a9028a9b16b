//! What a store may answer, when nobody knows exactly what its clock shows.

use std::ops::RangeInclusive;
use std::time::Duration;

use gateless_core::{Ask, Decision, Limit, Taken, decide};
use tokio::time::Instant;

/// How much time has passed for the store: at least what it was asked to let pass, and at most all of it.
pub(super) struct Passed {
    begin: Instant,
    asked: Duration,
    /// How much of what was asked for has really been waited.
    waited: Duration,
}

/// Where the clock of the suite starts. Not at zero, which stands for a caller of whom nothing is known.
const START: u64 = 1_000_000_000;

impl Passed {
    pub(super) fn new() -> Self {
        Self {
            begin: Instant::now(),
            asked: Duration::ZERO,
            waited: Duration::ZERO,
        }
    }

    pub(super) async fn advance(&mut self, advance: &impl AsyncFn(Duration), by: Duration) {
        let begin = Instant::now();
        advance(by).await;
        self.waited += begin.elapsed().min(by);
        self.asked += by;
    }

    pub(super) fn least(&self) -> u64 {
        START.saturating_add(micros(self.asked))
    }

    pub(super) fn most(&self) -> u64 {
        let more = self.begin.elapsed().saturating_sub(self.waited);
        // A clock that counts microseconds may be at the end of one.
        let more = micros(more).saturating_add(u64::from(!more.is_zero()));
        self.least().saturating_add(more)
    }
}

fn micros(of: Duration) -> u64 {
    u64::try_from(of.as_micros()).unwrap_or(u64::MAX)
}

/// A caller, and up to when what they had is paid for: not before the one, and not behind the other.
pub(super) struct Caller {
    name: String,
    limits: Vec<Limit>,
    paid: Vec<(u64, u64)>,
}

impl Caller {
    /// One who has had nothing so far.
    pub(super) fn new(name: impl Into<String>, limits: &[Limit]) -> Self {
        Self {
            name: name.into(),
            limits: limits.to_vec(),
            paid: vec![(0, 0); limits.len()],
        }
    }

    /// Holds an answer against what was possible between `least` and `most`, and goes on from it.
    ///
    /// # Panics
    ///
    /// When it was not possible.
    pub(super) fn judge(&mut self, ask: Ask, taken: &Taken, least: u64, most: u64) {
        let early = Vec::from_iter(self.paid.iter().map(|paid| paid.0));
        let late = Vec::from_iter(self.paid.iter().map(|paid| paid.1));
        let worst = decide(&self.limits, &late, least, ask);
        let best = decide(&self.limits, &early, most, ask);
        let name = &self.name;
        let context = format!("{name}: {ask:?} is {taken:?}, between {worst:?} and {best:?}");
        if worst == best {
            assert_eq!(taken.decision, worst, "{context}");
        }
        let units = match taken.decision {
            Decision::Granted(units) => {
                let at_least = match worst {
                    Decision::Granted(units) => units,
                    Decision::Refused { .. } => 0,
                };
                assert!(
                    matches!(best, Decision::Granted(best) if (at_least..=best).contains(&units)),
                    "{context}"
                );
                units
            }
            Decision::Refused { limit, retry_after } => {
                let soonest = match best {
                    Decision::Granted(_) => 1,
                    Decision::Refused { retry_after, .. } => micros(retry_after),
                };
                let possible = self.wait(limit, ask, least, most);
                let told = micros(retry_after);
                assert!(
                    told >= soonest && possible.is_some_and(|possible| possible.contains(&told)),
                    "{context}"
                );
                0
            }
        };
        assert_eq!(taken.debts.len(), self.limits.len(), "{context}");
        let each = self.limits.iter().zip(&mut self.paid).zip(&taken.debts);
        for ((limit, paid), debt) in each {
            if units > 0 {
                paid.0 = limit.after(paid.0, least, units);
                paid.1 = limit.after(paid.1, most, units);
            }
            let possible = limit.debt(paid.0, most)..=limit.debt(paid.1, least);
            assert!(
                possible.contains(debt),
                "{context}: the caller is ahead by one of {possible:?}"
            );
        }
    }
    /// How long the limit at `place` makes one wait, in microseconds.
    fn wait(&self, place: usize, ask: Ask, least: u64, most: u64) -> Option<RangeInclusive<u64>> {
        let (limit, (early, late)) = self.limits.get(place).zip(self.paid.get(place))?;
        let units = ask.within(&self.limits).least();
        Some(limit.wait(*early, most, units)..=limit.wait(*late, least, units))
    }
}
