//! The JWT around a signed answer (RFC 9701 §5). Nothing in it says which token was asked about.

use std::time::Duration;

use gateless_core::Timestamp;
use serde::de::{Error, MapAccess};

use super::answer::AnswerFault;
use super::cut;
use crate::claims;
use crate::json::{self, NumericDate, Object, Text};
use crate::jwk::KeySet;
use crate::jws::Jws;
use crate::terms::Terms;

/// How much older than the question an answer may seem to be, whatever the leeway: beyond what clocks need, that would
/// only let in answers from before a token was revoked.
const MAX_AGE: Duration = Duration::from_secs(30);

/// The claims of a JWT whose signature verified as that of an answer.
pub(super) struct Envelope {
    json: String,
    members: Members,
}

#[derive(Default)]
struct Members {
    issuer: Option<Box<str>>,
    audience: Option<Box<[Box<str>]>>,
    issued_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
}

pub(super) fn verify(jwt: &str, keys: &KeySet, terms: &Terms) -> Result<Envelope, AnswerFault> {
    if jwt.trim_start().starts_with('{') {
        return Err(AnswerFault::NotSigned);
    }
    let (jws, payload) = Jws::parse(jwt).map_err(AnswerFault::SignatureInvalid)?;
    jws.verify_as("token-introspection+jwt", false, keys, terms)
        .map_err(AnswerFault::SignatureInvalid)?;
    let json = String::from_utf8(payload).map_err(|_| AnswerFault::Unreadable)?;
    let members = json::read(&json, Members::default()).ok_or(AnswerFault::Unreadable)?;
    Ok(Envelope { json, members })
}

impl Envelope {
    /// The answer in it, if it is the one to what `recipient` asked at `asked_at`.
    pub(super) fn answer(
        &self,
        terms: &Terms,
        recipient: &str,
        asked_at: Timestamp,
        now: Timestamp,
    ) -> Result<&str, AnswerFault> {
        let members = &self.members;
        if members.issuer.as_deref() != Some(&*terms.issuer) {
            return Err(AnswerFault::Issuer);
        }
        let audience = members.audience.as_deref().unwrap_or_default();
        if audience.iter().all(|named| **named != *recipient) {
            return Err(AnswerFault::Recipient);
        }
        if !members.is_fresh(terms, asked_at, now) {
            return Err(AnswerFault::Replayed);
        }
        cut::member(&self.json, "token_introspection").ok_or(AnswerFault::Unreadable)
    }
}

impl Members {
    fn is_fresh(&self, terms: &Terms, asked_at: Timestamp, now: Timestamp) -> bool {
        // Servers write whole seconds: an answer may seem to be older than the question by less than one.
        let earliest =
            Timestamp::from_secs(asked_at.as_secs()).saturating_sub(terms.leeway.min(MAX_AGE));
        let latest = now.saturating_add(terms.leeway);
        self.issued_at
            .is_some_and(|issued_at| earliest <= issued_at && issued_at <= latest)
            && self
                .expires_at
                .is_none_or(|expires_at| now < expires_at.saturating_add(terms.leeway))
            && self
                .not_before
                .is_none_or(|not_before| not_before <= latest)
    }
}

impl<'de> Object<'de> for Members {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "iss" => self.issuer = Some(map.next_value::<Text<'_>>()?.into_boxed()),
            "aud" => {
                let audience = claims::audience_of(map.next_value()?);
                self.audience = Some(audience.ok_or_else(|| A::Error::custom("aud is not text"))?);
            }
            "iat" => self.issued_at = Some(map.next_value::<NumericDate>()?.0),
            "exp" => self.expires_at = Some(map.next_value::<NumericDate>()?.0),
            "nbf" => self.not_before = Some(map.next_value::<NumericDate>()?.0),
            _ => json::ignore(map)?,
        }
        Ok(())
    }
}
