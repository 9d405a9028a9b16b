//! How much a caller may have, and how often one place may guess.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use gateless::limit::{
    FailureLimit, KnownTokens, LimitKey, LimitOutage, Peer, RateLimit, SharedLimits,
};
use gateless::{ConfigError, Quota};
use gateless_redis::{RedisQuotas, RedisServer};

use crate::auth::Auth;

/// So many a minute; `None` is no limit.
pub type PerMinute = Option<NonZeroU32>;

/// The limits of the service.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests of one caller.
    pub requests: PerMinute,
    /// Refused credentials from one address, or from one /64 of IPv6.
    pub failures: PerMinute,
    /// Where all instances count requests together.
    pub shared: Option<RedisServer>,
}

impl Limits {
    /// Limits that the guided tour can reach: 300 requests, and 60 refused credentials.
    pub const DEFAULT: Self = Self {
        requests: NonZeroU32::new(300),
        failures: NonZeroU32::new(60),
        shared: None,
    };

    /// No limits at all.
    pub const OFF: Self = Self {
        requests: None,
        failures: None,
        shared: None,
    };

    /// Counts requests by who sends them. In Redis each of them is counted there and then, so that all instances together
    /// let through what is set; while it is away, each instance counts for itself.
    pub(crate) fn rate(&self) -> Result<Option<RateLimit>, ConfigError> {
        let Some(limit) = self.requests else {
            return Ok(None);
        };
        let quota = Quota::per_minute(limit.get());
        let mut builder = RateLimit::builder(LimitKey::caller(), [quota]).named("orders");
        if let Some(server) = &self.shared {
            let store = RedisQuotas::new(server.clone());
            let alone = LimitOutage::LocalShare { instances: 1 };
            builder = builder.shared(SharedLimits::exact(store, alone));
        }
        builder.rate_limit_fields().build().map(Some)
    }

    /// Counts refused credentials by where they come from. Tokens that were good before go on.
    pub(crate) fn failures(&self, auth: &Auth) -> Result<Option<FailureLimit>, ConfigError> {
        let Some(limit) = self.failures else {
            return Ok(None);
        };
        let quota = Quota::per_minute(limit.get());
        let peer = Peer::from_extensions(|extensions| {
            let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
            Some(address.ip())
        });
        let known: Arc<dyn KnownTokens> = match auth {
            Auth::Bearer(bearer) => Arc::new(bearer.handle().clone()),
            Auth::Hybrid(.., hybrid) => Arc::new(hybrid.clone()),
        };
        let builder = RateLimit::failures(quota, known).peer(peer);
        builder.build().map(Some)
    }
}
