//! What a caller is told who had too much.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

/// What there was too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExcessKind {
    /// Requests of one caller.
    Requests,
    /// Refused credentials from one place.
    Failures,
    /// Requests of one caller at the same time.
    Concurrency,
}

impl ExcessKind {
    /// A stable name, fit for a metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Failures => "failures",
            Self::Concurrency => "concurrency",
        }
    }
}

/// What a caller had too much of, and when to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    kind: ExcessKind,
    retry_after: Duration,
    policy: Option<Arc<str>>,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Excess {
    /// Too much of `kind`; after `retry_after` there is more.
    #[must_use]
    pub const fn new(kind: ExcessKind, retry_after: Duration) -> Self {
        Self {
            kind,
            retry_after,
            policy: None,
            fields: Vec::new(),
        }
    }

    /// Tells the caller which quota it was, by the problem type `quota-exceeded` of the draft on `RateLimit` fields.
    #[must_use]
    pub fn of_policy(mut self, name: Arc<str>) -> Self {
        self.policy = Some(name);
        self
    }

    /// Adds a header field to the response.
    #[must_use]
    pub fn field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }

    /// What there was too much of.
    #[must_use]
    pub const fn kind(&self) -> ExcessKind {
        self.kind
    }

    /// When there is more.
    #[must_use]
    pub const fn retry_after(&self) -> Duration {
        self.retry_after
    }

    /// The quota, where callers are told about quotas.
    #[must_use]
    pub fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    pub(crate) fn fields(&self) -> &[(HeaderName, HeaderValue)] {
        &self.fields
    }
}
