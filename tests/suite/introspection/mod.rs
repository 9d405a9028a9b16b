//! TF: tokens that somebody else has to be asked about, over real sockets, and on a clock that the test moves.

mod answers;
mod cache;
mod circuit;
mod counted;
mod crowds;
mod failures;
mod hybrid;
mod knowledge;
mod law;
mod outage;
mod question;
mod ready;
mod secrets;
mod settings;
mod shared;
mod signed;
mod stub;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateless::OnOutage;
use gateless::introspection::{
    ClientAuthentication, Endpoint, Introspection, IntrospectionBuilder, IntrospectionPolicy,
    Secret,
};
use gateless_testkit::{FakeClock, Recorder, TestIssuer};
use http::request::Parts;
use http::{Request, Response};
use tokio::task;
use tokio::time::timeout;
use tower::{Layer, Service};

use crate::sockets::DEADLINE;
use crate::support::{AUDIENCE, Answer, Protocol, Refusal, bearer, passes, refuses, send};

/// For how long an answer is used unless a layer says otherwise.
const LIFETIME: Duration = Duration::from_secs(30);

/// For how long an endpoint is left alone that failed several times.
const PAUSE: Duration = Duration::from_secs(1);

/// So many failures in a row, and it is.
const FAILURES: u64 = 5;

/// Short, for endpoints that never answer: real time passes.
const SHORT: Duration = Duration::from_millis(300);

/// An authorization server, and the clock that it shares with the layers that ask it.
struct World {
    clock: FakeClock,
    issuer: TestIssuer,
}

impl World {
    async fn new() -> Self {
        let clock = FakeClock::new();
        let builder = TestIssuer::builder().clock(Arc::new(clock.clone()));
        let issuer = builder.serve().await.unwrap();
        Self { clock, issuer }
    }

    fn policy(&self) -> IntrospectionPolicy {
        IntrospectionPolicy::new(self.issuer.issuer(), AUDIENCE).danger_allow_http_loopback()
    }

    fn endpoint(&self) -> Endpoint {
        self.endpoint_with(OnOutage::FailClosed)
    }

    fn endpoint_with(&self, on_outage: OnOutage) -> Endpoint {
        Endpoint::url(self.issuer.introspection_url(), on_outage).timeout(DEADLINE)
    }

    fn builder(&self) -> IntrospectionBuilder {
        self.asking(self.policy(), self.endpoint(), known())
    }

    /// Other settings, on the same clock.
    fn asking(
        &self,
        policy: IntrospectionPolicy,
        endpoint: Endpoint,
        authentication: ClientAuthentication,
    ) -> IntrospectionBuilder {
        Introspection::builder(policy, endpoint, authentication).clock(Arc::new(self.clock.clone()))
    }

    fn layer(&self) -> Introspection {
        self.builder().build().unwrap()
    }

    /// One that gives up soon.
    fn hasty(&self) -> Introspection {
        let endpoint = self.endpoint().timeout(SHORT);
        let builder = self.asking(self.policy(), endpoint, known());
        builder.build().unwrap()
    }

    /// How often the server was asked about a token.
    fn calls(&self) -> u64 {
        self.issuer.requests().introspection
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

/// The client that the test issuer knows from the start.
fn known() -> ClientAuthentication {
    ClientAuthentication::basic(
        TestIssuer::CLIENT_ID,
        Secret::new(TestIssuer::CLIENT_SECRET),
    )
}

/// Asks in one protocol. Nothing of the token may be in the answer or in the logs, nor the secret of the client.
async fn ask<L, B>(layer: &L, protocol: Protocol, token: &str) -> Answer
where
    L: Layer<Recorder>,
    L::Service: Service<Request<String>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Debug,
{
    let request = protocol.request().header("authorization", bearer(token));
    let answer = send(layer, request.body(String::new()).unwrap()).await;
    answer.keeps(token);
    assert!(!answer.logs.contains(TestIssuer::CLIENT_SECRET));
    assert!(!answer.logs.contains(ENCODED_SECRET));
    answer
}

/// The secret as it stands in a form.
const ENCODED_SECRET: &str = "s3cr%26t%3A";

/// Passes in every protocol. Returns what reached the service at last.
async fn accepts<L, B>(layer: &L, token: &str) -> Parts
where
    L: Layer<Recorder>,
    L::Service: Service<Request<String>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Debug,
{
    passes(layer, token, |request| {
        request.header("authorization", bearer(token))
    })
    .await
}

/// Is refused in every protocol.
async fn rejects<L, B>(layer: &L, token: &str, refusal: &Refusal)
where
    L: Layer<Recorder>,
    L::Service: Service<Request<String>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Debug,
{
    refuses(layer, refusal, token, |request| {
        request.header("authorization", bearer(token))
    })
    .await;
}

/// Lets the other tasks run until something is true.
async fn until(condition: impl Fn() -> bool) {
    let arrived = async {
        while !condition() {
            task::yield_now().await;
        }
    };
    timeout(DEADLINE, arrived).await.expect("it never happened");
}
