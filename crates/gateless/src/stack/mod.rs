//! All stages in their right order, as one layer.
//!
//! ```text
//! request ─► AuditLog ─► StripIdentityHeaders ─► FailureLimit ─► BearerAuth │ Introspection ─► Denylist ─► RateLimit ─► ScopeGuard ─► handler
//! ```
//!
//! The same layers can be mounted one by one, around different parts of a service, with `ServiceBuilder` or `Router::layer`.
//! What a [`Stack`] adds: the order cannot be got wrong, combinations that would let strangers in do not build, and a
//! request goes through all stages of one service instead of through one service for each.
//!
//! ```
//! use std::time::Duration;
//!
//! use gateless::audit::{AuditLog, Backpressure, FileSink};
//! use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
//! use gateless::denylist::{Denylist, Ephemeral};
//! use gateless::limit::{FailureLimit, LimitKey, Peer, RateLimit};
//! use gateless::scope::{ScopeGuard, ScopeTable};
//! use gateless::stack::Stack;
//! use gateless::{Access, ConfigError, OnOutage, Quota, scope};
//!
//! # async fn run(log: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let hour = Duration::from_secs(3600);
//! let auth = BearerAuth::builder(
//!     TokenPolicy::new("https://idp.example.com", "https://orders.example.com"),
//!     Keys::discovery(OnOutage::StaleFor(hour)),
//! )
//! .build_optional()?; // the table says which routes are open
//! let table = ScopeTable::builder()
//!     .get("/healthz", Access::open("the platform asks"))
//!     .get("/orders", scope!("orders:read"))
//!     .build()?;
//! let stack = Stack::builder(auth.clone())
//!     .audit(AuditLog::builder("orders-1", FileSink::new(log), Backpressure::FailRequest).build()?)
//!     .failures(FailureLimit::builder(Quota::per_minute(20), auth.handle().clone()).peer(Peer::connection()).build()?)
//!     .denylist(Denylist::builder(Ephemeral::new(), OnOutage::FailClosed).build()?)
//!     .rate(RateLimit::builder(LimitKey::caller(), [Quota::per_second(20)]).build()?)
//!     .guard(ScopeGuard::table(table))
//!     .build()?;
//! // Router::new().route("/orders", get(list)).layer(stack)
//! # let _ = stack;
//! # Ok(())
//! # }
//! # let folder = std::env::temp_dir().join(format!("gateless-stack-{}", std::process::id()));
//! # let log = folder.join("audit.jsonl");
//! # tokio::runtime::Runtime::new().unwrap().block_on(run(log.to_str().unwrap())).unwrap();
//! # std::fs::remove_dir_all(folder).unwrap();
//! ```
//!
//! What does not say who calls is no authentication, and the compiler says so:
//!
//! ```compile_fail,E0277
//! use gateless::scope::ScopeGuard;
//! use gateless::{scopes, stack::Stack};
//!
//! let stack = Stack::builder(ScopeGuard::all(scopes!["orders:read"])).build();
//! ```

mod authentication;
mod builder;
mod ready;
mod stages;

use gateless_core::OnOutage;
use tower_layer::Layer;

pub use self::authentication::Authenticates;
use self::authentication::Authentication;
pub use self::builder::StackBuilder;
pub use self::ready::NotReady;
use self::stages::{Stage, Stages};
use crate::audit::{AuditHandle, AuditLog, Audited};
use crate::bearer::BearerHandle;
use crate::denylist::DenylistHandle;
use crate::gate::Gated;
use crate::introspection::IntrospectionHandle;

/// A layer that is all the others, in their order. See the [module](self).
///
/// Cloning it, and mounting it in several places, shares everything.
#[derive(Clone, Debug)]
pub struct Stack {
    audit: Option<AuditLog>,
    stages: Stages,
}

impl Stack {
    /// Lets `authentication` say who calls. All other stages are optional, as each can be mounted elsewhere.
    pub fn builder(authentication: impl Authenticates) -> StackBuilder {
        StackBuilder::new(authentication.into_authentication())
    }

    /// The same stack with another choice for the time that the log of the denylist is away: for routes that are worth more,
    /// or less. Without a denylist nothing changes.
    #[must_use]
    pub fn denylist_on_outage(&self, on_outage: OnOutage) -> Self {
        Self {
            audit: self.audit.clone(),
            stages: self.stages.denylist_on_outage(on_outage),
        }
    }

    /// Waits until requests can be served: until there are keys, the authorization server can be asked, and what is revoked
    /// is known. For the start of a service, and its readiness probe.
    ///
    /// # Errors
    ///
    /// [`NotReady`] with everything that is not. The stages go on trying.
    pub async fn ready(&self) -> Result<(), NotReady> {
        ready::ready(self).await
    }

    /// What can be asked of the stage that verifies JWTs, and done to it, if there is one.
    #[must_use]
    pub fn bearer(&self) -> Option<&BearerHandle> {
        self.authentication()?.bearer()
    }

    /// The same for the stage that asks the authorization server.
    #[must_use]
    pub fn introspection(&self) -> Option<&IntrospectionHandle> {
        self.authentication()?.introspection()
    }

    /// The same for the denylist.
    #[must_use]
    pub fn denylist(&self) -> Option<&DenylistHandle> {
        self.stages.iter().find_map(|stage| match stage {
            Stage::Denylist(denylist) => Some(denylist.handle()),
            _ => None,
        })
    }

    /// The same for the audit log. Close it before the process ends.
    #[must_use]
    pub fn audit(&self) -> Option<AuditHandle> {
        self.audit.as_ref().map(AuditLog::handle)
    }

    fn authentication(&self) -> Option<&Authentication> {
        self.stages.iter().find_map(|stage| match stage {
            Stage::Authentication(authentication) => Some(authentication),
            _ => None,
        })
    }
}

impl<S> Layer<S> for Stack {
    type Service = Audited<Gated<S, Stages>>;

    fn layer(&self, inner: S) -> Self::Service {
        Audited::new(Gated::new(inner, self.stages.clone()), self.audit.clone())
    }
}

#[cfg(test)]
mod tests;
