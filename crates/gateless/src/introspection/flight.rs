//! Calls under way: one for each token, so many at once, and all who want to know wait for the same one.
//!
//! A call is a task of its own. Whoever asked for it may go away; the others get their answer, and it is remembered.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

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

impl Unanswered {
    /// Whether this is an outage of the server, in which the last answer may be used for longer.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Failed(error) => error.is_outage(),
            // Whoever has a last answer has turns of its own, which are all taken by calls that do not end.
            Self::Open(_) | Self::Busy => true,
            Self::CutOff => false,
        }
    }
}

/// The calls under way.
///
/// A quarter of all turns, and one at least where there are two, is kept for tokens that were good the last time: whoever
/// floods the service with made-up ones does not come between the others and the renewal of their answers.
pub(super) struct Flights {
    under_way: Mutex<UnderWay>,
    /// How many there may be of either kind, those included that wait for their turn.
    most: usize,
    /// How many may be at the endpoint at once.
    turns: Semaphore,
    /// How many of those may be for tokens that nobody knows.
    turns_of_strangers: Semaphore,
}

#[derive(Default)]
struct UnderWay {
    /// Numbers the calls.
    begun: u64,
    calls: HashMap<TokenKey, (u64, Waiting)>,
    /// How many have not ended, also of those that nobody can join any more.
    renewals: usize,
    strangers: usize,
}

impl UnderWay {
    const fn count(&mut self, whose: Whose) -> &mut usize {
        match whose {
            Whose::Known => &mut self.renewals,
            Whose::Stranger => &mut self.strangers,
        }
    }
}

/// Whose token a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// It was good the last time.
    Known,
    /// Nobody asked about it before, or it was no good.
    Stranger,
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
    /// `keeps_turns` where tokens are remembered: without that all of them are strangers.
    pub(super) fn new(max_concurrent: usize, max_waiting: usize, keeps_turns: bool) -> Self {
        let kept = match max_concurrent {
            2.. if keeps_turns => (max_concurrent / 4).max(1),
            _ => 0,
        };
        Self {
            under_way: Mutex::default(),
            most: max_concurrent.saturating_add(max_waiting),
            turns: Semaphore::new(max_concurrent),
            turns_of_strangers: Semaphore::new(max_concurrent - kept),
        }
    }

    /// Joins the call for a token, or begins one. `look` is asked first: what an ended call found out is remembered
    /// before the call is taken off the list, so that nobody can miss both.
    pub(super) fn join<T>(
        self: &Arc<Self>,
        key: TokenKey,
        whose: Whose,
        look: impl FnOnce() -> Option<T>,
    ) -> Joined<T> {
        let mut under_way = self.under_way();
        if let Some((_, waiting)) = under_way.calls.get(&key) {
            return Joined::UnderWay(waiting.clone());
        }
        if let Some(known) = look() {
            return Joined::Known(known);
        }
        let count = under_way.count(whose);
        if *count >= self.most {
            return Joined::Full;
        }
        *count += 1;
        under_way.begun += 1;
        let (landing, waiting) = watch::channel(None);
        let number = under_way.begun;
        under_way.calls.insert(key, (number, waiting.clone()));
        let flight = Flight {
            flights: Arc::clone(self),
            key,
            whose,
            number,
            landing,
        };
        Joined::Begun(flight, waiting)
    }

    /// From now on nobody joins a call that was begun before, and nothing that one brings is remembered.
    pub(super) fn disown(&self) {
        self.under_way().calls.clear();
    }

    /// Waits for a turn at the endpoint, which ends when what this returns is dropped.
    async fn turn(&self, whose: Whose) -> Option<Turn<'_>> {
        let stranger = match whose {
            Whose::Known => None,
            Whose::Stranger => Some(self.turns_of_strangers.acquire().await.ok()?),
        };
        Some(Turn {
            _turn: self.turns.acquire().await.ok()?,
            _stranger: stranger,
        })
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to be at the endpoint.
pub(super) struct Turn<'f> {
    _turn: SemaphorePermit<'f>,
    _stranger: Option<SemaphorePermit<'f>>,
}

/// A call under way. Whatever becomes of it, also when its task panics or is dropped, it leaves the list, and those who
/// wait are told.
pub(super) struct Flight {
    flights: Arc<Flights>,
    key: TokenKey,
    whose: Whose,
    number: u64,
    landing: watch::Sender<Option<Outcome>>,
}

impl Flight {
    pub(super) const fn key(&self) -> TokenKey {
        self.key
    }

    /// Waits for a turn at the endpoint.
    pub(super) async fn turn(&self) -> Option<Turn<'_>> {
        self.flights.turn(self.whose).await
    }

    pub(super) const fn whose(&self) -> Whose {
        self.whose
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

    /// Tells everybody who waits. What is left to do after that still counts as a call.
    pub(super) fn land(&self, outcome: Outcome) {
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
        let mut under_way = self.flights.under_way();
        let count = under_way.count(self.whose);
        *count = count.saturating_sub(1);
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
        Arc::new(Flights::new(max_concurrent, max_waiting, true))
    }

    fn join(flights: &Arc<Flights>, key: TokenKey) -> Joined<()> {
        flights.join(key, Whose::Stranger, || None)
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
        assert!(matches!(join(&flights, four), Joined::Full), "it goes on");
        drop(flight);
        assert!(matches!(join(&flights, four), Joined::Begun(..)));
    }

    #[test]
    fn where_there_are_two_turns_one_is_kept_unless_nobody_is_known() {
        let turns = |max_concurrent, keeps_turns| {
            let flights = Flights::new(max_concurrent, 0, keeps_turns);
            flights.turns_of_strangers.available_permits()
        };
        assert_eq!(
            [1, 2, 3, 4, 64].map(|most| turns(most, true)),
            [1, 1, 2, 3, 48]
        );
        assert_eq!(
            [1, 2, 3, 4, 64].map(|most| turns(most, false)),
            [1, 2, 3, 4, 64]
        );
    }

    #[test]
    fn strangers_do_not_take_the_turns_and_places_of_those_who_are_known() {
        let (flights, [one, two, three, four, known, renewed]) = (flights(4, 0), keys());
        let strangers = [one, two, three, four].map(|key| begin(&flights, key).0);
        assert!(matches!(join(&flights, known), Joined::Full));
        let mut turns: Vec<_> = strangers.iter().map(|flight| now(flight.turn())).collect();
        let fourth = turns.pop().unwrap();
        assert!(turns.iter().all(Option::is_some) && fourth.is_none());
        let joined = flights.join(renewed, Whose::Known, || None::<()>);
        let Joined::Begun(renewal, _) = joined else {
            panic!("no place for a token that is known");
        };
        assert!(now(renewal.turn()).is_some());
        // One that nobody can join any more still counts.
        flights.disown();
        assert!(matches!(join(&flights, known), Joined::Full));
    }

    /// The turn, when it need not be waited for.
    fn now<'f>(turn: impl Future<Output = Option<Turn<'f>>>) -> Option<Turn<'f>> {
        match pin!(turn).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => turn,
            Poll::Pending => None,
        }
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
        let joined = flights.join(key, Whose::Stranger, || Some("known"));
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
