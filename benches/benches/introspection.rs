//! What an opaque token costs: one that was asked about before, one that was not, and many at once.
//!
//! As in `hot`: where two are compared, all take turns in each round, and of many rounds the median and the quartiles are
//! printed. The authorization server is a test issuer on loopback, on a thread of this process.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use gateless::gate::Gated;
use gateless::introspection::Endpoint;
use gateless::scope::ScopeGuard;
use gateless::scopes;
use gateless_bench::{
    Asker, Asking, Known, Noop, Server, answer, answers, asking, field, noop, quartiles, request,
};
use gateless_testkit::Fault;
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

fn main() {
    // `cargo test --all-targets` runs this as well, to see that it works.
    let is_measuring = std::env::args().any(|argument| argument == "--bench");
    let amount = |measuring: usize, trying: usize| if is_measuring { measuring } else { trying };

    // First, while the process is small.
    memory(amount(100_000, 1_000));
    known(
        &[1, amount(1_000, 10), amount(100_000, 100)],
        amount(300, 2),
    );
    misses(amount(300, 2));
    let latency = Duration::from_millis(if is_measuring { 200 } else { 20 });
    herds(latency, amount(10_000, 100), amount(10, 1));
    caps(amount(10_000, 200));
}

/// How much an answer takes that is remembered.
fn memory(tokens: usize) {
    let server = Server::start();
    let runtime = runtime();
    let layer = asking(&server, |endpoint| endpoint).build();
    let service = stack(&layer.expect("the settings are sound"));
    // What is made once is there before anything is measured: connections, buffers, and the tokens at the server.
    let (some, all) = (server.opaque(tokens / 10), server.opaque(tokens));
    runtime.block_on(answers(&service, &some));
    let before = resident();
    let start = Instant::now();
    runtime.block_on(answers(&service, &all));
    let seconds = start.elapsed().as_secs_f64();
    let after = resident();

    println!("An answer that is remembered, with {tokens} of them.\n");
    if let (Some(before), Some(after)) = (before, after) {
        let each = (after - before) / tokens as f64;
        println!("{each:.0} bytes each, by how much more memory is resident (VmRSS)");
    }
    let rate = tokens as f64 / seconds;
    println!("{rate:.0} a second were asked about, 64 at once\n");
}

/// Bytes of this process that are in memory, where the system says so.
fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

/// How many requests one of them answers before it is another's turn.
const TURN: usize = 2000;

/// A kind of token and a stack for it, and what a request takes there, from a token on.
type Way = (&'static str, fn(&mut Known, usize) -> f64);

/// The first one is what the others are held against. JWTs and opaque tokens take turns.
const WAYS: [Way; 4] = [
    ("JWT, BearerAuth", |known, from| {
        time(&known.jwts, from, |it| answer(&mut known.bearer, it))
    }),
    ("opaque, Introspection", |known, from| {
        time(&known.opaque, from, |it| answer(&mut known.asking, it))
    }),
    ("JWT, HybridAuth", |known, from| {
        time(&known.jwts, from, |it| answer(&mut known.hybrid, it))
    }),
    ("opaque, HybridAuth", |known, from| {
        time(&known.opaque, from, |it| answer(&mut known.hybrid, it))
    }),
];

fn known(counts: &[usize], rounds: usize) {
    println!("A token that is known, ns a request: medians of {rounds} rounds, less the no-op.");
    println!("ratio: to a known JWT in BearerAuth, and the quartiles around it.\n");
    println!(
        "{:>8}  {:22}{:>8}{:>8}{:>18}",
        "tokens", "", "net", "ratio", "quartiles"
    );
    for &tokens in counts {
        let mut known = Known::new(tokens);
        let rounds: Vec<_> = (0..rounds)
            .map(|round| nets(&mut known, round * TURN))
            .collect();
        for (way, (name, _)) in WAYS.iter().enumerate() {
            let of = |nets: &[f64; 4]| nets.get(way).copied().unwrap_or(f64::NAN);
            let [_, net, _] = quartiles(rounds.iter().map(of).collect());
            let ratios = rounds.iter().map(|nets| of(nets) / nets[0]).collect();
            let [lower, ratio, upper] = quartiles(ratios);
            println!(
                "{tokens:8}  {name:22}{net:8.0}{ratio:8.3}{:>18}",
                format!("{lower:.3} to {upper:.3}")
            );
        }
    }
    println!();
}

/// What each of the ways takes in one round, there and back again, less what the service alone takes.
fn nets(known: &mut Known, from: usize) -> [f64; 4] {
    let there = WAYS.map(|(_, way)| way(known, from));
    let mut alone = |tokens: &[HeaderValue]| time(tokens, from, |it| answer(&mut known.noop, it));
    let (jwt, opaque) = (alone(&known.jwts), alone(&known.opaque));
    let mut ways = WAYS;
    ways.reverse();
    let mut back = ways.map(|(_, way)| way(known, from));
    back.reverse();

    let mut nets = [jwt, opaque, jwt, opaque];
    for ((net, there), back) in nets.iter_mut().zip(there).zip(back) {
        *net = f64::midpoint(there, back) - *net;
    }
    nets
}

fn time(
    tokens: &[HeaderValue],
    from: usize,
    mut work: impl FnMut(Request<()>) -> StatusCode,
) -> f64 {
    let tokens = tokens.iter().cycle().skip(from % tokens.len()).take(TURN);
    let start = Instant::now();
    for token in tokens {
        assert!(black_box(work(request(token))).is_success());
    }
    start.elapsed().as_nanos() as f64 / TURN as f64
}

/// How many calls are made before it is the other's turn.
const CALLS: usize = 20;

fn misses(rounds: usize) {
    let server = Server::start();
    let runtime = runtime();
    let layer = asking(&server, |endpoint| endpoint).without_answer_cache();
    let service = stack(&layer.build().expect("the settings are sound"));
    let bare = Asker::of(&server);
    let tokens: Vec<_> = (0..CALLS).map(|_| server.token()).collect();
    let fields: Vec<_> = tokens.iter().map(|token| field(token)).collect();

    let through = || async {
        let start = Instant::now();
        for field in &fields {
            let Ok(response) = service.clone().oneshot(request(field)).await;
            assert_eq!(response.status(), StatusCode::OK);
        }
        start.elapsed().as_micros() as f64 / CALLS as f64
    };
    let past = || async {
        let start = Instant::now();
        for token in &tokens {
            assert_eq!(bare.ask(token).await, StatusCode::OK);
        }
        start.elapsed().as_micros() as f64 / CALLS as f64
    };
    let round = || async {
        let (before, there) = (past().await, through().await);
        let (back, after) = (through().await, past().await);
        [f64::midpoint(before, after), f64::midpoint(there, back)]
    };
    let results: Vec<_> = runtime.block_on(async {
        // Connections are made, and the code is warm.
        round().await;
        let mut results = Vec::new();
        for _ in 0..rounds {
            results.push(round().await);
        }
        results
    });
    let quartiles = |value: fn(&[f64; 2]) -> f64| quartiles(results.iter().map(value).collect());
    let [_, past, _] = quartiles(|[past, _]| *past);
    let [_, through, _] = quartiles(|[_, through]| *through);
    let [lower, ratio, upper] = quartiles(|[past, through]| through / past);
    println!("A token that is asked about, µs a request: medians of {rounds} rounds.\n");
    println!(
        "{:>10}{:>10}{:>8}{:>18}",
        "bare POST", "stack", "ratio", "quartiles"
    );
    println!(
        "{past:10.0}{through:10.0}{ratio:8.3}{:>18}\n",
        format!("{lower:.3} to {upper:.3}")
    );
}

fn herds(latency: Duration, requests: usize, rounds: usize) {
    println!(
        "{requests} requests at once with one unknown token, of a server that takes {latency:?}."
    );
    println!("ratio: until the last answer, to what the server takes; medians of {rounds} rounds.");
    println!("asleep: the same of a service that does nothing but sleep for as long.\n");
    println!(
        "{:>8}{:>9}{:>14}{:>8}{:>18}{:>8}",
        "server", "answers", "calls at most", "ratio", "quartiles", "asleep"
    );
    for (name, fault, status) in [
        ("answers", Fault::Slow(latency), StatusCode::OK),
        (
            "500",
            Fault::SlowStatus {
                after: latency,
                status: 500,
            },
            StatusCode::SERVICE_UNAVAILABLE,
        ),
    ] {
        let server = Server::start();
        let layer = asking(&server, |endpoint| endpoint).build();
        let service = stack(&layer.expect("the settings are sound"));
        let runtime = many_threads();
        // Makes the connection.
        runtime.block_on(answers(&service, &server.opaque(1)));
        server.issuer.set_introspection_fault(fault);

        let asleep = service_fn(move |_: Request<()>| async move {
            tokio::time::sleep(latency).await;
            Ok(Response::new(()))
        });
        let (mut calls, mut ratios, mut slept) = (0, Vec::new(), Vec::new());
        for _ in 0..rounds {
            let before = server.issuer.requests().introspection;
            let token = field(&server.token());
            let herd: Vec<_> = (0..requests).map(|_| request(&token)).collect();
            let (took, statuses) = runtime.block_on(all_at_once(&service, herd));
            assert!(statuses.iter().all(|it| *it == status));
            calls = calls.max(server.issuer.requests().introspection - before);
            ratios.push(took.as_secs_f64() / latency.as_secs_f64());

            let herd = (0..requests).map(|_| request(&token)).collect();
            let (took, _) = runtime.block_on(all_at_once(&asleep, herd));
            slept.push(took.as_secs_f64() / latency.as_secs_f64());
        }
        let [lower, ratio, upper] = quartiles(ratios);
        let [_, slept, _] = quartiles(slept);
        println!(
            "{name:>8}{:>9}{calls:14}{ratio:8.3}{:>18}{slept:8.3}",
            status.as_u16(),
            format!("{lower:.3} to {upper:.3}"),
        );
    }
    println!();
}

fn caps(tokens: usize) {
    println!("{tokens} unknown tokens at once, of a server that takes 10 ms.\n");
    println!(
        "{:>8}{:>12}{:>14}{:>8}{:>8}{:>8}{:>10}",
        "at once", "may wait", "most at once", "calls", "200", "503", "seconds"
    );
    type Settings = fn(Endpoint) -> Endpoint;
    let usual: Settings = |endpoint| endpoint;
    let generous: Settings = |endpoint| {
        endpoint
            .max_waiting(100_000)
            .timeout(Duration::from_secs(60))
    };
    let at_once = 64;
    for (may_wait, endpoint) in [(1_024, usual), (100_000, generous)] {
        let server = Server::start();
        let layer = asking(&server, endpoint).build();
        let service = stack(&layer.expect("the settings are sound"));
        let slow = Fault::Slow(Duration::from_millis(10));
        server.issuer.set_introspection_fault(slow);
        let requests = server.opaque(tokens).iter().map(request).collect();
        let (took, statuses) = many_threads().block_on(all_at_once(&service, requests));

        let count = |status| statuses.iter().filter(|it| **it == status).count();
        let most = server.issuer.most_concurrent_introspections();
        let calls = server.issuer.requests().introspection;
        println!(
            "{at_once:8}{may_wait:12}{most:14}{calls:8}{:8}{:8}{:10.2}",
            count(StatusCode::OK),
            count(StatusCode::SERVICE_UNAVAILABLE),
            took.as_secs_f64()
        );
        assert!(most <= at_once);
    }
}

/// How long it takes until the last is answered, and what the answers are.
async fn all_at_once<S, B>(service: &S, requests: Vec<Request<()>>) -> (Duration, Vec<StatusCode>)
where
    S: Service<Request<()>, Response = Response<B>, Error = std::convert::Infallible, Future: Send>,
    S: Clone + Send + 'static,
    B: Send + 'static,
{
    let start = Instant::now();
    let ask = |request| {
        let answer = service.clone().oneshot(request);
        tokio::spawn(async move {
            let Ok(response) = answer.await;
            (start.elapsed(), response.status())
        })
    };
    let herd: Vec<_> = requests.into_iter().map(ask).collect();
    let (mut last, mut statuses) = (Duration::ZERO, Vec::new());
    for answered in herd {
        let (at, status) = answered.await.expect("it does not panic");
        last = last.max(at);
        statuses.push(status);
    }
    (last, statuses)
}

fn stack(layer: &gateless::introspection::Introspection) -> Asking {
    let inner: Gated<Noop, ScopeGuard> = ScopeGuard::all(scopes!["orders:read"]).layer(noop());
    layer.layer(inner)
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be had")
}

fn many_threads() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be had")
}
