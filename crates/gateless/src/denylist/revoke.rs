//! Revoking, and taking it back.

use std::sync::Arc;
use std::time::Duration;

use gateless_core::{Appended, Revocation, RevocationChange, RevocationId, StoreError};
use tokio::time::timeout;

use super::builder::WhenFull;
use super::handle::{DenylistHandle, Live};
use super::list::ListFull;
use super::sync::innermost;

/// How long the log has for a change.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why something is not revoked, or not taken back. It is as it was before, as far as this instance knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// The log cannot take it.
    #[error("the change is not stored: {}", innermost(.0))]
    NotStored(#[source] StoreError),
    /// The log did not answer in time.
    #[error("the log did not answer in time: the change may be stored, or not")]
    TimedOut,
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
    /// [`RevokeError`] when it cannot be stored, or there is no room. It is not revoked then.
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
            .collect();
        let changes = live.make_room(changes)?;
        for change in &changes {
            live.metrics.changed("revoke", change.id().kind());
            tracing::info!(name: "gateless.denylist.revoked", id = ?change.id(), "revoked");
        }
        self.commit(changes).await
    }

    /// Takes back that something is revoked. What this names passes again, also where it was revoked several times; what
    /// else is revoked about the same caller stays so.
    ///
    /// # Errors
    ///
    /// [`RevokeError`] when it cannot be stored.
    pub async fn unrevoke(&self, id: RevocationId) -> Result<Appended, RevokeError> {
        self.live().metrics.changed("unrevoke", id.kind());
        tracing::warn!(name: "gateless.denylist.unrevoked", ?id, "not revoked any more");
        self.commit(vec![RevocationChange::Unrevoke(id)]).await
    }

    /// First the log, then the list. On a task of its own: a change that is in the log has to get into the list, whether
    /// somebody waits for it or not.
    async fn commit(&self, changes: Vec<RevocationChange>) -> Result<Appended, RevokeError> {
        let live = Arc::clone(self.live());
        let commit = async move {
            let appended = timeout(TIMEOUT, live.log.append(&changes)).await;
            let appended = appended
                .map_err(|_| RevokeError::TimedOut)?
                .map_err(RevokeError::NotStored)?;
            live.apply(&changes)?;
            Ok(appended)
        };
        match tokio::spawn(commit).await {
            Ok(done) => done,
            // The runtime ends, or the log panicked: nobody knows how far it came.
            Err(_) => Err(RevokeError::TimedOut),
        }
    }
}

impl Live {
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
        if list.len() + new.count() <= self.capacity {
            return Ok(changes);
        }
        list.sweep(now);
        if list.len() + changes.len() <= self.capacity {
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
            // The others need room as well. What was to be revoked is among it.
            WhenFull::RevokeEverything => Ok([RevocationChange::Revoke(self.everything())]
                .into_iter()
                .chain(changes)
                .collect()),
        }
    }
}
