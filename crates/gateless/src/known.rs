//! Finding out whether a token is known to be good, without checking it.

use std::sync::Arc;

use crate::gate::{CredentialFingerprint, Head};

/// Something that remembers good tokens: the handle of a stage that authenticates.
///
/// A stage further out asks it, to let those through who are known while strangers have to wait. The answer never replaces the
/// check: the request goes on to the stage that authenticates.
///
/// ```
/// use gateless::gate::Head;
/// use gateless::limit::{Knowledge, KnownTokens};
///
/// /// For a stage of your own that remembers nothing: whoever shares a prefix with somebody who guesses has to wait.
/// struct Forgetful;
///
/// impl KnownTokens for Forgetful {
///     fn knows(&self, head: Head<'_>) -> Knowledge {
///         if head.headers.contains_key("x-api-key") {
///             Knowledge::Unknown
///         } else {
///             Knowledge::NoCredentials
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know which tokens are good",
    label = "remembers no tokens",
    note = "hand over the handle of the layer that authenticates: `auth.handle().clone()`; or a `HybridAuth` itself"
)]
pub trait KnownTokens: Send + Sync + 'static {
    /// What is known of the credentials of a request, from memory alone: nobody is asked, and no signature is checked.
    fn knows(&self, head: Head<'_>) -> Knowledge;

    /// What tells the credentials of a request from others: the same as the stage says of those that it
    /// [refuses](crate::gate::Gate::fingerprint). `None` where there are none, and by default:
    /// what is refused and what nobody waits for then count apart.
    fn fingerprint_of(&self, head: Head<'_>) -> Option<CredentialFingerprint> {
        let _ = head;
        None
    }
}

impl<K: KnownTokens + ?Sized> KnownTokens for Arc<K> {
    fn knows(&self, head: Head<'_>) -> Knowledge {
        (**self).knows(head)
    }

    fn fingerprint_of(&self, head: Head<'_>) -> Option<CredentialFingerprint> {
        (**self).fingerprint_of(head)
    }
}

/// What is known of the credentials of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Knowledge {
    /// It has none.
    NoCredentials,
    /// They would be accepted right now, by what was found out about them before.
    KnownGood,
    /// They were not seen before, are not remembered any more, are not good, or are not even presented well.
    Unknown,
}
