//! Whether a request came over TLS. A token that did not has been seen by whoever listened.

use http::HeaderMap;

use crate::gate::Head;

/// Mark a request with this, in its extensions, when the connection it came over is TLS.
///
/// The code that accepts connections knows; a layer does not. For [`TlsEvidence::Connection`].
#[derive(Clone, Copy, Debug)]
pub struct SecureTransport;

/// What proves that a request came over TLS (RFC 6750 §5.3, RFC 9700 §2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsEvidence {
    /// The acceptor put a [`SecureTransport`] into the request's extensions.
    Connection,
    /// A proxy that terminates TLS says so in `X-Forwarded-Proto`. Its entry is this many from the right: 1 for the
    /// proxy right in front. Entries further left come from the client and are not looked at.
    ForwardedProto {
        /// How many proxies are trusted.
        trusted_hops: usize,
    },
}

impl TlsEvidence {
    pub(super) fn is_secure(self, head: Head<'_>) -> bool {
        match self {
            Self::Connection => head.extensions.get::<SecureTransport>().is_some(),
            Self::ForwardedProto { trusted_hops } => forwarded_proto(head.headers, trusted_hops)
                .is_some_and(|proto| proto.eq_ignore_ascii_case(b"https")),
        }
    }
}

/// The entry that the outermost trusted proxy wrote.
fn forwarded_proto(headers: &HeaderMap, trusted_hops: usize) -> Option<&[u8]> {
    let entries: Vec<_> = headers
        .get_all("x-forwarded-proto")
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    entries
        .len()
        .checked_sub(trusted_hops)
        .and_then(|index| entries.get(index))
        .copied()
}
