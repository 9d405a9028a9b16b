//! JSON objects read once, strictly: unique names at every level, bounded depth, exact types.
//!
//! serde_json is the tokenizer; what is strict is here. Values are asked for by type, never through
//! `serde_json::Value`, so that features which another crate may switch on (`arbitrary_precision`, `raw_value`)
//! cannot change what is read.

use std::borrow::Cow;
use std::fmt;

use gateless_core::Timestamp;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// How deep objects and arrays may nest, the outermost object included (checklist TB-20).
const MAX_DEPTH: u8 = 16;

/// The last second of the year 9999: no date of a token lies beyond it.
const LAST_SECOND: i64 = 253_402_300_799;

/// An object whose members are read one by one.
pub(crate) trait Object<'de> {
    /// Reads the value of `name`, or leaves it to [`ignore`].
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Reads a document that is one object; `None` for anything else.
pub(crate) fn read<'de, T: Object<'de>>(json: &'de str, mut object: T) -> Option<T> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer
        .deserialize_map(ObjectVisitor(&mut object))
        .ok()?;
    deserializer.end().ok()?;
    Some(object)
}

/// Reads the value of the current member as an object.
pub(crate) fn nested<'de, A, T>(map: &mut A, object: &mut T) -> Result<(), A::Error>
where
    A: MapAccess<'de>,
    T: Object<'de>,
{
    map.next_value_seed(ObjectSeed(object))
}

/// Passes over the value of the current member, which still has to be strict JSON.
pub(crate) fn ignore<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    ignore_below(map, 0)
}

/// The same in an object that is itself some levels below the outermost one.
pub(crate) fn ignore_below<'de, A: MapAccess<'de>>(
    map: &mut A,
    levels: usize,
) -> Result<(), A::Error> {
    let levels = u8::try_from(levels).unwrap_or(MAX_DEPTH);
    map.next_value_seed(Checked {
        depth: (MAX_DEPTH - 1).saturating_sub(levels),
    })
}

/// Whether the value of the current member of the outermost object is null. Any other has to be strict JSON.
pub(crate) fn is_null<'de, A: MapAccess<'de>>(map: &mut A) -> Result<bool, A::Error> {
    struct Strict;

    impl<'de> Deserialize<'de> for Strict {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Checked::MEMBER.deserialize(deserializer).map(|()| Self)
        }
    }

    Ok(map.next_value::<Option<Strict>>()?.is_none())
}

struct ObjectSeed<'o, T>(&'o mut T);

impl<'de, T: Object<'de>> DeserializeSeed<'de> for ObjectSeed<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(ObjectVisitor(self.0))
    }
}

struct ObjectVisitor<'o, T>(&'o mut T);

impl<'de, T: Object<'de>> Visitor<'de> for ObjectVisitor<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = Names::new();
        while let Some(Text(name)) = map.next_key()? {
            self.0.member(&name, &mut map)?;
            names.push(name);
        }
        names.check()
    }
}

/// The names of one object, to find one that appears twice.
struct Names<'de>(Vec<Cow<'de, str>>);

impl<'de> Names<'de> {
    fn new() -> Self {
        // Few tokens have more claims: one allocation, where a list that grows takes three.
        Self(Vec::with_capacity(16))
    }

    fn push(&mut self, name: Cow<'de, str>) {
        self.0.push(name);
    }

    fn check<E: Error>(mut self) -> Result<(), E> {
        self.0.sort_unstable();
        let repeated = self
            .0
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a == b));
        if repeated {
            Err(E::custom("a member appears twice"))
        } else {
            Ok(())
        }
    }
}

/// The visitor methods for numbers and null.
macro_rules! numbers {
    ($value:expr) => {
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($value)
        }
    };
}

/// The visitor methods for everything that is neither text, list nor object.
macro_rules! scalars {
    ($value:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($value)
        }

        numbers!($value);
    };
}

/// Any value, read only to see that it is strict JSON.
struct Checked {
    depth: u8,
}

impl Checked {
    /// The value of a member of the outermost object.
    const MEMBER: Self = Self {
        depth: MAX_DEPTH - 1,
    };

    fn deeper<E: Error>(&self) -> Result<Self, E> {
        let depth = self
            .depth
            .checked_sub(1)
            .ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Checked {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    scalars!(());

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.deeper()?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = Names::new();
        while let Some(Text(name)) = map.next_key()? {
            map.next_value_seed(self.deeper()?)?;
            names.push(name);
        }
        names.check()
    }
}

/// A string and nothing else, borrowed where it has no escapes.
pub(crate) struct Text<'de>(pub(crate) Cow<'de, str>);

impl Text<'_> {
    pub(crate) fn into_boxed(self) -> Box<str> {
        self.0.into()
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// A string, a list of strings, or something else: for claims that servers spell in either way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Texts {
    One(Box<str>),
    Many(Box<[Box<str>]>),
    Other,
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;

        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            scalars!(Texts::Other);

            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts::One(text.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                let mut all = true;
                while let Some(element) = seq.next_element_seed(Element)? {
                    all &= element.is_some();
                    texts.extend(element);
                }
                Ok(if all {
                    Texts::Many(texts.into())
                } else {
                    Texts::Other
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Texts, A::Error> {
                Checked::MEMBER.visit_map(map).map(|()| Texts::Other)
            }
        }

        deserializer.deserialize_any(TextsVisitor)
    }
}

/// One element of a list: a string, or `None` for any other strict value.
struct Element;

impl<'de> DeserializeSeed<'de> for Element {
    type Value = Option<Box<str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element {
    type Value = Option<Box<str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    scalars!(None);

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Checked {
            depth: MAX_DEPTH - 2,
        }
        .visit_seq(seq)
        .map(|()| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Checked {
            depth: MAX_DEPTH - 2,
        }
        .visit_map(map)
        .map(|()| None)
    }
}

/// `true` or `false`, or `None` for any other strict value.
pub(crate) struct Flag(pub(crate) Option<bool>);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlagVisitor;

        impl<'de> Visitor<'de> for FlagVisitor {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            numbers!(Flag(None));

            fn visit_bool<E>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag(Some(flag)))
            }

            fn visit_str<E>(self, _: &str) -> Result<Flag, E> {
                Ok(Flag(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Flag, A::Error> {
                Checked::MEMBER.visit_seq(seq).map(|()| Flag(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Flag, A::Error> {
                Checked::MEMBER.visit_map(map).map(|()| Flag(None))
            }
        }

        deserializer.deserialize_any(FlagVisitor)
    }
}

/// A `NumericDate` (RFC 7519 §2): seconds, possibly with a fraction, kept to the millisecond and rounded down.
pub(crate) struct NumericDate(pub(crate) Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DateVisitor;

        impl Visitor<'_> for DateVisitor {
            type Value = NumericDate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date in seconds")
            }

            fn visit_i64<E: Error>(self, secs: i64) -> Result<NumericDate, E> {
                if !(-LAST_SECOND..=LAST_SECOND).contains(&secs) {
                    return Err(E::custom("beyond the year 9999"));
                }
                Ok(NumericDate(Timestamp::from_secs(secs)))
            }

            fn visit_u64<E: Error>(self, secs: u64) -> Result<NumericDate, E> {
                i64::try_from(secs)
                    .map_err(E::custom)
                    .and_then(|secs| self.visit_i64(secs))
            }

            fn visit_f64<E: Error>(self, secs: f64) -> Result<NumericDate, E> {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
                let limit = LAST_SECOND as f64;
                if !(-limit..=limit).contains(&secs) {
                    return Err(E::custom("beyond the year 9999"));
                }
                #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
                let millis = (secs * 1000.0).floor() as i64;
                Ok(NumericDate(Timestamp::from_millis(millis)))
            }
        }

        // The hint makes serde_json read a number as a number, whatever its features are.
        deserializer.deserialize_f64(DateVisitor)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[derive(Debug, Default)]
    struct Sample {
        date: Option<Timestamp>,
        texts: Option<Texts>,
    }

    impl<'de> Object<'de> for Sample {
        fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
            match name {
                "date" => self.date = Some(map.next_value::<NumericDate>()?.0),
                "texts" => self.texts = Some(map.next_value()?),
                _ => ignore(map)?,
            }
            Ok(())
        }
    }

    fn read_sample(json: impl AsRef<[u8]>) -> Option<Sample> {
        read(str::from_utf8(json.as_ref()).ok()?, Sample::default())
    }

    #[rstest]
    #[case(r#"{"a":1,"a":1}"#)]
    #[case(r#"{"date":1,"date":2}"#)]
    #[case(r#"{"a":1,"\u0061":1}"#)]
    #[case(r#"{"x":{"b":1,"c":{"d":1,"d":2}}}"#)]
    #[case(r#"{"texts":{"d":1,"d":2}}"#)]
    #[case(r#"{"texts":[{"d":1,"d":2}]}"#)]
    fn tb_17_tb_18_a_name_twice_is_refused_at_every_level(#[case] json: &str) {
        assert!(read_sample(json).is_none());
    }

    #[rstest]
    #[case("[]")]
    #[case("null")]
    #[case("1")]
    #[case("\"a\"")]
    #[case("")]
    #[case("{} ")]
    #[case("{}{}")]
    #[case("{\"a\":1,}")]
    #[case("\u{feff}{}")]
    #[case(r#"{"a":NaN}"#)]
    #[case(r#"{"a":1e400}"#)]
    #[case(r#"{"a":"\ud800"}"#)]
    fn tb_16_tb_21_tb_22_only_strict_objects_are_read(#[case] json: &str) {
        assert_eq!(read_sample(json).is_some(), json == "{} ");
    }

    #[test]
    fn tb_22_other_encodings_are_refused() {
        assert!(read_sample(b"{\"a\":\"\xff\"}").is_none());
        let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(read_sample(utf16).is_none());
    }

    #[rstest]
    #[case(15, true)]
    #[case(16, false)]
    #[case(100, false)]
    #[case(10_000, false)]
    fn tb_20_depth_is_bounded(#[case] arrays: usize, #[case] read: bool) {
        for member in ["a", "texts"] {
            let json = format!(
                "{{\"{member}\":{}{}}}",
                "[".repeat(arrays),
                "]".repeat(arrays)
            );
            assert_eq!(read_sample(json).is_some(), read, "{member}");
        }
    }

    #[rstest]
    #[case("1700000000", Some(1_700_000_000_000))]
    #[case("1.7e9", Some(1_700_000_000_000))]
    #[case("1700000000.5", Some(1_700_000_000_500))]
    #[case("0", Some(0))]
    #[case("-1", Some(-1_000))]
    #[case("-0.5", Some(-500))]
    #[case("253402300799", Some(253_402_300_799_000))]
    #[case("253402300800", None)]
    #[case("9007199254740993", None)]
    #[case("9223372036854775808", None)]
    #[case("-9223372036854775808", None)]
    #[case("1e308", None)]
    #[case("true", None)]
    #[case("null", None)]
    #[case("[]", None)]
    #[case("\"9999999999\"", None)]
    fn td_03_td_04_td_05_dates_are_numbers_in_range(
        #[case] literal: &str,
        #[case] millis: Option<i64>,
    ) {
        let date = read_sample(format!("{{\"date\":{literal}}}")).and_then(|sample| sample.date);
        assert_eq!(date.map(Timestamp::as_millis), millis);
    }

    #[rstest]
    #[case(r#""a b""#, Texts::One("a b".into()))]
    #[case(r#"["a","b"]"#, Texts::Many(["a".into(), "b".into()].into()))]
    #[case("[]", Texts::Many([].into()))]
    #[case(r#"["a",1]"#, Texts::Other)]
    #[case(r#"["a",["b"]]"#, Texts::Other)]
    #[case("null", Texts::Other)]
    #[case("{}", Texts::Other)]
    #[case("1.5", Texts::Other)]
    fn texts_keep_what_are_strings(#[case] json: &str, #[case] texts: Texts) {
        let sample = read_sample(format!("{{\"texts\":{json}}}")).unwrap();
        assert_eq!(sample.texts, Some(texts));
    }
}
