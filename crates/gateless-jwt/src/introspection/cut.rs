//! A part of a JSON document as it was written.

use crate::json::Text;

/// The text of one member's value in an object that was read strictly before: nothing is checked a second time here.
///
/// It is cut out and not written anew, so that every number in it keeps all of its digits.
pub(super) fn member<'j>(object: &'j str, name: &str) -> Option<&'j str> {
    let mut depth = 0_usize;
    let mut text_from = None;
    let mut is_escaped = false;
    let mut last_text = "";
    let mut value_from = None;
    for (at, byte) in object.bytes().enumerate() {
        if let Some(from) = text_from {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => {
                    text_from = None;
                    last_text = object.get(from..=at)?;
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => text_from = Some(at),
            b':' if depth == 1 => {
                let Text(member) = serde_json::from_str(last_text).ok()?;
                value_from = (member == name).then_some(at + 1);
            }
            b',' | b'}' if depth == 1 && value_from.is_some() => {
                return object.get(value_from?..at).map(str::trim);
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case(r#"{"a":1}"#, Some("1"))]
    #[case(r#"{ "a" : 1 }"#, Some("1"))]
    #[case(r#"{"b":2,"a":{"c":[1,{"a":3}]},"d":4}"#, Some(r#"{"c":[1,{"a":3}]}"#))]
    #[case(r#"{"\u0061":1}"#, Some("1"))]
    #[case(r#"{"b":"\"a\":1,","a":"}\\"}"#, Some(r#""}\\""#))]
    #[case(
        r#"{"a":18446744073709551617.000000000000000000001}"#,
        Some("18446744073709551617.000000000000000000001")
    )]
    #[case(r#"{"b":{"a":1},"c":["a",{"a":1}],"d":"a"}"#, None)]
    #[case("{}", None)]
    #[case("[]", None)]
    #[case(r#"{"a":"#, None)]
    #[case("}", None)]
    fn a_value_is_cut_out_as_it_stands(#[case] object: &str, #[case] value: Option<&str>) {
        assert_eq!(member(object, "a"), value);
    }

    proptest! {
        #[test]
        fn any_value_is_found_among_any_others(
            before in crate::jwk::tests::any_json(),
            value in crate::jwk::tests::any_json(),
            name in any::<String>(),
        ) {
            let object = json!({ "0": before, name.as_str(): value, "~~": "\"}" });
            // Compared as texts are read: not every float comes back as it was written.
            let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let compact = object[name.as_str()].to_string();
            let text = object.to_string();
            prop_assert_eq!(member(&text, &name), Some(&*compact));
            let pretty = serde_json::to_string_pretty(&object).unwrap();
            prop_assert_eq!(read(member(&pretty, &name).unwrap()), read(&compact));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = member(&text, "a");
        }
    }
}
