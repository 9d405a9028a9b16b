//! Holds a requirement against a caller; and when it is not met, looks for the way that asks for the least.

use std::time::Duration;

use super::shortfall::{self, Way};
use super::{Node, Requirement, claim};
use crate::principal::Principal;
use crate::rejection::Rejection;
use crate::scope::{Scope, ScopeSet};
use crate::time::Timestamp;

/// How far in the future an `auth_time` may lie: the clock of the issuer may be ahead.
const LEEWAY: Duration = Duration::from_secs(30);

/// One caller, at one moment.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) caller: &'a Principal,
    pub(super) now: Timestamp,
}

impl Ask<'_> {
    pub(super) fn check(self, requirement: &Requirement) -> Result<(), Rejection> {
        if self.is_met(requirement) {
            return Ok(());
        }
        Err(shortfall::refusal(
            self.ways(vec![Way::default()], requirement),
        ))
    }

    fn is_met(self, requirement: &Requirement) -> bool {
        match &requirement.0 {
            Node::Authenticated => true,
            Node::Scope { scope, implied_by } => {
                granted(self.caller.scopes(), scope, implied_by).is_some()
            }
            Node::Acr(one_of) => {
                let acr = self.caller.authentication_context();
                acr.is_some_and(|acr| one_of.iter().any(|one| one.as_str() == acr))
            }
            Node::MaxAge(secs) => self.caller.authenticated_at().is_some_and(|at| {
                at <= self.now.saturating_add(LEEWAY)
                    && self.now.since(at) <= Duration::from_secs(*secs)
            }),
            Node::Kind(kind) => self.caller.kind() == *kind,
            Node::Claim(path, value) => claim::holds(self.caller.claims_json(), path, value),
            Node::All(items) => items.iter().all(|item| self.is_met(item)),
            Node::Any(items) => items.iter().any(|item| self.is_met(item)),
        }
    }

    /// The ways so far, each with what this needs as well.
    fn ways(self, mut ways: Vec<Way>, requirement: &Requirement) -> Vec<Way> {
        let mut each = |change: &dyn Fn(&mut Way)| ways.iter_mut().for_each(change);
        match &requirement.0 {
            Node::Authenticated => {}
            Node::Scope { scope, implied_by } => {
                // What is there already is asked for again, so that the new token has no less.
                let granted = granted(self.caller.scopes(), scope, implied_by);
                each(&|way| way.scope(granted.unwrap_or(scope), granted.is_some()));
            }
            Node::Acr(one_of) => {
                let is_met = self.is_met(requirement);
                each(&|way| way.acr(one_of, is_met));
            }
            Node::MaxAge(secs) => {
                let is_met = self.is_met(requirement);
                each(&|way| way.max_age(*secs, is_met));
            }
            Node::Kind(_) | Node::Claim(..) => {
                let is_met = self.is_met(requirement);
                each(&|way| way.property(is_met));
            }
            Node::All(items) => return items.iter().fold(ways, |ways, item| self.ways(ways, item)),
            Node::Any(items) => {
                let mut found = Vec::with_capacity(items.len() * ways.len());
                for item in items {
                    found.append(&mut self.ways(ways.clone(), item));
                }
                return shortfall::bounded(found);
            }
        }
        ways
    }
}

/// The scope that grants `scope`: itself, or one that implies it.
fn granted<'a>(granted: &ScopeSet, scope: &'a Scope, implied_by: &'a [Scope]) -> Option<&'a Scope> {
    if granted.contains(scope) {
        return Some(scope);
    }
    implied_by.iter().find(|scope| granted.contains(scope))
}
