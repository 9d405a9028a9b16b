//! The decision: which of the fields claim an identity?

use std::collections::BTreeSet;
use std::future::Ready;
use std::sync::Arc;

use super::StripIdentityHeaders;
use crate::gate::{Gate, Head, Pass, Step, Verdict};

pub(super) const EXACT: [&str; 11] = [
    "remote-user",
    "x-remote-user",
    "x-user",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    // What a proxy that ends TLS says of the certificate of its client: RFC 9440, and Envoy.
    "client-cert",
    "client-cert-chain",
    "x-forwarded-client-cert",
];

const PREFIXES: [&str; 3] = ["x-user-", "x-auth-", "x-authenticated-"];

impl Gate for StripIdentityHeaders {
    const NAME: &'static str = "strip";
    type Wait = Ready<Verdict>;

    fn decide(&self, head: Head<'_>) -> Step<Self::Wait> {
        let claimed = head
            .headers
            .keys()
            .filter(|name| self.claims_identity(name.as_str()));
        Step::Now(Ok(
            claimed.fold(Pass::new(), |pass, name| pass.strip_header(name.clone()))
        ))
    }
}

impl StripIdentityHeaders {
    fn claims_identity(&self, name: &str) -> bool {
        let bytes = name.as_bytes();
        // Most fields are out at once. Few names begin with the same letter as one of these.
        let first = bytes
            .first()
            .map(|first| if *first == b'_' { b'-' } else { *first });
        if first.is_none_or(|first| !self.firsts.contains(&first)) {
            return false;
        }
        self.exact
            .iter()
            .any(|exact| exact.len() == bytes.len() && starts_with(bytes, exact.as_bytes()))
            || PREFIXES
                .iter()
                .any(|prefix| starts_with(bytes, prefix.as_bytes()))
    }
}

/// What the names that are looked for begin with.
pub(super) fn firsts(exact: &[Box<str>]) -> Arc<[u8]> {
    let names = exact.iter().map(|name| &**name).chain(PREFIXES);
    let firsts: BTreeSet<u8> = names.filter_map(|name| name.bytes().next()).collect();
    firsts.into_iter().collect()
}

/// `http` keeps names in lower case already; what is left is `_` for `-`.
fn starts_with(name: &[u8], canonical: &[u8]) -> bool {
    name.len() >= canonical.len()
        && name
            .iter()
            .zip(canonical)
            .all(|(byte, expected)| byte == expected || (*byte == b'_' && *expected == b'-'))
}

pub(super) fn canonical(name: &[u8]) -> Box<str> {
    name.iter()
        .map(|byte| {
            if *byte == b'_' {
                '-'
            } else {
                char::from(byte.to_ascii_lowercase())
            }
        })
        .collect::<String>()
        .into()
}
