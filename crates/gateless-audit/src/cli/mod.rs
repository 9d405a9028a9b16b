//! The tool `gateless-audit`: arguments, files and printing. What it knows of logs is in the rest of the crate.

mod check;
mod files;
mod keys;
mod query;
mod show;
mod stats;
mod tail;

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use clap::{Parser, Subcommand};
use gateless_core::Timestamp;

/// Reads, searches and verifies the audit logs of gateless.
#[derive(Debug, Parser)]
#[command(name = "gateless-audit", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check that a log is what was written. Exits with 0 when all is fine, 1 when something was found, 2 when it cannot read.
    Verify(check::Verify),
    /// Print the records that match.
    Query(Box<query::Query>),
    /// Count what is in a log.
    Stats(stats::Stats),
    /// Print the last records, and those that come.
    Tail(tail::Tail),
    /// Make a key that signs checkpoints, and print its public half.
    Keygen {
        /// The file of the private key. It must not exist.
        file: PathBuf,
    },
    /// Make a secret for pseudonyms.
    PseudonymKey {
        /// The file of the secret. It must not exist.
        file: PathBuf,
    },
    /// Make a proof of one record that can be shown without the others.
    Prove(check::Prove),
    /// Check such a proof.
    Check(check::Check),
}

/// Why the tool cannot do what it was asked for.
#[derive(Debug)]
enum Failed {
    Says(String),
    /// Nobody reads what it prints: that is no failure.
    Unread,
}

impl Failed {
    fn says(text: impl Into<String>) -> Self {
        Self::Says(text.into())
    }

    fn file(path: &std::path::Path, error: &io::Error) -> Self {
        Self::Says(format!("{}: {error}", path.display()))
    }
}

/// What could not be printed.
impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Says(error.to_string()),
        }
    }
}

/// Runs the tool with the arguments of the process.
#[must_use]
pub fn run() -> ExitCode {
    let args = Args::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    let done = match &args.command {
        Command::Verify(verify) => verify.run(&mut out),
        Command::Query(query) => query.run(&mut out),
        Command::Stats(stats) => stats.run(&mut out),
        Command::Tail(tail) => tail.run(&mut out),
        Command::Keygen { file } => keys::seal(file, &mut out),
        Command::PseudonymKey { file } => keys::pseudonym(file, &mut out),
        Command::Prove(prove) => prove.run(&mut out),
        Command::Check(check) => check.run(&mut out),
    };
    let flushed = |code| match out.flush() {
        // Nobody reads the rest: the code stays what it is.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failed::from(error)),
        _ => Ok(code),
    };
    match done.and_then(flushed) {
        Ok(code) => code,
        Err(Failed::Unread) => ExitCode::SUCCESS,
        Err(Failed::Says(text)) => {
            // A name of a file can hold anything.
            eprintln!("gateless-audit: {}", show::ascii(&text));
            ExitCode::from(2)
        }
    }
}

/// The time at which the tool runs.
#[expect(
    clippy::disallowed_methods,
    reason = "the tool is where the time comes from"
)]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}
