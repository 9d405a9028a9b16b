//! The stages of a stack, in a row behind one service.

use std::future::Ready;
use std::slice;
use std::sync::Arc;

use gateless_core::OnOutage;

use super::authentication::Authentication;
use crate::denylist::Denylist;
use crate::gate::{BoxedWait, Decided, Gate, Head, Row, Verdict};
use crate::limit::{ConcurrencyLimit, FailureLimit, RateLimit};
use crate::scope::ScopeGuard;
use crate::strip::StripIdentityHeaders;

/// All that decide, from the outside to the inside. Shared by all clones of a stack.
#[derive(Clone, Debug)]
pub struct Stages(Arc<[Stage]>);

/// One of them.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    Strip(StripIdentityHeaders),
    Failures(FailureLimit),
    Authentication(Authentication),
    Denylist(Denylist),
    Rate(RateLimit),
    Concurrency(ConcurrencyLimit),
    Guard(ScopeGuard),
}

impl Stages {
    pub(super) fn new(stages: impl IntoIterator<Item = Stage>) -> Self {
        Self(stages.into_iter().collect())
    }

    pub(super) fn iter(&self) -> slice::Iter<'_, Stage> {
        self.0.iter()
    }

    pub(super) fn denylist_on_outage(&self, on_outage: OnOutage) -> Self {
        Self::new(self.iter().map(|stage| match stage {
            Stage::Denylist(denylist) => Stage::Denylist(denylist.on_outage(on_outage)),
            stage => stage.clone(),
        }))
    }
}

impl Row for Stages {
    type Wait = BoxedWait;

    fn decide(&self, position: usize, head: Head<'_>) -> Option<Decided<BoxedWait>> {
        Some(match self.0.get(position)? {
            Stage::Strip(gate) => at_once(gate, head),
            Stage::Failures(gate) => at_once(gate, head),
            Stage::Authentication(gate) => gate.decide(head),
            Stage::Denylist(gate) => at_once(gate, head),
            Stage::Rate(gate) => Decided::by(gate, head),
            Stage::Concurrency(gate) => at_once(gate, head),
            Stage::Guard(gate) => at_once(gate, head),
        })
    }
}

/// By a gate that never waits.
fn at_once<G: Gate<Wait = Ready<Verdict>>>(gate: &G, head: Head<'_>) -> Decided<BoxedWait> {
    match Decided::by(gate, head) {
        Decided::Passes(pass) => Decided::Passes(pass),
        Decided::Refuses(rejection, refuser) => Decided::Refuses(rejection, refuser),
        Decided::Waits(ready, refuser) => Decided::Waits(Box::pin(ready), refuser),
    }
}
