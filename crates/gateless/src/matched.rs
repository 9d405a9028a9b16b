//! Which route the router chose for a request.

use std::sync::Arc;

use crate::gate::Head;

/// The route that a router of your own chose for a request, as the table spells it: `/orders/{id}`.
///
/// Behind axum and tonic nothing has to be done. Any other router leaves this in the extensions of the request before a
/// layer that asks for it sees it, such as a `ScopeGuard` with a table or a `RateLimit` by route; no header of a client can.
///
/// ```
/// use gateless::MatchedRoute;
///
/// let mut request = http::Request::get("/orders/7").body(())?;
/// request.extensions_mut().insert(MatchedRoute::new("/orders/{id}"));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MatchedRoute(Arc<str>);

impl MatchedRoute {
    /// The route with its parameters, never the path that the client sent.
    #[must_use]
    pub fn new(path: impl Into<Arc<str>>) -> Self {
        Self(path.into())
    }
}

/// What is known of the route.
#[cfg(any(feature = "limit", feature = "scope"))]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Matched<'a> {
    /// A router chose this one.
    Route(&'a str),
    /// A router found none: the request is on its way to a fallback.
    #[cfg(feature = "axum")]
    Fallback,
    /// No router was there yet.
    Unrouted,
}

#[cfg(any(feature = "limit", feature = "scope"))]
impl<'a> Matched<'a> {
    pub(crate) fn of(head: Head<'a>) -> Self {
        if let Some(MatchedRoute(path)) = head.extensions.get() {
            return Self::Route(path);
        }
        #[cfg(feature = "axum")]
        {
            use axum::extract::{MatchedPath, OriginalUri};

            if let Some(path) = head.extensions.get::<MatchedPath>() {
                return Self::Route(path.as_str());
            }
            // The mark that a router of axum leaves on every request.
            if head.extensions.get::<OriginalUri>().is_some() {
                return Self::Fallback;
            }
        }
        Self::Unrouted
    }
}

/// The route that a router chose, for as long as it is needed.
#[cfg(feature = "audit")]
pub(crate) enum KeptRoute {
    Own(Arc<str>),
    #[cfg(feature = "axum")]
    Axum(axum::extract::MatchedPath),
}

#[cfg(feature = "audit")]
impl KeptRoute {
    pub(crate) fn of(head: Head<'_>) -> Option<Self> {
        if let Some(MatchedRoute(path)) = head.extensions.get() {
            return Some(Self::Own(Arc::clone(path)));
        }
        #[cfg(feature = "axum")]
        {
            let path: &axum::extract::MatchedPath = head.extensions.get()?;
            Some(Self::Axum(path.clone()))
        }
        #[cfg(not(feature = "axum"))]
        None
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Own(path) => path,
            #[cfg(feature = "axum")]
            Self::Axum(path) => path.as_str(),
        }
    }
}
