//! What was found out about tokens that were seen before.
//!
//! Kept are facts, never decisions: whether they are good enough is asked anew for each request. A token goes by a
//! digest of all of it ([`crate::digest`]) and the policy that it was read under, and neither it nor its digest can be
//! had from here.

use std::time::Duration;

#[cfg(feature = "denylist")]
use gateless_core::Principal;
use gateless_core::{Clock, ConfigError, Monotonic, TokenFault};
use gateless_jwt::Facts;

use crate::digest::{Digest, Digester};
use crate::epoch::PolicyEpoch;
use crate::pool::{Holds, Pool, pool};

/// How many tokens that were refused are remembered.
const MAX_REFUSED: usize = 1024;

/// For how long.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// How much verified tokens are remembered, so that their signatures are not checked again.
///
/// A signature costs 20 to 80 µs, and the same token comes again and again. What is remembered are the facts that the
/// signature vouches for, never the decision: with each request it is asked again whether the key that signed the token
/// is still among the issuer's, whether the token has expired, is for this audience, and everything else that the
/// [`TokenPolicy`](crate::bearer::TokenPolicy) says. The answer is always the one that the token would get without the
/// cache. Neither tokens nor anything they could be made from is kept.
///
/// When there is no room, tokens that came once go before those that come often, so that a flood of new tokens does
/// not push out the ones in use. Tokens that were refused for good have a small place of their own, for five seconds.
///
/// ```
/// use gateless::bearer::TokenCache;
///
/// let cache = TokenCache::new().max_tokens(10_000).max_bytes(16 * 1024 * 1024);
/// # let _ = cache;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct TokenCache {
    max_tokens: usize,
    max_bytes: usize,
}

impl TokenCache {
    /// At most 100,000 tokens in 64 MiB.
    pub const fn new() -> Self {
        Self {
            max_tokens: 100_000,
            max_bytes: 64 * 1024 * 1024,
        }
    }

    /// The most tokens that are remembered. 100,000 by default.
    pub const fn max_tokens(mut self, tokens: usize) -> Self {
        self.max_tokens = tokens;
        self
    }

    /// The most memory that they take, in bytes. 64 MiB by default; a token of 700 bytes takes about 1.2 KiB. An
    /// eighth of it is for tokens that were refused.
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    pub(super) fn build(self) -> Result<Tokens, ConfigError> {
        let mut faults = ConfigError::collect();
        if self.max_tokens == 0 {
            faults.add("token_cache", "has room for no token: leave it out instead");
        }
        if self.max_bytes < 64 * 1024 {
            faults.add("token_cache", "has less than 64 KiB");
        }
        let digester = Digester::random();
        if digester.is_none() {
            faults.add("token_cache", "finds no randomness on this system");
        }
        match digester {
            Some(digester) if faults.faults().is_empty() => {
                let refused = self.max_bytes / 8;
                Ok(Tokens {
                    settings: self,
                    digester,
                    good: pool(self.max_tokens, self.max_bytes - refused),
                    bad: pool(MAX_REFUSED.min(self.max_tokens), refused),
                })
            }
            _ => Err(faults),
        }
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        Self::new()
    }
}

/// What a token goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TokenKey {
    epoch: PolicyEpoch,
    token: Digest,
}

/// What was found out about a token.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The place of its issuer among those of the policy.
    pub(super) issuer: usize,
    pub(super) finding: Finding,
}

#[derive(Clone, Debug)]
pub(super) enum Finding {
    /// Its signature verified.
    Facts(Facts),
    /// It did not, or what it signed cannot be read: true for this version of the keys.
    Fault { fault: TokenFault, version: u64 },
}

/// The tokens that were seen.
#[derive(Debug)]
pub(super) struct Tokens {
    settings: TokenCache,
    digester: Digester,
    good: Pool<TokenKey, Known>,
    /// Since when each of them is known.
    bad: Pool<TokenKey, (Monotonic, Known)>,
}

/// What is known of a token, and whether it was good when that was found out.
#[derive(Clone, Debug)]
pub(super) struct Recalled {
    pub(super) known: Known,
    pub(super) was_good: bool,
}

impl Tokens {
    pub(super) const fn settings(&self) -> TokenCache {
        self.settings
    }

    pub(super) fn key(&self, epoch: PolicyEpoch, token: &[u8]) -> TokenKey {
        TokenKey {
            epoch,
            token: self.digester.digest(token),
        }
    }

    pub(super) fn recall(&self, key: &TokenKey, clock: &dyn Clock) -> Option<Recalled> {
        if let Some(known) = self.good.get(key) {
            return Some(Recalled {
                known,
                was_good: true,
            });
        }
        let (since, known) = self.bad.get(key)?;
        (clock.monotonic().since(since) < REFUSED_FOR).then_some(Recalled {
            known,
            was_good: false,
        })
    }

    pub(super) fn remember_good(&self, key: TokenKey, known: Known) {
        self.good.insert(key, known);
    }

    pub(super) fn remember_bad(&self, key: TokenKey, known: Known, now: Monotonic) {
        self.bad.insert(key, (now, known));
    }

    pub(super) fn forget(&self, key: &TokenKey) {
        self.good.remove(key);
    }

    /// Forgets the tokens of these callers. A walk over all that are good; the others got nobody in.
    #[cfg(feature = "denylist")]
    pub(super) fn forget_callers(&self, is_meant: &dyn Fn(&Principal) -> bool) {
        self.good.retain(|_, known| match &known.finding {
            Finding::Facts(facts) => !facts.is_of(is_meant),
            Finding::Fault { .. } => true,
        });
    }

    pub(super) fn clear(&self) {
        self.good.clear();
        self.bad.clear();
    }

    /// How many tokens are in the two pools, the good ones first.
    pub(super) fn len(&self) -> [usize; 2] {
        [self.good.len(), self.bad.len()]
    }
}

impl Holds for Known {
    fn held(&self) -> usize {
        match &self.finding {
            Finding::Facts(facts) => facts.size(),
            Finding::Fault { .. } => 0,
        }
    }
}

impl Holds for (Monotonic, Known) {
    fn held(&self) -> usize {
        self.1.held()
    }
}

// Without a backend no token can be verified.
#[cfg(test)]
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod tests;
