//! Further places for records.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gateless_core::{Clock, Monotonic};

use crate::batch::Batch;
use crate::clock::MachineClock;
use crate::record::Retired;
use crate::sink::{AuditSink, Durability};

/// Runs a sink beside the first one, on a thread of its own: however slow or broken it is, it holds up nobody.
///
/// Batches wait in a queue that has a bound, and holds 64 MiB at most. A batch that finds it full is dropped. One that cannot be written is tried again,
/// after 100 milliseconds first and every second later, for a minute; then it is dropped, and the next one is tried. What is
/// dropped is counted, in lines, and so is what the sink itself gives up: [`lost`](Self::lost).
///
/// The sink has to be [open](AuditSink::open) already, so that a place that cannot be written to is found when the service
/// starts. If it says [`Durability::Synced`], [`sync`](AuditSink::sync) is called after each batch.
///
/// | event | level | when |
/// |---|---|---|
/// | `gateless.audit.aside_failed` | WARN | the sink fails; once until it works again |
/// | `gateless.audit.aside_back` | INFO | it works again |
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use gateless_audit::{Aside, Batch, audit_channel};
///
/// let (sink, mut receiver) = audit_channel(100);
/// let aside = Aside::spawn(sink, 64)?;
/// let mut batch = Batch::new();
/// batch.push("a record");
/// aside.offer(Arc::new(batch));
/// assert_eq!(receiver.recv().unwrap().text(), "a record");
/// assert_eq!(aside.close(Duration::from_secs(5)), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Aside {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    name: &'static str,
    capacity: usize,
    pace: Pace,
    clock: MachineClock,
    state: Mutex<State>,
    /// That there is a batch, or that it ends.
    wake: Condvar,
    /// That the thread has ended.
    ended: Condvar,
}

/// So many bytes wait at most, in however few batches.
const MAX_BYTES: usize = 64 << 20;

/// How long a batch is tried.
#[derive(Clone, Copy)]
struct Pace {
    first: Duration,
    longest: Duration,
    patience: Duration,
}

impl Pace {
    const USUAL: Self = Self {
        first: Duration::from_millis(100),
        longest: Duration::from_secs(1),
        patience: Duration::from_secs(60),
    };
}

#[derive(Default)]
struct State {
    queue: VecDeque<Arc<Batch>>,
    /// How many bytes wait.
    bytes: usize,
    /// How many lines are with the thread now.
    in_hand: u64,
    lost: u64,
    retired: Option<Retired>,
    /// When to give up what is not written by then.
    until: Option<Monotonic>,
    has_ended: bool,
}

impl Aside {
    /// Runs `sink`, which is open already. At most `capacity` batches wait; at least one.
    ///
    /// # Errors
    ///
    /// When the system has no thread.
    pub fn spawn(sink: impl AuditSink, capacity: usize) -> io::Result<Self> {
        Self::spawn_at(sink, capacity, Pace::USUAL)
    }

    fn spawn_at(sink: impl AuditSink, capacity: usize, pace: Pace) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            name: sink.name(),
            capacity: capacity.max(1),
            pace,
            clock: MachineClock::new(),
            state: Mutex::default(),
            wake: Condvar::new(),
            ended: Condvar::new(),
        });
        let with_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name(format!("gateless-audit-{}", shared.name))
            .spawn(move || {
                let _ended = Ended(&with_thread);
                with_thread.run(sink);
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// What the sink is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.shared.name
    }

    /// Hands on a batch, or drops it where there is no room. Never waits for the sink.
    pub fn offer(&self, batch: Arc<Batch>) {
        let mut state = self.shared.state();
        let bytes = state.bytes.saturating_add(batch.as_bytes().len());
        let is_full = state.queue.len() >= self.shared.capacity || bytes > MAX_BYTES;
        if state.has_ended || is_full {
            state.lost += lines(&batch);
            return;
        }
        state.bytes = bytes;
        state.queue.push_back(batch);
        drop(state);
        self.shared.wake.notify_one();
    }

    /// How many lines were dropped since this was asked last.
    #[must_use = "it is not told again"]
    pub fn lost(&self) -> u64 {
        std::mem::take(&mut self.shared.state().lost)
    }

    /// What the retention of the sink has deleted since this was asked last.
    #[must_use = "it is not told again"]
    pub fn retired(&self) -> Option<Retired> {
        self.shared.state().retired.take()
    }

    /// Writes what waits, for so long at most, and ends the thread. Returns how many lines were dropped since
    /// [`lost`](Self::lost) was asked last.
    ///
    /// A sink that hangs is left behind with its thread; what it has in hand counts as dropped, as nobody knows.
    #[must_use = "it is not told again"]
    pub fn close(mut self, deadline: Duration) -> u64 {
        let now = self.shared.clock.monotonic();
        let mut state = self.shared.state();
        state.until = Some(now + deadline);
        self.shared.wake.notify_all();
        let is_running = |state: &mut State| !state.has_ended;
        let waited = self
            .shared
            .ended
            .wait_timeout_while(state, deadline, is_running);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let waiting: u64 = state.queue.drain(..).map(|batch| lines(&batch)).sum();
        let lost = std::mem::take(&mut state.lost) + std::mem::take(&mut state.in_hand) + waiting;
        let has_ended = state.has_ended;
        drop(state);
        if let Some(thread) = self.thread.take_if(|_| has_ended) {
            // It catches what a sink throws, and has nothing else to say.
            let _ = thread.join();
        }
        lost
    }
}

impl Drop for Aside {
    /// Without [`close`](Aside::close), what waits is tried once more, and nobody waits for that.
    fn drop(&mut self) {
        let now = self.shared.clock.monotonic();
        self.shared.state().until.get_or_insert(now);
        self.shared.wake.notify_all();
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside")
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}

/// Says so when the thread ends, however it does.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.has_ended = true;
        let waiting: u64 = state.queue.drain(..).map(|batch| lines(&batch)).sum();
        state.lost += std::mem::take(&mut state.in_hand) + waiting;
        drop(state);
        self.0.ended.notify_all();
    }
}

/// How many lines are lost with a batch. What only says that others are lost does not count: else a loss would make the next one.
fn lines(batch: &Batch) -> u64 {
    let is_gap = |line: &&str| line.contains("\"kind\":\"gap\",");
    (batch.len() - batch.lines().filter(is_gap).count()) as u64
}

impl Shared {
    /// Nothing panics while it is held.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut sink: impl AuditSink) {
        let mut is_failing = false;
        while let Some(batch) = self.take() {
            let tried = catch_unwind(AssertUnwindSafe(|| {
                self.deliver(&mut sink, &batch, &mut is_failing)
            }));
            let Ok(is_written) = tried else {
                tracing::warn!(
                    name: "gateless.audit.aside_failed",
                    sink = self.name,
                    "a further audit sink panicked and is not used any more"
                );
                return;
            };
            let mut state = self.state();
            let in_hand = std::mem::take(&mut state.in_hand);
            if !is_written {
                state.lost += in_hand;
            }
        }
    }

    /// The next batch; none at the end.
    fn take(&self) -> Option<Arc<Batch>> {
        let is_waiting = |state: &mut State| state.queue.is_empty() && state.until.is_none();
        let state = self.wake.wait_while(self.state(), is_waiting);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let batch = state.queue.pop_front()?;
        state.bytes -= batch.as_bytes().len();
        state.in_hand = lines(&batch);
        Some(batch)
    }

    /// Whether the batch was written.
    fn deliver(&self, sink: &mut impl AuditSink, batch: &Batch, is_failing: &mut bool) -> bool {
        let began = self.clock.monotonic();
        let mut pause = self.pace.first;
        loop {
            let written = sink.write(batch).and_then(|()| match sink.durability() {
                Durability::Synced => sink.sync(),
                Durability::Queued | Durability::Written => Ok(()),
            });
            match written {
                Ok(()) => {
                    if std::mem::take(is_failing) {
                        tracing::info!(
                            name: "gateless.audit.aside_back",
                            sink = self.name,
                            "a further audit sink works again"
                        );
                    }
                    let (retired, lost) = (sink.retired(), sink.lost());
                    let mut state = self.state();
                    state.lost += lost;
                    if let Some(retired) = retired {
                        let before = state.retired.map_or(0, |before| before.files);
                        let files = retired.files + before;
                        state.retired = Some(Retired { files, ..retired });
                    }
                    return true;
                }
                Err(error) => {
                    if !std::mem::replace(is_failing, true) {
                        tracing::warn!(
                            name: "gateless.audit.aside_failed",
                            sink = self.name,
                            %error,
                            "a further audit sink cannot be written to"
                        );
                    }
                }
            }
            let now = self.clock.monotonic();
            if now.since(began) >= self.pace.patience || !self.pause(pause) {
                return false;
            }
            pause = (pause * 2).min(self.pace.longest);
        }
    }

    /// Waits before the next try. Whether there is time for one.
    fn pause(&self, pause: Duration) -> bool {
        let goes_on = |state: &mut State| state.until.is_none();
        let waited = self.wake.wait_timeout_while(self.state(), pause, goes_on);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let Some(until) = state.until else {
            return true;
        };
        // At the end it is tried until the deadline, in short steps.
        let left = until.since(self.clock.monotonic());
        let waited = self
            .wake
            .wait_timeout_while(state, left.min(self.pace.first), |_| true);
        drop(waited);
        !left.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::channel::audit_channel;

    const QUICK: Pace = Pace {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(2),
        patience: Duration::from_secs(3600),
    };

    fn batch(lines: usize) -> Arc<Batch> {
        let mut batch = Batch::new();
        (0..lines).for_each(|line| batch.push(&line.to_string()));
        Arc::new(batch)
    }

    /// Says what it is asked, and does what it is told.
    struct Told {
        asked: Sender<usize>,
        told: Receiver<io::Result<()>>,
    }

    impl AuditSink for Told {
        fn name(&self) -> &'static str {
            "told"
        }

        fn write(&mut self, batch: &Batch) -> io::Result<()> {
            let _ = self.asked.send(batch.len());
            match self.told.recv() {
                Ok(outcome) => outcome,
                Err(_) => panic!("nobody tells what to do"),
            }
        }
    }

    fn told() -> (Told, Receiver<usize>, Sender<io::Result<()>>) {
        let (asked, asks) = channel();
        let (tells, told) = channel();
        (Told { asked, told }, asks, tells)
    }

    fn away() -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }

    #[test]
    fn tl_06_a_sink_that_hangs_holds_up_nobody_and_what_it_misses_is_counted() {
        let (sink, asks, tells) = told();
        let aside = Aside::spawn_at(sink, 2, QUICK).unwrap();
        aside.offer(batch(1));
        assert_eq!(asks.recv().unwrap(), 1);
        for lines in [2, 3, 4, 5] {
            aside.offer(batch(lines));
        }
        assert_eq!(aside.lost(), 9);
        assert_eq!(aside.lost(), 0);
        for lines in [2, 3] {
            tells.send(Ok(())).unwrap();
            assert_eq!(asks.recv().unwrap(), lines);
        }
        tells.send(Ok(())).unwrap();
        assert_eq!(aside.close(Duration::from_secs(3600)), 0);
    }

    #[test]
    fn tl_06_a_batch_that_fails_is_tried_again_and_dropped_when_patience_ends() {
        let (sink, asks, tells) = told();
        let pace = Pace {
            patience: Duration::from_millis(20),
            ..QUICK
        };
        let aside = Aside::spawn_at(sink, 9, pace).unwrap();
        aside.offer(batch(7));
        aside.offer(batch(2));
        let mut tries = 0;
        while asks.recv().unwrap() == 7 {
            tries += 1;
            tells.send(away()).unwrap();
        }
        assert!(tries > 2, "{tries}");
        assert_eq!(aside.lost(), 7);
        tells.send(Ok(())).unwrap();
        assert_eq!(aside.close(Duration::from_secs(3600)), 0);
    }

    #[test]
    fn tl_06_what_waits_has_a_bound_in_bytes_too_and_a_gap_that_is_lost_is_none() {
        let (sink, asks, _tells) = told();
        let aside = Aside::spawn_at(sink, 99, QUICK).unwrap();
        aside.offer(batch(1));
        assert_eq!(asks.recv().unwrap(), 1);
        let mut large = Batch::new();
        large.push(&"x".repeat(33 << 20));
        large.push("{\"v\":1,\"kind\":\"gap\",\"lost\":1}");
        let large = Arc::new(large);
        aside.offer(Arc::clone(&large));
        assert_eq!(aside.lost(), 0);
        aside.offer(large);
        assert_eq!(aside.lost(), 1);
        aside.offer(batch(1));
        assert_eq!(aside.lost(), 0);
    }

    #[test]
    fn what_waits_is_written_at_the_end() {
        let (sink, mut receiver) = audit_channel(100);
        let aside = Aside::spawn_at(sink, 10, QUICK).unwrap();
        (0..10).for_each(|_| aside.offer(batch(3)));
        assert_eq!(aside.close(Duration::from_secs(3600)), 0);
        let mut received = 0;
        while receiver.try_recv().is_ok() {
            received += 1;
        }
        assert_eq!(received, 30);
    }

    #[test]
    fn a_sink_that_fails_at_the_end_is_tried_until_the_deadline() {
        let (sink, asks, tells) = told();
        let aside = Aside::spawn_at(sink, 10, QUICK).unwrap();
        aside.offer(batch(3));
        let closes = thread::spawn(move || aside.close(Duration::from_secs(3600)));
        for _ in 0..5 {
            asks.recv().unwrap();
            tells.send(away()).unwrap();
        }
        asks.recv().unwrap();
        tells.send(Ok(())).unwrap();
        assert_eq!(closes.join().unwrap(), 0);
    }

    #[test]
    fn what_hangs_at_the_end_is_left_behind_and_counted() {
        let (sink, asks, _tells) = told();
        let aside = Aside::spawn_at(sink, 10, QUICK).unwrap();
        aside.offer(batch(3));
        assert_eq!(asks.recv().unwrap(), 3);
        aside.offer(batch(4));
        assert_eq!(aside.close(Duration::from_millis(5)), 7);
    }

    #[test]
    fn what_fails_at_the_end_is_counted_once() {
        struct Away;
        impl AuditSink for Away {
            fn name(&self) -> &'static str {
                "away"
            }

            fn write(&mut self, _: &Batch) -> io::Result<()> {
                away()
            }
        }
        let aside = Aside::spawn_at(Away, 10, QUICK).unwrap();
        (1..=4).for_each(|lines| aside.offer(batch(lines)));
        assert_eq!(aside.close(Duration::from_millis(20)), 10);
    }

    #[test]
    fn a_sink_that_panics_takes_nobody_with_it() {
        let (sink, asks, tells) = told();
        let aside = Aside::spawn_at(sink, 10, QUICK).unwrap();
        drop(tells);
        aside.offer(batch(3));
        assert_eq!(asks.recv().unwrap(), 3);
        // The other end is gone when the thread has let go of the sink.
        assert!(asks.recv().is_err());
        aside.offer(batch(4));
        assert_eq!(aside.close(Duration::from_secs(3600)), 7);
    }

    /// Fails as often as told, and says what was called.
    struct Steps {
        failures: usize,
        calls: Sender<&'static str>,
    }

    impl AuditSink for Steps {
        fn name(&self) -> &'static str {
            "steps"
        }

        fn durability(&self) -> Durability {
            Durability::Synced
        }

        fn write(&mut self, _: &Batch) -> io::Result<()> {
            let _ = self.calls.send("write");
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            let _ = self.calls.send("sync");
            match self.failures.checked_sub(1) {
                Some(left) => {
                    self.failures = left;
                    away()
                }
                None => Ok(()),
            }
        }

        fn retired(&mut self) -> Option<Retired> {
            Some(Retired {
                files: 2,
                through: crate::record::Link {
                    boot: crate::boot::BootId::random(),
                    seq: 1,
                    hash: crate::hash::LineHash::ZERO,
                },
            })
        }

        fn lost(&mut self) -> u64 {
            5
        }
    }

    #[test]
    fn a_sink_that_promises_the_disk_is_synced_and_what_it_says_is_handed_on() {
        let (calls, called) = channel();
        let aside = Aside::spawn_at(Steps { failures: 1, calls }, 10, QUICK).unwrap();
        aside.offer(batch(1));
        aside.offer(batch(1));
        assert!(
            called
                .iter()
                .take(6)
                .eq(["write", "sync", "write", "sync", "write", "sync"])
        );
        let shared = Arc::clone(&aside.shared);
        assert_eq!(aside.close(Duration::from_secs(3600)), 10);
        assert_eq!(shared.state().retired.map(|retired| retired.files), Some(4));
    }

    #[derive(Clone, Default)]
    struct Names(Arc<Mutex<Vec<&'static str>>>);

    impl tracing::Subscriber for Names {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            self.0.lock().unwrap().push(event.metadata().name());
        }
    }

    #[test]
    fn an_outage_is_told_once_and_its_end_too() {
        let (calls, _called) = channel();
        let mut sink = Steps { failures: 5, calls };
        let shared = Shared {
            name: "steps",
            capacity: 1,
            pace: QUICK,
            clock: MachineClock::new(),
            state: Mutex::default(),
            wake: Condvar::new(),
            ended: Condvar::new(),
        };
        let names = Names::default();
        // With a single subscriber in the process, `tracing` asks that of the thread that meets an event first: none, there.
        let _second = tracing::Dispatch::new(Names::default());
        tracing::subscriber::with_default(names.clone(), || {
            let mut is_failing = false;
            for _ in 0..3 {
                assert!(shared.deliver(&mut sink, &batch(1), &mut is_failing));
            }
        });
        assert_eq!(
            *names.0.lock().unwrap(),
            ["gateless.audit.aside_failed", "gateless.audit.aside_back"]
        );
    }
}
