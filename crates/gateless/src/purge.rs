//! What is remembered elsewhere of callers that are revoked.

use std::fmt;
use std::sync::Arc;

use gateless_core::Principal;

/// Something that remembers callers, and can be told that some of them are revoked: the caches of the stages that
/// authenticate.
///
/// The denylist is asked with every request, also for tokens that a cache knows, so nothing depends on it. It frees
/// memory, and a token that is not revoked any more is looked at anew.
#[diagnostic::on_unimplemented(
    message = "`{Self}` remembers no callers that could be forgotten",
    label = "has no cache of callers",
    note = "hand over the handle of the layer that authenticates: `auth.handle().clone()`"
)]
pub trait ForgetRevoked: Send + Sync + fmt::Debug + 'static {
    /// Forgets those callers that `is_revoked` says it of.
    fn forget_revoked(&self, is_revoked: &dyn Fn(&Principal) -> bool);
}

impl<F: ForgetRevoked + ?Sized> ForgetRevoked for Arc<F> {
    fn forget_revoked(&self, is_revoked: &dyn Fn(&Principal) -> bool) {
        (**self).forget_revoked(is_revoked);
    }
}
