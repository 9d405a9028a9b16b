//! What a route declares: which callers it is for, or that it is open, and why.

use std::collections::BTreeMap;
use std::fmt;

use http::Method;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::requirement::Requirement;
use crate::scope::Scope;

/// Who gets through to a route.
///
/// ```
/// use gateless_core::{Access, Requirement, scope, scopes};
///
/// let read = Access::from(scope!("orders:read"));
/// let both = Access::from(scopes!["orders:read", "invoices:read"]);
/// let anybody_signed_in = Access::authenticated();
/// let health = Access::open("asked by the platform, says nothing");
/// assert_eq!(health.to_string(), "open: asked by the platform, says nothing");
/// # let _ = (read, both, anybody_signed_in);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Callers who meet the requirement.
    Requires(Requirement),
    /// Everybody, with or without a token.
    Open {
        /// Why that is right: for whoever reads the list of routes later.
        reason: Box<str>,
    },
}

impl Access {
    /// For every valid token.
    #[must_use]
    pub const fn authenticated() -> Self {
        Self::Requires(Requirement::authenticated())
    }

    /// For everybody. The reason stands in the list of routes; a table refuses an empty one.
    #[must_use]
    pub fn open(reason: impl Into<Box<str>>) -> Self {
        Self::Open {
            reason: reason.into(),
        }
    }

    /// What is required; `None` of an open route.
    #[must_use]
    pub const fn requirement(&self) -> Option<&Requirement> {
        match self {
            Self::Requires(requirement) => Some(requirement),
            Self::Open { .. } => None,
        }
    }
}

impl From<Requirement> for Access {
    fn from(requirement: Requirement) -> Self {
        Self::Requires(requirement)
    }
}

impl From<Scope> for Access {
    fn from(scope: Scope) -> Self {
        Self::Requires(scope.into())
    }
}

/// All of them. An empty list does not compile.
impl<const N: usize> From<[Scope; N]> for Access {
    fn from(scopes: [Scope; N]) -> Self {
        Self::Requires(Requirement::all(scopes))
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requires(requirement) => fmt::Display::fmt(requirement, f),
            Self::Open { reason } => write!(f, "open: {reason}"),
        }
    }
}

/// What a declaration is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// An HTTP method of a path, as the router writes it: `/orders/{id}`.
    Http {
        /// The method.
        method: Method,
        /// The path with its parameters, never one that a client sent.
        path: Box<str>,
    },
    /// A gRPC method by its full name: `orders.v1.Orders/List`.
    Grpc {
        /// Package, service and method.
        method: Box<str>,
    },
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { method, path } => write!(f, "{method} {path}"),
            Self::Grpc { method } => write!(f, "gRPC {method}"),
        }
    }
}

/// A route, and who gets through to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Declaration {
    /// What is declared.
    pub route: Route,
    /// For whom.
    pub access: Access,
}

impl Declaration {
    /// Declares that `access` is what `route` needs.
    #[must_use]
    pub fn new(route: Route, access: impl Into<Access>) -> Self {
        Self {
            route,
            access: access.into(),
        }
    }
}

/// As `{"method": "GET", "path": "/orders", "requires": …}` or `{"grpc": "orders.v1.Orders/List", "open": "…"}`; where
/// scopes are implied by others, with `"implied_by": {"orders:read": ["orders:write"]}`.
impl Serialize for Declaration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match &self.route {
            Route::Http { method, path } => {
                map.serialize_entry("method", method.as_str())?;
                map.serialize_entry("path", path)?;
            }
            Route::Grpc { method } => map.serialize_entry("grpc", method)?,
        }
        match &self.access {
            Access::Requires(requirement) => {
                map.serialize_entry("requires", requirement)?;
                let implied: BTreeMap<_, _> = requirement.implied().into_iter().collect();
                if !implied.is_empty() {
                    map.serialize_entry("implied_by", &implied)?;
                }
            }
            Access::Open { reason } => map.serialize_entry("open", reason)?,
        }
        map.end()
    }
}
