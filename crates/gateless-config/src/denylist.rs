//! `[denylist]`: what is refused although its issuer signed it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateless::denylist::{
    Denylist, DenylistBuilder, Ephemeral, RevocationFile, RevocationOutbox, WhenFull,
};
use gateless::{OnOutage, RevocationLog};

use crate::redis::Redis;
use crate::report::Report;
use crate::section::Reader;
use crate::value::{Leaf, Value, named};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Store {
    Memory,
    File,
    Redis,
}

named!(Store, "\"memory\", \"file\" or \"redis\"",
    "memory" => Self::Memory = Self::Memory,
    "file" => Self::File = Self::File,
    "redis" => Self::Redis = Self::Redis);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outage {
    Policy(OnOutage),
    DangerOpen,
}

impl Leaf for Outage {
    const WANTED: &'static str = "\"closed\" to refuse with 503, \"stale 1h\" to go on for so long with what is known, or \
                                  \"danger_open\" to let pass what may be revoked";

    fn of(value: &Value) -> Option<Self> {
        match String::of(value)?.as_str() {
            "danger_open" => Some(Self::DangerOpen),
            _ => OnOutage::of(value).map(Self::Policy),
        }
    }

    fn toml(&self) -> String {
        match self {
            Self::Policy(policy) => policy.toml(),
            Self::DangerOpen => "\"danger_open\"".to_owned(),
        }
    }
}

/// What is revoked, where that is kept, and what happens without it.
#[derive(Clone, Debug)]
pub(crate) struct Revoked {
    store: Store,
    path: PathBuf,
    queue_path: Option<PathBuf>,
    queue_deadline: Duration,
    queue_capacity: usize,
    outage: Outage,
    fresh_for: Duration,
    token_lifetime: Duration,
    optional_issued_at: bool,
    clock_skew: Duration,
    capacity: usize,
    when_full: WhenFull,
}

impl Revoked {
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let mut section = reader.optional("denylist");
        let store = section.required("store", Store::Memory);
        let revoked = Self {
            store,
            path: section.required_if(store == Store::File, "path", PathBuf::new()),
            queue_path: section.maybe("queue_path"),
            queue_deadline: section.or("queue_deadline", Duration::from_secs(2)),
            queue_capacity: section.or("queue_capacity", 100_000),
            outage: section.required("outage", Outage::Policy(OnOutage::FailClosed)),
            fresh_for: section.or("fresh_for", Duration::from_secs(30)),
            token_lifetime: section.or("token_lifetime", Duration::from_secs(86_400)),
            optional_issued_at: section.or("optional_issued_at", false),
            clock_skew: section.or("clock_skew", Duration::from_secs(5)),
            capacity: section.or("capacity", 1_000_000),
            when_full: section.or("when_full", WhenFull::Refuse),
        };
        if section.is_set("store") {
            if store != Store::File {
                section.useless(&["path"], "is of no use without store = \"file\"");
            }
            if store != Store::Redis {
                section.useless(&["queue_path"], "is of no use without store = \"redis\"");
            }
        }
        if !section.is_set("queue_path") {
            section.useless(
                &["queue_deadline", "queue_capacity"],
                "is of no use without queue_path",
            );
        }
        section.is_on().then_some(revoked)
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.store == Store::Redis
    }

    /// Tells what is wrong without a file being made.
    pub(crate) fn check(&self, redis: Option<&Redis>, report: &mut Report) {
        if let (Store::Redis, Some(redis)) = (self.store, redis) {
            redis.log(report);
        }
        let Err(error) = self.settings(Arc::new(Ephemeral::new())).build() else {
            return;
        };
        // Settings may be read before there is a runtime.
        for fault in error
            .faults()
            .iter()
            .filter(|fault| fault.setting() != "runtime")
        {
            report.add(&setting(fault.setting()), fault.problem());
        }
    }

    pub(crate) fn builder(
        &self,
        redis: Option<&Redis>,
        report: &mut Report,
    ) -> Option<DenylistBuilder> {
        let log = match self.store {
            Store::Memory => Arc::new(Ephemeral::new()),
            Store::File => {
                let opened = RevocationFile::open(&self.path);
                let opened = opened.map_err(|error| {
                    report.add("denylist.path", format_args!("cannot be opened: {error}"))
                });
                Arc::new(opened.ok()?) as Arc<dyn RevocationLog>
            }
            Store::Redis => {
                let log = redis?.log(report)?;
                match &self.queue_path {
                    None => log,
                    Some(path) => {
                        let outbox = RevocationOutbox::builder(log, path)
                            .deadline(self.queue_deadline)
                            .capacity(self.queue_capacity)
                            .open();
                        let unusable = |error| {
                            report.add(
                                "denylist.queue_path",
                                format_args!("cannot be opened: {error}"),
                            )
                        };
                        Arc::new(outbox.map_err(unusable).ok()?)
                    }
                }
            }
        };
        Some(self.settings(log))
    }

    fn settings(&self, log: Arc<dyn RevocationLog>) -> DenylistBuilder {
        let outage = match self.outage {
            Outage::Policy(outage) => outage,
            Outage::DangerOpen => OnOutage::FailClosed,
        };
        let builder = Denylist::builder(log, outage)
            .fresh_for(self.fresh_for)
            .token_lifetime(self.token_lifetime)
            .clock_skew(self.clock_skew)
            .capacity(self.capacity)
            .when_full(self.when_full);
        if self.optional_issued_at {
            builder.optional_issued_at()
        } else {
            builder
        }
    }

    /// With the outage that is not a policy.
    pub(crate) fn finish(&self, denylist: Denylist) -> Denylist {
        match self.outage {
            Outage::Policy(_) => denylist,
            Outage::DangerOpen => denylist.danger_open_on_outage(),
        }
    }
}

pub(crate) fn setting(name: &str) -> String {
    match name {
        "runtime" => "denylist".to_owned(),
        name => format!("denylist.{name}"),
    }
}
