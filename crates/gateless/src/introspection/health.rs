//! How the endpoint does: what is let through to it, and what people are told about it.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateless_core::{Monotonic, TokenFault};

use super::endpoint::CallError;
use crate::circuit::{Circuit, Leave};

/// Each kind of trouble is logged at most this often: it may come with each request.
const LOGGED_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Health {
    issuer: Box<str>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    circuit: Circuit,
    /// What went wrong with the last call.
    failure: Option<CallError>,
    failures: Log,
    /// Apart, as only whoever runs this service can mend it, and others must not drown it.
    unauthorized: Log,
    nonsense: Log,
}

/// When something was logged last.
#[derive(Debug, Default)]
struct Log {
    at: Option<Monotonic>,
    /// How often it was not since.
    unlogged: u64,
}

impl Log {
    /// Whether to log now: then how many times that was not done before.
    fn is_due(&mut self, now: Monotonic) -> Option<u64> {
        if self.at.is_none_or(|at| now.since(at) >= LOGGED_EVERY) {
            self.at = Some(now);
            Some(mem::take(&mut self.unlogged))
        } else {
            self.unlogged += 1;
            None
        }
    }
}

impl Health {
    pub(super) fn new(issuer: &str) -> Self {
        Self {
            issuer: issuer.into(),
            state: Mutex::new(State {
                circuit: Circuit::new(),
                failure: None,
                failures: Log::default(),
                unauthorized: Log::default(),
                nonsense: Log::default(),
            }),
        }
    }

    /// Whether a call may begin; otherwise when to try again.
    pub(super) fn admit(&self, now: Monotonic) -> Result<Leave, Duration> {
        self.state().circuit.admit(now)
    }

    /// For how long the endpoint is left alone, if it is.
    pub(super) fn pause(&self, now: Monotonic) -> Option<Duration> {
        self.state().circuit.pause(now)
    }

    /// Whether a call that failed like this may be repeated at once.
    pub(super) fn may_retry(&self, error: &CallError) -> bool {
        error.is_transient() && self.state().circuit.may_retry()
    }

    /// The endpoint said what it thinks of a token.
    pub(super) fn succeeded(&self, leave: Leave) {
        let mut state = self.state();
        if state.circuit.is_current(leave) {
            state.failure = None;
        }
        let is_back = state.circuit.answered(leave);
        drop(state);
        self.recovered(is_back);
    }

    pub(super) fn failed(&self, error: &CallError, leave: Leave, now: Monotonic) {
        let mut state = self.state();
        state.failure = Some(error.clone());
        let (mut is_open, mut is_back) = (false, false);
        if error.trips() {
            is_open = state.circuit.failed(leave, now, error.pause());
        } else if error.is_answer() {
            // It does not like this question, but it is there.
            is_back = state.circuit.answered(leave);
        }
        let log = match error {
            CallError::Unauthorized | CallError::Unprovable(_) => &mut state.unauthorized,
            _ => &mut state.failures,
        };
        let unlogged = log.is_due(now);
        drop(state);
        if let Some(unlogged) = unlogged {
            self.log(error, unlogged);
        }
        if is_open {
            tracing::warn!(
                name: "gateless.introspection.paused",
                issuer = &*self.issuer,
                %error,
                "the endpoint is left alone, but for one call a second"
            );
        }
        self.recovered(is_back);
    }

    fn recovered(&self, is_back: bool) {
        if is_back {
            tracing::info!(
                name: "gateless.introspection.recovered",
                issuer = &*self.issuer,
                "the endpoint answers again"
            );
        }
    }

    /// The endpoint answered, and with something that breaks RFC 7662.
    pub(super) fn told_nonsense(&self, fault: TokenFault, now: Monotonic) {
        let unlogged = self.state().nonsense.is_due(now);
        if let Some(unlogged) = unlogged {
            tracing::warn!(
                name: "gateless.introspection.nonsense",
                issuer = &*self.issuer,
                %fault,
                unlogged,
                "the endpoint breaks RFC 7662"
            );
        }
    }

    fn log(&self, error: &CallError, unlogged: u64) {
        let issuer = &*self.issuer;
        match error {
            CallError::Unauthorized | CallError::Unprovable(_) => tracing::error!(
                name: "gateless.introspection.unauthorized",
                issuer,
                %error,
                unlogged,
                "tokens cannot be introspected: check the client's credentials"
            ),
            _ => tracing::warn!(
                name: "gateless.introspection.failed",
                issuer,
                %error,
                unlogged,
                "a token could not be introspected"
            ),
        }
    }

    /// Whether the endpoint is left alone, and what went wrong with the last call.
    pub(super) fn status(&self) -> (bool, Option<CallError>) {
        let state = self.state();
        (state.circuit.is_open(), state.failure.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
