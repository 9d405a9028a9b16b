//! The decision: who is it, as far as the authorization server knows?

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use gateless_core::{AccessToken, Clock, Dependency, Principal, Rejection, Renderer, TokenFault};
use gateless_jwt::{IntrospectionPolicy, TokenShape};
use tokio::runtime::Handle;
use tracing::Instrument as _;

use super::cache::{Answers, Known, TokenKey};
use super::endpoint::{Client, Endpoint};
use super::flight::{Flight, Flights, Joined, Outcome, Unanswered, Waiting, Whose, outcome};
use super::form::TokenForm;
use super::health::Health;
use super::metrics::{Found, Metrics};
use super::shared::SharedTier;
use super::{Introspection, OptionalIntrospection};
use crate::credentials::{Credentials, Presented};
use crate::digest::Digester;
use crate::epoch::PolicyEpoch;
use crate::gate::{BoxedWait, CredentialFingerprint, Gate, Head, Pass, Step, Verdict};
use crate::notes::Notes;

/// Everything that is decided with: one configuration. Shared by all clones of a layer, and never changed.
pub(crate) struct Introspector {
    pub(super) epoch: PolicyEpoch,
    pub(super) policy: Arc<IntrospectionPolicy>,
    pub(crate) credentials: Credentials,
    pub(super) form: TokenForm,
    pub(super) client: Client,
    pub(super) endpoint: Endpoint,
    pub(super) lifetime: Duration,
    pub(super) digester: Digester,
    pub(super) answers: Option<Answers>,
    pub(super) shared: Option<SharedTier>,
    pub(super) flights: Arc<Flights>,
    pub(super) health: Health,
    /// When tokens were forgotten by hand last, in milliseconds since 1970: what others were told before is not used.
    pub(super) forgotten_at: Arc<AtomicI64>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) renderer: Renderer,
    pub(super) metrics: Metrics,
}

impl Gate for Introspection {
    const NAME: &'static str = "introspection";
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

impl Gate for OptionalIntrospection {
    const NAME: &'static str = "introspection";
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

impl Introspector {
    fn decide(self: &Arc<Self>, head: Head<'_>, without: Verdict) -> Step<BoxedWait> {
        match self.credentials.find(head) {
            Ok(Some(presented)) => {
                self.decide_on(presented, &self.credentials, Notes::of(head.extensions))
            }
            Ok(None) => Step::Now(without),
            Err(fault) => Step::Now(Err(fault.into())),
        }
    }

    /// Decides on a token that was found by these `credentials`.
    pub(crate) fn decide_on(
        self: &Arc<Self>,
        presented: Presented<'_>,
        credentials: &Credentials,
        notes: Notes<'_>,
    ) -> Step<BoxedWait> {
        let key = self.key(presented.bytes());
        if let Some(decided) = self.recall(&key) {
            notes.recalled(self.epoch);
            return Step::Now(match decided {
                Ok(principal) => Ok(credentials.pass(principal)),
                Err(fault) => Err(fault.into()),
            });
        }
        let token = match presented.token() {
            Ok(token) => token,
            Err(fault) => return Step::Now(Err(fault.into())),
        };
        if let Err(fault) = self.may_be_sent(token) {
            self.metrics.found(Found::Refused);
            return Step::Now(Err(fault.into()));
        }
        let (this, token, credentials) = (
            Arc::clone(self),
            AccessToken::new(token),
            credentials.clone(),
        );
        let kept = notes.keep();
        Step::Wait(Box::pin(async move {
            let principal = this.ask(key, token, kept.notes()).await?;
            Ok(credentials.pass(principal))
        }))
    }

    /// The same for a token that is not the credentials of a request.
    #[cfg(feature = "denylist")]
    pub(super) async fn find_caller(
        self: Arc<Self>,
        token: AccessToken,
    ) -> Result<Principal, Rejection> {
        let key = self.key(token.expose().as_bytes());
        if let Some(decided) = self.recall(&key) {
            return decided.map_err(Rejection::from);
        }
        self.may_be_sent(token.expose())?;
        self.ask(key, token, Notes::none()).await
    }

    pub(super) fn key(&self, token: &[u8]) -> TokenKey {
        TokenKey {
            epoch: self.epoch,
            token: self.digester.digest(token),
        }
    }

    /// Whether a token may be shown to the server at all. A JWT of somebody else is none of its business: whoever gets a
    /// bearer token can use it.
    fn may_be_sent(&self, token: &str) -> Result<(), TokenFault> {
        if !self.form.admits(token) {
            return Err(TokenFault::Malformed);
        }
        match TokenShape::of(token) {
            TokenShape::Opaque => Ok(()),
            TokenShape::Jwt { issuer } if *issuer == *self.policy.issuer() => Ok(()),
            TokenShape::Jwt { .. } => Err(TokenFault::IssuerUnknown),
            // RFC 7516 §7.1: a JWE.
            _ if token.split('.').count() == 5 => match self.form.may_be_encrypted {
                true => Ok(()),
                false => Err(TokenFault::Encrypted),
            },
            _ => Err(TokenFault::Malformed),
        }
    }

    /// Whether a token was good when its server was asked last, and has not ended: it is no guess, though the server may have to be
    /// asked again. Nobody is asked here, and nothing is counted.
    #[cfg(feature = "limit")]
    pub(crate) fn knows(&self, presented: Presented<'_>) -> bool {
        let is_good = || {
            let (key, answers) = (self.key(presented.bytes()), self.answers.as_ref()?);
            let (now, wall) = (self.clock.monotonic(), self.clock.wall());
            let facts = match answers.good(&key) {
                Some(Known { facts, .. }) => facts,
                // Its facts were not good enough then, and may be now.
                None => answers.refused(&key, now)?.ok()?,
            };
            let is_over = wall >= facts.expires_at();
            facts.judge(&self.policy, wall).ok().filter(|_| !is_over)
        };
        is_good().is_some()
    }

    /// Judges a token by what its server said not long ago; `None` when it has to be asked.
    fn recall(&self, key: &TokenKey) -> Option<Result<Principal, TokenFault>> {
        let answers = self.answers.as_ref()?;
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        if let Some(Known { facts, fresh_until }) = answers.good(key) {
            // RFC 7662 §4: not past its end, whatever the leeway.
            if now >= fresh_until || wall >= facts.expires_at() {
                return None;
            }
            let decided = facts.judge(&self.policy, wall);
            if decided.is_ok() {
                self.metrics.found(Found::Cached);
            } else {
                self.metrics.found(Found::KnownBad);
                answers.forget(key);
            }
            return Some(decided);
        }
        let finding = answers.refused(key, now)?;
        if finding
            .as_ref()
            .is_ok_and(|facts| wall >= facts.expires_at())
        {
            return None;
        }
        let decided = finding.and_then(|facts| facts.judge(&self.policy, wall));
        self.metrics.found(match decided {
            Ok(_) => Found::Cached,
            Err(_) => Found::KnownBad,
        });
        Some(decided)
    }

    /// The last good answer, where the outage policy allows it to be used past its lifetime.
    fn stale(&self, key: &TokenKey) -> Option<Principal> {
        let known = self.answers.as_ref()?.good(key)?;
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        let is_over = now >= known.fresh_until + self.endpoint.on_outage().tolerance()
            || wall >= known.facts.expires_at();
        let principal = known.facts.judge(&self.policy, wall).ok()?;
        (!is_over).then_some(principal)
    }

    /// How long anybody waits for a call at most. It ends before that by itself, unless whatever it runs on is stuck.
    fn patience(&self) -> Duration {
        let shared = self
            .shared
            .as_ref()
            .map_or(Duration::ZERO, SharedTier::timeout);
        self.endpoint.patience() + self.endpoint.total_timeout() + shared + Duration::from_secs(1)
    }

    /// Asks the server, or waits for somebody who does already.
    async fn ask(
        self: &Arc<Self>,
        key: TokenKey,
        token: AccessToken,
        notes: Notes<'_>,
    ) -> Result<Principal, Rejection> {
        let answers = self.answers.as_ref();
        let whose = match answers.and_then(|answers| answers.good(&key)) {
            Some(_) => Whose::Known,
            None => Whose::Stranger,
        };
        let outcome = match self.flights.join(key, whose, || self.recall(&key)) {
            Joined::Known(decided) => {
                notes.recalled(self.epoch);
                return Ok(decided?);
            }
            Joined::UnderWay(waiting) => self.wait(waiting).await,
            Joined::Begun(flight, waiting) => {
                self.begin(flight, token);
                self.wait(waiting).await
            }
            Joined::Full => Err(Unanswered::Busy),
        };
        match outcome {
            Ok(finding) => {
                notes.introspected(self.epoch);
                let decided =
                    finding.and_then(|facts| facts.judge(&self.policy, self.clock.wall()));
                self.metrics.found(match decided {
                    Ok(_) => Found::Active,
                    Err(_) => Found::Refused,
                });
                Ok(decided?)
            }
            Err(unanswered) => match self.stale(&key).filter(|_| unanswered.is_outage()) {
                Some(principal) => {
                    self.metrics.found(Found::Stale);
                    notes.stale_introspection(self.epoch);
                    Ok(principal)
                }
                None => {
                    self.metrics.found(Found::Unanswered);
                    Err(unavailable(&unanswered))
                }
            },
        }
    }

    async fn wait(&self, waiting: Waiting) -> Outcome {
        if Handle::try_current().is_err() {
            return outcome(waiting).await;
        }
        let outcome = tokio::time::timeout(self.patience(), outcome(waiting)).await;
        outcome.unwrap_or(Err(Unanswered::CutOff))
    }

    /// Makes the call in a task of its own. Without a runtime it ends at once.
    fn begin(self: &Arc<Self>, flight: Flight, token: AccessToken) {
        if let Ok(runtime) = Handle::try_current() {
            let issuer = self.policy.issuer();
            let span = tracing::info_span!("gateless.introspection.call", issuer);
            let this = Arc::clone(self);
            runtime.spawn(this.fly(flight, token).instrument(span));
        }
    }
}

/// Not the caller's fault, so never a 401: the token may be perfectly good.
fn unavailable(unanswered: &Unanswered) -> Rejection {
    Rejection::DependencyUnavailable {
        dependency: Dependency::Introspection,
        retry_after: match unanswered {
            Unanswered::Failed(error) => error.retry_after(),
            Unanswered::Open(pause) => *pause,
            Unanswered::Busy | Unanswered::CutOff => Duration::from_secs(1),
        },
    }
}

impl fmt::Debug for Introspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspector")
            .field("epoch", &self.epoch)
            .field("policy", &self.policy)
            .field("client", &self.client)
            .field("endpoint", &self.endpoint)
            .field("lifetime", &self.lifetime)
            .field("credentials", &self.credentials)
            .field("flights", &self.flights)
            .finish_non_exhaustive()
    }
}
