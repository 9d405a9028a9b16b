//! Whether something on the network is asked at all, and whether once more. No clock and no lock.

use std::time::Duration;

use gateless_core::Monotonic;

/// So many failures in a row, and it is left alone.
const FAILURES: u32 = 5;

/// For so long; then one call finds out whether it is back.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause that an endpoint itself can ask for (`Retry-After`): whoever makes it ask for one with a flood of
/// tokens shuts out everybody whose token is not known.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a second attempt costs, in calls: at most one call in ten is repeated.
const RETRY: u32 = 10;

/// How many second attempts can be saved up.
const SAVED_RETRIES: u32 = 10;

/// How an endpoint has done lately.
///
/// Only failures that no caller can cause count here: whoever sends odd tokens must not be able to shut everybody else
/// out.
#[derive(Debug)]
pub(crate) struct Circuit {
    failures: u32,
    /// The endpoint is not asked before this.
    open_until: Option<Monotonic>,
    /// How often it was left alone so far.
    openings: u64,
    /// Paid in by calls, paid out for second attempts.
    savings: u32,
}

/// Leave to make a call. It tells calls that began before the endpoint was left alone from those that find out whether
/// it is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leave(u64);

impl Circuit {
    pub(crate) const fn new() -> Self {
        Self {
            failures: 0,
            open_until: None,
            openings: 0,
            savings: RETRY * SAVED_RETRIES,
        }
    }

    /// Whether the endpoint is left alone.
    pub(crate) const fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// Whether a call may begin; otherwise when to try again.
    pub(crate) fn admit(&mut self, now: Monotonic) -> Result<Leave, Duration> {
        if let Some(wait) = self.pause(now) {
            return Err(wait);
        }
        if self.is_open() {
            // This call finds out. Should it take long, there is another after the same pause.
            self.open_until = Some(now + PAUSE);
        }
        self.savings = (self.savings + 1).min(RETRY * SAVED_RETRIES);
        Ok(Leave(self.openings))
    }

    /// Whether a call that failed may be repeated at once. Then it is paid for.
    #[cfg(any(feature = "introspection", test))]
    pub(crate) const fn may_retry(&mut self) -> bool {
        match self.savings.checked_sub(RETRY) {
            Some(rest) if self.open_until.is_none() => {
                self.savings = rest;
                true
            }
            _ => false,
        }
    }

    /// The endpoint answered, whatever it said. True when it had been left alone before.
    ///
    /// A call that began before that says nothing about it: under a limit, answers and refusals come side by side.
    pub(crate) const fn answered(&mut self, leave: Leave) -> bool {
        if !self.is_current(leave) {
            return false;
        }
        self.failures = 0;
        self.open_until.take().is_some()
    }

    /// Until when the endpoint is left alone, if it is. Nothing changes by asking.
    pub(crate) fn pause(&self, now: Monotonic) -> Option<Duration> {
        let wait = self.open_until?.since(now);
        (!wait.is_zero()).then_some(wait)
    }

    /// Whether a call began after the endpoint was left alone last.
    pub(crate) const fn is_current(&self, leave: Leave) -> bool {
        leave.0 == self.openings
    }

    /// The endpoint failed, and may have said for how long. True when it is left alone from now on.
    ///
    /// A call that began before it was left alone last tells nothing new once it is back.
    pub(crate) fn failed(&mut self, leave: Leave, now: Monotonic, asked: Option<Duration>) -> bool {
        if !self.is_current(leave) && self.open_until.is_none() {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        let pause = match asked {
            Some(asked) => asked.clamp(PAUSE, LONGEST_PAUSE),
            None if self.failures >= FAILURES => PAUSE,
            None => return false,
        };
        let was_open = self.open_until.replace(now + pause);
        self.open_until = self.open_until.max(was_open);
        if was_open.is_none() {
            self.openings += 1;
        }
        was_open.is_none()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const fn at(millis: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(millis))
    }

    /// A call that began just now fails.
    fn fail(circuit: &mut Circuit, millis: u64) -> bool {
        let leave = Leave(circuit.openings);
        circuit.failed(leave, at(millis), None)
    }

    fn broken() -> Circuit {
        let mut circuit = Circuit::new();
        for _ in 0..FAILURES {
            fail(&mut circuit, 0);
        }
        circuit
    }

    #[test]
    fn some_failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let mut circuit = Circuit::new();
        for _ in 1..FAILURES {
            assert!(!fail(&mut circuit, 0));
        }
        let leave = circuit.admit(at(0)).unwrap();
        assert!(!circuit.answered(leave));
        for _ in 1..FAILURES {
            assert!(!fail(&mut circuit, 0));
        }
        assert!(circuit.admit(at(0)).is_ok());
        assert!(fail(&mut circuit, 0));
        assert_eq!(circuit.admit(at(0)), Err(PAUSE));
        assert!(!fail(&mut circuit, 0), "it was open before");
    }

    #[test]
    fn after_the_pause_one_call_finds_out_and_its_success_lets_all_through() {
        let mut circuit = broken();
        assert_eq!(circuit.admit(at(999)), Err(Duration::from_millis(1)));
        let leave = circuit.admit(at(1_000)).unwrap();
        assert_eq!(circuit.admit(at(1_000)), Err(PAUSE), "one, not all");
        assert!(circuit.answered(leave));
        assert!(circuit.admit(at(1_000)).is_ok());
        assert!(circuit.admit(at(1_000)).is_ok());
    }

    #[test]
    fn a_call_that_finds_out_nothing_is_followed_by_another() {
        let mut circuit = broken();
        assert!(circuit.admit(at(1_000)).is_ok());
        assert!(circuit.admit(at(1_999)).is_err());
        assert!(circuit.admit(at(2_000)).is_ok());
    }

    #[rstest]
    #[case(Duration::ZERO, PAUSE)]
    #[case(Duration::from_secs(3), Duration::from_secs(3))]
    #[case(Duration::MAX, LONGEST_PAUSE)]
    fn an_endpoint_can_ask_to_be_left_alone(#[case] asked: Duration, #[case] pause: Duration) {
        let mut circuit = Circuit::new();
        assert!(circuit.failed(Leave(0), at(0), Some(asked)));
        assert_eq!(circuit.admit(at(0)), Err(pause));
        // What was asked for before is not taken back by a call that ends later.
        fail(&mut circuit, 0);
        assert_eq!(circuit.admit(at(0)), Err(pause));
    }

    #[test]
    fn an_answer_to_a_call_from_before_ends_no_pause() {
        let mut circuit = Circuit::new();
        let before = circuit.admit(at(0)).unwrap();
        assert!(circuit.failed(before, at(0), Some(LONGEST_PAUSE)));
        assert!(!circuit.answered(before));
        assert_eq!(circuit.admit(at(0)), Err(LONGEST_PAUSE));
    }

    #[test]
    fn a_failure_from_before_does_not_end_what_came_after_the_pause() {
        let mut circuit = Circuit::new();
        let before = circuit.admit(at(0)).unwrap();
        assert!(circuit.failed(before, at(0), Some(PAUSE)));
        let probe = circuit.admit(at(1_000)).unwrap();
        assert!(circuit.answered(probe));
        assert!(!circuit.failed(before, at(1_000), Some(PAUSE)));
        assert_eq!(circuit.pause(at(1_000)), None);
        assert!(circuit.failed(probe, at(1_000), Some(PAUSE)));
        assert_eq!(circuit.pause(at(1_000)), Some(PAUSE));
    }

    proptest! {
        #[test]
        fn at_most_one_call_in_ten_is_repeated(calls in 1u32..2_000) {
            let mut circuit = Circuit::new();
            let mut retries = 0;
            for _ in 0..calls {
                circuit.admit(at(0)).unwrap();
                retries += u32::from(circuit.may_retry());
            }
            prop_assert!(retries <= SAVED_RETRIES + calls.div_ceil(RETRY));
        }

        #[test]
        fn while_it_is_open_at_most_one_call_a_second_is_made(steps in prop::collection::vec(0u64..400, 1..200)) {
            let (mut circuit, mut now, mut calls) = (broken(), 0, 0);
            for step in steps {
                now += step;
                if let Ok(leave) = circuit.admit(at(now)) {
                    calls += 1;
                    circuit.failed(leave, at(now), None);
                }
            }
            prop_assert!(calls <= now / 1_000);
        }
    }
}
