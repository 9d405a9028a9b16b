//! What an operator has to hear about.

use serde::{Deserialize, Serialize};

use super::request::names;
use super::text::Text;

/// Something that an operator has to hear about. It observes: nobody is refused for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal<'a> {
    /// What it is.
    pub signal: SignalKind,
    /// How often it happened within `within_secs`: refusals, requests, or places.
    pub count: u64,
    /// The time that was looked at, in seconds.
    pub within_secs: u64,
    /// Who issued the token.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub issuer: Option<Text<'a>>,
    /// The subject of the token, in the form that requests have.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<Text<'a>>,
    /// The client that the token was issued to, in the form that requests have.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub client: Option<Text<'a>>,
    /// The pseudonym of the token.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub token: Option<Text<'a>>,
    /// From where, in the form that requests have.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<Text<'a>>,
    /// The reason of the refusals.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Text<'a>>,
}

names! {
    /// What a signal is about.
    SignalKind {
        /// Many credentials from one place were no good: somebody guesses, or a deployment is broken.
        ValidationFailures = "validation_failures",
        /// Somebody used what was revoked.
        RevokedToken = "revoked_token",
        /// One token came from many places: it was copied, or its owner moves a lot.
        ManyPlaces = "many_places",
        /// One token was used far more often than before.
        UnusualRate = "unusual_rate",
    }
}
