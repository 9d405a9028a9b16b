//! Settings of the layer, checked all at once.

use std::sync::Arc;

use gateless_core::{Clock, ConfigError, Renderer};
use gateless_jwt::TokenPolicy;
use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};

use super::cache::TokenCache;
use super::decide::{Authenticator, Issuer};
use super::epoch::PolicyEpoch;
use super::extract::{Cookie, CsrfDefence, Sources};
use super::handle::BearerHandle;
use super::keys::Keys;
use super::metrics::TokenMetrics;
use super::transport::TlsEvidence;
use super::{BearerAuth, OptionalBearerAuth};
use crate::clock::SystemClock;

/// Settings of [`BearerAuth`]. Only issuer, audience and keys have to be given; they are arguments of
/// [`BearerAuth::builder`].
#[derive(Debug)]
#[must_use]
pub struct BearerAuthBuilder {
    issuers: Vec<(TokenPolicy, Keys)>,
    sources: Sources,
    tls: Option<TlsEvidence>,
    strips_credentials: bool,
    clock: Arc<dyn Clock>,
    renderer: Renderer,
    token_cache: Option<TokenCache>,
}

impl BearerAuthBuilder {
    pub(super) fn new(policy: TokenPolicy, keys: Keys) -> Self {
        Self {
            issuers: vec![(policy, keys)],
            sources: Sources {
                max_token_len: 8 * 1024,
                ..Sources::default()
            },
            tls: None,
            strips_credentials: false,
            clock: Arc::new(SystemClock::new()),
            renderer: Renderer::default(),
            token_cache: Some(TokenCache::new()),
        }
    }

    /// Accepts the tokens of one more issuer. Each issuer has its own keys: a key id of one means nothing at another.
    pub fn issuer(mut self, policy: TokenPolicy, keys: Keys) -> Self {
        self.issuers.push((policy, keys));
        self
    }

    /// The longest token that is looked at, in bytes. 8192 by default; a longer one is refused before it is decoded.
    pub const fn max_token_len(mut self, bytes: usize) -> Self {
        self.sources.max_token_len = bytes;
        self
    }

    /// Takes the token from this cookie as well. Browsers send cookies with requests that other sites cause, so a
    /// defence against that has to be named (RFC 6750 §5.3).
    pub fn cookie(mut self, name: impl Into<Box<str>>, defence: CsrfDefence) -> Self {
        self.sources.cookie = Some(Cookie {
            name: name.into(),
            defence,
        });
        self
    }

    /// Takes the token from this header field as well, without a scheme in front.
    pub fn header(mut self, name: HeaderName) -> Self {
        self.sources.header = Some(name);
        self
    }

    /// Takes the token from this query parameter as well. Addresses end up in logs, histories and `Referer` fields
    /// (RFC 6750 §5.3, RFC 9700 §4.3.2): only for clients that cannot do anything else, with short-lived tokens.
    /// Responses are then marked `Cache-Control: private` (RFC 6750 §2.3).
    pub fn danger_query_parameter(mut self, name: impl Into<Box<str>>) -> Self {
        self.sources.query = Some(name.into());
        self
    }

    /// Refuses tokens that did not come over TLS. Off by default, as TLS often ends before the service.
    pub const fn require_tls(mut self, evidence: TlsEvidence) -> Self {
        self.tls = Some(evidence);
        self
    }

    /// Takes the `Authorization` field, and that of [`header`](Self::header), off requests that pass, so that the
    /// handler cannot hand the token on. A cookie or a query parameter stays. The fields that tokens come in are
    /// marked as sensitive in any case.
    pub const fn strip_credentials(mut self) -> Self {
        self.strips_credentials = true;
        self
    }

    /// Where the time comes from. The system's clocks by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How refusals look. Problem details by default.
    pub fn renderer(mut self, renderer: Renderer) -> Self {
        self.renderer = renderer;
        self
    }

    /// How much verified tokens are remembered. [`TokenCache::new`] by default.
    pub const fn token_cache(mut self, cache: TokenCache) -> Self {
        self.token_cache = Some(cache);
        self
    }

    /// Checks each signature each time.
    pub const fn without_token_cache(mut self) -> Self {
        self.token_cache = None;
        self
    }

    /// Checks all settings and makes the layer. Nothing is fetched yet; a file with keys is read.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every setting that cannot be used.
    pub fn build(self) -> Result<BearerAuth, ConfigError> {
        self.authenticator(None)
            .map(BearerHandle::new)
            .map(BearerAuth)
    }

    /// The same for a layer that lets requests without credentials through.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every setting that cannot be used.
    pub fn build_optional(self) -> Result<OptionalBearerAuth, ConfigError> {
        self.authenticator(None)
            .map(BearerHandle::new)
            .map(OptionalBearerAuth)
    }

    /// Checks everything. What `previous` holds already is taken over where its settings are the same: nobody should
    /// lose good keys because of a reload.
    pub(super) fn authenticator(
        self,
        previous: Option<&Authenticator>,
    ) -> Result<Authenticator, ConfigError> {
        let Self {
            issuers,
            sources,
            tls,
            strips_credentials,
            clock,
            renderer,
            token_cache,
        } = self;
        let mut faults = ConfigError::collect();
        check_sources(&sources, &mut faults);
        if let Some(TlsEvidence::ForwardedProto { trusted_hops: 0 }) = tls {
            faults.add(
                "require_tls",
                "trusts no proxy, so that nothing could prove TLS",
            );
        }
        let mut built: Vec<Issuer> = Vec::new();
        let mut seen: Vec<Box<str>> = Vec::new();
        for (policy, keys) in issuers {
            if seen.iter().any(|issuer| **issuer == *policy.issuer()) {
                faults.add("issuer", format!("{} is configured twice", policy.issuer()));
                continue;
            }
            seen.push(policy.issuer().into());
            if let Err(error) = policy.check() {
                faults.merge(error);
            }
            let held = previous.and_then(|previous| previous.with_keys(&policy, &keys));
            let store = match held {
                Some(store) => Ok(store),
                None => keys.build(&policy, Arc::clone(&clock)).map(Arc::new),
            };
            match store {
                Ok(store) => built.push(Issuer {
                    policy,
                    source: keys,
                    keys: store,
                }),
                Err(error) => faults.merge(error),
            }
        }
        let held = previous.and_then(|previous| previous.tokens.as_ref());
        let tokens = match (token_cache, held) {
            (None, _) => None,
            (Some(settings), Some(held)) if held.settings() == settings => Some(Arc::clone(held)),
            (Some(settings), _) => match settings.build() {
                Ok(tokens) => Some(Arc::new(tokens)),
                Err(error) => {
                    faults.merge(error);
                    None
                }
            },
        };
        faults.into_result()?;
        Ok(Authenticator {
            epoch: PolicyEpoch::next(),
            issuers: built.into(),
            sources,
            tls,
            strips_credentials,
            clock,
            renderer,
            tokens,
            metrics: TokenMetrics::new(),
        })
    }
}

fn check_sources(sources: &Sources, faults: &mut ConfigError) {
    if sources.max_token_len == 0 {
        faults.add("max_token_len", "is zero: every token would be refused");
    }
    if let Some(Cookie { name, defence }) = &sources.cookie {
        if name.is_empty() {
            faults.add("cookie", "has no name");
        }
        match defence {
            CsrfDefence::Origins(origins) if origins.is_empty() => {
                faults.add("cookie", "names no origin that may send it");
            }
            CsrfDefence::Origins(origins) => {
                let is_origin = |origin: &String| {
                    origin.split_once("://").is_some_and(|(scheme, host)| {
                        !scheme.is_empty() && !host.is_empty() && !host.contains(['/', '*'])
                    })
                };
                if !origins.iter().all(is_origin) {
                    faults.add(
                        "cookie",
                        "names an origin that is not like https://app.example.com",
                    );
                }
            }
            CsrfDefence::CustomHeader(_) => {}
        }
    }
    if sources
        .header
        .as_ref()
        .is_some_and(|name| *name == AUTHORIZATION || *name == COOKIE)
    {
        faults.add("header", "is a field with a meaning of its own");
    }
    if sources.query.as_deref().is_some_and(str::is_empty) {
        faults.add("danger_query_parameter", "has no name");
    }
}
