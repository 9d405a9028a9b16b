//! Takes identity that a client claims in header fields off the request, so that nothing behind can believe it.
//!
//! Gateways hand on who the caller is in fields such as `X-Forwarded-User`. A service that was once behind one may
//! still read them, and a client can send them. gateless never reads such a field; this layer removes it, also in the
//! spelling with `_` that some frameworks take for the same name.
//!
//! ```
//! use gateless::strip::StripIdentityHeaders;
//!
//! let strip = StripIdentityHeaders::default().also("x-tenant-id");
//! # let _: StripIdentityHeaders = strip;
//! ```

mod decide;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tower_layer::Layer;

use crate::gate::Gated;

/// A layer that removes header fields in which identity is claimed. It refuses nothing.
///
/// Removed by default are `Remote-User`, `X-Remote-User`, `X-User`, `X-User-*`, `X-Forwarded-User`,
/// `X-Forwarded-Email`, `X-Forwarded-Groups`, `X-Forwarded-Preferred-Username`, `X-Authenticated-*` and `X-Auth-*`,
/// whatever stands between their words: `X_User` is `X-User`.
#[derive(Clone, Debug)]
pub struct StripIdentityHeaders {
    exact: Arc<[Box<str>]>,
}

impl StripIdentityHeaders {
    /// Removes one more field, in any case and with `_` in place of `-` as well.
    #[must_use]
    pub fn also(mut self, name: &str) -> Self {
        let name = decide::canonical(name.as_bytes());
        self.exact = self.exact.iter().cloned().chain([name]).collect();
        self
    }
}

impl Default for StripIdentityHeaders {
    fn default() -> Self {
        let exact = decide::EXACT.iter().map(|name| Box::from(*name)).collect();
        Self { exact }
    }
}

impl<S> Layer<S> for StripIdentityHeaders {
    type Service = Gated<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Gated::new(inner, self.clone())
    }
}
