//! Answering a request (RFC 7662 §2).

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use serde_json::Value;

use super::Introspection;
use super::clients::Expected;
use super::credentials::Credentials;
use super::form::Form;
use super::ledger::{inactive, of_claims};
use super::log::Introspected;
use super::refusal::Refusal;
use super::signed;
use crate::fault::Fault;
use crate::jws::looks_like_jwt;
use crate::keyring::KeyRing;

/// A request as it came. Nothing is checked.
struct Call {
    credentials: Result<Credentials, Refusal>,
    token: Option<String>,
    accepts_jwt: bool,
}

impl Introspection {
    /// The good answer, and what is wrong with it. In place of an answer that a fault replaces is that.
    pub(crate) async fn answer<B>(
        &self,
        keys: &KeyRing,
        request: Request<B>,
    ) -> (Response<Bytes>, Option<Fault>)
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let form = Form::read(&head.headers, body).await;
        let call = form.map(|form| self.note(&head.headers, &form));
        let fault = self.endpoint.fault().await;
        // Judged only now: tokens may have been revoked while the request was left hanging.
        let answer = call.and_then(|call| self.judge(keys, call));
        let response = match fault.as_ref().and_then(|it| it.content("{}")) {
            Some(content) => json(content),
            None => answer.unwrap_or_else(|refusal| refusal.response()),
        };
        (response, fault)
    }

    /// Keeps what a test may want to know of the request.
    fn note(&self, headers: &HeaderMap, form: &Form) -> Call {
        let credentials = Credentials::of(headers, form);
        let shown = credentials.as_ref().ok();
        let client_id = shown.map_or(form.get("client_id"), Credentials::client_id);
        let accept = headers.get(ACCEPT);
        self.log.push(Introspected {
            method: shown.map(Credentials::method),
            client_id: client_id.map(str::to_owned),
            accept: accept.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned()),
            token_type_hint: form.get("token_type_hint").map(str::to_owned),
        });
        Call {
            credentials,
            token: form.get("token").map(str::to_owned),
            accepts_jwt: signed::is_accepted(headers),
        }
    }

    fn judge(&self, keys: &KeyRing, call: Call) -> Result<Response<Bytes>, Refusal> {
        let credentials = call.credentials?;
        let now = self.now();
        let expected = Expected {
            audiences: [&self.issuer, &self.url],
            now,
        };
        self.clients.authenticate(&credentials, &expected)?;
        let without_token = Refusal::invalid_request("there is no token");
        let token = call.token.ok_or(without_token)?;
        if looks_like_jwt(&token) && !self.ledger.knows(&token) && !self.settings().jwts {
            return Err(Refusal::unsupported_token_type());
        }
        let answer = self.about(keys, &token);
        let algorithm = self.settings().signing.filter(|_| call.accepts_jwt);
        Ok(match algorithm {
            None => json(answer.to_string().into()),
            Some(algorithm) => {
                let audience = signed::audience(credentials.client_id(), &answer, &self.issuer);
                let claims = signed::claims(&self.issuer, &audience, now, &answer);
                let answer = signed::sign(keys, algorithm, &claims);
                response(signed::CONTENT_TYPE, answer.into())
            }
        })
    }

    /// What is known of a token.
    pub(super) fn about(&self, keys: &KeyRing, token: &str) -> Value {
        let now = self.now();
        let of_jwt = || {
            let claims = keys.claims_of(token)?;
            (!self.ledger.is_revoked(token)).then(|| of_claims(claims, now))
        };
        let known = self.ledger.answer(token, now);
        known.or_else(of_jwt).unwrap_or_else(inactive)
    }
}

fn json(content: Bytes) -> Response<Bytes> {
    response("application/json", content)
}

fn response(content_type: &'static str, content: Bytes) -> Response<Bytes> {
    let mut response = Response::new(content);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
