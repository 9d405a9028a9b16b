//! What the writer looks at of a request before it writes.

use std::net::IpAddr;

use gateless_audit::Outcome;
use gateless_core::{Monotonic, Principal, Rejection, Timestamp};

/// One request that is over, as whoever counts requests sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting<'a> {
    /// When it was over.
    pub(super) at: Monotonic,
    /// The same by the wall clock.
    pub(super) time: Timestamp,
    pub(super) outcome: Outcome,
    pub(super) method: &'static str,
    /// The route that matched, or the gRPC method.
    pub(super) route: Option<&'a str>,
    pub(super) status: Option<u16>,
    /// The stage that refused it.
    pub(super) stage: Option<&'static str>,
    pub(super) rejection: Option<&'a Rejection>,
    pub(super) principal: Option<&'a Principal>,
    /// Of an address, its prefix: all of IPv4, 64 bits of IPv6.
    pub(super) peer: Option<IpAddr>,
}

#[cfg(test)]
impl<'a> Sighting<'a> {
    /// A request that was allowed, so many milliseconds after some start.
    pub(super) fn allowed(millis: u64) -> Self {
        let since = std::time::Duration::from_millis(millis);
        Self {
            at: Monotonic::from_start(since),
            time: Timestamp::from_secs(1_700_000_000).saturating_add(since),
            outcome: Outcome::Allowed,
            method: "GET",
            route: Some("/orders/{id}"),
            status: Some(200),
            stage: None,
            rejection: None,
            principal: None,
            peer: Some(IpAddr::from([192, 0, 2, 1])),
        }
    }

    /// One that was refused.
    pub(super) fn denied(millis: u64, rejection: &'a Rejection) -> Self {
        Self {
            outcome: Outcome::Denied,
            status: Some(rejection.status().as_u16()),
            stage: Some("bearer"),
            rejection: Some(rejection),
            ..Self::allowed(millis)
        }
    }
}
