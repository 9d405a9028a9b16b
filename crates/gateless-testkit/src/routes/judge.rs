//! One answer, held against what it has to be.

use std::fmt;
use std::future::poll_fn;

use bytes::Bytes;
use gateless_core::{Rejection, Route, Scope};
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower_service::Service;

use super::Expected;

/// What came back. The body only of refusals: an answer may be a stream that never ends.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    rejection: Option<Rejection>,
    body: Bytes,
}

pub(super) async fn send<S, B, R>(mut service: S, request: Request<B>) -> Result<Answer, String>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: fmt::Debug,
    R: Body<Data = Bytes>,
    R::Error: fmt::Debug,
{
    let failed = |error: S::Error| format!("the service failed: {error:?}");
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
    let response = service.call(request).await.map_err(failed)?;
    let (parts, body) = response.into_parts();
    let rejection = parts.extensions.get::<Rejection>().cloned();
    let body = if rejection.is_some() {
        let body = body.collect().await;
        body.map_err(|error| format!("the body failed: {error:?}"))?
            .to_bytes()
    } else {
        Bytes::new()
    };
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        rejection,
        body,
    })
}

impl Answer {
    pub(super) fn judge(&self, route: &Route, expected: &Expected<'_>) -> Result<(), String> {
        let grpc_status = self.headers.get("grpc-status");
        let is_missing = match route {
            Route::Grpc { .. } => grpc_status.is_some_and(|status| status == "12"),
            _ => {
                // A router's own, without a word. Not by the body: `HEAD` never has one.
                let is_silent = !self.headers.contains_key(CONTENT_TYPE);
                let is_unknown = self.status == StatusCode::NOT_FOUND && is_silent;
                is_unknown || self.status == StatusCode::METHOD_NOT_ALLOWED
            }
        };
        match (expected, &self.rejection) {
            (Expected::Handler, Some(rejection)) => {
                Err(format!("refused with {}: {rejection}", rejection.code()))
            }
            (Expected::Handler, None) if is_missing => Err("there is no such route".to_owned()),
            (Expected::Handler, None) => Ok(()),
            (Expected::NoHandler | Expected::NoRoute, Some(_)) => Ok(()),
            (Expected::NoHandler | Expected::NoRoute, None) if is_missing => Ok(()),
            (Expected::NoRoute, None) if self.status == StatusCode::NOT_FOUND => Ok(()),
            (Expected::NoHandler | Expected::NoRoute, None) => {
                Err(format!("answered, with {}", self.status))
            }
            (Expected::Refusal(expected), None) => Err(format!(
                "answered with {} instead of {}",
                self.status,
                expected.code()
            )),
            (Expected::Refusal(expected), Some(rejection)) if rejection != *expected => Err(
                format!("refused with {rejection:?} instead of {expected:?}"),
            ),
            (Expected::Refusal(expected), Some(_)) => self.wire(route, expected),
        }
    }

    /// That the client was told, too.
    fn wire(&self, route: &Route, expected: &Rejection) -> Result<(), String> {
        if let Route::Grpc { .. } = route {
            let code = expected.grpc_code().to_string();
            let sent = self.headers.get("grpc-status");
            if sent.is_none_or(|sent| sent.as_bytes() != code.as_bytes()) {
                return Err(format!("grpc-status {sent:?} instead of {code}"));
            }
        } else if self.status != expected.status() {
            return Err(format!("{} instead of {}", self.status, expected.status()));
        }
        let challenge = self.headers.get(WWW_AUTHENTICATE);
        let challenge = challenge.and_then(|challenge| challenge.to_str().ok());
        if challenge.is_some() != expected.challenge_error().is_some() {
            return Err(format!("the challenge is {challenge:?}"));
        }
        let Some(shortfall) = expected.shortfall() else {
            return Ok(());
        };
        let needed: Vec<_> = shortfall.needed().iter().map(Scope::as_str).collect();
        let attribute = format!("scope=\"{}\"", needed.join(" "));
        if !challenge.is_some_and(|challenge| challenge.contains(&attribute)) {
            return Err(format!(
                "the challenge is {challenge:?}, without {attribute}"
            ));
        }
        let is_problem = self
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|it| it == "application/problem+json");
        if is_problem && !self.body.is_empty() {
            let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
            let missing: Vec<_> = shortfall.missing().iter().map(Scope::as_str).collect();
            if problem.get("missing_scopes") != Some(&Value::from(missing.clone())) {
                return Err(format!(
                    "the problem is {problem}, and {missing:?} are missing"
                ));
            }
        }
        Ok(())
    }
}
