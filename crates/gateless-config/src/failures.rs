//! `[failures]`: who guesses tokens has to wait.

use gateless::gate::Head;
use gateless::limit::{FailureLimit, Knowledge, KnownTokens};
use gateless::{Peer, Quota};

use crate::peer::Place;
use crate::report::Report;
use crate::section::Reader;

/// How many credentials may be refused from one place.
#[derive(Clone, Debug)]
pub(crate) struct Failures {
    quota: Quota,
    max_prefixes: usize,
}

impl Failures {
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let mut section = reader.optional("failures");
        let failures = Self {
            quota: section.required("quota", Quota::per_minute(60)),
            max_prefixes: section.or("max_prefixes", 100_000),
        };
        section.is_on().then_some(failures)
    }

    pub(crate) fn check(&self, place: &Place, report: &mut Report) {
        self.build(place.of(Peer::connection()), Nobody, report);
    }

    pub(crate) fn build(
        &self,
        peer: Peer,
        known: impl KnownTokens,
        report: &mut Report,
    ) -> Option<FailureLimit> {
        let builder = FailureLimit::builder(self.quota.clone(), known).peer(peer);
        report.adopt(builder.max_prefixes(self.max_prefixes).build(), |name| {
            Place::setting(name).unwrap_or_else(|| format!("failures.{name}"))
        })
    }
}

/// Knows no token: for a check of the settings.
struct Nobody;

impl KnownTokens for Nobody {
    fn knows(&self, _: Head<'_>) -> Knowledge {
        Knowledge::Unknown
    }
}
