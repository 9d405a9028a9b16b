//! An MCP server behind gateless: tools that only callers with the right token can use.
//!
//! ```text
//!                      ┌─ GET /.well-known/oauth-protected-resource/mcp
//! request ─► router ───┤
//!                      └─► BearerAuth ─► ScopeGuard ─► /mcp: rmcp's server and its tools
//! ```
//!
//! [`app`] puts it together. `cargo run -p mcp` serves it next to an issuer of its own and lets rmcp's client find
//! its way in: refused without a token, it reads in the challenge where tokens come from and what to ask for, and
//! comes back with one. [`walk`] has the steps.

mod tools;
pub mod walk;

use std::time::Duration;

use axum::Router;
use gateless::bearer::{BearerAuth, Credentials, Keys, TokenPolicy};
use gateless::resource::ResourceMetadata;
use gateless::scope::ScopeGuard;
use gateless::{ConfigError, OnOutage, Renderer, scopes};

/// The server as a router, for clients that reach it at `origin`, such as `https://api.example.com`, and get their
/// tokens from `issuer`.
///
/// What clients call it, and what tokens have to be made for (RFC 8707), is `origin` with the path `/mcp`: a token for
/// any other service is refused.
///
/// # Errors
///
/// [`ConfigError`] when origin or issuer cannot be used. Nothing is fetched yet.
pub fn app(origin: &str, issuer: &str) -> Result<Router, ConfigError> {
    let routes = Router::new().route_service("/mcp", tools::server(origin));
    protected(routes, origin, issuer)
}

/// Puts the layers around `routes`, and the metadata next to them.
fn protected(routes: Router, origin: &str, issuer: &str) -> Result<Router, ConfigError> {
    let metadata = ResourceMetadata::builder(format!("{origin}/mcp"))
        .authorization_server(issuer)
        .scopes_supported(scopes!["mcp:tools"])
        .resource_name("Tools behind gateless")
        .build()?;
    // Every refusal says where to read about tokens, and what scope to ask for.
    let renderer = Renderer::builder()
        .resource_metadata(metadata.url())
        .scope(scopes!["mcp:tools"])
        .build()?;

    // Plain HTTP and private addresses are for an issuer on this machine. For any other, do without these two.
    let policy = TokenPolicy::new(issuer, metadata.resource()).danger_allow_http_loopback();
    let keys =
        Keys::discovery(OnOutage::StaleFor(Duration::from_secs(3600))).allow_private_addresses();
    let auth = BearerAuth::builder(policy, keys)
        .credentials(Credentials::new().strip()) // tools know the caller; the token is not theirs to hand on
        .renderer(renderer.clone())
        .build()?;
    let guard = ScopeGuard::all(scopes!["mcp:tools"]).renderer(renderer);

    Ok(routes
        .layer(guard)
        .layer(auth) // runs first: the layer that is added last is the outer one
        .route_service(metadata.path(), metadata.service())) // after them: open to everybody
}

#[cfg(test)]
mod tests;
