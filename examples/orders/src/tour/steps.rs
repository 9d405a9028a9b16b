//! What there is to see.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use gateless_testkit::{TestIssuer, TokenBuilder};

use super::answer::Expected;
use super::{Call, Step};
use crate::config::{Limits, PerMinute};

/// How long the tokens are good: long enough to read the guide at leisure.
const LIFETIME: i64 = 3_600;

const NEW_ORDER: &str = r#"{"item":"espresso machine","quantity":1}"#;

/// The steps that can be taken at any time, in any order.
/// `opaque` is a token that is no JWT.
pub(super) fn standing(issuer: &TestIssuer, audience: &str, opaque: &str) -> Vec<Step> {
    let token = |subject, scope| token(issuer, audience, subject, scope);
    let reader = token("alice", "orders:read").mint();
    let writer = token("bob", "orders:read orders:write").mint();
    let expired = token("alice", "orders:read")
        .issued_in(-600)
        .expires_in(-300);
    let revoked = opaque_token(issuer, audience);
    issuer.revoke(&revoked);
    let elsewhere = token("alice", "orders:read").audience("https://billing.example.com");
    let list = Call::Get("/orders");
    let invalid = Expected::http(401)
        .challenge(r#"Bearer error="invalid_token""#)
        .body(r#""code":"token_invalid""#);

    vec![
        Step {
            title: "no token: who is it?",
            call: list.clone(),
            tokens: vec![],
            expected: Expected::http(401)
                .challenge("Bearer")
                .body(r#""code":"credentials_missing""#),
        },
        Step {
            title: "a token that grants orders:read",
            call: list.clone(),
            tokens: vec![reader.clone()],
            expected: Expected::http(200).body(r#"{"orders":["#),
        },
        Step {
            title: "one that grants orders:write as well places an order",
            call: Call::Post("/orders", NEW_ORDER.into()),
            tokens: vec![writer.clone()],
            expected: Expected::http(201).body(r#""placed_by":"bob""#),
        },
        Step {
            title: "a missing scope is named",
            call: Call::Post("/orders", NEW_ORDER.into()),
            tokens: vec![reader.clone()],
            expected: Expected::http(403)
                .challenge(r#"Bearer error="insufficient_scope""#)
                .challenge(r#"scope="orders:write""#)
                .body(r#""missing_scopes":["orders:write"]"#),
        },
        Step {
            title: "an expired token",
            call: list.clone(),
            tokens: vec![expired.mint()],
            expected: invalid.clone(),
        },
        Step {
            title: "a token for another service: the same answer, so that nothing is learned from it",
            call: list.clone(),
            tokens: vec![elsewhere.mint()],
            expected: invalid.clone(),
        },
        Step {
            title: "what the service knows about the caller",
            call: Call::Get("/whoami"),
            tokens: vec![reader.clone()],
            expected: Expected::http(200).body(r#""subject":"alice""#),
        },
        Step {
            title: "two Authorization fields: each hop could believe another one",
            call: list.clone(),
            tokens: vec![reader.clone(), writer],
            expected: Expected::http(400)
                .challenge(r#"Bearer error="invalid_request""#)
                .body(r#""code":"credentials_malformed""#),
        },
        Step {
            title: "the same port, the same token, over gRPC",
            call: Call::GrpcList,
            tokens: vec![reader.clone()],
            expected: Expected::grpc(tonic::Code::Ok),
        },
        Step {
            title: "a missing scope over gRPC",
            call: Call::GrpcCreate("grinder"),
            tokens: vec![reader],
            expected: Expected::grpc(tonic::Code::PermissionDenied),
        },
        Step {
            title: "no token over gRPC",
            call: Call::GrpcList,
            tokens: vec![],
            expected: Expected::grpc(tonic::Code::Unauthenticated),
        },
        Step {
            title: "a token that is no JWT: its server is asked whose it is, once in a while",
            call: Call::Get("/whoami"),
            tokens: vec![opaque.to_owned()],
            expected: Expected::http(200).body(r#""subject":"carol""#),
        },
        Step {
            title: "the same token over gRPC",
            call: Call::GrpcList,
            tokens: vec![opaque.to_owned()],
            expected: Expected::grpc(tonic::Code::Ok),
        },
        Step {
            title: "one that its server has revoked",
            call: list.clone(),
            tokens: vec![revoked],
            expected: invalid,
        },
    ]
}

/// To be sent one after the other: somebody signs out, and the token is good for nothing from the next request on.
pub(super) fn revocation(issuer: &TestIssuer, audience: &str) -> [Step; 6] {
    // Another one each time, as there is no end to being signed out where that is kept in a file.
    let session = format!(
        "session-{:016x}",
        RandomState::new().build_hasher().finish()
    );
    let token = |subject, scope| token(issuer, audience, subject, scope);
    let signed_in = token("dave", "orders:read").session_id(&*session).mint();
    let sign_out = Call::Post(
        "/admin/revocations",
        format!(r#"{{"sid":"{session}"}}"#).into(),
    );
    let list = Call::Get("/orders");
    let invalid = Expected::http(401)
        .challenge(r#"Bearer error="invalid_token""#)
        .body(r#""code":"token_invalid""#);
    [
        Step {
            title: "a token of somebody who is signed in",
            call: list.clone(),
            tokens: vec![signed_in.clone()],
            expected: Expected::http(200).body(r#"{"orders":["#),
        },
        Step {
            title: "not everybody may sign others out",
            call: sign_out.clone(),
            tokens: vec![signed_in.clone()],
            expected: Expected::http(403)
                .challenge(r#"Bearer error="insufficient_scope""#)
                .challenge(r#"scope="tokens:revoke""#),
        },
        Step {
            title: "an operator signs the session out",
            call: sign_out.clone(),
            tokens: vec![token("erin", "tokens:revoke").mint()],
            expected: Expected::http(200).body(r#"{"revoked":"session","status":"stored"}"#),
        },
        Step {
            title: "the next request with the same token, which the service knew as good",
            call: list,
            tokens: vec![signed_in.clone()],
            expected: invalid,
        },
        Step {
            title: "the same over gRPC",
            call: Call::GrpcList,
            tokens: vec![signed_in],
            expected: Expected::grpc(tonic::Code::Unauthenticated),
        },
        Step {
            title: "to say it again does no harm",
            call: sign_out,
            tokens: vec![token("erin", "tokens:revoke").mint()],
            expected: Expected::http(200).body(r#""status":"stored""#),
        },
    ]
}

/// To be sent one after the other, and last: too much, and too many guesses.
pub(super) fn limits(issuer: &TestIssuer, audience: &str, limits: Limits) -> Vec<Step> {
    let token = |subject| token(issuer, audience, subject, "orders:read").mint();
    let mut steps = Vec::new();
    let list = Call::Get("/orders");
    let too_many = Expected::http(429)
        .told_to_wait()
        .body(r#""code":"rate_exceeded""#);
    // A limit that is beyond a tour is not shown.
    let most = |limit: PerMinute| {
        limit
            .map(|limit| limit.get().saturating_mul(2))
            .filter(|most| *most <= 5_000)
    };
    if let Some(most) = most(limits.requests) {
        steps.push(Step {
            title: "a caller who does not stop is told when to come back",
            call: Call::Flood("/orders", most),
            tokens: vec![token("frank")],
            expected: too_many.clone(),
        });
        steps.push(Step {
            title: "nobody else notices",
            call: list.clone(),
            tokens: vec![token("grace")],
            expected: Expected::http(200).body(r#"{"orders":["#),
        });
    }
    if let Some(most) = most(limits.failures) {
        let known = token("heidi");
        steps.push(Step {
            title: "a token that will be known as good",
            call: list.clone(),
            tokens: vec![known.clone()],
            expected: Expected::http(200),
        });
        steps.push(Step {
            title: "somebody guesses tokens: after so many nobody looks at the next one",
            call: Call::Guess("/orders", most),
            tokens: vec![],
            expected: too_many,
        });
        steps.push(Step {
            title: "the token that is known goes on, from the same address",
            call: list,
            tokens: vec![known],
            expected: Expected::http(200).body(r#"{"orders":["#),
        });
    }
    steps
}

/// To be sent while the introspection endpoint is away: a token that was asked about before, and one that was not.
pub(super) fn outage(known: String, issuer: &TestIssuer, audience: &str) -> [Step; 2] {
    let list = Call::Get("/orders");
    [
        Step {
            title: "the introspection endpoint breaks down: a token that is known goes on",
            call: list.clone(),
            tokens: vec![known],
            expected: Expected::http(200).body(r#"{"orders":["#),
        },
        Step {
            title: "and one that is not gets 503: it may be good, and nobody knows",
            call: list.clone(),
            tokens: vec![opaque_token(issuer, audience)],
            expected: Expected::http(503).body(r#""code":"dependency_unavailable""#),
        },
    ]
}

/// A token that says nothing by itself.
pub(super) fn opaque_token(issuer: &TestIssuer, audience: &str) -> String {
    issuer
        .opaque_token()
        .subject("carol")
        .client_id("orders-tour")
        .audience(audience)
        .scope("orders:read")
        .expires_in(LIFETIME)
        .mint()
}

/// To be sent once the issuer has rotated its keys, with a token minted after that.
pub(super) fn new_key(issuer: &TestIssuer, audience: &str) -> Step {
    Step {
        title: "the issuer rotates its keys: a token with the new one is good at once",
        call: Call::Get("/orders"),
        tokens: vec![token(issuer, audience, "alice", "orders:read").mint()],
        expected: Expected::http(200).body(r#"{"orders":["#),
    }
}

/// To be sent once the issuer has rotated its keys, with a token minted before that.
pub(super) fn withdrawn_key(issuer: &TestIssuer, audience: &str) -> Step {
    Step {
        title: "and one with the key that it withdrew is not",
        call: Call::Get("/orders"),
        tokens: vec![token(issuer, audience, "alice", "orders:read").mint()],
        expected: Expected::http(401).challenge(r#"Bearer error="invalid_token""#),
    }
}

fn token(issuer: &TestIssuer, audience: &str, subject: &str, scope: &str) -> TokenBuilder {
    issuer
        .token()
        .subject(subject)
        .client_id("orders-tour")
        .audience(audience)
        .scope(scope)
        .expires_in(LIFETIME)
}
