//! The log, against a real server.

use std::time::{Duration, Instant};

use gateless_core::{
    Appended, LogPosition, LogTail, RevocationChange, RevocationId, RevocationKind, RevocationLog,
    RevocationRecord, Timestamp,
};

use crate::common::{PATIENCE, Server};
use crate::helpers::*;

#[tokio::test]
async fn what_one_appends_another_sees() {
    let server = Server::start();
    let (here, there) = (log(&server), log(&server));
    let (records, position) = load(&there).await.unwrap();
    assert!(records.is_empty());
    let (none, position) = changes(follow(&there, &position, NOTHING).await);
    assert!(none.is_empty());

    let made = [revoke(1), revoke(2)];
    assert_eq!(here.append(&made).await.unwrap(), Appended::Stored);
    let (seen, position) = changes(follow(&there, &position, A_WHILE).await);
    assert_eq!(seen, made);
    let (records, other) = load(&there).await.unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(other, position);

    let unrevoked = [RevocationChange::Unrevoke(id(1))];
    here.append(&unrevoked).await.unwrap();
    let (seen, _) = changes(follow(&there, &position, A_WHILE).await);
    assert_eq!(seen, unrevoked);
    let (records, _) = load(&there).await.unwrap();
    assert_eq!(records.into_keys().collect::<Vec<_>>(), [id(2)]);
}

#[tokio::test]
async fn a_follower_that_waits_is_told_within_milliseconds() {
    let server = Server::start();
    let (here, there) = (log(&server), log(&server));
    let (_, mut position) = load(&there).await.unwrap();
    let mut took = Vec::new();
    for number in 0..50 {
        let waiting = there.follow(&position, A_WHILE);
        let appending = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let begin = Instant::now();
            here.append(&[revoke(number)]).await.unwrap();
            begin
        };
        let (tail, begin) = tokio::join!(async { (waiting.await, Instant::now()) }, appending);
        took.push(tail.1.duration_since(begin));
        let (seen, next) = changes(tail.0.unwrap());
        assert_eq!(seen.len(), 1);
        position = next;
    }
    took.sort();
    println!("propagation: median {:?}, most {:?}", took[25], took[49]);
    // Half a second is what an idle machine never takes, and less than any interval of asking.
    assert!(took[25] < Duration::from_millis(500), "{took:?}");
}

#[tokio::test]
async fn a_revocation_that_is_there_is_not_put_there_again() {
    let server = Server::start();
    let log = log(&server);
    let (_, position) = load(&log).await.unwrap();
    let change = revoke(1);
    log.append(&[change, change]).await.unwrap();
    log.append(&[change]).await.unwrap();
    let (seen, position) = changes(follow(&log, &position, NOTHING).await);
    assert_eq!(seen, [change]);

    // Shorter does nothing; longer moves it, and is told.
    let shorter = RevocationChange::Revoke(record(1, HOUR / 2));
    let longer = RevocationChange::Revoke(record(1, 50 * HOUR));
    log.append(&[shorter, longer, shorter]).await.unwrap();
    let (seen, position) = changes(follow(&log, &position, NOTHING).await);
    assert_eq!(seen, [longer]);
    let (records, _) = load(&log).await.unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(RevocationChange::Revoke(records[&id(1)]), longer);

    // Both times of a watermark become later, each by itself.
    let subject = RevocationId::from_digest(RevocationKind::Subject, [1; 12]);
    let at = |issued: i64, lasts| {
        let issued = Some(Timestamp::from_secs(issued));
        RevocationRecord::new(subject, issued, now().saturating_add(lasts))
    };
    let (early, late) = (at(-5, 60 * HOUR), at(200, HOUR));
    let both = early.merge(&late).unwrap();
    for part in [early, late] {
        log.append(&[RevocationChange::Revoke(part)]).await.unwrap();
    }
    let (seen, _) = changes(follow(&log, &position, NOTHING).await);
    assert_eq!(
        seen,
        [early, both].map(RevocationChange::Revoke),
        "what is told is all that is known"
    );
    let (records, _) = load(&log).await.unwrap();
    assert_eq!(records[&subject], both);
}

#[tokio::test]
async fn what_has_no_end_stays_and_what_is_over_is_not_kept() {
    let server = Server::start();
    let log = log(&server);
    let ever = RevocationRecord::new(id(1), None, Timestamp::MAX);
    let over = RevocationRecord::new(id(2), None, now().saturating_sub(2 * HOUR));
    let made = [ever, over].map(RevocationChange::Revoke);
    log.append(&made).await.unwrap();
    let (records, _) = load(&log).await.unwrap();
    assert_eq!(records.into_values().collect::<Vec<_>>(), [ever]);
    // A server that forgets by itself.
    log.append(&[revoke(3)]).await.unwrap();
    let keys = server.ask(&["KEYS", "*"]);
    let ttl = |key: &str| server.ask(&["PTTL", key]).trim().parse::<i64>().unwrap();
    let bucket = keys
        .lines()
        .find(|key| key.rsplit(':').next().unwrap().parse::<u32>().is_ok())
        .unwrap();
    assert!((3_600_000..9_000_000).contains(&ttl(bucket)), "{keys}");
    assert_eq!(ttl("{gateless}:revoked:ever"), -1);
    // Taken back wherever it is.
    log.append(&[
        RevocationChange::Unrevoke(id(1)),
        RevocationChange::Unrevoke(id(3)),
    ])
    .await
    .unwrap();
    assert!(load(&log).await.unwrap().0.is_empty());
}

#[tokio::test]
async fn a_follower_that_was_away_for_too_long_is_told() {
    let server = Server::start();
    let log = builder(&server).keep_changes(10).build().unwrap();
    let (_, position) = load(&log).await.unwrap();
    let made: Vec<_> = (0..11).map(revoke).collect();
    log.append(&made[..10]).await.unwrap();
    let (seen, later) = changes(follow(&log, &position, NOTHING).await);
    assert_eq!(seen, made[..10]);
    log.append(&made[10..]).await.unwrap();
    assert_eq!(follow(&log, &position, A_WHILE).await, LogTail::Gap);
    let (seen, _) = changes(follow(&log, &later, NOTHING).await);
    assert_eq!(seen, made[10..]);
    // The stream alone is gone: who had everything goes on, who had not does not.
    let (_, newest) = load(&log).await.unwrap();
    server.ask(&["DEL", "{gateless}:revoked:changes"]);
    assert_eq!(follow(&log, &later, A_WHILE).await, LogTail::Gap);
    assert!(changes(follow(&log, &newest, NOTHING).await).0.is_empty());
    log.append(&[revoke(50)]).await.unwrap();
    assert_eq!(changes(follow(&log, &newest, A_WHILE).await).0.len(), 1);
}

#[tokio::test]
async fn one_answer_has_all_that_was_there_when_it_was_asked_for() {
    let server = Server::start();
    let log = builder(&server).keep_changes(60_000).build().unwrap();
    let (_, position) = load(&log).await.unwrap();
    let made: Vec<_> = (0..60_000).map(revoke).collect();
    for part in made.chunks(10_000) {
        log.append(part).await.unwrap();
    }
    let (seen, end) = changes(follow(&log, &position, NOTHING).await);
    assert_eq!(seen.len(), made.len());
    assert!(seen == made);
    assert_eq!(load(&log).await.unwrap().1, end);
    // Who keeps less than another does not hand out more either.
    let less = builder(&server).keep_changes(59_999).build().unwrap();
    assert_eq!(follow(&less, &position, NOTHING).await, LogTail::Gap);
}

#[tokio::test]
async fn a_server_that_lost_everything_is_noticed() {
    let mut server = Server::start();
    let log = log(&server);
    log.append(&[revoke(1)]).await.unwrap();
    let (_, position) = load(&log).await.unwrap();
    // Also by a follower that waits, and before its time is over.
    let begin = Instant::now();
    let (tail, _) = tokio::join!(log.follow(&position, PATIENCE), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.ask(&["FLUSHALL"])
    });
    assert_eq!(tail.unwrap(), LogTail::Lost);
    assert!(begin.elapsed() < PATIENCE / 2);

    let (records, other) = load(&log).await.unwrap();
    assert!(records.is_empty());
    log.append(&[revoke(1)]).await.unwrap();
    // As long a history as before.
    assert_eq!(follow(&log, &position, NOTHING).await, LogTail::Lost);
    assert_eq!(changes(follow(&log, &other, NOTHING).await).0.len(), 1);

    server.kill();
    log.follow(&other, NOTHING).await.unwrap_err();
    server.restart();
    assert_eq!(follow(&log, &other, NOTHING).await, LogTail::Lost);
    let strange = LogPosition::new(&b"strange"[..]);
    assert_eq!(follow(&log, &strange, NOTHING).await, LogTail::Lost);
}

#[tokio::test]
async fn a_server_that_kept_everything_goes_on() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let log = log(&server);
    log.append(&[revoke(1)]).await.unwrap();
    let (before, position) = load(&log).await.unwrap();
    log.append(&[revoke(2)]).await.unwrap();
    server.kill();
    server.restart();
    let (seen, position) = changes(follow(&log, &position, NOTHING).await);
    assert_eq!(seen.len(), 1);
    assert!(changes(follow(&log, &position, NOTHING).await).0.is_empty());
    let (after, _) = load(&log).await.unwrap();
    assert_eq!((before.len(), after.len()), (1, 2));
}

#[tokio::test]
async fn a_server_that_came_back_with_old_data_is_noticed() {
    let mut server = Server::with(&["--dbfilename", "old.rdb"]);
    let log = log(&server);
    log.append(&[revoke(1)]).await.unwrap();
    let (_, old) = load(&log).await.unwrap();
    assert!(server.ask(&["SAVE"]).contains("OK"));
    log.append(&[revoke(2)]).await.unwrap();
    let (_, new) = load(&log).await.unwrap();
    server.kill();
    server.restart();
    assert_eq!(
        follow(&log, &new, NOTHING).await,
        LogTail::Lost,
        "it is behind"
    );
    assert!(changes(follow(&log, &old, NOTHING).await).0.is_empty());
    log.append(&[revoke(3)]).await.unwrap();
    assert_eq!(
        follow(&log, &new, NOTHING).await,
        LogTail::Lost,
        "as far on another way"
    );
    log.append(&[revoke(4)]).await.unwrap();
    assert_eq!(
        follow(&log, &new, NOTHING).await,
        LogTail::Lost,
        "ahead on another way"
    );
    let (seen, _) = changes(follow(&log, &old, NOTHING).await);
    assert_eq!(seen.len(), 2, "who was not ahead of the data goes on");
}

#[tokio::test]
async fn a_young_log_is_given_time_to_be_filled() {
    let server = Server::start();
    let settle = Duration::from_millis(1500);
    let log_of = |settle| builder(&server).settle(settle).build().unwrap();
    let (new, old) = (log_of(settle), log_of(NOTHING));
    let begin = Instant::now();
    let (loaded, _) = tokio::join!(load(&new), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        old.append(&[revoke(1)]).await.unwrap();
    });
    assert_eq!(loaded.unwrap().0.len(), 1, "what was put back is there");
    assert!(begin.elapsed() >= settle);
    let begin = Instant::now();
    load(&new).await.unwrap();
    assert!(begin.elapsed() < settle, "once only");
}
