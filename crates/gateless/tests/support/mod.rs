//! What the tests of the file and of the outbox share.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use gateless::{
    Clock, Monotonic, RevocationChange, RevocationId, RevocationLog, RevocationRecord, StoreError,
    Timestamp,
};

pub(crate) const ISSUER: &str = "https://idp.example.com";

/// Far enough ahead, in seconds.
pub(crate) const LATER: i64 = 40_000_000_000;

/// A directory that is gone afterwards.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        Self::below(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    /// Where there is no disk to wait for, if there is such a place: for what opens a file many hundred times.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() {
            Self::below(memory)
        } else {
            Self::new()
        }
    }

    fn below(path: &Path) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("denylist-{}-{count}", std::process::id());
        let path = path.join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("revoked")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Both clocks of a machine, in milliseconds, moved by hand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moved(Arc<(AtomicU64, AtomicU64)>);

impl Moved {
    pub(crate) fn advance(&self, by: Duration) {
        self.advance_wall(by);
        let millis = u64::try_from(by.as_millis()).unwrap();
        self.0.1.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn advance_wall(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap();
        self.0.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for Moved {
    fn wall(&self) -> Timestamp {
        let millis = self.0.0.load(Ordering::SeqCst);
        Timestamp::from_millis(i64::try_from(millis).unwrap())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(self.0.1.load(Ordering::SeqCst)))
    }
}

pub(crate) fn token(name: impl ToString, until: i64) -> RevocationRecord {
    let id = RevocationId::token(ISSUER, &name.to_string());
    RevocationRecord::new(id, None, Timestamp::from_secs(until))
}

pub(crate) fn revoke(name: impl ToString) -> RevocationChange {
    RevocationChange::Revoke(token(name, LATER))
}

pub(crate) fn unrevoke(name: impl ToString) -> RevocationChange {
    RevocationChange::Unrevoke(token(name, LATER).id())
}

pub(crate) type Records = BTreeMap<RevocationId, RevocationRecord>;

pub(crate) async fn load(log: &dyn RevocationLog) -> Result<Records, StoreError> {
    let mut all = Records::new();
    let mut sink = |records: &[RevocationRecord]| {
        for record in records {
            let old = all.get(&record.id());
            let merged = old.map_or(*record, |old: &RevocationRecord| old.merge(record).unwrap());
            all.insert(record.id(), merged);
        }
    };
    log.load(&mut sink).await?;
    Ok(all)
}

pub(crate) fn records(names: impl IntoIterator<Item = impl ToString>) -> Records {
    let records = names.into_iter().map(|name| token(name, LATER));
    records.map(|record| (record.id(), record)).collect()
}

pub(crate) fn says(error: &StoreError) -> String {
    error.source().unwrap().to_string()
}
