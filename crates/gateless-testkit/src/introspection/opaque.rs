//! A mint for tokens that say nothing themselves.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::ledger::Entry;
use crate::issuer::TestIssuer;

/// An opaque access token in the making, with what the issuer answers when it is asked about it (RFC 7662 §2.2).
///
/// | member | | member | |
/// |---|---|---|---|
/// | `active` | `true` | `sub` | `user-1` |
/// | `iss` | the issuer | `client_id` | `client-1` |
/// | `token_type` | `Bearer` | `aud` | `https://api.example.com` |
/// | `iat`, `exp` | now, and 300 seconds later | | |
///
/// There is no `scope` until one is set, and no `jti`: servers seldom name one for an opaque token. "Now" is when
/// [`TestIssuer::opaque_token`] was called.
///
/// Once `exp` is over by the issuer's clock, all that is answered is `{"active":false}`. Of the other members the
/// issuer looks at none: a token that is not yet valid by its `nbf` is active.
///
/// ```
/// # use gateless_testkit::TestIssuer;
/// let issuer = TestIssuer::new();
/// let good = issuer.opaque_token().scope("orders:read").mint();
/// let sloppy = issuer.opaque_token().claim("active", "true").mint();
/// assert!(good.starts_with("gateless-test-opaque-"));
/// assert!(issuer.revoke(&good));
/// # assert_ne!(good, sloppy);
/// ```
#[derive(Clone, Debug)]
#[must_use = "there is no token before `mint`"]
pub struct OpaqueTokenBuilder {
    issuer: TestIssuer,
    now: i64,
    text: Option<String>,
    members: Map<String, Value>,
    expires: bool,
    instead: Option<Value>,
}

impl OpaqueTokenBuilder {
    pub(super) fn new(issuer: TestIssuer, now: i64) -> Self {
        let name = issuer.issuer().to_owned();
        let token = Self {
            issuer,
            now,
            text: None,
            members: Map::new(),
            expires: true,
            instead: None,
        };
        token
            .claim("active", true)
            .claim("iss", name)
            .token_type("Bearer")
            .subject("user-1")
            .client_id("client-1")
            .audience("https://api.example.com")
            .issued_in(0)
            .expires_in(300)
    }

    /// `sub`: whom the token is about.
    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.claim("sub", subject.into())
    }

    /// `client_id`: who asked for the token.
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        self.claim("client_id", client_id.into())
    }

    /// `aud`: whom the token is for; a string, or an array of them.
    pub fn audience(self, audience: impl Into<Value>) -> Self {
        self.claim("aud", audience)
    }

    /// `scope`: what is granted, separated by spaces.
    pub fn scope(self, scope: impl Into<String>) -> Self {
        self.claim("scope", scope.into())
    }

    /// `token_type`: how the token is presented.
    pub fn token_type(self, token_type: impl Into<String>) -> Self {
        self.claim("token_type", token_type.into())
    }

    /// `exp`: this many seconds from now, or ago when negative.
    pub fn expires_in(self, secs: i64) -> Self {
        let at = self.now.saturating_add(secs);
        self.claim("exp", at)
    }

    /// `iat`: this many seconds from now, or ago when negative.
    pub fn issued_in(self, secs: i64) -> Self {
        let at = self.now.saturating_add(secs);
        self.claim("iat", at)
    }

    /// `nbf`: this many seconds from now, or ago when negative.
    pub fn not_before_in(self, secs: i64) -> Self {
        let at = self.now.saturating_add(secs);
        self.claim("nbf", at)
    }

    /// Any member of the answer, `active` too, with any value. Of two calls for the same member, by whatever method,
    /// the later one counts.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.members.insert(name.into(), value.into());
        self
    }

    /// Leaves a member out of the answer.
    pub fn without(mut self, name: &str) -> Self {
        self.members.remove(name);
        self
    }

    /// The token itself. Without it: `gateless-test-opaque-`, so that it is known where it
    /// turns up, and 32 random bytes in base64url.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Leaves the token active when it has expired, as a server does that forgets to look.
    pub fn keep_active(mut self) -> Self {
        self.expires = false;
        self
    }

    /// Answers with this in place of everything above, however wrong it is, until the token is revoked.
    pub fn answer(mut self, answer: impl Into<Value>) -> Self {
        self.instead = Some(answer.into());
        self
    }

    /// The token, which the issuer knows from now on.
    #[must_use]
    pub fn mint(self) -> String {
        let Self {
            issuer,
            now: _,
            text,
            members,
            expires,
            instead,
        } = self;
        let token = text.unwrap_or_else(random_text);
        let entry = Entry {
            expires: expires && instead.is_none(),
            answer: instead.unwrap_or(Value::Object(members)),
        };
        issuer.introspection().ledger.add(token.clone(), entry);
        token
    }
}

fn random_text() -> String {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    format!("gateless-test-opaque-{}", URL_SAFE_NO_PAD.encode(bytes))
}
