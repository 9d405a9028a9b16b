//! `[concurrency]`: how many requests of one caller may be under way.

use gateless::Peer;
use gateless::limit::ConcurrencyLimit;

use crate::limits::{key, key_parts};
use crate::peer::Place;
use crate::report::Report;
use crate::section::Reader;
use crate::value::KeyPart;

/// How many, and of whom.
#[derive(Clone, Debug)]
pub(crate) struct Concurrency {
    max: u32,
    key: Vec<KeyPart>,
    shadow: bool,
}

impl Concurrency {
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let mut section = reader.optional("concurrency");
        let concurrency = Self {
            max: section.required("max", 1),
            key: key_parts(&mut section),
            shadow: section.or("shadow", false),
        };
        section.is_on().then_some(concurrency)
    }

    pub(crate) fn build(&self, peer: &Peer, report: &mut Report) -> Option<ConcurrencyLimit> {
        let mut builder = ConcurrencyLimit::builder(key(&self.key, peer), self.max);
        if self.shadow {
            builder = builder.shadow();
        }
        report.adopt(builder.build(), |name| {
            Place::setting(name).unwrap_or_else(|| format!("concurrency.{name}"))
        })
    }
}
