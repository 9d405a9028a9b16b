//! Tells one token from another without keeping either.
//!
//! A cache of tokens needs a key that no two tokens share, and that gives no token away. SHA-256 would do, at more
//! than the price of everything else that happens to a token that is known. What a cache in one process needs is less
//! than SHA-256 gives: its keys are never stored, sent or shown, so nobody outside learns a single one.
//!
//! [`Digester`] computes POLYVAL (RFC 8452 §3), the universal hash of AES-GCM-SIV, with a key that is drawn at random
//! when the cache is made and never leaves it. For any two different tokens that were chosen without knowing the key,
//! the chance that they collide is at most *n* / 2^128, where *n* is the number of 16 byte blocks in the longer one,
//! counting the block with its length: at most 513 for the 8 KiB that a token has by default. That holds for tokens
//! chosen by an adversary, and is proven, not conjectured. To be taken for another, a made-up token has to collide with
//! one that is held: with a million of those, somebody who tries a million tokens a second for a hundred years succeeds
//! with a chance of less than 1 in 10^7.
//!
//! What can be learnt about the key by asking is whether a token collided, which does not happen, and how long the
//! answer took. Where an entry stands in the table depends on the digest through a second, unrelated hash with random
//! keys of its own, so that the time of a lookup says nothing about a digest.

use std::fmt;

use polyval::Polyval;
use polyval::universal_hash::UniversalHash as _;

/// Makes digests that mean nothing to anybody else.
pub(crate) struct Digester(Polyval);

/// The digest of a whole token, under the key of one [`Digester`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest(u128);

impl Digester {
    /// One with a key of its own. `None` when the system has no randomness to give.
    pub(crate) fn random() -> Option<Self> {
        let mut key = zeroize::Zeroizing::new([0; 16]);
        getrandom::fill(&mut *key).ok()?;
        Some(Self(Polyval::new((&*key).into())))
    }

    pub(crate) fn digest(&self, token: &[u8]) -> Digest {
        let mut state = self.0.clone();
        state.update_padded(token);
        // What is padded and what ends in zeros would be one without the length.
        let length = (token.len() as u128).to_le_bytes();
        state.update(&[length.into()]);
        Digest(u128::from_le_bytes(state.finalize().into()))
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digester")
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// RFC 8452 Appendix A: the key, the message and its POLYVAL.
    #[test]
    fn the_hash_is_that_of_rfc_8452() {
        let hex = |text: &str| u128::from_str_radix(text, 16).unwrap().to_be_bytes();
        let mut state = Polyval::new(&hex("25629347589242761d31f826ba4b757b").into());
        state.update(&[
            hex("4f4f95668c83dfb6401762bb2d01a262").into(),
            hex("d1a24ddd2721d006bbe45f20d3c9f362").into(),
        ]);
        let expected = hex("f7a3b47b846119fae5b7866cf5e5b77e");
        assert_eq!(<[u8; 16]>::from(state.finalize()), expected);
    }

    #[test]
    fn tf_17_tf_18_every_byte_and_the_length_count() {
        let digester = Digester::random().unwrap();
        let token: String = ('a'..='z').cycle().take(100).collect();
        let mut seen = HashSet::from([digester.digest(token.as_bytes())]);
        for at in 0..token.len() {
            let mut changed = token.clone();
            changed.replace_range(at..=at, "0");
            assert!(seen.insert(digester.digest(changed.as_bytes())));
            assert!(seen.insert(digester.digest(&token.as_bytes()[..at])));
        }
        for zeros in 1..40 {
            assert!(seen.insert(digester.digest(&[token.as_bytes(), &vec![0; zeros]].concat())));
        }
    }

    #[test]
    fn tf_19_a_digest_means_nothing_to_another_digester_and_prints_as_nothing() {
        let (one, other) = (Digester::random().unwrap(), Digester::random().unwrap());
        assert_ne!(one.digest(b"token"), other.digest(b"token"));
        assert_eq!(
            format!("{one:?} {:?}", one.digest(b"token")),
            "Digester Digest"
        );
    }

    proptest! {
        #[test]
        fn tf_17_two_texts_have_two_digests(one in "[a-c]{0,40}", other in "[a-c]{0,40}") {
            let digester = Digester::random().unwrap();
            let equal = digester.digest(one.as_bytes()) == digester.digest(other.as_bytes());
            prop_assert_eq!(equal, one == other);
        }
    }
}
