//! Names for callers and tokens that say who is the same, and not who it is.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Makes pseudonyms: HMAC-SHA-256 under a secret key, of which 128 bits are kept.
///
/// Whoever has the key and a name can ask whether it was there; without the key nobody can find out by trying, also where there
/// are only few possible names. Once a key is destroyed, the pseudonyms made with it name nobody any more.
///
/// ```
/// use gateless_audit::PseudonymKey;
///
/// let key = PseudonymKey::new("2026-11", &[7; 32])?;
/// let name = key.subject("https://idp.example.com", "alice");
/// assert!(name.starts_with("2026-11:"));
/// assert_eq!(name, key.subject("https://idp.example.com", "alice"));
/// assert_ne!(name, key.subject("https://other.example.com", "alice"));
/// # Ok::<(), gateless_audit::InvalidKey>(())
/// ```
#[derive(Clone)]
pub struct PseudonymKey {
    id: Box<str>,
    mac: Hmac<Sha256>,
}

/// A key that cannot be used: it has less than 16 bytes, or its name is not 1 to 32 letters, digits or characters of `-_.`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has a name of 1 to 32 letters, digits or characters of -_. and at least 16 bytes")]
pub struct InvalidKey;

impl PseudonymKey {
    /// From a secret of at least 16 bytes, and a name for it, which stands before each pseudonym.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] when the name or the secret cannot be used.
    pub fn new(id: &str, secret: &[u8]) -> Result<Self, InvalidKey> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(1..=32).contains(&id.len()) || !id.bytes().all(is_fine) || secret.len() < 16 {
            return Err(InvalidKey);
        }
        let mac = Hmac::new_from_slice(secret).map_err(|_| InvalidKey)?;
        Ok(Self { id: id.into(), mac })
    }

    /// A new one, which ends with the process: nobody can ask for names later.
    ///
    /// # Panics
    ///
    /// When the operating system has no random numbers.
    #[must_use]
    pub fn random() -> Self {
        let mut secret = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret).expect("the operating system has random numbers");
        Self::new("random", &*secret).expect("it is long enough")
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The pseudonym of a subject.
    #[must_use]
    pub fn subject(&self, issuer: &str, subject: &str) -> String {
        self.name("subject", issuer, subject.as_bytes())
    }

    /// The pseudonym of a client.
    #[must_use]
    pub fn client(&self, issuer: &str, client_id: &str) -> String {
        self.name("client", issuer, client_id.as_bytes())
    }

    /// The pseudonym of a token with an id (`jti`).
    #[must_use]
    pub fn token(&self, issuer: &str, token_id: &str) -> String {
        self.name("token", issuer, token_id.as_bytes())
    }

    /// The pseudonym of a token without an id, of which the SHA-256 is known: of all of it when it is opaque, of the first two
    /// parts with the dot between them when it is a JWT.
    #[must_use]
    pub fn token_digest(&self, issuer: &str, sha256: &[u8; 32]) -> String {
        self.name("token digest", issuer, sha256)
    }

    /// The pseudonym of an address.
    #[must_use]
    pub fn peer(&self, address: &str) -> String {
        self.name("peer", "", address.as_bytes())
    }

    fn name(&self, kind: &str, issuer: &str, value: &[u8]) -> String {
        let mut mac = self.mac.clone();
        for part in [kind.as_bytes(), issuer.as_bytes()] {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        mac.update(value);
        let digest = mac.finalize().into_bytes();
        let mut name = String::with_capacity(self.id.len() + 23);
        name.push_str(&self.id);
        name.push(':');
        URL_SAFE_NO_PAD.encode_string(digest.get(..16).unwrap_or_default(), &mut name);
        name
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PseudonymKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
