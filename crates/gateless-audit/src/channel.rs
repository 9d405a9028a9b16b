//! Records for code of one's own.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::batch::Batch;
use crate::line::{Unreadable, parse};
use crate::record::Entry;
use crate::sink::AuditSink;

/// A sink and the end where its records come out, for code of one's own. At most `capacity` lines wait in between; at least one.
///
/// When there is no room for all of a batch, or the receiver is gone, writing is an error, and nothing of the batch is in the
/// channel: the layer does what it was told to do when a sink is slow or away. A batch that is larger than the channel gets in
/// when that is empty.
///
/// ```
/// use gateless_audit::{AuditSink, Batch, BootId, Chain, Event, audit_channel};
/// use gateless_core::Timestamp;
///
/// let (mut sink, mut receiver) = audit_channel(10_000);
/// // What the layer does:
/// let mut chain = Chain::new("orders-1", BootId::random());
/// let mut batch = Batch::new();
/// chain.append(Event::Stop, Timestamp::EPOCH, Default::default(), &mut batch);
/// sink.write(&batch)?;
/// drop(sink);
///
/// while let Some(line) = receiver.recv() {
///     assert_eq!(line.record()?.event, Event::Stop);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn audit_channel(capacity: usize) -> (ChannelSink, AuditReceiver) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State::default()),
        came: Condvar::new(),
        capacity: capacity.max(1),
    });
    let sink = ChannelSink {
        shared: Arc::clone(&shared),
    };
    (sink, AuditReceiver { shared })
}

/// Writes into a channel: see [`audit_channel`].
pub struct ChannelSink {
    shared: Arc<Shared>,
}

/// Where records come out: see [`audit_channel`].
pub struct AuditReceiver {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    came: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Box<str>>,
    has_no_sink: bool,
    has_no_receiver: bool,
    waiting: Option<Waker>,
}

impl Shared {
    /// Nothing panics while it is held.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a change: wakes whoever waits, in either way.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let waiting = state.waiting.take();
        drop(state);
        self.came.notify_all();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

impl AuditSink for ChannelSink {
    fn name(&self) -> &'static str {
        "channel"
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let mut state = self.shared.state();
        if state.has_no_receiver {
            let message = "nobody receives audit records any more";
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, message));
        }
        let room = self.shared.capacity.saturating_sub(state.lines.len());
        if batch.len() > room && !state.lines.is_empty() {
            let message = "the channel for audit records is full";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
        }
        state.lines.extend(batch.lines().map(Box::from));
        self.shared.wake(state);
        Ok(())
    }
}

impl Drop for ChannelSink {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.has_no_sink = true;
        self.shared.wake(state);
    }
}

impl AuditReceiver {
    /// The next line, waiting for it. `None` when the sink is gone and all lines were received.
    pub fn recv(&mut self) -> Option<AuditLine> {
        let is_waiting = |state: &mut State| state.lines.is_empty() && !state.has_no_sink;
        let state = self.shared.state();
        let state = self.shared.came.wait_while(state, is_waiting);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.next().ok()
    }

    /// The next line, if there is one now.
    ///
    /// # Errors
    ///
    /// [`NoLine`] when there is none.
    pub fn try_recv(&mut self) -> Result<AuditLine, NoLine> {
        self.shared.state().next()
    }

    /// The next line, waiting for it for so long at most.
    ///
    /// # Errors
    ///
    /// [`NoLine`] when there is none by then.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<AuditLine, NoLine> {
        let is_waiting = |state: &mut State| state.lines.is_empty() && !state.has_no_sink;
        let state = self.shared.state();
        let waited = self
            .shared
            .came
            .wait_timeout_while(state, timeout, is_waiting);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.next()
    }

    /// The next line, waiting for it without holding up a thread; in any runtime. `None` when the sink is gone and all lines
    /// were received.
    ///
    /// Dropping the future loses no line.
    pub async fn next(&mut self) -> Option<AuditLine> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next), for futures written by hand.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<AuditLine>> {
        let mut state = self.shared.state();
        match state.next() {
            Ok(line) => Poll::Ready(Some(line)),
            Err(NoLine::Ended) => Poll::Ready(None),
            Err(NoLine::NotYet) => {
                state.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for AuditReceiver {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.has_no_receiver = true;
        state.lines = VecDeque::new();
    }
}

impl State {
    fn next(&mut self) -> Result<AuditLine, NoLine> {
        match self.lines.pop_front() {
            Some(text) => Ok(AuditLine { text }),
            None if self.has_no_sink => Err(NoLine::Ended),
            None => Err(NoLine::NotYet),
        }
    }
}

/// Why there is no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLine {
    /// None has come yet.
    #[error("no audit record has come yet")]
    NotYet,
    /// The sink is gone, and all lines were received.
    #[error("there will be no more audit records")]
    Ended,
}

/// One record as it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct AuditLine {
    text: Box<str>,
}

impl AuditLine {
    /// The line, without a line feed.
    #[must_use]
    pub const fn text(&self) -> &str {
        &self.text
    }

    /// The line, without a line feed.
    #[must_use]
    pub fn into_text(self) -> Box<str> {
        self.text
    }

    /// What it says.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] when it is not a record: behind a sink that changes the form of records.
    pub fn record(&self) -> Result<Entry<'_>, Unreadable> {
        parse(&self.text)
    }
}

impl fmt::Debug for AuditLine {
    /// Without the record.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditLine([{} bytes])", self.text.len())
    }
}

impl fmt::Debug for ChannelSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelSink").finish_non_exhaustive()
    }
}

impl fmt::Debug for AuditReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditReceiver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::thread;

    use super::*;

    fn batch(lines: &[&str]) -> Batch {
        let mut batch = Batch::new();
        lines.iter().for_each(|line| batch.push(line));
        batch
    }

    fn text(line: Result<AuditLine, NoLine>) -> Result<String, NoLine> {
        line.map(|line| line.text().to_owned())
    }

    #[test]
    fn tl_06_a_full_channel_takes_nothing_of_a_batch() {
        let (mut sink, mut receiver) = audit_channel(3);
        sink.write(&batch(&["a", "b"])).unwrap();
        let error = sink.write(&batch(&["c", "d"])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        sink.write(&batch(&["e"])).unwrap();
        for line in ["a", "b", "e"] {
            assert_eq!(text(receiver.try_recv()), Ok(line.into()));
        }
        assert_eq!(text(receiver.try_recv()), Err(NoLine::NotYet));
        // Else such a batch would never get through.
        sink.write(&batch(&["1", "2", "3", "4"])).unwrap();
        sink.write(&batch(&["5"])).unwrap_err();
    }

    #[test]
    fn tl_06_without_a_receiver_writing_is_an_error() {
        let (mut sink, receiver) = audit_channel(3);
        drop(receiver);
        let error = sink.write(&batch(&["a"])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn what_was_written_comes_out_after_the_sink_is_gone() {
        let (mut sink, mut receiver) = audit_channel(3);
        sink.write(&batch(&["a"])).unwrap();
        assert_eq!(receiver.recv_timeout(Duration::ZERO).unwrap().text(), "a");
        let timeout = Duration::from_millis(1);
        assert_eq!(text(receiver.recv_timeout(timeout)), Err(NoLine::NotYet));
        sink.write(&batch(&["b"])).unwrap();
        drop(sink);
        assert_eq!(
            receiver.recv().map(AuditLine::into_text).as_deref(),
            Some("b")
        );
        assert_eq!(receiver.recv(), None);
        assert_eq!(
            text(receiver.recv_timeout(Duration::MAX)),
            Err(NoLine::Ended)
        );
    }

    #[test]
    fn whoever_waits_is_woken() {
        let (mut sink, mut receiver) = audit_channel(3);
        let waits = thread::spawn(move || {
            let first = receiver.recv().map(AuditLine::into_text);
            (first, receiver.recv())
        });
        sink.write(&batch(&["a"])).unwrap();
        drop(sink);
        assert_eq!(waits.join().unwrap(), (Some("a".into()), None));
    }

    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_task_that_waits_is_woken() {
        let (mut sink, mut receiver) = audit_channel(3);
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        assert!(receiver.poll_next(&mut cx).is_pending());
        sink.write(&batch(&["a"])).unwrap();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(matches!(receiver.poll_next(&mut cx), Poll::Ready(Some(_))));
        assert!(receiver.poll_next(&mut cx).is_pending());
        drop(sink);
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        assert_eq!(receiver.poll_next(&mut cx), Poll::Ready(None));
    }

    #[test]
    fn a_line_does_not_print() {
        let (mut sink, mut receiver) = audit_channel(1);
        sink.write(&batch(&["secret"])).unwrap();
        let line = receiver.recv().unwrap();
        let printed = format!("{line:?} {sink:?} {receiver:?}");
        assert!(!printed.contains("secret"), "{printed}");
    }
}
