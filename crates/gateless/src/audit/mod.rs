//! Records each decision: who, what, why, and under which policy.
//!
//! The outermost layer. There is one record for each request, also for one that a stage refuses, a client breaks off or a handler
//! panics on; it never holds a token, and it is not lost in silence:
//!
//! | request | HTTP | gRPC |
//! |---|---|---|
//! | there is no room for its record, or the sink fails, and that means to refuse ([`Backpressure`]) | 503 with `Retry-After` | `UNAVAILABLE` |
//! | anything else | passes, and is recorded | the same |
//!
//! ```
//! use gateless::audit::{AuditLog, Backpressure, Durability, FileSink, SealKey};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = std::env::temp_dir().join(format!("gateless-audit-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # let path = directory.join("audit.jsonl");
//! # let key = SealKey::random();
//! let audit = AuditLog::builder(
//!     "orders-1",
//!     FileSink::new(path).durability(Durability::Written),
//!     Backpressure::FailRequest,
//! )
//! .seal(key)
//! .build()?;
//! // Router::new().route(..).layer(guard).layer(auth).layer(audit.clone())
//! // …, and when the server has stopped: audit.handle().close(Duration::from_secs(5)).await
//! # drop(audit);
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok(())
//! # }
//! ```
//!
//! The chapter `audit` of the manual says what a record holds, how the log is checked, and what to do when that finds something.

mod agent;
mod arrival;
mod backpressure;
mod body;
mod builder;
mod detect;
mod fold;
mod handle;
mod methods;
mod metrics;
mod naming;
mod queue;
mod seat;
mod service;
mod sighting;
mod trace;
mod trail;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(feature = "audit_otlp")]
#[cfg_attr(docsrs, doc(cfg(feature = "audit_otlp")))]
pub use gateless_audit::OtlpSink;
pub use gateless_audit::{
    AuditLine, AuditReceiver, AuditSink, Batch, BootId, ChannelSink, Durability, Entry, Event,
    FileSink, InvalidKey, InvalidSeal, Link, Mapped, NoLine, PseudonymKey, Retired, SealKey,
    SealPublicKey, Signal, SignalKind, StdoutSink, TracingSink, Unreadable, audit_channel, parse,
};
use gateless_core::{Clock, Renderer};
use tower_layer::Layer;

pub use self::backpressure::Backpressure;
pub use self::body::AuditBody;
pub use self::builder::AuditLogBuilder;
pub use self::detect::Detection;
pub use self::handle::{AuditHandle, AuditStatus, Unwritten};
pub use self::naming::Disclosure;
use self::naming::Naming;
use self::queue::Queue;
pub use self::service::{AuditFuture, Audited};
pub use self::trail::Trail;
use crate::peer::Locator;

/// A layer that records each request. It stands outside of all others.
///
/// Cloning it, and mounting it in several places, writes one log. Mounted twice in one way, the outer one records.
#[derive(Clone, Debug)]
pub struct AuditLog(Arc<Log>);

/// Shared by all clones of a layer.
struct Log {
    instance: Box<str>,
    boot: BootId,
    queue: Arc<Queue>,
    naming: Arc<Naming>,
    locator: Locator,
    backpressure: Backpressure,
    /// Whether a response waits for its record.
    waits: bool,
    clock: Arc<dyn Clock>,
    renderer: Renderer,
}

/// How long the writer goes on when nobody is left who could wait for it.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl AuditLog {
    /// Records into `sink`. `instance` tells this instance of the service from others, such as the name of its pod.
    pub fn builder(
        instance: impl Into<Box<str>>,
        sink: impl AuditSink,
        backpressure: Backpressure,
    ) -> AuditLogBuilder {
        AuditLogBuilder::new(instance.into(), Box::new(sink), backpressure)
    }

    /// The running layer: how it stands, and its orderly end.
    #[must_use]
    pub fn handle(&self) -> AuditHandle {
        AuditHandle(Arc::clone(&self.0))
    }
}

impl<S> Layer<S> for AuditLog {
    type Service = Audited<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Audited::new(inner, Some(self.clone()))
    }
}

impl Log {
    /// A request was served, or is about to be, and has no record.
    fn lost(&self) {
        metrics::missed("lost");
        self.queue.lose(1, self.clock.wall());
    }

    /// A request was not served, as it could not be recorded.
    fn not_served(&self) {
        metrics::missed("unserved");
        self.queue.not_served(self.clock.wall());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let until = Instant::now() + LAST_WORDS;
        self.queue.order(|orders| {
            orders.closing.get_or_insert(until);
        });
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("instance", &self.instance)
            .field("boot", &self.boot)
            .field("backpressure", &self.backpressure)
            .finish_non_exhaustive()
    }
}
