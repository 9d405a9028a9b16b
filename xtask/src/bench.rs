//! `cargo xtask bench`: every benchmark, one after the other, into `benches/RESULTS.md`; or one of them, which is printed.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo::{Workspace, cargo};
use crate::redis::Redis;
use crate::step::{Failure, read, run, step};

/// The package that has those which `cargo bench` runs.
const PACKAGE: &str = "gateless-bench";

/// With a lock file of their own, and not part of the workspace.
const PEERS: &str = "peers";

/// Starts servers, and a proxy.
const E2E: &str = "e2e";

/// How the numbers came about, for those who read nothing else.
const METHOD: &str = "\
Made by `cargo xtask bench`. Contestants take turns: in each round every one of them works through the same tokens, callers or
requests, one right after the other, so that whatever slows the machine down slows them all. Of many rounds the median is
printed, and ratios are made within a round, with the quartiles around their median: a quarter of the rounds lies below the
first, and a quarter above the second. \"net\" is less what the service alone takes. Servers and clients are on one machine and on
loopback, and share its cores. What each of them asks, and what was found out about the reasons, stands in
[README.md](README.md).
";

/// All of them, or one with its arguments.
pub(crate) fn bench(args: &[String]) -> Result<(), Failure> {
    let workspace = Workspace::load()?;
    match args.split_first() {
        None => all(&workspace),
        Some((name, args)) => {
            let mut command = prepared(&workspace, name)?;
            run(command.args(args))
        }
    }
}

/// What is there already stays if one of them fails: it can take an hour.
fn all(workspace: &Workspace) -> Result<(), Failure> {
    let path = workspace.root.join("benches").join("RESULTS.md");
    let redis = Redis::find()?;
    let mut results = heading(workspace)?;
    for name in names(workspace)? {
        let output = step(&format!("bench {name}"), || {
            let mut command = prepared(workspace, &name)?;
            redis.provide_to(&mut command);
            show(&mut command)
        })?;
        results.push_str(&section(&name, &output));
        fs::write(&path, &results)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    }
    eprintln!("    all of it is in {}", path.display());
    Ok(())
}

fn names(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let package = workspace.packages.iter().find(|it| it.name == PACKAGE);
    let package = package.ok_or_else(|| Failure::new(format!("there is no {PACKAGE}")))?;
    let others = [PEERS, E2E].map(str::to_owned);
    Ok(package.benches.iter().cloned().chain(others).collect())
}

/// The command that runs one of them. What has to be built first is built.
fn prepared(workspace: &Workspace, name: &str) -> Result<Command, Failure> {
    let programs = workspace.target.join("release");
    match name {
        PEERS => {
            let manifest = peers(workspace).join("Cargo.toml");
            let mut command = cargo(["build", "--release", "--locked", "--manifest-path"]);
            // What it has in common with the workspace is there already.
            command
                .arg(manifest)
                .arg("--target-dir")
                .arg(&workspace.target);
            run(&mut command)?;
            Ok(Command::new(programs.join("gateless-peers")))
        }
        E2E => {
            run(&mut cargo([
                "build",
                "--release",
                "-p",
                "orders",
                "-p",
                "gateless-e2e",
            ]))?;
            Ok(Command::new(programs.join("e2e")))
        }
        _ => Ok(cargo(["bench", "-p", PACKAGE, "--bench", name])),
    }
}

fn peers(workspace: &Workspace) -> PathBuf {
    workspace.root.join("benches").join("peers")
}

/// Runs it, and prints what it prints, which is also handed back.
fn show(command: &mut Command) -> Result<String, Failure> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            return Err(Failure::new(format!("cannot be started: {error}")).again(command));
        }
    };
    let mut all = String::new();
    for line in child
        .stdout
        .take()
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufReader::lines)
    {
        let line = line.map_err(|error| Failure::new(error.to_string()).again(command))?;
        // A console that is gone is no reason to stop.
        let _ = writeln!(std::io::stdout(), "{line}");
        all.push_str(&line);
        all.push('\n');
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(all),
        Ok(status) => Err(Failure::new(status.to_string()).again(command)),
        Err(error) => Err(Failure::new(error.to_string()).again(command)),
    }
}

/// Tables of Markdown as they are; anything else keeps its columns.
fn section(name: &str, output: &str) -> String {
    let output = output.trim_matches('\n');
    if output.lines().any(|line| line.starts_with('|')) {
        format!("\n## {name}\n\n{output}\n")
    } else {
        format!("\n## {name}\n\n```text\n{output}\n```\n")
    }
}

fn heading(workspace: &Workspace) -> Result<String, Failure> {
    let lock = peers(workspace).join("Cargo.lock");
    let lock = fs::read_to_string(&lock)
        .map_err(|error| Failure::new(format!("{}: {error}", lock.display())))?;
    let mut text = String::from("# Results of the benchmarks\n\n");
    text.push_str(METHOD);
    text.push_str("\n| | |\n|---|---|\n");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rows = [
        ("begun", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        ("commit", said("git", &["describe", "--always", "--dirty"])),
        ("processor", processor()),
        ("cores", Some(cores.to_string())),
        (
            "kernel",
            file("/proc/sys/kernel/osrelease").map(|it| first(&it, '-')),
        ),
        (
            "load before",
            file("/proc/loadavg").map(|it| first(&it, ' ')),
        ),
        ("compiler", read(Command::new("rustc").arg("-V")).ok()),
        ("proxy", said("haproxy", &["-v"]).map(|it| first(&it, '-'))),
        ("peers", Some(versions(&lock))),
    ];
    for (what, value) in rows {
        let value = value.as_deref().and_then(|text| text.lines().next());
        let value = value.unwrap_or("not known").trim();
        // Into a text, which cannot fail.
        let _ = writeln!(text, "| {what} | {value} |");
    }
    Ok(text)
}

/// What stands before the first `end`.
fn first(text: &str, end: char) -> String {
    text.split(end).next().unwrap_or(text).to_owned()
}

/// What a program prints, if it is there.
fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output();
    let output = output.ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

fn file(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(path)).ok()
}

fn processor() -> Option<String> {
    let text = file("/proc/cpuinfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches(['\t', ' ', ':']).to_owned())
}

/// The peers with their versions, by the lock file.
fn versions(lock: &str) -> String {
    const NAMES: [&str; 4] = [
        "axum-jwt-auth",
        "oauth-resource-server",
        "tower-oauth2-resource-server",
        "tower_governor",
    ];
    let mut found = Vec::new();
    let mut lines = lock.lines();
    while let Some(line) = lines.next() {
        let value = |line: &str, name| {
            let value = str::strip_prefix(line, name)?.strip_prefix(" = \"")?;
            value.strip_suffix('"').map(str::to_owned)
        };
        let Some(name) = value(line, "name").filter(|name| NAMES.contains(&name.as_str())) else {
            continue;
        };
        let version = lines.next().and_then(|line| value(line, "version"));
        found.push(format!("{name} {}", version.unwrap_or_default()));
    }
    found.join(", ")
}

#[cfg(test)]
mod tests {
    use super::{section, versions};

    #[test]
    fn tables_are_tables_and_columns_stay_columns() {
        assert_eq!(section("a", "| x |\n"), "\n## a\n\n| x |\n");
        assert_eq!(section("b", "  x  1\n"), "\n## b\n\n```text\n  x  1\n```\n");
    }

    #[test]
    fn the_versions_of_peers_are_those_of_the_lock_file() {
        let lock = "\
[[package]]
name = \"axum\"
version = \"0.8.4\"

[[package]]
name = \"axum-jwt-auth\"
version = \"0.7.0\"
";
        assert_eq!(versions(lock), "axum-jwt-auth 0.7.0");
    }
}
