//! What every log of revocations has to do, as a suite for those who write one.

use std::collections::HashMap;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use gateless_core::{
    Appended, LogPosition, LogTail, RevocationChange, RevocationId, RevocationKind, RevocationLog,
    RevocationRecord, Timestamp,
};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

/// How long any call may take that does not wait for others.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a follower waits for something that comes.
const WAIT: Duration = Duration::from_secs(20);

/// By when it has to be there. A log that only looks now and then has this long.
const SOON: Duration = Duration::from_secs(10);

/// Far beyond the time that the suite runs at, on any clock.
const FAR: i64 = 4_000_000_000_000;

/// How many records make a long list.
const MANY: usize = 1000;

/// Holds a [`RevocationLog`] to its contract.
///
/// `make` opens the log, which need not be empty: the suite picks its ids at random, and leaves records behind. A log that
/// several instances share is opened twice, and both have to see the same. One that says that its follower is
/// [alone](LogTail::Alone) is opened once, and a second time after the first was dropped: what was appended has to be
/// there again.
///
/// ```
/// use std::sync::Arc;
///
/// use gateless_testkit::{FakeClock, MemoryLog, revocation_log_conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let log = MemoryLog::new(Arc::new(FakeClock::new()));
/// revocation_log_conformance(async || log.clone()).await;
/// # }
/// ```
///
/// # Panics
///
/// When the log does not conform, with what it did. Needs a tokio runtime with a timer.
pub async fn revocation_log_conformance<L: RevocationLog>(make: impl AsyncFn() -> L) {
    let here = Arc::new(make().await);
    let start = Seen::load(&*here).await;
    let is_alone = matches!(follow(&*here, &start.position).await, LogTail::Alone);
    let there = if is_alone {
        Arc::clone(&here)
    } else {
        Arc::new(make().await)
    };

    what_was_appended_is_loaded(&*here, &*there).await;
    an_append_of_nothing_is_fine(&*here).await;
    times_only_become_later(&*here, &*there).await;
    changes_of_one_append_have_an_order(&*here, &*there).await;
    what_was_taken_back_is_not_loaded(&*here, &*there).await;
    a_change_that_was_made_does_nothing(&*here, &*there).await;
    what_is_over_is_no_trouble(&*here).await;
    many_changes_fit_in_one_append(&*here, &*there).await;
    an_append_is_there_as_a_whole_or_not_at_all(&here, &there).await;
    a_dropped_append_is_there_as_a_whole_or_not_at_all(&*here, &*there).await;
    nothing_is_missed_between_load_and_follow(&here, &there).await;
    if !is_alone {
        followers_see_one_order(&*here, &*there).await;
        one_call_has_everything(&*here, &*there).await;
        a_waiting_follower_is_woken(&here, &there).await;
        a_follower_without_news_comes_back(&*here).await;
        a_dropped_follower_misses_nothing(&*here, &*there).await;
        places_of_other_logs_are_noticed(&*here).await;
        return;
    }
    let change = revoke(id(RevocationKind::Session), None, FAR);
    append(&*here, &[change]).await;
    let before = Seen::load(&*here).await;
    drop((here, there));
    let after = Seen::load(&make().await).await;
    for (id, record) in &before.records {
        let again = after.records.get(id);
        assert_eq!(again, Some(record), "what was appended is there again");
    }
}

fn id(kind: RevocationKind) -> RevocationId {
    let mut digest = [0; 12];
    rand::fill(&mut digest).expect("the system has randomness");
    RevocationId::from_digest(kind, digest)
}

fn record(id: RevocationId, issued_until: Option<i64>, until: i64) -> RevocationRecord {
    let issued_until = issued_until.map(Timestamp::from_millis);
    RevocationRecord::new(id, issued_until, Timestamp::from_millis(until))
}

fn revoke(id: RevocationId, issued_until: Option<i64>, until: i64) -> RevocationChange {
    RevocationChange::Revoke(record(id, issued_until, until))
}

fn tokens(range: Range<usize>) -> Vec<RevocationChange> {
    range
        .map(|_| revoke(id(RevocationKind::Token), None, FAR))
        .collect()
}

async fn in_time<T>(what: &str, call: impl Future<Output = T>) -> T {
    let Ok(done) = timeout(PATIENCE, call).await else {
        panic!("{what} comes to an end");
    };
    done
}

async fn append(log: &impl RevocationLog, changes: &[RevocationChange]) {
    let appended = in_time("an append", log.append(changes)).await;
    let appended = appended.expect("changes are appended");
    assert_eq!(appended, Appended::Stored, "a log that is there stores");
}

/// What is behind `position` now.
async fn follow(log: &impl RevocationLog, position: &LogPosition) -> LogTail {
    let tail = in_time(
        "a call that is not to wait",
        log.follow(position, Duration::ZERO),
    );
    tail.await.expect("the log is followed")
}

/// What somebody knows who loaded the log, and followed it from there.
struct Seen {
    records: HashMap<RevocationId, RevocationRecord>,
    position: LogPosition,
}

impl Seen {
    async fn load(log: &impl RevocationLog) -> Self {
        let mut parts = Vec::new();
        let mut sink = |part: &[RevocationRecord]| parts.extend_from_slice(part);
        let position = in_time("a load", log.load(&mut sink)).await;
        let mut seen = Self {
            records: HashMap::new(),
            position: position.expect("the log is loaded"),
        };
        for record in parts {
            seen.apply(RevocationChange::Revoke(record));
        }
        seen
    }

    fn apply(&mut self, change: RevocationChange) {
        match change {
            RevocationChange::Revoke(record) => {
                let entry = self.records.entry(record.id()).or_insert(record);
                *entry = entry.merge(&record).unwrap_or(record);
            }
            RevocationChange::Unrevoke(id) => {
                self.records.remove(&id);
            }
            other => panic!("the suite does not know {other:?}"),
        }
    }

    /// Follows the log to its end, and says what was new. None where the log had to be loaded anew.
    async fn catch_up(&mut self, log: &impl RevocationLog) -> Option<Vec<RevocationChange>> {
        let mut all = Vec::new();
        loop {
            match follow(log, &self.position).await {
                LogTail::Changes { changes, position } => {
                    self.position = position;
                    if changes.is_empty() {
                        return Some(all);
                    }
                    changes.iter().for_each(|change| self.apply(*change));
                    all.extend(changes);
                }
                LogTail::Gap | LogTail::Alone => {
                    *self = Self::load(log).await;
                    return None;
                }
                LogTail::Lost => panic!("nothing is lost while the suite runs"),
                other => panic!("the suite does not know {other:?}"),
            }
        }
    }

    #[track_caller]
    fn expect(&self, expected: &[RevocationRecord], what: &str) {
        for record in expected {
            assert_eq!(self.records.get(&record.id()), Some(record), "{what}");
        }
    }

    #[track_caller]
    fn expect_none(&self, id: RevocationId, what: &str) {
        assert_eq!(self.records.get(&id), None, "{what}");
    }

    fn count(&self, changes: &[RevocationChange]) -> usize {
        let is_there = |change: &&RevocationChange| self.records.contains_key(&change.id());
        changes.iter().filter(is_there).count()
    }
}

async fn what_was_appended_is_loaded(here: &impl RevocationLog, there: &impl RevocationLog) {
    let mut follower = Seen::load(there).await;
    let mut records = Vec::new();
    for kind in RevocationKind::ALL {
        // Milliseconds, the ends of the range, and times before 1970 are times as well.
        for (issued_until, until) in [
            (1_700_000_000_001, FAR + 1),
            (i64::MAX, i64::MAX),
            (-1, FAR),
        ] {
            records.push(record(id(kind), Some(issued_until), until));
        }
    }
    let [first, last] = [0xff, 0x00].map(|byte| {
        let kind = RevocationKind::Token;
        record(RevocationId::from_digest(kind, [byte; 12]), None, FAR)
    });
    records.extend([first, last]);
    for part in records.chunks(4) {
        let changes: Vec<_> = part
            .iter()
            .map(|it| RevocationChange::Revoke(*it))
            .collect();
        append(here, &changes).await;
        Seen::load(here)
            .await
            .expect(part, "what was appended is loaded");
        Seen::load(there).await.expect(part, "and by others too");
    }
    follower.catch_up(there).await;
    follower.expect(&records, "a follower has what was appended");
    // Ids that others may pick as well.
    for id in [first.id(), last.id()] {
        append(here, &[RevocationChange::Unrevoke(id)]).await;
    }
}

async fn an_append_of_nothing_is_fine(log: &impl RevocationLog) {
    let before = Seen::load(log).await;
    append(log, &[]).await;
    let after = Seen::load(log).await;
    for id in before.records.keys() {
        let is_there = after.records.contains_key(id);
        assert!(is_there, "an append of nothing changes nothing");
    }
}

async fn times_only_become_later(here: &impl RevocationLog, there: &impl RevocationLog) {
    let mut follower = Seen::load(there).await;
    let (token, subject) = (id(RevocationKind::Token), id(RevocationKind::Subject));
    for (issued_until, until) in [(5, FAR + 1), (9, FAR), (7, FAR + 9), (1, FAR + 2)] {
        append(here, &[revoke(token, None, until)]).await;
        append(there, &[revoke(subject, Some(issued_until), until)]).await;
    }
    let latest = [
        record(token, None, FAR + 9),
        record(subject, Some(9), FAR + 9),
    ];
    let what = "records of the same id are merged: times only become later";
    Seen::load(here).await.expect(&latest, what);
    Seen::load(there).await.expect(&latest, what);
    follower.catch_up(there).await;
    follower.expect(&latest, what);
}

async fn changes_of_one_append_have_an_order(
    here: &impl RevocationLog,
    there: &impl RevocationLog,
) {
    let mut follower = Seen::load(there).await;
    let [gone, back, shorter] = [(); 3].map(|()| id(RevocationKind::Session));
    let changes = [
        revoke(gone, None, FAR),
        revoke(back, None, FAR + 1),
        revoke(shorter, None, FAR + 1),
        RevocationChange::Unrevoke(gone),
        RevocationChange::Unrevoke(back),
        revoke(back, None, FAR),
        revoke(shorter, None, FAR),
    ];
    append(here, &changes).await;
    follower.catch_up(there).await;
    for seen in [Seen::load(here).await, Seen::load(there).await, follower] {
        let what = "changes of one append happen in their order";
        seen.expect_none(gone, what);
        seen.expect(&[record(back, None, FAR)], what);
        seen.expect(&[record(shorter, None, FAR + 1)], what);
    }
}

async fn what_was_taken_back_is_not_loaded(here: &impl RevocationLog, there: &impl RevocationLog) {
    let mut follower = Seen::load(there).await;
    let (key, other) = (id(RevocationKind::Key), id(RevocationKind::Key));
    let unknown = RevocationChange::Unrevoke(id(RevocationKind::Key));
    append(
        here,
        &[revoke(key, None, i64::MAX), revoke(other, None, i64::MAX)],
    )
    .await;
    append(there, &[RevocationChange::Unrevoke(key), unknown]).await;
    follower.catch_up(there).await;
    for seen in [&Seen::load(here).await, &Seen::load(there).await, &follower] {
        seen.expect_none(key, "what was taken back is in force no more");
        let kept = record(other, None, i64::MAX);
        seen.expect(&[kept], "and nothing else was taken back");
    }
    append(here, &[revoke(key, None, FAR)]).await;
    follower.catch_up(there).await;
    for seen in [Seen::load(there).await, follower] {
        let again = record(key, None, FAR);
        seen.expect(
            &[again],
            "what was taken back can be revoked again, as if new",
        );
    }
}

/// Whoever got no answer says the same again, perhaps elsewhere.
async fn a_change_that_was_made_does_nothing(
    here: &impl RevocationLog,
    there: &impl RevocationLog,
) {
    let mut follower = Seen::load(there).await;
    let (client, gone) = (id(RevocationKind::Client), id(RevocationKind::Client));
    let changes = [
        revoke(client, Some(5), FAR),
        revoke(gone, Some(5), FAR),
        RevocationChange::Unrevoke(gone),
    ];
    append(here, &changes).await;
    append(here, &[revoke(client, Some(6), FAR)]).await;
    append(here, &changes).await;
    append(there, &changes).await;
    follower.catch_up(there).await;
    for seen in [Seen::load(here).await, Seen::load(there).await, follower] {
        let what = "a change that was made before does nothing";
        seen.expect(&[record(client, Some(6), FAR)], what);
        seen.expect_none(gone, what);
    }
}

/// Records that are past their end may be forgotten. They are no reason to refuse what comes with them, or to forget more.
async fn what_is_over_is_no_trouble(log: &impl RevocationLog) {
    let (kept, over) = (id(RevocationKind::Token), id(RevocationKind::Token));
    let changes = [revoke(kept, None, FAR), revoke(over, None, 1)];
    append(log, &changes).await;
    append(log, &[revoke(kept, None, 1)]).await;
    append(log, &[revoke(kept, None, i64::MIN)]).await;
    append(log, &[revoke(over, None, FAR)]).await;
    let live = [record(kept, None, FAR), record(over, None, FAR)];
    let seen = Seen::load(log).await;
    seen.expect(&live, "a record that is over takes nothing else with it");
}

async fn many_changes_fit_in_one_append(here: &impl RevocationLog, there: &impl RevocationLog) {
    let mut follower = Seen::load(there).await;
    let changes = tokens(0..MANY);
    append(here, &changes).await;
    follower.catch_up(there).await;
    let what = "a thousand changes are appended, loaded and followed";
    assert_eq!(Seen::load(here).await.count(&changes), MANY, "{what}");
    assert_eq!(Seen::load(there).await.count(&changes), MANY, "{what}");
    assert_eq!(follower.count(&changes), MANY, "{what}");
}

async fn joined(mut calls: JoinSet<()>) {
    while let Some(done) = calls.join_next().await {
        if let Err(failed) = done {
            match failed.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(failed) => panic!("a concurrent call ends well: {failed}"),
            }
        }
    }
}

/// Whoever loads and then follows to the end knows all of an append, or nothing of it.
async fn whole_or_nothing(log: &impl RevocationLog, changes: &[RevocationChange]) -> usize {
    let mut seen = Seen::load(log).await;
    seen.catch_up(log).await;
    let count = seen.count(changes);
    assert!(
        count == 0 || count == changes.len(),
        "an append is there as a whole or not at all, and {count} of {} were",
        changes.len()
    );
    count
}

async fn an_append_is_there_as_a_whole_or_not_at_all<L: RevocationLog>(
    here: &Arc<L>,
    there: &Arc<L>,
) {
    for _ in 0..8 {
        let changes: Arc<[_]> = tokens(0..MANY / 2).into();
        let mut calls = JoinSet::new();
        let (log, all) = (Arc::clone(here), Arc::clone(&changes));
        calls.spawn(async move { append(&*log, &all).await });
        for log in [here, there] {
            let (log, all) = (Arc::clone(log), Arc::clone(&changes));
            calls.spawn(async move {
                for _ in 0..PATIENCE.as_millis() {
                    if whole_or_nothing(&*log, &all).await > 0 {
                        return;
                    }
                    yield_now().await;
                    sleep(Duration::from_millis(1)).await;
                }
                panic!("what was appended is seen at some time");
            });
        }
        joined(calls).await;
    }
}

/// A caller that waited long enough goes away.
async fn a_dropped_append_is_there_as_a_whole_or_not_at_all(
    here: &impl RevocationLog,
    there: &impl RevocationLog,
) {
    let before = tokens(0..1);
    append(here, &before).await;
    drop(here.append(&before));
    for patience in [0, 1, 5].map(Duration::from_millis) {
        let changes = tokens(0..MANY);
        let given_up = timeout(patience, here.append(&changes)).await;
        let count = whole_or_nothing(there, &changes).await;
        if let Ok(appended) = given_up {
            appended.expect("changes are appended");
            assert_eq!(count, MANY, "an append that ended has happened");
        }
    }
    let after = tokens(0..1);
    append(here, &after).await;
    let seen = Seen::load(there).await;
    assert_eq!(
        seen.count(&before) + seen.count(&after),
        2,
        "an append that was given up does others no harm"
    );
}

async fn nothing_is_missed_between_load_and_follow<L: RevocationLog>(
    here: &Arc<L>,
    there: &Arc<L>,
) {
    const WRITERS: usize = 4;
    const ROUNDS: usize = 24;
    let mut writers = JoinSet::new();
    let mut expected = Vec::new();
    let mut gone = Vec::new();
    for writer in 0..WRITERS {
        let log = Arc::clone(if writer % 2 == 0 { here } else { there });
        let rounds: Vec<_> = (0..ROUNDS).map(|_| tokens(0..3)).collect();
        for round in &rounds {
            let ids = round.iter().map(RevocationChange::id);
            gone.extend(ids.clone().take(1));
            expected.extend(ids.skip(1).map(|id| record(id, None, FAR)));
        }
        writers.spawn(async move {
            for round in &rounds {
                append(&*log, round).await;
                yield_now().await;
                let first = round.iter().take(1).map(RevocationChange::id);
                let back: Vec<_> = first.map(RevocationChange::Unrevoke).collect();
                append(&*log, &back).await;
                yield_now().await;
            }
        });
    }
    let mut seen = Vec::new();
    for turn in 0..16 {
        seen.push(Seen::load(if turn % 2 == 0 { &**here } else { there }).await);
        yield_now().await;
    }
    joined(writers).await;
    for mut seen in seen {
        seen.catch_up(&**here).await;
        seen.expect(
            &expected,
            "nothing is missed between a load and its position",
        );
        for id in &gone {
            seen.expect_none(*id, "nor is what was taken back");
        }
    }
}

/// Each of these changes is one, so that all of them are seen, and in this order.
async fn followers_see_one_order(here: &impl RevocationLog, there: &impl RevocationLog) {
    let [mut one, mut other] = [Seen::load(here).await, Seen::load(there).await];
    let ids = [(); 3].map(|()| id(RevocationKind::Subject));
    let mut appended = Vec::new();
    for round in 0..4 {
        let mut changes: Vec<_> = ids.iter().map(|id| revoke(*id, Some(round), FAR)).collect();
        changes.extend(ids.iter().rev().map(|id| RevocationChange::Unrevoke(*id)));
        if round % 2 == 0 {
            append(here, &changes).await;
        } else {
            for change in &changes {
                append(there, &[*change]).await;
            }
        }
        appended.extend(changes);
    }
    for (log, seen) in [(0, &mut one), (1, &mut other)] {
        let changes = if log == 0 {
            seen.catch_up(here).await
        } else {
            seen.catch_up(there).await
        };
        let changes = changes.expect("a few changes are kept for those who follow");
        let ours = changes.into_iter().filter(|it| ids.contains(&it.id()));
        assert_eq!(
            ours.collect::<Vec<_>>(),
            appended,
            "followers see all changes in the order of the log"
        );
    }
}

/// A follower takes what it gets for all that there is, and says that its list is fresh.
async fn one_call_has_everything(here: &impl RevocationLog, there: &impl RevocationLog) {
    let mut seen = Seen::load(there).await;
    seen.catch_up(there).await;
    let appended = tokens(0..3 * MANY);
    for part in appended.chunks(MANY) {
        append(here, part).await;
    }
    let changes = match follow(there, &seen.position).await {
        LogTail::Changes { changes, .. } => changes,
        // A log need not keep that many. It has to say so.
        LogTail::Gap => return,
        tail => panic!("who lags behind gets changes, and not {tail:?}"),
    };
    changes.iter().for_each(|change| seen.apply(*change));
    assert_eq!(
        seen.count(&appended),
        appended.len(),
        "one call of follow has all changes that were there"
    );
}

async fn a_waiting_follower_is_woken<L: RevocationLog>(here: &Arc<L>, there: &Arc<L>) {
    for writer in [here, there] {
        let mut seen = Seen::load(&**there).await;
        seen.catch_up(&**there).await;
        let change = tokens(0..1);
        let (log, mut position) = (Arc::clone(there), seen.position);
        let expected = change.clone();
        let mut calls = JoinSet::new();
        calls.spawn(async move {
            let start = Instant::now();
            while start.elapsed() < WAIT {
                let tail = in_time("a call that waits", log.follow(&position, WAIT)).await;
                let tail = tail.expect("the log is followed");
                let LogTail::Changes {
                    changes,
                    position: next,
                } = tail
                else {
                    panic!("who is at the end gets changes, and not {tail:?}");
                };
                if changes == expected {
                    let is_soon = start.elapsed() < SOON;
                    assert!(is_soon, "a follower that waits is woken by what comes");
                    return;
                }
                position = next;
            }
            panic!("a follower that waits gets what comes");
        });
        sleep(Duration::from_millis(50)).await;
        append(&**writer, &change).await;
        joined(calls).await;
    }
}

async fn a_follower_without_news_comes_back(log: &impl RevocationLog) {
    let mut seen = Seen::load(log).await;
    seen.catch_up(log).await;
    for wait in [0, 1, 50].map(Duration::from_millis) {
        let start = Instant::now();
        let tail = in_time("a call that waits", log.follow(&seen.position, wait)).await;
        let is_changes = matches!(tail, Ok(LogTail::Changes { .. }));
        assert!(is_changes, "who is at the end gets changes, or none");
        assert!(
            start.elapsed() < SOON,
            "a follower waits no longer than it said"
        );
    }
}

async fn a_dropped_follower_misses_nothing(here: &impl RevocationLog, there: &impl RevocationLog) {
    let mut seen = Seen::load(there).await;
    seen.catch_up(there).await;
    drop(there.follow(&seen.position, WAIT));
    for patience in [0, 1, 5].map(Duration::from_millis) {
        let _ = timeout(patience, there.follow(&seen.position, WAIT)).await;
    }
    let change = tokens(0..1);
    append(here, &change).await;
    seen.catch_up(there).await;
    assert_eq!(
        seen.count(&change),
        1,
        "a call that was given up takes nothing with it"
    );
}

async fn places_of_other_logs_are_noticed(log: &impl RevocationLog) {
    let own = Seen::load(log).await.position;
    let longer = [own.as_bytes(), b"\xff"].concat();
    for bytes in [Vec::new(), vec![0xff; 3], vec![0xff; 64], longer] {
        let position = LogPosition::new(bytes);
        let call = log.follow(&position, Duration::ZERO);
        let tail = in_time("a call that is not to wait", call).await;
        assert!(
            matches!(tail, Err(_) | Ok(LogTail::Lost | LogTail::Gap)),
            "nothing comes behind a position that the log never gave, and not {tail:?}"
        );
    }
}

#[cfg(test)]
mod tests;
