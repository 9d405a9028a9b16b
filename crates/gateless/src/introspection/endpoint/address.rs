//! Where the endpoint is: a known address, or one in the issuer's metadata.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateless_core::Monotonic;
use url::Url;

use crate::outbound::{Discovery, HttpClient, HttpError};

/// How long an address out of the metadata is used before it is looked up again.
const FOUND_FOR: Duration = Duration::from_secs(10 * 60);

/// How long metadata that could not be had are not asked for again.
const NOT_FOUND_FOR: Duration = Duration::from_secs(1);

/// Where the endpoint is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Known(Box<Url>),
    Metadata(Arc<Metadata>),
}

/// An address that the issuer's metadata say.
#[derive(Debug)]
pub(super) struct Metadata {
    discovery: Discovery,
    http: HttpClient,
    last: Mutex<LookedUp>,
    /// One at a time looks for the first one.
    looking: tokio::sync::Mutex<()>,
}

/// What came of looking the address up.
#[derive(Debug, Default)]
struct LookedUp {
    url: Option<Url>,
    failure: Option<HttpError>,
    /// When somebody looked last.
    at: Option<Monotonic>,
}

impl Place {
    pub(super) async fn url(&self, now: Monotonic) -> Result<Url, HttpError> {
        match self {
            Self::Known(url) => Ok(Url::clone(url)),
            Self::Metadata(metadata) => metadata.url(now).await,
        }
    }
}

impl Metadata {
    pub(super) fn new(discovery: Discovery, http: HttpClient) -> Self {
        Self {
            discovery,
            http,
            last: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        }
    }

    /// The address. One that is known is used at once, whatever its metadata do meanwhile: endpoints hardly ever move.
    async fn url(self: &Arc<Self>, now: Monotonic) -> Result<Url, HttpError> {
        if let Some(known) = self.known(now) {
            return known;
        }
        let _one_at_a_time = self.looking.lock().await;
        match self.known(now) {
            Some(known) => known,
            None => self.look_up(now).await,
        }
    }

    /// What is known without looking. An address that is getting old is looked up again, in a task of its own.
    fn known(self: &Arc<Self>, now: Monotonic) -> Option<Result<Url, HttpError>> {
        let mut last = self.last();
        let age = last.at.map(|at| now.since(at))?;
        let Some(url) = last.url.clone() else {
            return last.failure.filter(|_| age < NOT_FOUND_FOR).map(Err);
        };
        if age >= FOUND_FOR {
            last.at = Some(now);
            drop(last);
            let this = Arc::clone(self);
            tokio::spawn(async move { this.look_up(now).await });
        }
        Some(Ok(url))
    }

    async fn look_up(&self, now: Monotonic) -> Result<Url, HttpError> {
        let found = self
            .discovery
            .find(&self.http, |metadata| metadata.introspection_endpoint)
            .await;
        let mut last = self.last();
        last.at = Some(now);
        match &found {
            Ok(url) => last.url = Some(url.clone()),
            Err(error) => last.failure = Some(*error),
        }
        found
    }

    fn last(&self) -> MutexGuard<'_, LookedUp> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
