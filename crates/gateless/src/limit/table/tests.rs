use std::collections::HashMap;

use gateless_core::Quota;
use proptest::prelude::*;

use super::*;

fn limits(quotas: &[Quota]) -> Vec<Limit> {
    quotas.iter().map(|quota| quota.check().unwrap()).collect()
}

fn one() -> Ask {
    Ask::exactly(1)
}

fn is_granted(decision: Decision) -> bool {
    matches!(decision, Decision::Granted(_))
}

#[test]
fn what_is_taken_is_taken_until_it_comes_back() {
    let table = Table::new(limits(&[Quota::per_second(2)]), 10);
    let tag = Tag(7);
    assert!(is_granted(table.take(tag, 0, one())));
    assert!(is_granted(table.take(tag, 0, one())));
    assert!(!is_granted(table.take(tag, 0, one())));
    assert!(is_granted(table.take(Tag(8), 0, one())), "another one");
    assert!(!is_granted(table.ask(tag, 499_999, one())));
    assert!(is_granted(table.ask(tag, 500_000, one())));
    assert!(is_granted(table.take(tag, 500_000, one())));
    assert!(!is_granted(table.take(tag, 500_000, one())));
}

#[test]
fn several_limits_pay_all_or_nothing() {
    let table = Table::new(limits(&[Quota::per_second(10), Quota::per_minute(2)]), 10);
    let shown = |now| {
        let mut shown = Vec::new();
        table.take_and(Tag(1), now, one(), |paid| shown = paid.to_vec());
        shown
    };
    assert_eq!(shown(0), [100_000, 30_000_000]);
    assert_eq!(shown(0), [200_000, 60_000_000]);
    assert_eq!(shown(0), [200_000, 60_000_000], "refused: nobody pays");
}

#[test]
fn who_is_refused_or_takes_nothing_gets_no_place() {
    let table = Table::new(limits(&[Quota::per_second(1)]), 10);
    table.take(Tag(1), 0, Ask::exactly(0));
    assert_eq!(table.len(), 0);
    table.charge(Tag(2), 0, 5);
    assert!(!is_granted(table.ask(Tag(2), 999_999, one())));
    assert!(
        is_granted(table.ask(Tag(2), 1_000_000, one())),
        "no more than a burst"
    );
}

#[test]
fn tk_03_a_million_keys_have_no_more_places_than_there_are() {
    let table = Table::new(limits(&[Quota::per_minute(10)]), 1000);
    let tagger = Tagger::default();
    for key in 0..1_000_000u64 {
        table.take(tagger.tag(&key), key, one());
        if key % 100_000 == 0 {
            assert!(table.len() <= 1000);
        }
    }
    assert!(table.len() <= 1000);
    let numbers: usize = table
        .shards
        .iter()
        .map(|shard| lock(shard).entries.capacity())
        .sum();
    assert!(numbers <= 2 * 2 * 1024, "{numbers}");
}

#[test]
fn tk_04_a_flood_does_not_give_back_what_somebody_had() {
    let table = Table::new(limits(&[Quota::per_minute(10)]), 64);
    let (tagger, attacker) = (Tagger::default(), Tag(42));
    let mut admitted = 0;
    for round in 0..200u64 {
        for _ in 0..20 {
            admitted += u32::from(is_granted(table.take(attacker, 0, one())));
        }
        for key in 0..500 {
            table.take(tagger.tag(&(round, key)), 0, one());
        }
    }
    assert_eq!(admitted, 10);
}

#[test]
fn tk_04_a_flood_of_callers_costs_a_stranger_no_more_than_the_poorest_of_them_owes() {
    let table = Table::new(limits(&[Quota::per_minute(60)]), 64);
    let tagger = Tagger::default();
    for key in 0..64 {
        table.take(tagger.tag(&key), 0, one());
    }
    let mut left = 0;
    while is_granted(table.take(Tag(99), 0, one())) {
        left += 1;
    }
    assert_eq!(left, 59);
}

#[test]
fn those_who_owe_nothing_make_way_for_others_and_nothing_is_owed_for_them() {
    let table = Table::new(limits(&[Quota::per_second(10)]), 100);
    let tagger = Tagger::default();
    for key in 0..10_000u64 {
        // Each owes for 100 ms, and there are 10 of them in that time.
        table.take(tagger.tag(&key), key * 10_000, one());
    }
    assert!(table.len() <= 40, "{}", table.len());
    let shard = lock(&table.shards[0]);
    assert_eq!(*shard.floor, [0]);
}

proptest! {
    /// Whatever comes, in a table that is too small or not: nobody gets more than a table without bounds would give them.
    #[test]
    fn tk_04_a_bounded_table_never_gives_more_than_an_unbounded_one(
        capacity in 1usize..20,
        steps in prop::collection::vec((0u64..40, 0u64..300_000, 1u32..4), 1..300),
    ) {
        let limits = limits(&[Quota::per_second(5), Quota::per_minute(20).burst(7)]);
        let table = Table::new(limits.clone(), capacity);
        let (mut model, mut now) = (HashMap::<u64, Vec<u64>>::new(), 0);
        for (key, step, units) in steps {
            now += step;
            let paid = model.entry(key).or_insert_with(|| vec![0; 2]);
            let ask = Ask::exactly(units);
            let granted = is_granted(table.take(Tag(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)), now, ask));
            if granted {
                prop_assert!(is_granted(decide(&limits, paid, now, ask)));
                for (paid, limit) in paid.iter_mut().zip(&limits) {
                    *paid = limit.after(*paid, now, units);
                }
            }
            prop_assert!(table.len() <= capacity);
        }
    }

    #[test]
    fn with_room_for_all_it_decides_as_if_there_were_no_table(
        steps in prop::collection::vec((0u64..20, 0u64..300_000, 0u32..4), 1..300),
    ) {
        let limits = limits(&[Quota::per_second(5), Quota::per_minute(20).burst(7)]);
        let table = Table::new(limits.clone(), 20);
        let (mut model, mut now) = (HashMap::<u64, Vec<u64>>::new(), 0);
        for (key, step, units) in steps {
            now += step;
            let paid = model.entry(key).or_insert_with(|| vec![0; 2]);
            let ask = Ask::exactly(units);
            let expected = decide(&limits, paid, now, ask);
            prop_assert_eq!(table.take(Tag(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)), now, ask), expected);
            if let Decision::Granted(units) = expected {
                for (paid, limit) in paid.iter_mut().zip(&limits) {
                    *paid = limit.after(*paid, now, units);
                }
            }
        }
    }

    #[test]
    fn tk_07_threads_together_get_no_more_than_the_burst(burst in 1u32..50, threads in 2usize..6) {
        let table = Table::new(limits(&[Quota::per_day(50).burst(burst)]), 10);
        let admitted: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| (0..40).filter(|_| is_granted(table.take(Tag(1), 5, one()))).count()))
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        prop_assert_eq!(admitted, (40 * threads).min(burst as usize));
    }
}
