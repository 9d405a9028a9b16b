//! What a caller is called where a fleet counts.

use gateless_core::{Limit, StoreKey};
use sha2::{Digest as _, Sha256};

use super::key::Feed;

/// A digest of everything that makes it another count: the name of the limit, the tier, its quotas, and whatever `feed` feeds.
///
/// All instances with the same settings come to the same key. One with other quotas counts elsewhere: old and new instances do
/// not read each other's numbers during a rollout, and after it everybody starts anew.
pub(super) fn store_key(
    name: &str,
    tier: &str,
    limits: &[Limit],
    feed: impl FnOnce(&mut Sha),
) -> StoreKey {
    let mut sha = Sha(Sha256::new());
    sha.text("gateless limit 1");
    sha.text(name);
    sha.text(tier);
    for limit in limits {
        sha.text(limit.name());
        sha.number(limit.interval());
        sha.number(limit.tolerance());
    }
    // What follows is not another limit.
    sha.text("");
    feed(&mut sha);
    StoreKey::new(sha.0.finalize().into())
}

/// SHA-256 of parts with their lengths.
pub(super) struct Sha(Sha256);

impl Sha {
    fn number(&mut self, number: u64) {
        self.bytes(&number.to_be_bytes());
    }
}

impl Feed for Sha {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use gateless_core::Quota;

    use super::*;

    #[test]
    fn whatever_makes_another_count_makes_another_key() {
        let limits = |quotas: &[Quota]| {
            let limits = quotas.iter().map(|quota| quota.check().unwrap());
            limits.collect::<Vec<_>>()
        };
        let minute = limits(&[Quota::per_minute(60)]);
        let keys = [
            store_key("a", "", &minute, |_| ()),
            store_key("a", "", &minute, |_| ()),
            store_key("b", "", &minute, |_| ()),
            store_key("a", "b", &minute, |_| ()),
            store_key("", "a", &minute, |_| ()),
            store_key("a", "", &limits(&[Quota::per_minute(61)]), |_| ()),
            store_key("a", "", &limits(&[Quota::per_minute(60).burst(1)]), |_| ()),
            store_key(
                "a",
                "",
                &limits(&[Quota::per_minute(60).named("x")]),
                |_| (),
            ),
            store_key(
                "a",
                "",
                &limits(&[Quota::per_minute(60), Quota::per_day(9)]),
                |_| (),
            ),
            store_key("a", "", &minute, |sha| sha.text("x")),
            store_key("a", "", &minute, |sha| sha.part(b"x", "")),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len() - 1);
    }
}
