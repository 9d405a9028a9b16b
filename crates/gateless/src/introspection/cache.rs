//! What the authorization server said about tokens that were asked about before.
//!
//! Kept are facts, never decisions, and never past their end. A token goes by a digest of all of it
//! ([`crate::digest`]) and the configuration that it was read under, which stands for issuer, endpoint, client and
//! policy: no two configurations have the same, and neither the token nor its digest can be had from here.

use std::time::Duration;

use gateless_core::{ConfigError, Monotonic, TokenFault};
use gateless_jwt::IntrospectedFacts;

use crate::digest::Digest;
use crate::epoch::PolicyEpoch;
use crate::pool::{Holds, Pool, pool};

/// How many tokens that were refused are remembered.
const MAX_REFUSED: usize = 1024;

/// The longest time for which a refusal may be remembered.
const LONGEST_REFUSED: Duration = Duration::from_secs(5);

/// How long, and how much, of what the authorization server said is remembered.
///
/// What is remembered are the facts, never the decision: with each request it is asked again whether the token has
/// expired, is for this audience, and everything else that the
/// [`IntrospectionPolicy`](crate::introspection::IntrospectionPolicy) says. An answer is never used past the `exp` in it
/// (RFC 7662 §4). Neither tokens nor anything they could be made from is kept.
///
/// The lifetime is a promise to whoever revokes a token: so long, and no longer, can it go on. Tokens that the server
/// called inactive, or that were refused for what it said, have a small place of their own, so that nobody can push good
/// ones out with bad ones. Errors are not remembered.
///
/// ```
/// use std::time::Duration;
///
/// use gateless::introspection::AnswerCache;
///
/// let cache = AnswerCache::new().lifetime(Duration::from_secs(10));
/// # let _ = cache;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct AnswerCache {
    lifetime: Duration,
    refused_lifetime: Duration,
    max_tokens: usize,
    max_bytes: usize,
}

impl AnswerCache {
    /// Answers are used for 30 s; at most 100,000 tokens in 64 MiB.
    pub const fn new() -> Self {
        Self {
            lifetime: Duration::from_secs(30),
            refused_lifetime: LONGEST_REFUSED,
            max_tokens: 100_000,
            max_bytes: 64 * 1024 * 1024,
        }
    }

    /// How long an answer is used before the server is asked again. 30 s by default: after that at the latest a token
    /// that was revoked there is refused here.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// How long a token that the server called inactive is refused without asking again. 5 s by default, and at most:
    /// a token can be used before its server has heard of it.
    pub const fn refused_lifetime(mut self, lifetime: Duration) -> Self {
        self.refused_lifetime = lifetime;
        self
    }

    /// The most tokens that are remembered. 100,000 by default.
    pub const fn max_tokens(mut self, tokens: usize) -> Self {
        self.max_tokens = tokens;
        self
    }

    /// The most memory that they take, in bytes. 64 MiB by default. An eighth of it is for tokens that were refused.
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    pub(super) const fn answer_lifetime(&self) -> Duration {
        self.lifetime
    }

    pub(super) fn build(self, faults: &mut ConfigError) -> Option<Answers> {
        let before = faults.faults().len();
        if self.lifetime.is_zero() || self.lifetime > Duration::from_secs(24 * 60 * 60) {
            faults.add("answer_cache", "has no lifetime between 0 and 24 h");
        }
        if self.refused_lifetime > LONGEST_REFUSED {
            faults.add("answer_cache", "remembers refusals for more than 5 s");
        }
        if self.max_tokens == 0 {
            faults.add(
                "answer_cache",
                "has room for no token: leave it out instead",
            );
        }
        if self.max_bytes < 64 * 1024 {
            faults.add("answer_cache", "has less than 64 KiB");
        }
        (faults.faults().len() == before).then(|| {
            let refused = self.max_bytes / 8;
            Answers {
                refused_lifetime: self.refused_lifetime,
                good: pool(self.max_tokens, self.max_bytes - refused),
                bad: pool(MAX_REFUSED.min(self.max_tokens), refused),
            }
        })
    }
}

impl Default for AnswerCache {
    fn default() -> Self {
        Self::new()
    }
}

/// What a token goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TokenKey {
    pub(super) epoch: PolicyEpoch,
    pub(super) token: Digest,
}

/// What was found out about a token: what its server vouches for, or why it is refused.
pub(super) type Finding = Result<IntrospectedFacts, TokenFault>;

/// What is known of a token that was good when its server was asked.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) facts: IntrospectedFacts,
    /// Until when the answer is used without asking again.
    pub(super) fresh_until: Monotonic,
}

/// What is known of one that was not.
#[derive(Clone, Debug)]
struct Refused {
    finding: Finding,
    until: Monotonic,
}

impl Holds for Known {
    fn held(&self) -> usize {
        self.facts.size()
    }
}

impl Holds for Refused {
    fn held(&self) -> usize {
        self.finding.as_ref().map_or(0, IntrospectedFacts::size)
    }
}

/// The tokens that were asked about.
#[derive(Debug)]
pub(super) struct Answers {
    refused_lifetime: Duration,
    good: Pool<TokenKey, Known>,
    bad: Pool<TokenKey, Refused>,
}

impl Answers {
    /// What is known of a token that was good, fresh or not.
    pub(super) fn good(&self, key: &TokenKey) -> Option<Known> {
        self.good.get(key)
    }

    /// What is known of one that was refused a moment ago.
    pub(super) fn refused(&self, key: &TokenKey, now: Monotonic) -> Option<Finding> {
        let refused = self.bad.get(key)?;
        (now < refused.until).then_some(refused.finding)
    }

    pub(super) fn remember_good(&self, key: TokenKey, known: Known) {
        self.good.insert(key, known);
    }

    /// What was good until now is not: see to it that it is [forgotten](Self::forget) as well.
    pub(super) fn remember_refused(&self, key: TokenKey, finding: Finding, now: Monotonic) {
        let until = now + self.refused_lifetime;
        self.bad.insert(key, Refused { finding, until });
    }

    pub(super) fn forget(&self, key: &TokenKey) {
        self.good.remove(key);
    }

    /// Forgets all that is known of one token.
    pub(super) fn forget_all_of(&self, key: &TokenKey) {
        self.good.remove(key);
        self.bad.remove(key);
    }

    pub(super) fn clear(&self) {
        self.good.clear();
        self.bad.clear();
    }

    /// Forgets what is known of tokens, as far as `is_meant`. A walk over all of them.
    pub(super) fn forget_where(&self, is_meant: impl Fn(&IntrospectedFacts) -> bool) {
        self.good.retain(|_, known| !is_meant(&known.facts));
        // Those that were refused may be good in a moment, by what is known of them.
        self.bad
            .retain(|_, refused| !refused.finding.as_ref().is_ok_and(&is_meant));
    }

    /// How many tokens are in the two pools, the good ones first.
    pub(super) fn len(&self) -> [usize; 2] {
        [self.good.len(), self.bad.len()]
    }
}
