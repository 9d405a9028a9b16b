//! What it means that a token is revoked, as values: what is named, what is recorded, and how a record meets a caller.

mod id;
mod log;
mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub use self::id::{RevocationId, RevocationIds, RevocationKind};
pub use self::log::{Appended, LogPosition, LogTail, RevocationLog};
pub use self::record::{RevocationChange, RevocationRecord};
use crate::digest::TokenDigest;
use crate::principal::Principal;
use crate::time::Timestamp;

/// Something that is to be refused from now on, although its issuer signed it: a token, a session, or everything that
/// somebody was given until a point in time.
///
/// It always names the issuer: an id means nothing without it (RFC 7519 §4.1.7).
///
/// | made by | refuses |
/// |---|---|
/// | [`token`](Self::token), [`this_token`](Self::this_token) | one token |
/// | [`session`](Self::session) | every token of a session (`sid`) |
/// | [`subject`](Self::subject) | every token of a person that was issued until now, also where that person acts for others |
/// | [`client`](Self::client) | every token of a client that was issued until now |
/// | [`issuer`](Self::issuer) | every token of an issuer that was issued until now |
/// | [`key`](Self::key) | everything that a key signed, until it is taken back |
///
/// ```
/// use gateless_core::{Revocation, Timestamp};
///
/// let signed_out = Revocation::session("https://idp.example.com", "session-1");
/// let new_password = Revocation::subject("https://idp.example.com", "user-7")
///     .issued_until(Timestamp::from_secs(1_700_000_000));
/// # let _ = (signed_out, new_password);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Revocation {
    id: RevocationId,
    expires_at: Option<Timestamp>,
    issued_until: Option<Timestamp>,
}

impl Revocation {
    /// What `id` names: for those who keep ids.
    #[must_use]
    pub const fn of(id: RevocationId) -> Self {
        Self {
            id,
            expires_at: None,
            issued_until: None,
        }
    }

    /// The token with this id (`jti`).
    #[must_use]
    pub fn token(issuer: &str, token_id: &str) -> Self {
        Self::of(RevocationId::token(issuer, token_id))
    }

    /// The token without an id that has this digest.
    #[must_use]
    pub fn token_digest(issuer: &str, digest: &TokenDigest) -> Self {
        Self::of(RevocationId::token_digest(issuer, digest))
    }

    /// The token that `principal` came with.
    ///
    /// `None` for a principal whose token has neither an id nor a digest, which no stage of gateless makes.
    #[must_use]
    pub fn this_token(principal: &Principal) -> Option<Self> {
        let this = Self::of(principal.revocation_ids().tokens().next()?);
        // An end that is only assumed is another one when its server is asked again.
        Some(match principal.is_end_assumed() {
            true => this,
            false => this.expires_at(principal.expires_at()),
        })
    }

    /// The session with this id (`sid`).
    #[must_use]
    pub fn session(issuer: &str, session_id: &str) -> Self {
        Self::of(RevocationId::session(issuer, session_id))
    }

    /// The subject (`sub`), whose tokens until now are refused: after a new password, or for an account that is suspended.
    #[must_use]
    pub fn subject(issuer: &str, subject: &str) -> Self {
        Self::of(RevocationId::subject(issuer, subject))
    }

    /// The client (`client_id`), whose tokens until now are refused.
    #[must_use]
    pub fn client(issuer: &str, client_id: &str) -> Self {
        Self::of(RevocationId::client(issuer, client_id))
    }

    /// The issuer, whose tokens until now are refused.
    #[must_use]
    pub fn issuer(issuer: &str) -> Self {
        Self::of(RevocationId::issuer(issuer))
    }

    /// The key with this id (`kid`). It has no end, as whoever has the key can sign for ever.
    #[must_use]
    pub fn key(issuer: &str, key_id: &str) -> Self {
        Self::of(RevocationId::key(issuer, key_id))
    }

    /// When the token ends, where that is known for certain: it need not be remembered for longer. Means something for a
    /// single token only; by default it is remembered for as long as any token can live.
    #[must_use]
    pub const fn expires_at(mut self, expires_at: Timestamp) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// Which tokens of a subject, client or issuer are meant: those that were issued (`iat`) at this time or before. By
    /// default those that were issued until now.
    #[must_use]
    pub const fn issued_until(mut self, issued_until: Timestamp) -> Self {
        self.issued_until = Some(issued_until);
        self
    }

    /// What is named.
    #[must_use]
    pub const fn id(&self) -> RevocationId {
        self.id
    }

    /// What is to be remembered, when this is said at `now`, tokens live for `token_lifetime` at most, and clocks differ
    /// by `clock_skew` at most.
    #[must_use]
    pub fn record(
        &self,
        now: Timestamp,
        token_lifetime: Duration,
        clock_skew: Duration,
    ) -> RevocationRecord {
        // Whole seconds, as a list keeps them: what comes back from one is then the same.
        let rounded_up = |time: Timestamp| {
            Timestamp::from_secs(time.saturating_add(Duration::from_millis(999)).as_secs())
        };
        let latest_end = |issued: Timestamp| {
            let end = issued.max(now).saturating_add(token_lifetime);
            rounded_up(end.saturating_add(RevocationRecord::LEEWAY))
        };
        let (issued_until, until) = match self.id.kind() {
            RevocationKind::Key => (None, Timestamp::MAX),
            RevocationKind::Session => (None, latest_end(now)),
            RevocationKind::Token => {
                // One that lives longer than any token does is refused anyway.
                let end = self.expires_at.map_or(Timestamp::MAX, |end| {
                    rounded_up(end.saturating_add(RevocationRecord::LEEWAY))
                });
                (None, end.min(latest_end(now)))
            }
            RevocationKind::Subject
            | RevocationKind::Client
            | RevocationKind::Issuer
            | RevocationKind::Everything => {
                // A token that is there already may say that it was issued a little later than now.
                let issued = self
                    .issued_until
                    .unwrap_or_else(|| now.saturating_add(clock_skew));
                (Some(issued), latest_end(issued))
            }
        };
        RevocationRecord::new(self.id, issued_until, until)
    }
}

impl fmt::Debug for Revocation {
    /// Ids identify people: of them only a digest is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocation")
            .field("id", &self.id)
            .field("expires_at", &self.expires_at)
            .field("issued_until", &self.issued_until)
            .finish()
    }
}
