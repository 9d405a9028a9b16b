//! Ways by which others say over HTTP that something is revoked. All of them end in [`DenylistHandle::revoke`].
//!
//! Each is a tower service for one path, of axum (`Router::route_service`), tonic's routes or hyper.
//!
//! [`DenylistHandle::revoke`]: super::DenylistHandle::revoke

/// Makes a tower service of what answers in [`Arc`](std::sync::Arc) behind it.
macro_rules! inlet {
    ($inlet:ident) => {
        impl<B> tower_service::Service<http::Request<B>> for $inlet
        where
            B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
            B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        {
            type Response = Answer;
            type Error = std::convert::Infallible;
            type Future = std::pin::Pin<
                Box<dyn Future<Output = Result<Answer, std::convert::Infallible>> + Send>,
            >;

            fn poll_ready(
                &mut self,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), Self::Error>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<B>) -> Self::Future {
                let inlet = Arc::clone(&self.0);
                Box::pin(async move { Ok(inlet.answer(request).await) })
            }
        }
    };
}

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
