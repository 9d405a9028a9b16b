//! Keeps the list up to date: loads it, follows its log, notices what it missed, and puts back what the log has lost.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use gateless_core::{
    Appended, LogPosition, LogTail, Revocation, RevocationChange, RevocationId, RevocationKind,
    RevocationRecord, StoreError,
};
use tokio::sync::{Notify, mpsc};
use tokio::task;
use tokio::time::{sleep, timeout};

use super::GRACE;
use super::builder::WhenFull;
use super::handle::{Live, new_list};
use super::list::{ListFull, RevocationList};

/// How long the log may wait for something to come, or less where a list is fresh for a short time only. So the list is
/// confirmed about that often.
const WAIT: Duration = Duration::from_secs(1);
/// How often a list is tidied up whose log nobody else writes to.
const TIDY_PAUSE: Duration = Duration::from_secs(10);
/// What the log may take on top of that.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a whole list may take.
const LOAD_TIMEOUT: Duration = Duration::from_secs(300);
/// Between two tries while the log is away; doubled each time.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// Caches are walked through no more often than that.
const PURGE_PAUSE: Duration = Duration::from_secs(1);
/// How many records are put back into the log at once.
const PART: usize = 1000;

/// What comes next.
enum Step {
    /// The whole list, in place of what there is; and where what there is ends, if there is any.
    Load(Option<LogPosition>),
    /// The whole list, on top of what there is: the log has lost something, and this instance may be the last to know it.
    Rejoin,
    /// What comes behind a position.
    Follow(LogPosition),
    /// Nobody else writes to this log.
    Tidy,
}

/// What a whole list is loaded onto.
enum Onto<'s> {
    /// A new list, which takes the place of one that ends at this position.
    Nothing(Option<&'s LogPosition>),
    /// The list that is in use.
    Held(Arc<RevocationList>),
}

/// Why the list cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyncError {
    #[error("{}", innermost(.0))]
    Log(#[from] StoreError),
    #[error("no answer in time")]
    TimedOut,
    #[error("the list has no room for what others revoked")]
    Full(#[from] ListFull),
    #[error("the log is away again")]
    AwayAgain,
}

/// The reason behind all the words that were put around it.
pub(super) fn innermost(error: &StoreError) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Begins to keep the list of `live` up to date, for as long as somebody else holds it.
pub(super) fn start(live: &Arc<Live>) {
    let weak = Arc::downgrade(live);
    tokio::spawn(keep_up(Weak::clone(&weak)));
    tokio::spawn(when_told(
        Arc::clone(&live.to_put_back),
        Weak::clone(&weak),
        |live| async move {
            let Err(error) = live.put_back().await else {
                return;
            };
            let again = Arc::clone(&live.to_put_back);
            let mut progress = live.progress.subscribe();
            drop(live);
            if matches!(error, SyncError::AwayAgain) {
                let turns = progress.borrow().turns;
                // An error says that there is nobody left to do it for.
                let _ = progress.wait_for(|progress| progress.turns > turns).await;
            }
            sleep(PAUSES[1]).await;
            again.notify_one();
        },
    ));
    if live.has_caches() {
        tokio::spawn(when_told(
            Arc::clone(&live.to_purge),
            weak,
            |live| async move {
                live.purge();
                drop(live);
                sleep(PURGE_PAUSE).await;
            },
        ));
    }
}

/// Does something each time that it is told to, until nobody is left to do it for.
async fn when_told<F: Future<Output = ()>>(
    notify: Arc<Notify>,
    live: Weak<Live>,
    act: impl Fn(Arc<Live>) -> F,
) {
    loop {
        notify.notified().await;
        let Some(live) = live.upgrade() else { return };
        act(live).await;
    }
}

async fn keep_up(live: Weak<Live>) {
    let mut step = Step::Load(None);
    let [mut pause, longest] = PAUSES;
    while let Some(live) = live.upgrade() {
        let outcome = live.take(&step).await;
        live.measure();
        match outcome {
            Ok(Step::Tidy) => {
                step = Step::Tidy;
                drop(live);
                sleep(TIDY_PAUSE).await;
            }
            Ok(next) => {
                [pause, _] = PAUSES;
                let goes_on = matches!(next, Step::Follow(_));
                step = next;
                if !goes_on {
                    // A log that says so each time is not to be loaded as fast as it can be.
                    drop(live);
                    sleep(pause).await;
                }
            }
            Err(error) => {
                live.failed(&error);
                drop(live);
                sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
        }
    }
}

impl Live {
    async fn take(&self, step: &Step) -> Result<Step, SyncError> {
        match step {
            Step::Load(behind) => self.load(Onto::Nothing(behind.as_ref())).await,
            Step::Rejoin => {
                let next = self.load(Onto::Held(self.list.load_full())).await?;
                // Once more: what somebody took back in between is still held here, and all have to agree.
                self.to_put_back.notify_one();
                Ok(next)
            }
            Step::Follow(position) => self.follow(position).await,
            Step::Tidy => Ok(Step::Tidy),
        }
    }

    /// Loads everything: on top of a list that is in use, or into a new one that takes its place.
    async fn load(&self, onto: Onto<'_>) -> Result<Step, SyncError> {
        let asked = self.clock.monotonic();
        let (list, replaces) = match &onto {
            Onto::Nothing(_) => (Arc::new(new_list(self.capacity)), true),
            Onto::Held(list) => (Arc::clone(list), false),
        };
        // What is changed here meanwhile may be missing in what the log hands out.
        self.changing().meanwhile = Some(Vec::new());
        let mut held = Ok(());
        let mut sink = |records: &[RevocationRecord]| {
            for record in records {
                if let Err(full) = self.insert(&list, record) {
                    held = Err(full);
                }
            }
        };
        let loaded = timeout(LOAD_TIMEOUT, self.log.load(&mut sink)).await;
        // The log may have lost its data after it said that changes are missing: what is held here is not given up for
        // that.
        if let (Ok(Ok(_)), Onto::Nothing(Some(behind))) = (&loaded, onto) {
            let tail = timeout(PATIENCE, self.log.follow(behind, Duration::ZERO)).await;
            match tail
                .map_err(|_| SyncError::TimedOut)
                .and_then(|tail| Ok(tail?))
            {
                Ok(LogTail::Gap | LogTail::Changes { .. } | LogTail::Alone) => {}
                Ok(_) => {
                    self.changing().meanwhile = None;
                    return Ok(self.lost());
                }
                Err(error) => {
                    self.changing().meanwhile = None;
                    return Err(error);
                }
            }
        }
        let mut changing = self.changing();
        let meanwhile = changing.meanwhile.take().unwrap_or_default();
        let position = loaded.map_err(|_| SyncError::TimedOut)??;
        held?;
        if replaces {
            for change in &meanwhile {
                self.change(&list, change)?;
            }
            self.list.store(list);
        }
        drop(changing);
        self.freshness.confirm(asked);
        self.loaded();
        Ok(Step::Follow(position))
    }

    async fn follow(&self, position: &LogPosition) -> Result<Step, SyncError> {
        let asked = self.clock.monotonic();
        let wait = WAIT.min(self.terms.fresh_for / 4);
        let tail = timeout(wait + PATIENCE, self.log.follow(position, wait)).await;
        match tail.map_err(|_| SyncError::TimedOut)?? {
            LogTail::Changes { changes, position } => {
                self.apply(&changes)?;
                // Everything that was there when it was asked for is here now.
                self.freshness.confirm(asked);
                self.worked();
                Ok(Step::Follow(position))
            }
            LogTail::Alone => {
                self.freshness.confirm_for_good();
                self.worked();
                Ok(Step::Tidy)
            }
            LogTail::Gap => {
                self.metrics.synced("gap");
                tracing::warn!(
                    name: "gateless.denylist.gap",
                    "changes of the denylist were missed: it is loaded anew"
                );
                Ok(Step::Load(Some(position.clone())))
            }
            // `Lost`, or something that this version does not know: what is held here is not given up for it.
            _ => Ok(self.lost()),
        }
    }

    fn lost(&self) -> Step {
        // It answers, whatever it has forgotten.
        self.worked();
        self.metrics.synced("lost");
        tracing::error!(
            name: "gateless.denylist.lost",
            "the log of the denylist has lost something: what is known here is put back"
        );
        // At once: an instance that starts now waits for that.
        self.to_put_back.notify_one();
        Step::Rejoin
    }

    /// Puts changes into effect, as far as there is room.
    pub(super) fn apply(&self, changes: &[RevocationChange]) -> Result<(), ListFull> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut changing = self.changing();
        let list = self.list.load_full();
        let mut applied = Ok(());
        // What is revoked in the end is not let through in between.
        let last: HashMap<_, _> = changes.iter().map(|change| (change.id(), change)).collect();
        for change in changes {
            if let Some(meanwhile) = &mut changing.meanwhile {
                meanwhile.push(*change);
            }
            match (change, last.get(&change.id())) {
                (RevocationChange::Unrevoke(id), Some(RevocationChange::Revoke(_)))
                    if !id.kind().is_watermark() => {}
                _ => applied = applied.and(self.change(&list, change)),
            }
        }
        drop(changing);
        self.to_purge.notify_one();
        applied
    }

    fn change(&self, list: &RevocationList, change: &RevocationChange) -> Result<(), ListFull> {
        match change {
            RevocationChange::Revoke(record) => self.insert(list, record),
            // Single tokens may have made way for it.
            RevocationChange::Unrevoke(id) if id.kind() == RevocationKind::Everything => Ok(()),
            RevocationChange::Unrevoke(id) => {
                list.unrevoke(*id);
                Ok(())
            }
            // There is no other change; a newer core could bring one, and only a new build of this crate gets that.
            _ => Ok(()),
        }
    }

    fn insert(&self, list: &RevocationList, record: &RevocationRecord) -> Result<(), ListFull> {
        let now = self.clock.wall();
        let is_everything = record.id().kind() == RevocationKind::Everything;
        let ahead = now.saturating_add(self.skew_of_everything());
        let is_about_all = record.issued_until().is_some_and(|issued| issued >= ahead);
        if is_everything && is_about_all && list.len() >= self.capacity {
            // There is no token yet that it is not about, and single ones make way for it.
            list.compact(record, now);
            return Ok(());
        }
        // What is over by a clock that runs ahead is kept as well, as long as it takes nobody's place.
        let kept = list.revoke(record, now.saturating_sub(GRACE));
        match kept.or_else(|ListFull| list.revoke(record, now)) {
            Ok(_) => Ok(()),
            Err(full) => match self.when_full {
                WhenFull::Refuse => Err(full),
                WhenFull::RevokeEverything if !has_tokens(list) => Err(full),
                WhenFull::RevokeEverything => {
                    let freed = list.compact(&self.everything(), now);
                    tracing::error!(
                        name: "gateless.denylist.full",
                        freed,
                        "the denylist is full: every token that was issued until now is revoked"
                    );
                    list.revoke(record, now).map(|_| ())
                }
            },
        }
    }

    /// All tokens that there are by now.
    pub(super) fn everything(&self) -> RevocationRecord {
        let (now, id) = (self.clock.wall(), RevocationId::everything());
        // So that it is still about all when it has reached the others.
        let skew = self.skew_of_everything() * 2;
        Revocation::of(id).record(now, self.terms.token_lifetime, skew)
    }

    /// A token may say that it was issued as much later than now as a policy allows by default.
    fn skew_of_everything(&self) -> Duration {
        self.clock_skew.max(Duration::from_secs(30))
    }

    /// Puts everything that is in force into the log. What it has already costs it nothing.
    async fn put_back(&self) -> Result<(), SyncError> {
        let (list, now) = (self.list.load_full(), self.clock.wall());
        let (sender, mut parts) = mpsc::channel(4);
        let walk = task::spawn_blocking(move || {
            let mut part = Vec::with_capacity(PART);
            list.for_each(now, |record| {
                part.push(RevocationChange::Revoke(record));
                if part.len() == PART {
                    // Nobody takes it any more when the log failed.
                    let _ = sender
                        .blocking_send(std::mem::replace(&mut part, Vec::with_capacity(PART)));
                }
            });
            let _ = sender.blocking_send(part);
        });
        let mut records = 0;
        while let Some(mut part) = parts.recv().await {
            // What is taken back here meanwhile is not put back.
            let _order = self.taking_back.read().await;
            let list = self.list.load_full();
            part.retain(|change| list.contains(change.id(), now));
            let appended = timeout(PATIENCE, self.log.append(&part)).await;
            match appended.map_err(|_| SyncError::TimedOut)?? {
                Appended::Stored => records += part.len(),
                // To queue the whole list would leave no room for what is revoked now.
                _ => return Err(SyncError::AwayAgain),
            }
        }
        // It has ended, as the channel is closed.
        let _ = walk.await;
        self.metrics.synced("put_back");
        tracing::warn!(name: "gateless.denylist.put_back", records, "the denylist was put back into its log");
        Ok(())
    }

    fn loaded(&self) {
        self.metrics.synced("loaded");
        let records = self.list.load().len();
        tracing::info!(name: "gateless.denylist.loaded", records, "denylist loaded");
        self.to_purge.notify_one();
        self.progress.send_modify(|progress| {
            progress.is_loaded = true;
            progress.turns += 1;
            progress.last_failure = None;
        });
    }

    fn worked(&self) {
        self.progress.send_modify(|progress| {
            progress.turns += 1;
            progress.last_failure = None;
        });
    }

    fn failed(&self, error: &SyncError) {
        self.metrics.synced("failed");
        let reason: Arc<str> = error.to_string().into();
        self.progress.send_modify(|progress| {
            // Once for an outage.
            if progress.last_failure.is_none() {
                tracing::warn!(
                    name: "gateless.denylist.failed",
                    %reason,
                    "the log of the denylist cannot be followed"
                );
            }
            progress.failures += 1;
            progress.last_failure = Some(reason);
        });
    }

    /// Forgets what ended a while ago, or all that has ended where room gets short, and tells how full and how old the list is.
    pub(super) fn measure(&self) {
        let list = self.list.load();
        let now = self.clock.wall();
        let is_nearly_full = || list.len() >= self.capacity - self.capacity / 5;
        list.sweep(now.saturating_sub(GRACE));
        if is_nearly_full() {
            list.sweep(now);
        }
        self.metrics
            .measured(&list, self.freshness.standing(self.clock.monotonic()));
        let is_nearly_full = is_nearly_full();
        let mut changing = self.changing();
        if is_nearly_full && !changing.has_warned {
            tracing::error!(
                name: "gateless.denylist.nearly_full",
                records = list.len(),
                capacity = self.capacity,
                "the denylist is nearly full"
            );
        }
        changing.has_warned = is_nearly_full;
    }
}

pub(super) fn has_tokens(list: &RevocationList) -> bool {
    let mut counts = list.counts().into_iter();
    counts.any(|(kind, count)| kind == RevocationKind::Token && count > 0)
}

impl Drop for Live {
    fn drop(&mut self) {
        // So that the tasks that wait for it see that there is nothing left to do.
        self.to_purge.notify_one();
        self.to_put_back.notify_one();
    }
}
