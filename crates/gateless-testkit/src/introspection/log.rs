//! What the introspection endpoint was asked lately.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::credentials::ClientAuth;

/// One request to the introspection endpoint, as the caller made it, whether or not it was answered. The token and the
/// caller's secrets are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Introspected {
    /// How the caller proved who it is; nothing when it did not, did so in two ways, or unreadably.
    pub method: Option<ClientAuth>,
    /// Who the caller said it is; nothing for a bearer token.
    pub client_id: Option<String>,
    /// `Accept`; of several fields the first one.
    pub accept: Option<String>,
    /// `token_type_hint`.
    pub token_type_hint: Option<String>,
}

/// The last requests, oldest first.
#[derive(Default)]
pub(crate) struct Log(Mutex<VecDeque<Introspected>>);

impl Log {
    const KEPT: usize = 64;

    pub(super) fn push(&self, request: Introspected) {
        let mut requests = self.requests();
        if requests.len() == Self::KEPT {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    pub(super) fn last(&self) -> Vec<Introspected> {
        self.requests().iter().cloned().collect()
    }

    fn requests(&self) -> MutexGuard<'_, VecDeque<Introspected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
