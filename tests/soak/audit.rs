//! Whether the audit logs are whole, and have a record of each answer.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use gateless_audit::verify::{FindingKind, Report, Verifier};
use gateless_audit::{BootId, Event, SealPublicKey, file_name, parse};

use crate::fleet::{Fleet, INSTANCES, keys_beside};

/// Refusals that are the same are counted for 10 s and then written: what is counted dies with a process that is killed.
const FOLDED: Duration = Duration::from_secs(15);

/// What the log has of one run.
#[derive(Debug, Default)]
struct Counted {
    /// Requests that were let through.
    passed: u64,
    /// All requests, those that were only counted included.
    all: u64,
    /// What the log itself says is missing.
    lost: u64,
}

pub(crate) fn check(fleet: &Fleet) -> Vec<String> {
    let mut faults = Vec::new();
    for instance in 0..INSTANCES {
        match check_instance(fleet, instance) {
            Ok(found) => faults.extend(found),
            Err(error) => faults.push(format!("the log of instance {instance}: {error}")),
        }
    }
    faults
}

fn check_instance(fleet: &Fleet, instance: usize) -> io::Result<Vec<String>> {
    let path = fleet.audit_path(instance);
    let mut verifier = Verifier::new();
    for key in keys_beside(&path) {
        let key = SealPublicKey::from_pem(&fs::read_to_string(key)?);
        verifier = verifier.key(key.map_err(io::Error::other)?);
    }
    let mut runs: BTreeMap<BootId, Counted> = BTreeMap::new();
    let mut order = Vec::new();
    for file in file_name::set(&path)? {
        let name = file.display().to_string();
        let bytes = fs::read(&file)?;
        let (whole, torn) = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => bytes.split_at(end + 1),
            None => (&[][..], &bytes[..]),
        };
        let mut number = 0;
        for line in whole.split_inclusive(|byte| *byte == b'\n') {
            number += 1;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            verifier.line(&name, number, line);
            let Some(entry) = std::str::from_utf8(line)
                .ok()
                .and_then(|line| parse(line).ok())
            else {
                continue;
            };
            if !order.contains(&entry.boot) {
                order.push(entry.boot);
            }
            let counted = runs.entry(entry.boot).or_default();
            match entry.event {
                Event::Request(request) => {
                    counted.all += 1;
                    counted.passed += u64::from(
                        matches!(request.status, Some(200..=202)) && request.code.is_none(),
                    );
                }
                Event::Repeated(repeated) => counted.all += repeated.count,
                Event::Gap(gap) => counted.lost += gap.lost,
                _ => {}
            }
        }
        if !torn.is_empty() {
            verifier.torn_line(&name, number + 1);
        }
    }
    let report = verifier.finish();
    let killed = fleet.killed(instance);
    let mut faults = verify(&report, killed.len(), instance);
    let expected = fleet.run_of(instance) + 1;
    if order.len() != expected {
        let found = order.len();
        faults.push(format!(
            "instance {instance} ran {expected} times, and its log has {found} runs"
        ));
    }
    for (run, boot) in order.iter().enumerate() {
        let asked = fleet.stats.run(instance, run);
        let counted = runs.remove(boot).unwrap_or_default();
        // What has passed is written before its answer leaves, in any case.
        let until = killed
            .get(&run)
            .map(|at| at.saturating_sub(FOLDED).as_secs());
        let refused = asked.refused.iter();
        let refused = refused.filter(|(second, _)| until.is_none_or(|until| **second < until));
        let refused: u64 = refused.map(|(_, count)| count).sum();
        let end = if until.is_some() { "killed" } else { "stopped" };
        println!(
            "instance {instance}, run {run} ({end}): {} sent, {} passed, {refused} refused; records of {} requests, {} of them passed",
            asked.sent, asked.passed, counted.all, counted.passed
        );
        let mut wrong =
            |says: &str| faults.push(format!("the log of instance {instance}, run {run}: {says}"));
        if counted.passed < asked.passed {
            wrong("less records of what passed than answers");
        }
        if counted.all < asked.passed + refused {
            wrong("less records than answers");
        }
        if counted.all > asked.sent {
            wrong("more records than requests");
        }
        if counted.lost > 0 {
            wrong("it says that records were lost");
        }
    }
    Ok(faults)
}

/// Nothing is wrong; and as many runs died as were killed.
fn verify(report: &Report, killed: usize, instance: usize) -> Vec<String> {
    let findings = report.findings.iter();
    let mut faults: Vec<_> = findings
        .map(|finding| format!("the log of instance {instance}: {finding}"))
        .collect();
    let died = report.notices.iter();
    let died = died
        .filter(|notice| notice.kind == FindingKind::Died)
        .count();
    if died != killed {
        faults.push(format!(
            "instance {instance} was killed {killed} times, and its log says {died}"
        ));
    }
    let open = report
        .chains
        .iter()
        .filter(|chain| !chain.is_stopped)
        .count();
    if open != killed {
        faults.push(format!(
            "instance {instance}: {open} runs have no end, and {killed} were killed"
        ));
    }
    faults
}
