//! The decision: who is it?

use std::fmt;
use std::sync::Arc;

use gateless_core::{AccessToken, Clock, Dependency, Principal, Rejection, Renderer, TokenFault};
use gateless_jwt::{TokenPolicy, Unverified};

use super::cache::{Finding, Known, Recalled, TokenKey, Tokens};
use super::metrics::{Found, TokenMetrics};
use super::{BearerAuth, KeysUnavailable, OptionalBearerAuth};
use crate::credentials::{Credentials, Presented};
use crate::epoch::PolicyEpoch;
use crate::gate::{BoxedWait, CredentialFingerprint, Gate, Head, Pass, Step, Verdict};
use crate::keys::{KeyStore, Keys, Lack, NotFound, Search, Standing};
use crate::notes::Notes;

/// Everything that is decided with: one configuration. Shared by all clones of a layer, and never changed.
pub(crate) struct Authenticator {
    pub(super) epoch: PolicyEpoch,
    pub(super) issuers: Box<[Issuer]>,
    pub(crate) credentials: Credentials,
    pub(super) clock: Arc<dyn Clock>,
    pub(crate) renderer: Renderer,
    pub(super) tokens: Option<Arc<Tokens>>,
    pub(super) metrics: TokenMetrics,
}

/// One trusted issuer: what its tokens have to satisfy, and its keys.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) policy: TokenPolicy,
    pub(super) source: Keys,
    pub(super) keys: Arc<KeyStore>,
}

/// Where a token is remembered.
struct Memory<'a> {
    tokens: &'a Tokens,
    key: TokenKey,
}

/// How far a token came with the keys at hand.
enum Attempt<'a> {
    Decided(Result<Principal, TokenFault>),
    /// Newer keys may decide.
    Lacks(&'a Arc<KeyStore>, Lack),
}

impl Gate for BearerAuth {
    const NAME: &'static str = "bearer";
    type Wait = BoxedWait;

    fn decide(&self, head: Head<'_>) -> Step<BoxedWait> {
        self.0
            .current()
            .decide(head, Err(Rejection::CredentialsMissing))
    }

    fn fingerprint(&self, head: Head<'_>) -> Option<CredentialFingerprint> {
        self.0.current().credentials.fingerprint(head)
    }

    fn renderer(&self) -> Renderer {
        self.0.current().renderer.clone()
    }
}

impl Gate for OptionalBearerAuth {
    const NAME: &'static str = "bearer";
    type Wait = BoxedWait;

    fn decide(&self, head: Head<'_>) -> Step<BoxedWait> {
        self.0.current().decide(head, Ok(Pass::anonymous()))
    }

    fn fingerprint(&self, head: Head<'_>) -> Option<CredentialFingerprint> {
        self.0.current().credentials.fingerprint(head)
    }

    fn renderer(&self) -> Renderer {
        self.0.current().renderer.clone()
    }
}

impl Authenticator {
    /// Whether this is the store of one of its issuers, and not only the like of it.
    pub(super) fn has(&self, keys: &Arc<KeyStore>) -> bool {
        let mut issuers = self.issuers.iter();
        issuers.any(|issuer| Arc::ptr_eq(&issuer.keys, keys))
    }

    /// The store of an issuer whose keys come from the same place under the same settings.
    pub(super) fn with_keys(&self, policy: &TokenPolicy, source: &Keys) -> Option<Arc<KeyStore>> {
        let is_same = |issuer: &&Issuer| {
            issuer.policy.issuer() == policy.issuer()
                && issuer.policy.allowed_algorithms() == policy.allowed_algorithms()
                && issuer.policy.is_http_loopback_allowed() == policy.is_http_loopback_allowed()
                && issuer.source == *source
        };
        let issuer = self.issuers.iter().find(is_same)?;
        Some(Arc::clone(&issuer.keys))
    }

    fn decide(self: &Arc<Self>, head: Head<'_>, without: Verdict) -> Step<BoxedWait> {
        match self.credentials.find(head) {
            Ok(Some(presented)) => self.decide_on(presented, Notes::of(head.extensions)),
            Ok(None) => Step::Now(without),
            Err(fault) => Step::Now(Err(fault.into())),
        }
    }

    /// Decides on a token, wherever it stood.
    pub(crate) fn decide_on(
        self: &Arc<Self>,
        presented: Presented<'_>,
        notes: Notes<'_>,
    ) -> Step<BoxedWait> {
        let memory = self.memory(presented.bytes());
        if let Some(decided) = memory
            .as_ref()
            .and_then(|memory| self.recall(memory, notes))
        {
            return Step::Now(self.verdict(decided));
        }
        let token = match presented.token() {
            Ok(token) => token,
            Err(fault) => return Step::Now(Err(fault.into())),
        };
        match self.verify(token, memory, notes) {
            Attempt::Decided(decided) => Step::Now(self.verdict(decided)),
            Attempt::Lacks(..) => {
                let (this, token) = (Arc::clone(self), AccessToken::new(token));
                let kept = notes.keep();
                Step::Wait(Box::pin(async move {
                    let principal = this.wait(&token, kept.notes()).await?;
                    Ok(this.credentials.pass(principal))
                }))
            }
        }
    }

    /// Decides on a token that is known; `None` for any other.
    #[cfg(feature = "introspection")]
    pub(crate) fn recall_presented(
        &self,
        presented: Presented<'_>,
        notes: Notes<'_>,
    ) -> Option<Verdict> {
        let memory = self.memory(presented.bytes())?;
        Some(self.verdict(self.recall(&memory, notes)?))
    }

    /// Whether a token would be accepted by what was found out about it before. Nothing is counted by asking.
    #[cfg(feature = "limit")]
    pub(crate) fn knows(&self, presented: Presented<'_>) -> bool {
        let is_good = || {
            let Memory { tokens, key } = self.memory(presented.bytes())?;
            let Recalled { known, .. } = tokens.recall(&key, &*self.clock)?;
            let issuer = self.issuers.get(known.issuer)?;
            let (held, standing) = issuer.keys.usable();
            match known.finding {
                Finding::Facts(facts) if standing != Standing::Missing => facts
                    .judge(&held.keys, &issuer.policy, self.clock.wall())
                    .ok(),
                _ => None,
            }
        };
        is_good().is_some()
    }

    /// Whether this is one of the issuers whose tokens are accepted.
    #[cfg(feature = "introspection")]
    pub(crate) fn trusts(&self, issuer: &str) -> bool {
        let mut issuers = self.issuers.iter();
        issuers.any(|trusted| trusted.policy.issuer() == issuer)
    }

    fn verdict(&self, decided: Result<Principal, TokenFault>) -> Verdict {
        let principal = decided?;
        Ok(self.credentials.pass(principal))
    }

    /// Judges a token with the keys at hand, and with what is known of it.
    fn attempt(&self, token: &str, notes: Notes<'_>) -> Attempt<'_> {
        let memory = self.memory(token.as_bytes());
        match memory
            .as_ref()
            .and_then(|memory| self.recall(memory, notes))
        {
            Some(decided) => Attempt::Decided(decided),
            None => self.verify(token, memory, notes),
        }
    }

    fn memory(&self, token: &[u8]) -> Option<Memory<'_>> {
        let tokens = self.tokens.as_deref()?;
        let key = tokens.key(self.epoch, token);
        Some(Memory { tokens, key })
    }

    /// Judges a token by what was found out about it before; `None` when it has to be verified.
    fn recall(
        &self,
        memory: &Memory<'_>,
        notes: Notes<'_>,
    ) -> Option<Result<Principal, TokenFault>> {
        let Recalled { known, was_good } = memory.tokens.recall(&memory.key, &*self.clock)?;
        let issuer = self.issuers.get(known.issuer)?;
        let (held, standing) = issuer.keys.usable();
        if standing == Standing::Missing {
            return None;
        }
        let decided = match known.finding {
            Finding::Facts(facts) => facts.judge(&held.keys, &issuer.policy, self.clock.wall()),
            Finding::Fault { fault, version } if version == held.version => Err(fault),
            Finding::Fault { .. } => return None,
        };
        match decided {
            Ok(_) => self.metrics.found(Found::Cached),
            // Signed by a key that is gone. There may be another that verifies it.
            Err(TokenFault::KeyUnknown) => return None,
            Err(_) => {
                self.metrics.found(Found::KnownBad);
                if was_good {
                    memory.tokens.forget(&memory.key);
                }
            }
        }
        self.used(issuer, standing, notes);
        notes.recalled(self.epoch);
        Some(decided)
    }

    fn verify(&self, token: &str, memory: Option<Memory<'_>>, notes: Notes<'_>) -> Attempt<'_> {
        let unverified = match Unverified::parse(token) {
            Ok(unverified) => unverified,
            Err(fault) => return self.refused(fault),
        };
        // The only use of a claim before the signature: to pick one of the issuers that are configured.
        let mut issuers = self.issuers.iter().enumerate();
        let Some((index, issuer)) =
            issuers.find(|(_, issuer)| issuer.policy.issuer() == unverified.issuer())
        else {
            return self.refused(TokenFault::IssuerUnknown);
        };
        let (held, standing) = issuer.keys.usable();
        if standing == Standing::Missing {
            return Attempt::Lacks(&issuer.keys, Lack::Keys);
        }
        let finding = match unverified.verify(&held.keys, &issuer.policy) {
            Ok(facts) => Finding::Facts(facts),
            Err(TokenFault::KeyUnknown) if issuer.keys.can_fetch() => {
                let version = held.version;
                return Attempt::Lacks(&issuer.keys, Lack::Key { version });
            }
            Err(fault) => Finding::Fault {
                fault,
                version: held.version,
            },
        };
        let decided = match &finding {
            Finding::Facts(facts) => {
                facts
                    .clone()
                    .judge(&held.keys, &issuer.policy, self.clock.wall())
            }
            Finding::Fault { fault, .. } => Err(*fault),
        };
        self.used(issuer, standing, notes);
        notes.verified(self.epoch);
        self.metrics.found(match decided {
            Ok(_) => Found::Verified,
            Err(_) => Found::Refused,
        });
        if let Some(Memory { tokens, key }) = memory {
            let known = Known {
                issuer: index,
                finding,
            };
            match decided {
                Ok(_) => tokens.remember_good(key, known),
                Err(_) => tokens.remember_bad(key, known, self.clock.monotonic()),
            }
            self.metrics.remembered(|| tokens.len());
        }
        Attempt::Decided(decided)
    }

    fn used(&self, issuer: &Issuer, standing: Standing, notes: Notes<'_>) {
        issuer.keys.used(standing);
        if standing == Standing::Stale {
            notes.stale_keys();
        }
    }

    /// Refused before anything about it could be found out that is worth remembering.
    fn refused(&self, fault: TokenFault) -> Attempt<'_> {
        self.metrics.found(Found::Refused);
        Attempt::Decided(Err(fault))
    }

    /// Judges a token again and again as newer keys come, until it is decided or no newer ones can be had.
    pub(super) async fn wait(
        &self,
        token: &AccessToken,
        notes: Notes<'_>,
    ) -> Result<Principal, Rejection> {
        let mut search = None;
        loop {
            let (store, lack) = match self.attempt(token.expose(), notes) {
                Attempt::Decided(decided) => return decided.map_err(Rejection::from),
                Attempt::Lacks(store, lack) => (store, lack),
            };
            let search = search.get_or_insert_with(|| Search::within(store.timeout()));
            search.newer(store, lack).await.map_err(not_found)?;
        }
    }

    /// Waits for the keys of those issuers whose store is `wanted`.
    pub(super) async fn ready(
        &self,
        wanted: impl Fn(&Arc<KeyStore>) -> bool,
    ) -> Result<(), KeysUnavailable> {
        let mut issuers = Vec::new();
        for issuer in self.issuers.iter().filter(|issuer| wanted(&issuer.keys)) {
            if !issuer.keys.warm_up().await {
                issuers.push(issuer.keys.issuer().to_owned());
            }
        }
        if issuers.is_empty() {
            Ok(())
        } else {
            Err(KeysUnavailable { issuers })
        }
    }
}

/// Where nobody knows it is not the caller's fault, so never a 401: the token may be perfectly good.
fn not_found(not_found: NotFound) -> Rejection {
    if not_found.is_certain() {
        return TokenFault::KeyUnknown.into();
    }
    Rejection::DependencyUnavailable {
        dependency: Dependency::Keys,
        retry_after: not_found.retry_after,
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("epoch", &self.epoch)
            .field("issuers", &self.issuers)
            .field("credentials", &self.credentials)
            .field("token_cache", &self.tokens.as_deref().map(Tokens::settings))
            .finish_non_exhaustive()
    }
}
