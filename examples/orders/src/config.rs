//! The settings: a few environment variables, checked all at once.
//!
//! | variable | default | |
//! |---|---|---|
//! | `BIND` | `127.0.0.1:8080`; a free port for `--tour` | where to listen |
//! | `ISSUER` | an embedded test issuer | whose tokens are accepted: an https URL, or http on loopback |
//! | `AUDIENCE` | `https://orders.example.com` | what tokens have to be meant for |
//! | `INTROSPECTION_URL` | that of the embedded issuer, with it | where tokens that are no JWTs are asked about; they are those of `ISSUER`, or else of the origin of this address |
//! | `CLIENT_ID`, `CLIENT_SECRET` | | who asks there (`client_secret_basic`) |
//! | `DENYLIST_PATH` | what is revoked is forgotten when the process ends | the file that it is kept in, for one instance |
//! | `REDIS_URL` | instances know nothing of each other | where all of them keep what is revoked, and count requests; a revocation that cannot be put there waits in `DENYLIST_PATH`, if that is set, and is refused otherwise |
//! | `AUDIT_PATH` | a temporary file, whose name the guide tells | the file of records, one for each request; full ones are kept beside it, ten of them |
//! | `RATE_LIMIT` | `300` | how many requests a caller may have in a minute, or `off` |
//! | `FAILURE_LIMIT` | `60` | how many credentials may be refused in a minute from one IPv4 address or one /64 of IPv6 before it has to wait, or `off` |
//! | `RUST_LOG` | `info` | what is logged to standard error |

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use gateless::bearer::OptionalBearerAuth;
use gateless::introspection::{OptionalIntrospection, Secret};
use gateless::{ConfigError, Quota};
use gateless_redis::RedisServer;
use reqwest::Url;
use tracing_subscriber::EnvFilter;

use crate::audit::Records;
use crate::auth::{bearer_auth, introspection};
use crate::limits::{Limits, PerMinute};
use crate::revocation::Revocations;

/// What the program is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Serve until told to stop.
    Serve,
    /// Serve, go through the guided tour, and stop.
    Tour,
}

/// Whose tokens are accepted.
#[derive(Debug)]
pub enum Trust {
    /// Those of a test issuer that is started with the service.
    Embedded,
    /// Those of the issuer that is configured.
    Issuer(OptionalBearerAuth),
}

/// Settings that can be used.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub bind: SocketAddr,
    /// Whose tokens are accepted.
    pub trust: Trust,
    /// What answers for tokens that are no JWTs.
    pub introspection: Option<OptionalIntrospection>,
    /// What they have to be meant for.
    pub audience: String,
    /// Where revocations are kept.
    pub revocations: Revocations,
    /// How much is too much.
    pub limits: Limits,
    /// Where requests are recorded.
    pub records: Records,
    /// What is logged.
    pub log: EnvFilter,
}

const AUDIENCE: &str = "https://orders.example.com";

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
        let redis = text("REDIS_URL");
        let [requests, failures] = ["RATE_LIMIT", "FAILURE_LIMIT"].map(&mut text);

        let bind = match bind {
            Some(bind) => bind.parse().unwrap_or_else(|_| {
                faults.add("BIND", format!("{bind:?} is not like 127.0.0.1:8080"));
                loopback(0)
            }),
            None if mode == Mode::Tour => loopback(0),
            None => loopback(8080),
        };
        let audience = audience.unwrap_or_else(|| AUDIENCE.to_owned());
        if audience.trim().is_empty() {
            faults.add("AUDIENCE", "is empty");
        }
        let asked = Asked {
            url,
            client_id,
            secret,
        };
        let introspection = asked.build(mode, issuer.as_deref(), &audience, &mut faults);
        let trust = match issuer {
            None => {
                if lookup("GATELESS_ENV").is_some_and(|value| is_production(&value)) {
                    faults.add(
                        "ISSUER",
                        "is not set, and GATELESS_ENV says that this is production: \
                         an embedded test issuer would let anybody in",
                    );
                }
                Some(Trust::Embedded)
            }
            Some(_) if mode == Mode::Tour => {
                faults.add(
                    "ISSUER",
                    "is set, but the tour needs the embedded issuer to mint its tokens",
                );
                None
            }
            // The audience has been checked; the one here must not be reported again.
            Some(issuer) => match bearer_auth(&issuer, audience_or_default(&audience)) {
                Ok(auth) => Some(Trust::Issuer(auth)),
                Err(error) => {
                    // The layer sees the same URL as the name of the issuer and as an address: one of them will do.
                    let problem = error.faults().first().map_or("", |fault| fault.problem());
                    faults.add("ISSUER", problem);
                    None
                }
            },
        };
        let mut given = |name: &'static str| {
            let path = lookup(name).map(PathBuf::from)?;
            if path.as_os_str().is_empty() {
                faults.add(name, "is empty");
                return None;
            }
            Some(path)
        };
        let denylist_path = given("DENYLIST_PATH");
        let records = given("AUDIT_PATH").map_or_else(Records::temporary, Records::at);
        let redis = redis.map(|url| RedisServer::builder(url).build());
        let limits = Limits {
            requests: match requests {
                Some(text) => per_minute("RATE_LIMIT", &text, &mut faults),
                None => Limits::DEFAULT.requests,
            },
            failures: match failures {
                Some(text) => per_minute("FAILURE_LIMIT", &text, &mut faults),
                None => Limits::DEFAULT.failures,
            },
            shared: redis
                .as_ref()
                .and_then(|server| server.as_ref().ok())
                .cloned(),
        };
        let revocations = match (redis, denylist_path) {
            (Some(Ok(server)), path) => Revocations::Redis(server, path),
            (Some(Err(error)), _) => {
                let problem = error.faults().first().map_or("", |fault| fault.problem());
                faults.add("REDIS_URL", problem);
                Revocations::Process
            }
            (None, Some(path)) => Revocations::File(path),
            (None, None) => Revocations::Process,
        };
        let log = EnvFilter::try_new(log.as_deref().unwrap_or("info")).unwrap_or_else(|error| {
            faults.add("RUST_LOG", format!("is not a log filter: {error}"));
            EnvFilter::default()
        });
        faults.into_result()?;
        Ok(Self {
            bind,
            trust: trust.expect("without it there is a fault"),
            introspection,
            audience,
            revocations,
            limits,
            records,
            log,
        })
    }
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
    fn build(
        self,
        mode: Mode,
        issuer: Option<&str>,
        audience: &str,
        faults: &mut ConfigError,
    ) -> Option<OptionalIntrospection> {
        let Some(url) = self.url else {
            for (name, value) in [
                ("CLIENT_ID", self.client_id),
                ("CLIENT_SECRET", self.secret),
            ] {
                if value.is_some() {
                    faults.add(name, "is set, but INTROSPECTION_URL is not");
                }
            }
            return None;
        };
        if mode == Mode::Tour {
            faults.add(
                "INTROSPECTION_URL",
                "is set, but the tour needs the embedded issuer to mint its tokens",
            );
            return None;
        }
        let mut required = |name: &'static str, value: Option<String>| {
            if value.is_none() {
                faults.add(name, "is not set, but INTROSPECTION_URL is");
            }
            value
        };
        let client_id = required("CLIENT_ID", self.client_id);
        let secret = required("CLIENT_SECRET", self.secret);
        let origin = || Url::parse(&url).map(|url| url.origin().ascii_serialization());
        let issuer = issuer.map_or_else(|| origin().unwrap_or_default(), str::to_owned);
        let built = introspection(
            &issuer,
            audience_or_default(audience),
            &url,
            &client_id?,
            Secret::new(secret?),
        );
        built
            .map_err(|error| {
                for fault in error.faults() {
                    match fault.setting() {
                        "endpoint" => faults.add("INTROSPECTION_URL", fault.problem()),
                        "client_authentication" => faults.add("CLIENT_ID", fault.problem()),
                        // What is wrong with these is told where they come from.
                        "issuer" | "audience" => {}
                        other => {
                            faults.add("INTROSPECTION_URL", format!("{other} {}", fault.problem()))
                        }
                    }
                }
            })
            .ok()
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn audience_or_default(audience: &str) -> &str {
    match audience.trim() {
        "" => AUDIENCE,
        _ => audience,
    }
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
        assert!(matches!(config.trust, Trust::Embedded));
    }

    #[rstest]
    #[case("https://idp.example.com")]
    #[case("https://idp.example.com/realms/orders")]
    #[case("http://127.0.0.1:9000")]
    #[case("http://localhost:9000")]
    fn an_issuer_takes_the_place_of_the_embedded_one(#[case] issuer: &str) {
        let variables = [("ISSUER", issuer), ("AUDIENCE", "urn:orders")];
        let config = read(Mode::Serve, &variables).unwrap();
        assert!(matches!(config.trust, Trust::Issuer(_)));
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
             ISSUER http://idp.example.com is neither https nor on loopback; \
             RATE_LIMIT \"many\" is neither `off` nor a number from 1 to 6000000"
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
        assert!(limits.shared.is_none());
    }

    #[test]
    fn with_redis_requests_are_counted_there() {
        let config = read(Mode::Serve, &[("REDIS_URL", "redis://:hush@localhost")]).unwrap();
        assert!(config.limits.shared.is_some());
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[rstest]
    #[case::none(&[], "Process")]
    #[case::file(&[("DENYLIST_PATH", "/var/lib/orders/denylist")], "File(\"/var/lib/orders/denylist\")")]
    #[case::redis(&[("REDIS_URL", "redis://:hush@localhost")], "Redis(")]
    #[case::both(
        &[("REDIS_URL", "redis://:hush@localhost"), ("DENYLIST_PATH", "/var/lib/orders/queue")],
        "Some(\"/var/lib/orders/queue\")"
    )]
    fn revocations_are_kept_where_they_are_said_to_be(
        #[case] variables: &[(&str, &str)],
        #[case] says: &str,
    ) {
        let config = read(Mode::Serve, variables).unwrap();
        let printed = format!("{:?}", config.revocations);
        assert!(printed.contains(says), "{printed}");
        assert!(!printed.contains("hush"), "{printed}");
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
        let config = read(Mode::Serve, &variables).unwrap();
        let printed = format!("{:?}", config.introspection.unwrap());
        assert!(
            printed.contains(&format!("issuer: {expected:?}")),
            "{printed}"
        );
        assert!(!printed.contains("hush"), "{printed}");
    }

    #[rstest]
    #[case(
        "http://idp.example.com/introspect",
        "orders",
        "hush",
        "INTROSPECTION_URL http://idp.example.com/introspect is not an https URL"
    )]
    #[case(
        "nowhere",
        "orders",
        "hush",
        "INTROSPECTION_URL nowhere is not an https URL"
    )]
    #[case("https://idp.example.com", "", "hush", "CLIENT_ID has no client id")]
    #[case(
        "https://idp.example.com",
        "orders",
        "",
        "CLIENT_ID secret Secret([redacted]) is empty"
    )]
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
