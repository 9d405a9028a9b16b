//! The decision: are there too many of this caller's under way?

use std::future::Ready;
use std::time::Duration;

use gateless_core::{Excess, ExcessKind, Principal, Renderer};

use super::ConcurrencyLimit;
use crate::gate::{Gate, Head, Pass, Step, Verdict};
use crate::limit::jitter::jittered;

/// Nobody knows when one of the others ends.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Gate for ConcurrencyLimit {
    const NAME: &'static str = "concurrency";
    type Wait = Ready<Verdict>;

    fn decide(&self, head: Head<'_>) -> Step<Self::Wait> {
        Step::Now(self.judge(head))
    }

    fn renderer(&self) -> Renderer {
        self.0.renderer.clone()
    }
}

impl ConcurrencyLimit {
    fn judge(&self, head: Head<'_>) -> Verdict {
        let limit = &self.0;
        let caller = match limit.key.needs_caller() {
            false => None,
            true => match Principal::optional(head.extensions)? {
                Some(caller) => Some(caller),
                // Nobody is signed in, so there is nobody to count for.
                None => return Ok(Pass::new()),
            },
        };
        let feed = |hasher: &mut _| limit.key.feed(Self::NAME, head, caller, hasher);
        let tag = limit.tagger.tag_by(feed)?;
        match limit.under_way.enter(tag, limit.max) {
            Some(place) => Ok(Pass::new().escort(Box::new(place))),
            None if limit.is_shadow => {
                tracing::debug!(
                    name: "gateless.limit.shadowed",
                    limit = Self::NAME,
                    reason = ExcessKind::Concurrency.name(),
                    "a request would have been refused"
                );
                Ok(Pass::new())
            }
            None => {
                let retry_after = jittered(RETRY_AFTER, tag.mixed_with(limit.under_way.refused()));
                Err(Excess::new(ExcessKind::Concurrency, retry_after).into())
            }
        }
    }
}
