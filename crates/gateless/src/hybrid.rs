//! JWTs are checked in the process, and all other tokens are asked about.
//!
//! Which way a token goes shows in its form and in the issuer that it names, and is never found out by trying:
//!
//! | token | goes to |
//! |---|---|
//! | a JWT of one of the issuers of [`BearerAuth`] | [`BearerAuth`], and nobody else sees it |
//! | a JWT of the issuer of [`Introspection`], where that is another one | [`Introspection`] |
//! | a JWT of anybody else, an encrypted or broken one | nobody: `401` |
//! | anything else | [`Introspection`]: exactly one server |
//!
//! It is one layer and not two in a row, so that there is no request which one of them left to another that is not there.
//!
//! ```
//! use gateless::OnOutage;
//! use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
//! use gateless::hybrid::HybridAuth;
//! use gateless::introspection::{
//!     ClientAuthentication, Endpoint, Introspection, IntrospectionPolicy, Secret,
//! };
//!
//! # fn main() -> Result<(), gateless::ConfigError> {
//! let (issuer, audience) = ("https://idp.example.com", "https://api.example.com");
//! let bearer = BearerAuth::builder(
//!     TokenPolicy::new(issuer, audience),
//!     Keys::discovery(OnOutage::FailClosed),
//! )
//! .build()?;
//! let introspection = Introspection::builder(
//!     IntrospectionPolicy::new(issuer, audience),
//!     Endpoint::discovery(OnOutage::FailClosed),
//!     ClientAuthentication::basic("orders", Secret::new("the client secret")),
//! )
//! .build()?;
//! let auth = HybridAuth::new(&bearer, &introspection)?;
//! # let _ = auth;
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "denylist")]
use gateless_core::AccessToken;
use gateless_core::{ConfigError, Rejection, Renderer};
use gateless_jwt::TokenShape;

use crate::bearer::{Authenticator, BearerAuth, BearerHandle, OptionalBearerAuth};
use crate::gate::{BoxedWait, CredentialFingerprint, Gate, Head, Pass, Step, Verdict};
use crate::introspection::{Introspection, IntrospectionHandle, OptionalIntrospection};
#[cfg(feature = "limit")]
use crate::known::{Knowledge, KnownTokens};
use crate::notes::Notes;
#[cfg(feature = "denylist")]
use crate::verifier::{TokenVerifier, Verification};

/// A layer that checks JWTs in the process, and asks about all other tokens. See the [module](self).
///
/// It is made of two layers, which go on to be what they are: their handles act on this one too.
#[derive(Clone, Debug)]
pub struct HybridAuth(Both);

/// The same for a layer that lets requests without credentials through as [`Anonymous`](crate::Anonymous).
#[derive(Clone, Debug)]
pub struct OptionalHybridAuth(Both);

#[derive(Clone, Debug)]
struct Both {
    bearer: BearerHandle,
    introspection: IntrospectionHandle,
}

impl HybridAuth {
    /// Puts two layers together. Tokens are looked for where `bearer` looks for them, and refusals look as those of
    /// `bearer` do.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the two look for tokens in different places.
    pub fn new(bearer: &BearerAuth, introspection: &Introspection) -> Result<Self, ConfigError> {
        Both::new(bearer.handle(), introspection.handle()).map(Self)
    }

    /// What can be asked of the part that verifies JWTs, and done to it, while it serves.
    #[must_use]
    pub const fn bearer(&self) -> &BearerHandle {
        &self.0.bearer
    }

    /// The same for the part that asks about all other tokens.
    #[must_use]
    pub const fn introspection(&self) -> &IntrospectionHandle {
        &self.0.introspection
    }
}

impl OptionalHybridAuth {
    /// See [`HybridAuth::new`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the two look for tokens in different places.
    pub fn new(
        bearer: &OptionalBearerAuth,
        introspection: &OptionalIntrospection,
    ) -> Result<Self, ConfigError> {
        Both::new(bearer.handle(), introspection.handle()).map(Self)
    }

    /// What can be asked of the part that verifies JWTs, and done to it, while it serves.
    #[must_use]
    pub const fn bearer(&self) -> &BearerHandle {
        &self.0.bearer
    }

    /// The same for the part that asks about all other tokens.
    #[must_use]
    pub const fn introspection(&self) -> &IntrospectionHandle {
        &self.0.introspection
    }
}

impl Both {
    fn new(
        bearer: &BearerHandle,
        introspection: &IntrospectionHandle,
    ) -> Result<Self, ConfigError> {
        let mut faults = ConfigError::collect();
        if bearer.current().credentials != introspection.current().credentials {
            faults.add(
                "credentials",
                "of the two layers differ: they would look for tokens in different places",
            );
        }
        faults.into_result()?;
        Ok(Self {
            bearer: bearer.clone(),
            introspection: introspection.clone(),
        })
    }

    fn decide(&self, head: Head<'_>, without: Verdict) -> Step<BoxedWait> {
        let bearer = self.bearer.current();
        let presented = match bearer.credentials.find(head) {
            Ok(Some(presented)) => presented,
            Ok(None) => return Step::Now(without),
            Err(fault) => return Step::Now(Err(fault.into())),
        };
        let notes = Notes::of(head.extensions);
        if TokenShape::may_be_jose(presented.bytes()) {
            // One that was verified before is of a local issuer.
            if let Some(verdict) = bearer.recall_presented(presented, notes) {
                return Step::Now(verdict);
            }
            if presented
                .token()
                .is_ok_and(|token| is_local(&bearer, token))
            {
                return bearer.decide_on(presented, notes);
            }
        }
        let introspection = self.introspection.current();
        introspection.decide_on(presented, &bearer.credentials, notes)
    }

    #[cfg(feature = "limit")]
    fn knows(&self, head: Head<'_>) -> Knowledge {
        let (bearer, introspection) = (self.bearer.current(), self.introspection.current());
        bearer.credentials.knowledge(head, |presented| {
            // As in `decide`: what is local is known there or not at all.
            if TokenShape::may_be_jose(presented.bytes()) {
                if bearer.knows(presented) {
                    return true;
                }
                if presented
                    .token()
                    .is_ok_and(|token| is_local(&bearer, token))
                {
                    return false;
                }
            }
            introspection.knows(presented)
        })
    }

    #[cfg(feature = "denylist")]
    fn verify(&self, token: AccessToken) -> Verification<'_> {
        if is_local(&self.bearer.current(), token.expose()) {
            self.bearer.verify(token)
        } else {
            self.introspection.verify(token)
        }
    }

    fn fingerprint(&self, head: Head<'_>) -> Option<CredentialFingerprint> {
        self.bearer.current().credentials.fingerprint(head)
    }

    fn renderer(&self) -> Renderer {
        self.bearer.current().renderer.clone()
    }
}

/// Whether a token is a JWT of an issuer whose tokens are checked in the process.
fn is_local(bearer: &Authenticator, token: &str) -> bool {
    match TokenShape::of(token) {
        TokenShape::Jwt { issuer } => bearer.trusts(&issuer),
        _ => false,
    }
}

#[cfg(feature = "denylist")]
#[cfg_attr(docsrs, doc(cfg(feature = "denylist")))]
impl TokenVerifier for HybridAuth {
    fn verify(&self, token: AccessToken) -> Verification<'_> {
        self.0.verify(token)
    }
}

#[cfg(feature = "denylist")]
#[cfg_attr(docsrs, doc(cfg(feature = "denylist")))]
impl TokenVerifier for OptionalHybridAuth {
    fn verify(&self, token: AccessToken) -> Verification<'_> {
        self.0.verify(token)
    }
}

#[cfg(feature = "limit")]
#[cfg_attr(docsrs, doc(cfg(feature = "limit")))]
impl KnownTokens for HybridAuth {
    fn knows(&self, head: Head<'_>) -> Knowledge {
        self.0.knows(head)
    }

    fn fingerprint_of(&self, head: Head<'_>) -> Option<CredentialFingerprint> {
        self.0.fingerprint(head)
    }
}

#[cfg(feature = "limit")]
#[cfg_attr(docsrs, doc(cfg(feature = "limit")))]
impl KnownTokens for OptionalHybridAuth {
    fn knows(&self, head: Head<'_>) -> Knowledge {
        self.0.knows(head)
    }

    fn fingerprint_of(&self, head: Head<'_>) -> Option<CredentialFingerprint> {
        self.0.fingerprint(head)
    }
}

impl Gate for HybridAuth {
    const NAME: &'static str = "hybrid";
    type Wait = BoxedWait;

    fn decide(&self, head: Head<'_>) -> Step<BoxedWait> {
        self.0.decide(head, Err(Rejection::CredentialsMissing))
    }

    fn fingerprint(&self, head: Head<'_>) -> Option<CredentialFingerprint> {
        self.0.fingerprint(head)
    }

    fn renderer(&self) -> Renderer {
        self.0.renderer()
    }
}

impl Gate for OptionalHybridAuth {
    const NAME: &'static str = "hybrid";
    type Wait = BoxedWait;

    fn decide(&self, head: Head<'_>) -> Step<BoxedWait> {
        self.0.decide(head, Ok(Pass::anonymous()))
    }

    fn fingerprint(&self, head: Head<'_>) -> Option<CredentialFingerprint> {
        self.0.fingerprint(head)
    }

    fn renderer(&self) -> Renderer {
        self.0.renderer()
    }
}

gate_layer!(HybridAuth);

gate_layer!(OptionalHybridAuth);
