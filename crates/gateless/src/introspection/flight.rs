//! Calls under way: one for each token, so many at once, and all who want to know wait for the same one.
//!
//! A call is a task of its own. Whoever asked for it may go away; the others get their answer, and it is remembered.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};

use super::cache::{Finding, TokenKey};
use super::endpoint::CallError;

/// How a call ended.
pub(super) type Outcome = Result<Finding, Unanswered>;

/// Why nothing was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The endpoint was asked.
    Failed(CallError),
    /// It is left alone for so long, after it failed several times.
    Open(std::time::Duration),
    /// There was no turn in time, or there are too many waiting already.
    Busy,
    /// The call was cut off: no runtime to make it on, or one that is shutting down.
    CutOff,
}

/// The calls under way.
pub(super) struct Flights {
    under_way: Mutex<UnderWay>,
    /// How many there may be, those included that wait for their turn.
    most: usize,
    /// How many of them may be at the endpoint at once.
    turns: Semaphore,
}

#[derive(Default)]
struct UnderWay {
    /// Numbers the calls.
    begun: u64,
    calls: HashMap<TokenKey, (u64, Waiting)>,
}

/// Somebody who waits for a call to end.
pub(super) type Waiting = watch::Receiver<Option<Outcome>>;

/// What somebody finds who wants to know about a token.
pub(super) enum Joined<T> {
    /// It became known in between.
    Known(T),
    /// Somebody asks already.
    UnderWay(Waiting),
    /// Nobody does: it is on the caller to ask.
    Begun(Flight, Waiting),
    /// There are too many waiting already.
    Full,
}

impl Flights {
    pub(super) fn new(max_concurrent: usize, max_waiting: usize) -> Self {
        Self {
            under_way: Mutex::default(),
            most: max_concurrent.saturating_add(max_waiting),
            turns: Semaphore::new(max_concurrent),
        }
    }

    /// Joins the call for a token, or begins one. `look` is asked first: what an ended call found out is remembered
    /// before the call is taken off the list, so that nobody can miss both.
    pub(super) fn join<T>(
        self: &Arc<Self>,
        key: TokenKey,
        look: impl FnOnce() -> Option<T>,
    ) -> Joined<T> {
        let mut under_way = self.under_way();
        if let Some((_, waiting)) = under_way.calls.get(&key) {
            return Joined::UnderWay(waiting.clone());
        }
        if let Some(known) = look() {
            return Joined::Known(known);
        }
        if under_way.calls.len() >= self.most {
            return Joined::Full;
        }
        under_way.begun += 1;
        let (landing, waiting) = watch::channel(None);
        let number = under_way.begun;
        under_way.calls.insert(key, (number, waiting.clone()));
        let flight = Flight {
            flights: Arc::clone(self),
            key,
            number,
            landing,
        };
        Joined::Begun(flight, waiting)
    }

    /// From now on nobody joins a call that was begun before, and nothing that one brings is remembered.
    pub(super) fn disown(&self) {
        self.under_way().calls.clear();
    }

    pub(super) const fn turns(&self) -> &Semaphore {
        &self.turns
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way. Whatever becomes of it, also when its task panics or is dropped, it leaves the list, and those who
/// wait are told.
pub(super) struct Flight {
    flights: Arc<Flights>,
    key: TokenKey,
    number: u64,
    landing: watch::Sender<Option<Outcome>>,
}

impl Flight {
    pub(super) const fn key(&self) -> TokenKey {
        self.key
    }

    /// Runs `remember` unless the call was [disowned](Flights::disown). One that is disowned later finds that done, and
    /// can undo it.
    pub(super) fn if_owned(&self, remember: impl FnOnce()) {
        let under_way = self.flights.under_way();
        let current = under_way.calls.get(&self.key);
        if current.is_some_and(|(number, _)| *number == self.number) {
            remember();
        }
    }

    /// Tells everybody who waits.
    pub(super) fn land(self, outcome: Outcome) {
        self.leave();
        self.landing.send_replace(Some(outcome));
    }

    fn leave(&self) {
        let mut under_way = self.flights.under_way();
        if let Some((number, _)) = under_way.calls.get(&self.key)
            && *number == self.number
        {
            under_way.calls.remove(&self.key);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Waits for a call to end.
pub(super) async fn outcome(mut waiting: Waiting) -> Outcome {
    match waiting.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().unwrap_or(Err(Unanswered::CutOff)),
        Err(_) => Err(Unanswered::CutOff),
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}
