//! aws-lc-rs, with each public key parsed once.

use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self as sig, ParsedPublicKey, RsaParameters, VerificationAlgorithm};

use super::Material;
use crate::algorithm::Algorithm;
use crate::key::KeyError;

#[derive(Clone)]
pub(crate) enum Verifier {
    Public(Arc<ParsedPublicKey>),
    Secret(Arc<hmac::Key>),
}

impl Verifier {
    pub(crate) fn new(algorithm: Algorithm, material: &Material<'_>) -> Result<Self, KeyError> {
        material.check(algorithm)?;
        let parsed = match material {
            Material::Rsa { modulus, exponent } => {
                let components = PublicKeyComponents {
                    n: *modulus,
                    e: *exponent,
                };
                components.to_parsed_public_key(rsa(algorithm)?)
            }
            Material::Ec { point } => ParsedPublicKey::new(elliptic(algorithm)?, point),
            Material::Ed25519(key) => ParsedPublicKey::new(elliptic(algorithm)?, key),
            Material::Secret(secret) => {
                let key = hmac::Key::new(digest(algorithm)?, secret);
                return Ok(Self::Secret(Arc::new(key)));
            }
        };
        parsed
            .map(Arc::new)
            .map(Self::Public)
            .map_err(|_| KeyError::InvalidMaterial)
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}

fn rsa(algorithm: Algorithm) -> Result<&'static RsaParameters, KeyError> {
    match algorithm {
        Algorithm::RS256 => Ok(&sig::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Ok(&sig::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Ok(&sig::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Ok(&sig::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Ok(&sig::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Ok(&sig::RSA_PSS_2048_8192_SHA512),
        _ => Err(KeyError::AlgorithmMismatch),
    }
}

fn elliptic(algorithm: Algorithm) -> Result<&'static dyn VerificationAlgorithm, KeyError> {
    match algorithm {
        Algorithm::ES256 => Ok(&sig::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Ok(&sig::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Ok(&sig::ED25519),
        _ => Err(KeyError::AlgorithmMismatch),
    }
}

fn digest(algorithm: Algorithm) -> Result<hmac::Algorithm, KeyError> {
    match algorithm {
        Algorithm::HS256 => Ok(hmac::HMAC_SHA256),
        Algorithm::HS384 => Ok(hmac::HMAC_SHA384),
        Algorithm::HS512 => Ok(hmac::HMAC_SHA512),
        _ => Err(KeyError::AlgorithmMismatch),
    }
}
