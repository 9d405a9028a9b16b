//! What the keys in the server are called.

use gateless_core::{ConfigError, StoreKey, Timestamp};

pub(crate) const DEFAULT_PREFIX: &str = "gateless";

/// The names of the keys under a prefix. It is a hash tag, so that all of them are on one node of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Keys(Box<str>);

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self(format!("{{{prefix}}}:").into())
    }

    /// Refuses what would be no hash tag, or a nuisance in an ACL.
    pub(crate) fn check(prefix: &str, faults: &mut ConfigError) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
        if prefix.is_empty() || prefix.len() > 64 || !prefix.chars().all(plain) {
            let problem = "is not 1 to 64 letters, digits or characters of -_.:/";
            faults.add("prefix", problem);
        }
    }

    pub(crate) fn meta(&self) -> Vec<u8> {
        format!("{}revoked", self.0).into_bytes()
    }

    pub(crate) fn changes(&self) -> Vec<u8> {
        format!("{}revoked:changes", self.0).into_bytes()
    }

    pub(crate) fn bucket(&self, bucket: &Bucket) -> Vec<u8> {
        format!("{}revoked:{}", self.0, bucket.name()).into_bytes()
    }

    pub(crate) fn value(&self, key: &StoreKey) -> Vec<u8> {
        self.of("value", key)
    }

    pub(crate) fn quota(&self, key: &StoreKey) -> Vec<u8> {
        self.of("quota", key)
    }

    fn of(&self, kind: &str, key: &StoreKey) -> Vec<u8> {
        let mut name = format!("{}{kind}:", self.0).into_bytes();
        name.extend_from_slice(key.as_bytes());
        name
    }
}

/// Where a record is kept, by its end: what ends in the same hour or, further ahead, on the same day is forgotten together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bucket {
    /// Ends at this hour since the epoch, or within the hour or the day before it.
    Hour(u32),
    /// Is not forgotten.
    Ever,
}

impl Bucket {
    const HOUR: i64 = 3_600_000;
    /// How long a bucket is counted behind its end, as in the script.
    const GRACE: i64 = 600_000;
    /// How far ahead ends are told apart by the hour. Beyond it by the day: every append looks at each bucket.
    const NEAR: i64 = 48;
    const DAY: i64 = 24;
    /// The year 2100: from there on nothing is worth a bucket of its own.
    const EVER: u32 = 1_139_544;

    /// Where a record is put that ends then. It is found wherever it is, so clocks need not agree on `now`.
    pub(crate) fn of(until: Timestamp, now: Timestamp) -> Self {
        let millis = until.as_millis().max(0);
        let mut hours = millis / Self::HOUR + i64::from(millis % Self::HOUR != 0);
        if hours > now.as_millis().max(0) / Self::HOUR + Self::NEAR {
            hours += (Self::DAY - hours % Self::DAY) % Self::DAY;
        }
        match u32::try_from(hours) {
            Ok(hour) if hour < Self::EVER => Self::Hour(hour),
            _ => Self::Ever,
        }
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Hour(hour) => hour.to_string(),
            Self::Ever => "ever".to_owned(),
        }
    }

    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        if name == b"ever" {
            return Some(Self::Ever);
        }
        let hour = str::from_utf8(name).ok()?.parse().ok()?;
        Some(Self::Hour(hour)).filter(|bucket| bucket.name().as_bytes() == name)
    }

    /// Whether all that can be in it has ended, and nobody counts it any more.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        match self {
            Self::Hour(hour) => i64::from(*hour) * Self::HOUR + Self::GRACE <= now.as_millis(),
            Self::Ever => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_forgotten_before_its_end() {
        let hour = Bucket::HOUR;
        for (until, bucket) in [
            (i64::MIN, Bucket::Hour(0)),
            (0, Bucket::Hour(0)),
            (1, Bucket::Hour(1)),
            (hour, Bucket::Hour(1)),
            (hour + 1, Bucket::Hour(2)),
            (4_102_358_400_000, Bucket::Ever),
            (i64::MAX, Bucket::Ever),
        ] {
            let until = Timestamp::from_millis(until);
            assert_eq!(Bucket::of(until, until), bucket);
            assert_eq!(Bucket::from_name(bucket.name().as_bytes()), Some(bucket));
            let before = until.as_millis().clamp(1, i64::MAX - Bucket::GRACE) - 1;
            let before = Timestamp::from_millis(before + Bucket::GRACE);
            assert!(!bucket.is_over(before) || bucket == Bucket::Hour(0));
        }
        assert_eq!(Bucket::from_name(b"01"), None);
        assert_eq!(Bucket::from_name(b"-1"), None);
    }

    #[test]
    fn what_ends_far_ahead_is_forgotten_by_the_day() {
        let start = 490_000;
        let now = Timestamp::from_millis(start * Bucket::HOUR + 1);
        let mut buckets = std::collections::BTreeSet::new();
        for hour in start..start + 400 * 24 {
            let until = Timestamp::from_millis(hour * Bucket::HOUR);
            let bucket = Bucket::of(until, now);
            let last = Timestamp::from_millis(until.as_millis() - 1 + Bucket::GRACE);
            assert!(!bucket.is_over(last), "{hour}");
            let Bucket::Hour(end) = bucket else {
                panic!("{hour} is not for ever");
            };
            let longer = i64::from(end) - hour;
            assert!(longer == 0 || hour > start + 48 && longer < 24, "{hour}");
            buckets.insert(bucket);
        }
        assert!(buckets.len() <= 450, "{}", buckets.len());
    }
}
