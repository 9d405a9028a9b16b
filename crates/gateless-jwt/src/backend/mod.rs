//! Where signatures are really checked. Chosen when the crate is compiled, never through a process-wide default.

use crate::algorithm::Algorithm;
use crate::key::KeyError;

#[cfg(feature = "aws_lc_rs")]
mod aws_lc;
#[cfg(not(any(feature = "aws_lc_rs", feature = "rust_crypto")))]
mod none;
#[cfg(feature = "rust_crypto")]
#[cfg_attr(
    feature = "aws_lc_rs",
    allow(dead_code, reason = "aws-lc-rs wins where both are on")
)]
mod rust_crypto;
#[cfg(test)]
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod tests;

#[cfg(feature = "aws_lc_rs")]
pub(crate) use aws_lc::{Signer, Verifier};
#[cfg(not(any(feature = "aws_lc_rs", feature = "rust_crypto")))]
pub(crate) use none::{Signer, Verifier};
#[cfg(all(feature = "rust_crypto", not(feature = "aws_lc_rs")))]
pub(crate) use rust_crypto::{Signer, Verifier};

/// Key material as JWK and configuration deliver it, checked for form and size.
#[cfg_attr(
    not(any(feature = "aws_lc_rs", feature = "rust_crypto")),
    allow(dead_code, reason = "without a backend nobody reads it")
)]
pub(crate) enum Material<'a> {
    /// Big-endian, without leading zeros.
    Rsa {
        modulus: &'a [u8],
        exponent: &'a [u8],
    },
    /// An uncompressed SEC 1 point: 4, x, y.
    Ec { point: &'a [u8] },
    /// A compressed point that is sound.
    Ed25519(&'a [u8; 32]),
    /// A shared secret.
    Secret(&'a [u8]),
}

impl Material<'_> {
    /// Whether keys of this form are used by `algorithm`.
    fn fits(&self, algorithm: Algorithm) -> bool {
        use crate::algorithm::Family;
        matches!(
            (self, algorithm.family()),
            (Self::Rsa { .. }, Family::Rsa)
                | (Self::Ec { .. }, Family::P256 | Family::P384)
                | (Self::Ed25519(_), Family::Ed25519)
                | (Self::Secret(_), Family::Hmac)
        )
    }

    /// All of a public key as bytes: two keys are the same when these are. `None` for secrets, which are not kept.
    pub(crate) fn public(&self) -> Option<Box<[u8]>> {
        match self {
            Self::Rsa { modulus, exponent } => {
                // Which of the two a byte belongs to shows in the length of the exponent, in front.
                let length = u8::try_from(exponent.len()).ok()?;
                Some([&[length], *exponent, *modulus].concat().into())
            }
            Self::Ec { point } => Some((*point).into()),
            Self::Ed25519(point) => Some(point.as_slice().into()),
            Self::Secret(_) => None,
        }
    }

    fn check(&self, algorithm: Algorithm) -> Result<(), KeyError> {
        if self.fits(algorithm) {
            Ok(())
        } else {
            Err(KeyError::AlgorithmMismatch)
        }
    }
}

/// A private key that fits its algorithm, as DER.
#[cfg_attr(
    not(any(feature = "aws_lc_rs", feature = "rust_crypto")),
    allow(dead_code, reason = "without a backend nobody reads it")
)]
pub(crate) enum Private<'a> {
    /// PKCS#1.
    Rsa(&'a [u8]),
    /// PKCS#8.
    Ec(&'a [u8]),
    /// PKCS#8.
    Ed25519(&'a [u8]),
}
