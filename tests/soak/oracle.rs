//! What an answer may be, from the kind of token, and from what was broken at that time.
//!
//! "Passes" for a token that must not pass is in no list, whatever is broken.

use std::time::Duration;

use crate::fleet::{Breakdown, Dependency, Fleet, Generations};
use crate::tokens::{Kind, Revoked, Token};

/// What came back, in so far as it is the same over HTTP and gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Passes,
    /// 401 without an error, code `credentials_missing`.
    NoCredentials,
    /// 401 with `invalid_token`, code `token_invalid`.
    BadToken,
    /// 403 that names the scope.
    Lacks,
    /// 503, code `dependency_unavailable`, and no challenge.
    Unavailable,
    /// Nobody listens, or the connection ended.
    Silence,
    /// Nothing of the above: never right.
    Odd(String),
}

impl Answer {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Passes => "passes",
            Self::NoCredentials => "no credentials",
            Self::BadToken => "bad token",
            Self::Lacks => "lacks a scope",
            Self::Unavailable => "unavailable",
            Self::Silence => "no answer",
            Self::Odd(says) => says,
        }
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// For how long a list is as good as new (`Denylist`, default), less what it was old before Redis went, and a margin.
const LIST_IS_FRESH: Duration = secs(20);
/// When a list that could not be confirmed for so long is in use no more, with a margin for a busy machine.
const LIST_IS_STALE: Duration = secs(40);
/// How soon an instance hears what another one stored: it waits for that, so this is a margin for a busy machine.
const HEARS: Duration = secs(5);
/// How soon after Redis is back an instance has followed, and what waited is stored.
const CATCHES_UP: Duration = secs(12);
/// How soon after an outage of the issuer it is asked again: a call that hangs takes 5 s, a pause 5 s at most.
const ASKS_AGAIN: Duration = secs(11);
/// How long an instance takes until it has keys and knows what was revoked.
const STARTS: Duration = secs(12);
/// Until connections to an instance that is back work again.
const CONNECTS: Duration = secs(3);
/// The cooldown of 30 s between two fetches for unknown keys, and the fetch.
const COOLDOWN: Duration = secs(37);
/// `max-age=60` has keys renewed after 48 s; and a margin.
const KEYS_RENEWED: Duration = secs(62);
/// For how long an answer of the introspection endpoint is used (30 s), and a margin.
const ANSWER_USED: Duration = secs(36);

/// A request, and when it was under way.
pub(crate) struct Asked<'a> {
    pub(crate) token: &'a Token,
    pub(crate) instance: usize,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

/// All that was broken so far.
pub(crate) struct Times {
    breakdowns: Vec<Breakdown>,
    generations: Generations,
}

impl Times {
    pub(crate) fn of(fleet: &Fleet) -> Self {
        Self {
            breakdowns: fleet.breakdowns(),
            generations: fleet.generations(),
        }
    }

    /// Whether it was broken at any time of the request, or not for longer than `after` mended by then; and broken for
    /// `since` when the request ended.
    fn broken(&self, of: Dependency, asked: &Asked<'_>, since: Duration, after: Duration) -> bool {
        self.breakdowns.iter().any(|breakdown| {
            let is_over = breakdown.end.is_some_and(|end| end + after < asked.from);
            breakdown.of == of && breakdown.begin + since <= asked.to && !is_over
        })
    }

    pub(crate) fn allowed(&self, asked: &Asked<'_>) -> Vec<Answer> {
        let mut allowed = Vec::new();
        let this = Dependency::Orders(asked.instance);
        let issuer_is_out = self.broken(Dependency::Issuer, asked, Duration::ZERO, ASKS_AGAIN);
        // A fetch for an unknown key that failed is not tried again before the cooldown is over, whoever is back by then.
        let keys_are_out = self.broken(Dependency::Issuer, asked, Duration::ZERO, COOLDOWN);
        let starts = self.broken(this, asked, Duration::ZERO, STARTS);
        let mut fails = starts;
        if self.broken(this, asked, Duration::ZERO, CONNECTS) {
            allowed.push(Answer::Silence);
        }
        // Who is authenticated needs the list.
        let list_is_out = self.broken(Dependency::Redis, asked, LIST_IS_FRESH, CATCHES_UP);
        match &asked.token.kind {
            Kind::Jwt { generation } => {
                let (passes, refused) = self.key(*generation, asked);
                allowed.extend(passes.then_some(Answer::Passes));
                allowed.extend(refused.then_some(Answer::BadToken));
                fails |= list_is_out || (refused && keys_are_out);
            }
            Kind::OtherScope { generation } => {
                let (passes, refused) = self.key(*generation, asked);
                allowed.extend(passes.then_some(Answer::Lacks));
                allowed.extend(refused.then_some(Answer::BadToken));
                fails |= list_is_out || (refused && keys_are_out);
            }
            Kind::Expired { generation }
            | Kind::OtherAudience { generation }
            | Kind::Forged { generation } => {
                let (_, refused) = self.key(*generation, asked);
                allowed.push(Answer::BadToken);
                fails |= refused && keys_are_out;
            }
            Kind::Opaque => {
                allowed.push(Answer::Passes);
                fails |= issuer_is_out || list_is_out;
            }
            Kind::Unknown => {
                allowed.push(Answer::BadToken);
                fails |= issuer_is_out;
            }
            Kind::Garbage => allowed.push(Answer::BadToken),
            Kind::Nothing => {
                allowed.push(Answer::NoCredentials);
                fails = false;
            }
            Kind::Revoked(revoked) => {
                allowed.push(Answer::BadToken);
                if self.may_not_have_heard(revoked, asked) {
                    allowed.push(Answer::Passes);
                }
                let is_asked_about = match revoked.generation {
                    Some(generation) => keys_are_out && self.key(generation, asked).1,
                    None => issuer_is_out,
                };
                fails |= list_is_out || is_asked_about;
            }
            Kind::RevokedThere { at } => {
                allowed.push(Answer::BadToken);
                if asked.from < *at + ANSWER_USED {
                    allowed.push(Answer::Passes);
                }
                fails |= issuer_is_out || list_is_out;
            }
        }
        if fails {
            allowed.push(Answer::Unavailable);
        }
        allowed
    }

    /// Whether a signature of this generation may be good, and whether it may be not.
    fn key(&self, generation: usize, asked: &Asked<'_>) -> (bool, bool) {
        let Some((began, withdrawn)) = self.generations.all.get(generation) else {
            return (true, true);
        };
        let is_new = self.may_not_be_known(generation, *began, asked);
        match withdrawn {
            None => (true, is_new),
            Some(at) if asked.to < *at => (true, is_new),
            Some(at) => {
                let since = self.issuer_is_well_since(*at, asked);
                (asked.from < since + KEYS_RENEWED, true)
            }
        }
    }

    /// A new key is fetched as soon as a token of it is seen, unless the issuer is away, or was asked for another one a short
    /// while ago: for one that an instance lacked as it began, or for one that was withdrawn, which is asked for from the
    /// second generation on.
    fn may_not_be_known(&self, generation: usize, began: Duration, asked: &Asked<'_>) -> bool {
        let since = self.issuer_is_well_since(began, asked);
        if generation == 0 || asked.from >= since + COOLDOWN {
            return false;
        }
        let was_asked = self.breakdowns.iter().any(|breakdown| {
            let is_recent = breakdown.end.is_none_or(|end| end + COOLDOWN > began);
            breakdown.of != Dependency::Redis && is_recent
        });
        generation > 1 || was_asked || began < COOLDOWN
    }

    /// Since when the issuer can be asked without a break, and not before `at`.
    fn issuer_is_well_since(&self, at: Duration, asked: &Asked<'_>) -> Duration {
        let breakdowns = self.breakdowns.iter();
        let of_issuer = breakdowns.filter(|breakdown| breakdown.of == Dependency::Issuer);
        let ends = of_issuer.map(|breakdown| breakdown.end.unwrap_or(asked.to));
        ends.fold(at, Duration::max)
    }

    /// Only at another instance, and only as long as nothing has told it: what is stored comes at once, or with Redis, or
    /// the list is too old to be used.
    fn may_not_have_heard(&self, revoked: &Revoked, asked: &Asked<'_>) -> bool {
        if revoked.by == asked.instance {
            return false;
        }
        if asked.from < revoked.at + HEARS {
            return true;
        }
        let mut redis = self.breakdowns.iter().filter(|breakdown| {
            let around = breakdown
                .end
                .is_none_or(|end| end + CATCHES_UP > revoked.at);
            breakdown.of == Dependency::Redis && breakdown.begin <= asked.to && around
        });
        redis.any(|breakdown| {
            let is_in_use = asked.from < breakdown.begin.max(revoked.at) + LIST_IS_STALE;
            let end = breakdown.end.unwrap_or(asked.to);
            let catches_up = asked.from < end + CATCHES_UP;
            // What is not stored comes when Redis is back, whenever that is.
            catches_up && (is_in_use || (!revoked.is_stored && asked.to >= end))
        })
    }
}
