//! The decision: is there enough left for this request?

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "limit_shared")]
use gateless_core::Dependency;
use gateless_core::{
    Ask, Clock, Decision, Excess, ExcessKind, Limit, Monotonic, Principal, Rejection, Renderer,
    StoreKey, Taken,
};
use http::HeaderValue;

use super::RateLimit;
use super::cost::Costs;
use super::count::Count;
use super::fields;
use super::jitter::jittered;
use super::key::Keyer;
use super::meter::RateMeter;
use super::metrics::{Metrics, Outcome};
#[cfg(feature = "limit_shared")]
use super::shared::{Front, SharedLimits, Taking};
#[cfg(feature = "limit_shared")]
use super::store_key::store_key;
use super::table::{Table, Tag, Tagger};
use super::tier::TierSource;
use crate::gate::{BoxedWait, Gate, Head, Pass, Step, Verdict};
use crate::notes::Notes;

/// Everything that is decided with. Shared by all clones of a layer.
pub(super) struct Limiter {
    pub(super) name: Arc<str>,
    pub(super) key: Keyer,
    pub(super) tagger: Tagger,
    /// The quotas of callers without a tier that is named.
    pub(super) usual: Arc<Tier>,
    /// Those of the others. `None` is unlimited.
    pub(super) tiers: HashMap<Box<str>, Option<Arc<Tier>>>,
    pub(super) source: Option<TierSource>,
    pub(super) costs: Costs,
    pub(super) is_shadow: bool,
    pub(super) is_metered: bool,
    /// Whether callers are told about their quotas.
    pub(super) tells: bool,
    pub(super) started: Monotonic,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) renderer: Renderer,
    pub(super) metrics: Metrics,
}

/// Quotas that go together, and what was taken of them.
#[derive(Debug)]
pub(super) struct Tier {
    #[cfg(feature = "limit_shared")]
    name: Box<str>,
    limits: Box<[Limit]>,
    policy: HeaderValue,
    counter: Counter,
}

#[derive(Debug)]
enum Counter {
    /// This process counts for itself.
    Alone(Table),
    /// A fleet counts together.
    #[cfg(feature = "limit_shared")]
    Shared(Arc<Front>),
}

impl Tier {
    pub(super) fn alone(name: &str, limits: Box<[Limit]>, max_keys: usize) -> Self {
        let table = Table::new(limits.clone(), max_keys);
        Self::new(name, limits, Counter::Alone(table))
    }

    #[cfg(feature = "limit_shared")]
    pub(super) fn shared(
        name: &str,
        limits: Box<[Limit]>,
        shared: SharedLimits,
        max_keys: usize,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let front = Front::new(shared, limits.clone(), max_keys, clock);
        Self::new(name, limits, Counter::Shared(Arc::new(front)))
    }

    #[cfg_attr(not(feature = "limit_shared"), expect(unused_variables))]
    fn new(name: &str, limits: Box<[Limit]>, counter: Counter) -> Self {
        Self {
            #[cfg(feature = "limit_shared")]
            name: name.into(),
            policy: fields::policy(&limits),
            limits,
            counter,
        }
    }
}

/// Whose units are taken: what is left of a request when it has gone on.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) tier: Arc<Tier>,
    pub(super) tag: Tag,
    /// What it is called where a fleet counts.
    #[cfg(feature = "limit_shared")]
    pub(super) key: Option<StoreKey>,
    /// The meter of a layer further out.
    pub(super) outer: Option<Arc<RateMeter>>,
}

/// What a request asks for.
struct Asked<'a> {
    #[cfg(feature = "limit_shared")]
    caller: Option<&'a Principal>,
    tier: &'a Arc<Tier>,
    tag: Tag,
    cost: u32,
}

impl Gate for RateLimit {
    const NAME: &'static str = "limit";
    type Wait = BoxedWait;

    fn decide(&self, head: Head<'_>) -> Step<BoxedWait> {
        let limiter = &self.0;
        let asked = match limiter.asked(head) {
            Ok(Some(asked)) => asked,
            Ok(None) => return Step::Now(Ok(Pass::new())),
            Err(misordered) => return Step::Now(Err(misordered)),
        };
        match &asked.tier.counter {
            Counter::Alone(table) => {
                let count = limiter.alone(asked.tier, table, asked.tag, asked.cost);
                let verdict =
                    limiter.conclude(asked.tier, asked.tag, count, Notes::of(head.extensions));
                Step::Now(limiter.metered(verdict, || asked.bucket(head, None)))
            }
            #[cfg(feature = "limit_shared")]
            Counter::Shared(front) => limiter.together(front, head, &asked),
        }
    }

    fn renderer(&self) -> Renderer {
        self.0.renderer.clone()
    }
}

impl Asked<'_> {
    #[cfg_attr(not(feature = "limit_shared"), expect(unused_variables))]
    fn bucket(&self, head: Head<'_>, key: Option<StoreKey>) -> Bucket {
        Bucket {
            tier: Arc::clone(self.tier),
            tag: self.tag,
            #[cfg(feature = "limit_shared")]
            key,
            outer: RateMeter::of(head.extensions).cloned().map(Arc::new),
        }
    }
}

impl Limiter {
    /// What `head` asks for, and of whom; `None` where nothing is counted.
    fn asked<'a>(&'a self, head: Head<'a>) -> Result<Option<Asked<'a>>, Rejection> {
        let caller = match self.key.needs_caller() {
            false => None,
            true => match Principal::optional(head.extensions)? {
                Some(caller) => Some(caller),
                // Nobody is signed in, so there is nobody to count for.
                None => return Ok(None),
            },
        };
        let Some(tier) = self.tier_of(caller) else {
            self.decided(Outcome::Unlimited, Notes::of(head.extensions));
            return Ok(None);
        };
        let feed = |hasher: &mut _| self.key.feed(RateLimit::NAME, head, caller, hasher);
        Ok(Some(Asked {
            #[cfg(feature = "limit_shared")]
            caller,
            tier,
            tag: self.tagger.tag_by(feed)?,
            cost: self.costs.of(head),
        }))
    }

    #[cfg(feature = "limit_shared")]
    fn together(
        self: &Arc<Self>,
        front: &Arc<Front>,
        head: Head<'_>,
        asked: &Asked<'_>,
    ) -> Step<BoxedWait> {
        let key = || self.store_key(asked.tier, head, asked.caller);
        // A meter has no request to make it from.
        let kept = self.is_metered.then(key);
        let bucket = asked.bucket(head, kept.clone());
        match front.take(asked.tag, || kept.unwrap_or_else(key), asked.cost) {
            Taking::Now(count) => {
                let verdict =
                    self.conclude(asked.tier, asked.tag, count, Notes::of(head.extensions));
                Step::Now(self.metered(verdict, || bucket))
            }
            Taking::Wait(wait) => {
                let limiter = Arc::clone(self);
                let kept = Notes::of(head.extensions).keep();
                Step::Wait(Box::pin(async move {
                    let count = wait.await;
                    let verdict = limiter.conclude(&bucket.tier, bucket.tag, count, kept.notes());
                    limiter.metered(verdict, || bucket)
                }))
            }
        }
    }

    /// Takes more for a request that has gone on.
    pub(super) async fn take_more(&self, bucket: &Bucket, cost: u32) -> Result<(), Rejection> {
        let Bucket { tier, tag, .. } = bucket;
        let count = match &tier.counter {
            Counter::Alone(table) => self.alone(tier, table, *tag, cost),
            #[cfg(feature = "limit_shared")]
            Counter::Shared(front) => {
                let key = || bucket.key.clone().expect("a meter comes with it");
                match front.take(*tag, key, cost) {
                    Taking::Now(count) => count,
                    Taking::Wait(wait) => wait.await,
                }
            }
        };
        let (_, verdict) = self.judge(tier, *tag, count);
        match verdict {
            Err(_) if self.is_shadow => Ok(()),
            verdict => verdict.map(drop),
        }
    }

    fn metered(self: &Arc<Self>, verdict: Verdict, bucket: impl FnOnce() -> Bucket) -> Verdict {
        if !self.is_metered {
            return verdict;
        }
        let pass = verdict?;
        Ok(pass.extension(RateMeter::new(Arc::clone(self), bucket())))
    }

    /// What the key of a request is called where a fleet counts.
    #[cfg(feature = "limit_shared")]
    fn store_key(&self, tier: &Tier, head: Head<'_>, caller: Option<&Principal>) -> StoreKey {
        store_key(&self.name, &tier.name, &tier.limits, |feed| {
            self.key.describe(feed);
            // It was fed to the tagger a moment ago, and that went well.
            let _ = self.key.feed(RateLimit::NAME, head, caller, feed);
        })
    }

    fn now(&self) -> u64 {
        let since = self.clock.monotonic().since(self.started);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// The quotas of a caller; `None` without any.
    fn tier_of(&self, caller: Option<&Principal>) -> Option<&Arc<Tier>> {
        let named = || {
            let name = self.source.as_ref()?.name(caller?)?;
            self.tiers.get(&*name)
        };
        match named() {
            Some(tier) => tier.as_ref(),
            None => Some(&self.usual),
        }
    }

    fn alone(&self, tier: &Tier, table: &Table, tag: Tag, cost: u32) -> Count {
        let (now, ask) = (self.now(), Ask::exactly(cost));
        let mut debts = Vec::new();
        let decision = if self.tells {
            table.take_and(tag, now, ask, |paid| {
                let each = paid.iter().zip(&tier.limits);
                debts.extend(each.map(|(paid, limit)| limit.debt(*paid, now)));
            })
        } else {
            table.take(tag, now, ask)
        };
        Count::Decided(Taken { decision, debts })
    }

    fn decided(&self, outcome: Outcome, notes: Notes<'_>) {
        self.metrics.decided(outcome);
        notes.limited(&self.name, outcome);
    }

    /// What a count is to the caller, in shadow or not.
    fn conclude(&self, tier: &Tier, tag: Tag, count: Count, notes: Notes<'_>) -> Verdict {
        let (outcome, verdict) = self.judge(tier, tag, count);
        match verdict {
            Err(refusal) if self.is_shadow => {
                self.decided(Outcome::Shadowed, notes);
                tracing::debug!(
                    name: "gateless.limit.shadowed",
                    limit = &*self.name,
                    reason = refusal.reason(),
                    "a request would have been refused"
                );
                Ok(Pass::new())
            }
            verdict => {
                self.decided(outcome, notes);
                verdict
            }
        }
    }

    fn judge(&self, tier: &Tier, tag: Tag, count: Count) -> (Outcome, Verdict) {
        match count {
            Count::Decided(Taken { decision, debts }) => match decision {
                Decision::Granted(_) => (Outcome::Admitted, Ok(self.pass(tier, &debts))),
                Decision::Refused { limit, retry_after } => {
                    let retry_after = self.spread(tag, retry_after);
                    let refusal = self.refusal(tier, limit, retry_after, &debts);
                    (Outcome::Refused, Err(refusal))
                }
            },
            #[cfg(feature = "limit_shared")]
            Count::LetThrough => (Outcome::LetThrough, Ok(Pass::new())),
            #[cfg(feature = "limit_shared")]
            Count::Unavailable { retry_after } => {
                let refusal = Rejection::DependencyUnavailable {
                    dependency: Dependency::Limits,
                    retry_after: self.spread(tag, retry_after),
                };
                (Outcome::Unavailable, Err(refusal))
            }
        }
    }

    fn spread(&self, tag: Tag, retry_after: Duration) -> Duration {
        jittered(retry_after, tag.mixed_with(self.now()))
    }

    fn pass(&self, tier: &Tier, debts: &[u64]) -> Pass {
        if !self.tells {
            return Pass::new();
        }
        let pass = Pass::new().response_header(fields::RATE_LIMIT_POLICY, tier.policy.clone());
        match fields::remaining(&tier.limits, debts) {
            Some(remaining) => pass.response_header(fields::RATE_LIMIT, remaining),
            None => pass,
        }
    }

    fn refusal(
        &self,
        tier: &Tier,
        limit: usize,
        retry_after: Duration,
        debts: &[u64],
    ) -> Rejection {
        let excess = Excess::new(ExcessKind::Requests, retry_after);
        let violated = tier.limits.get(limit).filter(|_| self.tells);
        let Some(violated) = violated else {
            return excess.into();
        };
        let debt = debts.get(limit).copied();
        let debt = debt.unwrap_or_else(|| violated.tolerance());
        let remaining = fields::refused(violated, debt, retry_after);
        excess
            .of_policy(Arc::clone(violated.name()))
            .field(fields::RATE_LIMIT_POLICY, tier.policy.clone())
            .field(fields::RATE_LIMIT, remaining)
            .into()
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("name", &self.name)
            .field("key", &self.key)
            .field("usual", &self.usual.limits)
            .field("tiers", &self.tiers.keys())
            .field("source", &self.source)
            .field("costs", &self.costs)
            .field("is_shadow", &self.is_shadow)
            .finish_non_exhaustive()
    }
}
