//! The decision: which of the fields claim an identity?

use std::future::Ready;

use super::StripIdentityHeaders;
use crate::gate::{Gate, Head, Pass, Step, Verdict};

pub(super) const EXACT: [&str; 8] = [
    "remote-user",
    "x-remote-user",
    "x-user",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
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
        self.exact
            .iter()
            .any(|exact| exact.len() == bytes.len() && starts_with(bytes, exact.as_bytes()))
            || PREFIXES
                .iter()
                .any(|prefix| starts_with(bytes, prefix.as_bytes()))
    }
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
