//! The decision: who is it, as far as the authorization server knows?

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gateless_core::{
    AccessToken, Clock, Dependency, Monotonic, Principal, Rejection, Renderer, Timestamp,
    TokenFault,
};
use gateless_jwt::{Answer, IntrospectionPolicy, TokenShape};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::cache::{Answers, Finding, Known, TokenKey};
use super::endpoint::{Client, Endpoint, Told};
use super::flight::{Flight, Flights, Joined, Outcome, Unanswered, Waiting, Whose, outcome};
use super::form::TokenForm;
use super::handle::{EndpointStatus, EndpointUnavailable};
use super::health::Health;
use super::metrics::{Found, Metrics};
use super::shared::{Lookup, SharedAnswer, SharedTier};
use super::{Introspection, OptionalIntrospection};
use crate::credentials::{Credentials, Presented};
use crate::digest::Digester;
use crate::epoch::PolicyEpoch;
use crate::gate::{BoxedWait, Gate, Head, Pass, Step, Verdict};
use crate::outbound::HttpError;

/// How far the clocks of a fleet may be apart. A fleet that shares answers keeps them together.
const SKEW: Duration = Duration::from_secs(5);

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

    fn renderer(&self) -> Renderer {
        self.0.current().renderer.clone()
    }
}

impl Introspector {
    fn decide(self: &Arc<Self>, head: Head<'_>, without: Verdict) -> Step<BoxedWait> {
        match self.credentials.find(head) {
            Ok(Some(presented)) => self.decide_on(presented, &self.credentials),
            Ok(None) => Step::Now(without),
            Err(fault) => Step::Now(Err(fault.into())),
        }
    }

    /// Decides on a token that was found by these `credentials`.
    pub(crate) fn decide_on(
        self: &Arc<Self>,
        presented: Presented<'_>,
        credentials: &Credentials,
    ) -> Step<BoxedWait> {
        let key = self.key(presented.bytes());
        if let Some(decided) = self.recall(&key) {
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
        Step::Wait(Box::pin(async move {
            let principal = this.ask(key, token).await?;
            Ok(credentials.pass(principal))
        }))
    }

    fn key(&self, token: &[u8]) -> TokenKey {
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
        self.endpoint.total_timeout() + shared + Duration::from_secs(1)
    }

    /// Asks the server, or waits for somebody who does already.
    async fn ask(
        self: &Arc<Self>,
        key: TokenKey,
        token: AccessToken,
    ) -> Result<Principal, Rejection> {
        let answers = self.answers.as_ref();
        let whose = match answers.and_then(|answers| answers.good(&key)) {
            Some(_) => Whose::Known,
            None => Whose::Stranger,
        };
        let outcome = match self.flights.join(key, whose, || self.recall(&key)) {
            Joined::Known(decided) => return Ok(decided?),
            Joined::UnderWay(waiting) => self.wait(waiting).await,
            Joined::Begun(flight, waiting) => {
                self.begin(flight, token);
                self.wait(waiting).await
            }
            Joined::Full => Err(Unanswered::Busy),
        };
        match outcome {
            Ok(finding) => {
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

    async fn fly(self: Arc<Self>, flight: Flight, token: AccessToken) {
        let learnt = match self.find_out(&flight, token.expose()).await {
            Ok(learnt) => learnt,
            Err(unanswered) => return flight.land(Err(unanswered)),
        };
        let Learnt {
            finding,
            memory,
            to_share,
        } = learnt;
        self.remember(&flight, &finding, memory);
        flight.land(Ok(finding));
        // Everybody has gone on by now: nobody waits for this.
        if let (Some(tier), Some(SharedAnswer { asked_at, json })) = (&self.shared, to_share) {
            let put = tier.put(token.expose(), asked_at, &json, self.lifetime);
            if let Err(failure) = put.await {
                self.metrics.shared(failure.name());
            }
        }
    }

    /// From the shared cache, or from the server.
    async fn find_out(&self, flight: &Flight, token: &str) -> Result<Learnt, Unanswered> {
        let shared = self.look_up(token).await;
        if let Shared::Known(learnt) = shared {
            return Ok(learnt);
        }
        // The other half is left for the call: one that is cut off for want of time says nothing about the endpoint.
        let begin = Instant::now();
        let turn = timeout_at(begin + self.endpoint.total_timeout() / 2, flight.turn()).await;
        let Ok(Some(_turn)) = turn else {
            return Err(Unanswered::Busy);
        };
        let mut is_first = true;
        loop {
            let now = self.clock.monotonic();
            let leave = self.health.admit(now).map_err(Unanswered::Open)?;
            let asked_at = self.clock.wall();
            let call = timeout_at(
                begin + self.endpoint.total_timeout(),
                self.client.call(token),
            );
            let told = self.metrics.during(call).await;
            match told.unwrap_or(Err(HttpError::TimedOut.into())) {
                Ok(told) => {
                    self.health.succeeded(leave);
                    let may_contradict =
                        matches!(shared, Shared::Unclear) || matches!(flight.whose(), Whose::Known);
                    return Ok(self.learn(told, asked_at, now + self.lifetime, may_contradict));
                }
                Err(error) => {
                    self.metrics.called(error.code());
                    if !(is_first && self.health.may_retry(&error)) {
                        self.health.failed(&error, leave, self.clock.monotonic());
                        return Err(Unanswered::Failed(error));
                    }
                    is_first = false;
                }
            }
        }
    }

    /// What an answer of the server, to a question of `asked_at`, means under the policy. It `may_contradict` what others
    /// were told before.
    fn learn(
        &self,
        told: Told,
        asked_at: Timestamp,
        fresh_until: Monotonic,
        may_contradict: bool,
    ) -> Learnt {
        let is_shared = self.shared.is_some();
        match told {
            Told::Active(token) => {
                self.metrics.called("active");
                let json = is_shared.then(|| token.json().into());
                Learnt {
                    finding: token.into_facts(&self.policy, asked_at),
                    memory: Memory::Until(fresh_until),
                    to_share: json.map(|json| SharedAnswer { asked_at, json }),
                }
            }
            Told::No(fault) => {
                self.metrics.called("inactive");
                let json = (is_shared && may_contradict).then(|| INACTIVE.into());
                Learnt {
                    finding: Err(fault),
                    memory: Memory::Until(fresh_until),
                    to_share: json.map(|json| SharedAnswer { asked_at, json }),
                }
            }
            Told::Nonsense(fault) => {
                self.metrics.called("invalid");
                self.health.told_nonsense(fault, self.clock.monotonic());
                Learnt {
                    finding: Err(fault),
                    memory: match fault {
                        TokenFault::AnswerInvalid => Memory::None,
                        _ => Memory::Until(fresh_until),
                    },
                    to_share: None,
                }
            }
        }
    }

    /// What another instance of this service was told not long ago.
    async fn look_up(&self, token: &str) -> Shared {
        let Some(tier) = &self.shared else {
            return Shared::Missing;
        };
        let (found, name) = match tier.get(token).await {
            Lookup::Missing => (Shared::Missing, "missing"),
            Lookup::Failed(failure) => (Shared::Unclear, failure.name()),
            Lookup::Found(answer) => match self.learn_shared(&answer) {
                Some(learnt) => (Shared::Known(learnt), "found"),
                // One that is not good any more, or not under this policy, is the server's to judge.
                None => (Shared::Unclear, "unused"),
            },
        };
        self.metrics.shared(name);
        found
    }

    fn learn_shared(&self, SharedAnswer { asked_at, json }: &SharedAnswer) -> Option<Learnt> {
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        let forgotten = Timestamp::from_millis(self.forgotten_at.load(Ordering::Acquire));
        let is_forgotten = *asked_at <= forgotten.saturating_add(SKEW);
        let is_ahead = *asked_at > wall.saturating_add(SKEW);
        let left = self.lifetime.saturating_sub(wall.since(*asked_at));
        if is_forgotten || is_ahead || left.is_zero() {
            return None;
        }
        let Ok(Answer::Active(token)) = Answer::read(json.as_bytes()) else {
            return None;
        };
        let facts = token.into_facts(&self.policy, *asked_at).ok()?;
        facts.judge_ref(&self.policy, wall).ok()?;
        (wall < facts.expires_at()).then_some(Learnt {
            finding: Ok(facts),
            memory: Memory::Until(now + left),
            to_share: None,
        })
    }

    fn remember(&self, flight: &Flight, finding: &Finding, memory: Memory) {
        let Some(answers) = &self.answers else { return };
        let (key, wall) = (flight.key(), self.clock.wall());
        match (finding, memory) {
            (Ok(facts), Memory::Until(fresh_until))
                if facts.judge_ref(&self.policy, wall).is_ok() =>
            {
                let facts = facts.clone();
                flight.if_owned(|| answers.remember_good(key, Known { facts, fresh_until }));
            }
            (finding, memory) => {
                // What was good until now is not, whoever asked, and must not come back while the server is away.
                answers.forget(&key);
                if matches!(memory, Memory::Until(_)) {
                    let now = self.clock.monotonic();
                    flight.if_owned(|| answers.remember_refused(key, finding.clone(), now));
                }
            }
        }
        self.metrics.remembered(|| answers.len());
    }

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
        self.forget(|answers| answers.forget(&key));
    }

    fn forget(&self, forget: impl FnOnce(&Answers)) {
        self.forgotten_at
            .fetch_max(self.clock.wall().as_millis(), Ordering::AcqRel);
        self.flights.disown();
        if let Some(answers) = &self.answers {
            forget(answers);
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

/// What other instances are told of a token that is not what they may have heard.
const INACTIVE: &str = r#"{"active":false}"#;

/// What was found out about a token.
struct Learnt {
    finding: Finding,
    memory: Memory,
    /// What other instances of this service need not ask for again.
    to_share: Option<SharedAnswer>,
}

/// Whether it is remembered, and until when it is used without asking again.
enum Memory {
    Until(Monotonic),
    None,
}

/// What the shared cache has to say.
enum Shared {
    Known(Learnt),
    Missing,
    /// It may hold an answer that could not be read or used just now.
    Unclear,
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
