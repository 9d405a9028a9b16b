//! Revoking, and taking it back.

use std::sync::Arc;
use std::time::Duration;

use gateless_core::{
    Appended, Revocation, RevocationChange, RevocationId, RevocationKind, StoreError,
};
use tokio::time::timeout;

use super::builder::WhenFull;
use super::handle::{DenylistHandle, Live, Progress};
use super::list::ListFull;
use super::sync::{has_tokens, innermost};

/// How long the log has for a change.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long whoever takes something back waits for it to have its effect.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many things are revoked at once.
pub(super) const MAX_REVOCATIONS: usize = 1000;

/// Why something is not revoked, or not taken back. It is as it was before, as far as this instance knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// The log cannot take it.
    #[error("the change is not stored: {}", innermost(.0))]
    NotStored(#[source] StoreError),
    /// The log did not answer in time. What was to be revoked is refused by this instance, and by the others if the log has
    /// it after all; what was to be taken back is taken back in that case.
    #[error("the log did not answer in time: the change may be stored, or not")]
    TimedOut,
    /// Everything that was issued until some time cannot be taken back: what was revoked one by one may have made way for it.
    #[error("what was revoked with everything cannot be taken back")]
    Final,
    /// More than 1,000 at once.
    #[error("too many revocations at once: up to 1,000 are taken")]
    TooMany,
    /// The list has no room, and is not to make any ([`WhenFull::Refuse`]).
    #[error("the denylist is full")]
    Full,
}

impl From<ListFull> for RevokeError {
    fn from(_: ListFull) -> Self {
        Self::Full
    }
}

impl DenylistHandle {
    /// Revokes something, from the next request on: in this instance as soon as this is done, and in the others as soon as
    /// the log has told them.
    ///
    /// It can be said again, and changes nothing then. It goes on when nobody waits for it any more.
    ///
    /// # Errors
    ///
    /// [`RevokeError`] when it cannot be stored, or there is no room. It is not revoked then, but for
    /// [`TimedOut`](RevokeError::TimedOut), which says more.
    pub async fn revoke(&self, revocation: &Revocation) -> Result<Appended, RevokeError> {
        self.revoke_all([revocation]).await
    }

    /// Revokes several things at once, all or none of them: up to 1,000.
    ///
    /// # Errors
    ///
    /// As [`revoke`](Self::revoke).
    pub async fn revoke_all(
        &self,
        revocations: impl IntoIterator<Item = &Revocation>,
    ) -> Result<Appended, RevokeError> {
        let live = self.live();
        let now = live.clock.wall();
        let changes: Vec<_> = revocations
            .into_iter()
            .map(|revocation| revocation.record(now, live.terms.token_lifetime, live.clock_skew))
            .map(RevocationChange::Revoke)
            .take(MAX_REVOCATIONS + 1)
            .collect();
        if changes.len() > MAX_REVOCATIONS {
            return Err(RevokeError::TooMany);
        }
        let changes = live.make_room(changes)?;
        self.commit(changes).await
    }

    /// Takes back that something is revoked. What this names passes again, also where it was revoked several times; what
    /// else is revoked about the same caller stays so.
    ///
    /// # Errors
    ///
    /// [`RevokeError`] when it cannot be stored.
    pub async fn unrevoke(&self, id: RevocationId) -> Result<Appended, RevokeError> {
        if id.kind() == RevocationKind::Everything {
            return Err(RevokeError::Final);
        }
        self.commit(vec![RevocationChange::Unrevoke(id)]).await
    }

    /// First the log, then the list. On a task of its own: a change that is in the log has to get into the list, whether
    /// somebody waits for it or not.
    async fn commit(&self, changes: Vec<RevocationChange>) -> Result<Appended, RevokeError> {
        let live = Arc::clone(self.live());
        match tokio::spawn(async move { live.commit(&changes).await }).await {
            Ok(done) => done,
            // The runtime ends, or the log panicked: nobody knows how far it came.
            Err(_) => Err(RevokeError::TimedOut),
        }
    }
}

impl Live {
    async fn commit(&self, changes: &[RevocationChange]) -> Result<Appended, RevokeError> {
        let takes_back =
            |change: &RevocationChange| matches!(change, RevocationChange::Unrevoke(_));
        let committed = if changes.iter().any(takes_back) {
            let _alone = self.taking_back.write().await;
            self.take_back(changes).await
        } else {
            let _together = self.taking_back.read().await;
            self.put_in(changes).await
        };
        for change in changes {
            let (id, kind) = (change.id(), change.id().kind());
            match (&committed, takes_back(change)) {
                (Ok(_), false) => {
                    self.metrics.changed("revoke", kind);
                    tracing::info!(name: "gateless.denylist.revoked", ?id, "revoked");
                }
                (Ok(_), true) => {
                    self.metrics.changed("unrevoke", kind);
                    tracing::warn!(name: "gateless.denylist.unrevoked", ?id, "not revoked any more");
                }
                (Err(error), _) => {
                    self.metrics.changed("failed", kind);
                    tracing::error!(name: "gateless.denylist.not_changed", ?id, %error, "the denylist could not be changed");
                }
            }
        }
        committed
    }

    /// What is revoked is refused here as soon as the log has it, or may have it.
    async fn put_in(&self, changes: &[RevocationChange]) -> Result<Appended, RevokeError> {
        let appended = match timeout(TIMEOUT, self.log.append(changes)).await {
            Ok(appended) => Ok(appended.map_err(RevokeError::NotStored)?),
            Err(_) => Err(RevokeError::TimedOut),
        };
        let applied = self.apply(changes);
        self.measure();
        let appended = appended?;
        applied?;
        Ok(appended)
    }

    /// What is taken back passes when the log says so: somebody else may have revoked it since.
    async fn take_back(&self, changes: &[RevocationChange]) -> Result<Appended, RevokeError> {
        let mut progress = self.progress.subscribe();
        // Whether somebody else writes to the log shows after the list was loaded.
        let is_loaded = progress.wait_for(|progress| progress.turns > 1);
        if timeout(TIMEOUT, is_loaded).await.is_err() {
            return Err(RevokeError::TimedOut);
        }
        let appended = timeout(TIMEOUT, self.log.append(changes)).await;
        let appended = appended
            .map_err(|_| RevokeError::TimedOut)?
            .map_err(RevokeError::NotStored)?;
        if self.freshness.is_for_good() {
            self.apply(changes)?;
            return Ok(appended);
        }
        let now = self.clock.wall();
        let is_done = |_: &Progress| {
            let list = self.list.load();
            let mut changes = changes.iter();
            changes.all(|change| !list.contains(change.id(), now))
        };
        // Whoever asked waits a little for it, so that the next request passes; it will when the log is read.
        let _ = timeout(PATIENCE, progress.wait_for(is_done)).await;
        Ok(appended)
    }

    /// What is to be said instead when the list has no room.
    fn make_room(
        &self,
        changes: Vec<RevocationChange>,
    ) -> Result<Vec<RevocationChange>, RevokeError> {
        let list = self.list.load();
        let now = self.clock.wall();
        let new = changes
            .iter()
            .filter(|change| !list.contains(change.id(), now));
        let new = new.count();
        let has_room = || list.len() + new <= self.capacity;
        if new == 0 || has_room() {
            return Ok(changes);
        }
        list.sweep(now);
        if has_room() {
            return Ok(changes);
        }
        tracing::error!(
            name: "gateless.denylist.full",
            records = list.len(),
            capacity = self.capacity,
            "the denylist is full"
        );
        match self.when_full {
            WhenFull::Refuse => Err(RevokeError::Full),
            // Nothing would make way for it.
            WhenFull::RevokeEverything if !has_tokens(&list) => Err(RevokeError::Full),
            // The others need room as well. What was to be revoked is among it.
            WhenFull::RevokeEverything => Ok([RevocationChange::Revoke(self.everything())]
                .into_iter()
                .chain(changes)
                .collect()),
        }
    }
}
