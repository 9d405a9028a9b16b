//! The chores of this workspace, in Rust, so that a fresh machine needs nothing else to start with.

mod apt;
mod arrows;
mod bench;
mod canary;
mod cargo;
mod compiler;
mod fuzz;
mod instructions;
mod lints;
mod msrv;
mod node;
mod python;
mod redis;
mod soak;
mod step;
mod suite;
mod tee;

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use crate::cargo::Workspace;
use crate::step::Failure;

const USAGE: &str = "\
usage: cargo xtask <command>

  test            every test, with what they need put in place first
  ci              test, then format, lints, docs and each feature alone
  ci --no-test    the same without test
  instructions    what a request costs, in instructions that callgrind counts
  fuzz            the names of what can be fuzzed
  fuzz TARGET [SECONDS]
                  one of them with libFuzzer, for a minute or so many seconds
  bench           every benchmark, into benches/RESULTS.md
  bench NAME      one of them, which is only printed; what follows goes to it
  soak [MINUTES [SEED]]
                  a small fleet under load while what it depends on breaks down,
                  for 10 minutes unless it is said; SEED repeats an earlier run
";

/// What can be asked for.
#[derive(Debug, PartialEq, Eq)]
enum Chore {
    Help,
    Test,
    Instructions,
    Ci {
        with_tests: bool,
    },
    Bench {
        args: Vec<String>,
    },
    Fuzz {
        target: Option<String>,
        seconds: u32,
    },
    Soak {
        minutes: u32,
        seed: Option<u64>,
    },
}

impl Chore {
    fn parse(args: &[String]) -> Option<Self> {
        let (chore, rest) = args.split_first()?;
        Some(match (chore.as_str(), rest) {
            ("help" | "--help" | "-h", []) => Self::Help,
            ("test", []) => Self::Test,
            ("ci", []) => Self::Ci { with_tests: true },
            ("ci", [flag]) if flag == "--no-test" => Self::Ci { with_tests: false },
            ("instructions", []) => Self::Instructions,
            ("fuzz", rest) => Self::fuzz(rest)?,
            ("bench", rest) if rest.first().is_none_or(|name| !name.starts_with('-')) => {
                Self::Bench {
                    args: rest.to_vec(),
                }
            }
            ("soak", []) => Self::Soak {
                minutes: soak::MINUTES,
                seed: None,
            },
            ("soak", [minutes]) => Self::Soak {
                minutes: minutes.parse().ok().filter(|minutes| *minutes > 0)?,
                seed: None,
            },
            ("soak", [minutes, seed]) => Self::Soak {
                minutes: minutes.parse().ok().filter(|minutes| *minutes > 0)?,
                seed: Some(seed.parse().ok()?),
            },
            _ => return None,
        })
    }

    fn fuzz(args: &[String]) -> Option<Self> {
        let (target, seconds) = match args {
            [] => (None, fuzz::SECONDS),
            [target] => (Some(target), fuzz::SECONDS),
            [target, seconds] => (Some(target), seconds.parse().ok()?),
            _ => return None,
        };
        // 0 is for ever to libFuzzer, and would look like nothing.
        (seconds > 0).then(|| Self::Fuzz {
            target: target.cloned(),
            seconds,
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
            Self::Instructions => instructions::check(&Workspace::load()?),
            Self::Fuzz { target, seconds } => {
                fuzz::fuzz(&Workspace::load()?, target.as_deref(), seconds)
            }
            Self::Bench { args } => bench::bench(&args),
            Self::Soak { minutes, seed } => soak::soak(&Workspace::load()?, minutes, seed),
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
            "fuzz token soon",
            "fuzz token 0",
            "fuzz token 60 x",
            "bench --bench hot",
            "soak 0",
            "soak ten",
            "soak 10 x",
            "soak 10 1 2",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_benchmark_is_named_and_gets_what_follows() {
        let args = ["e2e", "--rounds", "3"].map(str::to_owned).to_vec();
        assert_eq!(parse("bench e2e --rounds 3"), Some(Chore::Bench { args }));
        assert_eq!(parse("bench"), Some(Chore::Bench { args: vec![] }));
        assert_eq!(parse("ci --no-test"), Some(Chore::Ci { with_tests: false }));
    }

    #[test]
    fn a_soak_takes_ten_minutes_unless_it_is_said() {
        let soak = |minutes, seed| Some(Chore::Soak { minutes, seed });
        assert_eq!(parse("soak"), soak(10, None));
        assert_eq!(parse("soak 60"), soak(60, None));
        assert_eq!(parse("soak 1 7"), soak(1, Some(7)));
    }

    #[test]
    fn a_target_is_fuzzed_for_a_minute_unless_it_is_said() {
        let fuzz = |target: Option<&str>, seconds| {
            let target = target.map(str::to_owned);
            Some(Chore::Fuzz { target, seconds })
        };
        assert_eq!(parse("fuzz"), fuzz(None, 60));
        assert_eq!(parse("fuzz token"), fuzz(Some("token"), 60));
        assert_eq!(parse("fuzz token 3600"), fuzz(Some("token"), 3600));
    }
}
