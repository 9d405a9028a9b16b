//! What a token costs that was verified before, beside SHA-256 of it and one hit in moka.
//!
//! As in `ratio`: all take turns with the same tokens, so that whatever slows the machine down slows them all, and of
//! many rounds the median and the quartiles are printed. What the service alone takes, making the request included, is
//! taken off.

use std::hint::black_box;
use std::time::Instant;

use gateless_bench::{Hot, Sample, answer, in_threads, quartiles, sha256};

/// How many requests one of them answers before it is another's turn.
const TURN: usize = 2000;

fn main() {
    // `cargo test --all-targets` runs this as well, to see that it works.
    let is_measuring = std::env::args().any(|argument| argument == "--bench");
    let (rounds, counts) = if is_measuring {
        (300, [1, 1_000, 100_000])
    } else {
        (2, [1, 10, 100])
    };

    println!("A token that was verified before, ns a request: medians of {rounds} rounds.");
    println!("ratio: (stack - no-op) / (SHA-256 + moka hit), and the quartiles around it.\n");
    println!(
        "{:>8}{:>9}{:>8}{:>8}{:>8}{:>14}{:>9}{:>18}",
        "tokens", "threads", "no-op", "stack", "net", "SHA-256+moka", "ratio", "quartiles"
    );
    for tokens in counts {
        let hot = Hot::new(tokens);
        for threads in [1, 2] {
            report(&hot, threads, rounds);
        }
    }
}

fn report(hot: &Hot, threads: usize, rounds: usize) {
    let rounds: Vec<_> = (0..rounds)
        .map(|round| Round::run(hot, threads, round * TURN))
        .collect();
    let quartiles = |value: fn(&Round) -> f64| quartiles(rounds.iter().map(value).collect());

    let [_, noop, _] = quartiles(|round| round.noop);
    let [_, stack, _] = quartiles(|round| round.stack);
    let [_, net, _] = quartiles(|round| round.stack - round.noop);
    let [_, usual, _] = quartiles(|round| round.usual);
    let [lower, ratio, upper] = quartiles(|round| (round.stack - round.noop) / round.usual);
    println!(
        "{:8}{threads:9}{noop:8.0}{stack:8.0}{net:8.0}{usual:14.0}{ratio:9.3}{:>18}",
        hot.samples.len(),
        format!("{lower:.3} to {upper:.3}"),
    );
}

/// Nanoseconds a request, in one round.
struct Round {
    noop: f64,
    stack: f64,
    usual: f64,
}

impl Round {
    fn run(hot: &Hot, threads: usize, from: usize) -> Self {
        let usual = || {
            time(hot, threads, from, || {
                |sample: &Sample| hot.digests.get(&sha256(sample)).is_some()
            })
        };
        let stack = || {
            time(hot, threads, from, || {
                let mut stack = hot.stack.clone();
                move |sample: &Sample| answer(&mut stack, sample.request()).is_success()
            })
        };
        let before = usual();
        let there = stack();
        let noop = time(hot, threads, from, || {
            let mut noop = hot.noop;
            move |sample: &Sample| answer(&mut noop, sample.request()).is_success()
        });
        let back = stack();
        let after = usual();
        Self {
            noop,
            stack: f64::midpoint(there, back),
            usual: f64::midpoint(before, after),
        }
    }
}

/// The time that a request takes in each of the threads, on average. They all walk through the same tokens.
fn time<W>(hot: &Hot, threads: usize, from: usize, worker: impl Fn() -> W + Sync) -> f64
where
    W: FnMut(&Sample) -> bool,
{
    let run = || {
        let mut work = worker();
        let samples = hot.samples.iter().cycle().skip(from % hot.samples.len());
        let samples = samples.take(TURN);
        let start = Instant::now();
        for sample in samples {
            assert!(black_box(work(sample)));
        }
        start.elapsed().as_nanos() as f64 / TURN as f64
    };
    in_threads(threads, run)
}
