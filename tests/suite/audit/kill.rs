//! A service that is killed while it writes. It is a process of its own: this test program, started again as [`child`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use gateless::audit::{AuditLog, Backpressure, Durability, FileSink, SealKey};
use gateless_audit::file_name;
use gateless_audit::verify::{FindingKind, Report};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::files::{Folder, records, verify};
use crate::sockets::{DEADLINE, listen};

const LOG: &str = "GATELESS_TEST_AUDIT_LOG";
const SEAL: &str = "GATELESS_TEST_AUDIT_SEAL";
const SYNCED: &str = "GATELESS_TEST_AUDIT_SYNCED";

/// The service under test: a test that is none unless it is told where to write.
///
/// It says where it listens, and ends in an orderly way when its standard input does: also when the test is gone.
#[test]
fn child() {
    let Some(path) = std::env::var_os(LOG) else {
        return;
    };
    let durability = match std::env::var_os(SYNCED) {
        Some(_) => Durability::Synced,
        None => Durability::Written,
    };
    let sink = FileSink::new(path).durability(durability);
    let seal = SealKey::from_pem(&std::env::var(SEAL).unwrap()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let audit = AuditLog::builder("orders-1", sink, Backpressure::FailRequest)
            .seal(seal)
            .checkpoint_every(50, Duration::from_secs(1))
            .without_folding()
            .build()
            .unwrap();
        let (listener, address) = listen().await;
        let router = Router::new()
            .route("/orders", get(async || "some orders"))
            .layer(audit.clone());
        let server = axum::serve(listener, router);
        let stdin = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let is_told_to_end = tokio::task::spawn_blocking(stdin);
        println!("\nlistening on {address}");
        tokio::select! {
            served = server => served.unwrap(),
            told = is_told_to_end => drop(told.unwrap()),
        }
        audit.handle().close(Duration::from_secs(5)).await.unwrap();
    });
}

/// A running service.
pub(super) struct Service {
    process: Child,
    pub(super) address: SocketAddr,
}

impl Service {
    pub(super) async fn start(path: &Path, durability: Durability, seal: &SealKey) -> Self {
        let program = std::env::current_exe().unwrap();
        Self::run(Command::new(program), path, durability, seal).await
    }

    /// No file of it can be larger than so many KiB: what is written beyond that fails as on a full disk, in the middle of a line.
    pub(super) async fn start_limited(path: &Path, kib: u32, seal: &SealKey) -> Self {
        // The signal would end the process; ignored, it becomes the error of `write`. Blocks have 512 bytes (POSIX).
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", kib * 2);
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]);
        command.arg(std::env::current_exe().unwrap());
        Self::run(command, path, Durability::Written, seal).await
    }

    async fn run(
        mut command: Command,
        path: &Path,
        durability: Durability,
        seal: &SealKey,
    ) -> Self {
        command
            .args(["--exact", "audit::kill::child", "--nocapture"])
            .env(LOG, path)
            .env(SEAL, seal.to_pem().as_str())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if durability == Durability::Synced {
            command.env(SYNCED, "1");
        }
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = timeout(DEADLINE, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(address) = line.strip_prefix("listening on ") {
                    return address.parse().unwrap();
                }
            }
            panic!("it ended before it listened; its standard error says why")
        })
        .await
        .expect("it does not listen");
        // Whatever else it prints must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { process, address }
    }

    /// `kill -9`; returns when the process is gone.
    async fn kill(mut self) {
        timeout(DEADLINE, self.process.kill())
            .await
            .expect("not even SIGKILL ends it")
            .unwrap();
    }

    /// An orderly end.
    pub(super) async fn end(mut self) {
        drop(self.process.stdin.take());
        let status = timeout(DEADLINE, self.process.wait()).await;
        assert!(status.expect("it does not end").unwrap().success());
    }
}

/// A response: the trace of its request, and its status.
type Answer = (String, u16);

/// A request with a trace of its own.
pub(super) async fn ask(
    client: &reqwest::Client,
    address: SocketAddr,
) -> Result<Answer, reqwest::Error> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let trace = format!("{:032x}", NEXT.fetch_add(1, Ordering::Relaxed));
    let request = client.get(format!("http://{address}/orders"));
    let request = request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let status = request.send().await?.status().as_u16();
    Ok((trace, status))
}

pub(super) fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().timeout(DEADLINE);
    builder.build().unwrap()
}

/// Sends requests from several tasks until the service is gone.
fn load(address: SocketAddr) -> mpsc::UnboundedReceiver<Answer> {
    let (said, answers) = mpsc::unbounded_channel();
    for _ in 0..12 {
        let (said, client) = (said.clone(), client());
        tokio::spawn(async move {
            while let Ok(answer) = ask(&client, address).await {
                if said.send(answer).is_err() {
                    break;
                }
            }
        });
    }
    answers
}

fn below(bound: u64) -> u64 {
    RandomState::new().hash_one(()) % bound
}

/// Kills the service again and again, after as many answers as chance says, and lets it end in an orderly way at last.
/// Returns whose requests were answered.
async fn rounds(path: &Path, durability: Durability, seal: &SealKey, rounds: usize) -> Vec<String> {
    let mut answered = Vec::new();
    for _ in 0..rounds {
        let service = Service::start(path, durability, seal).await;
        let mut answers = load(service.address);
        for _ in 0..=below(300) {
            let answer = timeout(DEADLINE, answers.recv()).await;
            answered.push(answer.expect("no answer").expect("it is gone"));
        }
        service.kill().await;
        // What was on its way to the clients.
        let rest = async {
            while let Some(answer) = answers.recv().await {
                answered.push(answer);
            }
        };
        timeout(DEADLINE, rest).await.expect("who answers?");
    }
    let service = Service::start(path, durability, seal).await;
    answered.push(ask(&client(), service.address).await.unwrap());
    service.end().await;
    let all_served = answered.iter().all(|(_, status)| *status == 200);
    assert!(all_served, "{answered:?}");
    answered.into_iter().map(|(trace, _)| trace).collect()
}

fn kinds(report: &Report) -> BTreeMap<&'static str, usize> {
    let mut kinds = BTreeMap::new();
    for finding in report.findings.iter().chain(&report.notices) {
        *kinds.entry(finding.kind.code()).or_default() += 1;
    }
    kinds
}

async fn no_answer_without_its_record(name: &str, durability: Durability, kills: usize) {
    let (folder, seal) = (Folder::new(name), SealKey::random());
    let path = folder.path("audit.jsonl");
    let answered = rounds(&path, durability, &seal, kills).await;
    let files = file_name::set(&path).unwrap();
    assert_eq!(files.len(), kills + 1, "each run has a file of its own");

    let written = records(&files);
    let traces: Vec<_> = written
        .iter()
        .filter_map(|record| record["trace"].as_str())
        .collect();
    let known: BTreeSet<_> = traces.iter().copied().collect();
    assert_eq!(known.len(), traces.len(), "a request has one record");
    let lacks: Vec<_> = answered
        .iter()
        .filter(|trace| !known.contains(trace.as_str()))
        .collect();
    assert!(
        lacks.is_empty(),
        "{} of {} answers without a record: {lacks:?}",
        lacks.len(),
        answered.len()
    );

    let report = verify(&seal, &files);
    assert!(report.is_clean(), "{:#?}", report.findings);
    assert_eq!(report.chains.len(), kills + 1);
    // The run behind each kill knows where the one before ended: nothing was cut off there.
    assert_eq!(kinds(&report)["died"], kills, "{:#?}", report.notices);
    assert!(report.chains.last().unwrap().is_stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_before_a_kill_is_written() {
    no_answer_without_its_record("kill-written", Durability::Written, 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_before_a_kill_is_synced() {
    no_answer_without_its_record("kill-synced", Durability::Synced, 4).await;
}

/// A kill seldom cuts a line, a loss of power does: here, the end of the file is cut as if by one.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_a_kill_left_torn_is_no_finding() {
    let (folder, seal) = (Folder::new("kill-torn"), SealKey::random());
    let path = folder.path("audit.jsonl");
    let service = Service::start(&path, Durability::Written, &seal).await;
    for _ in 0..3 {
        ask(&client(), service.address).await.unwrap();
    }
    service.kill().await;
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 40]).unwrap();
    let service = Service::start(&path, Durability::Written, &seal).await;
    ask(&client(), service.address).await.unwrap();
    service.end().await;

    let files = file_name::set(&path).unwrap();
    let report = verify(&seal, &files);
    let lines = whole.iter().filter(|byte| **byte == b'\n').count();
    assert!(report.is_clean(), "{:#?}", report.findings);
    let mut notices = report.notices.iter();
    let torn = notices.find(|notice| notice.kind == FindingKind::TornLine);
    let torn = torn.expect("it is told");
    assert_eq!(torn.at.line, lines as u64);
    assert_eq!(*torn.at.file, files[0].display().to_string());
    // What the next run knows is the line before it, so that is where the chain ended.
    assert_eq!(kinds(&report)["died"], 1, "{report:#?}");
    let starts: Vec<Value> = records(&files[1..]);
    assert_eq!(starts[0]["previous"]["seq"], lines - 2);
}
