//! Holds one claim against a value, straight from the text: nothing is allocated, nothing is cast.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Where a claim stands: a name, or the names that lead to it through nested objects.
///
/// ```
/// use gateless_core::ClaimPath;
///
/// assert_eq!(ClaimPath::from("tenant").to_string(), "tenant");
/// assert_eq!(ClaimPath::from(["realm_access", "roles"]).to_string(), "realm_access/roles");
/// ```
///
/// A dot is a character like any other: claims with URLs for names need no escaping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClaimPath(Box<[Box<str>]>);

impl From<&str> for ClaimPath {
    fn from(name: &str) -> Self {
        Self([name.into()].into())
    }
}

impl<const N: usize> From<[&str; N]> for ClaimPath {
    fn from(names: [&str; N]) -> Self {
        const { assert!(N > 0, "a path needs at least one name") };
        Self(names.into_iter().map(Into::into).collect())
    }
}

impl ClaimPath {
    /// From names that are only known while the program runs; `None` without any.
    #[must_use]
    pub fn from_names(names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Option<Self> {
        let names: Box<[Box<str>]> = names.into_iter().map(Into::into).collect();
        (!names.is_empty()).then_some(Self(names))
    }

    pub(super) fn names(&self) -> &[Box<str>] {
        &self.0
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

/// What a claim has to be: exactly this, type included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ClaimValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number. A fraction or a text of digits is something else.
    Integer(i64),
    /// A text, compared byte for byte.
    Text(Box<str>),
}

impl From<bool> for ClaimValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for ClaimValue {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<String> for ClaimValue {
    fn from(value: String) -> Self {
        Self::Text(value.into())
    }
}

impl From<&str> for ClaimValue {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl fmt::Display for ClaimValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => fmt::Display::fmt(value, f),
            Self::Integer(value) => fmt::Display::fmt(value, f),
            Self::Text(value) => fmt::Debug::fmt(value, f),
        }
    }
}

/// Whether the claim at `path` is `value`, or a list with `value` in it.
///
/// Whatever is not exactly that, is not: another type, a member that stands there twice, no JSON at all.
pub(super) fn holds(claims: &str, path: &ClaimPath, value: &ClaimValue) -> bool {
    let mut json = serde_json::Deserializer::from_str(claims);
    let found = At {
        path: &path.0,
        value,
        in_list: false,
    };
    let is_it = found.deserialize(&mut json);
    is_it.unwrap_or(false) && json.end().is_ok()
}

#[derive(Clone, Copy)]
struct At<'a> {
    path: &'a [Box<str>],
    value: &'a ClaimValue,
    /// A list in a list is no list of values.
    in_list: bool,
}

impl At<'_> {
    fn is(&self, what: &ClaimValue) -> bool {
        self.path.is_empty() && self.value == what
    }
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claim")
    }

    fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
        Ok(self.is(&ClaimValue::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<bool, E> {
        Ok(self.is(&ClaimValue::Integer(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<bool, E> {
        let value = i64::try_from(value).map(ClaimValue::Integer);
        Ok(value.is_ok_and(|value| self.is(&value)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E>(self, value: &str) -> Result<bool, E> {
        let is_it = matches!(self.value, ClaimValue::Text(expected) if **expected == *value);
        Ok(self.path.is_empty() && is_it)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        if self.in_list || !self.path.is_empty() {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(false);
        }
        let element = Self {
            in_list: true,
            ..self
        };
        let mut is_there = false;
        while let Some(is_it) = list.next_element_seed(element)? {
            is_there |= is_it;
        }
        Ok(is_there)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut found = None;
        let (name, rest) = match self.path.split_first() {
            Some((name, rest)) => (Some(&**name), rest),
            None => (None, self.path),
        };
        while let Some(is_name) = object.next_key_seed(Is(name))? {
            if !is_name {
                object.next_value::<IgnoredAny>()?;
            } else if found.is_some() {
                return Err(A::Error::custom("a member stands there twice"));
            } else {
                found = Some(object.next_value_seed(Self { path: rest, ..self })?);
            }
        }
        Ok(found.unwrap_or(false))
    }
}

/// Whether a key is the name that is looked for.
pub(super) struct Is<'a>(pub(super) Option<&'a str>);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a claim")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(self.0 == Some(name))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"tenant":"acme"}"#, true)]
    #[case(r#"{"a":{"tenant":"x"},"tenant":"acme","z":[1,{}]}"#, true)]
    #[case(r#"{"tenant":"\u0061cme"}"#, true)]
    #[case(r#"{"ten\u0061nt":"acme"}"#, true)]
    #[case(r#"{"tenant":["other","acme"]}"#, true)]
    #[case(r#"{"tenant":"acme2"}"#, false)]
    #[case(r#"{"tenant":"Acme"}"#, false)]
    #[case(r#"{"tenant":"acme other"}"#, false)]
    #[case(r#"{"tenant":["acm"]}"#, false)]
    #[case(r#"{"tenant":[["acme"]]}"#, false)]
    #[case(r#"{"tenant":{"acme":true}}"#, false)]
    #[case(r#"{"tenant":[{"tenant":"acme"}]}"#, false)]
    #[case::tj_12(r#"{"tenant":7}"#, false)]
    #[case::tj_12(r#"{"tenant":null}"#, false)]
    #[case::tj_12(r#"{"tenant":1.5}"#, false)]
    #[case::tj_12(r#"{"tenant":true}"#, false)]
    #[case(r#"{"tenant":"x","tenant":"acme"}"#, false)]
    #[case(r#"{"tenant":"acme","tenant":"acme"}"#, false)]
    #[case(r#"{"Tenant":"acme"}"#, false)]
    #[case(r"{}", false)]
    #[case("", false)]
    #[case(r#"{"tenant":"acme""#, false)]
    #[case(r#"{"tenant":"acme"} x"#, false)]
    #[case("[]", false)]
    fn a_text_is_matched_exactly(#[case] claims: &str, #[case] expected: bool) {
        assert_eq!(holds(claims, &"tenant".into(), &"acme".into()), expected);
    }

    #[rstest]
    #[case(r#"{"realm":{"roles":["user","admin"]}}"#, true)]
    #[case(r#"{"realm":{"roles":"admin"}}"#, true)]
    #[case(r#"{"realm":{"roles":{"admin":1}}}"#, false)]
    #[case(r#"{"realm":{"roles":["user"]},"roles":["admin"]}"#, false)]
    #[case(r#"{"realm":[{"roles":["admin"]}]}"#, false)]
    #[case(r#"{"realm":"admin"}"#, false)]
    #[case(r#"{"realm":["roles","admin"]}"#, false)]
    #[case(r#"{"realm":{"roles":["admin"]},"realm":{}}"#, false)]
    #[case(r#"{"realm/roles":["admin"],"realm.roles":["admin"]}"#, false)]
    fn a_path_leads_through_objects(#[case] claims: &str, #[case] expected: bool) {
        let path = ClaimPath::from(["realm", "roles"]);
        assert_eq!(holds(claims, &path, &"admin".into()), expected);
    }

    #[rstest]
    #[case("true", ClaimValue::from(true), true)]
    #[case("false", ClaimValue::from(true), false)]
    #[case("\"true\"", ClaimValue::from(true), false)]
    #[case("1", ClaimValue::from(true), false)]
    #[case("7", ClaimValue::from(7), true)]
    #[case("[6,7]", ClaimValue::from(7), true)]
    #[case("-7", ClaimValue::from(-7), true)]
    #[case("7.0", ClaimValue::from(7), false)]
    #[case("\"7\"", ClaimValue::from(7), false)]
    #[case("18446744073709551615", ClaimValue::from(-1), false)]
    fn types_are_never_cast(
        #[case] claim: &str,
        #[case] value: ClaimValue,
        #[case] expected: bool,
    ) {
        let claims = format!(r#"{{"claim":{claim}}}"#);
        assert_eq!(holds(&claims, &"claim".into(), &value), expected);
    }
}
