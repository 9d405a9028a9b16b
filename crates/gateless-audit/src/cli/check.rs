//! Verification and proofs.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use gateless_core::Timestamp;

use super::{Failed, files, show};
use crate::boot::BootId;
use crate::file_name;
use crate::lines::Line;
use crate::record::time::Written;
use crate::seal::SealPublicKey;
use crate::verify::{Finding, Proof, Prover, Report, Verifier};

/// How many findings are printed for people.
const SHOWN: usize = 20;

#[derive(Args, Debug)]
pub(super) struct Verify {
    /// A public key that signed the log, in PEM. Several, if it was changed.
    #[arg(long = "key", value_name = "PUB.pem")]
    keys: Vec<PathBuf>,
    /// Copies of checkpoints that were kept in another place.
    #[arg(long, value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// The log is complete up to this moment: find processes that are silent.
    #[arg(long)]
    now: bool,
    /// As --now, and the log is being written: the last line can be a part of one.
    #[arg(long)]
    live: bool,
    /// The instance that wrote the log: find chains of others.
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Print all of the report as JSON.
    #[arg(long)]
    json: bool,
    /// The current file of a log, a folder, or single files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

impl Verify {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<ExitCode, Failed> {
        // Before anything is read: what is written meanwhile is not older than that.
        let now = super::now();
        let mut verifier = Verifier::new();
        if self.now || self.live {
            verifier = verifier.now(now);
        }
        if let Some(name) = &self.instance {
            verifier = verifier.instance(name.as_str());
        }
        for key in read_keys(&self.keys)? {
            verifier = verifier.key(key);
        }
        // A path of the second place brings its full files along.
        let second_place = files::sets(&self.checkpoints)?;
        let mut copies = 0u64;
        let mut since: Option<Timestamp> = None;
        for path in &second_place {
            let name = path.display().to_string();
            let mut lines = files::open(path)?;
            while let Some(line) = lines.next().map_err(|error| Failed::file(path, &error))? {
                match line {
                    Line::Whole => {
                        let text = std::str::from_utf8(lines.text()).ok();
                        if let Some(Ok(entry)) = text.map(crate::line::parse) {
                            copies += 1;
                            since = Some(since.map_or(entry.time, |at| at.min(entry.time)));
                        }
                        verifier.second_place(&name, lines.number, lines.text());
                    }
                    Line::Torn => verifier.second_place_torn(&name, lines.number),
                    Line::Long => verifier.long_line(&name, lines.number),
                }
            }
        }
        let paths = files::of(&self.paths)?;
        for path in &paths {
            let name = path.display().to_string();
            let mut lines = files::open(path)?;
            while let Some(line) = lines.next().map_err(|error| Failed::file(path, &error))? {
                match line {
                    Line::Whole => verifier.line(&name, lines.number, lines.text()),
                    Line::Torn if self.live && file_name::current(path).is_none() => {}
                    Line::Torn => verifier.torn_line(&name, lines.number),
                    Line::Long => verifier.long_line(&name, lines.number),
                }
            }
        }
        let report = verifier.finish();
        let printed = if self.json {
            writeln!(out, "{}", show::json(&report)).map_err(Failed::from)
        } else {
            self.print(&report, copies, since, out)
        };
        // What was found is in the exit code, also where nobody reads the rest.
        match printed.and_then(|()| Ok(out.flush()?)) {
            Ok(()) | Err(Failed::Unread) => {}
            Err(failed) => return Err(failed),
        }
        Ok(ExitCode::from(u8::from(!report.is_clean())))
    }

    fn print(
        &self,
        report: &Report,
        copies: u64,
        since: Option<Timestamp>,
        out: &mut impl Write,
    ) -> Result<(), Failed> {
        match report.first() {
            Some(first) => writeln!(out, "FIRST BAD POSITION: {}", place(first))?,
            None => writeln!(out, "nothing is wrong in {} lines", report.lines)?,
        }
        for finding in report.findings.iter().skip(1).take(SHOWN) {
            writeln!(out, "also: {}", place(finding))?;
        }
        for notice in report.notices.iter().take(SHOWN) {
            writeln!(out, "notice: {}", place(notice))?;
        }
        let findings = report.findings.len().saturating_sub(SHOWN + 1);
        let more = findings + report.notices.len().saturating_sub(SHOWN);
        let more = report.unlisted.saturating_add(more as u64);
        if more > 0 {
            writeln!(out, "and {more} more")?;
        }
        for chain in &report.chains {
            write!(
                out,
                "chain {} {}: records {} to {}, {} to {}; ",
                show::ascii(&chain.instance),
                chain.boot,
                chain.first,
                chain.last,
                Written(chain.since),
                Written(chain.until),
            )?;
            match &chain.signed {
                Some(signed) => write!(
                    out,
                    "signed up to record {} of {} with key {}, {} behind it only chained; ",
                    signed.seq,
                    Written(signed.time),
                    show::ascii(chain.key.as_deref().unwrap_or_default()),
                    chain.only_chained
                )?,
                None => write!(out, "only chained; ")?,
            }
            let end = if chain.is_stopped {
                let is_signed = chain
                    .signed
                    .is_some_and(|it| it.seq > 0 && chain.only_chained == 0);
                if is_signed {
                    "stopped"
                } else {
                    "stopped (not signed)"
                }
            } else {
                "no end"
            };
            writeln!(out, "{end}")?;
        }
        if self.keys.is_empty() {
            writeln!(
                out,
                "no --key: signatures were not checked, so all of it can have been written anew"
            )?;
        }
        if let Some(since) = since {
            let since = Written(since);
            writeln!(
                out,
                "the second place has {copies} checkpoints since {since}"
            )?;
        }
        if self.checkpoints.is_empty() {
            writeln!(
                out,
                "no --checkpoints: runs that are missing at the end cannot be found"
            )?;
        }
        Ok(())
    }
}

fn place(finding: &Finding) -> String {
    show::ascii(&format!("{} {finding}", finding.at.file))
}

fn read_keys(paths: &[PathBuf]) -> Result<Vec<SealPublicKey>, Failed> {
    let read = |path: &PathBuf| {
        let key = SealPublicKey::from_pem(&files::text(path)?);
        key.map_err(|error| Failed::says(format!("{}: {error}", path.display())))
    };
    paths.iter().map(read).collect()
}

#[derive(Args, Debug)]
pub(super) struct Prove {
    /// The number of the record.
    seq: u64,
    /// The run that it belongs to.
    #[arg(long, value_parser = boot)]
    boot: BootId,
    /// The log.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

fn boot(text: &str) -> Result<BootId, &'static str> {
    BootId::parse(text).ok_or("not 32 lower-case hex digits")
}

impl Prove {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<ExitCode, Failed> {
        let mut prover = Prover::new(self.boot, self.seq);
        let mut proof = None;
        files::each_line(&files::of(&self.paths)?, |text| {
            proof = prover.line(text);
            Ok(proof.is_none())
        })?;
        let proof = proof.ok_or_else(|| Failed::says(prover.why_not().to_string()))?;
        writeln!(out, "{}", show::json(&proof))?;
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Args, Debug)]
pub(super) struct Check {
    /// The proof.
    proof: PathBuf,
    /// A public key that can have signed it, in PEM.
    #[arg(long = "key", value_name = "PUB.pem", required = true)]
    keys: Vec<PathBuf>,
}

impl Check {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<ExitCode, Failed> {
        let text = files::text(&self.proof)?;
        let proof: Result<Proof, _> = serde_json::from_str(&text);
        let Ok(proof) = proof else {
            return Err(Failed::says(format!(
                "{}: not a proof",
                self.proof.display()
            )));
        };
        match proof.check(&read_keys(&self.keys)?) {
            Ok(entry) => {
                writeln!(out, "signed: {}", show::record(&proof.record, &entry))?;
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                writeln!(out, "NOT PROVEN: {error}")?;
                Ok(ExitCode::FAILURE)
            }
        }
    }
}
