//! The decision: does the principal have what is asked for?

use std::future::Ready;

use gateless_core::{Principal, Renderer};

use super::ScopeGuard;
use crate::gate::{Gate, Head, Pass, Step, Verdict};

impl Gate for ScopeGuard {
    const NAME: &'static str = "scope";
    type Wait = Ready<Verdict>;

    fn decide(&self, head: Head<'_>) -> Step<Self::Wait> {
        let verdict = Principal::of(head.extensions).and_then(|principal| {
            self.requirement.check(principal.scopes())?;
            Ok(Pass::new())
        });
        Step::Now(verdict)
    }

    fn renderer(&self) -> Renderer {
        self.renderer.clone()
    }
}
