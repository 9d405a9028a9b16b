//! What a caller is told that gets no answer.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

/// An error of OAuth (RFC 6749 §5.2).
pub(super) struct Refusal {
    status: StatusCode,
    error: &'static str,
    description: &'static str,
}

impl Refusal {
    pub(super) const fn invalid_request(description: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: "invalid_request",
            description,
        }
    }

    pub(super) const fn invalid_client(description: &'static str) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_client",
            description,
        }
    }

    /// The answer of servers that leave a JWT to those who can read it.
    pub(super) const fn unsupported_token_type() -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: "unsupported_token_type",
            description: "a JWT is not introspected here",
        }
    }

    pub(super) const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) fn response(&self) -> Response<Bytes> {
        let body = json!({ "error": self.error, "error_description": self.description });
        let mut response = Response::new(body.to_string().into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static(r#"Basic realm="introspection""#);
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
