//! Authenticates requests by asking the authorization server about their token ([RFC 7662]), once in a while.
//!
//! | request | HTTP | gRPC |
//! |---|---|---|
//! | no bearer credentials | 401, challenge without `error` | `UNAUTHENTICATED` |
//! | two fields, two places, wrong characters, too long | 400 `invalid_request` | `UNAUTHENTICATED` |
//! | a token that is not active, not for this service, or about which the server says nothing that it may say | 401 `invalid_token`, always the same text | `UNAUTHENTICATED` |
//! | the server cannot be asked, or does not answer the question | 503 with `Retry-After` | `UNAVAILABLE` |
//! | a good token | passes, with a [`Principal`](crate::Principal) in its extensions | the same |
//!
//! ```
//! use gateless::introspection::{
//!     ClientAuthentication, Endpoint, Introspection, IntrospectionPolicy, Secret,
//! };
//! use gateless::{OnOutage, Principal};
//! use gateless_testkit::TestIssuer;
//! use tower::{Layer, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // An authorization server for tests; a service would name its own, and read the secret from a file.
//! let server = TestIssuer::serve().await?;
//! let layer = Introspection::builder(
//!     IntrospectionPolicy::new(server.issuer(), "https://api.example.com")
//!         .danger_allow_http_loopback(),
//!     Endpoint::discovery(OnOutage::FailClosed),
//!     ClientAuthentication::basic(TestIssuer::CLIENT_ID, Secret::new(TestIssuer::CLIENT_SECRET)),
//! )
//! .build()?;
//!
//! let whoami = tower::service_fn(|request: http::Request<String>| async move {
//!     let principal = Principal::of(request.extensions()).unwrap();
//!     Ok::<_, std::convert::Infallible>(http::Response::new(principal.subject().unwrap().to_owned()))
//! });
//! let token = server.opaque_token().subject("user-7").mint();
//! let request = http::Request::get("/whoami")
//!     .header("authorization", format!("Bearer {token}"))
//!     .body(String::new())?;
//! let response = layer.layer(whoami).oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! What the server says is remembered for a short while ([`AnswerCache`]), so that a token costs one call in that time and
//! not one for each request. All who ask for the same token at the same time wait for the same call, which goes on when
//! some of them go away. There are never more than so many calls at once, and none to a server that cannot be reached but
//! one a second ([`Endpoint`]).
//!
//! A JWT of another issuer is never shown to the server: it could use it. Where some tokens are JWTs and some are not,
//! [`HybridAuth`](crate::hybrid::HybridAuth) checks the former in the process and asks about the latter.
//!
//! [RFC 7662]: https://www.rfc-editor.org/rfc/rfc7662

mod builder;
mod cache;
mod decide;
mod endpoint;
mod flight;
mod form;
mod handle;
mod health;
mod learn;
mod metrics;
mod shared;

use std::fmt;

pub use gateless_jwt::{Algorithm, IntrospectionPolicy, ScopeClaim};

pub use self::builder::IntrospectionBuilder;
pub use self::cache::AnswerCache;
pub use self::endpoint::{ClientAuthentication, Endpoint, Secret};
pub use self::handle::{EndpointStatus, EndpointUnavailable, IntrospectionHandle};
pub use self::shared::SharedAnswers;
pub use crate::credentials::{Credentials, CsrfDefence, SecureTransport, TlsEvidence};
pub use crate::epoch::PolicyEpoch;
pub use crate::keys::Keys;

/// A layer that lets only requests through whose token the authorization server calls active.
///
/// Cloning it, and mounting it in several places, shares what is remembered.
#[derive(Clone)]
pub struct Introspection(IntrospectionHandle);

/// A layer that authenticates requests which carry credentials, and lets those without any through as
/// [`Anonymous`](crate::Anonymous).
///
/// A type of its own, so that a route cannot become optional by a setting. Credentials that are there have to be
/// good: a bad token is refused, never ignored. Take `Option<Principal>` in handlers behind it.
#[derive(Clone)]
pub struct OptionalIntrospection(IntrospectionHandle);

impl Introspection {
    /// Accepts tokens that satisfy `policy` by what `endpoint` says about them, to a client that proves itself by
    /// `authentication`.
    pub fn builder(
        policy: IntrospectionPolicy,
        endpoint: Endpoint,
        authentication: ClientAuthentication,
    ) -> IntrospectionBuilder {
        IntrospectionBuilder::new(policy, endpoint, authentication)
    }

    /// What can be asked of this layer and its clones, and done to them, while they serve.
    #[must_use]
    pub const fn handle(&self) -> &IntrospectionHandle {
        &self.0
    }
}

impl OptionalIntrospection {
    /// What can be asked of this layer and its clones, and done to them, while they serve.
    #[must_use]
    pub const fn handle(&self) -> &IntrospectionHandle {
        &self.0
    }
}

gate_layer!(Introspection);

gate_layer!(OptionalIntrospection);

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Introspection").field(&self.0).finish()
    }
}

impl fmt::Debug for OptionalIntrospection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OptionalIntrospection")
            .field(&self.0)
            .finish()
    }
}
