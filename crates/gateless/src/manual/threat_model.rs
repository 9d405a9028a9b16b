//! # What is defended, and what is not
//!
//! For a review. Rows like `TD-21` are attacks or faults with their tests in `tests/CHECKLIST.md` of the repository;
//! each row there names the tests that show it, and a test checks that they exist.
//!
//! ## What is worth protecting
//!
//! | | where it is |
//! |---|---|
//! | what the service does and knows | behind the last stage, in the handler |
//! | tokens of callers | in requests, and in the process as digests and facts, never as text that is kept or printed |
//! | who a caller is | [`Principal`](crate::Principal), made by the stage that authenticates and by nobody else |
//! | keys of the issuer | public, but whoever can replace them signs for everybody |
//! | secrets of the service | for introspection, `SharedAnswers`, Redis, pseudonyms, and the seal of the audit log |
//! | the issuer's and other dependencies' time | a service can be used as a lever against them |
//! | what is known afterwards | the audit log |
//!
//! ## Who attacks
//!
//! - somebody without a token: guesses, forges, floods, writes header fields and paths
//! - somebody with a token of their own: other routes, other services' tokens, other people's things, more than their
//!   share
//! - somebody with a token of somebody else
//! - another client or service of the same issuer
//! - somebody on the way to the issuer, or with a hand in its name service
//! - somebody who can read or write the store that a fleet shares
//! - somebody who can write the files of the audit log, later
//!
//! ## What is trusted
//!
//! The configuration; the process, its memory and its machine; the configured issuers, in all that they sign or say;
//! the authorities of TLS; the proxies that were named, and the server that accepts connections, about where a
//! request comes from; the router, about the route that it matched; the clock, within the leeway; for the denylist
//! and for limits the Redis server and whoever may write there.
//!
//! ## What is defended
//!
//! | attack | stage | what stands against it | rows |
//! |---|---|---|---|
//! | credentials twice, in two places, malformed, too long | `BearerAuth`, `Introspection` | refused with 400, before anything is decoded | TA-02 to TA-15 |
//! | a token in a cookie that another site sends | the same | a CSRF defence has to be named | TA-08 |
//! | identity in header fields | `StripIdentityHeaders` | taken off; nothing reads them | TA-16, TA-17, TJ-09 |
//! | a token that came over plain HTTP | `Credentials::require_tls` | refused, where it is switched on | TA-25, TA-26 |
//! | `alg` `none`, another algorithm, a public key as HMAC secret | `BearerAuth` | the algorithm comes from the key | TB-01 to TB-07 |
//! | JWE, nesting, `crit`, compression, duplicate members, loose base64url | `BearerAuth` | refused | TB-08 to TB-28, TB-40 |
//! | keys and addresses in a token (`jwk`, `jku`, `x5u`, `kid`) | `BearerAuth` | never used, never fetched; a `kid` is compared | TB-29 to TB-36 |
//! | forged and malleable signatures, weak keys | `BearerAuth` | strict backends, bounds on keys; nothing goes by the spelling of a signature | TC-01 to TC-12, TH-07 |
//! | other kinds of tokens: ID, refresh, logout tokens, assertions | `BearerAuth`, `Introspection` | `typ`, and in the lax profile what is in them | TB-37 to TB-39, TD-18 to TD-20, TF-05 |
//! | tokens for another service, of another issuer or tenant | the same | `iss` and `aud` have no default and no "any"; identity is issuer and subject | TD-12 to TD-16, TD-21, TD-28 to TD-30 |
//! | expired, early, long-lived tokens; dates of wrong types | the same | required, bounded, judged with each request, cached or not | TD-01 to TD-11, TF-14, TF-27, TF-28 |
//! | tokens that are bound to a key or certificate, sent as bearer tokens | the same | refused (`cnf`) | TD-32 |
//! | a flood of unknown key ids | keys | one fetch per cooldown; known keys never wait | TE-01 to TE-05 |
//! | an issuer that is away, slow, or answers nonsense | keys, `Introspection` | bounds, deadlines, `OnOutage`; never 401, never 200 | TE-06 to TE-12, TE-15, TF-10, TF-11, TM-12 |
//! | redirects, private addresses, DNS rebinding | keys, `Introspection` | none followed, none reached, checked when connecting | TE-16 to TE-19 |
//! | a flood of made-up opaque tokens | `Introspection`, `FailureLimit` | so many calls at once, turns for known tokens, a limit by place | TF-12, TF-13, TF-24, TK-15, TK-16 |
//! | an answer of the server for another token, or out of a shared store | `Introspection` | keyed and bound to the token; sealed in the store | TF-07, TF-08, TF-16 to TF-20 |
//! | a JWT sent to a server that is not its issuer | `HybridAuth` | told apart by form and `iss`, never by trying | TF-25 |
//! | a token that was revoked | `Denylist` | refused with the next request; within a bound in the whole fleet | TH-01, TH-05, TH-08 to TH-12 |
//! | losing the list: restart, lost data, partition, overflow | `Denylist` | reloaded, put back, 503 when it is too old, never dropped in silence | TH-02 to TH-04, TH-13, TH-22, TH-23 |
//! | forged or replayed revocations | `RevocationApi`, `BackchannelLogout` | authenticated, idempotent | TH-14 to TH-17, TH-21 |
//! | a route that nobody declared, another spelling of its path, another method | `ScopeGuard::table` | denied; goes by the matched route | TJ-01, TJ-03 to TJ-05, TJ-16 |
//! | layers in the wrong order | all | 500 and an error, no open door | TJ-02 |
//! | scopes by prefix, from elsewhere, of a client in place of a user | `ScopeGuard` | exact, one claim, kind of caller | TJ-06 to TJ-09, TJ-12, TJ-15 |
//! | a sign-in that is too old or too weak | `ScopeGuard` | RFC 9470 | TJ-14 |
//! | more than one's share, by any address or token | `RateLimit`, `ConcurrencyLimit` | by verified identity, exact or within a bound in a fleet | TK-01 to TK-14 |
//! | somebody else's share used up with forged tokens | `RateLimit` | counts behind the authentication only | TK-05 |
//! | tokens in logs, errors, `Debug` | all | nothing prints them; the output of all tests is searched | TL-01 to TL-05, TL-12, TL-16 |
//! | finding out what is wrong with a token | all | one text for all | TL-13, TL-14 |
//! | a request without a record | `AuditLog` | one for each, however it ends; `Backpressure` | TL-06, TL-10, TL-11, TM-07 |
//! | records altered, removed, reordered, cut off | `gateless-audit verify` | chain, signed checkpoints, a second place | TL-07 to TL-09, TL-18 |
//! | panics, cancellation, clones | all | shown in tests and by fuzzing | TC-17, TM-08 to TM-10, TM-13 |
//!
//! ## What is not defended
//!
//! ### A stolen token, until it ends
//!
//! A bearer token opens the service for whoever has it. There is no sender constraint yet: neither DPoP (RFC 9449)
//! nor certificates (RFC 8705) are checked, and tokens that ask for them are refused rather than taken without. What
//! helps is a short life, `max_lifetime`, revoking, `many_places` and `unusual_rate` of the audit log's detection,
//! which tell and refuse nobody, and TLS on the whole way, also behind the proxy.
//!
//! ### Times in which what is no longer true still counts
//!
//! | | how long |
//! |---|---|
//! | something was revoked in the denylist | nothing here; elsewhere milliseconds, and for an instance that is cut off `fresh_for` (30 s) and `StaleFor` on top of it. With `danger_open_on_outage` there is no bound |
//! | a JWT was revoked at its issuer, and not here | until `exp` and the leeway |
//! | an opaque token was revoked at its server | `AnswerCache::lifetime` (30 s), and `StaleFor` while the server is away; never past its `exp` |
//! | the issuer withdrew a key | `Keys::lifetime` (10 min), and `StaleFor` while it is away |
//! | a token has expired | `leeway` (30 s) |
//! | somebody lost a scope or a role | until their next token: claims are as old as the token |
//!
//! ### Requests that are under way
//!
//! A request is judged when it comes. What it does afterwards goes on, however long it takes: a body that is still
//! sent, a stream, a WebSocket (TM-06 is not built). Close those at
//! [`Principal::expires_at`](crate::Principal::expires_at), and ask `DenylistHandle::recheck` in long work (TH-19).
//!
//! ### An issuer that signs what it should not
//!
//! Whoever has the issuer, one of its keys, or its metadata *and* its certificate, is everybody. `refuse_key`,
//! `purge_keys` and `Revocation::key` are for the time after somebody has noticed. An issuer that publishes a private
//! key is told (`gateless.keys.exposed`, TE-23), and what that key signs is still believed: rotate it, and refuse it
//! here.
//!
//! ### The process, its machine, its memory
//!
//! Copies that this code makes of tokens and secrets are overwritten when they are dropped (TM-16); the request
//! itself, and copies of servers, proxies and the kernel, are out of reach. Whoever can read the memory reads tokens
//! and keys; whoever can write it is the service. That goes for all other code in the process, too: a dependency can
//! call `Principal::assert_authenticated`.
//!
//! ### Redis
//!
//! Who can write to the server takes revocations back, fills the list, and has quotas of any size. Who can read it
//! sees digests, counts and sealed answers, no names and no tokens; a digest of a name that can be guessed can be
//! tried out. Answers of `SharedAnswers` cannot be made up or moved to another token (TF-08, TF-19), but removed, and
//! put back while they are young. Give it TLS, a user of its own and a network of its own.
//!
//! ### Volume
//!
//! Work and memory for each request are bounded. Many connections, packets, bodies, and requests without credentials
//! are not limited before they are looked at: that is for what stands in front. A flood from many places can take
//! what is shared: turns at the authorization server for *unknown* tokens, units of strangers in a table that is
//! full, the 30 s in which unknown keys are not fetched. Who is known goes on.
//!
//! ### Side channels
//!
//! MACs are compared by the backends, in constant time (TC-11). Nothing hides how long a decision takes: a known
//! token is quicker than an unknown one, so somebody who already has a token learns whether it was used here lately.
//! What is looked up are keyed digests and ids that nobody can guess (TH-18, TL-15).
//!
//! ### Handlers
//!
//! - A handler that takes an order by its number and not by its owner shows everybody everything: scopes say *what
//!   kind* of thing, not *which*.
//! - A handler that does not ask for the [`Principal`](crate::Principal), behind an optional authentication and no
//!   guard, serves strangers.
//! - What is logged, answered or passed on by the handler is the handler's.
//!   [`strip`](crate::bearer::Credentials::strip) takes the token off before it gets there (TJ-13); a cookie or query
//!   parameter stays.
//! - Routes that are added after a layer are outside of it, and nobody can tell. `RouteCheck` of the testkit asks for
//!   every row of a table.
//!
//! ### The clock
//!
//! Whoever sets the wall clock back makes expired tokens good; whoever sets it ahead refuses good ones. One that is
//! ahead by more than an hour has the denylist forget records before their time: see the chapter `operating`. Ages of keys,
//! answers and quotas go by a clock that is never set (TD-11, TK-09), shared quotas by that of the store (TK-08), and
//! the audit log has a number and the time since the start next to the wall clock (TL-18).
//!
//! ### What the audit log can prove
//!
//! - It shows what was changed, and prevents nothing. It shows it to whoever checks.
//! - A service that is compromised writes what it likes from then on, or nothing.
//! - Whoever has the signing key can write another history, unless the checkpoints are in a second place that they
//!   cannot change. A key on the machine that also has the records is no protection against whoever has the machine.
//! - What is behind the last checkpoint (10 s, 1,000 records) can be cut off without a trace.
//! - `DropAndCount` loses records under load, and says how many. Refusals that are alike are counted and not written
//!   one by one.
//! - Pseudonyms hide names from readers of the log, not from whoever has the key.
//!
//! ### Supply
//!
//! Nothing here asks an advisory database (TM-17): run `cargo deny` or `cargo audit` over the lock file of the
//! service. The two backends have their own histories: RSA of RustCrypto is not written for constant time, which
//! matters to who signs and not to who verifies.
//!
//! ### Not there at all
//!
//! Sessions, sign-in, refresh, token exchange, status lists (TD-36), security events (RFC 8417), web application
//! firewalls.
