//! What a setting can be, and how it is written.

use std::path::PathBuf;
use std::time::Duration;

use gateless::audit::{Backpressure, Disclosure, Durability};
use gateless::bearer::{Algorithm, Profile};
use gateless::denylist::WhenFull;
use gateless::limit::LimitOutage;
use gateless::{OnOutage, Quota};

/// A value as it was found, before anybody knows what it is for.
#[derive(Clone, PartialEq)]
pub(crate) enum Value {
    /// From a file.
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Self>),
    /// Something that no setting is: a date, a fraction, a table in a list.
    Other(&'static str),
    /// From a variable: a number, a switch, a text, or a list with commas.
    Variable(String),
    /// From the program: the same, but a comma is a comma.
    Given(String),
}

impl Value {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Variable(text) | Self::Given(text) => Some(text),
            _ => None,
        }
    }

    /// As it stands in a fault. Credentials may be in anything with an `@`, and a mistake may be long.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Text(text) | Self::Variable(text) | Self::Given(text) => {
                if text.contains('@') || text.len() > 80 {
                    "a text".to_owned()
                } else {
                    format!("{text:?}")
                }
            }
            Self::Integer(number) => number.to_string(),
            Self::Boolean(is) => is.to_string(),
            Self::List(_) => "a list".to_owned(),
            Self::Other(what) => (*what).to_owned(),
        }
    }
}

/// A type of setting.
pub(crate) trait Leaf: Sized {
    /// What is wanted, after "not" or "it takes".
    const WANTED: &'static str;

    fn of(value: &Value) -> Option<Self>;

    /// As a file has it.
    fn toml(&self) -> String;
}

impl Leaf for String {
    const WANTED: &'static str = "a text";

    fn of(value: &Value) -> Option<Self> {
        value.text().map(str::to_owned)
    }

    fn toml(&self) -> String {
        format!("{self:?}")
    }
}

impl Leaf for PathBuf {
    const WANTED: &'static str = "a path";

    fn of(value: &Value) -> Option<Self> {
        let text = value.text().filter(|text| !text.is_empty());
        text.map(Self::from)
    }

    fn toml(&self) -> String {
        format!("{:?}", self.display().to_string())
    }
}

impl Leaf for bool {
    const WANTED: &'static str = "true or false";

    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Boolean(is) => Some(*is),
            Value::Variable(text) | Value::Given(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn toml(&self) -> String {
        self.to_string()
    }
}

macro_rules! number {
    ($($type:ty: $wanted:literal),*) => {$(
        impl Leaf for $type {
            const WANTED: &'static str = $wanted;

            fn of(value: &Value) -> Option<Self> {
                match value {
                    Value::Integer(number) => Self::try_from(*number).ok(),
                    Value::Variable(text) | Value::Given(text) => text.parse().ok(),
                    _ => None,
                }
            }

            fn toml(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

number! {
    u8: "a whole number from 0 to 255",
    u32: "a whole number from 0 to 4294967295",
    u64: "a whole number from 0 on",
    usize: "a whole number from 0 on"
}

impl Leaf for Duration {
    const WANTED: &'static str = "a time such as \"30s\", \"10m\" or \"1h\"";

    fn of(value: &Value) -> Option<Self> {
        humantime::parse_duration(value.text()?).ok()
    }

    fn toml(&self) -> String {
        format!("\"{}\"", humantime::format_duration(*self))
    }
}

/// A time, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OrOff(pub(crate) Option<Duration>);

impl Leaf for OrOff {
    const WANTED: &'static str = "a time such as \"10s\", or \"off\"";

    fn of(value: &Value) -> Option<Self> {
        match value.text()? {
            "off" => Some(Self(None)),
            _ => Duration::of(value).map(|time| Self(Some(time))),
        }
    }

    fn toml(&self) -> String {
        self.0
            .map_or_else(|| "\"off\"".to_owned(), |time| time.toml())
    }
}

impl<T: Leaf> Leaf for Vec<T> {
    const WANTED: &'static str = T::WANTED;

    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::List(values) => values.iter().map(T::of).collect(),
            Value::Variable(text) => {
                let items = text.split(',').map(str::trim);
                let items = items.filter(|item| !item.is_empty());
                let items = items.map(|item| T::of(&Value::Given(item.to_owned())));
                let items: Self = items.collect::<Option<_>>()?;
                // Somebody's unset variable is no wish for an empty list.
                (!items.is_empty()).then_some(items)
            }
            one => T::of(one).map(|one| vec![one]),
        }
    }

    fn toml(&self) -> String {
        let items: Vec<_> = self.iter().map(T::toml).collect();
        format!("[{}]", items.join(", "))
    }
}

impl Leaf for Quota {
    const WANTED: &'static str =
        "a quota such as \"20/s\", \"300/min\", \"100000/day\" or \"20/s burst 40\"";

    fn of(value: &Value) -> Option<Self> {
        let (rate, burst) = match value.text()?.split_once(" burst ") {
            Some((rate, burst)) => (rate, Some(burst.trim().parse().ok()?)),
            None => (value.text()?, None),
        };
        let (limit, period) = rate.split_once('/')?;
        let limit = limit.trim().parse().ok()?;
        let quota = match period.trim() {
            "s" | "second" => Self::per_second(limit),
            "min" | "minute" => Self::per_minute(limit),
            "h" | "hour" => Self::per_hour(limit),
            "day" => Self::per_day(limit),
            other => Self::per(limit, humantime::parse_duration(other).ok()?),
        };
        Some(match burst {
            Some(burst) => quota.burst(burst),
            None => quota,
        })
    }

    fn toml(&self) -> String {
        format!("{:?}", self.to_string())
    }
}

/// The quotas of a tier, or none at all.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tier {
    Unlimited,
    Quotas(Vec<Quota>),
}

impl Leaf for Tier {
    const WANTED: &'static str = "quotas such as [\"20/s\", \"100000/day\"], or \"unlimited\"";

    fn of(value: &Value) -> Option<Self> {
        match value.text() {
            Some("unlimited") => Some(Self::Unlimited),
            _ => Vec::of(value).map(Self::Quotas),
        }
    }

    fn toml(&self) -> String {
        match self {
            Self::Unlimited => "\"unlimited\"".to_owned(),
            Self::Quotas(quotas) => quotas.toml(),
        }
    }
}

impl Leaf for OnOutage {
    const WANTED: &'static str =
        "\"closed\" to refuse with 503, or \"stale 1h\" to go on for so long with what is known";

    fn of(value: &Value) -> Option<Self> {
        let text = value.text()?;
        match text.strip_prefix("stale ") {
            Some(time) => humantime::parse_duration(time).ok().map(Self::StaleFor),
            None => (text == "closed").then_some(Self::FailClosed),
        }
    }

    fn toml(&self) -> String {
        match self {
            Self::StaleFor(time) => format!("\"stale {}\"", humantime::format_duration(*time)),
            _ => "\"closed\"".to_owned(),
        }
    }
}

impl Leaf for LimitOutage {
    const WANTED: &'static str = "\"closed\" to refuse with 503, \"share 4\" for a fourth of each quota at each of at most \
                                  four instances, or \"danger_open\" to count nothing";

    fn of(value: &Value) -> Option<Self> {
        let text = value.text()?;
        match text.strip_prefix("share ") {
            Some(count) => count
                .parse()
                .ok()
                .map(|instances| Self::LocalShare { instances }),
            None if text == "closed" => Some(Self::FailClosed),
            None => (text == "danger_open").then_some(Self::DangerOpen),
        }
    }

    fn toml(&self) -> String {
        match self {
            Self::LocalShare { instances } => format!("\"share {instances}\""),
            Self::DangerOpen => "\"danger_open\"".to_owned(),
            _ => "\"closed\"".to_owned(),
        }
    }
}

impl Leaf for Backpressure {
    const WANTED: &'static str = "\"refuse\" to answer 503, \"block 2s\" to wait for so long first, or \"drop\" to serve \
                                  without a record";

    fn of(value: &Value) -> Option<Self> {
        let text = value.text()?;
        match text.strip_prefix("block ") {
            Some(time) => humantime::parse_duration(time).ok().map(Self::Block),
            None if text == "refuse" => Some(Self::FailRequest),
            None => (text == "drop").then_some(Self::DropAndCount),
        }
    }

    fn toml(&self) -> String {
        match self {
            Self::Block(time) => format!("\"block {}\"", humantime::format_duration(*time)),
            Self::DropAndCount => "\"drop\"".to_owned(),
            _ => "\"refuse\"".to_owned(),
        }
    }
}

/// Where callers are told apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum KeyPart {
    Caller,
    Subject,
    Client,
    Token,
    Route,
    Peer,
    Everybody,
    Claim(String),
}

impl Leaf for KeyPart {
    const WANTED: &'static str = "\"caller\", \"subject\", \"client\", \"token\", \"route\", \"peer\", \"everybody\" or \"claim:NAME\"";

    fn of(value: &Value) -> Option<Self> {
        Some(match value.text()? {
            "caller" => Self::Caller,
            "subject" => Self::Subject,
            "client" => Self::Client,
            "token" => Self::Token,
            "route" => Self::Route,
            "peer" => Self::Peer,
            "everybody" => Self::Everybody,
            text => Self::Claim(
                text.strip_prefix("claim:")
                    .filter(|name| !name.is_empty())?
                    .to_owned(),
            ),
        })
    }

    fn toml(&self) -> String {
        match self {
            Self::Caller => "\"caller\"".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

/// Permissions of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mode(pub(crate) u32);

impl Leaf for Mode {
    const WANTED: &'static str = "permissions such as \"0600\"";

    fn of(value: &Value) -> Option<Self> {
        u32::from_str_radix(value.text()?, 8).ok().map(Self)
    }

    fn toml(&self) -> String {
        format!("\"{:04o}\"", self.0)
    }
}

impl Leaf for Algorithm {
    const WANTED: &'static str = "names of algorithms, such as [\"RS256\", \"ES256\", \"EdDSA\"]";

    fn of(value: &Value) -> Option<Self> {
        Self::from_name(value.text()?)
    }

    fn toml(&self) -> String {
        format!("{:?}", self.name())
    }
}

/// A type of which there are a few, each with a name.
macro_rules! named {
    ($type:ty, $wanted:literal, $($name:literal => $value:pat = $make:expr),+) => {
        impl $crate::value::Leaf for $type {
            const WANTED: &'static str = $wanted;

            fn of(value: &$crate::value::Value) -> Option<Self> {
                match value.text()? {
                    $($name => Some($make),)+
                    _ => None,
                }
            }

            fn toml(&self) -> String {
                #[allow(unreachable_patterns, reason = "some are non-exhaustive")]
                match self {
                    $($value => concat!("\"", $name, "\"").to_owned(),)+
                    _ => String::new(),
                }
            }
        }
    };
}
pub(crate) use named;

named!(Disclosure, "\"plain\", \"pseudonym\" or \"omitted\"",
    "plain" => Self::Plain = Self::Plain,
    "pseudonym" => Self::Pseudonym = Self::Pseudonym,
    "omitted" => Self::Omitted = Self::Omitted);
named!(Durability, "\"written\" or \"synced\"",
    "written" => Self::Written = Self::Written,
    "synced" => Self::Synced = Self::Synced);
named!(Profile, "\"rfc9068\" or \"lax\"",
    "rfc9068" => Self::Rfc9068 = Self::Rfc9068,
    "lax" => Self::Lax = Self::Lax);
named!(WhenFull, "\"refuse\" or \"revoke_everything\"",
    "refuse" => Self::Refuse = Self::Refuse,
    "revoke_everything" => Self::RevokeEverything = Self::RevokeEverything);
