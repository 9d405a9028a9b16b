//! The log in a file: what was acknowledged is there, whatever happens, or the file is refused.
#![cfg(feature = "denylist_file")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::future::poll_fn;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use gateless::denylist::{RevocationFile, RevocationFileError, RevocationOutbox};
use gateless::{
    Appended, LogTail, RevocationChange, RevocationId, RevocationLog, RevocationRecord, Timestamp,
};
use tokio::runtime::{Builder, Runtime};

use support::{
    Directory, ISSUER, LATER, Moved, Records, load, records, revoke, says, token, unrevoke,
};

/// Splitmix64: the same numbers every time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[tokio::test]
async fn what_was_appended_is_there_after_a_restart() {
    let directory = Directory::new();
    let log = RevocationFile::open(directory.file()).unwrap();
    let appended = log.append(&[revoke("a"), revoke("b")]).await.unwrap();
    assert_eq!(appended, Appended::Stored);
    log.append(&[unrevoke("a"), revoke("c")]).await.unwrap();
    log.append(&[]).await.unwrap();
    assert_eq!(load(&log).await.unwrap(), records(["b", "c"]));
    drop(log);
    let log = RevocationFile::open(directory.file()).unwrap();
    assert_eq!(load(&log).await.unwrap(), records(["b", "c"]));
    let position = log.load(&mut |_| ()).await.unwrap();
    let tail = log.follow(&position, Duration::MAX).await.unwrap();
    assert_eq!(tail, LogTail::Alone);
}

#[tokio::test]
async fn th_15_records_are_merged_in_any_order() {
    let directory = Directory::new();
    let log = RevocationFile::open(directory.file()).unwrap();
    let subject = |issued: i64, until: i64| {
        let id = RevocationId::subject(ISSUER, "user-7");
        let issued_until = Some(Timestamp::from_secs(issued));
        RevocationRecord::new(id, issued_until, Timestamp::from_secs(until))
    };
    for record in [
        subject(5, LATER),
        subject(7, LATER - 1),
        subject(6, LATER - 2),
    ] {
        let change = RevocationChange::Revoke(record);
        log.append(&[change]).await.unwrap();
    }
    let all = load(&log).await.unwrap();
    assert_eq!(all.into_values().collect::<Vec<_>>(), [subject(7, LATER)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_at_the_same_time_are_all_kept_and_dropped_ones_do_no_harm() {
    let directory = Directory::new();
    let log = Arc::new(RevocationFile::open(directory.file()).unwrap());
    let appends: Vec<_> = (0..3000)
        .map(|name| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { log.append(&[revoke(name)]).await.map(|_| name) })
        })
        .collect();
    let mut kept = Vec::new();
    for (index, append) in appends.into_iter().enumerate() {
        if index % 3 == 0 {
            append.abort();
        }
        if let Ok(name) = append.await {
            kept.push(name.unwrap());
        }
    }
    assert!(kept.len() >= 2000);
    let all = load(&*log).await.unwrap();
    let is_there = |name: &i32| all.contains_key(&token(name, LATER).id());
    assert!(kept.iter().all(is_there));
}

/// A runtime that is shut down takes its writer along. The file is used from another one then.
#[test]
fn the_next_runtime_goes_on() {
    let directory = Directory::new();
    let log = RevocationFile::open(directory.file()).unwrap();
    for name in ["a", "b", "c"] {
        let runtime = runtime();
        let change = [revoke(name)];
        let mut append = log.append(&change);
        runtime.block_on(poll_fn(|context| {
            let _ = append.as_mut().poll(context);
            Poll::Ready(())
        }));
        drop(append);
        runtime.shutdown_background();
    }
    let runtime = runtime();
    runtime.block_on(log.append(&[revoke("d")])).unwrap();
    let all = runtime.block_on(load(&log)).unwrap();
    assert!(all.contains_key(&token("d", LATER).id()));
}

#[tokio::test]
async fn th_08_records_past_their_end_are_dropped_and_no_others() {
    let directory = Directory::new();
    let clock = Moved::default();
    clock.advance(Duration::from_secs(1_800_000_000));
    let log = RevocationFile::open_with(directory.file(), Arc::new(clock.clone())).unwrap();
    let revoked = [token("short", 1_800_000_060), token("long", LATER)];
    let revoked = revoked.map(RevocationChange::Revoke);
    log.append(&revoked).await.unwrap();
    // It is past its end, but a clock may be wrong for a while.
    clock.advance(Duration::from_secs(61));
    drop(log);
    let log = RevocationFile::open_with(directory.file(), Arc::new(clock.clone())).unwrap();
    assert_eq!(load(&log).await.unwrap().len(), 2);
    // While it is open.
    clock.advance(Duration::from_secs(3600));
    log.append(&[revoke("more")]).await.unwrap();
    assert_eq!(load(&log).await.unwrap(), records(["long", "more"]));
    // And when it is opened.
    let soon = RevocationChange::Revoke(token("soon", 1_800_000_061 + 3700));
    log.append(&[soon]).await.unwrap();
    assert_eq!(load(&log).await.unwrap().len(), 3);
    drop(log);
    clock.advance(Duration::from_secs(2 * 3600));
    let log = RevocationFile::open_with(directory.file(), Arc::new(clock)).unwrap();
    assert_eq!(load(&log).await.unwrap(), records(["long", "more"]));
}

#[tokio::test]
async fn the_file_does_not_grow_for_ever() {
    let directory = Directory::new();
    let clock = Moved::default();
    let log = RevocationFile::open_with(directory.file(), Arc::new(clock.clone())).unwrap();
    let mut sizes = Vec::new();
    for round in 0..40_i64 {
        let end = round * 10_000 + 60;
        let changes: Vec<_> = (0..2000)
            .map(|number| token(format!("{round}/{number}"), end))
            .map(RevocationChange::Revoke)
            .collect();
        log.append(&changes).await.unwrap();
        // The monotonic clock stands still, as after a suspend: the number of changes has to do it.
        clock.advance_wall(Duration::from_secs(10_000));
        sizes.push(fs::metadata(directory.file()).unwrap().len());
    }
    assert!(load(&log).await.unwrap().len() <= 3 * 4096);
    assert_eq!(sizes[15], sizes[39], "{sizes:?}");
}

#[test]
fn a_second_one_is_told_that_it_is_in_use() {
    let directory = Directory::new();
    let log = RevocationFile::open(directory.file()).unwrap();
    let error = RevocationFile::open(directory.file()).unwrap_err();
    assert!(matches!(error, RevocationFileError::InUse { .. }));
    let path = directory.file().display().to_string();
    let says = format!("{path} is in use by another process");
    assert_eq!(error.to_string(), says);
    drop(log);
    RevocationFile::open(directory.file()).unwrap();
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = Directory::new();
    drop(RevocationFile::open(directory.file()).unwrap());
    let mode = fs::metadata(directory.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // What it was made under first is gone.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

/// What a process leaves behind that ends while it makes the file.
#[test]
fn a_file_that_was_not_finished_is_made_again() {
    let directory = Directory::new();
    fs::write(directory.path().join("revoked.new"), [7; 10_000]).unwrap();
    drop(RevocationFile::open(directory.file()).unwrap());
    RevocationFile::open(directory.file()).unwrap();
}

#[test]
fn what_is_no_file_of_ours_is_refused_with_its_path_and_what_to_do() {
    let directory = Directory::new();
    let path = directory.file();
    let foreign = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = RevocationFile::open(&path).unwrap_err();
        let said = error.to_string();
        assert!(
            matches!(error, RevocationFileError::Damaged { .. }),
            "{error:?}"
        );
        assert!(said.starts_with(&*path.to_string_lossy()), "{said}");
        assert!(said.contains("restore a backup"), "{said}");
        assert!(fs::read(&path).unwrap() == bytes, "it is left alone");
    };
    foreign(b"");
    foreign(b"not ours");
    foreign(&[0; 4096]);
    foreign(&[0; 100_000]);
    foreign(&b"redb\x1A\x0A\xA9\x0D\x0A".repeat(10_000));

    fs::remove_file(&path).unwrap();
    let log = Arc::new(RevocationFile::open(directory.path().join("other")).unwrap());
    drop(RevocationOutbox::builder(log, &path).open().unwrap());
    let outbox = fs::read(&path).unwrap();
    foreign(&outbox);

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let other = directory.path().join("other");
    let below_a_file = other.join("revoked");
    let below_nothing = directory.path().join("missing").join("revoked");
    for path in [path, below_a_file, below_nothing] {
        let error = RevocationFile::open(&path).unwrap_err();
        assert!(
            matches!(error, RevocationFileError::Inaccessible { .. }),
            "{error:?}"
        );
        assert!(error.to_string().starts_with(&*path.to_string_lossy()));
    }
}

/// A file with 300 records in several commits: as a crash leaves it, and as it is when it is closed.
fn with_300_records(directory: &Directory) -> [Vec<u8>; 2] {
    let runtime = runtime();
    let log = RevocationFile::open(directory.file()).unwrap();
    for part in 0..10 {
        let changes: Vec<_> = (part * 30..part * 30 + 30).map(revoke).collect();
        runtime.block_on(log.append(&changes)).unwrap();
    }
    let crashed = fs::read(directory.file()).unwrap();
    drop(log);
    [crashed, fs::read(directory.file()).unwrap()]
}

/// What is read from a file of these bytes. `None` when it is refused.
fn read(path: &Path, bytes: &[u8]) -> Option<Records> {
    fs::write(path, bytes).unwrap();
    let said = match RevocationFile::open(path) {
        Err(error) => error.to_string(),
        Ok(log) => match runtime().block_on(load(&log)) {
            Ok(all) => return Some(all),
            Err(error) => says(&error),
        },
    };
    assert!(said.starts_with(&*path.to_string_lossy()), "{said}");
    assert!(said.contains("is damaged"), "{said}");
    None
}

#[test]
fn a_flipped_bit_is_found_or_does_no_harm() {
    // Some of it makes redb panic. To print where from takes longer than all the rest.
    std::panic::set_hook(Box::new(|panicked| eprintln!("{panicked}")));
    let directory = Directory::in_memory();
    let files = with_300_records(&directory);
    let expected = records(0..300);
    let path = directory.path().join("damaged");
    let mut random = Random(7);
    for (file, name) in files.iter().zip(["crashed", "closed"]) {
        assert_eq!(read(&path, file).as_ref(), Some(&expected), "{name}");
        let is_used = |at: &usize| file[*at] != 0;
        let used: Vec<_> = (0..file.len()).filter(is_used).collect();
        // Every byte by which a file is known, some of what stands in both first pages, ours and that of redb, and then
        // anywhere.
        let first: Vec<_> = (40..4096 + 320).filter(is_used).collect();
        let mut some = |of: &[usize]| (0..50).map(|_| of[random.below(of.len())]).collect();
        let (first, anywhere): (Vec<_>, Vec<_>) = (some(&first), some(&used));
        let places: Vec<_> = (0..40).chain(first).chain(anywhere).collect();
        let mut refused = 0;
        for at in places {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << random.below(8);
            match read(&path, &damaged) {
                Some(all) => assert!(all == expected, "{name}, byte {at}"),
                None => refused += 1,
            }
        }
        assert!(refused > 50, "{name}: {refused}");
    }
}

#[test]
fn a_file_that_was_cut_off_is_found() {
    let directory = Directory::new();
    let path = directory.path().join("damaged");
    let mut random = Random(8);
    for file in with_300_records(&directory) {
        let anywhere: Vec<_> = (0..30).map(|_| random.below(file.len())).collect();
        let edges = [0, 1, 16, 4095, 4096, 4097, 8192, file.len() - 1];
        for len in edges.into_iter().chain(anywhere) {
            if let Some(all) = read(&path, &file[..len]) {
                assert!(all == records(0..300), "{len}");
            }
        }
    }
}

/// The newest commit is gone, and the one before it is whole: for a database that is as good as new.
#[test]
fn a_commit_that_was_promised_and_is_missing_is_found() {
    let directory = Directory::new();
    let path = directory.file();
    let runtime = runtime();
    let log = RevocationFile::open(&path).unwrap();
    runtime.block_on(log.append(&[revoke("a")])).unwrap();
    let before = fs::read(&path).unwrap();
    runtime.block_on(log.append(&[revoke("b")])).unwrap();
    let after = fs::read(&path).unwrap();
    drop(log);
    assert_eq!(read(&path, &after), Some(records(["a", "b"])));
    let rolled_back = [&after[..4096], &before[4096..]].concat();
    assert_eq!(read(&path, &rolled_back), None);
    // The other way round nobody was promised anything: the process ended between the two.
    let not_noted = [&before[..4096], &after[4096..]].concat();
    assert_eq!(read(&path, &not_noted), Some(records(["a", "b"])));
    // From then on it counts.
    let noted = fs::read(&path).unwrap();
    let rolled_back = [&noted[..4096], &before[4096..]].concat();
    assert_eq!(read(&path, &rolled_back), None);
}

const CHILD: &str = "GATELESS_TEST_DENYLIST_CHILD";

/// No test of its own: what the next one starts as a process, and kills.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let (first, path) = told.split_once(' ').unwrap();
    let runtime = runtime();
    let log = RevocationFile::open(path).unwrap();
    let mut stdout = std::io::stdout();
    for name in first.parse::<usize>().unwrap().. {
        runtime.block_on(log.append(&[revoke(name)])).unwrap();
        writeln!(stdout, "\nack {name}").unwrap();
        stdout.flush().unwrap();
    }
}

#[test]
fn what_was_acknowledged_survives_being_killed() {
    let directory = Directory::new();
    let path = directory.file();
    let runtime = runtime();
    let began = Instant::now();
    let mut random = Random(9);
    let (mut acknowledged, mut kills) = (0, 0);
    while kills < 20 && began.elapsed() < Duration::from_secs(15) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD, format!("{acknowledged} {}", path.display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let count = |line: &str| Some(line.strip_prefix("ack ")?.parse::<usize>().unwrap() + 1);
        let until = acknowledged + 1 + random.below(100);
        while acknowledged < until {
            let line = lines.next().expect("the child goes on").unwrap();
            acknowledged = count(&line).unwrap_or(acknowledged);
        }
        // Somewhere within the next few appends.
        std::thread::sleep(Duration::from_micros(random.below(3000) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        // A line that is cut off says a smaller number.
        for line in lines.map_while(Result::ok) {
            acknowledged = acknowledged.max(count(&line).unwrap_or_default());
        }
        kills += 1;
        let log = RevocationFile::open(&path).unwrap();
        let all = runtime.block_on(load(&log)).unwrap();
        let is_there = |id| all.contains_key(id);
        assert!(
            records(0..acknowledged).keys().all(is_there),
            "kill {kills}"
        );
        // And of what was not acknowledged at most the one that was being written, each time.
        assert!(all.len() <= acknowledged + 1, "kill {kills}");
    }
    println!("{kills} kills, {acknowledged} acknowledged");
    assert!(kills >= 5, "{kills} kills, {acknowledged} acknowledged");
}
