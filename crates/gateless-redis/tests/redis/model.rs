//! Followers, appends and accidents in a random order: what one of them has seen, none of them misses in the end.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateless_core::{
    LogPosition, LogTail, RevocationChange, RevocationId, RevocationLog as _, StoreError,
};
use gateless_redis::RedisLog;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::sleep;

use crate::common::{PATIENCE, Server};
use crate::helpers::{HOUR, Records, builder, load, record, why};

const FOLLOWERS: usize = 3;
const LASTS: Duration = Duration::from_secs(8);

/// Xorshift: the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// An instance that does what the contract says.
struct Follower {
    log: Arc<RedisLog>,
    records: Mutex<Records>,
    /// How often it has had everything.
    rounds: AtomicU64,
}

enum Need {
    Replace,
    Merge,
    Nothing(LogPosition),
}

impl Follower {
    async fn run(&self, seen: &Mutex<BTreeSet<RevocationId>>, stop: &AtomicBool) {
        let mut need = Need::Replace;
        while !stop.load(Ordering::Relaxed) {
            match self.step(&need, seen).await {
                Ok(next) => need = next,
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        }
    }

    async fn step(
        &self,
        need: &Need,
        seen: &Mutex<BTreeSet<RevocationId>>,
    ) -> Result<Need, StoreError> {
        match need {
            Need::Replace => {
                let (records, position) = load(&self.log).await?;
                *self.records.lock().unwrap() = records;
                Ok(Need::Nothing(position))
            }
            Need::Merge => {
                let (records, position) = load(&self.log).await?;
                let all: Vec<_> = {
                    let mut own = self.records.lock().unwrap();
                    own.extend(records);
                    own.values()
                        .copied()
                        .map(RevocationChange::Revoke)
                        .collect()
                };
                self.log.append(&all).await?;
                Ok(Need::Nothing(position))
            }
            Need::Nothing(position) => {
                let tail = self.log.follow(position, Duration::from_millis(50)).await?;
                match tail {
                    LogTail::Changes { changes, position } => {
                        let is_all = changes.is_empty();
                        let mut own = self.records.lock().unwrap();
                        for change in changes {
                            let RevocationChange::Revoke(record) = change else {
                                continue;
                            };
                            own.insert(record.id(), record);
                            seen.lock().unwrap().insert(record.id());
                        }
                        drop(own);
                        if is_all {
                            self.rounds.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(Need::Nothing(position))
                    }
                    LogTail::Gap => Ok(Need::Replace),
                    LogTail::Lost => Ok(Need::Merge),
                    _ => panic!("this log has followers"),
                }
            }
        }
    }
}

/// Until every follower has had everything twice since now.
async fn settled(followers: &[Arc<Follower>], what: &str) {
    let begin = Instant::now();
    for follower in followers {
        let wanted = follower.rounds.load(Ordering::SeqCst) + 2;
        while follower.rounds.load(Ordering::SeqCst) < wanted {
            assert!(begin.elapsed() < PATIENCE, "not settled after {what}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn accident(random: &mut Random, server: &mut Server) -> &'static str {
    match random.below(8) {
        0 => {
            server.ask(&["FLUSHALL"]);
            "FLUSHALL"
        }
        1 | 2 => {
            server.kill();
            server.restart();
            "a crash"
        }
        3 => {
            server.ask(&["SAVE"]);
            "SAVE"
        }
        4 => {
            server.ask(&["DEL", "{gateless}:revoked:changes"]);
            "no stream"
        }
        5 => {
            let keys = server.ask(&["KEYS", "{gateless}:revoked:[0-9]*"]);
            if let Some(bucket) = keys.lines().next() {
                server.ask(&["DEL", bucket]);
            }
            "no bucket"
        }
        6 => {
            server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
            "closed connections"
        }
        _ => {
            server.signal("STOP");
            std::thread::sleep(Duration::from_millis(100));
            server.signal("CONT");
            "a stop"
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_has_seen_nobody_misses() {
    let seed = 0x9e37_79b9_7f4a_7c15;
    let mut random = Random(seed);
    let mut server = Server::with(&["--dbfilename", "old.rdb"]);
    let settle = Duration::from_millis(300);
    let (seen, stop) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::default()));
    let followers: Vec<_> = (0..FOLLOWERS)
        .map(|_| {
            Arc::new(Follower {
                log: Arc::new(builder(&server).settle(settle).build().unwrap()),
                records: Mutex::default(),
                rounds: AtomicU64::default(),
            })
        })
        .collect();
    let mut tasks = JoinSet::new();
    for follower in &followers {
        let (follower, seen, stop) = (follower.clone(), Arc::clone(&seen), Arc::clone(&stop));
        tasks.spawn(async move { follower.run(&seen, &stop).await });
    }
    settled(&followers, "the start").await;

    let begin = Instant::now();
    let (mut number, mut acknowledged, mut accidents) = (0, 0, 0);
    while begin.elapsed() < LASTS {
        let mut appends = JoinSet::new();
        for _ in 0..random.below(20) {
            let count = 1 + u32::try_from(random.below(5)).unwrap();
            let lasts = HOUR * (1 + u32::try_from(random.below(4)).unwrap());
            let changes: Vec<_> = (number..number + count)
                .map(|number| RevocationChange::Revoke(record(number, lasts)))
                .collect();
            number += count;
            let log = Arc::clone(&followers[usize::try_from(random.below(3)).unwrap()].log);
            appends.spawn(async move { log.append(&changes).await.is_ok() });
        }
        sleep(Duration::from_millis(random.below(20))).await;
        let what = block_in_place(|| accident(&mut random, &mut server));
        accidents += 1;
        while let Some(is_stored) = appends.join_next().await {
            acknowledged += u32::from(is_stored.unwrap());
        }
        settled(&followers, what).await;
        let seen = seen.lock().unwrap().clone();
        for (index, follower) in followers.iter().enumerate() {
            let own = follower.records.lock().unwrap();
            let missed: Vec<_> = seen.iter().filter(|id| !own.contains_key(id)).collect();
            assert!(
                missed.is_empty(),
                "{index} misses {missed:?} after {what}, {accidents} accidents of {seed:#x}"
            );
        }
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let (last, _) = load(&followers[0].log)
        .await
        .unwrap_or_else(|error| panic!("{}", why(&error)));
    for follower in &followers {
        assert!(
            *follower.records.lock().unwrap() == last,
            "all have what the log has"
        );
    }
    println!(
        "{accidents} accidents, {acknowledged} appends, {} records",
        last.len()
    );
    assert!(accidents > 3 && acknowledged > 10);
}
