//! The parameters of a form (RFC 6749 appendix B), each of which may come once (RFC 6749 §3.2).

use std::borrow::Cow;

use url::form_urlencoded;

/// How many parameters are looked at: more than any request of these has.
const MAX_PARAMETERS: usize = 16;

/// The parameters that were sent with a value.
pub(super) struct Form<'b>(Vec<(Cow<'b, str>, Cow<'b, str>)>);

impl<'b> Form<'b> {
    /// `None` when a parameter is repeated, when there are too many of them, or when the bytes are not the encoding of a text.
    pub(super) fn parse(bytes: &'b [u8]) -> Option<Self> {
        if !is_well_encoded(bytes) {
            return None;
        }
        let mut parameters: Vec<(Cow<'b, str>, Cow<'b, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            let is_repeated = parameters.iter().any(|(seen, _)| *seen == name);
            if is_repeated || parameters.len() == MAX_PARAMETERS {
                return None;
            }
            parameters.push((name, value));
        }
        Some(Self(parameters))
    }

    /// A parameter. One without a value counts as not sent (RFC 6749 §3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut parameters = self.0.iter();
        let (_, value) = parameters.find(|(sent, _)| sent == name)?;
        Some(value.as_ref()).filter(|value| !value.is_empty())
    }
}

/// The parser of the form replaces what it cannot read, and something else would come out than was meant.
fn is_well_encoded(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut decoded = Vec::with_capacity(bytes.len());
    while let Some((first, behind)) = rest.split_first() {
        rest = match (first, behind) {
            (b'%', [high, low, behind @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
                    return false;
                };
                decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
                behind
            }
            (b'%', _) => return false,
            (byte, behind) => {
                decoded.push(*byte);
                behind
            }
        };
    }
    std::str::from_utf8(&decoded).is_ok()
}

/// One value of a form, decoded: as client ids and secrets are put into Basic credentials (RFC 6749 §2.3.1).
pub(super) fn decode(value: &str) -> Option<String> {
    if !is_well_encoded(value.as_bytes()) || value.contains(['&', '=']) {
        return None;
    }
    let (name, _) = form_urlencoded::parse(value.as_bytes()).next()?;
    Some(name.into_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("token=a&hint=b", Some("a"))]
    #[case("token=a%20b+c%2B", Some("a b c+"))]
    #[case("token=", None)]
    #[case("hint=b", None)]
    fn a_parameter_is_found(#[case] form: &str, #[case] token: Option<&str>) {
        let form = Form::parse(form.as_bytes()).unwrap();
        assert_eq!(form.get("token"), token);
    }

    #[rstest]
    #[case::repeated(b"token=a&token=b")]
    #[case::repeated_in_another_spelling(b"token=a&%74oken=b")]
    #[case::too_many(b"a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q")]
    #[case::broken_escape(b"token=%4")]
    #[case::no_escape(b"token=%zz")]
    #[case::no_text(b"token=%ff")]
    #[case::no_text_as_it_is(b"token=\xff")]
    fn a_form_that_can_be_read_in_two_ways_is_none(#[case] form: &[u8]) {
        assert!(Form::parse(form).is_none());
    }

    #[rstest]
    #[case("web", Some("web"))]
    #[case("a+b%3Ac", Some("a b:c"))]
    #[case("a=b", None)]
    #[case("a&b", None)]
    #[case("%", None)]
    fn a_value_is_decoded(#[case] value: &str, #[case] decoded: Option<&str>) {
        assert_eq!(decode(value).as_deref(), decoded);
    }
}
