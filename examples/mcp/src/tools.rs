//! What the server can do. Who may is no concern of it: that is decided before.

use axum::http::request::Parts;
use gateless::Principal;
use rmcp::handler::server::tool::Extension;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, schemars, tool, tool_router};
use serde::Deserialize;

/// The tools as an HTTP service that clients reach at the host of `origin`.
///
/// There are no sessions: each request is let in by its own token, and no session id can stand in for one.
pub(crate) fn server(origin: &str) -> StreamableHttpService<Tools, NeverSessionManager> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(origin.split_once("://").map(|(_, host)| host))
        .enforce_origin_validation(); // without a list of origins: no script in a browser gets in
    StreamableHttpService::new(|| Ok(Tools), NeverSessionManager::default().into(), config)
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Tools;

#[derive(Deserialize, schemars::JsonSchema)]
struct Text {
    /// What to look at.
    text: String,
}

#[tool_router(server_handler)]
impl Tools {
    /// Says who is calling.
    #[tool]
    fn whoami(&self, Extension(request): Extension<Parts>) -> Result<String, ErrorData> {
        // The layers left the caller in the HTTP request, and rmcp hands that on to its tools.
        let caller = Principal::of(&request.extensions)
            .map_err(|rejection| ErrorData::internal_error(rejection.to_string(), None))?;
        Ok(caller.subject().unwrap_or("a client").to_owned())
    }

    /// Counts the words of a text.
    #[tool]
    fn count_words(&self, Parameters(Text { text }): Parameters<Text>) -> String {
        text.split_whitespace().count().to_string()
    }
}
