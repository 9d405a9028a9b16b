//! The processes: two instances of the service, their Redis, and their issuer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gateless_testkit::{Fault, TestIssuer};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

use crate::common::{PATIENCE, Server, free_port, temp_dir};
use crate::stats::Stats;
use crate::tokens::AUDIENCE;

pub(crate) const INSTANCES: usize = 2;

/// What an answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dependency {
    Redis,
    Issuer,
    Orders(usize),
}

/// When something did not work. Times count from the start of the load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Breakdown {
    pub(crate) of: Dependency,
    pub(crate) begin: Duration,
    pub(crate) end: Option<Duration>,
}

/// Where the keys of the issuer stand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Generations {
    /// When each generation began to sign, and when it was withdrawn.
    pub(crate) all: Vec<(Duration, Option<Duration>)>,
}

pub(crate) struct Fleet {
    pub(crate) issuer: TestIssuer,
    pub(crate) stats: Arc<Stats>,
    instances: Vec<Instance>,
    program: PathBuf,
    front: Mutex<Option<Child>>,
    front_port: u16,
    redis: Mutex<Server>,
    began: OnceLock<Instant>,
    duration: OnceLock<Duration>,
    breakdowns: Mutex<Vec<Breakdown>>,
    generations: Mutex<Generations>,
    /// The keys of the generations that are published.
    published: Mutex<Vec<String>>,
    folder: PathBuf,
}

pub(crate) struct Instance {
    port: u16,
    folder: PathBuf,
    process: Mutex<Option<Child>>,
    run: AtomicUsize,
    /// The runs that were killed, and when.
    killed: Mutex<BTreeMap<usize, Duration>>,
}

impl Fleet {
    pub(crate) async fn start(program: PathBuf, stats: Arc<Stats>) -> Self {
        let folder = temp_dir();
        let redis =
            block_in_place(|| Server::with(&["--appendonly", "yes", "--appendfsync", "always"]));
        let front_port = free_port();
        let name = format!("http://127.0.0.1:{front_port}");
        let issuer = TestIssuer::builder().issuer(&name).serve().await;
        let issuer = issuer.expect("a free port");
        // All that is published goes through the process in front.
        let metadata = json!({
            "issuer": name,
            "authorization_endpoint": format!("{name}/authorize"),
            "token_endpoint": format!("{name}/token"),
            "jwks_uri": format!("{name}/jwks"),
            "introspection_endpoint": format!("{name}/introspect"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        let metadata = metadata.to_string().into_bytes();
        issuer.set_discovery_fault(Fault::Body("application/json".into(), metadata));
        issuer.set_cache_control("max-age=60");
        let instances = (0..INSTANCES).map(|number| {
            let folder = folder.join(format!("orders-{number}"));
            fs::create_dir_all(&folder).expect("a folder is made");
            Instance {
                port: free_port(),
                folder,
                process: Mutex::default(),
                run: AtomicUsize::new(0),
                killed: Mutex::default(),
            }
        });
        let fleet = Self {
            published: Mutex::new(issuer.kids()),
            issuer,
            stats,
            instances: instances.collect(),
            program,
            front: Mutex::default(),
            front_port,
            redis: Mutex::new(redis),
            began: OnceLock::new(),
            duration: OnceLock::new(),
            breakdowns: Mutex::default(),
            generations: Mutex::new(Generations {
                all: vec![(Duration::ZERO, None)],
            }),
            folder,
        };
        fleet.start_front().await;
        for number in 0..INSTANCES {
            fleet.start_instance(number).await;
        }
        for number in 0..INSTANCES {
            fleet.until_ready(number).await;
        }
        fleet
    }

    pub(crate) fn describe(&self) -> String {
        let addresses: Vec<_> = (0..INSTANCES).map(|number| self.address(number)).collect();
        let (issuer, folder) = (self.issuer.issuer(), self.folder.display());
        format!(
            "orders at {}; issuer {issuer}; files in {folder}",
            addresses.join(" and ")
        )
    }

    /// From here on times count.
    pub(crate) fn begin(&self, duration: Duration) {
        let _ = self.duration.set(duration);
        let _ = self.began.set(Instant::now());
    }

    pub(crate) fn duration(&self) -> Duration {
        self.duration.get().copied().unwrap_or_default()
    }

    pub(crate) fn now(&self) -> Duration {
        self.began.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    pub(crate) async fn sleep_until(&self, at: Duration) {
        sleep(at.saturating_sub(self.now())).await;
    }

    pub(crate) fn address(&self, instance: usize) -> String {
        format!("127.0.0.1:{}", self.instance(instance).port)
    }

    pub(crate) fn run_of(&self, instance: usize) -> usize {
        self.instance(instance).run.load(Ordering::SeqCst)
    }

    pub(crate) fn killed(&self, instance: usize) -> BTreeMap<usize, Duration> {
        lock(&self.instance(instance).killed).clone()
    }

    pub(crate) fn audit_path(&self, instance: usize) -> PathBuf {
        self.instance(instance).folder.join("audit.jsonl")
    }

    /// The process of an instance, while there is one.
    pub(crate) fn process(&self, instance: usize) -> Option<u32> {
        lock(&self.instance(instance).process).as_ref()?.id()
    }

    pub(crate) fn breakdowns(&self) -> Vec<Breakdown> {
        lock(&self.breakdowns).clone()
    }

    pub(crate) fn generations(&self) -> Generations {
        lock(&self.generations).clone()
    }

    /// The number of the generation that signs.
    pub(crate) fn generation(&self) -> usize {
        lock(&self.generations).all.len() - 1
    }

    pub(crate) fn breaks(&self, of: Dependency) -> usize {
        let mut breakdowns = lock(&self.breakdowns);
        breakdowns.push(Breakdown {
            of,
            begin: self.now(),
            end: None,
        });
        breakdowns.len() - 1
    }

    pub(crate) fn mended(&self, number: usize) {
        if let Some(breakdown) = lock(&self.breakdowns).get_mut(number) {
            breakdown.end = Some(self.now());
        }
    }

    pub(crate) async fn redis_away(&self, lasts: Duration, loses_its_data: bool) {
        block_in_place(|| lock(&self.redis).kill());
        if loses_its_data {
            let folder = lock(&self.redis).dir().join("appendonlydir");
            fs::remove_dir_all(&folder).expect("Redis keeps its data there");
        }
        sleep(lasts).await;
        block_in_place(|| lock(&self.redis).restart());
    }

    pub(crate) async fn redis_hangs(&self, lasts: Duration) {
        lock(&self.redis).signal("STOP");
        sleep(lasts).await;
        lock(&self.redis).signal("CONT");
    }

    pub(crate) async fn issuer_away(&self, lasts: Duration) {
        let front = lock(&self.front).take();
        let mut front = front.expect("it runs");
        front.kill().await.expect("it runs");
        sleep(lasts).await;
        self.start_front().await;
    }

    pub(crate) async fn issuer_hangs(&self, lasts: Duration) {
        let id = lock(&self.front).as_ref().and_then(Child::id);
        let id = id.expect("it runs");
        signal(id, "STOP").await;
        sleep(lasts).await;
        signal(id, "CONT").await;
    }

    pub(crate) async fn introspection_fails(&self, lasts: Duration) {
        self.issuer.set_introspection_fault(Fault::Status(500));
        sleep(lasts).await;
        self.issuer
            .set_introspection_fault(Fault::Slow(Duration::ZERO));
    }

    /// New keys sign at once; after `lasts` the old ones are not published any more.
    pub(crate) async fn rotate(&self, lasts: Duration) {
        let issuer = self.issuer.clone();
        let old = lock(&self.published).clone();
        let rotated = tokio::task::spawn_blocking(move || {
            // The keys are made here, where no request waits for them.
            issuer.rotate_keeping_old();
            issuer.jwks()
        });
        let all = rotated.await.expect("keys are made");
        let keys = all.get("keys").and_then(|keys| keys.as_array());
        let keys = keys.cloned().unwrap_or_default();
        let id = |key: &serde_json::Value| {
            let id = key.get("kid").and_then(|id| id.as_str());
            id.unwrap_or_default().to_owned()
        };
        let known: Vec<_> = self.issuer.kids();
        // The ring keeps every generation; the last three are this one.
        let new = known.iter().rev().take(3).cloned().collect::<Vec<_>>();
        let published = |ids: &[&Vec<String>]| {
            let keys = keys.iter();
            let keys = keys.filter(|key| ids.iter().any(|ids| ids.contains(&id(key))));
            json!({ "keys": keys.collect::<Vec<_>>() })
        };
        self.issuer.set_jwks(published(&[&old, &new]));
        lock(&self.generations).all.push((self.now(), None));
        sleep(lasts).await;
        self.issuer.set_jwks(published(&[&new]));
        *lock(&self.published) = new;
        let now = self.now();
        let mut generations = lock(&self.generations);
        let before = generations.all.len() - 2;
        if let Some((_, withdrawn)) = generations.all.get_mut(before) {
            *withdrawn = Some(now);
        }
    }

    pub(crate) async fn restart(&self, number: usize, lasts: Duration, is_crash: bool) {
        if let Some(fault) = self.end(number, is_crash).await {
            self.stats.wrong(fault);
        }
        sleep(lasts).await;
        self.instance(number).run.fetch_add(1, Ordering::SeqCst);
        self.start_instance(number).await;
    }

    /// Ends everything in an orderly way, and says what was not.
    pub(crate) async fn stop(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for number in 0..INSTANCES {
            faults.extend(self.end(number, false).await);
        }
        let front = lock(&self.front).take();
        drop(front);
        block_in_place(|| lock(&self.redis).kill());
        faults
    }

    /// The files are of use when something was wrong.
    pub(crate) fn clean_up(&self, was_right: bool) {
        if was_right {
            let _ = fs::remove_dir_all(&self.folder);
        } else {
            println!("the files are left in {}", self.folder.display());
        }
    }

    async fn end(&self, number: usize, is_crash: bool) -> Option<String> {
        let instance = self.instance(number);
        let process = lock(&instance.process).take();
        let mut process = process?;
        if is_crash {
            lock(&instance.killed).insert(self.run_of(number), self.now());
            process.kill().await.expect("it runs");
            return None;
        }
        let id = process.id()?;
        signal(id, "TERM").await;
        // Ten seconds for what is under way and five for the last records.
        match timeout(Duration::from_secs(25), process.wait()).await {
            Ok(Ok(status)) if status.success() => None,
            Ok(status) => Some(format!(
                "instance {number} ended at SIGTERM with {status:?}"
            )),
            Err(_) => Some(format!("instance {number} does not end at SIGTERM")),
        }
    }

    async fn start_front(&self) {
        let program = std::env::current_exe().expect("this program has a path");
        let upstream = self.issuer.jwks_url();
        let upstream = upstream
            .trim_start_matches("http://")
            .trim_end_matches("/jwks");
        let begin = Instant::now();
        loop {
            let mut front = Command::new(&program)
                .args(["front", &self.front_port.to_string(), upstream])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .expect("this program starts itself");
            let stdout = front.stdout.take().expect("it is piped");
            let line = BufReader::new(stdout).lines().next_line().await;
            if line.is_ok_and(|line| line.is_some()) {
                *lock(&self.front) = Some(front);
                return;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "the port of the issuer is taken"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn start_instance(&self, number: usize) {
        let instance = self.instance(number);
        let begin = Instant::now();
        loop {
            let mut process = self.command(instance).spawn().unwrap_or_else(|error| {
                panic!("{}: {error}", self.program.display());
            });
            let stdout = process.stdout.take().expect("it is piped");
            let mut lines = BufReader::new(stdout).lines();
            let line = timeout(PATIENCE, lines.next_line()).await;
            if matches!(line, Ok(Ok(Some(_)))) {
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                *lock(&instance.process) = Some(process);
                return;
            }
            // The port may be somebody's outgoing one for a moment.
            assert!(
                begin.elapsed() < PATIENCE,
                "instance {number} does not start"
            );
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn command(&self, instance: &Instance) -> Command {
        let log = instance.folder.join("log");
        let log = fs::OpenOptions::new().create(true).append(true).open(log);
        let issuer = self.issuer.issuer();
        let mut command = Command::new(&self.program);
        command
            .env("BIND", format!("127.0.0.1:{}", instance.port))
            .env("ISSUER", issuer)
            .env("AUDIENCE", AUDIENCE)
            .env("INTROSPECTION_URL", format!("{issuer}/introspect"))
            .env("CLIENT_ID", TestIssuer::CLIENT_ID)
            .env("CLIENT_SECRET", TestIssuer::CLIENT_SECRET)
            .env("REDIS_URL", lock(&self.redis).url())
            .env("DENYLIST_PATH", instance.folder.join("denylist"))
            .env("AUDIT_PATH", instance.folder.join("audit.jsonl"))
            // Counted, in Redis too, and never reached.
            .env("RATE_LIMIT", "6000000")
            .env("FAILURE_LIMIT", "6000000")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.expect("the log can be written"))
            .kill_on_drop(true);
        command
    }

    /// Until it has keys and knows what was revoked. These requests have records, too.
    async fn until_ready(&self, number: usize) {
        let url = format!("http://{}/readyz", self.address(number));
        let begin = Instant::now();
        loop {
            self.stats.sent(number, 0, 0);
            if let Ok(answer) = reqwest::get(&url).await
                && answer.status().is_success()
            {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "instance {number} is not ready");
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn instance(&self, number: usize) -> &Instance {
        self.instances.get(number).expect("there are two of them")
    }
}

/// `name` is one of STOP, CONT and TERM.
async fn signal(process: u32, name: &str) {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(process.to_string())
        .status()
        .await;
    assert!(status.is_ok_and(|status| status.success()), "kill -{name}");
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The keys that the log of an instance was signed with lie beside it.
pub(crate) fn keys_beside(audit: &Path) -> Vec<PathBuf> {
    let folder = audit.parent().unwrap_or(Path::new("."));
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = files.map(|file| file.path());
    files
        .filter(|path| path.extension().is_some_and(|it| it == "pem"))
        .collect()
}
