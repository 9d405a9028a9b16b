//! # Every default in one place
//!
//! What is not listed here has no default and is an argument: issuer, audience, `OnOutage`, `LimitOutage`,
//! `Backpressure`, quotas. A value outside of its range is an error of `build`, which names all of them at once. The
//! code blocks below are tests: they hold the numbers of the tables together with the code.
//!
//! ## Tokens: `TokenPolicy` and `IntrospectionPolicy`
//!
//! | setting | default | range | why |
//! |---|---|---|---|
//! | `algorithms` | RS256, ES256, `EdDSA` | any but none at all | what issuers sign with; HMAC only if you say so |
//! | `leeway` | 30 s | 0 to 300 s | clocks differ by that; beyond five minutes it is the clock that has to be mended |
//! | `max_lifetime` | 24 h | above 0 | `exp − iat`; a stolen token is good until it ends, so set it to what the issuer uses |
//! | `allowed_clients` | any | at least one | |
//! | `single_audience` | off | | refuses tokens that another service could use here |
//! | `forbid_delegation` | off | | refuses `act` |
//! | `profile` (JWT) | `Rfc9068` | or `Lax` | an access token says that it is one |
//! | `require_low_s` (JWT) | off | | no RFC asks for it, and nothing here depends on how a signature is spelled |
//! | `ignore_key_headers` (JWT) | off: refused | | an access token needs no key in its header |
//! | `scope_claim` | `scope`, as text | | RFC 9068, RFC 7662 |
//! | `client_claim` | `client_id`; also `azp` where lax or opaque | | |
//! | `subject_claim` (opaque) | `sub` | | |
//! | `assume_lifetime` (opaque) | off: `exp` is needed | up to `max_lifetime` | |
//! | `danger_…` | off | | |
//!
//! ```
//! use std::fmt::Debug;
//! use std::time::Duration;
//!
//! use gateless::bearer::{Algorithm, Profile, ScopeClaim, TokenPolicy};
//!
//! fn same(one: &impl Debug, other: &impl Debug) {
//!     assert_eq!(format!("{one:?}"), format!("{other:?}"));
//! }
//!
//! let policy = || TokenPolicy::new("https://idp.example.com", "https://orders.example.com");
//! let spelled_out = policy()
//!     .algorithms([Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA])
//!     .leeway(Duration::from_secs(30))
//!     .max_lifetime(Duration::from_secs(24 * 3600))
//!     .profile(Profile::Rfc9068)
//!     .scope_claim(ScopeClaim::text("scope"));
//! same(&policy(), &spelled_out);
//!
//! assert!(policy().leeway(Duration::from_secs(300)).check().is_ok());
//! assert!(policy().leeway(Duration::from_secs(301)).check().is_err());
//! assert!(policy().max_lifetime(Duration::ZERO).check().is_err());
//! ```
//!
//! What cannot be set: identifiers (`sub`, `jti`, …) have at most 512 bytes, a `kid` 256, JSON is at most 16 levels
//! deep, there are at most 8 actors, RSA keys have 2048 to 8192 bits (4096 with RustCrypto), and of the keys that fit
//! a token without `kid` four are tried.
//!
//! ## Credentials
//!
//! | setting | default | range | why |
//! |---|---|---|---|
//! | `max_token_len` | 8192 bytes | above 0 | checked before anything is decoded |
//! | `cookie`, `header`, `danger_query_parameter` | off | | the `Authorization` field alone |
//! | `require_tls` | off | | TLS often ends before the service |
//! | `strip` | off | | handlers that call further services may need the token |
//!
//! ```
//! use gateless::bearer::Credentials;
//!
//! assert_eq!(Credentials::new(), Credentials::new().max_token_len(8192));
//! ```
//!
//! `StripIdentityHeaders` takes off `Remote-User`, `X-Remote-User`, `X-User`, `X-User-*`, `X-Forwarded-User`,
//! `X-Forwarded-Email`, `X-Forwarded-Groups`, `X-Forwarded-Preferred-Username`, `X-Forwarded-Access-Token`,
//! `X-Auth-*` and `X-Authenticated-*`.
//!
//! ## `BearerAuth`: keys and known tokens
//!
//! | setting | default | range | why |
//! |---|---|---|---|
//! | `Keys::lifetime` | 10 min | not below the cooldown | by then a key that was withdrawn is gone; renewed after 7 to 8 tenths |
//! | `Keys::cooldown` | 30 s | 1 s or more | the issuer sees no more fetches for unknown keys than that |
//! | `Keys::timeout` | 5 s | above 0, up to 60 s | a fetch as a whole, and how long a request waits for one |
//! | `Keys::allow_private_addresses` | off | | nobody has the service ask around in its own network |
//! | `Keys::allow_host` | the issuer's own | | |
//! | `TokenCache::max_tokens` | 100,000 | 1 or more | |
//! | `TokenCache::max_bytes` | 64 MiB | 64 KiB or more | an eighth is for refused tokens |
//!
//! ```
//! use std::time::Duration;
//!
//! use gateless::OnOutage;
//! use gateless::bearer::{Keys, TokenCache};
//!
//! let keys = Keys::discovery(OnOutage::FailClosed);
//! let spelled_out = keys.clone()
//!     .lifetime(Duration::from_secs(600))
//!     .cooldown(Duration::from_secs(30))
//!     .timeout(Duration::from_secs(5));
//! assert_eq!(keys, spelled_out);
//!
//! assert_eq!(TokenCache::new(), TokenCache::new().max_tokens(100_000).max_bytes(64 * 1024 * 1024));
//! ```
//!
//! What cannot be set: a key set has at most 512 KiB and 100 keys; the issuer's `Cache-Control` brings a renewal
//! forward to once a minute at most; 1,024 refused tokens are remembered for 5 s.
//!
//! ## `Introspection`
//!
//! | setting | default | range | why |
//! |---|---|---|---|
//! | `Endpoint::timeout` | 2 s | above 0, up to 60 s | connecting, calling and a second attempt together |
//! | `Endpoint::max_concurrent` | 64 calls | 1 to 10,000 | what the server sees at most, whatever is thrown at the service |
//! | `Endpoint::max_waiting` | 1,024 tokens | 0 to 1,000,000 | beyond it 503 at once |
//! | `AnswerCache::lifetime` | 30 s | above 0, up to 24 h | so long a token that is revoked at its server can go on |
//! | `AnswerCache::refused_lifetime` | 5 s | 0 to 5 s | a token can be used before its server has heard of it |
//! | `AnswerCache::max_tokens` | 100,000 | 1 or more | |
//! | `AnswerCache::max_bytes` | 64 MiB | 64 KiB or more | an eighth is for refused tokens |
//! | `token_prefix`, `token_lengths` | any | | what looks otherwise costs no call |
//! | `encrypted_tokens` | off | | nobody can tell whose they are |
//! | `SharedAnswers::timeout` | 100 ms | above 0, up to 5 s | a store nearby answers in a few |
//! | secret of `SharedAnswers` | – | 32 bytes or more | |
//!
//! ```
//! use std::time::Duration;
//!
//! use gateless::OnOutage;
//! use gateless::introspection::{AnswerCache, Endpoint};
//!
//! let endpoint = Endpoint::discovery(OnOutage::FailClosed);
//! let spelled_out = endpoint.clone().timeout(Duration::from_secs(2)).max_concurrent(64).max_waiting(1024);
//! assert_eq!(endpoint, spelled_out);
//!
//! let spelled_out = AnswerCache::new()
//!     .lifetime(Duration::from_secs(30))
//!     .refused_lifetime(Duration::from_secs(5))
//!     .max_tokens(100_000)
//!     .max_bytes(64 * 1024 * 1024);
//! assert_eq!(AnswerCache::new(), spelled_out);
//! ```
//!
//! What cannot be set: an answer has at most 64 KiB; a quarter of the calls is kept for tokens that were good before;
//! after five failures in a row one call a second is made; an address that was discovered is used for 10 minutes; a
//! `private_key_jwt` assertion lives for 60 s.
//!
//! ## `Denylist`
//!
//! | setting | default | range | why |
//! |---|---|---|---|
//! | `fresh_for` | 30 s | 2 s to 1 h | so long an instance that is cut off goes on before `OnOutage` applies |
//! | `token_lifetime` | 24 h | above 0, up to 400 d | as `max_lifetime`; records are forgotten after it, and tokens that live longer refused |
//! | `clock_skew` | 5 s | 0 to 300 s | the issuer's clock may be ahead when all of somebody's tokens until now end |
//! | `capacity` | 1,000,000 records | 1 or more | about 25 MB |
//! | `when_full` | `Refuse` | or `RevokeEverything` | whoever revokes is told |
//! | `optional_issued_at` | off: `iat` is needed | | a token without it could outlive the list |
//! | `forgets` | nobody | | caches that need not keep what was revoked |
//! | `RevocationOutboxBuilder::deadline` | 2 s | | somebody waits for the answer |
//! | `RevocationOutboxBuilder::capacity` | 100,000 changes | | |
//!
//! ```
//! use std::fmt::Debug;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use gateless::denylist::{Denylist, DenylistBuilder, Ephemeral, WhenFull};
//! use gateless::{Clock, OnOutage, SystemClock};
//!
//! fn same(one: &impl Debug, other: &impl Debug) {
//!     assert_eq!(format!("{one:?}"), format!("{other:?}"));
//! }
//!
//! let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
//! let builder = || Denylist::builder(Ephemeral::new(), OnOutage::FailClosed).clock(Arc::clone(&clock));
//! let spelled_out = builder()
//!     .fresh_for(Duration::from_secs(30))
//!     .token_lifetime(Duration::from_secs(24 * 3600))
//!     .clock_skew(Duration::from_secs(5))
//!     .capacity(1_000_000)
//!     .when_full(WhenFull::Refuse);
//! same(&builder(), &spelled_out);
//!
//! let fresh_for = |secs| builder().fresh_for(Duration::from_secs(secs));
//! let is_refused = |builder: DenylistBuilder, setting: &str| {
//!     let error = builder.build().unwrap_err();
//!     error.faults().iter().any(|fault| fault.setting() == setting)
//! };
//! assert!(is_refused(fresh_for(1), "fresh_for") && !is_refused(fresh_for(2), "fresh_for"));
//! assert!(is_refused(fresh_for(3601), "fresh_for") && !is_refused(fresh_for(3600), "fresh_for"));
//! ```
//!
//! What cannot be set: the log is asked once a second at least; `revoke` takes at most 10 s and 1,000 revocations; a
//! body at `RevocationApi`, `RevocationEndpoint` and `BackchannelLogout` has at most 32 KiB and has to come within 10
//! s; a logout token was issued within ten minutes (`LogoutPolicy::max_age`).
//!
//! ## `RateLimit`, `FailureLimit`, `ConcurrencyLimit`
//!
//! | setting | default | range | why |
//! |---|---|---|---|
//! | `Quota::burst` | the limit | 1 or more | who comes back finds the whole quota |
//! | units of a quota | – | up to 100,000 a second | |
//! | period of a quota | – | 1 ms to 366 d | |
//! | `cost` | 1 unit | 0 or more | |
//! | `RateLimitBuilder::max_keys` | 100,000 for each tier | 1 to 100,000,000 | larger than the number of callers in the longest period |
//! | `named` | `default` | 1 to 64 of `A-Za-z0-9-_.:/` | in metrics, and in a store that is shared |
//! | `shadow`, `metered`, `rate_limit_fields` | off | | |
//! | `FailureLimitBuilder::max_prefixes` | 100,000 | 1 to 16,000,000 | up to 6 MB |
//! | `Peer::ipv4_prefix` | 32 bits | 1 to 32 | |
//! | `Peer::ipv6_prefix` | 64 bits | 1 to 128 | one machine has that many addresses |
//! | `Peer::behind_proxies` | none are believed | | anybody can write what they write |
//! | `SharedLimits::deadline` | 50 ms | above 0, up to 60 s | a store nearby answers in one or two |
//! | `SharedLimits::max_remembered` | 100,000 for each tier | 1 or more | |
//!
//! ```
//! use std::fmt::Debug;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use gateless::limit::{LimitKey, LimitOutage, RateLimit, SharedLimits};
//! use gateless::{Ask, Clock, Limit, Quota, QuotaStore, StoreError, StoreFuture, StoreKey, SystemClock, Taken};
//!
//! fn same(one: &impl Debug, other: &impl Debug) {
//!     assert_eq!(format!("{one:?}"), format!("{other:?}"));
//! }
//!
//! let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
//! let builder = || RateLimit::builder(LimitKey::caller(), [Quota::per_minute(60)]).clock(Arc::clone(&clock));
//! same(&builder(), &builder().named("default").cost(1).max_keys(100_000));
//! assert_eq!(Quota::per_minute(60).check()?.burst(), 60);
//! assert!(Quota::per_second(100_000).check().is_ok() && Quota::per_second(100_001).check().is_err());
//! assert!(builder().max_keys(100_000_001).build().is_err());
//!
//! #[derive(Debug)]
//! struct Nowhere;
//! impl QuotaStore for Nowhere {
//!     fn take<'a>(&'a self, _: &'a StoreKey, _: &'a [Limit], _: Ask) -> StoreFuture<'a, Taken> {
//!         Box::pin(async { Err(StoreError::new("there is none")) })
//!     }
//! }
//! let shared = || SharedLimits::exact(Nowhere, LimitOutage::FailClosed);
//! same(&shared(), &shared().deadline(Duration::from_millis(50)).max_remembered(100_000));
//! # Ok::<(), gateless::ConfigError>(())
//! ```
//!
//! What cannot be set: the time to come back is spread by up to a fifth; a store that failed five times in a row is
//! asked once a second; of one layer 1,024 calls to the store are under way at most.
//!
//! ## `ScopeGuard`
//!
//! There is nothing to set but the requirement: a table denies what it does not list, scopes are compared exactly,
//! and `max_age` has a leeway of 30 s.
//!
//! ## `AuditLog`
//!
//! | setting | default | range | why |
//! |---|---|---|---|
//! | `capacity` | 8,192 records | 1 to 1,048,576 | waiting, and of requests under way: more for many open streams |
//! | `subjects` | a pseudonym | | most of them are people |
//! | `clients`, `peers` | plain | | programs are known; whoever looks for a thief needs the address |
//! | `pseudonyms` | a key that ends with the process | | |
//! | `from` | `Peer::connection()` | | |
//! | `seal` | none | | the key is yours to keep |
//! | `checkpoint_every` | 1,000 records, 10 s | 1 or more, 1 s to 1 d | what is behind the last checkpoint can be cut off |
//! | `heartbeat` | 60 s | 1 s to 1 d | silence tells |
//! | `fold_window` | 10 s | 1 s to 1 d | equal refusals are counted |
//! | `FileSink::durability` | `Written` | | nothing is lost with the process, and nobody waits for the disk |
//! | `FileSink::rotate_at` | 256 MiB | 64 KiB or more | |
//! | `FileSink::rotate_every` | 1 d | 1 min or more | |
//! | `FileSink::keep_files`, `keep_for`, `keep_bytes` | all is kept | | deleting evidence is a choice |
//! | `FileSink::mode` | `0o600` | `0o600` to `0o664` | |
//! | `OtlpSink::timeout` | 10 s | up to 60 s | as OpenTelemetry has it |
//!
//! | detector | tells at | range |
//! |---|---|---|
//! | `validation_failures` | 20 in a minute, of one place | 1 or more; 1 s to 1 d |
//! | `validation_failures_everywhere` | 1,000 in a minute | 1 or more; 1 s to 1 d |
//! | `revoked_token` | the first use, then once in 10 minutes | 1 s to 1 d |
//! | `many_places` | 5 places in 10 minutes | 2 to 16; 1 s to 1 d |
//! | `unusual_rate` | 10 times as many as before, and 100 in a minute | a factor of 2 or more |
//! | `max_tracked` | 4,096 places and tokens each | 1 to 1,000,000 |
//!
//! ```
//! use std::fmt::Debug;
//! use std::time::Duration;
//!
//! use gateless::audit::{AuditLog, Backpressure, Detection, FileSink};
//!
//! fn same(one: &impl Debug, other: &impl Debug) {
//!     assert_eq!(format!("{one:?}"), format!("{other:?}"));
//! }
//!
//! let minute = Duration::from_secs(60);
//! let spelled_out = Detection::new()
//!     .validation_failures(20, minute)
//!     .validation_failures_everywhere(1000, minute)
//!     .revoked_token(10 * minute)
//!     .many_places(5, 10 * minute)
//!     .unusual_rate(10, 100)
//!     .max_tracked(4096);
//! same(&Detection::new(), &spelled_out);
//!
//! let sink = || FileSink::new("/var/log/orders/audit.jsonl");
//! let builder = || AuditLog::builder("orders-1", sink(), Backpressure::FailRequest);
//! same(&builder(), &builder().capacity(8192));
//! assert!(sink().rotate_at(64 * 1024).check().is_ok() && sink().rotate_at(64 * 1024 - 1).check().is_err());
//! assert!(sink().mode(0o666).check().is_err());
//! ```
//!
//! What cannot be set: a response waits for its record for at most 10 s (`FailRequest`), or for as long as `Block`
//! says; a detector tells at most 60 times a minute; a further sink may be 1,024 batches behind.
//!
//! ## gateless-redis
//!
//! | setting | default | range |
//! |---|---|---|
//! | `RedisServerBuilder::connect_deadline`, `response_deadline` | 2 s each | up to 60 s |
//! | prefix of log, store and quotas | `gateless` | 1 to 64 of `A-Za-z0-9-_.:/` |
//! | `RedisLogBuilder::keep_changes` | 100,000 | 1 or more |
//! | `RedisLogBuilder::settle` | 3 s | 0 to 60 s |
//! | `RedisLogBuilder::min_replicas` | 0 | |
