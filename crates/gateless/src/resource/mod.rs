//! Answers where tokens for this service come from: its protected resource metadata ([RFC 9728]).
//!
//! A client that has no token yet finds the address of this document in the challenge that it gets, reads it, signs in
//! at one of the authorization servers and comes back. MCP clients do so, and MCP servers must offer it.
//!
#![cfg_attr(all(feature = "bearer", feature = "scope"), doc = "```")]
#![cfg_attr(not(all(feature = "bearer", feature = "scope")), doc = "```ignore")]
//! use axum::Router;
//! use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
//! use gateless::resource::ResourceMetadata;
//! use gateless::scope::ScopeGuard;
//! use gateless::{Renderer, scopes};
//! # use axum::routing::post;
//! # use gateless_testkit::TestIssuer;
//! # use tower::ServiceExt as _;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let metadata = ResourceMetadata::builder("https://api.example.com/mcp")
//!     .authorization_server("https://idp.example.com")
//!     .scopes_supported(scopes!["mcp:tools"])
//!     .build()?;
//! assert_eq!(metadata.path(), "/.well-known/oauth-protected-resource/mcp");
//!
//! # let issuer = TestIssuer::new();
//! # let policy = TokenPolicy::new("https://idp.example.com", metadata.resource());
//! # let keys = Keys::fixed(policy.read_keys(issuer.jwks().to_string().as_bytes())?);
//! // Tokens have to be made for this resource, and every challenge of every stage says where to read about it.
//! let policy = TokenPolicy::new("https://idp.example.com", metadata.resource());
//! let renderer = Renderer::builder().resource_metadata(metadata.url()).build()?;
//! let auth = BearerAuth::builder(policy, keys).renderer(renderer.clone()).build()?;
//! let guard = ScopeGuard::all(scopes!["mcp:tools"]).renderer(renderer);
//!
//! # let mcp = post(|| async {});
//! let app: Router = Router::new()
//!     .route("/mcp", mcp)
//!     .layer(guard)
//!     .layer(auth)
//!     .route_service(metadata.path(), metadata.service()); // after the layer: open to everybody
//! # let request = axum::extract::Request::get(metadata.path()).body(axum::body::Body::empty())?;
//! # assert_eq!(app.oneshot(request).await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! All of it comes from the configuration. A document that repeats the `Host` of a request would let a client be told
//! that somebody else's resource, or authorization server, is the right one.
//!
//! A client in a browser reads the document, but the challenge that leads there only where the CORS layer of the service
//! exposes the field `WWW-Authenticate`.
//!
//! [RFC 9728]: https://www.rfc-editor.org/rfc/rfc9728

mod builder;
mod service;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

pub use self::builder::ResourceMetadataBuilder;
pub use self::service::MetadataService;

/// The metadata of one protected resource. Cloning is a reference count.
#[derive(Clone, Debug)]
pub struct ResourceMetadata(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    resource: String,
    url: String,
    /// Where the path begins in `url`.
    origin_len: usize,
    document: Bytes,
}

impl ResourceMetadata {
    /// The metadata of `resource`: the URL that clients know this service by, and the audience that tokens for it name
    /// (RFC 8707). It goes out byte for byte as it is given here.
    pub fn builder(resource: impl Into<String>) -> ResourceMetadataBuilder {
        ResourceMetadataBuilder::new(resource.into())
    }

    /// The resource, as it was configured.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.0.resource
    }

    /// Where to mount the [`service`](Self::service): `/.well-known/oauth-protected-resource`, followed by the path of
    /// the resource (RFC 9728 §3.1).
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.url.get(self.0.origin_len..).unwrap_or_default()
    }

    /// Where clients find the document. For [`RendererBuilder::resource_metadata`](crate::RendererBuilder).
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The service that answers with the document, whatever path it is mounted on.
    #[must_use]
    pub fn service(&self) -> MetadataService {
        MetadataService::new(self.0.document.clone())
    }
}
