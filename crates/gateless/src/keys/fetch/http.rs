//! Key sets over HTTP.

use std::time::Duration;

use ::http::HeaderMap;
use ::http::header::{ACCEPT, AGE, ETAG, IF_NONE_MATCH};
use gateless_core::ConfigError;
use gateless_jwt::{Algorithm, KeySet};
use headers::{CacheControl, HeaderMapExt as _};
use reqwest::{Method, StatusCode};
use url::Url;

use super::{Document, Fetch, FetchError, Fetched, Fetching, Validator};
use crate::keys::Purpose;
use crate::outbound::{self, Discovery, HttpClient, HttpError, HttpSettings, checked_url};

/// The largest key set that is read, in bytes.
const MAX_BODY: usize = 512 * 1024;

/// Fetches one issuer's keys.
#[derive(Debug)]
struct HttpFetch {
    client: HttpClient,
    place: Place,
    allowed: Box<[Algorithm]>,
}

#[derive(Debug)]
enum Place {
    /// Where the issuer's metadata say.
    Metadata(Discovery),
    KeySet(Url),
}

/// Keys where the metadata of their issuer say. `None` when there is a fault.
pub(crate) fn discovery(
    settings: &HttpSettings,
    purpose: Purpose<'_>,
    timeout: Duration,
    faults: &mut ConfigError,
) -> Option<Box<dyn Fetch>> {
    let mut untold = ConfigError::collect();
    let allows = purpose.allows_http_loopback;
    let issuer = checked_url("issuer", purpose.issuer, allows, &mut untold);
    if !purpose.issuer_is_told {
        faults.merge(untold);
    }
    let place = |url| Place::Metadata(Discovery::new(purpose.issuer, url, settings, allows));
    build(settings, issuer, place, purpose, timeout, faults)
}

/// Keys at an address. `None` when there is a fault.
pub(crate) fn jwks(
    settings: &HttpSettings,
    url: &str,
    purpose: Purpose<'_>,
    timeout: Duration,
    faults: &mut ConfigError,
) -> Option<Box<dyn Fetch>> {
    let url = checked_url("jwks_url", url, purpose.allows_http_loopback, faults);
    build(settings, url, Place::KeySet, purpose, timeout, faults)
}

fn build(
    settings: &HttpSettings,
    url: Option<Url>,
    place: impl FnOnce(Url) -> Place,
    purpose: Purpose<'_>,
    timeout: Duration,
    faults: &mut ConfigError,
) -> Option<Box<dyn Fetch>> {
    let allows = purpose.allows_http_loopback;
    let client = settings.client(url.as_ref(), timeout, allows, faults);
    Some(Box::new(HttpFetch {
        client: client?,
        place: place(url?),
        allowed: purpose.algorithms.into(),
    }))
}

impl Fetch for HttpFetch {
    fn fetch(&self, known: Option<Validator>) -> Fetching<'_> {
        Box::pin(async move {
            let found;
            let url = match &self.place {
                Place::Metadata(discovery) => {
                    let jwks = discovery.find(&self.client, |metadata| metadata.jwks_uri);
                    found = jwks.await?;
                    &found
                }
                Place::KeySet(url) => url,
            };
            let known = known.filter(|known| *known.address == *url.as_str());
            let mut request = self.client.request(Method::GET, url)?;
            request = request.header(ACCEPT, "application/json, application/jwk-set+json");
            if let Some(Validator { entity_tag, .. }) = &known {
                request = request.header(IF_NONE_MATCH, entity_tag);
            }
            let response = outbound::send(request).await?;
            let max_age = max_age(response.headers());
            if known.is_some() && response.status() == StatusCode::NOT_MODIFIED {
                return Ok(Fetched::Unchanged { max_age });
            }
            let validator = response.headers().get(ETAG).map(|entity_tag| Validator {
                address: url.as_str().into(),
                entity_tag: entity_tag.clone(),
            });
            let body = outbound::read_ok(response, MAX_BODY).await?;
            let keys = KeySet::from_json(&body, &self.allowed).map_err(FetchError::Set)?;
            Ok(Fetched::New(Document {
                keys,
                max_age,
                validator,
            }))
        })
    }
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

impl From<HttpError> for FetchError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}
