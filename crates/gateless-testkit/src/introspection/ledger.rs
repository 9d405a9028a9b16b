//! What an issuer knows of the tokens that say nothing themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

/// The opaque tokens of an issuer, and what was revoked.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    opaque: BTreeMap<String, Entry>,
    revoked: BTreeSet<String>,
}

/// What is answered for one token.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) answer: Value,
    /// Whether `exp` is looked at.
    pub(super) expires: bool,
}

impl Ledger {
    pub(super) fn add(&self, token: String, entry: Entry) {
        let mut entries = self.entries();
        entries.revoked.remove(&token);
        entries.opaque.insert(token, entry);
    }

    pub(super) fn knows(&self, token: &str) -> bool {
        self.entries().opaque.contains_key(token)
    }

    pub(super) fn revoke(&self, token: &str) {
        self.entries().revoked.insert(token.to_owned());
    }

    pub(super) fn is_revoked(&self, token: &str) -> bool {
        self.entries().revoked.contains(token)
    }

    /// Nothing about a token that is not known.
    pub(super) fn answer(&self, token: &str, now: i64) -> Option<Value> {
        let entries = self.entries();
        let entry = entries.opaque.get(token)?;
        let ended = entry.expires && has_expired(entry.answer.get("exp"), now);
        if ended || entries.revoked.contains(token) {
            return Some(inactive());
        }
        Some(entry.answer.clone())
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that is to be said of a token that is not active, whatever the reason (RFC 7662 §2.2).
pub(super) fn inactive() -> Value {
    json!({ "active": false })
}

/// What is said of a JWT with these claims.
pub(super) fn of_claims(mut claims: Map<String, Value>, now: i64) -> Value {
    if has_expired(claims.get("exp"), now) {
        return inactive();
    }
    claims.insert("active".into(), true.into());
    let token_type = claims.entry("token_type");
    token_type.or_insert_with(|| "Bearer".into());
    Value::Object(claims)
}

/// An `exp` that is no whole number never comes.
fn has_expired(exp: Option<&Value>, now: i64) -> bool {
    let exp = exp.and_then(Value::as_i64);
    exp.is_some_and(|exp| exp <= now)
}
