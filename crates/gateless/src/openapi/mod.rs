//! Reads who gets through to which route from an OpenAPI document, or writes it there.
//!
//! An operation's `security` decides, or the document's where the operation has none: one of the alternatives will do,
//! and in one alternative every scheme with every scope is needed. The bearer token is the scheme of the type `oauth2`,
//! `openIdConnect`, or `http` with `bearer`; of several, those named by [`OpenApi::bearer_token`]. Whatever is not clear is a
//! fault, never an open route.
//!
//! ```
//! use gateless::openapi::OpenApi;
//!
//! let document = r#"{
//!     "openapi": "3.1.0",
//!     "components": {"securitySchemes": {"token": {"type": "openIdConnect", "openIdConnectUrl": "…"}}},
//!     "security": [{"token": ["orders:read"]}],
//!     "paths": {
//!         "/orders": {
//!             "get": {},
//!             "post": {"security": [{"token": ["orders:write"]}], "x-gateless-requirement": {"max_age": 300}}
//!         },
//!         "/status": {"get": {"security": [], "x-gateless-open": "says nothing"}}
//!     }
//! }"#;
//! let declarations = OpenApi::parse(document)?.under("/v1").declarations()?;
//! let lines = declarations.iter().map(|one| format!("{} = {}", one.route, one.access));
//! assert_eq!(lines.collect::<Vec<_>>(), [
//!     "GET /v1/orders = orders:read",
//!     "POST /v1/orders = all(orders:write, max_age(300 s))",
//!     "GET /v1/status = open: says nothing",
//! ]);
//! # Ok::<(), gateless::ConfigError>(())
//! ```
//!
//! | in an operation | means |
//! |---|---|
//! | `security: []` | open; the reason is `x-gateless-open`, where there is one |
//! | `{}` among the alternatives | open, but only with a reason in `x-gateless-open` |
//! | a scheme without scopes | any valid token |
//! | `x-gateless-requirement` | what is needed besides, as the JSON of a [`Requirement`](crate::Requirement) |
//! | no `security`, and none above it | a fault, and so is an empty one above it |

mod document;
mod read;
mod strict;
#[cfg(test)]
mod tests;
mod write;

use gateless_core::{ConfigError, Declaration};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::document::Version;

const SETTING: &str = "openapi";

/// The reason why an operation is open.
const OPEN: &str = "x-gateless-open";
/// What an operation needs besides its scopes.
const REQUIREMENT: &str = "x-gateless-requirement";

/// So many alternatives of scopes may stand at an operation.
const MANY: usize = 64;

/// An OpenAPI document of version 3.0, 3.1 or 3.2.
#[derive(Clone, Debug)]
pub struct OpenApi {
    document: Value,
    version: Version,
    under: String,
    tokens: Vec<Box<str>>,
    elsewhere: Vec<Box<str>>,
}

impl OpenApi {
    /// Reads a document from its JSON.
    ///
    /// # Errors
    ///
    /// When it is no JSON, has a member twice, or is no OpenAPI document of a version that is known.
    pub fn parse(json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::from_value(strict::parse(json.as_ref()))
    }

    /// Takes a document as a type of utoipa's, aide's or anybody's that is written as JSON.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or is no OpenAPI document of a version that is known.
    pub fn of(document: &impl Serialize) -> Result<Self, ConfigError> {
        Self::from_value(serde_json::to_value(document))
    }

    fn from_value(document: serde_json::Result<Value>) -> Result<Self, ConfigError> {
        let problem = match document {
            Err(error) => format!("is no JSON document: {error}"),
            Ok(document) => match document::version(&document) {
                Err(problem) => problem,
                Ok(version) => {
                    return Ok(Self {
                        document,
                        version,
                        under: String::new(),
                        tokens: Vec::new(),
                        elsewhere: Vec::new(),
                    });
                }
            },
        };
        let mut faults = ConfigError::collect();
        faults.add(SETTING, problem);
        Err(faults)
    }

    /// The path under which the router of this document is nested, `/v1` for example. None by default: the URLs of its
    /// servers are of the outside, and say nothing of routers.
    #[must_use]
    pub fn under(mut self, prefix: impl Into<String>) -> Self {
        self.under = prefix.into();
        self
    }

    /// Names a security scheme that is the bearer token which gateless checks. To be said, for each of them, where a document
    /// uses several that could be: a token of another issuer under another name must not do for it.
    #[must_use]
    pub fn bearer_token(mut self, scheme: impl Into<Box<str>>) -> Self {
        self.tokens.push(scheme.into());
        self
    }

    /// Names a security scheme that something else enforces, such as an API key or mutual TLS. It may stand beside the
    /// bearer token, in all alternatives of an operation or in none, and never for it.
    #[must_use]
    pub fn checked_elsewhere(mut self, scheme: impl Into<Box<str>>) -> Self {
        self.elsewhere.push(scheme.into());
        self
    }

    /// One declaration for each operation under `paths`: in the order in which the JSON was kept, which is that of the
    /// paths' names unless `serde_json` is built with `preserve_order`. Webhooks and callbacks are not served.
    ///
    /// # Errors
    ///
    /// Every operation whose security is missing or not clear, and all that is no OpenAPI around it.
    pub fn declarations(&self) -> Result<Vec<Declaration>, ConfigError> {
        read::declarations(self)
    }

    /// The document with the `security` of each operation as declared, for the bearer token that it names `scheme`: as
    /// the type that it came as, or as `serde_json::Value`.
    ///
    /// ```
    /// use gateless::openapi::OpenApi;
    /// use serde_json::{Value, json};
    ///
    /// let document = |security| json!({
    ///     "openapi": "3.1.0",
    ///     "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    ///     "paths": {"/orders": {"get": security}},
    /// });
    /// let declared = OpenApi::of(&document(json!({"security": [{"token": ["orders:read"]}]})))?.declarations()?;
    /// let written: Value = OpenApi::of(&document(json!({})))?.write("token", &declared)?;
    /// assert_eq!(written["paths"]["/orders"]["get"]["security"], json!([{"token": ["orders:read"]}]));
    /// # Ok::<(), gateless::ConfigError>(())
    /// ```
    ///
    /// What is checked elsewhere stays in each alternative. What no scope can say goes into `x-gateless-requirement`, the reason of an open route into `x-gateless-open`. What
    /// stood there is replaced, and a path item that is a reference becomes a copy. Declarations of gRPC methods are
    /// passed over. Which scope implies which is not written.
    ///
    /// # Errors
    ///
    /// An operation without a declaration, and a declaration without an operation: paths are compared by their structure,
    /// whatever their parameters are called. A scheme that the document does not define, or that is not the bearer token.
    /// More than 64 alternatives of scopes in one requirement. Scopes for a scheme of type `http` in a document of
    /// version 3.0, which does not allow them. A type that drops members of its JSON drops what they said.
    pub fn write<T: DeserializeOwned>(
        self,
        scheme: &str,
        declarations: &[Declaration],
    ) -> Result<T, ConfigError> {
        write::write(self, scheme, declarations)
    }
}
