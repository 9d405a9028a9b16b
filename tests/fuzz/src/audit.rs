//! A log, as somebody may have left it: it verifies only as long as every line is there as it was written.

use std::sync::LazyLock;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use gateless_audit::verify::{Report, Verifier};
use gateless_audit::{
    Batch, BootId, Chain, Event, Outcome, Protocol, Request, SealKey, Start, ocsf, parse,
};
use gateless_core::Timestamp;

use crate::Target;
use crate::kit::NOW;

pub(crate) const TARGET: Target = Target {
    name: "audit",
    run,
    made,
    words: &[
        "\n",
        "\"seq\":",
        "\"v\":1",
        "\"v\":2",
        "\"prev\":",
        "\"boot\":",
        "\"kind\":\"request\"",
        "\"kind\":\"checkpoint\"",
        "\"kind\":\"stop\"",
        "0",
        "9",
        "18446744073709551615",
        "null",
        "\\u0061",
        " ",
        "{",
        "}",
        ",",
        "2025-06-15T15:06:40.000Z",
        "\"",
    ],
    rounds: 2_000,
};

struct Log {
    key: SealKey,
    lines: Vec<String>,
    checkpoints: Vec<String>,
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let pem = SigningKey::from_bytes(&[9; 32])
        .to_pkcs8_pem(LineEnding::LF)
        .unwrap();
    let key = SealKey::from_pem(&pem).unwrap();
    let boot = BootId::parse("000102030405060708090a0b0c0d0e0f").unwrap();
    let (mut chain, mut batch) = (Chain::new("orders-1", boot), Batch::new());
    let mut up = Duration::ZERO;
    let mut append = |event: Option<Event<'static>>, chain: &mut Chain, batch: &mut Batch| {
        up += Duration::from_millis(250);
        let time = Timestamp::from_secs(NOW).saturating_add(up);
        match event {
            Some(event) => drop(chain.append(event, time, up, batch)),
            None => drop(chain.checkpoint(&key, time, up, batch)),
        }
    };
    let request = Event::Request(Box::new(Request::new(Protocol::Http, Outcome::Allowed)));
    append(Some(Event::Start(Start::default())), &mut chain, &mut batch);
    append(Some(request.clone()), &mut chain, &mut batch);
    append(None, &mut chain, &mut batch);
    append(Some(request), &mut chain, &mut batch);
    append(Some(Event::Stop), &mut chain, &mut batch);
    append(None, &mut chain, &mut batch);
    let lines: Vec<_> = batch.lines().map(str::to_owned).collect();
    let checkpoints = lines.iter().filter(|line| is_checkpoint(line.as_bytes()));
    let checkpoints = checkpoints.cloned().collect();
    Log {
        key,
        lines,
        checkpoints,
    }
});

fn verify<'a>(lines: impl IntoIterator<Item = &'a [u8]>, has_second_place: bool) -> Report {
    let mut verifier = Verifier::new().key(LOG.key.public().clone());
    for (number, line) in (1..).zip(LOG.checkpoints.iter().filter(|_| has_second_place)) {
        verifier.second_place("second", number, line);
    }
    for (number, line) in (1..).zip(lines) {
        verifier.line("audit.jsonl", number, line);
    }
    verifier.finish()
}

/// Checks what comes of this as a log, given the key and the checkpoints that are kept elsewhere.
pub(crate) fn run(data: &[u8]) -> bool {
    let mut is_read = false;
    let lines: Vec<_> = data.split(|byte| *byte == b'\n').collect();
    let is_whole = lines.iter().eq(LOG
        .lines
        .iter()
        .map(String::as_bytes)
        .collect::<Vec<_>>()
        .iter());
    let report = verify(lines.iter().copied(), true);
    assert_eq!(report.is_clean(), is_whole, "{:?}", report.first());
    // With the key alone nobody sees that the end is missing; but what is signed is as it was written.
    if verify(lines.iter().copied(), false).is_clean()
        && let Some(last) = lines.iter().rposition(|line| is_checkpoint(line))
    {
        let signed = &lines[..=last];
        let mut parts = LOG.lines.windows(signed.len());
        assert!(
            parts.any(|part| part.iter().map(String::as_bytes).eq(signed.iter().copied())),
            "a log that nobody signed verifies"
        );
    }
    if let Some(finding) = report.first() {
        // It goes to a terminal: nothing of the log that a terminal would obey is in it.
        assert!(
            finding
                .to_string()
                .bytes()
                .all(|byte| matches!(byte, b' '..=b'~'))
        );
    }
    for line in lines {
        let Some(entry) = std::str::from_utf8(line)
            .ok()
            .and_then(|line| parse(line).ok())
        else {
            continue;
        };
        is_read = true;
        let again = serde_json::to_string(&entry).unwrap();
        assert_eq!(parse(&again).expect("a record that is written"), entry);
        drop(ocsf(&entry));
    }
    is_read
}

fn is_checkpoint(line: &[u8]) -> bool {
    let line = std::str::from_utf8(line).ok();
    let entry = line.and_then(|line| parse(line).ok());
    entry.is_some_and(|entry| matches!(entry.event, Event::Checkpoint(_)))
}

fn made() -> Vec<Vec<u8>> {
    let lines = &LOG.lines;
    // The last checkpoint is of another time: all that is wrong with it is its signature.
    let mut unsigned = lines.clone();
    let last = unsigned.last_mut().unwrap();
    *last = last.replacen(".500Z", ".501Z", 1);
    assert_ne!(*last, lines[lines.len() - 1]);
    let joined = |lines: &[String]| lines.join("\n").into_bytes();
    let without = |index: usize| {
        let mut lines = lines.clone();
        lines.remove(index);
        joined(&lines)
    };
    let mut made = vec![
        joined(lines),
        without(1),
        without(lines.len() - 1),
        joined(&unsigned),
        joined(&[lines.clone(), lines.clone()].concat()),
    ];
    made.extend(lines.iter().map(|line| line.clone().into_bytes()));
    made
}
