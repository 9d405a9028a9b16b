//! Limits that several instances share: through a store in memory here, and through Redis in the folder next to this.

use gateless::limit::{LimitKey, LimitOutage, SharedLimits};
use gateless::{Dependency, Quota, Rejection};
use gateless_testkit::{MemoryQuotas, QuotaFault};
use rstest::rstest;

use super::*;
use crate::support::Refusal;

/// Instances with the same settings and the same store.
fn fleet(
    world: &World,
    instances: usize,
    quota: &Quota,
    shared: impl Fn() -> SharedLimits,
) -> Vec<Instance> {
    let instance = |_| {
        let builder = world.builder(LimitKey::caller(), std::slice::from_ref(quota));
        world.instance_of(builder.shared(shared()))
    };
    (0..instances).map(instance).collect()
}

fn store(world: &World) -> MemoryQuotas {
    MemoryQuotas::new(Arc::new(world.clock.clone()))
}

#[tokio::test]
async fn tk_07_a_fleet_admits_what_one_instance_would() {
    let world = World::new();
    let store = store(&world);
    let quota = Quota::per_minute(12);
    let exact = || SharedLimits::exact(store.clone(), LimitOutage::FailClosed);
    let instances = fleet(&world, 3, &quota, exact);
    let token = token_of("user-1").mint();
    let mut admitted = 0;
    for _ in 0..5 {
        for instance in &instances {
            admitted += instance.admits(2, &token).await;
        }
    }
    assert_eq!(admitted, 12);
    assert_eq!(instances[0].admits(3, &token_of("user-2").mint()).await, 3);
    world.advance(5_000);
    let mut admitted = 0;
    for instance in &instances {
        admitted += instance.admits(2, &token).await;
    }
    assert_eq!(admitted, 1);
}

#[tokio::test]
async fn tk_10_callers_who_hammer_do_not_reach_the_store() {
    let world = World::new();
    let store = store(&world);
    let exact = || SharedLimits::exact(store.clone(), LimitOutage::FailClosed);
    let instances = fleet(&world, 1, &Quota::per_minute(3), exact);
    let token = token_of("user-1").mint();
    assert_eq!(instances[0].admits(200, &token).await, 3);
    assert_eq!(store.calls(), 4);
}

#[tokio::test]
async fn tk_07_with_leases_most_requests_ask_nobody_and_the_bound_holds() {
    let world = World::new();
    let store = store(&world);
    let quota = Quota::per_hour(1000);
    let leased = || SharedLimits::leased(store.clone(), 20, LimitOutage::FailClosed);
    let instances = fleet(&world, 4, &quota, leased);
    let token = token_of("user-1").mint();
    let mut admitted = 0;
    for _ in 0..80 {
        for instance in &instances {
            admitted += instance.admits(4, &token).await;
        }
    }
    // All of it was paid for, so there is never more; what one instance has in stock the others cannot give out.
    assert!((1000 - 4 * 20..=1000).contains(&admitted), "{admitted}");
    assert!(store.calls() < 200, "{}", store.calls());
}

#[rstest]
#[case::closed(LimitOutage::FailClosed, 0, 503)]
#[case::share(LimitOutage::LocalShare { instances: 4 }, 5, 429)]
#[case::open(LimitOutage::DangerOpen, 30, 200)]
#[tokio::test]
async fn tk_10_while_the_store_is_down_what_was_chosen_happens(
    #[case] on_outage: LimitOutage,
    #[case] expected: usize,
    #[case] then: u16,
) {
    let world = World::new();
    let store = store(&world);
    store.set_fault(QuotaFault::Fail);
    let exact = || SharedLimits::exact(store.clone(), on_outage);
    let instances = fleet(&world, 1, &Quota::per_minute(20), exact);
    let token = token_of("user-1").mint();
    let mut statuses = Vec::new();
    for _ in 0..30 {
        let answer = instances[0].send(Protocol::Http, &token).await;
        statuses.push(answer.status.as_u16());
    }
    let admitted = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(admitted, expected);
    assert_eq!(statuses.last(), Some(&then));
    // Five failures, and then it is left alone.
    assert_eq!(store.calls(), 5);
    store.clear_fault();
    world.advance(1_000);
    instances[0].send(Protocol::Http, &token).await;
    assert_eq!(
        instances[0]
            .send(Protocol::Http, &token_of("user-2").mint())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn tk_10_shares_add_up_to_no_more_than_the_quota_whatever_requests_cost() {
    for cost in [1, 3, 6, 7, 25] {
        let world = World::new();
        let store = store(&world);
        store.set_fault(QuotaFault::Fail);
        let share = LimitOutage::LocalShare { instances: 4 };
        let mut taken = 0;
        for _ in 0..4 {
            let builder = world
                .builder(LimitKey::caller(), &[Quota::per_hour(25)])
                .cost(cost);
            let instance =
                world.instance_of(builder.shared(SharedLimits::exact(store.clone(), share)));
            for _ in 0..30 {
                let answer = instance
                    .send(Protocol::Http, &token_of("user-1").mint())
                    .await;
                taken += if answer.status == 200 { cost } else { 0 };
            }
        }
        assert!(taken <= 25, "{taken} for {cost} each");
        assert_eq!(
            taken > 0,
            cost <= 6,
            "more than a share is refused as an outage"
        );
    }
}

#[tokio::test]
async fn tk_07_what_was_brought_for_somebody_who_has_gone_opens_no_other_quota() {
    let world = World::new();
    let store = store(&world);
    let quotas = [Quota::per_second(20), Quota::per_day(100_000)];
    let builder = world.builder(LimitKey::caller(), &quotas).cost_by(|head| {
        let weight = head
            .headers
            .get("x-weight")
            .and_then(|it| it.to_str().ok()?.parse().ok());
        weight.unwrap_or(1)
    });
    let shared = SharedLimits::leased(store.clone(), 20, LimitOutage::FailClosed);
    let instance = world.instance_of(builder.shared(shared));
    let token = token_of("user-1").mint();
    let request = presenting(&token)(Protocol::Http.request()).header("x-weight", "5000");
    let layer = instance.layer();
    let dear = send(&layer, request.body(String::new()).unwrap());
    // It is sent, and nobody waits for it.
    let _ = tokio::time::timeout(Duration::ZERO, dear).await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let admitted = instance.admits(100, &token).await;
    assert!(admitted <= 20, "{admitted}");
}

#[tokio::test]
async fn keys_that_look_alike_are_not_the_same_count() {
    let world = World::new();
    let store = store(&world);
    let token = token_of("name")
        .client_id("name")
        .claim("tenant", "name")
        .mint();
    for key in [
        LimitKey::subject(),
        LimitKey::client(),
        LimitKey::claim("tenant"),
        LimitKey::claim("client_id"),
    ] {
        let shared = SharedLimits::exact(store.clone(), LimitOutage::FailClosed);
        let builder = world.builder(key, &[Quota::per_hour(3)]).shared(shared);
        assert_eq!(world.instance_of(builder).admits(5, &token).await, 3);
    }
}

#[tokio::test]
async fn tk_10_an_outage_is_never_the_callers_fault() {
    let world = World::new();
    let store = store(&world);
    store.set_fault(QuotaFault::Fail);
    let exact = || SharedLimits::exact(store.clone(), LimitOutage::FailClosed);
    let instances = fleet(&world, 1, &Quota::per_minute(20), exact);
    let token = token_of("user-1").mint();
    for protocol in Protocol::ALL {
        let answer = instances[0].send(protocol, &token).await;
        let rejection = answer.rejection.as_ref().unwrap();
        assert!(matches!(
            rejection,
            Rejection::DependencyUnavailable {
                dependency: Dependency::Limits,
                ..
            }
        ));
        let secs = rejection.retry_after_secs().unwrap();
        assert!((1..=2).contains(&secs), "{secs}");
        answer.refused(protocol, &Refusal::uncounted(secs));
        answer.keeps(&token);
    }
}

#[tokio::test(start_paused = true)]
async fn tk_11_a_slow_store_holds_up_nobody_for_longer_than_the_deadline() {
    let world = World::new();
    let store = store(&world);
    store.set_fault(QuotaFault::Hang);
    let deadline = Duration::from_millis(30);
    let share = LimitOutage::LocalShare { instances: 1 };
    let exact = || SharedLimits::exact(store.clone(), share).deadline(deadline);
    let instances = fleet(&world, 1, &Quota::per_minute(100), exact);
    let token = token_of("user-1").mint();
    let mut waited = Vec::new();
    for _ in 0..20 {
        let start = tokio::time::Instant::now();
        assert_eq!(instances[0].admits(1, &token).await, 1);
        waited.push(start.elapsed());
    }
    assert!(
        waited
            .iter()
            .all(|waited| *waited <= deadline + Duration::from_millis(1))
    );
    let held_up = waited.iter().filter(|waited| !waited.is_zero()).count();
    assert_eq!(held_up, 5, "then it is left alone");
}

#[tokio::test]
async fn tk_08_the_clocks_of_instances_do_not_matter() {
    let world = World::new();
    let store = store(&world);
    // Far ahead, far behind, and standing still.
    let clocks = [0, 3_600, 86_400].map(|secs| {
        let clock = FakeClock::new();
        clock.advance(Duration::from_secs(secs));
        clock
    });
    let token = token_of("user-1").mint();
    let mut admitted = 0;
    for clock in clocks {
        let shared = SharedLimits::exact(store.clone(), LimitOutage::FailClosed);
        let builder = RateLimit::builder(LimitKey::caller(), [Quota::per_minute(6)]);
        let instance = world.instance_of(builder.clock(Arc::new(clock)).shared(shared));
        admitted += instance.admits(5, &token).await;
    }
    assert_eq!(admitted, 6);
}

#[rstest]
#[case::deadline(|shared: SharedLimits| shared.deadline(Duration::ZERO), "deadline")]
#[case::long(|shared: SharedLimits| shared.deadline(Duration::from_secs(61)), "deadline")]
#[case::nothing(|shared: SharedLimits| shared.max_remembered(0), "max_remembered")]
#[tokio::test]
async fn tk_14_a_setting_that_cannot_be_right_is_named(
    #[case] change: fn(SharedLimits) -> SharedLimits,
    #[case] says: &str,
) {
    let world = World::new();
    let build = |shared| {
        world
            .builder(LimitKey::caller(), &[Quota::per_minute(6)])
            .shared(shared)
            .build()
    };
    let exact = SharedLimits::exact(store(&world), LimitOutage::FailClosed);
    let error = build(change(exact)).unwrap_err().to_string();
    assert!(error.contains(says), "{error}");
    for (units, on_outage) in [
        (0, LimitOutage::FailClosed),
        (7, LimitOutage::FailClosed),
        (3, LimitOutage::LocalShare { instances: 0 }),
    ] {
        assert!(build(SharedLimits::leased(store(&world), units, on_outage)).is_err());
    }
}
