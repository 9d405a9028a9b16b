//! The body of a request: a form, of limited length, with each parameter once.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use url::form_urlencoded;

use super::refusal::Refusal;

/// Far more than a token, and an assertion, of any server.
const LIMIT: usize = 64 * 1024;

/// The parameters of a request.
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    pub(super) async fn read<B>(headers: &HeaderMap, body: B) -> Result<Self, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if !is_form(headers) {
            let expected = "the body has to be application/x-www-form-urlencoded";
            return Err(Refusal::invalid_request(expected));
        }
        let body = match Limited::new(body, LIMIT).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Err(Refusal::invalid_request("the body is too long").with_status(status));
            }
            Err(_) => return Err(Refusal::invalid_request("the body breaks off")),
        };
        Self::parse(&body)
    }

    /// No parameter may be there twice (RFC 6749 §3.2).
    fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            if parameters.insert(name.into(), value.into()).is_some() {
                return Err(Refusal::invalid_request("a parameter is there twice"));
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter; one without a value is treated as omitted (RFC 6749 §3.2).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let essence = content_type.and_then(|it| it.split(';').next());
    essence.is_some_and(|it| {
        it.trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}
