//! What can be revoked, as digests of a fixed length.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::digest::TokenDigest;
use crate::principal::PrincipalParts;

/// What kind of thing is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum RevocationKind {
    /// One token, by its id or its digest.
    Token = 1,
    /// All tokens of a session.
    Session = 2,
    /// Everything that a key signed.
    Key = 3,
    /// The tokens of a subject that were issued until a point in time.
    Subject = 4,
    /// The tokens of a client that were issued until a point in time.
    Client = 5,
    /// The tokens of an issuer that were issued until a point in time.
    Issuer = 6,
    /// All tokens of all issuers that were issued until a point in time: what a list falls back to that is full.
    Everything = 7,
}

impl RevocationKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Token,
        Self::Session,
        Self::Key,
        Self::Subject,
        Self::Client,
        Self::Issuer,
        Self::Everything,
    ];

    /// A stable name, fit for a record or a metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Key => "key",
            Self::Subject => "subject",
            Self::Client => "client",
            Self::Issuer => "issuer",
            Self::Everything => "everything",
        }
    }

    /// Whether a record of it refuses what was issued until a point in time, and nothing that was issued later.
    #[must_use]
    pub const fn is_watermark(self) -> bool {
        matches!(
            self,
            Self::Subject | Self::Client | Self::Issuer | Self::Everything
        )
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// The name of something that is revoked: its kind, and 96 bits of a SHA-256 over issuer and id.
///
/// A list of ids tells nobody who they belong to, unless they can guess the names and try. To have something else refused
/// by it, its name would have to be found for a given digest, which takes 2^96 tries; and the harm would be a refusal.
/// Nothing gets past a list by a collision.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationId {
    kind: RevocationKind,
    digest: [u8; 12],
}

impl RevocationId {
    /// How many bytes [`to_bytes`](Self::to_bytes) gives.
    pub const LEN: usize = 13;

    fn new(kind: RevocationKind, issuer: &str, value: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"gateless/revocation/1");
        hash.update([kind as u8]);
        // With its length, so that no other pair gives the same bytes.
        hash.update((issuer.len() as u64).to_be_bytes());
        hash.update(issuer);
        hash.update(value);
        let [
            digest @ ..,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
        ] = <[u8; 32]>::from(hash.finalize());
        Self { kind, digest }
    }

    /// One token, by its id (`jti`).
    #[must_use]
    pub fn token(issuer: &str, token_id: &str) -> Self {
        Self::new(
            RevocationKind::Token,
            issuer,
            &tagged(b'i', token_id.as_bytes()),
        )
    }

    /// One token without an id, by its digest.
    #[must_use]
    pub fn token_digest(issuer: &str, digest: &TokenDigest) -> Self {
        Self::new(
            RevocationKind::Token,
            issuer,
            &tagged(b'd', digest.as_bytes()),
        )
    }

    /// A session (`sid`).
    #[must_use]
    pub fn session(issuer: &str, session_id: &str) -> Self {
        Self::new(RevocationKind::Session, issuer, session_id.as_bytes())
    }

    /// A key (`kid`).
    #[must_use]
    pub fn key(issuer: &str, key_id: &str) -> Self {
        Self::new(RevocationKind::Key, issuer, key_id.as_bytes())
    }

    /// A subject (`sub`).
    #[must_use]
    pub fn subject(issuer: &str, subject: &str) -> Self {
        Self::new(RevocationKind::Subject, issuer, subject.as_bytes())
    }

    /// A client (`client_id`).
    #[must_use]
    pub fn client(issuer: &str, client_id: &str) -> Self {
        Self::new(RevocationKind::Client, issuer, client_id.as_bytes())
    }

    /// An issuer.
    #[must_use]
    pub fn issuer(issuer: &str) -> Self {
        Self::new(RevocationKind::Issuer, issuer, b"")
    }

    /// All tokens of all issuers.
    #[must_use]
    pub fn everything() -> Self {
        Self::new(RevocationKind::Everything, "", b"")
    }

    /// What kind of thing it names.
    #[must_use]
    pub const fn kind(self) -> RevocationKind {
        self.kind
    }

    /// The digest: evenly distributed bits.
    #[must_use]
    pub const fn digest(self) -> [u8; 12] {
        self.digest
    }

    /// From a kind and a digest that a list kept.
    #[must_use]
    pub const fn from_digest(kind: RevocationKind, digest: [u8; 12]) -> Self {
        Self { kind, digest }
    }

    /// The kind and the digest, for a log.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [self.kind as u8; Self::LEN];
        if let Some((_, digest)) = bytes.split_first_mut() {
            digest.copy_from_slice(&self.digest);
        }
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) gave; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let [kind, digest @ ..] = *bytes;
        let kind = RevocationKind::from_byte(kind)?;
        Some(Self { kind, digest })
    }
}

/// An id and a digest are different things, whatever bytes they have.
fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut tagged = Vec::with_capacity(1 + value.len());
    tagged.push(tag);
    tagged.extend_from_slice(value);
    tagged
}

impl fmt::Debug for RevocationId {
    /// The first bytes of the digest tell two apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.digest;
        write!(f, "{}:{a:02x}{b:02x}{c:02x}{d:02x}…", self.kind.name())
    }
}

/// Under which names a caller could be revoked.
#[derive(Clone, Debug)]
pub struct RevocationIds {
    token: Option<RevocationId>,
    digest: Option<RevocationId>,
    session: Option<RevocationId>,
    key: Option<RevocationId>,
    client: Option<RevocationId>,
    issuer: RevocationId,
    subject: Option<RevocationId>,
    /// Whoever acts for the subject.
    actors: Box<[RevocationId]>,
}

impl RevocationIds {
    pub(crate) fn of(parts: &PrincipalParts) -> Self {
        let issuer = &*parts.issuer;
        let digest = parts.token_digest.as_ref();
        let named = |text: &Option<Box<str>>, id: fn(&str, &str) -> RevocationId| {
            text.as_deref().map(|text| id(issuer, text))
        };
        let actor = |actor: &crate::principal::Actor| {
            RevocationId::subject(actor.issuer.as_deref().unwrap_or(issuer), &actor.subject)
        };
        Self {
            token: named(&parts.token_id, RevocationId::token),
            digest: digest.map(|digest| RevocationId::token_digest(issuer, digest)),
            session: named(&parts.session_id, RevocationId::session),
            key: named(&parts.key_id, RevocationId::key),
            client: named(&parts.client_id, RevocationId::client),
            issuer: RevocationId::issuer(issuer),
            subject: named(&parts.subject, RevocationId::subject),
            actors: parts.actors.iter().map(actor).collect(),
        }
    }

    /// The token itself: by its id, and by its digest.
    pub fn tokens(&self) -> impl Iterator<Item = RevocationId> {
        self.token.into_iter().chain(self.digest)
    }

    /// The session.
    #[must_use]
    pub const fn session(&self) -> Option<RevocationId> {
        self.session
    }

    /// The key that signed the token.
    #[must_use]
    pub const fn key(&self) -> Option<RevocationId> {
        self.key
    }

    /// The client.
    #[must_use]
    pub const fn client(&self) -> Option<RevocationId> {
        self.client
    }

    /// The issuer.
    #[must_use]
    pub const fn issuer(&self) -> RevocationId {
        self.issuer
    }

    /// The subject, and whoever acts for it.
    pub fn subjects(&self) -> impl Iterator<Item = RevocationId> {
        self.subject.into_iter().chain(self.actors.iter().copied())
    }
}
