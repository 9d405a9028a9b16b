//! One key with one algorithm.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, Family};
use crate::backend::{Material, Verifier};

/// A key that verifies signatures of exactly one algorithm.
#[derive(Clone)]
pub struct Key {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    verifier: Verifier,
    /// `None` for secrets.
    public: Option<Arc<[u8]>>,
    stamp: Stamp,
}

/// Tells one key of the process from another, however often it is cloned. What a key signed remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

impl Stamp {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The algorithm does not work with this kind of key.
    #[error("the algorithm does not fit the kind of key")]
    AlgorithmMismatch,
    /// The secret is shorter than the hash of its algorithm (RFC 7518 §3.2).
    #[error("the secret is shorter than the output of the hash")]
    SecretTooShort,
    /// The secret is text that repeats few characters.
    #[error("the secret can be guessed")]
    SecretTooSimple,
    /// The secret is really a public key, certificate or JWK: whoever knows the public part could sign.
    #[error("the secret holds an asymmetric key")]
    SecretIsPublic,
    /// The backend refuses the key: a point off the curve, or a modulus of the wrong form.
    #[error("the key material is not valid")]
    InvalidMaterial,
    /// The text holds no PEM section that can be read.
    #[error("the text holds no key in PEM")]
    PemInvalid,
    /// The PEM holds a public key or a certificate where a private key is expected.
    #[error("the PEM holds no private key")]
    NotPrivate,
    /// The private key is encrypted: decrypt it where it is deployed, there is no place for its password here.
    #[error("the private key is encrypted")]
    Encrypted,
    /// The PEM holds more than one private key.
    #[error("the PEM holds more than one private key")]
    SeveralKeys,
    /// The private key is damaged, of a form that is not known, or its parts do not belong together.
    #[error("the private key is not valid")]
    PrivateKeyInvalid,
    /// The RSA key has fewer than 2048 bits (RFC 7518 §3.3).
    #[error("the RSA key is shorter than 2048 bits")]
    RsaTooShort,
    /// The crate was built without `aws_lc_rs` and `rust_crypto`.
    #[error("no cryptographic backend is compiled in")]
    NoBackend,
}

impl Key {
    /// A shared secret, for issuers that sign with HMAC. Such an issuer cannot be told from a verifier: prefer
    /// asymmetric keys.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when `algorithm` is not of the HMAC family or the secret is shorter than its hash.
    pub fn hmac(algorithm: Algorithm, secret: &HmacSecret) -> Result<Self, KeyError> {
        if algorithm.family() != Family::Hmac {
            return Err(KeyError::AlgorithmMismatch);
        }
        if secret.0.len() < algorithm.min_secret_len() {
            return Err(KeyError::SecretTooShort);
        }
        Self::new(None, algorithm, &Material::Secret(&secret.0))
    }

    pub(crate) fn new(
        id: Option<Box<str>>,
        algorithm: Algorithm,
        material: &Material<'_>,
    ) -> Result<Self, KeyError> {
        Ok(Self {
            id,
            algorithm,
            verifier: Verifier::new(algorithm, material)?,
            public: material.public().map(Arc::from),
            stamp: Stamp::new(),
        })
    }

    /// Gives the key an id, for tokens that name one.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = Some(id.into());
        self.stamp = Stamp::new();
        self
    }

    /// The `kid`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The one algorithm that the key is for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Whether the other is this key with this id for this algorithm, read a second time. Never so for secrets.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.public.is_some()
            && self.public == other.public
            && self.algorithm == other.algorithm
            && self.id == other.id
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier.verify(message, signature)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// A secret shared with an issuer. Zeroized on drop; prints as nothing.
///
/// A type of its own, so that no public key can end up where a secret is expected:
///
/// ```
/// use gateless_jwt::{HmacSecret, KeyError};
///
/// let pem = b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI...";
/// assert_eq!(HmacSecret::new(pem).unwrap_err(), KeyError::SecretIsPublic);
/// ```
#[derive(Clone)]
pub struct HmacSecret(Zeroizing<Box<[u8]>>);

impl HmacSecret {
    /// Takes a copy of `secret`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when it is shorter than 32 bytes, has fewer than eight different bytes, or is a public key.
    pub fn new(secret: &[u8]) -> Result<Self, KeyError> {
        if looks_public(secret) {
            return Err(KeyError::SecretIsPublic);
        }
        if secret.len() < 32 {
            return Err(KeyError::SecretTooShort);
        }
        if secret.iter().collect::<HashSet<_>>().len() < 8 {
            return Err(KeyError::SecretTooSimple);
        }
        Ok(Self(Zeroizing::new(secret.into())))
    }
}

/// PEM (whatever stands before it), OpenSSH, JWK, or a DER structure that spans all of the bytes; the latter also in
/// the base64 that is left of a PEM without its first and last line, as some issuers publish their key.
fn looks_public(secret: &[u8]) -> bool {
    let text = secret.strip_prefix(b"\xef\xbb\xbf").unwrap_or(secret);
    let text = text.trim_ascii();
    let starts: [&[u8]; 5] = [b"ssh-", b"sk-ssh-", b"ecdsa-", b"sk-ecdsa-", b"{"];
    let contains = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    let mut unwrapped = Zeroizing::new(Vec::with_capacity(text.len()));
    unwrapped.extend(
        text.iter()
            .filter(|byte| !byte.is_ascii_whitespace() && **byte != b'='),
    );
    contains(b"-----BEGIN")
        || contains(b"---- BEGIN")
        || starts.iter().any(|start| text.starts_with(start))
        || is_der(secret)
        || STANDARD_NO_PAD
            .decode(&unwrapped)
            .or_else(|_| URL_SAFE_NO_PAD.decode(&unwrapped))
            .is_ok_and(|decoded| is_der(&Zeroizing::new(decoded)))
}

/// Whether the bytes are exactly one DER sequence.
fn is_der(bytes: &[u8]) -> bool {
    match bytes {
        [0x30, 0x82, high, low, rest @ ..] => {
            usize::from(u16::from_be_bytes([*high, *low])) == rest.len()
        }
        [0x30, 0x81, length, rest @ ..] => usize::from(*length) == rest.len(),
        [0x30, length, rest @ ..] => usize::from(*length) == rest.len(),
        _ => false,
    }
}

impl fmt::Debug for HmacSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacSecret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const SECRET: &[u8] = b"0123456789abcdefghijklmnopqrstuv";

    #[rstest]
    #[case::tb_05(b"", KeyError::SecretTooShort)]
    #[case::tc_12(b"1234", KeyError::SecretTooShort)]
    #[case::tc_12(b"secretsecretsecretsecretsecretsecret", KeyError::SecretTooSimple)]
    #[case::tb_05(&[0; 64], KeyError::SecretTooSimple)]
    #[case::tb_04(b"-----BEGIN PUBLIC KEY-----", KeyError::SecretIsPublic)]
    #[case::tb_04(b" \n\t-----BEGIN RSA PUBLIC KEY-----", KeyError::SecretIsPublic)]
    #[case::tb_04(b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI", KeyError::SecretIsPublic)]
    #[case::tb_04(b"{\"kty\":\"RSA\",\"n\":\"...\"}", KeyError::SecretIsPublic)]
    #[case::tb_04(b"\x30\x02\x05\x00", KeyError::SecretIsPublic)]
    #[case::tb_04(b"\x30\x81\x02\x05\x00", KeyError::SecretIsPublic)]
    #[case::tb_04(b"\x30\x82\x00\x02\x05\x00", KeyError::SecretIsPublic)]
    #[case::tb_04(b"\xef\xbb\xbf-----BEGIN PUBLIC KEY-----", KeyError::SecretIsPublic)]
    #[case::tb_04(
        b"subject=CN = idp\n-----BEGIN CERTIFICATE-----",
        KeyError::SecretIsPublic
    )]
    #[case::tb_04(b"\x0b-----BEGIN PUBLIC KEY-----", KeyError::SecretIsPublic)]
    #[case::tb_04(b"sk-ssh-ed25519@openssh.com AAAA", KeyError::SecretIsPublic)]
    #[case::tb_04(
        b"MCowBQYDK2VwAyEAfU0Of2FTpptiQrUiq77mhf2kQg+INLEIw72uNp71Sfo=",
        KeyError::SecretIsPublic
    )]
    #[case::tb_04(
        b"MCowBQYDK2VwAyEAfU0Of2FTpptiQrUiq7\r\n7mhf2kQg-INLEIw72uNp71Sfo\n",
        KeyError::SecretIsPublic
    )]
    fn weak_and_public_secrets_are_refused(#[case] secret: &[u8], #[case] error: KeyError) {
        assert_eq!(HmacSecret::new(secret).unwrap_err(), error);
    }

    #[cfg(not(any(feature = "aws_lc_rs", feature = "rust_crypto")))]
    #[test]
    fn without_a_backend_every_key_is_refused() {
        let secret = HmacSecret::new(SECRET).unwrap();
        let key = Key::hmac(Algorithm::HS256, &secret);
        assert_eq!(key.unwrap_err(), KeyError::NoBackend);
    }

    #[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
    #[test]
    fn a_secret_is_as_long_as_the_hash_of_its_algorithm() {
        let secret = HmacSecret::new(SECRET).unwrap();
        assert!(Key::hmac(Algorithm::HS256, &secret).is_ok());
        for algorithm in [Algorithm::HS384, Algorithm::HS512] {
            assert_eq!(
                Key::hmac(algorithm, &secret).unwrap_err(),
                KeyError::SecretTooShort
            );
        }
        assert_eq!(
            Key::hmac(Algorithm::RS256, &secret).unwrap_err(),
            KeyError::AlgorithmMismatch
        );
    }

    #[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
    #[test]
    fn tl_02_a_secret_does_not_print() {
        let secret = HmacSecret::new(SECRET).unwrap();
        let key = Key::hmac(Algorithm::HS256, &secret).unwrap();
        assert!(!format!("{secret:?} {key:?}").contains("0123"));
    }
}
