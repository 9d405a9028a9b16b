//! `[audit]`: a record of each request.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use gateless::audit::{
    AuditLog, AuditLogBuilder, AuditSink, Backpressure, Batch, Detection, Disclosure, Durability,
    FileSink, PseudonymKey, SealKey, StdoutSink, TracingSink,
};
use gateless::{ConfigError, Peer};
use zeroize::Zeroizing;

use crate::peer::Place;
use crate::report::Report;
use crate::section::Reader;
use crate::value::{Mode, OrOff, named};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sink {
    File,
    Stdout,
    Tracing,
}

named!(Sink, "\"file\", \"stdout\" or \"tracing\"",
    "file" => Self::File = Self::File,
    "stdout" => Self::Stdout = Self::Stdout,
    "tracing" => Self::Tracing = Self::Tracing);

/// What is recorded, and where.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    instance: String,
    sink: Sink,
    path: PathBuf,
    backpressure: Backpressure,
    durability: Durability,
    rotate_at: u64,
    rotate_every: Duration,
    keep_files: Option<usize>,
    keep_for: Option<Duration>,
    keep_bytes: Option<u64>,
    mode: Mode,
    also: Vec<Sink>,
    export_path: Option<PathBuf>,
    capacity: usize,
    checkpoint_records: u64,
    checkpoint_interval: Duration,
    heartbeat: Duration,
    fold_window: OrOff,
    detection: bool,
    subjects: Disclosure,
    clients: Disclosure,
    peers: Disclosure,
    seal_key_file: Option<PathBuf>,
    pseudonym_key_file: Option<PathBuf>,
    pseudonym_key_id: String,
}

impl Audit {
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let mut section = reader.optional("audit");
        let instance = section.required("instance", "instance".to_owned());
        let sink = section.required("sink", Sink::Stdout);
        let is_file = sink == Sink::File;
        let audit = Self {
            instance,
            sink,
            path: section.required_if(is_file, "path", "audit.jsonl".into()),
            backpressure: section.required("backpressure", Backpressure::FailRequest),
            durability: section.or("durability", Durability::Written),
            rotate_at: section.or("rotate_at", 256 << 20),
            rotate_every: section.or("rotate_every", Duration::from_secs(86_400)),
            keep_files: section.maybe("keep_files"),
            keep_for: section.maybe("keep_for"),
            keep_bytes: section.maybe("keep_bytes"),
            mode: section.or("mode", Mode(0o600)),
            also: section.or("also", Vec::new()),
            export_path: section.maybe("export_path"),
            capacity: section.or("capacity", 8_192),
            checkpoint_records: section.or("checkpoint_records", 1_000),
            checkpoint_interval: section.or("checkpoint_interval", Duration::from_secs(10)),
            heartbeat: section.or("heartbeat", Duration::from_secs(60)),
            fold_window: section.or("fold_window", OrOff(Some(Duration::from_secs(10)))),
            detection: section.or("detection", true),
            subjects: section.or("subjects", Disclosure::Pseudonym),
            clients: section.or("clients", Disclosure::Plain),
            peers: section.or("peers", Disclosure::Plain),
            seal_key_file: section.maybe("seal_key_file"),
            pseudonym_key_file: section.maybe("pseudonym_key_file"),
            pseudonym_key_id: section.required_if(false, "pseudonym_key_id", "key".to_owned()),
        };
        if !is_file {
            let files = [
                "path",
                "durability",
                "rotate_at",
                "rotate_every",
                "keep_files",
                "keep_for",
                "keep_bytes",
                "mode",
            ];
            section.useless(&files, "is of no use without sink = \"file\"");
        }
        if audit.also.contains(&Sink::File) {
            section.fault(
                "also",
                "is for \"stdout\" and \"tracing\": one file is written",
            );
        }
        let has_key = section.is_set("pseudonym_key_file");
        if has_key && !section.is_set("pseudonym_key_id") {
            section.fault(
                "pseudonym_key_id",
                "is missing: names say which key made them, so it takes a text for each key",
            );
        }
        if !has_key {
            section.useless(
                &["pseudonym_key_id"],
                "is of no use without pseudonym_key_file",
            );
        }
        section.is_on().then_some(audit)
    }

    /// Tells what is wrong without a file being made.
    pub(crate) fn check(&self, from: &Peer, report: &mut Report) {
        if self.sink == Sink::File {
            report.adopt(self.file(&self.path).check(), setting);
        }
        let (seal, pseudonyms) = self.keys(report);
        let mut builder = self.builder(Nowhere);
        if let Some(key) = seal {
            builder = builder.seal(key);
        }
        if let Some(key) = pseudonyms {
            builder = builder.pseudonyms(key);
        }
        report.adopt(builder.peer(from.clone()).build(), setting);
    }

    pub(crate) fn build(
        &self,
        from: Peer,
        seal: Option<SealKey>,
        report: &mut Report,
    ) -> Option<AuditLog> {
        let mut builder = match self.sink {
            Sink::File => self.builder(self.file(&self.path)),
            Sink::Stdout => self.builder(StdoutSink::new()),
            Sink::Tracing => self.builder(TracingSink::new()),
        };
        for also in &self.also {
            builder = match also {
                Sink::Tracing => builder.also(TracingSink::new()),
                _ => builder.also(StdoutSink::new()),
            };
        }
        let (read, pseudonyms) = self.keys(report);
        if let Some(key) = seal.or(read) {
            builder = builder.seal(key);
        }
        if let Some(key) = pseudonyms {
            builder = builder.pseudonyms(key);
        }
        if let Some(path) = &self.export_path {
            builder = builder.export_checkpoints(self.file(path));
        }
        let built: Result<AuditLog, ConfigError> = builder.peer(from).build();
        report.adopt(built, setting)
    }

    fn file(&self, path: &Path) -> FileSink {
        let mut sink = FileSink::new(path)
            .durability(self.durability)
            .rotate_at(self.rotate_at)
            .rotate_every(self.rotate_every)
            .mode(self.mode.0);
        if let Some(files) = self.keep_files {
            sink = sink.keep_files(files);
        }
        if let Some(age) = self.keep_for {
            sink = sink.keep_for(age);
        }
        if let Some(bytes) = self.keep_bytes {
            sink = sink.keep_bytes(bytes);
        }
        sink
    }

    fn builder(&self, sink: impl AuditSink) -> AuditLogBuilder {
        let builder = AuditLog::builder(self.instance.clone(), sink, self.backpressure)
            .capacity(self.capacity)
            .checkpoint_every(self.checkpoint_records, self.checkpoint_interval)
            .heartbeat(self.heartbeat)
            .subjects(self.subjects)
            .clients(self.clients)
            .peers(self.peers)
            .detection(if self.detection {
                Detection::new()
            } else {
                Detection::off()
            });
        match self.fold_window.0 {
            Some(window) => builder.fold_window(window),
            None => builder.without_folding(),
        }
    }

    fn keys(&self, report: &mut Report) -> (Option<SealKey>, Option<PseudonymKey>) {
        let seal = self.seal_key_file.as_deref().and_then(|path| {
            let pem = secret("audit.seal_key_file", path, report)?;
            let key = str::from_utf8(&pem)
                .ok()
                .and_then(|pem| SealKey::from_pem(pem).ok());
            if key.is_none() {
                report.add(
                    "audit.seal_key_file",
                    format_args!("{} holds no Ed25519 key in PEM", path.display()),
                );
            }
            key
        });
        let pseudonyms = self.pseudonym_key_file.as_deref().and_then(|path| {
            let bytes = secret("audit.pseudonym_key_file", path, report)?;
            let key = PseudonymKey::new(&self.pseudonym_key_id, &bytes);
            let problem = |error| format!("and its id cannot be used: {error}");
            key.map_err(|error| report.add("audit.pseudonym_key_file", problem(error)))
                .ok()
        });
        (seal, pseudonyms)
    }
}

/// Keeps nothing: for a check of the settings, of which nobody is to read in a log.
struct Nowhere;

impl AuditSink for Nowhere {
    fn name(&self) -> &'static str {
        "nowhere"
    }

    fn write(&mut self, _: &Batch) -> io::Result<()> {
        Ok(())
    }
}

/// The names that builder and sink have.
fn setting(name: &str) -> String {
    if let Some(setting) = Place::setting(name) {
        return setting;
    }
    let name = match name {
        "sink" => "path",
        "checkpoint_every" => "checkpoint_interval",
        "export_checkpoints" => "export_path",
        other => other,
    };
    format!("audit.{name}")
}

/// The content of a file that nobody else should see.
pub(crate) fn secret(
    setting: &str,
    path: &Path,
    report: &mut Report,
) -> Option<Zeroizing<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Some(Zeroizing::new(bytes)),
        Err(error) => {
            report.add(
                setting,
                format_args!("{} cannot be read: {error}", path.display()),
            );
            None
        }
    }
}
