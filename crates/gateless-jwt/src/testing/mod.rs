//! What the tests share: an issuer that signs, and the public test vectors.

mod signer;
mod vectors;

pub(crate) use signer::{Signer, encode, key_set, mac, signer};
pub(crate) use vectors::{Outcome, Vectors, hex};

use gateless_core::{Principal, Timestamp, TokenFault};
use serde_json::{Value, json};

use crate::{Algorithm, KeySet, TokenPolicy, Unverified};

pub(crate) const ISSUER: &str = "https://idp.example.com";
pub(crate) const AUDIENCE: &str = "https://api.example.com";

/// When the tests take place, in seconds: 2027-01-15.
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) fn policy() -> TokenPolicy {
    TokenPolicy::new(ISSUER, AUDIENCE).algorithms(Algorithm::ALL)
}

/// The claims of a token that RFC 9068 is content with, living from a minute ago until in nine.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "sub": "user-1",
        "client_id": "web",
        "aud": AUDIENCE,
        "iat": NOW - 60,
        "exp": NOW + 540,
        "jti": "token-1",
        "scope": "orders:read orders:write",
    })
}

/// The same with some claims set otherwise.
pub(crate) fn claims_with(changes: Value) -> Value {
    merged(claims(), changes)
}

/// The same without one claim.
pub(crate) fn claims_without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name).unwrap();
    claims
}

pub(crate) fn merged(mut object: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else {
        panic!("changes are an object");
    };
    object.as_object_mut().unwrap().extend(changes);
    object
}

/// The whole way of a token, at [`NOW`].
pub(crate) fn authenticate(
    token: &str,
    keys: &KeySet,
    policy: &TokenPolicy,
) -> Result<Principal, TokenFault> {
    Unverified::parse(token)?
        .verify(keys, policy)?
        .judge(keys, policy, Timestamp::from_secs(NOW))
}
