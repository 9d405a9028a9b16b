//! Strict JOSE without I/O: compact JWS, JWK sets, and access token claims judged at a time that is passed in.
//!
//! A token passes through three types, and no step can be left out:
//!
//! ```text
//! text ─► Unverified ─► Facts ─► Principal
//!         split, parsed  signed   judged at `now` under a policy
//! ```
//!
//! - [`Unverified`] has been split and parsed strictly. It tells its header and its `iss`, the latter only so that
//!   one of the configured issuers can be picked, and nothing else.
//! - [`Facts`] have a signature that verified with a key of that issuer. Facts may be kept; they are never a decision.
//! - [`Facts::judge`] decides, with the keys and at the time that are given, under a [`TokenPolicy`], and gives out the
//!   `Principal`.
//!
//! ```
//! use gateless_core::{Timestamp, TokenFault};
//! use gateless_jwt::{KeySet, TokenPolicy, Unverified};
//!
//! fn authenticate(
//!     token: &str,
//!     keys: &KeySet,
//!     policy: &TokenPolicy,
//!     now: Timestamp,
//! ) -> Result<gateless_core::Principal, TokenFault> {
//!     Unverified::parse(token)?.verify(keys, policy)?.judge(keys, policy, now)
//! }
//! ```
//!
//! # Tokens that are asked about
//!
//! What an authorization server answers about a token (RFC 7662) goes the same way: [`Answer::read`] or, for a signed
//! one, [`Answer::verify`] reads it strictly; [`ActiveToken::into_facts`] holds it against an [`IntrospectionPolicy`];
//! [`IntrospectedFacts::judge`] decides at a time. [`TokenShape`] tells which tokens may be sent to whom. Asking is up
//! to the caller.
//!
//! # Tokens that end sessions
//!
//! A [`LogoutToken`] (OpenID Connect Back-Channel Logout 1.0) is a third kind of JWT of the same issuers. It is verified
//! under a [`LogoutPolicy`], and says what is to be revoked. None of the three kinds is ever taken for another.
//!
//! # Signatures
//!
//! With the feature `aws_lc_rs` (default) keys are parsed once, when the set is read. With `rust_crypto` alone the
//! verifiers of jsonwebtoken's RustCrypto provider are used. With both, aws-lc-rs verifies; the process-wide default
//! provider of jsonwebtoken is never touched. With neither, every key is refused and no layer can be built.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod algorithm;
mod backend;
mod base64url;
mod claims;
mod ed25519;
mod facts;
mod header;
mod introspection;
mod json;
mod jwk;
mod jws;
mod key;
mod logout;
mod policy;
mod roca;
mod shape;
mod signing;
mod statement;
mod terms;
#[cfg(test)]
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod testing;
mod token;

pub use algorithm::Algorithm;
pub use facts::Facts;
pub use header::Header;
pub use introspection::{ActiveToken, Answer, AnswerFault, IntrospectedFacts, IntrospectionPolicy};
pub use jwk::{KeySet, KeySetError, SkipReason, SkippedKey};
pub use key::{HmacSecret, Key, KeyError};
pub use logout::{LogoutPolicy, LogoutToken};
pub use policy::{Profile, TokenPolicy};
pub use shape::TokenShape;
pub use signing::{SigningError, SigningKey};
pub use terms::ScopeClaim;
pub use token::Unverified;
