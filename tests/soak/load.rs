//! Who asks: callers with tokens of every kind, somebody who revokes them, and watchers of streams.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt as _;

use crate::faults::Chance;
use crate::fleet::{Dependency, Fleet, INSTANCES};
use crate::oracle::{Answer, Asked, Times};
use crate::tokens::{Kind, Purse, Revoked, Token, jwt, opaque, operator, revocable, writer};
use crate::wire::Wire;

const CALLERS: usize = 24;
/// All of them together.
const REQUESTS_PER_SECOND: u64 = 300;
/// The pause of a caller, and of a revoker.
const PAUSE: Duration = Duration::from_millis(1_000 * CALLERS as u64 / REQUESTS_PER_SECOND);
const REVOKES_EVERY: Duration = Duration::from_secs(2);
const FILLS_EVERY: Duration = Duration::from_secs(45);

pub(crate) struct Load {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

struct Caller {
    fleet: Arc<Fleet>,
    purse: Arc<Purse>,
    wires: Vec<Wire>,
    chance: Chance,
    stop: Arc<AtomicBool>,
}

pub(crate) fn start(fleet: &Arc<Fleet>, seed: u64) -> Load {
    let (purse, stop) = (Arc::new(Purse::default()), Arc::default());
    let mut chance = Chance(seed ^ 0x10ad);
    purse.fill(fleet, &mut chance);
    let mut tasks = JoinSet::new();
    let caller = |number: usize| Caller {
        fleet: Arc::clone(fleet),
        purse: Arc::clone(&purse),
        wires: (0..INSTANCES)
            .map(|it| Wire::to(fleet.address(it)))
            .collect(),
        chance: Chance(seed.wrapping_mul(31).wrapping_add(number as u64)),
        stop: Arc::clone(&stop),
    };
    for number in 0..CALLERS {
        tasks.spawn(caller(number).call());
    }
    tasks.spawn(caller(CALLERS).revoke());
    tasks.spawn(caller(CALLERS + 1).fill());
    for instance in 0..INSTANCES {
        tasks.spawn(caller(CALLERS + 2 + instance).watch(instance));
    }
    Load { tasks, stop }
}

impl Load {
    /// Lets what is under way end.
    pub(crate) async fn finish(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("callers do not panic");
        }
    }
}

impl Caller {
    async fn call(mut self) {
        while !self.is_over() {
            let token = self.purse.draw(&self.fleet, &mut self.chance);
            let instance = self.chance.below(INSTANCES);
            self.ask(instance, &token).await;
            sleep(PAUSE).await;
        }
    }

    /// One request, judged.
    async fn ask(&mut self, instance: usize, token: &Token) -> Answer {
        let is_fresh = self.chance.below(8) == 0;
        let is_grpc = self.chance.below(3) == 0;
        let what = if is_grpc { "gRPC List" } else { "GET /orders" };
        let (fleet, wires) = (&self.fleet, &self.wires);
        let wire = wires.get(instance).expect("there is one for each");
        let call = async {
            match is_grpc {
                true => wire.list(token, is_fresh).await,
                false => wire.get("/orders", token, is_fresh).await,
            }
        };
        judged(fleet, instance, token, what, call).await
    }

    /// Tokens that were used at each instance are revoked through one of them, or at their issuer.
    async fn revoke(mut self) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        while !self.is_over() {
            sleep(REVOKES_EVERY).await;
            let id = format!("revoked-{}", NEXT.fetch_add(1, Ordering::Relaxed));
            let generation = self.fleet.generation();
            let way = self.chance.below(5);
            let mut token = match way {
                3 | 4 => opaque(&self.fleet, 7_200),
                _ => revocable(&self.fleet, generation, &id),
            };
            for instance in 0..INSTANCES {
                self.ask(instance, &token).await;
            }
            if way == 4 {
                self.fleet.issuer.revoke(&token.text);
                let at = self.fleet.now();
                token.kind = Kind::RevokedThere { at };
                self.purse.revoked(token, &mut self.chance);
                continue;
            }
            let body = match way {
                0 => json!({ "jti": id }),
                1 => json!({ "sid": format!("session-{id}") }),
                2 => json!({ "sub": format!("subject-{id}") }),
                _ => json!({ "token_sha256": sha256(&token.text) }),
            };
            let by = self.chance.below(INSTANCES);
            if let Some(status) = self.post_revocation(by, &body).await {
                let generation = (way < 3).then_some(generation);
                token.kind = Kind::Revoked(Revoked {
                    by,
                    at: self.fleet.now(),
                    is_stored: status == "stored",
                    generation,
                });
                for instance in 0..INSTANCES {
                    self.ask(instance, &token).await;
                }
                self.purse.revoked(token, &mut self.chance);
            }
        }
    }

    /// What the service says of it, when it took it.
    async fn post_revocation(&self, by: usize, body: &Value) -> Option<String> {
        let (fleet, wires) = (&self.fleet, &self.wires);
        let wire = wires.get(by).expect("there is one for each");
        let operator = operator(fleet, fleet.generation());
        let mut told = Value::Null;
        let call = async {
            let (answer, body) = wire.post("/admin/revocations", &operator, body).await;
            told = body;
            answer
        };
        let answer = judged(fleet, by, &operator, "POST /admin/revocations", call).await;
        let status = told.get("status").and_then(Value::as_str);
        status
            .filter(|_| answer == Answer::Passes)
            .map(str::to_owned)
    }

    /// New tokens from time to time, and with each new key.
    async fn fill(mut self) {
        let mut filled = (self.fleet.now(), self.fleet.generation());
        while !self.is_over() {
            sleep(Duration::from_millis(100)).await;
            let (now, generation) = (self.fleet.now(), self.fleet.generation());
            if generation != filled.1 || now > filled.0 + FILLS_EVERY {
                self.purse.fill(&self.fleet, &mut self.chance);
                filled = (now, generation);
            }
        }
    }

    /// An order that is placed while a stream is open comes along it.
    async fn watch(mut self, instance: usize) {
        while !self.is_over() {
            let fleet = Arc::clone(&self.fleet);
            let this = Dependency::Orders(instance);
            let wire = Wire::to(fleet.address(instance));
            let token = jwt(&fleet, fleet.generation(), 2, 600);
            let mut stream = None;
            let call = async {
                match wire.watch(&token).await {
                    Ok(open) => {
                        stream = Some(open);
                        Answer::Passes
                    }
                    Err(answer) => answer,
                }
            };
            judged(&fleet, instance, &token, "gRPC Watch", call).await;
            let Some(mut stream) = stream else {
                sleep(Duration::from_secs(1)).await;
                continue;
            };
            let opened = fleet.now();
            for _ in 0..2 {
                let token = writer(&fleet, fleet.generation());
                let order = json!({ "item": "tea", "quantity": 1 });
                let call = async { wire.post("/orders", &token, &order).await.0 };
                let answer = judged(&fleet, instance, &token, "POST /orders", call).await;
                if answer != Answer::Passes {
                    break;
                }
                let came = timeout(Duration::from_secs(10), stream.next()).await;
                let was_down = fleet.breakdowns().iter().any(|breakdown| {
                    breakdown.of == this && breakdown.end.is_none_or(|end| end >= opened)
                });
                if !matches!(came, Ok(Some(Ok(())))) && !was_down {
                    let says = "an order did not come along an open stream";
                    fleet.stats.wrong(format!("instance {instance}: {says}"));
                }
                let pause = 4_000 + 1_000 * self.chance.below(12) as u64;
                for _ in 0..pause / 200 {
                    if self.is_over() {
                        return;
                    }
                    sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// Counts a request and its answer, and says so when that is none of those that there may be.
async fn judged(
    fleet: &Fleet,
    instance: usize,
    token: &Token,
    what: &str,
    call: impl Future<Output = Answer>,
) -> Answer {
    let (from, run) = (fleet.now(), fleet.run_of(instance));
    let answer = call.await;
    let (to, now_run) = (fleet.now(), fleet.run_of(instance));
    fleet.stats.sent(instance, run, now_run);
    if run == now_run && !matches!(answer, Answer::Silence) {
        let passed = answer == Answer::Passes;
        fleet.stats.answered(instance, run, passed, to);
    }
    let asked = Asked {
        token,
        instance,
        from,
        to,
    };
    let times = Times::of(fleet);
    let allowed = times.allowed(&asked);
    let heat = if token.is_hot { "" } else { ", fresh" };
    let sent = format!("{}{heat}", token.kind.name(fleet.generation()));
    fleet.stats.count(sent, &answer);
    if !allowed.contains(&answer) {
        let (from, to) = (from.as_secs_f32(), to.as_secs_f32());
        fleet.stats.wrong(format!(
            "{from:.3} s to {to:.3} s, instance {instance} (run {run} to {now_run}): {what}, {:?}{heat}: \
             {answer:?}, and not one of {allowed:?}",
            token.kind
        ));
    }
    answer
}

fn sha256(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    let mut hex = String::new();
    for byte in digest.as_ref() {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
