//! The decision: did too much come from there? And what of an answer counts.

use std::fmt;
use std::future::Ready;
use std::sync::{Arc, Once};
use std::time::Duration;

use gateless_core::{
    Ask, Clock, Decision, Excess, ExcessKind, Monotonic, Principal, Rejection, Renderer,
};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};

use super::super::jitter::jittered;
use super::super::pace::Pace;
use super::super::table::{Table, Tag, Tagger};
use super::FailureLimit;
use super::metrics::{Happened, Metrics};
use super::seen::Seen;
use crate::gate::{CredentialFingerprint, Escort, Gate, Head, Pass, ResponseHead, Step, Verdict};
use crate::known::{Knowledge, KnownTokens};
use crate::peer::Locator;

/// Everything that is decided with. Shared by all clones of a layer.
pub(super) struct Live {
    pub(super) table: Table,
    pub(super) seen: Seen,
    pub(super) tagger: Tagger,
    pub(super) locator: Locator,
    pub(super) known: Box<dyn KnownTokens>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) started: Monotonic,
    pub(super) renderer: Renderer,
    pub(super) reached: Pace,
    pub(super) measured: Pace,
    pub(super) metrics: Metrics,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It goes on, and its answer may count.
    Watched,
    /// It goes on although too much was refused: its token is known to be good. It is no guess, whatever becomes of it.
    Known,
    /// The same for one that has none.
    Empty,
    /// It does not.
    Refused(Duration),
}

/// Decides by what was counted, and by what is known of the credentials, if that matters.
pub(super) fn admit(left: Decision, knowledge: impl FnOnce() -> Knowledge) -> Admission {
    let Decision::Refused { retry_after, .. } = left else {
        return Admission::Watched;
    };
    match knowledge() {
        Knowledge::KnownGood => Admission::Known,
        Knowledge::NoCredentials => Admission::Empty,
        Knowledge::Unknown => Admission::Refused(retry_after),
    }
}

/// What a refusal says about whoever sent the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing: it is about something else than their credentials.
    Nothing,
    /// They have a token that its issuer made.
    Genuine,
    /// They may have guessed.
    Guess,
}

pub(super) fn meaning(rejection: &Rejection) -> Meaning {
    match rejection {
        rejection if rejection.may_be_a_guess() => Meaning::Guess,
        Rejection::TokenInvalid(_) => Meaning::Genuine,
        _ => Meaning::Nothing,
    }
}

impl Live {
    /// In microseconds.
    fn now(&self) -> u64 {
        let elapsed = self.clock.monotonic().since(self.started);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }

    fn decide(self: &Arc<Self>, head: Head<'_>) -> Verdict {
        if Principal::optional(head.extensions).is_ok() {
            log_inside();
            return Err(Rejection::PipelineMisordered);
        }
        let prefix = self.locator.locate(FailureLimit::NAME, head)?;
        let (tag, now) = (self.tagger.tag(&prefix), self.now());
        let left = self.table.ask(tag, now, Ask::exactly(1));
        match admit(left, || self.known.knows(head)) {
            Admission::Watched => {
                let watch = Watch {
                    limit: Arc::clone(self),
                    tag,
                    credentials: head.headers.get(AUTHORIZATION).cloned(),
                    is_answered: false,
                };
                Ok(Pass::new().escort(Box::new(watch)))
            }
            Admission::Known => {
                self.metrics.happened(Happened::Known);
                Ok(Pass::new())
            }
            Admission::Empty => Ok(Pass::new()),
            Admission::Refused(retry_after) => {
                self.refused(now);
                let retry_after = jittered(retry_after, tag.mixed_with(now));
                Err(Excess::new(ExcessKind::Failures, retry_after).into())
            }
        }
    }

    /// A request was refused further in.
    pub(super) fn note(
        &self,
        tag: Tag,
        rejection: &Rejection,
        fingerprint: Option<CredentialFingerprint>,
    ) {
        let happened = match meaning(rejection) {
            Meaning::Nothing => return,
            Meaning::Genuine => Happened::Genuine,
            Meaning::Guess => self.count(tag, fingerprint),
        };
        self.metrics.happened(happened);
    }

    fn count(&self, tag: Tag, fingerprint: Option<CredentialFingerprint>) -> Happened {
        let now = self.now();
        // Somebody else's stage, which leaves none: then nobody can tell two from each other.
        let is_new = fingerprint.is_none_or(|which| self.seen.is_new(&(tag, which), now));
        if !is_new {
            return Happened::Repeated;
        }
        self.table.charge(tag, now, 1);
        if self.measured.is_due(now).is_some() {
            self.metrics.measured(|| self.table.len());
        }
        Happened::Counted
    }

    #[cold]
    fn refused(&self, now: u64) {
        self.metrics.happened(Happened::Refused);
        if let Some(unlogged) = self.reached.is_due(now) {
            // Without the address: whose it is, is nobody's business who reads logs.
            tracing::warn!(
                name: "gateless.failure_limit.reached",
                unlogged,
                "somebody may be guessing tokens: too many were refused from one place"
            );
        }
    }
}

/// Once for a process: it shows with every request.
#[cold]
fn log_inside() {
    static LOG: Once = Once::new();
    LOG.call_once(|| {
        tracing::error!(
            name: "gateless.failure_limit.inside",
            "a failure limit stands inside of the authentication, where it never sees a refusal: put it outside"
        );
    });
}

impl Gate for FailureLimit {
    const NAME: &'static str = "failure_limit";
    type Wait = Ready<Verdict>;

    fn decide(&self, head: Head<'_>) -> Step<Self::Wait> {
        Step::Now(self.0.decide(head))
    }

    fn renderer(&self) -> Renderer {
        self.0.renderer.clone()
    }
}

/// Goes along with a request from where more may be refused.
struct Watch {
    limit: Arc<Live>,
    tag: Tag,
    /// What to look at if nobody waits for the answer.
    credentials: Option<HeaderValue>,
    is_answered: bool,
}

impl Escort for Watch {
    fn answered(mut self: Box<Self>, response: ResponseHead<'_>) -> Option<Box<dyn Escort>> {
        self.is_answered = true;
        if let Some(rejection) = response.extensions.get() {
            let fingerprint = response.extensions.get().copied();
            self.limit.note(self.tag, rejection, fingerprint);
        }
        None
    }
}

/// Whoever goes away before the answer may have guessed all the same, and somebody may have been asked about it: else any
/// number of guesses could be had for nothing.
impl Drop for Watch {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let Some(credentials) = self.credentials.take() else {
            return;
        };
        let all_of_it = CredentialFingerprint::of(credentials.as_bytes());
        let mut request = Request::new(());
        request.headers_mut().insert(AUTHORIZATION, credentials);
        let head = Head::of(&request);
        if self.limit.known.knows(head) == Knowledge::Unknown {
            // The same as that of a refusal, so that a token counts once however often it comes.
            let fingerprint = self.limit.known.fingerprint_of(head).unwrap_or(all_of_it);
            let happened = self.limit.count(self.tag, Some(fingerprint));
            self.limit.metrics.happened(happened);
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("limits", &self.table.limits())
            .finish_non_exhaustive()
    }
}
