//! Who may ask the introspection endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use super::credentials::Credentials;
use super::refusal::Refusal;
use crate::issuer::TestIssuer;
use crate::jws::Jws;

/// The clients of an issuer, and what they prove themselves with.
pub(crate) struct Clients(Mutex<Registry>);

struct Registry {
    /// Of [`TestIssuer::CLIENT_ID`].
    secret: String,
    /// Public keys by client.
    keys: BTreeMap<String, Vec<Value>>,
    bearers: BTreeSet<String>,
    /// Client and `jti` of each assertion that was taken.
    assertions: BTreeSet<(String, String)>,
}

/// What an assertion has to be about.
pub(super) struct Expected<'a> {
    pub(super) audiences: [&'a str; 2],
    pub(super) now: i64,
}

impl Clients {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Registry {
            secret: TestIssuer::CLIENT_SECRET.to_owned(),
            keys: BTreeMap::new(),
            bearers: BTreeSet::new(),
            assertions: BTreeSet::new(),
        }))
    }

    pub(super) fn set_secret(&self, secret: String) {
        self.registry().secret = secret;
    }

    pub(super) fn add_key(&self, client_id: String, jwk: Value) {
        self.registry().keys.entry(client_id).or_default().push(jwk);
    }

    pub(super) fn add_bearer(&self, token: String) {
        self.registry().bearers.insert(token);
    }

    pub(super) fn authenticate(
        &self,
        credentials: &Credentials,
        expected: &Expected<'_>,
    ) -> Result<(), Refusal> {
        let mut registry = self.registry();
        let good = match credentials {
            Credentials::Basic { client_id, secret } | Credentials::Post { client_id, secret } => {
                client_id == TestIssuer::CLIENT_ID && *secret == registry.secret
            }
            Credentials::Bearer(token) => registry.bearers.contains(token),
            Credentials::Assertion {
                client_id,
                assertion,
            } => registry.takes(client_id, assertion, expected),
        };
        let wrong = Refusal::invalid_client("client authentication failed");
        good.then_some(()).ok_or(wrong)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Whether an assertion is one of the client's own (RFC 7523 §3), and a new one.
    fn takes(&mut self, client_id: &str, assertion: &str, expected: &Expected<'_>) -> bool {
        let keys = self.keys.get(client_id).map_or(&[][..], Vec::as_slice);
        let claims = Jws::parse(assertion).and_then(|jws| jws.verify(keys));
        let Some(claims) = claims.filter(|it| expected.is_met(it, client_id)) else {
            return false;
        };
        let id = claims.get("jti").and_then(Value::as_str);
        id.is_some_and(|id| {
            self.assertions
                .insert((client_id.to_owned(), id.to_owned()))
        })
    }
}

impl Expected<'_> {
    fn is_met(&self, claims: &Map<String, Value>, client_id: &str) -> bool {
        let is_client = |name| claims.get(name).is_some_and(|value| value == client_id);
        let time = |name| claims.get(name).map(Value::as_i64);
        let is_for_us = |audience: &Value| self.audiences.iter().any(|it| audience == *it);
        let audience = claims.get("aud").is_some_and(|audience| match audience {
            Value::Array(several) => several.iter().any(is_for_us),
            one => is_for_us(one),
        });
        let has_begun = time("nbf").is_none_or(|nbf| nbf.is_some_and(|nbf| nbf <= self.now));
        let goes_on = time("exp").flatten().is_some_and(|exp| exp > self.now);
        is_client("iss") && is_client("sub") && audience && has_begun && goes_on
    }
}
