//! Whether a stack can serve.

use std::error::Error;
use std::fmt;

use super::Stack;
use crate::bearer::KeysUnavailable;
use crate::denylist::DenylistUnavailable;
use crate::introspection::EndpointUnavailable;

/// What a stack has to wait for. At least one of them is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotReady {
    /// Issuers whose keys cannot be had.
    pub keys: Option<KeysUnavailable>,
    /// The authorization server cannot be asked.
    pub introspection: Option<EndpointUnavailable>,
    /// What is revoked is not known.
    pub denylist: Option<DenylistUnavailable>,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            self.keys.as_ref().map(ToString::to_string),
            self.introspection.as_ref().map(ToString::to_string),
            self.denylist.as_ref().map(ToString::to_string),
        ];
        f.write_str(&reasons.into_iter().flatten().collect::<Vec<_>>().join("; "))
    }
}

impl Error for NotReady {}

pub(super) async fn ready(stack: &Stack) -> Result<(), NotReady> {
    let mut not_ready = NotReady::default();
    if let Some(bearer) = stack.bearer() {
        not_ready.keys = bearer.ready().await.err();
    }
    if let Some(introspection) = stack.introspection() {
        not_ready.introspection = introspection.ready().await.err();
    }
    if let Some(denylist) = stack.denylist() {
        not_ready.denylist = denylist.ready().await.err();
    }
    if not_ready == NotReady::default() {
        Ok(())
    } else {
        Err(not_ready)
    }
}
