//! The key that signs checkpoints.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
    KeypairBytes,
};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// Signs checkpoints with Ed25519. Whoever has it can write a history that never was: keep it where the records are not, such as in
/// the secrets of the deployment, and give readers the [public half](Self::public).
pub struct SealKey {
    key: SigningKey,
    public: SealPublicKey,
}

impl SealKey {
    /// From a private key in PKCS#8, as PEM: `openssl genpkey -algorithm ed25519`, or `gateless-audit keygen`.
    ///
    /// # Errors
    ///
    /// [`InvalidSeal`] when it is no such key.
    pub fn from_pem(pem: &str) -> Result<Self, InvalidSeal> {
        let key = SigningKey::from_pkcs8_pem(pem).map_err(|_| InvalidSeal)?;
        Ok(Self::of(key))
    }

    /// A new one, for tests and for services that publish its [public half](Self::public) themselves.
    ///
    /// # Panics
    ///
    /// When the operating system has no random numbers.
    #[must_use]
    pub fn random() -> Self {
        let mut secret = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret).expect("the operating system has random numbers");
        Self::of(SigningKey::from_bytes(&secret))
    }

    /// As PEM (PKCS#8, without the public half, as OpenSSL writes it). Whoever sees it can sign.
    ///
    /// # Panics
    ///
    /// Never: 32 bytes have that form.
    #[must_use]
    pub fn to_pem(&self) -> zeroize::Zeroizing<String> {
        let bytes = KeypairBytes {
            secret_key: self.key.to_bytes(),
            public_key: None,
        };
        let pem = bytes.to_pkcs8_pem(Default::default());
        pem.expect("a private key has this form")
    }

    fn of(key: SigningKey) -> Self {
        let public = SealPublicKey::of(key.verifying_key());
        Self { key, public }
    }

    /// The half that checks.
    #[must_use]
    pub const fn public(&self) -> &SealPublicKey {
        &self.public
    }

    /// What checkpoints call it.
    #[must_use]
    pub fn id(&self) -> &str {
        self.public.id()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.key.sign(message).to_bytes())
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKey")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// Checks the signatures of checkpoints.
#[derive(Clone, PartialEq, Eq)]
pub struct SealPublicKey {
    key: VerifyingKey,
    id: Box<str>,
}

impl SealPublicKey {
    /// From a public key as PEM (`SubjectPublicKeyInfo`).
    ///
    /// # Errors
    ///
    /// [`InvalidSeal`] when it is no such key.
    pub fn from_pem(pem: &str) -> Result<Self, InvalidSeal> {
        let key = VerifyingKey::from_public_key_pem(pem).map_err(|_| InvalidSeal)?;
        Ok(Self::of(key))
    }

    fn of(key: VerifyingKey) -> Self {
        let digest = Sha256::digest(key.as_bytes());
        let id = URL_SAFE_NO_PAD.encode(digest.get(..9).unwrap_or_default());
        Self { key, id: id.into() }
    }

    /// As PEM (`SubjectPublicKeyInfo`).
    ///
    /// # Panics
    ///
    /// Never: 32 bytes have that form.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let pem = self.key.to_public_key_pem(Default::default());
        pem.expect("a public key has this form")
    }

    /// The beginning of the key's SHA-256, in base64url.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Strictly, so that nobody can make a second signature out of one.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.key.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Debug for SealPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SealPublicKey").field(&self.id).finish()
    }
}

/// Not an Ed25519 key in PEM. Says nothing of what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 key in PEM")]
pub struct InvalidSeal;

/// A signature, written in base64url.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    pub(crate) const NONE: Self = Self([0; 64]);
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(D::Error::custom)?;
        let bytes = bytes.try_into();
        bytes
            .map(Self)
            .map_err(|_| D::Error::custom("not 64 bytes in base64url"))
    }
}
