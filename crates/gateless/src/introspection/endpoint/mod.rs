//! The introspection endpoint: where it is, how it is asked, and what happens while it does not answer.

mod address;
mod authentication;
mod client;
mod secret;

use std::sync::Arc;
use std::time::Duration;

use gateless_core::{Clock, ConfigError, OnOutage};
use gateless_jwt::IntrospectionPolicy;

use self::address::{Metadata, Place};
pub use self::authentication::ClientAuthentication;
use self::client::Signed;
pub(super) use self::client::{CallError, Client, Told};
pub use self::secret::Secret;
use crate::keys::{Keys, Purpose, is_about_issuer};
use crate::outbound::{Discovery, HttpSettings, checked_url};

/// Where tokens are introspected (RFC 7662), and how much of that at once.
///
/// ```
/// use std::time::Duration;
///
/// use gateless::OnOutage;
/// use gateless::introspection::Endpoint;
///
/// // Where the issuer's metadata say; tokens that are known go on for a minute while it is away:
/// let discovered = Endpoint::discovery(OnOutage::StaleFor(Duration::from_secs(60)));
/// // At a known address; without an answer nobody new gets in:
/// let known = Endpoint::url("https://idp.example.com/introspect", OnOutage::FailClosed)
///     .timeout(Duration::from_millis(500));
/// # drop((discovered, known));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Endpoint {
    address: Address,
    on_outage: OnOutage,
    timeout: Duration,
    max_concurrent: usize,
    max_waiting: usize,
    http: HttpSettings,
}

#[derive(Clone, Debug, PartialEq)]
enum Address {
    Discovery,
    Url(Box<str>),
}

impl Endpoint {
    /// The `introspection_endpoint` in the issuer's metadata: OpenID Connect Discovery, or RFC 8414 where there is none.
    /// The `issuer` in it has to be the configured one to the byte.
    ///
    /// `on_outage` says what happens to tokens whose answer is past its lifetime when the endpoint cannot be asked.
    pub fn discovery(on_outage: OnOutage) -> Self {
        Self::new(Address::Discovery, on_outage)
    }

    /// A known address, `https`.
    ///
    /// `on_outage` says what happens to tokens whose answer is past its lifetime when the endpoint cannot be asked.
    pub fn url(url: impl Into<Box<str>>, on_outage: OnOutage) -> Self {
        Self::new(Address::Url(url.into()), on_outage)
    }

    fn new(address: Address, on_outage: OnOutage) -> Self {
        Self {
            address,
            on_outage,
            timeout: Duration::from_secs(2),
            max_concurrent: 64,
            max_waiting: 1024,
            http: HttpSettings::default(),
        }
    }

    /// How long asking about a token takes at most: the connection, the call, a second attempt where there is one, and what
    /// has to be read or fetched for that. 2 s by default, at most 60 s. Where there are more calls than turns, a request
    /// waits half as long again for its turn at most.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many calls are under way at once. 64 by default: however many unknown tokens are thrown at the service, the
    /// authorization server sees no more than that. A quarter, and one at least of two, is kept for tokens that were good
    /// before, so that a flood does not come between them and the renewal of their answers.
    pub const fn max_concurrent(mut self, calls: usize) -> Self {
        self.max_concurrent = calls;
        self
    }

    /// How many further tokens wait for their turn. 1,024 by default; beyond that the answer is `503` at once.
    pub const fn max_waiting(mut self, tokens: usize) -> Self {
        self.max_waiting = tokens;
        self
    }

    /// Lets the endpoint be on this host, where the issuer's metadata name one on another than its own.
    pub fn allow_host(mut self, host: impl Into<Box<str>>) -> Self {
        self.http.allowed_hosts.push(host.into());
        self
    }

    /// Lets the endpoint be at a private or loopback address; see
    /// [`Keys::allow_private_addresses`](crate::bearer::Keys::allow_private_addresses). Off by default.
    pub const fn allow_private_addresses(mut self) -> Self {
        self.http.allows_private = true;
        self
    }

    /// Trusts this certificate authority (PEM) in addition to those of the platform.
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.http.root_certificates.push(pem.into());
        self
    }

    pub(super) const fn on_outage(&self) -> OnOutage {
        self.on_outage
    }

    pub(super) const fn total_timeout(&self) -> Duration {
        self.timeout
    }

    /// How long a call waits for its turn.
    pub(super) fn patience(&self) -> Duration {
        self.timeout / 2
    }

    /// Whether it is found in the same place by the same means.
    fn is_where(&self, other: &Self) -> bool {
        self.address == other.address && self.http == other.http
    }

    pub(super) const fn limits(&self) -> (usize, usize) {
        (self.max_concurrent, self.max_waiting)
    }

    /// Where answers come from, as a name to keep them under.
    pub(super) fn name(&self) -> &str {
        match &self.address {
            Address::Discovery => "discovery",
            Address::Url(url) => url,
        }
    }

    /// Checks the settings and makes what asks while serving. Of the `previous` one, of the same issuer on the same terms,
    /// the address that was found and the keys are taken over where their settings are the same: nobody should lose them by
    /// a reload.
    pub(super) fn build(
        &self,
        policy: &Arc<IntrospectionPolicy>,
        authentication: &ClientAuthentication,
        signed: Option<(&Keys, Option<&str>)>,
        clock: &Arc<dyn Clock>,
        previous: Option<(&Self, &Client)>,
    ) -> Result<Client, ConfigError> {
        let mut faults = ConfigError::collect();
        if self.timeout.is_zero() || self.timeout > Duration::from_secs(60) {
            faults.add("timeout", "is not between 0 and 60 s");
        }
        if self.max_concurrent == 0 || self.max_concurrent > 10_000 {
            faults.add("max_concurrent", "is not between 1 and 10,000");
        }
        if self.max_waiting > 1_000_000 {
            faults.add("max_waiting", "is more than 1,000,000");
        }
        if matches!(self.address, Address::Url(_)) && !self.http.allowed_hosts.is_empty() {
            faults.add(
                "allow_host",
                "means nothing for an endpoint whose address is set",
            );
        }
        let purpose = Purpose::from(&**policy);
        let allows = purpose.allows_http_loopback;
        let url = match &self.address {
            Address::Discovery => {
                let mut untold = ConfigError::collect();
                let url = checked_url("issuer", purpose.issuer, allows, &mut untold);
                if !purpose.issuer_is_told {
                    faults.merge(untold);
                }
                url
            }
            Address::Url(url) => checked_url("endpoint", url, allows, &mut faults),
        };
        let http = self
            .http
            .client(url.as_ref(), self.timeout, allows, &mut faults);
        let prover = authentication.build(purpose.issuer, &mut faults);
        let signed = match signed {
            None => None,
            Some((keys, recipient)) => {
                let recipient = recipient.or_else(|| authentication.client_id());
                if recipient.is_none() {
                    faults.add(
                        "recipient",
                        "is not set, and without a client id nobody knows whom signed answers are for",
                    );
                }
                let held = previous.and_then(|(_, client)| client.signed.as_ref());
                let store = match held {
                    Some(held) if held.source == *keys => Ok(Arc::clone(&held.keys)),
                    _ => keys.build(purpose, Arc::clone(clock)).map(Arc::new),
                };
                match store {
                    Ok(store) => Some(Signed {
                        source: keys.clone(),
                        keys: store,
                        recipient: recipient.unwrap_or_default().into(),
                        patience: self.timeout / 2,
                    }),
                    Err(error) => {
                        faults.merge(error);
                        None
                    }
                }
            }
        };
        let (Some(url), Some(http), Some(prover), true) =
            (url, http, prover, faults.faults().is_empty())
        else {
            return Err(faults);
        };
        let place = match (&self.address, previous) {
            (_, Some((endpoint, client))) if endpoint.is_where(self) => client.place.clone(),
            (Address::Url(_), _) => Place::Known(Box::new(url)),
            (Address::Discovery, _) => {
                let discovery = Discovery::new(purpose.issuer, url, &self.http, allows);
                Place::Metadata(Arc::new(Metadata::new(discovery, http.clone())))
            }
        };
        let (policy, clock) = (Arc::clone(policy), Arc::clone(clock));
        Ok(Client::new(http, place, prover, signed, policy, clock))
    }
}

impl<'a> From<&'a IntrospectionPolicy> for Purpose<'a> {
    fn from(policy: &'a IntrospectionPolicy) -> Self {
        Self {
            issuer: policy.issuer(),
            algorithms: policy.allowed_algorithms(),
            allows_http_loopback: policy.is_http_loopback_allowed(),
            issuer_is_told: is_about_issuer(policy.check()),
        }
    }
}
