//! `cargo xtask fuzz`: libFuzzer with coverage, on stable Rust, for as long as one likes.

use std::fs;
use std::process::Command;

use crate::cargo::{Workspace, cargo};
use crate::step::{Failure, read, run, step};

/// What `cargo fuzz run --sanitizer none` asks of the compiler: coverage of everything, where libFuzzer looks for it.
const COVERAGE: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    --cfg fuzzing \
    -Ccodegen-units=1";

/// For how long, unless it is said.
pub(crate) const SECONDS: u32 = 60;

/// Longer than any input that is not refused by its length, and not so long that it takes forever.
const LONGEST: u32 = 16 * 1024;

/// Fuzzes one target, or says which there are.
pub(crate) fn fuzz(
    workspace: &Workspace,
    target: Option<&str>,
    seconds: u32,
) -> Result<(), Failure> {
    let source = workspace.root.join("tests/fuzz/src/lib.rs");
    let source = fs::read_to_string(&source)
        .map_err(|error| Failure::new(format!("{}: {error}", source.display())))?;
    let names = targets(&source);
    let Some(target) = target else {
        for name in names {
            println!("{name}");
        }
        return Ok(());
    };
    if !names.contains(&target) {
        let says = format!("there is no target {target}, only {}", names.join(", "));
        return Err(Failure::new(says));
    }
    let host = host()?;
    let folder = workspace.target.join("fuzz");
    // With the target named, build scripts and macros are built without coverage.
    step("build for libFuzzer", || {
        run(cargo(["build", "--release", "--locked"])
            .arg("--manifest-path")
            .arg(workspace.root.join("tests/fuzz/libfuzzer/Cargo.toml"))
            .arg("--target-dir")
            .arg(&folder)
            .args(["--target", &host])
            .env("RUSTFLAGS", COVERAGE))
    })?;
    let corpus = workspace.target.join("fuzz-corpus").join(target);
    let found = workspace.target.join("fuzz-found").join(target);
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder)
            .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    }
    let binary = folder.join(&host).join("release/gateless-libfuzzer");
    let fuzzer = |args: &[String]| {
        let mut command = Command::new(&binary);
        command.current_dir(&workspace.root).args(args);
        command.env("GATELESS_FUZZ_TARGET", target);
        command
    };
    // Once on nothing, for the seeds and the dictionary, which has to be there when it starts.
    step("seeds", || {
        let mut command = fuzzer(&["-runs=0".to_owned()]);
        run(command.env("GATELESS_FUZZ_SEEDS", &corpus))
    })?;
    step(&format!("{target} for {seconds} s"), || {
        run(&mut fuzzer(&[
            corpus.display().to_string(),
            format!("-max_total_time={seconds}"),
            "-timeout=10".to_owned(),
            "-rss_limit_mb=2048".to_owned(),
            format!("-max_len={LONGEST}"),
            format!("-dict={}", corpus.with_extension("dict").display()),
            format!("-artifact_prefix={}/", found.display()),
            "-print_final_stats=1".to_owned(),
        ]))
    })
}

/// The targets that are listed there.
fn targets(source: &str) -> Vec<&str> {
    let lines = source.lines().map(str::trim);
    lines
        .filter_map(|line| line.strip_suffix("::TARGET,"))
        .collect()
}

fn host() -> Result<String, Failure> {
    let mut command = Command::new("rustc");
    command.arg("-vV");
    let says = read(&mut command)?;
    let host = says.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| Failure::new("names no host").again(&command))
}

#[cfg(test)]
mod tests {
    use super::targets;

    #[test]
    fn the_targets_are_those_of_the_list() {
        let source = include_str!("../../tests/fuzz/src/lib.rs");
        let targets = targets(source);
        assert!(
            targets.len() >= 12 && targets.contains(&"token"),
            "{targets:?}"
        );
        let modules = source
            .lines()
            .filter(|line| line.starts_with("mod "))
            .count();
        // Without the one that they share.
        assert_eq!(targets.len(), modules - ["kit"].len());
    }
}
