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
const MANY: usize = 64;

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
    pub(super) fn scope(&mut self, scope: &Scope, is_met: bool) {
        if self.scopes.iter().all(|(known, _)| known != scope) {
            self.scopes.push((scope.clone(), is_met));
        }
    }

    pub(super) fn acr(&mut self, one_of: &[Acr], is_met: bool) {
        self.needs_sign_in |= !is_met;
        match &mut self.acr {
            Some(ours) => {
                ours.retain(|acr| one_of.contains(acr));
                self.is_closed |= ours.is_empty();
            }
            None => self.acr = Some(one_of.to_vec()),
        }
    }

    pub(super) fn max_age(&mut self, secs: u64, is_met: bool) {
        self.needs_sign_in |= !is_met;
        self.max_age = Some(self.max_age.map_or(secs, |ours| ours.min(secs)));
    }

    pub(super) const fn property(&mut self, is_met: bool) {
        self.is_closed |= !is_met;
    }

    fn missing(&self) -> impl Iterator<Item = &Scope> {
        let missing = self.scopes.iter().filter(|(_, is_met)| !is_met);
        missing.map(|(scope, _)| scope)
    }

    fn cost(&self) -> (bool, bool, usize) {
        (self.is_closed, self.needs_sign_in, self.missing().count())
    }

    fn refusal(self) -> Rejection {
        if self.is_closed {
            return Rejection::CallerNotPermitted;
        }
        let shortfall = Shortfall {
            missing: self.missing().cloned().collect(),
            needed: self.scopes.iter().map(|(scope, _)| scope.clone()).collect(),
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

/// The cheapest of very many.
pub(super) fn bounded(mut ways: Vec<Way>) -> Vec<Way> {
    if ways.len() > MANY {
        ways.sort_by_cached_key(Way::cost);
        ways.truncate(MANY);
    }
    ways
}

/// What to answer a caller to whom these ways are left: by the one that asks for the least, the first of equals.
pub(super) fn refusal(ways: Vec<Way>) -> Rejection {
    let cheapest = ways.into_iter().min_by_key(Way::cost);
    cheapest.map_or(Rejection::CallerNotPermitted, Way::refusal)
}
