//! Tokens that are used although they were revoked.
//!
//! A refusal in which no token is named is told apart by where it came from. When more revoked tokens are in use than there are
//! entries, some that were quiet are told as new again: more is told then, not less.

use std::time::Duration;

use gateless_audit::SignalKind;
use gateless_core::{Rejection, TokenFault};

use super::tracked::Tracked;
use super::{Detector, Finding, Moment, millis};
use crate::audit::sighting::Sighting;

/// Uses of each token.
#[derive(Debug)]
pub(super) struct Revoked {
    within: Duration,
    tokens: Tracked<Uses>,
}

#[derive(Debug)]
struct Uses {
    /// When it was told last, in milliseconds; never before the first use.
    told: Option<u64>,
    /// How often it was used since then.
    count: u64,
}

impl Revoked {
    pub(super) const fn new(within: Duration, max_tracked: usize) -> Self {
        let tokens = Tracked::new(max_tracked);
        Self { within, tokens }
    }
}

impl Detector for Revoked {
    fn see(&mut self, seen: &Sighting<'_>, moment: Moment<'_>) -> Option<Finding> {
        if seen.rejection != Some(&Rejection::TokenInvalid(TokenFault::Revoked)) {
            return None;
        }
        let unnamed = || moment.tag(&(seen.peer, seen.principal.map(|who| who.issuer())));
        let token = moment.token.unwrap_or_else(unnamed);
        let new = || Uses {
            told: None,
            count: 0,
        };
        let now = moment.now;
        let uses = self.tokens.hear(token, now, new)?;
        uses.count = uses.count.saturating_add(1);
        let elapsed = uses.told.map(|told| now.saturating_sub(told));
        if elapsed.is_some_and(|elapsed| elapsed < millis(self.within)) {
            return None;
        }
        let count = std::mem::take(&mut uses.count);
        uses.told = Some(now);
        // The time that they are of, which is longer where nobody used it for a while.
        let within = elapsed.map_or(self.within, Duration::from_millis);
        Some(Finding {
            principal: seen.principal.cloned(),
            peer: seen.peer,
            reason: Some(TokenFault::Revoked.code()),
            ..Finding::new(SignalKind::RevokedToken, count, within)
        })
    }
}

#[cfg(test)]
impl Revoked {
    pub(super) fn tracked(&self) -> usize {
        self.tokens.len()
    }
}
