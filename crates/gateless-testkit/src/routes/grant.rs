//! What a token grants: all that a requirement asks for, and less of it.

use std::time::Duration;

use gateless_core::{Principal, PrincipalKind, PrincipalParts, Requirement, ScopeSet, Timestamp};
use serde_json::{Map, Value};

use crate::token::TokenBuilder;

/// How many alternatives of a requirement are tried.
const MANY: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct Grant {
    scopes: Vec<String>,
    acr: Option<String>,
    is_recent: bool,
    kind: Option<PrincipalKind>,
    claims: Map<String, Value>,
}

impl Grant {
    /// A grant that meets `requirement`, with nothing that it does not ask for.
    pub(super) fn for_requirement(
        requirement: &Requirement,
        token: &TokenBuilder,
        now: Timestamp,
    ) -> Option<Self> {
        // Its JSON form is public, and all there is to know of it.
        let json = serde_json::to_value(requirement).ok()?;
        let mut ways = ways(&json, vec![Self::default()]).into_iter();
        ways.find(|way| requirement.check(&way.principal(token), now).is_ok())
    }

    /// The scopes of all of them.
    pub(super) fn for_all<'a>(requirements: impl Iterator<Item = &'a Requirement>) -> Self {
        let scopes = requirements.flat_map(Requirement::scopes);
        Self {
            scopes: scopes.map(|scope| scope.to_string()).collect(),
            is_recent: true,
            ..Self::default()
        }
    }

    /// The same with something missing, each in turn, and a name for each.
    pub(super) fn lacking_something(&self) -> Vec<(String, Self)> {
        let mut cases = Vec::new();
        if !self.scopes.is_empty() {
            let mut none = self.clone();
            none.scopes.clear();
            cases.push(("no scope".to_owned(), none.clone()));
            none.scopes.push("unrelated".to_owned());
            cases.push(("an unrelated scope".to_owned(), none));
            for scope in &self.scopes {
                let mut fewer = self.clone();
                fewer.scopes.retain(|other| other != scope);
                cases.push((format!("all but {scope}"), fewer.clone()));
                fewer.scopes.push(format!("{scope}x"));
                cases.push((format!("{scope}x in place of {scope}"), fewer));
            }
        }
        if self.acr.is_some() {
            let mut weaker = self.clone();
            weaker.acr = None;
            cases.push(("no acr".to_owned(), weaker));
        }
        if self.is_recent {
            let mut older = self.clone();
            older.is_recent = false;
            cases.push(("no auth_time".to_owned(), older));
        }
        if let Some(kind) = self.kind {
            let mut other = self.clone();
            other.kind = Some(match kind {
                PrincipalKind::User => PrincipalKind::Client,
                _ => PrincipalKind::User,
            });
            cases.push(("the other kind of caller".to_owned(), other));
        }
        for name in self.claims.keys() {
            let mut fewer = self.clone();
            fewer.claims.remove(name);
            cases.push((format!("without the claim {name}"), fewer));
        }
        cases
    }

    /// A token that grants this.
    pub(super) fn token(&self, base: &TokenBuilder) -> TokenBuilder {
        let mut token = base.clone();
        for (name, value) in &self.claims {
            token = token.claim(name, value.clone());
        }
        token = token.scope(self.scopes.join(" "));
        if let Some(acr) = &self.acr {
            token = token.acr(acr);
        }
        if self.is_recent {
            token = token.signed_in(0);
        }
        let client = token.claims().get("client_id").cloned();
        match (self.kind, client) {
            (Some(PrincipalKind::Client), Some(client)) => token.claim("sub", client),
            _ => token,
        }
    }

    /// The caller whom the layers make of that token, in all that a requirement looks at.
    pub(super) fn principal(&self, base: &TokenBuilder) -> Principal {
        let token = self.token(base);
        let claims = token.claims();
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let now = Timestamp::from_secs(token.now());
        let kind = match (text("sub"), text("client_id")) {
            (subject, client) if subject.is_none() || subject == client => PrincipalKind::Client,
            _ => PrincipalKind::User,
        };
        let scopes = ScopeSet::parse(text("scope").unwrap_or_default());
        Principal::assert_authenticated(PrincipalParts {
            kind,
            scopes: scopes.unwrap_or_default(),
            authentication_context: text("acr").map(Into::into),
            authenticated_at: claims.contains_key("auth_time").then_some(now),
            claims: Value::Object(claims.clone()).to_string().into(),
            ..PrincipalParts::new(
                text("iss").unwrap_or_default(),
                now.saturating_add(Duration::from_secs(300)),
            )
        })
    }
}

/// Each way so far, with what `requirement` needs on top.
fn ways(requirement: &Value, mut so_far: Vec<Grant>) -> Vec<Grant> {
    let member = |name: &str| requirement.get(name);
    let list = |name: &str| member(name).and_then(Value::as_array);
    if let Some(scope) = requirement.as_str() {
        for way in &mut so_far {
            if !way.scopes.iter().any(|known| known == scope) {
                way.scopes.push(scope.to_owned());
            }
        }
    } else if let Some(items) = list("all") {
        so_far = items.iter().fold(so_far, |so_far, item| ways(item, so_far));
    } else if let Some(items) = list("any") {
        so_far = items
            .iter()
            .flat_map(|item| ways(item, so_far.clone()))
            .collect();
        so_far.truncate(MANY);
    } else if let Some(one_of) = list("acr") {
        let acrs = one_of.iter().filter_map(Value::as_str);
        let each = acrs.flat_map(|acr| {
            so_far.iter().map(move |way| Grant {
                acr: Some(acr.to_owned()),
                ..way.clone()
            })
        });
        so_far = each.take(MANY).collect();
    } else if let Some(path) = list("claim") {
        let value = member("is").cloned().unwrap_or_default();
        for way in &mut so_far {
            put(&mut way.claims, path, &value);
        }
    } else if let Some(kind) = member("kind") {
        let kind = if kind == "client" {
            PrincipalKind::Client
        } else {
            PrincipalKind::User
        };
        so_far.iter_mut().for_each(|way| way.kind = Some(kind));
    } else if member("max_age").is_some() {
        so_far.iter_mut().for_each(|way| way.is_recent = true);
    }
    so_far
}

/// Puts `value` where the path leads; next to another that is there already, into a list.
fn put(object: &mut Map<String, Value>, path: &[Value], value: &Value) {
    let Some((Value::String(name), rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        let both = match object.remove(name) {
            None => value.clone(),
            Some(Value::Array(mut values)) => {
                values.push(value.clone());
                values.into()
            }
            Some(other) => vec![other, value.clone()].into(),
        };
        object.insert(name.clone(), both);
        return;
    }
    let there = object
        .entry(name.clone())
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = there {
        put(inner, rest, value);
    }
}
