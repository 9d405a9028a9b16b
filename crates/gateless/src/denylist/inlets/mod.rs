//! Ways by which others say over HTTP that something is revoked. All of them end in [`DenylistHandle::revoke`].
//!
//! Each is a tower service for one path, of axum (`Router::route_service`), tonic's routes or hyper.
//!
//! [`DenylistHandle::revoke`]: super::DenylistHandle::revoke

mod admin;
mod answer;
mod body;
mod endpoint;
mod form;
#[cfg(feature = "bearer")]
mod logout;

pub use self::admin::{RevocationApi, RevocationApiBuilder};
pub use self::endpoint::{ClientCredentials, RevocationEndpoint, RevocationEndpointBuilder};
#[cfg(feature = "bearer")]
pub use self::logout::{BackchannelLogout, BackchannelLogoutBuilder};
