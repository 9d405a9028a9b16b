//! # Running it
//!
//! For whoever is called at night. What each number means is said in [`observing`](super::observing); this chapter
//! says which of them to look at, and what to do then.
//!
//! ## Starting
//!
//! | wait for | when | it fails |
//! |---|---|---|
//! | [`BearerHandle::ready`](crate::bearer::BearerHandle::ready) | the first request should not wait for keys | the issuer cannot be reached; a service may start all the same, and answers 503 |
//! | [`IntrospectionHandle::ready`](crate::introspection::IntrospectionHandle::ready) | always, at a roll-out | wrong address, wrong secret, or the server is away |
//! | [`DenylistHandle::ready`](crate::denylist::DenylistHandle::ready) | always: everything gets 503 until then | the log cannot be read; the layer goes on trying |
//! | `AuditLog::builder(…).build()` | it is no waiting: it opens the file | the file cannot be written, or belongs to another process |
//!
//! None of them exits the process. Wait with a deadline, log what they say, and let the readiness probe keep requests
//! away.
//!
//! ## Probes
//!
//! ```
//! use gateless::audit::AuditHandle;
//! use gateless::bearer::BearerHandle;
//! use gateless::denylist::DenylistHandle;
//!
//! /// Whether requests should come here.
//! fn is_ready(keys: &BearerHandle, denylist: &DenylistHandle, audit: &AuditHandle) -> bool {
//!     keys.is_ready() && denylist.is_ready() && audit.status().is_writing
//! }
//! # let _ = is_ready;
//! ```
//!
//! | | readiness | liveness |
//! |---|---|---|
//! | keys, `BearerHandle::is_ready` | yes | no: a restart loses the keys that are held |
//! | denylist, `DenylistHandle::is_ready` | where it fails closed | no: a restart loses the list |
//! | introspection | no: known tokens and JWTs are served, and the others ask the same server | no |
//! | limits | no: `LimitOutage` decides | no |
//! | audit, `AuditHandle::status().is_writing` | with `FailRequest` and `Block`, as such an instance serves nobody | no: but see the event `gateless.audit.died` below |
//!
//! When *all* instances lose the same dependency, all of them become unready, and a load balancer may answer with an
//! error of its own in place of 503 with `Retry-After`. Where yours does, leave the dependency that they share (the
//! log of the denylist) out of the probe. The probe's route stays outside of the layers, or is open in the table; it
//! says ready or not and nothing else: `key_status` and the others name issuers, and are for people.
//!
//! ## Stopping
//!
//! First the server ([graceful shutdown](https://docs.rs/axum/latest/axum/serve/struct.WithGracefulShutdown.html)),
//! then [`AuditHandle::close`](crate::audit::AuditHandle::close) with a few seconds. Without it the log has no last
//! line, and looks as if it had been cut off.
//!
//! ## Dashboard
//!
//! | picture | expression |
//! |---|---|
//! | refusals by reason | `sum by (stage, code, reason) (rate(gateless_refusals_total[5m]))` |
//! | how tokens are decided on | `sum by (result) (rate(gateless_tokens_total[5m]))` |
//! | share that the cache saves | `sum(rate(gateless_tokens_total{result="cached"}[5m])) / sum(rate(gateless_tokens_total[5m]))` |
//! | age of keys | `time() - gateless_keys_fetched_timestamp_seconds` |
//! | opaque tokens | `sum by (issuer, result) (rate(gateless_introspected_tokens_total[5m]))` |
//! | calls of the endpoint | `sum by (issuer, result) (rate(gateless_introspections_total[5m]))`, and `gateless_introspections_under_way` |
//! | denylist | `gateless_denylist_age_seconds`, `gateless_denylist_records / gateless_denylist_capacity` |
//! | limits | `sum by (limit, result) (rate(gateless_limit_requests_total[5m]))` |
//! | guessing | `sum by (result) (rate(gateless_failure_limit_total[5m]))` |
//! | audit | `gateless_audit_waiting`, `sum by (outcome) (rate(gateless_audit_requests_total[5m]))` |
//!
//! `gateless_refusals_total` counts refusals and no requests. Where there is an `AuditLog`,
//! `gateless_audit_requests_total` counts all of them, by matched route.
//!
//! ## Alarms
//!
//! The thresholds are for the defaults; where you set other times, set other thresholds.
//!
//! | | expression | for | means |
//! |---|---|---|---|
//! | page | `sum(rate(gateless_refusals_total{code="dependency_unavailable"}[5m])) > 0` | 2 m | good callers get 503; `reason` says for what: `keys`, `introspection`, `denylist`, `limits`, `audit` |
//! | page | `increase(gateless_refusals_total{code=~"pipeline_misordered\|route_undeclared"}[10m]) > 0` | – | a fault of the deployment: roll back |
//! | page | `gateless_denylist_age_seconds > 20` | 10 s | what is revoked does not arrive; at 30 s `OnOutage` applies |
//! | page | `increase(gateless_denylist_syncs_total{result="lost"}[10m]) > 0` | – | the log has lost data; the instances put it back |
//! | page | `increase(gateless_denylist_checks_total{result="open"}[5m]) > 0` | – | a route that goes on whatever happens lets through what may be revoked |
//! | page | `increase(gateless_denylist_changes_total{change="failed"}[5m]) > 0` | – | somebody wanted to revoke something, and it is not revoked |
//! | page | `increase(gateless_audit_missed_total[5m]) > 0` | – | requests without a record (`lost`), or not served for want of one (`unserved`) |
//! | page | `increase(gateless_introspections_total{result="unauthorized"}[5m]) > 0` | – | the authorization server does not accept this service |
//! | ticket | `time() - gateless_keys_fetched_timestamp_seconds > 540` | 1 m | keys are renewed after 8 minutes at the latest, and past their lifetime after 10 |
//! | ticket | `increase(gateless_stale_keys_used_total[5m]) > 0` | – | keys past their lifetime are believed: the outage policy is at work |
//! | ticket | `increase(gateless_key_fetches_total{result="failed"}[15m]) > 3` | – | the issuer fails, and nobody notices yet |
//! | ticket | `gateless_denylist_records / gateless_denylist_capacity > 0.8` | – | more room, or shorter tokens |
//! | ticket | `increase(gateless_limit_without_store_total[5m]) > 0` | – | the fleet's store is away: limits hold as `LimitOutage` says |
//! | ticket | `increase(gateless_audit_write_failures_total[5m]) > 0` | – | a file or its disk |
//! | ticket | `increase(gateless_audit_sink_lost_total[1h]) > 0` | – | a further sink, or the second place of checkpoints, lost records that are in the file |
//! | ticket | `gateless_audit_waiting > 6500` | 1 m | four fifths of `capacity`: the disk is slow, or there are more open streams than places |
//! | ticket | `increase(gateless_reloads_total{result="refused"}[1h]) > 0` | – | a new configuration cannot be used; the old one decides |
//! | security | `increase(gateless_denylist_revoked_used_total[10m]) > 0` | – | somebody uses what was taken from them |
//! | security | `rate(gateless_failure_limit_total{result="refused"}[5m]) > 1` | 5 m | somebody guesses, and goes on |
//! | security | `increase(gateless_audit_signals_total[10m]) > 0` | – | `signal` says what |
//!
//! Two events have no number, and belong to an alarm on logs: `gateless.audit.died` (nothing is recorded any more:
//! restart the instance) and `gateless.keys.exposed` (the issuer publishes a key that signs).
//!
//! `gateless_denylist_age_seconds` is infinite (`+Inf`) at an instance that has never loaded its list, so the alarm is about
//! that one, too. A counter that nobody has counted with yet is not there: `increase` of it is nothing, and no alarm. Install
//! the recorder before layers are built, so that most of them begin at zero.
//!
//! ## Changing the configuration
//!
//! [`BearerHandle::reload`](crate::bearer::BearerHandle::reload) and
//! [`IntrospectionHandle::reload`](crate::introspection::IntrospectionHandle::reload) take a whole new builder, check
//! it, and put it in place for every clone, or leave the old one. Keys whose source and settings did not change stay.
//! Tokens are judged anew from the next request on. What `Keys::file` and `Secret::file` name is read again by itself
//! when it changes. All other layers (denylist, limits, guards, audit) have the settings that they were built with:
//! those change with a new process.
//!
//! ## A fleet
//!
//! - **Roll out** instance by instance. New instances take part in the denylist, shared limits and shared answers at
//!   once; what these keep is in Redis and not in the process. Every instance has an audit file of its own, and a
//!   name of its own ([`AuditLog::builder`](crate::audit::AuditLog::builder)).
//! - **The same settings everywhere** where something is shared: `token_lifetime` of the denylist; name, tiers and
//!   quotas of a limit (others make another count); the secret of `SharedAnswers` (another one is another store); the
//!   prefix in Redis.
//! - **Before more instances than before**: raise `instances` of `LimitOutage::LocalShare` first. Leases let through
//!   at most instances × units more.
//! - **A scope or an audience that changes**: accept both (`TokenPolicy::audience`, `Requirement::any`), roll out,
//!   change the issuer, and take the old one off a token's lifetime later.
//! - **A new issuer**: add it with [`BearerAuthBuilder::issuer`](crate::bearer::BearerAuthBuilder::issuer), roll out,
//!   move clients, remove the old one.
//!
//! ## Emergencies
//!
//! What acts on one process only has to be done on each. So have a route of your own for operators that calls it, or
//! revoke in the denylist.
//!
//! | | do | then |
//! |---|---|---|
//! | **a signing key leaked** | revoke it in the whole fleet, `Revocation::key(issuer, kid)`; without a denylist [`refuse_key`](crate::bearer::BearerHandle::refuse_key) on each instance | the issuer rotates; everybody whose token it signed signs in again. It stays until `unrevoke`, or for `refuse_key` until the process ends: take the key out of the issuer's set before restarting |
//! | **the key set was tampered with** | [`purge_keys`](crate::bearer::BearerHandle::purge_keys) on each instance, once the issuer is mended | 503 until new keys are there |
//! | **a token leaked** | `Revocation::token(issuer, jti)`, better `Revocation::session`; at the authorization server too, else the refresh token brings new ones | `gateless-audit query --token-id` says where it was used |
//! | **somebody has to go** | `Revocation::subject(issuer, sub)`; for a client `Revocation::client` | tokens issued until now are refused; later ones only if the issuer makes none any more |
//! | **an opaque token was revoked at its server** | wait for the lifetime (30 s), or [`forget_where`](crate::introspection::IntrospectionHandle::forget_where) on each instance | with `StaleFor`, and the server away, it can go on for longer |
//! | **all must go** | `Revocation::issuer(issuer)` | everybody signs in again: warn the issuer |
//! | **the issuer is down** | nothing for as long as `OnOutage` bridges it. A longer bridge is a `reload` with other [`Keys`](crate::bearer::Keys), which fetches anew and is refused while the issuer is away: choose `StaleFor` before | do not restart instances: the keys that are held are all there is |
//! | **Redis is down** | what is known to be revoked stays refused. Denylist: `OnOutage` after 30 s. Limits: `LimitOutage` at once. Shared answers: the server is asked. Revoking fails, or is queued where there is a `RevocationOutbox` | when it comes back empty, the instances put the list back (`put_back`): do not restart all of them while it is away |
//! | **the disk is full** | `FailRequest` and `Block` serve nobody, `DropAndCount` serves and counts. Make room; do not delete the file that is written to | the log begins again by itself, with a `gap` record that says how many are missing |
//! | **the clock is wrong** | ahead: good tokens are `expired`; behind: `not_yet_valid`, `issued_in_future`, and expired ones pass for as long. Set the clock; no restart is needed for tokens, keys and limits | the denylist keeps records for an hour beyond their end, in memory and in a `RevocationFile`. A clock that was ahead by more than that had it forget records that were not over, and one that was ahead at all where four fifths of the room were taken: restart such instances, one by one, so that they load the list anew from Redis |
//! | **a flood of made-up tokens** | `FailureLimit`; for opaque ones `token_prefix` and `token_lengths` | known tokens go on; volume is for whatever stands in front |
//! | **a policy is too lax** | `reload` with a stricter one | judged by it from the next request on, known tokens too |
//!
//! ## Sizing
//!
//! Bytes and times are those of `benches/README.md` in the repository, where also stands what they were measured on,
//! and of the settings that they belong to. Take them as an order of magnitude.
//!
//! | | takes | bounded by |
//! |---|---|---|
//! | a known JWT | about 1.2 KiB for a token of 700 bytes | `TokenCache`: 100,000 tokens, 64 MiB; the bytes come first then, at some 48,000 |
//! | an answer about an opaque token | 880 to 900 bytes | `AnswerCache`: 100,000 tokens, 64 MiB |
//! | a record of the denylist | 22 bytes, 24 resident | `capacity`: 1,000,000 |
//! | a caller of a `RateLimit` | 27 bytes with one quota, 44 with two | `max_keys`: 100,000 for each tier |
//! | a place of a `FailureLimit` | up to 60 bytes | `max_prefixes`: 100,000 |
//! | a request under way with an `AuditLog` | 700 bytes | `capacity`: 8,192 |
//! | an audit record in its file | some 730 bytes | `rotate_at`, `keep_…`; refusals that are alike are counted |
//!
//! So a service that makes 1,000 requests a second and records all of them writes about 63 GB a day. Plan the disk
//! for that, or [`keep_for`](crate::audit::FileSink::keep_for) as long as it is needed.
//!
//! Make the token cache larger than the tokens in use at once, in `max_tokens` and in `max_bytes`: beyond it, tokens
//! that come back are verified again (some 26 µs for RS256, 65 for `EdDSA`, 89 for ES256, where a known one takes one
//! to four). `max_keys` is above the number of callers in the longest period, `capacity` of the denylist above the
//! number of revocations in a token's life and an hour, and `capacity` of the audit log above the number of requests that are
//! under way at once, open streams included.
//!
//! ## Capacity
//!
//! - `AuditLog`, `BearerAuth` with a known token, `Denylist`, `RateLimit` and `ScopeGuard` together take about 3 µs
//!   of a request. The first limit are the signatures of tokens that are not known: a core verifies some 39,000 a
//!   second with RS256, 15,000 with `EdDSA`, 11,000 with ES256.
//! - One thread writes audit records: 118,000 a second, 107,000 with a seal. With `Synced` the disk decides.
//! - Shared limits that are exact cost one call to Redis for each request; leases of 100 cost one for a hundred.
//! - Redis carries few bytes of the denylist: one change to each instance. 100 instances refuse what one revoked
//!   after 9 ms (median) where all of them share two cores with the server.
//! - An authorization server sees at most `max_concurrent` calls at once of *each* instance: 64 × instances, and one
//!   for each token in 30 s.
