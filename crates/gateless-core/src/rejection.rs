//! Every way to say no, in one table.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::fault::{PresentationFault, TokenFault};
use crate::quota::Excess;
use crate::requirement::{Shortfall, StepUp};

/// Why a request is refused.
///
/// | variant | code | HTTP | gRPC | challenge |
/// |---|---|---|---|---|
/// | `CredentialsMissing` | `credentials_missing` | 401 | 16 `UNAUTHENTICATED` | `Bearer`, without `error` |
/// | `CredentialsMalformed` | `credentials_malformed` | 400 | 16 `UNAUTHENTICATED` | `error="invalid_request"` |
/// | `TokenInvalid` | `token_invalid` | 401 | 16 `UNAUTHENTICATED` | `error="invalid_token"` |
/// | `ScopeInsufficient` | `scope_insufficient` | 403 | 7 `PERMISSION_DENIED` | `error="insufficient_scope"`, `scope` |
/// | `AuthenticationInsufficient` | `authentication_insufficient` | 401 | 16 `UNAUTHENTICATED` | `error="insufficient_user_authentication"`, `acr_values`, `max_age` |
/// | `CallerNotPermitted` | `caller_not_permitted` | 403 | 7 `PERMISSION_DENIED` | – |
/// | `RouteUnknown` | `route_unknown` | 404 | 12 `UNIMPLEMENTED` | – |
/// | `MethodUnknown` | `method_unknown` | 405 | 12 `UNIMPLEMENTED` | – ; `Allow` |
/// | `RouteUndeclared` | `route_undeclared` | 403 | 7 `PERMISSION_DENIED` | – |
/// | `RateExceeded` | `rate_exceeded` | 429 | 8 `RESOURCE_EXHAUSTED` | – ; `Retry-After` |
/// | `DependencyUnavailable` | `dependency_unavailable` | 503 | 14 `UNAVAILABLE` | – ; `Retry-After` |
/// | `PipelineMisordered` | `pipeline_misordered` | 500 | 13 `INTERNAL` | – |
///
/// Codes are public API; messages may be reworded. The reason inside a variant is for audit and metrics: the
/// caller gets the same text for every bad token, so that nothing can be learned from the difference.
///
/// A refused response carries its `Rejection` in its extensions, where outer layers find it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// No credentials at all (RFC 6750 §3.1: the challenge has no `error`).
    #[error("an access token is required")]
    CredentialsMissing,
    /// The credentials are presented in a way that RFC 6750 §2 does not allow.
    #[error("the access token is not presented the way RFC 6750 asks for")]
    CredentialsMalformed(PresentationFault),
    /// The token itself is not accepted.
    #[error("the access token is not valid")]
    TokenInvalid(TokenFault),
    /// The token is fine and does not grant what the route needs.
    #[error("the access token does not grant what this request needs")]
    ScopeInsufficient(Shortfall),
    /// The token is fine, but its owner has to prove who they are again, or better (RFC 9470 §3).
    #[error("this request needs a more recent or a stronger authentication")]
    AuthenticationInsufficient(Box<StepUp>),
    /// The route is not for this caller, whatever they ask for. No challenge: it could only be followed in vain.
    #[error("this request is not for this caller")]
    CallerNotPermitted,
    /// No route matches the request.
    #[error("there is no such route")]
    RouteUnknown,
    /// A route matches the request, but not its method.
    #[error("the route does not have this method")]
    MethodUnknown {
        /// The methods that it has, as in the field `Allow` (RFC 9110 §10.2.1).
        allow: Arc<str>,
    },
    /// A route matches the request, and nobody declared what it needs: a fault of the deployment, and denied.
    #[error("the route is not open to anybody")]
    RouteUndeclared,
    /// The caller had too much, and gets more later (RFC 6585 §4).
    #[error("too many requests")]
    RateExceeded(Box<Excess>),
    /// Something that the decision depends on is away. Never the caller's fault.
    #[error("the service cannot decide on this request at the moment")]
    DependencyUnavailable {
        /// What is away.
        dependency: Dependency,
        /// When to try again.
        retry_after: Duration,
    },
    /// A stage ran without the earlier one that it builds on: a fault of the deployment.
    #[error("the service is not set up correctly")]
    PipelineMisordered,
}

/// What a decision can depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dependency {
    /// The keys of an issuer.
    Keys,
    /// The authorization server that knows about a token (RFC 7662).
    Introspection,
    /// The list of what was revoked.
    Denylist,
    /// The store in which a fleet counts what its callers take.
    Limits,
    /// Where the records of what was decided go.
    Audit,
}

impl Dependency {
    /// A stable name, fit for a metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Introspection => "introspection",
            Self::Denylist => "denylist",
            Self::Limits => "limits",
            Self::Audit => "audit",
        }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One row of the table above.
struct Row {
    code: &'static str,
    status: StatusCode,
    grpc: u8,
    /// The `error` attribute of the challenge, `Some("")` for a challenge without one.
    challenge: Option<&'static str>,
}

impl Rejection {
    const fn row(&self) -> Row {
        let (code, status, grpc, challenge) = match self {
            Self::CredentialsMissing => (
                "credentials_missing",
                StatusCode::UNAUTHORIZED,
                16,
                Some(""),
            ),
            Self::CredentialsMalformed(_) => (
                "credentials_malformed",
                StatusCode::BAD_REQUEST,
                16,
                Some("invalid_request"),
            ),
            Self::TokenInvalid(_) => (
                "token_invalid",
                StatusCode::UNAUTHORIZED,
                16,
                Some("invalid_token"),
            ),
            Self::ScopeInsufficient(_) => (
                "scope_insufficient",
                StatusCode::FORBIDDEN,
                7,
                Some("insufficient_scope"),
            ),
            Self::AuthenticationInsufficient(_) => (
                "authentication_insufficient",
                StatusCode::UNAUTHORIZED,
                16,
                Some("insufficient_user_authentication"),
            ),
            Self::CallerNotPermitted => ("caller_not_permitted", StatusCode::FORBIDDEN, 7, None),
            Self::RouteUnknown => ("route_unknown", StatusCode::NOT_FOUND, 12, None),
            Self::MethodUnknown { .. } => {
                ("method_unknown", StatusCode::METHOD_NOT_ALLOWED, 12, None)
            }
            Self::RouteUndeclared => ("route_undeclared", StatusCode::FORBIDDEN, 7, None),
            Self::RateExceeded(_) => ("rate_exceeded", StatusCode::TOO_MANY_REQUESTS, 8, None),
            Self::DependencyUnavailable { .. } => (
                "dependency_unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                14,
                None,
            ),
            Self::PipelineMisordered => (
                "pipeline_misordered",
                StatusCode::INTERNAL_SERVER_ERROR,
                13,
                None,
            ),
        };
        Row {
            code,
            status,
            grpc,
            challenge,
        }
    }

    /// What signing in anew would change; `None` unless that would help.
    #[must_use]
    pub fn step_up(&self) -> Option<&StepUp> {
        match self {
            Self::AuthenticationInsufficient(step_up) => Some(step_up),
            _ => None,
        }
    }

    /// The scopes that are missing; `None` unless further scopes would help.
    #[must_use]
    pub fn shortfall(&self) -> Option<&Shortfall> {
        match self {
            Self::ScopeInsufficient(shortfall) => Some(shortfall),
            Self::AuthenticationInsufficient(step_up) => step_up.shortfall(),
            _ => None,
        }
    }

    /// The stable code: public API, safe as a metric label.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.row().code
    }

    /// The exact reason where there is a finer one than [`code`](Self::code); for audit, not for the caller.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::CredentialsMalformed(fault) => fault.code(),
            Self::TokenInvalid(fault) => fault.code(),
            Self::RateExceeded(excess) => excess.kind().name(),
            Self::DependencyUnavailable { dependency, .. } => dependency.name(),
            _ => self.row().code,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.row().status
    }

    /// The gRPC status code.
    #[must_use]
    pub const fn grpc_code(&self) -> u8 {
        self.row().grpc
    }

    /// The `error` attribute of the challenge: `None` without a challenge, `Some("")` for one that names no error.
    #[must_use]
    pub const fn challenge_error(&self) -> Option<&'static str> {
        self.row().challenge
    }

    /// After how many whole seconds to try again, rounded up; `None` where waiting does not help.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        let retry_after = match self {
            Self::RateExceeded(excess) => excess.retry_after(),
            Self::DependencyUnavailable { retry_after, .. } => *retry_after,
            _ => return None,
        };
        let partial = u64::from(retry_after.subsec_nanos() > 0);
        Some(retry_after.as_secs().saturating_add(partial).max(1))
    }

    /// Whether whoever sent the request may have guessed: credentials were looked at and refused, and nothing
    /// [proves](TokenFault::proves_origin) that their issuer made them.
    ///
    /// What should not have come the way it came was not looked at: a page of somebody else's may have made a browser send
    /// it.
    #[must_use]
    pub const fn may_be_a_guess(&self) -> bool {
        match self {
            Self::CredentialsMalformed(fault) => !matches!(
                fault,
                PresentationFault::CrossSite | PresentationFault::Exposed
            ),
            Self::TokenInvalid(fault) => !fault.proves_origin(),
            _ => false,
        }
    }

    /// What there was too much of; `None` unless that is why.
    #[must_use]
    pub fn excess(&self) -> Option<&Excess> {
        match self {
            Self::RateExceeded(excess) => Some(excess),
            _ => None,
        }
    }
}

impl From<PresentationFault> for Rejection {
    fn from(fault: PresentationFault) -> Self {
        Self::CredentialsMalformed(fault)
    }
}

impl From<TokenFault> for Rejection {
    fn from(fault: TokenFault) -> Self {
        Self::TokenInvalid(fault)
    }
}

impl From<Excess> for Rejection {
    fn from(excess: Excess) -> Self {
        Self::RateExceeded(Box::new(excess))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::quota::ExcessKind;

    #[rstest]
    #[case(Duration::ZERO, 1)]
    #[case(Duration::from_millis(1), 1)]
    #[case(Duration::from_secs(2), 2)]
    #[case(Duration::from_millis(2_001), 3)]
    #[case(Duration::MAX, u64::MAX)]
    fn retry_after_rounds_up(#[case] retry_after: Duration, #[case] secs: u64) {
        let excess = Excess::new(ExcessKind::Requests, retry_after);
        for rejection in [
            Rejection::DependencyUnavailable {
                dependency: Dependency::Keys,
                retry_after,
            },
            excess.into(),
        ] {
            assert_eq!(rejection.retry_after_secs(), Some(secs));
        }
    }

    #[test]
    fn only_refused_credentials_that_nobody_vouches_for_may_be_a_guess() {
        let sent_by_others = [PresentationFault::CrossSite, PresentationFault::Exposed];
        let tokens = TokenFault::ALL.iter();
        let tokens = tokens.map(|fault| ((*fault).into(), !fault.proves_origin()));
        let presented = PresentationFault::ALL.iter();
        let presented = presented.map(|fault| ((*fault).into(), !sent_by_others.contains(fault)));
        let others = [
            Rejection::CredentialsMissing,
            Rejection::CallerNotPermitted,
            Rejection::RouteUnknown,
            Rejection::RouteUndeclared,
            Rejection::MethodUnknown {
                allow: "GET".into(),
            },
            Excess::new(ExcessKind::Failures, Duration::ZERO).into(),
            Rejection::DependencyUnavailable {
                dependency: Dependency::Introspection,
                retry_after: Duration::ZERO,
            },
            Rejection::PipelineMisordered,
        ];
        let others = others.into_iter().map(|rejection| (rejection, false));
        for (rejection, may_be) in tokens.chain(presented).chain(others) {
            assert_eq!(rejection.may_be_a_guess(), may_be, "{rejection:?}");
        }
    }

    #[test]
    fn tl_14_every_bad_token_reads_the_same() {
        let texts: std::collections::HashSet<_> = TokenFault::ALL
            .iter()
            .map(|fault| {
                let rejection = Rejection::from(*fault);
                (rejection.to_string(), rejection.code(), rejection.status())
            })
            .collect();
        assert_eq!(texts.len(), 1);
    }
}
