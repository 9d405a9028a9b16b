//! What the ways in answer.

use bytes::Bytes;
use gateless_core::Appended;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use super::super::RevokeError;

/// An answer with all of its body.
pub(super) type Answer = Response<Full<Bytes>>;

/// Nothing but a status. No answer of these is for a cache.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    answer
}

pub(super) fn json(
    status: StatusCode,
    media_type: &'static str,
    content: &impl Serialize,
) -> Answer {
    let mut answer = empty(status);
    let content = serde_json::to_vec(content).expect("strings and numbers serialise");
    *answer.body_mut() = Full::new(content.into());
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

/// An error of OAuth (RFC 6749 §5.2).
pub(super) fn oauth_error(status: StatusCode, error: &'static str) -> Answer {
    #[derive(Serialize)]
    struct OauthError {
        error: &'static str,
    }
    json(status, "application/json", &OauthError { error })
}

/// Problem details (RFC 9457), with a stable code.
pub(super) fn problem(status: StatusCode, code: &'static str, detail: &str) -> Answer {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: &'static str,
        title: &'static str,
        status: u16,
        detail: &'a str,
        code: &'static str,
    }
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail,
        code,
    };
    json(status, "application/problem+json", &problem)
}

pub(super) fn with(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    answer
}

pub(super) fn method_not_allowed(allow: &'static str) -> Answer {
    with(empty(StatusCode::METHOD_NOT_ALLOWED), ALLOW, allow)
}

/// The client did not prove who it is (RFC 6749 §5.2).
pub(super) fn invalid_client() -> Answer {
    let answer = oauth_error(StatusCode::UNAUTHORIZED, "invalid_client");
    with(answer, WWW_AUTHENTICATE, "Basic realm=\"revocation\"")
}

/// Something that is needed is away. The same again later may help.
pub(super) fn later(answer: Answer) -> Answer {
    with(answer, RETRY_AFTER, "5")
}

/// How far a change got, in a word.
pub(super) const fn reach(appended: Appended) -> (StatusCode, &'static str) {
    match appended {
        Appended::Stored => (StatusCode::OK, "stored"),
        // `Queued`, and whatever else is not for everybody yet.
        _ => (StatusCode::ACCEPTED, "queued"),
    }
}

/// The stable code of what went wrong with a change.
pub(super) const fn code(error: &RevokeError) -> &'static str {
    match error {
        RevokeError::NotStored(_) => "revocation_not_stored",
        RevokeError::TimedOut => "revocation_timed_out",
        RevokeError::Full => "denylist_full",
        RevokeError::Final => "revocation_final",
        RevokeError::TooMany => "revocations_too_many",
    }
}
