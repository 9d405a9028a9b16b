//! What can be asked of a layer, and done to it, while it serves.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use arc_swap::{ArcSwap, Guard};
use gateless_core::{ConfigError, Principal};

use super::builder::IntrospectionBuilder;
use super::decide::Introspector;
use crate::epoch::PolicyEpoch;

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
        let introspector = builder.introspector(Arc::clone(&forgotten_at))?;
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

    /// Whether tokens can be introspected, as far as the last calls tell. True before the first one.
    ///
    /// Meant for a readiness probe. Nobody is asked by that. Tokens whose answers are remembered are served in any case.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.current().health.status().0
    }

    /// How the endpoint does, in words for people. It names what went wrong with the last call.
    #[must_use]
    pub fn status(&self) -> String {
        match self.current().health.status() {
            (true, None) => "answers".to_owned(),
            (true, Some(error)) => format!("the last call failed: {error}"),
            (false, Some(error)) => format!("left alone but for one call a second: {error}"),
            (false, None) => "left alone but for one call a second".to_owned(),
        }
    }

    /// Forgets what is known of all tokens; each is asked about anew.
    pub fn forget_tokens(&self) {
        self.forget_where(|_| true);
    }

    /// Forgets what is known of the tokens of these callers, so that their server is asked again: for a token, a session
    /// or a person that was signed out.
    ///
    /// It is a walk over all tokens that are remembered, a few milliseconds for 100,000. Answers under way are handed out
    /// to those who wait for them and not remembered. What instances of this service shared before now is not used any
    /// more, of any token; each instance has to be told.
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
    /// It is checked first; when anything is wrong, the old one stays in place. What was found out about tokens under the
    /// old configuration is not used under the new one. Requests that wait for an answer are decided as they began.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every setting that cannot be used.
    pub fn reload(&self, builder: IntrospectionBuilder) -> Result<PolicyEpoch, ConfigError> {
        let new = match builder.introspector(Arc::clone(&self.0.forgotten_at)) {
            Ok(new) => new,
            Err(error) => {
                tracing::error!(
                    name: "gateless.not_reloaded",
                    epoch = %self.epoch(),
                    %error,
                    "configuration not reloaded: the old one stays in place"
                );
                return Err(error);
            }
        };
        let epoch = new.epoch;
        self.0.current.store(Arc::new(new));
        tracing::info!(name: "gateless.reloaded", %epoch, "configuration reloaded");
        Ok(epoch)
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
