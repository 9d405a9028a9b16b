//! Key sets over HTTP: one pooled client, a total deadline, no redirects, no plain HTTP, a cap on every body.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use ::http::header::{ACCEPT, AGE, ETAG, IF_NONE_MATCH};
use gateless_core::ConfigError;
use gateless_jwt::{Algorithm, KeySet, TokenPolicy};
use headers::{CacheControl, HeaderMapExt as _};
use reqwest::{Certificate, Client, Response, StatusCode, redirect};
use serde::Deserialize;
use url::{Host, Url};

use super::address::{self, Reach};
use super::{Document, Fetch, FetchError, Fetched, Fetching, Validator};

/// The largest answer that is read, in bytes.
const MAX_BODY: usize = 512 * 1024;

/// What is set for all HTTP sources alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::bearer::keys) struct HttpSettings {
    pub(in crate::bearer::keys) allowed_hosts: Vec<Box<str>>,
    pub(in crate::bearer::keys) allows_private: bool,
    pub(in crate::bearer::keys) root_certificates: Vec<Vec<u8>>,
}

impl HttpSettings {
    pub(in crate::bearer::keys) fn discovery(
        &self,
        policy: &TokenPolicy,
        timeout: Duration,
        faults: &mut ConfigError,
    ) -> Box<dyn Fetch> {
        // What the policy finds wrong with its issuer is told once, by the policy.
        let is_told = policy.check().is_err_and(|error| {
            error
                .faults()
                .iter()
                .any(|fault| fault.setting() == "issuer")
        });
        let mut untold = ConfigError::collect();
        let issuer = checked_url("issuer", policy.issuer(), policy, &mut untold);
        if !is_told {
            faults.merge(untold);
        }
        self.build(Place::Metadata { issuer }, policy, timeout, faults)
    }

    pub(in crate::bearer::keys) fn jwks(
        &self,
        url: &str,
        policy: &TokenPolicy,
        timeout: Duration,
        faults: &mut ConfigError,
    ) -> Box<dyn Fetch> {
        let url = checked_url("jwks_url", url, policy, faults);
        self.build(Place::KeySet { url }, policy, timeout, faults)
    }

    fn build(
        &self,
        place: Place,
        policy: &TokenPolicy,
        timeout: Duration,
        faults: &mut ConfigError,
    ) -> Box<dyn Fetch> {
        let reach = Reach {
            loopback: self.allows_private || policy.is_http_loopback_allowed(),
            private: self.allows_private,
        };
        let mut client = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(reach))
            .user_agent(concat!("gateless/", env!("CARGO_PKG_VERSION")));
        if place.is_plain_http() {
            // A loopback address: a proxy that the environment names could not get there.
            client = client.no_proxy();
        }
        for pem in &self.root_certificates {
            // `from_pem` takes anything, and a text without a certificate would be trusted by nobody, in silence.
            match Certificate::from_pem_bundle(pem) {
                Ok(certificates) if !certificates.is_empty() => {
                    client = client.tls_certs_merge(certificates);
                }
                _ => faults.add("root_certificate", "is not a PEM certificate"),
            }
        }
        let client = match client.build() {
            Ok(client) => Some(client),
            Err(error) => {
                faults.add("keys", format!("cannot be fetched by HTTP: {error}"));
                None
            }
        };
        Box::new(HttpFetch {
            client,
            place,
            issuer: policy.issuer().into(),
            allowed: policy.allowed_algorithms().into(),
            allowed_hosts: self.allowed_hosts.clone(),
            allows_http_loopback: policy.is_http_loopback_allowed(),
            reach,
        })
    }
}

/// The address, when keys may be fetched from it. One with credentials in it is not repeated in the fault.
fn checked_url(
    setting: &'static str,
    url: &str,
    policy: &TokenPolicy,
    faults: &mut ConfigError,
) -> Option<Url> {
    match Url::parse(url) {
        Ok(parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            faults.add(setting, "has credentials in it");
            None
        }
        Ok(parsed) if is_secure(&parsed, policy.is_http_loopback_allowed()) => Some(parsed),
        _ => {
            faults.add(setting, format!("{url} is not an https URL"));
            None
        }
    }
}

/// Fetches one issuer's keys.
#[derive(Debug)]
struct HttpFetch {
    /// `None` only where building was refused.
    client: Option<Client>,
    place: Place,
    issuer: Box<str>,
    allowed: Box<[Algorithm]>,
    allowed_hosts: Vec<Box<str>>,
    allows_http_loopback: bool,
    reach: Reach,
}

#[derive(Debug)]
enum Place {
    Metadata { issuer: Option<Url> },
    KeySet { url: Option<Url> },
}

impl Place {
    fn is_plain_http(&self) -> bool {
        let (Self::Metadata { issuer: url } | Self::KeySet { url }) = self;
        url.as_ref().is_some_and(|url| url.scheme() == "http")
    }
}

/// What is read of an issuer's metadata (OpenID Connect Discovery §3, RFC 8414 §2).
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl Fetch for HttpFetch {
    fn fetch(&self, known: Option<Validator>) -> Fetching<'_> {
        Box::pin(async move {
            let url = match &self.place {
                Place::Metadata { issuer } => &self.discover(issuer.as_ref()).await?,
                Place::KeySet { url } => url.as_ref().ok_or(HttpError::Unusable)?,
            };
            let known = known.filter(|known| *known.address == *url.as_str());
            let response = self.send(url, known.as_ref()).await?;
            let max_age = max_age(response.headers());
            if known.is_some() && response.status() == StatusCode::NOT_MODIFIED {
                return Ok(Fetched::Unchanged { max_age });
            }
            let validator = response.headers().get(ETAG).map(|entity_tag| Validator {
                address: url.as_str().into(),
                entity_tag: entity_tag.clone(),
            });
            let body = read(response).await?;
            let keys = KeySet::from_json(&body, &self.allowed).map_err(FetchError::Set)?;
            Ok(Fetched::New(Document {
                keys,
                max_age,
                validator,
            }))
        })
    }
}

impl HttpFetch {
    /// The address of the key set, as the issuer's metadata name it.
    async fn discover(&self, issuer: Option<&Url>) -> Result<Url, HttpError> {
        let issuer = issuer.ok_or(HttpError::Unusable)?;
        let document = match self.get(&openid_configuration(issuer)).await {
            Err(HttpError::Status(StatusCode::NOT_FOUND)) => {
                self.get(&authorization_server(issuer)).await?
            }
            answer => answer?,
        };
        let metadata: Metadata =
            serde_json::from_slice(&document).map_err(|_| HttpError::NotMetadata)?;
        if metadata.issuer != *self.issuer {
            return Err(HttpError::OtherIssuer);
        }
        let url = Url::parse(&metadata.jwks_uri).map_err(|_| HttpError::NotMetadata)?;
        if !is_secure(&url, self.allows_http_loopback) {
            return Err(HttpError::Insecure);
        }
        let host = url.host_str().unwrap_or_default();
        let is_allowed = self.allowed_hosts.iter().any(|allowed| **allowed == *host);
        if url.origin() != issuer.origin() && !is_allowed {
            return Err(HttpError::OtherHost);
        }
        Ok(url)
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, HttpError> {
        read(self.send(url, None).await?).await
    }

    /// Asks for a document, or whether it is still the known one.
    async fn send(&self, url: &Url, known: Option<&Validator>) -> Result<Response, HttpError> {
        let client = self.client.as_ref().ok_or(HttpError::Unusable)?;
        if !self.reach.allows_host_of(url) {
            return Err(HttpError::Private);
        }
        let mut request = client
            .get(url.clone())
            .header(ACCEPT, "application/json, application/jwk-set+json");
        if let Some(Validator { entity_tag, .. }) = known {
            request = request.header(IF_NONE_MATCH, entity_tag);
        }
        request.send().await.map_err(|error| HttpError::of(&error))
    }
}

/// The body of a good answer, as far as it is not too large.
async fn read(mut response: Response) -> Result<Vec<u8>, HttpError> {
    if response.status() != StatusCode::OK {
        return Err(HttpError::Status(response.status()));
    }
    let announced = response.content_length();
    if announced.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(HttpError::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| HttpError::of(&error))?
    {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(HttpError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// How long the answer calls itself fresh (RFC 9111 §4.2.1): `None` when it does not say.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let control: CacheControl = headers.typed_get()?;
    if control.no_cache() || control.no_store() {
        return Some(Duration::ZERO);
    }
    // RFC 9111 §5.1: what it spent in caches on the way.
    let age = headers
        .get(AGE)
        .and_then(|age| age.to_str().ok()?.parse().ok());
    let spent = age.map_or(Duration::ZERO, Duration::from_secs);
    Some(control.max_age()?.saturating_sub(spent))
}

/// `https`, or `http` to a loopback address where that is allowed.
fn is_secure(url: &Url, allows_http_loopback: bool) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && allows_http_loopback && is_loopback
}

/// OpenID Connect Discovery §4: appended to the issuer's path.
fn openid_configuration(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    url.set_path(&format!(
        "{}/.well-known/openid-configuration",
        issuer.path().trim_end_matches('/')
    ));
    url
}

/// RFC 8414 §3: between host and path.
fn authorization_server(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    url.set_path(&format!(
        "/.well-known/oauth-authorization-server{}",
        issuer.path().trim_end_matches('/')
    ));
    url
}

/// Why an answer could not be used.
#[derive(Clone, Copy, Debug)]
pub(in crate::bearer::keys) enum HttpError {
    Unusable,
    TimedOut,
    Unreachable,
    Status(StatusCode),
    TooLarge,
    NotMetadata,
    OtherIssuer,
    OtherHost,
    Insecure,
    Private,
}

impl HttpError {
    fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else if address::is_blocked(error) {
            Self::Private
        } else {
            Self::Unreachable
        }
    }
}

impl From<HttpError> for FetchError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable => f.write_str("no usable address"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Unreachable => f.write_str("not reachable"),
            Self::Status(status) => write!(f, "answered {}", status.as_u16()),
            Self::TooLarge => write!(f, "answered more than {MAX_BODY} bytes"),
            Self::NotMetadata => f.write_str("answered no usable metadata"),
            Self::OtherIssuer => f.write_str("the metadata are of another issuer"),
            Self::OtherHost => f.write_str("the keys are on another host, which is not allowed"),
            Self::Insecure => f.write_str("the keys are not behind https"),
            Self::Private => {
                f.write_str("the address is private, and `allow_private_addresses` is not set")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "https://idp.example.com",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server"
    )]
    #[case(
        "https://idp.example.com/",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server"
    )]
    #[case(
        "https://idp.example.com/realms/a",
        "/realms/a/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/realms/a"
    )]
    fn metadata_addresses(#[case] issuer: &str, #[case] openid: &str, #[case] oauth: &str) {
        let issuer = Url::parse(issuer).unwrap();
        assert_eq!(openid_configuration(&issuer).path(), openid);
        assert_eq!(authorization_server(&issuer).path(), oauth);
    }

    #[rstest]
    #[case("https://idp.example.com", false, true)]
    #[case("http://127.0.0.1:9", true, true)]
    #[case("http://[::1]:9", true, true)]
    #[case("http://127.0.0.1:9", false, false)]
    #[case("http://idp.example.com", true, false)]
    #[case("ftp://127.0.0.1", true, false)]
    fn te_16_plain_http_is_for_loopback_by_choice(
        #[case] url: &str,
        #[case] allowed: bool,
        #[case] secure: bool,
    ) {
        assert_eq!(is_secure(&Url::parse(url).unwrap(), allowed), secure);
    }
}
