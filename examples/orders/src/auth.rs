//! Who is believed: the layer that authenticates callers, from the two settings that it cannot do without.

use std::time::Duration;

use gateless::bearer::{BearerAuth, Keys, OptionalBearerAuth, TokenPolicy};
use gateless::{ConfigError, OnOutage};

/// Accepts the tokens that `issuer` made for `audience`. The keys are found by discovery, and stay good for an hour
/// past their lifetime while the issuer is away.
///
/// A request without a token goes on, to the table of routes, which refuses it wherever a route is not open.
///
/// Plain HTTP is for issuers on this machine only: the embedded one, or one under development. One inside of the
/// network that the service runs in is fine: whoever sets `ISSUER` names it on purpose.
///
/// # Errors
///
/// [`ConfigError`] when issuer or audience cannot be used. Nothing is fetched yet.
pub fn bearer_auth(issuer: &str, audience: &str) -> Result<OptionalBearerAuth, ConfigError> {
    let policy = TokenPolicy::new(issuer, audience).danger_allow_http_loopback();
    let keys =
        Keys::discovery(OnOutage::StaleFor(Duration::from_secs(3600))).allow_private_addresses();
    BearerAuth::builder(policy, keys).build_optional()
}
