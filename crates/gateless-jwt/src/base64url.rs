//! Base64url as RFC 7515 §2 wants it: no padding, no other alphabet, no loose trailing bits.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeSliceError, Engine as _};

/// Decodes `text`, or `None` when it has any other spelling than the one that the encoder makes.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    // Exactly the decoded length, so that the buffer can be kept without a second allocation.
    let mut out = vec![0; text.len() / 4 * 3 + [0, 0, 1, 2].get(text.len() % 4)?];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut out) {
        Ok(length) => {
            out.truncate(length);
            Some(out)
        }
        Err(DecodeSliceError::DecodeError(_) | DecodeSliceError::OutputSliceTooSmall) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("YQ", Some(&b"a"[..]))]
    #[case("", Some(&b""[..]))]
    #[case("-_", None)]
    #[case("-_8", Some(&b"\xfb\xff"[..]))]
    #[case("YQ==", None)]
    #[case("YR", None)]
    #[case("Y", None)]
    #[case("+/8", None)]
    #[case("Y Q", None)]
    #[case("YQ\n", None)]
    fn tb_13_tb_14_tb_15_one_spelling_only(#[case] text: &str, #[case] decoded: Option<&[u8]>) {
        assert_eq!(decode(text.as_bytes()).as_deref(), decoded);
    }

    proptest! {
        #[test]
        fn what_decodes_is_what_was_encoded(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let text = URL_SAFE_NO_PAD.encode(&bytes);
            prop_assert_eq!(decode(text.as_bytes()), Some(bytes));
        }

        #[test]
        fn no_two_texts_decode_to_the_same_bytes(text in "[A-Za-z0-9_=+/-]{0,12}") {
            if let Some(bytes) = decode(text.as_bytes()) {
                prop_assert_eq!(URL_SAFE_NO_PAD.encode(bytes), text);
            }
        }
    }
}
