//! How long a response waits for its record, in a file and on the disk, beside a bare `write` and `fdatasync` of one line.
//!
//! All are in one thread but the one that writes: a request that waits, and is woken by it. Of those that come at once each one's
//! time counts from when the first of them came.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use gateless::audit::{AuditLog, Audited, Backpressure, Durability, FileSink};
use http::Request;
use tokio::task::LocalSet;
use tower::{Layer as _, ServiceExt as _};

use gateless_bench::waiter;

use crate::{Folder, Noop, Stages, noop};

/// How many requests come at once.
const MANY: usize = 64;

/// As long as a record.
const LINE: usize = 640;

pub(crate) fn run(longest: Duration) {
    println!("\nUntil a response leaves, in µs; for each durability {longest:?}.\n");
    println!(
        "{:40}{:>9}{:>10}{:>10}{:>10}",
        "", "times", "p50", "p99", "max"
    );
    for (durability, bare) in [
        (Durability::Written, "a bare write"),
        (Durability::Synced, "a bare write and fdatasync"),
    ] {
        let [bare_times, one, many] = measure(durability, longest);
        report(bare, bare_times);
        report(&format!("{durability:?}, one request"), one);
        report(&format!("{durability:?}, {MANY} requests at once"), many);
    }
}

fn report(name: &str, times: Vec<Duration>) {
    let count = times.len();
    let [half, most, all] = percentiles(times);
    println!("{name:40}{count:9}{half:10.1}{most:10.1}{all:10.1}");
}

fn measure(durability: Durability, longest: Duration) -> [Vec<Duration>; 3] {
    let (folder, runtime, stages) = (Folder::new("latency"), waiter(), Stages::new());
    let sink = FileSink::new(folder.file("audit.jsonl")).durability(durability);
    let log = AuditLog::builder("orders-1", sink, Backpressure::FailRequest).build();
    let service = log.expect("the settings are sound").layer(noop());
    let mut file = File::create(folder.file("bare.jsonl")).expect("it can be made");
    let line = [vec![b'a'; LINE], vec![b'\n']].concat();
    let mut times = [const { Vec::new() }; 3];
    let begin = Instant::now();
    while begin.elapsed() < longest {
        let start = Instant::now();
        file.write_all(&line).expect("there is room");
        if durability == Durability::Synced {
            file.sync_data().expect("there is a disk");
        }
        let bare = vec![start.elapsed()];
        let one = requests(&runtime, &service, &stages, 1);
        let many = requests(&runtime, &service, &stages, MANY);
        for (times, took) in times.iter_mut().zip([bare, one, many]) {
            times.extend(took);
        }
    }
    times
}

/// How long each of so many took.
fn requests(
    runtime: &tokio::runtime::Runtime,
    service: &Audited<Noop>,
    stages: &Stages,
    count: usize,
) -> Vec<Duration> {
    let requests: Vec<Request<()>> = (0..count).map(|_| stages.request()).collect();
    let tasks = LocalSet::new();
    runtime.block_on(tasks.run_until(async {
        let start = Instant::now();
        let tasks: Vec<_> = requests
            .into_iter()
            .map(|request| {
                let service = service.clone();
                tokio::task::spawn_local(async move {
                    let Ok(response) = service.oneshot(request).await;
                    assert!(response.status().is_success());
                    start.elapsed()
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.push(task.await.expect("it does not panic"));
        }
        times
    }))
}

/// Half of them, 99 in a hundred, and all of them take no longer than this many microseconds.
fn percentiles(mut times: Vec<Duration>) -> [f64; 3] {
    times.sort_unstable();
    [50, 99, 100].map(|percent| {
        let rank = (times.len() * percent).div_ceil(100);
        let time = times.get(rank.saturating_sub(1));
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1_000_000.0)
    })
}
