//! Logs that are broken in one way each, and what the suite says of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gateless_core::{StoreError, StoreFuture};
use rstest::rstest;
use tokio::runtime::Builder;

use super::*;
use crate::{FakeClock, MemoryLog};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// None: what the others are compared with.
    Sound,
    /// None, and nobody else writes to it.
    Alone,
    /// Nobody else writes to it, and nothing is there when it is opened again.
    ForgetsWhenClosed,
    /// The last record stays away.
    LoadsTooFew,
    /// Seconds, rounded down.
    CutsTimes,
    /// The last one wins.
    Replaces,
    /// What is taken back stays.
    KeepsWhatIsTakenBack,
    /// Whatever is taken back in an append is taken back first.
    TakesBackFirst,
    /// A retry of an old change takes effect.
    RepeatsInFull,
    /// An append of nothing fails.
    WantsSomething,
    /// An append with something that is over is refused.
    RefusesWhatIsOver,
    /// A hundred changes at most.
    TakesAHundred,
    /// One after the other.
    AppendsInParts,
    /// The first part of what comes behind a position is all of it.
    SkipsAfterAPart,
    /// Two thousand changes are all that it hands out at once.
    FollowsInParts,
    /// The position is that of the end of the load, and the records are those of its beginning.
    PositionTooLate,
    /// The changes of one call of `follow` are turned around.
    OtherOrder,
    /// Looks once, and sleeps then.
    IsNotWoken,
    /// Waits for ever for what does not come.
    WaitsForEver,
    /// Follows from any position.
    KnowsEveryPlace,
    /// Never has the changes.
    AlwaysAGap,
    /// Has not been told that it lost something.
    Loses,
    /// What was stored is only on its way.
    Queues,
}

#[derive(Clone, Debug)]
struct Broken {
    log: MemoryLog,
    flaw: Flaw,
}

impl Broken {
    async fn replace(&self, changes: &[RevocationChange]) -> Result<Appended, StoreError> {
        for change in changes {
            if let RevocationChange::Revoke(record) = change {
                let back = RevocationChange::Unrevoke(record.id());
                self.log.append(&[back]).await?;
            }
            self.log.append(&[*change]).await?;
        }
        Ok(Appended::Stored)
    }
}

impl RevocationLog for Broken {
    fn append<'a>(&'a self, changes: &'a [RevocationChange]) -> StoreFuture<'a, Appended> {
        let refused = || Box::pin(async { Err(StoreError::new("it does not like that")) });
        let is_unrevoke = |it: &RevocationChange| matches!(it, RevocationChange::Unrevoke(_));
        match self.flaw {
            Flaw::WantsSomething if changes.is_empty() => refused(),
            Flaw::TakesAHundred if changes.len() > 100 => refused(),
            Flaw::RefusesWhatIsOver
                if changes.iter().any(|it| match it {
                    RevocationChange::Revoke(record) => !record.is_live(FakeClock::START),
                    _ => false,
                }) =>
            {
                refused()
            }
            Flaw::Queues => Box::pin(async move {
                self.log.append(changes).await?;
                Ok(Appended::Queued)
            }),
            Flaw::KeepsWhatIsTakenBack => Box::pin(async move {
                let kept = changes.iter().filter(|it| !is_unrevoke(it));
                self.log.append(&kept.copied().collect::<Vec<_>>()).await
            }),
            Flaw::TakesBackFirst => Box::pin(async move {
                let mut changes = changes.to_vec();
                changes.sort_by_key(|it| !is_unrevoke(it));
                self.log.append(&changes).await
            }),
            Flaw::Replaces => Box::pin(self.replace(changes)),
            Flaw::RepeatsInFull if changes.iter().any(is_unrevoke) => {
                Box::pin(self.replace(changes))
            }
            Flaw::AppendsInParts => Box::pin(async move {
                for part in changes.chunks(100) {
                    self.log.append(part).await?;
                    yield_now().await;
                }
                Ok(Appended::Stored)
            }),
            _ => self.log.append(changes),
        }
    }

    fn load<'a>(
        &'a self,
        sink: &'a mut (dyn FnMut(&[RevocationRecord]) + Send),
    ) -> StoreFuture<'a, LogPosition> {
        Box::pin(async move {
            let mut records = Vec::new();
            let mut own = |part: &[RevocationRecord]| records.extend_from_slice(part);
            let mut position = self.log.load(&mut own).await?;
            match self.flaw {
                Flaw::LoadsTooFew => records.truncate(records.len().saturating_sub(1)),
                Flaw::CutsTimes => {
                    for record in &mut records {
                        let until = Timestamp::from_secs(record.until().as_secs());
                        *record = RevocationRecord::new(record.id(), record.issued_until(), until);
                    }
                }
                Flaw::PositionTooLate => {
                    yield_now().await;
                    position = self.log.load(&mut |_| ()).await?;
                }
                _ => {}
            }
            sink(&records);
            Ok(position)
        })
    }

    fn follow<'a>(&'a self, position: &'a LogPosition, wait: Duration) -> StoreFuture<'a, LogTail> {
        Box::pin(async move {
            match self.flaw {
                Flaw::Alone | Flaw::ForgetsWhenClosed => return Ok(LogTail::Alone),
                Flaw::AlwaysAGap => return Ok(LogTail::Gap),
                Flaw::WaitsForEver => return self.log.follow(position, Duration::MAX).await,
                Flaw::IsNotWoken => sleep(wait).await,
                _ => {}
            }
            let tail = self.log.follow(position, wait).await?;
            Ok(match (self.flaw, tail) {
                (Flaw::KnowsEveryPlace, LogTail::Lost) => LogTail::Changes {
                    changes: Vec::new(),
                    position: position.clone(),
                },
                (Flaw::Loses, LogTail::Changes { changes, .. }) if changes.len() > 1 => {
                    LogTail::Lost
                }
                (
                    Flaw::SkipsAfterAPart,
                    LogTail::Changes {
                        mut changes,
                        position,
                    },
                ) => {
                    changes.truncate(MemoryLog::PART - 1);
                    LogTail::Changes { changes, position }
                }
                (
                    Flaw::FollowsInParts,
                    LogTail::Changes {
                        mut changes,
                        position: end,
                    },
                ) => {
                    let left = changes.len().saturating_sub(2 * MANY);
                    changes.truncate(2 * MANY);
                    let (life, end) = end.as_bytes().split_first_chunk::<8>().unwrap();
                    let end = u64::from_be_bytes(end.try_into().unwrap());
                    let place = end - u64::try_from(left).unwrap();
                    let position = LogPosition::new([*life, place.to_be_bytes()].concat());
                    LogTail::Changes { changes, position }
                }
                (
                    Flaw::OtherOrder,
                    LogTail::Changes {
                        mut changes,
                        position,
                    },
                ) => {
                    changes.reverse();
                    LogTail::Changes { changes, position }
                }
                (_, tail) => tail,
            })
        })
    }
}

/// What the suite says, if anything.
fn objection(flaw: Flaw) -> Option<String> {
    let new = || MemoryLog::new(Arc::new(FakeClock::new()));
    let log = new();
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let suite = revocation_log_conformance(async || Broken {
        log: match flaw {
            Flaw::ForgetsWhenClosed => new(),
            _ => log.clone(),
        },
        flaw,
    });
    let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(suite))).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
}

#[rstest]
#[case(Flaw::Sound)]
#[case(Flaw::Alone)]
fn a_sound_log_conforms(#[case] flaw: Flaw) {
    assert_eq!(objection(flaw), None);
}

/// With threads, and with time that passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_in_memory_conforms() {
    let log = MemoryLog::new(Arc::new(FakeClock::new()));
    revocation_log_conformance(async || log.clone()).await;
    // Nothing was left out for want of other instances.
    assert!(log.follows() > 30);
}

#[rstest]
#[case(Flaw::ForgetsWhenClosed, "what was appended is there again")]
#[case(Flaw::LoadsTooFew, "what was appended is loaded")]
#[case(Flaw::CutsTimes, "what was appended is loaded")]
#[case(Flaw::Replaces, "times only become later")]
#[case(
    Flaw::KeepsWhatIsTakenBack,
    "changes of one append happen in their order"
)]
#[case(Flaw::TakesBackFirst, "changes of one append happen in their order")]
#[case(Flaw::RepeatsInFull, "changes of one append happen in their order")]
#[case(Flaw::WantsSomething, "changes are appended")]
#[case(Flaw::RefusesWhatIsOver, "changes are appended")]
#[case(Flaw::TakesAHundred, "changes are appended")]
#[case(Flaw::AppendsInParts, "an append is there as a whole or not at all")]
#[case(
    Flaw::SkipsAfterAPart,
    "a thousand changes are appended, loaded and followed"
)]
#[case(
    Flaw::FollowsInParts,
    "one call of follow has all changes that were there"
)]
#[case(
    Flaw::PositionTooLate,
    "nothing is missed between a load and its position"
)]
#[case(Flaw::OtherOrder, "changes of one append happen in their order")]
#[case(Flaw::IsNotWoken, "a follower that waits is woken by what comes")]
#[case(Flaw::WaitsForEver, "a call that is not to wait comes to an end")]
#[case(
    Flaw::KnowsEveryPlace,
    "nothing comes behind a position that the log never gave"
)]
#[case(Flaw::AlwaysAGap, "a few changes are kept for those who follow")]
#[case(Flaw::Loses, "nothing is lost while the suite runs")]
#[case(Flaw::Queues, "a log that is there stores")]
fn a_log_with_one_flaw_is_found(#[case] flaw: Flaw, #[case] expected: &str) {
    let objection = objection(flaw).expect("the suite finds something");
    assert!(objection.contains(expected), "{objection}");
}
