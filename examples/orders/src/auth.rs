//! Who is believed: the layers that authenticate callers, from the few settings that they cannot do without.

use std::collections::BTreeSet;
use std::time::Duration;

use gateless::bearer::{BearerAuth, BearerHandle, Keys, OptionalBearerAuth, TokenPolicy};
use gateless::hybrid::OptionalHybridAuth;
use gateless::introspection::{
    ClientAuthentication, Endpoint, Introspection, IntrospectionHandle, IntrospectionPolicy,
    OptionalIntrospection, Secret,
};
use gateless::{ConfigError, OnOutage};
use gateless_testkit::TestIssuer;

/// Who is believed. A request without a token goes on, to the table of routes, which refuses it wherever a route is not
/// open.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Whoever brings a good JWT.
    Bearer(OptionalBearerAuth),
    /// Whoever brings a good JWT, or a token that its authorization server calls active.
    Hybrid(
        OptionalBearerAuth,
        OptionalIntrospection,
        OptionalHybridAuth,
    ),
}

impl Auth {
    /// Believes JWTs by `bearer`, and all other tokens by `introspection`, if that is there.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the two do not go together.
    pub fn new(
        bearer: OptionalBearerAuth,
        introspection: Option<&OptionalIntrospection>,
    ) -> Result<Self, ConfigError> {
        match introspection {
            None => Ok(Self::Bearer(bearer)),
            Some(introspection) => {
                let hybrid = OptionalHybridAuth::new(&bearer, introspection)?;
                Ok(Self::Hybrid(bearer, introspection.clone(), hybrid))
            }
        }
    }

    /// What answers whether JWTs can be checked.
    pub(crate) const fn keys(&self) -> &BearerHandle {
        let (Self::Bearer(bearer) | Self::Hybrid(bearer, ..)) = self;
        bearer.handle()
    }

    /// What remembers the tokens that are no JWTs.
    pub(crate) const fn introspection(&self) -> Option<&IntrospectionHandle> {
        match self {
            Self::Bearer(_) => None,
            Self::Hybrid(_, introspection, _) => Some(introspection.handle()),
        }
    }

    /// Whose tokens are accepted, each named once.
    pub(crate) fn issuers(&self) -> BTreeSet<Box<str>> {
        let of_opaque = self.introspection();
        let of_opaque = of_opaque.map(|introspection| introspection.status().issuer().into());
        let of_jwts = self.keys().key_status();
        let of_jwts = of_jwts.iter().map(|status| status.issuer().into());
        of_jwts.chain(of_opaque).collect()
    }
}

impl From<OptionalBearerAuth> for Auth {
    fn from(bearer: OptionalBearerAuth) -> Self {
        Self::Bearer(bearer)
    }
}

/// Accepts the JWTs that `issuer` made for `audience`. The keys are found by discovery, and stay good for an hour past
/// their lifetime while the issuer is away.
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

/// Accepts the tokens that `issuer` made for `audience`, as far as the endpoint at `url` calls them active. What it says
/// is used for 30 s; while it is away, nobody new gets in.
///
/// # Errors
///
/// [`ConfigError`] when a setting cannot be used. Nobody is asked yet.
pub fn introspection(
    issuer: &str,
    audience: &str,
    url: &str,
    client_id: &str,
    secret: Secret,
) -> Result<OptionalIntrospection, ConfigError> {
    Introspection::builder(
        IntrospectionPolicy::new(issuer, audience).danger_allow_http_loopback(),
        Endpoint::url(url, OnOutage::FailClosed).allow_private_addresses(),
        ClientAuthentication::basic(client_id, secret),
    )
    .build_optional()
}

/// The same for the embedded issuer, which makes tokens of that kind too.
///
/// # Errors
///
/// [`ConfigError`] when the audience cannot be used.
pub fn embedded_introspection(
    issuer: &TestIssuer,
    audience: &str,
) -> Result<OptionalIntrospection, ConfigError> {
    introspection(
        issuer.issuer(),
        audience,
        &issuer.introspection_url(),
        TestIssuer::CLIENT_ID,
        Secret::new(TestIssuer::CLIENT_SECRET),
    )
}
