//! What is said of a token by whoever may say it, and whether that is good enough at a given time.

use std::sync::Arc;

use gateless_core::{
    Principal, PrincipalKind, PrincipalParts, ScopeSet, Timestamp, TokenDigest, TokenFault,
};

use crate::claims::Claims;
use crate::terms::Terms;

/// The claims of a token that are known to be its issuer's: by a signature, or because the issuer was asked.
#[derive(Clone)]
pub(crate) struct Statement {
    pub(crate) principal: Principal,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) is_bound: bool,
}

/// What a policy has settled about the claims: the rest is taken over from them as it stands.
pub(crate) struct Settled<'t> {
    pub(crate) issuer: Arc<str>,
    pub(crate) client_id: Option<Box<str>>,
    pub(crate) scopes: ScopeSet,
    pub(crate) audience: Box<[Box<str>]>,
    pub(crate) expires_at: Timestamp,
    /// The issuer names no end: the policy set one, and how long the token lives is not known.
    pub(crate) is_end_assumed: bool,
    pub(crate) key_id: Option<Box<str>>,
    /// The token means something to its server only.
    pub(crate) is_opaque: bool,
    /// The part of the token's text that has one spelling only.
    pub(crate) identity: &'t str,
    pub(crate) json: Box<str>,
}

impl Statement {
    pub(crate) fn new(claims: Claims, settled: Settled<'_>) -> Self {
        let kind = match &claims.subject {
            Some(subject) if Some(subject) != settled.client_id.as_ref() => PrincipalKind::User,
            _ => PrincipalKind::Client,
        };
        // The id of an opaque token is known to its server and to whoever asked: others go by the token itself.
        let needs_digest = settled.is_opaque || claims.token_id.is_none();
        let token_digest = needs_digest.then(|| TokenDigest::of(settled.identity));
        let principal = Principal::assert_authenticated(PrincipalParts {
            issuer: settled.issuer,
            subject: claims.subject,
            client_id: settled.client_id,
            token_id: claims.token_id,
            token_digest,
            session_id: claims.session_id,
            kind,
            scopes: settled.scopes,
            audience: settled.audience,
            expires_at: settled.expires_at,
            is_end_assumed: settled.is_end_assumed,
            issued_at: claims.issued_at,
            authenticated_at: claims.authenticated_at,
            authentication_context: claims.authentication_context,
            actors: claims.actors.into(),
            key_id: settled.key_id,
            claims: settled.json,
        });
        Self {
            principal,
            not_before: claims.not_before,
            is_bound: claims.is_bound,
        }
    }

    /// Decides whether the token is good for `terms` at `now`. Costs no allocation.
    pub(crate) fn judge(&self, terms: &Terms, now: Timestamp) -> Result<(), TokenFault> {
        let principal = &self.principal;
        if principal.issuer() != &*terms.issuer {
            return Err(TokenFault::IssuerUnknown);
        }
        self.judge_time(terms, now)?;
        if !terms.accepts_audience(principal.audience()) {
            return Err(TokenFault::AudienceMismatch);
        }
        if !terms.accepts_client(principal.client_id()) {
            return Err(TokenFault::ClientNotAllowed);
        }
        if self.is_bound {
            return Err(TokenFault::BindingUnsupported);
        }
        if terms.forbids_delegation && !principal.actors().is_empty() {
            return Err(TokenFault::DelegationNotAllowed);
        }
        Ok(())
    }

    fn judge_time(&self, terms: &Terms, now: Timestamp) -> Result<(), TokenFault> {
        let expires_at = self.principal.expires_at();
        if now >= expires_at.saturating_add(terms.leeway) {
            return Err(TokenFault::Expired);
        }
        let latest = now.saturating_add(terms.leeway);
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
        let lifetime = expires_at.since(issued_at.unwrap_or(now));
        if !self.principal.is_end_assumed() && lifetime > terms.max_lifetime {
            return Err(TokenFault::LifetimeTooLong);
        }
        Ok(())
    }
}
