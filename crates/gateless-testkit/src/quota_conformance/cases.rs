//! What is decided when: one table, for the pure function and for every store.

use std::time::Duration;

use gateless_core::{Ask, Decision, Limit, Quota};

/// What lies between two rounds of a case.
pub(super) const STEP: Duration = Duration::from_secs(1);

/// How many rounds there are.
pub(super) const ROUNDS: usize = 3;

/// One caller who has had nothing so far.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) limits: Vec<Limit>,
    /// In which round, what is asked, and what is decided when no time passes within a round.
    pub(super) steps: Vec<(usize, Ask, Decision)>,
}

fn case(name: &'static str, quotas: &[Quota], steps: &[(usize, Ask, Decision)]) -> Case {
    let limits = quotas.iter().map(Quota::check);
    let limits = limits.collect::<Result<_, _>>();
    Case {
        name,
        limits: limits.expect("the quotas of the suite mean something"),
        steps: steps.to_vec(),
    }
}

const fn had(units: u32) -> Decision {
    Decision::Granted(units)
}

const fn wait(limit: usize, micros: u64) -> Decision {
    Decision::Refused {
        limit,
        retry_after: Duration::from_micros(micros),
    }
}

const fn secs(seconds: u64) -> u64 {
    seconds * 1_000_000
}

pub(super) fn cases() -> Vec<Case> {
    let exactly = Ask::exactly;
    let (one, stock) = (exactly(1), Ask::stock);
    let year = Duration::from_secs(366 * 86_400);
    let month = Duration::from_secs(30 * 86_400);
    let rows =
        Vec::from_iter((1..=8).map(|hours| Quota::per(8, Duration::from_secs(hours * 3600))));
    vec![
        case(
            "a burst comes back unit by unit",
            &[Quota::per_second(2)],
            &[
                (0, one, had(1)),
                (0, one, had(1)),
                (0, one, wait(0, 500_000)),
                (1, one, had(1)),
                (1, one, had(1)),
                (1, one, wait(0, 500_000)),
                (2, exactly(2), had(2)),
            ],
        ),
        case(
            "no more than a burst comes back",
            &[Quota::per_second(10).burst(2)],
            &[
                (0, exactly(2), had(2)),
                (0, exactly(2), wait(0, 200_000)),
                (2, exactly(2), had(2)),
                (2, one, wait(0, 100_000)),
            ],
        ),
        case(
            "a burst of one is even spacing",
            &[Quota::per_minute(1).burst(1)],
            &[
                (0, one, had(1)),
                (0, one, wait(0, secs(60))),
                (1, one, wait(0, secs(59))),
                (2, one, wait(0, secs(58))),
            ],
        ),
        case(
            "units that are no whole microseconds are rounded towards fewer",
            &[Quota::per_second(3)],
            &[
                (0, exactly(3), had(3)),
                (1, exactly(3), wait(0, 2)),
                (1, exactly(2), had(2)),
                (1, one, wait(0, 2)),
            ],
        ),
        case(
            "all limits have enough, or none of them pays",
            &[Quota::per_hour(3), Quota::per_second(1)],
            &[
                (0, one, had(1)),
                (0, one, wait(1, secs(1))),
                (0, one, wait(1, secs(1))),
                (0, one, wait(1, secs(1))),
                (1, one, had(1)),
                (1, one, wait(1, secs(1))),
                (2, one, had(1)),
                (2, one, wait(0, secs(1198))),
            ],
        ),
        case(
            "the limit that makes one wait longest is named",
            &[Quota::per_minute(1), Quota::per_hour(1), Quota::per_day(9)],
            &[
                (0, one, had(1)),
                (0, one, wait(1, secs(3600))),
                (1, one, wait(1, secs(3599))),
            ],
        ),
        case(
            "of two that make one wait equally long, the first is named",
            &[Quota::per_day(9), Quota::per_hour(1), Quota::per_hour(1)],
            &[(0, one, had(1)), (0, one, wait(1, secs(3600)))],
        ),
        case(
            "a stock leaves some to others",
            &[Quota::per_hour(100)],
            &[
                (0, stock(1, 80, 2), had(50)),
                (0, stock(1, 80, 2), had(25)),
                (0, stock(20, 80, 4), had(20)),
                (0, stock(8, 80, 1), wait(0, secs(108))),
                (0, stock(2, 80, 4), had(2)),
                (1, stock(1, 80, 100), had(1)),
                (2, stock(1, 80, 1), had(2)),
                (2, stock(1, 80, 1), wait(0, secs(34))),
            ],
        ),
        case(
            "a stock is of the limit with the least",
            &[Quota::per_hour(10), Quota::per_day(4), Quota::per_hour(60)],
            &[
                (0, stock(1, 3, 1), had(3)),
                (0, stock(1, 3, 1), had(1)),
                (0, stock(1, 3, 1), wait(1, secs(21_600))),
            ],
        ),
        case(
            "more than a burst counts as a burst under that limit, and as what it is under the others",
            &[Quota::per_hour(5), Quota::per_hour(9).burst(3)],
            &[
                (0, exactly(1000), had(5)),
                (0, exactly(u32::MAX), wait(0, secs(3600))),
                (0, stock(2, u32::MAX, u32::MAX), wait(0, secs(1440))),
                (1, exactly(1000), wait(0, secs(3599))),
            ],
        ),
        case(
            "nothing can always be had",
            &[Quota::per_hour(2)],
            &[
                (0, exactly(0), had(0)),
                (0, exactly(2), had(2)),
                (0, exactly(0), had(0)),
                (0, stock(0, 5, 1), had(0)),
                (1, exactly(0), had(0)),
                (1, one, wait(0, secs(1799))),
            ],
        ),
        case(
            "eight limits at once",
            &rows,
            &[
                (0, exactly(7), had(7)),
                (0, exactly(2), wait(7, secs(3600))),
                (1, one, had(1)),
                (1, one, wait(7, secs(3599))),
            ],
        ),
        case(
            "the fastest there is",
            &[Quota::per_second(100_000).burst(1)],
            &[
                (0, one, had(1)),
                (0, one, wait(0, 10)),
                (1, one, had(1)),
                (2, exactly(7), had(1)),
            ],
        ),
        case(
            "the longest there is",
            &[Quota::per(1, year).burst(10), Quota::per(10_000, month)],
            &[
                (0, exactly(9), had(9)),
                (0, exactly(2), wait(0, secs(366 * 86_400))),
                (1, one, had(1)),
                (1, one, wait(0, secs(366 * 86_400 - 1))),
                (2, one, wait(0, secs(366 * 86_400 - 2))),
            ],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use gateless_core::decide;

    use super::*;

    #[test]
    fn the_pure_function_decides_so() {
        for case in cases() {
            let mut paid = vec![0; case.limits.len()];
            let mut round_before = 0;
            for (place, (round, ask, expected)) in case.steps.into_iter().enumerate() {
                assert!(round >= round_before && round < ROUNDS, "{}", case.name);
                round_before = round;
                let now = 1 + secs(STEP.as_secs()) * u64::try_from(round).unwrap();
                let decision = decide(&case.limits, &paid, now, ask);
                assert_eq!(decision, expected, "{}, step {place}", case.name);
                if let Decision::Granted(units) = decision {
                    for (paid, limit) in paid.iter_mut().zip(&case.limits) {
                        *paid = limit.after(*paid, now, units);
                    }
                }
            }
        }
    }
}
