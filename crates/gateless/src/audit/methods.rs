//! Which gRPC methods there are.

use std::collections::HashSet;

use gateless_audit::Outcome;

use super::trail::{Closing, Facts, Trail};

/// `UNIMPLEMENTED`.
const NO_SUCH_METHOD: u16 = 12;

/// The gRPC methods that are known to be there. Where requests are refused before they are routed, a path is whatever a client
/// wrote, even a token; so a method is named only once a table has declared it, or a service has answered for it.
#[derive(Debug, Default)]
pub(super) struct Methods(HashSet<Box<str>>);

impl Methods {
    /// How many are remembered.
    const MOST: usize = 1024;

    /// The method of a request, if there is such a method.
    pub(super) fn name<'a>(
        &mut self,
        trail: &'a Trail,
        facts: &Facts,
        closing: &Closing,
    ) -> Option<&'a str> {
        let method = trail.arrival().grpc_method()?;
        if self.0.contains(method) {
            return Some(method);
        }
        // A status comes with the end; of a method that is not there, at once.
        let was_answered = closing.outcome == Outcome::Allowed
            && closing.is_grpc
            && closing.grpc_status != Some(NO_SUCH_METHOD);
        if !was_answered && !facts.is_declared || self.0.len() >= Self::MOST {
            return None;
        }
        self.0.insert(method.into());
        Some(method)
    }
}
