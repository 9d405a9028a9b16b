//! What a request costs on the hot path, counted and not timed: a machine need not be quiet for that.
//!
//! callgrind runs `hot-path` of the benchmarks twice with different numbers of requests. The difference is what the requests
//! cost, without what it takes to start; what the service alone takes, making the request included, is taken off.

use std::process::{Command, Stdio};

use crate::apt;
use crate::cargo::{Workspace, cargo};
use crate::step::{Failure, run, step};

/// The most that a request may take, in instructions, net. Raise one only in a commit that says what it buys.
const MOST: [(&str, u64); 2] = [("jwt", 14_000), ("opaque", 12_550)];

/// Counts differ by this much from run to run, as keys of hash functions do, and from processor to processor.
const TOLERANCE_PERCENT: u64 = 5;

const FEW: u64 = 1_000;
const MANY: u64 = 4_000;

const ADVICE: &str = "\
no valgrind, which counts the instructions of a request. Install it with
  Debian, Ubuntu:  apt-get install valgrind
  Fedora:          dnf install valgrind
  Alpine:          apk add valgrind";

pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    step("valgrind", || {
        let is_there = || apt::succeeds("valgrind", &["--version"], Stdio::null());
        if is_there() || (apt::install("valgrind") && is_there()) {
            return Ok(());
        }
        Err(Failure::new(ADVICE))
    })?;
    step("build of the hot path", || {
        run(&mut cargo([
            "build",
            "--release",
            "-p",
            "gateless-bench",
            "--bin",
            "hot-path",
        ]))
    })?;
    step("instructions of a request", || {
        let floor = a_request(workspace, "floor")?;
        eprintln!("    the service alone, making the request included: {floor}");
        let mut dearer = Vec::new();
        for (kind, most) in MOST {
            let net = a_request(workspace, kind)?.saturating_sub(floor);
            eprintln!("    {kind}: {net} net, at most {most}");
            if is_dearer(net, most) {
                dearer.push(format!(
                    "{kind} takes {net} instructions, and may take {most}"
                ));
            }
        }
        if dearer.is_empty() {
            Ok(())
        } else {
            Err(Failure::new(dearer.join("; ")))
        }
    })
}

const fn is_dearer(net: u64, most: u64) -> bool {
    net > most + most * TOLERANCE_PERCENT / 100
}

/// How many instructions one request takes.
fn a_request(workspace: &Workspace, kind: &str) -> Result<u64, Failure> {
    let (few, many) = (count(workspace, kind, FEW)?, count(workspace, kind, MANY)?);
    Ok(many.saturating_sub(few) / (MANY - FEW))
}

fn count(workspace: &Workspace, kind: &str, requests: u64) -> Result<u64, Failure> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--toggle-collect=*hot_requests*"])
        .arg("--callgrind-out-file=/dev/null")
        .arg(workspace.target.join("release").join("hot-path"))
        .args([kind, &requests.to_string()])
        .stdin(Stdio::null());
    let output = command.output();
    let output = output.map_err(|error| Failure::new(error.to_string()).again(&command))?;
    let said = String::from_utf8_lossy(&output.stderr);
    collected(&said)
        .filter(|_| output.status.success())
        .ok_or_else(|| Failure::new(format!("it says {said}")).again(&command))
}

/// The number in `==42== Collected : 10117546`. None at all means that nothing was counted.
fn collected(said: &str) -> Option<u64> {
    let number = said
        .lines()
        .find_map(|line| line.split_once("Collected :"))?
        .1;
    number.trim().parse().ok().filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::{collected, is_dearer};

    #[test]
    fn what_callgrind_counted_is_read() {
        let said = "==9== Callgrind\n==9== Events    : Ir\n==9== Collected : 10117546\n==9== \n";
        assert_eq!(collected(said), Some(10_117_546));
        assert_eq!(collected("==9== Collected : 0\n"), None);
        assert_eq!(collected("valgrind: failed to start"), None);
    }

    #[test]
    fn a_little_more_is_noise_and_much_more_is_not() {
        assert!(!is_dearer(10_500, 10_000));
        assert!(is_dearer(10_501, 10_000));
    }
}
