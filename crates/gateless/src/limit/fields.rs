//! What is left, in header fields: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11).
//!
//! There is no partition key (`pk`): whose quota it is, is nobody else's business (TK-17).

use std::fmt::Write as _;
use std::time::Duration;

use gateless_core::Limit;
use http::{HeaderName, HeaderValue};

pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// All quotas that a caller has: `"60-in-60s";q=60;w=60`.
pub(super) fn policy(limits: &[Limit]) -> HeaderValue {
    let mut text = String::new();
    for limit in limits {
        let separator = if text.is_empty() { "" } else { ", " };
        let secs = limit.period().as_millis().div_ceil(1000);
        // A `String` takes whatever is written to it.
        let _ = write!(
            text,
            "{separator}\"{}\";q={};w={secs}",
            limit.name(),
            limit.limit()
        );
    }
    HeaderValue::try_from(text).expect("names were checked")
}

/// What is left of the quota of which the fewest units are left, and in how many seconds all of it is there again:
/// `"60-in-60s";r=12;t=48`. `debts` says by how much the caller is ahead under each of the limits.
pub(super) fn remaining(limits: &[Limit], debts: &[u64]) -> Option<HeaderValue> {
    let left = limits.iter().zip(debts).map(|(limit, debt)| {
        let units = limit.available(*debt, 0);
        (units, limit, debt.div_ceil(1_000_000))
    });
    let (units, limit, secs) = left.min_by_key(|(units, ..)| *units)?;
    Some(item(limit, units, secs))
}

/// For a refusal: `t` says when to come back, as `Retry-After` does.
pub(super) fn refused(limit: &Limit, debt: u64, retry_after: Duration) -> HeaderValue {
    let secs = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    item(limit, limit.available(debt, 0), secs.max(1))
}

fn item(limit: &Limit, units: u32, secs: u64) -> HeaderValue {
    let text = format!("\"{}\";r={units};t={secs}", limit.name());
    HeaderValue::try_from(text).expect("the name was checked")
}

#[cfg(test)]
mod tests {
    use gateless_core::Quota;

    use super::*;

    #[test]
    fn tk_17_the_fields_name_quotas_and_nobody() {
        let limits = [
            Quota::per_minute(60).named("minute").check().unwrap(),
            Quota::per(5, Duration::from_millis(1500)).check().unwrap(),
        ];
        assert_eq!(
            policy(&limits),
            "\"minute\";q=60;w=60, \"5-in-1500ms\";q=5;w=2"
        );
        assert_eq!(
            remaining(&limits, &[58_500_000, 0]).unwrap(),
            "\"minute\";r=1;t=59"
        );
        assert_eq!(
            remaining(&limits, &[0, 300_001]).unwrap(),
            "\"5-in-1500ms\";r=3;t=1"
        );
        assert_eq!(remaining(&limits, &[]), None);
        assert_eq!(
            refused(&limits[0], 60_000_000, Duration::from_millis(6001)),
            "\"minute\";r=0;t=7"
        );
    }
}
