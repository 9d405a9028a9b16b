//! The members of an answer about an active token.

use serde::de::{Error, MapAccess};

use crate::claims::{self, Claims};
use crate::json::{self, Object, Text, Texts};

/// The claims of an active token, read as those of a signed one, and what only answers have.
#[derive(Default)]
pub(super) struct Members {
    pub(super) claims: Claims,
    pub(super) use_said: UseSaid,
    /// Whom the members name that servers put a user into, in place of `sub`.
    pub(super) users: Vec<Texts>,
}

/// What the answer says of the use of the token. One member is enough for each of these.
#[derive(Default)]
pub(super) struct UseSaid {
    /// The answer is typed: it is about an access token.
    pub(super) access: bool,
    /// The token is for something else, or for a scheme that is not known here.
    pub(super) other: bool,
    /// RFC 9449 §6.2: with a proof of possession, which nothing here checks.
    pub(super) dpop: bool,
}

impl Members {
    /// Those of `json`, in which the members named by `nulls` are null.
    pub(super) fn parse(json: &str, nulls: Vec<Box<str>>) -> Option<Self> {
        let mut members = Self::default();
        members.claims.absent = nulls;
        json::read(json, members)
    }
}

impl UseSaid {
    /// `token_type`: how the token is to be presented (RFC 6749 §7.1), which only access tokens are.
    fn by_scheme(&mut self, scheme: &str) {
        // The latter is no scheme, and what some servers say all the same.
        let bearer = ["bearer", "access_token"];
        if bearer
            .iter()
            .any(|bearer| scheme.eq_ignore_ascii_case(bearer))
        {
            self.access = true;
        } else if scheme.eq_ignore_ascii_case("dpop") {
            self.dpop = true;
        } else {
            self.other = true;
        }
    }

    fn by_name(&mut self, name: &str) {
        let access = ["access_token", "access", "bearer", "at+jwt"];
        if access
            .iter()
            .any(|access| name.eq_ignore_ascii_case(access))
        {
            self.access = true;
        } else {
            self.other = true;
        }
    }
}

impl<'de> Object<'de> for Members {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        if self.claims.is_absent(name) {
            return json::ignore(map);
        }
        match name {
            "token_type" => {
                let Text(scheme) = map.next_value()?;
                self.use_said.by_scheme(&scheme);
            }
            // Keycloak says `Bearer`, or `Refresh`, `Offline`, `ID`. That it is a JWT says nothing of its use.
            "typ" => {
                let Text(kind) = map.next_value()?;
                if !kind.eq_ignore_ascii_case("jwt") {
                    self.use_said.by_name(&kind);
                }
            }
            "token_use" | "token_usage" => {
                let Text(token_use) = map.next_value()?;
                self.use_said.by_name(&token_use);
            }
            // Names that somebody may use for something else: they count when they name a kind of token.
            "purpose" | "tokenName" => {
                if let Texts::One(kind) = map.next_value()?
                    && kind.to_ascii_lowercase().ends_with("_token")
                {
                    self.use_said.by_name(&kind);
                }
            }
            "username" | "user_name" | "user_id" | "uid" | "preferred_username" | "email" => {
                let user = map.next_value()?;
                if user != Texts::One("".into()) {
                    self.users.push(user);
                }
            }
            // Servers write an empty list for a token that was asked for without a resource: nobody is named.
            "aud" => match map.next_value()? {
                Texts::Many(many) if many.is_empty() => {}
                named => {
                    let audience = claims::audience_of(named);
                    let audience = audience.ok_or_else(|| A::Error::custom("aud is not text"))?;
                    self.claims.audience = Some(audience);
                }
            },
            _ => self.claims.member(name, map)?,
        }
        Ok(())
    }
}
