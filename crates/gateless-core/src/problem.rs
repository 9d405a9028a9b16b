//! The body of an HTTP refusal: problem details (RFC 9457).

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::rejection::Rejection;
use crate::requirement::Shortfall;
use crate::scope::Scope;

/// What the caller may know about a refusal; the input of a [`Renderer`](crate::Renderer)'s `body` hook.
///
/// Serialises as problem details (RFC 9457). The internal reason of a rejection is not here on purpose: telling
/// "expired" from "bad signature" helps only an attacker.
#[derive(Clone, Debug, Serialize)]
pub struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    missing_scopes: Vec<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    required_scopes: Vec<&'a str>,
}

impl<'a> Problem<'a> {
    pub(crate) fn of(rejection: &'a Rejection) -> Self {
        let names = |scopes: &'a [Scope]| scopes.iter().map(Scope::as_str).collect();
        let shortfall = match rejection {
            Rejection::ScopeInsufficient(shortfall) => Some(shortfall),
            _ => None,
        };
        Self {
            r#type: "about:blank",
            title: rejection.status().canonical_reason().unwrap_or_default(),
            status: rejection.status().as_u16(),
            detail: rejection.to_string(),
            code: rejection.code(),
            missing_scopes: shortfall
                .map(Shortfall::missing)
                .map(names)
                .unwrap_or_default(),
            required_scopes: shortfall
                .map(Shortfall::needed)
                .map(names)
                .unwrap_or_default(),
        }
    }

    pub(crate) fn to_body(&self) -> ProblemBody {
        let json = serde_json::to_vec(self).expect("strings and numbers serialise");
        ProblemBody::new("application/problem+json", json)
    }

    /// The HTTP status that the response has.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).expect("made from a status")
    }

    /// The stable code of the rejection.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// One sentence for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The scopes that the token lacks; empty unless the rejection is about scopes.
    #[must_use]
    pub fn missing_scopes(&self) -> &[&'a str] {
        &self.missing_scopes
    }

    /// All the scopes that the request needs; empty unless the rejection is about scopes.
    #[must_use]
    pub fn required_scopes(&self) -> &[&'a str] {
        &self.required_scopes
    }
}

/// The body of an HTTP refusal.
#[derive(Clone, Debug)]
pub struct ProblemBody {
    pub(crate) content_type: HeaderValue,
    pub(crate) bytes: Bytes,
}

impl ProblemBody {
    /// A body of this media type.
    #[must_use]
    pub fn new(content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self {
            content_type: HeaderValue::from_static(content_type),
            bytes: bytes.into(),
        }
    }
}
