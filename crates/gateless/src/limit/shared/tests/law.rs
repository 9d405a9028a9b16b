use proptest::prelude::*;

use super::*;

/// A request: how long after the one before it comes, at which instance, what it costs, and whether its client stays.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    after: u64,
    at: usize,
    cost: u32,
    stays: bool,
}

#[derive(Clone, Debug)]
struct Fleet {
    limit: u32,
    burst: u32,
    units: u32,
    instances: usize,
    arrivals: Vec<Arrival>,
}

fn fleet() -> impl Strategy<Value = Fleet> {
    (1u32..30, 1u32..40, 1usize..5)
        .prop_flat_map(|(limit, burst, instances)| {
            let arrival = (
                prop_oneof![4 => Just(0u64), 2 => 0u64..300_000, 1 => 0u64..3_000_000],
                0..instances,
                1u32..5,
                prop::bool::weighted(0.9),
            );
            let arrival = arrival.prop_map(|(after, at, cost, stays)| Arrival {
                after,
                at,
                cost,
                stays,
            });
            let arrivals = prop::collection::vec(arrival, 1..120);
            (Just((limit, burst, instances)), 1..=burst, arrivals)
        })
        .prop_map(|((limit, burst, instances), units, arrivals)| Fleet {
            limit,
            burst,
            units,
            instances,
            arrivals,
        })
}

/// What was let through, and when, in microseconds.
async fn run(fleet: &Fleet, is_leased: bool) -> (Vec<(u64, u32)>, World) {
    let quota = Quota::per_second(fleet.limit).burst(fleet.burst);
    let world = World::new(quota);
    let fronts: Vec<_> = (0..fleet.instances)
        .map(|_| match is_leased {
            true => world.leased(fleet.units),
            false => world.exact(LimitOutage::FailClosed),
        })
        .collect();
    let mut let_through = Vec::new();
    let mut waiting = Vec::new();
    for arrival in &fleet.arrivals {
        if arrival.after > 0 {
            collect(&mut let_through, &mut waiting).await;
            world.clock.advance(Duration::from_micros(arrival.after));
        }
        let now = micros(&world.clock);
        let cost = arrival.cost.min(fleet.burst);
        match world.take(&fronts[arrival.at], 1, cost) {
            Taking::Now(count) if is_granted(&count) => let_through.push((now, cost)),
            Taking::Now(_) => {}
            Taking::Wait(count) if arrival.stays => waiting.push((now, cost, count)),
            Taking::Wait(gone) => drop(gone),
        }
    }
    collect(&mut let_through, &mut waiting).await;
    (let_through, world)
}

type Waiting = (u64, u32, Pin<Box<dyn Future<Output = Count> + Send>>);

async fn collect(let_through: &mut Vec<(u64, u32)>, waiting: &mut Vec<Waiting>) {
    for (at, cost, count) in waiting.drain(..) {
        if is_granted(&count.await) {
            let_through.push((at, cost));
        }
    }
}

/// The most that was let through in any span of time, beyond what the quota says for it.
fn excess(fleet: &Fleet, let_through: &[(u64, u32)]) -> f64 {
    let mut most = f64::MIN;
    for (first, (start, _)) in let_through.iter().enumerate() {
        let mut sum = 0;
        for (end, cost) in &let_through[first..] {
            sum += cost;
            let seconds = (end - start) as f64 / 1e6;
            let quota = f64::from(fleet.burst) + f64::from(fleet.limit) * seconds;
            most = most.max(f64::from(sum) - quota);
        }
    }
    most
}

fn sum(let_through: &[(u64, u32)]) -> u64 {
    let_through.iter().map(|(_, cost)| u64::from(*cost)).sum()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.unwrap().block_on(future)
}

proptest! {
    #[test]
    fn tk_07_exactly_counted_nothing_is_beyond_the_quota(fleet in fleet()) {
        let (mut let_through, world) = block_on(run(&fleet, false));
        let_through.sort_unstable();
        prop_assert!(excess(&fleet, &let_through) <= 0.0);
        prop_assert!(sum(&let_through) <= world.store.granted());
    }

    #[test]
    fn tk_07_with_leases_no_more_is_beyond_the_quota_than_what_each_instance_has_in_stock(fleet in fleet()) {
        let (mut let_through, world) = block_on(run(&fleet, true));
        let_through.sort_unstable();
        // A request that costs more than a lease is one.
        let unit = fleet.units.max(4.min(fleet.burst));
        let stock = f64::from(unit) * fleet.instances as f64;
        prop_assert!(excess(&fleet, &let_through) <= stock);
        prop_assert!(sum(&let_through) <= world.store.granted());
        // What is not used is in stock, or was brought for somebody who has gone.
        let gone = fleet.arrivals.iter().filter(|arrival| !arrival.stays);
        let gone: u32 = gone.map(|arrival| arrival.cost.min(fleet.burst)).sum();
        let lost = world.store.granted() - sum(&let_through);
        prop_assert!(lost as f64 <= stock + f64::from(gone), "{lost} units are lost");
    }

    #[test]
    fn tk_07_of_a_quota_that_does_not_come_back_all_is_let_through_and_no_more(
        burst in 1u32..60,
        units in 1u32..60,
        instances in 1usize..5,
    ) {
        let units = units.min(burst);
        let admitted = block_on(async {
            let world = World::new(Quota::per(1, Duration::from_secs(86_400)).burst(burst));
            let fronts: Vec<_> = (0..instances).map(|_| world.leased(units)).collect();
            let mut admitted = 0;
            for _ in 0..=burst {
                for front in &fronts {
                    admitted += u32::from(is_granted(&world.count(front, 1, 1).await));
                }
            }
            admitted
        });
        prop_assert_eq!(admitted, burst);
    }
}
