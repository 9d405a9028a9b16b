//! The settings of an audit layer.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gateless_audit::{
    Aside, AuditSink, Batch, BootId, Chain, Durability, PseudonymKey, SealKey, Signal, Start,
};
use gateless_core::{Clock, ConfigError, Renderer};

use super::backpressure::Backpressure;
use super::detect::{Detection, Detectors};
use super::fold::{self, Fold};
use super::methods::Methods;
use super::metrics::Metrics;
use super::naming::{Disclosure, Naming};
use super::queue::Queue;
use super::writer::{Listener, Seal, Writer};
use super::{AuditLog, Log};
use crate::clock::FineClock;
use crate::peer::Peer;

/// How many batches a further sink may be behind.
const ASIDE_BATCHES: usize = 1024;

/// The settings of an [`AuditLog`]; see [`AuditLog::builder`].
#[must_use]
pub struct AuditLogBuilder {
    instance: Box<str>,
    sink: Box<dyn AuditSink>,
    backpressure: Backpressure,
    further: Vec<Box<dyn AuditSink>>,
    pseudonyms: Option<PseudonymKey>,
    subject: Disclosure,
    client: Disclosure,
    peer: Disclosure,
    from: Peer,
    capacity: usize,
    seal: Option<SealKey>,
    checkpoint_records: u64,
    checkpoint_interval: Duration,
    heartbeat: Duration,
    export: Option<Box<dyn AuditSink>>,
    fold_window: Option<Duration>,
    detection: Detection,
    listener: Option<Listener>,
    clock: Arc<dyn Clock>,
    renderer: Renderer,
}

impl AuditLogBuilder {
    pub(super) fn new(
        instance: Box<str>,
        sink: Box<dyn AuditSink>,
        backpressure: Backpressure,
    ) -> Self {
        Self {
            instance,
            sink,
            backpressure,
            further: Vec::new(),
            pseudonyms: None,
            subject: Disclosure::Pseudonym,
            client: Disclosure::Plain,
            peer: Disclosure::Plain,
            from: Peer::connection(),
            capacity: 8_192,
            seal: None,
            checkpoint_records: 1_000,
            checkpoint_interval: Duration::from_secs(10),
            heartbeat: Duration::from_secs(60),
            export: None,
            fold_window: Some(Duration::from_secs(10)),
            detection: Detection::new(),
            listener: None,
            clock: Arc::new(FineClock::new()),
            renderer: Renderer::default(),
        }
    }

    /// Gives each record to a further sink, too: a collector besides the file, for example.
    ///
    /// It has a thread and a queue of its own. No request and no record waits for it, whatever its durability; what it loses is
    /// counted, and the count is a record in the first sink.
    pub fn also(mut self, sink: impl AuditSink) -> Self {
        self.further.push(Box::new(sink));
        self
    }

    /// What names callers and tokens. By default a key that ends with the process: then nobody can ask for a name after a restart.
    ///
    /// To rotate it, start with another key and keep the old one for questions, or destroy it, and with it the meaning of all names
    /// that it made.
    pub fn pseudonyms(mut self, key: PseudonymKey) -> Self {
        self.pseudonyms = Some(key);
        self
    }

    /// How records name subjects. By a pseudonym by default: most of them are people.
    pub const fn subjects(mut self, disclosure: Disclosure) -> Self {
        self.subject = disclosure;
        self
    }

    /// How records name clients. As they are called by default: they are programs, and known.
    pub const fn clients(mut self, disclosure: Disclosure) -> Self {
        self.client = disclosure;
        self
    }

    /// How records name where requests come from. As an address by default, or rather the prefix that [`peer`](Self::peer) keeps of
    /// it: whoever looks for a thief needs that. It is personal data.
    pub const fn peers(mut self, disclosure: Disclosure) -> Self {
        self.peer = disclosure;
        self
    }

    /// Where requests come from. The [`PeerAddress`](crate::PeerAddress) that the server leaves by default. Where nobody leaves one,
    /// records have none.
    pub fn peer(mut self, peer: Peer) -> Self {
        self.from = peer;
        self
    }

    /// How many records may wait to be written, and how many requests may be under way whose records have to be written. 8,192 by
    /// default, from 1 to 1,048,576. A response that has not ended is under way: a service with many open streams needs more.
    pub const fn capacity(mut self, records: usize) -> Self {
        self.capacity = records;
        self
    }

    /// Signs checkpoints with this key. Without one, the chain alone shows what was changed, to whoever has an old copy of its end.
    pub fn seal(mut self, key: SealKey) -> Self {
        self.seal = Some(key);
        self
    }

    /// Makes a checkpoint after so many records, or after so long when there are fewer: what is written after the last one
    /// can be cut off without a trace. 1,000 records and 10 seconds by default.
    pub const fn checkpoint_every(mut self, records: u64, interval: Duration) -> Self {
        self.checkpoint_records = records;
        self.checkpoint_interval = interval;
        self
    }

    /// Makes a checkpoint at least this often, also when nothing happens, so that silence tells. A minute by default.
    pub const fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// Sends a copy of each checkpoint to a second place, which whoever can write the first should not be able to write: only then
    /// shows what was cut off the end, or written anew by somebody who has the key.
    pub fn export_checkpoints(mut self, sink: impl AuditSink) -> Self {
        self.export = Some(Box::new(sink));
        self
    }

    /// How long refusals that are the same in all that matters are only counted, after the first was written. 10 seconds by default.
    /// What is allowed is always written.
    pub const fn fold_window(mut self, window: Duration) -> Self {
        self.fold_window = Some(window);
        self
    }

    /// Writes each refusal. A flood of them then fills the disk.
    pub const fn without_folding(mut self) -> Self {
        self.fold_window = None;
        self
    }

    /// What operators hear about.
    pub fn detection(mut self, detection: Detection) -> Self {
        self.detection = detection;
        self
    }

    /// Called with each signal, on the thread that writes: it must not take long.
    pub fn on_signal(mut self, listener: impl Fn(&Signal<'_>) + Send + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Where the time comes from. The system's clocks by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How the refusals of this layer look. Problem details by default.
    pub fn renderer(mut self, renderer: Renderer) -> Self {
        self.renderer = renderer;
        self
    }

    /// Opens the sink, starts the thread that writes, and makes the layer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a setting cannot be used, or when the sink cannot be written to.
    pub fn build(self) -> Result<AuditLog, ConfigError> {
        let Self {
            instance,
            mut sink,
            backpressure,
            further,
            pseudonyms,
            subject,
            client,
            peer,
            from,
            capacity,
            seal,
            checkpoint_records,
            checkpoint_interval,
            heartbeat,
            export,
            fold_window,
            detection,
            listener,
            clock,
            renderer,
        } = self;
        let mut faults = ConfigError::collect();
        if instance.is_empty() || instance.len() > 128 || instance.contains(char::is_control) {
            let problem = "has no name, one of more than 128 bytes, or control characters";
            faults.add("instance", problem);
        }
        if backpressure == Backpressure::Block(Duration::ZERO) {
            faults.add("backpressure", "blocks for no time: that is FailRequest");
        }
        if !(1..=1 << 20).contains(&capacity) {
            faults.add("capacity", "is not between 1 and 1,048,576 records");
        }
        if checkpoint_records == 0 {
            faults.add("checkpoint_every", "is after no record");
        }
        for (name, interval) in [
            ("checkpoint_every", checkpoint_interval),
            ("heartbeat", heartbeat),
            ("fold_window", fold_window.unwrap_or(Duration::from_secs(1))),
        ] {
            if !(Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&interval) {
                faults.add(name, "is not between a second and a day");
            }
        }
        if export.is_some() && seal.is_none() {
            faults.add("export_checkpoints", "has nothing to export without a seal");
        }
        detection.check(&mut faults);
        let locator = from.locator(&mut faults);
        faults.into_result()?;

        let (boot, began) = (BootId::random(), clock.monotonic());
        let mut faults = ConfigError::collect();
        let previous = sink.open(boot).unwrap_or_else(|error| {
            faults.add("sink", format!("{} cannot be opened: {error}", sink.name()));
            None
        });
        let mut aside = |setting, mut sink: Box<dyn AuditSink>| {
            let name = sink.name();
            let opened = sink.open(boot);
            let aside = opened.and_then(|_| Aside::spawn(sink, ASIDE_BATCHES));
            match aside {
                Ok(aside) => Some(aside),
                Err(error) => {
                    faults.add(setting, format!("{name} cannot be opened: {error}"));
                    None
                }
            }
        };
        let further = further.into_iter().filter_map(|sink| aside("also", sink));
        let further = further.collect();
        let export = export.and_then(|sink| aside("export_checkpoints", sink));
        faults.into_result()?;

        let durability = sink.durability();
        let naming = Arc::new(Naming {
            key: pseudonyms.unwrap_or_else(PseudonymKey::random),
            subject,
            client,
            peer,
        });
        let start = Start {
            software: concat!("gateless ", env!("CARGO_PKG_VERSION")).into(),
            pseudonyms: naming.key.id().to_owned().into(),
            seal: seal.as_ref().map(|seal| seal.id().to_owned().into()),
            heartbeat_secs: seal.as_ref().map(|_| heartbeat.as_secs()),
            previous,
        };
        let queue = Arc::new(Queue::new(capacity));
        let writer = Writer {
            queue: Arc::clone(&queue),
            chain: Chain::new(instance.clone(), boot).heartbeat(heartbeat.as_secs()),
            sink,
            durability,
            backpressure,
            further,
            seal: seal.map(|key| Seal {
                key,
                every_records: checkpoint_records,
                every: checkpoint_interval,
                heartbeat,
                export,
                last: began,
                unsent: Batch::new(),
            }),
            naming: Arc::clone(&naming),
            methods: Methods::default(),
            fold: fold_window.map(|window| {
                Fold::new(fold::Settings {
                    window,
                    ..fold::Settings::default()
                })
            }),
            detectors: Detectors::new(detection),
            listener,
            clock: Arc::clone(&clock),
            began,
            metrics: Metrics::new(),
            batch: Batch::new(),
            backlog: Vec::new(),
            waiting: Vec::new(),
            leaving: 0,
            flushes: Vec::new(),
            asked_further: began,
            has_lost: false,
            is_orderly: false,
        };
        let thread = thread::Builder::new().name("gateless-audit".to_owned());
        let running = thread.spawn(move || writer.run(&start)).map_err(|error| {
            let mut faults = ConfigError::collect();
            faults.add("sink", format!("has no thread to be written by: {error}"));
            faults
        })?;
        queue.written_by(running.thread().clone());
        Ok(AuditLog(Arc::new(Log {
            instance,
            boot,
            queue,
            naming,
            locator,
            backpressure,
            waits: durability > Durability::Queued,
            clock,
            renderer,
        })))
    }
}

impl fmt::Debug for AuditLogBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLogBuilder")
            .field("instance", &self.instance)
            .field("sink", &self.sink.name())
            .field("backpressure", &self.backpressure)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
