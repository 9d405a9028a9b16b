//! How the endpoint does: what is let through to it, and what people are told about it.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateless_core::{Monotonic, TokenFault};

use super::circuit::Circuit;
use super::endpoint::CallError;

/// Failures are logged at most this often: there may be one for each request.
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
    logged_at: Option<Monotonic>,
    /// Failures that were not logged since.
    unlogged: u64,
}

impl State {
    /// Whether to log now: then how many times that was not done before.
    fn is_due(&mut self, now: Monotonic, is_urgent: bool) -> Option<u64> {
        let last = self.logged_at;
        if is_urgent || last.is_none_or(|last| now.since(last) >= LOGGED_EVERY) {
            self.logged_at = Some(now);
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
                logged_at: None,
                unlogged: 0,
            }),
        }
    }

    /// Whether a call may begin; otherwise when to try again.
    pub(super) fn admit(&self, now: Monotonic) -> Result<(), Duration> {
        self.state().circuit.admit(now)
    }

    /// Whether a call that failed like this may be repeated at once.
    pub(super) fn may_retry(&self, error: &CallError) -> bool {
        error.is_transient() && self.state().circuit.may_retry()
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        state.failure = None;
        if state.circuit.succeeded() {
            drop(state);
            tracing::info!(
                name: "gateless.introspection.recovered",
                issuer = &*self.issuer,
                "the endpoint answers again"
            );
        }
    }

    pub(super) fn failed(&self, error: &CallError, now: Monotonic) {
        let mut state = self.state();
        state.failure = Some(error.clone());
        let is_open = error.trips() && state.circuit.failed(now, error.pause());
        let unlogged = state.is_due(now, is_open);
        drop(state);
        if let Some(unlogged) = unlogged {
            self.log(error, unlogged, is_open);
        }
    }

    /// The endpoint answered, and with something that breaks RFC 7662.
    pub(super) fn told_nonsense(&self, fault: TokenFault, now: Monotonic) {
        let unlogged = self.state().is_due(now, false);
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

    fn log(&self, error: &CallError, unlogged: u64, is_open: bool) {
        let issuer = &*self.issuer;
        match error {
            // Nobody but us can mend that.
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
        if is_open {
            tracing::warn!(
                name: "gateless.introspection.paused",
                issuer,
                "the endpoint is left alone, but for one call a second"
            );
        }
    }

    /// Whether calls go through, and what went wrong with the last one.
    pub(super) fn status(&self) -> (bool, Option<CallError>) {
        let state = self.state();
        (!state.circuit.is_open(), state.failure.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
