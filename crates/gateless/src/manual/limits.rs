//! # How much is too much
//!
//! ```text
//! request ─► FailureLimit ─► BearerAuth │ Introspection ─► Denylist ─► RateLimit ─► ScopeGuard ─► handler
//!            who guesses?    who is it?                    revoked?    too much?    may they?
//! ```
//!
//! Two questions, and two layers that must not be confused. *Before* the authentication nobody knows who it is; all there is, is
//! an address, which many may share and one may have many of. So [`FailureLimit`](crate::limit::FailureLimit) counts
//! nothing but refused credentials there, and stops nobody whose token is known to be good. *Behind* it,
//! [`RateLimit`](crate::limit::RateLimit) counts requests by who the caller is, whatever address or token they come with.
//!
//! ```
//! use gateless::bearer::BearerAuth;
//! use gateless::limit::{FailureLimit, LimitKey, Peer, RateLimit, TrustedProxies};
//! use gateless::{ConfigError, Quota};
//!
//! fn limits(auth: &BearerAuth) -> Result<(FailureLimit, RateLimit), ConfigError> {
//!     let failures = FailureLimit::builder(Quota::per_minute(20), auth.handle().clone())
//!         .peer(Peer::connection().behind_proxies(TrustedProxies::hops(1).networks(["10.0.0.0/8"])))
//!         .build()?;
//!     let requests = RateLimit::builder(
//!         LimitKey::caller(),
//!         [Quota::per_second(20), Quota::per_day(100_000)],
//!     )
//!     .build()?;
//!     Ok((failures, requests)) // failures outside of `auth`, requests inside of the denylist
//! }
//! # let _ = limits;
//! ```
//!
//! ## What a quota means
//!
//! [`Quota`](crate::Quota) is a limit, a period and a burst. In any span of time a caller gets at most the burst, and what the span
//! itself is worth: `burst + limit * span / period`. What was taken comes back evenly, unit by unit; there is no window,
//! and so no moment at which everything is back, or at which two windows' worth go through. `Quota::per_minute(60)` lets 60
//! requests through at once and then one a second; with `.burst(1)` they have to be a second apart.
//!
//! Several quotas hold at the same time: 20 a second *and* 100,000 a day. A request that one of them refuses takes nothing from
//! the others.
//!
//! ## Whose it is
//!
//! | key | requests that share a quota |
//! |---|---|
//! | [`LimitKey::caller`](crate::limit::LimitKey::caller) | of one issuer and subject; the usual choice |
//! | [`subject`](crate::limit::LimitKey::subject), [`client`](crate::limit::LimitKey::client), [`token`](crate::limit::LimitKey::token) | by that alone, always with the issuer |
//! | [`claim`](crate::limit::LimitKey::claim) | of one tenant, say |
//! | [`route`](crate::limit::LimitKey::route) | for one route, as the router matched it |
//! | [`peer`](crate::limit::LimitKey::peer) | from one place; needs no authentication |
//! | `a.and(b)` | that agree in both |
//!
//! They come from the verified token. A forged one with somebody's `sub` is refused by the authentication, and takes nothing
//! from them. Two keys with quotas of their own are two layers in a row.
//!
//! [`tier`](crate::limit::RateLimitBuilder::tier) gives some callers other quotas, by a
//! [claim](crate::limit::RateLimitBuilder::tier_claim) or by [whoever knows](crate::limit::RateLimitBuilder::tier_by).
//! [`route_cost`](crate::limit::RateLimitBuilder::route_cost) makes an export dearer than a look-up, and a
//! [`RateMeter`](crate::limit::RateMeter) takes more while a stream goes on.
//! [`ConcurrencyLimit`](crate::limit::ConcurrencyLimit) is about how many requests of a caller are under way at once.
//!
//! ## What the caller sees
//!
//! `429` with the code `rate_exceeded` and `Retry-After`, or `RESOURCE_EXHAUSTED` with `RetryInfo` and an `ErrorInfo` whose reason
//! is `RATE_EXCEEDED`: not `UNAVAILABLE`, which clients and proxies repeat at once. The time is rounded up, and spread by up to a
//! fifth, so that those who were refused together do not come back together. Whoever comes back then passes, if nobody else
//! took it.
//!
//! With the feature `limit_fields` and [`rate_limit_fields`] callers are told what is left, in `RateLimit` and
//! `RateLimit-Policy`. That is a draft (draft-ietf-httpapi-ratelimit-headers-11), which may still change.
//!
//! ## Memory
//!
//! What one process counts is in a table of a fixed size,
//! [`max_keys`](crate::limit::RateLimitBuilder::max_keys). A caller who is owed nothing takes no place in it. When all places
//! are taken by callers who do owe something, the one who owes least makes way, and strangers begin with what that one owed. So no
//! flood of keys resets anybody. It makes strangers poorer while it lasts, and with enough keys leaves them nothing, which the event
//! `gateless.limit.crowded` tells: make `max_keys` larger than the number of callers in the longest period.
//!
//! ## A fleet
//!
//! With the feature `limit_shared`, a layer counts in a [`QuotaStore`](crate::QuotaStore), such as the `RedisQuotas` of
//! gateless-redis, by the clock of the store:
//!
//! | | each request asks | in any span of time all instances together let through |
//! |---|---|---|
//! | `SharedLimits::exact` | the store; refusals are remembered | what the quota says, and no more, as long as the store keeps what it was told |
//! | `SharedLimits::leased` | nobody, mostly: an instance takes some units at a time | at most instances × units more |
//!
//! What happens while the store is away or slow has to be said: `LimitOutage`. Each answer has a deadline of 50 ms, and a store that fails again and
//! again is left alone but for one call a second. Quotas in the store outlive instances, and monthly ones a restart of the store
//! too, if it keeps its data.
//!
//! Services that share a store need names ([`named`](crate::limit::RateLimitBuilder::named)) or prefixes of their own. Every caller
//! takes a key there for as long as they owe something: for limits by address, of which there are very many, a server of their own
//! is better than the one that keeps the denylist.
//!
//! ## Trying it out
//!
//! [`shadow`](crate::limit::RateLimitBuilder::shadow) counts and tells, and refuses nobody:
//! `gateless_limit_requests_total{result="shadowed"}` says how many would have been refused, and the event `gateless.limit.shadowed`
//! under which limit.
//!
//! ## What it does not do
//!
//! A limit keeps a caller from using too much. It is no defence against a flood of packets, of connections, or of addresses
//! that send no credentials: that is for whatever stands in front of the process.
//!
#![cfg_attr(
    feature = "limit_fields",
    doc = "[`rate_limit_fields`]: crate::limit::RateLimitBuilder::rate_limit_fields"
)]
#![cfg_attr(
    not(feature = "limit_fields"),
    doc = "[`rate_limit_fields`]: crate::limit"
)]
