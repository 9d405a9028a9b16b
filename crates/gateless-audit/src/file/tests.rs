use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use gateless_core::Clock as _;
use proptest::prelude::*;
use rstest::rstest;

use super::disk::{Disk, RealDisk};
use super::*;
use crate::chain::Chain;
use crate::clock::testing::Manual;
use crate::file_name;
use crate::hash::LineHash;
use crate::line::parse;
use crate::record::{Event, Signal, SignalKind};

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("gateless-file-{}", BootId::random()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("audit.jsonl")
    }

    /// The files of the log, the oldest first.
    fn files(&self) -> Vec<PathBuf> {
        file_name::set(&self.log()).unwrap()
    }

    /// All complete lines in the order of the files.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for file in self.files() {
            let text = fs::read_to_string(file).unwrap();
            let complete = text.rfind('\n').map_or("", |end| &text[..=end]);
            lines.extend(complete.lines().map(str::to_owned));
        }
        lines
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What goes wrong next.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    /// How many bytes can be written until the disk is full.
    room: Option<usize>,
    set_len: bool,
    sync: bool,
    rename: bool,
    create: bool,
}

/// The real disk, with faults.
#[derive(Clone, Debug, Default)]
struct Broken(Arc<Mutex<Faults>>);

impl Broken {
    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.0.lock().unwrap()
    }

    fn heal(&self) {
        *self.faults() = Faults::default();
    }
}

fn fail(fails: bool) -> io::Result<()> {
    match fails {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => Ok(()),
    }
}

impl Disk for Broken {
    fn create(&mut self, path: &Path, mode: u32) -> io::Result<File> {
        fail(self.faults().create)?;
        RealDisk.create(path, mode)
    }

    fn append(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let mut faults = self.faults();
        let fits = faults
            .room
            .map_or(bytes.len(), |room| room.min(bytes.len()));
        faults.room = faults.room.map(|room| room - fits);
        RealDisk.append(file, &bytes[..fits])?;
        fail(fits < bytes.len())
    }

    fn set_len(&mut self, file: &File, len: u64) -> io::Result<()> {
        fail(self.faults().set_len)?;
        RealDisk.set_len(file, len)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        fail(self.faults().sync)?;
        RealDisk.sync(file)
    }

    fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        RealDisk.sync_folder(folder)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fail(self.faults().rename)?;
        RealDisk.rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
}

/// A sink with a chain to fill it.
struct Writer {
    sink: FileSink,
    chain: Chain,
    clock: Arc<Manual>,
    disk: Broken,
    previous: Option<Link>,
}

impl Writer {
    fn open(sink: FileSink, clock: &Arc<Manual>) -> io::Result<Self> {
        let disk = Broken::default();
        let mut sink = sink.clock(clock.clone());
        sink.disk = Box::new(disk.clone());
        let chain = Chain::new("orders-1", BootId::random());
        let previous = sink.open(chain.boot())?;
        let clock = clock.clone();
        Ok(Self {
            sink,
            chain,
            clock,
            disk,
            previous,
        })
    }

    fn batch(&mut self, lines: usize) -> Batch {
        let mut batch = Batch::new();
        for _ in 0..lines {
            let now = self.clock.wall();
            self.chain
                .append(Event::Stop, now, Duration::ZERO, &mut batch);
        }
        batch
    }

    fn write(&mut self, lines: usize) -> Batch {
        let batch = self.batch(lines);
        self.sink.write(&batch).unwrap();
        batch
    }

    /// A batch with the record of what goes.
    fn tell(&mut self, retired: Retired) -> Batch {
        let mut batch = Batch::new();
        let (now, event) = (self.clock.wall(), Event::Retired(retired));
        self.chain.append(event, now, Duration::ZERO, &mut batch);
        self.sink.write(&batch).unwrap();
        batch
    }

    /// A batch of some `bytes`.
    fn write_bytes(&mut self, bytes: usize) -> Batch {
        let mut batch = Batch::new();
        while batch.as_bytes().len() < bytes {
            let now = self.clock.wall();
            let signal = Signal {
                signal: SignalKind::UnusualRate,
                count: 1,
                within_secs: 60,
                issuer: Some("x".repeat(256).into()),
                subject: None,
                client: None,
                token: None,
                peer: None,
                reason: None,
            };
            self.chain
                .append(Event::Signal(signal), now, Duration::ZERO, &mut batch);
        }
        self.sink.write(&batch).unwrap();
        batch
    }
}

fn texts(batches: &[&Batch]) -> Vec<String> {
    let lines = batches.iter().flat_map(|batch| batch.lines());
    lines.map(str::to_owned).collect()
}

fn last(batch: &Batch) -> Option<Link> {
    let line = batch.lines().last()?;
    let entry = parse(line).unwrap();
    Some(Link {
        boot: entry.boot,
        seq: entry.seq,
        hash: LineHash::of_line(line.as_bytes()),
    })
}

#[rstest]
#[case::nothing(0)]
#[case::part_of_a_line(10)]
#[case::a_line_and_a_half(320)]
fn tl_06_a_full_disk_tears_no_line_and_the_batch_comes_again(#[case] room: usize) {
    let folder = Folder::new();
    let mut writer = Writer::open(FileSink::new(folder.log()), &Manual::new()).unwrap();
    let first = writer.write(2);
    let batch = writer.batch(3);
    writer.disk.faults().room = Some(room);
    writer.sink.write(&batch).unwrap_err();
    // Whoever reads now sees no torn line.
    assert_eq!(fs::read(folder.log()).unwrap(), first.as_bytes());
    writer.sink.write(&batch).unwrap_err();
    writer.disk.heal();
    writer.sink.write(&batch).unwrap();
    let next = writer.write(1);
    assert_eq!(folder.lines(), texts(&[&first, &batch, &next]));
    assert_eq!(folder.files().len(), 1);
}

#[rstest]
#[case::nothing(0)]
#[case::part_of_a_line(10)]
#[case::a_line_and_a_half(320)]
#[case::all_but_the_line_feed(usize::MAX)]
fn tl_06_what_cannot_be_taken_back_stays_and_the_rest_goes_into_a_new_file(#[case] room: usize) {
    let folder = Folder::new();
    let mut writer = Writer::open(FileSink::new(folder.log()), &Manual::new()).unwrap();
    let first = writer.write(2);
    let batch = writer.batch(3);
    let room = room.min(batch.as_bytes().len() - 1);
    *writer.disk.faults() = Faults {
        room: Some(room),
        set_len: true,
        ..Faults::default()
    };
    writer.sink.write(&batch).unwrap_err();
    // Then there is room again, but the file still cannot be set back.
    writer.disk.faults().room = None;
    writer.sink.write(&batch).unwrap();
    let next = writer.write(1);
    assert_eq!(folder.files().len(), 2);
    assert_eq!(folder.lines(), texts(&[&first, &batch, &next]));
    let old = fs::read(&folder.files()[0]).unwrap();
    assert_eq!(old.len(), first.as_bytes().len() + room);
}

#[test]
fn tl_06_an_end_that_can_be_cut_off_later_is_cut_off_then() {
    let folder = Folder::new();
    let mut writer = Writer::open(FileSink::new(folder.log()), &Manual::new()).unwrap();
    let batch = writer.batch(3);
    *writer.disk.faults() = Faults {
        room: Some(320),
        set_len: true,
        ..Faults::default()
    };
    writer.sink.write(&batch).unwrap_err();
    writer.disk.heal();
    // Another batch: the first was given up.
    let other = writer.write(1);
    assert_eq!(folder.lines(), texts(&[&other]));
    assert_eq!(folder.files().len(), 1);
}

/// The limit of a process for the size of a file is a disk that is full: part of the batch is written, the rest is not.
#[test]
fn tl_06_a_limit_of_the_system_is_met_without_a_torn_line() {
    const CHILD: &str = "GATELESS_TEST_SMALL_DISK";
    if let Some(path) = std::env::var_os(CHILD) {
        let mut writer = Writer::open(FileSink::new(path), &Manual::new()).unwrap();
        for _ in 0..10_000 {
            let batch = writer.batch(7);
            if writer.sink.write(&batch).is_err() {
                return;
            }
        }
        panic!("the file has no limit");
    }
    let folder = Folder::new();
    // An ignored signal stays so in what is executed; without that, the child would be killed.
    let status = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 64; exec \"$0\" --exact \"$1\"",
        ])
        .arg(std::env::current_exe().unwrap())
        .arg("file::tests::tl_06_a_limit_of_the_system_is_met_without_a_torn_line")
        .env(CHILD, folder.log())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let text = fs::read_to_string(folder.log()).unwrap();
    assert!(
        text.len() > 30_000 && text.ends_with('\n'),
        "{}",
        text.len()
    );
    let lines = folder.lines();
    assert_eq!(lines.len() % 7, 0, "batches are whole");
    assert!(lines.iter().all(|line| parse(line).is_ok()));
}

#[rstest]
#[case::renaming(Faults { rename: true, ..Faults::default() })]
#[case::creating(Faults { create: true, ..Faults::default() })]
fn tl_06_a_file_that_cannot_be_turned_is_written_further(#[case] faults: Faults) {
    let folder = Folder::new();
    let sink = FileSink::new(folder.log()).rotate_at(64 << 10);
    let mut writer = Writer::open(sink, &Manual::new()).unwrap();
    let first = writer.write_bytes(60_000);
    *writer.disk.faults() = faults;
    let second = writer.write_bytes(60_000);
    assert_eq!(folder.files(), [folder.log()]);
    writer.disk.heal();
    // Not tried again with every batch.
    let third = writer.write(1);
    assert_eq!(folder.files().len(), 1);
    writer.clock.pass(Duration::from_secs(10));
    let fourth = writer.write(1);
    assert_eq!(folder.files().len(), 2);
    assert_eq!(folder.lines(), texts(&[&first, &second, &third, &fourth]));
}

#[test]
fn tl_06_a_deleted_file_is_noticed_with_the_next_batch() {
    let folder = Folder::new();
    let mut writer = Writer::open(FileSink::new(folder.log()), &Manual::new()).unwrap();
    writer.write(2);
    fs::remove_file(folder.log()).unwrap();
    let next = writer.write(1);
    assert_eq!(folder.lines(), texts(&[&next]));
}

#[test]
fn tl_06_a_moved_file_keeps_its_lines_and_a_new_one_begins() {
    let folder = Folder::new();
    let mut writer = Writer::open(FileSink::new(folder.log()), &Manual::new()).unwrap();
    let first = writer.write(2);
    fs::rename(folder.log(), folder.0.join("elsewhere")).unwrap();
    fs::write(folder.log(), "somebody else's\n").unwrap();
    let next = writer.write(1);
    let moved = fs::read(folder.0.join("elsewhere")).unwrap();
    assert_eq!(moved, first.as_bytes());
    let files = folder.files();
    assert_eq!(fs::read_to_string(&files[0]).unwrap(), "somebody else's\n");
    assert_eq!(fs::read(&files[1]).unwrap(), next.as_bytes());
}

#[test]
fn tl_06_a_folder_that_is_gone_is_made_again_and_locked_again() {
    let folder = Folder::new();
    let clock = Manual::new();
    let mut writer = Writer::open(FileSink::new(folder.log()), &clock).unwrap();
    writer.write(2);
    fs::remove_dir_all(&folder.0).unwrap();
    let next = writer.write(1);
    assert_eq!(folder.lines(), texts(&[&next]));
    Writer::open(FileSink::new(folder.log()), &clock)
        .map(drop)
        .unwrap_err();
    // Now another process is quicker.
    fs::remove_dir_all(&folder.0).unwrap();
    let mut other = Writer::open(FileSink::new(folder.log()), &clock).unwrap();
    let batch = writer.batch(1);
    let error = writer.sink.write(&batch).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    let others = other.write(1);
    assert_eq!(folder.lines(), texts(&[&others]));
}

#[test]
fn tl_06_what_is_no_place_for_a_log_is_refused_when_it_is_opened() {
    let folder = Folder::new();
    let file = folder.0.join("file");
    fs::write(&file, "kept").unwrap();
    let link = folder.0.join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for path in [file.join("audit.jsonl"), link, folder.0.clone()] {
        let open = Writer::open(FileSink::new(&path), &Manual::new());
        assert!(open.is_err(), "{}", path.display());
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "kept");
}

#[test]
fn a_full_file_gets_its_name_and_no_batch_is_split() {
    let folder = Folder::new();
    let sink = FileSink::new(folder.log()).rotate_at(64 << 10);
    let mut writer = Writer::open(sink, &Manual::new()).unwrap();
    let sizes = [30_000, 30_000, 30_000, 100_000, 1];
    let batches = sizes.map(|bytes| writer.write_bytes(bytes));
    let files = folder.files();
    let whole = |file: &Path| fs::read(file).unwrap();
    assert_eq!(files.len(), 4);
    assert_eq!(
        whole(&files[0]),
        [batches[0].as_bytes(), batches[1].as_bytes()].concat()
    );
    for (file, batch) in files[1..].iter().zip(&batches[2..]) {
        assert_eq!(whole(file), batch.as_bytes());
    }
    let boot = file_name::short(writer.chain.boot());
    for (number, file) in (1..).zip(&files[..3]) {
        let name = file_name::parse(&folder.log(), file).unwrap();
        assert_eq!((name.boot, name.number), (boot, number));
        assert_eq!(name.time, writer.clock.wall());
    }
}

#[test]
fn an_old_file_is_full_but_an_empty_one_is_not() {
    let folder = Folder::new();
    let sink = FileSink::new(folder.log()).rotate_every(Duration::from_secs(3600));
    let mut writer = Writer::open(sink, &Manual::new()).unwrap();
    writer.clock.pass(Duration::from_secs(7200));
    writer.write(1);
    writer.clock.pass(Duration::from_secs(3599));
    writer.write(1);
    assert_eq!(folder.files().len(), 1);
    writer.clock.pass(Duration::from_secs(1));
    let third = writer.write(1);
    assert_eq!(folder.files().len(), 2);
    assert_eq!(fs::read(folder.log()).unwrap(), third.as_bytes());
}

#[rstest]
#[case::count(|sink: FileSink| sink.keep_files(2))]
#[case::bytes(|sink: FileSink| sink.keep_bytes(150_000))]
#[case::age(|sink: FileSink| sink.keep_for(Duration::from_secs(7199)))]
fn what_retention_deletes_is_told_once(#[case] keep: fn(FileSink) -> FileSink) {
    let folder = Folder::new();
    let stranger = folder
        .0
        .join("audit.20200101T000000.000Z-00000000-000001.json");
    fs::write(&stranger, "kept").unwrap();
    let sink = keep(FileSink::new(folder.log()).rotate_at(64 << 10));
    let mut writer = Writer::open(sink, &Manual::new()).unwrap();
    let mut batches = Vec::new();
    for _ in 0..4 {
        batches.push(writer.write_bytes(60_000));
        writer.clock.pass(Duration::from_secs(3600));
    }
    // Three are full; the last record of the first was made before the second began, 3 hours ago at the fourth.
    let retired = writer.sink.retired().unwrap();
    assert_eq!(retired.files, 1);
    assert_eq!(Some(retired.through), last(&batches[0]));
    assert_eq!(writer.sink.retired(), None);
    batches.push(writer.tell(retired));
    batches.push(writer.write_bytes(60_000));
    let retired = writer.sink.retired().unwrap();
    assert_eq!(
        (retired.files, Some(retired.through)),
        (1, last(&batches[1]))
    );
    // The record that says so is not written yet.
    let kept: Vec<_> = batches[1..].iter().collect();
    assert_eq!(folder.lines(), texts(&kept));
    batches.push(writer.tell(retired));
    let kept: Vec<_> = batches[2..].iter().collect();
    assert_eq!(folder.lines(), texts(&kept));
    let files = folder.files();
    let names = files
        .iter()
        .filter_map(|file| file_name::parse(&folder.log(), file));
    assert!(
        names.map(|name| name.number).eq([3, 4]),
        "no number comes twice"
    );
    assert_eq!(fs::read_to_string(stranger).unwrap(), "kept");
}

#[test]
fn deleted_files_without_a_record_are_counted_with_the_next_that_has_one() {
    let folder = Folder::new();
    for (number, text) in ["torn", "", "{}\n"].iter().enumerate() {
        let name = format!("audit.20200101T000000.000Z-00000000-00000{number}.jsonl");
        fs::write(folder.0.join(name), text).unwrap();
    }
    let sink = FileSink::new(folder.log())
        .rotate_at(64 << 10)
        .keep_files(1);
    let mut writer = Writer::open(sink, &Manual::new()).unwrap();
    assert_eq!(folder.files().len(), 4);
    assert_eq!(writer.sink.retired(), None);
    let batches = [60_000; 3].map(|bytes| writer.write_bytes(bytes));
    let retired = writer.sink.retired().unwrap();
    assert_eq!(
        (retired.files, Some(retired.through)),
        (4, last(&batches[0]))
    );
}

#[test]
fn tl_09_a_file_that_somebody_else_wrote_to_or_cut_is_left_as_it_is() {
    let folder = Folder::new();
    let mut writer = Writer::open(FileSink::new(folder.log()), &Manual::new()).unwrap();
    let first = writer.write(2);
    let mut file = File::options().append(true).open(folder.log()).unwrap();
    file.write_all(b"{}").unwrap();
    let second = writer.write(1);
    assert_eq!(fs::read(folder.log()).unwrap(), second.as_bytes());
    let file = File::options().write(true).open(folder.log()).unwrap();
    file.set_len(3).unwrap();
    let third = writer.write(1);
    assert_eq!(fs::read(folder.log()).unwrap(), third.as_bytes());
    let files = folder.files();
    assert_eq!(files.len(), 3);
    let torn = [first.as_bytes(), b"{}"].concat();
    assert!(files.iter().any(|file| fs::read(file).unwrap() == torn));
}

#[rstest]
#[case::written(Durability::Written)]
#[case::synced(Durability::Synced)]
fn tl_09_no_file_goes_before_the_record_that_says_so_is_written(#[case] durability: Durability) {
    let folder = Folder::new();
    let clock = Manual::new();
    let sink = || {
        FileSink::new(folder.log())
            .rotate_at(64 << 10)
            .keep_files(1)
            .durability(durability)
    };
    let mut writer = Writer::open(sink(), &clock).unwrap();
    let first = writer.write_bytes(60_000);
    writer.write_bytes(60_000);
    writer.write_bytes(60_000);
    assert_eq!(folder.files().len(), 3, "nobody was told");
    writer.write(1);
    writer.sink.sync().unwrap();
    assert_eq!(
        folder.files().len(),
        3,
        "nobody was told, whatever is written"
    );
    let retired = writer.sink.retired().unwrap();
    assert_eq!(Some(retired.through), last(&first));
    writer.sink.sync().unwrap();
    assert_eq!(folder.files().len(), 3, "nothing was written since");
    writer.write(1);
    writer.sink.sync().unwrap();
    assert_eq!(folder.files().len(), 3, "the record of it was given up");
    // The process dies here: the next one tells it again.
    drop(writer);
    clock.pass(Duration::from_secs(1));
    let mut writer = Writer::open(sink(), &clock).unwrap();
    assert_eq!(folder.files().len(), 4);
    let retired = writer.sink.retired().unwrap();
    assert_eq!(retired.files, 2);
    writer.tell(retired);
    assert_eq!(folder.files().len() == 4, durability == Durability::Synced);
    writer.sink.sync().unwrap();
    assert_eq!(folder.files().len(), 2);
}

#[test]
fn tl_09_each_run_begins_a_file_and_knows_the_last_line_of_the_run_before() {
    let folder = Folder::new();
    let clock = Manual::new();
    let mut previous = None;
    let mut all = Vec::new();
    let long = "x".repeat(100_000);
    // A record without its line feed is not complete: it may have been cut.
    let cut = |writer: &mut Writer| writer.batch(1).lines().next().unwrap().to_owned();
    let torns: [&dyn Fn(&mut Writer) -> String; 5] = [
        &|_| String::new(),
        &|_| "{\"v\":1,\"seq\":".to_owned(),
        &|_| "{\"v\":1}\nnot a record".to_owned(),
        &|_| long.clone(),
        &cut,
    ];
    for torn in torns {
        let mut writer = Writer::open(FileSink::new(folder.log()), &clock).unwrap();
        assert_eq!(writer.previous, previous);
        let batch = writer.write(3);
        previous = last(&batch);
        let torn = torn(&mut writer);
        drop(writer);
        let mut file = File::options().append(true).open(folder.log()).unwrap();
        file.write_all(torn.as_bytes()).unwrap();
        all.push([batch.as_bytes(), torn.as_bytes()].concat());
        clock.pass(Duration::from_secs(1));
    }
    let writer = Writer::open(FileSink::new(folder.log()), &clock).unwrap();
    assert_eq!(writer.previous, previous);
    let files = folder.files();
    assert_eq!(files.len(), 6);
    for (file, bytes) in files.iter().zip(&all) {
        assert_eq!(
            &fs::read(file).unwrap(),
            bytes,
            "nothing was written behind the torn line"
        );
    }
}

#[test]
fn a_run_that_wrote_nothing_does_not_hide_the_one_before() {
    let folder = Folder::new();
    let clock = Manual::new();
    let mut writer = Writer::open(FileSink::new(folder.log()), &clock).unwrap();
    let batch = writer.write_bytes(300_000);
    drop(writer);
    for _ in 0..3 {
        let writer = Writer::open(FileSink::new(folder.log()), &clock).unwrap();
        assert_eq!(writer.previous, last(&batch));
        drop(writer);
        fs::write(folder.log(), "x".repeat(100_000)).unwrap();
    }
    assert_eq!(folder.files().len(), 4);
}

#[test]
fn a_crash_between_rename_and_create_loses_nothing() {
    let folder = Folder::new();
    let clock = Manual::new();
    let mut writer = Writer::open(FileSink::new(folder.log()), &clock).unwrap();
    let batch = writer.write(3);
    let name = file_name::Rotated {
        time: clock.wall(),
        boot: file_name::short(writer.chain.boot()),
        number: 1,
    };
    let full = file_name::format(&folder.log(), &name);
    drop(writer);
    fs::rename(folder.log(), full).unwrap();
    let mut writer = Writer::open(FileSink::new(folder.log()), &clock).unwrap();
    assert_eq!(writer.previous, last(&batch));
    let next = writer.write(1);
    assert_eq!(folder.lines(), texts(&[&batch, &next]));
}

#[test]
fn tl_09_a_second_sink_is_refused_as_long_as_the_first_lives() {
    let folder = Folder::new();
    let clock = Manual::new();
    let mut first = Writer::open(FileSink::new(folder.log()), &clock).unwrap();
    let batch = first.write(1);
    let error = Writer::open(FileSink::new(folder.log()), &clock)
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    assert!(error.to_string().contains("another process"), "{error}");
    assert_eq!(
        fs::read(folder.log()).unwrap(),
        batch.as_bytes(),
        "it touches nothing"
    );
    drop(first);
    Writer::open(FileSink::new(folder.log()), &clock).unwrap();
}

#[test]
fn tl_09_a_second_process_is_refused_both_ways() {
    const CHILD: &str = "GATELESS_TEST_LOCKED_LOG";
    let open = |path: &Path| FileSink::new(path).open(BootId::random());
    if let Some(path) = std::env::var_os(CHILD) {
        let mut sink = FileSink::new(Path::new(&path));
        match sink.open(BootId::random()) {
            Ok(_) => println!("\nheld"),
            Err(error) => println!("\nrefused: {error}"),
        }
        // Until the parent lets go.
        let _ = io::stdin().lines().next();
        return;
    }
    let folder = Folder::new();
    let child = || {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("file::tests::tl_09_a_second_process_is_refused_both_ways")
            .env(CHILD, folder.log())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let says = (&mut stdout)
            .lines()
            .map(Result::unwrap)
            .find(|line| line == "held" || line.starts_with("refused"));
        // Not dropped: the child could not end in peace.
        child.stdout = Some(stdout.into_inner());
        (child, says.unwrap())
    };
    let (mut holder, says) = child();
    assert_eq!(says, "held");
    let error = open(&folder.log()).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    // A killed process holds nothing.
    holder.kill().unwrap();
    holder.wait().unwrap();
    let mut sink = FileSink::new(folder.log());
    sink.open(BootId::random()).unwrap();
    let (mut second, says) = child();
    assert!(says.contains("another process"), "{says}");
    drop(second.stdin.take());
    second.wait().unwrap();
}

#[rstest]
#[case::by_the_next_sync(false)]
#[case::by_the_same_batch(true)]
fn tl_06_what_a_failed_fsync_may_have_lost_is_written_again(#[case] comes_again: bool) {
    let folder = Folder::new();
    let sink = FileSink::new(folder.log()).durability(Durability::Synced);
    let mut writer = Writer::open(sink, &Manual::new()).unwrap();
    let first = writer.write(2);
    writer.sink.sync().unwrap();
    let batch = writer.write(2);
    writer.disk.faults().sync = true;
    writer.sink.sync().unwrap_err();
    // The system throws away what it could not write, and says so once.
    let file = File::options().write(true).open(folder.log()).unwrap();
    file.set_len(first.as_bytes().len() as u64 + 5).unwrap();
    writer.disk.heal();
    if comes_again {
        writer.sink.write(&batch).unwrap();
    }
    writer.sink.sync().unwrap();
    let next = writer.write(1);
    writer.sink.sync().unwrap();
    assert_eq!(folder.lines(), texts(&[&first, &batch, &next]));
    assert_eq!(folder.files().len(), 1);
}

/// While the disk is no good, which can take long, somebody makes room.
#[rstest]
#[case::deleted(true, false)]
#[case::deleted_and_the_batch_comes_again(true, true)]
#[case::cut(false, false)]
#[case::cut_and_the_batch_comes_again(false, true)]
fn tl_06_tl_09_a_log_that_goes_while_its_fsync_fails_costs_none_of_those_in_doubt(
    #[case] is_deleted: bool,
    #[case] comes_again: bool,
) {
    let folder = Folder::new();
    let sink = FileSink::new(folder.log()).durability(Durability::Synced);
    let mut writer = Writer::open(sink, &Manual::new()).unwrap();
    writer.write(2);
    writer.sink.sync().unwrap();
    let batch = writer.write(2);
    writer.disk.faults().sync = true;
    writer.sink.sync().unwrap_err();
    if is_deleted {
        fs::remove_file(folder.log()).unwrap();
    } else {
        File::create(folder.log()).unwrap();
    }
    writer.disk.heal();
    if comes_again {
        writer.sink.write(&batch).unwrap();
    }
    writer.sink.sync().unwrap();
    // What was acknowledged is where it should be, and no gap of zeros before it.
    assert_eq!(fs::read(folder.log()).unwrap(), batch.as_bytes());
    let next = writer.write(1);
    writer.sink.sync().unwrap();
    let lines = texts(&[&batch, &next]);
    let written = fs::read_to_string(folder.log()).unwrap();
    assert_eq!(written.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn retention_is_looked_at_when_somebody_else_moves_the_file() {
    let folder = Folder::new();
    let sink = FileSink::new(folder.log()).keep_files(1);
    let mut writer = Writer::open(sink, &Manual::new()).unwrap();
    for number in 0..3 {
        writer.write(1);
        let moved = format!("audit.20200101T000000.000Z-00000000-00000{number}.jsonl");
        fs::rename(folder.log(), folder.0.join(moved)).unwrap();
    }
    writer.write(1);
    assert_eq!(writer.sink.retired().unwrap().files, 2);
}

#[test]
fn only_the_owner_reads_a_log_unless_told_otherwise() {
    for (sink, mode) in [
        (FileSink::new as fn(PathBuf) -> FileSink, 0o600),
        (|path| FileSink::new(path).mode(0o664), 0o664),
    ] {
        let folder = Folder::new();
        Writer::open(sink(folder.log()), &Manual::new()).unwrap();
        let permissions = fs::metadata(folder.log()).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o7777, mode);
    }
}

#[rstest]
#[case::path(FileSink::new("/"), "path")]
#[case::rotate_at(FileSink::new("a").rotate_at(65_535), "rotate_at")]
#[case::rotate_every(FileSink::new("a").rotate_every(Duration::from_secs(59)), "rotate_every")]
#[case::keep_files(FileSink::new("a").keep_files(0), "keep_files")]
#[case::keep_for(FileSink::new("a").keep_for(Duration::ZERO), "keep_for")]
#[case::keep_bytes(FileSink::new("a").keep_bytes(1), "keep_bytes")]
#[case::not_readable(FileSink::new("a").mode(0o200), "mode")]
#[case::all_write(FileSink::new("a").mode(0o666), "mode")]
#[case::executed(FileSink::new("a").mode(0o700), "mode")]
fn unusable_settings_are_named(#[case] mut sink: FileSink, #[case] setting: &str) {
    let error = sink.check().unwrap_err();
    let named: Vec<_> = error.faults().iter().map(|fault| fault.setting()).collect();
    assert_eq!(named, [setting]);
    let error = sink.open(BootId::random()).unwrap_err();
    assert!(error.to_string().contains(setting), "{error}");
}

#[test]
fn what_is_not_open_says_so() {
    let mut sink = FileSink::new("never.jsonl");
    assert!(sink.write(&Batch::new()).is_err());
    assert!(sink.sync().is_err());
    assert_eq!(sink.retired(), None);
}

#[derive(Clone, Debug)]
enum Step {
    /// So many lines, with this going wrong the first time.
    Write(usize, Faults),
    /// The batch that failed is given up.
    GiveUp,
    Pass(u64),
    /// The process is killed, and leaves so many bytes of a line.
    Restart(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let room = prop::option::weighted(0.4, 0usize..1500);
    let faults =
        (room, any::<[bool; 4]>()).prop_map(|(room, [set_len, sync, rename, create])| Faults {
            room,
            set_len,
            sync,
            rename,
            create,
        });
    prop_oneof![
        8 => (0usize..40, faults).prop_map(|(lines, faults)| Step::Write(lines, faults)),
        1 => Just(Step::GiveUp),
        2 => (0u64..200).prop_map(Step::Pass),
        1 => (0usize..30).prop_map(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn tl_06_no_line_that_was_acknowledged_is_lost_doubled_or_torn(
        steps in prop::collection::vec(step(), 1..40),
        (is_synced, may_sync_fail) in any::<(bool, bool)>(),
    ) {
        let folder = Folder::new();
        let clock = Manual::new();
        let durability = if is_synced { Durability::Synced } else { Durability::Written };
        let open = || {
            let sink = FileSink::new(folder.log()).rotate_at(64 << 10).durability(durability);
            Writer::open(sink.rotate_every(Duration::from_secs(60)), &clock).unwrap()
        };
        let mut writer = open();
        let mut acknowledged = Vec::new();
        let mut failed: Option<Batch> = None;
        for step in steps {
            match step {
                Step::Write(lines, faults) => {
                    let batch = failed.take().unwrap_or_else(|| writer.batch(lines));
                    // After a failed `fsync` it may double lines, as the documentation says.
                    let sync = faults.sync && may_sync_fail;
                    let set_len = faults.set_len && !(is_synced && may_sync_fail);
                    *writer.disk.faults() = Faults { set_len, sync, ..faults };
                    let mut written = writer.sink.write(&batch);
                    if is_synced && written.is_ok() {
                        written = writer.sink.sync();
                    }
                    writer.disk.heal();
                    match written {
                        Ok(()) => acknowledged.extend(texts(&[&batch])),
                        Err(_) => failed = Some(batch),
                    }
                }
                Step::GiveUp => failed = None,
                Step::Pass(secs) => clock.pass(Duration::from_secs(secs)),
                Step::Restart(torn) => {
                    failed = None;
                    drop(writer);
                    let mut file = File::options().append(true).create(true).open(folder.log()).unwrap();
                    file.write_all(&b"{\"v\":1,\"seq\":7,\"time\":\"2026-11-22"[..torn]).unwrap();
                    clock.pass(Duration::from_millis(1));
                    writer = open();
                }
            }
        }
        let found = folder.lines();
        prop_assert!(found.iter().all(|line| parse(line).is_ok()));
        let once: HashSet<_> = found.iter().collect();
        prop_assert_eq!(once.len(), found.len(), "a line is there twice");
        let expected: HashSet<_> = acknowledged.iter().collect();
        let kept: Vec<_> = found.into_iter().filter(|line| expected.contains(line)).collect();
        prop_assert_eq!(kept, acknowledged);
    }
}
