//! One address, as a URL spells it.

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// Where one process listens.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) at: Address,
    pub(super) tls: bool,
    pub(super) database: i64,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Address {
    Tcp { host: String, port: u16 },
    Unix(String),
}

impl Endpoint {
    /// What is wrong says nothing of the URL itself, which may hold a password.
    pub(super) fn parse(text: &str, default_port: u16) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(|text| text.into_owned())
                .map_err(|_| "holds a user or password that is not UTF-8".to_owned())
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a query or a fragment, which mean nothing here".to_owned());
        }
        let user = Some(url.username()).filter(|user| !user.is_empty());
        let user = user.map(decoded).transpose()?;
        let password = url.password().map(decoded).transpose()?;
        let tls = match url.scheme() {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            "unix" | "redis+unix" => {
                if url.host_str().is_some_and(|host| !host.is_empty()) {
                    return Err("of a unix socket has a host: three slashes are missing".to_owned());
                }
                return Ok(Self {
                    at: Address::Unix(decoded(url.path())?),
                    tls: false,
                    database: 0,
                    user,
                    password,
                });
            }
            _ => return Err("is not of redis://, rediss:// or unix://".to_owned()),
        };
        let host = match url.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) if !host.to_string().is_empty() => host.to_string(),
            _ => return Err("has no host".to_owned()),
        };
        let database = match url.path().trim_start_matches('/') {
            "" => 0,
            number => number
                .parse::<u16>()
                .map_err(|_| "has a path that is no number of a database".to_owned())?,
        };
        Ok(Self {
            at: Address::Tcp {
                host,
                port: url.port().unwrap_or(default_port),
            },
            tls,
            database: i64::from(database),
            user,
            password,
        })
    }

    /// Another server that is reached in the same way.
    pub(super) fn elsewhere(&self, host: String, port: u16) -> Self {
        Self {
            at: Address::Tcp { host, port },
            ..self.clone()
        }
    }

    /// How to call it in a message: without credentials.
    pub(super) fn name(&self) -> String {
        match &self.at {
            Address::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Address::Tcp { host, port } => format!("{host}:{port}"),
            Address::Unix(path) => path.clone(),
        }
    }

    pub(super) fn host(&self) -> &str {
        match &self.at {
            Address::Tcp { host, .. } => host,
            Address::Unix(_) => "localhost",
        }
    }

    pub(super) const fn is_unix(&self) -> bool {
        matches!(self.at, Address::Unix(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let tcp = |host: &str, port| Address::Tcp {
            host: host.to_owned(),
            port,
        };
        let unix = Address::Unix("/run/redis.sock".to_owned());
        for (url, at, tls, database, user, password) in [
            ("redis://a", tcp("a", 6379), false, 0, None, None),
            ("rediss://a:1/2", tcp("a", 1), true, 2, None, None),
            (
                "valkey://u:p%40@a/",
                tcp("a", 6379),
                false,
                0,
                Some("u"),
                Some("p@"),
            ),
            (
                "redis://:p@[::1]",
                tcp("::1", 6379),
                false,
                0,
                None,
                Some("p"),
            ),
            ("unix:///run/redis.sock", unix, false, 0, None, None),
        ] {
            let endpoint = Endpoint::parse(url, 6379).unwrap();
            assert!(endpoint.at == at, "{url}");
            assert_eq!((endpoint.tls, endpoint.database), (tls, database), "{url}");
            assert_eq!(endpoint.user.as_deref(), user, "{url}");
            assert_eq!(endpoint.password.as_deref(), password, "{url}");
        }
    }
}
