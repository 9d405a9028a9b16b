//! A fleet over a real Redis, in real time: whatever happens to instances and to the server, no caller gets more than the
//! stated bound.
//!
//! Nothing is slept through but the time in which requests come.

use std::sync::Mutex;
use std::time::Instant;

use gateless::Quota;
use gateless::limit::{LimitKey, LimitOutage, SharedLimits};
use gateless_redis::{RedisQuotas, RedisServer};
use tokio::time::sleep;
use tower::{Layer as _, ServiceExt as _};

use super::*;
use crate::denylist::redis::common::{PATIENCE, Server};
use crate::denylist::redis::proxy::Proxy;
use crate::denylist::redis::random::Chance;

const USER: &str = "user-1";

/// How a fleet counts, apart from where.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Exact,
    Leased(u32),
}

fn instance(url: &str, quota: &Quota, mode: Mode, on_outage: LimitOutage) -> Instance {
    let second = Duration::from_secs(1);
    let server = RedisServer::builder(url)
        .connect_deadline(second)
        .response_deadline(second)
        .build()
        .unwrap();
    let store = RedisQuotas::new(server);
    let shared = match mode {
        Mode::Exact => SharedLimits::exact(store, on_outage),
        Mode::Leased(units) => SharedLimits::leased(store, units, on_outage),
    };
    // The machine may be busy.
    let shared = shared.deadline(10 * second);
    let limit = RateLimit::builder(LimitKey::caller(), [quota.clone()]).shared(shared);
    Instance {
        auth: World::new().auth(),
        limit: limit.build().unwrap(),
    }
}

impl Instance {
    async fn status(&self, token: &str) -> u16 {
        let request = presenting(token)(Protocol::Http.request()).body(String::new());
        let service = self.layer().layer(gateless_testkit::Recorder::new());
        let response = service.oneshot(request.unwrap()).await;
        response.unwrap().status().as_u16()
    }
}

/// When requests were let through: when they came, and when that was known.
type Admitted = Arc<Mutex<Vec<(Instant, Instant)>>>;

/// In any span of time no more than the burst, what the span is worth, and what instances may have had in stock.
fn holds_the_bound(mut admitted: Vec<(Instant, Instant)>, quota: &Quota, in_stock: u64) {
    let limit = quota.check().unwrap();
    admitted.sort_unstable();
    for (first, (from, _)) in admitted.iter().enumerate() {
        let mut end = *from;
        for (last, (_, known)) in admitted.iter().enumerate().skip(first) {
            end = end.max(*known);
            let span = u64::try_from((end - *from).as_micros()).unwrap();
            let most = u64::from(limit.burst()) + span / limit.interval() + 1 + in_stock;
            let count = (last - first + 1) as u64;
            assert!(count <= most, "{count} in {span} µs, where {most} may be");
        }
    }
}

/// From the first request on nobody has anything in stock that was not given out meanwhile.
fn gives_out_no_more_than_it_has(admitted: &[(Instant, Instant)], quota: &Quota) {
    let limit = quota.check().unwrap();
    let begin = admitted.iter().map(|(came, _)| *came).min().unwrap();
    let end = admitted.iter().map(|(_, known)| *known).max().unwrap();
    let span = u64::try_from((end - begin).as_micros()).unwrap();
    // It may have been given out a little before the first that was let through had come.
    let most = u64::from(limit.burst()) + (span + 1_000_000) / limit.interval() + 1;
    assert!(
        admitted.len() as u64 <= most,
        "{} of {most}",
        admitted.len()
    );
}

/// Requests of one caller at a fleet of `instances`, which die and are replaced, and `disturb` on the way. Returns when
/// requests were let through.
async fn drive(
    url: &str,
    quota: &Quota,
    mode: Mode,
    instances: usize,
    seed: u64,
    mut disturb: impl FnMut(u64),
) -> Vec<(Instant, Instant)> {
    let mut chance = Chance(seed);
    let admitted = Admitted::default();
    let token = token_of(USER).mint();
    let start = || Arc::new(instance(url, quota, mode, LimitOutage::FailClosed));
    let mut fleet: Vec<_> = (0..instances).map(|_| start()).collect();
    let mut requests = tokio::task::JoinSet::new();
    for step in 0..60 {
        for _ in 0..1 + chance.below(8) {
            let member = Arc::clone(&fleet[chance.below(instances)]);
            let (admitted, token) = (Arc::clone(&admitted), token.clone());
            requests.spawn(async move {
                let came = Instant::now();
                if member.status(&token).await == 200 {
                    admitted.lock().unwrap().push((came, Instant::now()));
                }
            });
        }
        if chance.below(12) == 0 {
            // It dies with what it has in stock, and another one takes its place.
            let victim = chance.below(instances);
            fleet[victim] = start();
        }
        disturb(step);
        sleep(Duration::from_millis(chance.below(40) as u64)).await;
    }
    while requests.join_next().await.is_some() {}
    let admitted = admitted.lock().unwrap();
    admitted.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tk_07_a_fleet_of_any_size_stays_within_its_bound_while_instances_die() {
    let server = Server::start();
    let quota = Quota::per_second(40).burst(20);
    for (seed, instances, mode) in [
        (1, 1, Mode::Leased(5)),
        (2, 3, Mode::Exact),
        (3, 4, Mode::Leased(3)),
        (4, 10, Mode::Leased(8)),
    ] {
        server.ask(&["FLUSHALL"]);
        let admitted = drive(&server.url(), &quota, mode, instances, seed, |_| ()).await;
        assert!(admitted.len() >= 20, "{mode:?}: nobody got through");
        let in_stock = match mode {
            Mode::Exact => 0,
            // Requests at one that was replaced may still be under way.
            Mode::Leased(units) => 2 * instances as u64 * u64::from(units),
        };
        gives_out_no_more_than_it_has(&admitted, &quota);
        holds_the_bound(admitted, &quota, in_stock);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tk_07_a_server_that_restarts_with_its_data_gives_nobody_more() {
    let server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (url, server) = (server.url(), Mutex::new(server));
    let quota = Quota::per_second(10).burst(30);
    for (seed, mode) in [(11, Mode::Exact), (12, Mode::Leased(4))] {
        server.lock().unwrap().ask(&["FLUSHALL"]);
        let restart = |step| {
            if step % 25 == 20 {
                tokio::task::block_in_place(|| {
                    let mut server = server.lock().unwrap();
                    server.kill();
                    server.restart();
                });
            }
        };
        let admitted = drive(&url, &quota, mode, 3, seed, restart).await;
        assert!(admitted.len() >= 20, "{mode:?}: nobody got through");
        let in_stock = match mode {
            Mode::Exact => 0,
            Mode::Leased(units) => 2 * 3 * u64::from(units),
        };
        gives_out_no_more_than_it_has(&admitted, &quota);
        holds_the_bound(admitted, &quota, in_stock);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monthly_quota_survives_the_restart_of_every_instance_and_of_the_server() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let quota = Quota::per(10, Duration::from_secs(30 * 86_400));
    let token = token_of(USER).mint();
    let mut admitted = 0;
    for round in 0..5 {
        let fresh = instance(&server.url(), &quota, Mode::Exact, LimitOutage::FailClosed);
        for _ in 0..3 {
            admitted += usize::from(fresh.status(&token).await == 200);
        }
        if round == 1 {
            server.kill();
            server.restart();
        }
    }
    assert_eq!(admitted, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tk_10_tk_11_a_server_that_is_away_or_stalls_has_the_meaning_that_was_chosen() {
    let server = Server::start();
    // Nobody runs out of it while the server is looked for.
    let quota = Quota::per_hour(4000);
    for (on_outage, expected) in [
        (LimitOutage::FailClosed, 503),
        (LimitOutage::LocalShare { instances: 4 }, 200),
        (LimitOutage::DangerOpen, 200),
    ] {
        let proxy = Proxy::start(server.port()).await;
        let member = instance(&proxy.url(), &quota, Mode::Exact, on_outage);
        server.ask(&["FLUSHALL"]);
        let (token, other) = (token_of(USER).mint(), token_of("user-2").mint());
        assert_eq!(member.status(&token).await, 200);
        proxy.cut();
        assert_eq!(member.status(&token).await, expected, "{on_outage:?}");
        proxy.heal();
        // It is found again without anybody's doing, and counts there again.
        let begin = Instant::now();
        while server.ask(&["DBSIZE"]).trim() != "2" {
            member.status(&other).await;
            assert!(begin.elapsed() < PATIENCE, "{on_outage:?}: not found again");
            sleep(Duration::from_millis(20)).await;
        }
        proxy.stall();
        assert_eq!(
            member.status(&token_of("user-3").mint()).await,
            expected,
            "{on_outage:?}"
        );
    }
}
