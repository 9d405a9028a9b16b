//! Where the server is, and how to talk to it.

mod connect;
mod endpoint;
mod pool;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gateless_core::{ConfigError, StoreError};

pub(crate) use self::connect::Connection;
use self::endpoint::Endpoint;
pub(crate) use self::pool::{Pool, Shared};
use self::tls::Tls;
use crate::error::Fault;

/// A Redis or Valkey server, or a group of them that acts as one: where it is and how to get in. Cloning is cheap.
///
/// It connects when it is used, and again after a connection broke, so that a service starts without it.
///
/// ```
/// use gateless_redis::RedisServer;
///
/// # fn main() -> Result<(), gateless_core::ConfigError> {
/// let server = RedisServer::builder("rediss://redis.example.com").user("gateless").password("secret").build()?;
/// assert!(!format!("{server:?}").contains("secret"));
///
/// let refused = RedisServer::builder("http://redis.example.com").build().unwrap_err();
/// assert_eq!(refused.faults()[0].setting(), "url");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisServer(Arc<Settings>);

pub(crate) struct Settings {
    place: Place,
    user: Option<String>,
    password: Option<String>,
    tls: Option<Tls>,
    connect_deadline: Duration,
    response_deadline: Duration,
}

/// How the server is found.
enum Place {
    One(Endpoint),
    Sentinel {
        master: String,
        sentinels: Vec<Endpoint>,
    },
    Cluster(Vec<Endpoint>),
}

impl RedisServer {
    /// One server: `redis://host:port/database`, `rediss://…` for TLS, or `unix:///path/of/the.sock`. A user and a
    /// password may stand in it, percent-encoded.
    pub fn builder(url: impl Into<String>) -> RedisServerBuilder {
        RedisServerBuilder::new(Kind::One, [url.into()].into())
    }

    /// The master that these Sentinels call `master`, wherever it is. Their URLs may hold a user and a password for the
    /// Sentinels; those for the servers are settings. With `rediss://` the servers are asked over TLS as well.
    pub fn sentinel<U: Into<String>>(
        master: impl Into<String>,
        urls: impl IntoIterator<Item = U>,
    ) -> RedisServerBuilder {
        let urls = urls.into_iter().map(Into::into).collect();
        RedisServerBuilder::new(Kind::Sentinel(master.into()), urls)
    }

    /// A Redis Cluster, of which these are some nodes. All keys have one hash tag, so one node serves them: that which
    /// has the slot, and another after it moved.
    pub fn cluster<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> RedisServerBuilder {
        let urls = urls.into_iter().map(Into::into).collect();
        RedisServerBuilder::new(Kind::Cluster, urls)
    }

    /// Connects once and asks whether the server is a master, for a check when a service starts.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it cannot be reached, refuses the credentials, or is a replica.
    pub async fn check(&self) -> Result<(), StoreError> {
        let tag = crate::keys::Keys::new(crate::keys::DEFAULT_PREFIX).meta();
        Connection::open(&self.0, &tag).await?;
        Ok(())
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.0
    }
}

impl Settings {
    pub(crate) fn response_deadline(&self) -> Duration {
        self.response_deadline
    }

    /// What one call may take in all.
    pub(crate) fn deadline(&self) -> Duration {
        self.connect_deadline.saturating_add(self.response_deadline)
    }

    /// What one call ends in that took too long.
    pub(crate) fn silent(&self, what: &'static str) -> Fault {
        Fault::Silent {
            what,
            after: self.deadline(),
        }
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |endpoints: &[Endpoint]| {
            let names: Vec<_> = endpoints.iter().map(Endpoint::name).collect();
            names.join(", ")
        };
        let place = match &self.0.place {
            Place::One(endpoint) => endpoint.name(),
            Place::Sentinel { master, sentinels } => {
                format!("{master} of the sentinels {}", list(sentinels))
            }
            Place::Cluster(nodes) => format!("the cluster of {}", list(nodes)),
        };
        f.debug_struct("RedisServer")
            .field("at", &place)
            .field("tls", &self.0.tls.is_some())
            .finish_non_exhaustive()
    }
}

enum Kind {
    One,
    Sentinel(String),
    Cluster,
}

/// What a [`RedisServer`] is made from.
#[must_use]
pub struct RedisServerBuilder {
    kind: Kind,
    urls: Vec<String>,
    user: Option<String>,
    password: Option<String>,
    ca: Option<Vec<u8>>,
    certificate: Option<(Vec<u8>, Vec<u8>)>,
    connect_deadline: Duration,
    response_deadline: Duration,
}

impl RedisServerBuilder {
    const DEADLINE: Duration = Duration::from_secs(2);
    const LONGEST: Duration = Duration::from_secs(60);

    const fn new(kind: Kind, urls: Vec<String>) -> Self {
        Self {
            kind,
            urls,
            user: None,
            password: None,
            ca: None,
            certificate: None,
            connect_deadline: Self::DEADLINE,
            response_deadline: Self::DEADLINE,
        }
    }

    /// Who logs in. By default the user of the URL, or the `default` user of the server.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The password. By default that of the URL, or none.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// The authorities that the certificate of the server is checked against, as PEM. By default those of the system.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// The certificate that is shown to the server, and its key, both as PEM. By default none.
    pub fn client_certificate_pem(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.certificate = Some((certificate.into(), key.into()));
        self
    }

    /// How long finding the server, connecting and logging in may take. By default 2 seconds, and at most 60.
    pub const fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.connect_deadline = deadline;
        self
    }

    /// How long the server may take for an answer. By default 2 seconds, and at most 60. A follower waits for this long
    /// beyond what it asked for.
    pub const fn response_deadline(mut self, deadline: Duration) -> Self {
        self.response_deadline = deadline;
        self
    }

    /// Checks it all. Connects to nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that cannot be used.
    pub fn build(self) -> Result<RedisServer, ConfigError> {
        let Self {
            kind,
            urls,
            mut user,
            mut password,
            ca,
            certificate,
            connect_deadline,
            response_deadline,
        } = self;
        let mut faults = ConfigError::collect();
        let setting = match kind {
            Kind::One => "url",
            Kind::Sentinel(_) | Kind::Cluster => "urls",
        };
        let port = match kind {
            Kind::Sentinel(_) => 26379,
            Kind::One | Kind::Cluster => 6379,
        };
        let mut endpoints = Vec::new();
        for url in &urls {
            match Endpoint::parse(url, port) {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(problem) => faults.add(setting, problem),
            }
        }
        if urls.is_empty() {
            faults.add(setting, "are none");
        }
        if !matches!(kind, Kind::One) {
            if endpoints.iter().any(|endpoint| endpoint.database != 0) {
                faults.add(setting, "name a database, which only a single server has");
            }
            if endpoints.iter().any(Endpoint::is_unix) {
                faults.add(
                    setting,
                    "name a unix socket, which only a single server has",
                );
            }
        }
        let wants_tls = endpoints.iter().any(|endpoint| endpoint.tls);
        if wants_tls && !endpoints.iter().all(|endpoint| endpoint.tls) {
            faults.add(setting, "are of TLS in part only");
        }
        if !wants_tls && endpoints.len() == urls.len() {
            if ca.is_some() {
                faults.add("ca_pem", "is of no use without a rediss:// URL");
            }
            if certificate.is_some() {
                let problem = "is of no use without a rediss:// URL";
                faults.add("client_certificate_pem", problem);
            }
        }
        let tls = if wants_tls {
            Tls::new(ca, certificate, &mut faults)
        } else {
            None
        };
        if !matches!(kind, Kind::Sentinel(_)) {
            // Those of a Sentinel are for the Sentinel.
            for endpoint in &endpoints {
                user = user.or_else(|| endpoint.user.clone());
                password = password.or_else(|| endpoint.password.clone());
            }
        }
        if user.is_some() && password.is_none() {
            faults.add("password", "is missing for the user");
        }
        for (setting, deadline) in [
            ("connect_deadline", connect_deadline),
            ("response_deadline", response_deadline),
        ] {
            if deadline < Duration::from_millis(1) || deadline > Self::LONGEST {
                faults.add(
                    setting,
                    format!("{deadline:?} is not between 1 ms and 60 s"),
                );
            }
        }
        let place = match kind {
            Kind::One => endpoints.into_iter().next().map(Place::One),
            Kind::Sentinel(master) => {
                if master.is_empty() {
                    faults.add("master", "is empty");
                }
                Some(Place::Sentinel {
                    master,
                    sentinels: endpoints,
                })
            }
            Kind::Cluster => Some(Place::Cluster(endpoints)),
        };
        let Some(place) = place else {
            return Err(faults);
        };
        faults.into_result()?;
        Ok(RedisServer(Arc::new(Settings {
            place,
            user,
            password,
            tls,
            connect_deadline,
            response_deadline,
        })))
    }
}

impl fmt::Debug for RedisServerBuilder {
    /// The URLs may hold passwords, so they are not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisServerBuilder")
            .field("urls", &self.urls.len())
            .field("connect_deadline", &self.connect_deadline)
            .field("response_deadline", &self.response_deadline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(builder: RedisServerBuilder) -> Vec<String> {
        let faults = builder.build().unwrap_err();
        faults
            .faults()
            .iter()
            .map(|fault| fault.setting().to_owned())
            .collect()
    }

    #[test]
    fn unusable_settings_are_named() {
        let zero = Duration::ZERO;
        let long = Duration::from_secs(61);
        let none: [&str; 0] = [];
        for (builder, named) in [
            (RedisServer::builder(""), "url"),
            (RedisServer::builder("http://a"), "url"),
            (RedisServer::builder("redis://"), "url"),
            (RedisServer::builder("redis://a/x"), "url"),
            (RedisServer::builder("redis://a/0?b=c"), "url"),
            (RedisServer::builder("redis://a#b"), "url"),
            (RedisServer::builder("redis://a/-1"), "url"),
            (RedisServer::builder("unix://a/b"), "url"),
            (RedisServer::builder("redis://a").ca_pem("x"), "ca_pem"),
            (RedisServer::builder("rediss://a").ca_pem("x"), "ca_pem"),
            (
                RedisServer::builder("redis://a").client_certificate_pem("x", "y"),
                "client_certificate_pem",
            ),
            (RedisServer::builder("redis://a").user("x"), "password"),
            (
                RedisServer::builder("redis://a").connect_deadline(zero),
                "connect_deadline",
            ),
            (
                RedisServer::builder("redis://a").response_deadline(long),
                "response_deadline",
            ),
            (RedisServer::cluster(none), "urls"),
            (RedisServer::cluster(["redis://a/1"]), "urls"),
            (RedisServer::cluster(["unix:///a"]), "urls"),
            (RedisServer::cluster(["redis://a", "rediss://b"]), "urls"),
            (RedisServer::sentinel("", ["redis://a"]), "master"),
        ] {
            let printed = format!("{builder:?}");
            assert_eq!(settings(builder), [named], "{printed}");
        }
    }

    #[test]
    fn no_password_is_printed() {
        for url in [
            "redis://user:canary@host",
            "redis://:canary@host/x",
            "canary://user:canary@host",
            "redis://user:canary@host:99999",
            "redis://user:can ary@[::1",
            "unix:///tmp/a?password=canary",
        ] {
            let builder = RedisServer::builder(url).password("canary");
            let mut printed = format!("{builder:?}");
            match builder.build() {
                Ok(server) => printed += &format!("{server:?}"),
                Err(error) => printed += &format!("{error:?} {error}"),
            }
            assert!(!printed.contains("canary"), "{printed}");
        }
    }
}
