//! Records, and logs to put them into.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::{Duration, SystemTime};

use gateless_core::{
    LogPosition, LogTail, RevocationChange, RevocationId, RevocationKind, RevocationLog,
    RevocationRecord, StoreError, Timestamp,
};
use gateless_redis::{RedisLog, RedisLogBuilder, RedisQuotas, RedisServer};

use crate::common::Server;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const NOTHING: Duration = Duration::ZERO;
pub(crate) const A_WHILE: Duration = Duration::from_secs(5);

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::EPOCH.saturating_add(since.unwrap())
}

pub(crate) fn id(number: u32) -> RevocationId {
    let mut digest = [0; 12];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    RevocationId::from_digest(RevocationKind::Session, digest)
}

pub(crate) fn record(number: u32, lasts: Duration) -> RevocationRecord {
    RevocationRecord::new(id(number), None, now().saturating_add(lasts))
}

pub(crate) fn revoke(number: u32) -> RevocationChange {
    RevocationChange::Revoke(record(number, HOUR))
}

pub(crate) fn builder(server: &Server) -> RedisLogBuilder {
    let server = RedisServer::builder(server.url()).build().unwrap();
    RedisLog::builder(server).settle(NOTHING)
}

pub(crate) fn log(server: &Server) -> RedisLog {
    builder(server).build().unwrap()
}

pub(crate) fn quotas(server: &Server) -> RedisQuotas {
    RedisQuotas::new(RedisServer::builder(server.url()).build().unwrap())
}

pub(crate) type Records = BTreeMap<RevocationId, RevocationRecord>;

pub(crate) async fn load(log: &RedisLog) -> Result<(Records, LogPosition), StoreError> {
    let mut records = Records::new();
    let mut sink = |part: &[RevocationRecord]| {
        for record in part {
            records.insert(record.id(), *record);
        }
    };
    let position = log.load(&mut sink).await?;
    Ok((records, position))
}

pub(crate) async fn follow(log: &RedisLog, position: &LogPosition, wait: Duration) -> LogTail {
    log.follow(position, wait).await.unwrap()
}

#[track_caller]
pub(crate) fn changes(tail: LogTail) -> (Vec<RevocationChange>, LogPosition) {
    match tail {
        LogTail::Changes { changes, position } => (changes, position),
        other => panic!("{other:?}"),
    }
}

/// The error and all that it stems from.
pub(crate) fn why(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}
