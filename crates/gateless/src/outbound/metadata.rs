//! What an issuer says about its own endpoints.

use serde::Deserialize;
use url::Url;

use super::{HttpClient, HttpError, HttpSettings, is_secure};

/// The largest metadata document that is read, in bytes.
const MAX_BODY: usize = 512 * 1024;

/// Finds an endpoint in the metadata of one issuer.
#[derive(Debug)]
pub(crate) struct Discovery {
    /// As configured: what the document has to say, to the byte.
    issuer: Box<str>,
    url: Url,
    allowed_hosts: Vec<Box<str>>,
    allows_http_loopback: bool,
}

/// What is read of the metadata (OpenID Connect Discovery §3, RFC 8414 §2).
#[derive(Deserialize)]
pub(crate) struct Metadata {
    issuer: String,
    pub(crate) jwks_uri: Option<String>,
    #[cfg(feature = "introspection")]
    pub(crate) introspection_endpoint: Option<String>,
}

impl Discovery {
    /// Of the issuer with this name, which is found at `url`.
    pub(crate) fn new(
        issuer: &str,
        url: Url,
        settings: &HttpSettings,
        allows_http_loopback: bool,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            url,
            allowed_hosts: settings.allowed_hosts.clone(),
            allows_http_loopback,
        }
    }

    /// The address that `endpoint` picks. It has to be secure, and on the issuer's own host or one that is allowed.
    pub(crate) async fn find(
        &self,
        client: &HttpClient,
        endpoint: impl Fn(Metadata) -> Option<String>,
    ) -> Result<Url, HttpError> {
        let document = match client.get(&openid_configuration(&self.url), MAX_BODY).await {
            Err(HttpError::Status(reqwest::StatusCode::NOT_FOUND)) => {
                client
                    .get(&authorization_server(&self.url), MAX_BODY)
                    .await?
            }
            answer => answer?,
        };
        let metadata: Metadata =
            serde_json::from_slice(&document).map_err(|_| HttpError::NotMetadata)?;
        if metadata.issuer != *self.issuer {
            return Err(HttpError::OtherIssuer);
        }
        let found = endpoint(metadata).ok_or(HttpError::NotMetadata)?;
        let url = Url::parse(&found).map_err(|_| HttpError::NotMetadata)?;
        if !is_secure(&url, self.allows_http_loopback) {
            return Err(HttpError::Insecure);
        }
        let host = url.host_str().unwrap_or_default();
        let is_allowed = self.allowed_hosts.iter().any(|allowed| **allowed == *host);
        if url.origin() != self.url.origin() && !is_allowed {
            return Err(HttpError::OtherHost);
        }
        Ok(url)
    }
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
}
