//! A compact JWS on its way to being believed.

use std::fmt;

use gateless_core::TokenFault;

use crate::claims::{self, Claims};
use crate::facts::Facts;
use crate::header::Header;
use crate::jwk::KeySet;
use crate::jws::Jws;
use crate::key::Key;
use crate::policy::{Profile, TokenPolicy};
use crate::statement::{Settled, Statement};

/// A token that was split and parsed, and whose signature nobody has checked.
///
/// It tells its header, and its issuer so that one of the configured issuers can be picked. Everything else in it
/// stays private until [`verify`](Self::verify).
pub struct Unverified<'t> {
    jws: Jws<'t>,
    json: Box<str>,
    claims: Claims,
    issuer: Box<str>,
}

impl<'t> Unverified<'t> {
    /// Splits and parses a token (RFC 7515 §7.1, §5.2 steps 1 to 5).
    ///
    /// # Errors
    ///
    /// [`TokenFault`] when it is not a strict compact JWS of a JSON object, or names no issuer.
    pub fn parse(token: &'t str) -> Result<Self, TokenFault> {
        let (jws, payload) = Jws::parse(token)?;
        let json = String::from_utf8(payload).map_err(|_| TokenFault::ClaimsInvalid)?;
        let mut claims = Claims::parse(&json).ok_or(TokenFault::ClaimsInvalid)?;
        let issuer = claims.issuer.take().ok_or(TokenFault::ClaimMissing)?;
        Ok(Self {
            jws,
            json: json.into(),
            claims,
            issuer,
        })
    }

    /// What the header says.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.jws.header
    }

    /// Who the token says issued it. Only good for picking one of the configured issuers; [`verify`](Self::verify)
    /// compares it again.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Checks the header against `policy` and the signature against `keys`, over the octets that were received.
    ///
    /// # Errors
    ///
    /// [`TokenFault::KeyUnknown`] when everything but the key is there, so that fetching newer keys can help; any
    /// other [`TokenFault`] when it cannot.
    pub fn verify(self, keys: &KeySet, policy: &TokenPolicy) -> Result<Facts, TokenFault> {
        if *self.issuer != *policy.terms.issuer {
            return Err(TokenFault::IssuerUnknown);
        }
        let signer = self.jws.verify(keys, policy)?;
        self.into_facts(policy, signer)
    }

    /// Past the signature: the claims are the issuer's, and are read as this policy reads them.
    fn into_facts(self, policy: &TokenPolicy, signer: &Key) -> Result<Facts, TokenFault> {
        let Self {
            jws,
            json,
            mut claims,
            ..
        } = self;
        let scopes = claims.take_scopes(&json, &policy.terms.scope_claim)?;
        let client_id = claims.take_client_id(
            &json,
            policy.terms.client_claim.as_deref(),
            policy.profile == Profile::Lax,
        )?;
        let expires_at = claims.expires_at.ok_or(TokenFault::ClaimMissing)?;
        let audience = claims.audience.take().ok_or(TokenFault::ClaimMissing)?;
        if claims.says_other_use {
            return Err(TokenFault::UseNotAllowed);
        }
        match policy.profile {
            Profile::Rfc9068 => {
                // RFC 9068 §2.2
                let is_complete = claims.subject.is_some()
                    && client_id.is_some()
                    && claims.issued_at.is_some()
                    && claims.token_id.is_some();
                if !is_complete {
                    return Err(TokenFault::ClaimMissing);
                }
            }
            Profile::Lax => {
                if claims.marks_other_kind
                    || claims::names_only_its_client(&audience, client_id.as_deref())
                {
                    return Err(TokenFault::UseNotAllowed);
                }
            }
        }
        let (identity, names_key) = (jws.signed(), jws.header.key_id().is_some());
        let settled = Settled {
            issuer: policy.terms.issuer.clone(),
            client_id,
            scopes,
            audience,
            expires_at,
            is_end_assumed: false,
            is_opaque: false,
            identity,
            // A token may leave out which key signed it; the key is known all the same.
            key_id: jws
                .header
                .into_key_id()
                .or_else(|| signer.id().map(Into::into)),
            json,
        };
        let statement = Statement::new(claims, settled);
        Ok(Facts::new(statement, signer.stamp(), names_key))
    }
}

impl fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unverified")
            .field("algorithm", &self.jws.header.algorithm())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod tests;
