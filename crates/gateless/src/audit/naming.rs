//! How records name callers, and from a trail to its record.

use std::net::IpAddr;

use gateless_audit::{Limited, PseudonymKey, Request, Text};
use gateless_core::{Principal, Scope};

use super::agent::family;
use super::trace::trace_id;
use super::trail::{Closing, Facts, Trail};

/// How a record names somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disclosure {
    /// As the token or the connection does.
    Plain,
    /// By a pseudonym: who has the [`PseudonymKey`] can ask for a name, and nobody can read one.
    Pseudonym,
    /// Not at all.
    Omitted,
}

/// How records of one layer name callers.
#[derive(Debug)]
pub(super) struct Naming {
    pub(super) key: PseudonymKey,
    pub(super) subject: Disclosure,
    pub(super) client: Disclosure,
    pub(super) peer: Disclosure,
}

/// How many scopes of a token are named.
const MOST_SCOPES: usize = 32;

/// How many actors are named.
const MOST_ACTORS: usize = 8;

impl Naming {
    pub(super) fn subject<'a>(&self, principal: &'a Principal) -> Option<Text<'a>> {
        self.person(principal.issuer(), principal.subject()?)
    }

    fn person<'a>(&self, issuer: &str, subject: &'a str) -> Option<Text<'a>> {
        match self.subject {
            Disclosure::Plain => Some(subject.into()),
            Disclosure::Pseudonym => Some(self.key.subject(issuer, subject).into()),
            Disclosure::Omitted => None,
        }
    }

    pub(super) fn client<'a>(&self, principal: &'a Principal) -> Option<Text<'a>> {
        let client_id = principal.client_id()?;
        match self.client {
            Disclosure::Plain => Some(client_id.into()),
            Disclosure::Pseudonym => Some(self.key.client(principal.issuer(), client_id).into()),
            Disclosure::Omitted => None,
        }
    }

    pub(super) fn token(&self, principal: &Principal) -> Option<Text<'static>> {
        let issuer = principal.issuer();
        let name = match (principal.token_id(), principal.token_digest()) {
            (Some(id), _) => self.key.token(issuer, id),
            (None, Some(digest)) => self.key.token_digest(issuer, digest.as_bytes()),
            (None, None) => return None,
        };
        Some(name.into())
    }

    pub(super) fn peer(&self, peer: IpAddr) -> Option<Text<'static>> {
        match self.peer {
            Disclosure::Plain => Some(peer.to_string().into()),
            Disclosure::Pseudonym => Some(self.key.peer(&peer.to_string()).into()),
            Disclosure::Omitted => None,
        }
    }

    /// The record of a request that is over.
    pub(super) fn record<'a>(
        &self,
        trail: &'a Trail,
        facts: &'a Facts,
        closing: &Closing,
    ) -> Request<'a> {
        let arrival = trail.arrival();
        let mut record = Request::new(arrival.protocol(), closing.outcome);
        record.method = arrival.method.into();
        record.route = facts.route.as_ref().map(|route| route.as_str().into());
        record.status = closing.status;
        record.grpc_status = closing.grpc_status;
        record.latency_us = closing.latency_us;
        record.token_found = facts.token_found;
        record.policy_epoch = facts.policy_epoch;
        record.flags = facts.flags.iter().collect();
        record.peer = arrival.peer.and_then(|peer| self.peer(peer));
        record.agent = arrival.agent().map(|agent| family(agent).into());
        record.trace = arrival.trace().and_then(trace_id).map(hex);
        record.limits = limits(facts);
        if let Some(ending) = closing.end {
            record.end = Some(ending.how);
            record.sent_bytes = Some(ending.sent_bytes);
            record.duration_us = Some(ending.duration_us);
        }
        if let Some(caller) = &facts.principal {
            self.add_caller(&mut record, caller);
        }
        if let Some(refusal) = &facts.refusal {
            record.stage = Some(refusal.stage.into());
            record.code = Some(refusal.rejection.code().into());
            record.reason = Some(refusal.rejection.reason().into());
            record.credential = refusal.credential.map(|credential| credential.hex().into());
        }
        let shortfall = facts
            .refusal
            .as_ref()
            .and_then(|refusal| refusal.rejection.shortfall());
        record.scopes_required = match (&facts.asked_for, shortfall) {
            (Some(access), _) => access.requirement().map(|asked| owned(asked.scopes())),
            (None, Some(shortfall)) => Some(owned(shortfall.needed().to_vec())),
            (None, None) => None,
        }
        .unwrap_or_default();
        record
    }

    fn add_caller<'a>(&self, record: &mut Request<'a>, caller: &'a Principal) {
        record.issuer = Some(caller.issuer().into());
        record.subject = self.subject(caller);
        record.subject_kind = Some(caller.kind().name().into());
        record.client = self.client(caller);
        record.token = self.token(caller);
        record.key = caller.key_id().map(Text::from);
        let scopes = caller.scopes().iter().take(MOST_SCOPES);
        record.scopes_granted = scopes.map(Text::from).collect();
        let actors = caller.actors().iter().take(MOST_ACTORS);
        record.actors = actors
            .filter_map(|actor| {
                let issuer = actor.issuer.as_deref().unwrap_or(caller.issuer());
                self.person(issuer, &actor.subject)
            })
            .collect();
    }
}

fn owned(scopes: Vec<Scope>) -> Vec<Text<'static>> {
    let scopes = scopes.into_iter().take(MOST_SCOPES);
    scopes
        .map(|scope| Text::new(scope.as_str().to_owned()))
        .collect()
}

fn limits(facts: &Facts) -> Vec<Limited<'_>> {
    let limits = facts.limits.iter();
    let limited = |(name, result): &'_ (std::sync::Arc<str>, _)| Limited {
        name: Text::new(name.to_string()),
        result: *result,
    };
    limits.map(limited).collect()
}

fn hex(id: u128) -> Text<'static> {
    format!("{id:032x}").into()
}
