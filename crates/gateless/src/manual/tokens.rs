//! # Which tokens are accepted
//!
//! A [`TokenPolicy`](crate::bearer::TokenPolicy) says what the tokens of one issuer have to satisfy. Everything in it
//! but issuer and audience has a strict default.
//!
//! | check | default | setting |
//! |---|---|---|
//! | `typ` is `at+jwt`; `sub`, `client_id`, `iat`, `jti` are there | on | `profile(Profile::Lax)` |
//! | algorithm of the key, one of | RS256, ES256, `EdDSA` | `algorithms` |
//! | `iss` equals the issuer, byte for byte | always | – |
//! | `aud` names the audience, byte for byte | always | `audience` adds one, `single_audience` allows no other |
//! | `exp` has not passed | always | `leeway` (30 s, at most 300 s) |
//! | `nbf` and `iat` are not in the future | always | `leeway` |
//! | `exp − iat` at most | 24 hours | `max_lifetime` |
//! | client is one of | any | `allowed_clients` |
//! | no `cnf` (a bound token is not a bearer token) | always | – |
//! | no `act` | off | `forbid_delegation` |
//! | no key material in the header | on | `ignore_key_headers` |
//! | at most 8192 bytes | on | `Credentials::max_token_len` |
//!
//! Bounds and reasons of all settings are in the chapter `defaults`.
//!
//! Whatever the settings: duplicate members, padding or loose bits in base64url, wrong types of claims, `crit`,
//! compressed or encrypted tokens and nested ones are refused, and `none` does not exist.
//!
//! ## Servers that do not follow RFC 9068
//!
//! [`Profile::Lax`](crate::bearer::Profile::Lax) fits most of them; scopes and client ids have various homes:
//!
//! ```
//! use gateless::bearer::{Profile, ScopeClaim, TokenPolicy};
//!
//! let scopes_in_a_list = TokenPolicy::new("https://idp.example.com", "orders")
//!     .profile(Profile::Lax)
//!     .scope_claim(ScopeClaim::list("scp"))
//!     .client_claim("cid");
//! scopes_in_a_list.check()?;
//! # Ok::<(), gateless::ConfigError>(())
//! ```
//!
//! One claim in one form is read. Scopes that stand elsewhere as well are not merged, so that nobody gets more by
//! putting them into a second place.
//!
//! Keys without `alg` are for the only allowed algorithm that fits them. With RS256 and PS256 both allowed, an RSA key
//! without `alg` is ambiguous and skipped.
//!
//! ## Several issuers
//!
//! `BearerAuthBuilder::issuer` adds one. Each has its own policy and keys. The `iss` of a token picks among them
//! before its signature is checked, and is never used for anything else: no address is made of it.
//!
//! The caller's identity is always the pair (`issuer`, `subject`). A database that keys by subject alone mixes up two
//! people as soon as there is a second issuer.
//!
//! ## Tokens that come again
//!
//! A token whose signature was verified is remembered, by a digest, with the facts that it vouches for; see
//! [`TokenCache`](crate::bearer::TokenCache). The decision is never remembered. With each request the clock, the keys of
//! the issuer and the whole policy are asked again, so that the answer is the one that the token would get without
//! the cache. Scopes are asked for by [`ScopeGuard`](crate::scope::ScopeGuard), route by route.
//!
//! ## Changing the policy while serving
//!
//! [`BearerHandle::reload`](crate::bearer::BearerHandle::reload) takes a builder like the one that made the layer.
//! Nothing changes unless all of it can be used.
//!
//! ## Why HMAC is not among the defaults
//!
//! Whoever can verify an HMAC token can make one. [`Key::hmac`](crate::bearer::Key::hmac) exists for issuers that
//! leave no choice; secrets are at least as long as the hash, and a public key cannot be passed for one.
