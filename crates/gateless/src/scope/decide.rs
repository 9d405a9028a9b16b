//! The decision: does the principal have what is asked for?

use std::future::Ready;
use std::sync::Arc;

use gateless_core::{Access, Principal, Rejection, Renderer};

use super::table::Found;
use super::{Asks, Guard, ScopeGuard};
use crate::gate::{Gate, Head, Pass, Step, Verdict};
use crate::matched::Matched;
use crate::notes::Notes;

impl Gate for ScopeGuard {
    const NAME: &'static str = "scope";
    type Wait = Ready<Verdict>;

    fn decide(&self, head: Head<'_>) -> Step<Self::Wait> {
        Step::Now(self.0.decide(head).map(|()| Pass::new()))
    }

    fn renderer(&self) -> Renderer {
        self.0.renderer.clone()
    }
}

impl Guard {
    fn decide(&self, head: Head<'_>) -> Result<(), Rejection> {
        let found = match &self.asks {
            Asks::Always(access) => Found::Declared(access),
            Asks::Table(table) => {
                let found = table.find(Matched::of(head), head);
                if let Found::Declared(_) = found
                    && table.has_method(head.uri.path())
                {
                    Notes::of(head.extensions).declared();
                }
                found
            }
        };
        if let Found::Declared(access) = found {
            if let Access::Open { .. } = **access {
                return Ok(());
            }
            Notes::of(head.extensions).asked_for(access);
        }
        // Whoever is not signed in does not learn which routes there are.
        let principal = Principal::of(head.extensions)?;
        match found {
            Found::Declared(access) => match access.requirement() {
                Some(requirement) => requirement.check(principal, self.clock.wall()),
                None => Ok(()),
            },
            Found::NoMethod { allow } => Err(Rejection::MethodUnknown {
                allow: Arc::clone(allow),
            }),
            Found::Undeclared => Err(Rejection::RouteUndeclared),
            Found::Nothing => Err(Rejection::RouteUnknown),
        }
    }
}
