//! The signature half of a token: three segments, a header and a signature over the octets that were received.

use gateless_core::TokenFault;

use crate::algorithm::{Algorithm, Family};
use crate::base64url;
use crate::header::Header;
use crate::jwk::KeySet;
use crate::key::Key;
use crate::policy::{Profile, TokenPolicy};
use crate::terms::Terms;

/// A compact JWS (RFC 7515 §7.1), whatever its payload is.
pub(crate) struct Jws<'t> {
    pub(crate) header: Header,
    signed: &'t str,
    signature: Vec<u8>,
}

impl<'t> Jws<'t> {
    /// Splits a token, and gives out its payload next to it.
    pub(crate) fn parse(token: &'t str) -> Result<(Self, Vec<u8>), TokenFault> {
        let segments = Segments::decode(token).ok_or_else(|| misshapen(token))?;
        let jws = Self {
            header: Header::parse(&segments.header)?,
            signed: segments.signed,
            signature: segments.signature,
        };
        Ok((jws, segments.payload))
    }

    /// What the signature is over: the token without it.
    pub(crate) const fn signed(&self) -> &'t str {
        self.signed
    }

    /// Checks the header against `policy` and the signature against `keys`. Tells which key verified it.
    pub(crate) fn verify<'k>(
        &self,
        keys: &'k KeySet,
        policy: &TokenPolicy,
    ) -> Result<&'k Key, TokenFault> {
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
        self.check_algorithm(&policy.terms)?;
        if policy.requires_low_s && !is_low_s(self.header.algorithm(), &self.signature) {
            return Err(TokenFault::SignatureInvalid);
        }
        self.check_signature(keys)
    }

    /// The same for a JWT of another kind, which no access token is, as it is no access token. Where it is told by its
    /// claims too, it `may_be_untyped`; it never has the type of anything else.
    pub(crate) fn verify_as(
        &self,
        media_type: &str,
        may_be_untyped: bool,
        keys: &KeySet,
        terms: &Terms,
    ) -> Result<(), TokenFault> {
        let is_expected = match self.header.media_type() {
            Some(said) => said == media_type,
            None => may_be_untyped,
        };
        if !is_expected {
            return Err(TokenFault::TypeNotAllowed);
        }
        if self.header.carries_key() {
            return Err(TokenFault::HeaderCarriesKey);
        }
        self.check_algorithm(terms)?;
        self.check_signature(keys).map(|_| ())
    }

    fn check_algorithm(&self, terms: &Terms) -> Result<(), TokenFault> {
        if terms.algorithms.contains(&self.header.algorithm()) {
            Ok(())
        } else {
            Err(TokenFault::AlgorithmNotAllowed)
        }
    }

    fn check_signature<'k>(&self, keys: &'k KeySet) -> Result<&'k Key, TokenFault> {
        let mut candidates = keys.candidates(self.header.key_id(), self.header.algorithm())?;
        let signer = candidates.find(|key| key.verify(self.signed.as_bytes(), &self.signature));
        signer.ok_or(TokenFault::SignatureInvalid)
    }
}

/// The three segments decoded, and what is signed of them.
struct Segments<'t> {
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
    signed: &'t str,
}

impl<'t> Segments<'t> {
    /// `None` when the token does not have exactly three of them, or one is empty or not base64url. A further dot needs
    /// no search: it is in what should be the signature, and no character of that.
    fn decode(token: &'t str) -> Option<Self> {
        let (header, rest) = token.split_once('.')?;
        let (payload, signature) = rest.split_once('.')?;
        let decode = |segment: &str| match segment {
            "" => None,
            _ => base64url::decode(segment.as_bytes()),
        };
        Some(Self {
            header: decode(header)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
            signed: token.get(..header.len() + 1 + payload.len())?,
        })
    }
}

/// What is wrong with a token that is no JWS: five segments are a JWE (RFC 7516 §7.1).
fn misshapen(token: &str) -> TokenFault {
    match token.split('.').count() {
        5 => TokenFault::Encrypted,
        _ => TokenFault::Malformed,
    }
}

/// Whether an ECDSA signature has the smaller of its two values for s. Other algorithms have only one signature.
fn is_low_s(algorithm: Algorithm, signature: &[u8]) -> bool {
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
pub(crate) const P256_HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

/// Half of the order of P-384, rounded down.
pub(crate) const P384_HALF_ORDER: [u8; 48] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xe3, 0xb1, 0xa6, 0xc0, 0xfa, 0x1b, 0x96, 0xef,
    0xac, 0x0d, 0x06, 0xd9, 0x24, 0x58, 0x53, 0xbd, 0x76, 0x76, 0x0c, 0xb5, 0x66, 0x62, 0x94, 0xb9,
];

#[cfg(test)]
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod tests;
