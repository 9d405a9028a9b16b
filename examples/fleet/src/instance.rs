//! One instance of the service.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
use gateless::denylist::{Denylist, RevocationApi};
use gateless::{OnOutage, scope};
use gateless_redis::{RedisLog, RedisServer};
use gateless_testkit::TestIssuer;

/// What the service is called in its tokens.
pub const AUDIENCE: &str = "https://api.example.com";
/// For how long an instance goes on without Redis. A service would take the default of 30 seconds; nobody wants to watch
/// that.
pub const FRESH_FOR: Duration = Duration::from_secs(2);

/// An instance that trusts `issuer` and shares what is revoked through `redis`. It has to be made within a tokio runtime,
/// and answers 503 until it has loaded the list.
///
/// # Errors
///
/// When a setting cannot be used. Redis is not asked for that.
pub fn app(issuer: &TestIssuer, redis: RedisServer) -> Result<Router, Box<dyn Error>> {
    let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE);
    let keys = policy.read_keys(issuer.jwks().to_string().as_bytes())?;
    let auth = BearerAuth::builder(policy, Keys::fixed(keys)).build()?;
    let denylist = Denylist::builder(RedisLog::new(redis)?, OnOutage::FailClosed)
        .fresh_for(FRESH_FOR)
        .forgets(auth.handle().clone()) // so that the cache of known tokens does not remember them either
        .build()?;
    let api = RevocationApi::builder(denylist.handle(), scope!("tokens:revoke"))
        .issuer(issuer.issuer())
        .build()?;
    Ok(Router::new()
        .route("/orders", get(|| async { "all of them\n" }))
        .route_service("/admin/revocations", api)
        .layer(denylist)
        .layer(auth)) // runs first: the layer that is added last is the outer one
}
