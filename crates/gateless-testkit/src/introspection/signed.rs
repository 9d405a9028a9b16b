//! Answers that are JWTs (RFC 9701).

use http::HeaderMap;
use http::header::ACCEPT;
use serde_json::{Value, json};

use crate::algorithm::SigningAlgorithm;
use crate::keyring::KeyRing;
use crate::token;

/// The type of such an answer: `typ` of the header, and the content type behind `application/`.
pub(super) const TYPE: &str = "token-introspection+jwt";

pub(super) const CONTENT_TYPE: &str = "application/token-introspection+jwt";

/// The claims around an answer (RFC 9701 §5). No `sub` and no `exp`, so that it never passes for an access token.
pub(super) fn claims(issuer: &str, audience: &Value, now: i64, answer: &Value) -> Value {
    json!({ "iss": issuer, "aud": audience, "iat": now, "token_introspection": answer })
}

/// Whom an answer is for: the client that asked. A bearer token names none; its answer is for whom the token that it
/// asks about is for, and where that is not told either, for the issuer.
pub(super) fn audience(client_id: Option<&str>, answer: &Value, issuer: &str) -> Value {
    match (client_id, answer.get("aud")) {
        (Some(client_id), _) => client_id.into(),
        (None, Some(audience)) => audience.clone(),
        (None, None) => issuer.into(),
    }
}

pub(super) fn sign(keys: &KeyRing, algorithm: SigningAlgorithm, claims: &Value) -> String {
    let key = keys.signer(algorithm, None);
    let header = json!({ "alg": algorithm.name(), "typ": TYPE, "kid": key.id() });
    token::sign(
        &key,
        header.to_string().as_bytes(),
        claims.to_string().as_bytes(),
    )
}

/// Whether a request lists the type among those that it accepts. Not with a wildcard: that is no consent to a JWT.
pub(super) fn is_accepted(request: &HeaderMap) -> bool {
    let mut fields = request.get_all(ACCEPT).iter();
    fields.any(|field| {
        let mut types = field.to_str().unwrap_or_default().split(',');
        types.any(|it| {
            let essence = it.split(';').next().unwrap_or_default();
            essence.trim().eq_ignore_ascii_case(CONTENT_TYPE)
        })
    })
}
