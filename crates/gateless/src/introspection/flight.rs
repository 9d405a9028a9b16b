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

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use gateless_core::TokenFault;

    use super::*;
    use crate::digest::Digester;
    use crate::epoch::PolicyEpoch;

    fn keys<const N: usize>() -> [TokenKey; N] {
        let (epoch, digester) = (PolicyEpoch::next(), Digester::random().unwrap());
        std::array::from_fn(|number| TokenKey {
            epoch,
            token: digester.digest(&[u8::try_from(number).unwrap()]),
        })
    }

    fn flights(max_concurrent: usize, max_waiting: usize) -> Arc<Flights> {
        Arc::new(Flights::new(max_concurrent, max_waiting))
    }

    fn join(flights: &Arc<Flights>, key: TokenKey) -> Joined<()> {
        flights.join(key, || None)
    }

    fn begin(flights: &Arc<Flights>, key: TokenKey) -> (Flight, Waiting) {
        match join(flights, key) {
            Joined::Begun(flight, waiting) => (flight, waiting),
            _ => panic!("somebody asks already"),
        }
    }

    /// How a call ended, as far as it has.
    fn ended(waiting: &Waiting) -> Option<Outcome> {
        let outcome = pin!(outcome(waiting.clone()));
        match outcome.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    fn inactive() -> Outcome {
        Ok(Err(TokenFault::Inactive))
    }

    fn is_inactive(outcome: Option<&Outcome>) -> bool {
        matches!(outcome, Some(Ok(Err(TokenFault::Inactive))))
    }

    #[test]
    fn tf_12_all_who_ask_wait_for_one_call() {
        let (flights, [key, other]) = (flights(1, 1), keys());
        let (flight, first) = begin(&flights, key);
        let Joined::UnderWay(second) = join(&flights, key) else {
            panic!("a second call for the same token");
        };
        assert!(matches!(join(&flights, other), Joined::Begun(..)));
        assert!(ended(&first).is_none() && ended(&second).is_none());
        flight.land(inactive());
        for waiting in [first, second] {
            assert!(is_inactive(ended(&waiting).as_ref()));
        }
        assert!(matches!(join(&flights, key), Joined::Begun(..)));
    }

    #[test]
    fn tf_13_so_many_and_no_more_are_under_way() {
        let (flights, [one, two, three, four]) = (flights(1, 2), keys());
        let (flight, _) = begin(&flights, one);
        let _held = [two, three].map(|key| begin(&flights, key));
        assert!(matches!(join(&flights, four), Joined::Full));
        assert!(matches!(join(&flights, two), Joined::UnderWay(_)));
        flight.land(inactive());
        assert!(matches!(join(&flights, four), Joined::Begun(..)));
    }

    #[test]
    fn a_call_that_is_dropped_tells_those_who_wait_and_makes_room() {
        let (flights, [key]) = (flights(1, 0), keys());
        let (flight, waiting) = begin(&flights, key);
        drop(flight);
        assert!(matches!(ended(&waiting), Some(Err(Unanswered::CutOff))));
        assert!(matches!(join(&flights, key), Joined::Begun(..)));
    }

    #[test]
    fn what_became_known_in_between_needs_no_call() {
        let (flights, [key]) = (flights(1, 0), keys());
        let joined = flights.join(key, || Some("known"));
        assert!(matches!(joined, Joined::Known("known")));
        let (_flight, _) = begin(&flights, key);
    }

    #[test]
    fn nobody_joins_a_call_that_was_disowned_and_nothing_of_it_is_remembered() {
        let (flights, [key]) = (flights(4, 0), keys());
        let (old, waiting) = begin(&flights, key);
        flights.disown();
        let (new, _) = begin(&flights, key);
        let mut remembered = Vec::new();
        old.if_owned(|| remembered.push("old"));
        new.if_owned(|| remembered.push("new"));
        assert_eq!(remembered, ["new"]);
        // The end of the old one is not that of the new one.
        old.land(inactive());
        assert!(is_inactive(ended(&waiting).as_ref()));
        assert!(matches!(join(&flights, key), Joined::UnderWay(_)));
    }
}
