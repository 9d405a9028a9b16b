//! A compact JWS on its way to being believed.

use std::fmt;

use gateless_core::{Principal, PrincipalKind, PrincipalParts, ScopeSet, TokenFault};

use crate::base64url;
use crate::claims::{self, Claims};
use crate::facts::Facts;
use crate::header::Header;
use crate::json::Texts;
use crate::jwk::KeySet;
use crate::policy::{Form, Profile, ScopeClaim, TokenPolicy};

/// A token that was split and parsed, and whose signature nobody has checked.
///
/// It tells its header, and its issuer so that one of the configured issuers can be picked. Everything else in it
/// stays private until [`verify`](Self::verify).
pub struct Unverified<'t> {
    header: Header,
    signed: &'t str,
    signature: Vec<u8>,
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
        let (header, rest) = token.split_once('.').ok_or(TokenFault::Malformed)?;
        let (payload, signature) = rest.split_once('.').ok_or(TokenFault::Malformed)?;
        if signature.contains('.') {
            let further = signature.bytes().filter(|byte| *byte == b'.').count();
            return Err(if further == 2 {
                TokenFault::Encrypted
            } else {
                TokenFault::Malformed
            });
        }
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(TokenFault::Malformed);
        }
        let decode =
            |segment: &str| base64url::decode(segment.as_bytes()).ok_or(TokenFault::Malformed);

        let header_json = decode(header)?;
        let signature = decode(signature)?;
        let json = decode(payload)?;

        let header = Header::parse(&header_json)?;
        let json = String::from_utf8(json).map_err(|_| TokenFault::ClaimsInvalid)?;
        let mut claims = Claims::parse(json.as_bytes()).ok_or(TokenFault::ClaimsInvalid)?;
        let issuer = claims.issuer.take().ok_or(TokenFault::ClaimMissing)?;
        let signed = token
            .get(..token.len() - rest.len() + payload.len())
            .unwrap_or(token);
        Ok(Self {
            header,
            signed,
            signature,
            json: json.into(),
            claims,
            issuer,
        })
    }

    /// What the header says.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
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
        if *self.issuer != *policy.issuer {
            return Err(TokenFault::IssuerUnknown);
        }
        self.check_header(policy)?;
        self.check_signature(keys, policy)?;
        self.into_facts(policy)
    }

    fn check_header(&self, policy: &TokenPolicy) -> Result<(), TokenFault> {
        let is_expected = match (policy.profile, self.header.media_type()) {
            (Profile::Rfc9068, media_type) => media_type == Some("at+jwt"),
            (Profile::Lax, None) => true,
            (Profile::Lax, Some(media_type)) => matches!(media_type, "at+jwt" | "jwt"),
        };
        if !is_expected {
            return Err(TokenFault::TypeNotAllowed);
        }
        if self.header.carries_key() && !policy.ignores_key_headers {
            return Err(TokenFault::HeaderCarriesKey);
        }
        if !policy.algorithms.contains(&self.header.algorithm()) {
            return Err(TokenFault::AlgorithmNotAllowed);
        }
        Ok(())
    }

    fn check_signature(&self, keys: &KeySet, policy: &TokenPolicy) -> Result<(), TokenFault> {
        let algorithm = self.header.algorithm();
        if policy.requires_low_s && !is_low_s(algorithm, &self.signature) {
            return Err(TokenFault::SignatureInvalid);
        }
        let mut candidates = keys.candidates(self.header.key_id(), algorithm)?;
        if candidates.any(|key| key.verify(self.signed.as_bytes(), &self.signature)) {
            Ok(())
        } else {
            Err(TokenFault::SignatureInvalid)
        }
    }

    /// Past the signature: the claims are the issuer's, and are read as this policy reads them.
    fn into_facts(self, policy: &TokenPolicy) -> Result<Facts, TokenFault> {
        let Self {
            header,
            json,
            claims,
            ..
        } = self;
        let scopes = scopes(&claims, &json, &policy.scope_claim)?;
        let client_id = client_id(&claims, &json, policy)?;
        let expires_at = claims.expires_at.ok_or(TokenFault::ClaimMissing)?;
        let audience = claims.audience.ok_or(TokenFault::ClaimMissing)?;
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
                let is_for_its_client =
                    matches!(&*audience, [one] if Some(one) == client_id.as_ref());
                if claims.marks_other_kind || is_for_its_client {
                    return Err(TokenFault::UseNotAllowed);
                }
            }
        }
        let kind = match &claims.subject {
            Some(subject) if Some(subject) != client_id.as_ref() => PrincipalKind::User,
            _ => PrincipalKind::Client,
        };
        let principal = Principal::assert_authenticated(PrincipalParts {
            issuer: policy.issuer.clone(),
            subject: claims.subject,
            client_id,
            token_id: claims.token_id,
            session_id: claims.session_id,
            kind,
            scopes,
            audience,
            expires_at,
            issued_at: claims.issued_at,
            authenticated_at: claims.authenticated_at,
            authentication_context: claims.authentication_context,
            actors: claims.actors.into(),
            key_id: header.key_id().map(Into::into),
            claims: json,
        });
        Ok(Facts::new(principal, claims.not_before, claims.is_bound))
    }
}

impl fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unverified")
            .field("algorithm", &self.header.algorithm())
            .finish_non_exhaustive()
    }
}

/// The scopes from the one configured claim in its one form; the others are not looked at (checklist TD-26).
fn scopes(claims: &Claims, json: &str, claim: &ScopeClaim) -> Result<ScopeSet, TokenFault> {
    let named;
    let value = match &*claim.name {
        "scope" => claims.scope.as_ref(),
        "scp" => claims.scp.as_ref(),
        other => {
            named = claims::named(json, other);
            named.as_ref()
        }
    };
    let scopes = match (value, claim.form) {
        (None, _) => Ok(ScopeSet::empty()),
        (Some(Texts::One(text)), Form::Text) => ScopeSet::parse(text),
        (Some(Texts::Many(texts)), Form::List) => {
            ScopeSet::from_tokens(texts.iter().map(AsRef::as_ref))
        }
        _ => return Err(TokenFault::ClaimsInvalid),
    };
    scopes.map_err(|_| TokenFault::ClaimsInvalid)
}

fn client_id(
    claims: &Claims,
    json: &str,
    policy: &TokenPolicy,
) -> Result<Option<Box<str>>, TokenFault> {
    match policy.client_claim.as_deref() {
        Some(name) => match claims::named(json, name) {
            None => Ok(None),
            Some(Texts::One(id)) if claims::is_identifier(&id) => Ok(Some(id)),
            Some(_) => Err(TokenFault::ClaimsInvalid),
        },
        None => Ok(match policy.profile {
            Profile::Rfc9068 => claims.client_id.clone(),
            Profile::Lax => claims
                .client_id
                .clone()
                .or_else(|| claims.authorized_party.clone()),
        }),
    }
}

/// Whether an ECDSA signature has the smaller of its two values for s. Other algorithms have only one signature.
fn is_low_s(algorithm: crate::Algorithm, signature: &[u8]) -> bool {
    use crate::algorithm::Family;
    let half: &[u8] = match algorithm.family() {
        Family::P256 => &P256_HALF_ORDER,
        Family::P384 => &P384_HALF_ORDER,
        _ => return true,
    };
    signature
        .split_at_checked(half.len())
        .is_some_and(|(_, s)| s.len() == half.len() && s <= half)
}

/// Half of the order of P-256, rounded down.
const P256_HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

/// Half of the order of P-384, rounded down.
const P384_HALF_ORDER: [u8; 48] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xe3, 0xb1, 0xa6, 0xc0, 0xfa, 0x1b, 0x96, 0xef,
    0xac, 0x0d, 0x06, 0xd9, 0x24, 0x58, 0x53, 0xbd, 0x76, 0x76, 0x0c, 0xb5, 0x66, 0x62, 0x94, 0xb9,
];
