//! Reads one claim, straight from the text.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

use super::claim::{ClaimPath, ClaimValue, Is};

/// The claim at `path`, when it is a text, a whole number, or true or false, and stands there once.
pub(crate) fn value(claims: &str, path: &ClaimPath) -> Option<ClaimValue> {
    let mut json = serde_json::Deserializer::from_str(claims);
    let found = At(path.names()).deserialize(&mut json).ok()?;
    json.end().ok()?;
    found
}

/// What is still to go from here.
#[derive(Clone, Copy)]
struct At<'a>(&'a [Box<str>]);

impl At<'_> {
    fn is(self, value: impl Into<ClaimValue>) -> Option<ClaimValue> {
        self.0.is_empty().then(|| value.into())
    }
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<ClaimValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Option<ClaimValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claim")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(self.is(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(self.is(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).ok().and_then(|value| self.is(value)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(self.is(value))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let (name, rest) = match self.0.split_first() {
            Some((name, rest)) => (Some(&**name), rest),
            None => (None, self.0),
        };
        let mut found = None;
        while let Some(is_name) = object.next_key_seed(Is(name))? {
            if !is_name {
                object.next_value::<IgnoredAny>()?;
            } else if found.is_some() {
                return Err(A::Error::custom("a member stands there twice"));
            } else {
                found = Some(object.next_value_seed(At(rest))?);
            }
        }
        Ok(found.flatten())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::text(r#"{"a":1,"tenant":"t-1"}"#, "tenant", Some("t-1".into()))]
    #[case::number(r#"{"tenant":-7}"#, "tenant", Some((-7).into()))]
    #[case::truth(r#"{"tenant":true}"#, "tenant", Some(true.into()))]
    #[case::escaped(r#"{"ten\u0061nt":"\u00e4"}"#, "tenant", Some("ä".into()))]
    #[case::missing(r#"{"a":"tenant"}"#, "tenant", None)]
    #[case::null(r#"{"tenant":null}"#, "tenant", None)]
    #[case::fraction(r#"{"tenant":1.5}"#, "tenant", None)]
    #[case::large(r#"{"tenant":18446744073709551615}"#, "tenant", None)]
    #[case::list(r#"{"tenant":["t-1"]}"#, "tenant", None)]
    #[case::object(r#"{"tenant":{"tenant":"t-1"}}"#, "tenant", None)]
    #[case::twice(r#"{"tenant":"t-1","tenant":"t-2"}"#, "tenant", None)]
    #[case::broken(r#"{"tenant":"t-1"#, "tenant", None)]
    #[case::more(r#"{"tenant":"t-1"} {}"#, "tenant", None)]
    fn a_claim_is_read_or_is_not_there(
        #[case] claims: &str,
        #[case] path: &str,
        #[case] expected: Option<ClaimValue>,
    ) {
        assert_eq!(value(claims, &path.into()), expected);
    }

    #[test]
    fn a_path_leads_through_objects() {
        let claims = r#"{"org":{"x":0,"id":"t-1"}}"#;
        assert_eq!(value(claims, &["org", "id"].into()), Some("t-1".into()));
        assert_eq!(value(claims, &"org".into()), None);
        assert_eq!(value(claims, &["org", "id", "z"].into()), None);
    }
}
