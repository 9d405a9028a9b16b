//! The keys of one issuer, and how they are replaced.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use crate::algorithm::SigningAlgorithm;
use crate::jws::Jws;
use crate::key::SigningKey;

/// What an issuer starts with.
const INITIAL: [SigningAlgorithm; 3] = [
    SigningAlgorithm::Rs256,
    SigningAlgorithm::Es256,
    SigningAlgorithm::EdDsa,
];

/// Every published key, oldest first. The youngest key of an algorithm signs.
pub(crate) struct KeyRing {
    prefix: String,
    made: AtomicU64,
    keys: Mutex<Vec<Arc<SigningKey>>>,
}

impl KeyRing {
    /// The initial keys, with ids that start with `prefix`. None of them is generated before it is needed.
    pub(crate) fn new(prefix: &str) -> Self {
        let ring = Self {
            prefix: prefix.to_owned(),
            made: AtomicU64::new(0),
            keys: Mutex::new(Vec::new()),
        };
        let keys = INITIAL.map(|algorithm| ring.make(algorithm));
        ring.lock().extend(keys);
        ring
    }

    /// Generates whatever has not been generated yet.
    pub(crate) fn generate(&self) {
        for key in self.snapshot() {
            key.generate();
        }
    }

    /// Publishes one more key, which signs from now on.
    pub(crate) fn add(&self, algorithm: SigningAlgorithm) -> Arc<SigningKey> {
        let key = self.make(algorithm);
        key.generate();
        self.lock().push(Arc::clone(&key));
        key
    }

    /// Makes one new key for each algorithm at hand, and withdraws the old keys unless they are to be kept.
    pub(crate) fn rotate(&self, keep_old: bool) {
        let mut algorithms = Vec::new();
        for key in self.snapshot() {
            if !algorithms.contains(&key.algorithm()) {
                algorithms.push(key.algorithm());
            }
        }
        let fresh: Vec<_> = algorithms.into_iter().map(|it| self.make(it)).collect();
        // Before they are published: whoever fetches the set meanwhile does not wait for a generation.
        for key in &fresh {
            key.generate();
        }
        let mut keys = self.lock();
        if !keep_old {
            keys.clear();
        }
        keys.extend(fresh);
    }

    /// The key that signs: the one with this id if it is for `algorithm`, else the youngest for `algorithm`,
    /// else a new one.
    pub(crate) fn signer(&self, algorithm: SigningAlgorithm, id: Option<&str>) -> Arc<SigningKey> {
        let mut keys = self.lock();
        let mut fitting = keys.iter().rev().filter(|it| it.algorithm() == algorithm);
        let named = fitting.clone().find(|key| Some(key.id()) == id);
        if let Some(key) = named.or_else(|| fitting.next()) {
            return Arc::clone(key);
        }
        let key = self.make(algorithm);
        keys.push(Arc::clone(&key));
        key
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.lock().iter().map(|key| key.id().to_owned()).collect()
    }

    /// The public halves as a JWK set (RFC 7517 §5).
    pub(crate) fn jwks(&self) -> Value {
        let keys: Vec<_> = self.snapshot().iter().map(|key| key.jwk()).collect();
        json!({ "keys": keys })
    }

    /// The claims of a token if a published key signed it.
    pub(crate) fn claims_of(&self, token: &str) -> Option<Map<String, Value>> {
        let jws = Jws::parse(token)?;
        let keys: Vec<_> = self.snapshot().iter().map(|key| key.jwk()).collect();
        jws.verify(&keys)
    }

    fn make(&self, algorithm: SigningAlgorithm) -> Arc<SigningKey> {
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        let id = format!("{}-{number}-{algorithm}", self.prefix);
        Arc::new(SigningKey::new(id, algorithm))
    }

    /// The keys as they are now, so that none is generated under the lock.
    fn snapshot(&self) -> Vec<Arc<SigningKey>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<SigningKey>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use SigningAlgorithm::{EdDsa, Es256, Es384, Rs256};

    #[test]
    fn the_youngest_key_of_an_algorithm_signs() {
        let ring = KeyRing::new("x");
        let first = ring.signer(Es256, None).id().to_owned();
        let second = ring.add(Es256).id().to_owned();
        assert_eq!(ring.signer(Es256, None).id(), second);
        assert_eq!(ring.signer(Es256, Some(&first)).id(), first);
    }

    #[test]
    fn an_id_never_changes_the_algorithm() {
        let ring = KeyRing::new("x");
        let rsa = ring.signer(Rs256, None).id().to_owned();
        assert_eq!(ring.signer(EdDsa, Some(&rsa)).algorithm(), EdDsa);
        assert_eq!(ring.signer(EdDsa, Some("unheard of")).algorithm(), EdDsa);
    }

    #[test]
    fn a_missing_algorithm_gets_one_key() {
        let ring = KeyRing::new("x");
        let key = ring.signer(Es384, None);
        assert_eq!(ring.signer(Es384, None).id(), key.id());
        assert_eq!(ring.ids().len(), INITIAL.len() + 1);
    }

    #[test]
    fn rotating_changes_every_id_and_every_key() {
        let ring = KeyRing::new("x");
        ring.add(Es256);
        let halves = |jwks: Value| -> HashSet<String> {
            let keys = jwks["keys"].as_array().unwrap();
            keys.iter()
                .map(|key| format!("{}{}", key["x"], key["n"]))
                .collect()
        };
        let (ids, keys) = (ring.ids(), halves(ring.jwks()));
        ring.rotate(false);
        assert_eq!(ring.ids().len(), INITIAL.len());
        assert!(ring.ids().iter().all(|id| !ids.contains(id)));
        assert!(halves(ring.jwks()).is_disjoint(&keys));
    }

    #[test]
    fn rotating_can_keep_the_old_keys_published() {
        let ring = KeyRing::new("x");
        let ids = ring.ids();
        ring.rotate(true);
        assert!(ring.ids().starts_with(&ids));
        assert_eq!(ring.ids().len(), 2 * INITIAL.len());
        assert!(!ids.contains(&ring.signer(Rs256, None).id().to_owned()));
    }
}
