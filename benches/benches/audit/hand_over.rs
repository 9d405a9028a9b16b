//! What a request pays for its record: the same service with and without an [`AuditLog`] in front.
//!
//! While a turn is timed, the thread that writes is held up in its sink, so that nothing but the request is measured, or is known to
//! compose what it took out of the queue before.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gateless::audit::{AuditLog, Audited, Backpressure};
use gateless_bench::{Door, Held, Nowhere, answer, flush, quartiles, waiter};
use http::{HeaderValue, Request, Response};
use tokio::runtime::Runtime;
use tower::{Layer as _, Service};

use crate::{Noop, Stack, Stages, noop};

/// How many requests are answered before it is the other's turn.
const TURN: usize = 500;

/// What the writer has before it while it is at work: longer than a turn takes.
const BACKLOG: usize = 1_000;

pub(crate) fn run(rounds: usize) {
    println!("A record of a request, ns in each thread: medians of {rounds} rounds.");
    println!("net: (with AuditLog - without), and the quartiles around it.\n");
    println!(
        "{:40}{:>8}{:>9}{:>9}{:>8}{:>16}{:>13}",
        "", "threads", "without", "with", "net", "quartiles", "allocations"
    );
    let stages = Stages::new();
    let served = || stages.request();
    let nothing = HeaderValue::from_static("Bearer a");
    let bare = || gateless_bench::request(&nothing);
    let (drop, fail) = (Backpressure::DropAndCount, Backpressure::FailRequest);

    let dropping = Contest::<Noop>::new(noop(), drop);
    let failing = Contest::<Noop>::new(noop(), fail);
    for threads in [1, 2] {
        dropping.report("no-op, DropAndCount", threads, rounds, served, false);
        failing.report("no-op, FailRequest", threads, rounds, served, false);
    }
    failing.report("no-op, the first extension", 1, rounds, bare, false);
    failing.report("no-op, the writer at work", 1, rounds, served, true);
    let all = Contest::<Stack>::new(stages.stack.clone(), fail);
    for threads in [1, 2] {
        all.report("all other stages", threads, rounds, served, false);
    }
    let [lower, half, upper] = failing.waking(rounds, served);
    println!(
        "\nOne request when the writer sleeps, which it wakes: {half:.0} ns more than without, {lower:.0} to {upper:.0}."
    );
}

/// A service with and without a log.
struct Contest<S> {
    plain: S,
    audited: Audited<S>,
    log: AuditLog,
    door: Arc<Door>,
    waiter: Runtime,
}

impl<S, B> Contest<S>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone + Sync,
    B: http_body::Body<Data = bytes::Bytes>,
{
    fn new(plain: S, backpressure: Backpressure) -> Self {
        let door = Arc::<Door>::default();
        let sink = Held {
            sink: Nowhere,
            door: Arc::clone(&door),
        };
        let log = AuditLog::builder("orders-1", sink, backpressure)
            .capacity(1 << 16)
            .build();
        let log = log.expect("the settings are sound");
        Self {
            audited: log.layer(plain.clone()),
            plain,
            log,
            door,
            waiter: waiter(),
        }
    }

    fn report(
        &self,
        name: &str,
        threads: usize,
        rounds: usize,
        request: impl Fn() -> Request<()> + Sync,
        is_at_work: bool,
    ) {
        let plain = || time(threads, &request, || self.plain.clone());
        let audited = || {
            let send = |count| {
                let mut service = self.audited.clone();
                (0..count).for_each(|_| assert!(answer(&mut service, request()).is_success()));
            };
            loop {
                self.door.shut(|| send(1));
                if is_at_work {
                    send(BACKLOG);
                    self.door.open();
                    // It rests before it takes the next ones.
                    thread::sleep(Duration::from_micros(1_200));
                }
                let passed = self.door.passed();
                let took = time(threads, &request, || self.audited.clone());
                let is_as_told = passed == self.door.passed();
                self.door.open();
                flush(&self.waiter, &self.log);
                if is_as_told {
                    break took;
                }
            }
        };
        let results: Vec<[f64; 2]> = (0..rounds)
            .map(|round| {
                // So that nobody always comes after the same one.
                if round % 2 == 0 {
                    let plain = plain();
                    [plain, audited()]
                } else {
                    let audited = audited();
                    [plain(), audited]
                }
            })
            .collect();
        let of = |value: fn(&[f64; 2]) -> f64| quartiles(results.iter().map(value).collect());
        let [_, plain, _] = of(|[plain, _]| *plain);
        let [_, audited, _] = of(|[_, audited]| *audited);
        let [lower, net, upper] = of(|[plain, audited]| audited - plain);
        let allocations = self.allocations(&request);
        println!(
            "{name:40}{threads:8}{plain:9.0}{audited:9.0}{net:8.0}{:>16}{allocations:>13}",
            format!("{lower:.0} to {upper:.0}")
        );
    }

    /// How many more than without.
    fn allocations(&self, request: impl Fn() -> Request<()>) -> u64 {
        let (mut plain, mut audited) = (self.plain.clone(), self.audited.clone());
        let of = |answer: &mut dyn FnMut(Request<()>)| {
            let request = request();
            allocation_counter::measure(move || answer(request)).count_total
        };
        let without = of(&mut |request| assert!(answer(&mut plain, request).is_success()));
        let with = of(&mut |request| assert!(answer(&mut audited, request).is_success()));
        with - without
    }

    /// One request after a pause in which the writer has gone to sleep.
    fn waking(&self, rounds: usize, request: impl Fn() -> Request<()>) -> [f64; 3] {
        let (mut plain, mut audited) = (self.plain.clone(), self.audited.clone());
        let mut more = || {
            thread::sleep(Duration::from_millis(5));
            let (first, second) = (request(), request());
            let start = Instant::now();
            assert!(answer(&mut plain, first).is_success());
            let without = start.elapsed();
            let start = Instant::now();
            assert!(answer(&mut audited, second).is_success());
            start.elapsed().as_nanos() as f64 - without.as_nanos() as f64
        };
        quartiles((0..rounds).map(|_| more()).collect())
    }
}

/// Nanoseconds a request. Each thread makes its own requests, then they start together; the slower one is what counts.
fn time<S, B>(
    threads: usize,
    request: impl Fn() -> Request<()> + Sync,
    service: impl Fn() -> S + Sync,
) -> f64
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let waiting = AtomicUsize::new(threads);
    let run = || {
        let mut service = service();
        let requests: Vec<_> = (0..TURN).map(|_| request()).collect();
        waiting.fetch_sub(1, Ordering::AcqRel);
        // Without sleep: waking up takes longer than a turn.
        while waiting.load(Ordering::Acquire) > 0 {
            thread::yield_now();
        }
        let start = Instant::now();
        for request in requests {
            assert!(black_box(answer(&mut service, request)).is_success());
        }
        start.elapsed().as_nanos() as f64 / TURN as f64
    };
    if threads == 1 {
        return run();
    }
    thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let times = handles.into_iter();
        times
            .map(|handle| handle.join().expect("it does not panic"))
            .fold(0.0, f64::max)
    })
}
