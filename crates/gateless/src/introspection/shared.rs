//! What one instance was answered, the others need not ask again.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use gateless_core::{ConfigError, SharedStore, StoreFuture, StoreKey, Timestamp};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The setting that faults are reported under.
const SETTING: &str = "shared_answers";

/// The shortest secret, in bytes: as long as the keys that are derived from it.
const MIN_SECRET: usize = 32;

/// The longest that a request can be told to wait for a store, which is there to be quicker than the issuer.
const MAX_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers of the issuer in a store that a fleet shares: the second tier of the cache, behind that of each instance.
///
/// The store is not trusted. Who can read it learns neither tokens nor claims, and who can write to it cannot make up
/// an answer, alter one, or give one token the answer of another:
///
/// - A key is an HMAC-SHA-256 of the token and of where it was asked about: issuer, endpoint, client, and whether the
///   answer was signed. The parts are length-prefixed, so no two places or tokens share a key.
/// - A value is sealed with XChaCha20-Poly1305 under a nonce of its own, and bound to its key. It is padded, so that
///   its length tells the size of an answer only roughly.
/// - Both keys are derived from the fleet's secret by HKDF-SHA-256, with a label each.
///
/// What such a person can do is to remove answers, or to put an older answer back in its own place. The time at which
/// the issuer was asked is sealed with the answer, and the age of an answer counts from then.
///
/// A store that is slow, fails, or holds what cannot be opened costs the time-out, and the issuer is asked.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use gateless::introspection::SharedAnswers;
/// # use gateless_testkit::{FakeClock, MemoryStore};
///
/// # let store = MemoryStore::new(Arc::new(FakeClock::new()));
/// # let secret = [7; 32];
/// // The same secret on each instance: from 32 bytes on, and random.
/// let shared = SharedAnswers::new(store, secret).timeout(Duration::from_millis(50));
/// # let _ = shared;
/// ```
#[derive(Clone)]
#[must_use]
pub struct SharedAnswers {
    store: Arc<dyn SharedStore>,
    secret: Arc<Zeroizing<Box<[u8]>>>,
    timeout: Duration,
}

impl SharedAnswers {
    /// Answers in `store`, under keys derived from `secret`: at least 32 random bytes that only this fleet knows.
    ///
    /// To change the secret is to empty the store.
    pub fn new(store: impl SharedStore, secret: impl AsRef<[u8]>) -> Self {
        Self {
            store: Arc::new(store),
            secret: Arc::new(Zeroizing::new(secret.as_ref().into())),
            timeout: Duration::from_millis(100),
        }
    }

    /// How long a request waits for the store before the issuer is asked. 100 ms by default: a store nearby answers in
    /// a few, and an issuer far away in some hundred. At most 5 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Tells what of this cannot be used.
    pub(super) fn check(&self, faults: &mut ConfigError) {
        if self.secret.len() < MIN_SECRET {
            faults.add(SETTING, "has a secret that is shorter than 32 bytes");
        }
        if self.timeout.is_zero() || self.timeout > MAX_TIMEOUT {
            faults.add(SETTING, "has a timeout that is not between 0 and 5 s");
        }
    }

    /// The answers of one place, with the keys derived.
    ///
    /// # Errors
    ///
    /// What [`check`](Self::check) tells.
    pub(super) fn tier(&self, place: Place<'_>) -> Result<SharedTier, ConfigError> {
        let mut faults = ConfigError::collect();
        self.check(&mut faults);
        faults.into_result()?;
        let derived = Hkdf::<Sha256>::new(None, &self.secret);
        let mut index = Zeroizing::new([0; 64]);
        let mut seal = Zeroizing::new([0; 32]);
        expand(&derived, b"gateless 1 introspection index", &mut *index);
        expand(&derived, b"gateless 1 introspection seal", &mut *seal);
        Ok(SharedTier {
            store: Arc::clone(&self.store),
            timeout: self.timeout,
            index: place.begin(Hmac::new((&*index).into())),
            seal: XChaCha20Poly1305::new((&*seal).into()),
        })
    }
}

fn expand(derived: &Hkdf<Sha256>, label: &[u8], key: &mut [u8]) {
    derived
        .expand(label, key)
        .expect("a key is shorter than the 8160 bytes that HKDF gives out");
}

impl fmt::Debug for SharedAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedAnswers")
            .field("store", &self.store)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Who was asked, by whom, and how: an answer holds for nobody else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) issuer: &'a str,
    pub(super) endpoint: &'a str,
    pub(super) client: &'a str,
    /// Whether the answer is a JWT whose signature was checked (RFC 9701), and not bare JSON.
    pub(super) signed: bool,
}

impl Place<'_> {
    /// All of a key's structure but the token.
    fn begin(self, mut index: Hmac<Sha256>) -> Hmac<Sha256> {
        index.update(&[VERSION, u8::from(self.signed)]);
        for part in [self.issuer, self.endpoint, self.client] {
            append(&mut index, part);
        }
        index
    }
}

/// Length first, so that `a` and `bc` are not `ab` and `c`.
fn append(index: &mut Hmac<Sha256>, part: &str) {
    // No platform has lengths that do not fit.
    let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
    index.update(&length.to_be_bytes());
    index.update(part.as_bytes());
}

/// An answer as it was given.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SharedAnswer {
    /// When the issuer was asked, by the clock of the instance that did. How old an answer may be counts from then.
    pub(super) asked_at: Timestamp,
    pub(super) json: Box<str>,
}

impl fmt::Debug for SharedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedAnswer")
            .field("asked_at", &self.asked_at)
            .finish_non_exhaustive()
    }
}

/// What came of looking an answer up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    Found(SharedAnswer),
    Missing,
    /// As good as missing, but worth counting.
    Failed(Failure),
}

/// Why the store was of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It said so.
    Unavailable,
    /// It took longer than the time-out.
    Slow,
    /// What it holds was not sealed by this fleet for this token, or is too large.
    Unreadable,
}

impl Failure {
    /// For counters.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Slow => "slow",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The answers of one place.
#[derive(Clone)]
pub(super) struct SharedTier {
    store: Arc<dyn SharedStore>,
    timeout: Duration,
    /// Has taken in everything but the token.
    index: Hmac<Sha256>,
    seal: XChaCha20Poly1305,
}

impl SharedTier {
    /// How long looking something up takes at most.
    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What is known about `token`. Ends within the time-out.
    pub(super) async fn get(&self, token: &str) -> Lookup {
        let key = self.key(token);
        match self.within(self.store.get(&key)).await {
            Ok(None) => Lookup::Missing,
            Ok(Some(sealed)) => self
                .open(&key, &sealed)
                .map_or(Lookup::Failed(Failure::Unreadable), Lookup::Found),
            Err(failure) => Lookup::Failed(failure),
        }
    }

    /// Tells the others for `lifetime` what was answered about `token`. Ends within the time-out.
    ///
    /// An answer of more than about 64 KiB is not shared, nor is one that lives for less than a millisecond.
    pub(super) async fn put(
        &self,
        token: &str,
        asked_at: Timestamp,
        json: &str,
        lifetime: Duration,
    ) -> Result<(), Failure> {
        if json.len() > MAX_JSON || lifetime < Duration::from_millis(1) {
            return Ok(());
        }
        let key = self.key(token);
        let sealed = self.seal(&key, asked_at, json);
        let sealed = sealed.ok_or(Failure::Unavailable)?;
        self.within(self.store.put(&key, sealed, lifetime)).await
    }

    async fn within<T>(&self, answer: StoreFuture<'_, T>) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let error = error.source();
                tracing::debug!(name: "gateless.shared.failed", error, "the shared store failed");
                Err(Failure::Unavailable)
            }
            Err(_) => Err(Failure::Slow),
        }
    }

    fn key(&self, token: &str) -> StoreKey {
        let mut index = self.index.clone();
        append(&mut index, token);
        StoreKey::new(index.finalize().into_bytes().into())
    }
}

/// The first byte of a value, and of the structure that a key is made from.
const VERSION: u8 = 1;

const NONCE: usize = 24;
const TAG: usize = 16;

/// Time and length, before the answer.
const HEAD: usize = 8 + 4;

/// What is sealed is a multiple of this long.
const BLOCK: usize = 512;

/// The longest answer that is shared: sealed, it is below the 64 KiB that every store has to keep.
const MAX_JSON: usize = 127 * BLOCK - HEAD;

/// The length of the longest value.
const MAX_SEALED: usize = 1 + NONCE + 127 * BLOCK + TAG;

impl SharedTier {
    /// `None` when the system has no randomness.
    fn seal(&self, key: &StoreKey, asked_at: Timestamp, json: &str) -> Option<Vec<u8>> {
        let length = u32::try_from(json.len()).ok()?;
        let mut open = Vec::with_capacity((HEAD + json.len()).next_multiple_of(BLOCK));
        open.extend(asked_at.as_millis().to_be_bytes());
        open.extend(length.to_be_bytes());
        open.extend(json.as_bytes());
        open.resize(open.len().next_multiple_of(BLOCK), 0);

        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).ok()?;
        let payload = Payload {
            msg: &open,
            aad: key.as_bytes(),
        };
        let sealed = self.seal.encrypt(&XNonce::from(nonce), payload).ok()?;
        Some([&[VERSION], &nonce[..], &sealed].concat())
    }

    fn open(&self, key: &StoreKey, sealed: &[u8]) -> Option<SharedAnswer> {
        if sealed.len() > MAX_SEALED {
            return None;
        }
        let (version, sealed) = sealed.split_first()?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        if *version != VERSION {
            return None;
        }
        let payload = Payload {
            msg: sealed,
            aad: key.as_bytes(),
        };
        let open = self.seal.decrypt(&XNonce::from(*nonce), payload).ok()?;
        let (asked_at, rest) = open.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        Some(SharedAnswer {
            asked_at: Timestamp::from_millis(i64::from_be_bytes(*asked_at)),
            json: std::str::from_utf8(rest.get(..length)?).ok()?.into(),
        })
    }
}

impl fmt::Debug for SharedTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTier")
            .field("store", &self.store)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
