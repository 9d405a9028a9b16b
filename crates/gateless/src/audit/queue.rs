//! The way from requests to the writer: bounded, and without a lock.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Instant;

use crossbeam_queue::ArrayQueue;
use gateless_core::Timestamp;
use tokio::sync::{Semaphore, TryAcquireError, oneshot};

use super::trail::{Ending, Trail};

/// What the writer is told.
pub(super) enum Message {
    /// A request was decided on.
    Request {
        trail: Trail,
        /// Who waits until the record is as safe as it has to be.
        written: Option<oneshot::Sender<Written>>,
        /// Whether the request's seat is free then. It is not while its response may still have something to say.
        frees_seat: bool,
    },
    /// A request has left whose record was not written when it was to be: only now is its seat free.
    Leave,
    /// The response of a request that was recorded before has ended.
    End {
        trail: Trail,
        ending: Ending,
        grpc_status: Option<u16>,
    },
}

/// What became of a record that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    /// Not yet, at least.
    No,
}

/// Shared by all requests and the writer.
pub(super) struct Queue {
    messages: ArrayQueue<Message>,
    /// One for each request whose record is not written yet. Who has one finds room in the queue.
    seats: Semaphore,
    capacity: usize,
    writer: OnceLock<Thread>,
    is_writer_asleep: AtomicBool,
    is_down: AtomicBool,
    /// Nobody may hand over anything more.
    is_closing: AtomicBool,
    /// Nothing is taken out any more.
    is_closed: AtomicBool,
    /// Whether all was written, once nothing is written any more.
    is_complete: AtomicBool,
    orders: Mutex<Orders>,
    lost: AtomicU64,
    unserved: AtomicU64,
    /// When the first of these was, in milliseconds since 1970.
    gap_since: AtomicI64,
}

/// What the writer is asked to do besides.
#[derive(Default)]
pub(super) struct Orders {
    /// Who waits until all that was handed over before is written.
    pub(super) flushes: Vec<oneshot::Sender<()>>,
    /// Until when it may go on trying, once it is to stop.
    pub(super) closing: Option<Instant>,
    /// Who waits for the end, and hears whether everything was written.
    pub(super) closers: Vec<oneshot::Sender<bool>>,
}

/// Requests that have no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) lost: u64,
    pub(super) unserved: u64,
    pub(super) since: Timestamp,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            // A seat may have the record of its request in the queue, and the end of its response.
            messages: ArrayQueue::new(capacity.saturating_mul(2)),
            seats: Semaphore::new(capacity),
            capacity,
            writer: OnceLock::new(),
            is_writer_asleep: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            is_complete: AtomicBool::new(false),
            orders: Mutex::default(),
            lost: AtomicU64::new(0),
            unserved: AtomicU64::new(0),
            gap_since: AtomicI64::new(0),
        }
    }

    /// Takes a seat, if one is free.
    pub(super) fn try_sit(&self) -> Result<(), TryAcquireError> {
        self.seats.try_acquire().map(|permit| permit.forget())
    }

    /// Takes a seat as soon as one is free; `false` when there will be none any more.
    pub(super) async fn sit(&self) -> bool {
        let permit = self.seats.acquire().await;
        permit.map(|permit| permit.forget()).is_ok()
    }

    pub(super) fn stand_up(&self, seats: usize) {
        self.seats.add_permits(seats);
    }

    /// How many records are not written yet, with those of requests that are under way and have a seat.
    pub(super) fn taken(&self) -> usize {
        self.capacity.saturating_sub(self.seats.available_permits())
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Hands a message over; `false` when it cannot be any more. Only for who has a seat: there is room for them.
    pub(super) fn push(&self, message: Message) -> bool {
        if self.is_closing() || self.messages.push(message).is_err() {
            return false;
        }
        fence(Ordering::SeqCst);
        // It came behind the last look into the queue, and nobody would ever find it.
        if self.is_closed() {
            self.drain();
            return true;
        }
        self.wake();
        true
    }

    /// Counts as lost what is left in a queue that nobody reads.
    fn drain(&self) {
        while let Some(message) = self.messages.pop() {
            if let Message::Request { .. } = message {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn pop(&self) -> Option<Message> {
        self.messages.pop()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn wake(&self) {
        // With the fence before: the writer says that it sleeps, and then looks once more, and one of the two sees what the other did.
        if self.is_writer_asleep.load(Ordering::Relaxed) {
            self.rouse();
        }
    }

    fn rouse(&self) {
        self.is_writer_asleep.store(false, Ordering::Relaxed);
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    pub(super) fn written_by(&self, writer: Thread) {
        let _ = self.writer.set(writer);
    }

    /// Says that the writer is about to sleep; `false` when it must not.
    pub(super) fn may_sleep(&self) -> bool {
        self.is_writer_asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let may = self.is_empty();
        if !may {
            self.is_writer_asleep.store(false, Ordering::Relaxed);
        }
        may
    }

    pub(super) fn awoke(&self) {
        self.is_writer_asleep.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    pub(super) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    /// Nothing more is taken. What was handed over before is written.
    pub(super) fn begin_to_close(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
        self.seats.close();
    }

    /// Nothing is written any more; `is_complete` says whether everything was.
    pub(super) fn close(&self, is_complete: bool) {
        self.begin_to_close();
        self.is_complete.store(is_complete, Ordering::SeqCst);
        self.is_closed.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.drain();
        self.set_down(true);
        let orders = std::mem::take(&mut *self.orders());
        for closer in orders.closers {
            let _ = closer.send(is_complete);
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete.load(Ordering::SeqCst)
    }

    pub(super) fn order(&self, order: impl FnOnce(&mut Orders)) {
        order(&mut self.orders());
        self.rouse();
    }

    pub(super) fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lose(&self, requests: u64, now: Timestamp) {
        self.lost.fetch_add(requests, Ordering::Relaxed);
        self.begin_gap(now);
    }

    pub(super) fn not_served(&self, now: Timestamp) {
        self.unserved.fetch_add(1, Ordering::Relaxed);
        self.begin_gap(now);
    }

    fn begin_gap(&self, now: Timestamp) {
        // Two that come at the same moment came at the same time.
        let _ = self.gap_since.compare_exchange(
            0,
            now.as_millis(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// What was missed since this was asked last.
    pub(super) fn take_missed(&self, now: Timestamp) -> Option<Missed> {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let unserved = self.unserved.swap(0, Ordering::Relaxed);
        if lost == 0 && unserved == 0 {
            return None;
        }
        // One that has only just been counted may not have said yet when it was.
        let since = match self.gap_since.swap(0, Ordering::Relaxed) {
            0 => now,
            since => Timestamp::from_millis(since),
        };
        Some(Missed {
            lost,
            unserved,
            since,
        })
    }
}
