use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use rstest::rstest;

use super::*;
use crate::batch::Batch;
use crate::chain::Chain;
use crate::lines::{Line, Lines};
use crate::record::{Outcome, Protocol, Request, Start, Text};
use crate::seal::SealKey;

const BEGIN: i64 = 1_795_000_000_000;

/// A log as a service writes it: some runs, one after the other.
struct Log {
    key: SealKey,
    /// Each with its lines.
    files: Vec<Vec<String>>,
    /// The checkpoints, as the second place has them.
    second: Vec<String>,
    boots: Vec<BootId>,
    millis: i64,
    last: Option<Link>,
}

/// How a run goes.
#[derive(Clone, Debug)]
struct Plan {
    requests: usize,
    /// After each so many records comes a checkpoint.
    checkpoints: usize,
    /// After each so many records comes another file.
    rotation: usize,
    /// Requests behind the last checkpoint.
    tail: usize,
    stops: bool,
}

const PLAIN: Plan = Plan {
    requests: 6,
    checkpoints: 3,
    rotation: 4,
    tail: 0,
    stops: true,
};
const DIES: Plan = Plan {
    tail: 2,
    stops: false,
    ..PLAIN
};

impl Log {
    fn new() -> Self {
        Self {
            key: SealKey::random(),
            files: Vec::new(),
            second: Vec::new(),
            boots: Vec::new(),
            millis: BEGIN,
            last: None,
        }
    }

    fn of(plans: &[Plan]) -> Self {
        let mut log = Self::new();
        for plan in plans {
            log.run(plan, |_| Vec::new());
        }
        log
    }

    /// Adds a run. `events` come after its start.
    fn run(&mut self, plan: &Plan, events: impl FnOnce(&Self) -> Vec<Event<'static>>) {
        let boot = BootId::random();
        let mut chain = Chain::new("orders-1", boot);
        let mut batch = Batch::new();
        let mut up = 0;
        let start = Start {
            software: Text::from("0.1.0"),
            seal: Some(Text::from(self.key.id().to_owned())),
            heartbeat_secs: Some(10),
            previous: self.last,
            ..Start::default()
        };
        let mut events = events(self).into_iter();
        let request = Event::Request(Box::new(Request::new(Protocol::Http, Outcome::Allowed)));
        let mut append = |event: Option<Event<'static>>, batch: &mut Batch| {
            self.millis += 250;
            up += 250;
            let (time, up) = (
                Timestamp::from_millis(self.millis),
                Duration::from_millis(up),
            );
            match event {
                Some(event) => chain.append(event, time, up, batch),
                None => chain.checkpoint(&self.key, time, up, batch),
            };
        };
        append(Some(Event::Start(start)), &mut batch);
        append(None, &mut batch);
        for number in 0..plan.requests {
            append(
                Some(events.next().unwrap_or_else(|| request.clone())),
                &mut batch,
            );
            if number % plan.checkpoints == 0 {
                append(None, &mut batch);
            }
        }
        if plan.stops {
            append(Some(Event::Stop), &mut batch);
            append(None, &mut batch);
        } else {
            append(None, &mut batch);
            for _ in 0..plan.tail {
                append(Some(request.clone()), &mut batch);
            }
        }
        let lines: Vec<_> = batch.lines().map(str::to_owned).collect();
        let checkpoints = lines.iter().filter(|line| is_checkpoint(line));
        self.second.extend(checkpoints.cloned());
        let last = lines.last().unwrap();
        self.last = Some(Link {
            boot,
            seq: u64::try_from(lines.len()).unwrap() - 1,
            hash: LineHash::of_line(last.as_bytes()),
        });
        self.files
            .extend(lines.chunks(plan.rotation).map(<[String]>::to_vec));
        self.boots.push(boot);
        self.millis += 1000;
    }

    fn lines(&self) -> Vec<String> {
        self.files.concat()
    }

    fn keyed(&self) -> Verifier {
        Verifier::new().key(self.key.public().clone())
    }

    fn with_second_place(&self) -> Verifier {
        let mut verifier = self.keyed();
        for (number, line) in (1..).zip(&self.second) {
            verifier.second_place("second", number, line);
        }
        verifier
    }

    fn now(&self, after_secs: i64) -> Timestamp {
        Timestamp::from_millis(self.millis + after_secs * 1000)
    }
}

fn is_checkpoint(line: &str) -> bool {
    matches!(line::parse(line).unwrap().event, Event::Checkpoint(_))
}

fn read(mut verifier: Verifier, file: &str, bytes: &[u8]) -> Verifier {
    let mut lines = Lines::new(bytes);
    while let Some(line) = lines.next().unwrap() {
        match line {
            Line::Whole => verifier.line(file, lines.number, lines.text()),
            Line::Torn => verifier.torn_line(file, lines.number),
            Line::Long => verifier.long_line(file, lines.number),
        }
    }
    verifier
}

fn bytes(lines: &[String]) -> Vec<u8> {
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text.into_bytes()
}

/// What is found in `lines`, as one file.
fn found(verifier: Verifier, lines: &[String]) -> Report {
    read(verifier, "audit.jsonl", &bytes(lines)).finish()
}

fn kinds(findings: &[Finding]) -> Vec<FindingKind> {
    findings.iter().map(|finding| finding.kind).collect()
}

#[track_caller]
fn assert_first(report: &Report, kind: FindingKind, line: u64, seq: u64) {
    let first = report.first().expect("something is found");
    assert_eq!(
        (first.kind, first.at.line, first.at.seq),
        (kind, line, Some(seq)),
        "{report:#?}"
    );
}

/// Writes the chain anew from `at` on, as somebody does who knows how it is made and does not have the key.
fn rechain(lines: &mut [String], at: usize) {
    for index in at.max(1)..lines.len() {
        let head = LineHash::of_line(lines[index - 1].as_bytes());
        let (rest, _) = lines[index].rsplit_once("\"prev\":\"").unwrap();
        lines[index] = format!("{rest}\"prev\":\"{head}\"}}");
    }
}

#[test]
fn tl_07_a_log_that_nobody_touched_is_clean_and_says_how_far_it_is_signed() {
    let log = Log::of(&[PLAIN, DIES, DIES]);
    for verifier in [
        Verifier::new(),
        log.keyed(),
        log.with_second_place().now(log.now(0)),
    ] {
        let report = found(verifier, &log.lines());
        assert!(report.is_clean(), "{report:#?}");
        assert_eq!(report.chains.len(), 3);
    }
    let report = found(log.keyed(), &log.lines());
    let chains: Vec<_> = report
        .chains
        .iter()
        .map(|it| {
            (
                it.last,
                it.signed.map(|it| it.seq),
                it.only_chained,
                it.is_stopped,
            )
        })
        .collect();
    let signed = [
        (11, Some(11), 0, true),
        (12, Some(10), 2, false),
        (12, Some(10), 2, false),
    ];
    assert_eq!(chains, signed);
    assert_eq!(
        kinds(&report.notices),
        [FindingKind::Died, FindingKind::OpenEnd]
    );
    let unsigned = found(Verifier::new(), &log.lines());
    assert!(
        unsigned
            .chains
            .iter()
            .all(|it| it.signed.is_none() && it.only_chained == it.records)
    );
}

#[test]
fn tl_07_a_changed_record_is_named_itself_and_not_its_neighbour() {
    let log = Log::of(&[PLAIN]);
    let line = log.lines()[4].clone();
    let (rest, prev) = line.rsplit_once("\"prev\":\"").unwrap();
    let other = if prev.starts_with("AAA") {
        "BBB"
    } else {
        "AAA"
    };
    for changed in [
        line.replace("\"method\":\"", "\"method\":\"x"),
        line.replace("allowed", "denied"),
        format!("{rest}\"prev\":\"{other}{}", &prev[3..]),
    ] {
        let mut lines = log.lines();
        assert_ne!(lines[4], changed);
        lines[4] = changed;
        assert_first(&found(log.keyed(), &lines), FindingKind::Altered, 5, 4);
    }
}

#[test]
fn tl_07_a_change_of_the_first_record_is_found() {
    let log = Log::of(&[PLAIN]);
    let mut lines = log.lines();
    lines[0] = lines[0].replace("0.1.0", "0.1.1");
    assert_first(&found(log.keyed(), &lines), FindingKind::Altered, 1, 0);
    let mut lines = log.lines();
    lines[0] = lines[0].replace("\"prev\":\"A", "\"prev\":\"B");
    assert_first(&found(log.keyed(), &lines), FindingKind::Altered, 1, 0);
}

#[test]
fn tl_07_a_chain_that_was_written_anew_does_not_fit_its_checkpoints() {
    let log = Log::of(&[PLAIN]);
    let mut lines = log.lines();
    lines[4] = lines[4].replace("allowed", "denied");
    rechain(&mut lines, 5);
    let report = found(log.keyed(), &lines);
    assert_eq!(
        report.first().unwrap().kind,
        FindingKind::CheckpointWrong,
        "{report:#?}"
    );
    assert_eq!(report.first().unwrap().at.seq, Some(7));
}

#[test]
fn tl_07_a_chain_with_other_checkpoints_is_not_signed() {
    let log = Log::of(&[PLAIN]);
    let other = Log::of(&[PLAIN]);
    let report = found(log.keyed(), &other.lines());
    assert_eq!(report.first().unwrap().kind, FindingKind::Unsigned);
    assert!(kinds(&report.findings).contains(&FindingKind::UnknownKey));
    // The name of a key is not the key.
    let named = other
        .lines()
        .iter()
        .map(|it| it.replace(other.key.id(), log.key.id()))
        .collect::<Vec<_>>();
    let mut named = named;
    rechain(&mut named, 1);
    let report = found(log.keyed(), &named);
    assert!(kinds(&report.findings).contains(&FindingKind::SignatureWrong));
    assert!(kinds(&report.findings).contains(&FindingKind::Unsigned));
}

#[test]
fn tl_07_the_root_that_a_checkpoint_signs_is_that_of_its_records() {
    let (key, time) = (SealKey::random(), Timestamp::from_millis(BEGIN));
    let mut chain = Chain::new("orders-1", BootId::random());
    let mut batch = Batch::new();
    chain.append(
        Event::Start(Start::default()),
        time,
        Duration::ZERO,
        &mut batch,
    );
    chain.checkpoint(&key, time, Duration::ZERO, &mut batch);
    let lines: Vec<_> = batch.lines().map(str::to_owned).collect();
    let zero = LineHash::ZERO;
    let root = LineHash::of_line(lines[0].as_bytes());
    for (from, to) in [
        (
            format!("\"root\":\"{root}\""),
            format!("\"root\":\"{zero}\""),
        ),
        (
            format!("\"head\":\"{root}\""),
            format!("\"head\":\"{zero}\""),
        ),
        ("\"first\":0".to_owned(), "\"first\":1".to_owned()),
        ("\"end\":1".to_owned(), "\"end\":2".to_owned()),
    ] {
        let mut lines = lines.clone();
        assert!(lines[1].contains(&from));
        lines[1] = lines[1].replace(&from, &to);
        // Also where there is no key to check the signature with.
        let report = found(Verifier::new(), &lines);
        assert_first(&report, FindingKind::CheckpointWrong, 2, 1);
    }
}

#[test]
fn tl_07_a_missing_record_is_named_by_the_one_behind_it() {
    let log = Log::of(&[PLAIN]);
    let mut lines = log.lines();
    lines.drain(4..6);
    let report = found(log.keyed(), &lines);
    assert_first(&report, FindingKind::RecordsMissing, 5, 6);
    assert!(report.first().unwrap().says.contains("4 to 5"));
    assert_eq!(report.findings.len(), 1, "{report:#?}");
}

#[test]
fn tl_07_a_record_that_was_moved_or_copied_is_out_of_order() {
    let log = Log::of(&[PLAIN]);
    let mut lines = log.lines();
    lines.swap(4, 5);
    let report = found(log.keyed(), &lines);
    assert_first(&report, FindingKind::RecordsMissing, 5, 5);
    assert_eq!(report.findings[1].kind, FindingKind::OutOfOrder);
    let mut lines = log.lines();
    lines.insert(6, lines[2].clone());
    assert_first(&found(log.keyed(), &lines), FindingKind::OutOfOrder, 7, 2);
}

#[test]
fn tl_07_what_is_no_record_is_named() {
    let log = Log::of(&[PLAIN]);
    for (line, kind) in [
        ("", FindingKind::NotARecord),
        ("{}", FindingKind::NotARecord),
        ("\u{fffd}", FindingKind::NotARecord),
    ] {
        let mut lines = log.lines();
        lines.insert(3, line.to_owned());
        let report = found(log.keyed(), &lines);
        assert_eq!(
            (report.findings[0].kind, report.findings[0].at.line),
            (kind, 4)
        );
        assert_eq!(report.findings.len(), 1);
    }
    let mut text = bytes(&log.lines());
    text.splice(0..0, [0xff, b'\n']);
    let report = read(log.keyed(), "audit.jsonl", &text).finish();
    assert_eq!(kinds(&report.findings), [FindingKind::NotARecord]);
    let mut text = bytes(&log.lines());
    text.splice(0..0, "x".repeat(70_000).bytes().chain([b'\n']));
    let report = read(log.keyed(), "audit.jsonl", &text).finish();
    assert_eq!(kinds(&report.findings), [FindingKind::LineTooLong]);
}

#[rstest]
#[case::a_space("{\"v\":1", "{ \"v\":1")]
#[case::an_escape("allowed", "\\u0061llowed")]
#[case::a_key_twice("\"outcome\":", "\"x\":1,\"outcome\":")]
#[case::a_new_key("{\"v\":1", "{\"w\":1,\"v\":1")]
#[case::another_order(
    "\"protocol\":\"http\",\"outcome\":\"allowed\"",
    "\"outcome\":\"allowed\",\"protocol\":\"http\""
)]
#[case::another_zone("Z\",\"up_us\"", "+00:00\",\"up_us\"")]
fn tl_07_a_record_in_another_form_is_not_the_writers(#[case] from: &str, #[case] to: &str) {
    let log = Log::of(&[DIES]);
    let mut lines = log.lines();
    // The last record: nothing behind it holds its hash.
    let last = lines.last_mut().unwrap();
    assert!(last.contains(from), "{last}");
    *last = last.replace(from, to);
    let report = found(log.keyed(), &lines);
    assert_eq!(kinds(&report.findings), [FindingKind::NotAsWritten]);
}

#[test]
fn tl_07_a_key_that_is_there_twice_is_refused() {
    let log = Log::of(&[DIES]);
    let mut lines = log.lines();
    let last = lines.last_mut().unwrap();
    *last = last.replace(
        "\"outcome\":\"allowed\"",
        "\"outcome\":\"denied\",\"outcome\":\"allowed\"",
    );
    let report = found(log.keyed(), &lines);
    assert_eq!(report.findings.len(), 1);
    assert_eq!(
        report.findings[0].at.line,
        u64::try_from(lines.len()).unwrap()
    );
}

#[test]
fn a_record_of_a_later_version_is_named() {
    let log = Log::of(&[DIES]);
    let mut lines = log.lines();
    let last = lines.last_mut().unwrap();
    *last = last.replace("{\"v\":1", "{\"v\":2");
    let report = found(log.keyed(), &lines);
    assert_eq!(kinds(&report.findings), [FindingKind::UnknownVersion]);
}

#[test]
fn tl_07_a_missing_run_is_named_by_the_one_behind_it() {
    let log = Log::of(&[PLAIN, PLAIN, PLAIN]);
    let lines: Vec<_> = log.lines().into_iter().collect();
    let lines: Vec<_> = lines
        .into_iter()
        .filter(|it| line::parse(it).unwrap().boot != log.boots[1])
        .collect();
    let report = found(log.keyed(), &lines);
    assert_first(&report, FindingKind::RunMissing, 13, 0);
    assert_eq!(report.first().unwrap().at.boot, Some(log.boots[2]));
}

#[test]
fn tl_07_a_missing_beginning_is_a_finding_unless_it_was_retired() {
    let log = Log::of(&[PLAIN, PLAIN]);
    let lines = log.lines().split_off(4);
    let report = found(log.keyed(), &lines);
    assert_first(&report, FindingKind::BeginningMissing, 1, 4);

    for (through, clean) in [(3, true), (2, false), (4, false)] {
        let mut log = Log::of(&[PLAIN]);
        let (boot, lines) = (log.boots[0], log.lines());
        let hash = LineHash::of_line(lines[through].as_bytes());
        let seq = u64::try_from(through).unwrap();
        let through = Link { boot, seq, hash };
        log.run(&PLAIN, |_| {
            vec![Event::Retired(Retired { files: 1, through })]
        });
        let report = found(log.with_second_place(), &log.lines().split_off(4));
        assert_eq!(report.is_clean(), clean, "{report:#?}");
        if clean {
            assert_eq!(kinds(&report.notices), [FindingKind::Retired]);
        }
    }
}

#[test]
fn tl_07_a_missing_run_is_fine_when_it_was_retired() {
    for (does_retire, kind) in [(true, None), (false, Some(FindingKind::RunMissing))] {
        let mut log = Log::of(&[PLAIN, DIES]);
        let through = log.last.unwrap();
        let retired = Event::Retired(Retired { files: 6, through });
        log.run(&PLAIN, |_| {
            if does_retire {
                vec![retired]
            } else {
                Vec::new()
            }
        });
        let lines = log.lines().split_off(12 + 13);
        for verifier in [log.keyed(), log.with_second_place()] {
            let report = found(verifier, &lines);
            assert_eq!(report.first().map(|it| it.kind), kind, "{report:#?}");
        }
    }
}

#[test]
fn tl_07_nobody_retires_records_without_the_key() {
    let mut log = Log::of(&[PLAIN]);
    let (boot, lines) = (log.boots[0], log.lines());
    let hash = LineHash::of_line(lines[3].as_bytes());
    let through = Link { boot, seq: 3, hash };
    log.run(&DIES, |_| Vec::new());
    let mut lines = log.lines().split_off(4);
    // In the place of the last record, behind the last checkpoint.
    let last = lines.pop().unwrap();
    let mut entry = line::parse(&last).unwrap();
    entry.event = Event::Retired(Retired { files: 1, through });
    let mut forged = Vec::new();
    line::write(&entry, &mut forged);
    lines.push(String::from_utf8(forged).unwrap());
    let report = found(log.keyed(), &lines);
    assert_eq!(kinds(&report.findings), [FindingKind::RetirementUnsigned]);
    // It can be true: then the next checkpoint says so.
    let report = found(log.keyed().now(log.now(0)), &lines);
    assert!(report.is_clean(), "{report:#?}");
    assert!(kinds(&report.notices).contains(&FindingKind::NotSignedYet));
}

#[test]
fn tl_08_the_second_place_shows_what_was_cut_off() {
    let log = Log::of(&[PLAIN, DIES]);
    let lines = log.lines();
    for cut in 0..lines.len() {
        let report = found(log.with_second_place(), &lines[..cut]);
        // The last two records are behind the last checkpoint.
        assert_eq!(
            report.is_clean(),
            cut >= lines.len() - 2,
            "{cut}: {report:#?}"
        );
    }
    let report = found(log.with_second_place(), &lines[..15]);
    assert_first(&report, FindingKind::EndMissing, 15, 2);
}

#[test]
fn tl_08_the_second_place_shows_what_was_written_anew() {
    let log = Log::of(&[DIES]);
    let mut lines = log.lines();
    lines.truncate(10);
    // A record in the place of the last checkpoint.
    lines.push(lines[9].replace("\"seq\":9", "\"seq\":10"));
    rechain(&mut lines, 10);
    assert!(found(log.keyed(), &lines).is_clean());
    let report = found(log.with_second_place(), &lines);
    assert_first(&report, FindingKind::Contradicted, 11, 10);
}

#[test]
fn tl_08_without_a_second_place_the_clock_shows_what_was_cut_off() {
    let log = Log::of(&[DIES]);
    let mut lines = log.lines();
    assert!(found(log.keyed().now(log.now(20)), &lines).is_clean());
    let report = found(log.keyed().now(log.now(60)), &lines);
    assert_first(&report, FindingKind::Silent, 13, 12);
    // Not where the process said that it ends.
    let stopped = Log::of(&[PLAIN]);
    assert!(found(stopped.keyed().now(stopped.now(60)), &stopped.lines()).is_clean());
    // But anybody can say so without a signature.
    let mut stop = line::parse(&lines[12]).unwrap();
    stop.event = Event::Stop;
    let mut forged = Vec::new();
    line::write(&stop, &mut forged);
    lines[12] = String::from_utf8(forged).unwrap();
    let report = found(log.keyed().now(log.now(60)), &lines);
    assert_eq!(kinds(&report.findings), [FindingKind::Silent]);
}

#[test]
fn tl_08_what_is_cut_off_without_a_second_place_and_a_clock_is_not_found_and_that_is_said() {
    let log = Log::of(&[DIES, DIES]);
    let lines = log.lines();
    for cut in 15..lines.len() {
        let report = found(log.keyed(), &lines[..cut]);
        assert!(report.is_clean(), "{report:#?}");
        assert!(kinds(&report.notices).contains(&FindingKind::OpenEnd));
    }
    // All of the last run: nothing is left that speaks of it. Only the run before has no end then.
    let report = found(log.keyed(), &lines[..13]);
    assert!(report.is_clean());
    assert_eq!(kinds(&report.notices), [FindingKind::OpenEnd]);
    // The end of a run that is not the last is known to the next.
    let mut cut = lines.clone();
    cut.remove(12);
    let report = found(log.keyed(), &cut);
    assert_first(&report, FindingKind::EndMissing, 12, 11);
}

#[test]
fn tl_08_a_torn_line_is_named() {
    let log = Log::of(&[DIES]);
    let text = bytes(&log.lines());
    let report = read(log.keyed(), "audit.jsonl", &text[..text.len() - 1]).finish();
    assert_eq!(kinds(&report.findings), [FindingKind::TornLine]);
    assert_eq!(report.findings[0].at.line, 13);
}

/// What a kill leaves: files, the last lines of some of which are cut.
fn torn(log: &Log, files: &[&[String]], is_torn: &[usize]) -> Report {
    let mut verifier = log.keyed();
    for (number, lines) in files.iter().enumerate() {
        let mut text = bytes(lines);
        if is_torn.contains(&number) {
            text.extend_from_slice(b"{\"v\":1,\"se");
        }
        verifier = read(verifier, &format!("audit.{number}.jsonl"), &text);
    }
    verifier.finish()
}

#[test]
fn tl_08_a_line_that_a_kill_left_torn_is_a_notice_where_later_records_show_that_none_is_missing() {
    let log = Log::of(&[DIES, DIES, PLAIN]);
    let lines = log.lines();
    let (one, two, three) = (&lines[..13], &lines[13..26], &lines[26..]);
    // A later run knows the record before it as the last one.
    let report = torn(&log, &[one, two, three], &[0, 1]);
    assert!(report.is_clean(), "{report:#?}");
    let notices = kinds(&report.notices);
    let of_torn = notices.iter().filter(|it| **it == FindingKind::TornLine);
    assert_eq!(of_torn.count(), 2);
    // The run goes on in another file.
    let report = torn(&log, &[one, two, &three[..4], &three[4..]], &[2]);
    assert!(report.is_clean(), "{report:#?}");
    // Nothing whole is in the file, and a signed run comes after it.
    let report = torn(&log, &[one, &[], two, three], &[1]);
    assert!(report.is_clean(), "{report:#?}");

    // Nothing comes after it.
    let report = torn(&log, &[one, two, three], &[2]);
    assert_eq!(kinds(&report.findings), [FindingKind::TornLine]);
    let report = torn(&log, &[one, two, three, &[]], &[3]);
    assert_eq!(kinds(&report.findings), [FindingKind::TornLine]);
    // The last whole record before it was cut off too.
    let report = torn(&log, &[one, &two[..12], three], &[1]);
    assert!(kinds(&report.findings).contains(&FindingKind::TornLine));
    // The record behind it does not go with it.
    let report = torn(&log, &[one, two, &three[..4], &three[5..]], &[2]);
    assert!(kinds(&report.findings).contains(&FindingKind::TornLine));
    // Nobody signed the run that knows it: its start and no more.
    let report = torn(&log, &[one, &two[..1]], &[0]);
    assert!(kinds(&report.findings).contains(&FindingKind::TornLine));
    let report = torn(&log, &[one, &[], &two[..1]], &[1]);
    assert!(kinds(&report.findings).contains(&FindingKind::TornLine));
}

#[test]
fn tl_08_a_torn_line_of_the_second_place_is_a_notice() {
    let log = Log::of(&[PLAIN]);
    let mut verifier = log.with_second_place();
    verifier.second_place_torn("second", 9);
    let report = found(verifier, &log.lines());
    assert!(report.is_clean());
    assert_eq!(kinds(&report.notices), [FindingKind::TornLine]);
}

#[test]
fn tl_08_a_start_that_nobody_signed_confirms_no_end() {
    let log = Log::of(&[DIES, PLAIN]);
    let lines = log.lines();
    let says = |report: &Report, line| {
        let at = |it: &&Finding| it.at.line == line;
        let mut all = report.findings.iter().chain(&report.notices);
        all.find(at).map(|it| it.kind)
    };
    let report = found(log.keyed().now(log.now(60)), &lines);
    assert_eq!(says(&report, 13), Some(FindingKind::Died));
    assert!(report.notices[0].says.contains(&log.boots[1].to_string()));
    let report = found(log.keyed().now(log.now(60)), &lines[..14]);
    assert_eq!(says(&report, 13), Some(FindingKind::Silent));
    // Without keys nothing is signed for the reader.
    let report = found(Verifier::new().now(log.now(60)), &lines[..14]);
    assert_eq!(says(&report, 13), Some(FindingKind::Died));
}

/// A chain that nobody signed.
fn unsigned(heartbeat_secs: u64, millis: i64) -> Vec<String> {
    let mut chain = Chain::new("orders-1", BootId::random());
    let mut batch = Batch::new();
    let start = Start {
        heartbeat_secs: Some(heartbeat_secs),
        ..Start::default()
    };
    let time = Timestamp::from_millis(millis);
    chain.append(Event::Start(start), time, Duration::ZERO, &mut batch);
    batch.lines().map(str::to_owned).collect()
}

#[test]
fn tl_08_what_nobody_signed_does_not_say_how_long_to_wait_for_a_signature() {
    let log = Log::new();
    for (heartbeat, after_secs, kind) in [
        (10, 30, None),
        (10, 31, Some(FindingKind::Unsigned)),
        (80_000, 180, None),
        (80_000, 181, Some(FindingKind::Unsigned)),
        (86_401, 1, Some(FindingKind::Unsigned)),
        (u64::MAX, 1, Some(FindingKind::Unsigned)),
        (10, -5, None),
        (10, -6, Some(FindingKind::Unsigned)),
    ] {
        let lines = unsigned(heartbeat, BEGIN);
        let report = found(log.keyed().now(log.now(after_secs)), &lines);
        let first = report.first().map(|it| it.kind);
        assert_eq!(first, kind, "{heartbeat} {after_secs}");
    }
}

#[test]
fn tl_08_a_checkpoint_of_the_future_does_not_hide_a_silence() {
    let log = Log::of(&[DIES]);
    // The clock of the machine was an hour ahead, and is right now.
    let report = found(log.keyed().now(log.now(-3600)), &log.lines());
    assert_eq!(kinds(&report.findings), [FindingKind::Silent]);
    assert_eq!(report.notices.len(), 1, "{report:#?}");
    assert!(
        report
            .notices
            .iter()
            .all(|it| it.kind == FindingKind::ClockSet)
    );
}

#[test]
fn tl_07_an_unsigned_retirement_excuses_for_a_minute_only_and_nothing_that_the_second_place_has() {
    let forged = |is_signed_above: bool| {
        let mut log = Log::of(&[PLAIN, DIES]);
        let through = log.last.unwrap();
        log.run(&DIES, |_| Vec::new());
        let mut lines = log.lines().split_off(25);
        if !is_signed_above {
            lines.truncate(2);
        }
        let last = lines.pop().unwrap();
        let mut entry = line::parse(&last).unwrap();
        entry.event = Event::Retired(Retired { files: 1, through });
        let mut forged = Vec::new();
        line::write(&entry, &mut forged);
        lines.push(String::from_utf8(forged).unwrap());
        (log, lines)
    };
    let (log, lines) = forged(true);
    // The record is 1.0 seconds before the clock of the log.
    for (after_secs, is_clean) in [(-7, false), (0, true), (29, true), (30, false), (70, false)] {
        let report = found(log.keyed().now(log.now(after_secs)), &lines);
        assert_eq!(report.is_clean(), is_clean, "{after_secs} {report:#?}");
    }
    for (after_secs, is_wrong) in [(58, false), (59, false), (60, true)] {
        let report = found(log.keyed().now(log.now(after_secs)), &lines);
        let is = kinds(&report.findings).contains(&FindingKind::RetirementUnsigned);
        assert_eq!(is, is_wrong, "{after_secs}");
    }
    let report = found(log.with_second_place().now(log.now(0)), &lines);
    assert!(kinds(&report.findings).contains(&FindingKind::RunMissing));
    let (log, lines) = forged(false);
    let report = found(
        log.keyed().now(Timestamp::from_millis(BEGIN + 9000)),
        &lines,
    );
    assert!(
        kinds(&report.findings).contains(&FindingKind::RetirementUnsigned),
        "{report:#?}"
    );
}

#[test]
fn an_empty_log_is_a_finding_where_one_knows_what_to_expect() {
    let log = Log::of(&[PLAIN]);
    assert!(found(Verifier::new(), &[]).is_clean());
    for verifier in [log.keyed(), Verifier::new().now(log.now(0))] {
        let report = found(verifier, &[]);
        assert_eq!(kinds(&report.findings), [FindingKind::Empty]);
    }
}

#[test]
fn tl_07_a_chain_is_signed_with_the_key_that_its_start_names() {
    let (key, other) = (SealKey::random(), SealKey::random());
    let time = Timestamp::from_millis(BEGIN);
    let mut chain = Chain::new("orders-1", BootId::random());
    let mut batch = Batch::new();
    let start = Start {
        seal: Some(Text::from(key.id().to_owned())),
        ..Start::default()
    };
    chain.append(Event::Start(start), time, Duration::ZERO, &mut batch);
    chain.checkpoint(&key, time, Duration::ZERO, &mut batch);
    chain.checkpoint(&other, time, Duration::ZERO, &mut batch);
    let lines: Vec<_> = batch.lines().map(str::to_owned).collect();
    let verifier = Verifier::new().key(key.public().clone());
    let report = found(verifier.key(other.public().clone()), &lines);
    assert_first(&report, FindingKind::CheckpointWrong, 3, 2);
}

#[test]
fn tl_08_a_checkpoint_says_when_the_next_one_comes_where_the_start_is_gone() {
    let (key, time) = (SealKey::random(), Timestamp::from_millis(BEGIN));
    let mut chain = Chain::new("orders-1", BootId::random()).heartbeat(10);
    let mut batch = Batch::new();
    chain.append(
        Event::Start(Start::default()),
        time,
        Duration::ZERO,
        &mut batch,
    );
    chain.checkpoint(&key, time, Duration::ZERO, &mut batch);
    let lines: Vec<_> = batch.lines().map(str::to_owned).collect();
    let at = |secs: i64| {
        let now = Timestamp::from_millis(BEGIN + secs * 1000);
        found(Verifier::new().key(key.public().clone()).now(now), &lines)
    };
    assert!(at(30).is_clean());
    assert_eq!(kinds(&at(31).findings), [FindingKind::Silent]);
    // It is signed.
    let mut forged = lines.clone();
    forged[1] = forged[1].replace("\"heartbeat_secs\":10", "\"heartbeat_secs\":90");
    assert_ne!(forged, lines);
    let report = found(Verifier::new().key(key.public().clone()), &forged);
    assert!(kinds(&report.findings).contains(&FindingKind::SignatureWrong));
}

#[test]
fn tl_08_a_line_of_the_second_place_has_to_be_a_signed_checkpoint() {
    let log = Log::of(&[PLAIN]);
    let other = Log::of(&[PLAIN]);
    for line in [&log.lines()[0], &other.second[0], "x"] {
        let mut verifier = log.keyed();
        verifier.second_place("second", 1, line);
        let report = found(verifier, &log.lines());
        assert_eq!(kinds(&report.findings), [FindingKind::SecondPlaceWrong]);
        assert_eq!(&*report.findings[0].at.file, "second");
    }
}

#[test]
fn tl_09_chains_are_told_apart_however_their_lines_are_mixed() {
    let (one, two) = (Log::of(&[PLAIN]), Log::of(&[PLAIN]));
    let pairs = one.lines().into_iter().zip(two.lines());
    let mixed: Vec<_> = pairs.flat_map(|(one, two)| [one, two]).collect();
    let verifier = one.keyed().key(two.key.public().clone());
    let report = found(verifier, &mixed);
    assert!(report.is_clean(), "{report:#?}");
    assert_eq!(report.chains.len(), 2);
    let mut cut = mixed;
    cut.remove(4);
    let report = found(Verifier::new(), &cut);
    assert_eq!(report.findings.len(), 1);
    assert_first(&report, FindingKind::RecordsMissing, 6, 3);
    assert_eq!(report.findings[0].at.boot, Some(one.boots[0]));
}

#[test]
fn tl_09_one_run_of_two_instances_is_two_chains() {
    let log = Log::of(&[PLAIN]);
    let mut lines = log.lines();
    lines[5] = lines[5].replace("orders-1", "orders-2");
    let report = found(log.keyed(), &lines);
    assert_eq!(report.chains.len(), 2);
    assert_first(&report, FindingKind::BeginningMissing, 6, 5);
    // The last checkpoint has nothing behind it, and is signed with its instance.
    let mut lines = log.lines();
    lines[11] = lines[11].replace("orders-1", "orders-2");
    let report = found(log.keyed(), &lines);
    assert_first(&report, FindingKind::SignatureWrong, 12, 11);
}

#[test]
fn tl_09_too_many_chains_are_a_finding_and_not_all_memory() {
    let mut verifier = Verifier::new();
    for number in 0..u64::try_from(CHAINS).unwrap() + 10 {
        let mut chain = Chain::new("orders-1", BootId::random());
        let mut batch = Batch::new();
        chain.append(
            Event::Stop,
            Timestamp::from_millis(BEGIN),
            Duration::ZERO,
            &mut batch,
        );
        verifier.line("audit.jsonl", number + 1, batch.lines().next().unwrap());
    }
    let report = verifier.finish();
    assert_eq!(kinds(&report.findings), [FindingKind::TooManyChains]);
    assert_eq!(report.chains.len(), CHAINS);
}

#[test]
fn nothing_comes_after_the_end_but_a_checkpoint() {
    let (key, time) = (SealKey::random(), Timestamp::from_millis(BEGIN));
    let mut chain = Chain::new("orders-1", BootId::random());
    let mut batch = Batch::new();
    chain.append(Event::Stop, time, Duration::ZERO, &mut batch);
    chain.checkpoint(&key, time, Duration::ZERO, &mut batch);
    chain.checkpoint(&key, time, Duration::ZERO, &mut batch);
    chain.append(Event::Stop, time, Duration::ZERO, &mut batch);
    let lines: Vec<_> = batch.lines().map(str::to_owned).collect();
    assert!(found(Verifier::new(), &lines[..2]).is_clean());
    let report = found(Verifier::new(), &lines);
    assert_eq!(
        kinds(&report.findings),
        [FindingKind::AfterStop, FindingKind::AfterStop]
    );
    assert_first(&report, FindingKind::AfterStop, 3, 2);
}

#[test]
fn no_request_comes_right_after_the_end() {
    let time = Timestamp::from_millis(BEGIN);
    let mut chain = Chain::new("orders-1", BootId::random());
    let mut batch = Batch::new();
    for _ in 0..2 {
        chain.append(Event::Stop, time, Duration::ZERO, &mut batch);
    }
    let lines: Vec<_> = batch.lines().map(str::to_owned).collect();
    let report = found(Verifier::new(), &lines);
    assert_first(&report, FindingKind::AfterStop, 2, 1);
}

#[test]
fn tl_07_the_only_record_of_a_chain_names_none_before_it() {
    let log = Log::of(&[PLAIN]);
    let line = log.lines()[0].replace("\"prev\":\"A", "\"prev\":\"B");
    assert_first(&found(Verifier::new(), &[line]), FindingKind::Altered, 1, 0);
}

#[test]
fn tl_07_the_last_record_of_a_run_that_died_is_known_to_the_next() {
    let log = Log::of(&[DIES, PLAIN]);
    let mut lines = log.lines();
    lines[12] = lines[12].replace("allowed", "denied");
    assert_first(
        &found(log.keyed(), &lines),
        FindingKind::Contradicted,
        13,
        12,
    );
}

#[test]
fn tl_18_a_clock_that_was_set_is_a_notice_with_its_place_and_no_finding() {
    let mut chain = Chain::new("orders-1", BootId::random());
    let mut batch = Batch::new();
    let day = 86_400_000;
    for (clock, up) in [
        (0, 0),
        (500, 600),
        (10_000, 10_100),
        (10_000 - day, 10_200),
        (10_100, 10_300),
        (10_100 + day, 10_300 + 86_000_000 + 370_000),
    ] {
        let time = Timestamp::from_millis(BEGIN + clock);
        let up = Duration::from_millis(up.try_into().unwrap());
        chain.append(Event::Start(Start::default()), time, up, &mut batch);
    }
    let lines: Vec<_> = batch.lines().map(str::to_owned).collect();
    let report = found(Verifier::new(), &lines);
    assert!(report.is_clean());
    let set: Vec<_> = report
        .notices
        .iter()
        .filter(|it| it.kind == FindingKind::ClockSet)
        .collect();
    assert_eq!(set.iter().map(|it| it.at.line).collect::<Vec<_>>(), [4, 5]);
    assert!(set[0].says.contains("back") && set[1].says.contains("forward"));
}

#[test]
fn many_findings_are_counted_and_the_first_is_kept() {
    let mut verifier = Verifier::new();
    for number in 1..=3000 {
        verifier.line("audit.jsonl", number, "x");
    }
    let report = verifier.finish();
    assert_eq!((report.findings.len(), report.unlisted), (LISTED, 2000));
    assert_eq!(report.findings[0].at.line, 1);
}

#[test]
fn the_order_of_runs_does_not_matter() {
    let log = Log::of(&[PLAIN, DIES]);
    let mut lines = log.lines();
    lines.rotate_left(12);
    assert!(found(log.with_second_place(), &lines).is_clean());
    lines[24] = lines[24].replace("\"up_us\":", "\"up_us\":1");
    let report = found(Verifier::new(), &lines);
    assert_first(&report, FindingKind::Contradicted, 25, 11);
}

#[test]
fn every_record_under_a_checkpoint_can_be_proven_and_no_other() {
    let plan = Plan {
        requests: 40,
        checkpoints: 13,
        ..DIES
    };
    let log = Log::of(&[plan.clone(), plan]);
    let lines = log.lines();
    let (boot, keys) = (log.boots[1], [log.key.public().clone()]);
    let of_boot: Vec<_> = lines
        .iter()
        .filter(|it| line::parse(it).unwrap().boot == boot)
        .collect();
    for (seq, line) in (0..).zip(&of_boot) {
        let proof = prove(lines.iter().map(String::as_str), boot, seq);
        if seq + 3 >= u64::try_from(of_boot.len()).unwrap() {
            assert_eq!(proof, Err(NoProof::NoCheckpoint), "{seq}");
            continue;
        }
        let proof = proof.unwrap();
        assert_eq!(proof.record, **line);
        assert_eq!(proof.check(&keys).unwrap().seq, seq);
        let json = serde_json::to_string(&proof).unwrap();
        assert_eq!(serde_json::from_str::<Proof>(&json).unwrap(), proof);
        assert_eq!(proof.check(&[]), Err(ProofError::NotSigned));
        let other = if seq == 4 { 5 } else { 4 };
        let other = of_boot[usize::try_from(other).unwrap()].clone();
        assert!(
            Proof {
                record: other,
                ..proof.clone()
            }
            .check(&keys)
            .is_err()
        );
        for index in 0..proof.path.len() {
            let mut bent = proof.clone();
            bent.path[index] = LineHash::ZERO;
            assert_eq!(bent.check(&keys), Err(ProofError::Different));
            let mut short = proof.clone();
            short.path.remove(index);
            assert_eq!(short.check(&keys), Err(ProofError::Different));
        }
        let mut long = proof.clone();
        long.path.push(LineHash::ZERO);
        assert_eq!(long.check(&keys), Err(ProofError::Different));
        let record = proof.record.replace("{\"v\"", "{ \"v\"");
        assert_eq!(
            Proof {
                record,
                ..proof.clone()
            }
            .check(&keys),
            Err(ProofError::Unreadable)
        );
        let checkpoint = proof.record.clone();
        if !is_checkpoint(&checkpoint) {
            assert_eq!(
                Proof {
                    checkpoint,
                    ..proof
                }
                .check(&keys),
                Err(ProofError::Unreadable)
            );
        }
    }
    assert_eq!(
        prove(lines.iter().map(String::as_str), boot, 999),
        Err(NoProof::NoRecord)
    );
    let mut cut = lines.clone();
    cut.retain(|it| {
        let it = line::parse(it).unwrap();
        (it.boot, it.seq) != (boot, 8)
    });
    assert_eq!(
        prove(cut.iter().map(String::as_str), boot, 7),
        Err(NoProof::NoCheckpoint)
    );
}

#[test]
fn a_record_of_another_run_cannot_be_proven_with_a_checkpoint() {
    let log = Log::of(&[PLAIN, PLAIN]);
    let keys = [log.key.public().clone()];
    let lines = log.lines();
    let of = |boot| prove(lines.iter().map(String::as_str), boot, 3).unwrap();
    let (one, two) = (of(log.boots[0]), of(log.boots[1]));
    let mixed = Proof {
        record: one.record,
        ..two
    };
    assert_eq!(mixed.check(&keys), Err(ProofError::NotCovered));
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (0..12usize, 1..5usize, 1..9usize, 0..3usize, any::<bool>());
    let plan = plan.prop_map(|(requests, checkpoints, rotation, tail, stops)| Plan {
        requests,
        checkpoints,
        rotation,
        tail: if stops { 0 } else { tail },
        stops,
    });
    proptest::collection::vec(plan, 1..4)
}

fn read_files(log: &Log, files: &[Vec<u8>]) -> Report {
    let mut verifier = log.with_second_place();
    for (number, bytes) in files.iter().enumerate() {
        verifier = read(verifier, &format!("audit.{number}.jsonl"), bytes);
    }
    verifier.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn tl_07_a_log_that_nobody_touched_has_no_findings(plans in plans()) {
        let log = Log::of(&plans);
        let files: Vec<_> = log.files.iter().map(|it| bytes(it)).collect();
        let report = read_files(&log, &files);
        prop_assert!(report.is_clean(), "{:#?}", report);
        prop_assert_eq!(kinds(&report.notices).contains(&FindingKind::ClockSet), false);
    }

    #[test]
    fn tl_07_any_byte_that_is_changed_is_found(
        plans in plans(), file in any::<Index>(), at in any::<Index>(), flip in 1..=255u8,
    ) {
        let log = Log::of(&plans);
        let mut files: Vec<_> = log.files.iter().map(|it| bytes(it)).collect();
        let last = files.len() - 1;
        let file = file.index(files.len());
        let at = at.index(files[file].len());
        files[file][at] ^= flip;
        // What nothing holds: the last record, where it is no checkpoint.
        let line = log.files[file].last().unwrap();
        let is_free = file == last && at >= files[file].len() - 1 - line.len() && !is_checkpoint(line);
        let report = read_files(&log, &files);
        prop_assert!(!report.is_clean() || is_free);
    }

    #[test]
    fn tl_07_any_record_that_is_missing_is_found(plans in plans(), at in any::<Index>()) {
        let log = Log::of(&plans);
        let mut lines = log.lines();
        let at = at.index(lines.len());
        let line = lines.remove(at);
        let is_free = at == lines.len() && !is_checkpoint(&line);
        let report = found(log.with_second_place(), &lines);
        prop_assert_eq!(report.is_clean(), is_free);
    }

    #[test]
    fn tl_07_any_two_records_of_a_run_that_changed_places_are_found(
        plans in plans(), one in any::<Index>(), two in any::<Index>(),
    ) {
        let log = Log::of(&plans);
        let mut lines = log.lines();
        let (one, two) = (one.index(lines.len()), two.index(lines.len()));
        let boot = |at: usize| line::parse(&lines[at]).unwrap().boot;
        prop_assume!(one != two && boot(one) == boot(two));
        lines.swap(one, two);
        prop_assert!(!found(log.keyed(), &lines).is_clean());
        prop_assert!(!found(Verifier::new(), &lines).is_clean());
    }

    #[test]
    fn tl_07_any_copy_of_a_record_is_found(
        plans in plans(), from in any::<Index>(), to in any::<Index>(),
    ) {
        let log = Log::of(&plans);
        let mut lines = log.lines();
        let copy = lines[from.index(lines.len())].clone();
        lines.insert(to.index(lines.len() + 1), copy);
        prop_assert!(!found(Verifier::new(), &lines).is_clean());
    }

    #[test]
    fn tl_08_any_tail_that_is_cut_off_is_found_up_to_the_last_checkpoint(
        plans in plans(), at in any::<Index>(),
    ) {
        let log = Log::of(&plans);
        let lines = log.lines();
        let text = bytes(&lines);
        let cut = at.index(text.len());
        let report = read(log.with_second_place(), "audit.jsonl", &text[..cut]).finish();
        let last = lines.iter().rposition(|it| is_checkpoint(it)).unwrap();
        let signed = bytes(&lines[..=last]).len();
        let is_free = cut >= signed && text[cut - 1] == b'\n';
        prop_assert_eq!(report.is_clean(), is_free, "{:#?}", report);
    }
}
