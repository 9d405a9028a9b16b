//! The settings: a few environment variables, checked all at once.
//!
//! What the layers are told is handed on to `gateless-config`, under the names that its file has, and over what stands in
//! `gateless.toml`: the last column. Faults have the names of the variables.
//!
//! | variable | default | | setting |
//! |---|---|---|---|
//! | `BIND` | `127.0.0.1:8080`; a free port for `--tour` | where to listen | |
//! | `ISSUER` | an embedded test issuer | whose tokens are accepted: an https URL, or http on loopback | `token.issuer` |
//! | `AUDIENCE` | `https://orders.example.com` | what tokens have to be meant for | `token.audience` |
//! | `INTROSPECTION_URL` | that of the embedded issuer, with it | where tokens that are no JWTs are asked about; they are those of `ISSUER`, or else of the origin of this address | `introspection.url`, `introspection.issuer` |
//! | `CLIENT_ID`, `CLIENT_SECRET` | | who asks there (`client_secret_basic`) | `introspection.client_id`, `introspection.client_secret` |
//! | `DENYLIST_PATH` | what is revoked is forgotten when the process ends | the file that it is kept in, for one instance | `denylist.path`, or `denylist.queue_path` |
//! | `REDIS_URL` | instances know nothing of each other | where all of them keep what is revoked, and count requests; a revocation that cannot be put there waits in `DENYLIST_PATH`, if that is set, and is refused otherwise | `redis.url`, `denylist.store`, `limits.shared` |
//! | `AUDIT_PATH` | a temporary file, whose name the guide tells | the file of records, one for each request; full ones are kept beside it, ten of them | `audit.path` |
//! | `RATE_LIMIT` | `300` | how many requests a caller may have in a minute, or `off` | `limits.requests` |
//! | `FAILURE_LIMIT` | `60` | how many credentials may be refused in a minute from one IPv4 address or one /64 of IPv6 before it has to wait, or `off` | `failures.quota` |
//! | `RUST_LOG` | `info` | what is logged to standard error | |

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use gateless::audit::BootId;
use gateless::introspection::Secret;
use gateless::{ConfigError, Quota};
use gateless_config::Settings;
use reqwest::Url;
use tracing_subscriber::EnvFilter;

use crate::layers;

/// What the program is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Serve until told to stop.
    Serve,
    /// Serve, go through the guided tour, and stop.
    Tour,
}

/// So many a minute; `None` is no limit.
pub type PerMinute = Option<NonZeroU32>;

/// How much is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests of one caller.
    pub requests: PerMinute,
    /// Refused credentials from one address, or from one /64 of IPv6.
    pub failures: PerMinute,
}

impl Limits {
    /// Those of `gateless.toml`, which the guided tour can reach.
    pub const DEFAULT: Self = Self {
        requests: NonZeroU32::new(300),
        failures: NonZeroU32::new(60),
    };

    /// No limits at all.
    pub const OFF: Self = Self {
        requests: None,
        failures: None,
    };
}

/// Settings that can be used.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub bind: SocketAddr,
    /// Whether a test issuer is started with the service, and its tokens are accepted.
    pub is_embedded: bool,
    /// What tokens have to be meant for.
    pub audience: String,
    /// Whether what is revoked is forgotten when the process ends.
    pub is_forgetful: bool,
    /// How much is too much.
    pub limits: Limits,
    /// The file of records.
    pub records: PathBuf,
    /// What is logged.
    pub log: EnvFilter,
    /// Whether somebody else than the embedded issuer is asked about tokens that are no JWTs.
    pub(crate) asks_elsewhere: bool,
    /// What the layers are told.
    pub(crate) settings: Settings,
}

const AUDIENCE: &str = "https://orders.example.com";

/// In place of the embedded issuer, whose address is not known before it is there.
const STAND_IN: &str = "https://embedded.example";

impl Config {
    /// Reads the settings that `lookup` finds by name. Nothing else is looked at.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every variable that cannot be used.
    pub fn read(
        mode: Mode,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        let mut faults = ConfigError::collect();
        let mut text = |name: &'static str| {
            let value = lookup(name)?.into_string();
            value
                .map_err(|_| faults.add(name, "is not UTF-8 text"))
                .ok()
        };
        let [bind, issuer, audience, log] =
            ["BIND", "ISSUER", "AUDIENCE", "RUST_LOG"].map(&mut text);
        let [url, client_id, secret] =
            ["INTROSPECTION_URL", "CLIENT_ID", "CLIENT_SECRET"].map(&mut text);
        let [redis, denylist, records] =
            ["REDIS_URL", "DENYLIST_PATH", "AUDIT_PATH"].map(&mut text);
        let [requests, failures] = ["RATE_LIMIT", "FAILURE_LIMIT"].map(&mut text);

        let bind = match bind {
            Some(bind) => bind.parse().unwrap_or_else(|_| {
                faults.add("BIND", format!("{bind:?} is not like 127.0.0.1:8080"));
                loopback(0)
            }),
            None if mode == Mode::Tour => loopback(0),
            None => loopback(8080),
        };
        let mut audience = audience.unwrap_or_else(|| AUDIENCE.to_owned());
        if audience.trim().is_empty() {
            faults.add("AUDIENCE", "is empty");
            AUDIENCE.clone_into(&mut audience);
        }
        let is_production = lookup("GATELESS_ENV").is_some_and(|value| is_production(&value));
        match &issuer {
            None if is_production => faults.add(
                "ISSUER",
                "is not set, and GATELESS_ENV says that this is production: \
                 an embedded test issuer would let anybody in",
            ),
            Some(_) if mode == Mode::Tour => faults.add(
                "ISSUER",
                "is set, but the tour needs the embedded issuer to mint its tokens",
            ),
            _ => {}
        }
        let is_forgetful = redis.is_none() && denylist.is_none();
        let (is_embedded, asks_elsewhere) = (issuer.is_none(), url.is_some());

        let asked = Asked {
            url,
            client_id,
            secret,
        };
        let settings = layers::settings().set("token.audience", &audience, "AUDIENCE");
        let settings = asked.add(settings, mode, is_embedded, &mut faults);
        let settings = settings.set(
            "token.issuer",
            issuer.as_deref().unwrap_or(STAND_IN),
            "ISSUER",
        );
        let (settings, limits) = limited(settings, requests, failures, &mut faults);
        let settings = revocable(settings, redis, denylist, limits);
        let records = records.unwrap_or_else(temporary);
        let settings = settings.set("audit.path", &records, "AUDIT_PATH");

        if let Err(error) = gateless_config::Config::read(settings.clone()) {
            for fault in error.faults() {
                let mut told = faults.faults().iter();
                // An address may be the name of an issuer, too: one complaint will do.
                if !told.any(|told| told.setting() == fault.setting()) {
                    faults.add(fault.setting().to_owned(), fault.problem());
                }
            }
        }
        let log = EnvFilter::try_new(log.as_deref().unwrap_or("info")).unwrap_or_else(|error| {
            faults.add("RUST_LOG", format!("is not a log filter: {error}"));
            EnvFilter::default()
        });
        faults.into_result()?;
        Ok(Self {
            bind,
            is_embedded,
            audience,
            is_forgetful,
            limits,
            records: records.into(),
            log,
            asks_elsewhere,
            settings,
        })
    }
}

/// In a folder of its own among temporary files: for a service that is only tried out.
fn temporary() -> String {
    let folder = format!("orders-audit-{}", BootId::random());
    let path = std::env::temp_dir().join(folder).join("audit.jsonl");
    path.display().to_string()
}

/// Where revocations are kept, and whether requests are counted there, too.
fn revocable(
    settings: Settings,
    redis: Option<String>,
    path: Option<String>,
    limits: Limits,
) -> Settings {
    match (redis, path) {
        (None, None) => settings,
        (None, Some(path)) => settings.set("denylist.store", "file", "DENYLIST_PATH").set(
            "denylist.path",
            path,
            "DENYLIST_PATH",
        ),
        (Some(url), queue) => {
            let mut settings = settings.set("redis.url", url, "REDIS_URL").set(
                "denylist.store",
                "redis",
                "REDIS_URL",
            );
            if let Some(queue) = queue {
                settings = settings.set("denylist.queue_path", queue, "DENYLIST_PATH");
            }
            if limits.requests.is_none() {
                return settings;
            }
            // Each request is counted there and then, so that all instances together let through what is set; while it is
            // away, each instance counts for itself.
            settings.set("limits.shared", "exact", "REDIS_URL").set(
                "limits.outage",
                "share 1",
                "REDIS_URL",
            )
        }
    }
}

/// With other limits than those of the file.
fn limited(
    mut settings: Settings,
    requests: Option<String>,
    failures: Option<String>,
    faults: &mut ConfigError,
) -> (Settings, Limits) {
    let mut limits = Limits::DEFAULT;
    for (name, text, limit, section, quota) in [
        (
            "RATE_LIMIT",
            requests,
            &mut limits.requests,
            "limits",
            "requests",
        ),
        (
            "FAILURE_LIMIT",
            failures,
            &mut limits.failures,
            "failures",
            "quota",
        ),
    ] {
        let Some(text) = text else { continue };
        *limit = per_minute(name, &text, faults);
        settings = match limit {
            Some(limit) => settings.set(format!("{section}.{quota}"), format!("{limit}/min"), name),
            None => settings.set(format!("{section}.enabled"), "false", name),
        };
    }
    (settings, limits)
}

/// A number, or `off`.
fn per_minute(name: &'static str, text: &str, faults: &mut ConfigError) -> PerMinute {
    if text == "off" {
        return None;
    }
    let most = Quota::MOST_PER_MINUTE;
    let limit = text
        .parse()
        .ok()
        .filter(|limit: &NonZeroU32| limit.get() <= most);
    if limit.is_none() {
        let problem = format!("{text:?} is neither `off` nor a number from 1 to {most}");
        faults.add(name, problem);
    }
    limit
}

/// The settings of introspection: all of them, or none.
struct Asked {
    url: Option<String>,
    client_id: Option<String>,
    secret: Option<String>,
}

impl Asked {
    fn add(
        self,
        settings: Settings,
        mode: Mode,
        is_embedded: bool,
        faults: &mut ConfigError,
    ) -> Settings {
        let Some(url) = self.url else {
            for (name, value) in [
                ("CLIENT_ID", self.client_id),
                ("CLIENT_SECRET", self.secret),
            ] {
                if value.is_some() {
                    faults.add(name, "is set, but INTROSPECTION_URL is not");
                }
            }
            return settings;
        };
        if mode == Mode::Tour {
            faults.add(
                "INTROSPECTION_URL",
                "is set, but the tour needs the embedded issuer to mint its tokens",
            );
            return settings;
        }
        // The rest is checked without them, too.
        let mut required = |name: &'static str, value: Option<String>| {
            value.unwrap_or_else(|| {
                faults.add(name, "is not set, but INTROSPECTION_URL is");
                "stand-in".to_owned()
            })
        };
        let client_id = required("CLIENT_ID", self.client_id);
        let mut secret = required("CLIENT_SECRET", self.secret);
        let mut settings = settings;
        let origin = Url::parse(&url).map(|url| url.origin());
        if let (true, Ok(origin)) = (is_embedded, origin)
            && origin.is_tuple()
        {
            let issuer = origin.ascii_serialization();
            settings = settings.set("introspection.issuer", issuer, "INTROSPECTION_URL");
        }
        if secret.is_empty() {
            faults.add("CLIENT_SECRET", "is empty");
            "stand-in".clone_into(&mut secret);
        }
        settings
            .set("introspection.enabled", "true", "INTROSPECTION_URL")
            .set("introspection.url", url, "INTROSPECTION_URL")
            .set("introspection.client_id", client_id, "CLIENT_ID")
            .secret(
                "introspection.client_secret",
                Secret::new(secret),
                "CLIENT_SECRET",
            )
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// As gateless-testkit sees it, which would panic.
fn is_production(value: &OsString) -> bool {
    let value = value.to_string_lossy();
    ["prod", "production"]
        .iter()
        .any(|name| value.trim().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(mode: Mode, variables: &[(&str, &str)]) -> Result<Config, String> {
        let lookup = |name: &str| {
            let mut variables = variables.iter();
            let (_, value) = variables.find(|(set, _)| *set == name)?;
            Some(OsString::from(value))
        };
        Config::read(mode, lookup).map_err(|error| error.to_string())
    }

    /// What the layers are told.
    fn printed(config: &Config) -> String {
        assert!(!format!("{config:?}").contains("hush"));
        let layers = gateless_config::Config::read(config.settings.clone()).unwrap();
        let printed = format!("{layers:?}");
        assert!(!printed.contains("hush"), "{printed}");
        printed
    }

    #[rstest]
    #[case(Mode::Serve, &[], "127.0.0.1:8080")]
    #[case(Mode::Tour, &[], "127.0.0.1:0")]
    #[case(Mode::Tour, &[("BIND", "127.0.0.1:9000")], "127.0.0.1:9000")]
    #[case(Mode::Serve, &[("BIND", "[::]:80")], "[::]:80")]
    fn it_listens_where_it_is_told(
        #[case] mode: Mode,
        #[case] variables: &[(&str, &str)],
        #[case] bind: &str,
    ) {
        let config = read(mode, variables).unwrap();
        assert_eq!(config.bind.to_string(), bind);
        assert_eq!(config.audience, AUDIENCE);
        assert!(config.is_embedded);
    }

    #[rstest]
    #[case("https://idp.example.com")]
    #[case("https://idp.example.com/realms/orders")]
    #[case("http://127.0.0.1:9000")]
    #[case("http://localhost:9000")]
    fn an_issuer_takes_the_place_of_the_embedded_one(#[case] issuer: &str) {
        let variables = [("ISSUER", issuer), ("AUDIENCE", "urn:orders")];
        let config = read(Mode::Serve, &variables).unwrap();
        assert!(!config.is_embedded);
        assert!(printed(&config).contains(&format!("issuer: {issuer:?}")));
        assert_eq!(config.audience, "urn:orders");
    }

    #[rstest]
    #[case::port_only("BIND", "8080", "\"8080\" is not like 127.0.0.1:8080")]
    #[case::empty_bind("BIND", "", "\"\" is not like 127.0.0.1:8080")]
    #[case::no_audience("AUDIENCE", " ", "is empty")]
    #[case::no_issuer("ISSUER", "", "is empty, or has spaces or control characters")]
    #[case::plain_http("ISSUER", "http://idp.example.com", "neither https nor on loopback")]
    #[case::no_url("ISSUER", "idp.example.com", "is not an https URL")]
    #[case::log("RUST_LOG", "orders=loud", "is not a log filter")]
    #[case::environment(
        "GATELESS_ENV",
        "Production",
        "GATELESS_ENV says that this is production"
    )]
    #[case::introspection("CLIENT_ID", "https://idp", "is set, but INTROSPECTION_URL is not")]
    #[case::secret("CLIENT_SECRET", "hush", "is set, but INTROSPECTION_URL is not")]
    #[case::redis("REDIS_URL", "http://:hush@localhost", "REDIS_URL")]
    #[case::denylist("DENYLIST_PATH", "", "is empty")]
    #[case::audit("AUDIT_PATH", "", "is empty")]
    #[case::rate(
        "RATE_LIMIT",
        "0",
        "\"0\" is neither `off` nor a number from 1 to 6000000"
    )]
    #[case::negative("RATE_LIMIT", "-1", "is neither `off` nor a number")]
    #[case::not_a_number("RATE_LIMIT", "NaN", "is neither `off` nor a number")]
    #[case::fraction("RATE_LIMIT", "1.5", "is neither `off` nor a number")]
    #[case::too_many("RATE_LIMIT", "6000001", "is neither `off` nor a number")]
    #[case::far_too_many("RATE_LIMIT", "99999999999", "is neither `off` nor a number")]
    #[case::failures("FAILURE_LIMIT", "", "is neither `off` nor a number")]
    fn a_wrong_setting_is_named(#[case] name: &str, #[case] value: &str, #[case] says: &str) {
        let error = read(Mode::Serve, &[(name, value)]).unwrap_err();
        assert!(error.contains(name) && error.contains(says), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }

    #[test]
    fn all_wrong_settings_are_named_at_once() {
        let variables = [
            ("BIND", "nowhere"),
            ("ISSUER", "http://idp.example.com"),
            ("AUDIENCE", ""),
            ("RATE_LIMIT", "many"),
        ];
        assert_eq!(
            read(Mode::Serve, &variables).unwrap_err(),
            "unusable configuration: BIND \"nowhere\" is not like 127.0.0.1:8080; AUDIENCE is empty; \
             RATE_LIMIT \"many\" is neither `off` nor a number from 1 to 6000000; \
             ISSUER http://idp.example.com is neither https nor on loopback"
        );
    }

    #[rstest]
    #[case(&[], Some(300), Some(60))]
    #[case(&[("RATE_LIMIT", "off"), ("FAILURE_LIMIT", "off")], None, None)]
    #[case(&[("RATE_LIMIT", "5"), ("FAILURE_LIMIT", "6000000")], Some(5), Some(6_000_000))]
    fn limits_are_numbers_a_minute_or_off(
        #[case] variables: &[(&str, &str)],
        #[case] requests: Option<u32>,
        #[case] failures: Option<u32>,
    ) {
        let limits = read(Mode::Serve, variables).unwrap().limits;
        assert_eq!(limits.requests.map(NonZeroU32::get), requests);
        assert_eq!(limits.failures.map(NonZeroU32::get), failures);
    }

    #[rstest]
    #[case::alone(&[], "shared: No")]
    #[case::together(&[("REDIS_URL", "redis://:hush@localhost")], "shared: Exact")]
    #[case::not_at_all(&[("REDIS_URL", "redis://:hush@localhost"), ("RATE_LIMIT", "off")], "limits: None")]
    fn with_redis_requests_are_counted_there(
        #[case] variables: &[(&str, &str)],
        #[case] says: &str,
    ) {
        let printed = printed(&read(Mode::Serve, variables).unwrap());
        assert!(printed.contains(says), "{printed}");
    }

    /// What the tour is told of them is what the file says.
    #[test]
    fn the_default_limits_are_those_of_the_file() {
        let (given, default) = (
            read(
                Mode::Serve,
                &[("RATE_LIMIT", "300"), ("FAILURE_LIMIT", "60")],
            ),
            read(Mode::Serve, &[]),
        );
        let limits = |config: &Config| {
            let printed = printed(config);
            let from = |name: &str| printed.find(name).unwrap();
            let (failures, token) = (from("failures: "), from("token: "));
            let (limits, concurrency) = (from("limits: "), from("concurrency: "));
            let printed = [&printed[failures..token], &printed[limits..concurrency]];
            printed.concat()
        };
        let (given, default) = (given.unwrap(), default.unwrap());
        assert_eq!(limits(&given), limits(&default));
        assert_eq!(given.limits, default.limits);
    }

    #[rstest]
    #[case::none(&[], "store: Memory")]
    #[case::file(&[("DENYLIST_PATH", "/var/lib/orders/denylist")], "store: File, path: \"/var/lib/orders/denylist\"")]
    #[case::redis(&[("REDIS_URL", "redis://:hush@localhost")], "store: Redis")]
    #[case::both(
        &[("REDIS_URL", "redis://:hush@localhost"), ("DENYLIST_PATH", "/var/lib/orders/queue")],
        "queue_path: Some(\"/var/lib/orders/queue\")"
    )]
    fn revocations_are_kept_where_they_are_said_to_be(
        #[case] variables: &[(&str, &str)],
        #[case] says: &str,
    ) {
        let config = read(Mode::Serve, variables).unwrap();
        assert_eq!(config.is_forgetful, variables.is_empty());
        let printed = printed(&config);
        assert!(printed.contains(says), "{printed}");
    }

    #[test]
    fn the_tour_needs_the_embedded_issuer() {
        let error = read(Mode::Tour, &[("ISSUER", "https://idp.example.com")]).unwrap_err();
        assert!(
            error.contains("the tour needs the embedded issuer"),
            "{error}"
        );
    }

    #[rstest]
    #[case(&[], "https://idp.example.com")]
    #[case(&[("ISSUER", "https://issuer.example.com")], "https://issuer.example.com")]
    fn opaque_tokens_are_those_of_the_issuer_or_of_the_origin(
        #[case] issuer: &[(&str, &str)],
        #[case] expected: &str,
    ) {
        let mut variables = vec![
            ("INTROSPECTION_URL", "https://idp.example.com/introspect"),
            ("CLIENT_ID", "orders"),
            ("CLIENT_SECRET", "hush"),
        ];
        variables.extend(issuer);
        let printed = printed(&read(Mode::Serve, &variables).unwrap());
        assert!(
            printed.contains(&format!("issuer: {expected:?}")),
            "{printed}"
        );
    }

    #[rstest]
    #[case(
        "http://idp.example.com/introspect",
        "orders",
        "hush",
        "INTROSPECTION_URL http://idp.example.com is neither https nor on loopback"
    )]
    #[case(
        "nowhere",
        "orders",
        "hush",
        "INTROSPECTION_URL nowhere is not an https URL"
    )]
    #[case("https://idp.example.com", "", "hush", "CLIENT_ID has no client id")]
    #[case("https://idp.example.com", "orders", "", "CLIENT_SECRET is empty")]
    fn unusable_introspection_is_named(
        #[case] url: &str,
        #[case] id: &str,
        #[case] secret: &str,
        #[case] says: &str,
    ) {
        let variables = [
            ("INTROSPECTION_URL", url),
            ("CLIENT_ID", id),
            ("CLIENT_SECRET", secret),
        ];
        let error = read(Mode::Serve, &variables).unwrap_err();
        assert_eq!(error, format!("unusable configuration: {says}"));
    }

    #[test]
    fn introspection_needs_all_of_its_settings() {
        let variables = [("INTROSPECTION_URL", "https://idp.example.com/introspect")];
        assert_eq!(
            read(Mode::Serve, &variables).unwrap_err(),
            "unusable configuration: CLIENT_ID is not set, but INTROSPECTION_URL is; \
             CLIENT_SECRET is not set, but INTROSPECTION_URL is"
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_is_not_text_is_no_setting() {
        use std::os::unix::ffi::OsStringExt as _;
        let lookup = |name: &str| (name == "AUDIENCE").then(|| OsString::from_vec(vec![0xff]));
        let error = Config::read(Mode::Serve, lookup).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unusable configuration: AUDIENCE is not UTF-8 text"
        );
    }
}
