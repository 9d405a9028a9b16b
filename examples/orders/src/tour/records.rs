//! What the service has recorded of the tour, and whether it can be trusted.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use gateless::audit::{Event, SealPublicKey, parse};
use gateless_audit::file_name;
use gateless_audit::verify::Verifier;

/// What is in a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Requests, those that were only counted included.
    pub(super) requests: u64,
    pub(super) allowed: u64,
    pub(super) denied: u64,
    /// The records of some, in short.
    pub(super) examples: Vec<String>,
    /// What is wrong with the log, if anything is.
    pub(super) finding: Option<String>,
    /// How many records the last checkpoint covers.
    pub(super) signed: u64,
}

/// How many records are shown.
const EXAMPLES: usize = 5;

/// Reads the log at `path`, and verifies it.
pub(super) fn read(path: &Path, key: &SealPublicKey) -> io::Result<Summary> {
    let mut summary = Summary::default();
    let mut verifier = Verifier::new().key(key.clone());
    for file in file_name::set(path)? {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(&file)?;
        for (number, line) in (1..).zip(text.lines()) {
            verifier.line(&name, number, line);
            summary.add(line);
        }
    }
    let report = verifier.finish();
    summary.finding = report.first().map(|finding| finding.says.to_string());
    let signed = report
        .chains
        .iter()
        .filter_map(|chain| chain.signed.as_ref());
    summary.signed = signed.map(|signed| signed.seq + 1).sum();
    Ok(summary)
}

impl Summary {
    fn add(&mut self, line: &str) {
        let Ok(entry) = parse(line) else { return };
        match entry.event {
            Event::Request(request) => {
                self.requests += 1;
                match request.outcome.name() {
                    "allowed" => self.allowed += 1,
                    "denied" => self.denied += 1,
                    _ => {}
                }
                if self.examples.len() < EXAMPLES {
                    let mut says = format!("{} {}", request.outcome.name(), &*request.method);
                    let texts = [
                        ("", request.grpc_method.as_ref().or(request.route.as_ref())),
                        (" as ", request.subject.as_ref()),
                        (" by ", request.stage.as_ref()),
                        (": ", request.reason.as_ref()),
                    ];
                    for (before, text) in texts {
                        if let Some(text) = text {
                            let space = if before.is_empty() { " " } else { before };
                            let _ = write!(says, "{space}{}", &**text);
                        }
                    }
                    self.examples.push(says);
                }
            }
            Event::Repeated(repeated) => {
                self.requests += repeated.count;
                self.denied += repeated.count;
            }
            _ => {}
        }
    }
}
