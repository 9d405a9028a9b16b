//! Counters that are broken in one way each, and what the suite says of them.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use gateless_core::{Clock as _, Monotonic, StoreFuture, decide};
use rstest::rstest;
use tokio::runtime::Builder;

use super::*;
use crate::{FakeClock, MemoryQuotas};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// None: what the others are compared with.
    Sound,
    /// Lets somebody through who is a unit short.
    OneTooMany,
    /// Who is refused pays as well.
    PaysWhenRefused,
    /// Limits that had enough are paid when another had not.
    PaysInPart,
    /// Only the first limit counts.
    OneLimitOnly,
    /// Pays for one unit, however many there were.
    PaysForOne,
    /// Pays for what is asked when nothing is.
    NothingIsOne,
    /// The last byte of a key is lost.
    MixesKeys,
    /// Keys as texts that end at a NUL.
    KeysEndAtNul,
    /// Forgets after a second, whatever is owed.
    Forgets,
    /// Each instance counts for itself.
    CountsAlone,
    /// Reads, and then writes.
    Races,
    /// Hands out a whole stock.
    LeavesNothing,
    /// Who asks for more than a burst never gets anything.
    RefusesMoreThanABurst,
    /// Tells half the time.
    TellsTooShort,
    /// Tells whole seconds.
    TellsWholeSeconds,
    /// Counts in whole seconds.
    CountsWholeSeconds,
    /// No time passes.
    Freezes,
    /// More than a burst comes back in a while.
    HasNoEnd,
    /// Names the first limit, whichever it was.
    NamesTheFirst,
    /// Does not say by how much the caller is ahead.
    TellsNoDebts,
    /// Says what it was before.
    TellsOldDebts,
}

#[derive(Clone, Debug)]
struct Broken {
    clock: FakeClock,
    paid: Arc<Mutex<HashMap<Vec<u8>, Vec<u64>>>>,
    flaw: Flaw,
}

impl Broken {
    fn name(&self, key: &StoreKey) -> Vec<u8> {
        let bytes = key.as_bytes();
        match self.flaw {
            Flaw::MixesKeys => bytes[..31].to_vec(),
            Flaw::KeysEndAtNul => bytes
                .iter()
                .copied()
                .take_while(|byte| *byte != 0)
                .collect(),
            _ => bytes.to_vec(),
        }
    }

    fn now(&self) -> u64 {
        let start = Monotonic::from_start(Duration::ZERO);
        let now = self.clock.monotonic().since(start);
        let now = 1_000_000 + u64::try_from(now.as_micros()).unwrap();
        match self.flaw {
            Flaw::Freezes => 1_000_000,
            Flaw::CountsWholeSeconds => now - now % 1_000_000,
            _ => now,
        }
    }

    fn decide(&self, limits: &[Limit], paid: &mut [u64], ask: Ask) -> Taken {
        let now = self.now();
        let before = paid.to_vec();
        let count = if self.flaw == Flaw::OneLimitOnly {
            1
        } else {
            limits.len()
        };
        let later = if self.flaw == Flaw::OneTooMany {
            limits[0].interval()
        } else {
            0
        };
        let asked = match self.flaw {
            Flaw::LeavesNothing => Ask::stock(ask.least(), ask.most(), 1),
            Flaw::NothingIsOne if ask.most() == 0 => ONE,
            _ => ask,
        };
        let mut decision = decide(&limits[..count], paid, now + later, asked);
        if self.flaw == Flaw::RefusesMoreThanABurst && ask.least() > limits[0].burst() {
            let retry_after = Duration::from_secs(3600);
            decision = Decision::Refused {
                limit: 0,
                retry_after,
            };
        }
        for (paid, limit) in paid.iter_mut().zip(limits) {
            let units = match decision {
                Decision::Granted(_) if self.flaw == Flaw::PaysForOne => 1,
                Decision::Granted(units) => units,
                Decision::Refused { .. } if self.flaw == Flaw::PaysWhenRefused => 1,
                Decision::Refused { .. } if self.flaw == Flaw::PaysInPart => {
                    u32::from(limit.wait(*paid, now, 1) == 0)
                }
                Decision::Refused { .. } => 0,
            };
            *paid = match self.flaw {
                // Without the end of a burst, who was away has all of it.
                Flaw::HasNoEnd if *paid > 0 => *paid + limit.interval() * u64::from(units),
                _ => limit.after(*paid, now, units),
            };
        }
        if let Decision::Refused { limit, retry_after } = &mut decision {
            match self.flaw {
                Flaw::TellsTooShort => *retry_after /= 2,
                Flaw::TellsWholeSeconds => {
                    *retry_after = Duration::from_secs(retry_after.as_secs() + 1);
                }
                Flaw::NamesTheFirst => *limit = 0,
                _ => {}
            }
        }
        let debts = match self.flaw {
            Flaw::TellsNoDebts => Vec::new(),
            Flaw::TellsOldDebts => debts(limits, &before, now),
            _ => debts(limits, paid, now),
        };
        Taken { decision, debts }
    }
}

fn debts(limits: &[Limit], paid: &[u64], now: u64) -> Vec<u64> {
    let each = limits.iter().zip(paid);
    each.map(|(limit, paid)| limit.debt(*paid, now)).collect()
}

impl QuotaStore for Broken {
    fn take<'a>(
        &'a self,
        key: &'a StoreKey,
        limits: &'a [Limit],
        ask: Ask,
    ) -> StoreFuture<'a, Taken> {
        Box::pin(async move {
            let name = self.name(key);
            let known = self.paid.lock().unwrap().get(&name).cloned();
            let mut paid = known.unwrap_or_else(|| vec![0; limits.len()]);
            let now = self.now();
            if self.flaw == Flaw::Forgets && paid.iter().all(|paid| *paid < now + 3_600_000_000) {
                paid.fill(0);
            }
            let taken = self.decide(limits, &mut paid, ask);
            if self.flaw == Flaw::Races {
                yield_now().await;
            }
            self.paid.lock().unwrap().insert(name, paid);
            Ok(taken)
        })
    }
}

/// What the suite says, if anything: of a clock that stands still, or of one that shows nobody knows what.
fn objection(flaw: Flaw, stands_still: bool) -> Option<String> {
    let clock = FakeClock::new();
    let broken = Broken {
        clock: clock.clone(),
        paid: Arc::default(),
        flaw,
    };
    let make = async || {
        let mut made = broken.clone();
        if flaw == Flaw::CountsAlone {
            made.paid = Arc::default();
        }
        made
    };
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(stands_still)
        .build()
        .unwrap();
    let suite = quota_store_conformance(make, async |by| clock.advance(by));
    let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(suite))).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
}

#[test]
fn a_sound_store_conforms() {
    for stands_still in [true, false] {
        assert_eq!(objection(Flaw::Sound, stands_still), None);
    }
}

#[tokio::test(start_paused = true)]
async fn the_counter_in_memory_conforms() {
    let clock = FakeClock::new();
    let quotas = MemoryQuotas::new(Arc::new(clock.clone()));
    quota_store_conformance(async || quotas.clone(), async |by| clock.advance(by)).await;
}

/// As it is for a real store, whose clock shows nobody knows what.
#[tokio::test]
async fn the_counter_in_memory_conforms_while_time_passes() {
    let clock = FakeClock::new();
    let quotas = MemoryQuotas::new(Arc::new(clock.clone()));
    quota_store_conformance(async || quotas.clone(), async |by| clock.advance(by)).await;
}

#[rstest]
#[case(Flaw::OneTooMany, "a burst comes back unit by unit")]
#[case(Flaw::PaysWhenRefused, "the caller is ahead by one of")]
#[case(Flaw::PaysInPart, "all limits have enough, or none of them pays")]
#[case(Flaw::OneLimitOnly, "all limits have enough, or none of them pays")]
#[case(Flaw::PaysForOne, "the caller is ahead by one of")]
#[case(Flaw::NothingIsOne, "nothing can always be had")]
#[case(Flaw::MixesKeys, "each key has a quota of its own")]
#[case(Flaw::KeysEndAtNul, "each key has a quota of its own")]
#[case(Flaw::Forgets, "a burst comes back unit by unit")]
#[case(Flaw::CountsAlone, "a burst comes back unit by unit")]
#[case(Flaw::Races, "64 who ask at the same time")]
#[case(Flaw::LeavesNothing, "a stock leaves some to others")]
#[case(Flaw::RefusesMoreThanABurst, "more than a burst counts as a burst")]
#[case(Flaw::TellsTooShort, "a burst comes back unit by unit")]
#[case(Flaw::TellsWholeSeconds, "a burst comes back unit by unit")]
#[case(Flaw::CountsWholeSeconds, "who waits as long as told is let through")]
#[case(Flaw::Freezes, "a burst comes back unit by unit")]
#[case(Flaw::HasNoEnd, "the caller is ahead by one of")]
#[case(Flaw::NamesTheFirst, "all limits have enough, or none of them pays")]
#[case(Flaw::TellsNoDebts, "a burst comes back unit by unit")]
#[case(Flaw::TellsOldDebts, "the caller is ahead by one of")]
fn a_store_with_one_flaw_is_found(#[case] flaw: Flaw, #[case] expected: &str) {
    for stands_still in [true, false] {
        let objection = objection(flaw, stands_still).expect("the suite finds something");
        assert!(objection.contains(expected), "{objection}");
    }
}
