//! What goes wrong on the way to a server, and in it.

use std::time::{Duration, Instant};

use gateless_core::{RevocationLog as _, SharedStore as _, StoreKey};
use gateless_redis::{RedisLog, RedisServer, RedisStore};

use crate::common::{PATIENCE, Server};
use crate::helpers::*;
use crate::way::Way;

/// Appends until it goes well: a connection that was closed is noticed by the first who uses it.
async fn append_in_the_end(log: &RedisLog, number: u32) {
    let begin = Instant::now();
    while let Err(error) = log.append(&[revoke(number)]).await {
        assert!(begin.elapsed() < PATIENCE, "{}", why(&error));
    }
}

#[tokio::test]
async fn closed_connections_are_opened_again() {
    let server = Server::start();
    let (here, there) = (log(&server), log(&server));
    let (_, mut position) = load(&there).await.unwrap();
    for number in 0..20 {
        let (tail, ()) = tokio::join!(there.follow(&position, A_WHILE), async {
            append_in_the_end(&here, 1000 + number).await;
            server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
            append_in_the_end(&here, number).await;
        });
        if let Ok(tail) = tail {
            position = changes(tail).1;
        }
    }
    let (_, last) = load(&there).await.unwrap();
    while position != last {
        position = changes(follow(&there, &position, NOTHING).await).1;
    }
    assert_eq!(load(&here).await.unwrap().0.len(), 40);
}

#[tokio::test]
async fn a_server_that_hangs_is_an_error_in_time() {
    let server = Server::start();
    let deadline = Duration::from_millis(300);
    let at = RedisServer::builder(server.url())
        .connect_deadline(deadline)
        .response_deadline(deadline)
        .build()
        .unwrap();
    let log = RedisLog::builder(at.clone())
        .settle(NOTHING)
        .build()
        .unwrap();
    let store = RedisStore::new(at.clone());
    let key = StoreKey::new([7; 32]);
    log.append(&[revoke(1)]).await.unwrap();
    store.put(&key, vec![1], HOUR).await.unwrap();
    let (_, position) = load(&log).await.unwrap();

    server.signal("STOP");
    let begin = Instant::now();
    for round in 0..2 {
        let errors = [
            log.append(&[revoke(2)]).await.map(drop),
            load(&log).await.map(drop),
            log.follow(&position, 2 * deadline).await.map(drop),
            store.get(&key).await.map(drop),
            store.put(&key, vec![2], HOUR).await,
            at.check().await,
        ];
        for error in errors {
            let error = why(&error.unwrap_err());
            assert!(error.contains("no answer within"), "{round}: {error}");
        }
    }
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    server.signal("CONT");
    append_in_the_end(&log, 3).await;
    let (records, _) = load(&log).await.unwrap();
    assert!(records.contains_key(&id(1)) && records.contains_key(&id(3)));
    changes(follow(&log, &position, A_WHILE).await);
    store.get(&key).await.unwrap();
}

#[tokio::test]
async fn nobody_is_there() {
    let port = crate::common::free_port();
    let at = RedisServer::builder(format!("redis://u:canary@127.0.0.1:{port}"));
    let log = RedisLog::new(at.build().unwrap()).unwrap();
    let error = why(&log.append(&[revoke(1)]).await.unwrap_err());
    assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
    assert!(!error.contains("canary"), "{error}");
}

#[tokio::test]
async fn calls_that_are_given_up_leave_nothing_behind() {
    let server = Server::start();
    let log = log(&server);
    let (_, mut position) = load(&log).await.unwrap();
    for number in 0..50 {
        let patience = Duration::from_micros(u64::from(number) * 40);
        let _ = tokio::time::timeout(patience, log.follow(&position, A_WHILE)).await;
        let _ = tokio::time::timeout(patience, log.append(&[revoke(1000 + number)])).await;
        let mut nobody = |_: &[_]| {};
        let _ = tokio::time::timeout(patience, log.load(&mut nobody)).await;
        log.append(&[revoke(number)]).await.unwrap();
        let (seen, next) = changes(follow(&log, &position, NOTHING).await);
        assert!(seen.iter().any(|change| change.id() == id(number)));
        position = next;
    }
}

#[tokio::test]
async fn a_server_that_may_forget_is_refused() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let server = Server::with(&["--maxmemory-policy", policy]);
        let error = log(&server).append(&[revoke(1)]).await.unwrap_err();
        let error = why(&error);
        assert!(
            error.contains("maxmemory-policy") && error.contains(policy),
            "{error}"
        );
        // What is only a help may be forgotten.
        let at = RedisServer::builder(server.url()).build().unwrap();
        RedisStore::new(at)
            .get(&StoreKey::new([1; 32]))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_full_server_stores_all_or_nothing() {
    let server = Server::start();
    let log = log(&server);
    let (_, position) = load(&log).await.unwrap();
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = why(&log.append(&[revoke(1), revoke(2)]).await.unwrap_err());
    assert!(error.contains("no memory left"), "{error}");
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(changes(follow(&log, &position, NOTHING).await).0.is_empty());
    assert!(load(&log).await.unwrap().0.is_empty());
    log.append(&[revoke(1)]).await.unwrap();
}

#[tokio::test]
async fn a_dropped_part_of_the_list_is_noticed() {
    let server = Server::start();
    let log = log(&server);
    log.append(&[revoke(1), revoke(2)]).await.unwrap();
    let (list, position) = load(&log).await.unwrap();
    let keys = server.ask(&["KEYS", "*"]);
    let bucket = |key: &&str| {
        key.rsplit(':')
            .next()
            .is_some_and(|name| name.parse::<u32>().is_ok())
    };
    let bucket = keys.lines().find(bucket).unwrap();
    server.ask(&["DEL", bucket]);
    let error = why(&load(&log).await.unwrap_err());
    assert!(error.contains("dropped a part of the list"), "{error}");
    // Who has the list is told, and puts it back.
    let lost = follow(&log, &position, NOTHING).await;
    assert_eq!(lost, gateless_core::LogTail::Lost);
    let back: Vec<_> = list
        .values()
        .copied()
        .map(gateless_core::RevocationChange::Revoke)
        .collect();
    log.append(&back).await.unwrap();
    assert_eq!(load(&log).await.unwrap().0, list);

    // Also when somebody appends before anybody loads.
    let (_, position) = load(&log).await.unwrap();
    server.ask(&["DEL", bucket]);
    log.append(&[revoke(3)]).await.unwrap();
    assert_eq!(
        follow(&log, &position, NOTHING).await,
        gateless_core::LogTail::Lost
    );
    assert_eq!(load(&log).await.unwrap().0.len(), 1);

    // What the log knows of itself is gone, and the list is not.
    let (_, position) = load(&log).await.unwrap();
    server.ask(&["DEL", "{gateless}:revoked"]);
    assert_eq!(
        follow(&log, &position, NOTHING).await,
        gateless_core::LogTail::Lost
    );
    log.append(&[revoke(4)]).await.unwrap();
    assert_eq!(load(&log).await.unwrap().0.len(), 2);
}

#[tokio::test]
async fn prefixes_keep_fleets_apart_and_no_name_is_in_clear() {
    let server = Server::start();
    let one = builder(&server).prefix("one").build().unwrap();
    let two = builder(&server).prefix("two").build().unwrap();
    let (_, position) = load(&two).await.unwrap();
    let revocation = gateless_core::Revocation::subject("https://canary.example.com", "canary");
    let record = revocation.record(now(), HOUR, NOTHING);
    one.append(&[gateless_core::RevocationChange::Revoke(record)])
        .await
        .unwrap();
    assert!(changes(follow(&two, &position, NOTHING).await).0.is_empty());
    assert!(load(&two).await.unwrap().0.is_empty());
    assert_eq!(load(&one).await.unwrap().0.len(), 1);

    let keys = server.ask(&["KEYS", "*"]);
    let mut all = keys.clone();
    for key in keys.lines() {
        all += &match server.ask(&["TYPE", key]).trim() {
            "hash" => server.ask(&["HGETALL", key]),
            "stream" => server.ask(&["XRANGE", key, "-", "+"]),
            other => panic!("{other}"),
        };
    }
    assert!(all.contains("epoch") && !all.contains("canary"), "{all}");
    let faults = builder(&server)
        .prefix("a}b")
        .keep_changes(0)
        .build()
        .unwrap_err();
    let named: Vec<_> = faults
        .faults()
        .iter()
        .map(|fault| fault.setting())
        .collect();
    assert_eq!(named, ["prefix", "keep_changes"]);
}

#[tokio::test]
async fn keys_of_somebody_else_are_left_alone() {
    let server = Server::start();
    let log = log(&server);
    server.ask(&["SET", "{gateless}:revoked:changes", "mine"]);
    let error = why(&log.append(&[revoke(1)]).await.unwrap_err());
    assert!(error.contains("WRONGTYPE"), "{error}");
    assert_eq!(
        server.ask(&["KEYS", "*"]).trim(),
        "{gateless}:revoked:changes"
    );
}

#[tokio::test]
async fn a_hundred_thousand_records_are_loaded() {
    let server = Server::start();
    let log = log(&server);
    let all: Vec<_> = (0..100_000)
        .map(|number| record(number, HOUR * (1 + number % 25)))
        .map(gateless_core::RevocationChange::Revoke)
        .collect();
    for again in ["append", "append again"] {
        let begin = Instant::now();
        for part in all.chunks(1000) {
            log.append(part).await.unwrap();
        }
        println!("{again}: {:?}", begin.elapsed());
    }
    let begin = Instant::now();
    let (records, position) = load(&log).await.unwrap();
    println!("load: {:?}", begin.elapsed());
    let loaded: Vec<_> = records
        .into_values()
        .map(gateless_core::RevocationChange::Revoke)
        .collect();
    assert!(loaded == all);
    assert!(changes(follow(&log, &position, NOTHING).await).0.is_empty());
    println!(
        "memory: {}",
        server.ask(&["INFO", "memory"]).lines().nth(2).unwrap()
    );
}

#[tokio::test]
async fn a_change_of_a_script_that_ended_half_way_is_not_taken_for_told() {
    let server = Server::start();
    let admin = log(&server);
    let with = |right: &str| {
        let all = ["ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", right];
        assert_eq!(server.ask(&all).trim(), "OK");
    };
    let at = RedisServer::builder(server.url()).user("u").password("p");
    let log = RedisLog::builder(at.build().unwrap())
        .settle(NOTHING)
        .build()
        .unwrap();
    let (_, position) = load(&admin).await.unwrap();
    let change = [revoke(1)];
    with("-pexpireat");
    for _ in 0..2 {
        let error = why(&log.append(&change).await.unwrap_err());
        assert!(error.contains("can't run this command"), "{error}");
    }
    // It is in force, so it is told.
    let (seen, position) = changes(follow(&admin, &position, NOTHING).await);
    assert_eq!(seen.len(), 1);
    with("+pexpireat");
    log.append(&change).await.unwrap();
    let keys = server.ask(&["KEYS", "{gateless}:revoked:[0-9]*"]);
    let ttl = server.ask(&["PTTL", keys.trim()]);
    assert!(ttl.trim().parse::<i64>().unwrap() > 0, "{ttl}");
    let (seen, _) = changes(follow(&admin, &position, NOTHING).await);
    assert!(seen.is_empty());

    // What is in force and in the stream, and not in what the log knows of itself.
    let eval = |code: &str| server.ask(&["EVAL", code, "1", "{gateless}:revoked"]);
    let (_, position) = load(&admin).await.unwrap();
    eval("redis.call('HSET', KEYS[1], 'old', redis.call('HGET', KEYS[1], 'nonce'))");
    let change = [revoke(3)];
    admin.append(&change).await.unwrap();
    eval("redis.call('HSET', KEYS[1], 'nonce', redis.call('HGET', KEYS[1], 'old'))");
    eval("redis.call('HINCRBY', KEYS[1], 'head', -1)");
    admin.append(&change).await.unwrap();
    let lost = follow(&admin, &position, NOTHING).await;
    assert_eq!(lost, gateless_core::LogTail::Lost);
    let (records, position) = load(&admin).await.unwrap();
    assert_eq!(records.len(), 2);
    admin.append(&[revoke(2)]).await.unwrap();
    let (seen, _) = changes(follow(&admin, &position, NOTHING).await);
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn a_server_whose_clock_is_behind_is_loaded_all_the_same() {
    let server = Server::start();
    log(&server).append(&[revoke(1)]).await.unwrap();
    let tomorrow = now().saturating_add(24 * HOUR).as_millis().to_string();
    server.ask(&["HSET", "{gateless}:revoked", "born", &tomorrow]);
    let settle = Duration::from_millis(200);
    let log = builder(&server).settle(settle).build().unwrap();
    let begin = Instant::now();
    let loaded = tokio::time::timeout(A_WHILE, load(&log)).await;
    assert_eq!(loaded.unwrap().unwrap().0.len(), 1);
    assert!(begin.elapsed() >= settle);
}

#[tokio::test]
async fn what_is_over_by_the_clock_of_the_server_is_told() {
    let server = Server::start();
    let log = log(&server);
    let (_, position) = load(&log).await.unwrap();
    let id = id(1);
    let over = now().saturating_sub(3 * HOUR);
    let over = gateless_core::RevocationRecord::new(id, None, over);
    let change = gateless_core::RevocationChange::Revoke(over);
    log.append(&[change]).await.unwrap();
    let (seen, _) = changes(follow(&log, &position, NOTHING).await);
    assert_eq!(seen, [change]);
}

#[tokio::test]
async fn dead_connections_are_given_up_together() {
    let server = Server::start();
    let way = Way::to(server.port(), Duration::ZERO).await;
    let deadline = Duration::from_millis(500);
    let at = RedisServer::builder(way.url()).response_deadline(deadline);
    let log = RedisLog::new(at.build().unwrap()).unwrap();
    let [one, two, three] = [1, 2, 3].map(|number| [revoke(number)]);
    let (one, two, three) = tokio::join!(log.append(&one), log.append(&two), log.append(&three));
    for appended in [one, two, three] {
        appended.unwrap();
    }
    way.forget();
    let error = why(&log.append(&[revoke(4)]).await.unwrap_err());
    assert!(error.contains("no answer within"), "{error}");
    log.append(&[revoke(5)]).await.unwrap();
}

#[tokio::test]
async fn one_that_hangs_takes_no_time_from_the_others() {
    let server = Server::start();
    let sentinel = Server::sentinel("m", server.port());
    let way = Way::to(sentinel.port(), Duration::from_millis(1500)).await;
    let silent: Vec<_> = (0..3)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let urls = silent
        .iter()
        .map(|socket| format!("redis://{}", socket.local_addr().unwrap()))
        .chain([way.url()]);
    let at = RedisServer::sentinel("m", urls).connect_deadline(Duration::from_secs(4));
    at.build().unwrap().check().await.unwrap();
}

#[tokio::test]
async fn a_year_is_some_buckets_of_which_none_is_dropped_unnoticed() {
    let server = Server::start();
    let log = log(&server);
    let hours = 400 * 24;
    let all: Vec<_> = (0..hours)
        .map(|number| record(number, HOUR * (1 + number)))
        .map(gateless_core::RevocationChange::Revoke)
        .collect();
    log.append(&all).await.unwrap();
    let (records, _) = load(&log).await.unwrap();
    assert_eq!(records.len(), all.len());
    let keys = server.ask(&["KEYS", "{gateless}:revoked:[0-9]*"]);
    let buckets: Vec<_> = keys.lines().collect();
    assert!(buckets.len() <= 451, "{}", buckets.len());
    let begin = Instant::now();
    log.append(&all[..1]).await.unwrap();
    println!("one append: {:?}", begin.elapsed());

    let last = buckets.iter().max().unwrap();
    server.ask(&["DEL", last]);
    let error = why(&load(&log).await.unwrap_err());
    assert!(error.contains("dropped a part of the list"), "{error}");
}
