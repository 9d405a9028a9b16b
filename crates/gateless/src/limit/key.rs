//! Who shares a quota with whom.

use std::hash::{Hash, Hasher};

use gateless_core::{ClaimPath, ClaimValue, ConfigError, Principal, Rejection};

use crate::gate::Head;
use crate::matched::Matched;
use crate::peer::{Locator, Peer, Prefix};

/// What a quota is for: requests with the same key share it.
///
/// Keys that name callers are made of what the authentication verified, never of what a request says of itself
/// (TK-05): a forged token never gets as far as a limit. They all hold the issuer too, as the same subject at two
/// issuers is two callers.
///
/// ```
/// use gateless::limit::LimitKey;
///
/// let each_caller = LimitKey::caller();
/// let each_tenant_on_each_route = LimitKey::claim("tenant").and(LimitKey::route());
/// # let _ = (each_caller, each_tenant_on_each_route);
/// ```
///
/// What a token does not have, all tokens without it have in common: without a `tenant`, they share one quota.
#[derive(Clone, Debug)]
#[must_use]
pub struct LimitKey(Vec<Part<Peer>>);

#[derive(Clone, Debug)]
enum Part<P> {
    Caller,
    Subject,
    Client,
    Token,
    Claim(ClaimPath),
    Route,
    Peer(P),
}

impl LimitKey {
    /// Issuer and subject: all tokens and addresses of one caller. Of a token without a subject the client, and without one
    /// the token itself.
    pub fn caller() -> Self {
        Self(vec![Part::Caller])
    }

    /// Issuer and subject (`sub`).
    pub fn subject() -> Self {
        Self(vec![Part::Subject])
    }

    /// Issuer and client (`client_id`): all users of one application together.
    pub fn client() -> Self {
        Self(vec![Part::Client])
    }

    /// Issuer and token (`jti`; an opaque token itself). Whoever can get new tokens at will gets around it.
    pub fn token() -> Self {
        Self(vec![Part::Token])
    }

    /// Issuer and a claim that is a text, a whole number, or true or false: a tenant, say.
    pub fn claim(path: impl Into<ClaimPath>) -> Self {
        Self(vec![Part::Claim(path.into())])
    }

    /// The route that the router matched, with its parameters as the router writes them; see
    /// [`MatchedRoute`](crate::MatchedRoute) for routers other than axum's. What is on its way to a fallback, or not routed yet
    /// (with `Server::layer` of tonic), is one route together: never the path, of which a caller can make up any number.
    pub fn route() -> Self {
        Self(vec![Part::Route])
    }

    /// Where the request comes from. It needs no authentication, and says little about who it is.
    pub fn peer(peer: Peer) -> Self {
        Self(vec![Part::Peer(peer)])
    }

    /// Everybody together.
    pub const fn everybody() -> Self {
        Self(Vec::new())
    }

    /// Both: requests that agree in this and in `other` share a quota.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Checks the settings of what it is made of. What comes back is of use only if no fault was added.
    pub(super) fn keyer(self, faults: &mut ConfigError) -> Keyer {
        let parts = self.0.into_iter().map(|part| match part {
            Part::Caller => Part::Caller,
            Part::Subject => Part::Subject,
            Part::Client => Part::Client,
            Part::Token => Part::Token,
            Part::Claim(path) => Part::Claim(path),
            Part::Route => Part::Route,
            Part::Peer(peer) => Part::Peer(peer.locator(faults)),
        });
        Keyer(parts.collect())
    }
}

/// Makes the keys of requests.
#[derive(Debug)]
pub(super) struct Keyer(Box<[Part<Locator>]>);

impl Keyer {
    /// Whether somebody has to be signed in.
    pub(super) fn needs_caller(&self) -> bool {
        let is_free = |part: &Part<Locator>| matches!(part, Part::Route | Part::Peer(_));
        !self.0.iter().all(is_free)
    }

    /// What keys are made of: two limits whose keys look alike are not the same limit.
    #[cfg(feature = "limit_shared")]
    pub(super) fn describe(&self, to: &mut impl Feed) {
        for part in &self.0 {
            match part {
                Part::Caller => to.text("caller"),
                Part::Subject => to.text("subject"),
                Part::Client => to.text("client"),
                Part::Token => to.text("token"),
                Part::Claim(path) => to.part(b"claim", &path.to_string()),
                Part::Route => to.text("route"),
                Part::Peer(_) => to.text("peer"),
            }
        }
        to.text("");
    }

    /// The key of one request. `caller` is there where one is [needed](Self::needs_caller).
    ///
    /// # Errors
    ///
    /// [`Rejection::PipelineMisordered`] when it is not known where the request comes from, and that is asked for.
    pub(super) fn feed(
        &self,
        stage: &'static str,
        head: Head<'_>,
        caller: Option<&Principal>,
        to: &mut impl Feed,
    ) -> Result<(), Rejection> {
        let named = || caller.ok_or(Rejection::PipelineMisordered);
        for part in &self.0 {
            match part {
                Part::Caller => {
                    let caller = named()?;
                    to.text(caller.issuer());
                    match (caller.subject(), caller.client_id()) {
                        (Some(subject), _) => to.part(b"s", subject),
                        (None, Some(client)) => to.part(b"c", client),
                        (None, None) => feed_token(caller, to),
                    }
                }
                Part::Subject => {
                    to.text(named()?.issuer());
                    to.optional(named()?.subject());
                }
                Part::Client => {
                    to.text(named()?.issuer());
                    to.optional(named()?.client_id());
                }
                Part::Token => {
                    to.text(named()?.issuer());
                    feed_token(named()?, to);
                }
                Part::Claim(path) => {
                    let caller = named()?;
                    to.text(caller.issuer());
                    match caller.claim(path) {
                        Some(ClaimValue::Text(text)) => to.part(b"t", &text),
                        Some(other) => to.part(b"v", &other.to_string()),
                        None => to.bytes(b"n"),
                    }
                }
                Part::Route => match Matched::of(head) {
                    Matched::Route(route) => to.part(b"r", route),
                    _ => to.bytes(b"n"),
                },
                Part::Peer(locator) => match locator.locate(stage, head)? {
                    Prefix::V4(bits) => to.bytes(&bits.to_be_bytes()),
                    Prefix::V6(bits) => to.bytes(&bits.to_be_bytes()),
                },
            }
        }
        Ok(())
    }
}

fn feed_token(caller: &Principal, to: &mut impl Feed) {
    match (caller.token_id(), caller.token_digest()) {
        (Some(id), _) => to.part(b"i", id),
        (None, Some(digest)) => {
            to.bytes(b"d");
            to.bytes(digest.as_bytes());
        }
        (None, None) => to.bytes(b"n"),
    }
}

/// Takes the parts of a key, each with its length, so that no two keys are fed in the same way.
pub(super) trait Feed {
    fn bytes(&mut self, bytes: &[u8]);

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// A text, and what kind of.
    fn part(&mut self, kind: &[u8], text: &str) {
        self.bytes(kind);
        self.text(text);
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.part(b"s", text),
            None => self.bytes(b"n"),
        }
    }
}

impl<H: Hasher> Feed for H {
    fn bytes(&mut self, bytes: &[u8]) {
        bytes.hash(self);
    }
}
