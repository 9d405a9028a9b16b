//! A token that was never seen before, by the clock and by the allocator: the stack, and what it is held against.

use divan::{AllocProfiler, Bencher};
use gateless_bench::{Bench, Case, SAMPLES, answer};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = Case::ALL)]
fn noop(bencher: Bencher<'_, '_>, case: Case) {
    let Bench {
        samples, mut noop, ..
    } = Bench::new(case);
    let mut turns = samples.iter().cycle();
    bencher
        .with_inputs(|| turns.next().map(|sample| sample.request()))
        .bench_local_values(|request| request.map(|request| answer(&mut noop, request)));
}

#[divan::bench(args = Case::ALL)]
fn raw(bencher: Bencher<'_, '_>, case: Case) {
    let Bench { samples, raw, .. } = Bench::new(case);
    let mut turns = samples.iter().cycle();
    bencher.bench_local(|| turns.next().map(|sample| sample.verify(&raw)));
}

/// As many requests at a time as there are tokens, so that none of them is known.
#[divan::bench(args = Case::ALL, sample_size = SAMPLES)]
fn stack(bencher: Bencher<'_, '_>, case: Case) {
    let Bench {
        samples,
        mut stack,
        handle,
        ..
    } = Bench::new(case);
    let mut turns = samples.iter().cycle();
    bencher
        .with_inputs(|| {
            handle.forget_tokens();
            turns.next().map(|sample| sample.request())
        })
        .bench_local_values(|request| request.map(|request| answer(&mut stack, request)));
}

#[divan::bench(args = Case::ALL)]
fn jsonwebtoken(bencher: Bencher<'_, '_>, case: Case) {
    let Bench { samples, peer, .. } = Bench::new(case);
    let mut turns = samples.iter().cycle();
    bencher.bench_local(|| turns.next().map(|sample| peer.decode(sample)));
}
