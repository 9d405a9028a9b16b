//! Which protocol a request speaks, so that a refusal is one that its client understands.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// The wire format of a request, told by its `content-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wire {
    /// Anything that is not gRPC; refusals are problem details (RFC 9457).
    Http,
    /// `application/grpc`: refusals are headers-only responses with a `grpc-status`.
    Grpc,
    /// `application/grpc-web`: refusals are a trailer frame in the body.
    GrpcWeb,
    /// `application/grpc-web-text`: the same, base64 encoded.
    GrpcWebText,
}

impl Wire {
    /// Reads the `content-type`. Media types are case-insensitive (RFC 9110 §8.3.1).
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Self::Http;
        };
        let value = value.as_bytes();
        let is = |media_type: &str| {
            value
                .split_at_checked(media_type.len())
                .is_some_and(|(head, tail)| {
                    head.eq_ignore_ascii_case(media_type.as_bytes())
                        && matches!(tail.first(), None | Some(b'+' | b';' | b' '))
                })
        };
        if is("application/grpc") {
            Self::Grpc
        } else if is("application/grpc-web") {
            Self::GrpcWeb
        } else if is("application/grpc-web-text") {
            Self::GrpcWebText
        } else {
            Self::Http
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("application/grpc", Wire::Grpc)]
    #[case("application/grpc+proto", Wire::Grpc)]
    #[case("Application/gRPC;x=y", Wire::Grpc)]
    #[case("application/grpc-web", Wire::GrpcWeb)]
    #[case("application/grpc-web+proto", Wire::GrpcWeb)]
    #[case("application/grpc-web-text", Wire::GrpcWebText)]
    #[case("application/grpc-web-text+proto", Wire::GrpcWebText)]
    #[case("application/grpcx", Wire::Http)]
    #[case("application/json", Wire::Http)]
    #[case("", Wire::Http)]
    fn tm_02_the_content_type_tells(#[case] content_type: &'static str, #[case] wire: Wire) {
        let mut headers = HeaderMap::new();
        assert_eq!(Wire::of(&headers), Wire::Http);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        assert_eq!(Wire::of(&headers), wire);
    }
}
