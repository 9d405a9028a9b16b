//! Whole tokens, made by an issuer that signs anything, against what is asked of them.

mod contents;
mod keys;
mod laws;
mod signatures;
mod structure;

use gateless_core::{Principal, PrincipalKind, scope};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::testing::{
    AUDIENCE, ISSUER, NOW, Signer, authenticate, claims, claims_with, claims_without, encode,
    key_set, mac, merged, policy, signer,
};
use crate::{Algorithm, HmacSecret, Key, KeySet, ScopeClaim};

fn issuer() -> &'static Signer {
    signer(Algorithm::EdDSA)
}

fn strict(token: &str) -> Result<Principal, TokenFault> {
    authenticate(token, &issuer().keys(), &policy())
}

fn lax(token: &str) -> Result<Principal, TokenFault> {
    authenticate(token, &issuer().keys(), &policy().profile(Profile::Lax))
}

fn fault_of(result: Result<Principal, TokenFault>) -> Option<TokenFault> {
    result.err()
}

/// The three segments of a token.
fn segments(token: &str) -> [&str; 3] {
    let segments: Vec<_> = token.split('.').collect();
    segments.try_into().unwrap()
}

fn with_signature(token: &str, signature: &[u8]) -> String {
    let [header, payload, _] = segments(token);
    format!("{header}.{payload}.{}", encode(signature))
}

fn signature_of(token: &str) -> Vec<u8> {
    crate::base64url::decode(segments(token)[2].as_bytes()).unwrap()
}
