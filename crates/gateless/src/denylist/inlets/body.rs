//! A request body, read within bounds.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use tokio::time::timeout;

/// The longest body that is read: names and one token.
const MAX_LEN: usize = 32 * 1024;
/// How long a client may take to send it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a body is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unread(pub(super) StatusCode, pub(super) &'static str);

/// Reads a body of that media type.
pub(super) async fn read<B>(headers: &HeaderMap, body: B, media_type: &str) -> Result<Bytes, Unread>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    // Another reader of the same bytes might see something else in them.
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let is_expected = match (types.next(), types.next()) {
        (Some(value), None) => is_media_type(value.as_bytes(), media_type.as_bytes()),
        _ => false,
    };
    if !is_expected || headers.contains_key(CONTENT_ENCODING) {
        return Err(Unread(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the content type is not the one that is asked for",
        ));
    }
    let whole = timeout(TIMEOUT, Limited::new(body, MAX_LEN).collect()).await;
    match whole {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Unread(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too long",
        )),
        Ok(Err(_)) => Err(Unread(StatusCode::BAD_REQUEST, "the body cannot be read")),
        Err(_) => Err(Unread(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come in time",
        )),
    }
}

/// Without its parameters: there is one charset that it can have.
fn is_media_type(value: &[u8], expected: &[u8]) -> bool {
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(expected)
}
