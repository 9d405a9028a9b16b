//! Who has which quotas.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use gateless_core::{ClaimPath, ClaimValue, ConfigError, Limit, Principal, Quota};

type Lookup = dyn Fn(&Principal) -> Option<String> + Send + Sync;

/// Where the name of a caller's tier comes from.
#[derive(Clone)]
pub(super) enum TierSource {
    /// From the token.
    Claim(ClaimPath),
    /// From whoever knows.
    Lookup(Arc<Lookup>),
}

impl TierSource {
    pub(super) fn name(&self, caller: &Principal) -> Option<Cow<'_, str>> {
        match self {
            Self::Claim(path) => match caller.claim(path)? {
                ClaimValue::Text(text) => Some(Cow::Owned(text.into())),
                _ => None,
            },
            Self::Lookup(lookup) => lookup(caller).map(Cow::Owned),
        }
    }
}

impl fmt::Debug for TierSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(path) => f.debug_tuple("Claim").field(path).finish(),
            Self::Lookup(_) => f.write_str("Lookup"),
        }
    }
}

/// A tier as it was asked for. Without quotas it is unlimited.
#[derive(Clone, Debug)]
pub(super) struct TierSettings {
    pub(super) name: Box<str>,
    pub(super) quotas: Option<Vec<Quota>>,
}

/// Quotas that go together, checked; the shortest period first.
pub(super) fn check_all(
    tier: &str,
    quotas: &[Quota],
    faults: &mut ConfigError,
) -> Option<Box<[Limit]>> {
    let mut limits = Vec::new();
    for quota in quotas {
        match quota.check() {
            Ok(limit) => limits.push(limit),
            Err(error) => faults.merge(error),
        }
    }
    let of = if tier.is_empty() {
        String::new()
    } else {
        format!("of the tier {tier} ")
    };
    if quotas.is_empty() {
        faults.add(
            "quotas",
            format!("{of}are none: leave the layer out instead"),
        );
    }
    if quotas.len() > Limit::MOST {
        faults.add("quotas", format!("{of}are more than {}", Limit::MOST));
    }
    limits.sort_by_key(Limit::period);
    for (index, limit) in limits.iter().enumerate() {
        let earlier = limits.iter().take(index);
        if earlier.clone().any(|other| other.name() == limit.name()) {
            faults.add(
                "quotas",
                format!("{of}have the name {} twice", limit.name()),
            );
        }
    }
    (limits.len() == quotas.len()).then(|| limits.into())
}
