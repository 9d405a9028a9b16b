//! `[limits]`: how much a caller may have.

use std::collections::BTreeSet;
use std::time::Duration;

use gateless::limit::{LimitKey, LimitOutage, RateLimit, SharedLimits};
use gateless::{Peer, Quota};

use crate::peer::Place;
use crate::redis::Redis;
use crate::report::Report;
use crate::section::{Reader, Section};
use crate::value::{KeyPart, Tier, named};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shared {
    No,
    Exact,
    Leased,
}

named!(Shared, "\"off\", \"exact\" or \"leased\"",
    "off" => Self::No = Self::No,
    "exact" => Self::Exact = Self::Exact,
    "leased" => Self::Leased = Self::Leased);

/// The quotas, whose they are, and who counts.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    requests: Vec<Quota>,
    name: String,
    key: Vec<KeyPart>,
    tiers: Vec<(String, Tier)>,
    tier_claim: Option<String>,
    cost: u32,
    max_keys: usize,
    shadow: bool,
    metered: bool,
    fields: bool,
    shared: Shared,
    outage: LimitOutage,
    lease: u32,
    deadline: Duration,
    max_remembered: usize,
}

impl Limits {
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let names = reader.names("limits.tiers");
        let mut section = reader.optional("limits");
        let mut tiers = Vec::new();
        let mut seen = BTreeSet::new();
        for name in names {
            // A variable is always in small letters, and would make a second tier in place of changing the first.
            if !seen.insert(name.to_ascii_lowercase()) {
                let problem = "differs from another tier in capital letters only";
                section.fault(&format!("tiers.{name}"), problem);
            }
            if let Some(tier) = section.maybe(&format!("tiers.{name}")) {
                tiers.push((name, tier));
            }
        }
        let shared = section.or("shared", Shared::No);
        let is_shared = shared != Shared::No;
        let limits = Self {
            requests: section.required("requests", vec![Quota::per_second(20)]),
            name: section.or("name", "default".to_owned()),
            key: key_parts(&mut section),
            tiers,
            tier_claim: section.maybe("tier_claim"),
            cost: section.or("cost", 1),
            max_keys: section.or("max_keys", 100_000),
            shadow: section.or("shadow", false),
            metered: section.or("metered", false),
            fields: section.or("fields", false),
            shared,
            outage: section.required_if(is_shared, "outage", LimitOutage::FailClosed),
            lease: section.required_if(shared == Shared::Leased, "lease", 1),
            deadline: section.or("deadline", Duration::from_millis(50)),
            max_remembered: section.or("max_remembered", 100_000),
        };
        if !is_shared {
            let store = ["outage", "lease", "deadline", "max_remembered"];
            section.useless(&store, "is of no use without shared");
        } else if shared == Shared::Exact {
            section.useless(&["lease"], "is of no use without shared = \"leased\"");
        }
        section.is_on().then_some(limits)
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared != Shared::No
    }

    pub(crate) fn build(
        &self,
        peer: &Peer,
        redis: Option<&Redis>,
        report: &mut Report,
    ) -> Option<RateLimit> {
        let mut builder = RateLimit::builder(key(&self.key, peer), self.requests.clone())
            .named(self.name.as_str())
            .cost(self.cost)
            .max_keys(self.max_keys);
        for (name, tier) in &self.tiers {
            builder = match tier {
                Tier::Unlimited => builder.unlimited_tier(name),
                Tier::Quotas(quotas) => builder.tier(name, quotas.clone()),
            };
        }
        if let Some(claim) = &self.tier_claim {
            builder = builder.tier_claim(claim.as_str());
        }
        if self.shadow {
            builder = builder.shadow();
        }
        if self.metered {
            builder = builder.metered();
        }
        if self.fields {
            builder = builder.rate_limit_fields();
        }
        if self.is_shared() {
            match redis.and_then(|redis| redis.quotas(report)) {
                Some(store) => {
                    let shared = match self.shared {
                        Shared::Leased => SharedLimits::leased(store, self.lease, self.outage),
                        _ => SharedLimits::exact(store, self.outage),
                    };
                    let shared = shared.deadline(self.deadline);
                    builder = builder.shared(shared.max_remembered(self.max_remembered));
                }
                // It is not built like that: the rest is checked.
                None => report.unless_told("limits.shared", "has no store"),
            }
        }
        report.adopt(builder.build(), |name| {
            let name = match name {
                "quotas" | "quota" => "requests",
                "tier" => "tier_claim",
                "shared_limits" => "shared",
                other => match Place::setting(other) {
                    Some(setting) => return setting,
                    None => other,
                },
            };
            format!("limits.{name}")
        })
    }
}

/// What callers are told apart by, as it is set.
pub(crate) fn key_parts(section: &mut Section<'_>) -> Vec<KeyPart> {
    let parts = section.or("key", vec![KeyPart::Caller]);
    if parts.is_empty() {
        section.fault("key", "is empty: it takes what callers are told apart by");
    }
    parts
}

/// What callers are told apart by.
pub(crate) fn key(parts: &[KeyPart], peer: &Peer) -> LimitKey {
    let parts = parts.iter().map(|part| match part {
        KeyPart::Caller => LimitKey::caller(),
        KeyPart::Subject => LimitKey::subject(),
        KeyPart::Client => LimitKey::client(),
        KeyPart::Token => LimitKey::token(),
        KeyPart::Route => LimitKey::route(),
        KeyPart::Peer => LimitKey::peer(peer.clone()),
        KeyPart::Everybody => LimitKey::everybody(),
        KeyPart::Claim(name) => LimitKey::claim(name.as_str()),
    });
    parts.reduce(LimitKey::and).unwrap_or_else(LimitKey::caller)
}
