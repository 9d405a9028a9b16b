//! One call of the endpoint, and what its answer means for the token. Every way to fail has a name.

use std::sync::Arc;
use std::time::Duration;

use gateless_core::{Clock, Timestamp, TokenFault};
use gateless_jwt::{ActiveToken, Answer, AnswerFault, IntrospectionPolicy};
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::address::Place;
use super::authentication::{Proof, Prover, Unprovable};
use crate::circuit::LONGEST_PAUSE;
use crate::keys::{KeyStore, Keys, Lack, Search, Standing};
use crate::outbound::{self, HttpClient, HttpError};

/// The largest answer that is read, in bytes (checklist TF-11).
const MAX_BODY: usize = 64 * 1024;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const SIGNED: &str = "application/token-introspection+jwt";

/// Asks the endpoint.
#[derive(Debug)]
pub(in crate::introspection) struct Client {
    http: HttpClient,
    pub(super) place: Place,
    prover: Prover,
    pub(super) signed: Option<Signed>,
    policy: Arc<IntrospectionPolicy>,
    clock: Arc<dyn Clock>,
}

/// Answers have to be signed, for this recipient (RFC 9701).
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) source: Keys,
    pub(super) keys: Arc<KeyStore>,
    pub(super) recipient: Box<str>,
    /// How long a call waits for keys.
    pub(super) patience: Duration,
}

/// What the endpoint says about a token.
#[derive(Debug)]
pub(in crate::introspection) enum Told {
    /// It is active, and this is known about it.
    Active(ActiveToken),
    /// It is no good, as far as the endpoint is concerned: true for a while.
    No(TokenFault),
    /// Something that no endpoint says. The token is no good with that.
    Nonsense(TokenFault),
}

/// Why there is no answer. Nothing of what the other side sent is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::introspection) enum CallError {
    #[error("{0}")]
    Http(HttpError),
    #[error("the endpoint does not accept the credentials of this service")]
    Unauthorized,
    #[error("the endpoint asks for a pause")]
    Throttled(Duration),
    #[error("the endpoint does not accept the request")]
    BadRequest,
    #[error("answered something else than {0}")]
    MediaType(&'static str),
    #[error("the answer is unusable: {0}")]
    Answer(AnswerFault),
    #[error("the keys for signed answers cannot be had")]
    Keys(Duration),
    #[error("{0}")]
    Unprovable(Unprovable),
}

impl CallError {
    /// Whether the endpoint as a whole is in trouble. What an odd token could cause does not count: some servers, and
    /// what stands in front of them, answer those with any status that says no, with an error of their own, or with a
    /// page of HTML.
    pub(in crate::introspection) const fn trips(&self) -> bool {
        match self {
            Self::Http(HttpError::TimedOut | HttpError::Unreachable | HttpError::Incomplete)
            | Self::Unauthorized
            | Self::Throttled(_) => true,
            Self::Http(HttpError::Status(status)) => matches!(status.as_u16(), 502..=504),
            _ => false,
        }
    }

    /// Whether the endpoint answered, however little it likes the question.
    pub(in crate::introspection) const fn is_answer(&self) -> bool {
        match self {
            Self::Http(HttpError::Status(status)) => !is_absent(*status),
            Self::Http(error) => matches!(error, HttpError::TooLarge(_)),
            Self::BadRequest | Self::MediaType(_) | Self::Answer(_) => true,
            Self::Unauthorized | Self::Throttled(_) | Self::Keys(_) | Self::Unprovable(_) => false,
        }
    }

    /// Whether this is an outage, in which the last answer may be used for longer. That the endpoint does not want to be
    /// asked about just this token is none.
    pub(in crate::introspection) fn is_outage(&self) -> bool {
        match self {
            Self::Http(HttpError::Status(status)) => {
                !status.is_client_error() || is_absent(*status)
            }
            Self::BadRequest => false,
            _ => true,
        }
    }

    /// Whether a second attempt may do better, at once: the connection broke, and nothing was answered.
    pub(in crate::introspection) const fn is_transient(&self) -> bool {
        matches!(self, Self::Http(HttpError::Unreachable))
    }

    /// For how long the other side wants to be left alone.
    pub(in crate::introspection) const fn pause(&self) -> Option<Duration> {
        match self {
            Self::Throttled(pause) => Some(*pause),
            _ => None,
        }
    }

    /// When to try again.
    pub(in crate::introspection) fn retry_after(&self) -> Duration {
        match self {
            Self::Throttled(pause) | Self::Keys(pause) => *pause,
            _ => Duration::from_secs(1),
        }
    }

    /// A stable name, fit for a metric label.
    pub(in crate::introspection) const fn code(&self) -> &'static str {
        match self {
            Self::Http(HttpError::TimedOut) => "timed_out",
            Self::Http(HttpError::Unreachable | HttpError::Incomplete | HttpError::Private) => {
                "unreachable"
            }
            Self::Http(HttpError::Status(_)) => "status",
            Self::Http(_) | Self::MediaType(_) | Self::Answer(_) => "unusable",
            Self::Unauthorized | Self::Unprovable(_) => "unauthorized",
            Self::Throttled(_) => "throttled",
            Self::BadRequest => "bad_request",
            Self::Keys(_) => "keys",
        }
    }
}

impl From<HttpError> for CallError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

/// Whether the endpoint is not where it should be: what a proxy answers for a server that is not there.
const fn is_absent(status: StatusCode) -> bool {
    matches!(status.as_u16(), 404 | 405 | 408 | 410)
}

/// An error of RFC 6749 §5.2.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Client {
    pub(super) const fn new(
        http: HttpClient,
        place: Place,
        prover: Prover,
        signed: Option<Signed>,
        policy: Arc<IntrospectionPolicy>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            http,
            place,
            prover,
            signed,
            policy,
            clock,
        }
    }

    /// Asks about one token. A secret that is not accepted is read again, as it may have been replaced just now.
    pub(in crate::introspection) async fn call(&self, token: &str) -> Result<Told, CallError> {
        let url = self.place.url(self.clock.monotonic()).await?;
        let proof = self.prove(None).await?;
        match self.ask(&url, token, &proof).await {
            Err(CallError::Unauthorized) => {
                let again = self.prove(Some(&proof)).await?;
                if Arc::ptr_eq(&again.secret, &proof.secret) {
                    return Err(CallError::Unauthorized);
                }
                self.ask(&url, token, &again).await
            }
            told => told,
        }
    }

    async fn prove(&self, refused: Option<&Proof>) -> Result<Proof, CallError> {
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        let refused = refused.map(|proof| &proof.secret);
        let proof = self.prover.prove(now, wall, refused).await;
        proof.map_err(CallError::Unprovable)
    }

    /// What is sent (RFC 7662 §2.1).
    fn question(&self, url: &Url, token: &str, proof: &Proof) -> Result<RequestBuilder, CallError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("token", token)
            .append_pair("token_type_hint", "access_token");
        let request = self.http.request(Method::POST, url)?;
        Ok(proof
            .apply(request, &mut form)
            .header(ACCEPT, HeaderValue::from_static(self.media_type()))
            .header(CONTENT_TYPE, HeaderValue::from_static(FORM))
            .body(form.finish()))
    }

    const fn media_type(&self) -> &'static str {
        if self.signed.is_some() { SIGNED } else { JSON }
    }

    async fn ask(&self, url: &Url, token: &str, proof: &Proof) -> Result<Told, CallError> {
        let request = self.question(url, token, proof)?;
        let asked_at = self.clock.wall();
        let response = outbound::send(request).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST => return refused(response).await,
            StatusCode::UNAUTHORIZED => return Err(CallError::Unauthorized),
            status => {
                return Err(match (status, pause(response.headers())) {
                    (StatusCode::TOO_MANY_REQUESTS, pause) => {
                        CallError::Throttled(pause.unwrap_or(Duration::from_secs(1)))
                    }
                    (StatusCode::SERVICE_UNAVAILABLE, Some(pause)) => CallError::Throttled(pause),
                    (status, _) => HttpError::Status(status).into(),
                });
            }
        }
        if !is_of(response.headers(), self.media_type()) {
            return Err(CallError::MediaType(self.media_type()));
        }
        let body = outbound::read(response, MAX_BODY).await?;
        let answer = match &self.signed {
            None => Answer::read(&body),
            Some(signed) => self.verify(signed, &body, asked_at).await?,
        };
        match answer {
            Ok(Answer::Active(token)) => Ok(Told::Active(token)),
            Ok(Answer::Inactive) => Ok(Told::No(TokenFault::Inactive)),
            Err(AnswerFault::ActiveInvalid) => Ok(Told::Nonsense(TokenFault::AnswerInvalid)),
            Err(AnswerFault::ClaimsInvalid) => Ok(Told::Nonsense(TokenFault::ClaimsInvalid)),
            Err(fault) => Err(CallError::Answer(fault)),
        }
    }

    /// Reads a signed answer, with newer keys where those at hand do not fit.
    async fn verify(
        &self,
        signed: &Signed,
        body: &[u8],
        asked_at: Timestamp,
    ) -> Result<Result<Answer, AnswerFault>, CallError> {
        let Ok(jwt) = str::from_utf8(body) else {
            return Ok(Err(AnswerFault::Unreadable));
        };
        let mut search = Search::within(signed.patience);
        loop {
            let (held, standing) = signed.keys.usable();
            let lack = if standing == Standing::Missing {
                Lack::Keys
            } else {
                let (now, recipient) = (self.clock.wall(), &signed.recipient);
                let answer =
                    Answer::verify(jwt, &held.keys, &self.policy, recipient, asked_at, now);
                let lacks_key = AnswerFault::SignatureInvalid(TokenFault::KeyUnknown);
                if answer.as_ref().err() != Some(&lacks_key) || !signed.keys.can_fetch() {
                    signed.keys.used(standing);
                    return Ok(answer);
                }
                let version = held.version;
                Lack::Key { version }
            };
            drop(held);
            let newer = search.newer(&signed.keys, lack).await;
            newer.map_err(|not_found| CallError::Keys(not_found.retry_after))?;
        }
    }
}

/// What `400` means. Only one of its errors says something about the token.
async fn refused(response: Response) -> Result<Told, CallError> {
    let body = outbound::read(response, MAX_BODY).await?;
    let refusal = serde_json::from_slice::<Refusal>(&body);
    match refusal.as_ref().map(|refusal| &*refusal.error) {
        Ok("unsupported_token_type") => Ok(Told::No(TokenFault::NotIntrospectable)),
        Ok("invalid_client" | "unauthorized_client") => Err(CallError::Unauthorized),
        _ => Err(CallError::BadRequest),
    }
}

/// For how long the server wants to be left alone (RFC 9110 §10.2.3), where it says so in seconds. No longer than it is:
/// callers are told the same.
fn pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = seconds.trim().parse().ok().map(Duration::from_secs);
    seconds.map(|pause| pause.min(LONGEST_PAUSE))
}

/// Whether the body is of this media type, whatever its parameters.
fn is_of(headers: &HeaderMap, expected: &str) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    media_type
        .and_then(|media_type| media_type.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case(expected))
}
