//! The RustCrypto crates, through the verifiers and signers of jsonwebtoken's provider table.
//!
//! jsonwebtoken's own `encode`, `decode`, `verify` and process-wide default provider are not used. Neither
//! kind is `Sync`, so one is made for each signature; next to the arithmetic that costs nothing.

use std::sync::Arc;

use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm as Name, DecodingKey, DecodingKeyKind, EncodingKey};

use super::{Material, Private};
use crate::algorithm::Algorithm;
use crate::key::KeyError;

/// The largest modulus that the `rsa` crate accepts, in bytes.
const MAX_MODULUS: usize = 512;

#[derive(Clone)]
pub(crate) struct Verifier {
    algorithm: Name,
    key: Arc<DecodingKey>,
}

impl Verifier {
    pub(crate) fn new(algorithm: Algorithm, material: &Material<'_>) -> Result<Self, KeyError> {
        material.check(algorithm)?;
        let key = match material {
            Material::Rsa { modulus, .. } if modulus.len() > MAX_MODULUS => {
                return Err(KeyError::InvalidMaterial);
            }
            Material::Rsa { modulus, exponent } => {
                DecodingKey::from_rsa_raw_components(modulus, exponent)
            }
            Material::Ec { point } => DecodingKey::from_ec_der(point),
            Material::Ed25519(key) => DecodingKey::from_ed_der(*key),
            Material::Secret(secret) => DecodingKey::from_secret(secret),
        };
        let verifier = Self {
            algorithm: name(algorithm),
            key: Arc::new(key),
        };
        // Makes a verifier once to learn whether the point is on its curve.
        match (DEFAULT_PROVIDER.verifier_factory)(&verifier.algorithm, &verifier.key) {
            Ok(_) => Ok(verifier),
            Err(_) => Err(KeyError::InvalidMaterial),
        }
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        // RFC 8017 §5.2.2: the `rsa` crate asks this of PKCS#1 v1.5 but not of PSS, where s + n verifies like s.
        if let DecodingKeyKind::RsaModulusExponent { n, .. } = self.key.kind()
            && !(signature.len() == n.len() && signature < &n[..])
        {
            return false;
        }
        (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm, &self.key)
            .is_ok_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok())
    }
}

/// jsonwebtoken overwrites its copies of the key when it drops them.
pub(crate) struct Signer {
    algorithm: Name,
    key: EncodingKey,
}

impl Signer {
    pub(crate) fn new(algorithm: Algorithm, private: &Private<'_>) -> Result<Self, KeyError> {
        let key = match private {
            Private::Rsa(der) => EncodingKey::from_rsa_der(der),
            Private::Ec(der) => EncodingKey::from_ec_der(der),
            Private::Ed25519(der) => EncodingKey::from_ed_der(der),
        };
        let algorithm = name(algorithm);
        let signer = Self { algorithm, key };
        // An RSA key is not even parsed until something is signed with it.
        match signer.sign(&[]) {
            Some(_) => Ok(signer),
            None => Err(KeyError::PrivateKeyInvalid),
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signer = (DEFAULT_PROVIDER.signer_factory)(&self.algorithm, &self.key).ok()?;
        signer.try_sign(message).ok()
    }
}

const fn name(algorithm: Algorithm) -> Name {
    match algorithm {
        Algorithm::RS256 => Name::RS256,
        Algorithm::RS384 => Name::RS384,
        Algorithm::RS512 => Name::RS512,
        Algorithm::PS256 => Name::PS256,
        Algorithm::PS384 => Name::PS384,
        Algorithm::PS512 => Name::PS512,
        Algorithm::ES256 => Name::ES256,
        Algorithm::ES384 => Name::ES384,
        Algorithm::EdDSA => Name::EdDSA,
        Algorithm::HS256 => Name::HS256,
        Algorithm::HS384 => Name::HS384,
        Algorithm::HS512 => Name::HS512,
    }
}
