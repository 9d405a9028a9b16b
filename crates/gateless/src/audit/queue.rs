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
    is_closed: AtomicBool,
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
            is_closed: AtomicBool::new(false),
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

    /// Hands a message over. Only for who has a seat; what finds no room all the same comes back.
    pub(super) fn push(&self, message: Message) -> Result<(), Message> {
        self.messages.push(message)?;
        self.wake();
        Ok(())
    }

    pub(super) fn pop(&self) -> Option<Message> {
        self.messages.pop()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn wake(&self) {
        // The writer says that it sleeps, and then looks once more: one of the two sees what the other did.
        fence(Ordering::SeqCst);
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
        self.is_closed.load(Ordering::Acquire)
    }

    /// Nothing is written any more.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.set_down(true);
        self.seats.close();
        let mut orders = self.orders();
        orders.flushes.clear();
        orders.closers.clear();
    }

    pub(super) fn order(&self, order: impl FnOnce(&mut Orders)) {
        order(&mut self.orders());
        self.rouse();
    }

    pub(super) fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lose(&self, requests: u64, now: Timestamp) {
        self.begin_gap(now);
        self.lost.fetch_add(requests, Ordering::Relaxed);
    }

    pub(super) fn not_served(&self, now: Timestamp) {
        self.begin_gap(now);
        self.unserved.fetch_add(1, Ordering::Relaxed);
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
    pub(super) fn take_missed(&self) -> Option<Missed> {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let unserved = self.unserved.swap(0, Ordering::Relaxed);
        if lost == 0 && unserved == 0 {
            return None;
        }
        let since = Timestamp::from_millis(self.gap_since.swap(0, Ordering::Relaxed));
        Some(Missed {
            lost,
            unserved,
            since,
        })
    }
}
