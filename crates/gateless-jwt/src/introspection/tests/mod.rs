//! What a server can answer, against what is asked of answers.

mod judging;
mod laws;
mod reading;
mod settings;
mod signed;

use std::time::Duration;

use gateless_core::{Principal, PrincipalKind, Timestamp, TokenFault, scope};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::testing::{AUDIENCE, ISSUER, NOW, Signer, claims, key_set, merged, signer};
use crate::{Algorithm, KeySet, ScopeClaim};

const TOKEN: &str = "an-opaque-token";

fn policy() -> IntrospectionPolicy {
    IntrospectionPolicy::new(ISSUER, AUDIENCE).algorithms(Algorithm::ALL)
}

fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

/// An answer that leaves nothing to be asked for.
fn answer() -> Value {
    merged(claims(), json!({ "active": true, "token_type": "Bearer" }))
}

/// The same with some members set otherwise; those that are null here are left out.
fn answer_with(changes: Value) -> Value {
    let mut answer = merged(answer(), changes);
    let members = answer.as_object_mut().unwrap();
    members.retain(|_, value| !value.is_null());
    answer
}

fn active(answer: &Value) -> ActiveToken {
    match Answer::read(answer.to_string().as_bytes()) {
        Ok(Answer::Active(token)) => token,
        other => panic!("{other:?} of {answer}"),
    }
}

/// The whole way of an answer, at [`NOW`].
fn authenticate(answer: &Value, policy: &IntrospectionPolicy) -> Result<Principal, TokenFault> {
    active(answer)
        .into_facts(TOKEN, policy, now())?
        .judge(policy, now())
}

fn fault(changes: Value, policy: &IntrospectionPolicy) -> Option<TokenFault> {
    authenticate(&answer_with(changes), policy).err()
}
