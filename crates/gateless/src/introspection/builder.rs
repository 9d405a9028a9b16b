//! Settings of the layer, checked all at once.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use gateless_core::{Clock, ConfigError, Renderer};
use gateless_jwt::IntrospectionPolicy;

use super::cache::AnswerCache;
use super::decide::Introspector;
use super::endpoint::{ClientAuthentication, Endpoint};
use super::flight::Flights;
use super::form::TokenForm;
use super::handle::IntrospectionHandle;
use super::health::Health;
use super::metrics::Metrics;
use super::shared::{Place, SharedAnswers};
use super::{Introspection, OptionalIntrospection};
use crate::clock::SystemClock;
use crate::credentials::Credentials;
use crate::digest::Digester;
use crate::epoch::PolicyEpoch;
use crate::keys::Keys;

/// Settings of [`Introspection`]. Only policy, endpoint and client authentication have to be given; they are arguments of
/// [`Introspection::builder`].
#[derive(Debug)]
#[must_use]
pub struct IntrospectionBuilder {
    policy: IntrospectionPolicy,
    endpoint: Endpoint,
    authentication: ClientAuthentication,
    signed: Option<Keys>,
    recipient: Option<Box<str>>,
    form: TokenForm,
    credentials: Credentials,
    answer_cache: Option<AnswerCache>,
    shared: Option<SharedAnswers>,
    clock: Arc<dyn Clock>,
    renderer: Renderer,
}

impl IntrospectionBuilder {
    pub(super) fn new(
        policy: IntrospectionPolicy,
        endpoint: Endpoint,
        authentication: ClientAuthentication,
    ) -> Self {
        Self {
            policy,
            endpoint,
            authentication,
            signed: None,
            recipient: None,
            form: TokenForm::any(),
            credentials: Credentials::new(),
            answer_cache: Some(AnswerCache::new()),
            shared: None,
            clock: Arc::new(SystemClock::new()),
            renderer: Renderer::default(),
        }
    }

    /// Asks for signed answers, and takes no others (RFC 9701). `keys` are those of the issuer.
    ///
    /// A signature proves who gave an answer, also where TLS ends before the server; it does not tie the answer to the
    /// token that was asked about, which only TLS does.
    pub fn signed_answers(mut self, keys: Keys) -> Self {
        self.signed = Some(keys);
        self
    }

    /// What the server knows this service by, where that is not the client id that it asks with: whom signed answers have
    /// to be for (`aud`), and whose answers are shared. Needed for either with a
    /// [`bearer`](ClientAuthentication::bearer) token, which has no client id.
    pub fn recipient(mut self, identifier: impl Into<Box<str>>) -> Self {
        self.recipient = Some(identifier.into());
        self
    }

    /// What the server's tokens begin with; several calls allow several. Others are refused without a call: it keeps
    /// scans away from the server (RFC 7662 §4).
    pub fn token_prefix(mut self, prefix: impl Into<Box<str>>) -> Self {
        self.form.prefixes.push(prefix.into());
        self
    }

    /// How long the server's tokens are, in bytes. Others are refused without a call.
    pub const fn token_lengths(mut self, lengths: RangeInclusive<usize>) -> Self {
        self.form.lengths = Some(lengths);
        self
    }

    /// Sends encrypted JWTs (five parts) as well, which some servers issue as access tokens. Off by default: nobody but
    /// whoever issued one can tell whose it is, so that those of other issuers would be sent too.
    pub const fn encrypted_tokens(mut self) -> Self {
        self.form.may_be_encrypted = true;
        self
    }

    /// Where tokens are looked for. The `Authorization` field alone by default.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// How long answers are used, and how many. [`AnswerCache::new`] by default.
    pub const fn answer_cache(mut self, cache: AnswerCache) -> Self {
        self.answer_cache = Some(cache);
        self
    }

    /// Asks about each token with each request. Requests with the same token at the same time still share one call.
    pub const fn without_answer_cache(mut self) -> Self {
        self.answer_cache = None;
        self
    }

    /// Shares answers with the other instances of this service. They are as old as the
    /// [lifetime](AnswerCache::lifetime) allows, counted from when the server was asked, whoever asked.
    pub fn shared_answers(mut self, shared: SharedAnswers) -> Self {
        self.shared = Some(shared);
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

    /// Checks all settings and makes the layer. Nobody is asked yet; secrets in files are read.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every setting that cannot be used.
    pub fn build(self) -> Result<Introspection, ConfigError> {
        IntrospectionHandle::new(self).map(Introspection)
    }

    /// The same for a layer that lets requests without credentials through.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every setting that cannot be used.
    pub fn build_optional(self) -> Result<OptionalIntrospection, ConfigError> {
        IntrospectionHandle::new(self).map(OptionalIntrospection)
    }

    /// Checks everything. `forgotten_at` lives longer than one configuration.
    pub(super) fn introspector(
        self,
        forgotten_at: Arc<AtomicI64>,
        previous: Option<&Introspector>,
    ) -> Result<Introspector, ConfigError> {
        let Self {
            policy,
            endpoint,
            authentication,
            signed,
            recipient,
            form,
            credentials,
            answer_cache,
            shared,
            clock,
            renderer,
        } = self;
        let mut faults = ConfigError::collect();
        if let Err(error) = policy.check() {
            faults.merge(error);
        }
        credentials.check(&mut faults);
        form.check(&mut faults);
        if recipient.is_some() && signed.is_none() && shared.is_none() {
            faults.add(
                "recipient",
                "means nothing without signed_answers or shared_answers",
            );
        }
        let policy = Arc::new(policy);
        let keys = signed.as_ref().map(|keys| (keys, recipient.as_deref()));
        let previous = previous.filter(|previous| {
            let old = &*previous.policy;
            old.issuer() == policy.issuer()
                && old.allowed_algorithms() == policy.allowed_algorithms()
                && old.is_http_loopback_allowed() == policy.is_http_loopback_allowed()
        });
        let previous = previous.map(|previous| (&previous.endpoint, &previous.client));
        let client = match endpoint.build(&policy, &authentication, keys, &clock, previous) {
            Ok(client) => Some(client),
            Err(error) => {
                faults.merge(error);
                None
            }
        };
        let lifetime = answer_cache.map_or(Duration::ZERO, |cache| cache.answer_lifetime());
        let has_cache = answer_cache.is_some();
        let answers = answer_cache.and_then(|cache| cache.build(&mut faults));
        let caller = recipient.as_deref().or(authentication.client_id());
        if shared.is_some() && caller.is_none() {
            faults.add(
                "recipient",
                "is not set, and without a client id nobody knows whose answers are shared",
            );
        }
        let place = Place {
            issuer: policy.issuer(),
            endpoint: endpoint.name(),
            client: caller.unwrap_or_default(),
            signed: signed.is_some(),
        };
        if answer_cache.is_none() && !endpoint.on_outage().tolerance().is_zero() {
            faults.add(
                "on_outage",
                "needs an answer_cache: there is nothing to go on with",
            );
        }
        if shared.is_some() && answer_cache.is_none() {
            faults.add(
                "shared_answers",
                "need an answer_cache: its lifetime is theirs",
            );
        }
        let shared = match shared.map(|shared| shared.tier(place)).transpose() {
            Ok(shared) => shared,
            Err(error) => {
                faults.merge(error);
                None
            }
        };
        let digester = Digester::random();
        if digester.is_none() {
            faults.add("answer_cache", "finds no randomness on this system");
        }
        let (Some(client), Some(digester), true) = (client, digester, faults.faults().is_empty())
        else {
            return Err(faults);
        };
        let (max_concurrent, max_waiting) = endpoint.limits();
        Ok(Introspector {
            epoch: PolicyEpoch::next(),
            credentials,
            form,
            client,
            endpoint,
            lifetime,
            digester,
            answers,
            shared,
            flights: Arc::new(Flights::new(max_concurrent, max_waiting, has_cache)),
            health: Health::new(policy.issuer()),
            forgotten_at,
            clock,
            renderer,
            metrics: Metrics::new(policy.issuer()),
            policy,
        })
    }
}
