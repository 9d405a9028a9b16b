//! Finding out whose a token is, outside of a request that it authenticates.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use gateless_core::{AccessToken, Principal, Rejection};

/// What [`TokenVerifier::verify`] answers with, later.
pub type Verification<'v> = Pin<Box<dyn Future<Output = Result<Principal, Rejection>> + Send + 'v>>;

/// Something that knows whose a token is: the handle of a stage that authenticates.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say whose a token is",
    label = "verifies no tokens",
    note = "hand over the handle of the layer that authenticates: `auth.handle().clone()`; or a `HybridAuth` itself"
)]
pub trait TokenVerifier: Send + Sync + 'static {
    /// The caller that `token` would authenticate, or why it would not.
    fn verify(&self, token: AccessToken) -> Verification<'_>;
}

impl<V: TokenVerifier + ?Sized> TokenVerifier for Arc<V> {
    fn verify(&self, token: AccessToken) -> Verification<'_> {
        (**self).verify(token)
    }
}
