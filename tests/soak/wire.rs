//! Requests over HTTP and gRPC, on connections that are kept and on new ones.

use std::error::Error as _;
use std::time::Duration;

use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::uri::PathAndQuery;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::oracle::Answer;
use crate::tokens::Token;

/// An answer takes no longer, also while something hangs: an introspection has 5 s at most, twice, and a limit 2 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// The connections of a caller to one instance.
pub(crate) struct Wire {
    address: String,
    kept: Client,
    fresh: Client,
    channel: Channel,
}

impl Wire {
    pub(crate) fn to(address: String) -> Self {
        let client = Client::builder().no_proxy().timeout(PATIENCE);
        let kept = client.build().expect("settings that can be used");
        let client = Client::builder().no_proxy().timeout(PATIENCE);
        let fresh = client.pool_max_idle_per_host(0).build();
        Self {
            channel: endpoint(&address).connect_lazy(),
            kept,
            fresh: fresh.expect("settings that can be used"),
            address,
        }
    }

    pub(crate) async fn get(&self, path: &str, token: &Token, is_fresh: bool) -> Answer {
        let client = if is_fresh { &self.fresh } else { &self.kept };
        let request = client.get(format!("http://{}{path}", self.address));
        http(request, token).await.0
    }

    pub(crate) async fn post(&self, path: &str, token: &Token, body: &Value) -> (Answer, Value) {
        let request = self.kept.post(format!("http://{}{path}", self.address));
        let request = request.header(CONTENT_TYPE, "application/json");
        http(request.body(body.to_string()), token).await
    }

    pub(crate) async fn list(&self, token: &Token, is_fresh: bool) -> Answer {
        let channel = match is_fresh {
            true => endpoint(&self.address).connect_lazy(),
            false => self.channel.clone(),
        };
        let mut client = Grpc::new(channel);
        let call = async {
            client.ready().await.map_err(|_| None)?;
            let method = PathAndQuery::from_static("/orders.v1.Orders/List");
            let codec = ProstCodec::<(), ()>::default();
            let answer = client.unary(grpc_request(token), method, codec).await;
            answer.map(drop).map_err(Some)
        };
        match timeout(PATIENCE, call).await {
            Ok(Ok(())) => Answer::Passes,
            Ok(Err(None)) => Answer::Silence,
            Ok(Err(Some(status))) => of_status(&status, token),
            Err(_) => Answer::Odd("no answer in time".to_owned()),
        }
    }

    /// A stream on a connection of its own.
    pub(crate) async fn watch(&self, token: &Token) -> Result<Streaming<()>, Answer> {
        let mut client = Grpc::new(endpoint(&self.address).connect_lazy());
        let call = async {
            client.ready().await.map_err(|_| Answer::Silence)?;
            let method = PathAndQuery::from_static("/orders.v1.Orders/Watch");
            let codec = ProstCodec::<(), ()>::default();
            let messages = tokio_stream::once(());
            let mut request = grpc_request(token);
            *request.get_mut() = ();
            let request = request.map(|()| messages);
            let answer = client.streaming(request, method, codec).await;
            let answer = answer.map_err(|status| of_status(&status, token))?;
            Ok(answer.into_inner())
        };
        let late = || Err(Answer::Odd("no stream in time".to_owned()));
        timeout(PATIENCE, call).await.unwrap_or_else(|_| late())
    }
}

fn endpoint(address: &str) -> Endpoint {
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    endpoint.expect("an address makes a URI")
}

fn grpc_request(token: &Token) -> tonic::Request<()> {
    let mut request = tonic::Request::new(());
    if !token.text.is_empty() {
        let value = format!("Bearer {}", token.text).parse();
        let value = value.expect("a token is a field value");
        request.metadata_mut().insert("authorization", value);
    }
    request
}

async fn http(request: RequestBuilder, token: &Token) -> (Answer, Value) {
    let request = match token.text.is_empty() {
        true => request,
        false => request.bearer_auth(&token.text),
    };
    let none = |error: reqwest::Error| {
        let answer = match error.is_timeout() {
            true => Answer::Odd("no answer in time".to_owned()),
            false => Answer::Silence,
        };
        (answer, Value::Null)
    };
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return none(error),
    };
    let status = response.status().as_u16();
    let field = |name| {
        let value = response.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let (challenge, content_type) = (field(WWW_AUTHENTICATE), field(CONTENT_TYPE));
    let body = match response.text().await {
        Ok(body) => serde_json::from_str(&body).unwrap_or(Value::Null),
        Err(error) => return none(error),
    };
    let code = body.get("code").and_then(Value::as_str).unwrap_or_default();
    let is_problem = content_type.as_deref() == Some("application/problem+json");
    let says = |text: &str| challenge.as_deref().is_some_and(|it| it.contains(text));
    let answer = match (status, code) {
        (200..=202, _) if challenge.is_none() => Answer::Passes,
        (401, "credentials_missing") if is_problem && says("Bearer") && !says("error=") => {
            Answer::NoCredentials
        }
        (401, "token_invalid") if is_problem && says(r#"error="invalid_token""#) => {
            Answer::BadToken
        }
        (403, "scope_insufficient")
            if is_problem && says(r#"error="insufficient_scope""#) && says("orders:read") =>
        {
            Answer::Lacks
        }
        (503, "dependency_unavailable") if is_problem && challenge.is_none() => Answer::Unavailable,
        // It holds no token: what is reflected is a code and a challenge.
        _ => Answer::Odd(format!("{status} {code:?}, challenge {challenge:?}")),
    };
    (answer, body)
}

/// What the transport itself says has a source; a status of the service has none.
fn of_status(status: &Status, token: &Token) -> Answer {
    if status.source().is_some() {
        return Answer::Silence;
    }
    match status.code() {
        Code::Unauthenticated if token.text.is_empty() => Answer::NoCredentials,
        Code::Unauthenticated => Answer::BadToken,
        Code::PermissionDenied => Answer::Lacks,
        Code::Unavailable => Answer::Unavailable,
        code => Answer::Odd(format!("gRPC {code:?}: {}", status.message())),
    }
}
