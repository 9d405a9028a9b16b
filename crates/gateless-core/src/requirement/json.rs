//! A requirement as JSON, for documents and configuration: read strictly, written as it is read.

use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

use super::{ClaimPath, ClaimValue, Node, Requirement};
use crate::acr::Acr;
use crate::principal::PrincipalKind;
use crate::scope::Scope;

impl Serialize for Requirement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = match &self.0 {
            Node::Scope { scope, .. } => return scope.serialize(serializer),
            Node::Claim(..) => serializer.serialize_map(Some(2))?,
            _ => serializer.serialize_map(Some(1))?,
        };
        match &self.0 {
            Node::Authenticated => map.serialize_entry("authenticated", &true)?,
            Node::Scope { scope, .. } => map.serialize_entry("scope", scope)?,
            Node::Acr(one_of) => map.serialize_entry("acr", one_of)?,
            Node::MaxAge(secs) => map.serialize_entry("max_age", secs)?,
            Node::Kind(kind) => map.serialize_entry("kind", kind.name())?,
            Node::Claim(path, value) => {
                map.serialize_entry("claim", path)?;
                map.serialize_entry("is", value)?;
            }
            Node::All(items) => map.serialize_entry("all", items)?,
            Node::Any(items) => map.serialize_entry("any", items)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read)
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Requirement;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scope, or an object such as {\"all\": […]}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Requirement, E> {
        Scope::parse(text).map(Into::into).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Requirement, A::Error> {
        let members = Members::deserialize(MapAccessDeserializer::new(map))?;
        members.into_requirement().map_err(A::Error::custom)
    }
}

/// Every member that an object may have; one object is one requirement. `null` is none of them: a restriction whose value
/// was forgotten must not vanish.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    #[serde(default, deserialize_with = "given")]
    all: Option<Vec<Requirement>>,
    #[serde(default, deserialize_with = "given")]
    any: Option<Vec<Requirement>>,
    #[serde(default, deserialize_with = "given")]
    acr: Option<Vec<Acr>>,
    #[serde(default, deserialize_with = "given")]
    max_age: Option<u64>,
    #[serde(default, deserialize_with = "given")]
    kind: Option<Box<str>>,
    #[serde(default, deserialize_with = "given")]
    claim: Option<Vec<Box<str>>>,
    #[serde(default, deserialize_with = "given")]
    is: Option<ClaimValue>,
    #[serde(default, deserialize_with = "given")]
    authenticated: Option<bool>,
}

fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

impl Members {
    fn into_requirement(self) -> Result<Requirement, &'static str> {
        const EMPTY: &str = "an empty list would allow everybody or nobody";
        let Self {
            all,
            any,
            acr,
            max_age,
            kind,
            claim,
            is,
            authenticated,
        } = self;
        let mut found = Vec::new();
        if let Some(items) = all {
            found.push(Requirement::try_all(items).map_err(|_| EMPTY)?);
        }
        if let Some(items) = any {
            found.push(Requirement::try_any(items).map_err(|_| EMPTY)?);
        }
        if let Some(one_of) = acr {
            found.push(Requirement::try_acr(one_of).map_err(|_| EMPTY)?);
        }
        match max_age {
            None => {}
            Some(0) => return Err("max_age is at least one second"),
            Some(secs) => found.push(Requirement::max_age(Duration::from_secs(secs))),
        }
        if let Some(name) = kind {
            let kind = PrincipalKind::ALL.into_iter();
            let kind = kind.into_iter().find(|kind| kind.name() == &*name);
            found.push(Requirement::kind(kind.ok_or("kind is user or client")?));
        }
        match (claim, is) {
            (None, None) => {}
            (Some(path), Some(value)) => {
                let path = ClaimPath::from_names(path).ok_or("claim needs at least one name")?;
                found.push(Requirement::claim(path, value));
            }
            _ => return Err("claim and is go together"),
        }
        match authenticated {
            None => {}
            Some(true) => found.push(Requirement::authenticated()),
            Some(false) => return Err("authenticated can only be true"),
        }
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => Ok(one),
            _ => Err("an object is exactly one requirement; put several into all or any"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#""orders:read""#, "orders:read")]
    #[case(r#"{"authenticated":true}"#, "any valid token")]
    #[case(r#"{"all":["a",{"any":["b","c"]}]}"#, "all(a, any(b, c))")]
    #[case(r#"{"acr":["phr","phrh"]}"#, "acr(phr, phrh)")]
    #[case(r#"{"max_age":300}"#, "max_age(300 s)")]
    #[case(r#"{"kind":"client"}"#, "kind(client)")]
    #[case(r#"{"claim":["a","b"],"is":"c"}"#, r#"claim(a/b, "c")"#)]
    #[case(r#"{"claim":["a"],"is":7}"#, "claim(a, 7)")]
    #[case(r#"{"claim":["a"],"is":true}"#, "claim(a, true)")]
    fn what_is_read_is_written_the_same(#[case] json: &str, #[case] text: &str) {
        let requirement: Requirement = serde_json::from_str(json).unwrap();
        assert_eq!(requirement.to_string(), text);
        assert_eq!(serde_json::to_string(&requirement).unwrap(), json);
    }

    #[rstest]
    #[case("{}", "exactly one requirement")]
    #[case(r#"{"all":[]}"#, "an empty list")]
    #[case(r#"{"any":[]}"#, "an empty list")]
    #[case(r#"{"acr":[]}"#, "an empty list")]
    #[case(r#"{"all":["a"],"any":["b"]}"#, "exactly one requirement")]
    #[case(r#"{"scope":"a"}"#, "unknown field")]
    #[case(r#""a b""#, "a scope is one or more")]
    #[case(r#""""#, "a scope is one or more")]
    #[case(r#"{"acr":["a b"]}"#, "an acr is one or more")]
    #[case(r#"{"max_age":0}"#, "at least one second")]
    #[case(r#"{"max_age":-1}"#, "invalid value")]
    #[case(r#"{"kind":"robot"}"#, "user or client")]
    #[case(r#"{"claim":["a"]}"#, "go together")]
    #[case(r#"{"is":"a"}"#, "go together")]
    #[case(r#"{"claim":[],"is":"a"}"#, "at least one name")]
    #[case(r#"{"claim":["a"],"is":1.5}"#, "did not match")]
    #[case(r#"{"authenticated":false}"#, "only be true")]
    #[case(r#"["a"]"#, "expected a scope, or an object")]
    #[case("null", "expected a scope, or an object")]
    #[case(r#"{"all":["a"],"all":["b"]}"#, "duplicate field")]
    #[case(r#"{"authenticated":true,"max_age":null}"#, "invalid type: null")]
    #[case(r#"{"all":null,"any":["b"]}"#, "invalid type: null")]
    #[case(r#"{"claim":["a"],"is":null}"#, "did not match")]
    fn what_makes_no_sense_is_refused(#[case] json: &str, #[case] says: &str) {
        let error = serde_json::from_str::<Requirement>(json).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}
