//! Somebody who calls a service over HTTP and over gRPC, and what came of it.

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::uri::PathAndQuery;
use reqwest::{Client, Method};
use tonic::Code;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

pub(super) struct Caller {
    base: String,
    http: Client,
    grpc: Channel,
}

/// What a service makes of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Passes,
    NoCredentials,
    BadToken,
    /// The scope is not granted, and the answer says which one it is.
    Lacks(&'static str),
    /// Not the caller's fault.
    Unavailable,
}

impl Caller {
    /// A caller of the service on `address`, a socket address.
    pub(super) async fn of(address: &str) -> Self {
        let base = format!("http://{address}");
        let http = Client::builder().no_proxy().build();
        let grpc = Endpoint::from_shared(base.clone()).expect("an address makes a URI");
        Self {
            http: http.expect("a client without settings"),
            grpc: grpc.connect().await.expect("the service listens"),
            base,
        }
    }

    pub(super) async fn get(&self, path: &str, token: Option<&str>) -> HttpAnswer {
        self.http(Method::GET, path, token).await
    }

    pub(super) async fn http(&self, method: Method, path: &str, token: Option<&str>) -> HttpAnswer {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.expect("an answer");
        let challenge = response.headers().get(WWW_AUTHENTICATE);
        HttpAnswer {
            status: response.status().as_u16(),
            challenge: challenge.map(|value| value.to_str().expect("text").to_owned()),
            body: response.text().await.expect("a whole body"),
        }
    }

    /// Calls a method with an empty message, and takes any message for an answer.
    pub(super) async fn grpc(&self, method: &'static str, token: Option<&str>) -> GrpcAnswer {
        let mut request = tonic::Request::new(());
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().expect("a field value");
            request.metadata_mut().insert(AUTHORIZATION.as_str(), value);
        }
        let mut client = Grpc::new(self.grpc.clone());
        client.ready().await.expect("the service still listens");
        let method = PathAndQuery::from_static(method);
        let answer = client.unary(request, method, ProstCodec::<(), ()>::default());
        GrpcAnswer(answer.await.map(|_| ()))
    }
}

#[derive(Debug)]
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    challenge: Option<String>,
    pub(super) body: String,
}

impl HttpAnswer {
    #[track_caller]
    pub(super) fn assert(&self, outcome: Outcome, what: &str) {
        let challenge = self.challenge.as_deref();
        let says = |attribute: &str| challenge.is_some_and(|text| text.contains(attribute));
        let is_right = match outcome {
            Outcome::Passes => self.status == 200 && challenge.is_none(),
            // RFC 6750 §3.1: who brought no credentials is told of no error.
            Outcome::NoCredentials => self.status == 401 && says("Bearer") && !says("error"),
            Outcome::BadToken => self.status == 401 && says(r#"error="invalid_token""#),
            Outcome::Lacks(scope) => {
                self.status == 403
                    && says(r#"error="insufficient_scope""#)
                    && says(&format!(r#"scope="{scope}""#))
            }
            Outcome::Unavailable => self.status == 503 && challenge.is_none(),
        };
        assert!(is_right, "{what}: not {outcome:?}: {self:?}");
    }
}

#[derive(Debug)]
pub(super) struct GrpcAnswer(Result<(), tonic::Status>);

impl GrpcAnswer {
    #[track_caller]
    pub(super) fn assert(&self, outcome: Outcome, what: &str) {
        let code = match outcome {
            Outcome::Passes => Code::Ok,
            Outcome::NoCredentials | Outcome::BadToken => Code::Unauthenticated,
            Outcome::Lacks(_) => Code::PermissionDenied,
            Outcome::Unavailable => Code::Unavailable,
        };
        let answer = self
            .0
            .as_ref()
            .map_or_else(|status| status.code(), |()| Code::Ok);
        assert_eq!(answer, code, "{what}: not {outcome:?}: {self:?}");
    }
}
