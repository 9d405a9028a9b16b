//! What the layers log, thread by thread, at the finest level.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

thread_local! {
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes to the buffer of the thread that logs. A `#[tokio::test]` runs all its tasks on the thread of the test.
#[derive(Clone, Copy)]
struct PerThread;

impl io::Write for PerThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for PerThread {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

/// Switches logging on, for the whole process and at TRACE: gateless, and whatever it builds upon.
pub(crate) fn capture() {
    static START: Once = Once::new();
    START.call_once(|| {
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(PerThread);
        tracing_subscriber::registry().with(layer).init();
    });
}

/// What this thread logged since it was last asked.
pub(crate) fn take() -> String {
    String::from_utf8_lossy(&LINES.take()).into_owned()
}
