//! The authenticated caller, and how the stages hand it on.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "revocation")]
use std::sync::OnceLock;

use http::Extensions;
use serde::de::DeserializeOwned;

use crate::digest::TokenDigest;
use crate::rejection::Rejection;
use crate::requirement::{self, ClaimPath, ClaimValue};
#[cfg(feature = "revocation")]
use crate::revocation::RevocationIds;
use crate::scope::ScopeSet;
use crate::time::Timestamp;

/// The authenticated caller. Cloning is one reference count.
///
/// A `Principal` only comes out of a successful check; a handler that holds one needs no further proof. The
/// caller's identity is always the pair ([`issuer`](Self::issuer), [`subject`](Self::subject)): the same subject at
/// two issuers is two callers (OpenID Connect Core §5.7). Texts are compared byte for byte, never normalised.
#[derive(Clone)]
pub struct Principal(Arc<Inner>);

struct Inner {
    parts: PrincipalParts,
    /// Found out by whoever asks first: a token that is remembered is asked about with every request.
    #[cfg(feature = "revocation")]
    revocation_ids: OnceLock<RevocationIds>,
}

/// Whether a person or a client acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrincipalKind {
    /// Somebody else than the client itself: usually a person.
    User,
    /// The client acts for itself (client credentials): `sub` is the client id, or there is none (RFC 9068 §5).
    Client,
}

impl PrincipalKind {
    pub(crate) const ALL: [Self; 2] = [Self::User, Self::Client];

    /// A stable name, fit for a record or a metric label: `user` or `client`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Client => "client",
        }
    }
}

/// One party of a delegation chain (`act`, RFC 8693 §4.1), the current actor first.
#[derive(Clone, PartialEq, Eq)]
pub struct Actor {
    /// The actor's issuer, where the token names one; otherwise that of the token.
    pub issuer: Option<Box<str>>,
    /// The actor's subject.
    pub subject: Box<str>,
}

/// Everything that an authentication stage found out about a caller; see [`Principal::assert_authenticated`].
#[derive(Clone)]
pub struct PrincipalParts {
    /// Who issued the token.
    pub issuer: Arc<str>,
    /// The subject at that issuer.
    pub subject: Option<Box<str>>,
    /// The client that the token was issued to.
    pub client_id: Option<Box<str>>,
    /// The token's own id (`jti`).
    pub token_id: Option<Box<str>>,
    /// What an opaque token, or one without an id, is told apart by.
    pub token_digest: Option<TokenDigest>,
    /// The session at the issuer (`sid`).
    pub session_id: Option<Box<str>>,
    /// A person or a client.
    pub kind: PrincipalKind,
    /// What the token grants.
    pub scopes: ScopeSet,
    /// Whom the token is meant for.
    pub audience: Box<[Box<str>]>,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// The issuer names no end: the policy of this service set one, and how long the token lives is not known.
    pub is_end_assumed: bool,
    /// When the token was issued.
    pub issued_at: Option<Timestamp>,
    /// When the person last proved who they are (`auth_time`).
    pub authenticated_at: Option<Timestamp>,
    /// How well they proved it (`acr`).
    pub authentication_context: Option<Box<str>>,
    /// Who acts on the subject's behalf; empty without delegation.
    pub actors: Box<[Actor]>,
    /// The key that signed the token (`kid`), also where the token does not name it.
    pub key_id: Option<Box<str>>,
    /// All claims, as the JSON object that was verified.
    pub claims: Box<str>,
}

impl PrincipalParts {
    /// A caller of whom nothing else is known: a user without a name, who may do nothing.
    #[must_use]
    pub fn new(issuer: impl Into<Arc<str>>, expires_at: Timestamp) -> Self {
        Self {
            issuer: issuer.into(),
            subject: None,
            client_id: None,
            token_id: None,
            token_digest: None,
            session_id: None,
            kind: PrincipalKind::User,
            scopes: ScopeSet::empty(),
            audience: Box::default(),
            expires_at,
            is_end_assumed: false,
            issued_at: None,
            authenticated_at: None,
            authentication_context: None,
            actors: Box::default(),
            key_id: None,
            claims: "{}".into(),
        }
    }
}

impl Principal {
    /// Vouches that `parts` describe an authenticated caller.
    ///
    /// This is the only way to make a principal, and named so that a review finds it. The layers of gateless call it
    /// after a complete check; an authentication stage of your own does the same.
    #[must_use]
    pub fn assert_authenticated(parts: PrincipalParts) -> Self {
        Self(Arc::new(Inner {
            parts,
            #[cfg(feature = "revocation")]
            revocation_ids: OnceLock::new(),
        }))
    }

    /// The principal that an authentication layer attached to the request.
    ///
    /// # Errors
    ///
    /// [`Rejection::CredentialsMissing`] when the layer lets anonymous requests through and this is one;
    /// [`Rejection::PipelineMisordered`] when no authentication layer ran at all, which is a fault of the
    /// deployment and not the caller's.
    pub fn of(extensions: &Extensions) -> Result<&Self, Rejection> {
        Self::optional(extensions)?.ok_or(Rejection::CredentialsMissing)
    }

    /// The principal, or `None` where optional authentication let an anonymous request through.
    ///
    /// # Errors
    ///
    /// [`Rejection::PipelineMisordered`] when no authentication layer ran.
    pub fn optional(extensions: &Extensions) -> Result<Option<&Self>, Rejection> {
        match extensions.get::<Self>() {
            Some(principal) => Ok(Some(principal)),
            None if extensions.get::<Anonymous>().is_some() => Ok(None),
            None => Err(Rejection::PipelineMisordered),
        }
    }

    /// Attaches this principal to a request, replacing whatever identity was there.
    pub fn attach(self, extensions: &mut Extensions) {
        extensions.remove::<Anonymous>();
        extensions.insert(self);
    }

    /// Who issued the token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.parts.issuer
    }

    /// The subject at that issuer. `None` for tokens of clients that name no subject.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.0.parts.subject.as_deref()
    }

    /// The client that the token was issued to (`client_id`; `azp` and others in the lax profile).
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.0.parts.client_id.as_deref()
    }

    /// The token's own id (`jti`), unique per issuer.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.0.parts.token_id.as_deref()
    }

    /// What the token is told apart by when it has no id: an opaque one, above all.
    #[must_use]
    pub fn token_digest(&self) -> Option<&TokenDigest> {
        self.0.parts.token_digest.as_ref()
    }

    /// The session at the issuer (`sid`).
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.0.parts.session_id.as_deref()
    }

    /// Whether a person or a client acts.
    #[must_use]
    pub fn kind(&self) -> PrincipalKind {
        self.0.parts.kind
    }

    /// What the token grants.
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        &self.0.parts.scopes
    }

    /// Whom the token is meant for; at least one of them is this service. Empty where an introspection policy accepts
    /// answers without an audience, and this one had none.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        self.0.parts.audience.iter().map(AsRef::as_ref)
    }

    /// When the token ends, without the leeway.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.0.parts.expires_at
    }

    /// Whether the issuer names no end, so that [`expires_at`](Self::expires_at) is what the policy of this service assumes.
    #[must_use]
    pub fn is_end_assumed(&self) -> bool {
        self.0.parts.is_end_assumed
    }

    /// When the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.0.parts.issued_at
    }

    /// When the person last proved who they are (`auth_time`).
    #[must_use]
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.0.parts.authenticated_at
    }

    /// How well they proved it (`acr`).
    #[must_use]
    pub fn authentication_context(&self) -> Option<&str> {
        self.0.parts.authentication_context.as_deref()
    }

    /// Who acts on the subject's behalf, the current actor first; empty without delegation (RFC 8693 §4.1).
    #[must_use]
    pub fn actors(&self) -> &[Actor] {
        &self.0.parts.actors
    }

    /// The key that signed the token (`kid`).
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.0.parts.key_id.as_deref()
    }

    /// Under which names this caller could be revoked.
    #[cfg(feature = "revocation")]
    #[cfg_attr(docsrs, doc(cfg(feature = "revocation")))]
    #[must_use]
    pub fn revocation_ids(&self) -> &RevocationIds {
        let ids = &self.0.revocation_ids;
        ids.get_or_init(|| RevocationIds::of(&self.0.parts))
    }

    /// One claim, read straight from the text: `None` unless it is a text, a whole number, or true or false.
    ///
    /// ```
    /// # use gateless_core::{Principal, PrincipalParts, Timestamp};
    /// # let parts = PrincipalParts::new("https://idp.example.com", Timestamp::MAX);
    /// # let principal = Principal::assert_authenticated(PrincipalParts { claims: r#"{"org":{"id":"t-1"}}"#.into(), ..parts });
    /// let tenant = principal.claim(&["org", "id"].into());
    /// assert_eq!(tenant, Some("t-1".into()));
    /// ```
    #[must_use]
    pub fn claim(&self, path: &ClaimPath) -> Option<ClaimValue> {
        requirement::claim_value(self.claims_json(), path)
    }

    pub(crate) fn claims_json(&self) -> &str {
        &self.0.parts.claims
    }

    /// About how much memory the principal takes, in bytes: what a cache of them counts.
    #[must_use]
    pub fn size(&self) -> usize {
        /// What an allocation costs on top of its content.
        const OVERHEAD: usize = 16;
        let parts = &self.0.parts;
        let texts = [
            &parts.subject,
            &parts.client_id,
            &parts.token_id,
            &parts.session_id,
            &parts.authentication_context,
            &parts.key_id,
        ];
        let optional =
            |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len() + OVERHEAD);
        let audience = |text: &str| size_of::<Box<str>>() + text.len() + OVERHEAD;
        let actor = |actor: &Actor| {
            size_of::<Actor>() + actor.subject.len() + OVERHEAD + optional(&actor.issuer)
        };
        size_of::<Inner>()
            + texts.into_iter().map(optional).sum::<usize>()
            + parts.scopes.iter().map(str::len).sum::<usize>()
            + parts
                .audience
                .iter()
                .map(|text| audience(text))
                .sum::<usize>()
            + parts.actors.iter().map(actor).sum::<usize>()
            + parts.claims.len()
            + 4 * OVERHEAD
    }

    /// The claims as a type of your own, deserialised on demand.
    ///
    /// # Errors
    ///
    /// [`ClaimsError`] when they do not have the form of `T`.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, ClaimsError> {
        serde_json::from_str(&self.0.parts.claims).map_err(|error| ClaimsError {
            column: error.column(),
        })
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Principal").field(&self.0.parts).finish()
    }
}

impl fmt::Debug for PrincipalParts {
    /// Claims identify people: only what the configuration knows anyway is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrincipalParts")
            .field("issuer", &self.issuer)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor").finish_non_exhaustive()
    }
}

/// Marks a request that optional authentication let through without credentials.
///
/// Its presence tells "nobody is signed in" from "no authentication layer ran".
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Anonymous;

impl Anonymous {
    /// Attaches the mark to a request, removing any principal that was there.
    pub fn attach(extensions: &mut Extensions) {
        extensions.remove::<Principal>();
        extensions.insert(Self);
    }
}

/// The claims do not have the form that the service asked for. Holds no claim value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the claims do not have the expected form (column {column})")]
pub struct ClaimsError {
    column: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn parts() -> PrincipalParts {
        PrincipalParts {
            issuer: "https://idp.example.com".into(),
            subject: Some("canary-subject".into()),
            client_id: Some("canary-client".into()),
            token_id: Some("canary-jti".into()),
            token_digest: None,
            session_id: None,
            kind: PrincipalKind::User,
            scopes: ScopeSet::parse("canary-scope").unwrap(),
            audience: ["canary-audience".into()].into(),
            expires_at: Timestamp::from_secs(1),
            is_end_assumed: false,
            issued_at: None,
            authenticated_at: None,
            authentication_context: None,
            actors: [Actor {
                issuer: None,
                subject: "canary-actor".into(),
            }]
            .into(),
            key_id: None,
            claims: r#"{"tenant":"canary-claim"}"#.into(),
        }
    }

    #[test]
    fn tl_02_debug_prints_no_claim() {
        let principal = Principal::assert_authenticated(parts());
        let printed = format!("{principal:?} {:?}", principal.actors());
        assert!(!printed.contains("canary"), "{printed}");
    }

    #[test]
    fn a_claims_error_holds_no_claim() {
        #[derive(Debug, serde::Deserialize)]
        struct Wanted {
            #[expect(dead_code, reason = "only its type matters")]
            tenant: u64,
        }
        let error = Principal::assert_authenticated(parts())
            .claims::<Wanted>()
            .unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }

    #[test]
    fn ta_19_one_identity_replaces_the_other() {
        let mut extensions = Extensions::new();
        assert_eq!(
            Principal::of(&extensions).unwrap_err(),
            Rejection::PipelineMisordered
        );
        Principal::assert_authenticated(parts()).attach(&mut extensions);
        assert!(Principal::of(&extensions).is_ok());
        Anonymous::attach(&mut extensions);
        assert!(Principal::optional(&extensions).unwrap().is_none());
        assert_eq!(
            Principal::of(&extensions).unwrap_err(),
            Rejection::CredentialsMissing
        );
        Principal::assert_authenticated(parts()).attach(&mut extensions);
        assert!(extensions.get::<Anonymous>().is_none());
    }
}
