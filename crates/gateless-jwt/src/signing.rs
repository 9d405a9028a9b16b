//! A private key, for what this service says about itself.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pkcs1::RsaPrivateKey;
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{ObjectIdentifier, PrivateKeyInfo, SecretDocument};
use rustls_pki_types::pem::{PemObject, SectionKind};
use sec1::EcPrivateKey;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, Family};
use crate::backend::{Private, Signer};
use crate::key::KeyError;

/// A private key that signs with exactly one algorithm: for the assertions by which a client authenticates
/// (RFC 7523, `private_key_jwt`).
///
/// The issuer gets the public key, and nothing that would let it, or whoever reads its database, sign as this client.
/// Cloning is one reference count. The key is overwritten when the last clone is dropped, and prints as nothing.
///
/// With the `RustCrypto` backend, how long signing with an RSA key takes depends on the key, and may tell it to somebody
/// who can measure that over the network (RUSTSEC-2023-0071). Prefer ES256 or `EdDSA` there, or aws-lc-rs.
///
/// ```
/// use gateless_jwt::{Algorithm, KeyError, SigningKey};
/// # if cfg!(not(any(feature = "aws_lc_rs", feature = "rust_crypto"))) {
/// #     return Ok(());
/// # }
/// # let pair = aws_lc_rs::signature::EcdsaKeyPair::generate(
/// #     &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
/// # )?;
/// # use base64::Engine as _;
/// # let der = base64::engine::general_purpose::STANDARD.encode(pair.to_pkcs8v1()?);
/// # let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
/// # let pem = pem.as_bytes();
///
/// let key = SigningKey::from_pem(pem, Algorithm::ES256)?.with_id("2027-01");
/// let assertion = key.sign(
///     "JWT",
///     &serde_json::json!({
///         "iss": "orders",
///         "sub": "orders",
///         "aud": "https://idp.example.com",
///         "exp": 1_800_000_060,
///         "jti": "b3a1",
///     }),
/// )?;
/// assert_eq!(assertion.split('.').count(), 3);
///
/// let other = SigningKey::from_pem(pem, Algorithm::ES384);
/// assert_eq!(other.unwrap_err(), KeyError::AlgorithmMismatch);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    signer: Arc<Signer>,
}

/// Why something was not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The claims cannot be written as JSON.
    #[error("the claims cannot be written as JSON")]
    ClaimsUnwritable(#[source] Box<dyn Error + Send + Sync>),
    /// The claims are written as something else than a JSON object.
    #[error("the claims are not a JSON object")]
    ClaimsNotObject,
    /// The cryptographic backend failed.
    #[error("the cryptographic backend did not sign")]
    Backend,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

impl SigningKey {
    /// Reads a private key from PEM: PKCS#8 (`PRIVATE KEY`), PKCS#1 (`RSA PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`).
    ///
    /// Certificates and public keys beside it are left alone.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when there is not exactly one private key, when it is encrypted, when `algorithm` is not for keys
    /// of its kind and curve (HMAC never is), when an RSA key is shorter than 2048 bits, or when the backend refuses it.
    pub fn from_pem(pem: &[u8], algorithm: Algorithm) -> Result<Self, KeyError> {
        let (kind, der) = private_section(pem)?;
        let signer = match kind {
            SectionKind::RsaPrivateKey => read_pkcs1(&der, algorithm),
            SectionKind::EcPrivateKey => read_sec1(&der, algorithm),
            _ => read_pkcs8(&der, algorithm),
        }?;
        Ok(Self {
            id: None,
            algorithm,
            signer: Arc::new(signer),
        })
    }

    /// Names the key in what it signs, so that the other side finds it among several.
    #[must_use]
    pub fn with_id(mut self, kid: impl Into<String>) -> Self {
        self.id = Some(kid.into().into());
        self
    }

    /// The one algorithm that the key is for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Signs `claims`: a JWS in its compact form, whose header has `alg`, `typ` (`media_type` as it is) and, where the
    /// key was given one, `kid`.
    ///
    /// # Errors
    ///
    /// [`SigningError`] when `claims` are no JSON object, or the backend fails.
    pub fn sign<T: Serialize>(&self, media_type: &str, claims: &T) -> Result<String, SigningError> {
        let header = Header {
            alg: self.algorithm.name(),
            typ: media_type,
            kid: self.id.as_deref(),
        };
        let claims = write(claims)?;
        if !claims.starts_with(b"{") {
            return Err(SigningError::ClaimsNotObject);
        }
        let mut jws = URL_SAFE_NO_PAD.encode(write(&header)?);
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut jws);
        let signature = self.signer.sign(jws.as_bytes());
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.ok_or(SigningError::Backend)?, &mut jws);
        Ok(jws)
    }
}

fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, SigningError> {
    serde_json::to_vec(value).map_err(|error| SigningError::ClaimsUnwritable(error.into()))
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The one private key among the sections.
fn private_section(pem: &[u8]) -> Result<(SectionKind, Zeroizing<Vec<u8>>), KeyError> {
    // Told first: the parser skips the one as unknown, and trips over the other.
    let encrypted: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
    let contains = |part: &[u8]| pem.windows(part.len()).any(|window| window == part);
    if encrypted.into_iter().any(contains) {
        return Err(KeyError::Encrypted);
    }
    let mut found = None;
    let mut others = false;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        let (kind, der) = section.map_err(|_| KeyError::PemInvalid)?;
        let der = Zeroizing::new(der);
        match kind {
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                if found.replace((kind, der)).is_some() {
                    return Err(KeyError::SeveralKeys);
                }
            }
            _ => others = true,
        }
    }
    found.ok_or(if others {
        KeyError::NotPrivate
    } else {
        KeyError::PemInvalid
    })
}

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

fn read_pkcs8(der: &[u8], algorithm: Algorithm) -> Result<Signer, KeyError> {
    let info = PrivateKeyInfo::try_from(der).map_err(|_| KeyError::PrivateKeyInvalid)?;
    match info.algorithm.oid {
        RSA => read_pkcs1(info.private_key, algorithm),
        EC => {
            let curve = info.algorithm.parameters_oid();
            check_curve(curve.map_err(|_| KeyError::PrivateKeyInvalid)?, algorithm)?;
            Signer::new(algorithm, &Private::Ec(der))
        }
        ED25519 if algorithm.family() == Family::Ed25519 => {
            Signer::new(algorithm, &Private::Ed25519(der))
        }
        _ => Err(KeyError::AlgorithmMismatch),
    }
}

fn read_pkcs1(der: &[u8], algorithm: Algorithm) -> Result<Signer, KeyError> {
    if algorithm.family() != Family::Rsa {
        return Err(KeyError::AlgorithmMismatch);
    }
    let key = RsaPrivateKey::try_from(der).map_err(|_| KeyError::PrivateKeyInvalid)?;
    // 2048 bits: 256 bytes of which the first has its highest bit set.
    let modulus = key.modulus.as_bytes();
    if modulus.len() < 256 || (modulus.len() == 256 && modulus.first() < Some(&0x80)) {
        return Err(KeyError::RsaTooShort);
    }
    Signer::new(algorithm, &Private::Rsa(der))
}

/// The backends agree on PKCS#8 only.
fn read_sec1(der: &[u8], algorithm: Algorithm) -> Result<Signer, KeyError> {
    let key = EcPrivateKey::try_from(der).map_err(|_| KeyError::PrivateKeyInvalid)?;
    let curve = key.parameters.and_then(|named| named.named_curve());
    let curve = curve.ok_or(KeyError::PrivateKeyInvalid)?;
    check_curve(curve, algorithm)?;
    let algorithm_identifier = AlgorithmIdentifierRef {
        oid: EC,
        parameters: Some((&curve).into()),
    };
    let info = PrivateKeyInfo::new(algorithm_identifier, der);
    let pkcs8 = SecretDocument::try_from(info).map_err(|_| KeyError::PrivateKeyInvalid)?;
    Signer::new(algorithm, &Private::Ec(pkcs8.as_bytes()))
}

fn check_curve(curve: ObjectIdentifier, algorithm: Algorithm) -> Result<(), KeyError> {
    match (curve, algorithm.family()) {
        (P256, Family::P256) | (P384, Family::P384) => Ok(()),
        _ => Err(KeyError::AlgorithmMismatch),
    }
}

#[cfg(test)]
mod tests;
