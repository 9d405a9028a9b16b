//! # Revoking what is good by itself
//!
//! A JWT says when it ends, and nothing in it changes when somebody signs out, loses a telephone or is let go. Whoever has
//! it can use it until then. Short lifetimes make that time short; a denylist ends it at once.
//!
//! ```text
//! request ─► BearerAuth │ Introspection ─► Denylist ─► ScopeGuard ─► handler
//!            who is it?                    revoked?    may they?
//!                                             ▲
//!            revoke() ─► log ─► every instance's list, in memory
//! ```
//!
//! ```
//! use std::time::Duration;
//!
//! use gateless::bearer::BearerAuth;
//! use gateless::denylist::{Denylist, DenylistHandle, RevokeError};
//! use gateless::{OnOutage, Revocation, RevocationLog};
//!
//! /// A layer for behind the authentication. `log` is a `RevocationFile`, or the `RedisLog` of gateless-redis.
//! fn denylist(log: impl RevocationLog, auth: &BearerAuth) -> Result<Denylist, gateless::ConfigError> {
//!     Denylist::builder(log, OnOutage::FailClosed)
//!         .token_lifetime(Duration::from_secs(3600)) // as the issuer's; longer ones are refused
//!         .forgets(auth.handle().clone()) // what the cache of tokens need not keep
//!         .build()
//! }
//!
//! /// Somebody has a new password: what they were given before is worth nothing.
//! async fn new_password(denylist: &DenylistHandle, subject: &str) -> Result<(), RevokeError> {
//!     let revocation = Revocation::subject("https://idp.example.com", subject);
//!     denylist.revoke(&revocation).await?;
//!     Ok(())
//! }
//! # let _ = (new_password, |log: gateless::denylist::Ephemeral, auth| denylist(log, auth));
//! ```
//!
//! ## What can be revoked
//!
//! | | which tokens are refused | remembered for |
//! |---|---|---|
//! | [`Revocation::token`](crate::Revocation::token) | the one with this `jti` | its life, where `exp` is said; else as long as any token lives |
//! | [`Revocation::session`](crate::Revocation::session) | all with this `sid`, also later ones | as long as a token lives |
//! | [`Revocation::subject`](crate::Revocation::subject) | those with this `sub`, or that it acts with (`act`), issued until now | the same |
//! | [`Revocation::client`](crate::Revocation::client) | those with this `client_id`, issued until now | the same |
//! | [`Revocation::issuer`](crate::Revocation::issuer) | all of the issuer, issued until now | the same |
//! | [`Revocation::key`](crate::Revocation::key) | all that the key signed | until it is taken back |
//!
//! Each names the issuer: the same `jti` of two issuers is two tokens. A token without `jti` goes by its SHA-256: of a
//! JWT without its signature, as that can be written in several ways. An opaque token goes by its SHA-256 too, whether its server
//! says an id or not.
//!
//! "Until now" goes by `iat`, which counts in seconds with most issuers: a token that is issued in the same second is refused
//! too, and so is one within [`clock_skew`](crate::denylist::DenylistBuilder::clock_skew) (5 s), as the issuer's clock may be
//! ahead. Say the time, [`issued_until`](crate::Revocation::issued_until), where you know it better. A token without `iat` cannot
//! prove that it is newer, nor how long it lives, and is refused in any case, unless
//! [`optional_issued_at`](crate::denylist::DenylistBuilder::optional_issued_at) says otherwise.
//!
//! What is remembered are digests. A list names nobody, and neither does its log.
//!
//! ## Where it is kept
//!
//! | log | survives | reaches |
//! |---|---|---|
//! | [`Ephemeral`](crate::denylist::Ephemeral) | nothing | this process |
//! | `RevocationFile` (feature `denylist_file`) | `kill -9`, a crash of the machine | this process; no other can open it |
//! | `RedisLog` (crate `gateless-redis`) | what Redis survives, and the loss of its data as long as one instance runs | every instance, in milliseconds |
//! | one of your own | a [`RevocationLog`](crate::RevocationLog), which `revocation_log_conformance` of the testkit tests | |
//!
//! `revoke` is done when the log has it. When it cannot have it, there is an error and nothing is revoked; or, with a
//! `RevocationOutbox` in front of the log, it is revoked here, kept in a file, and put into the log when that can be reached:
//! `Appended::Queued` says so.
//!
//! ## When the log is away
//!
//! The list is in memory, so requests go on. Each second the log confirms that nothing is missing. When it has not done so for
//! [`fresh_for`](crate::denylist::DenylistBuilder::fresh_for) (30 s), the choice that
//! [`Denylist::builder`](crate::denylist::Denylist::builder) asks for applies, and it can be another one for some routes:
//!
//! | | what is not known to be revoked |
//! |---|---|
//! | [`OnOutage::FailClosed`](crate::OnOutage::FailClosed) | 503 |
//! | [`OnOutage::StaleFor(d)`](crate::OnOutage::StaleFor) | passes for `d` longer, then 503 |
//! | [`danger_open_on_outage`](crate::denylist::Denylist::danger_open_on_outage) | passes, and is counted |
//!
//! What is known to be revoked stays refused with 401 whatever happens. Until the list was loaded once, everything gets 503:
//! wait for [`ready`](crate::denylist::DenylistHandle::ready), and put
//! [`is_ready`](crate::denylist::DenylistHandle::is_ready) into the readiness probe.
//!
//! | what happened to the log | what an instance does |
//! |---|---|
//! | connection lost, server away | goes on, tries again, and is out of date after `fresh_for` |
//! | it has trimmed what the instance had not read yet | loads the whole list anew, and goes on with the old one meanwhile |
//! | it came back without its data, or with old data | keeps what it has, takes what is there in addition, and puts back what is missing |
//! | one instance is cut off | that one alone is out of date |
//!
//! The bound: an instance refuses what was revoked elsewhere a few milliseconds later, and in no case later than `fresh_for`
//! (and `StaleFor`, if that was chosen) after the log had it. Time that a machine sleeps does
//! not count.
//!
//! ## Ways in
//!
//! | for | |
//! |---|---|
//! | your own code | [`DenylistHandle::revoke`](crate::denylist::DenylistHandle::revoke) |
//! | operators | [`RevocationApi`](crate::denylist::RevocationApi): JSON, behind the authentication, with a requirement of its own |
//! | clients, where the service issues tokens itself | [`RevocationEndpoint`](crate::denylist::RevocationEndpoint), RFC 7009 |
//! | the OpenID provider, when somebody signs out | `BackchannelLogout`, OpenID Connect Back-Channel Logout 1.0 |
//!
//! A replayed event changes nothing: revoking is idempotent, times only become later, and only
//! [`unrevoke`](crate::denylist::DenylistHandle::unrevoke) takes something back.
//!
//! The last two are open to anybody who can reach them. A `RateLimit` by `LimitKey::peer` in front says how often one place may
//! ask; see the chapter `limits`.
//!
//! ## Sizes
//!
//! A token, session or key takes 21 to 27 bytes; [`capacity`](crate::denylist::DenylistBuilder::capacity) is the most that is held, a
//! million by default. At four fifths an error is logged. When there is no room, `revoke` says so; or, with
//! [`WhenFull::RevokeEverything`](crate::denylist::WhenFull::RevokeEverything), all tokens that were issued until a
//! minute from then are refused, everybody signs in again, and there is room. It cannot be taken back; and an instance that
//! starts while the log still has what made way for it falls back again. Nothing is dropped in silence.
//!
//! ## What it does not do
//!
//! - A request that is being answered goes on. Long work can ask again: [`recheck`](crate::denylist::DenylistHandle::recheck).
//!   Streams that are open are not closed.
//! - Records end by the wall clock. They are kept for an hour beyond that, as far as there is room, so that a clock that is ahead
//!   for a while costs nothing when it is right again. One that was ahead by more than an hour had the list forget what was not
//!   over: load the list anew by restarting the instance.
//! - It does not tell the issuer. Whoever has a refresh token gets new tokens until the issuer refuses that.
//! - Who can write to the Redis server can take revocations back. Keep it as close as the service itself.
