//! What the layers cost a whole service over loopback: throughput, how long requests take, and CPU time of all processes
//! that serve them, next to the same handlers without layers, with and without a proxy in front.
//!
//! ```text
//! load ─► orders, without layers
//! load ─► orders, with all of them
//! load ─► HAProxy ─► orders, without layers
//! load ─► HAProxy with jwt_verify ─► orders, without layers
//! ```
//!
//! All take turns in each round with the same requests, and of the rounds the median and the quartiles are printed. The load
//! comes from one thread of this process, over connections that are kept. It needs `orders`, built in the same profile
//! (`cargo build --release -p orders`), and `haproxy`.

mod load;
mod process;
mod proxy;
mod servers;

use std::error::Error;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use gateless_bench::{Case, quartiles};
use gateless_testkit::TestIssuer;

use crate::load::{Load, Seen};
use crate::servers::{Contestant, Server};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const KINDS: [Case; 3] = [Case::Rs256, Case::Es256, Case::EdDsa];

const USAGE: &str = "usage: e2e [--check] [--rounds N] [--seconds N] [--only NAME]

--check only sees that it works. --only leaves out who is not called so and not needed to compare.";

/// How much of it.
struct Extent {
    rounds: usize,
    turn: Duration,
    tokens: usize,
    connections: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut extent = Extent {
        rounds: 9,
        turn: Duration::from_secs(3),
        tokens: 1_000,
        connections: 32,
    };
    let mut only = None;
    let mut rest = &*arguments;
    loop {
        rest = match rest {
            [] => break,
            ["serve-bare"] => return ended(servers::serve_bare()),
            ["--check", rest @ ..] => {
                extent.rounds = 1;
                extent.turn = Duration::from_millis(200);
                rest
            }
            ["--rounds", number, rest @ ..] if number.parse::<usize>().is_ok_and(|n| n > 0) => {
                extent.rounds = number.parse().unwrap_or(1);
                rest
            }
            ["--seconds", number, rest @ ..] if number.parse::<u64>().is_ok_and(|n| n > 0) => {
                extent.turn = Duration::from_secs(number.parse().unwrap_or(1));
                rest
            }
            ["--only", name, rest @ ..] => {
                only = Some(*name);
                rest
            }
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        };
    }
    ended(measure(&extent, only))
}

fn ended(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("e2e: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Files of this run, which are removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("gateless-e2e-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn measure(extent: &Extent, only: Option<&str>) -> Result<()> {
    let version = proxy::version()?;
    let folder = Folder::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let issuer = runtime.block_on(TestIssuer::serve())?;
    // One that is started before the clock: it fetches keys once, and that is all the issuer has to do.
    println!(
        "`GET /orders` with ten orders, {} connections that are kept, {} tokens in turn, {} rounds of {:?} each, {version}.",
        extent.connections, extent.tokens, extent.rounds, extent.turn
    );
    println!(
        "ratios: to `unprotected` in the same round. CPU: of all processes that serve, not of the load.\n"
    );
    println!(
        "| token | | requests a second | ratio | quartiles | p50, µs | p99, µs | CPU s / 100,000 | ratio | quartiles |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for case in KINDS {
        let tokens = (0..extent.tokens).map(|_| case.mint(&issuer));
        let load = Load::new(tokens.collect(), extent.connections);
        let mut contestants = Vec::new();
        for contestant in Contestant::ALL {
            let is_wanted = only.is_none_or(|only| {
                contestant.name() == only || contestant == Contestant::Unprotected
            });
            if is_wanted && contestant.takes(case) {
                let server = Server::start(contestant, case, &issuer, folder.path())?;
                contestants.push(server);
            }
        }
        contest(&load, case, &contestants, extent)?;
    }
    runtime.block_on(issuer.shutdown());
    println!();
    Ok(())
}

/// One round after the other, beginning with another contestant in each.
fn contest(load: &Load, case: Case, servers: &[Server], extent: &Extent) -> Result<()> {
    // So that each token was seen, and connections of proxies are there.
    for server in servers {
        load.run(server.address(), Duration::from_millis(500))?;
        server.judges()?;
    }
    let mut seen: Vec<Vec<Turn>> = servers.iter().map(|_| Vec::new()).collect();
    for round in 0..extent.rounds {
        let mut order: Vec<_> = servers.iter().zip(&mut seen).collect();
        order.rotate_left(round % servers.len());
        for (server, seen) in order {
            let before = server.cpu()?;
            let answers = load.run(server.address(), extent.turn)?;
            let cpu = server.cpu()? - before;
            seen.push(Turn::new(&answers, cpu));
        }
    }
    let [unprotected, ..] = &*seen else {
        return Ok(());
    };
    for (server, turns) in servers.iter().zip(&seen) {
        let of = |value: fn(&Turn) -> f64| quartiles(turns.iter().map(value).collect());
        let to = |value: fn(&Turn) -> f64| {
            let pairs = turns.iter().zip(unprotected);
            quartiles(
                pairs
                    .map(|(turn, base)| value(turn) / value(base))
                    .collect(),
            )
        };
        let [_, rate, _] = of(|turn| turn.rate);
        let [_, p50, _] = of(|turn| turn.p50);
        let [_, p99, _] = of(|turn| turn.p99);
        let [_, cpu, _] = of(|turn| turn.cpu);
        let [low, to_rate, high] = to(|turn| turn.rate);
        let [least, to_cpu, most] = to(|turn| turn.cpu);
        println!(
            "| {case} | {} | {rate:.0} | {to_rate:.3} | {low:.3} to {high:.3} | {p50:.0} | {p99:.0} \
             | {cpu:.2} | {to_cpu:.2} | {least:.2} to {most:.2} |",
            server.contestant().name()
        );
    }
    Ok(())
}

/// What was seen of one contestant in one round.
struct Turn {
    /// A second.
    rate: f64,
    /// µs.
    p50: f64,
    p99: f64,
    /// Seconds for 100,000 requests.
    cpu: f64,
}

impl Turn {
    fn new(seen: &Seen, cpu: Duration) -> Self {
        let requests = seen.requests() as f64;
        Self {
            rate: requests / seen.lasted().as_secs_f64(),
            p50: seen.percentile(50),
            p99: seen.percentile(99),
            cpu: cpu.as_secs_f64() / requests * 100_000.0,
        }
    }
}

/// A port that nobody has right now.
fn free_port() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
