//! Settings of the layer, checked all at once.

use std::sync::Arc;

use gateless_core::{Clock, ConfigError, Renderer};
use gateless_jwt::TokenPolicy;

use super::cache::TokenCache;
use super::decide::{Authenticator, Issuer};
use super::handle::BearerHandle;
use super::metrics::TokenMetrics;
use super::{BearerAuth, OptionalBearerAuth};
use crate::clock::SystemClock;
use crate::credentials::Credentials;
use crate::epoch::PolicyEpoch;
use crate::keys::Keys;

/// Settings of [`BearerAuth`]. Only issuer, audience and keys have to be given; they are arguments of
/// [`BearerAuth::builder`].
#[derive(Debug)]
#[must_use]
pub struct BearerAuthBuilder {
    issuers: Vec<(TokenPolicy, Keys)>,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
    renderer: Renderer,
    token_cache: Option<TokenCache>,
}

impl BearerAuthBuilder {
    pub(super) fn new(policy: TokenPolicy, keys: Keys) -> Self {
        Self {
            issuers: vec![(policy, keys)],
            credentials: Credentials::new(),
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

    /// Where tokens are looked for. The `Authorization` field alone by default.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
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
            credentials,
            clock,
            renderer,
            token_cache,
        } = self;
        let mut faults = ConfigError::collect();
        credentials.check(&mut faults);
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
                None => keys
                    .build((&policy).into(), Arc::clone(&clock))
                    .map(Arc::new),
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
            credentials,
            clock,
            renderer,
            tokens,
            metrics: TokenMetrics::new(),
        })
    }
}
