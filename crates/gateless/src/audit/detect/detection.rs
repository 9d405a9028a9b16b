//! Which detectors there are, and from when on they tell.

use std::time::Duration;

use gateless_core::ConfigError;

/// What is looked for in the stream of requests, and from when on it is told.
///
/// Detectors only watch: nobody is refused for what they find. A finding is a [`Signal`](gateless_audit::Signal) in the records.
/// Each of them can be set and switched off. The defaults are for a service of medium size: where they tell too often, raise them
/// rather than switch them off.
///
/// A finding says how often something happened and of which caller or place. No detector tells more than 60 times a minute, so
/// that not even an attack on detectors fills the disk: what is not told then is still in the records of the requests.
///
/// ```
/// use std::time::Duration;
///
/// use gateless::audit::Detection;
///
/// let detection = Detection::new()
///     .many_places(10, Duration::from_secs(600)) // many of our users travel
///     .without_unusual_rate(); // our clients are batch jobs
/// # let _ = detection;
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Detection {
    pub(super) failures: Option<Often>,
    pub(super) everywhere: Option<Often>,
    pub(super) revoked: Option<Duration>,
    pub(super) places: Option<Often>,
    pub(super) rate: Option<Unusual>,
    pub(super) max_tracked: usize,
}

/// So many within a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Often {
    pub(super) count: u32,
    pub(super) within: Duration,
}

/// So many times as often as before, and at least so many a minute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unusual {
    pub(super) factor: u32,
    pub(super) at_least: u32,
}

impl Often {
    const fn minute(count: u32) -> Option<Self> {
        let within = Duration::from_secs(60);
        Some(Self { count, within })
    }
}

const TEN_MINUTES: Duration = Duration::from_secs(600);

impl Detection {
    /// How many places of a token are remembered, so that no more can be asked for.
    pub(super) const MOST_PLACES: usize = 16;
    /// The most places and tokens that anybody can ask for.
    const MOST_TRACKED: usize = 1_000_000;
    /// What happens within more than a day is for whoever reads the records.
    const LONGEST: Duration = Duration::from_secs(86_400);

    /// All detectors, with their defaults.
    pub const fn new() -> Self {
        Self {
            failures: Often::minute(20),
            everywhere: Often::minute(1_000),
            revoked: Some(TEN_MINUTES),
            places: Some(Often {
                count: 5,
                within: TEN_MINUTES,
            }),
            rate: Some(Unusual {
                factor: 10,
                at_least: 100,
            }),
            max_tracked: 4_096,
        }
    }

    /// No detectors. Setters switch single ones on.
    pub const fn off() -> Self {
        Self {
            failures: None,
            everywhere: None,
            revoked: None,
            places: None,
            rate: None,
            ..Self::new()
        }
    }

    /// Tells when so many credentials from one place were no good within a time that begins with the first of them, and again
    /// whenever there are twice as many. 20 within a minute by default: a person who pastes the wrong token does not get there,
    /// and a guesser does at once.
    ///
    /// A place is an IPv4 address, or 64 bits of an IPv6 address. What counts are tokens and headers of which nothing proves
    /// that the issuer made them; a token that has expired is no guess. Many people behind one address, or a deployment with a
    /// wrong key, look the same as an attack. Whoever stays just below the number is not seen; whoever spreads guesses over
    /// many places is seen by [`validation_failures_everywhere`](Self::validation_failures_everywhere).
    pub const fn validation_failures(mut self, count: u32, within: Duration) -> Self {
        self.failures = Some(Often { count, within });
        self
    }

    /// Tells when so many credentials were no good from all places together, and again whenever there are twice as many. 1,000
    /// within a minute by default: above what a healthy service of medium size has, so set it by what yours has.
    pub const fn validation_failures_everywhere(mut self, count: u32, within: Duration) -> Self {
        self.everywhere = Some(Often { count, within });
        self
    }

    /// Tells at the first use of each token that was revoked, and then how often it was used again, at most once in such a
    /// time. 10 minutes by default: a client that has not heard yet tries for some minutes, a thief for longer.
    pub const fn revoked_token(mut self, within: Duration) -> Self {
        self.revoked = Some(within);
        self
    }

    /// Tells when one token came from so many places within a time, and at most once in such a time. 5 within 10 minutes by
    /// default; between 2 and 16.
    ///
    /// A phone on a journey has two or three addresses in that time: its home, its network, an office. Five mean that the token
    /// was copied, or that its owner is a service with several machines or behind a pool of addresses, for which the number has
    /// to be higher than its machines. With IPv4 and IPv6 at the same time each network counts twice. A finding says 16 where
    /// there were more.
    pub const fn many_places(mut self, count: u32, within: Duration) -> Self {
        self.places = Some(Often { count, within });
        self
    }

    /// Tells when one token is used, within a minute, so many times as often as in the average minute before, and at least so
    /// often. 10 times and 100 by default: nobody clicks a hundred times a minute, so a person who comes back from lunch is not
    /// told. At most once in 10 minutes.
    ///
    /// The average is of the last minutes, the latest of which count most: half of it is younger than three minutes. In the
    /// first three minutes of a token nothing is told, as nothing is known. Whoever becomes faster by no more than three times
    /// each minute is not seen.
    pub const fn unusual_rate(mut self, factor: u32, at_least: u32) -> Self {
        self.rate = Some(Unusual { factor, at_least });
        self
    }

    /// How many places, and how many tokens, each detector remembers. 4,096 by default, which take up to 3 MB together; a
    /// million at most.
    ///
    /// When there are more, those that were quiet longest are forgotten and begin anew. So this should be above the number of
    /// tokens that are in use within ten minutes: else a token that is used slowly from many places may not be seen.
    pub const fn max_tracked(mut self, entries: usize) -> Self {
        self.max_tracked = entries;
        self
    }

    /// Does not look at credentials that are no good from one place.
    pub const fn without_validation_failures(mut self) -> Self {
        self.failures = None;
        self
    }

    /// Does not look at credentials that are no good from all places together.
    pub const fn without_validation_failures_everywhere(mut self) -> Self {
        self.everywhere = None;
        self
    }

    /// Does not look at tokens that were revoked.
    pub const fn without_revoked_token(mut self) -> Self {
        self.revoked = None;
        self
    }

    /// Does not look at where tokens come from.
    pub const fn without_many_places(mut self) -> Self {
        self.places = None;
        self
    }

    /// Does not look at how often tokens are used.
    pub const fn without_unusual_rate(mut self) -> Self {
        self.rate = None;
        self
    }

    /// Names each setting that cannot be used.
    pub(in super::super) fn check(&self, faults: &mut ConfigError) {
        let Self {
            failures,
            everywhere,
            revoked,
            places,
            rate,
            max_tracked,
        } = self;
        let within = |faults: &mut ConfigError, setting, within: Duration| {
            if within < Duration::from_secs(1) {
                faults.add(setting, "looks at less than a second");
            }
            if within > Self::LONGEST {
                faults.add(setting, "looks at more than a day");
            }
        };
        for (setting, often) in [
            ("validation_failures", failures),
            ("validation_failures_everywhere", everywhere),
        ] {
            if let Some(often) = often {
                if often.count == 0 {
                    faults.add(setting, "is zero: it would tell without a reason");
                }
                within(faults, setting, often.within);
            }
        }
        if let Some(revoked) = revoked {
            within(faults, "revoked_token", *revoked);
        }
        if let Some(places) = places {
            if places.count < 2 {
                faults.add("many_places", "is below 2: each token comes from somewhere");
            }
            if usize::try_from(places.count).is_ok_and(|count| count > Self::MOST_PLACES) {
                faults.add("many_places", "is above 16");
            }
            within(faults, "many_places", places.within);
        }
        if let Some(rate) = rate {
            if rate.factor < 2 {
                faults.add(
                    "unusual_rate",
                    "has a factor below 2: nothing is unusual about the average",
                );
            }
            if rate.at_least == 0 {
                faults.add(
                    "unusual_rate",
                    "is zero requests: each token that wakes up would be told",
                );
            }
        }
        if *max_tracked == 0 {
            faults.add("max_tracked", "is zero: nothing could be counted");
        }
        if *max_tracked > Self::MOST_TRACKED {
            faults.add("max_tracked", "is above a million");
        }
    }
}

impl Default for Detection {
    fn default() -> Self {
        Self::new()
    }
}
