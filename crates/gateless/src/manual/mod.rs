//! The manual: how to use the layers well, and why they are as they are.
//!
//! | chapter | answers |
//! |---|---|
//! | [`getting_started`] | how do I put this in front of axum, tonic or hyper? |
//! | [`routes`] | what does each route ask for, and where do I say so? |
//! | [`ordering`] | which layer goes where, and what happens when it does not? |
//! | [`tokens`] | which tokens are accepted, and how do I fit that to my issuer? |
//! | [`keys`] | where do keys come from, and what happens when the issuer is away? |
//! | `introspection` | what about tokens that say nothing by themselves? |
//! | `revocation` | how does a token end before its time, everywhere? |
//! | `limits` | how much may a caller have, and who slows down whoever guesses? |
//! | `audit` | who did what, and can that be trusted later? |
//! | [`failing_closed`] | what happens in an outage, and what can be done in an emergency? |
//! | [`refusals`] | what does a caller see, and what do I see? |
//! | [`observing`] | what is counted and logged, under which names? |
//! | `operating` | what do I look at, and what do I do when it breaks? |
//! | `defaults` | what is set when I set nothing, and within which bounds? |
//! | [`migration`] | how do I come from another crate, or from a gateway? |
//! | [`threat_model`] | what is defended, what is not, and how do you know? |
#![cfg(all(feature = "jwks", feature = "scope"))]

#[cfg(feature = "audit")]
pub mod audit;
#[cfg(all(
    feature = "audit",
    feature = "denylist",
    feature = "introspection",
    feature = "limit_shared"
))]
pub mod defaults;
pub mod failing_closed;
pub mod getting_started;
#[cfg(feature = "introspection")]
pub mod introspection;
pub mod keys;
#[cfg(feature = "limit")]
pub mod limits;
pub mod migration;
pub mod observing;
#[cfg(all(feature = "audit", feature = "denylist", feature = "introspection"))]
pub mod operating;
pub mod ordering;
pub mod refusals;
#[cfg(feature = "denylist")]
pub mod revocation;
pub mod routes;
pub mod threat_model;
pub mod tokens;
