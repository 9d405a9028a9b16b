//! Requests that the layers make themselves: one pooled client for each purpose, a total deadline, no redirects, no plain
//! HTTP, a cap on every body, and an eye on where it goes.

mod address;
mod metadata;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gateless_core::ConfigError;
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, StatusCode, redirect};
use url::{Host, Url};

use self::address::Reach;
pub(crate) use self::metadata::Discovery;

/// Whom may be asked, and who vouches for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HttpSettings {
    pub(crate) allowed_hosts: Vec<Box<str>>,
    pub(crate) allows_private: bool,
    pub(crate) root_certificates: Vec<Vec<u8>>,
}

impl HttpSettings {
    /// A client that goes to `url` first; to an address in plain HTTP only on loopback, and only when that is allowed.
    pub(crate) fn client(
        &self,
        url: Option<&Url>,
        timeout: Duration,
        allows_http_loopback: bool,
        faults: &mut ConfigError,
    ) -> Option<HttpClient> {
        let reach = Reach {
            loopback: self.allows_private || allows_http_loopback,
            private: self.allows_private,
        };
        let mut client = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout / 2)
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(reach))
            .user_agent(concat!("gateless/", env!("CARGO_PKG_VERSION")));
        if url.is_some_and(|url| url.scheme() == "http") {
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
        match client.build() {
            Ok(client) => Some(HttpClient { client, reach }),
            Err(error) => {
                faults.add("http", format!("has no client: {error}"));
                None
            }
        }
    }
}

/// A client with all of that set.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    client: Client,
    reach: Reach,
}

impl HttpClient {
    pub(crate) fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, HttpError> {
        if !self.reach.allows_host_of(url) {
            return Err(HttpError::Private);
        }
        Ok(self.client.request(method, url.clone()))
    }

    /// The body of a good answer.
    async fn get(&self, url: &Url, max_body: usize) -> Result<Vec<u8>, HttpError> {
        let request = self.request(Method::GET, url)?;
        let response = request.header(http::header::ACCEPT, "application/json");
        read_ok(send(response).await?, max_body).await
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Result<Response, HttpError> {
    request.send().await.map_err(|error| HttpError::of(&error))
}

/// The body of an answer that is `200`, as far as it is not too large.
pub(crate) async fn read_ok(response: Response, max_body: usize) -> Result<Vec<u8>, HttpError> {
    if response.status() != StatusCode::OK {
        return Err(HttpError::Status(response.status()));
    }
    read(response, max_body).await
}

/// The body of an answer, as far as it is not too large.
pub(crate) async fn read(mut response: Response, max_body: usize) -> Result<Vec<u8>, HttpError> {
    let announced = response.content_length();
    if announced.is_some_and(|length| length > max_body as u64) {
        return Err(HttpError::TooLarge(max_body));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| match HttpError::of(&error) {
            HttpError::Unreachable => HttpError::Incomplete,
            other => other,
        })?
    {
        if body.len() + chunk.len() > max_body {
            return Err(HttpError::TooLarge(max_body));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The address, when it may be asked. One with credentials in it is not repeated in the fault.
pub(crate) fn checked_url(
    setting: &'static str,
    url: &str,
    allows_http_loopback: bool,
    faults: &mut ConfigError,
) -> Option<Url> {
    match Url::parse(url) {
        Ok(parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            faults.add(setting, "has credentials in it");
            None
        }
        Ok(parsed) if is_secure(&parsed, allows_http_loopback) => Some(parsed),
        // Nor what the parser makes nothing of: a password with a `/` in it.
        _ if url.contains('@') => {
            faults.add(setting, "is not an https URL");
            None
        }
        _ => {
            faults.add(setting, format!("{url} is not an https URL"));
            None
        }
    }
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

/// Why an answer could not be had or used. Nothing of what the other side sent is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HttpError {
    TimedOut,
    Unreachable,
    /// The connection broke within the answer.
    Incomplete,
    Status(StatusCode),
    /// Larger than so many bytes.
    TooLarge(usize),
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

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Unreachable => f.write_str("not reachable"),
            Self::Incomplete => f.write_str("answered only in part"),
            Self::Status(status) => write!(f, "answered {}", status.as_u16()),
            Self::TooLarge(max) => write!(f, "answered more than {max} bytes"),
            Self::NotMetadata => f.write_str("answered no usable metadata"),
            Self::OtherIssuer => f.write_str("the metadata are of another issuer"),
            Self::OtherHost => {
                f.write_str("the metadata name an address on another host, which is not allowed")
            }
            Self::Insecure => f.write_str("the metadata name an address that is not https"),
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
