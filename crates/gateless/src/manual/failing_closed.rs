//! # Failing closed
//!
//! A dependency that is away must neither let anybody in nor throw everybody out. `401` tells a client to throw its
//! token away, so that one short outage becomes a storm of sign-ins; `200` is worse. What a stage answers while it
//! cannot decide is `503` with `Retry-After`, or `UNAVAILABLE`: the request may be repeated as it is.
//!
//! | dependency | choices | while it is away, and what is held is past its time |
//! |---|---|---|
//! | the keys of an issuer | [`OnOutage`](crate::OnOutage), an argument of [`Keys::discovery`](crate::bearer::Keys::discovery) and [`Keys::jwks_url`](crate::bearer::Keys::jwks_url) | `503` for tokens of that issuer; others are not touched |
//! | the introspection endpoint | [`OnOutage`](crate::OnOutage), an argument of `Endpoint::discovery` and `Endpoint::url` | `503` for tokens whose answer is past its lifetime or that nobody asked about yet; the others are not touched |
//! | the log of the denylist | [`OnOutage`](crate::OnOutage), an argument of `Denylist::builder`, or another one for some routes | `503` for every token that is not known to be revoked; those stay `401` |
//! | the store of a fleet's limits | `LimitOutage`, an argument of `SharedLimits::exact` and `SharedLimits::leased` | `503`, a share of the quota for each instance, or no limit |
//! | the sink of the audit log | `Backpressure`, an argument of `AuditLog::builder` | `503` before anything is done, the same after a wait, or served and counted |
//! | a store of shared answers | none: the endpoint is asked | – |
//! | a file with keys | none: what was read stays | – |
//! | a new configuration | none: the old one stays | – |
//!
//! Two choices open, and they have danger in their names: `Denylist::danger_open_on_outage`, for single routes, and
//! `LimitOutage::DangerOpen`. Nothing else lets a request through because something could not be checked.
//! `Backpressure::DropAndCount` lets through what cannot be *recorded*; who the caller is and what they may is asked all the
//! same.
//!
//! ## The keys of an issuer
//!
//! ```text
//! fetched          renewal begins            lifetime over           bound of the outage policy
//!   │── fresh ───────────│── fresh, being renewed ──│── stale ─────────────│── missing: 503
//!   0                  7 to 8 min                 10 min              10 min + StaleFor(d)
//! ```
//!
//! - [`OnOutage::FailClosed`](crate::OnOutage::FailClosed): nothing is stale. An outage of the issuer that is longer
//!   than what is left of the lifetime, 2 to 10 minutes, is one of the service.
//! - [`OnOutage::StaleFor(d)`](crate::OnOutage::StaleFor): keys are used for `d` longer. A key that the issuer withdraws
//!   meanwhile is believed for as long; [`refuse_key`](crate::bearer::BearerHandle::refuse_key) does not wait for the
//!   issuer. An hour is usual, a day is a hole.
//!
//! The policy is a value: it stands in the `Debug` output of a layer, next to lifetime, cooldown and timeout.
//!
//! A token whose key id is unknown is a different matter. It may be signed by a new key, or made up. It causes one
//! fetch per cooldown, and then:
//!
//! | the last fetch | answer | why |
//! |---|---|---|
//! | brought keys, this one is not among them | `401` | the issuer was asked, and does not have it |
//! | failed | `503` | nobody knows |
//!
//! For the rest of the cooldown (30 s) the first answer stands. An issuer that signs with a new key before it has
//! published it, or that rotates twice within the cooldown, has its new tokens refused for that long; one that publishes
//! a key some minutes before it signs with it never has. The first keys, and new ones after an outage, are no such
//! fetch: whoever brought them about, the next unknown key has its own.
//!
//! ## The introspection endpoint
//!
//! Tokens that were asked about go on until their answer is past its lifetime (30 s), as if nothing had happened.
//!
//! - [`OnOutage::FailClosed`](crate::OnOutage::FailClosed): then they get `503`. An outage of the authorization server that
//!   is longer than the lifetime is one of the service.
//! - [`OnOutage::StaleFor(d)`](crate::OnOutage::StaleFor): the last answer is used for `d` longer, only while the endpoint
//!   cannot be asked or answers with an error of its own (`5xx`, a page of HTML), and never past the token's `exp`. A token that is revoked meanwhile goes on for as long: that is
//!   the price. Tokens that nobody asked about before get `503` in any case.
//!
//! A readiness probe should not ask for it: tokens that are known, and JWTs, are served, and an instance that is taken
//! out of service for it hands its callers to others that cannot ask either, and know less.
//!
//! ## In an emergency
//!
//! A [`BearerHandle`](crate::bearer::BearerHandle) acts on every clone of a layer at once:
//!
//! | what happened | call | what follows |
//! |---|---|---|
//! | a signing key leaked | [`refuse_key`](crate::bearer::BearerHandle::refuse_key) | the next request with such a token gets `401`, known or not, whatever the issuer publishes |
//! | a key set was tampered with | [`purge_keys`](crate::bearer::BearerHandle::purge_keys) | all keys of the issuer are gone, `503` until new ones are fetched, which begins at once |
//! | somebody signed out everywhere | `IntrospectionHandle::forget_where` | the server is asked again about their tokens with the next request |
//! | a token, session, subject, client or key has to end, in the whole fleet | `DenylistHandle::revoke` | see the chapter `revocation` |
//! | the policy is too lax | [`reload`](crate::bearer::BearerHandle::reload) | judged by the new one from the next request on; an unusable one changes nothing |
//!
//! All but the denylist act on one process: a fleet needs the call on each instance.
//!
//! ## What a probe should ask
//!
//! [`is_ready`](crate::bearer::BearerHandle::is_ready) is for a readiness probe: it is false as long as tokens of some
//! issuer would get `503`. It is not for a liveness probe: a restart brings no keys back, and loses those that are held.
//!
//! ```
//! use axum::{Router, http::StatusCode, routing::get};
//! use gateless::bearer::BearerAuth;
//!
//! fn probes(auth: &BearerAuth) -> Router {
//!     let handle = auth.handle().clone();
//!     let ready = async move || match handle.is_ready() {
//!         true => (StatusCode::OK, "ready"),
//!         false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
//!     };
//!     Router::new().route("/healthz", get("ok")).route("/readyz", get(ready))
//! }
//! # let _ = probes;
//! ```
//!
//! A denylist and an audit log that fail closed belong into it, too: see the chapter `operating`.
//!
//! [`key_status`](crate::bearer::BearerHandle::key_status) says more, to people: state, age and ids of the keys, and
//! what went wrong with the last fetch. It names issuers, so put it where not everybody can read it.
