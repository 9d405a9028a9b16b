//! What the server can do.

use axum::http::request::Parts;
use gateless::Principal;
use rmcp::handler::server::tool::Extension;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{ErrorData, schemars, tool, tool_router};
use serde::Deserialize;

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
