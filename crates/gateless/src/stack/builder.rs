//! Settings of a stack.

use gateless_core::ConfigError;

use super::Stack;
use super::authentication::Authentication;
use super::stages::{Stage, Stages};
use crate::audit::AuditLog;
use crate::denylist::Denylist;
use crate::limit::{ConcurrencyLimit, FailureLimit, RateLimit};
use crate::scope::ScopeGuard;
use crate::strip::StripIdentityHeaders;

/// Settings of a [`Stack`]. Only who authenticates is an argument of [`Stack::builder`]; the order in which the others are
/// given is of no matter.
#[derive(Clone, Debug)]
#[must_use]
pub struct StackBuilder {
    audit: Option<AuditLog>,
    strip: StripIdentityHeaders,
    failures: Option<FailureLimit>,
    authentication: Authentication,
    denylist: Option<Denylist>,
    rate: Vec<RateLimit>,
    concurrency: Option<ConcurrencyLimit>,
    guard: Option<ScopeGuard>,
}

impl StackBuilder {
    pub(super) fn new(authentication: Authentication) -> Self {
        Self {
            audit: None,
            strip: StripIdentityHeaders::default(),
            failures: None,
            authentication,
            denylist: None,
            rate: Vec::new(),
            concurrency: None,
            guard: None,
        }
    }

    /// Where each request is recorded. Not at all by default.
    pub fn audit(mut self, audit: AuditLog) -> Self {
        self.audit = Some(audit);
        self
    }

    /// Which fields in which clients claim an identity are taken off. Those of [`StripIdentityHeaders`] by default.
    pub fn strip(mut self, strip: StripIdentityHeaders) -> Self {
        self.strip = strip;
        self
    }

    /// How often one place may guess. As often as it likes by default.
    pub fn failures(mut self, failures: FailureLimit) -> Self {
        self.failures = Some(failures);
        self
    }

    /// What is refused although its issuer signed it. Nothing by default: a token then lives until it expires.
    pub fn denylist(mut self, denylist: Denylist) -> Self {
        self.denylist = Some(denylist);
        self
    }

    /// How much a caller may have. Each call adds a limit, and all of them count. None by default.
    pub fn rate(mut self, rate: RateLimit) -> Self {
        self.rate.push(rate);
        self
    }

    /// How much of a caller's may be under way at once. Any number by default.
    pub fn concurrency(mut self, concurrency: ConcurrencyLimit) -> Self {
        self.concurrency = Some(concurrency);
        self
    }

    /// What requests need. By default that is left to guards on the routes.
    pub fn guard(mut self, guard: impl Into<ScopeGuard>) -> Self {
        self.guard = Some(guard.into());
        self
    }

    /// Makes the layer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when stages contradict each other: `guard` is missing although the authentication is optional, so that
    /// nothing would ask for a token; or it declares open routes although the authentication is not optional, so
    /// that nobody would get through to them without one.
    pub fn build(self) -> Result<Stack, ConfigError> {
        let mut faults = ConfigError::collect();
        match (&self.guard, self.authentication.is_optional()) {
            (None, true) => faults.add(
                "guard",
                "is missing, and the authentication is optional: nothing would ask for a token",
            ),
            (Some(guard), false) => {
                if let Some(open) = guard.open_route() {
                    faults.add(
                        "guard",
                        format!(
                            "declares {open} as open, but the authentication refuses whoever brings no token: \
                             make it with `build_optional`"
                        ),
                    );
                }
            }
            _ => {}
        }
        faults.into_result()?;
        let stages = [
            Some(Stage::Strip(self.strip)),
            self.failures.map(Stage::Failures),
            Some(Stage::Authentication(self.authentication)),
            self.denylist.map(Stage::Denylist),
        ];
        let rate = self.rate.into_iter().map(Stage::Rate);
        let last = [
            self.concurrency.map(Stage::Concurrency),
            self.guard.map(Stage::Guard),
        ];
        let stages = stages.into_iter().flatten().chain(rate);
        Ok(Stack {
            audit: self.audit,
            stages: Stages::new(stages.chain(last.into_iter().flatten())),
        })
    }
}
