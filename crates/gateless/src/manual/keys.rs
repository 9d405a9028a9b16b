//! # Where keys come from
//!
//! | source | for |
//! |---|---|
//! | [`Keys::discovery`](crate::bearer::Keys::discovery) | issuers with metadata (OpenID Connect Discovery, RFC 8414) |
//! | [`Keys::jwks_url`](crate::bearer::Keys::jwks_url) | issuers with a JWK set and no metadata |
//! | [`Keys::file`](crate::bearer::Keys::file) | a JWK set that is mounted next to the service |
//! | [`Keys::fixed`](crate::bearer::Keys::fixed) | keys in the configuration, and tests |
//!
//! ## While serving
//!
//! Requests read a snapshot of the keys and take no lock. A request whose key is in it never waits for the network.
//!
//! - **Renewal**: after seven to eight tenths of their `lifetime` (10 minutes) keys are fetched again in the background,
//!   each instance of a fleet at a time of its own. A key that the issuer withdrew is gone with the next renewal.
//! - **`Cache-Control` and `ETag`**: a shorter `max-age` (less its `Age`), `no-cache` and `no-store` bring the renewal
//!   forward, to once in a minute at most. A longer one changes nothing: the lifetime is your choice. None of them says
//!   how long keys may be used, as that would let an issuer turn its outage into yours. A document with an `ETag` is
//!   asked for with `If-None-Match`.
//! - **Rotation**: a token with an unknown key id causes one fetch, and its request waits for it, for at most the
//!   `timeout` (5 s). The first token of a new key passes.
//! - **Floods**: such fetches happen at most once per `cooldown` (30 s), whatever is thrown at the service. It counts
//!   from the beginning of a fetch and whatever came of it. Junk key ids are refused with `401` meanwhile. While there
//!   are no keys at all, requests cause a fetch once per `cooldown` as well; that one is counted for itself. Tokens of
//!   unknown issuers and with algorithms that are not allowed cause none.
//! - **One at a time**: all requests that lack a key wait for the same fetch. It runs in a task of its own, so a
//!   caller who goes away does not take it down for the others.
//! - **Bad answers** never take good keys away: an empty set, a web page, an error, a document that is too large.
//!   Single keys that cannot be used are skipped and logged; the others are taken.
//!
//! - **Known tokens** are judged with the keys as they are now: a token that was verified before is refused as soon as
//!   its key is gone.
//!
//! ## When the issuer is away
//!
//! [`OnOutage`](crate::OnOutage) is an argument because nobody else can decide it; the chapter
//! [`failing_closed`](super::failing_closed) says what each choice means. It is never a `401`: the token may be good, and
//! clients throw away tokens that get one.
//!
//! A service can start while its issuer is away. `BearerAuth::ready` waits for the first keys where that is wanted.
//!
//! ## What is not reached
//!
//! No redirect is followed, no address from a token is fetched, and plain HTTP is for loopback only, after
//! `TokenPolicy::danger_allow_http_loopback`. Metadata may name keys on another host only after `Keys::allow_host`.
//! Private addresses are reached only after `Keys::allow_private_addresses`, and what a name resolves to is looked at
//! before it is connected to. Keys are held in the process that fetched them: there is no shared cache to poison.
//! An answer has at most 512 KiB and 100 keys. There is no switch that turns TLS verification off; a private
//! authority is added with `Keys::root_certificate`.
