//! Quotas, against a real server.

use std::time::{Duration, Instant};

use gateless_core::{Ask, Decision, Limit, Quota, QuotaStore as _, StoreKey, Taken, decide};
use gateless_redis::{RedisQuotas, RedisServer};
use gateless_testkit::quota_store_conformance;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::common::{PATIENCE, Server, eventually};
use crate::helpers::*;
use crate::model::Random;
use crate::way::Way;

const ONE: Ask = Ask::exactly(1);
/// In which the name of a key is plain text, so that a test can write it.
const KEY: StoreKey = StoreKey::new([b'k'; 32]);
const NAME: &str = "{gateless}:quota:kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";

fn limit(quota: &Quota) -> [Limit; 1] {
    [quota.check().unwrap()]
}

async fn take(quotas: &RedisQuotas, limits: &[Limit], ask: Ask) -> Taken {
    let taken = quotas.take(&KEY, limits, ask).await;
    taken.unwrap_or_else(|error| panic!("{}", why(&error)))
}

/// Until it goes well: a connection that was closed is noticed by the first who uses it.
async fn take_in_the_end(quotas: &RedisQuotas, limits: &[Limit]) -> Taken {
    let begin = Instant::now();
    loop {
        match quotas.take(&KEY, limits, ONE).await {
            Ok(taken) => return taken,
            Err(error) => assert!(begin.elapsed() < PATIENCE, "{}", why(&error)),
        }
    }
}

#[track_caller]
fn wait(taken: &Taken) -> Duration {
    match taken.decision {
        Decision::Refused { retry_after, .. } => retry_after,
        Decision::Granted(_) => panic!("{taken:?}"),
    }
}

/// Up to when is paid for, under each limit.
fn stored(server: &Server) -> Vec<u64> {
    let value = server.ask(&["GET", NAME]);
    let digits = value.trim().as_bytes().chunks(16);
    digits
        .map(|digits| str::from_utf8(digits).unwrap().parse().unwrap())
        .collect()
}

fn store(server: &Server, paid: &[u64]) {
    let value: String = paid.iter().map(|paid| format!("{paid:016}")).collect();
    assert_eq!(server.ask(&["SET", NAME, &value]).trim(), "OK");
}

fn ttl(server: &Server) -> i64 {
    server.ask(&["PTTL", NAME]).trim().parse().unwrap()
}

/// In microseconds.
fn time(server: &Server) -> u64 {
    let answer = server.ask(&["TIME"]);
    let mut numbers = answer.lines().map(|line| line.parse::<u64>().unwrap());
    numbers.next().unwrap() * 1_000_000 + numbers.next().unwrap()
}

#[tokio::test]
async fn the_counter_conforms() {
    let server = Server::start();
    quota_store_conformance(async || quotas(&server), tokio::time::sleep).await;
}

/// Some limits of every size, from ten microseconds to ten years.
fn limits(random: &mut Random) -> Vec<Limit> {
    let count = 1 + random.below(4);
    let mut limits = Vec::new();
    while u64::try_from(limits.len()).unwrap() < count {
        let number = |random: &mut Random, bits: u32| {
            u32::try_from(1 + random.below(1_u64 << bits)).unwrap()
        };
        let bits = 1 + random.below(34);
        let period = Duration::from_millis(1 + random.below(1_u64 << bits));
        let (units, burst) = (number(random, 12), number(random, 12));
        let quota = Quota::per(units, period).burst(burst);
        limits.extend(quota.check().ok());
        // Two that make one wait equally long: the first is named.
        if random.below(4) == 0 {
            limits.extend(limits.last().cloned());
        }
    }
    limits
}

/// Behind, a bit ahead, as far ahead as can be, or further.
fn times(random: &mut Random, limits: &[Limit], now: u64) -> Vec<u64> {
    let each = limits.iter().map(|limit| match random.below(6) {
        0 => now - random.below(1 << 40),
        1 => now + limit.tolerance(),
        2 => now + limit.tolerance() + random.below(1 << 40),
        3 => now + random.below(1 << 20),
        _ => now + random.below(limit.tolerance()),
    });
    each.collect()
}

/// What time it was for the script, from what it said and stored.
fn moment(limits: &[Limit], taken: &Taken, before: &[u64], after: &[u64]) -> Option<u64> {
    let mut each = limits
        .iter()
        .zip(&taken.debts)
        .zip(before.iter().zip(after));
    each.find_map(|((limit, debt), (before, after))| {
        let is_written = before != after;
        let is_exact = is_written || (1..limit.tolerance()).contains(debt);
        is_exact.then(|| after - debt)
    })
}

#[tokio::test]
async fn the_script_decides_as_the_pure_function_does() {
    let server = Server::start();
    let quotas = quotas(&server);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut granted, mut refused, mut compared) = (0, 0, 0);
    for round in 0..150 {
        let limits = limits(&mut random);
        server.ask(&["DEL", NAME]);
        let mut before = vec![0; limits.len()];
        for step in 0..6 {
            if random.below(2) == 0 {
                before = times(&mut random, &limits, time(&server));
                store(&server, &before);
            }
            let unit = |random: &mut Random| u32::try_from(random.below(1 << 12)).unwrap();
            let ask = match random.below(5) {
                0 => Ask::exactly(unit(&mut random)),
                1 => Ask::exactly(u32::MAX - unit(&mut random)),
                2 => ONE,
                3 => Ask::stock(1, unit(&mut random), 1 + unit(&mut random) % 8),
                _ => Ask::stock(unit(&mut random), u32::MAX, unit(&mut random)),
            };
            let earliest = time(&server);
            let taken = take(&quotas, &limits, ask).await;
            let mut after = stored(&server);
            let latest = time(&server);
            if after.is_empty() {
                // Nobody was ahead, or is any more.
                after = vec![0; limits.len()];
            }
            let context =
                format!("{round}.{step}: {limits:?} {before:?} {ask:?} {taken:?} {after:?}");
            let is_granted = matches!(taken.decision, Decision::Granted(_));
            granted += u32::from(is_granted);
            refused += u32::from(!is_granted);
            let is_gone = after.iter().all(|paid| *paid == 0);
            let now = (!is_gone).then(|| moment(&limits, &taken, &before, &after));
            if let Some(now) = now.flatten() {
                compared += 1;
                assert!((earliest..=latest).contains(&now), "{now}: {context}");
                assert_eq!(
                    decide(&limits, &before, now, ask),
                    taken.decision,
                    "{context}"
                );
                let units = match taken.decision {
                    Decision::Granted(units) => units,
                    Decision::Refused { .. } => 0,
                };
                for (place, limit) in limits.iter().enumerate() {
                    let paid = limit.after(before[place], now, units);
                    // What is behind may stay there when nothing is paid.
                    assert!(
                        paid == after[place] || units == 0 && paid == now && after[place] < now,
                        "{context}"
                    );
                    assert_eq!(limit.debt(paid, now), taken.debts[place], "{context}");
                }
            }
            before = after;
        }
    }
    println!("{granted} granted, {refused} refused, {compared} compared to the microsecond");
    assert!(granted > 100 && refused > 100 && compared > 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tk_07_ten_connections_get_no_more_than_one() {
    const LASTS: Duration = Duration::from_millis(1500);
    let server = Server::start();
    let limits = limit(&Quota::per_second(200).burst(20));
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let (quotas, limits) = (quotas(&server), limits.clone());
        tasks.spawn(async move {
            let (mut calls, mut had) = (0_u64, 0_u64);
            while begin.elapsed() < LASTS {
                calls += 1;
                if let Decision::Granted(units) =
                    take(&quotas, &limits, Ask::stock(1, 3, 2)).await.decision
                {
                    had += u64::from(units);
                }
            }
            (calls, had)
        });
    }
    let (mut calls, mut had) = (0, 0);
    while let Some(done) = tasks.join_next().await {
        let done = done.unwrap();
        (calls, had) = (calls + done.0, had + done.1);
    }
    let most = 20 + begin.elapsed().as_micros() / u128::from(limits[0].interval());
    println!("{calls} calls had {had} units of {most}");
    assert!(u128::from(had) <= most, "{had} of {most}");
    assert!(had > 20, "nothing came back");
}

#[tokio::test]
async fn the_server_forgets_who_is_no_longer_ahead() {
    let server = Server::start();
    let quotas = quotas(&server);
    let limits = [Quota::per_second(10), Quota::per_day(2)].map(|quota| quota.check().unwrap());
    let half_a_day = 43_200_000;
    let taken = take(&quotas, &limits, Ask::exactly(0)).await;
    assert_eq!(taken.decision, Decision::Granted(0));
    assert_eq!(server.ask(&["KEYS", "*"]), "", "nothing is kept of nothing");
    take(&quotas, &limits, ONE).await;
    let first = ttl(&server);
    assert!(
        (half_a_day - 60_000..=half_a_day + 1).contains(&first),
        "{first}"
    );
    take(&quotas, &limits, ONE).await;
    let second = ttl(&server);
    assert!(
        (first + half_a_day - 60_000..=2 * half_a_day + 1).contains(&second),
        "{second}"
    );
    for _ in 0..20 {
        wait(&take(&quotas, &limits, ONE).await);
    }
    assert!(
        ttl(&server) <= second,
        "who is refused does not stay for longer"
    );

    server.ask(&["FLUSHALL"]);
    let limits = limit(&Quota::per(2, Duration::from_millis(60)));
    for _ in 0..10 {
        take(&quotas, &limits, ONE).await;
        let Some(paid) = stored(&server).first().copied() else {
            // A machine that is busy with other things.
            continue;
        };
        eventually("the key is gone", || stored(&server).is_empty());
        assert!(time(&server) >= paid, "and not before it may");
    }
    assert_eq!(server.ask(&["DBSIZE"]).trim(), "0");
}

#[tokio::test]
async fn a_long_quota_survives_a_restart_with_the_data() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let quotas = quotas(&server);
    let month = Duration::from_secs(30 * 86_400);
    let limits = limit(&Quota::per(2, month));
    take(&quotas, &limits, Ask::exactly(2)).await;
    server.kill();
    quotas.take(&KEY, &limits, ONE).await.unwrap_err();
    server.restart();
    let told = wait(&take_in_the_end(&quotas, &limits).await);
    assert!(
        told > month / 2 - Duration::from_secs(600) && told <= month / 2,
        "{told:?}"
    );
    assert!(ttl(&server) > 0);
}

#[tokio::test]
async fn a_restart_without_the_data_is_a_new_quota() {
    let mut server = Server::start();
    let quotas = quotas(&server);
    let limits = limit(&Quota::per_day(1));
    take(&quotas, &limits, ONE).await;
    wait(&take(&quotas, &limits, ONE).await);
    server.kill();
    server.restart();
    let taken = take_in_the_end(&quotas, &limits).await;
    assert_eq!(taken.decision, Decision::Granted(1));
}

#[tokio::test]
async fn a_script_that_the_server_forgot_is_sent_again() {
    let server = Server::start();
    let quotas = quotas(&server);
    let limits = limit(&Quota::per_day(3));
    for _ in 0..3 {
        let taken = take(&quotas, &limits, ONE).await;
        assert_eq!(taken.decision, Decision::Granted(1));
        server.ask(&["SCRIPT", "FLUSH"]);
    }
    wait(&take(&quotas, &limits, ONE).await);
    // On the same connection.
    let commands = server.ask(&["INFO", "commandstats"]);
    assert!(commands.contains("cmdstat_eval:calls=4,"), "{commands}");
    assert!(commands.contains("cmdstat_role:calls=1,"), "{commands}");
}

#[tokio::test]
async fn a_server_that_is_away_or_hangs_is_an_error_in_time() {
    let server = Server::start();
    let deadline = Duration::from_millis(300);
    let at = |url: String| {
        let at = RedisServer::builder(url).connect_deadline(deadline);
        RedisQuotas::new(at.response_deadline(deadline).build().unwrap())
    };
    let limits = limit(&Quota::per_day(20));
    let nobody = at(format!(
        "redis://u:canary@127.0.0.1:{}",
        crate::common::free_port()
    ));
    let error = nobody.take(&KEY, &limits, ONE).await.unwrap_err();
    let error = format!("{} {nobody:?}", why(&error));
    assert!(error.contains("cannot connect to 127.0.0.1"), "{error}");
    assert!(!error.contains("canary"), "{error}");

    let quotas = at(server.url());
    take(&quotas, &limits, ONE).await;
    server.signal("STOP");
    let begin = Instant::now();
    for _ in 0..2 {
        let error = why(&quotas.take(&KEY, &limits, ONE).await.unwrap_err());
        assert!(error.contains("no answer within"), "{error}");
    }
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    server.signal("CONT");
    take_in_the_end(&quotas, &limits).await;
}

/// Who waits for an answer for less long than connecting takes, or than an answer may.
#[tokio::test]
async fn callers_in_a_hurry_get_a_connection_in_the_end() {
    let server = Server::start();
    let way = Way::to(server.port(), Duration::from_millis(300)).await;
    let at = RedisServer::builder(way.url()).response_deadline(Duration::from_millis(500));
    let quotas = RedisQuotas::new(at.build().unwrap());
    let limits = limit(&Quota::per_hour(1_000_000));
    for _ in 0..2 {
        let (begin, mut tries) = (Instant::now(), 0);
        let hurry = Duration::from_millis(100);
        while !matches!(
            timeout(hurry, quotas.take(&KEY, &limits, ONE)).await,
            Ok(Ok(_))
        ) {
            tries += 1;
            assert!(begin.elapsed() < PATIENCE, "{tries} tries");
        }
        assert!(tries > 0);
        // Now it is open, and nothing comes out of it any more.
        way.forget();
    }
}

/// TK-04: whoever fills the memory of the server would get back what they had.
#[tokio::test]
async fn tk_04_a_server_that_may_forget_is_refused() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let server = Server::with(&["--maxmemory-policy", policy]);
        let taken = quotas(&server)
            .take(&KEY, &limit(&Quota::per_day(1)), ONE)
            .await;
        let error = why(&taken.unwrap_err());
        assert!(
            error.contains("maxmemory-policy") && error.contains(policy),
            "{error}"
        );
        assert_eq!(server.ask(&["DBSIZE"]).trim(), "0");
    }
    let server = Server::start();
    let quotas = quotas(&server);
    let limits = limit(&Quota::per_day(2));
    take(&quotas, &limits, ONE).await;
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = why(&quotas.take(&KEY, &limits, ONE).await.unwrap_err());
    assert!(error.contains("no memory left"), "{error}");
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    let taken = take(&quotas, &limits, ONE).await;
    assert_eq!(
        taken.decision,
        Decision::Granted(1),
        "who got an error did not pay"
    );
    let commands = server.ask(&["INFO", "commandstats"]);
    let once = commands.contains("cmdstat_role:calls=1,");
    assert!(once, "a full server is not connected to anew: {commands}");
}

#[tokio::test]
async fn a_value_of_a_wrong_form_is_a_burst_that_was_had() {
    let server = Server::start();
    let quotas = quotas(&server);
    let limits = [Quota::per_second(5).burst(2), Quota::per_second(50)];
    let limits = limits.map(|quota| quota.check().unwrap());
    let now = format!("{:016}", time(&server));
    for value in [
        "",
        "0",
        "garbage",
        &now,
        &format!("{now}{now}{now}"),
        &format!("{now}{}", &now[1..]),
        &format!("{now}-{}", &now[1..]),
        &format!("{now} {}", &now[1..]),
        &format!("{now}{}e9", &now[2..]),
        &format!("{now}{}\n", &now[1..]),
        "99999999999999999999999999999999",
    ] {
        server.ask(&["SET", NAME, value]);
        let taken = take(&quotas, &limits, ONE).await;
        assert_eq!(wait(&taken), Duration::from_millis(200), "{value:?}");
        assert_eq!(taken.debts, [400_000, 1_000_000], "{value:?}");
        let ahead = stored(&server);
        assert_eq!(ahead.len(), 2, "{value:?} is put in order");
        assert!((0..=1001).contains(&ttl(&server)), "{value:?}");
    }
    // Nobody is locked out.
    let begin = Instant::now();
    while let Decision::Refused { retry_after, .. } = take(&quotas, &limits, ONE).await.decision {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(retry_after).await;
    }

    server.ask(&["DEL", NAME]);
    server.ask(&["RPUSH", NAME, "mine"]);
    let error = quotas.take(&KEY, &limits, ONE).await.unwrap_err();
    let error = why(&error);
    assert!(
        error.contains("WRONGTYPE") && error.contains("somebody else"),
        "{error}"
    );
    assert_eq!(server.ask(&["LLEN", NAME]).trim(), "1");
}

#[tokio::test]
async fn tk_09_a_clock_of_the_server_that_was_set_back_freezes_nobody() {
    let server = Server::start();
    let quotas = quotas(&server);
    let limits = [Quota::per_second(4).burst(1), Quota::per_minute(600)];
    let limits = limits.map(|quota| quota.check().unwrap());
    // As it was stored an hour from now.
    let hour = 3_600_000_000;
    let now = time(&server);
    store(&server, &[now + hour + 250_000, now + hour]);
    let told = wait(&take(&quotas, &limits, ONE).await);
    assert_eq!(
        told,
        Duration::from_millis(250),
        "nothing comes back because of it"
    );
    let [first, second] = stored(&server)[..] else {
        panic!("{:?}", stored(&server));
    };
    assert_eq!(
        second - first,
        60_000_000 - 250_000,
        "no more than a burst is kept"
    );
    tokio::time::sleep(told).await;
    let taken = take(&quotas, &limits, ONE).await;
    assert_eq!(taken.decision, Decision::Granted(1));
}

#[tokio::test]
async fn prefixes_keep_the_quotas_of_fleets_apart() {
    let server = Server::start();
    let at = RedisServer::builder(server.url()).build().unwrap();
    let [one, two] =
        ["one", "two"].map(|prefix| RedisQuotas::with_prefix(at.clone(), prefix).unwrap());
    let limits = limit(&Quota::per_day(1));
    for quotas in [&one, &two, &quotas(&server)] {
        let taken = take(quotas, &limits, ONE).await;
        assert_eq!(taken.decision, Decision::Granted(1));
        wait(&take(quotas, &limits, ONE).await);
    }
    assert_eq!(server.ask(&["DBSIZE"]).trim(), "3");
    assert!(server.ask(&["KEYS", "*"]).lines().any(|key| key == NAME));
    let refused = RedisQuotas::with_prefix(at, "a}b").unwrap_err();
    assert_eq!(refused.faults()[0].setting(), "prefix");
}
