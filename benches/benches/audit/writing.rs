//! How many records a second one thread brings into a file, beside what does less.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateless::audit::{
    AuditLog, AuditSink as _, Backpressure, Batch, BootId, Event, FileSink, PseudonymKey, SealKey,
};
use gateless::{Clock as _, SystemClock};
use gateless_audit::{Chain, EndKind, Entry, Outcome, Protocol, Request, TokenFound, parse};
use gateless_bench::{Door, Held, answer, flush, quartiles, waiter};
use tower::Layer as _;

use crate::{Folder, Stages};

/// How many records are written together.
const BATCH: usize = 1_024;

/// How many the whole writer finds in its queue.
const QUEUED: usize = 16 * BATCH;

const ISSUER: &str = "https://idp.example.com/realms/main";

pub(crate) fn run(rounds: usize) {
    println!("\nRecords a second into a file, by one thread: medians of {rounds} rounds.\n");
    println!(
        "{:52}{:>11}{:>24}{:>8}",
        "", "a second", "quartiles", "bytes"
    );
    by_hand(rounds);
    for is_sealed in [false, true] {
        let results = whole(rounds.div_ceil(4), is_sealed);
        let name = match is_sealed {
            false => "the thread of an AuditLog, with its rests",
            true => "the same, with a seal",
        };
        print(name, results, None);
    }
}

fn print(name: &str, results: Vec<f64>, bytes: Option<usize>) {
    let [lower, half, upper] = quartiles(results);
    let bytes = bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
    println!(
        "{name:52}{half:11.0}{:>24}{bytes:>8}",
        format!("{lower:.0} to {upper:.0}")
    );
}

fn per_second(records: usize, took: Duration) -> f64 {
    records as f64 / took.as_secs_f64()
}

/// A record as the layer makes it of an allowed request. Pseudonyms are made with a key, or are there.
fn compose(key: Option<&PseudonymKey>) -> Event<'static> {
    let mut record = Request::new(Protocol::Http, Outcome::Allowed);
    record.method = "GET".into();
    record.route = Some("/orders/{id}".into());
    record.status = Some(200);
    record.latency_us = 412;
    record.issuer = Some(ISSUER.into());
    let (subject, token) = match key {
        Some(key) => (
            key.subject(ISSUER, "248289761001").into(),
            key.token(ISSUER, "2d8a4a5e-6a0b-4f0e-9d54-7a1c0c1f4b55")
                .into(),
        ),
        None => (
            "k1.0123456789abcdef0123456789abcdef".into(),
            "k1.fedcba9876543210fedcba9876543210".into(),
        ),
    };
    record.subject = Some(subject);
    record.subject_kind = Some("user".into());
    record.client = Some("orders-web".into());
    record.token = Some(token);
    record.key = Some("2026-11".into());
    record.token_found = Some(TokenFound::Cached);
    record.policy_epoch = Some(1);
    record.scopes_required = vec!["orders:read".into()];
    record.scopes_granted = vec!["openid".into(), "orders:read".into(), "orders:write".into()];
    record.peer = Some("192.0.2.7".into());
    record.agent = Some("other".into());
    record.end = Some(EndKind::Complete);
    record.sent_bytes = Some(2_048);
    record.duration_us = Some(431);
    Event::Request(Box::new(record))
}

/// One who takes part: writes [`BATCH`] records each time.
type Turn<'a> = Box<dyn FnMut() + 'a>;

fn by_hand(rounds: usize) {
    let folder = Folder::new("writing");
    let (key, seal) = (PseudonymKey::random(), SealKey::random());
    let lines = lines();
    let bytes = lines.len() / BATCH;

    let mut bare = File::create(folder.file("bare.jsonl")).expect("it can be made");
    let mut plain = File::create(folder.file("serde_json.jsonl")).expect("it can be made");
    let first = lines.lines().next().expect("there is one");
    let mut entry: Entry<'_> = parse(first).expect("it is a record");
    let mut buffer = Vec::new();
    let mut turns: Vec<(&str, Turn<'_>)> = vec![
        (
            "the same bytes, written",
            Box::new(|| bare.write_all(lines.as_bytes()).expect("there is room")),
        ),
        (
            "composed, serde_json, written",
            Box::new(|| {
                buffer.clear();
                for _ in 0..BATCH {
                    entry.seq += 1;
                    entry.event = compose(None);
                    serde_json::to_writer(&mut buffer, &entry).expect("it is JSON");
                    buffer.push(b'\n');
                }
                plain.write_all(&buffer).expect("there is room");
            }),
        ),
        (
            "composed, chained, FileSink",
            chained(&folder, "chained", None, None),
        ),
        (
            "composed, chained, sealed, FileSink",
            chained(&folder, "sealed", None, Some(&seal)),
        ),
        (
            "with two pseudonyms, chained, sealed, FileSink",
            chained(&folder, "pseudonyms", Some(&key), Some(&seal)),
        ),
    ];
    let mut results = vec![Vec::new(); turns.len()];
    for _ in 0..rounds {
        for ((_, turn), results) in turns.iter_mut().zip(&mut results) {
            let start = Instant::now();
            turn();
            results.push(per_second(BATCH, start.elapsed()));
        }
    }
    for ((name, _), results) in turns.iter().zip(results) {
        print(name, results, Some(bytes));
    }
}

/// As many lines as a batch has.
fn lines() -> String {
    let mut chain = Chain::new("orders-1", BootId::random());
    let (mut batch, now) = (Batch::new(), SystemClock::new().wall());
    for _ in 0..BATCH {
        chain.append(compose(None), now, Duration::from_secs(9), &mut batch);
    }
    String::from_utf8(batch.as_bytes().to_vec()).expect("lines are ASCII")
}

fn chained<'a>(
    folder: &Folder,
    name: &str,
    key: Option<&'a PseudonymKey>,
    seal: Option<&'a SealKey>,
) -> Turn<'a> {
    let mut chain = Chain::new("orders-1", BootId::random());
    let mut sink = FileSink::new(folder.file(&format!("{name}.jsonl")));
    sink.open(chain.boot()).expect("it can be made");
    let (clock, mut batch) = (SystemClock::new(), Batch::new());
    Box::new(move || {
        let (now, up) = (clock.wall(), Duration::from_secs(9));
        batch.clear();
        for _ in 0..BATCH {
            chain.append(compose(key), now, up, &mut batch);
        }
        if let Some(seal) = seal {
            chain.checkpoint(seal, now, up, &mut batch);
        }
        sink.write(&batch).expect("there is room");
    })
}

/// From a full queue until all of it is in the file.
fn whole(rounds: usize, is_sealed: bool) -> Vec<f64> {
    let (folder, waiter, stages) = (Folder::new("whole"), waiter(), Stages::new());
    let door = Arc::<Door>::default();
    let sink = Held {
        sink: FileSink::new(folder.file("audit.jsonl")),
        door: Arc::clone(&door),
    };
    let mut log = AuditLog::builder("orders-1", sink, Backpressure::FailRequest).capacity(1 << 16);
    if is_sealed {
        log = log.seal(SealKey::random());
    }
    let log = log.build().expect("the settings are sound");
    let mut service = log.layer(stages.stack.clone());
    let mut send = |count| {
        (0..count).for_each(|_| assert!(answer(&mut service, stages.request()).is_success()));
    };
    let mut round = || {
        door.shut(|| send(1));
        send(QUEUED);
        let start = Instant::now();
        door.open();
        flush(&waiter, &log);
        per_second(QUEUED, start.elapsed())
    };
    (0..rounds).map(|_| round()).collect()
}
