//! aws-lc-rs, with each public key parsed once.

use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    self as sig, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, ParsedPublicKey, RsaEncoding,
    RsaKeyPair, RsaParameters, VerificationAlgorithm,
};

use super::{Material, Private};
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

/// aws-lc overwrites a private key when it frees it.
pub(crate) enum Signer {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    pub(crate) fn new(algorithm: Algorithm, private: &Private<'_>) -> Result<Self, KeyError> {
        let signer = match private {
            Private::Rsa(der) => {
                let padding = padding(algorithm)?;
                RsaKeyPair::from_der(der).map(|key| Self::Rsa(key, padding))
            }
            Private::Ec(der) => EcdsaKeyPair::from_pkcs8(curve(algorithm)?, der).map(Self::Ec),
            Private::Ed25519(der) => Ed25519KeyPair::from_pkcs8(der).map(Self::Ed25519),
        };
        signer.map_err(|_| KeyError::PrivateKeyInvalid)
    }

    /// `None` when aws-lc fails, which a key that was accepted gives it no cause for.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key, padding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*padding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Self::Ec(key) => Some(key.sign(&random, message).ok()?.as_ref().into()),
            Self::Ed25519(key) => Some(key.try_sign(message).ok()?.as_ref().into()),
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

fn padding(algorithm: Algorithm) -> Result<&'static dyn RsaEncoding, KeyError> {
    match algorithm {
        Algorithm::RS256 => Ok(&sig::RSA_PKCS1_SHA256),
        Algorithm::RS384 => Ok(&sig::RSA_PKCS1_SHA384),
        Algorithm::RS512 => Ok(&sig::RSA_PKCS1_SHA512),
        Algorithm::PS256 => Ok(&sig::RSA_PSS_SHA256),
        Algorithm::PS384 => Ok(&sig::RSA_PSS_SHA384),
        Algorithm::PS512 => Ok(&sig::RSA_PSS_SHA512),
        _ => Err(KeyError::AlgorithmMismatch),
    }
}

fn curve(algorithm: Algorithm) -> Result<&'static EcdsaSigningAlgorithm, KeyError> {
    match algorithm {
        Algorithm::ES256 => Ok(&sig::ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::ES384 => Ok(&sig::ECDSA_P384_SHA384_FIXED_SIGNING),
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
