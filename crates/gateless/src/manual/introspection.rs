//! # Opaque tokens
//!
//! An opaque token says nothing by itself; its authorization server is asked about it (RFC 7662). Done for each request,
//! that makes the server a part of every call: as slow as it is, and down when it is. Here it is asked once in a while.
//!
//! ```
//! use std::time::Duration;
//!
//! use gateless::OnOutage;
//! use gateless::introspection::{
//!     AnswerCache, ClientAuthentication, Endpoint, Introspection, IntrospectionPolicy, Secret,
//! };
//!
//! # fn main() -> Result<(), gateless::ConfigError> {
//! # let secret = Secret::new("of a file, in earnest");
//! # /*
//! let secret = Secret::file("/run/secrets/introspection");
//! # */
//! let auth = Introspection::builder(
//!     IntrospectionPolicy::new("https://idp.example.com", "https://orders.example.com"),
//!     Endpoint::discovery(OnOutage::StaleFor(Duration::from_secs(60))),
//!     ClientAuthentication::basic("orders", secret),
//! )
//! .answer_cache(AnswerCache::new().lifetime(Duration::from_secs(10)))
//! .token_prefix("at_") // what looks otherwise is not worth a call
//! .build()?;
//! # let _ = auth;
//! # Ok(())
//! # }
//! ```
//!
//! ## What an answer has to say
//!
//! | member | rule | setting |
//! |---|---|---|
//! | `active` | the boolean `true`; a text, a number or nothing is not it | – |
//! | `iss` | may be missing; one that is there is the issuer, byte for byte | – |
//! | `aud` | names the audience: without it any token of any service would do | `danger_accept_missing_audience` |
//! | `exp` | has not passed | `assume_lifetime` for servers that name none, `leeway` |
//! | `nbf`, `iat` | not in the future | `leeway` |
//! | `token_type` | `Bearer` where it is there; it has to be there where `aud` or `exp` is not | `danger_accept_untyped` |
//! | `typ`, `token_use`, `token_usage`, … | nothing that says ID token, refresh token or proof; they count as a type too | – |
//! | `cnf` | not there: a bound token is not a bearer token | – |
//! | `sub`, `client_id` | at least one of them; without `sub` and `username` a client acts for itself | `subject_claim`, `client_claim` |
//! | `scope` | texts separated by spaces | `scope_claim` |
//!
//! A refresh token is active too, as far as real servers are concerned: one of them answers for it without `aud` and without
//! `token_type`, another with `aud` and without `token_type` and `exp`. That is why something has to be there that tells
//! access tokens apart. What other servers leave out, and which setting they need, is said at
//! [`IntrospectionPolicy`](crate::introspection::IntrospectionPolicy).
//!
//! ## How long an answer is used
//!
//! ```text
//! asked          lifetime (30 s), or exp       the outage policy's bound, or exp
//!   │── fresh: no call ──│── asked again; if nobody answers: stale ──│── asked again; if nobody answers: 503
//! ```
//!
//! - The **lifetime** ([`AnswerCache::lifetime`](crate::introspection::AnswerCache::lifetime)) is a promise to whoever
//!   revokes a token at the server: so long, and no longer, can it go on. Within it the decision is still taken anew
//!   with each request, by the clock and the whole policy.
//! - An answer is **never used past its `exp`**, not even within the leeway: the server is asked again.
//! - A token that is **not active** is refused for 5 s without asking again, in a place of its own: a flood of made-up
//!   tokens pushes nothing out. Errors are not remembered.
//! - [`forget_where`](crate::introspection::IntrospectionHandle::forget_where) does not wait for the lifetime.
//!
//! ## How the server is treated
//!
//! - **One call for each token**, however many ask at the same time. It is a task of its own: a caller who goes away
//!   does not take it down for the others.
//! - **So many calls at once** ([`Endpoint::max_concurrent`](crate::introspection::Endpoint::max_concurrent), 64), so many
//!   more that wait for their turn, and `503` for the rest. A quarter of the turns (one at least of two), and places to wait
//!   of their own, are kept for tokens that were good the last time: a flood of made-up ones does not come between them
//!   and the server.
//! - **One deadline** ([`Endpoint::timeout`](crate::introspection::Endpoint::timeout)) for connecting, calling and a second
//!   attempt, and half of that for the wait for a turn. A second attempt is made where the connection broke before
//!   anything was answered, for at most one call in ten.
//! - **A pause** after five calls in a row that were no use: no connection, no answer in time, `502` to `504`, `401`. From
//!   then on one call a second finds out whether it is over. A single `429`, or `503` with `Retry-After`, is enough for a
//!   pause of one to five seconds: whoever floods the server to that point shuts out tokens that are not known, so
//!   [`token_prefix`](crate::introspection::IntrospectionBuilder::token_prefix) and
//!   [`token_lengths`](crate::introspection::IntrospectionBuilder::token_lengths) are worth setting.
//! - What a single odd token can cause does not count: some servers answer such a one with `400`, `403`, `500` or a page of
//!   HTML. The request gets `503`, and all others go on.
//!
//! With a tolerance for outages ([`OnOutage::StaleFor`](crate::OnOutage::StaleFor)) the last good answer is used while the
//! server cannot be asked: no connection, no answer in time, any `5xx`, `404`, `405`, `408`, `410`, a page of HTML or
//! anything else that is no answer, a `401` for this service, no turn. After another `4xx` it is not used: then the server
//! does not want to be asked about just this token.
//!
//! ## How the service proves who it is
//!
//! [`ClientAuthentication`](crate::introspection::ClientAuthentication): `basic`, `post`, `private_key_jwt` or a `bearer`
//! token. Secrets come from a file, the environment or a function, and can be rotated while serving: a secret that the
//! server refuses is read again at once, and tried again if it has changed.
//! [`ready`](crate::introspection::IntrospectionHandle::ready) asks about a made-up token, so that a wrong secret shows
//! when the service starts. While the server does not accept the service, tokens that are not known get `503`, never `401`.
//!
//! ## JWTs beside them
//!
//! [`HybridAuth`](crate::hybrid::HybridAuth) is one layer made of two: JWTs of the issuers of `BearerAuth` are checked in
//! the process, everything else is asked about. Which way a token goes shows in its form and in the `iss` of a JWT,
//! and is never found out by trying.
//!
//! A JWT of an issuer that is not that of `Introspection` is never sent, also when `Introspection` stands alone: whoever
//! gets a bearer token can use it (RFC 9700 §4.9). Encrypted ones are not sent either, unless
//! [`encrypted_tokens`](crate::introspection::IntrospectionBuilder::encrypted_tokens) says that they are this server's.
//!
//! ## Answers that are signed
//!
//! With [`signed_answers`](crate::introspection::IntrospectionBuilder::signed_answers) the service asks for a JWT
//! (RFC 9701) and takes nothing else: signed with a key of the issuer, made for this client, and not before it was asked
//! for. Encrypted answers are not supported, nor those of servers that wrap a JWT in JSON.
//!
//! A signature proves who said it, and not about which token: RFC 9701 has no member for that. Whoever can change what
//! is sent between the service and the server can answer with another fresh answer, such as that for a token of his
//! own. What ties an answer to its question is TLS, all the way.
//!
//! ## A fleet that shares answers
//!
//! [`SharedAnswers`](crate::introspection::SharedAnswers) is a second tier behind the cache of each instance: what one of
//! them was told, the others need not ask for. Any [`SharedStore`](crate::SharedStore) will do. It is not trusted: keys
//! are an HMAC of the token, values are sealed and bound to their key. The lifetime counts from when the server was
//! asked, whoever asked. A store that is slow or down costs its timeout (100 ms), and then the server is asked.
