//! What can be asked of a layer, and done to it, while it serves.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use gateless_core::ConfigError;

use super::builder::BearerAuthBuilder;
use super::decide::{Authenticator, Issuer};
use crate::epoch::PolicyEpoch;
use crate::keys::{KeyState, KeyStatus};

/// What can be asked of a layer, and done to it, while it serves: readiness, emergencies, a new configuration.
///
/// It belongs to a [`BearerAuth`](super::BearerAuth) or [`OptionalBearerAuth`](super::OptionalBearerAuth) and all clones
/// of that. Cloning it is a reference count.
///
/// ```
/// use gateless::bearer::{BearerAuth, BearerHandle};
///
/// /// The answer of a `/readyz`.
/// fn readiness(auth: &BearerHandle) -> (u16, String) {
///     let lines = auth.key_status().iter().map(|status| format!("{status}\n")).collect();
///     (if auth.is_ready() { 200 } else { 503 }, lines)
/// }
/// # fn uses(auth: &BearerAuth) { let _ = readiness(auth.handle()); }
/// ```
#[derive(Clone)]
pub struct BearerHandle(Arc<Live>);

struct Live {
    current: ArcSwap<Authenticator>,
    orders: Mutex<Orders>,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
}

/// What was ordered by hand: a new configuration does not take it back.
#[derive(Default)]
struct Orders {
    /// Issuers and key ids.
    refused: BTreeSet<(Box<str>, Box<str>)>,
    /// Issuers whose keys were thrown away since the last reload began.
    purged: BTreeSet<Box<str>>,
}

impl BearerHandle {
    pub(super) fn new(authenticator: Authenticator) -> Self {
        Self(Arc::new(Live {
            current: ArcSwap::from_pointee(authenticator),
            orders: Mutex::default(),
            reloading: tokio::sync::Mutex::default(),
        }))
    }

    pub(crate) fn current(&self) -> Guard<Arc<Authenticator>> {
        self.0.current.load()
    }

    /// Waits until the keys of every issuer were fetched once, so that the first requests need not.
    ///
    /// Serving works without it: a service may start while its issuer is away.
    ///
    /// # Errors
    ///
    /// [`KeysUnavailable`] with the issuers whose keys could not be had. The layer goes on trying.
    pub async fn ready(&self) -> Result<(), KeysUnavailable> {
        let current = self.0.current.load_full();
        current.ready(|_| true).await
    }

    /// Whether there are keys for every issuer, so that no good token gets `503` for want of them.
    ///
    /// Meant for a readiness probe. Nothing is fetched by asking.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.key_status()
            .iter()
            .all(|status| status.state() != KeyState::Missing)
    }

    /// How the keys of each issuer stand, in the order of the configuration.
    #[must_use]
    pub fn key_status(&self) -> Vec<KeyStatus> {
        let current = self.current();
        let issuers = current.issuers.iter();
        issuers.map(|issuer| issuer.keys.status()).collect()
    }

    /// Throws the keys of an issuer away, and fetches them anew at once. For an issuer whose key set was tampered with.
    ///
    /// Until they are there, its tokens get `503`. What a fetch that is under way brings is not used, nor what a
    /// [`reload`](Self::reload) that is under way has fetched. Tokens that were verified before are verified anew.
    ///
    /// False when there is no such issuer, or its keys are [fixed](super::Keys::fixed) and cannot be fetched.
    #[must_use = "false: there is no such issuer, or its keys are fixed"]
    pub fn purge_keys(&self, issuer: &str) -> bool {
        let mut orders = self.orders();
        let current = self.current();
        let mut issuers = current.issuers.iter();
        let found = issuers.find(|found| found.keys.issuer() == issuer);
        let is_purged = found.is_some_and(|found| found.keys.purge());
        if is_purged {
            orders.purged.insert(issuer.into());
            tracing::warn!(name: "gateless.keys.purged", issuer, "keys purged");
        }
        is_purged
    }

    /// Refuses everything that the key with this id signed, from the next request on and whatever the issuer
    /// publishes. For a key that leaked.
    ///
    /// It lasts as long as the process, also over a [`reload`](Self::reload), and cannot be taken back. False when
    /// there is no such issuer; a key id that it does not have yet is refused all the same.
    #[must_use = "false: there is no such issuer"]
    pub fn refuse_key(&self, issuer: &str, key_id: &str) -> bool {
        let mut orders = self.orders();
        let current = self.current();
        let mut issuers = current.issuers.iter();
        let Some(found) = issuers.find(|found| found.keys.issuer() == issuer) else {
            return false;
        };
        found.keys.refuse(key_id);
        if orders.refused.insert((issuer.into(), key_id.into())) {
            tracing::warn!(name: "gateless.keys.refused", issuer, key_id, "key refused");
        }
        true
    }

    /// Forgets all tokens that were verified; each is verified anew.
    pub fn forget_tokens(&self) {
        if let Some(tokens) = &self.current().tokens {
            tokens.clear();
        }
    }

    /// Which configuration decides at the moment.
    #[must_use]
    pub fn epoch(&self) -> PolicyEpoch {
        self.current().epoch
    }

    /// Puts a new configuration in the place of the one that decides, for every clone and every mounted service.
    ///
    /// It is checked first, and the keys of issuers that are new in it are fetched. When anything is wrong, the old one
    /// stays in place. Issuers whose keys come from the same place under the same settings keep those that they have,
    /// so that a reload while an issuer is away loses nothing. Requests that wait for keys are decided as they began.
    ///
    /// What was found out about tokens under the old configuration is not used under the new one.
    ///
    /// ```
    /// # use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
    /// # use gateless_testkit::TestIssuer;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let issuer = TestIssuer::new();
    /// # let policy = TokenPolicy::new(issuer.issuer(), "https://api.example.com");
    /// # let keys = Keys::fixed(policy.read_keys(issuer.jwks().to_string().as_bytes())?);
    /// let auth = BearerAuth::builder(policy.clone(), keys.clone()).build()?;
    /// let stricter = policy.single_audience();
    /// auth.handle().reload(BearerAuth::builder(stricter, keys)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReloadError`] with what is wrong with the new configuration, which is not used then.
    pub async fn reload(&self, builder: BearerAuthBuilder) -> Result<PolicyEpoch, ReloadError> {
        let _one_at_a_time = self.0.reloading.lock().await;
        self.orders().purged.clear();
        let old = self.0.current.load_full();
        let reloaded = self.prepare(builder, &old).await;
        match reloaded {
            Ok(new) => {
                let epoch = new.epoch;
                new.metrics.reloaded(true);
                self.put(new, &old);
                tracing::info!(name: "gateless.reloaded", %epoch, "configuration reloaded");
                Ok(epoch)
            }
            Err(error) => {
                old.metrics.reloaded(false);
                tracing::error!(
                    name: "gateless.not_reloaded",
                    epoch = %old.epoch,
                    %error,
                    "configuration not reloaded: the old one stays in place"
                );
                Err(error)
            }
        }
    }

    async fn prepare(
        &self,
        builder: BearerAuthBuilder,
        old: &Authenticator,
    ) -> Result<Authenticator, ReloadError> {
        let new = builder.authenticator(Some(old))?;
        new.ready(|keys| !old.has(keys)).await?;
        Ok(new)
    }

    fn put(&self, new: Authenticator, old: &Authenticator) {
        // Held until the new one is in place, so that no order in between is lost.
        let orders = self.orders();
        for Issuer { keys, .. } in &new.issuers {
            for (_, key_id) in orders
                .refused
                .iter()
                .filter(|(it, _)| **it == *keys.issuer())
            {
                keys.refuse(key_id);
            }
            if orders.purged.contains(keys.issuer()) && !old.has(keys) {
                keys.purge();
            }
        }
        if let Some(tokens) = &new.tokens {
            tokens.clear();
        }
        self.0.current.store(Arc::new(new));
    }

    fn orders(&self) -> std::sync::MutexGuard<'_, Orders> {
        self.0.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "limit")]
#[cfg_attr(docsrs, doc(cfg(feature = "limit")))]
impl crate::known::KnownTokens for BearerHandle {
    /// By the [`TokenCache`](super::TokenCache): without one no token is known.
    fn knows(&self, head: crate::gate::Head<'_>) -> crate::known::Knowledge {
        let current = self.current();
        let is_known = |presented| current.knows(presented);
        current.credentials.knowledge(head, is_known)
    }

    fn fingerprint_of(
        &self,
        head: crate::gate::Head<'_>,
    ) -> Option<crate::gate::CredentialFingerprint> {
        self.current().credentials.fingerprint(head)
    }
}

#[cfg(feature = "denylist")]
#[cfg_attr(docsrs, doc(cfg(feature = "denylist")))]
impl crate::verifier::TokenVerifier for BearerHandle {
    fn verify(&self, token: gateless_core::AccessToken) -> crate::verifier::Verification<'_> {
        let current = self.0.current.load_full();
        Box::pin(async move { current.wait(&token, crate::notes::Notes::none()).await })
    }
}

#[cfg(feature = "denylist")]
#[cfg_attr(docsrs, doc(cfg(feature = "denylist")))]
impl crate::purge::ForgetRevoked for BearerHandle {
    fn forget_revoked(&self, is_revoked: &dyn Fn(&gateless_core::Principal) -> bool) {
        if let Some(tokens) = &self.current().tokens {
            tokens.forget_callers(is_revoked);
        }
    }
}

impl fmt::Debug for BearerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BearerHandle")
            .field(&**self.current())
            .finish()
    }
}

/// The issuers whose keys could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys of {} cannot be had", issuers.join(", "))]
pub struct KeysUnavailable {
    pub(crate) issuers: Vec<String>,
}

impl KeysUnavailable {
    /// The issuers, as configured.
    #[must_use]
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }
}

/// Why a new configuration is not used. The old one stays in place.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// Settings that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The keys of an issuer that is new, or has new settings, cannot be fetched.
    #[error(transparent)]
    KeysUnavailable(#[from] KeysUnavailable),
}
