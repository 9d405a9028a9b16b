//! What can be asked of a layer, and done to it, while it serves.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::{ArcSwap, Guard};
use gateless_core::{AccessToken, ConfigError, Principal, TokenFault};

use super::builder::IntrospectionBuilder;
use super::cache::Answers;
use super::decide::Introspector;
use super::endpoint::Told;
use crate::epoch::PolicyEpoch;
use crate::outbound::HttpError;

/// What can be asked of a layer, and done to it, while it serves: readiness, forgetting, a new configuration.
///
/// It belongs to an [`Introspection`](super::Introspection) or [`OptionalIntrospection`](super::OptionalIntrospection) and
/// all clones of that. Cloning it is a reference count.
///
/// ```
/// use gateless::introspection::{Introspection, IntrospectionHandle};
///
/// /// Somebody signed out everywhere.
/// fn signed_out(handle: &IntrospectionHandle, subject: &str) {
///     handle.forget_where(|caller| caller.subject() == Some(subject));
/// }
/// # fn uses(layer: &Introspection) { signed_out(layer.handle(), "user-7"); }
/// ```
#[derive(Clone)]
pub struct IntrospectionHandle(Arc<Live>);

struct Live {
    current: ArcSwap<Introspector>,
    /// See [`Introspector::forgotten_at`]. A new configuration does not bring back what was forgotten.
    forgotten_at: Arc<AtomicI64>,
}

impl IntrospectionHandle {
    pub(super) fn new(builder: IntrospectionBuilder) -> Result<Self, ConfigError> {
        let forgotten_at = Arc::new(AtomicI64::new(i64::MIN));
        let introspector = builder.introspector(Arc::clone(&forgotten_at), None)?;
        Ok(Self(Arc::new(Live {
            current: ArcSwap::from_pointee(introspector),
            forgotten_at,
        })))
    }

    pub(crate) fn current(&self) -> Guard<Arc<Introspector>> {
        self.0.current.load()
    }

    /// Asks the endpoint about a token that nobody ever issued, so that a wrong address and wrong credentials show when
    /// the service starts and not with its first caller.
    ///
    /// Serving works without it: a service may start while its authorization server is away.
    ///
    /// # Errors
    ///
    /// [`EndpointUnavailable`] with the reason, also when the endpoint calls such a token active.
    pub async fn ready(&self) -> Result<(), EndpointUnavailable> {
        let current = self.0.current.load_full();
        current.try_out().await
    }

    /// How the endpoint does, as far as the last calls tell. Nobody is asked by that.
    ///
    /// It is for people and dashboards, and not for a readiness probe: see the chapter `failing_closed` of the manual.
    #[must_use]
    pub fn status(&self) -> EndpointStatus {
        self.current().status()
    }

    /// Forgets what is known of all tokens; each is asked about anew.
    pub fn forget_tokens(&self) {
        self.current().forget_tokens();
    }

    /// Forgets what is known of one token. Opaque tokens have no id by which
    /// [`forget_where`](Self::forget_where) could find them.
    pub fn forget_token(&self, token: &AccessToken) {
        self.current().forget_token(token.expose());
    }

    /// Forgets what is known of the tokens of these callers, so that their server is asked again: for a token, a session
    /// or a person that was signed out.
    ///
    /// It is a walk over all tokens that are remembered, a few milliseconds for 100,000; what is asked about each must not
    /// call this handle. Answers under way are handed out
    /// to those who wait for them and not remembered. What instances of this service share is not used, of any token, when
    /// the server said it before now or in the next five seconds, as clocks differ. Each instance has to be told.
    pub fn forget_where(&self, is_meant: impl Fn(&Principal) -> bool) {
        self.current().forget_where(is_meant);
    }

    /// Which configuration decides at the moment.
    #[must_use]
    pub fn epoch(&self) -> PolicyEpoch {
        self.current().epoch
    }

    /// Puts a new configuration in the place of the one that decides, for every clone and every mounted service.
    ///
    /// It is checked first, for which secrets in files are read; when anything is wrong, the old one stays in place. What was found out about tokens under the
    /// old configuration is not used under the new one. Keys for signed answers, and an address that was found in the
    /// metadata, are kept where they come from the same place. Requests that wait for an answer are decided as they began.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every setting that cannot be used.
    pub fn reload(&self, builder: IntrospectionBuilder) -> Result<PolicyEpoch, ConfigError> {
        let old = self.0.current.load_full();
        let new = match builder.introspector(Arc::clone(&self.0.forgotten_at), Some(&old)) {
            Ok(new) => new,
            Err(error) => {
                old.metrics.reloaded(false);
                tracing::error!(
                    name: "gateless.not_reloaded",
                    epoch = %old.epoch,
                    %error,
                    "configuration not reloaded: the old one stays in place"
                );
                return Err(error);
            }
        };
        let epoch = new.epoch;
        new.metrics.reloaded(true);
        self.0.current.store(Arc::new(new));
        tracing::info!(name: "gateless.reloaded", %epoch, "configuration reloaded");
        Ok(epoch)
    }
}

impl Introspector {
    /// Forgets what is known of the tokens that are meant. Answers that are under way are not remembered, and none that
    /// others were told before now is used.
    pub(super) fn forget_where(&self, is_meant: impl Fn(&Principal) -> bool) {
        self.forget(|answers| {
            let wall = self.clock.wall();
            answers.forget_where(|facts| {
                let principal = facts.judge_ref(&self.policy, wall);
                principal.map_or(true, &is_meant)
            });
        });
    }

    /// The same for one token.
    pub(super) fn forget_token(&self, token: &str) {
        let key = self.key(token.as_bytes());
        self.forget(|answers| answers.forget_all_of(&key));
    }

    fn forget_tokens(&self) {
        self.forget(Answers::clear);
    }

    fn forget(&self, forget: impl FnOnce(&Answers)) {
        self.forgotten_at
            .fetch_max(self.clock.wall().as_millis(), Ordering::AcqRel);
        self.flights.disown();
        if let Some(answers) = &self.answers {
            forget(answers);
            self.metrics.remembered(|| answers.len());
        }
    }

    pub(super) fn status(&self) -> EndpointStatus {
        let (is_paused, last_failure) = self.health.status();
        let answers = self.answers.as_ref();
        EndpointStatus {
            issuer: self.policy.issuer().into(),
            is_paused,
            last_failure: last_failure.map(|error| error.to_string().into()),
            remembered: answers.map_or(0, |answers| answers.len()[0]),
        }
    }

    /// Asks about a token that nobody ever issued.
    pub(super) async fn try_out(&self) -> Result<(), EndpointUnavailable> {
        let unavailable = |reason: String| EndpointUnavailable {
            issuer: self.policy.issuer().into(),
            reason: reason.into(),
        };
        let random = getrandom::u64().and_then(|high| Ok((high, getrandom::u64()?)));
        let (high, low) = random.map_err(|error| unavailable(error.to_string()))?;
        let token = format!("{high:016x}{low:016x}");
        let told =
            tokio::time::timeout(self.endpoint.total_timeout(), self.client.call(&token)).await;
        match told.unwrap_or(Err(HttpError::TimedOut.into())) {
            Ok(Told::No(TokenFault::Inactive)) => Ok(()),
            Ok(Told::Active(_)) => Err(unavailable("it calls a made-up token active".into())),
            Ok(_) => Err(unavailable(
                "it does not say whether a token is active".into(),
            )),
            Err(error) => Err(unavailable(error.to_string())),
        }
    }
}

#[cfg(feature = "limit")]
#[cfg_attr(docsrs, doc(cfg(feature = "limit")))]
impl crate::known::KnownTokens for IntrospectionHandle {
    /// By the [`AnswerCache`](super::AnswerCache): a token is known for as long as an answer is fresh, and no token is
    /// without one. What instances share is not asked.
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
impl crate::verifier::TokenVerifier for IntrospectionHandle {
    fn verify(&self, token: AccessToken) -> crate::verifier::Verification<'_> {
        let current = self.0.current.load_full();
        Box::pin(async move { current.find_caller(token).await })
    }
}

#[cfg(feature = "denylist")]
#[cfg_attr(docsrs, doc(cfg(feature = "denylist")))]
impl crate::purge::ForgetRevoked for IntrospectionHandle {
    /// Of what this instance remembers, and no more: answers under way and those of a shared store are judged by the
    /// denylist when they are used.
    fn forget_revoked(&self, is_revoked: &dyn Fn(&Principal) -> bool) {
        let current = self.current();
        if let Some(answers) = &current.answers {
            answers.forget_where(|facts| facts.is_of(is_revoked));
            current.metrics.remembered(|| answers.len());
        }
    }
}

impl fmt::Debug for IntrospectionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntrospectionHandle")
            .field(&**self.current())
            .finish()
    }
}

/// Tokens cannot be introspected at the moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tokens of {issuer} cannot be introspected: {reason}")]
pub struct EndpointUnavailable {
    pub(super) issuer: Box<str>,
    pub(super) reason: Box<str>,
}

/// How an introspection endpoint does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    pub(super) issuer: Box<str>,
    pub(super) is_paused: bool,
    pub(super) last_failure: Option<Box<str>>,
    pub(super) remembered: usize,
}

impl EndpointStatus {
    /// Whose tokens it answers for.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether it is left alone, but for one call a second, because it could not be asked several times in a row.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// What went wrong with the last call; `None` when it was answered.
    #[must_use]
    pub fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// About how many tokens are remembered as good.
    #[must_use]
    pub const fn remembered(&self) -> usize {
        self.remembered
    }
}

impl fmt::Display for EndpointStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.issuer)?;
        f.write_str(match self.is_paused {
            true => "left alone but for one call a second",
            false => "asked",
        })?;
        if let Some(failure) = &self.last_failure {
            write!(f, ", the last call failed ({failure})")?;
        }
        write!(f, ", {} tokens remembered", self.remembered)
    }
}
