//! How key sets are fetched: from a file, or over HTTP with bounds on everything.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use ::http::HeaderValue;
use gateless_jwt::{Algorithm, KeySet, KeySetError};

#[cfg(feature = "jwks")]
pub(super) mod http;

/// Fetches the whole key set of one issuer.
pub(super) trait Fetch: Send + Sync + fmt::Debug {
    /// `known` is what the last document came with.
    fn fetch(&self, known: Option<Validator>) -> Fetching<'_>;
}

pub(super) type Fetching<'a> =
    Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send + 'a>>;

/// What a source answers.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "jwks"),
    allow(dead_code, reason = "a file does not say")
)]
pub(super) enum Fetched {
    New(Document),
    /// The document is still the one that came with the validator.
    Unchanged {
        max_age: Option<Duration>,
    },
}

/// A key set as it was fetched.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) keys: KeySet,
    /// For how long its source calls it fresh (RFC 9111 §4.2).
    pub(super) max_age: Option<Duration>,
    pub(super) validator: Option<Validator>,
}

impl Document {
    /// One that says nothing about itself.
    pub(super) const fn new(keys: KeySet) -> Self {
        Self {
            keys,
            max_age: None,
            validator: None,
        }
    }
}

/// Tells one version of the document at an address from another (RFC 9110 §8.8.3).
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "jwks"),
    allow(dead_code, reason = "a file does not say")
)]
pub(super) struct Validator {
    address: Box<str>,
    entity_tag: HeaderValue,
}

/// Why a key set could not be fetched. Nothing of what the other side sent is in it.
#[derive(Clone, Debug)]
pub(super) enum FetchError {
    Unreadable(std::io::ErrorKind),
    TimedOut,
    NoRuntime,
    Set(KeySetError),
    #[cfg(feature = "jwks")]
    Http(crate::outbound::HttpError),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(kind) => write!(f, "cannot be read: {kind}"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::NoRuntime => f.write_str("no tokio runtime to fetch on"),
            Self::Set(error) => fmt::Display::fmt(error, f),
            #[cfg(feature = "jwks")]
            Self::Http(error) => fmt::Display::fmt(error, f),
        }
    }
}

/// A JWK set in a file.
#[derive(Clone, Debug)]
pub(super) struct FileFetch {
    path: PathBuf,
    allowed: Box<[Algorithm]>,
}

impl FileFetch {
    pub(super) fn new(path: PathBuf, allowed: &[Algorithm]) -> Self {
        Self {
            path,
            allowed: allowed.into(),
        }
    }

    pub(super) fn read(&self) -> Result<KeySet, FetchError> {
        let document =
            std::fs::read(&self.path).map_err(|error| FetchError::Unreadable(error.kind()))?;
        KeySet::from_json(&document, &self.allowed).map_err(FetchError::Set)
    }
}

impl Fetch for FileFetch {
    fn fetch(&self, _: Option<Validator>) -> Fetching<'_> {
        Box::pin(async {
            let reader = self.clone();
            let reading = tokio::task::spawn_blocking(move || reader.read());
            reading
                .await
                .unwrap_or(Err(FetchError::Unreadable(std::io::ErrorKind::Other)))
                .map(|keys| Fetched::New(Document::new(keys)))
        })
    }
}
