//! What all six stages cost together, beside SHA-256 of the token and one hit in moka. What a bare
//! signature check takes is in `peers` and `ratio`.
//!
//! As in `ratio`: all take turns with the same tokens in each round, and of many rounds the median and the quartiles are
//! printed. What the service alone takes, making the request included, is taken off. The thread that writes records waits
//! during a turn: what is measured is what a request pays.

use std::hint::black_box;
use std::time::Instant;

use gateless_bench::{Case, Kind, Whole, answer, asked, in_threads, quartiles, waiter};
use http::{HeaderValue, Request, StatusCode};
use moka::sync::Cache;
use tower::ServiceExt as _;

/// How many requests one of them answers before it is another's turn.
const TURN: usize = 1000;

const KINDS: [Kind; 4] = [
    Kind::Jwt(Case::Rs256Usual),
    Kind::Jwt(Case::Es256),
    Kind::Jwt(Case::EdDsa),
    Kind::Opaque,
];

fn main() {
    // `cargo test --all-targets` runs this as well, to see that it works.
    let is_measuring = std::env::args().any(|argument| argument == "--bench");
    let (rounds, counts) = if is_measuring {
        (200, [8, 1_000])
    } else {
        (2, [8, 16])
    };
    println!("### Six stages, tokens that are known\n");
    println!(
        "ns a request in each thread, net of the service alone: medians of {rounds} rounds.\n"
    );
    println!(
        "| token | tokens | threads | service alone | stack | one by one | SHA-256 + moka hit | stack / (SHA-256 + moka) | quartiles |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for kind in KINDS {
        for tokens in counts {
            // The kind of a JWT is of no matter once it is known, so most of them are measured once.
            if tokens != 8 && kind != Kind::Jwt(Case::EdDsa) {
                continue;
            }
            let hot = Hot::new(kind, tokens);
            for threads in [1, 2] {
                hot.report(kind, threads, rounds);
            }
        }
    }
    println!("\n### Six stages, tokens that were never seen\n");
    println!("| token | µs, median | quartiles |");
    println!("|---|---|---|");
    let tokens = if is_measuring { 2_000 } else { 8 };
    for kind in KINDS {
        unknown(kind, tokens);
    }
}

struct Hot {
    whole: Whole,
    digests: Cache<[u8; 32], bool>,
}

/// Nanoseconds a request, in one round.
struct Round {
    noop: f64,
    stack: f64,
    one_by_one: f64,
    usual: f64,
}

impl Hot {
    fn new(kind: Kind, tokens: usize) -> Self {
        let whole = Whole::new(kind, tokens);
        let digests = Cache::new(200_000);
        for token in &whole.tokens {
            digests.insert(sha256(token), true);
        }
        digests.run_pending_tasks();
        Self { whole, digests }
    }

    fn report(&self, kind: Kind, threads: usize, rounds: usize) {
        let rounds: Vec<_> = (0..rounds)
            .map(|round| self.round(threads, round))
            .collect();
        let of = |value: fn(&Round) -> f64| quartiles(rounds.iter().map(value).collect());
        let [_, noop, _] = of(|round| round.noop);
        let [_, stack, _] = of(|round| round.stack - round.noop);
        let [_, one_by_one, _] = of(|round| round.one_by_one - round.noop);
        let [_, usual, _] = of(|round| round.usual);
        let [lower, ratio, upper] = of(|round| (round.stack - round.noop) / round.usual);
        println!(
            "| {kind} | {} | {threads} | {noop:.0} | {stack:.0} | {one_by_one:.0} | {usual:.0} | {ratio:.2} | {lower:.2} to {upper:.2} |",
            self.whole.tokens.len()
        );
    }

    fn round(&self, threads: usize, round: usize) -> Round {
        let whole = &self.whole;
        let usual = || {
            self.time(threads, round, || {
                |token: &str, _: &HeaderValue| self.digests.get(&sha256(token)).is_some()
            })
        };
        let stack = || {
            whole.undisturbed(|| {
                self.time(threads, round, || {
                    let mut stack = whole.stack.clone();
                    move |_: &str, field: &HeaderValue| {
                        answer(&mut stack, asked(field)).is_success()
                    }
                })
            })
        };
        let before = usual();
        let there = stack();
        let one_by_one = whole.undisturbed(|| {
            self.time(threads, round, || {
                let mut stack = whole.one_by_one.clone();
                move |_: &str, field: &HeaderValue| answer(&mut stack, asked(field)).is_success()
            })
        });
        let noop = self.time(threads, round, || {
            let mut noop = whole.noop;
            move |_: &str, field: &HeaderValue| answer(&mut noop, asked(field)).is_success()
        });
        let back = stack();
        let after = usual();
        Round {
            noop,
            stack: f64::midpoint(there, back),
            one_by_one,
            usual: f64::midpoint(before, after),
        }
    }

    /// The time that a request takes in each of the threads, on average. They all walk through the same tokens.
    fn time<W>(&self, threads: usize, round: usize, worker: impl Fn() -> W + Sync) -> f64
    where
        W: FnMut(&str, &HeaderValue) -> bool,
    {
        let pairs = || self.whole.tokens.iter().zip(&self.whole.fields);
        let run = || {
            let mut work = worker();
            let from = round * TURN % self.whole.tokens.len();
            let pairs = pairs().cycle().skip(from).take(TURN);
            let start = Instant::now();
            for (token, field) in pairs {
                assert!(black_box(work(token, field)));
            }
            start.elapsed().as_nanos() as f64 / TURN as f64
        };
        in_threads(threads, run)
    }
}

/// One request after the other, each with a token that nobody has seen.
fn unknown(kind: Kind, requests: usize) {
    let whole = Whole::new(kind, 8);
    let runtime = waiter();
    let send = |request: Request<()>| -> StatusCode {
        let answered = runtime.block_on(whole.stack.clone().oneshot(request));
        let Ok(response) = answered;
        response.status()
    };
    let times = (0..requests).map(|request| {
        let field = whole.fields.get(request % whole.fields.len());
        let field = field.expect("there are tokens");
        whole.bearer.forget_tokens();
        whole.introspection.forget_tokens();
        let request = asked(field);
        let start = Instant::now();
        assert!(send(request).is_success());
        start.elapsed().as_nanos() as f64 / 1e3
    });
    let [lower, half, upper] = quartiles(times.collect());
    println!("| {kind} | {half:.1} | {lower:.1} to {upper:.1} |");
}

fn sha256(token: &str) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    digest.as_ref().try_into().expect("it has 32 bytes")
}
