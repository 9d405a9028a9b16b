//! Where the keys of an issuer come from.

mod fetch;
mod metrics;
mod schedule;
mod search;
mod status;
mod store;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateless_core::{Clock, ConfigError, OnOutage};
#[cfg(feature = "denylist")]
use gateless_jwt::LogoutPolicy;
use gateless_jwt::{Algorithm, KeySet, TokenPolicy};

use self::fetch::{Fetch, FileFetch};
pub(crate) use self::schedule::{Standing, Timing};
pub(crate) use self::search::{Lack, NotFound, Search};
pub use self::status::{KeyState, KeyStatus};
pub(crate) use self::store::KeyStore;
#[cfg(feature = "jwks")]
use crate::outbound::HttpSettings;

/// Where the keys of an issuer come from.
///
/// ```
/// use std::time::Duration;
///
/// use gateless::OnOutage;
/// use gateless::bearer::Keys;
///
/// // A file that is mounted next to the service, and read again when it is replaced:
/// let mounted = Keys::file("/etc/orders/jwks.json");
/// # let _ = mounted;
/// # #[cfg(feature = "jwks")] {
/// // The issuer's own metadata; keys stay good for an hour while it is away:
/// let discovered = Keys::discovery(OnOutage::StaleFor(Duration::from_secs(3600)));
/// # let _ = discovered;
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Keys {
    source: Source,
    on_outage: OnOutage,
    lifetime: Duration,
    cooldown: Duration,
    timeout: Duration,
    #[cfg(feature = "jwks")]
    http: HttpSettings,
}

#[derive(Clone)]
enum Source {
    Fixed(Arc<KeySet>),
    File(PathBuf),
    #[cfg(feature = "jwks")]
    Discovery,
    #[cfg(feature = "jwks")]
    JwksUrl(Box<str>),
}

impl Keys {
    /// Keys that never change while the program runs.
    pub fn fixed(keys: KeySet) -> Self {
        Self::new(Source::Fixed(Arc::new(keys)), OnOutage::FailClosed)
    }

    /// A file with a JWK set. It has to be readable when the layer is built; later a file that cannot be read or used
    /// leaves the keys as they are.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::new(Source::File(path.into()), OnOutage::StaleFor(Duration::MAX))
    }

    /// The issuer's metadata: OpenID Connect Discovery, or RFC 8414 where there is none. The `issuer` in it has to be
    /// the configured one to the byte.
    ///
    /// `on_outage` says what happens when the keys are past their [`lifetime`](Self::lifetime) and cannot be renewed.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn discovery(on_outage: OnOutage) -> Self {
        Self::new(Source::Discovery, on_outage)
    }

    /// The address of a JWK set, for issuers without metadata.
    ///
    /// `on_outage` says what happens when the keys are past their [`lifetime`](Self::lifetime) and cannot be renewed.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn jwks_url(url: impl Into<Box<str>>, on_outage: OnOutage) -> Self {
        Self::new(Source::JwksUrl(url.into()), on_outage)
    }

    fn new(source: Source, on_outage: OnOutage) -> Self {
        Self {
            source,
            on_outage,
            lifetime: Duration::from_secs(10 * 60),
            cooldown: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            #[cfg(feature = "jwks")]
            http: HttpSettings::default(),
        }
    }

    /// How long fetched keys are good. They are renewed in the background after seven to eight tenths of it, or sooner
    /// where the issuer's `Cache-Control` asks for that. 10 minutes by default: after that at the latest a key that the
    /// issuer withdrew is gone, but where it cannot be asked and `on_outage` bridges that. Not shorter than the
    /// [`cooldown`](Self::cooldown).
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The least time between two fetches that tokens with an unknown key id can cause, between two that requests cause
    /// while there are no keys at all, and between two renewals. 30 s by default: whatever is thrown at the service, the
    /// issuer sees no more than that.
    pub const fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// How long a fetch may take as a whole, and how long a request waits for all that it needs. 5 s by default.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Lets the keys be on this host, where the issuer's metadata name one on another than its own.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn allow_host(mut self, host: impl Into<Box<str>>) -> Self {
        self.http.allowed_hosts.push(host.into());
        self
    }

    /// Lets the issuer be at a private or loopback address: `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16`,
    /// `100.64.0.0/10`, `fc00::/7`, `127.0.0.0/8`, `::1`.
    ///
    /// Off by default, so that nobody who gets at the metadata or the name service of an issuer can have a service
    /// ask around in its own network. Set it for an issuer inside of that network. What a name resolves to is checked
    /// before it is connected to. Link-local addresses, where clouds keep the secrets of machines, are never reached.
    ///
    /// A proxy that the environment names (`HTTPS_PROXY`) is under the same rule.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub const fn allow_private_addresses(mut self) -> Self {
        self.http.allows_private = true;
        self
    }

    /// Trusts this certificate authority (PEM) in addition to those of the platform.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.http.root_certificates.push(pem.into());
        self
    }

    /// Checks the settings and makes what holds the keys while serving.
    pub(crate) fn build(
        &self,
        purpose: Purpose<'_>,
        clock: Arc<dyn Clock>,
    ) -> Result<KeyStore, ConfigError> {
        let mut faults = ConfigError::collect();
        if self.lifetime.is_zero() {
            faults.add("lifetime", "is zero: no key would ever be good");
        } else if self.lifetime < self.cooldown && !matches!(self.source, Source::Fixed(_)) {
            faults.add(
                "lifetime",
                "is shorter than the cooldown: keys would end before new ones may be fetched",
            );
        }
        if self.cooldown < Duration::from_secs(1) {
            faults.add(
                "cooldown",
                "is shorter than a second: tokens could flood the issuer",
            );
        }
        if self.timeout.is_zero() || self.timeout > Duration::from_secs(60) {
            faults.add("timeout", "is not between 0 and 60 s");
        }
        let timing = Timing {
            lifetime: self.lifetime,
            on_outage: self.on_outage,
            cooldown: self.cooldown,
            timeout: self.timeout,
        };
        let mut initial = None;
        let fetch: Option<Box<dyn Fetch>> = match &self.source {
            Source::Fixed(keys) => {
                for key in keys.keys() {
                    if !purpose.algorithms.contains(&key.algorithm()) {
                        faults.add(
                            "keys",
                            format!("have one for {}, which is not allowed", key.algorithm()),
                        );
                    }
                }
                if keys.keys().is_empty() {
                    faults.add("keys", "are none: every token would be refused");
                }
                faults.into_result()?;
                let keys = KeySet::clone(keys);
                return Ok(KeyStore::fixed(purpose.issuer, timing, keys, clock));
            }
            Source::File(path) => {
                let fetch = FileFetch::new(path.clone(), purpose.algorithms);
                match fetch.read() {
                    Ok(keys) => initial = Some(keys),
                    Err(error) => faults.add("keys", format!("file {}: {error}", path.display())),
                }
                Some(Box::new(fetch))
            }
            #[cfg(feature = "jwks")]
            Source::Discovery => {
                fetch::http::discovery(&self.http, purpose, self.timeout, &mut faults)
            }
            #[cfg(feature = "jwks")]
            Source::JwksUrl(url) => {
                fetch::http::jwks(&self.http, url, purpose, self.timeout, &mut faults)
            }
        };
        let Some(fetch) = fetch.filter(|_| faults.faults().is_empty()) else {
            return Err(faults);
        };
        let store = KeyStore::fetched(purpose.issuer, fetch, timing, clock);
        if let Some(keys) = initial {
            store.hold(keys);
        }
        Ok(store)
    }
}

/// What keys are wanted for.
#[cfg_attr(
    not(feature = "jwks"),
    allow(dead_code, reason = "a file has no address")
)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purpose<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) algorithms: &'a [Algorithm],
    pub(crate) allows_http_loopback: bool,
    /// The issuer's name was found unusable already, and is not to be complained about again.
    pub(crate) issuer_is_told: bool,
}

impl<'a> From<&'a TokenPolicy> for Purpose<'a> {
    fn from(policy: &'a TokenPolicy) -> Self {
        Self {
            issuer: policy.issuer(),
            algorithms: policy.allowed_algorithms(),
            allows_http_loopback: policy.is_http_loopback_allowed(),
            issuer_is_told: is_about_issuer(policy.check()),
        }
    }
}

#[cfg(feature = "denylist")]
impl<'a> From<&'a LogoutPolicy> for Purpose<'a> {
    fn from(policy: &'a LogoutPolicy) -> Self {
        Self {
            issuer: policy.issuer(),
            algorithms: policy.allowed_algorithms(),
            allows_http_loopback: policy.is_http_loopback_allowed(),
            issuer_is_told: is_about_issuer(policy.check()),
        }
    }
}

/// Whether the check of a policy complains about the issuer.
pub(crate) fn is_about_issuer(checked: Result<(), ConfigError>) -> bool {
    checked.is_err_and(|error| {
        let mut faults = error.faults().iter();
        faults.any(|fault| fault.setting() == "issuer")
    })
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed(keys), Self::Fixed(others)) => Arc::ptr_eq(keys, others),
            (Self::File(path), Self::File(other)) => path == other,
            #[cfg(feature = "jwks")]
            (Self::Discovery, Self::Discovery) => true,
            #[cfg(feature = "jwks")]
            (Self::JwksUrl(url), Self::JwksUrl(other)) => url == other,
            _ => false,
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(keys) => write!(f, "Fixed({} keys)", keys.keys().len()),
            Self::File(path) => write!(f, "File({})", path.display()),
            #[cfg(feature = "jwks")]
            Self::Discovery => f.write_str("Discovery"),
            #[cfg(feature = "jwks")]
            Self::JwksUrl(url) => write!(f, "JwksUrl({url})"),
        }
    }
}
