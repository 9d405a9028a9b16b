//! What is found out about a request on its way in, for the record that is made on its way out.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateless_audit::{BootId, EndKind, Flag, LimitResult, Outcome, TokenFound};
use gateless_core::{Access, Monotonic, Principal, Rejection};
use http::Extensions;

use super::arrival::Arrival;
use crate::gate::{CredentialFingerprint, Head};
use crate::matched::KeptRoute;

/// Carries facts out of the stages that an [`AuditLog`](super::AuditLog) stands in front of, to the record of the request.
///
/// An audit layer leaves one in the extensions of each request. The stages of gateless, and every [`Gate`](crate::gate::Gate) of
/// your own, use it by themselves; a service of another kind that finds out who a caller is, or refuses one, says so here.
///
/// ```
/// use gateless::audit::Trail;
/// use gateless::{Principal, Rejection};
///
/// /// A check of your own in a handler, which refuses by itself.
/// fn only_on_weekdays(extensions: &http::Extensions, is_weekend: bool) -> Result<(), Rejection> {
///     if !is_weekend {
///         return Ok(());
///     }
///     let rejection = Rejection::CallerNotPermitted;
///     if let Some(trail) = Trail::of(extensions) {
///         trail.refused("weekdays", &rejection);
///     }
///     Err(rejection)
/// }
/// ```
#[derive(Clone)]
pub struct Trail(Arc<Inner>);

struct Inner {
    /// Whose request it is.
    boot: BootId,
    arrival: Arrival,
    /// Known without the lock: each stage asks.
    is_routed: AtomicBool,
    facts: Mutex<Facts>,
    /// The number of the request's record plus one; zero before it is written.
    seq: AtomicU64,
}

/// Everything that was found out so far.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) route: Option<KeptRoute>,
    pub(super) principal: Option<Principal>,
    pub(super) refusal: Option<Refusal>,
    pub(super) token_found: Option<TokenFound>,
    pub(super) policy_epoch: Option<u64>,
    pub(super) asked_for: Option<Arc<Access>>,
    /// Whether a table has a row for the gRPC method.
    pub(super) is_declared: bool,
    pub(super) limits: Vec<(Arc<str>, LimitResult)>,
    pub(super) flags: Flags,
    pub(super) closing: Option<Closing>,
}

/// Who refused the request, and why.
#[derive(Clone)]
pub(super) struct Refusal {
    pub(super) stage: &'static str,
    pub(super) rejection: Rejection,
    pub(super) credential: Option<CredentialFingerprint>,
}

/// How it came out.
pub(super) struct Closing {
    pub(super) at: Monotonic,
    pub(super) outcome: Outcome,
    pub(super) status: Option<u16>,
    pub(super) grpc_status: Option<u16>,
    /// Whether a gRPC service has answered.
    pub(super) is_grpc: bool,
    pub(super) latency_us: u64,
    /// Where the record is made after the end of the response.
    pub(super) end: Option<Ending>,
}

/// How a response ended.
#[derive(Clone, Copy)]
pub(super) struct Ending {
    pub(super) how: EndKind,
    pub(super) sent_bytes: u64,
    pub(super) duration_us: u64,
}

/// A set of flags.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags(u16);

/// How many limits are remembered of a request.
#[cfg(feature = "limit")]
const MOST_LIMITS: usize = 8;

impl Trail {
    pub(super) fn new(boot: BootId, arrival: Arrival) -> Self {
        Self(Arc::new(Inner {
            boot,
            arrival,
            is_routed: AtomicBool::new(false),
            facts: Mutex::default(),
            seq: AtomicU64::new(0),
        }))
    }

    /// The trail of a request; `None` where no audit layer stands in front.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// The caller is `principal`. Gates that pass with [`Pass::authenticated`](crate::gate::Pass::authenticated) need not say so.
    pub fn authenticated(&self, principal: &Principal) {
        self.identified(Some(principal));
    }

    /// The request is refused by `stage`. Gates need not say so. The response should be one of the rejection's status.
    pub fn refused(&self, stage: &'static str, rejection: &Rejection) {
        self.refused_by(stage, rejection, None);
    }

    pub(crate) fn routed(&self, head: Head<'_>) {
        if self.0.is_routed.load(Ordering::Relaxed) {
            return;
        }
        if let Some(route) = KeptRoute::of(head) {
            self.0.is_routed.store(true, Ordering::Relaxed);
            self.note(|facts| facts.route = Some(route));
        }
    }

    pub(crate) fn identified(&self, caller: Option<&Principal>) {
        self.note(|facts| {
            facts.principal = caller.cloned();
            facts.flags.set(Flag::Anonymous, caller.is_none());
        });
    }

    pub(crate) fn refused_by(
        &self,
        stage: &'static str,
        rejection: &Rejection,
        credential: Option<CredentialFingerprint>,
    ) {
        self.note(|facts| {
            facts.refusal = Some(Refusal {
                stage,
                rejection: rejection.clone(),
                credential,
            });
        });
    }

    #[cfg(feature = "bearer")]
    pub(crate) fn token(&self, found: TokenFound, epoch: crate::epoch::PolicyEpoch) {
        self.note(|facts| {
            facts.token_found = Some(found);
            facts.policy_epoch = Some(epoch.number());
        });
    }

    #[cfg(any(feature = "bearer", feature = "denylist"))]
    pub(crate) fn flag(&self, flag: Flag) {
        self.note(|facts| facts.flags.set(flag, true));
    }

    #[cfg(feature = "scope")]
    pub(crate) fn asked_for(&self, access: &Arc<Access>) {
        self.note(|facts| facts.asked_for = Some(Arc::clone(access)));
    }

    #[cfg(feature = "scope")]
    pub(crate) fn declared(&self) {
        self.note(|facts| facts.is_declared = true);
    }

    #[cfg(feature = "limit")]
    pub(crate) fn limited(&self, name: &Arc<str>, result: LimitResult) {
        self.note(|facts| {
            if facts.limits.len() < MOST_LIMITS {
                facts.limits.push((Arc::clone(name), result));
            }
        });
    }

    /// Notes a fact, as long as the request is not answered: what comes later, from whoever keeps the trail, is not about it.
    fn note(&self, note: impl FnOnce(&mut Facts)) {
        let mut facts = self.facts();
        if facts.closing.is_none() {
            note(&mut facts);
        }
    }

    /// Whether `boot` records this request, and it is still under way.
    pub(super) fn is_under_way_at(&self, boot: BootId) -> bool {
        self.0.boot == boot && self.facts().closing.is_none()
    }

    pub(super) fn arrival(&self) -> &Arrival {
        &self.0.arrival
    }

    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn written_as(&self, seq: u64) {
        self.0.seq.store(seq + 1, Ordering::Relaxed);
    }

    /// The number of the request's record, once it is written.
    pub(super) fn seq(&self) -> Option<u64> {
        self.0.seq.load(Ordering::Relaxed).checked_sub(1)
    }
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trail").finish_non_exhaustive()
    }
}

impl Flags {
    fn set(&mut self, flag: Flag, is_set: bool) {
        let bit = 1 << (flag as u16);
        self.0 = if is_set { self.0 | bit } else { self.0 & !bit };
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Flag> {
        let all = Flag::ALL.iter().copied();
        all.filter(move |flag| self.0 & (1 << (*flag as u16)) != 0)
    }
}
