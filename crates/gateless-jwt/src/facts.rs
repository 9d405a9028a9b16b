//! What a signature vouches for, and the decision that is made of it at a given time.

use std::fmt;

use gateless_core::{Principal, Timestamp, TokenFault};

use crate::jwk::KeySet;
use crate::key::Stamp;
use crate::policy::TokenPolicy;
use crate::statement::Statement;

/// The claims of a token whose signature verified. Not a decision: that takes keys, a policy and the time.
///
/// Facts stay true, so they may be kept; whether they are good enough is asked anew for every request, by
/// [`judge`](Self::judge). A cache that stored the answer instead would let expired tokens pass, and those of a key
/// that the issuer has withdrawn.
///
/// They were read under one [`TokenPolicy`], and are to be judged under the same: what was settled with the signature,
/// such as profile, algorithm and where the scopes stand, is not asked again. Whoever keeps facts keys them by policy.
#[derive(Clone)]
pub struct Facts {
    statement: Statement,
    signer: Stamp,
    /// Whether the token says which key that is.
    names_key: bool,
}

impl Facts {
    pub(crate) const fn new(statement: Statement, signer: Stamp, names_key: bool) -> Self {
        Self {
            statement,
            signer,
            names_key,
        }
    }

    /// Decides whether the token is good with `keys`, for `policy`, at `now`. Costs no allocation.
    ///
    /// `now` may be off by the policy's leeway: a token dies at `exp + leeway` and lives from `nbf − leeway` on.
    ///
    /// # Errors
    ///
    /// [`TokenFault::KeyUnknown`] when the key that signed the token is not among `keys`, or not the one that
    /// [would be tried](KeySet::succeeding): only [verifying](crate::Unverified::verify) it again can tell. Otherwise
    /// the first [`TokenFault`] that was found.
    pub fn judge(
        self,
        keys: &KeySet,
        policy: &TokenPolicy,
        now: Timestamp,
    ) -> Result<Principal, TokenFault> {
        let Self {
            statement,
            signer,
            names_key,
        } = self;
        let named = statement.principal.key_id().filter(|_| names_key);
        keys.vouch(named, signer)?;
        statement.judge(&policy.terms, now)?;
        Ok(statement.principal)
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

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("principal", &self.statement.principal)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod tests;
