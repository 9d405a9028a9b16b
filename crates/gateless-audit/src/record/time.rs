//! Times as RFC 3339 writes them, in UTC and with milliseconds: `2026-11-22T20:09:11.123Z`.

use std::fmt;

use gateless_core::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcDateTime};

pub(crate) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Written(*time))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(D::Error::custom)
}

pub(crate) fn parse(text: &str) -> Result<Timestamp, time::error::Parse> {
    let time = OffsetDateTime::parse(text, &Rfc3339)?;
    let millis = time.unix_timestamp_nanos().div_euclid(1_000_000);
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    Ok(Timestamp::from_millis(millis))
}

pub(crate) struct Written(pub(crate) Timestamp);

impl fmt::Display for Written {
    /// Years beyond 9999 are written as its last moment: RFC 3339 has no others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0.as_millis()) * 1_000_000;
        let end = if nanos < 0 {
            UtcDateTime::UNIX_EPOCH
        } else {
            UtcDateTime::MAX
        };
        let time = UtcDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(end);
        let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        let millis = time.millisecond();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}
