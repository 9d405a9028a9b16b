//! Requests in, verdicts out: the same request in every protocol, and everything that its answer has to be.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gateless::Rejection;
use gateless::bearer::{BearerAuth, BearerAuthBuilder, Credentials, KeySet, Keys, TokenPolicy};
use gateless_testkit::{FakeClock, Recorder, TestIssuer};
use http::request::{Builder, Parts};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tonic_types::StatusExt as _;
use tower::{Layer, Service, ServiceExt as _};

use crate::logs;
pub(crate) use crate::refusal::Refusal;

pub(crate) const ISSUER: &str = "https://idp.example.com";
pub(crate) const AUDIENCE: &str = "https://api.example.com";

/// The issuer of most tests. Its clock stands at [`FakeClock::START`], where that of [`auth`] stands too.
pub(crate) fn issuer() -> &'static TestIssuer {
    static ISSUER: LazyLock<TestIssuer> = LazyLock::new(|| {
        TestIssuer::builder()
            .clock(Arc::new(FakeClock::new()))
            .build()
    });
    &ISSUER
}

pub(crate) fn policy() -> TokenPolicy {
    TokenPolicy::new(ISSUER, AUDIENCE)
}

/// The keys of an issuer, as `policy` reads them.
pub(crate) fn keys_of(issuer: &TestIssuer, policy: &TokenPolicy) -> KeySet {
    policy
        .read_keys(issuer.jwks().to_string().as_bytes())
        .unwrap()
}

pub(crate) fn auth_with(policy: TokenPolicy) -> BearerAuthBuilder {
    let keys = keys_of(issuer(), &policy);
    BearerAuth::builder(policy, Keys::fixed(keys)).clock(Arc::new(FakeClock::new()))
}

/// The layer that looks for tokens where it is told.
pub(crate) fn reading(credentials: Credentials) -> BearerAuth {
    auth_with(policy())
        .credentials(credentials)
        .build()
        .unwrap()
}

/// The layer with nothing but what has to be set.
pub(crate) fn auth() -> BearerAuth {
    auth_with(policy()).build().unwrap()
}

/// How a client asks, and so how it has to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Grpc,
    GrpcWeb,
    GrpcWebText,
}

impl Protocol {
    pub(crate) const ALL: [Self; 4] = [Self::Http, Self::Grpc, Self::GrpcWeb, Self::GrpcWebText];

    pub(crate) fn content_type(self) -> Option<&'static str> {
        match self {
            Self::Http => None,
            Self::Grpc => Some("application/grpc"),
            Self::GrpcWeb => Some("application/grpc-web+proto"),
            Self::GrpcWebText => Some("application/grpc-web-text+proto"),
        }
    }

    /// A request in this protocol, as a client of it would begin it.
    pub(crate) fn request(self) -> Builder {
        match self.content_type() {
            None => Request::get("/orders"),
            Some(content_type) => {
                Request::post("/shop.Orders/List").header("content-type", content_type)
            }
        }
    }
}

/// What came back, and what reached the service behind the layers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) rejection: Option<Rejection>,
    pub(crate) reached: Vec<Parts>,
    /// Everything that was logged meanwhile.
    pub(crate) logs: String,
}

/// Sends `request` through `layer`, to a service that answers everything.
pub(crate) async fn send<L, B>(layer: &L, request: Request<String>) -> Answer
where
    L: Layer<Recorder>,
    L::Service: Service<Request<String>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    logs::capture();
    logs::take();
    let recorder = Recorder::new();
    let response = layer.layer(recorder.clone()).oneshot(request).await;
    let (parts, body) = response.unwrap().into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
        rejection: parts.extensions.get().cloned(),
        reached: recorder.requests(),
        logs: logs::take(),
    }
}

/// What `app` answers to `request`. Its handlers say for themselves that they were reached.
pub(crate) async fn send_to(app: &Router, request: Request<Body>) -> Answer {
    logs::capture();
    logs::take();
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mut answer = Answer::of(Response::from_parts(parts, body));
    answer.logs = logs::take();
    answer
}

impl Answer {
    /// A response as it came, but for the fields that are about the connection.
    pub(crate) fn of(response: Response<Bytes>) -> Self {
        let (mut parts, body) = response.into_parts();
        for field in ["connection", "content-length", "date", "vary"] {
            parts.headers.remove(field);
        }
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
            rejection: parts.extensions.get().cloned(),
            reached: Vec::new(),
            logs: String::new(),
        }
    }

    /// The one request that reached the service.
    #[track_caller]
    pub(crate) fn passed(&self) -> &Parts {
        assert_eq!(
            self.status, 200,
            "refused: {:?} {:?}",
            self.rejection, self.logs
        );
        assert!(!self.headers.contains_key("grpc-status"), "{self:?}");
        assert_eq!(self.rejection, None);
        match &*self.reached {
            [request] => request,
            other => panic!("{} requests arrived", other.len()),
        }
    }

    /// Holds a refusal against the checklist, to the byte.
    #[track_caller]
    pub(crate) fn refused(&self, protocol: Protocol, refusal: &Refusal) {
        let rejection = self.rejection.as_ref().expect("refused, by a layer");
        assert_eq!(rejection.reason(), refusal.reason, "{protocol:?}");
        assert_eq!(rejection.code(), refusal.code);
        assert!(self.reached.is_empty(), "the request went on");
        self.reads(protocol, refusal);
    }

    /// Holds what a client sees of a refusal against the checklist, to the byte.
    #[track_caller]
    pub(crate) fn reads(&self, protocol: Protocol, refusal: &Refusal) {
        if protocol != Protocol::Http {
            assert_eq!(self.status, 200);
        }
        match protocol {
            Protocol::Http => self.refused_in_http(refusal),
            Protocol::Grpc => {
                assert!(self.body.is_empty());
                self.expect_fields(
                    &["grpc-status", "grpc-message", "grpc-status-details-bin"],
                    refusal,
                );
                assert_eq!(self.headers["content-type"], "application/grpc");
                assert_grpc(&self.headers, refusal);
            }
            Protocol::GrpcWeb => {
                self.expect_fields(&[], refusal);
                assert_eq!(self.headers["content-type"], "application/grpc-web+proto");
                assert_grpc(&trailers(&self.body), refusal);
            }
            Protocol::GrpcWebText => {
                self.expect_fields(&[], refusal);
                assert_eq!(
                    self.headers["content-type"],
                    "application/grpc-web-text+proto"
                );
                assert_grpc(&trailers(&STANDARD.decode(&self.body).unwrap()), refusal);
            }
        }
    }

    fn refused_in_http(&self, refusal: &Refusal) {
        assert_eq!(self.status, refusal.status);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem, refusal.problem());
        let mut further = Vec::new();
        if let Some(secs) = refusal.retry_after {
            further.push("retry-after");
            assert_eq!(self.headers["retry-after"], secs.to_string());
        }
        if let Some(allow) = refusal.allow {
            further.push("allow");
            assert_eq!(self.headers["allow"], allow);
        }
        self.expect_fields(&further, refusal);
    }

    /// These fields and the usual ones, each once, and no other: a field more could tell one bad token from another.
    fn expect_fields(&self, further: &[&str], refusal: &Refusal) {
        let mut expected = [&["cache-control", "content-type"], further].concat();
        if let Some(challenge) = &refusal.challenge {
            expected.push("www-authenticate");
            assert_eq!(self.headers["www-authenticate"], challenge);
        }
        assert_eq!(self.headers["cache-control"], "no-store");
        expected.sort_unstable();
        let mut names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, expected);
    }

    /// Nothing of `secret` may be in the answer or in the logs: not all of it, and no part of a token either.
    #[track_caller]
    pub(crate) fn keeps(&self, secret: &str) {
        let said = format!(
            "{:?} {} {}",
            self.headers,
            String::from_utf8_lossy(&self.body),
            self.logs
        );
        for part in secret
            .split(['.', ' ', ','])
            .filter(|part| part.len() >= 12)
        {
            assert!(!said.contains(part), "{part} in {said}");
        }
    }
}

fn assert_grpc(fields: &HeaderMap, refusal: &Refusal) {
    let status = tonic::Status::from_header_map(fields).expect("a gRPC status");
    assert_eq!(status.code() as i32, refusal.grpc);
    assert_eq!(status.message(), refusal.detail);
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(info.reason, refusal.code.to_uppercase());
    assert_eq!(info.domain, "gateless");
    let mut metadata = HashMap::new();
    if !refusal.missing.is_empty() {
        metadata.insert("missing_scopes".to_owned(), refusal.missing.join(" "));
        metadata.insert("required_scopes".to_owned(), refusal.required.join(" "));
    }
    if !refusal.acr_values.is_empty() {
        metadata.insert("acr_values".to_owned(), refusal.acr_values.join(" "));
    }
    if let Some(secs) = refusal.max_age {
        metadata.insert("max_age".to_owned(), secs.to_string());
    }
    assert_eq!(info.metadata, metadata);
    let retry_after = details
        .retry_info()
        .map(|info| info.retry_delay.unwrap().as_secs());
    assert_eq!(retry_after, refusal.retry_after);
}

/// The trailers in a gRPC-Web body that is nothing but one trailer frame.
fn trailers(frame: &[u8]) -> HeaderMap {
    let (flag, rest) = frame.split_first().unwrap();
    let (length, block) = rest.split_first_chunk::<4>().unwrap();
    assert_eq!(*flag, 0x80);
    assert_eq!(u32::from_be_bytes(*length) as usize, block.len());
    std::str::from_utf8(block)
        .unwrap()
        .lines()
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (
                HeaderName::try_from(name).unwrap(),
                HeaderValue::try_from(value).unwrap(),
            )
        })
        .collect()
}

/// Sends the request that `make` completes, in every protocol, and expects `refusal` each time.
pub(crate) async fn refuses<L, B>(
    layer: &L,
    refusal: &Refusal,
    secret: &str,
    make: impl Fn(Builder) -> Builder,
) where
    L: Layer<Recorder>,
    L::Service: Service<Request<String>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    for protocol in Protocol::ALL {
        let request = make(protocol.request()).body(String::new()).unwrap();
        let answer = send(layer, request).await;
        answer.refused(protocol, refusal);
        answer.keeps(secret);
    }
}

/// Sends the request that `make` completes, in every protocol, and expects that it passes. Returns the last.
pub(crate) async fn passes<L, B>(
    layer: &L,
    secret: &str,
    make: impl Fn(Builder) -> Builder,
) -> Parts
where
    L: Layer<Recorder>,
    L::Service: Service<Request<String>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let mut last = None;
    for protocol in Protocol::ALL {
        let request = make(protocol.request()).body(String::new()).unwrap();
        let answer = send(layer, request).await;
        answer.keeps(secret);
        last = Some(answer.passed().clone());
    }
    last.unwrap()
}

pub(crate) fn bearer(token: impl AsRef<str>) -> String {
    format!("Bearer {}", token.as_ref())
}
