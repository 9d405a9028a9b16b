use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn limit(quota: &Quota) -> Limit {
    quota.check().unwrap()
}

#[rstest]
#[case::no_limit(Quota::per_minute(0), "lets nobody through")]
#[case::no_burst(Quota::per_minute(1).burst(0), "burst of zero")]
#[case::no_period(Quota::per(1, Duration::ZERO), "a period that is not between")]
#[case::years(Quota::per(1, Duration::from_secs(367 * 86_400)), "a period that is not between")]
#[case::endless(Quota::per(1, Duration::MAX), "a period that is not between")]
#[case::fast(Quota::per_second(100_001), "more than 100,000 a second")]
#[case::faster(
    Quota::per(u32::MAX, Duration::from_millis(1)),
    "more than 100,000 a second"
)]
#[case::long(Quota::per_day(1).burst(3661), "more than ten years")]
#[case::longer(Quota::per(1, Duration::from_secs(366 * 86_400)).burst(u32::MAX), "more than ten years")]
#[case::no_name(Quota::per_second(1).named(""), "a name that is not")]
#[case::odd_name(Quota::per_second(1).named("a\"b"), "a name that is not")]
fn tk_13_tk_14_a_quota_that_means_nothing_is_named(#[case] quota: Quota, #[case] says: &str) {
    let error = quota.check().unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
    assert!(
        error
            .faults()
            .iter()
            .all(|fault| fault.setting() == "quota")
    );
}

#[rstest]
#[case(Quota::per_second(1), 1_000_000, "1-in-1s")]
#[case(Quota::per_second(3), 333_334, "3-in-1s")]
#[case(Quota::per_minute(60).burst(5), 1_000_000, "60-in-60s")]
#[case(Quota::per_second(100_000), 10, "100000-in-1s")]
#[case(Quota::per_day(1), 86_400_000_000, "1-in-86400s")]
#[case(Quota::per(2, Duration::from_millis(5)), 2500, "2-in-5ms")]
fn units_come_in_whole_microseconds_and_never_too_many(
    #[case] quota: Quota,
    #[case] interval: u64,
    #[case] name: &str,
) {
    let limit = limit(&quota);
    assert_eq!(limit.interval(), interval);
    assert_eq!(&**limit.name(), name);
}

#[test]
fn tk_13_nothing_overflows() {
    let limits = [limit(
        &Quota::per(1, Duration::from_secs(366 * 86_400)).burst(10),
    )];
    for stored in [0, 1, u64::MAX / 2, u64::MAX] {
        for now in [0, 1, u64::MAX / 2, u64::MAX] {
            for units in [0, 1, u32::MAX] {
                let _ = decide(&limits, &[stored], now, Ask::exactly(units));
                let _ = decide(&limits, &[stored], now, Ask::stock(1, units, u32::MAX));
                let _ = limits[0].after(stored, now, units);
            }
        }
    }
}

#[test]
fn tk_09_a_clock_that_was_set_back_freezes_nobody_for_longer_than_a_burst_takes() {
    let limits = [limit(&Quota::per_second(10))];
    let hour = 3_600_000_000;
    let paid = limits[0].after(0, hour, 1);
    // Set back by an hour: nothing comes back because of it, and all of it within the second that a burst is worth.
    let Decision::Refused { retry_after, .. } = decide(&limits, &[paid], 0, Ask::exactly(1)) else {
        panic!("it was refilled");
    };
    assert_eq!(retry_after, Duration::from_millis(100));
    assert_eq!(limits[0].available(paid, 0), 0);
}

#[test]
fn what_is_more_than_one_burst_is_paid_for_in_full_under_the_other_limits() {
    let limits = [limit(&Quota::per_second(20)), limit(&Quota::per_day(1000))];
    let mut paid = [0; 2];
    for _ in 0..2 {
        let now = paid[0];
        assert_eq!(
            decide(&limits, &paid, now, Ask::exactly(500)),
            Decision::Granted(500)
        );
        for (paid, limit) in paid.iter_mut().zip(&limits) {
            *paid = limit.after(*paid, now, 500);
        }
    }
    assert_eq!(limits[1].available(paid[1], paid[0]), 0);
    assert!(matches!(
        decide(&limits, &paid, paid[0], Ask::exactly(500)),
        Decision::Refused { limit: 1, .. }
    ));
}

#[test]
fn the_limit_that_makes_one_wait_longest_is_named() {
    let limits = [
        limit(&Quota::per_second(1)),
        limit(&Quota::per_minute(1)),
        limit(&Quota::per_hour(100)),
    ];
    let paid: Vec<u64> = limits.iter().map(|limit| limit.after(0, 0, 1)).collect();
    let refused = Decision::Refused {
        limit: 1,
        retry_after: Duration::from_secs(60),
    };
    assert_eq!(decide(&limits, &paid, 0, Ask::exactly(1)), refused);
    assert_eq!(
        decide(&limits, &paid, 60_000_000, Ask::exactly(1)),
        Decision::Granted(1)
    );
}

#[rstest]
#[case::all_there(Ask::stock(1, 10, 1), 0, Decision::Granted(10))]
#[case::half(Ask::stock(1, 80, 2), 0, Decision::Granted(50))]
#[case::part_of_little(Ask::stock(1, 80, 4), 92, Decision::Granted(2))]
#[case::at_least_one(Ask::stock(1, 80, 4), 99, Decision::Granted(1))]
#[case::least(Ask::stock(8, 80, 4), 92, Decision::Granted(8))]
#[case::nothing(Ask::stock(8, 80, 4), 93, Decision::Refused { limit: 0, retry_after: Duration::from_millis(10) })]
#[case::more_than_ever(Ask::exactly(1_000), 0, Decision::Granted(100))]
#[case::for_nothing(Ask::exactly(0), 100, Decision::Granted(0))]
fn who_stocks_up_leaves_some_to_others(
    #[case] ask: Ask,
    #[case] taken: u32,
    #[case] decision: Decision,
) {
    let limits = [limit(&Quota::per_second(100))];
    let paid = limits[0].after(0, 0, taken);
    assert_eq!(decide(&limits, &[paid], 0, ask), decision);
}

#[test]
fn shares_add_up_to_no_more_than_the_whole() {
    let whole = limit(&Quota::per_minute(60).burst(20));
    let share = whole.share(4);
    assert_eq!((share.burst(), share.interval()), (5, 4_000_000));
    assert_eq!(whole.share(1), whole);
    assert_eq!(whole.share(0), whole);
    assert_eq!(whole.share(1000).burst(), 1);
}

fn quotas() -> impl Strategy<Value = Vec<Limit>> {
    let quota = (1u32..200, 1u64..20_000, 1u32..50).prop_map(|(limit, millis, burst)| {
        Quota::per(limit, Duration::from_millis(millis)).burst(burst)
    });
    let checked = quota.prop_filter_map("too fast", |quota| quota.check().ok());
    prop::collection::vec(checked, 1..4)
}

proptest! {
    /// TK-12: whatever the times and costs, no span of time brings more than the burst and what it is worth itself.
    #[test]
    fn tk_12_no_span_of_time_brings_more_than_it_may(
        limits in quotas(),
        steps in prop::collection::vec((0u64..3_000_000, 1u32..6, 1u32..4), 1..120),
    ) {
        let mut paid = vec![0; limits.len()];
        let (mut now, mut admitted) = (1_000, Vec::new());
        for (step, units, divisor) in steps {
            now += step;
            let ask = Ask::stock(1, units, divisor);
            if let Decision::Granted(units) = decide(&limits, &paid, now, ask) {
                for (paid, limit) in paid.iter_mut().zip(&limits) {
                    *paid = limit.after(*paid, now, units);
                }
                admitted.push((now, u64::from(units)));
            }
        }
        for limit in &limits {
            for (index, (from, _)) in admitted.iter().enumerate() {
                let mut sum = 0;
                for (until, units) in &admitted[index..] {
                    // More than a burst counts as one.
                    sum += units.min(&u64::from(limit.burst()));
                    let most = u64::from(limit.burst()) + (until - from) / limit.interval();
                    prop_assert!(sum <= most, "{sum} > {most} in {} µs", until - from);
                }
            }
        }
    }

    #[test]
    fn who_waits_as_long_as_told_is_let_through_and_not_a_moment_earlier(
        limits in quotas(),
        taken in 0u32..60,
        units in 1u32..10,
    ) {
        let paid: Vec<u64> = limits.iter().map(|limit| limit.after(0, 0, taken)).collect();
        if let Decision::Refused { retry_after, .. } = decide(&limits, &paid, 0, Ask::exactly(units)) {
            let then = u64::try_from(retry_after.as_micros()).unwrap();
            prop_assert_eq!(decide(&limits, &paid, then, Ask::exactly(units)), decide(&limits, &[0].repeat(limits.len()), 0, Ask::exactly(units)));
            let before = matches!(decide(&limits, &paid, then - 1, Ask::exactly(units)), Decision::Refused { .. });
            prop_assert!(before);
        }
    }

    #[test]
    fn what_is_owed_never_exceeds_a_burst(limits in quotas(), charges in prop::collection::vec((0u64..100_000, 0u32..100), 0..50)) {
        let (mut now, mut paid) = (0, 0);
        for (step, units) in charges {
            now += step;
            paid = limits[0].after(paid, now, units);
            prop_assert!(paid - now <= limits[0].tolerance());
        }
    }
}
