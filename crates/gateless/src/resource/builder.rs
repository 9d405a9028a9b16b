//! From settings to the document.

use std::sync::Arc;

use gateless_core::{ConfigError, Scope};
use serde::Serialize;
use url::{Host, Position, Url};

use super::{Inner, ResourceMetadata};

/// RFC 9728 §3.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Settings of [`ResourceMetadata`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ResourceMetadataBuilder {
    resource: String,
    authorization_servers: Vec<String>,
    scopes: Vec<Scope>,
    name: Option<String>,
    documentation: Option<String>,
}

/// RFC 9728 §2, in its order. A list without elements is left out (§3.2).
#[derive(Serialize)]
struct Document<'a> {
    resource: &'a str,
    authorization_servers: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a str>,
    bearer_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_documentation: Option<&'a str>,
}

impl ResourceMetadataBuilder {
    pub(super) const fn new(resource: String) -> Self {
        Self {
            resource,
            authorization_servers: Vec::new(),
            scopes: Vec::new(),
            name: None,
            documentation: None,
        }
    }

    /// Names an authorization server by its issuer. Call it once for each, the one to prefer first.
    ///
    /// At least one is required: RFC 9728 would do without, but MCP does not, and a client could not go on from there.
    pub fn authorization_server(mut self, issuer: impl Into<String>) -> Self {
        self.authorization_servers.push(issuer.into());
        self
    }

    /// The scopes that can be asked for, each named once, in the order given. None are named by default.
    pub fn scopes_supported(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.scopes.clear();
        for scope in scopes {
            if !self.scopes.contains(&scope) {
                self.scopes.push(scope);
            }
        }
        self
    }

    /// What a sign-in page calls this service. None by default.
    pub fn resource_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The URL of a page for developers. None by default.
    pub fn resource_documentation(mut self, url: impl Into<String>) -> Self {
        self.documentation = Some(url.into());
        self
    }

    /// Checks the settings and renders the document.
    ///
    /// All URLs are `https`; plain `http` is for loopback hosts, under development.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming each setting that cannot be used: a resource or an authorization server that is no such
    /// URL or has user information, query or fragment; a resource that is not spelled the way URL parsers write it, as
    /// clients compare it byte for byte; no authorization server, or the same one twice; a name without text.
    pub fn build(self) -> Result<ResourceMetadata, ConfigError> {
        let Self {
            resource,
            authorization_servers,
            scopes,
            name,
            documentation,
        } = self;
        let mut faults = ConfigError::collect();
        let url = check_identifier("resource", &resource, &mut faults);
        let location = url.and_then(|url| location(&url, &resource, &mut faults));
        check_servers(&authorization_servers, &mut faults);
        if name.as_deref().is_some_and(|name| name.trim().is_empty()) {
            faults.add("resource_name", "is empty");
        }
        if let Some(url) = &documentation {
            check_url("resource_documentation", url, &mut faults);
        }
        let document = Document {
            resource: &resource,
            authorization_servers: &authorization_servers,
            scopes_supported: scopes.iter().map(Scope::as_str).collect(),
            bearer_methods_supported: ["header"],
            resource_name: name.as_deref(),
            resource_documentation: documentation.as_deref(),
        };
        let document = serde_json::to_vec(&document).expect("lists and texts are JSON");
        faults.into_result()?;
        let (url, origin_len) = location.expect("without one there is a fault");
        Ok(ResourceMetadata(Arc::new(Inner {
            resource,
            url,
            origin_len,
            document: document.into(),
        })))
    }
}

/// The URL of the document and where its path begins: the well-known path stands between the host and the path of the
/// resource, and a slash that only ends the host goes away (RFC 9728 §3.1).
fn location(url: &Url, resource: &str, faults: &mut ConfigError) -> Option<(String, usize)> {
    let (normal, path) = match url.path() {
        "/" if !resource.ends_with('/') => (&url[..Position::BeforePath], ""),
        "/" => (url.as_str(), ""),
        path => (url.as_str(), path),
    };
    if resource != normal {
        faults.add("resource", format!("is spelled {normal} by URL parsers"));
        return None;
    }
    if path
        .split('/')
        .any(|segment| segment.starts_with([':', '*']))
    {
        let problem = "has a segment in its path that routers take for a parameter";
        faults.add("resource", problem);
        return None;
    }
    let origin = &url[..Position::BeforePath];
    Some((format!("{origin}{WELL_KNOWN}{path}"), origin.len()))
}

fn check_servers(issuers: &[String], faults: &mut ConfigError) {
    const SETTING: &str = "authorization_server";
    if issuers.is_empty() {
        faults.add(SETTING, "is not named: clients have nowhere to sign in");
    }
    for (index, issuer) in issuers.iter().enumerate() {
        let is_known = issuers.iter().take(index).any(|earlier| earlier == issuer);
        let url = check_identifier(SETTING, issuer, faults);
        if is_known && url.is_some() {
            faults.add(SETTING, format!("{issuer} is named twice"));
        }
    }
}

/// An identifier is a URL without query and fragment. RFC 9728 §1.2 tolerates the query of a resource; nobody needs it.
fn check_identifier(setting: &'static str, text: &str, faults: &mut ConfigError) -> Option<Url> {
    let url = check_url(setting, text, faults)?;
    if url.query().is_some() || url.fragment().is_some() {
        faults.add(setting, format!("{text} has a query or a fragment"));
        return None;
    }
    Some(url)
}

/// An absolute URL that is `https`, or `http` on a loopback host. One with credentials in it is not repeated in the fault.
fn check_url(setting: &'static str, text: &str, faults: &mut ConfigError) -> Option<Url> {
    // The parser drops blanks and line breaks, and reads `\` as `/`.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains('\\');
    match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            faults.add(setting, "has user information in it");
            None
        }
        Ok(url) if is_plain && is_secure(&url) => Some(url),
        // Nor what the parser makes nothing of: a password with a `/` in it.
        _ if text.contains('@') => {
            faults.add(setting, "is not an https URL");
            None
        }
        _ => {
            faults.add(setting, format!("{text:?} is not an https URL"));
            None
        }
    }
}

fn is_secure(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && is_loopback
}
