//! The body of an HTTP refusal: problem details (RFC 9457).

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::acr::Acr;
use crate::quota::Excess;
use crate::rejection::Rejection;
use crate::requirement::{Shortfall, StepUp};
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
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    acr_values: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    #[serde(rename = "violated-policies", skip_serializing_if = "<[_]>::is_empty")]
    violated_policies: Vec<&'a str>,
}

/// The type of a problem that names quotas (draft-ietf-httpapi-ratelimit-headers-11).
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

impl<'a> Problem<'a> {
    pub(crate) fn of(rejection: &'a Rejection) -> Self {
        let names = |scopes: &'a [Scope]| scopes.iter().map(Scope::as_str).collect();
        let (shortfall, step_up) = (rejection.shortfall(), rejection.step_up());
        let acr_values = step_up.map_or(&[][..], StepUp::acr_values);
        let policy = rejection.excess().and_then(Excess::policy);
        Self {
            r#type: policy.map_or("about:blank", |_| QUOTA_EXCEEDED),
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
            acr_values: acr_values.iter().map(Acr::as_str).collect(),
            max_age: step_up.and_then(StepUp::max_age),
            violated_policies: policy.into_iter().collect(),
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

    /// How the person may prove who they are (RFC 9470 §3); empty unless that is what is missing, or when any way will do.
    #[must_use]
    pub fn acr_values(&self) -> &[&'a str] {
        &self.acr_values
    }

    /// How long ago that may be at most, in seconds.
    #[must_use]
    pub const fn max_age(&self) -> Option<u64> {
        self.max_age
    }

    /// The quotas that the caller went beyond; empty unless callers are told about quotas.
    #[must_use]
    pub fn violated_policies(&self) -> &[&'a str] {
        &self.violated_policies
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
