//! What an answer vouches for, and the decision that is made of it at a given time.

use std::fmt;

use gateless_core::{Principal, Timestamp, TokenFault};

use super::policy::IntrospectionPolicy;
use crate::statement::Statement;

/// The claims of a token that its authorization server called active. Not a decision: that takes a policy and the time.
///
/// Facts may be kept for as long as the service is content with what the server said then; whether they are good
/// enough is asked anew for every request, by [`judge`](Self::judge) (RFC 7662 §4: a cached answer does not outlive
/// `exp`).
///
/// They were read under one [`IntrospectionPolicy`], and are to be judged under the same: where the scopes and the
/// client stand is not asked again. Whoever keeps facts keys them by policy.
#[derive(Clone)]
pub struct IntrospectedFacts {
    statement: Statement,
}

impl IntrospectedFacts {
    pub(super) const fn new(statement: Statement) -> Self {
        Self { statement }
    }

    /// Decides whether the token is good for `policy` at `now`. Costs no allocation.
    ///
    /// `now` may be off by the policy's leeway: a token dies at `exp + leeway` and lives from `nbf − leeway` on.
    ///
    /// # Errors
    ///
    /// The first [`TokenFault`] that was found.
    pub fn judge(
        self,
        policy: &IntrospectionPolicy,
        now: Timestamp,
    ) -> Result<Principal, TokenFault> {
        self.statement.judge(&policy.terms, now)?;
        Ok(self.statement.principal)
    }

    /// The same without taking the facts, for those that are looked at where they are kept.
    ///
    /// # Errors
    ///
    /// As [`judge`](Self::judge).
    pub fn judge_ref(
        &self,
        policy: &IntrospectionPolicy,
        now: Timestamp,
    ) -> Result<&Principal, TokenFault> {
        self.statement.judge(&policy.terms, now)?;
        Ok(&self.statement.principal)
    }

    /// When the token ends, without the leeway: as the server said, or as the policy
    /// [assumes](IntrospectionPolicy::assume_lifetime). Nothing is to be kept beyond it.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.statement.principal.expires_at()
    }

    /// Whether this is about a caller that is meant, whatever the time is. Not a decision about it: that is
    /// [`judge`](Self::judge).
    pub fn is_of(&self, is_meant: impl FnOnce(&Principal) -> bool) -> bool {
        is_meant(&self.statement.principal)
    }

    /// About how much memory the facts hold on to, in bytes. Never less than the claims take.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.statement.principal.size()
    }
}

impl fmt::Debug for IntrospectedFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectedFacts")
            .field("principal", &self.statement.principal)
            .finish_non_exhaustive()
    }
}
