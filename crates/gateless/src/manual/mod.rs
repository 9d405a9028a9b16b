//! The manual: how to use the layers well, and why they are as they are.
//!
//! | chapter | answers |
//! |---|---|
//! | [`getting_started`] | how do I put this in front of axum, tonic or hyper? |
//! | [`ordering`] | which layer goes where, and what happens when it does not? |
//! | [`tokens`] | which tokens are accepted, and how do I fit that to my issuer? |
//! | [`keys`] | where do keys come from, and what happens when the issuer is away? |
//! | [`refusals`] | what does a caller see, and what do I see? |
#![cfg(all(feature = "jwks", feature = "scope"))]

pub mod getting_started;
pub mod keys;
pub mod ordering;
pub mod refusals;
pub mod tokens;
