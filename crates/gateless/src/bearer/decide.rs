//! The decision: who is it?

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gateless_core::{
    AccessToken, Clock, Dependency, PresentationFault, Principal, Rejection, Renderer, TokenFault,
};
use gateless_jwt::{KeySet, TokenPolicy, Unverified};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, COOKIE};

use super::extract::Sources;
use super::keys::{Demand, HeldKeys, KeyStore};
use super::transport::TlsEvidence;
use super::{BearerAuth, KeysUnavailable, OptionalBearerAuth};
use crate::gate::{Gate, Head, Pass, Step, Verdict};

/// A decision that waits for keys. Boxed: next to a fetch over the network that is nothing.
type WaitForKeys = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// Everything that is decided with. Shared by all clones of a layer, and never changed.
#[derive(Debug)]
pub(super) struct Authenticator {
    pub(super) issuers: Box<[Issuer]>,
    pub(super) sources: Sources,
    pub(super) tls: Option<TlsEvidence>,
    pub(super) strips_credentials: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) renderer: Renderer,
}

/// One trusted issuer: what its tokens have to satisfy, and its keys.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) policy: TokenPolicy,
    pub(super) keys: HeldKeys,
}

/// How far a token came with the keys at hand.
enum Attempt<'a> {
    Decided(Result<Principal, TokenFault>),
    /// Everything fits but the key: newer keys may have it.
    LacksKey(&'a Arc<KeyStore>),
    /// There are no keys that may be used.
    LacksKeys(&'a Arc<KeyStore>),
}

impl Gate for BearerAuth {
    const NAME: &'static str = "bearer";
    type Wait = WaitForKeys;

    fn decide(&self, head: Head<'_>) -> Step<WaitForKeys> {
        Authenticator::decide(&self.0, head, Err(Rejection::CredentialsMissing))
    }

    fn renderer(&self) -> &Renderer {
        &self.0.renderer
    }
}

impl Gate for OptionalBearerAuth {
    const NAME: &'static str = "bearer";
    type Wait = WaitForKeys;

    fn decide(&self, head: Head<'_>) -> Step<WaitForKeys> {
        Authenticator::decide(&self.0, head, Ok(Pass::anonymous()))
    }

    fn renderer(&self) -> &Renderer {
        &self.0.renderer
    }
}

impl Authenticator {
    fn decide(self: &Arc<Self>, head: Head<'_>, without: Verdict) -> Step<WaitForKeys> {
        let token = match self.sources.find(head) {
            Ok(Some(token)) => token,
            Ok(None) => return Step::Now(without),
            Err(fault) => return Step::Now(Err(fault.into())),
        };
        if self.tls.is_some_and(|evidence| !evidence.is_secure(head)) {
            return Step::Now(Err(PresentationFault::Exposed.into()));
        }
        match self.attempt(token) {
            Attempt::Decided(Ok(principal)) => Step::Now(Ok(self.pass(principal))),
            Attempt::Decided(Err(fault)) => Step::Now(Err(fault.into())),
            Attempt::LacksKey(_) | Attempt::LacksKeys(_) => {
                let (this, token) = (Arc::clone(self), AccessToken::new(token));
                Step::Wait(Box::pin(async move {
                    this.wait(&token)
                        .await
                        .map(|principal| this.pass(principal))
                }))
            }
        }
    }

    fn pass(&self, principal: Principal) -> Pass {
        let mut pass = Pass::authenticated(principal);
        if self.strips_credentials {
            pass = pass.strip_credentials();
        }
        if let Some(name) = &self.sources.header {
            pass = if self.strips_credentials {
                pass.strip_header(name.clone())
            } else {
                pass.sensitive_header(name.clone())
            };
        }
        if self.sources.cookie.is_some() {
            pass = pass.sensitive_header(COOKIE);
        }
        if self.sources.query.is_some() {
            pass = pass.response_header(CACHE_CONTROL, HeaderValue::from_static("private"));
        }
        pass
    }

    /// Judges a token with the keys at hand.
    fn attempt(&self, token: &str) -> Attempt<'_> {
        let unverified = match Unverified::parse(token) {
            Ok(unverified) => unverified,
            Err(fault) => return Attempt::Decided(Err(fault)),
        };
        // The only use of a claim before the signature: to pick one of the issuers that are configured.
        let mut issuers = self.issuers.iter();
        let Some(issuer) = issuers.find(|issuer| issuer.policy.issuer() == unverified.issuer())
        else {
            return Attempt::Decided(Err(TokenFault::IssuerUnknown));
        };
        match &issuer.keys {
            HeldKeys::Fixed(keys) => Attempt::Decided(self.judge(unverified, keys, &issuer.policy)),
            HeldKeys::Fetched(store) => {
                let held = store.usable();
                let Some(held) = held.as_ref().and_then(|held| held.as_ref()) else {
                    return Attempt::LacksKeys(store);
                };
                match self.judge(unverified, &held.keys, &issuer.policy) {
                    Err(TokenFault::KeyUnknown) => Attempt::LacksKey(store),
                    decided => Attempt::Decided(decided),
                }
            }
        }
    }

    fn judge(
        &self,
        unverified: Unverified<'_>,
        keys: &KeySet,
        policy: &TokenPolicy,
    ) -> Result<Principal, TokenFault> {
        unverified
            .verify(keys, policy)?
            .judge(keys, policy, self.clock.wall())
    }

    /// Judges a token again and again as newer keys come, until it is decided or no newer ones can be had.
    async fn wait(&self, token: &AccessToken) -> Result<Principal, Rejection> {
        let mut refused: Option<(Duration, bool)> = None;
        loop {
            let (store, has_keys) = match self.attempt(token.expose()) {
                Attempt::Decided(decided) => return decided.map_err(Rejection::from),
                Attempt::LacksKey(store) => (store, true),
                Attempt::LacksKeys(store) => (store, false),
            };
            // Asked once more after a refusal: keys may have come in between.
            if let Some((retry_after, last_failed)) = refused {
                return Err(if has_keys && !last_failed {
                    TokenFault::KeyUnknown.into()
                } else {
                    unavailable(retry_after)
                });
            }
            match store.demand() {
                Demand::Refused {
                    retry_after,
                    last_failed,
                } => {
                    refused = Some((retry_after, last_failed));
                }
                Demand::Wait(mut finished) => {
                    let fetch = tokio::time::timeout(store.timeout(), finished.changed());
                    if fetch.await.is_err() {
                        return Err(unavailable(store.timeout()));
                    }
                }
            }
        }
    }

    pub(super) async fn ready(&self) -> Result<(), KeysUnavailable> {
        let mut issuers = Vec::new();
        for issuer in &self.issuers {
            if let HeldKeys::Fetched(store) = &issuer.keys
                && !store.warm_up().await
            {
                issuers.push(store.issuer().to_owned());
            }
        }
        if issuers.is_empty() {
            Ok(())
        } else {
            Err(KeysUnavailable { issuers })
        }
    }
}

/// Not the caller's fault, so never a 401: the token may be perfectly good.
fn unavailable(retry_after: Duration) -> Rejection {
    Rejection::DependencyUnavailable {
        dependency: Dependency::Keys,
        retry_after,
    }
}
