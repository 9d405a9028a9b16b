//! Checks that a log is what was written: whole, in order, and signed.
//!
//! A [`Verifier`] reads the lines of a log once, one after the other, and says what is wrong and where. What it can find depends on
//! what it is given:
//!
//! | given | what cannot go unnoticed |
//! |---|---|
//! | the log alone | a change, a gap, a copy or another order inside a chain, by somebody who does not write the rest anew |
//! | and public keys | the same by anybody who does not have the private key, up to the last checkpoint of each chain |
//! | and checkpoints in a second place | that the end of a chain, or a whole chain, was cut off or written anew, up to those checkpoints |
//! | and the time | that a chain which promised checkpoints has none: its process is dead, or its end was cut off |
//!
//! So the records behind the last checkpoint are only as good as the file is safe, and runs at the end that are missing as a whole
//! are found with the second place only. The word for such a log is "auditable".

mod proof;
mod report;
mod run;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use gateless_core::Timestamp;

pub use self::proof::{NoProof, Proof, ProofError, Prover, prove};
pub use self::report::{ChainReport, Finding, FindingKind, Position, Report, Signed};
use self::run::{At, Doubt, Run};
use crate::boot::BootId;
use crate::checkpoint::Checkpoint;
use crate::hash::LineHash;
use crate::line;
use crate::record::{Entry, Event, Link, Retired};
use crate::seal::SealPublicKey;

/// How many findings are listed, and how many notices.
const LISTED: usize = 1000;
/// How many chains are kept apart: a file of somebody else must not fill the memory.
const CHAINS: usize = 20_000;
/// After how many heartbeats without a checkpoint a chain counts as silent.
const SILENT: u64 = 3;
/// How far the clock may move against the running time from one record to the next, besides one part in a thousand.
const DRIFT_MILLIS: u64 = 2_000;
/// How far the clock of a service may be before that of the reader.
const AHEAD: Duration = Duration::from_secs(5);
/// How long something waits for its signature where no signed record says how often one comes.
const USUAL_HEARTBEAT: u64 = 60;
/// No service promises a checkpoint more seldom: what is not signed could say anything.
const MAX_HEARTBEAT: u64 = 86_400;

/// Checks a log. See the [module](self).
///
/// ```
/// use std::time::Duration;
///
/// use gateless_audit::verify::{FindingKind, Verifier};
/// use gateless_audit::{Batch, BootId, Chain, Event, SealKey};
/// use gateless_core::Timestamp;
///
/// let (key, now) = (SealKey::random(), Timestamp::from_secs(1_795_000_000));
/// let (mut chain, mut batch) = (Chain::new("orders-1", BootId::random()), Batch::new());
/// chain.append(Event::Start(Default::default()), now, Duration::ZERO, &mut batch);
/// chain.append(Event::Stop, now, Duration::ZERO, &mut batch);
/// chain.checkpoint(&key, now, Duration::ZERO, &mut batch);
///
/// let verify = |lines: &[&str]| {
///     let mut verifier = Verifier::new().key(key.public().clone());
///     for (number, line) in (1..).zip(lines) {
///         verifier.line("audit.jsonl", number, line);
///     }
///     verifier.finish()
/// };
/// let lines: Vec<_> = batch.lines().collect();
/// assert!(verify(&lines).is_clean());
///
/// let report = verify(&[lines[0], lines[2]]);
/// let first = report.first().expect("a record is missing");
/// assert_eq!((first.kind, first.at.line), (FindingKind::RecordsMissing, 2));
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct Verifier {
    keys: Vec<SealPublicKey>,
    instance: Option<Box<str>>,
    now: Option<Timestamp>,
    runs: HashMap<(Box<str>, BootId), Run>,
    /// Records that have to be there, as something else speaks of them.
    wanted: HashMap<BootId, BTreeMap<u64, Vec<Wanted>>>,
    retired: Vec<RetiredAt>,
    found: Listed,
    noticed: Listed,
    unlisted: u64,
    lines: u64,
    /// Those that are not of the second place.
    lines_of_log: u64,
    file: Option<Arc<str>>,
    /// The last record of the file that is read.
    in_file: Option<(BootId, u64)>,
    torn: Vec<Torn>,
    buffer: Vec<u8>,
    has_too_many: bool,
}

/// The end of a file that is a part of a line.
#[derive(Debug)]
struct Torn {
    at: At,
    /// The record before it in that file.
    before: Option<(BootId, u64)>,
    /// Whether the record behind that one stands in another file, and goes with it.
    goes_on: bool,
}

/// By the order of the lines, and of what was found in one line.
type Listed = BTreeMap<(u64, u64), Finding>;

#[derive(Debug)]
struct Wanted {
    hash: LineHash,
    /// Who speaks of it.
    at: At,
    by: By,
}

#[derive(Debug)]
enum By {
    /// The start of a later run.
    Start {
        boot: BootId,
        seq: u64,
        time: Timestamp,
        instance: Box<str>,
    },
    /// A checkpoint in the second place.
    SecondPlace { time: Timestamp, instance: Box<str> },
}

#[derive(Debug)]
struct RetiredAt {
    retired: Retired,
    at: At,
    run: (Box<str>, BootId),
    seq: u64,
    time: Timestamp,
}

/// Whether a record says why others are missing.
enum Cover {
    None,
    /// Whether it is so new that its signature can be still to come, and where it stands.
    Unsigned(bool, Position, u64),
    Signed,
}

impl Verifier {
    /// One that knows no keys: it finds what does not fit together, and cannot tell who wrote it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key. All keys that the log was ever signed with have to be there.
    pub fn key(mut self, key: SealPublicKey) -> Self {
        self.keys.push(key);
        self
    }

    /// The instance that wrote the log: another one, or none, is a finding.
    pub fn instance(mut self, name: impl Into<Box<str>>) -> Self {
        self.instance = Some(name.into());
        self
    }

    /// The time at which the log is complete, to be given before its lines: a chain without an end that was silent for too long before that is a finding.
    pub fn now(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    /// A line of the second place: a copy of a checkpoint. To be given before the lines of the log, and only those of the
    /// instances that wrote the log.
    pub fn second_place(&mut self, file: &str, number: u64, line: impl AsRef<[u8]>) {
        let line = line.as_ref();
        let at = self.at(file, number);
        let text = std::str::from_utf8(line).ok();
        let entry = text.and_then(|text| line::parse(text).ok());
        let Some(entry) = entry.filter(|entry| matches!(entry.event, Event::Checkpoint(_))) else {
            let says = "this line of the second place is no checkpoint";
            self.find(FindingKind::SecondPlaceWrong, &at, None, None, says);
            return;
        };
        let (boot, seq) = (entry.boot, entry.seq);
        if let Event::Checkpoint(checkpoint) = &entry.event
            && !self.keys.is_empty()
            && !self.is_signed(checkpoint, &entry)
        {
            let says = "none of the keys has signed this checkpoint of the second place";
            self.find(
                FindingKind::SecondPlaceWrong,
                &at,
                Some(boot),
                Some(seq),
                says,
            );
            return;
        }
        let wanted = Wanted {
            hash: LineHash::of_line(line),
            at,
            by: By::SecondPlace {
                time: entry.time,
                instance: (&*entry.instance).into(),
            },
        };
        self.want(boot, seq, wanted);
    }

    /// The next line of the log, without its line feed. `number` counts the lines of `file` from 1. Files follow each other as
    /// they were written.
    pub fn line(&mut self, file: &str, number: u64, line: impl AsRef<[u8]>) {
        let line = line.as_ref();
        let at = self.at(file, number);
        self.lines_of_log += 1;
        let parsed = std::str::from_utf8(line).ok().map(line::parse);
        let entry = match parsed {
            Some(Ok(entry)) => entry,
            Some(Err(error)) => {
                return self.find(FindingKind::NotARecord, &at, None, None, &error.to_string());
            }
            None => return self.find(FindingKind::NotARecord, &at, None, None, "not a text"),
        };
        let (boot, seq) = (Some(entry.boot), Some(entry.seq));
        if entry.version != Entry::VERSION {
            let says = format!("its version is {}", entry.version);
            self.find(FindingKind::UnknownVersion, &at, boot, seq, &says);
        } else {
            // What reads in two ways, such as a key that is there twice, is not what the writer writes.
            self.buffer.clear();
            line::write(&entry, &mut self.buffer);
            if self.buffer != line {
                let says = "a record, and not in the form in which records are written";
                self.find(FindingKind::NotAsWritten, &at, boot, seq, says);
            }
        }
        self.record(&entry, &at, LineHash::of_line(line));
    }

    /// Says that the file ends with a part of a line: no line feed is behind it. A process that was killed leaves that. Where later
    /// lines show that no record is missing there, it is a notice.
    pub fn torn_line(&mut self, file: &str, number: u64) {
        let at = self.at(file, number);
        self.torn.push(Torn {
            at,
            before: self.in_file,
            goes_on: false,
        });
    }

    /// Says that a file of the second place ends with a part of a line. What it does not hold, it does not ask for.
    pub fn second_place_torn(&mut self, file: &str, number: u64) {
        let at = self.at(file, number);
        let says = "the second place ends in the middle of a line".to_owned();
        let position = at.position(None, None);
        self.push_notice(at.order, FindingKind::TornLine, position, says);
    }

    /// Says that there is a line which was not read, as no record is that long.
    pub fn long_line(&mut self, file: &str, number: u64) {
        let at = self.at(file, number);
        let says = "no record is that long";
        self.find(FindingKind::LineTooLong, &at, None, None, says);
    }

    fn at(&mut self, file: &str, line: u64) -> At {
        let file = match &self.file {
            Some(known) if **known == *file => Arc::clone(known),
            _ => {
                self.in_file = None;
                Arc::clone(self.file.insert(file.into()))
            }
        };
        self.lines += 1;
        At {
            file,
            line,
            order: self.lines,
        }
    }

    fn record(&mut self, entry: &Entry<'_>, at: &At, hash: LineHash) {
        let (boot, seq) = (entry.boot, entry.seq);
        self.in_file = Some((boot, seq));
        let id = (Box::from(&*entry.instance), boot);
        let Some(mut run) = self.runs.remove(&id) else {
            if self.runs.len() >= CHAINS {
                if !std::mem::replace(&mut self.has_too_many, true) {
                    let says = format!("more than {CHAINS} chains: the rest is not checked");
                    self.find(FindingKind::TooManyChains, at, Some(boot), Some(seq), &says);
                }
                return;
            }
            let mut run = Run::new(entry, at, hash);
            if self
                .instance
                .as_ref()
                .is_some_and(|name| *name != run.instance)
            {
                let says = "another instance wrote it";
                self.find(FindingKind::OtherInstance, at, Some(boot), Some(seq), says);
            }
            if seq == 0 && entry.prev != LineHash::ZERO {
                let says = "the first record of a chain names one before it";
                self.find(FindingKind::Altered, at, Some(boot), Some(seq), says);
            }
            self.event(entry, at, &mut run, true);
            self.meet(boot, seq, hash, at, &mut run);
            self.runs.insert(id, run);
            return;
        };
        if seq <= run.last {
            let says = format!("it stands behind record {}", run.last);
            self.find(FindingKind::OutOfOrder, at, Some(boot), Some(seq), &says);
            self.runs.insert(id, run);
            return;
        }
        self.clock(entry, at, &run);
        let mut is_bound = true;
        if seq > run.last + 1 {
            is_bound = false;
            self.settle(&mut run, None);
            let says = format!(
                "records {} to {} are missing before it",
                run.last + 1,
                seq - 1
            );
            self.find(
                FindingKind::RecordsMissing,
                at,
                Some(boot),
                Some(seq),
                &says,
            );
            run.break_off(seq);
        } else if entry.prev != run.head {
            is_bound = false;
            // If this is the second in a row, the record between them is the one that was changed.
            if run.doubt.is_some() {
                self.settle(&mut run, Some(false));
            } else {
                run.doubt = Some(Doubt {
                    earlier: (run.last_at.clone(), run.last),
                    later: (at.clone(), seq),
                });
            }
            run.is_open_whole = false;
        } else {
            self.settle(&mut run, Some(true));
            if run.last_at.file != at.file {
                let before = Some((boot, run.last));
                let mut torn = self.torn.iter_mut();
                if let Some(torn) = torn.find(|it| it.before == before) {
                    torn.goes_on = true;
                }
            }
        }
        if let Some(stopped) = run.stopped {
            run.after_stop += 1;
            if run.after_stop > 1 || !matches!(entry.event, Event::Checkpoint(_)) {
                let says = format!("the process had ended with record {stopped}");
                self.find(FindingKind::AfterStop, at, Some(boot), Some(seq), &says);
            }
        }
        self.event(entry, at, &mut run, is_bound);
        run.push(entry, at, hash);
        self.meet(boot, seq, hash, at, &mut run);
        self.runs.insert(id, run);
    }

    /// What the kind of a record asks for. The record itself is not in `run` yet, unless it is its first.
    fn event(&mut self, entry: &Entry<'_>, at: &At, run: &mut Run, is_bound: bool) {
        match &entry.event {
            // Only the first record of a chain says how the chain begins.
            Event::Start(start) if entry.seq == 0 => {
                run.heartbeat_secs = start.heartbeat_secs;
                run.seal = start.seal.as_ref().map(|seal| (&**seal).into());
                if let Some(previous) = start.previous {
                    self.previous(previous, entry, at);
                }
            }
            Event::Checkpoint(checkpoint) => self.checkpoint(checkpoint, entry, at, run, is_bound),
            Event::Retired(retired) => self.retired.push(RetiredAt {
                retired: *retired,
                at: at.clone(),
                run: (run.instance.clone(), run.boot),
                seq: entry.seq,
                time: entry.time,
            }),
            Event::Stop => run.stopped = Some(entry.seq),
            _ => {}
        }
    }

    fn checkpoint(
        &mut self,
        checkpoint: &Checkpoint,
        entry: &Entry<'_>,
        at: &At,
        run: &mut Run,
        is_bound: bool,
    ) {
        let (boot, seq) = (Some(entry.boot), Some(entry.seq));
        let is_first = run.records == 1 && run.last == entry.seq;
        let mut is_fine = true;
        let wrong = if checkpoint.end != entry.seq || checkpoint.first > checkpoint.end {
            Some("it does not cover the records up to itself".to_owned())
        } else if checkpoint.head != entry.prev {
            Some("it signs another record than the one before it".to_owned())
        } else if is_first && entry.seq == 0 {
            (checkpoint.root != LineHash::ZERO).then(|| "it signs what is not there".to_owned())
        } else if is_first || !run.is_open_whole {
            // A part of what it covers was deleted, or does not go together: that is a finding already, or is retired.
            None
        } else if checkpoint.first != run.open_first {
            Some(format!(
                "it covers the records from {}, and not from {}",
                checkpoint.first, run.open_first
            ))
        } else if is_bound && checkpoint.root != run.open.root() {
            Some(format!(
                "records {} to {} are not those that it signs",
                checkpoint.first,
                checkpoint.end.saturating_sub(1)
            ))
        } else {
            None
        };
        if run
            .seal
            .as_ref()
            .is_some_and(|seal| *seal != checkpoint.key)
        {
            is_fine = false;
            let says = "it is signed with another key than the start of its chain names";
            self.find(FindingKind::CheckpointWrong, at, boot, seq, says);
        }
        if let Some(says) = wrong {
            is_fine = false;
            self.find(FindingKind::CheckpointWrong, at, boot, seq, &says);
        }
        if !self.keys.is_empty() {
            if !self.keys.iter().any(|key| *key.id() == *checkpoint.key) {
                is_fine = false;
                let says = "it is signed with a key that is not among those given";
                self.find(FindingKind::UnknownKey, at, boot, seq, says);
            } else if !self.is_signed(checkpoint, entry) {
                is_fine = false;
                let says = "its signature is not good";
                self.find(FindingKind::SignatureWrong, at, boot, seq, says);
            }
            if is_fine {
                run.key = Some(checkpoint.key.clone());
                run.signed = Some(Signed {
                    seq: entry.seq,
                    time: entry.time,
                });
            }
        }
        run.checkpoints += 1;
        if is_fine {
            if checkpoint.heartbeat_secs.is_some() {
                run.heartbeat_secs = checkpoint.heartbeat_secs;
            }
            // One of the future says nothing of now.
            if self.is_ahead(entry.time) {
                if !std::mem::replace(&mut run.is_ahead, true) {
                    let says = "this checkpoint is later than the time that the reader has";
                    self.notice(FindingKind::ClockSet, at, entry, says);
                }
            } else {
                run.last_checkpoint = Some(entry.time);
            }
        }
        // The next one covers this one too; `run` gets the record after this, unless it is its first.
        if !is_first {
            run.open.take();
        }
        run.open_first = entry.seq;
        run.is_open_whole = true;
    }

    fn is_signed(&self, checkpoint: &Checkpoint, entry: &Entry<'_>) -> bool {
        let mut keys = self.keys.iter();
        keys.any(|key| *key.id() == *checkpoint.key && checkpoint.is_signed_by(key, entry))
    }

    /// A run says what was written last before it began.
    fn previous(&mut self, link: Link, entry: &Entry<'_>, at: &At) {
        let by = By::Start {
            boot: entry.boot,
            seq: entry.seq,
            time: entry.time,
            instance: (&*entry.instance).into(),
        };
        let wanted = Wanted {
            hash: link.hash,
            at: at.clone(),
            by,
        };
        let ids = self.runs.keys().filter(|(_, boot)| *boot == link.boot);
        let known = ids
            .filter_map(|id| {
                self.runs
                    .get(id)
                    .map(|run| (id.clone(), run.recent(link.seq)))
            })
            .find(|(id, _)| self.runs.get(id).is_some_and(|run| run.last >= link.seq));
        let Some((id, hash)) = known else {
            return self.want(link.boot, link.seq, wanted);
        };
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        if hash == Some(link.hash) {
            let by = ((&*entry.instance).into(), entry.boot);
            run.confirmed_by.push((link.seq, by));
            let (last, time) = (run.last_time, entry.time);
            if last.since(time).as_millis() > u128::from(DRIFT_MILLIS) {
                let says = "the run before it ends later than this one begins: the clock was set";
                self.notice(FindingKind::ClockSet, at, entry, says);
            }
        } else {
            let position = run.at_last();
            let order = run.last_at.order;
            let says = format!(
                "its record {} is not the one that was written last when boot {} began",
                link.seq, entry.boot
            );
            self.push(order, FindingKind::Contradicted, position, says);
        }
    }

    fn want(&mut self, boot: BootId, seq: u64, wanted: Wanted) {
        let wanted_of = self.wanted.entry(boot).or_default();
        wanted_of.entry(seq).or_default().push(wanted);
    }

    /// Compares a record with what others say of it.
    fn meet(&mut self, boot: BootId, seq: u64, hash: LineHash, at: &At, run: &mut Run) {
        let Some(wanted_of) = self.wanted.get_mut(&boot) else {
            return;
        };
        for wanted in wanted_of.remove(&seq).unwrap_or_default() {
            if wanted.hash == hash {
                if let By::Start { boot, instance, .. } = wanted.by {
                    run.confirmed_by.push((seq, (instance, boot)));
                }
                continue;
            }
            let says = match wanted.by {
                By::Start { boot, .. } => format!("boot {boot} knows another record here"),
                By::SecondPlace { .. } => "the second place has another record here".to_owned(),
            };
            self.find(FindingKind::Contradicted, at, Some(boot), Some(seq), &says);
        }
    }

    /// The clock of the machine goes as fast as the process runs, unless somebody sets it.
    fn clock(&mut self, entry: &Entry<'_>, at: &At, run: &Run) {
        let clock = i128::from(entry.time.as_millis()) - i128::from(run.last_time.as_millis());
        let ran = (i128::from(entry.up_us) - i128::from(run.last_up_us)) / 1000;
        let moved = clock - ran;
        if moved.unsigned_abs() > u128::from(DRIFT_MILLIS) + ran.unsigned_abs() / 1000 {
            let (way, by) = if moved < 0 {
                ("back", moved.unsigned_abs())
            } else {
                ("forward", moved.unsigned_abs())
            };
            let says = format!("the clock was set {way} by {by} ms before it");
            self.notice(FindingKind::ClockSet, at, entry, &says);
        }
    }

    /// Says which of two records that do not go together was changed: the next record goes with the later one, or it does not.
    fn settle(&mut self, run: &mut Run, goes_on: Option<bool>) {
        let Some(Doubt { earlier, later }) = run.doubt.take() else {
            return;
        };
        let (at, seq) = if goes_on == Some(false) {
            later
        } else {
            earlier
        };
        let says = if goes_on.is_some() {
            "it is not the record that its neighbours go with"
        } else {
            "it and the record behind it do not go together"
        };
        self.find(FindingKind::Altered, &at, Some(run.boot), Some(seq), says);
    }

    /// What was found in all.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let mut runs: Vec<_> = std::mem::take(&mut self.runs).into_values().collect();
        runs.sort_by_key(|run| run.first_at.order);
        for run in &mut runs {
            self.settle(run, None);
        }
        // A start that nobody signed confirms nothing: anybody can have written it.
        let is_signed = |run: &&Run| self.keys.is_empty() || run.signed.is_some();
        let signed = runs.iter().filter(is_signed);
        let signed: HashSet<_> = signed.map(|run| (run.instance.clone(), run.boot)).collect();
        for run in &mut runs {
            run.confirmed_by.retain(|(_, by)| signed.contains(by));
            run.confirmed = run.confirmed_by.iter().map(|(seq, _)| *seq).max();
        }
        self.torn_lines(&runs);
        let is_expected = !self.keys.is_empty() || self.now.is_some() || self.instance.is_some();
        if self.lines_of_log == 0 && is_expected {
            let at = Position {
                file: "".into(),
                line: 0,
                boot: None,
                seq: None,
            };
            let says = "there is no line, and so nothing that says what was written".to_owned();
            self.push(0, FindingKind::Empty, at, says);
        }
        let mut begins: HashMap<Box<str>, Timestamp> = HashMap::new();
        for run in &runs {
            self.beginning(run, &runs, &mut begins);
        }
        self.missing(&runs, begins);
        for run in &runs {
            self.end(run);
        }
        let in_order = |found: Listed| found.into_values().collect();
        Report {
            findings: in_order(self.found),
            notices: in_order(self.noticed),
            unlisted: self.unlisted,
            lines: self.lines,
            chains: runs.iter().map(Run::report).collect(),
        }
    }

    /// A process that is killed in the middle of a write leaves a part of a line. If what comes later knows the record before it as
    /// the last one, or goes on from there, there was no other.
    fn torn_lines(&mut self, runs: &[Run]) {
        for torn in std::mem::take(&mut self.torn) {
            let is_harmless = match torn.before {
                Some((boot, seq)) => {
                    torn.goes_on
                        || runs.iter().filter(|run| run.boot == boot).any(|run| {
                            run.last == seq && run.confirmed_by.iter().any(|(at, _)| *at == seq)
                        })
                }
                None => runs.iter().any(|run| {
                    run.first_at.order > torn.at.order
                        && (self.keys.is_empty() || run.signed.is_some())
                }),
            };
            let position = torn.at.position(None, None);
            let (order, kind) = (torn.at.order, FindingKind::TornLine);
            let says = "the file ends in the middle of a line";
            if is_harmless {
                let says = format!("{says}, and later records show that none is missing there");
                self.push_notice(order, kind, position, says);
            } else {
                self.push(order, kind, position, says.to_owned());
            }
        }
    }

    /// Whether the beginning of a chain is there, or was deleted in an orderly way.
    fn beginning(&mut self, run: &Run, runs: &[Run], begins: &mut HashMap<Box<str>, Timestamp>) {
        let Some(link) = run.before_first() else {
            return;
        };
        let order = run.first_at.order;
        match self.cover(&link, runs) {
            Cover::None => {
                let says = format!("records 0 to {} are missing before it", link.seq);
                self.push(order, FindingKind::BeginningMissing, run.at_first(), says);
                return;
            }
            Cover::Unsigned(is_new, at, order) => {
                // What anybody can write does not say what the second place may ask for.
                return self.unsigned_retirement(is_new, at, order);
            }
            Cover::Signed => {
                let says = format!("records 0 to {} were deleted in an orderly way", link.seq);
                self.push_notice(order, FindingKind::Retired, run.at_first(), says);
            }
        }
        let begin = begins.entry(run.instance.clone()).or_insert(run.first_time);
        *begin = (*begin).min(run.first_time);
    }

    fn unsigned_retirement(&mut self, is_new: bool, at: Position, order: u64) {
        if is_new {
            let says = "what it says of deleted records is not signed yet".to_owned();
            self.push_notice(order, FindingKind::NotSignedYet, at, says);
        } else {
            let says = "it says that records were deleted, and is not signed".to_owned();
            self.push(order, FindingKind::RetirementUnsigned, at, says);
        }
    }

    /// Whether a record says that all up to `link` was deleted, and whether that is signed.
    fn cover(&self, link: &Link, runs: &[Run]) -> Cover {
        let mut cover = Cover::None;
        for retired in self.retired.iter().filter(|it| it.retired.through == *link) {
            let (instance, boot) = &retired.run;
            let mut runs = runs.iter();
            let run = runs.find(|run| run.boot == *boot && run.instance == *instance);
            let signed = run.and_then(|run| run.signed);
            if self.keys.is_empty() || signed.is_some_and(|signed| signed.seq > retired.seq) {
                return Cover::Signed;
            }
            let position = retired.at.position(Some(*boot), Some(retired.seq));
            let is_new = signed.is_some()
                && !self.is_ahead(retired.time)
                && self
                    .now
                    .is_some_and(|now| now.since(retired.time).as_secs() <= USUAL_HEARTBEAT);
            cover = Cover::Unsigned(is_new, position, retired.at.order);
        }
        cover
    }

    /// What others speak of and is not there.
    fn missing(&mut self, runs: &[Run], mut begins: HashMap<Box<str>, Timestamp>) {
        let mut wanted: Vec<_> = std::mem::take(&mut self.wanted)
            .into_iter()
            .flat_map(|(boot, of)| of.into_iter().map(move |(seq, wanted)| (boot, seq, wanted)))
            .flat_map(|(boot, seq, all)| all.into_iter().map(move |it| (boot, seq, it)))
            .collect();
        // Starts come first: they say where the log begins, if its beginning was deleted.
        wanted.sort_by_key(|(_, seq, it)| {
            (
                matches!(it.by, By::SecondPlace { .. }),
                std::cmp::Reverse(*seq),
                it.at.order,
            )
        });
        let mut said: HashMap<BootId, ()> = HashMap::new();
        for (boot, seq, wanted) in wanted {
            let link = Link {
                boot,
                seq,
                hash: wanted.hash,
            };
            let run = runs.iter().find(|run| run.boot == boot);
            let cover = self.cover(&link, runs);
            match (&wanted.by, cover) {
                (By::Start { time, instance, .. }, Cover::Signed) if run.is_none() => {
                    let begin = begins.entry(instance.clone()).or_insert(*time);
                    *begin = (*begin).min(*time);
                    let position = wanted.by_position();
                    let says = format!("boot {boot} before it was deleted in an orderly way");
                    self.push_notice(wanted.at.order, FindingKind::Retired, position, says);
                    continue;
                }
                (By::Start { .. }, Cover::Unsigned(is_new, position, order)) if run.is_none() => {
                    self.unsigned_retirement(is_new, position, order);
                    continue;
                }
                (By::SecondPlace { time, instance }, _)
                    if run.is_none() && begins.get(instance).is_some_and(|begin| time <= begin) =>
                {
                    continue;
                }
                _ => {}
            }
            // A beginning that is missing is a finding already, or is covered.
            if run.is_some_and(|run| seq < run.first) || said.insert(boot, ()).is_some() {
                continue;
            }
            let by = match wanted.by {
                By::Start { boot, .. } => format!("boot {boot} knows"),
                By::SecondPlace { .. } => "the second place knows".to_owned(),
            };
            match run {
                None => {
                    let says =
                        format!("{by} record {seq} of boot {boot}, of which nothing is here");
                    let position = wanted.by_position();
                    self.push(wanted.at.order, FindingKind::RunMissing, position, says);
                }
                Some(run) if seq > run.last => {
                    let says = format!(
                        "the records after {} are missing: {by} record {seq}",
                        run.last
                    );
                    let order = run.last_at.order;
                    self.push(order, FindingKind::EndMissing, run.at_last(), says);
                }
                Some(run) => {
                    let says = format!("record {seq} is missing: {by} it");
                    let order = run.last_at.order;
                    self.push(order, FindingKind::RecordsMissing, run.at_last(), says);
                }
            }
        }
    }

    /// Whether the end of a chain is its end.
    fn end(&mut self, run: &Run) {
        let order = run.last_at.order;
        if !self.keys.is_empty() && run.signed.is_none() {
            if self.is_recent(run.first_time, run) {
                let says = "nothing of this chain is signed yet".to_owned();
                self.push_notice(order, FindingKind::NotSignedYet, run.at_last(), says);
            } else {
                let says = "nothing of this chain is signed with one of the keys".to_owned();
                let order = run.first_at.order;
                self.push(order, FindingKind::Unsigned, run.at_first(), says);
            }
        }
        // Anybody can write the end of a process, if it needs no signature.
        let is_proven =
            |seq| self.keys.is_empty() || run.signed.is_some_and(|signed| signed.seq > seq);
        if run.stopped.is_some_and(is_proven) {
            return;
        }
        if run.confirmed == Some(run.last) {
            if run.stopped.is_none() {
                let confirmed = run.confirmed_by.iter().find(|(seq, _)| *seq == run.last);
                let by = confirmed.map_or(run.boot, |(_, (_, boot))| *boot);
                let says = format!("it was the last record when boot {by} began");
                self.push_notice(order, FindingKind::Died, run.at_last(), says);
            }
            return;
        }
        let last_sign = run.last_checkpoint.or(Some(run.first_time));
        let last_sign = last_sign.filter(|time| !self.is_ahead(*time));
        match (self.now, self.heartbeat(run)) {
            (Some(now), Some(secs)) => {
                let Some(last_sign) = last_sign else {
                    let says = "no checkpoint of it is from before now".to_owned();
                    return self.push(order, FindingKind::Silent, run.at_last(), says);
                };
                let silent = now.since(last_sign).as_secs();
                if silent > secs.saturating_mul(SILENT) {
                    let says = format!(
                        "no checkpoint for {silent} seconds where one comes every {secs}: the process is dead, or what came after \
                         was cut off"
                    );
                    self.push(order, FindingKind::Silent, run.at_last(), says);
                }
            }
            _ => {
                let says = "there may have been more after it: nothing here can tell".to_owned();
                self.push_notice(order, FindingKind::OpenEnd, run.at_last(), says);
            }
        }
    }

    /// Whether something that is signed with the next checkpoint can wait for it.
    fn is_recent(&self, time: Timestamp, run: &Run) -> bool {
        let (Some(now), Some(secs)) = (self.now, self.heartbeat(run)) else {
            return false;
        };
        let is_possible = run.heartbeat_secs.is_some_and(|secs| secs <= MAX_HEARTBEAT);
        is_possible && !self.is_ahead(time) && now.since(time).as_secs() <= secs * SILENT
    }

    /// Whether a time is so late that the clocks alone do not explain it.
    fn is_ahead(&self, time: Timestamp) -> bool {
        self.now.is_some_and(|now| time.since(now) > AHEAD)
    }

    /// After how many seconds a checkpoint comes. What the run promises counts for it only when it is signed.
    fn heartbeat(&self, run: &Run) -> Option<u64> {
        let max = if self.keys.is_empty() || run.signed.is_some() {
            MAX_HEARTBEAT
        } else {
            USUAL_HEARTBEAT
        };
        run.heartbeat_secs.map(|secs| secs.min(max))
    }

    fn find(
        &mut self,
        kind: FindingKind,
        at: &At,
        boot: Option<BootId>,
        seq: Option<u64>,
        says: &str,
    ) {
        self.push(at.order, kind, at.position(boot, seq), says.to_owned());
    }

    fn notice(&mut self, kind: FindingKind, at: &At, entry: &Entry<'_>, says: &str) {
        let position = at.position(Some(entry.boot), Some(entry.seq));
        self.push_notice(at.order, kind, position, says.to_owned());
    }

    fn push(&mut self, order: u64, kind: FindingKind, at: Position, says: String) {
        push(
            &mut self.found,
            &mut self.unlisted,
            (order, Finding { kind, at, says }),
        );
    }

    fn push_notice(&mut self, order: u64, kind: FindingKind, at: Position, says: String) {
        push(
            &mut self.noticed,
            &mut self.unlisted,
            (order, Finding { kind, at, says }),
        );
    }
}

/// Keeps the first ones.
fn push(list: &mut Listed, unlisted: &mut u64, (order, finding): (u64, Finding)) {
    let of_line = list.range((order, 0)..=(order, u64::MAX));
    let next = of_line.last().map_or(0, |((_, next), _)| next + 1);
    list.insert((order, next), finding);
    if list.len() > LISTED {
        list.pop_last();
        *unlisted += 1;
    }
}

impl Wanted {
    fn by_position(&self) -> Position {
        match self.by {
            By::Start { boot, seq, .. } => self.at.position(Some(boot), Some(seq)),
            By::SecondPlace { .. } => self.at.position(None, None),
        }
    }
}
