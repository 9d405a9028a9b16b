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
        match (
            rejection,
            settings.and_then(|settings| settings.scope.as_ref()),
        ) {
            (Rejection::CredentialsMissing | Rejection::TokenInvalid(_), Some(scope)) => {
                attribute("scope", scope);
            }
            _ => {
                if let Some(shortfall) = rejection.shortfall() {
                    attribute("scope", &joined(shortfall.needed(), Scope::as_str));
                }
            }
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
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;
    use crate::{
        Dependency, PresentationFault, Principal, PrincipalParts, Requirement, ScopeSet, Timestamp,
        TokenFault, acr, scopes,
    };

    fn every_rejection() -> Vec<Rejection> {
        let now = Timestamp::from_secs(1_750_000_000);
        let caller = Principal::assert_authenticated(PrincipalParts {
            scopes: ScopeSet::parse("orders:read").unwrap(),
            ..PrincipalParts::new("https://idp.example.com", now)
        });
        let both = Requirement::all(scopes!["orders:read", "orders:write"]);
        let strong = [
            Requirement::acr([acr!("phr"), acr!("phrh")]),
            Requirement::max_age(Duration::from_secs(300)),
        ];
        let strong = Requirement::all(strong);
        let strong_and_both = Requirement::all([strong.clone(), both.clone()]);
        let refusal = |requirement: &Requirement| requirement.check(&caller, now).unwrap_err();
        vec![
            Rejection::CredentialsMissing,
            PresentationFault::RepeatedHeader.into(),
            TokenFault::Expired.into(),
            refusal(&both),
            Rejection::DependencyUnavailable {
                dependency: Dependency::Keys,
                retry_after: Duration::from_millis(1_500),
            },
            Rejection::PipelineMisordered,
            refusal(&strong),
            refusal(&strong_and_both),
            Rejection::CallerNotPermitted,
            Rejection::RouteUnknown,
            Rejection::MethodUnknown {
                allow: "GET, HEAD".into(),
            },
            Rejection::RouteUndeclared,
        ]
    }

    #[rstest]
    #[case(0, 401, Some("Bearer"))]
    #[case(
        1,
        400,
        Some(
            "Bearer error=\"invalid_request\", error_description=\"the access token is not presented the way RFC 6750 asks for\""
        )
    )]
    #[case(
        2,
        401,
        Some(
            "Bearer error=\"invalid_token\", error_description=\"the access token is not valid\""
        )
    )]
    #[case(
        3,
        403,
        Some(
            "Bearer error=\"insufficient_scope\", error_description=\"the access token does not grant what this request needs\", scope=\"orders:read orders:write\""
        )
    )]
    #[case(4, 503, None)]
    #[case(5, 500, None)]
    #[case::tj_14(
        6,
        401,
        Some(
            "Bearer error=\"insufficient_user_authentication\", error_description=\"this request needs a more recent or a stronger authentication\", acr_values=\"phr phrh\", max_age=\"300\""
        )
    )]
    #[case::tj_14(
        7,
        401,
        Some(
            "Bearer error=\"insufficient_user_authentication\", error_description=\"this request needs a more recent or a stronger authentication\", acr_values=\"phr phrh\", max_age=\"300\", scope=\"orders:read orders:write\""
        )
    )]
    #[case(8, 403, None)]
    #[case(9, 404, None)]
    #[case(10, 405, None)]
    #[case(11, 403, None)]
    fn http_status_and_challenge(
        #[case] which: usize,
        #[case] status: u16,
        #[case] challenge: Option<&str>,
    ) {
        let response = Renderer::default().render(&every_rejection()[which], Wire::Http);
        assert_eq!(response.status(), status);
        let sent = response
            .headers()
            .get(WWW_AUTHENTICATE)
            .map(|value| value.to_str().unwrap());
        assert_eq!(sent, challenge);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503);
        let allow = response.headers().get(ALLOW);
        assert_eq!(
            allow.is_some_and(|allow| allow == "GET, HEAD"),
            status == 405
        );
    }

    #[test]
    fn a_missing_scope_is_named_in_the_problem() {
        let response = Renderer::default().render(&every_rejection()[3], Wire::Http);
        let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(
            problem,
            serde_json::json!({
                "type": "about:blank",
                "title": "Forbidden",
                "status": 403,
                "detail": "the access token does not grant what this request needs",
                "code": "scope_insufficient",
                "missing_scopes": ["orders:write"],
                "required_scopes": ["orders:read", "orders:write"],
            })
        );
    }

    #[test]
    fn tj_14_how_to_sign_in_is_in_the_problem() {
        let response = Renderer::default().render(&every_rejection()[7], Wire::Http);
        let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(problem["code"], "authentication_insufficient");
        assert_eq!(problem["acr_values"], serde_json::json!(["phr", "phrh"]));
        assert_eq!(problem["max_age"], 300);
        assert_eq!(
            problem["missing_scopes"],
            serde_json::json!(["orders:write"])
        );
    }

    #[test]
    fn tm_01_grpc_gets_a_status_in_the_headers() {
        for (rejection, code) in every_rejection().iter().zip([
            "16", "16", "16", "7", "14", "13", "16", "16", "7", "12", "12", "7",
        ]) {
            let response = Renderer::default().render(rejection, Wire::Grpc);
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
            assert_eq!(response.headers()["grpc-status"], code);
            assert!(response.body().is_empty());
        }
    }

    #[test]
    fn tm_03_grpc_web_gets_a_trailer_frame() {
        let response = Renderer::default().render(&Rejection::CredentialsMissing, Wire::GrpcWeb);
        let (flag, rest) = response.body().split_first().unwrap();
        let (length, block) = rest.split_first_chunk::<4>().unwrap();
        assert_eq!(*flag, 0x80);
        assert_eq!(u32::from_be_bytes(*length) as usize, block.len());
        let block = std::str::from_utf8(block).unwrap();
        assert!(
            block.starts_with("grpc-status:16\r\ngrpc-message:an access token"),
            "{block}"
        );

        let text = Renderer::default().render(&Rejection::CredentialsMissing, Wire::GrpcWebText);
        assert_eq!(STANDARD.decode(text.body()).unwrap(), response.body()[..]);
    }

    #[test]
    fn tm_04_tl_13_messages_need_no_escaping_anywhere() {
        for rejection in every_rejection() {
            let message = rejection.to_string();
            assert!(is_quotable(&message) && !message.contains('%'), "{message}");
        }
    }

    #[test]
    fn a_body_hook_cannot_weaken_status_or_challenge() {
        let renderer = Renderer::builder()
            .body(|_| ProblemBody::new("text/html", "<ok>"))
            .build()
            .unwrap();
        let response = renderer.render(&TokenFault::Expired.into(), Wire::Http);
        assert_eq!(response.status(), 401);
        assert!(response.headers().contains_key(WWW_AUTHENTICATE));
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html");
        assert_eq!(response.body(), "<ok>");
    }

    #[rstest]
    #[case(0, Some("scope=\"orders:read openid\""))]
    #[case(1, None)]
    #[case(2, Some("scope=\"orders:read openid\""))]
    #[case(3, Some("scope=\"orders:read orders:write\""))]
    #[case(4, None)]
    #[case(5, None)]
    fn what_to_ask_for_at_sign_in_is_in_challenges_with_401(
        #[case] which: usize,
        #[case] scope: Option<&str>,
    ) {
        let renderer = Renderer::builder()
            .scope(scopes!["orders:read", "openid", "orders:read"])
            .build()
            .unwrap();
        for wire in [Wire::Http, Wire::Grpc] {
            let response = renderer.render(&every_rejection()[which], wire);
            let challenge = response.headers().get(WWW_AUTHENTICATE);
            let sent = challenge.and_then(|challenge| {
                let challenge = challenge.to_str().unwrap();
                challenge.find("scope=").map(|at| &challenge[at..])
            });
            assert_eq!(sent, scope);
        }
    }

    #[test]
    fn settings_stand_beside_the_error_in_a_challenge() {
        let renderer = Renderer::builder()
            .realm("orders")
            .scope(scopes!["orders:read"])
            .resource_metadata("https://api.example.com/meta")
            .build()
            .unwrap();
        let response = renderer.render(&Rejection::CredentialsMissing, Wire::Http);
        assert_eq!(
            response.headers()[WWW_AUTHENTICATE],
            "Bearer realm=\"orders\", scope=\"orders:read\", resource_metadata=\"https://api.example.com/meta\""
        );
    }

    #[test]
    fn every_unusable_setting_is_named() {
        let error = Renderer::builder()
            .realm("a\"b")
            .scope([])
            .resource_metadata("orders\r\nSet-Cookie: a=b")
            .build()
            .unwrap_err();
        let settings: Vec<_> = error
            .faults()
            .iter()
            .map(crate::ConfigFault::setting)
            .collect();
        assert_eq!(
            settings,
            ["realm", "scope", "resource_metadata", "resource_metadata"]
        );
    }
}
