//! How long it takes until everybody knows: from the call of `revoke()` on one instance of a fleet until the last one
//! refuses the caller, over a real `redis-server` on loopback.
//!
//! All instances are in this process, on a runtime with two workers, and each has connections of its own to the server.
//! Nobody polls. An instance applies what its log told it, and then asks the log for more; in that call a hook asks
//! `is_revoked` of the instance itself, and notes the time if it says so. The instance that revokes is done when `revoke()`
//! is. Between two rounds there is a pause, so that all of them wait for the server again.
//!
//! Before that, each instance revokes once: it connects for that, beside the connection on which it follows. In the same
//! rounds an `XADD` to a stream that nobody follows goes over a connection of the same kind.

#[allow(clippy::indexing_slicing, reason = "written for tests")]
#[path = "../../crates/gateless-redis/tests/common/mod.rs"]
mod common;

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gateless::denylist::{Denylist, DenylistHandle};
use gateless::{
    Appended, Clock as _, LogPosition, LogTail, OnOutage, Principal, PrincipalParts, Revocation,
    RevocationChange, RevocationLog, RevocationRecord, StoreFuture, SystemClock,
};

use gateless_redis::{RedisLog, RedisServer};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, cmd};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};

use self::common::Server;

const ISSUER: &str = "https://idp.example.com";
/// After this a round has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// After this there are no more rounds, however few there were.
const LONGEST: Duration = Duration::from_secs(20);

fn main() {
    // `cargo test --all-targets` runs this as well, to see that it works.
    let is_measuring = std::env::args().any(|argument| argument == "--bench");
    let fleets = if is_measuring {
        [(10, 300), (100, 100)]
    } else {
        [(2, 2), (3, 2)]
    };
    if let Err(problem) = find_server() {
        eprintln!("propagation: {problem}");
        std::process::exit(1);
    }
    let server = Server::with(&["--appendonly", "no"]);
    println!("From the start of revoke() until the last instance refuses the caller, ms.\n");
    println!(
        "{:>10}{:>8}  {:28}{:>8}{:>8}{:>8}",
        "instances", "rounds", "", "p50", "p99", "max"
    );
    for (instances, rounds) in fleets {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be had");
        // A task of its own, so that it is on a worker as all the others are.
        let done = runtime.spawn(fleet(server.url(), server.port(), instances, rounds));
        let [everybody, revoke, xadd, first] = runtime.block_on(done).expect("it does not panic");
        for (name, times) in [
            ("the last instance refuses", everybody),
            ("revoke() is done", revoke),
            ("one bare XADD", xadd),
            ("each one's first revoke()", first),
        ] {
            let rounds = times.len();
            let [half, most, all] = percentiles(times);
            println!("{instances:10}{rounds:8}  {name:28}{half:8.3}{most:8.3}{all:8.3}");
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

/// How long it takes until everybody refuses, until `revoke()` is done, for an `XADD`, and until the first `revoke()` of each
/// instance is done.
async fn fleet(url: String, port: u16, instances: usize, rounds: usize) -> [Vec<Duration>; 4] {
    let (sender, mut heard) = unbounded_channel();
    let mut fleet = Vec::new();
    for _ in 0..instances {
        fleet.push(Instance::start(&url, instances, sender.clone()));
    }
    for instance in &fleet {
        instance.ready().await;
    }
    let mut bare = connect(port).await;
    let begin = Instant::now();
    let (mut times, mut first) = ([const { Vec::new() }; 3], Vec::new());
    // Longer for more of them, and not in step with anything.
    let pause = |round: usize| {
        let micros = 5_000 + 100 * instances as u64 + (round as u64 * 617) % 1_000;
        sleep(Duration::from_micros(micros))
    };
    for round in 0..instances + rounds {
        if begin.elapsed() > LONGEST {
            break;
        }
        pause(round).await;
        let add = xadd(&mut bare, instances).await;
        pause(round).await;
        let by = round % instances;
        let name = format!("{instances}-{round}");
        let [all, revoke] = revoke(&fleet, by, &name, &mut heard).await;
        if round < instances {
            first.push(revoke);
            continue;
        }
        for (times, took) in times.iter_mut().zip([all, revoke, add]) {
            times.push(took);
        }
    }
    for instance in &fleet {
        instance.hook.wait_for(None);
    }
    let [all, revoke, add] = times;
    [all, revoke, add, first]
}

/// How long it takes until everybody refuses, and until `revoke()` is done.
async fn revoke(
    fleet: &[Instance],
    by: usize,
    name: &str,
    heard: &mut UnboundedReceiver<Instant>,
) -> [Duration; 2] {
    let now = SystemClock::new().wall();
    let caller = Principal::assert_authenticated(PrincipalParts {
        token_id: Some(name.into()),
        issued_at: Some(now),
        ..PrincipalParts::new(ISSUER, now.saturating_add(Duration::from_secs(3600)))
    });
    let revocation = Revocation::token(ISSUER, name).expires_at(caller.expires_at());
    let mut others = 0;
    for (index, instance) in fleet.iter().enumerate() {
        let is_refused = instance.handle.is_revoked(&caller);
        assert!(!is_refused, "nobody has revoked it so far");
        if index != by {
            instance
                .hook
                .wait_for(Some((instance.handle.clone(), caller.clone())));
            others += 1;
        }
    }
    let instance = fleet.get(by).expect("it is one of them");

    let start = Instant::now();
    let revoked = instance.handle.revoke(&revocation).await;
    let done = Instant::now();
    revoked.expect("it is stored");
    assert!(instance.handle.is_revoked(&caller));
    let mut last = done;
    for _ in 0..others {
        let at = timeout(PATIENCE, heard.recv()).await;
        let at = at.expect("all of them hear of it in time");
        last = last.max(at.expect("they are there"));
    }
    assert!(fleet.iter().all(|it| it.handle.is_revoked(&caller)));
    [last - start, done - start]
}

/// A list with a log of its own.
struct Instance {
    handle: DenylistHandle,
    hook: Arc<Hook>,
}

impl Instance {
    fn start(url: &str, fleet: usize, heard: UnboundedSender<Instant>) -> Self {
        let server = RedisServer::builder(url).build();
        // A new log is left to settle for 3 s, which is not what is asked for here.
        let log = RedisLog::builder(server.expect("the URL is sound"))
            .prefix(format!("fleet-of-{fleet}"))
            .settle(Duration::ZERO)
            .build()
            .expect("the settings are sound");
        let hook = Arc::new(Hook {
            waits_for: Mutex::default(),
            heard,
        });
        let log = Hooked {
            log,
            hook: Arc::clone(&hook),
        };
        let denylist = Denylist::builder(log, OnOutage::FailClosed).build();
        let handle = denylist.expect("the settings are sound").handle().clone();
        Self { handle, hook }
    }

    async fn ready(&self) {
        let begin = Instant::now();
        while let Err(error) = self.handle.ready().await {
            assert!(begin.elapsed() < PATIENCE, "{error}");
        }
    }
}

/// Notes when an instance refuses somebody.
#[derive(Debug)]
struct Hook {
    waits_for: Mutex<Option<(DenylistHandle, Principal)>>,
    heard: UnboundedSender<Instant>,
}

impl Hook {
    fn wait_for(&self, whom: Option<(DenylistHandle, Principal)>) {
        let mut waits_for = self
            .waits_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *waits_for = whom;
    }

    fn look(&self) {
        let mut waits_for = self
            .waits_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if waits_for
            .take_if(|(handle, caller)| handle.is_revoked(caller))
            .is_some()
        {
            // Nobody counts any more when it ends.
            let _ = self.heard.send(Instant::now());
        }
    }
}

/// A log that looks whether there is news for the hook each time that it is asked for more.
#[derive(Debug)]
struct Hooked {
    log: RedisLog,
    hook: Arc<Hook>,
}

impl RevocationLog for Hooked {
    fn append<'a>(&'a self, changes: &'a [RevocationChange]) -> StoreFuture<'a, Appended> {
        self.log.append(changes)
    }

    fn load<'a>(
        &'a self,
        sink: &'a mut (dyn FnMut(&[RevocationRecord]) + Send),
    ) -> StoreFuture<'a, LogPosition> {
        self.log.load(sink)
    }

    fn follow<'a>(&'a self, position: &'a LogPosition, wait: Duration) -> StoreFuture<'a, LogTail> {
        self.hook.look();
        self.log.follow(position, wait)
    }
}

/// A connection as the log has them.
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

/// As many bytes as a change has, more or less.
async fn xadd(connection: &mut MultiplexedConnection, fleet: usize) -> Duration {
    let mut command = cmd("XADD");
    command.arg(format!("bare-of-{fleet}")).arg("*");
    command.arg("change").arg([7_u8; 64].as_slice());
    let start = Instant::now();
    let added: redis::RedisResult<String> = command.query_async(connection).await;
    let took = start.elapsed();
    added.expect("it is stored");
    took
}

/// Half of them, 99 in a hundred, and all of them take no longer than this many milliseconds.
fn percentiles(mut times: Vec<Duration>) -> [f64; 3] {
    times.sort_unstable();
    [50, 99, 100].map(|percent| {
        let rank = (times.len() * percent).div_ceil(100);
        let time = times.get(rank.saturating_sub(1));
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    })
}
