//! JWK sets (RFC 7517): what can be used is taken, what cannot is skipped and counted.

use serde_json::Value;

use gateless_core::TokenFault;

use crate::algorithm::{Algorithm, Family};
use crate::backend::Material;
use crate::key::{Key, Stamp};
use crate::{base64url, ed25519, roca};

/// The largest document that is parsed, in bytes.
const MAX_DOCUMENT: usize = 512 * 1024;

/// The most keys in a set, usable or not.
const MAX_KEYS: usize = 100;

/// The longest `kid`, in bytes.
const MAX_KEY_ID: usize = 256;

/// How many keys are tried for a token that names none (checklist TB-36).
const MAX_TRIALS: usize = 4;

/// The verification keys of one issuer.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<SkippedKey>,
    refused: Vec<Box<str>>,
    /// Where the document had secrets.
    exposed: Vec<usize>,
}

/// A key of a set that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Why it is not used.
    pub reason: SkipReason,
}

/// Why a key of a set is not used. Other keys of the set are not affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// Not an object, or a member of the wrong type or encoding.
    Malformed,
    /// A shared secret: it has no place in a public document (RFC 7517 §9).
    Symmetric,
    /// A kind of key or curve that is not verified with here.
    UnknownType,
    /// `use` or `key_ops` say that it is not for signatures.
    OtherUse,
    /// `alg` is unknown, does not fit the key, or is not allowed by the policy.
    AlgorithmNotAllowed,
    /// There is no `alg`, and several allowed algorithms would fit.
    AlgorithmAmbiguous,
    /// RSA below 2048 or above 8192 bits, an exponent that is even, 1 or beyond 32 bits, or a modulus that can be
    /// factored (CVE-2017-15361).
    Weak,
    /// A point off its curve, of small order, or with coordinates of the wrong length.
    InvalidPoint,
}

/// Why a JWK set cannot be used at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// Larger than 512 KiB.
    #[error("the document is larger than {MAX_DOCUMENT} bytes")]
    TooLarge,
    /// Not a JSON object with a list `keys`.
    #[error("the document is not a JWK set")]
    Malformed,
    /// More than 100 keys.
    #[error("the set has more than {MAX_KEYS} keys")]
    TooManyKeys,
    /// Two usable keys share an id but not their algorithm: a token could pick.
    #[error("two keys with the same id have different algorithms")]
    AmbiguousId,
    /// Not one key can be used.
    #[error("the set has no usable key ({} skipped)", skipped.len())]
    NoUsableKey {
        /// What was skipped, and why.
        skipped: Vec<SkippedKey>,
    },
}

impl KeySet {
    /// A set of keys that were made one by one.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        Self {
            keys: keys.into_iter().collect(),
            skipped: Vec::new(),
            refused: Vec::new(),
            exposed: Vec::new(),
        }
    }

    /// Reads a JWK set document, taking keys for the `allowed` algorithms only.
    ///
    /// Secrets (`oct`) are never taken from a document, and private members of a key are ignored.
    ///
    /// # Errors
    ///
    /// [`KeySetError`] when the document as a whole cannot be used. Single keys that cannot be used are
    /// [skipped](Self::skipped).
    pub fn from_json(document: &[u8], allowed: &[Algorithm]) -> Result<Self, KeySetError> {
        if document.len() > MAX_DOCUMENT {
            return Err(KeySetError::TooLarge);
        }
        let document: Value =
            serde_json::from_slice(document).map_err(|_| KeySetError::Malformed)?;
        let entries = document.get("keys").and_then(Value::as_array);
        let entries = entries.ok_or(KeySetError::Malformed)?;
        if entries.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }

        let mut set = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            if ["d", "k"].iter().any(|secret| entry.get(secret).is_some()) {
                set.exposed.push(index);
            }
            match read_key(entry, allowed) {
                Ok(key) => set.keys.push(key),
                Err(reason) => set.skipped.push(SkippedKey { index, reason }),
            }
        }
        if set.keys.is_empty() {
            return Err(KeySetError::NoUsableKey {
                skipped: set.skipped,
            });
        }
        if set.has_ambiguous_id() {
            return Err(KeySetError::AmbiguousId);
        }
        Ok(set)
    }

    /// The keys, in the order of the document.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The keys of the document that are not used, and why.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// Where in the document secrets stand that have no place there (RFC 7517 §9): a shared secret, or the private half of a key.
    /// They are not taken, and whoever reads the document can sign with them.
    #[must_use]
    pub fn exposed(&self) -> &[usize] {
        &self.exposed
    }

    /// Takes the place of `previous`: keys that were in it already are kept from there, so that it goes on vouching for
    /// the [`Facts`](crate::Facts) that they signed. Those of all other keys are no longer vouched for.
    #[must_use]
    pub fn succeeding(mut self, previous: &Self) -> Self {
        for key in &mut self.keys {
            if let Some(same) = previous.keys.iter().find(|other| other.is_same(key)) {
                *key = same.clone();
            }
        }
        self
    }

    /// Refuses the keys with these ids, whether they are in the set or not: nothing that they signed is believed.
    #[must_use]
    pub fn refusing<I: Into<Box<str>>>(mut self, ids: impl IntoIterator<Item = I>) -> Self {
        self.refused.extend(ids.into_iter().map(Into::into));
        self
    }

    /// The key ids that are [refused](Self::refusing).
    #[must_use]
    pub fn refused(&self) -> &[Box<str>] {
        &self.refused
    }

    fn refuses(&self, key_id: Option<&str>) -> bool {
        key_id.is_some_and(|id| self.refused.iter().any(|refused| **refused == *id))
    }

    fn has_ambiguous_id(&self) -> bool {
        self.keys.iter().enumerate().any(|(index, key)| {
            key.id().is_some()
                && self
                    .keys
                    .iter()
                    .skip(index + 1)
                    .any(|other| other.id() == key.id() && other.algorithm() != key.algorithm())
        })
    }

    /// The keys to try for a token: those with its key id, or the first few of its algorithm when it names none.
    pub(crate) fn candidates(
        &self,
        key_id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<impl Iterator<Item = &Key>, TokenFault> {
        if self.refuses(key_id) {
            return Err(TokenFault::KeyRefused);
        }
        let is_named = move |key: &&Key| match key_id {
            Some(_) => key.id() == key_id,
            None => !self.refuses(key.id()),
        };
        let mut named = self.keys.iter().filter(is_named).peekable();
        if named.peek().is_none() {
            return Err(TokenFault::KeyUnknown);
        }
        let mut fitting = named
            .filter(move |key| key.algorithm() == algorithm)
            .peekable();
        if fitting.peek().is_none() {
            // The key is known and for another algorithm: newer keys would not change that.
            return Err(match key_id {
                Some(_) => TokenFault::AlgorithmNotAllowed,
                None => TokenFault::KeyUnknown,
            });
        }
        Ok(fitting.take(MAX_TRIALS))
    }

    /// Whether a token that names `key_id`, and that the key with this stamp verified, would be verified by it again.
    ///
    /// # Errors
    ///
    /// [`TokenFault::KeyUnknown`] when it would not, or by another key at most.
    pub(crate) fn vouch(&self, key_id: Option<&str>, stamp: Stamp) -> Result<(), TokenFault> {
        if self.refuses(key_id) {
            return Err(TokenFault::KeyRefused);
        }
        let mut keys = self.keys.iter().enumerate();
        let (position, key) = keys
            .find(|(_, key)| key.stamp() == stamp)
            .ok_or(TokenFault::KeyUnknown)?;
        let is_tried = if position < MAX_TRIALS {
            match key_id {
                Some(_) => key.id() == key_id,
                None => !self.refuses(key.id()),
            }
        } else {
            let mut candidates = self.candidates(key_id, key.algorithm())?;
            candidates.any(|key| key.stamp() == stamp)
        };
        is_tried.then_some(()).ok_or(TokenFault::KeyUnknown)
    }
}

fn read_key(entry: &Value, allowed: &[Algorithm]) -> Result<Key, SkipReason> {
    let members = Members(entry);
    let kind = members.text("kty")?.ok_or(SkipReason::Malformed)?;
    if kind == "oct" {
        return Err(SkipReason::Symmetric);
    }
    members.check_use()?;
    let id = members.text("kid")?;
    if id.is_some_and(|id| id.is_empty() || id.len() > MAX_KEY_ID) {
        return Err(SkipReason::Malformed);
    }
    let family = match (kind, members.text("crv")?) {
        ("RSA", _) => Family::Rsa,
        ("EC", Some("P-256")) => Family::P256,
        ("EC", Some("P-384")) => Family::P384,
        ("OKP", Some("Ed25519")) => Family::Ed25519,
        _ => return Err(SkipReason::UnknownType),
    };
    let algorithm = choose_algorithm(members.text("alg")?, family, allowed)?;
    let make = |material: &Material<'_>| {
        Key::new(id.map(Into::into), algorithm, material).map_err(|_| SkipReason::InvalidPoint)
    };
    match family {
        Family::Rsa => {
            let (modulus, exponent) = (members.bytes("n")?, members.bytes("e")?);
            let (modulus, exponent) = (trim_zeros(&modulus), trim_zeros(&exponent));
            check_rsa(modulus, exponent)?;
            let material = Material::Rsa { modulus, exponent };
            Key::new(id.map(Into::into), algorithm, &material).map_err(|_| SkipReason::Weak)
        }
        Family::P256 => make(&Material::Ec {
            point: &members.point(32)?,
        }),
        Family::P384 => make(&Material::Ec {
            point: &members.point(48)?,
        }),
        Family::Ed25519 => {
            let x = members.bytes("x")?;
            let x = <&[u8; 32]>::try_from(&*x).map_err(|_| SkipReason::InvalidPoint)?;
            if !ed25519::is_sound(x) {
                return Err(SkipReason::InvalidPoint);
            }
            make(&Material::Ed25519(x))
        }
        Family::Hmac => Err(SkipReason::Symmetric),
    }
}

/// One key, one algorithm: the one it names, or the only allowed one that fits (RFC 7517 §4.4).
fn choose_algorithm(
    named: Option<&str>,
    family: Family,
    allowed: &[Algorithm],
) -> Result<Algorithm, SkipReason> {
    let mut fitting = allowed
        .iter()
        .copied()
        .filter(|algorithm| algorithm.family() == family);
    match named {
        Some(name) => Algorithm::from_name(name)
            .and_then(|named| fitting.find(|algorithm| *algorithm == named))
            .ok_or(SkipReason::AlgorithmNotAllowed),
        None => match (fitting.next(), fitting.next()) {
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => Err(SkipReason::AlgorithmAmbiguous),
            (None, _) => Err(SkipReason::AlgorithmNotAllowed),
        },
    }
}

/// RFC 7518 §3.3 and NIST SP 800-56B: at least 2048 bits; the upper bounds keep a key from being a weapon.
fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), SkipReason> {
    let leading = modulus
        .first()
        .map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = (modulus.len() * 8).saturating_sub(leading);
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    let is_sound = (2048..=8192).contains(&bits)
        && is_odd(modulus)
        && is_odd(exponent)
        && exponent.len() <= 4
        && exponent != [1]
        && !roca::is_flawed(modulus);
    if is_sound {
        Ok(())
    } else {
        Err(SkipReason::Weak)
    }
}

fn trim_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The members of one key, each read with its type.
struct Members<'a>(&'a Value);

impl<'a> Members<'a> {
    fn text(&self, name: &str) -> Result<Option<&'a str>, SkipReason> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(SkipReason::Malformed),
        }
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, SkipReason> {
        let text = self.text(name)?.ok_or(SkipReason::Malformed)?;
        base64url::decode(text.as_bytes()).ok_or(SkipReason::Malformed)
    }

    /// RFC 7517 §4.2, §4.3: what says that it is for something else is not for signatures.
    fn check_use(&self) -> Result<(), SkipReason> {
        if self.text("use")?.is_some_and(|name| name != "sig") {
            return Err(SkipReason::OtherUse);
        }
        match self.0.get("key_ops") {
            None => Ok(()),
            Some(Value::Array(operations)) if operations.iter().any(|name| name == "verify") => {
                Ok(())
            }
            Some(Value::Array(_)) => Err(SkipReason::OtherUse),
            Some(_) => Err(SkipReason::Malformed),
        }
    }

    /// An uncompressed SEC 1 point; coordinates have the full length of the field (RFC 7518 §6.2.1.2).
    fn point(&self, length: usize) -> Result<Vec<u8>, SkipReason> {
        let (x, y) = (self.bytes("x")?, self.bytes("y")?);
        if x.len() != length || y.len() != length {
            return Err(SkipReason::InvalidPoint);
        }
        Ok([&[4][..], &x, &y].concat())
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
pub(crate) mod tests;
