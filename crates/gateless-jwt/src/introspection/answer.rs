//! An answer, read strictly.

use std::fmt;

use gateless_core::{Timestamp, TokenFault};
use serde::de::MapAccess;

use super::facts::IntrospectedFacts;
use super::members::Members;
use super::policy::IntrospectionPolicy;
use super::signed;
use crate::json::{self, Flag, Object, Texts};
use crate::jwk::KeySet;
use crate::shape::TokenShape;
use crate::statement::{Settled, Statement};

/// What the authorization server says about a token (RFC 7662 §2.2).
///
/// ```
/// use gateless_core::{Principal, Timestamp, TokenFault};
/// use gateless_jwt::{Answer, IntrospectionPolicy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let policy = IntrospectionPolicy::new("https://idp.example.com", "https://api.example.com");
/// let asked_at = Timestamp::from_secs(1_800_000_000);
/// let body = br#"{
///     "active": true,
///     "sub": "user-1",
///     "client_id": "web",
///     "aud": "https://api.example.com",
///     "exp": 1800000540,
///     "scope": "orders:read"
/// }"#;
///
/// let Answer::Active(active) = Answer::read(body)? else {
///     return Err(TokenFault::Inactive.into());
/// };
/// // The facts may be kept; whether they are good enough is asked for every request.
/// let facts = active.into_facts("2YotnFZFEjr1zCsicMWpAA", &policy, asked_at)?;
/// let principal = facts.clone().judge(&policy, asked_at)?;
/// assert_eq!(principal.subject(), Some("user-1"));
///
/// let later = Timestamp::from_secs(1_800_000_600);
/// assert_eq!(facts.judge(&policy, later).unwrap_err(), TokenFault::Expired);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum Answer {
    /// The server knows the token and calls it good. Not yet that it is good here.
    Active(ActiveToken),
    /// The token is not, or no longer, good anywhere, or the server will not say more to this service.
    Inactive,
}

/// Why an answer cannot be believed. Says something about the authorization server, and nothing about the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerFault {
    /// Not one strict JSON object: a name appears twice, it is nested too deep, or it is not UTF-8. Of a signed answer
    /// also: the claims around `token_introspection` have the wrong type, or there is none.
    #[error("the answer is not one strict JSON object")]
    Unreadable,
    /// `active` is missing or not a boolean (RFC 7662 §2.2). A text `"true"` says nothing.
    #[error("active is missing or not a boolean")]
    ActiveInvalid,
    /// The token is called active, and one of its claims has the wrong type.
    #[error("a claim has the wrong type")]
    ClaimsInvalid,
    /// Plain JSON where a signed answer is expected (RFC 9701).
    #[error("the answer is not signed")]
    NotSigned,
    /// The header, the algorithm, the key or the signature of a signed answer. With [`TokenFault::KeyUnknown`] newer
    /// keys can help.
    #[error("the signature of the answer is not accepted")]
    SignatureInvalid(#[source] TokenFault),
    /// The `iss` of a signed answer is missing or not the issuer (RFC 9701 §5).
    #[error("the answer is from another issuer")]
    Issuer,
    /// The `aud` of a signed answer is missing or does not name this service (RFC 9701 §5).
    #[error("the answer is for somebody else")]
    Recipient,
    /// The `iat` of a signed answer is missing, before the question or in the future: it may be an old answer, given
    /// when the token was still good. Also when the answer has an `exp` that has passed, or an `nbf` that has not.
    #[error("the answer was not made for this question")]
    Replayed,
}

impl AnswerFault {
    /// The stable code: public API, safe as a metric label.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::ActiveInvalid => "active_invalid",
            Self::ClaimsInvalid => "claims_invalid",
            Self::NotSigned => "not_signed",
            Self::SignatureInvalid(_) => "signature_invalid",
            Self::Issuer => "issuer",
            Self::Recipient => "recipient",
            Self::Replayed => "replayed",
        }
    }
}

impl Answer {
    /// Reads an unsigned answer: one JSON object with unique names, at most 16 levels deep.
    ///
    /// Of an inactive token nothing but that is read: a server has no reason to say more (RFC 7662 §2.2).
    ///
    /// # Errors
    ///
    /// [`AnswerFault`] when it is no answer.
    pub fn read(body: &[u8]) -> Result<Self, AnswerFault> {
        let body = str::from_utf8(body).map_err(|_| AnswerFault::Unreadable)?;
        let status = json::read(body, Status::default()).ok_or(AnswerFault::Unreadable)?;
        match status.active {
            None => Err(AnswerFault::ActiveInvalid),
            Some(false) => Ok(Self::Inactive),
            Some(true) => ActiveToken::parse(body, status.nulls).map(Self::Active),
        }
    }

    /// Checks and reads a signed answer (RFC 9701 §5) that `recipient` got to a question of `asked_at`.
    ///
    /// `recipient` is what the server knows this service by: the client id that it asked with, as a rule. A signed
    /// answer is a JWT of `typ` `token-introspection+jwt`, made for this recipient, and not before the question was
    /// asked; the policy's leeway is for the clocks, of which it may seem to be older than the question by 30 s at most.
    /// Encrypted answers are refused.
    ///
    /// A signed answer is not bound to the token that was asked about: RFC 9701 has no member for that. Whoever sits
    /// between the server and this service can answer with another fresh answer for the same recipient, such as one
    /// about a token of their own that is good. What binds an answer to its question is the TLS connection to the
    /// server; the signature proves afterwards who said this, and to whom.
    ///
    /// # Errors
    ///
    /// [`AnswerFault`] when it cannot be believed. [`AnswerFault::SignatureInvalid`] with [`TokenFault::KeyUnknown`]
    /// when everything but the key is there, so that fetching newer keys can help.
    pub fn verify(
        jwt: &str,
        keys: &KeySet,
        policy: &IntrospectionPolicy,
        recipient: &str,
        asked_at: Timestamp,
        now: Timestamp,
    ) -> Result<Self, AnswerFault> {
        let claims = signed::verify(jwt, keys, &policy.terms)?;
        Self::read(
            claims
                .answer(&policy.terms, recipient, asked_at, now)?
                .as_bytes(),
        )
    }
}

/// The one member that says what the rest means, and those of the rest that are not there though they are named.
#[derive(Default)]
struct Status {
    active: Option<bool>,
    nulls: Vec<Box<str>>,
}

impl<'de> Object<'de> for Status {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "active" => self.active = map.next_value::<Flag>()?.0,
            // Whatever is in it: the token is bound, and not to be taken for one that is not.
            "cnf" => json::ignore(map)?,
            _ => {
                if json::is_null(map)? {
                    self.nulls.push(name.into());
                }
            }
        }
        Ok(())
    }
}

/// A token that the authorization server calls active. Prints no claim.
///
/// Whether it is meant for this service, and still good, takes [`into_facts`](Self::into_facts) and
/// [`IntrospectedFacts::judge`].
pub struct ActiveToken {
    json: Box<str>,
    members: Box<Members>,
}

impl ActiveToken {
    fn parse(json: &str, nulls: Vec<Box<str>>) -> Result<Self, AnswerFault> {
        let members = Members::parse(json, nulls).ok_or(AnswerFault::ClaimsInvalid)?;
        Ok(Self {
            json: json.into(),
            members: Box::new(members),
        })
    }

    /// The answer as JSON text, without a signature: for a cache that is shared, from where [`Answer::read`] reads it
    /// again. Such a cache can make up answers; it has to be trusted as the server is.
    ///
    /// The time of the question belongs with it, as [`into_facts`](Self::into_facts) asks for that too.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Reads the claims as `policy` reads them. `asked_at` is when the server was asked, also where the answer comes
    /// from a cache. `token` is the one that was asked about: where the answer gives it no id (`jti`), its digest
    /// stands for one.
    ///
    /// The identity is `sub`, or for a client that acts for itself `client_id`. The `username` of an answer is for people
    /// to read (RFC 7662 §2.2), so it stays among the claims; but somebody who is named there, and not by `sub`, is not
    /// taken for the client: see [`IntrospectionPolicy::subject_claim`].
    ///
    /// # Errors
    ///
    /// The first [`TokenFault`] that was found: [`TokenFault::IssuerUnknown`] when another issuer is named,
    /// [`TokenFault::UseNotAllowed`] when this is not an access token, [`TokenFault::BindingUnsupported`] when it is no
    /// bearer token, [`TokenFault::ClaimMissing`] and [`TokenFault::ClaimsInvalid`] for its claims.
    /// [`TokenFault::ClaimMissing`] also when the answer leaves out what only a
    /// [typed](IntrospectionPolicy#access-tokens-and-others) one may, or names a user in another place than the policy
    /// says.
    pub fn into_facts(
        self,
        token: &str,
        policy: &IntrospectionPolicy,
        asked_at: Timestamp,
    ) -> Result<IntrospectedFacts, TokenFault> {
        let Self { json, members } = self;
        let Members {
            mut claims,
            use_said,
            users,
        } = *members;
        let terms = &policy.terms;
        if claims
            .issuer
            .as_deref()
            .is_some_and(|issuer| issuer != &*terms.issuer)
        {
            return Err(TokenFault::IssuerUnknown);
        }
        if use_said.other || (claims.marks_other_kind && !use_said.access) {
            return Err(TokenFault::UseNotAllowed);
        }
        if use_said.dpop {
            return Err(TokenFault::BindingUnsupported);
        }
        let scopes = claims.take_scopes(&json, &terms.scope_claim)?;
        let client_id = claims.take_client_id(&json, terms.client_claim.as_deref(), true)?;
        let subject = match &policy.subject_claim {
            Some(name) => claims.identifier(&json, name)?,
            None => claims.subject.take(),
        };
        if subject.is_none() {
            let own = client_id.as_deref().ok_or(TokenFault::ClaimMissing)?;
            // Somebody who is named elsewhere is not to look like a client that acts for itself (checklist TD-22).
            let is_sub_another = claims.subject.as_deref().is_some_and(|sub| sub != own);
            let is_user_another = users.iter().any(|user| *user != Texts::One(own.into()));
            if is_sub_another || is_user_another {
                return Err(TokenFault::ClaimMissing);
            }
        }
        claims.subject = subject;
        // Refresh tokens are called active too. What they have in common is that nothing calls them access tokens.
        let may_miss = use_said.access || policy.accepts_untyped;
        let assumed = || Some(asked_at.saturating_add(policy.assumed_lifetime?));
        let is_end_assumed = claims.expires_at.is_none();
        let expires_at = claims.expires_at.or_else(|| assumed().filter(|_| may_miss));
        let expires_at = expires_at.ok_or(TokenFault::ClaimMissing)?;
        let clients = [&client_id, &claims.client_id, &claims.authorized_party];
        let names_a_client = |named| clients.iter().any(|client| client.as_ref() == Some(named));
        let audience = match claims.audience.take() {
            Some(audience) if !use_said.access && audience.iter().all(names_a_client) => {
                return Err(TokenFault::UseNotAllowed);
            }
            Some(audience) => audience,
            None if terms.accepts_missing_audience && may_miss => Box::default(),
            None => return Err(TokenFault::ClaimMissing),
        };
        let settled = Settled {
            issuer: terms.issuer.clone(),
            client_id,
            scopes,
            audience,
            expires_at,
            is_end_assumed,
            key_id: None,
            is_opaque: true,
            identity: identity(token),
            json,
        };
        Ok(IntrospectedFacts::new(Statement::new(claims, settled)))
    }
}

/// The part of a token that has one spelling only: of a JWT, the signature can be written in several ways.
fn identity(token: &str) -> &str {
    let signed = token.rsplit_once('.').map(|(signed, _)| signed);
    match signed {
        Some(signed)
            if TokenShape::may_be_jose(token.as_bytes()) && signed.matches('.').count() == 1 =>
        {
            signed
        }
        _ => token,
    }
}

impl fmt::Debug for ActiveToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveToken").finish_non_exhaustive()
    }
}
