//! What the stack adds to a bare signature check, as a ratio that a noisy machine does not spoil.
//!
//! In each round everybody works through the same tokens, one right after the other and back again, so that whatever
//! slows the machine down slows them all. Each round makes one ratio; of many, the quartiles are printed.

use std::hint::black_box;
use std::time::Instant;

use gateless_bench::{Bench, Case, Sample, answer, quartiles};

fn main() {
    // `cargo test --all-targets` runs this as well, to see that it works.
    let is_measuring = std::env::args().any(|argument| argument == "--bench");
    let rounds = if is_measuring { 1000 } else { 4 };

    println!("A token that was never seen, ns: medians of {rounds} rounds.");
    println!("ratio: (stack - no-op) / raw, and the quartiles around it.\n");
    println!(
        "{:20}{:>6}{:>8}{:>8}{:>8}{:>9}{:>18}{:>21}",
        "", "bytes", "no-op", "raw", "stack", "ratio", "quartiles", "jsonwebtoken / raw"
    );
    for case in Case::ALL {
        report(case, rounds);
    }
}

fn report(case: Case, rounds: usize) {
    let mut bench = Bench::new(case);
    let bytes = bench.samples.first().map_or(0, Sample::token_len);
    let rounds: Vec<_> = (0..rounds).map(|_| Round::run(&mut bench)).collect();
    let quartiles = |value: fn(&Round) -> f64| quartiles(rounds.iter().map(value).collect());

    let [_, noop, _] = quartiles(|round| round.noop);
    let [_, raw, _] = quartiles(|round| round.raw);
    let [_, stack, _] = quartiles(|round| round.stack);
    let [lower, ratio, upper] = quartiles(|round| (round.stack - round.noop) / round.raw);
    let [_, peer, _] = quartiles(|round| round.peer / round.raw);
    println!(
        "{case:20}{bytes:6}{noop:8.0}{raw:8.0}{stack:8.0}{ratio:9.3}{:>18}{peer:21.3}",
        format!("{lower:.3} to {upper:.3}"),
    );
}

/// Nanoseconds for a token, in one round.
struct Round {
    noop: f64,
    raw: f64,
    stack: f64,
    peer: f64,
}

impl Round {
    fn run(bench: &mut Bench) -> Self {
        let before = raw(bench);
        let there = stack(bench);
        let noop = noop(bench);
        let back = stack(bench);
        let after = raw(bench);
        Self {
            noop,
            raw: f64::midpoint(before, after),
            stack: f64::midpoint(there, back),
            peer: peer(bench),
        }
    }
}

fn raw(bench: &Bench) -> f64 {
    time(&bench.samples, |sample| sample.verify(&bench.raw))
}

fn peer(bench: &Bench) -> f64 {
    time(&bench.samples, |sample| bench.peer.decode(sample))
}

/// Making the request is part of this and of `stack`, so that it is not part of the difference.
fn noop(bench: &mut Bench) -> f64 {
    time(&bench.samples, |sample| {
        answer(&mut bench.noop, sample.request())
    })
}

/// Looks the token up, does not find it, verifies it and remembers it.
fn stack(bench: &mut Bench) -> f64 {
    bench.handle.forget_tokens();
    time(&bench.samples, |sample| {
        answer(&mut bench.stack, sample.request())
    })
}

/// The time that `work` takes for one of the samples, on average.
fn time<R>(samples: &[Sample], mut work: impl FnMut(&Sample) -> R) -> f64 {
    let start = Instant::now();
    for sample in samples {
        black_box(work(sample));
    }
    start.elapsed().as_nanos() as f64 / samples.len() as f64
}
