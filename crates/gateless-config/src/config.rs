//! All sections together, and what they make.

use std::sync::Arc;

use gateless::audit::SealKey;
use gateless::scope::ScopeGuard;
use gateless::stack::{Stack, StackBuilder};
use gateless::strip::StripIdentityHeaders;
use gateless::{ConfigError, Peer};

use crate::audit::Audit;
use crate::authentication::Authentication;
use crate::concurrency::Concurrency;
use crate::denylist::{self, Revoked};
use crate::failures::Failures;
use crate::introspection::Introspected;
use crate::limits::Limits;
use crate::peer::Place;
use crate::redis::Redis;
use crate::report::{Origins, Report};
use crate::routes::Routes;
use crate::section::Reader;
use crate::settings::Settings;
use crate::strip;
use crate::token::Token;

/// Settings that were read and checked. They make a [`Stack`].
///
/// It prints without secrets: files and variables that hold them are named, and their content is not kept.
#[derive(Clone, Debug)]
pub struct Config {
    audit: Option<Audit>,
    place: Place,
    strip: StripIdentityHeaders,
    failures: Option<Failures>,
    token: Token,
    introspection: Option<Introspected>,
    denylist: Option<Revoked>,
    limits: Option<Limits>,
    concurrency: Option<Concurrency>,
    routes: Option<Routes>,
    redis: Option<Redis>,
    connection: Peer,
    seal: Option<Seal>,
    origins: Arc<Origins>,
}

/// A key from the program. What is kept is its PEM.
#[derive(Clone)]
struct Seal(zeroize::Zeroizing<String>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal([redacted])")
    }
}

impl Config {
    /// Reads everything, and checks it as far as that goes without making anything: no file is written, and nobody is asked.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every fault that there is: files that cannot be read, what is unknown, missing or no value of its kind,
    /// and all that the layers themselves complain about. Each is named as whoever set it calls it: by its path in a file, by its
    /// variable, or as the program said.
    pub fn read(settings: Settings) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(settings.found());
        let config = Self::sections(&mut reader);
        reader.refuse_unknown();
        let mut report = reader.report;
        config.check(&mut report);
        report.into_result()?;
        Ok(config)
    }

    /// Reads each section, in the order of the stages.
    pub(crate) fn sections(reader: &mut Reader) -> Self {
        let audit = Audit::read(reader);
        let place = Place::read(reader);
        let strip = strip::read(reader);
        let failures = Failures::read(reader);
        let token = Token::read(reader);
        let introspection = Introspected::read(reader, &token);
        let this = Self {
            audit,
            place,
            strip,
            failures,
            introspection,
            token,
            denylist: Revoked::read(reader),
            limits: Limits::read(reader),
            concurrency: Concurrency::read(reader),
            routes: Routes::read(reader),
            redis: Redis::read(reader),
            connection: Peer::connection(),
            seal: None,
            origins: Arc::clone(&reader.origins),
        };
        if this.introspection.is_none() && this.token.is_empty() {
            let problem = "is missing, and introspection is off: no token could be accepted";
            reader.report.add("keys", problem);
        }
        if this.redis.is_none() {
            for (is_shared, path) in [
                (
                    this.denylist.as_ref().is_some_and(Revoked::is_shared),
                    "denylist.store",
                ),
                (
                    this.limits.as_ref().is_some_and(Limits::is_shared),
                    "limits.shared",
                ),
                (
                    this.introspection
                        .as_ref()
                        .is_some_and(Introspected::is_shared),
                    "introspection.shared",
                ),
            ] {
                if is_shared && cfg!(feature = "redis") {
                    reader
                        .report
                        .add(path, "needs the section redis, which is missing");
                } else if is_shared {
                    let problem = "needs the feature `redis` of gateless-config, which this program is built without";
                    reader.report.add(path, problem);
                }
            }
        }
        this
    }

    #[cfg(test)]
    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    fn check(&self, report: &mut Report) {
        let peer = self.place.of(Peer::connection());
        let redis = self.redis.as_ref();
        if let Some(audit) = &self.audit {
            audit.check(&peer, report);
        }
        if let Some(failures) = &self.failures {
            failures.check(&self.place, report);
        }
        self.token.check(report);
        if let Some(redis) = redis {
            redis.check(report);
        }
        if let Some(introspection) = &self.introspection {
            introspection.check(&self.token, redis, report);
        }
        if let Some(denylist) = &self.denylist {
            denylist.check(redis, report);
        }
        if let Some(limits) = &self.limits {
            limits.build(&peer, redis, report);
        }
        if let Some(concurrency) = &self.concurrency {
            concurrency.build(&peer, report);
        }
        if let Some(routes) = &self.routes {
            routes.table(report);
        }
    }

    /// Who is at the other end of a connection, for servers that leave it in a type of their own. The
    /// [`PeerAddress`](gateless::PeerAddress) of a request by default. What `[peer]` says of proxies comes on top.
    #[must_use]
    pub fn connection(mut self, peer: Peer) -> Self {
        self.connection = peer;
        self
    }

    /// Seals records with this key in place of `audit.seal_key_file`: one from a key service, or one for this run alone.
    #[must_use]
    pub fn seal(mut self, key: &SealKey) -> Self {
        self.seal = Some(Seal(key.to_pem()));
        self
    }

    /// Opens what has to be opened, and makes the whole stack. `guard` says who gets through to what.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with all that cannot be opened; without a tokio runtime where there is a denylist; when the guard and
    /// `token.authentication` contradict each other; and with a section `[routes]`, which says the same as `guard`.
    pub fn build(self, guard: impl Into<ScopeGuard>) -> Result<Stack, ConfigError> {
        let origins = Arc::clone(&self.origins);
        finished(self.into_builder()?.guard(guard).build(), origins)
    }

    /// The same with the guard that the documents of `[routes]` make.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), and without such documents.
    pub fn build_with_routes(mut self) -> Result<Stack, ConfigError> {
        let mut report = Report::new(Arc::clone(&self.origins));
        let table = match self.routes.take() {
            Some(routes) => routes.table(&mut report),
            None => {
                report.add(
                    "routes",
                    "is missing: it takes openapi, descriptor_set or both",
                );
                None
            }
        };
        report.into_result()?;
        // Without a table there is a fault.
        let table = table.ok_or_else(ConfigError::collect)?;
        self.build(ScopeGuard::table(table))
    }

    /// A stack without a guard, for services that have theirs on each route, and for what no file can say.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn into_builder(self) -> Result<StackBuilder, ConfigError> {
        let mut report = Report::new(Arc::clone(&self.origins));
        if self.routes.is_some() {
            let problem = "is of no use: this program says itself who gets through to what";
            report.add("routes", problem);
        }
        let built = self.stages(&mut report);
        report.into_result()?;
        // Without a stack there is a fault.
        built.ok_or_else(ConfigError::collect)
    }

    fn stages(self, report: &mut Report) -> Option<StackBuilder> {
        let peer = self.place.of(self.connection.clone());
        let redis = self.redis.as_ref();
        let rate = self
            .limits
            .as_ref()
            .map(|limits| limits.build(&peer, redis, report));
        let concurrency = self
            .concurrency
            .as_ref()
            .map(|limit| limit.build(&peer, report));
        let authentication =
            Authentication::build(&self.token, self.introspection.as_ref(), redis, report)?;
        let failures = self.failures.as_ref().map(|failures| {
            failures.build(peer.clone(), Arc::clone(&authentication.known), report)
        });
        if !report.is_empty() {
            return None;
        }
        // Only now anything is opened.
        let denylist = self.denylist.as_ref().map(|denylist| {
            let mut builder = denylist.builder(redis, report)?;
            for cache in authentication.caches {
                builder = cache.told_by(builder);
            }
            let built = report.adopt(builder.build(), denylist::setting)?;
            Some(denylist.finish(built))
        });
        let seal = self
            .seal
            .as_ref()
            .and_then(|seal| SealKey::from_pem(&seal.0).ok());
        let audit = self
            .audit
            .as_ref()
            .map(|audit| audit.build(peer, seal, report));

        let mut builder = authentication.builder.strip(self.strip);
        if let Some(audit) = audit {
            builder = builder.audit(audit?);
        }
        if let Some(failures) = failures {
            builder = builder.failures(failures?);
        }
        if let Some(denylist) = denylist {
            builder = builder.denylist(denylist?);
        }
        if let Some(rate) = rate {
            builder = builder.rate(rate?);
        }
        if let Some(concurrency) = concurrency {
            builder = builder.concurrency(concurrency?);
        }
        Some(builder)
    }
}

/// Whether a route is open has to do with whether a token is needed at all.
fn finished(
    built: Result<Stack, ConfigError>,
    origins: Arc<Origins>,
) -> Result<Stack, ConfigError> {
    let mut report = Report::new(origins);
    let built = report.adopt(built, |name| match name {
        "guard" => "token.authentication".to_owned(),
        other => other.to_owned(),
    });
    report.into_result()?;
    // Without a stack there is a fault.
    built.ok_or_else(ConfigError::collect)
}
