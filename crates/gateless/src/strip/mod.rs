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

/// A layer that removes header fields in which identity is claimed. It refuses nothing.
///
/// Removed by default are `Remote-User`, `X-Remote-User`, `X-User`, `X-User-*`, `X-Forwarded-User`,
/// `X-Forwarded-Email`, `X-Forwarded-Groups`, `X-Forwarded-Preferred-Username`, `X-Forwarded-Access-Token`,
/// `X-Authenticated-*` and `X-Auth-*`, and what a proxy says of the certificate of its client: `Client-Cert` and
/// `Client-Cert-Chain` (RFC 9440) and `X-Forwarded-Client-Cert`. Whatever stands between their words: `X_User` is `X-User`.
#[derive(Clone, Debug)]
pub struct StripIdentityHeaders {
    exact: Arc<[Box<str>]>,
    /// The bytes that these and all others begin with.
    firsts: Arc<[u8]>,
}

impl StripIdentityHeaders {
    fn new(exact: impl Iterator<Item = Box<str>>) -> Self {
        let exact: Arc<[_]> = exact.collect();
        Self {
            firsts: decide::firsts(&exact),
            exact,
        }
    }

    /// Removes one more field, in any case and with `_` in place of `-` as well.
    #[must_use]
    pub fn also(self, name: &str) -> Self {
        let name = decide::canonical(name.as_bytes());
        Self::new(self.exact.iter().cloned().chain([name]))
    }
}

impl Default for StripIdentityHeaders {
    fn default() -> Self {
        Self::new(decide::EXACT.iter().map(|name| Box::from(*name)))
    }
}

gate_layer!(StripIdentityHeaders);
