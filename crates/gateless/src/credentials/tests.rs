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
