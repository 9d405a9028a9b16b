//! The layer over real files, and what can happen to those.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use gateless::Timestamp;
use gateless::audit::{FileSink, SealPublicKey};
use gateless_audit::file_name;
use gateless_audit::verify::{Finding, FindingKind, Report, Verifier};
use gateless_testkit::Recorder;
use tokio::task::JoinSet;

use super::kill::{Service, ask, client};
use super::*;

/// A folder for the files of one test. They stay there until the next run: `cargo xtask test` looks through them.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("audit")
            .join(name);
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Gives all lines of `files` to the verifier, as `gateless-audit verify` does.
pub(super) fn feed(mut verifier: Verifier, files: &[PathBuf]) -> Report {
    for file in files {
        let (name, text) = (file.display().to_string(), fs::read(file).unwrap());
        for (number, line) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
            match line.strip_suffix(b"\n") {
                Some(line) => verifier.line(&name, number, line),
                None => verifier.torn_line(&name, number),
            }
        }
    }
    verifier.finish()
}

pub(super) fn verify(seal: &SealKey, files: &[PathBuf]) -> Report {
    feed(Verifier::new().key(seal.public().clone()), files)
}

/// All whole lines of `files`.
pub(super) fn records(files: &[PathBuf]) -> Vec<Value> {
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    texts
        .flat_map(|text| {
            let lines = text
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'));
            lines
                .map(|line| serde_json::from_str(line).unwrap())
                .collect::<Vec<_>>()
        })
        .collect()
}

#[track_caller]
fn is_clean(report: &Report) {
    assert!(report.is_clean(), "{:#?}", report.findings);
}

/// The only finding, and its line.
#[track_caller]
fn only(report: &Report) -> (FindingKind, u64) {
    assert_eq!(report.findings.len(), 1, "{:#?}", report.findings);
    (report.findings[0].kind, report.findings[0].at.line)
}

/// A layer over a real file.
struct Disk {
    path: PathBuf,
    seal: SealPublicKey,
    clock: FakeClock,
    audit: AuditLog,
}

impl Disk {
    fn at(path: PathBuf) -> Self {
        Self::of(path, |sink| sink, |builder| builder)
    }

    fn of(
        path: PathBuf,
        sink: impl FnOnce(FileSink) -> FileSink,
        set: impl FnOnce(AuditLogBuilder) -> AuditLogBuilder,
    ) -> Self {
        let (clock, seal) = (FakeClock::new(), SealKey::random());
        let public = seal.public().clone();
        let file = sink(FileSink::new(&path).clock(Arc::new(clock.clone())));
        let builder = AuditLog::builder("orders-1", file, Backpressure::FailRequest)
            .clock(Arc::new(clock.clone()))
            .seal(seal)
            .without_folding();
        Self {
            path,
            seal: public,
            clock,
            audit: set(builder).build().unwrap(),
        }
    }

    async fn ask(&self) -> u16 {
        let service = self.audit.layer(Recorder::new());
        let answer = service.oneshot(Request::new(String::new())).await;
        answer.unwrap().status().as_u16()
    }

    async fn ask_times(&self, times: usize) {
        for _ in 0..times {
            assert_eq!(self.ask().await, 200);
        }
    }

    async fn close(&self) {
        let handle = self.audit.handle();
        handle.close(crate::sockets::DEADLINE).await.unwrap();
    }

    fn verifier(&self) -> Verifier {
        Verifier::new().key(self.seal.clone())
    }

    fn files(&self) -> Vec<PathBuf> {
        file_name::set(&self.path).unwrap()
    }

    fn verify(&self) -> Report {
        feed(self.verifier(), &self.files())
    }
}

#[test]
fn a_place_where_no_file_can_be_is_refused_before_anything_is_served() {
    let folder = Folder::new("no-place");
    fs::write(folder.path("file"), "x").unwrap();
    fs::create_dir(folder.path("folder")).unwrap();
    for path in ["file/audit.jsonl", "folder"] {
        let sink = FileSink::new(folder.path(path));
        let builder = AuditLog::builder("orders-1", sink, Backpressure::FailRequest);
        let says = builder.build().unwrap_err().to_string();
        assert!(says.contains("sink"), "{path}: {says}");
    }
    assert_eq!(fs::read_to_string(folder.path("file")).unwrap(), "x");
}

/// What `build` says of a log that somebody else writes.
#[track_caller]
fn is_refused(path: &Path) {
    let before = fs::read(path).unwrap();
    let builder = AuditLog::builder("orders-2", FileSink::new(path), Backpressure::FailRequest);
    let says = builder.build().unwrap_err().to_string();
    assert!(says.contains("sink") && says.contains("locked"), "{says}");
    assert_eq!(fs::read(path).unwrap(), before, "and nothing was changed");
}

#[tokio::test]
async fn tl_09_a_log_has_one_writer() {
    let folder = Folder::new("one-writer");
    let disk = Disk::at(folder.path("here.jsonl"));
    disk.ask_times(1).await;
    is_refused(&disk.path);
    disk.ask_times(1).await;
    disk.close().await;
    is_clean(&disk.verify());

    let (path, seal) = (folder.path("there.jsonl"), SealKey::random());
    let service = Service::start(&path, Durability::Written, &seal).await;
    ask(&client(), service.address).await.unwrap();
    is_refused(&path);
    service.end().await;
    is_clean(&verify(&seal, &[path]));
}

#[tokio::test]
async fn tl_09_two_instances_with_a_file_each_have_two_chains() {
    let folder = Folder::new("two-instances");
    let disks = ["a.jsonl", "b.jsonl"].map(|name| Disk::at(folder.path(name)));
    for _ in 0..5 {
        for disk in &disks {
            disk.ask_times(1).await;
        }
    }
    for disk in &disks {
        disk.close().await;
        let report = disk.verify();
        is_clean(&report);
        assert_eq!(report.chains.len(), 1);
        assert!(report.chains[0].is_stopped && report.chains[0].only_chained == 0);
    }
    let [a, b] = disks.map(|disk| disk.path);
    assert_ne!(records(&[a])[0]["boot"], records(&[b])[0]["boot"]);
}

/// The real thing, as far as it can be had without privileges: a limit on the size of files. When the file is moved away, there is
/// room again.
#[tokio::test(flavor = "multi_thread")]
async fn tl_06_a_full_disk_refuses_requests_until_there_is_room() {
    let (folder, seal) = (Folder::new("full"), SealKey::random());
    let (path, full) = (folder.path("audit.jsonl"), folder.path("full.jsonl"));
    let service = Service::start_limited(&path, 16, &seal).await;
    let client = client();
    let mut served = Vec::new();
    let mut until = async |wanted: u16| {
        let begin = std::time::Instant::now();
        let mut refused = 0;
        loop {
            let (trace, status) = ask(&client, service.address).await.unwrap();
            match status {
                200 => served.push(trace),
                503 => refused += 1,
                _ => panic!("{status}"),
            }
            if status == wanted {
                return refused;
            }
            assert!(begin.elapsed() < crate::sockets::DEADLINE, "no {wanted}");
        }
    };
    let refused_first = until(503).await;
    let len = fs::metadata(&path).unwrap().len();
    assert!((15 << 10..=16 << 10).contains(&len), "{len}");
    // Nothing of a record that does not fit stays behind.
    assert!(fs::read(&path).unwrap().ends_with(b"\n"));
    fs::rename(&path, &full).unwrap();
    let refused = refused_first + until(200).await;
    service.end().await;

    let files = [full, path];
    let report = verify(&seal, &files);
    is_clean(&report);
    assert_eq!(report.chains.len(), 1);
    let written = records(&files);
    for trace in &served {
        let of = |record: &&Value| record["trace"] == **trace && record["outcome"] == "allowed";
        assert_eq!(written.iter().filter(of).count(), 1, "{trace}");
    }
    let gaps = written.iter().filter(|record| record["kind"] == "gap");
    let unserved: u64 = gaps.map(|gap| gap["unserved"].as_u64().unwrap()).sum();
    // The first of them was answered by the handler already: it has a record, and its response did not leave.
    let withheld = written.iter().filter(|record| record["end"] == "withheld");
    assert_eq!(withheld.count(), 1);
    assert_eq!(unserved, refused - 1);
}

/// Sends requests until it is told to stop.
fn under_load(disk: &Disk) -> (Arc<AtomicBool>, JoinSet<u64>) {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let (audit, is_over) = (disk.audit.clone(), Arc::clone(&is_over));
        tasks.spawn(async move {
            let mut served = 0;
            while !is_over.load(Ordering::SeqCst) {
                let service = audit.layer(Recorder::new());
                let answer = service.oneshot(Request::new(String::new())).await;
                assert_eq!(answer.unwrap().status(), 200);
                served += 1;
            }
            served
        });
    }
    (is_over, tasks)
}

async fn long_enough(disk: &Disk, bytes: u64) {
    eventually("it is written", || {
        fs::metadata(&disk.path).is_ok_and(|metadata| metadata.len() > bytes)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_deleted_under_load_is_missed_and_the_service_goes_on() {
    let folder = Folder::new("deleted");
    let disk = Disk::at(folder.path("audit.jsonl"));
    let (is_over, tasks) = under_load(&disk);
    long_enough(&disk, 20_000).await;
    fs::remove_file(&disk.path).unwrap();
    long_enough(&disk, 20_000).await;
    is_over.store(true, Ordering::SeqCst);
    let served: u64 = tasks.join_all().await.into_iter().sum();
    disk.close().await;

    let report = disk.verify();
    assert_eq!(only(&report), (FindingKind::BeginningMissing, 1));
    let first = report.findings[0].at.seq.unwrap();
    let says = format!("records 0 to {} are missing before it", first - 1);
    assert_eq!(report.findings[0].says, says);
    let written = records(&disk.files());
    assert_eq!(written[0]["seq"], first);
    let requests = written.iter().filter(|record| record["kind"] == "request");
    assert!((1..served).contains(&(requests.count() as u64)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rotated_and_retired_under_load_is_one_chain() {
    let folder = Folder::new("rotated");
    let all = Disk::of(
        folder.path("all.jsonl"),
        |sink| sink.rotate_at(64 << 10),
        |builder| builder,
    );
    let few = Disk::of(
        folder.path("few.jsonl"),
        |sink| sink.rotate_at(64 << 10).keep_files(2),
        |builder| builder,
    );
    for disk in [&all, &few] {
        let (is_over, tasks) = under_load(disk);
        let names = || {
            let names = records(std::slice::from_ref(&disk.path));
            names.first().and_then(|record| record["seq"].as_u64())
        };
        // The file that is written began late in the chain.
        eventually("it is rotated", || {
            fs::metadata(&disk.path).is_ok_and(|metadata| metadata.len() > 0)
                && disk.files().len() > 2
                && names().is_some_and(|seq| seq > 600)
        })
        .await;
        is_over.store(true, Ordering::SeqCst);
        let served: u64 = tasks.join_all().await.into_iter().sum();
        disk.close().await;
        let report = disk.verify();
        is_clean(&report);
        assert_eq!(report.chains.len(), 1);
        let retired = |notice: &Finding| notice.kind == FindingKind::Retired;
        let count = |kind: &str| {
            let written = records(&disk.files());
            let of_kind = written.iter().filter(|record| record["kind"] == kind);
            of_kind.count() as u64
        };
        if disk.path == all.path {
            assert_eq!(count("request"), served);
            assert!(!report.notices.iter().any(retired), "{:#?}", report.notices);
        } else {
            assert_eq!(disk.files().len(), 3);
            assert!(count("request") < served && count("retired") > 0);
            assert!(report.notices.iter().any(retired), "{:#?}", report.notices);
        }
    }
}

#[tokio::test]
async fn tl_08_an_end_that_is_cut_off_is_found_with_the_second_place() {
    let folder = Folder::new("cut");
    let copies = folder.path("checkpoints.jsonl");
    let disk = Disk::of(
        folder.path("audit.jsonl"),
        |sink| sink,
        |builder| {
            let export = FileSink::new(&copies);
            let builder = builder.export_checkpoints(export);
            builder.checkpoint_every(10, Duration::from_secs(10))
        },
    );
    disk.ask_times(35).await;
    disk.close().await;
    let with_copies = || {
        let mut verifier = disk.verifier();
        let text = fs::read_to_string(&copies).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            verifier.second_place("checkpoints.jsonl", number, line);
        }
        feed(verifier, &disk.files())
    };
    is_clean(&with_copies());
    assert!(records(std::slice::from_ref(&copies)).len() >= 4);

    let text = fs::read_to_string(&disk.path).unwrap();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let kept = lines.len() - 8;
    fs::write(&disk.path, lines[..kept].concat()).unwrap();
    assert_eq!(only(&with_copies()), (FindingKind::EndMissing, kept as u64));
    // Without it, nobody can tell a log that was cut from one whose process has died.
    let report = disk.verify();
    is_clean(&report);
    assert_eq!(report.notices[0].kind, FindingKind::OpenEnd);
}

#[tokio::test]
async fn a_log_that_is_silent_is_told_from_one_where_nothing_happens() {
    let folder = Folder::new("silent");
    let disk = Disk::at(folder.path("audit.jsonl"));
    let checkpoints = || {
        let written = records(&disk.files());
        let of_kind = written
            .iter()
            .filter(|record| record["kind"] == "checkpoint");
        of_kind.count()
    };
    eventually("it has begun", || checkpoints() == 1).await;
    for beats in 2..=3 {
        disk.clock.advance(Duration::from_secs(61));
        eventually("a heartbeat", || checkpoints() == beats).await;
    }
    let at = |later: i64| {
        let now = Timestamp::from_secs(FakeClock::START.as_secs() + 122 + later);
        feed(disk.verifier().now(now), &disk.files())
    };
    is_clean(&at(179));
    let silent = at(3600);
    assert_eq!(only(&silent), (FindingKind::Silent, 4));
}

#[tokio::test]
async fn tl_07_what_is_changed_in_a_file_is_named_with_its_place() {
    let folder = Folder::new("changed");
    let disk = Disk::at(folder.path("audit.jsonl"));
    disk.ask_times(8).await;
    disk.close().await;
    is_clean(&disk.verify());
    let text = fs::read_to_string(&disk.path).unwrap();
    let lines: Vec<_> = text.split_inclusive('\n').map(str::to_owned).collect();
    let found = |what: &str, lines: &[String]| {
        let path = folder.path(&format!("{what}.jsonl"));
        fs::write(&path, lines.concat()).unwrap();
        let report = feed(disk.verifier(), std::slice::from_ref(&path));
        let first = report.first().expect(what).clone();
        assert_eq!(&*first.at.file, path.display().to_string(), "{what}");
        (first.kind, first.at.line, first.at.seq)
    };
    // Line 6 is record 5, a request: the start and a checkpoint are before the first.
    let mut changed = lines.clone();
    changed[5] = changed[5].replace("\"status\":200", "\"status\":403");
    assert_ne!(changed, lines);
    let altered = (FindingKind::Altered, 6, Some(5));
    assert_eq!(found("altered", &changed), altered);

    let mut removed = lines.clone();
    removed.remove(5);
    let missing = (FindingKind::RecordsMissing, 6, Some(6));
    assert_eq!(found("removed", &removed), missing);

    let mut swapped = lines.clone();
    swapped.swap(5, 6);
    let missing = (FindingKind::RecordsMissing, 6, Some(6));
    assert_eq!(found("swapped", &swapped), missing);

    let mut copied = lines.clone();
    copied.insert(7, lines[5].clone());
    let out_of_order = (FindingKind::OutOfOrder, 8, Some(5));
    assert_eq!(found("copied", &copied), out_of_order);
}
