//! What a check costs when a fleet counts together, over a real `redis-server` on loopback, and how often the server is
//! called for a thousand of them.
//!
//! One instance with a runtime of two workers, and the server beside it on the same machine. So many tasks check as fast as
//! they can, each for callers picked at random who have more than they ever take; a task gives way to the others after each
//! check, as a request does that is answered. In the same rounds they send a bare `INCR` over a connection of the same
//! kind. The calls are those that the server itself counts.

#[allow(clippy::indexing_slicing, reason = "written for tests")]
#[path = "../../crates/gateless-redis/tests/common/mod.rs"]
mod common;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateless::gate::{Gate as _, Head, Step};
use gateless::limit::{LimitKey, LimitOutage, RateLimit, SharedLimits};
use gateless::{Principal, PrincipalParts, Quota, Timestamp};
use gateless_bench::quartiles;
use gateless_redis::{RedisQuotas, RedisServer};
use http::Request;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, cmd};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

use self::common::Server;

fn main() {
    // `cargo test --all-targets` runs this as well, to see that it works.
    let is_measuring = std::env::args().any(|argument| argument == "--bench");
    let (rounds, length, many) = if is_measuring {
        (9, Duration::from_millis(400), 1_000)
    } else {
        (2, Duration::from_millis(20), 10)
    };
    if let Err(problem) = find_server() {
        eprintln!("limit_fleet: {problem}");
        std::process::exit(1);
    }
    let server = Server::with(&["--appendonly", "no"]);
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be had");
    let ways = Way::all(&server, &runtime);
    println!(
        "{rounds} rounds of {length:?} for each: medians, and the quartiles of checks a second.\n"
    );
    println!(
        "{:>8}{:>7}  {:18}{:>10}{:>20}{:>10}{:>10}{:>10}",
        "callers", "tasks", "", "checks/s", "quartiles", "p50, µs", "p99, µs", "calls/1k"
    );
    for callers in [1, many] {
        let requests: Arc<[_]> = (0..callers).map(request).collect();
        for way in &ways {
            runtime.block_on(warm_up(way.clone(), &requests));
        }
        for tasks in [1, 32] {
            let mut results: Vec<Vec<Round>> = ways.iter().map(|_| Vec::new()).collect();
            for _ in 0..rounds {
                for (way, results) in ways.iter().zip(&mut results) {
                    let round = Round::run(&server, &runtime, way, &requests, tasks, length);
                    results.push(round);
                }
            }
            for (way, rounds) in ways.iter().zip(&results) {
                let of = |value: fn(&Round) -> f64| quartiles(rounds.iter().map(value).collect());
                let [lower, rate, upper] = of(|round| round.rate);
                let [_, half, _] = of(|round| round.half);
                let [_, most, _] = of(|round| round.most);
                // Of all rounds together: a stock may last for longer than one.
                let sum = |value: fn(&Round) -> f64| rounds.iter().map(value).sum::<f64>();
                let calls = 1000.0 * sum(|round| round.calls) / sum(|round| round.checks);
                println!(
                    "{callers:8}{tasks:7}  {:18}{rate:10.0}{:>20}{half:10.1}{most:10.1}{calls:10.1}",
                    way.name(),
                    format!("{lower:.0} to {upper:.0}")
                );
            }
        }
    }
}

/// Without a server there is nothing to measure, and whoever asked for it should know.
fn find_server() -> Result<(), String> {
    let program = common::program();
    let asked = Command::new(&program)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    let problem = match asked {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    Err(format!(
        "there is no redis-server, and nothing was measured: {}: {problem}. Put one on the PATH, or name one in \
         GATELESS_REDIS_SERVER",
        program.display()
    ))
}

fn request(caller: u64) -> Request<()> {
    let subject = format!("248289761001-{caller}");
    let principal = Principal::assert_authenticated(PrincipalParts {
        subject: Some(subject.into()),
        ..PrincipalParts::new(
            "https://idp.example.com",
            Timestamp::from_secs(4_000_000_000),
        )
    });
    let request = Request::get("https://api.example.com/orders?page=2");
    let mut request = request.body(()).expect("all of its parts are sound");
    principal.attach(request.extensions_mut());
    request
}

/// How it is asked whether there is enough left.
#[derive(Clone)]
enum Way {
    Limit(&'static str, RateLimit),
    /// An `INCR`, which decides nothing.
    Bare(MultiplexedConnection),
}

impl Way {
    fn all(server: &Server, runtime: &Runtime) -> [Self; 4] {
        let redis = RedisServer::builder(server.url()).build();
        let redis = redis.expect("the URL is sound");
        let quotas = || RedisQuotas::new(redis.clone());
        let closed = LimitOutage::FailClosed;
        let limit = |name, shared: SharedLimits| {
            // More than anybody takes here.
            let quota = Quota::per_second(100_000).burst(100_000_000);
            let limit = RateLimit::builder(LimitKey::caller(), [quota])
                .named(name)
                // On a machine that is busy with other things.
                .shared(shared.deadline(Duration::from_secs(10)))
                .build();
            Self::Limit(name, limit.expect("the settings are sound"))
        };
        [
            limit("exact", SharedLimits::exact(quotas(), closed)),
            limit("leased-10", SharedLimits::leased(quotas(), 10, closed)),
            limit("leased-100", SharedLimits::leased(quotas(), 100, closed)),
            Self::Bare(runtime.block_on(connect(server.port()))),
        ]
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Limit(name, _) => name,
            Self::Bare(_) => "one bare INCR",
        }
    }

    async fn check(&mut self, request: &Request<()>, caller: u64) {
        match self {
            Self::Limit(_, limit) => {
                let verdict = match limit.decide(Head::of(request)) {
                    Step::Now(verdict) => verdict,
                    Step::Wait(wait) => wait.await,
                };
                assert!(verdict.is_ok(), "{verdict:?}");
            }
            Self::Bare(connection) => {
                let mut command = cmd("INCR");
                command.arg(format!("bare:{caller}"));
                let added: redis::RedisResult<u64> = command.query_async(connection).await;
                added.expect("the server answers");
            }
        }
    }
}

/// A connection as the store has them.
async fn connect(port: u16) -> MultiplexedConnection {
    let stream = TcpStream::connect(("127.0.0.1", port)).await;
    let stream = stream.expect("the server is there");
    stream.set_nodelay(true).expect("it can be set");
    let info = RedisConnectionInfo::default();
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let opened = MultiplexedConnection::new_with_config(&info, stream, config).await;
    let (requests, driver) = opened.expect("the server answers");
    tokio::spawn(driver);
    requests
}

/// So that all are connected, the script is known, and stocks are as full as they happen to be, not all of them to the brim.
async fn warm_up(mut way: Way, requests: &[Request<()>]) {
    for (caller, request) in (0..).zip(requests) {
        for _ in 0..=caller % 100 {
            way.check(request, caller).await;
        }
    }
}

/// What one of them did in one round.
struct Round {
    /// Checks a second.
    rate: f64,
    /// Half of them, and 99 in a hundred, take no longer than this many microseconds.
    half: f64,
    most: f64,
    checks: f64,
    /// How often the server was called.
    calls: f64,
}

impl Round {
    fn run(
        server: &Server,
        runtime: &Runtime,
        way: &Way,
        requests: &Arc<[Request<()>]>,
        tasks: u64,
        length: Duration,
    ) -> Self {
        server.ask(&["CONFIG", "RESETSTAT"]);
        let start = Instant::now();
        let handles: Vec<_> = (0..tasks)
            .map(|task| {
                let (way, requests) = (way.clone(), Arc::clone(requests));
                runtime.spawn(work(way, requests, task << 32, start + length))
            })
            .collect();
        let mut times: Vec<Duration> = runtime.block_on(async {
            let mut times = Vec::new();
            for handle in handles {
                times.extend(handle.await.expect("it does not panic"));
            }
            times
        });
        let took = start.elapsed();
        let calls = calls(server);
        times.sort_unstable();
        let percentile = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100);
            let time = times.get(rank.saturating_sub(1));
            time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
        };
        Self {
            rate: times.len() as f64 / took.as_secs_f64(),
            half: percentile(50),
            most: percentile(99),
            checks: times.len() as f64,
            calls: calls as f64,
        }
    }
}

/// How long each check took, until the time is over.
async fn work(
    mut way: Way,
    requests: Arc<[Request<()>]>,
    first: u64,
    end: Instant,
) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut turns = first..;
    let mut start = Instant::now();
    while start < end {
        let caller = turns.next().map_or(0, pick) % requests.len() as u64;
        let request = usize::try_from(caller).ok().and_then(|it| requests.get(it));
        way.check(request.expect("it is one of them"), caller).await;
        times.push(start.elapsed());
        yield_now().await;
        start = Instant::now();
    }
    times
}

/// A number for each turn that tells nobody the next one.
fn pick(turn: u64) -> u64 {
    let mixed = (turn ^ 0x5bd1_e995).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 20
}

/// How many commands clients sent since it was asked to forget. What a script calls is counted under its own name.
fn calls(server: &Server) -> u64 {
    let statistics = server.ask(&["INFO", "commandstats"]);
    let calls = |line: &str| {
        let (name, numbers) = line.split_once(":calls=")?;
        let is_sent = ["cmdstat_eval", "cmdstat_evalsha", "cmdstat_incr"].contains(&name);
        let (calls, _) = numbers.split_once(',')?;
        is_sent.then(|| calls.parse::<u64>().ok()).flatten()
    };
    statistics.lines().filter_map(calls).sum()
}
