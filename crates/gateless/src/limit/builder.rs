//! Settings of the layer, checked all at once.

use std::collections::HashMap;
use std::sync::Arc;

use gateless_core::{ClaimPath, Clock, ConfigError, Limit, Principal, Quota, Renderer, Route};

use super::RateLimit;
use super::cost::Costs;
use super::decide::{Limiter, Tier};
use super::key::LimitKey;
use super::metrics::Metrics;
#[cfg(feature = "limit_shared")]
use super::shared::SharedLimits;
use super::table::Tagger;
use super::tier::{TierSettings, TierSource, check_all};
use crate::clock::SystemClock;
use crate::gate::Head;

/// Settings of a [`RateLimit`]. Only whose quota it is, and how much, have to be given; they are arguments of
/// [`RateLimit::builder`].
#[derive(Debug)]
#[must_use]
pub struct RateLimitBuilder {
    key: LimitKey,
    quotas: Vec<Quota>,
    name: Arc<str>,
    tiers: Vec<TierSettings>,
    source: Option<TierSource>,
    costs: Costs,
    max_keys: usize,
    is_shadow: bool,
    is_metered: bool,
    tells: bool,
    #[cfg(feature = "limit_shared")]
    shared: Option<SharedLimits>,
    clock: Arc<dyn Clock>,
    renderer: Renderer,
}

impl RateLimitBuilder {
    pub(super) fn new(key: LimitKey, quotas: Vec<Quota>) -> Self {
        Self {
            key,
            quotas,
            name: "default".into(),
            tiers: Vec::new(),
            source: None,
            costs: Costs::new(),
            max_keys: 100_000,
            is_shadow: false,
            is_metered: false,
            tells: false,
            #[cfg(feature = "limit_shared")]
            shared: None,
            clock: Arc::new(SystemClock::new()),
            renderer: Renderer::default(),
        }
    }

    /// What this limit is called in metrics, and what keeps it apart from others in a store that they share. `default`
    /// by default; 1 to 64 letters, digits or characters of `-_.:/`.
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Other quotas for the callers of a tier. Callers without a tier, or with one that is not named here, have those of
    /// [`RateLimit::builder`], so make those the smallest. Each tier counts for itself: who changes it starts anew.
    pub fn tier(mut self, name: &str, quotas: impl IntoIterator<Item = Quota>) -> Self {
        self.tiers.push(TierSettings {
            name: name.into(),
            quotas: Some(quotas.into_iter().collect()),
        });
        self
    }

    /// No quotas at all for the callers of a tier.
    pub fn unlimited_tier(mut self, name: &str) -> Self {
        self.tiers.push(TierSettings {
            name: name.into(),
            quotas: None,
        });
        self
    }

    /// The tier of a caller is what this claim says. A claim that is no text names none.
    pub fn tier_claim(mut self, path: impl Into<ClaimPath>) -> Self {
        self.source = Some(TierSource::Claim(path.into()));
        self
    }

    /// The tier of a caller is what `lookup` says. It is asked with every request and must not wait: read from memory.
    pub fn tier_by(
        mut self,
        lookup: impl Fn(&Principal) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.source = Some(TierSource::Lookup(Arc::new(lookup)));
        self
    }

    /// How many units a request takes. 1 by default; 0 is for nothing.
    pub const fn cost(mut self, units: u32) -> Self {
        self.costs.usual(units);
        self
    }

    /// How many units a request of this route takes. The path is written as the router has it, names of parameters
    /// included; a cost of `GET` is good for `HEAD` as well. HTTP routes have to be known where the layer stands: with
    /// `Router::layer` or closer to the handler, not around a whole router.
    pub fn route_cost(mut self, route: Route, units: u32) -> Self {
        self.costs.route(route, units);
        self
    }

    /// How many units a request takes, from its head. In place of the other costs. More than the burst of a quota counts
    /// as a whole burst under that quota, and as what it is under the others.
    pub fn cost_by(mut self, cost: impl Fn(Head<'_>) -> u32 + Send + Sync + 'static) -> Self {
        self.costs.by_request(Arc::new(cost));
        self
    }

    /// How many keys are held at once at most, of each tier. 100,000 by default; with one quota each takes about 24 bytes once it is
    /// there.
    ///
    /// Who has not taken anything for so long that all of it is back takes no place. When there is none, whoever owes
    /// least makes way, and the next strangers begin with what that one owed: a flood of keys resets nobody. Strangers
    /// have less then, and nothing at all once about `max_keys * period / limit` new keys come in a period: make it larger
    /// than the number of callers in the longest period. The event `gateless.limit.crowded` tells.
    pub const fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Counts and tells, but refuses nobody: to find out what a limit would do.
    /// `gateless_limit_requests_total{result="shadowed"}` counts those who would have been refused.
    pub const fn shadow(mut self) -> Self {
        self.is_shadow = true;
        self
    }

    /// Leaves a [`RateMeter`](super::RateMeter) in the extensions of requests, so that handlers can take more: for each
    /// message of a stream, say.
    pub const fn metered(mut self) -> Self {
        self.is_metered = true;
        self
    }

    /// Tells callers about their quotas in `RateLimit` and `RateLimit-Policy` fields, on passes and refusals, and names the
    /// quota in refusals ([draft-ietf-httpapi-ratelimit-headers-11]). Off by default.
    ///
    /// What is left is not told where this instance does not know it: with leases, and while a store is away.
    ///
    /// [draft-ietf-httpapi-ratelimit-headers-11]: https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-11.html
    #[cfg(feature = "limit_fields")]
    #[cfg_attr(docsrs, doc(cfg(feature = "limit_fields")))]
    pub const fn rate_limit_fields(mut self) -> Self {
        self.tells = true;
        self
    }

    /// Counts together with all instances that have the same settings and the same store. What makes a count is the
    /// [name](Self::named), the tier, the quotas and the key: services that share a store need names or prefixes of their own.
    #[cfg(feature = "limit_shared")]
    #[cfg_attr(docsrs, doc(cfg(feature = "limit_shared")))]
    pub fn shared(mut self, shared: SharedLimits) -> Self {
        self.shared = Some(shared);
        self
    }

    /// Where the time comes from. The system's clock by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How refusals look. Problem details by default.
    pub fn renderer(mut self, renderer: Renderer) -> Self {
        self.renderer = renderer;
        self
    }

    /// Checks all settings and makes the layer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every setting that cannot be used.
    pub fn build(self) -> Result<RateLimit, ConfigError> {
        let mut faults = ConfigError::collect();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(plain) {
            let problem = "is not 1 to 64 letters, digits or characters of -_.:/";
            faults.add("name", problem);
        }
        if self.max_keys == 0 {
            faults.add("max_keys", "is zero: nobody would be remembered");
        }
        if self.max_keys > Self::MOST_KEYS {
            faults.add("max_keys", format!("is above {}", Self::MOST_KEYS));
        }
        match (&self.source, self.tiers.is_empty()) {
            (Some(_), true) => faults.add("tier", "is told apart, but there is none"),
            (None, false) => faults.add("tier", "is never told: set tier_claim or tier_by"),
            _ => {}
        }
        self.costs.check_routes(&mut faults);
        let key = self.key.clone().keyer(&mut faults);
        if self.source.is_some() && !key.needs_caller() {
            faults.add("tier", "is a matter of callers, and the key names none");
        }
        let usual = self.tier_of("", &self.quotas, &mut faults);
        let mut tiers = HashMap::new();
        for settings in &self.tiers {
            if settings.name.is_empty() {
                faults.add("tier", "has no name");
            }
            let tier = match &settings.quotas {
                None => None,
                Some(quotas) => match self.tier_of(&settings.name, quotas, &mut faults) {
                    Some(tier) => Some(tier),
                    None => continue,
                },
            };
            if tiers.insert(settings.name.clone(), tier).is_some() {
                faults.add("tier", format!("{} is there twice", settings.name));
            }
        }
        faults.into_result()?;
        let metrics = Metrics::new(&self.name);
        Ok(RateLimit(Arc::new(Limiter {
            started: self.clock.monotonic(),
            usual: usual.expect("without it there is a fault"),
            tiers,
            key,
            tagger: Tagger::default(),
            source: self.source,
            costs: self.costs,
            is_shadow: self.is_shadow,
            is_metered: self.is_metered,
            tells: self.tells,
            clock: self.clock,
            renderer: self.renderer,
            name: self.name,
            metrics,
        })))
    }

    /// More would take up gigabytes.
    const MOST_KEYS: usize = 100_000_000;

    fn tier_of(&self, name: &str, quotas: &[Quota], faults: &mut ConfigError) -> Option<Arc<Tier>> {
        let limits = check_all(name, quotas, faults)?;
        if let Some(burst) = limits.iter().map(Limit::burst).min() {
            self.costs.check(burst, faults);
        }
        #[cfg(feature = "limit_shared")]
        if let Some(shared) = &self.shared {
            shared.check(&limits, faults);
        }
        // What cannot be built with is not: there is a fault already.
        if !faults.faults().is_empty() {
            return None;
        }
        #[cfg(feature = "limit_shared")]
        if let Some(shared) = &self.shared {
            let clock = Arc::clone(&self.clock);
            return Some(Arc::new(Tier::shared(
                name,
                limits,
                shared.clone(),
                self.max_keys,
                clock,
            )));
        }
        Some(Arc::new(Tier::alone(name, limits, self.max_keys)))
    }
}
