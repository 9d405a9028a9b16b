//! The document over HTTP.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CACHE_CONTROL, CONTENT_LENGTH,
    CONTENT_TYPE, ORIGIN,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower_service::Service;

/// Answers `GET` and `HEAD` with the document, and any other method with `405`.
///
/// It reads nothing but the method: neither path nor `Host` change the answer. Browser-based clients of any origin may
/// read it, as it holds nothing that is not for everybody, and caches may keep it for five minutes.
#[derive(Clone, Debug)]
pub struct MetadataService {
    document: Bytes,
}

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD");

impl MetadataService {
    pub(super) const fn new(document: Bytes) -> Self {
        Self { document }
    }

    fn answer(&self, method: &Method, headers: &HeaderMap) -> Response<Full<Bytes>> {
        match *method {
            Method::GET => self.found(self.document.clone()),
            Method::HEAD => self.found(Bytes::new()),
            Method::OPTIONS if is_preflight(headers) => empty(
                StatusCode::NO_CONTENT,
                [
                    (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
                    // Not `Authorization`, which the wildcard leaves out. MCP clients name their protocol version.
                    (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*")),
                    (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("300")),
                ],
            ),
            _ => empty(StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, METHODS)]),
        }
    }

    fn found(&self, body: Bytes) -> Response<Full<Bytes>> {
        let mut response = empty(
            StatusCode::OK,
            [
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (CONTENT_LENGTH, self.document.len().into()),
                (
                    CACHE_CONTROL,
                    HeaderValue::from_static("public, max-age=300"),
                ),
            ],
        );
        *response.body_mut() = Full::new(body);
        response
    }
}

/// What a browser asks before it lets a script of another origin send the request (Fetch §4.8).
fn is_preflight(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn empty<const N: usize>(
    status: StatusCode,
    headers: [(HeaderName, HeaderValue); N],
) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    response
        .headers_mut()
        .insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

impl<B> Service<Request<B>> for MetadataService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method(), request.headers())))
    }
}
