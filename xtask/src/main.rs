//! The chores of this workspace, in Rust, so that a fresh machine needs nothing else to start with.

mod arrows;
mod canary;
mod cargo;
mod compiler;
mod lints;
mod msrv;
mod node;
mod redis;
mod step;
mod suite;
mod tee;

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use crate::cargo::{Workspace, cargo};
use crate::step::{Failure, run};

const USAGE: &str = "\
usage: cargo xtask <command>

  test            every test, with what they need put in place first
  ci              test, then format, lints, docs and each feature alone
  ci --no-test    the same without test
  bench [ARGS]    the benchmarks; ARGS go to cargo bench
";

/// What can be asked for.
#[derive(Debug, PartialEq, Eq)]
enum Chore {
    Help,
    Test,
    Ci { with_tests: bool },
    Bench { args: Vec<String> },
}

impl Chore {
    fn parse(args: &[String]) -> Option<Self> {
        let (chore, rest) = args.split_first()?;
        Some(match (chore.as_str(), rest) {
            ("help" | "--help" | "-h", []) => Self::Help,
            ("test", []) => Self::Test,
            ("ci", []) => Self::Ci { with_tests: true },
            ("ci", [flag]) if flag == "--no-test" => Self::Ci { with_tests: false },
            ("bench", rest) => Self::Bench {
                args: rest.to_vec(),
            },
            _ => return None,
        })
    }

    fn run(self) -> Result<(), Failure> {
        match self {
            Self::Help => {
                print!("{USAGE}");
                Ok(())
            }
            Self::Test => suite::test(&Workspace::load()?),
            Self::Ci { with_tests } => {
                let workspace = Workspace::load()?;
                if with_tests {
                    suite::test(&workspace)?;
                }
                lints::lint(&workspace)
            }
            Self::Bench { args } => run(cargo(["bench", "-p", "gateless-bench"]).args(args)),
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let Some(chore) = Chore::parse(&args) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let begin = Instant::now();
    let is_work = chore != Chore::Help;
    match chore.run() {
        Ok(()) => {
            if is_work {
                eprintln!("xtask: all of it passed, in {}", step::seconds(begin));
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Chore;

    fn parse(line: &str) -> Option<Chore> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Chore::parse(&args)
    }

    #[test]
    fn a_misspelt_chore_does_nothing() {
        for line in [
            "",
            "tset",
            "test --no-test",
            "ci --no-tests",
            "ci --no-test x",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn all_behind_bench_goes_to_the_benchmarks() {
        let args = ["--bench", "stack"].map(str::to_owned).to_vec();
        assert_eq!(parse("bench --bench stack"), Some(Chore::Bench { args }));
        assert_eq!(parse("ci --no-test"), Some(Chore::Ci { with_tests: false }));
    }
}
