//! Sends a step over a real socket, as any client would.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::guide::reachable;
use super::{Answer, Call, Step};
use crate::proto::orders_client::OrdersClient;
use crate::proto::{CreateRequest, ListRequest};

const TIMEOUT: Duration = Duration::from_secs(10);

/// An HTTP and a gRPC client for the same port.
pub(super) struct Client {
    base: String,
    http: reqwest::Client,
    grpc: OrdersClient<Channel>,
    asked: AtomicU64,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        let base = format!("http://{}", reachable(address));
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT);
        let endpoint = Endpoint::from_shared(base.clone()).expect("made from a socket address");
        Self {
            http: http.build().expect("there is no setting that can fail"),
            grpc: OrdersClient::new(endpoint.timeout(TIMEOUT).connect_lazy()),
            base,
            asked: AtomicU64::new(0),
        }
    }

    /// How many requests were sent.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// The answer, or why there was none.
    pub(super) async fn send(&mut self, step: &Step) -> Result<Answer, String> {
        match &step.call {
            Call::Get(path) => self.http(self.http.get(self.url(path)), step).await,
            Call::Flood(path, most) => {
                let request = |_| self.http.get(self.url(path));
                self.until_refused(*most, request, step).await
            }
            Call::Guess(path, most) => {
                let request = |number| {
                    let guess = format!("guess-{number}");
                    self.http.get(self.url(path)).bearer_auth(guess)
                };
                self.until_refused(*most, request, step).await
            }
            Call::Post(path, body) => {
                let request = self
                    .http
                    .post(self.url(path))
                    .body(body.clone().into_owned());
                let request = request.header(CONTENT_TYPE, "application/json");
                self.http(request, step).await
            }
            Call::GrpcList => {
                self.count();
                let answer = self.grpc.list(authorized(ListRequest {}, step)?).await;
                Ok(grpc(answer.map(|list| {
                    format!("orders: {}", list.into_inner().orders.len())
                })))
            }
            Call::GrpcCreate(item) => {
                self.count();
                let message = CreateRequest {
                    item: (*item).to_owned(),
                    quantity: 1,
                };
                let answer = self.grpc.create(authorized(message, step)?).await;
                Ok(grpc(
                    answer.map(|order| format!("order {}", order.into_inner().id)),
                ))
            }
        }
    }

    /// The first answer that says that it was too much, or the last one.
    async fn until_refused(
        &self,
        most: u32,
        request: impl Fn(u32) -> reqwest::RequestBuilder,
        step: &Step,
    ) -> Result<Answer, String> {
        let mut answer = Err("nothing was sent".to_owned());
        for number in 1..=most {
            answer = self.http(request(number), step).await;
            if !matches!(answer, Ok(Answer::Http { status, .. }) if status != 429) {
                break;
            }
        }
        answer
    }

    async fn http(
        &self,
        mut request: reqwest::RequestBuilder,
        step: &Step,
    ) -> Result<Answer, String> {
        for token in &step.tokens {
            request = request.bearer_auth(token);
        }
        self.count();
        let response = request.send().await.map_err(|error| reason(&error))?;
        let status = response.status().as_u16();
        let field = |name| {
            let value = response.headers().get(name);
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Ok(Answer::Http {
            status,
            challenge: field(WWW_AUTHENTICATE),
            retry_after: field(RETRY_AFTER),
            body: response.text().await.map_err(|error| reason(&error))?,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

fn authorized<T>(message: T, step: &Step) -> Result<Request<T>, String> {
    let mut request = Request::new(message);
    let metadata: &mut MetadataMap = request.metadata_mut();
    for token in &step.tokens {
        let value = format!("Bearer {token}").try_into();
        let value = value.map_err(|_| "the token cannot stand in a header".to_owned())?;
        metadata.append("authorization", value);
    }
    Ok(request)
}

fn grpc(answer: Result<String, Status>) -> Answer {
    match answer {
        Ok(message) => Answer::Grpc {
            code: Code::Ok,
            message,
        },
        Err(status) => Answer::Grpc {
            code: status.code(),
            message: status.message().to_owned(),
        },
    }
}

/// The innermost cause: what the outer ones say is that a request failed.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    format!("no answer: {cause}")
}
