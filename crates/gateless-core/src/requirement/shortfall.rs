//! What a caller lacks, along the way that asks for the least.

use crate::acr::Acr;
use crate::rejection::Rejection;
use crate::scope::Scope;

/// The scopes that a token lacks for a requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    needed: Box<[Scope]>,
    missing: Box<[Scope]>,
}

impl Shortfall {
    /// Every scope that the request needs, granted or not: what a client has to ask for to get through.
    ///
    /// This is the `scope` attribute of the challenge. A client that asked for the missing ones alone would
    /// lose those it has.
    #[must_use]
    pub fn needed(&self) -> &[Scope] {
        &self.needed
    }

    /// The scopes among [`needed`](Self::needed) that were not granted.
    #[must_use]
    pub fn missing(&self) -> &[Scope] {
        &self.missing
    }
}

/// How a person has to prove who they are, anew (RFC 9470 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepUp {
    acr_values: Box<[Acr]>,
    max_age: Option<u64>,
    shortfall: Option<Shortfall>,
}

impl StepUp {
    /// The ways that will do, the most wanted first; empty when any will.
    #[must_use]
    pub fn acr_values(&self) -> &[Acr] {
        &self.acr_values
    }

    /// How long ago that may be at most, in seconds; `None` when it does not matter.
    #[must_use]
    pub const fn max_age(&self) -> Option<u64> {
        self.max_age
    }

    /// The scopes that are missing as well, so that one sign-in is enough.
    #[must_use]
    pub const fn shortfall(&self) -> Option<&Shortfall> {
        self.shortfall.as_ref()
    }
}

/// How many ways are looked at. Requirements have a handful; of one with more, the cheapest are.
const MANY: usize = 256;

/// One way to satisfy a requirement: everything that is on it, and what of that is not there yet.
#[derive(Clone, Default)]
pub(super) struct Way {
    /// Needs something that nobody can ask for.
    is_closed: bool,
    needs_sign_in: bool,
    /// Each with whether it was granted.
    scopes: Vec<(Scope, bool)>,
    acr: Option<Vec<Acr>>,
    max_age: Option<u64>,
}

impl Way {
    pub(super) fn scope(scope: Scope, is_met: bool) -> Self {
        Self {
            scopes: vec![(scope, is_met)],
            ..Self::default()
        }
    }

    pub(super) fn acr(one_of: &[Acr], is_met: bool) -> Self {
        Self {
            needs_sign_in: !is_met,
            acr: Some(one_of.to_vec()),
            ..Self::default()
        }
    }

    pub(super) fn max_age(secs: u64, is_met: bool) -> Self {
        Self {
            needs_sign_in: !is_met,
            max_age: Some(secs),
            ..Self::default()
        }
    }

    pub(super) fn property(is_met: bool) -> Self {
        Self {
            is_closed: !is_met,
            ..Self::default()
        }
    }

    fn missing(&self) -> impl Iterator<Item = &Scope> {
        let missing = self.scopes.iter().filter(|(_, is_met)| !is_met);
        missing.map(|(scope, _)| scope)
    }

    fn cost(&self) -> (bool, bool, usize) {
        (self.is_closed, self.needs_sign_in, self.missing().count())
    }

    /// Takes what `other` needs as well.
    fn add(&mut self, other: &Self) {
        self.is_closed |= other.is_closed;
        self.needs_sign_in |= other.needs_sign_in;
        for needed in &other.scopes {
            if !self.scopes.contains(needed) {
                self.scopes.push(needed.clone());
            }
        }
        match (&mut self.acr, &other.acr) {
            (Some(ours), Some(theirs)) => {
                ours.retain(|acr| theirs.contains(acr));
                self.is_closed |= ours.is_empty();
            }
            (ours @ None, theirs) => ours.clone_from(theirs),
            (Some(_), None) => {}
        }
        self.max_age = match (self.max_age, other.max_age) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
    }

    fn refusal(self) -> Rejection {
        if self.is_closed {
            return Rejection::CallerNotPermitted;
        }
        let shortfall = Shortfall {
            missing: self.missing().cloned().collect(),
            needed: self.scopes.into_iter().map(|(scope, _)| scope).collect(),
        };
        if !self.needs_sign_in {
            return Rejection::ScopeInsufficient(shortfall);
        }
        Rejection::AuthenticationInsufficient(Box::new(StepUp {
            acr_values: self.acr.unwrap_or_default().into(),
            max_age: self.max_age,
            shortfall: Some(shortfall).filter(|shortfall| !shortfall.missing.is_empty()),
        }))
    }
}

/// Every way of the one with every way of the other.
pub(super) fn both(mut ways: Vec<Way>, other: &[Way]) -> Vec<Way> {
    if let [one] = other {
        ways.iter_mut().for_each(|way| way.add(one));
        return ways;
    }
    let pairs = ways.iter().flat_map(|left| {
        other.iter().map(move |right| {
            let mut way = left.clone();
            way.add(right);
            way
        })
    });
    let mut ways: Vec<_> = pairs.collect();
    if ways.len() > MANY {
        ways.sort_by_key(Way::cost);
        ways.truncate(MANY);
    }
    ways
}

/// What to answer a caller to whom these ways are left: by the one that asks for the least, the first of equals.
pub(super) fn refusal(ways: Vec<Way>) -> Rejection {
    let cheapest = ways.into_iter().min_by_key(Way::cost);
    cheapest.map_or(Rejection::CallerNotPermitted, Way::refusal)
}
