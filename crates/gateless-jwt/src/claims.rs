//! The claims of an access token, each with its exact type. Nothing here is believed yet.

use gateless_core::{Actor, ScopeSet, Timestamp, TokenFault};
use serde::de::{Error, MapAccess};

use crate::json::{self, NumericDate, Object, Text, Texts};
use crate::terms::{Form, ScopeClaim};

/// The longest identifier (`sub`, `client_id`, `jti`, `sid`, …) that is accepted, in bytes.
const MAX_IDENTIFIER: usize = 512;

/// The most parties in a delegation chain (RFC 8693 §4.1).
const MAX_ACTORS: usize = 8;

#[derive(Default)]
pub(crate) struct Claims {
    pub(crate) issuer: Option<Box<str>>,
    pub(crate) subject: Option<Box<str>>,
    pub(crate) client_id: Option<Box<str>>,
    pub(crate) authorized_party: Option<Box<str>>,
    pub(crate) token_id: Option<Box<str>>,
    pub(crate) session_id: Option<Box<str>>,
    pub(crate) audience: Option<Box<[Box<str>]>>,
    pub(crate) scope: Option<Texts>,
    pub(crate) scp: Option<Texts>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) issued_at: Option<Timestamp>,
    pub(crate) authenticated_at: Option<Timestamp>,
    pub(crate) authentication_context: Option<Box<str>>,
    pub(crate) actors: Vec<Actor>,
    /// `cnf` is there: the token is bound to a key.
    pub(crate) is_bound: bool,
    /// A claim that only ID tokens, logout tokens, security events or proofs have.
    pub(crate) marks_other_kind: bool,
    /// A claim that says outright that this is not an access token.
    pub(crate) says_other_use: bool,
    /// Members that are null and read as if they were not there. A signed token has none: null is a wrong type there.
    pub(crate) absent: Vec<Box<str>>,
}

impl Claims {
    pub(crate) fn parse(json: &str) -> Option<Self> {
        json::read(json, Self::default())
    }

    /// The scopes from the one configured claim in its one form; the others are not looked at (checklist TD-26).
    pub(crate) fn take_scopes(
        &mut self,
        json: &str,
        claim: &ScopeClaim,
    ) -> Result<ScopeSet, TokenFault> {
        let value = match &*claim.name {
            "scope" => self.scope.take(),
            "scp" => self.scp.take(),
            other => self.named(json, other)?,
        };
        let scopes = match (value, claim.form) {
            (None, _) => Ok(ScopeSet::empty()),
            (Some(Texts::One(text)), Form::Text) => ScopeSet::parse(text),
            (Some(Texts::Many(texts)), Form::List) => {
                ScopeSet::from_tokens(texts.iter().map(AsRef::as_ref))
            }
            _ => return Err(TokenFault::ClaimsInvalid),
        };
        scopes.map_err(|_| TokenFault::ClaimsInvalid)
    }

    /// The client from the configured claim, or else from `client_id` and, where `takes_azp`, from `azp`.
    pub(crate) fn take_client_id(
        &mut self,
        json: &str,
        claim: Option<&str>,
        takes_azp: bool,
    ) -> Result<Option<Box<str>>, TokenFault> {
        match claim {
            Some(name) => self.identifier(json, name),
            None if takes_azp => Ok(self.client_id.take().or(self.authorized_party.take())),
            None => Ok(self.client_id.take()),
        }
    }

    /// A text from the claim of this name that names somebody, as `sub` does.
    pub(crate) fn identifier(
        &self,
        json: &str,
        name: &str,
    ) -> Result<Option<Box<str>>, TokenFault> {
        match self.named(json, name)? {
            None => Ok(None),
            Some(Texts::One(id)) if is_identifier(&id) => Ok(Some(id)),
            Some(_) => Err(TokenFault::ClaimsInvalid),
        }
    }

    fn named(&self, json: &str, name: &str) -> Result<Option<Texts>, TokenFault> {
        if self.is_absent(name) {
            return Ok(None);
        }
        named(json, name)
    }

    pub(crate) fn is_absent(&self, name: &str) -> bool {
        self.absent.iter().any(|absent| **absent == *name)
    }
}

/// Whether a token is meant for nobody but the client that it was issued to, as ID tokens are.
pub(crate) fn names_only_its_client(audience: &[Box<str>], client_id: Option<&str>) -> bool {
    audience.iter().all(|named| Some(&**named) == client_id)
}

impl<'de> Object<'de> for Claims {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "iss" => self.issuer = Some(map.next_value::<Text<'_>>()?.into_boxed()),
            "sub" => self.subject = Some(identifier(map)?),
            "client_id" => self.client_id = Some(identifier(map)?),
            "azp" => self.authorized_party = Some(identifier(map)?),
            "jti" => self.token_id = Some(identifier(map)?),
            "sid" => self.session_id = Some(identifier(map)?),
            "aud" => self.audience = Some(audience(map)?),
            "scope" => self.scope = Some(map.next_value()?),
            "scp" => self.scp = Some(map.next_value()?),
            "exp" => self.expires_at = Some(map.next_value::<NumericDate>()?.0),
            "nbf" => self.not_before = Some(map.next_value::<NumericDate>()?.0),
            "iat" => self.issued_at = Some(map.next_value::<NumericDate>()?.0),
            "auth_time" => self.authenticated_at = Some(map.next_value::<NumericDate>()?.0),
            "acr" => self.authentication_context = Some(identifier(map)?),
            "act" => actor(map, &mut self.actors)?,
            "cnf" => {
                self.is_bound = true;
                json::ignore(map)?;
            }
            "nonce" | "at_hash" | "c_hash" | "s_hash" | "events" | "htm" | "htu" => {
                self.marks_other_kind = true;
                json::ignore(map)?;
            }
            // Keycloak says `Bearer` in an access token, and `Refresh`, `Offline`, `ID` or `Logout` in others.
            "typ" => self.says_other_use |= !says(map, &["bearer", "at+jwt", "jwt"])?,
            "token_use" => self.says_other_use |= !says(map, &["access", "access_token"])?,
            _ => json::ignore(map)?,
        }
        Ok(())
    }
}

/// Whether the member is one of these texts, in any case.
pub(crate) fn says<'de, A: MapAccess<'de>>(
    map: &mut A,
    expected: &[&str],
) -> Result<bool, A::Error> {
    let Text(text) = map.next_value()?;
    Ok(expected
        .iter()
        .any(|expected| text.eq_ignore_ascii_case(expected)))
}

/// A text that names somebody or something: not blank, not long, without control characters.
pub(crate) fn identifier<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Box<str>, A::Error> {
    let text: Text<'_> = map.next_value()?;
    if is_identifier(&text.0) {
        Ok(text.into_boxed())
    } else {
        Err(A::Error::custom("not an identifier"))
    }
}

pub(crate) fn is_identifier(text: &str) -> bool {
    text.len() <= MAX_IDENTIFIER && !text.chars().all(char::is_whitespace) && !has_control(text)
}

fn has_control(text: &str) -> bool {
    if text.is_ascii() {
        // Not `any`: a loop that never leaves early takes many bytes at a time.
        text.bytes()
            .fold(false, |found, byte| found | byte.is_ascii_control())
    } else {
        text.chars().any(char::is_control)
    }
}

pub(crate) fn audience<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Box<[Box<str>]>, A::Error> {
    let named = audience_of(map.next_value()?);
    named.ok_or_else(|| A::Error::custom("aud is not a string or a list of strings"))
}

/// A string, or a list of strings with at least one (RFC 7519 §4.1.3).
pub(crate) fn audience_of(texts: Texts) -> Option<Box<[Box<str>]>> {
    match texts {
        Texts::One(one) => Some(Box::new([one])),
        Texts::Many(many) if !many.is_empty() => Some(many),
        _ => None,
    }
}

/// `act`, with the prior actors nested in it. Each party has a `sub`: one that is not named could neither be exposed
/// nor forbidden.
fn actor<'de, A: MapAccess<'de>>(map: &mut A, chain: &mut Vec<Actor>) -> Result<(), A::Error> {
    let index = chain.len();
    if index >= MAX_ACTORS {
        return Err(A::Error::custom("the delegation chain is too long"));
    }
    chain.push(Actor {
        issuer: None,
        subject: Box::default(),
    });
    json::nested(map, &mut ActorMembers { chain, index })?;
    match chain.get(index) {
        Some(actor) if !actor.subject.is_empty() => Ok(()),
        _ => Err(A::Error::custom("an actor without sub")),
    }
}

struct ActorMembers<'c> {
    chain: &'c mut Vec<Actor>,
    /// This party's place in the chain: before those that are nested in it.
    index: usize,
}

impl<'de> Object<'de> for ActorMembers<'_> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "sub" | "iss" => {
                let text = identifier(map)?;
                if let Some(own) = self.chain.get_mut(self.index) {
                    match name {
                        "sub" => own.subject = text,
                        _ => own.issuer = Some(text),
                    }
                }
            }
            "act" => actor(map, self.chain)?,
            _ => json::ignore_below(map, self.index + 1)?,
        }
        Ok(())
    }
}

/// Reads one further member of claims that were parsed before: for claim names that come from the configuration.
pub(crate) fn named(json: &str, name: &str) -> Result<Option<Texts>, TokenFault> {
    struct Named<'n> {
        name: &'n str,
        value: Option<Texts>,
    }

    impl<'de> Object<'de> for Named<'_> {
        fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
            if name == self.name {
                self.value = Some(map.next_value()?);
                Ok(())
            } else {
                json::ignore(map)
            }
        }
    }

    json::read(json, Named { name, value: None })
        .map(|named| named.value)
        .ok_or(TokenFault::ClaimsInvalid)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::td_03(r#"{"exp":"9999999999"}"#)]
    #[case::td_05(r#"{"exp":true}"#)]
    #[case::td_07(r#"{"nbf":"soon"}"#)]
    #[case::td_12(r#"{"iss":["https://idp.example.com"]}"#)]
    #[case::td_14(r#"{"aud":[]}"#)]
    #[case::td_17(r#"{"aud":1}"#)]
    #[case::td_17(r#"{"aud":{}}"#)]
    #[case::td_17(r#"{"aud":[["a"]]}"#)]
    #[case::td_17(r#"{"aud":["a",null]}"#)]
    #[case::td_23(r#"{"sub":""}"#)]
    #[case::td_23(r#"{"sub":"  "}"#)]
    #[case::td_23(r#"{"sub":"a\u0000b"}"#)]
    #[case::td_23(r#"{"client_id":"a\r\nb"}"#)]
    #[case::td_27(r#"{"sub":{}}"#)]
    #[case::td_27(r#"{"jti":7}"#)]
    #[case::td_27(r#"{"sid":null}"#)]
    #[case::td_33(r#"{"act":"user"}"#)]
    #[case::td_33(r#"{"act":null}"#)]
    #[case::td_33(r#"{"act":{}}"#)]
    #[case::td_33(r#"{"act":{"client_id":"a"}}"#)]
    #[case::td_33(r#"{"act":{"iss":"https://a.example.com"}}"#)]
    #[case::td_33(r#"{"act":{"sub":""}}"#)]
    #[case::td_33(r#"{"act":{"sub":"a","act":{}}}"#)]
    #[case::td_33(r#"{"act":{"act":{"sub":"a"}}}"#)]
    #[case::td_33(r#"{"act":{"sub":"a","sub":"b"}}"#)]
    #[case::tb_18(r#"{"cnf":{"jkt":"a","jkt":"b"}}"#)]
    fn a_claim_of_the_wrong_type_spoils_the_token(#[case] json: &str) {
        assert!(Claims::parse(json).is_none());
    }

    #[test]
    fn td_23_identifiers_have_a_length_limit() {
        assert!(is_identifier(&"a".repeat(MAX_IDENTIFIER)));
        assert!(!is_identifier(&"a".repeat(MAX_IDENTIFIER + 1)));
    }

    #[test]
    fn td_33_a_delegation_chain_is_read_from_the_current_actor_on() {
        let json =
            r#"{"act":{"act":{"sub":"first","iss":"https://a.example.com"},"sub":"second"}}"#;
        let actors = Claims::parse(json).unwrap().actors;
        let subjects: Vec<_> = actors.iter().map(|actor| &*actor.subject).collect();
        assert_eq!(subjects, ["second", "first"]);
        assert_eq!(actors[1].issuer.as_deref(), Some("https://a.example.com"));

        let chain = |length| {
            let open = r#"{"sub":"a","act":"#.repeat(length - 1);
            format!(r#"{{"act":{open}{{"sub":"a"}}{}}}"#, "}".repeat(length - 1))
        };
        assert_eq!(
            Claims::parse(&chain(MAX_ACTORS)).unwrap().actors.len(),
            MAX_ACTORS
        );
        assert!(Claims::parse(&chain(MAX_ACTORS + 1)).is_none());
    }

    /// Two readings of the same claims must not differ in what is too deep.
    #[test]
    fn tb_20_depth_counts_through_a_delegation_chain() {
        for actors in 1..=MAX_ACTORS {
            for arrays in [13 - actors, 14 - actors, 15 - actors, 16 - actors] {
                let json = format!(
                    r#"{{"act":{}"x":{}{}{},"cid":"web"}}"#,
                    r#"{"sub":"a","act":"#.repeat(actors - 1) + r#"{"sub":"a","#,
                    "[".repeat(arrays),
                    "]".repeat(arrays),
                    "}".repeat(actors)
                );
                let fits = 1 + actors + arrays <= 16;
                assert_eq!(Claims::parse(&json).is_some(), fits, "{json}");
                let client = named(&json, "cid");
                assert_eq!(client.is_ok_and(|client| client.is_some()), fits, "{json}");
            }
        }
    }

    #[rstest]
    #[case(r#"{"typ":"Bearer"}"#, false)]
    #[case(r#"{"typ":"Refresh"}"#, true)]
    #[case(r#"{"typ":"ID"}"#, true)]
    #[case(r#"{"token_use":"access"}"#, false)]
    #[case(r#"{"token_use":"id"}"#, true)]
    fn td_19_a_token_that_says_its_use_is_believed(#[case] json: &str, #[case] other: bool) {
        assert_eq!(Claims::parse(json).unwrap().says_other_use, other);
    }
}
