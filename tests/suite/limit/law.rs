//! The law of limits: whatever comes, nobody gets more than their quotas, and nobody is refused who has some left.

use gateless::Quota;
use gateless::limit::LimitKey;
use proptest::prelude::*;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::*;

#[derive(Clone, Debug)]
struct Arrival {
    after_ms: u64,
    user: usize,
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let arrival = (0u64..1500, 0usize..3).prop_map(|(after_ms, user)| Arrival { after_ms, user });
    prop::collection::vec(arrival, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn tk_07_no_span_of_time_brings_a_caller_more_than_the_burst_and_what_it_is_worth(
        limit in 1u32..20,
        burst in 1u32..10,
        arrivals in arrivals(),
    ) {
        let quota = Quota::per(limit, Duration::from_secs(10)).burst(burst);
        let interval = quota.check().unwrap().interval();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut admitted = vec![Vec::new(); 3];
        runtime.block_on(async {
            let world = World::new();
            let instance = world.instance(LimitKey::caller(), &[quota]);
            let tokens: Vec<_> = (0..3).map(|n| token_of(&format!("user-{n}")).mint()).collect();
            let mut now = 0;
            for arrival in arrivals {
                world.advance(arrival.after_ms);
                now += arrival.after_ms * 1000;
                if instance.admits(1, &tokens[arrival.user]).await == 1 {
                    admitted[arrival.user].push(now);
                }
            }
        });
        for times in admitted {
            for (first, from) in times.iter().enumerate() {
                for (last, until) in times.iter().enumerate().skip(first) {
                    let most = u64::from(burst) + (until - from) / interval;
                    prop_assert!((last - first + 1) as u64 <= most);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tk_07_requests_at_the_same_time_get_no_more_than_the_burst() {
    let world = World::new();
    let instance = world.instance(LimitKey::caller(), &[Quota::per_hour(100).burst(25)]);
    let service = instance
        .layer()
        .layer(service_fn(|_: http::Request<String>| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
        }));
    let token = token_of("user-1").mint();
    let requests: Vec<_> = (0..400)
        .map(|_| {
            let request = presenting(&token)(Protocol::Http.request()).body(String::new());
            tokio::spawn(service.clone().oneshot(request.unwrap()))
        })
        .collect();
    let mut admitted = 0;
    for request in requests {
        let status = request.await.unwrap().unwrap().status();
        admitted += usize::from(status == 200);
    }
    assert_eq!(admitted, 25);
}

#[tokio::test]
async fn tk_09_a_wall_clock_that_is_set_back_or_forth_changes_nothing() {
    let world = World::new();
    let instance = world.instance(LimitKey::caller(), &[Quota::per_minute(2)]);
    let token = token_of("user-1").expires_in(1800).mint();
    assert_eq!(instance.admits(5, &token).await, 2);
    for secs in [900, 0, 60] {
        let wall = FakeClock::START.saturating_add(Duration::from_secs(secs));
        world.clock.set_wall(wall);
        assert_eq!(instance.admits(5, &token).await, 0);
    }
    world.advance(30_000);
    assert_eq!(instance.admits(5, &token).await, 1);
}
