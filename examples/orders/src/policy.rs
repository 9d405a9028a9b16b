//! Who may do what: one table for both protocols, read from the documents that describe the service anyway.
//!
//! `openapi.json` says it of the HTTP routes, in `security`; `proto/orders/v1/orders.proto` of the gRPC methods, in an
//! option of each. What is documented is what is enforced, and what a challenge asks for. `cargo run -p orders -- --routes`
//! prints the table. Everything else that is asked for is refused: without a token by `401`, with one by `404`, `405`
//! or `UNIMPLEMENTED`.

use gateless::ConfigError;
use gateless::openapi::OpenApi;
use gateless::proto;
use gateless::scope::ScopeTable;

use crate::proto::DESCRIPTOR_SET;

const OPENAPI: &str = include_str!("../openapi.json");

/// Every route of the service, and who gets through to it.
///
/// # Errors
///
/// [`ConfigError`] when a document leaves open what it means: the service does not start.
pub fn table() -> Result<ScopeTable, ConfigError> {
    ScopeTable::builder()
        .extend(OpenApi::parse(OPENAPI)?.declarations()?)
        .extend(proto::declarations(DESCRIPTOR_SET)?)
        .build()
}
