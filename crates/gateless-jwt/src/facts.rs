//! What a signature vouches for, and the decision that is made of it at a given time.

use std::fmt;

use gateless_core::{Principal, Timestamp, TokenFault};

use crate::jwk::KeySet;
use crate::key::Stamp;
use crate::policy::TokenPolicy;

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
    principal: Principal,
    not_before: Option<Timestamp>,
    is_bound: bool,
    signer: Stamp,
}

impl Facts {
    pub(crate) const fn new(
        principal: Principal,
        not_before: Option<Timestamp>,
        is_bound: bool,
        signer: Stamp,
    ) -> Self {
        Self {
            principal,
            not_before,
            is_bound,
            signer,
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
        let principal = &self.principal;
        keys.vouch(principal.key_id(), self.signer)?;
        if principal.issuer() != &*policy.issuer {
            return Err(TokenFault::IssuerUnknown);
        }
        self.judge_time(policy, now)?;
        if !policy.accepts_audience(principal.audience()) {
            return Err(TokenFault::AudienceMismatch);
        }
        if !policy.accepts_client(principal.client_id()) {
            return Err(TokenFault::ClientNotAllowed);
        }
        if self.is_bound {
            return Err(TokenFault::BindingUnsupported);
        }
        if policy.forbids_delegation && !principal.actors().is_empty() {
            return Err(TokenFault::DelegationNotAllowed);
        }
        Ok(self.principal)
    }

    /// About how much memory the facts hold on to, in bytes. Never less than the claims take.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.principal.size()
    }

    fn judge_time(&self, policy: &TokenPolicy, now: Timestamp) -> Result<(), TokenFault> {
        let expires_at = self.principal.expires_at();
        if now >= expires_at.saturating_add(policy.leeway) {
            return Err(TokenFault::Expired);
        }
        let latest = now.saturating_add(policy.leeway);
        if self
            .not_before
            .is_some_and(|not_before| not_before > latest)
        {
            return Err(TokenFault::NotYetValid);
        }
        let issued_at = self.principal.issued_at();
        if issued_at.is_some_and(|issued_at| issued_at > latest || issued_at > expires_at) {
            return Err(TokenFault::IssuedInFuture);
        }
        if expires_at.since(issued_at.unwrap_or(now)) > policy.max_lifetime {
            return Err(TokenFault::LifetimeTooLong);
        }
        Ok(())
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod tests;
