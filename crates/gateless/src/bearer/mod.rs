//! Authenticates requests by JWT access tokens ([RFC 6750], [RFC 9068]).
//!
//! | request | HTTP | gRPC |
//! |---|---|---|
//! | no bearer credentials | 401, challenge without `error` | `UNAUTHENTICATED` |
//! | two fields, two places, wrong characters, too long | 400 `invalid_request` | `UNAUTHENTICATED` |
//! | any fault of the token itself | 401 `invalid_token`, always the same text | `UNAUTHENTICATED` |
//! | the issuer's keys cannot be had | 503 with `Retry-After` | `UNAVAILABLE` |
//! | a good token | passes, with a [`Principal`](crate::Principal) in its extensions | the same |
//!
//! ```
//! use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
//! use gateless::{Principal, SystemClock};
//! use gateless_testkit::TestIssuer;
//! use tower::{Layer, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // An issuer for tests; a service would write `Keys::discovery(..)`.
//! let issuer = TestIssuer::new();
//! let policy = TokenPolicy::new(issuer.issuer(), "https://api.example.com");
//! let keys = policy.read_keys(issuer.jwks().to_string().as_bytes())?;
//! let auth = BearerAuth::builder(policy, Keys::fixed(keys)).build()?;
//!
//! let whoami = tower::service_fn(|request: http::Request<String>| async move {
//!     let principal = Principal::of(request.extensions()).unwrap();
//!     Ok::<_, std::convert::Infallible>(http::Response::new(principal.subject().unwrap().to_owned()))
//! });
//! let request = http::Request::get("/whoami")
//!     .header("authorization", format!("Bearer {}", issuer.token().subject("user-7").mint()))
//!     .body(String::new())?;
//! let response = auth.layer(whoami).oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! The token is looked for in the `Authorization` field, and nowhere else unless a setting names another place. What
//! the token has to satisfy is a [`TokenPolicy`]; where its issuer's keys come from is [`Keys`].
//!
//! [RFC 6750]: https://www.rfc-editor.org/rfc/rfc6750
//! [RFC 9068]: https://www.rfc-editor.org/rfc/rfc9068

mod builder;
mod cache;
mod decide;
mod handle;
mod metrics;
#[cfg(test)]
mod tests;

use std::fmt;

pub use gateless_jwt::{
    Algorithm, HmacSecret, Key, KeyError, KeySet, KeySetError, Profile, ScopeClaim, SkipReason,
    SkippedKey, TokenPolicy,
};

pub use self::builder::BearerAuthBuilder;
pub use self::cache::TokenCache;
#[cfg(feature = "introspection")]
pub(crate) use self::decide::Authenticator;
pub use self::handle::{BearerHandle, KeysUnavailable, ReloadError};
pub use crate::credentials::{Credentials, CsrfDefence, SecureTransport, TlsEvidence};
pub use crate::epoch::PolicyEpoch;
pub use crate::keys::{KeyState, KeyStatus, Keys};

/// A layer that lets only authenticated requests through.
///
/// Cloning it, and mounting it in several places, shares the keys.
#[derive(Clone)]
pub struct BearerAuth(BearerHandle);

/// A layer that authenticates requests which carry credentials, and lets those without any through as
/// [`Anonymous`](crate::Anonymous).
///
/// A type of its own, so that a route cannot become optional by a setting. Credentials that are there have to be
/// good: a bad token is refused, never ignored. Take `Option<Principal>` in handlers behind it.
#[derive(Clone)]
pub struct OptionalBearerAuth(BearerHandle);

impl BearerAuth {
    /// Accepts tokens of the issuer in `policy` that its `keys` verify.
    pub fn builder(policy: TokenPolicy, keys: Keys) -> BearerAuthBuilder {
        BearerAuthBuilder::new(policy, keys)
    }

    /// What can be asked of this layer and its clones, and done to them, while they serve.
    #[must_use]
    pub const fn handle(&self) -> &BearerHandle {
        &self.0
    }

    /// See [`BearerHandle::ready`].
    ///
    /// # Errors
    ///
    /// [`KeysUnavailable`] with the issuers whose keys could not be had. The layer goes on trying.
    pub async fn ready(&self) -> Result<(), KeysUnavailable> {
        self.0.ready().await
    }
}

impl OptionalBearerAuth {
    /// What can be asked of this layer and its clones, and done to them, while they serve.
    #[must_use]
    pub const fn handle(&self) -> &BearerHandle {
        &self.0
    }

    /// See [`BearerHandle::ready`].
    ///
    /// # Errors
    ///
    /// [`KeysUnavailable`] with the issuers whose keys could not be had. The layer goes on trying.
    pub async fn ready(&self) -> Result<(), KeysUnavailable> {
        self.0.ready().await
    }
}

gate_layer!(BearerAuth);

gate_layer!(OptionalBearerAuth);

impl fmt::Debug for BearerAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BearerAuth").field(&self.0).finish()
    }
}

impl fmt::Debug for OptionalBearerAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OptionalBearerAuth").field(&self.0).finish()
    }
}
