//! Finding out whose a token is, outside of a request that it authenticates.

use std::future::Future;
use std::pin::Pin;

use gateless_core::{AccessToken, Principal, Rejection};

/// What [`TokenVerifier::verify`] answers with, later.
pub type Verification<'v> = Pin<Box<dyn Future<Output = Result<Principal, Rejection>> + Send + 'v>>;

/// Something that knows whose a token is: the handle of a stage that authenticates.
pub trait TokenVerifier: Send + Sync + 'static {
    /// The caller that `token` would authenticate, or why it would not.
    fn verify(&self, token: AccessToken) -> Verification<'_>;
}
