//! A logout token, read and held against what is asked of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gateless_core::{Revocation, Timestamp, TokenFault};
use serde::de::MapAccess;

use super::policy::LogoutPolicy;
use crate::claims;
use crate::json::{self, NumericDate, Object, Text};
use crate::jwk::KeySet;
use crate::jws::Jws;

/// The event that makes a JWT a logout token (§2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What an OpenID provider says when somebody has signed out (OpenID Connect Back-Channel Logout 1.0), verified.
///
/// ```
/// use gateless_core::{Revocation, Timestamp, TokenFault};
/// use gateless_jwt::{KeySet, LogoutPolicy, LogoutToken};
///
/// fn signed_out(
///     token: &str,
///     keys: &KeySet,
///     policy: &LogoutPolicy,
///     now: Timestamp,
/// ) -> Result<Vec<Revocation>, TokenFault> {
///     Ok(LogoutToken::verify(token, keys, policy, now)?.revocations())
/// }
///
/// let policy = LogoutPolicy::new("https://idp.example.com", "orders-web");
/// let refused = signed_out("not.a.token", &KeySet::new([]), &policy, Timestamp::EPOCH);
/// assert!(refused.is_err());
/// ```
///
/// With several issuers, [`Unverified::issuer`](crate::Unverified::issuer) tells whose policy to use.
///
/// # Replays
///
/// The same token does the same again: it names a session that has ended, or a point in time that does not move. Its id
/// has to be remembered only where it must not undo what was taken back since, and until
/// [`good_until`](LogoutToken::good_until) then.
#[derive(Clone)]
pub struct LogoutToken {
    issuer: Arc<str>,
    token_id: Box<str>,
    session_id: Option<Box<str>>,
    subject: Option<Box<str>>,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
    good_until: Timestamp,
}

impl LogoutToken {
    /// Checks a token as §2.6 asks for: its type, its signature with one of `keys`, and its claims at `now`.
    ///
    /// # Errors
    ///
    /// [`TokenFault::KeyUnknown`] when everything but the key is there, so that fetching newer keys can help; any
    /// other [`TokenFault`] when it cannot.
    pub fn verify(
        token: &str,
        keys: &KeySet,
        policy: &LogoutPolicy,
        now: Timestamp,
    ) -> Result<Self, TokenFault> {
        let (jws, payload) = Jws::parse(token)?;
        let json = String::from_utf8(payload).map_err(|_| TokenFault::ClaimsInvalid)?;
        let members = json::read(&json, Members::default()).ok_or(TokenFault::ClaimsInvalid)?;
        let issuer = members.issuer.as_deref().ok_or(TokenFault::ClaimMissing)?;
        if *issuer != *policy.terms.issuer {
            return Err(TokenFault::IssuerUnknown);
        }
        jws.verify_as("logout+jwt", policy.accepts_untyped, keys, &policy.terms)?;
        members.judge(policy, now)
    }

    /// The issuer. A session or a subject means something together with it only.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The id of the logout token itself (`jti`).
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// The session that has ended (`sid`). Without one, all sessions of the subject have.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// Who has signed out (`sub`).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// When the provider said so (`iat`).
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// Until when it may be believed (`exp`). `None` only under [`optional_expiry`](LogoutPolicy::optional_expiry).
    #[must_use]
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// From when on it is refused in any case: past its end, with the leeway, or too old. By then its id can be forgotten.
    #[must_use]
    pub const fn good_until(&self) -> Timestamp {
        self.good_until
    }

    /// What is to be refused from now on: the session; or, where none is named, what the subject was given until the
    /// provider said so. Whoever signs in again after that is not affected.
    #[must_use]
    pub fn revocations(&self) -> Vec<Revocation> {
        let session = self
            .session_id()
            .map(|id| Revocation::session(&self.issuer, id));
        let subject = || {
            let subject = Revocation::subject(&self.issuer, self.subject()?);
            Some(subject.issued_until(self.issued_at))
        };
        session.or_else(subject).into_iter().collect()
    }
}

impl fmt::Debug for LogoutToken {
    /// Who signed out is nobody else's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutToken")
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Members {
    issuer: Option<Box<str>>,
    audience: Option<Box<[Box<str>]>>,
    token_id: Option<Box<str>>,
    session_id: Option<Box<str>>,
    subject: Option<Box<str>>,
    issued_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
    events: Option<Events>,
    /// A claim that says outright that this is something else.
    says_other_use: bool,
}

impl Members {
    fn judge(self, policy: &LogoutPolicy, now: Timestamp) -> Result<LogoutToken, TokenFault> {
        let events = self.events.as_ref().ok_or(TokenFault::ClaimMissing)?;
        if self.says_other_use || !events.has_logout {
            return Err(TokenFault::UseNotAllowed);
        }
        let audience = self.audience.as_deref().ok_or(TokenFault::ClaimMissing)?;
        if audience.iter().all(|named| **named != *policy.client_id) {
            return Err(TokenFault::AudienceMismatch);
        }
        let issued_at = self.issued_at.ok_or(TokenFault::ClaimMissing)?;
        self.judge_time(issued_at, policy, now)?;
        if self.session_id.is_none() && self.subject.is_none() {
            return Err(TokenFault::ClaimMissing);
        }
        // One that is as old as it may be is still good.
        let too_old =
            issued_at.saturating_add(policy.max_age.saturating_add(Duration::from_secs(1)));
        let is_over = (self.expires_at).map(|end| end.saturating_add(policy.terms.leeway));
        Ok(LogoutToken {
            issuer: Arc::clone(&policy.terms.issuer),
            token_id: self.token_id.ok_or(TokenFault::ClaimMissing)?,
            session_id: self.session_id,
            subject: self.subject,
            issued_at,
            expires_at: self.expires_at,
            good_until: is_over.map_or(too_old, |end| end.min(too_old)),
        })
    }

    fn judge_time(
        &self,
        issued_at: Timestamp,
        policy: &LogoutPolicy,
        now: Timestamp,
    ) -> Result<(), TokenFault> {
        let leeway = policy.terms.leeway;
        if self.expires_at.is_none() && !policy.accepts_missing_expiry {
            return Err(TokenFault::ClaimMissing);
        }
        let is_over = |end: Timestamp| now >= end.saturating_add(leeway);
        if self.expires_at.is_some_and(is_over) || now.since(issued_at) > policy.max_age {
            return Err(TokenFault::Expired);
        }
        let is_ahead = |begin: Timestamp| begin > now.saturating_add(leeway);
        if self.not_before.is_some_and(is_ahead) {
            return Err(TokenFault::NotYetValid);
        }
        let is_before_issued = |end: Timestamp| issued_at > end;
        if issued_at.since(now) > policy.max_age || self.expires_at.is_some_and(is_before_issued) {
            return Err(TokenFault::IssuedInFuture);
        }
        Ok(())
    }
}

impl<'de> Object<'de> for Members {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "iss" => self.issuer = Some(map.next_value::<Text<'_>>()?.into_boxed()),
            "aud" => self.audience = Some(claims::audience(map)?),
            "jti" => self.token_id = Some(claims::identifier(map)?),
            "sid" => self.session_id = Some(claims::identifier(map)?),
            "sub" => self.subject = Some(claims::identifier(map)?),
            "iat" => self.issued_at = Some(map.next_value::<NumericDate>()?.0),
            "exp" => self.expires_at = Some(map.next_value::<NumericDate>()?.0),
            "nbf" => self.not_before = Some(map.next_value::<NumericDate>()?.0),
            "events" => {
                let mut events = Events::default();
                json::nested(map, &mut events)?;
                self.events = Some(events);
            }
            // It is forbidden, so that no ID token is taken for a logout token (§2.4).
            "nonce" => {
                self.says_other_use = true;
                json::ignore(map)?;
            }
            // As Keycloak says it.
            "typ" => self.says_other_use |= !claims::says(map, &["logout", "logout+jwt"])?,
            _ => json::ignore(map)?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct Events {
    has_logout: bool,
}

impl<'de> Object<'de> for Events {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        if name == EVENT {
            self.has_logout = true;
            json::nested(map, &mut Details)
        } else {
            json::ignore_below(map, 1)
        }
    }
}

/// What is said of the event: usually nothing, and nothing that is needed.
struct Details;

impl<'de> Object<'de> for Details {
    fn member<A: MapAccess<'de>>(&mut self, _: &str, map: &mut A) -> Result<(), A::Error> {
        json::ignore_below(map, 2)
    }
}
