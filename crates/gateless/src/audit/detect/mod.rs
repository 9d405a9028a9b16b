//! Finds in the stream of requests what an operator has to hear about. Nobody is refused for it.
//!
//! What detectors know is in tables of a fixed size, by hashes under a key of this process. Nothing of a token or a caller is
//! kept; a finding names the caller of the request with which it was made.

mod detection;
mod failures;
mod places;
mod rate;
mod revoked;
mod tracked;

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use gateless_audit::SignalKind;
use gateless_core::{Monotonic, Principal};

pub use self::detection::Detection;
use self::failures::{Everywhere, Failures};
use self::places::Places;
use self::rate::Rate;
use self::revoked::Revoked;
use super::sighting::Sighting;

/// Something that an operator has to hear about.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) kind: SignalKind,
    /// How often it happened: refusals, requests, or places.
    pub(super) count: u64,
    /// In which time.
    pub(super) within: Duration,
    pub(super) principal: Option<Principal>,
    pub(super) peer: Option<IpAddr>,
    pub(super) reason: Option<&'static str>,
}

impl Finding {
    const fn new(kind: SignalKind, count: u64, within: Duration) -> Self {
        Self {
            kind,
            count,
            within,
            principal: None,
            peer: None,
            reason: None,
        }
    }
}

/// All detectors. One writer owns them.
#[derive(Debug)]
pub(super) struct Detectors {
    random: RandomState,
    failures: Option<Calm<Failures>>,
    everywhere: Option<Everywhere>,
    revoked: Option<Calm<Revoked>>,
    places: Option<Calm<Places>>,
    rate: Option<Calm<Rate>>,
}

/// One of them.
trait Detector {
    fn see(&mut self, seen: &Sighting<'_>, moment: Moment<'_>) -> Option<Finding>;
}

/// When it is, and what token it is about.
#[derive(Clone, Copy)]
struct Moment<'a> {
    random: &'a RandomState,
    /// In milliseconds.
    now: u64,
    token: Option<u64>,
}

impl Moment<'_> {
    /// A hash under a key of this process.
    fn tag(&self, of: &impl Hash) -> u64 {
        self.random.hash_one(of)
    }

    /// The same of a place: an IPv4 address, or a network of IPv6, of which whoever has one has all addresses. A record may
    /// have more of an address, or less.
    fn place(&self, peer: IpAddr) -> u64 {
        let host = u128::from(u64::MAX);
        self.tag(&match peer {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !host).into()),
            address @ IpAddr::V4(_) => address,
        })
    }
}

impl Detectors {
    pub(super) fn new(settings: Detection) -> Self {
        let Detection {
            failures,
            everywhere,
            revoked,
            places,
            rate,
            max_tracked,
        } = settings;
        Self {
            random: RandomState::new(),
            failures: failures.map(|often| Calm::new(Failures::new(often, max_tracked))),
            everywhere: everywhere.map(Everywhere::new),
            revoked: revoked.map(|within| Calm::new(Revoked::new(within, max_tracked))),
            places: places.map(|often| Calm::new(Places::new(often, max_tracked))),
            rate: rate.map(|unusual| Calm::new(Rate::new(unusual, max_tracked))),
        }
    }

    /// Looks at a request that is over.
    pub(super) fn see(&mut self, seen: &Sighting<'_>, out: &mut Vec<Finding>) {
        let moment = Moment {
            random: &self.random,
            now: millis(seen.at.since(Monotonic::from_start(Duration::ZERO))),
            token: seen.principal.and_then(|who| token(&self.random, who)),
        };
        let found = [
            self.failures.as_mut().and_then(|it| it.see(seen, moment)),
            // This one calms down by itself: it tells again when there are twice as many.
            self.everywhere.as_mut().and_then(|it| it.see(seen, moment)),
            self.revoked.as_mut().and_then(|it| it.see(seen, moment)),
            self.places.as_mut().and_then(|it| it.see(seen, moment)),
            self.rate.as_mut().and_then(|it| it.see(seen, moment)),
        ];
        out.extend(found.into_iter().flatten());
    }
}

/// Which token of which issuer; none where nothing tells it from others.
fn token(random: &RandomState, principal: &Principal) -> Option<u64> {
    let id = principal.token_id();
    let digest = principal.token_digest().map(|digest| digest.as_bytes());
    let is_known = id.is_some() || digest.is_some();
    is_known.then(|| random.hash_one((principal.issuer(), id, digest)))
}

fn millis(of: Duration) -> u64 {
    u64::try_from(of.as_millis()).unwrap_or(u64::MAX)
}

/// A detector that does not tell too much.
#[derive(Debug)]
struct Calm<T> {
    detector: T,
    pace: Pace,
}

impl<T> Calm<T> {
    fn new(detector: T) -> Self {
        let pace = Pace::default();
        Self { detector, pace }
    }
}

impl<T: Detector> Detector for Calm<T> {
    fn see(&mut self, seen: &Sighting<'_>, moment: Moment<'_>) -> Option<Finding> {
        let found = self.detector.see(seen, moment)?;
        self.pace.is_due(moment.now).then_some(found)
    }
}

/// How much was told in this minute. Whoever has many addresses can make as many findings as they like, and they are to fill
/// the disk no more than refusals.
#[derive(Debug, Default)]
struct Pace {
    since: u64,
    told: u32,
}

impl Pace {
    /// The most findings in a minute: more than somebody can read.
    const MOST: u32 = 60;
    const MINUTE: u64 = 60_000;

    fn is_due(&mut self, now: u64) -> bool {
        if now.saturating_sub(self.since) >= Self::MINUTE {
            (self.since, self.told) = (now, 0);
        }
        self.told = self.told.saturating_add(1);
        if self.told == Self::MOST + 1 {
            tracing::warn!(
                name: "gateless.audit.signals_withheld",
                "a detector found more in a minute than is told: the records of the requests have the rest"
            );
        }
        self.told <= Self::MOST
    }
}

#[cfg(test)]
mod tests;
