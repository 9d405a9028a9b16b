//! What one check of `RateLimit` costs, beside governor's keyed check, and what a key takes.
//!
//! `RateLimit` starts from a request: it finds the caller in the extensions, makes the key of issuer and subject, decides and
//! pays. governor is given a key. What that is makes a difference, so there are three: a text with the same issuer and
//! subject that was made before and is borrowed; the same text, made of the caller with each check, as a middleware has
//! to; and a number, which is as good as it gets. The first is what ratios are to.
//!
//! As in `denylist`: all take turns in each round, with callers picked at random, and of many rounds the median and the
//! quartiles are printed. Requests and texts are made right before their turn, which is not timed, so that they are in the
//! caches as those of a request are, and a large table is not.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gateless::gate::{Gate as _, Head, Step};
use gateless::limit::{LimitKey, RateLimit};
use gateless::{Principal, PrincipalParts, Quota, Timestamp};
use gateless_bench::quartiles;
use governor::clock::{Clock as _, DefaultClock};
use http::Request;

/// How many requests are checked before it is the other's turn.
const TURN: usize = 500;

const ISSUER: &str = "https://idp.example.com/realms/main";

/// A unit comes back so slowly that everybody owes something all the time, and there are more than are ever taken.
const PERIOD: Duration = Duration::from_secs(100);
const BURST: u32 = 3_000_000;

type Texts = governor::DefaultKeyedRateLimiter<String>;
type Numbers = governor::DefaultKeyedRateLimiter<u64>;

fn main() {
    // `cargo test --all-targets` runs this as well, to see that it works.
    let is_measuring = std::env::args().any(|argument| argument == "--bench");
    let (rounds, counts) = if is_measuring {
        (800, [1, 10_000, 1_000_000])
    } else {
        (2, [1, 100, 1_000])
    };
    println!("A check, ns in each thread: medians of {rounds} rounds.");
    println!(
        "ratio: RateLimit / governor, with a text that is there, and the quartiles around it.\n"
    );
    println!(
        "{:26}{:>9}{:>9}{:>10}{:>10}{:>8}{:>8}{:>8}{:>18}",
        "", "keys", "threads", "gateless", "governor", "made", "number", "ratio", "quartiles"
    );
    let quota = || quota("all");
    for keys in counts {
        let contest = Contest::new("admitted", keys, limit(keys, [quota()]), governed(BURST));
        contest.run(1, rounds);
        contest.run(2, rounds);
    }
    let [_, some, many] = counts;
    let one_each = Quota::per(1, PERIOD);
    for keys in [some, many] {
        let limit = limit(keys, [one_each.clone()]);
        Contest::new("refused", keys, limit, governed(1)).run(1, rounds);
    }
    let two = limit(some, [quota(), self::quota("day")]);
    Contest::new("two quotas; governor: one", some, two, governed(BURST)).run(1, rounds);
    let told = RateLimit::builder(LimitKey::caller(), [quota()]).rate_limit_fields();
    let told = told.build().expect("the settings are sound");
    Contest::new("with RateLimit fields", some, told, governed(BURST)).run(1, rounds);
    memory(many);
}

fn quota(name: &str) -> Quota {
    Quota::per(1, PERIOD).burst(BURST).named(name)
}

/// Shards are never equally full: with a tenth of the places to spare all callers have one.
fn limit<const N: usize>(keys: u64, quotas: [Quota; N]) -> RateLimit {
    let places = usize::try_from(keys + keys / 10 + 1).expect("so many fit");
    RateLimit::builder(LimitKey::caller(), quotas)
        .max_keys(places)
        .build()
        .expect("the settings are sound")
}

fn governed(burst: u32) -> governor::Quota {
    let burst = NonZeroU32::new(burst).expect("it is not zero");
    let quota = governor::Quota::with_period(PERIOD).expect("it is not zero");
    quota.allow_burst(burst)
}

fn subject(caller: u64) -> String {
    // As long as a UUID, which is what most subjects are.
    let high = caller.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{:08x}-0000-4000-8000-{caller:012x}", high >> 32)
}

fn request(caller: u64) -> Request<()> {
    let principal = Principal::assert_authenticated(PrincipalParts {
        subject: Some(subject(caller).into()),
        client_id: Some("orders-web".into()),
        ..PrincipalParts::new(ISSUER, Timestamp::from_secs(4_000_000_000))
    });
    let request = Request::get("https://api.example.com/orders?page=2");
    let mut request = request.body(()).expect("all of its parts are sound");
    principal.attach(request.extensions_mut());
    request
}

/// The text that a middleware around governor would make, with one allocation.
fn text(issuer: &str, subject: &str) -> String {
    let mut text = String::with_capacity(issuer.len() + 1 + subject.len());
    text.push_str(issuer);
    text.push(' ');
    text.push_str(subject);
    text
}

/// What one of them is given in one turn.
enum Turn {
    Requests(Vec<Request<()>>),
    Texts(Vec<String>),
    Numbers(Vec<u64>),
}

/// Who takes part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Gateless,
    /// governor, with a text that is there.
    Texts,
    /// governor, with a text that is made.
    Made,
    /// governor, with a number.
    Numbers,
}

impl Who {
    /// So that nobody always comes after the same one.
    const ORDERS: [[Self; 4]; 4] = [
        [Self::Gateless, Self::Texts, Self::Made, Self::Numbers],
        [Self::Numbers, Self::Made, Self::Texts, Self::Gateless],
        [Self::Texts, Self::Numbers, Self::Gateless, Self::Made],
        [Self::Made, Self::Gateless, Self::Numbers, Self::Texts],
    ];

    fn turn(self, callers: impl Iterator<Item = u64>) -> Turn {
        match self {
            Self::Gateless | Self::Made => Turn::Requests(callers.map(request).collect()),
            Self::Texts => Turn::Texts(callers.map(|it| text(ISSUER, &subject(it))).collect()),
            Self::Numbers => Turn::Numbers(callers.collect()),
        }
    }
}

/// All who take part, with the same keys and as much for each of them.
struct Contest {
    name: &'static str,
    keys: u64,
    limit: RateLimit,
    texts: Texts,
    numbers: Numbers,
    clock: DefaultClock,
    is_admitted: bool,
}

impl Contest {
    /// Lets every caller have one.
    fn new(name: &'static str, keys: u64, limit: RateLimit, quota: governor::Quota) -> Self {
        let contest = Self {
            name,
            keys,
            limit,
            texts: Texts::keyed(quota),
            numbers: Numbers::keyed(quota),
            clock: DefaultClock::default(),
            is_admitted: quota.burst_size().get() > 1,
        };
        for caller in 0..keys {
            assert!(is_admitted(&contest.limit, &request(caller)));
            let text = text(ISSUER, &subject(caller));
            assert!(contest.texts.check_key(&text).is_ok());
            assert!(contest.numbers.check_key(&caller).is_ok());
        }
        contest
    }

    fn run(&self, threads: usize, rounds: u64) {
        let mut turns = (0..).step_by(TURN);
        let mut times = |who: Who| {
            // Everybody has callers of their own: nobody finds in the caches what another one has fetched.
            let firsts: Vec<u64> = turns.by_ref().take(threads).collect();
            let turn = |first| {
                let picked = (first..).take(TURN).map(|turn| pick(turn) % self.keys);
                who.turn(picked)
            };
            time_of(&firsts, turn, |turn| self.check(who, turn))
        };
        let results: Vec<[f64; 4]> = (0..rounds)
            .zip(Who::ORDERS.iter().cycle())
            .map(|(_, order)| {
                let times = order.map(|who| (who, times(who)));
                [Who::Gateless, Who::Texts, Who::Made, Who::Numbers].map(|wanted| {
                    let time = times.iter().find(|(who, _)| *who == wanted);
                    time.map_or(f64::NAN, |(_, time)| *time)
                })
            })
            .collect();
        let of = |value: fn(&[f64; 4]) -> f64| quartiles(results.iter().map(value).collect());
        let [_, gateless, _] = of(|[it, ..]| *it);
        let [_, governor, _] = of(|[_, it, ..]| *it);
        let [_, made, _] = of(|[_, _, it, _]| *it);
        let [_, number, _] = of(|[.., it]| *it);
        let [lower, ratio, upper] = of(|[gateless, governor, ..]| gateless / governor);
        println!(
            "{:26}{:9}{threads:9}{gateless:10.0}{governor:10.0}{made:8.0}{number:8.0}{ratio:8.2}{:>18}",
            self.name,
            self.keys,
            format!("{lower:.2} to {upper:.2}")
        );
    }

    fn check(&self, who: Who, turn: &Turn) {
        match turn {
            Turn::Requests(them) if who == Who::Gateless => {
                self.all(them, |it| is_admitted(&self.limit, it));
            }
            Turn::Requests(them) => self.all(them, |it| {
                let caller = Principal::of(it.extensions()).expect("it is there");
                let subject = caller.subject().expect("it is there");
                let text = text(caller.issuer(), subject);
                self.has(self.texts.check_key(&text))
            }),
            Turn::Texts(them) => self.all(them, |it| self.has(self.texts.check_key(it))),
            Turn::Numbers(them) => self.all(them, |it| self.has(self.numbers.check_key(it))),
        }
    }

    fn all<T>(&self, them: &[T], is_admitted: impl Fn(&T) -> bool) {
        for it in them {
            assert_eq!(black_box(is_admitted(black_box(it))), self.is_admitted);
        }
    }

    /// Whoever refuses also says when to come back, as `RateLimit` does.
    fn has(&self, outcome: Result<(), governor::NotUntil<governor::clock::QuantaInstant>>) -> bool {
        let wait = outcome.map_err(|until| until.wait_time_from(self.clock.now()));
        black_box(wait).is_ok()
    }
}

fn is_admitted(limit: &RateLimit, request: &Request<()>) -> bool {
    match limit.decide(Head::of(request)) {
        Step::Now(verdict) => black_box(verdict).is_ok(),
        Step::Wait(_) => unreachable!("there is nothing to wait for"),
    }
}

/// Nanoseconds a check. Each thread makes its own turn, then they start together; the slower one is what counts.
fn time_of(firsts: &[u64], turn: impl Fn(u64) -> Turn + Sync, check: impl Fn(&Turn) + Sync) -> f64 {
    let waiting = AtomicUsize::new(firsts.len());
    let run = |first| {
        let turn = turn(first);
        waiting.fetch_sub(1, Ordering::AcqRel);
        // Without sleep: waking up takes longer than a turn.
        while waiting.load(Ordering::Acquire) > 0 {
            thread::yield_now();
        }
        let start = Instant::now();
        check(&turn);
        start.elapsed().as_nanos() as f64 / TURN as f64
    };
    if let [first] = firsts {
        return run(*first);
    }
    let run = &run;
    thread::scope(|scope| {
        let handles: Vec<_> = firsts
            .iter()
            .map(|first| scope.spawn(move || run(*first)))
            .collect();
        let times = handles.into_iter();
        times
            .map(|handle| handle.join().expect("it does not panic"))
            .fold(0.0, f64::max)
    })
}

/// A number for each turn that tells nobody the next one.
fn pick(turn: u64) -> u64 {
    let mixed = (turn ^ 0x5bd1_e995).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 20
}

/// What `count` keys take, and three times as many where no more than `count` may be held.
fn memory(count: u64) {
    println!(
        "\nKeys that come one by one; RateLimit may hold {count}. Bytes for each of {count}.\n"
    );
    println!("{:26}{:>9}{:>12}{:>12}", "", "keys", "allocated", "most");
    for keys in [count, 3 * count] {
        let places = usize::try_from(count).expect("so many fit");
        for (name, quotas) in [
            ("gateless", vec![quota("all")]),
            ("gateless, two quotas", vec![quota("all"), quota("day")]),
        ] {
            measure(name, keys, count, || {
                let limit = RateLimit::builder(LimitKey::caller(), quotas).max_keys(places);
                let limit = limit.build().expect("the settings are sound");
                assert!((0..keys).all(|caller| is_admitted(&limit, &request(caller))));
                limit
            });
        }
        measure("governor, texts", keys, count, || {
            let limit = Texts::keyed(governed(BURST));
            let text = |caller| text(ISSUER, &subject(caller));
            assert!((0..keys).all(|caller| limit.check_key(&text(caller)).is_ok()));
            limit
        });
        measure("governor, numbers", keys, count, || {
            let limit = Numbers::keyed(governed(BURST));
            assert!((0..keys).all(|caller| limit.check_key(&caller).is_ok()));
            limit
        });
    }
}

fn measure<T>(name: &str, keys: u64, count: u64, make: impl FnOnce() -> T) {
    let mut made = None;
    let allocated = allocation_counter::measure(|| made = Some(make()));
    let each = |bytes: f64| format!("{:.1}", bytes / count as f64);
    println!(
        "{name:26}{keys:9}{:>12}{:>12}",
        each(allocated.bytes_current as f64),
        each(allocated.bytes_max as f64)
    );
    drop(made);
}
