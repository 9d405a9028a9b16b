//! `[redis]`: what a fleet shares.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateless::{QuotaStore, RevocationLog, SharedStore};
#[cfg(feature = "redis")]
use gateless_redis::{RedisLog, RedisQuotas, RedisServer, RedisStore};

#[cfg(feature = "redis")]
use crate::audit::secret;
use crate::report::Report;
use crate::section::Reader;

/// The server, and how to get in.
#[derive(Clone)]
#[cfg_attr(
    not(feature = "redis"),
    allow(dead_code, reason = "only read, to be refused")
)]
pub(crate) struct Redis {
    url: Option<String>,
    sentinels: Option<Vec<String>>,
    master: Option<String>,
    cluster: Option<Vec<String>>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    ca_file: Option<PathBuf>,
    certificate_file: Option<PathBuf>,
    certificate_key_file: Option<PathBuf>,
    connect_deadline: Duration,
    response_deadline: Duration,
    prefix: String,
    keep_changes: u32,
    settle: Duration,
    min_replicas: u32,
}

/// URLs may hold passwords, so they are not printed.
impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis")
            .field("user", &self.user)
            .field("password_file", &self.password_file)
            .field("password_env", &self.password_env)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Redis {
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let is_there = reader.is_there("redis");
        let mut section = reader.section("redis").only_if(is_there);
        let redis = Self {
            url: section.maybe("url"),
            sentinels: section.maybe("sentinels"),
            master: section.maybe("master"),
            cluster: section.maybe("cluster"),
            user: section.maybe("user"),
            password_file: section.maybe("password_file"),
            password_env: section.maybe("password_env"),
            ca_file: section.maybe("ca_file"),
            certificate_file: section.maybe("certificate_file"),
            certificate_key_file: section.maybe("certificate_key_file"),
            connect_deadline: section.or("connect_deadline", Duration::from_secs(2)),
            response_deadline: section.or("response_deadline", Duration::from_secs(2)),
            prefix: section.or("prefix", "gateless".to_owned()),
            keep_changes: section.or("keep_changes", 100_000),
            settle: section.or("settle", Duration::from_secs(3)),
            min_replicas: section.or("min_replicas", 0),
        };
        if !is_there {
            return None;
        }
        if cfg!(not(feature = "redis")) {
            reader.report.add(
                "redis",
                "needs the feature `redis` of gateless-config, which this program is built without",
            );
            return Some(redis);
        }
        let kinds = ["url", "sentinels", "cluster"];
        match kinds.iter().filter(|name| section.is_set(name)).count() {
            0 => section.fault("url", "is missing, and so are sentinels and cluster: one of them says where the server is"),
            1 => {}
            _ => section.fault("url", "is one of three: url, sentinels and cluster exclude each other"),
        }
        if section.is_set("sentinels") && !section.is_set("master") {
            section.fault(
                "master",
                "is missing: it takes the name that the sentinels give to the master",
            );
        }
        if !section.is_set("sentinels") {
            section.useless(&["master"], "is of no use without sentinels");
        }
        if section.is_set("password_file") && section.is_set("password_env") {
            section.fault(
                "password_env",
                "is set, and password_file too: one of them will do",
            );
        }
        for (one, other) in [
            ("certificate_file", "certificate_key_file"),
            ("certificate_key_file", "certificate_file"),
        ] {
            if section.is_set(one) && !section.is_set(other) {
                section.fault(other, format_args!("is missing: {one} is set"));
            }
        }
        for name in kinds {
            let urls = match name {
                "url" => redis.url.as_slice(),
                "sentinels" => redis.sentinels.as_deref().unwrap_or_default(),
                _ => redis.cluster.as_deref().unwrap_or_default(),
            };
            if section.is_from_file(name) && urls.iter().any(|url| has_password(url)) {
                section.fault(
                    name,
                    "has a password in it, which is for password_file or password_env",
                );
            }
        }
        Some(redis)
    }
}

/// Whether there is something between a `:` and an `@`.
fn has_password(url: &str) -> bool {
    let authority = url
        .split_once("://")
        .and_then(|(_, rest)| rest.rsplit_once('@'));
    authority.is_some_and(|(user, _)| {
        user.split_once(':')
            .is_some_and(|(_, password)| !password.is_empty())
    })
}

#[cfg(feature = "redis")]
impl Redis {
    pub(crate) fn check(&self, report: &mut Report) {
        self.quotas(report);
    }

    fn server(&self, report: &mut Report) -> Option<RedisServer> {
        let mut builder = match (&self.sentinels, &self.cluster, &self.url) {
            (Some(urls), ..) => {
                RedisServer::sentinel(self.master.clone().unwrap_or_default(), urls.clone())
            }
            (None, Some(urls), _) => RedisServer::cluster(urls.clone()),
            (None, None, url) => RedisServer::builder(url.clone()?),
        };
        if let Some(user) = &self.user {
            builder = builder.user(user);
        }
        let text = |bytes: &[u8]| {
            let text = str::from_utf8(bytes).ok()?;
            Some(
                text.strip_suffix('\n')
                    .unwrap_or(text)
                    .trim_end_matches('\r')
                    .to_owned(),
            )
        };
        if let Some(path) = &self.password_file {
            let setting = "redis.password_file";
            match text(&secret(setting, path, report)?) {
                Some(password) => builder = builder.password(password),
                None => report.add(setting, "is not UTF-8 text"),
            }
        }
        if let Some(name) = &self.password_env {
            match std::env::var(name) {
                Ok(password) => builder = builder.password(password),
                Err(_) => report.add(
                    "redis.password_env",
                    format_args!("names {name}, which is not set to text"),
                ),
            }
        }
        let mut pem = |setting, path: &Option<PathBuf>| {
            path.as_deref()
                .and_then(|path| secret(setting, path, report))
        };
        if let Some(pem) = pem("redis.ca_file", &self.ca_file) {
            builder = builder.ca_pem(pem.to_vec());
        }
        let certificate = pem("redis.certificate_file", &self.certificate_file);
        let key = pem("redis.certificate_key_file", &self.certificate_key_file);
        if let Some((certificate, key)) = certificate.zip(key) {
            builder = builder.client_certificate_pem(certificate.to_vec(), key.to_vec());
        }
        let builder = builder
            .connect_deadline(self.connect_deadline)
            .response_deadline(self.response_deadline);
        report.adopt(builder.build(), |name| self.setting(name))
    }

    fn setting(&self, name: &str) -> String {
        let name = match name {
            "urls" if self.sentinels.is_some() => "sentinels",
            "urls" => "cluster",
            "ca_pem" => "ca_file",
            "client_certificate_pem" => "certificate_file",
            "password" => "password_file",
            other => other,
        };
        format!("redis.{name}")
    }

    pub(crate) fn log(&self, report: &mut Report) -> Option<Arc<dyn RevocationLog>> {
        let log = RedisLog::builder(self.server(report)?)
            .prefix(self.prefix.as_str())
            .keep_changes(self.keep_changes)
            .settle(self.settle)
            .min_replicas(self.min_replicas);
        let log = report.adopt(log.build(), |name| self.setting(name))?;
        Some(Arc::new(log))
    }

    pub(crate) fn quotas(&self, report: &mut Report) -> Option<impl QuotaStore + use<>> {
        let quotas = RedisQuotas::with_prefix(self.server(report)?, &self.prefix);
        report.adopt(quotas, |name| self.setting(name))
    }

    pub(crate) fn store(&self, report: &mut Report) -> Option<Arc<dyn SharedStore>> {
        let store = RedisStore::with_prefix(self.server(report)?, &self.prefix);
        let store = report.adopt(store, |name| self.setting(name))?;
        Some(Arc::new(store))
    }
}

/// There is a fault already wherever one of these is asked for.
#[cfg(not(feature = "redis"))]
#[allow(clippy::unused_self, reason = "as with the feature")]
impl Redis {
    pub(crate) const fn check(&self, _: &mut Report) {}

    pub(crate) const fn log(&self, _: &mut Report) -> Option<Arc<dyn RevocationLog>> {
        None
    }

    pub(crate) const fn quotas(&self, _: &mut Report) -> Option<Nowhere> {
        None
    }

    pub(crate) const fn store(&self, _: &mut Report) -> Option<Arc<dyn SharedStore>> {
        None
    }
}

/// A store that nobody has.
#[cfg(not(feature = "redis"))]
#[derive(Debug)]
pub(crate) enum Nowhere {}

#[cfg(not(feature = "redis"))]
impl QuotaStore for Nowhere {
    fn take<'a>(
        &'a self,
        _: &'a gateless::StoreKey,
        _: &'a [gateless::Limit],
        _: gateless::Ask,
    ) -> gateless::StoreFuture<'a, gateless::Taken> {
        match *self {}
    }
}
