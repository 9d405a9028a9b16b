//! Units in stock: taken from the store some at a time, and given out here.
//!
//! Of one caller at most one call is under way. It is a task of its own, and goes on until everybody who waits has an answer.

use std::collections::VecDeque;
use std::sync::Arc;

use gateless_core::{Ask, Decision, StoreKey};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::front::{Front, Taking};
use super::places::Place;
use crate::circuit::Leave;
use crate::limit::count::Count;
use crate::limit::table::Tag;

/// Which part of what a caller has left is put in stock at most.
const DIVISOR: u32 = 4;

/// Those who wait, in the order in which they came.
#[derive(Default)]
pub(super) struct Line(VecDeque<Waiter>);

struct Waiter {
    cost: u32,
    tell: oneshot::Sender<Decision>,
}

impl Line {
    fn join(&mut self, cost: u32) -> oneshot::Receiver<Decision> {
        let (tell, told) = oneshot::channel();
        self.0.push_back(Waiter { cost, tell });
        told
    }
}

impl Front {
    /// Gives out units of the stock of a caller, or has more brought: at most `units` are in stock.
    pub(super) fn take_of_stock(
        self: &Arc<Self>,
        tag: Tag,
        key: impl FnOnce() -> StoreKey,
        cost: u32,
        units: u32,
    ) -> Taking {
        let now = self.now();
        let mut seat = self.places.seat(tag);
        let place = seat.find();
        let known = place.and_then(|place| match place.line {
            // What is in stock is for those who came before.
            Some(_) => place.refuse(cost, now, &self.limits),
            None => place.take(cost, now, &self.limits),
        });
        if let Some(decision) = known {
            return Taking::Now(Count::of(decision));
        }
        let runtime = Handle::try_current();
        let (Ok(runtime), None) = (runtime, self.health.pause()) else {
            drop(seat);
            return Taking::Now(self.without_store(tag, cost));
        };
        if let Some(line) = seat.find().and_then(|place| place.line.as_mut()) {
            let told = line.join(cost);
            drop(seat);
            return self.wait(tag, cost, told);
        }
        let Some(leave) = self.health.admit() else {
            drop(seat);
            return Taking::Now(self.without_store(tag, cost));
        };
        let Some(place) = seat.find_or_make(now) else {
            drop(seat);
            return self.ask_for_one(&runtime, tag, key(), cost, leave);
        };
        let told = place.line.insert(Box::default()).join(cost);
        drop(seat);
        let flight = Flight {
            front: Arc::clone(self),
            tag,
            units,
            is_short: false,
            is_over: false,
        };
        runtime.spawn(flight.run(key(), leave));
        self.wait(tag, cost, told)
    }

    fn wait(self: &Arc<Self>, tag: Tag, cost: u32, told: oneshot::Receiver<Decision>) -> Taking {
        let front = Arc::clone(self);
        Taking::Wait(Box::pin(async move {
            match tokio::time::timeout(front.deadline, told).await {
                Ok(Ok(decision)) => Count::of(decision),
                _ => front.without_store(tag, cost),
            }
        }))
    }
}

/// Brings units for one caller, until nobody waits. Whatever becomes of it, also when its task panics or is dropped, nobody
/// waits for it after that.
struct Flight {
    front: Arc<Front>,
    tag: Tag,
    units: u32,
    /// There is not enough for all who wait.
    is_short: bool,
    /// There is no line any more, or it is that of another flight.
    is_over: bool,
}

/// What to ask for, and for whom.
enum Wish {
    ForAll(Ask),
    ForTheFirst(Ask),
}

impl Flight {
    async fn run(mut self, key: StoreKey, leave: Leave) {
        let mut leave = Some(leave);
        while let Some(wish) = self.serve() {
            let front = &self.front;
            let Some(leave) = leave.take().or_else(|| front.health.admit()) else {
                return;
            };
            let sent = front.now();
            let Some(taken) = front.ask(&key, wish.ask(), leave).await else {
                return;
            };
            self.land(taken.decision, &wish, sent);
        }
    }

    /// Answers everybody who can be, and says what to ask for those who are left. When there is nobody, it is over.
    fn serve(&mut self) -> Option<Wish> {
        let (now, units) = (self.front.now(), self.units);
        let mut seat = self.front.places.seat(self.tag);
        let wish = seat.find().and_then(|place| {
            let mut line = place.line.take()?;
            let Some(first) = line.serve(place, now, &self.front) else {
                // What was brought for somebody who has gone is no stock: it is paid for, and lost.
                place.credit = place.credit.min(units);
                return None;
            };
            let costs = line.costs();
            let is_short = || place.refuse(costs, now, &self.front.limits).is_some();
            let wish = match costs > first && (self.is_short || is_short()) {
                false => Wish::for_all(costs, first, place.credit, units),
                true => Wish::for_the_first(costs, first, place.credit),
            };
            place.line = Some(line);
            Some(wish)
        });
        self.is_over = wish.is_none();
        wish
    }

    /// Puts in stock what was granted, or tells the first one that it was refused.
    fn land(&mut self, decision: Decision, wish: &Wish, sent: u64) {
        let ask = wish.ask();
        let mut seat = self.front.places.seat(self.tag);
        let Some(place) = seat.find() else { return };
        self.is_short = false;
        match decision {
            Decision::Granted(units) => {
                let units = units.min(ask.most());
                place.credit = place.credit.saturating_add(units);
            }
            Decision::Refused { .. } => {
                if let Some(refusal) = self.front.refusal(&decision, ask.least(), sent) {
                    place.remember(refusal, sent);
                }
                let line = place.line.as_mut();
                match wish {
                    Wish::ForAll(_) => self.is_short = true,
                    Wish::ForTheFirst(_) => {
                        if let Some(first) = line.and_then(|line| line.0.pop_front()) {
                            // Whoever has gone does not need it.
                            let _ = first.tell.send(decision);
                        }
                    }
                }
            }
        }
    }
}

impl Wish {
    /// What all lack who wait, so that one call does for them however many they are, and more for the stock if that is a small
    /// part of what there is.
    const fn for_all(costs: u32, first: u32, credit: u32, units: u32) -> Self {
        let room = units.saturating_sub(credit);
        let lacks = first.saturating_sub(credit);
        match costs.saturating_sub(credit) {
            all if all > lacks => Self::ForAll(Ask::stock(all, room, DIVISOR)),
            _ => Self::ForTheFirst(Ask::stock(lacks, room, DIVISOR)),
        }
    }

    /// What the first one lacks, and what the others do as far as it is there.
    const fn for_the_first(costs: u32, first: u32, credit: u32) -> Self {
        let all = costs.saturating_sub(credit);
        Self::ForTheFirst(Ask::stock(first.saturating_sub(credit), all, 1))
    }

    const fn ask(&self) -> Ask {
        match self {
            Self::ForAll(ask) | Self::ForTheFirst(ask) => *ask,
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let now = self.front.now();
        let mut seat = self.front.places.seat(self.tag);
        if let Some(place) = seat.find()
            && let Some(line) = place.line.take()
        {
            // Those for whom there are units in stock get them. The others learn that nothing comes.
            for waiter in line.0 {
                waiter.serve(place, now, &self.front);
            }
            place.credit = place.credit.min(self.units);
        }
    }
}

impl Line {
    /// Answers those who can be, up to the first who cannot: what that one costs.
    fn serve(&mut self, place: &mut Place, now: u64, front: &Front) -> Option<u32> {
        while let Some(waiter) = self.0.pop_front() {
            if let Some(waiter) = waiter.serve(place, now, front) {
                let cost = waiter.cost;
                self.0.push_front(waiter);
                return Some(cost);
            }
        }
        None
    }

    /// What those cost together who are still there.
    fn costs(&self) -> u32 {
        let waiting = self.0.iter().filter(|waiter| !waiter.tell.is_closed());
        waiting.fold(0, |costs, waiter| costs.saturating_add(waiter.cost))
    }
}

impl Waiter {
    /// Answers, if that can be done without the store. Who has gone needs no answer.
    fn serve(self, place: &mut Place, now: u64, front: &Front) -> Option<Self> {
        if self.tell.is_closed() {
            return None;
        }
        let Some(decision) = place.take(self.cost, now, &front.limits) else {
            return Some(self);
        };
        if self.tell.send(decision).is_err()
            && let Decision::Granted(units) = decision
        {
            // Gone in that very moment: it stays in stock.
            place.credit = place.credit.saturating_add(units);
        }
        None
    }
}
