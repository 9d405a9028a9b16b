//! The decision: was it revoked?

use std::time::Duration;

use gateless_core::{
    Dependency, OnOutage, Principal, Rejection, Renderer, RevocationKind, Timestamp, TokenFault,
};

use super::Denylist;
use super::freshness::Standing;
use super::handle::Live;
use super::list::RevocationList;
use crate::gate::{Gate, Head, Pass, Step, Verdict};
use crate::notes::Notes;

/// What happens to a request while nobody can say whether its token was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outage {
    /// What was chosen.
    Policy(OnOutage),
    /// It passes, and is counted.
    Open,
}

/// What is known of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Not revoked, by a list that is up to date.
    Clear,
    /// Not revoked, as far as a list tells that is not up to date.
    ClearWhenLastSeen,
    /// The same, on a route that goes on whatever happens.
    LetThrough,
    /// Revoked, and as what.
    Revoked(RevocationKind),
    /// The token lives longer than the list remembers anything, or may do so.
    OutlivesTheList,
    /// Nobody knows.
    Unknown,
}

/// When to try again while the list is not up to date: it is looked for all the time.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What is asked of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// For how long a list is as good as new.
    pub(super) fresh_for: Duration,
    /// How long a token lives at most.
    pub(super) token_lifetime: Duration,
    /// Whether tokens are accepted that do not say when they were issued.
    pub(super) accepts_dateless: bool,
}

/// Decides about a caller by a list of that standing, at `now`.
pub(super) fn judge(
    caller: &Principal,
    list: &RevocationList,
    standing: Standing,
    outage: Outage,
    terms: Terms,
    now: Timestamp,
) -> Judgement {
    let age = match standing {
        Standing::Missing => return Judgement::Unknown,
        Standing::Aged(age) => age,
    };
    let issued_at = caller.issued_at();
    if let Some(kind) = list.find(caller.revocation_ids(), issued_at, now) {
        return Judgement::Revoked(kind);
    }
    // A record is forgotten when the last token has ended that it can be about. One that lives longer could come back, and
    // so could one that does not say for how long it lives.
    let lifetime = match issued_at {
        Some(issued_at) => Some(caller.expires_at().since(issued_at)),
        None if terms.accepts_dateless => Some(caller.expires_at().since(now)),
        None => None,
    };
    if lifetime.is_none_or(|lifetime| lifetime > terms.token_lifetime) {
        return Judgement::OutlivesTheList;
    }
    if age <= terms.fresh_for {
        return Judgement::Clear;
    }
    match outage {
        Outage::Open => Judgement::LetThrough,
        Outage::Policy(policy) if age <= terms.fresh_for.saturating_add(policy.tolerance()) => {
            Judgement::ClearWhenLastSeen
        }
        Outage::Policy(_) => Judgement::Unknown,
    }
}

impl Live {
    pub(super) fn judge(&self, caller: &Principal, outage: Outage) -> Judgement {
        let standing = self.freshness.standing(self.clock.monotonic());
        let now = self.clock.wall();
        judge(caller, &self.list.load(), standing, outage, self.terms, now)
    }

    pub(super) fn decide(
        &self,
        caller: &Principal,
        outage: Outage,
        notes: Notes<'_>,
    ) -> Result<(), Rejection> {
        let judgement = self.judge(caller, outage);
        self.metrics.judged(judgement);
        match judgement {
            Judgement::Clear => Ok(()),
            Judgement::ClearWhenLastSeen => {
                notes.stale_denylist();
                Ok(())
            }
            Judgement::LetThrough => {
                notes.open_denylist();
                Ok(())
            }
            Judgement::Revoked(kind) => {
                self.noticed(caller, kind);
                Err(TokenFault::Revoked.into())
            }
            Judgement::OutlivesTheList => Err(TokenFault::LifetimeTooLong.into()),
            Judgement::Unknown => Err(Rejection::DependencyUnavailable {
                dependency: Dependency::Denylist,
                retry_after: RETRY_AFTER,
            }),
        }
    }

    /// Somebody uses what is not to be used any more: the thief, or somebody who was not told.
    #[cold]
    fn noticed(&self, caller: &Principal, kind: RevocationKind) {
        tracing::info!(
            name: "gateless.denylist.revoked_used",
            issuer = caller.issuer(),
            kind = kind.name(),
            token = ?caller.revocation_ids().tokens().next(),
            "a revoked token was used"
        );
    }
}

impl Gate for Denylist {
    const NAME: &'static str = "denylist";
    type Wait = std::future::Ready<Verdict>;

    fn decide(&self, head: Head<'_>) -> Step<Self::Wait> {
        let verdict = match Principal::optional(head.extensions) {
            Ok(Some(caller)) => self
                .handle
                .live()
                .decide(caller, self.outage, Notes::of(head.extensions))
                .map(|()| Pass::new()),
            // Nobody is signed in, so there is nothing to revoke.
            Ok(None) => Ok(Pass::new()),
            Err(misordered) => Err(misordered),
        };
        Step::Now(verdict)
    }

    fn renderer(&self) -> Renderer {
        self.handle.live().renderer.clone()
    }
}
