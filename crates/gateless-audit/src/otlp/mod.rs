//! Records for an OpenTelemetry collector.

mod convert;
mod proto;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use gateless_core::{Clock, ConfigError, Monotonic};
use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, Response, StatusCode, redirect};
use tokio::runtime::Runtime;
use tracing::subscriber::NoSubscriber;
use url::{Host, Url};

use self::proto::ExportLogsServiceResponse;
use crate::batch::Batch;
use crate::boot::BootId;
use crate::clock::MachineClock;
use crate::record::Link;
use crate::sink::AuditSink;

/// Sends records to an OpenTelemetry collector: OTLP 1 over HTTP, in protobuf, to `/v1/logs`.
///
/// Use it beside a sink that keeps records, on a thread of its own ([`Aside`](crate::Aside)). What it says of an answer:
///
/// | answer | then |
/// |---|---|
/// | `200` | written; what `partial_success` rejects is lost, and counted |
/// | `429`, `502`, `503`, `504`, none in time, no connection | an error, and the batch comes again: not before `Retry-After` says, 30 seconds at most |
/// | any other | lost, and counted (event `gateless.audit.otlp_refused`): it would not become better |
///
/// One record is one log record: the body is the line as it was written; `event_name` is `gateless.audit.request` and so on; the
/// severity is INFO, of requests that were not served WARN, of signals and gaps ERROR; attributes have the names of the semantic
/// conventions where there are such (`http.route`, `error.type`, `client.address`, `user.id`), and begin with `gateless.` where
/// there are none. `service.instance.id` is the instance in the records.
///
/// The thread that writes waits for the answers; there is no other thread, and what the HTTP client does is not traced: a record
/// that is sent makes nothing that is sent again.
///
/// ```
/// use gateless_audit::OtlpSink;
///
/// let sink = OtlpSink::http("https://collector.example.com:4318")
///     .service_name("orders")
///     .header("authorization", "Bearer 3f1c");
/// sink.check()?;
/// assert!(!format!("{sink:?}").contains("3f1c"));
/// # Ok::<(), gateless_core::ConfigError>(())
/// ```
#[must_use]
pub struct OtlpSink {
    settings: Settings,
    open: Option<Open>,
    /// What the collector asked for.
    not_before: Option<Monotonic>,
    lost: u64,
    is_refused: bool,
}

struct Settings {
    endpoint: String,
    service_name: String,
    headers: Vec<(String, String)>,
    timeout: Duration,
    root_certificates: Vec<Vec<u8>>,
    allows_http: bool,
    clock: Arc<dyn Clock>,
}

struct Open {
    client: Client,
    url: Url,
    /// There is one until the end.
    runtime: Option<Runtime>,
}

impl Drop for Open {
    /// A runtime that waits for its end must not be dropped on the thread of another one: when building a layer fails later.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The longest `Retry-After` that is followed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

/// More of an answer than this is not read.
const MAX_ANSWER: usize = 64 << 10;

impl OtlpSink {
    /// Sends to the collector at `endpoint`: `https://collector.example.com:4318`. The path `/v1/logs` is added unless it ends so.
    ///
    /// Plain HTTP is for a loopback address alone: see [`danger_allow_http`](Self::danger_allow_http).
    pub fn http(endpoint: impl Into<String>) -> Self {
        Self {
            settings: Settings {
                endpoint: endpoint.into(),
                service_name: "unknown_service".to_owned(),
                headers: Vec::new(),
                timeout: Duration::from_secs(10),
                root_certificates: Vec::new(),
                allows_http: false,
                clock: Arc::new(MachineClock::new()),
            },
            open: None,
            not_before: None,
            lost: 0,
            is_refused: false,
        }
    }

    /// What the service is called (`service.name`): `unknown_service` by default, as OpenTelemetry has it.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.settings.service_name = name.into();
        self
    }

    /// Sends a header with each request: an API key, for one. Its value is printed nowhere.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.headers.push((name.into(), value.into()));
        self
    }

    /// How long an answer may take: 10 seconds by default, as OpenTelemetry has it; a minute at most.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Trusts these certificates (PEM) besides those of the system.
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.settings.root_certificates.push(pem.into());
        self
    }

    /// Sends records and headers over plain HTTP to any address. Whoever is on the way reads and changes both.
    pub fn danger_allow_http(mut self) -> Self {
        self.settings.allows_http = true;
        self
    }

    /// Where the time is read. The machine by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Whether the settings can be used. [`open`](AuditSink::open) asks this too.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming each setting that cannot.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.settings.parts().map(drop)
    }

    /// Sends once.
    fn send(&mut self, batch: &Batch) -> io::Result<Answer> {
        let runtime = self.open.as_ref().and_then(|open| open.runtime.as_ref());
        let (Some(open), Some(runtime)) = (&self.open, runtime) else {
            let message = "the sink for OTLP is not open";
            return Err(io::Error::other(message));
        };
        let Settings {
            service_name,
            clock,
            ..
        } = &self.settings;
        let request = convert::request(batch, service_name, clock.wall());
        let sent = open
            .client
            .post(open.url.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(request.encode_to_vec());
        // The events of the HTTP client could be records for the same collector, and these have events again.
        tracing::subscriber::with_default(NoSubscriber::default(), || {
            runtime.block_on(async {
                let answer = sent.send().await.map_err(failed)?;
                read(answer).await
            })
        })
    }
}

impl AuditSink for OtlpSink {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn open(&mut self, _: BootId) -> io::Result<Option<Link>> {
        let fault = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let (client, url) = self.settings.parts().map_err(fault)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        self.open = Some(Open {
            client,
            url,
            runtime: Some(runtime),
        });
        Ok(None)
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let now = self.settings.clock.monotonic();
        if self.not_before.is_some_and(|at| now < at) {
            let message = "the collector asked to wait";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
        }
        self.not_before = None;
        if batch.is_empty() {
            return Ok(());
        }
        let lines = batch.len() as u64;
        match self.send(batch)? {
            Answer::Taken { rejected } => {
                self.lost += rejected.min(lines);
                self.is_refused = false;
                Ok(())
            }
            Answer::Later { status, after } => {
                self.not_before = after.map(|after| now + after.min(MAX_RETRY_AFTER));
                let message = format!("the collector answered {status}");
                Err(io::Error::other(message))
            }
            Answer::Never { status } => {
                self.lost += lines;
                if !std::mem::replace(&mut self.is_refused, true) {
                    tracing::warn!(
                        name: "gateless.audit.otlp_refused",
                        status = status.as_u16(),
                        "the collector does not take audit records; they are dropped"
                    );
                }
                Ok(())
            }
        }
    }

    fn lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

/// What the collector says.
enum Answer {
    Taken {
        rejected: u64,
    },
    Later {
        status: StatusCode,
        after: Option<Duration>,
    },
    Never {
        status: StatusCode,
    },
}

async fn read(mut answer: Response) -> io::Result<Answer> {
    let status = answer.status();
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            // Seconds only: what a date means depends on two clocks, and collectors send seconds.
            let after = answer.headers().get(RETRY_AFTER);
            let after = after.and_then(|after| after.to_str().ok()?.trim().parse().ok());
            let after = after.map(Duration::from_secs);
            return Ok(Answer::Later { status, after });
        }
        status if !status.is_success() => return Ok(Answer::Never { status }),
        _ => {}
    }
    // The records are taken whatever becomes of the rest: an error now would send them twice.
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Ok(Answer::Taken { rejected: 0 });
        }
    }
    let response = ExportLogsServiceResponse::decode(&*body).unwrap_or_default();
    let rejected = response
        .partial_success
        .map_or(0, |partial| partial.rejected_log_records);
    let rejected = u64::try_from(rejected).unwrap_or(0);
    Ok(Answer::Taken { rejected })
}

fn failed(error: reqwest::Error) -> io::Error {
    let kind = if error.is_timeout() {
        io::ErrorKind::TimedOut
    } else {
        io::ErrorKind::NotConnected
    };
    io::Error::new(kind, error.without_url())
}

impl Settings {
    /// What is made of the settings, and each fault in them.
    fn parts(&self) -> Result<(Client, Url), ConfigError> {
        let Self {
            endpoint,
            service_name,
            headers,
            timeout,
            root_certificates,
            allows_http,
            clock: _,
        } = self;
        let mut faults = ConfigError::collect();
        let url = logs_url(endpoint, *allows_http, &mut faults);
        if service_name.is_empty() {
            faults.add("service_name", "is empty");
        }
        if timeout.is_zero() || *timeout > Duration::from_secs(60) {
            faults.add("timeout", format!("{timeout:?} is not up to a minute"));
        }
        let mut values = HeaderMap::new();
        for (name, value) in headers {
            match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                (Ok(name), Ok(mut value)) => {
                    value.set_sensitive(true);
                    values.append(name, value);
                }
                // Without the value, which is a secret.
                _ => faults.add("header", format!("{name:?} cannot be sent as it is")),
            }
        }
        let mut client = Client::builder()
            .timeout(*timeout)
            .connect_timeout(*timeout / 2)
            .redirect(redirect::Policy::none())
            .default_headers(values)
            .user_agent(concat!("gateless/", env!("CARGO_PKG_VERSION")));
        if url.as_ref().is_some_and(is_loopback) {
            // A proxy that the environment names could not get there.
            client = client.no_proxy();
        }
        for pem in root_certificates {
            // `from_pem` takes anything, and a text without a certificate would be trusted by nobody, in silence.
            match Certificate::from_pem_bundle(pem) {
                Ok(certificates) if !certificates.is_empty() => {
                    client = client.tls_certs_merge(certificates);
                }
                _ => faults.add("root_certificate", "is not a PEM certificate"),
            }
        }
        let client = match client.build() {
            Ok(client) => Some(client),
            Err(error) => {
                faults.add("http", format!("has no client: {error}"));
                None
            }
        };
        match (client, url) {
            (Some(client), Some(url)) => faults.into_result().map(|()| (client, url)),
            _ => Err(faults),
        }
    }
}

/// One with credentials or a query in it is not repeated in the fault.
fn logs_url(endpoint: &str, allows_http: bool, faults: &mut ConfigError) -> Option<Url> {
    const SETTING: &str = "endpoint";
    let Ok(mut url) = Url::parse(endpoint) else {
        faults.add(SETTING, "is not a URL");
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        faults.add(SETTING, "has credentials in it; a header can have them");
        return None;
    }
    if url.query().is_some() || url.fragment().is_some() {
        faults.add(SETTING, "has a query or a fragment");
        return None;
    }
    let is_good = match url.scheme() {
        "https" => true,
        "http" => allows_http || is_loopback(&url),
        _ => false,
    };
    if !is_good {
        // Its path can hold a secret.
        let says = format!("{} is not an https URL", scheme_and_host(&url));
        faults.add(SETTING, says);
        return None;
    }
    let path = url.path().trim_end_matches('/');
    if !path.ends_with("/v1/logs") {
        let path = format!("{path}/v1/logs");
        url.set_path(&path);
    }
    Some(url)
}

fn scheme_and_host(url: &Url) -> String {
    format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

impl fmt::Debug for OtlpSink {
    /// The endpoint only where it can hold no secret, and of headers the names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ignored = ConfigError::collect();
        let url = logs_url(&self.settings.endpoint, true, &mut ignored);
        let headers: Vec<_> = self.settings.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("OtlpSink")
            .field("endpoint", &url.map(|url| scheme_and_host(&url)))
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}
