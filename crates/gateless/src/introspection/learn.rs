//! What is found out about a token: from the shared cache or from the server, and what is remembered of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gateless_core::{AccessToken, Monotonic, Timestamp, TokenFault};
use gateless_jwt::Answer;
use tokio::time::{Instant, timeout, timeout_at};

use super::cache::{Finding, Known};
use super::decide::Introspector;
use super::endpoint::Told;
use super::flight::{Flight, Unanswered, Whose};
use super::shared::{Lookup, SharedAnswer};
use crate::outbound::HttpError;

/// How far the clocks of a fleet may be apart. A fleet that shares answers keeps them together.
const SKEW: Duration = Duration::from_secs(5);

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
    /// It holds an answer that is not good any more, or not under this policy: the server is to judge.
    Unused,
}

impl Introspector {
    /// One call, from its beginning until everybody has been told.
    pub(super) async fn fly(self: Arc<Self>, flight: Flight, token: AccessToken) {
        let learnt = match self.find_out(&flight, token.expose()).await {
            Ok(learnt) => learnt,
            Err(unanswered) => {
                flight.land(Err(unanswered));
                return;
            }
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
        if let Some(pause) = self.health.pause(self.clock.monotonic()) {
            return Err(Unanswered::Open(pause));
        }
        let Ok(Some(_turn)) = timeout(self.endpoint.patience(), flight.turn()).await else {
            return Err(Unanswered::Busy);
        };
        // All of it is for the call: one that is cut off for want of time says nothing about the endpoint.
        let deadline = Instant::now() + self.endpoint.total_timeout();
        let mut is_first = true;
        loop {
            let now = self.clock.monotonic();
            let leave = self.health.admit(now).map_err(Unanswered::Open)?;
            let asked_at = self.clock.wall();
            let call = timeout_at(deadline, self.client.call(token));
            let told = self.metrics.during(call).await;
            match told.unwrap_or(Err(HttpError::TimedOut.into())) {
                Ok(told) => {
                    self.health.succeeded(leave);
                    let may_contradict =
                        matches!(shared, Shared::Unused) || matches!(flight.whose(), Whose::Known);
                    return Ok(self.learn(
                        token,
                        told,
                        asked_at,
                        now + self.lifetime,
                        may_contradict,
                    ));
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
        token: &str,
        told: Told,
        asked_at: Timestamp,
        fresh_until: Monotonic,
        may_contradict: bool,
    ) -> Learnt {
        let is_shared = self.shared.is_some();
        match told {
            Told::Active(active) => {
                self.metrics.called("active");
                let json = is_shared.then(|| active.json().into());
                Learnt {
                    finding: active.into_facts(token, &self.policy, asked_at),
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
            Lookup::Failed(failure) => (Shared::Missing, failure.name()),
            Lookup::Found(answer) => match self.learn_shared(token, &answer) {
                Some(learnt) => (Shared::Known(learnt), "found"),
                None => (Shared::Unused, "unused"),
            },
        };
        self.metrics.shared(name);
        found
    }

    fn learn_shared(&self, token: &str, answer: &SharedAnswer) -> Option<Learnt> {
        let SharedAnswer { asked_at, json } = answer;
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        let forgotten = Timestamp::from_millis(self.forgotten_at.load(Ordering::Acquire));
        let is_forgotten = *asked_at <= forgotten.saturating_add(SKEW);
        let is_ahead = *asked_at > wall.saturating_add(SKEW);
        let left = self.lifetime.saturating_sub(wall.since(*asked_at));
        if is_forgotten || is_ahead || left.is_zero() {
            return None;
        }
        let Ok(Answer::Active(active)) = Answer::read(json.as_bytes()) else {
            return None;
        };
        let facts = active.into_facts(token, &self.policy, *asked_at).ok()?;
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
}
