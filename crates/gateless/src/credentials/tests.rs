//! What counts as a bearer token, and where.

use gateless_core::PresentationFault;
use http::{Extensions, HeaderMap, HeaderValue, Method, Uri};
use rstest::rstest;

use super::Credentials;
use crate::gate::Head;

#[rstest]
#[case(None, Ok(None))]
#[case(Some(""), Ok(None))]
#[case(Some("Basic dXNlcg=="), Ok(None))]
#[case(Some("Bearer"), Err(PresentationFault::EmptyToken))]
#[case(Some("bearer  "), Err(PresentationFault::EmptyToken))]
#[case(Some("Bearer abc"), Ok(Some("abc")))]
#[case(Some("BEARER   abc.def=="), Ok(Some("abc.def==")))]
#[case(Some("Bearer abc def"), Err(PresentationFault::BadCharacters))]
#[case(Some("Bearer\tabc"), Err(PresentationFault::BadCharacters))]
#[case(Some("Bearer, abc"), Err(PresentationFault::BadCharacters))]
#[case(Some("Bearer a=b"), Err(PresentationFault::BadCharacters))]
#[case(Some("Bearer ="), Err(PresentationFault::BadCharacters))]
#[case(Some("Bearerabc def"), Ok(None))]
#[case(Some("Bearer 12345678"), Ok(Some("12345678")))]
#[case(Some("Bearer 123456789"), Err(PresentationFault::TooLong))]
#[case(Some("Bearer 1234567,9"), Err(PresentationFault::TooLong))]
fn credentials_are_found(
    #[case] authorization: Option<&str>,
    #[case] expected: Result<Option<&str>, PresentationFault>,
) {
    let length = authorization.map_or(0, |value| if value.contains("1234567") { 8 } else { 64 });
    let credentials = Credentials::new().max_token_len(length);
    let mut headers = HeaderMap::new();
    if let Some(value) = authorization {
        headers.insert("authorization", HeaderValue::from_str(value).unwrap());
    }
    let (uri, extensions) = (Uri::from_static("/?access_token=a"), Extensions::new());
    let head = Head {
        method: &Method::GET,
        uri: &uri,
        headers: &headers,
        extensions: &extensions,
    };
    let found = credentials.find(head);
    let token = found.and_then(|found| found.map(|found| found.token()).transpose());
    assert_eq!(token, expected);
}

#[rstest]
#[case::none(&[], &[], true)]
#[case::of_another_scheme(&["Basic dXNlcg=="], &[], true)]
#[case::the_same(&["Bearer abc"], &["Bearer abc"], true)]
#[case::wherever_it_stands(&["Bearer abc"], &["x-token:abc"], true)]
#[case::written_differently(&["Bearer abc"], &["bearer   abc"], true)]
#[case::another(&["Bearer abc"], &["Bearer abd"], false)]
#[case::broken_differently(&["Bearer a,b"], &["Bearer a,c"], false)]
#[case::too_long(&["Bearer 123456789"], &["Bearer 123456780"], false)]
#[case::repeated(&["Bearer a", "Bearer b"], &["Bearer a", "Bearer c"], false)]
#[case::repeated_or_not(&["Bearer a", "Bearer b"], &["Bearer a"], false)]
#[case::broken_elsewhere(&["x-token:123456789"], &["x-token:123456780"], true)]
#[case::there_or_not(&["Bearer abc"], &[], false)]
fn tk_16_credentials_are_told_apart(
    #[case] one: &[&str],
    #[case] other: &[&str],
    #[case] are_the_same: bool,
) {
    let credentials = Credentials::new()
        .max_token_len(8)
        .header(http::HeaderName::from_static("x-token"));
    let fingerprint = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            let (name, value) = match value.split_once(':') {
                Some((_, value)) => ("x-token", value),
                None => ("authorization", *value),
            };
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let (uri, extensions) = (Uri::from_static("/"), Extensions::new());
        credentials.fingerprint(Head {
            method: &Method::GET,
            uri: &uri,
            headers: &headers,
            extensions: &extensions,
        })
    };
    assert_eq!(fingerprint(one) == fingerprint(other), are_the_same);
}
