//! The thread that writes: from what requests hand over to lines that are chained, signed and stored.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use gateless_audit::{
    Aside, AuditSink, Batch, Chain, Durability, End, Event, Gap, Repeated, Retired, SealKey,
    Signal, Start,
};
use gateless_core::{Clock, Monotonic, Timestamp};
use tokio::sync::oneshot;

use super::backpressure::Backpressure;
use super::detect::{Detectors, Finding};
use super::fold::{Fold, Seen};
use super::methods::Methods;
use super::metrics::Metrics;
use super::naming::Naming;
use super::queue::{Message, Queue, Written};
use super::sighting::Sighting;
use super::trail::{Closing, Facts, Trail};

/// How many records are written together at most.
const MOST_AT_ONCE: usize = 1024;

/// How long records gather where nobody waits for them: many small writes cost more than they are worth.
const GATHERING: Duration = Duration::from_millis(1);

/// How long the writer sleeps at most: what is due by the clock is looked at then.
const NAP: Duration = Duration::from_secs(1);

/// How often at most what further sinks lose is recorded.
const FURTHER_GAPS: Duration = Duration::from_secs(60);

/// When a sink that failed is tried again, at first and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Everything that the thread owns.
pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) chain: Chain,
    pub(super) sink: Box<dyn AuditSink>,
    pub(super) durability: Durability,
    pub(super) backpressure: Backpressure,
    pub(super) further: Vec<Aside>,
    pub(super) seal: Option<Seal>,
    pub(super) naming: Arc<Naming>,
    pub(super) methods: Methods,
    pub(super) fold: Option<Fold>,
    pub(super) detectors: Detectors,
    pub(super) listener: Option<Listener>,
    pub(super) clock: Arc<dyn Clock>,
    /// When the chain began.
    pub(super) began: Monotonic,
    pub(super) metrics: Metrics,
    pub(super) batch: Batch,
    /// What was taken out of the queue and is not composed yet.
    pub(super) backlog: Vec<Message>,
    /// Who waits for the batch.
    pub(super) waiting: Vec<oneshot::Sender<Written>>,
    /// How many seats are free when it is written.
    pub(super) leaving: usize,
    /// Who waits for all that was there when they asked.
    pub(super) flushes: Vec<Flush>,
    /// When further sinks were asked last what they have lost.
    pub(super) asked_further: Monotonic,
    /// Whether records were given up.
    pub(super) has_lost: bool,
    pub(super) is_orderly: bool,
}

/// Somebody who waits for so many messages that were there before.
pub(super) struct Flush {
    before: usize,
    flush: oneshot::Sender<()>,
}

/// Hears of signals.
pub(super) type Listener = Box<dyn Fn(&Signal<'_>) + Send>;

/// When checkpoints are made, and where they go besides.
pub(super) struct Seal {
    pub(super) key: SealKey,
    pub(super) every_records: u64,
    pub(super) every: Duration,
    pub(super) heartbeat: Duration,
    pub(super) export: Option<Aside>,
    /// When the last one was made.
    pub(super) last: Monotonic,
    /// What a second place has not been given yet.
    pub(super) unsent: Batch,
}

/// The time of one round.
#[derive(Clone, Copy)]
struct Now {
    at: Monotonic,
    time: Timestamp,
}

impl Now {
    /// The wall clock when the monotonic one showed `at`, a little while ago.
    fn back_then(self, at: Monotonic) -> Timestamp {
        self.time.saturating_sub(self.at.since(at))
    }
}

impl Writer {
    /// Writes until it is told to stop, and all is written, or the time for that is over.
    pub(super) fn run(mut self, start: &Start<'_>) {
        let now = self.now();
        self.add(Event::Start(start.clone()), now);
        // A log without a signature could be anybody's.
        self.seal_now(now);
        loop {
            let closing = self.queue.orders().closing;
            if closing.is_some() {
                self.queue.begin_to_close();
            }
            let is_idle = self.round(closing);
            match closing {
                Some(until) if is_idle || Instant::now() >= until => break,
                Some(_) => {}
                None => self.rest(is_idle),
            }
        }
        self.stop();
    }

    /// Lets records gather, or sleeps until there are any.
    fn rest(&self, is_idle: bool) {
        if !is_idle {
            // While a group is written and synced, the next one gathers by itself.
            let is_behind = self.queue.len() >= MOST_AT_ONCE;
            if self.durability == Durability::Queued && !is_behind {
                thread::sleep(GATHERING);
            }
        } else if self.queue.may_sleep() && !self.has_orders() {
            thread::park_timeout(self.nap());
            self.queue.awoke();
        } else {
            self.queue.awoke();
        }
    }

    fn nap(&self) -> Duration {
        let due = self.fold.as_ref().and_then(Fold::due);
        let until_due = due.map(|due| due.since(self.clock.monotonic()));
        until_due.map_or(NAP, |until| until.clamp(GATHERING, NAP))
    }

    fn has_orders(&self) -> bool {
        let orders = self.queue.orders();
        orders.closing.is_some() || !orders.flushes.is_empty()
    }

    fn now(&self) -> Now {
        Now {
            at: self.clock.monotonic(),
            time: self.clock.wall(),
        }
    }

    /// Takes what is there and writes it. Whether there is nothing left.
    fn round(&mut self, closing: Option<Instant>) -> bool {
        let asked = std::mem::take(&mut self.queue.orders().flushes);
        let before = self.queue.len() + self.backlog.len();
        let asked = asked.into_iter().map(|flush| Flush { before, flush });
        self.flushes.extend(asked);
        let mut messages = std::mem::take(&mut self.backlog);
        while messages.len() < MOST_AT_ONCE {
            match self.queue.pop() {
                Some(message) => messages.push(message),
                None => break,
            }
        }
        let (taken, now) = (messages.len(), self.now());
        self.add_missed(now);
        for message in messages {
            self.take(message, now);
        }
        self.add_repeated(!self.flushes.is_empty(), now);
        self.add_checkpoint(now);
        let is_written = self.deliver(closing);
        let is_idle = taken == 0 && self.flushes.is_empty();
        self.flushed(taken, is_written);
        is_idle && self.queue.is_empty() && self.backlog.is_empty() && self.batch.is_empty()
    }

    /// Tells those whose records are all written. Of those that were given up, nobody hears that they are.
    fn flushed(&mut self, taken: usize, is_written: bool) {
        if !is_written {
            self.flushes.clear();
        }
        let flushes = std::mem::take(&mut self.flushes).into_iter();
        for Flush { before, flush } in flushes {
            match before.saturating_sub(taken) {
                0 => {
                    let _ = flush.send(());
                }
                before => self.flushes.push(Flush { before, flush }),
            }
        }
    }

    /// Adds a record to the batch.
    fn add(&mut self, event: Event<'_>, now: Now) -> u64 {
        self.add_of(event, now.at, now.time)
    }

    fn add_of(&mut self, event: Event<'_>, at: Monotonic, time: Timestamp) -> u64 {
        let up = at.since(self.began);
        self.chain.append(event, time, up, &mut self.batch)
    }

    fn add_missed(&mut self, now: Now) {
        if let Some(missed) = self.queue.take_missed(now.time) {
            let gap = Gap {
                sink: None,
                lost: missed.lost,
                unserved: missed.unserved,
                since: missed.since,
            };
            self.add(Event::Gap(gap), now);
        }
        let lost = self.sink.lost();
        let name = self.sink.name();
        self.add_lost_by(name, lost, now);
        // A gap is a record, too: one that is lost must not bring about the next.
        if now.at.since(self.asked_further) >= FURTHER_GAPS {
            self.add_lost_further(now);
        }
    }

    fn add_lost_further(&mut self, now: Now) {
        self.asked_further = now.at;
        let export = self.seal.as_ref().and_then(|seal| seal.export.as_ref());
        let further = self.further.iter().chain(export);
        let lost: Vec<_> = further.map(|aside| (aside.name(), aside.lost())).collect();
        for (name, lost) in lost {
            self.add_lost_by(name, lost, now);
        }
    }

    fn add_lost_by(&mut self, sink: &'static str, lost: u64, now: Now) {
        if lost == 0 {
            return;
        }
        self.metrics.aside_lost(sink, lost);
        let gap = Gap {
            sink: Some(sink.into()),
            lost,
            unserved: 0,
            since: now.time,
        };
        self.add(Event::Gap(gap), now);
    }

    fn take(&mut self, message: Message, now: Now) {
        match message {
            Message::Request {
                trail,
                written,
                frees_seat,
            } => {
                self.waiting.extend(written);
                self.leaving += usize::from(frees_seat);
                let mut findings = Vec::new();
                let facts = trail.facts();
                if let Some(closing) = &facts.closing {
                    self.see(&trail, &facts, closing, &mut findings, now);
                }
                // Listeners are not ours, and may take their time.
                drop(facts);
                for finding in findings {
                    self.signal(&finding, now);
                }
            }
            Message::Leave => self.leaving += 1,
            Message::End {
                trail,
                ending,
                grpc_status,
            } => {
                self.leaving += 1;
                // One that was only counted has no record that this could be about.
                if let Some(of) = trail.seq() {
                    let end = End {
                        of,
                        end: ending.how,
                        grpc_status,
                        sent_bytes: ending.sent_bytes,
                        duration_us: ending.duration_us,
                    };
                    self.add(Event::End(end), now);
                }
            }
        }
    }

    fn see(
        &mut self,
        trail: &Trail,
        facts: &Facts,
        closing: &Closing,
        findings: &mut Vec<Finding>,
        now: Now,
    ) {
        let arrival = trail.arrival();
        let refusal = facts.refusal.as_ref();
        let route = facts.route.as_ref().map(|route| route.as_str());
        let grpc_method = self.methods.name(trail, facts, closing);
        let sighting = Sighting {
            at: closing.at,
            time: now.back_then(closing.at),
            outcome: closing.outcome,
            method: arrival.method,
            route: grpc_method.or(route),
            status: closing.status,
            stage: refusal.map(|refusal| refusal.stage),
            rejection: refusal.map(|refusal| &refusal.rejection),
            principal: facts.principal.as_ref(),
            peer: arrival.peer,
        };
        self.metrics.saw(&sighting);
        self.detectors.see(&sighting, findings);
        let seen = match &mut self.fold {
            Some(fold) => fold.see(&sighting),
            None => Seen::Write(None),
        };
        if let Seen::Write(key) = seen {
            let naming = Arc::clone(&self.naming);
            let mut record = naming.record(trail, facts, closing);
            record.grpc_method = grpc_method.map(Into::into);
            let event = Event::Request(Box::new(record));
            let seq = self.add_of(event, sighting.at, sighting.time);
            trail.written_as(seq);
            if let (Some(key), Some(fold)) = (key, &mut self.fold) {
                fold.wrote(key, seq);
            }
        }
    }

    fn signal(&mut self, finding: &Finding, now: Now) {
        let naming = Arc::clone(&self.naming);
        let caller = finding.principal.as_ref();
        let signal = Signal {
            signal: finding.kind,
            count: finding.count,
            within_secs: finding.within.as_secs(),
            issuer: caller.map(|caller| caller.issuer().into()),
            subject: caller.and_then(|caller| naming.subject(caller)),
            client: caller.and_then(|caller| naming.client(caller)),
            token: caller.and_then(|caller| naming.token(caller)),
            peer: finding.peer.and_then(|peer| naming.peer(peer)),
            reason: finding.reason.map(Into::into),
        };
        self.metrics.signalled(finding.kind);
        if let Some(listener) = &self.listener {
            // It is not ours, and must not end the thread.
            let heard = catch_unwind(AssertUnwindSafe(|| listener(&signal)));
            if heard.is_err() {
                tracing::error!(name: "gateless.audit.listener_panicked", "a listener of signals has panicked");
            }
        }
        self.add(Event::Signal(signal), now);
    }

    fn add_repeated(&mut self, everything: bool, now: Now) {
        let mut repeated: Vec<Repeated> = Vec::new();
        if let Some(fold) = &mut self.fold {
            fold.flush(now.at, everything, &mut repeated);
        }
        for repeated in repeated {
            self.add(Event::Repeated(repeated), now);
        }
    }

    fn add_checkpoint(&mut self, now: Now) {
        let Some(seal) = &self.seal else { return };
        let since = now.at.since(seal.last);
        // The last checkpoint is a record too.
        let uncovered = self.chain.uncovered().saturating_sub(1);
        let is_due = uncovered >= seal.every_records
            || (uncovered > 0 && since >= seal.every)
            || since >= seal.heartbeat;
        if is_due {
            self.seal_now(now);
        }
    }

    fn seal_now(&mut self, now: Now) {
        let Some(seal) = &mut self.seal else { return };
        let up = now.at.since(self.began);
        let before = self.batch.as_bytes().len();
        self.chain
            .checkpoint(&seal.key, now.time, up, &mut self.batch);
        seal.last = now.at;
        if seal.export.is_some() {
            let line = self.batch.as_bytes().get(before..).unwrap_or_default();
            if let Ok(line) = str::from_utf8(line) {
                seal.unsent.push(line.trim_end());
            }
        }
    }

    /// Writes the batch, however long that takes, and tells who waits for it. Whether it is written in the end.
    fn deliver(&mut self, closing: Option<Instant>) -> bool {
        self.metrics.waiting(self.queue.taken());
        let is_written = self.batch.is_empty() || self.store(closing);
        for written in self.waiting.drain(..) {
            let _ = written.send(if is_written {
                Written::Yes
            } else {
                Written::No
            });
        }
        self.queue.stand_up(std::mem::take(&mut self.leaving));
        if is_written && !self.further.is_empty() && !self.batch.is_empty() {
            let batch = Arc::new(self.batch.clone());
            for aside in &self.further {
                aside.offer(Arc::clone(&batch));
            }
        }
        if !is_written {
            self.give_up();
        }
        self.batch.clear();
        // Not before the records that it covers are written.
        if let Some(seal) = &mut self.seal
            && let Some(export) = &seal.export
            && !seal.unsent.is_empty()
        {
            export.offer(Arc::new(std::mem::take(&mut seal.unsent)));
        }
        // What further sinks delete is no excuse for what the first one lacks.
        if let Some(retired) = self.sink.retired() {
            self.retire(retired);
        }
        is_written
    }

    /// What could not be written in the time that was left is lost.
    fn give_up(&mut self) {
        self.has_lost = true;
        let records = u64::try_from(self.batch.len()).unwrap_or(u64::MAX);
        self.lose(records);
        if let Some(seal) = &mut self.seal {
            seal.unsent.clear();
        }
    }

    fn lose(&self, records: u64) {
        self.metrics.lost(records);
        self.queue.lose(records, self.clock.wall());
    }

    /// It becomes the first record of the next batch.
    fn retire(&mut self, retired: Retired) {
        let now = self.now();
        self.add(Event::Retired(retired), now);
        // What is missing is excused by what is signed only.
        self.seal_now(now);
    }

    fn store(&mut self, closing: Option<Instant>) -> bool {
        let (mut pause, mut is_written) = (FIRST_PAUSE, false);
        loop {
            let Err(error) = self.attempt(&mut is_written) else {
                if self.queue.is_down() {
                    self.queue.set_down(false);
                    tracing::info!(name: "gateless.audit.recovered", sink = self.sink.name(), "records are written again");
                }
                return true;
            };
            self.metrics.failed();
            if !self.queue.is_down() {
                self.queue.set_down(true);
                tracing::error!(name: "gateless.audit.failed", sink = self.sink.name(), %error, "records cannot be written");
            }
            let closing = closing.or(self.queue.orders().closing);
            if closing.is_some_and(|until| Instant::now() >= until) {
                let records = self.batch.len();
                tracing::error!(name: "gateless.audit.given_up", sink = self.sink.name(), records, "records are lost: the time to write them is over");
                return false;
            }
            self.hold();
            thread::park_timeout(pause);
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// One attempt to store the batch. What was written is not written again when it could not be synced.
    fn attempt(&mut self, is_written: &mut bool) -> io::Result<()> {
        let (sink, batch) = (&mut self.sink, &self.batch);
        let must_sync = self.durability == Durability::Synced;
        // A sink of somebody else's must not end the thread, and with it all records.
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            if !*is_written {
                sink.write(batch)?;
                *is_written = true;
            }
            if must_sync { sink.sync() } else { Ok(()) }
        }));
        attempt.unwrap_or_else(|_| Err(io::Error::other("the sink has panicked")))
    }

    /// While nothing can be written, nobody waits for it in vain: they hear what they asked for.
    fn hold(&mut self) {
        if matches!(self.backpressure, Backpressure::Block(_)) {
            return;
        }
        while let Some(mut message) = self.queue.pop() {
            if let Message::Request { written, .. } = &mut message {
                self.waiting.extend(written.take());
            }
            self.backlog.push(message);
        }
        for written in self.waiting.drain(..) {
            let _ = written.send(Written::No);
        }
    }

    /// The last records.
    fn stop(&mut self) {
        let closing = self.queue.orders().closing.unwrap_or_else(Instant::now);
        // What came while the last round was written. After a deadline there is no other round.
        while !self.round(Some(closing)) && Instant::now() < closing {}
        let left = std::mem::take(&mut self.backlog).len();
        if left > 0 {
            self.has_lost = true;
            self.lose(u64::try_from(left).unwrap_or(u64::MAX));
        }
        let now = self.now();
        self.add_missed(now);
        self.add_lost_further(now);
        self.add_repeated(true, now);
        self.add(Event::Stop, now);
        self.seal_now(now);
        let mut is_complete = self.deliver(Some(closing)) && !self.has_lost;
        if let Err(error) = self.sink.sync() {
            is_complete = false;
            tracing::error!(name: "gateless.audit.failed", sink = self.sink.name(), %error, "the last records may not be on the disk");
        }
        let export = self.seal.take().and_then(|seal| seal.export);
        let further = std::mem::take(&mut self.further);
        for aside in further.into_iter().chain(export) {
            let name = aside.name();
            let records = aside.close(closing.saturating_duration_since(Instant::now()));
            if records > 0 {
                tracing::error!(name: "gateless.audit.given_up", sink = name, records, "records are lost: the time to write them is over");
            }
        }
        self.is_orderly = true;
        self.queue.close(is_complete);
    }
}

impl Drop for Writer {
    /// However the thread ends, nobody may go on as if there was one.
    fn drop(&mut self) {
        if !self.is_orderly {
            tracing::error!(name: "gateless.audit.died", "nothing is recorded any more: the thread that writes has panicked");
            self.queue.close(false);
        }
    }
}
