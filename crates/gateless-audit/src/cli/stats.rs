//! Counts what is in a log.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use gateless_core::Timestamp;

use super::{Failed, files, show};
use crate::record::time::Written;
use crate::record::{Entry, Event};

/// How many different names are counted: a log must not fill the memory.
const NAMES: usize = 50_000;

#[derive(Args, Debug)]
pub(super) struct Stats {
    /// How many names are listed of each kind.
    #[arg(long, default_value_t = 10)]
    top: usize,
    /// The current file of a log, a folder, or single files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

#[derive(Debug, Default)]
struct Counter {
    names: HashMap<String, u64>,
    /// What came when there was no room for more names.
    others: u64,
}

impl Counter {
    fn add(&mut self, name: &str, count: u64) {
        if let Some(known) = self.names.get_mut(name) {
            *known = known.saturating_add(count);
        } else if self.names.len() < NAMES {
            self.names.insert(name.to_owned(), count);
        } else {
            self.others = self.others.saturating_add(count);
        }
    }

    fn print(&self, title: &str, top: usize, out: &mut impl Write) -> Result<(), Failed> {
        if self.names.is_empty() {
            return Ok(());
        }
        writeln!(out, "{title}")?;
        let mut names: Vec<_> = self.names.iter().collect();
        names.sort_by(|one, two| two.1.cmp(one.1).then_with(|| one.0.cmp(two.0)));
        for (name, count) in names.iter().take(top) {
            writeln!(out, "  {count:>10} {}", show::ascii(name))?;
        }
        if names.len() > top {
            writeln!(out, "  and {} others", names.len() - top)?;
        }
        if self.others > 0 {
            let others = self.others;
            writeln!(
                out,
                "  {others} under names that came after {NAMES} others: the counts are not complete"
            )?;
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Counts {
    records: u64,
    span: Option<(Timestamp, Timestamp)>,
    kinds: Counter,
    outcomes: Counter,
    codes: Counter,
    reasons: Counter,
    routes: Counter,
    tokens: Counter,
    subjects: Counter,
    peers: Counter,
    signals: Counter,
    repeated: u64,
    lost: u64,
    unserved: u64,
}

impl Counts {
    fn add(&mut self, entry: &Entry<'_>) {
        self.records += 1;
        let (first, last) = self.span.unwrap_or((entry.time, entry.time));
        self.span = Some((first.min(entry.time), last.max(entry.time)));
        let kind = match &entry.event {
            Event::Start(_) => "start",
            Event::Request(request) => {
                self.outcomes.add(request.outcome.name(), 1);
                let place = request.grpc_method.as_ref().or(request.route.as_ref());
                for (counter, text) in [
                    (&mut self.codes, &request.code),
                    (&mut self.reasons, &request.reason),
                    (&mut self.routes, &place.cloned()),
                    (&mut self.tokens, &request.token),
                    (&mut self.subjects, &request.subject),
                    (&mut self.peers, &request.peer),
                ] {
                    if let Some(text) = text {
                        counter.add(text, 1);
                    }
                }
                "request"
            }
            Event::End(_) => "end",
            Event::Repeated(repeated) => {
                self.repeated = self.repeated.saturating_add(repeated.count);
                "repeated"
            }
            Event::Gap(gap) => {
                self.lost = self.lost.saturating_add(gap.lost);
                self.unserved = self.unserved.saturating_add(gap.unserved);
                "gap"
            }
            Event::Signal(signal) => {
                self.signals.add(signal.signal.name(), 1);
                "signal"
            }
            Event::Checkpoint(_) => "checkpoint",
            Event::Retired(_) => "retired",
            Event::Stop => "stop",
        };
        self.kinds.add(kind, 1);
    }
}

impl Stats {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<ExitCode, Failed> {
        let mut counts = Counts::default();
        let others = files::each_record(&files::of(&self.paths)?, |_, entry| {
            counts.add(entry);
            Ok(true)
        })?;
        writeln!(out, "records: {}", counts.records)?;
        if others > 0 {
            writeln!(out, "lines that are no records: {others}")?;
        }
        if let Some((first, last)) = counts.span {
            writeln!(out, "from {} to {}", Written(first), Written(last))?;
        }
        for (says, count) in [
            ("requests that were the same as one before", counts.repeated),
            ("requests without a record", counts.lost),
            (
                "requests that were not served, as they could not be recorded",
                counts.unserved,
            ),
        ] {
            if count > 0 {
                writeln!(out, "{says}: {count}")?;
            }
        }
        for (title, counter) in [
            ("kinds", &counts.kinds),
            ("outcomes", &counts.outcomes),
            ("codes", &counts.codes),
            ("reasons", &counts.reasons),
            ("routes", &counts.routes),
            ("tokens", &counts.tokens),
            ("subjects", &counts.subjects),
            ("peers", &counts.peers),
            ("signals", &counts.signals),
        ] {
            counter.print(title, self.top, out)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_names_than_there_is_room_for_are_counted_together_and_that_is_said() {
        let mut counter = Counter::default();
        for number in 0..NAMES + 5 {
            counter.add(&number.to_string(), 1);
        }
        counter.add("7", 1);
        let mut out = Vec::new();
        counter.print("tokens", 1, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(
            out.contains("2 7\n") && out.contains("5 under names"),
            "{out}"
        );
    }
}
