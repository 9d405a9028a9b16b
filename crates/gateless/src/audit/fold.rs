//! Folds what is refused again and again, so that a flood of refusals does not fill the disk.
//!
//! The first of a kind is written. The next ones are counted, and one record per window says how many there were. When nothing
//! more came in a window, the kind is forgotten, and its next one is written as a first.
//!
//! How many kinds there are is up to whoever sends requests, so there are only so many places. When those for exact kinds are
//! taken, refusals are told apart by stage, reason, method and route only; then by stage and code; then not at all. So no flood
//! writes more than two lines for each place in a window, from however many addresses it comes, and whatever happens each
//! refusal is written or counted.
//!
//! What is lost in a flood is detail: while all exact places are taken, a refusal that is like others in stage, reason, method
//! and route is counted with them, and nobody can tell later where it came from. A quarter of the places is kept for callers
//! who are known: to fill those too, a flood needs many good tokens or many addresses with one. What is allowed is never
//! folded, so a flood hides nobody who got in.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::time::Duration;

use gateless_audit::{Outcome, Repeated};
use gateless_core::{Monotonic, Principal, Rejection, Timestamp};
use hashbrown::HashMap;

use super::sighting::Sighting;

/// How refusals are folded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// How long the same is only counted.
    pub(super) window: Duration,
    /// How many exact kinds there may be at once.
    pub(super) max_kinds: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // Short enough that whoever watches sees that it goes on.
            window: Duration::from_secs(10),
            max_kinds: 1_024,
        }
    }
}

/// What becomes of a request's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is written. The first of a kind has a key, with which [`Fold::wrote`] is told its number.
    Write(Option<FoldKey>),
    /// It is not: another that says the same was written before.
    Counted,
}

/// A kind of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FoldKey {
    level: usize,
    tag: u64,
}

/// The kinds of refusals of the last while. One writer owns it.
#[derive(Debug)]
pub(super) struct Fold {
    random: RandomState,
    window: Duration,
    /// From exact to coarse.
    levels: [Level; LEVELS],
    /// No window ends before this.
    due: Option<Monotonic>,
}

const LEVELS: usize = 4;

/// Kinds that are told apart in the same way.
#[derive(Debug)]
struct Level {
    max_kinds: usize,
    /// How many of them are kept for callers who are known: refusals without a token cost nothing, and are not to hide what
    /// somebody was refused who has one.
    kept: usize,
    /// By hashes under a key of this process: nobody outside can make two kinds one.
    kinds: HashMap<u64, Kind, RandomState>,
}

#[derive(Debug)]
struct Kind {
    /// The number of the record of the first of them, when it is known.
    of: Option<u64>,
    /// When the first was seen.
    began: Monotonic,
    /// When the window began.
    since: Monotonic,
    /// How many were counted in it.
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Fold {
    /// How many kinds there may be by stage, reason, method and route: more than most services have routes.
    const MOST_COARSE: usize = 256;
    /// How many by stage and code: about as many as there are.
    const MOST_COARSER: usize = 64;
    /// After this time the next of a kind is written again, however many there are: so that whoever reads the last hour finds a
    /// whole record of it, and files are not kept for one that is days old.
    const AFRESH: Duration = Duration::from_secs(600);

    pub(super) fn new(settings: Settings) -> Self {
        let Settings { window, max_kinds } = settings;
        let level = |max_kinds, kept| Level {
            max_kinds,
            kept,
            kinds: HashMap::default(),
        };
        Self {
            random: RandomState::new(),
            window,
            // The last one has a single kind, for which there is always room.
            levels: [
                level(max_kinds, max_kinds / 4),
                level(Self::MOST_COARSE, 0),
                level(Self::MOST_COARSER, 0),
                level(1, 0),
            ],
            due: None,
        }
    }

    /// The most lines about refusals in any window, if [`flush`](Self::flush) is not made to give out everything: of each kind the
    /// first, and how often it happened again.
    #[cfg(test)]
    fn most_lines(&self) -> usize {
        let places: usize = self.levels.iter().map(|level| level.max_kinds).sum();
        2 * places
    }

    /// What becomes of the record of this request.
    pub(super) fn see(&mut self, sighting: &Sighting<'_>) -> Seen {
        let refused = matches!(sighting.outcome, Outcome::Denied | Outcome::Unavailable);
        let Some(rejection) = sighting.rejection.filter(|_| refused) else {
            return Seen::Write(None);
        };
        let (at, time) = (sighting.at, sighting.time);
        for (index, level) in self.levels.iter_mut().enumerate() {
            let tag = tag(&self.random, index, sighting, rejection);
            let is_full = level.is_full_for(sighting.principal);
            let over = |kind: &Kind| kind.count == 0 && at.since(kind.since) >= self.window;
            match level.kinds.get_mut(&tag) {
                // One whose first was not written has nothing that a count could refer to.
                Some(kind) if kind.of.is_some() && !over(kind) => {
                    kind.count(time);
                    return Seen::Counted;
                }
                None if is_full => continue,
                _ => {}
            }
            level.kinds.insert(tag, Kind::new(at, time));
            let end = at + self.window;
            self.due = Some(self.due.map_or(end, |due| due.min(end)));
            return Seen::Write(Some(FoldKey { level: index, tag }));
        }
        // Never reached: the last level has room for its only kind. Too much is better than too little.
        Seen::Write(None)
    }

    /// The first of a kind was written under this number. Until that is said, the next of the kind are firsts too.
    pub(super) fn wrote(&mut self, key: FoldKey, seq: u64) {
        let level = self.levels.get_mut(key.level);
        if let Some(kind) = level.and_then(|level| level.kinds.get_mut(&key.tag)) {
            kind.of = Some(seq);
        }
    }

    /// When to call [`flush`](Self::flush) next, if no refusals come before.
    pub(super) const fn due(&self) -> Option<Monotonic> {
        self.due
    }

    /// Gives out what was counted in windows that are over, or up to now if it is to be `everything`.
    pub(super) fn flush(&mut self, now: Monotonic, everything: bool, out: &mut Vec<Repeated>) {
        if !everything && self.due.is_none_or(|due| now < due) {
            return;
        }
        let window = self.window;
        let mut due = None;
        for (index, level) in self.levels.iter_mut().enumerate() {
            level.kinds.retain(|_, kind| {
                let is_over = now.since(kind.since) >= window;
                let was_counted = kind.count > 0;
                if let (Some(of), true) = (kind.of, was_counted && (is_over || everything)) {
                    out.push(kind.take(of, now, index > 0));
                }
                let is_old = now.since(kind.began) >= Self::AFRESH;
                let stays = !is_over || was_counted && !is_old;
                if stays {
                    let end = kind.since + window;
                    due = Some(due.map_or(end, |due: Monotonic| due.min(end)));
                }
                stays
            });
        }
        self.due = due;
    }
}

impl Level {
    /// Whether there is no room for another kind of this caller.
    fn is_full_for(&self, principal: Option<&Principal>) -> bool {
        let kept = if principal.is_none() { self.kept } else { 0 };
        self.kinds.len() >= self.max_kinds - kept
    }
}

impl Kind {
    const fn new(at: Monotonic, time: Timestamp) -> Self {
        Self {
            of: None,
            began: at,
            since: at,
            count: 0,
            first: time,
            last: time,
        }
    }

    /// One more. The wall clock may be set back meanwhile, and threads may come in another order.
    fn count(&mut self, time: Timestamp) {
        if self.count == 0 {
            (self.first, self.last) = (time, time);
        }
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        self.count = self.count.saturating_add(1);
    }

    /// What was counted; another window begins.
    const fn take(&mut self, of: u64, now: Monotonic, is_mixed: bool) -> Repeated {
        let repeated = Repeated {
            of,
            count: self.count,
            first: self.first,
            last: self.last,
            is_mixed,
        };
        self.count = 0;
        self.since = now;
        repeated
    }
}

/// Which kind it is, as told apart at a level.
fn tag(random: &RandomState, level: usize, sighting: &Sighting<'_>, rejection: &Rejection) -> u64 {
    let (stage, code) = (sighting.stage, rejection.code());
    let coarse = (rejection.reason(), sighting.method, sighting.route);
    match level {
        0 => {
            let from = (sighting.peer, sighting.principal.map(Caller::of));
            random.hash_one((stage, code, coarse, sighting.status, sighting.outcome, from))
        }
        1 => random.hash_one((stage, code, coarse)),
        2 => random.hash_one((stage, code)),
        _ => 0,
    }
}

/// All of a caller that is in records.
#[derive(Hash)]
struct Caller<'a> {
    issuer: &'a str,
    subject: Option<&'a str>,
    client: Option<&'a str>,
    token: Option<&'a str>,
    digest: Option<&'a [u8; 32]>,
}

impl<'a> Caller<'a> {
    fn of(principal: &'a Principal) -> Self {
        Self {
            issuer: principal.issuer(),
            subject: principal.subject(),
            client: principal.client_id(),
            token: principal.token_id(),
            digest: principal.token_digest().map(|digest| digest.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests;
