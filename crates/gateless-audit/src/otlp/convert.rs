//! A record as OpenTelemetry has it.

use gateless_core::Timestamp;

use super::proto::{
    AnyValue, ExportLogsServiceRequest, InstrumentationScope, KeyValue, LogRecord, Resource,
    ResourceLogs, ScopeLogs,
};
use crate::batch::Batch;
use crate::line::parse;
use crate::record::Text;
use crate::record::{Entry, Event, Outcome, Request, Signal};
use crate::tracing_sink::kind;

/// All of a batch. It is of one instance, as it is of one run.
pub(super) fn request(batch: &Batch, service: &str, now: Timestamp) -> ExportLogsServiceRequest {
    let mut instance = None;
    let mut log_records = Vec::with_capacity(batch.len());
    for line in batch.lines() {
        let entry = parse(line).ok();
        if let (None, Some(entry)) = (&instance, &entry) {
            instance = Some(entry.instance.as_str().to_owned());
        }
        log_records.push(log_record(line, entry.as_ref(), now));
    }
    let mut attributes = Attributes::default();
    attributes.add("service.name", service);
    attributes.maybe("service.instance.id", instance.as_deref());
    let scope = InstrumentationScope {
        name: "gateless".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource {
                attributes: attributes.0,
            }),
            scope_logs: vec![ScopeLogs {
                scope: Some(scope),
                log_records,
            }],
        }],
    }
}

fn log_record(line: &str, entry: Option<&Entry<'_>>, now: Timestamp) -> LogRecord {
    let (severity_number, severity_text) =
        entry.map_or((9, "INFO"), |entry| severity(&entry.event));
    let mut attributes = Attributes::default();
    let (mut event_name, mut trace_id) = ("gateless.audit".to_owned(), Vec::new());
    if let Some(entry) = entry {
        event_name = format!("gateless.audit.{}", kind(&entry.event));
        attributes.add("gateless.audit.seq", entry.seq);
        attributes.add("gateless.audit.boot", entry.boot.to_string().as_str());
        match &entry.event {
            Event::Request(request) => {
                attributes.request(request);
                trace_id = request.trace.as_ref().map(bytes).unwrap_or_default();
            }
            Event::Signal(signal) => attributes.signal(signal),
            Event::Gap(gap) => {
                attributes.add("gateless.lost", gap.lost);
                attributes.add("gateless.unserved", gap.unserved);
            }
            Event::Repeated(repeated) => {
                attributes.add("gateless.repeated.of", repeated.of);
                attributes.add("gateless.repeated.count", repeated.count);
            }
            _ => {}
        }
    }
    LogRecord {
        time_unix_nano: entry.map_or(0, |entry| nanos(entry.time)),
        severity_number,
        severity_text: severity_text.to_owned(),
        body: Some(line.into()),
        attributes: attributes.0,
        trace_id,
        observed_time_unix_nano: nanos(now),
        event_name,
    }
}

/// As `SeverityNumber` has them: 9 is INFO, 13 is WARN, 17 is ERROR.
const fn severity(event: &Event<'_>) -> (i32, &'static str) {
    match event {
        Event::Signal(_) | Event::Gap(_) => (17, "ERROR"),
        Event::Request(request) => match request.outcome {
            Outcome::Allowed | Outcome::Aborted => (9, "INFO"),
            Outcome::Denied | Outcome::Unavailable | Outcome::Failed | Outcome::Panicked => {
                (13, "WARN")
            }
        },
        _ => (9, "INFO"),
    }
}

fn nanos(time: Timestamp) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(0);
    millis.saturating_mul(1_000_000)
}

/// The 16 bytes of a trace id.
fn bytes(trace: &Text<'_>) -> Vec<u8> {
    let number = u128::from_str_radix(trace, 16);
    number.unwrap_or(0).to_be_bytes().to_vec()
}

/// Names are those of the semantic conventions where there is one; all others begin with `gateless.`.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn add(&mut self, key: &str, value: impl Into<AnyValue>) {
        self.0.push(KeyValue {
            key: key.to_owned(),
            value: Some(value.into()),
        });
    }

    fn maybe(&mut self, key: &str, value: Option<impl Into<AnyValue>>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }

    fn request(&mut self, request: &Request<'_>) {
        if !request.method.is_empty() {
            self.add("http.request.method", request.method.as_str());
        }
        self.maybe("http.route", request.route.as_deref());
        self.maybe("http.response.status_code", request.status.map(u64::from));
        self.maybe("rpc.method", request.grpc_method.as_deref());
        self.maybe("rpc.grpc.status_code", request.grpc_status.map(u64::from));
        self.maybe("error.type", request.code.as_deref());
        self.maybe("client.address", request.peer.as_deref());
        self.maybe("user.id", request.subject.as_deref());
        self.maybe("user_agent.name", request.agent.as_deref());
        self.add("gateless.protocol", request.protocol.name());
        self.add("gateless.outcome", request.outcome.name());
        self.maybe("gateless.stage", request.stage.as_deref());
        self.maybe("gateless.reason", request.reason.as_deref());
        self.maybe("gateless.issuer", request.issuer.as_deref());
        self.maybe("gateless.client", request.client.as_deref());
        self.maybe("gateless.token", request.token.as_deref());
        self.add("gateless.latency_us", request.latency_us);
    }

    fn signal(&mut self, signal: &Signal<'_>) {
        self.add("gateless.signal", signal.signal.name());
        self.add("gateless.signal.count", signal.count);
        self.maybe("client.address", signal.peer.as_deref());
        self.maybe("user.id", signal.subject.as_deref());
        self.maybe("gateless.reason", signal.reason.as_deref());
        self.maybe("gateless.issuer", signal.issuer.as_deref());
        self.maybe("gateless.client", signal.client.as_deref());
        self.maybe("gateless.token", signal.token.as_deref());
    }
}
