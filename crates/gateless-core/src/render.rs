//! From a rejection to the response that says it: RFC 9457 and RFC 6750 for HTTP, a real status for gRPC.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response};

use crate::acr::Acr;
use crate::config::ConfigError;
use crate::grpc;
use crate::problem::{Problem, ProblemBody};
use crate::quota::Excess;
use crate::rejection::Rejection;
use crate::scope::Scope;
use crate::wire::Wire;

/// Turns rejections into responses.
///
/// The default answers HTTP with `application/problem+json` and gRPC with a status. A [`body`](RendererBuilder::body)
/// hook shapes the HTTP body to the house style; status, challenge and caching stay what they must be. One renderer
/// is shared by all layers of a stack: cloning is a reference count.
///
/// ```
/// use gateless_core::{ProblemBody, Rejection, Renderer, Wire};
///
/// let renderer = Renderer::builder()
///     .realm("orders")
///     .resource_metadata("https://api.example.com/.well-known/oauth-protected-resource")
///     .body(|problem| ProblemBody::new("text/plain", problem.detail().to_owned()))
///     .build()?;
/// let response = renderer.render(&Rejection::CredentialsMissing, Wire::Http);
/// assert_eq!(response.status(), 401);
/// assert_eq!(response.body(), "an access token is required");
/// # Ok::<(), gateless_core::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct Renderer(Option<Arc<Settings>>);

#[derive(Default)]
struct Settings {
    /// The attributes that every challenge carries, each preceded by its separator.
    realm: Option<String>,
    scope: Option<String>,
    resource_metadata: Option<String>,
    body: Option<BodyHook>,
}

type BodyHook = Box<dyn Fn(&Problem<'_>) -> ProblemBody + Send + Sync>;

impl Renderer {
    /// The default renderer, for stages that have no setting for it.
    pub const DEFAULT: &'static Self = &Self(None);

    /// A renderer with settings of its own.
    #[must_use]
    pub fn builder() -> RendererBuilder {
        RendererBuilder(Settings::default())
    }

    /// The response that says `rejection` on `wire`.
    ///
    /// The rejection itself is left in the response's extensions for outer layers.
    #[must_use]
    pub fn render(&self, rejection: &Rejection, wire: Wire) -> Response<Bytes> {
        let mut response = match wire {
            Wire::Http => self.http(rejection),
            Wire::Grpc => Self::grpc(rejection),
            Wire::GrpcWeb => Self::grpc_web(rejection, "application/grpc-web+proto", |frame| frame),
            Wire::GrpcWebText => {
                Self::grpc_web(rejection, "application/grpc-web-text+proto", |frame| {
                    STANDARD.encode(frame).into_bytes()
                })
            }
        };
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge(rejection) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in rejection.excess().map_or(&[][..], Excess::fields) {
            headers.append(name, value.clone());
        }
        response.extensions_mut().insert(rejection.clone());
        response
    }

    fn http(&self, rejection: &Rejection) -> Response<Bytes> {
        let problem = Problem::of(rejection);
        let body = match self.0.as_ref().and_then(|settings| settings.body.as_ref()) {
            Some(hook) => hook(&problem),
            None => problem.to_body(),
        };
        let mut response = Response::new(body.bytes);
        *response.status_mut() = rejection.status();
        response
            .headers_mut()
            .insert(CONTENT_TYPE, body.content_type);
        if let Rejection::MethodUnknown { allow } = rejection {
            // A gate of somebody else's may have put anything there.
            if let Ok(allow) = HeaderValue::try_from(&**allow) {
                response.headers_mut().insert(ALLOW, allow);
            }
        }
        if let Some(secs) = rejection.retry_after_secs() {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }

    /// A headers-only response: legal gRPC, and no body type has to know about trailers.
    fn grpc(rejection: &Rejection) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        for (name, value) in grpc_status(rejection) {
            let value = HeaderValue::try_from(value).expect("digits, base64 and fixed texts");
            headers.insert(HeaderName::from_static(name), value);
        }
        response
    }

    fn grpc_web(
        rejection: &Rejection,
        content_type: &'static str,
        encode: fn(Vec<u8>) -> Vec<u8>,
    ) -> Response<Bytes> {
        let trailers = grpc_status(rejection);
        let frame = grpc::web_trailers(trailers.iter().map(|(name, value)| (*name, &**value)));
        let mut response = Response::new(Bytes::from(encode(frame)));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    fn challenge(&self, rejection: &Rejection) -> Option<HeaderValue> {
        let error = rejection.challenge_error()?;
        if error.is_empty() && self.0.is_none() {
            return Some(HeaderValue::from_static("Bearer"));
        }
        // Room for the longest of the fixed texts and some scopes: one allocation.
        let mut challenge = String::with_capacity(256);
        challenge.push_str("Bearer");
        let mut separator = ' ';
        let mut attribute = |name: &str, value: &dyn fmt::Display| {
            let space = if separator == ',' { " " } else { "" };
            // A `String` takes whatever is written to it.
            let _ = write!(challenge, "{separator}{space}{name}=\"{value}\"");
            separator = ',';
        };
        let settings = self.0.as_deref();
        if let Some(realm) = settings.and_then(|settings| settings.realm.as_ref()) {
            attribute("realm", realm);
        }
        if !error.is_empty() {
            attribute("error", &error);
            attribute("error_description", rejection);
        }
        if let Some(step_up) = rejection.step_up() {
            if !step_up.acr_values().is_empty() {
                attribute("acr_values", &joined(step_up.acr_values(), Acr::as_str));
            }
            if let Some(secs) = step_up.max_age() {
                attribute("max_age", &secs);
            }
        }
        let at_sign_in = settings.and_then(|settings| settings.scope.as_ref());
        if let Some(shortfall) = rejection.shortfall() {
            attribute("scope", &joined(shortfall.needed(), Scope::as_str));
        } else if let Rejection::CredentialsMissing | Rejection::TokenInvalid(_) = rejection
            && let Some(scope) = at_sign_in
        {
            attribute("scope", scope);
        }
        if let Some(url) = settings.and_then(|settings| settings.resource_metadata.as_ref()) {
            attribute("resource_metadata", url);
        }
        Some(HeaderValue::try_from(challenge).expect("fixed texts, scope tokens, checked settings"))
    }
}

fn joined<T>(tokens: &[T], text: fn(&T) -> &str) -> String {
    let length = tokens.iter().map(|token| text(token).len() + 1).sum();
    let mut joined = String::with_capacity(length);
    for token in tokens {
        let space = if joined.is_empty() { "" } else { " " };
        joined.push_str(space);
        joined.push_str(text(token));
    }
    joined
}

fn grpc_status(rejection: &Rejection) -> [(&'static str, String); 3] {
    let (code, message) = (rejection.grpc_code(), rejection.to_string());
    let mut metadata = Vec::new();
    if let Some(shortfall) = rejection.shortfall() {
        metadata.push(("missing_scopes", joined(shortfall.missing(), Scope::as_str)));
        metadata.push(("required_scopes", joined(shortfall.needed(), Scope::as_str)));
    }
    if let Some(step_up) = rejection.step_up() {
        if !step_up.acr_values().is_empty() {
            metadata.push(("acr_values", joined(step_up.acr_values(), Acr::as_str)));
        }
        if let Some(secs) = step_up.max_age() {
            metadata.push(("max_age", secs.to_string()));
        }
    }
    let details = grpc::status_details(
        code,
        &message,
        &rejection.code().to_ascii_uppercase(),
        &metadata,
        rejection.retry_after_secs(),
    );
    [
        ("grpc-status", code.to_string()),
        ("grpc-message", message),
        ("grpc-status-details-bin", details),
    ]
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.0.as_deref();
        f.debug_struct("Renderer")
            .field(
                "realm",
                &settings.and_then(|settings| settings.realm.as_ref()),
            )
            .field(
                "scope",
                &settings.and_then(|settings| settings.scope.as_ref()),
            )
            .field(
                "resource_metadata",
                &settings.and_then(|settings| settings.resource_metadata.as_ref()),
            )
            .field(
                "body",
                &settings.is_some_and(|settings| settings.body.is_some()),
            )
            .finish()
    }
}

/// Settings of a [`Renderer`].
pub struct RendererBuilder(Settings);

impl RendererBuilder {
    /// The `realm` of the challenges (RFC 9110 §11.5). None by default.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.0.realm = Some(realm.into());
        self
    }

    /// The `scope` that a client should ask for when it signs in (RFC 6750 §3), each named once, in the order given.
    ///
    /// Challenges with `401` carry it; one with `403` names what its own request needs. None by default. MCP asks
    /// servers for it (SHOULD, specification 2026-07-28): without it a client asks for all scopes that there are.
    #[must_use]
    pub fn scope(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut distinct = Vec::new();
        for scope in scopes {
            if !distinct.contains(&scope) {
                distinct.push(scope);
            }
        }
        self.0.scope = Some(joined(&distinct, Scope::as_str));
        self
    }

    /// The URL of this resource's metadata (RFC 9728 §5.1), put into every challenge. None by default.
    #[must_use]
    pub fn resource_metadata(mut self, url: impl Into<String>) -> Self {
        self.0.resource_metadata = Some(url.into());
        self
    }

    /// Shapes the body of HTTP refusals. The default is RFC 9457 problem details.
    #[must_use]
    pub fn body(
        mut self,
        hook: impl Fn(&Problem<'_>) -> ProblemBody + Send + Sync + 'static,
    ) -> Self {
        self.0.body = Some(Box::new(hook));
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming each setting that cannot stand in a quoted string of a header, and a list of no scopes.
    pub fn build(self) -> Result<Renderer, ConfigError> {
        let Self(settings) = self;
        let mut faults = ConfigError::collect();
        if settings
            .realm
            .as_deref()
            .is_some_and(|realm| !is_quotable(realm))
        {
            faults.add(
                "realm",
                "has a character that cannot stand in a quoted string",
            );
        }
        if settings.scope.as_deref() == Some("") {
            faults.add("scope", "names none");
        }
        if let Some(url) = &settings.resource_metadata {
            if !url.starts_with("https://") && !url.starts_with("http://") {
                faults.add("resource_metadata", "is not an absolute URL");
            }
            if !is_quotable(url) {
                faults.add(
                    "resource_metadata",
                    "has a character that cannot stand in a URL",
                );
            }
        }
        faults.into_result()?;
        Ok(Renderer(Some(Arc::new(settings))))
    }
}

impl fmt::Debug for RendererBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RendererBuilder").finish_non_exhaustive()
    }
}

fn is_quotable(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests;
