//! TF: a token that is known gets the answer that it got when it was not, in every protocol.

use std::sync::Arc;
use std::time::Duration;

use gateless::bearer::BearerAuth;
use gateless::scope::ScopeGuard;
use gateless::{TokenFault, scopes};
use gateless_testkit::FakeClock;
use http::Request;
use rstest::rstest;
use tower::ServiceBuilder;

use crate::support::{Answer, Protocol, Refusal, auth_with, bearer, issuer, policy, send};

async fn ask(auth: &BearerAuth, guard: &ScopeGuard, protocol: Protocol, token: &str) -> Answer {
    let layers = ServiceBuilder::new()
        .layer(auth.clone())
        .layer(guard.clone())
        .into_inner();
    let request = protocol.request().header("authorization", bearer(token));
    let answer = send(&layers, request.body(String::new()).unwrap()).await;
    answer.keeps(token);
    answer
}

fn read() -> ScopeGuard {
    ScopeGuard::all(scopes!["orders:read"])
}

#[rstest]
#[case::a_forged_one(issuer().token().signature([1; 256]).mint(), TokenFault::SignatureInvalid)]
#[case::an_expired_one(issuer().token().issued_in(-99).expires_in(-60).mint(), TokenFault::Expired)]
#[case::tf_16_for_another(issuer().token().audience("other").mint(), TokenFault::AudienceMismatch)]
#[case::an_incomplete_one(issuer().token().without("jti").mint(), TokenFault::ClaimMissing)]
#[tokio::test]
async fn a_known_bad_token_is_refused_as_it_was_at_first(
    #[case] token: String,
    #[case] fault: TokenFault,
) {
    for protocol in Protocol::ALL {
        let auth = auth_with(policy()).build().unwrap();
        for _ in 0..3 {
            let answer = ask(&auth, &read(), protocol, &token).await;
            answer.refused(protocol, &Refusal::tok(fault));
        }
    }
}

#[tokio::test]
async fn tf_15_scopes_are_asked_for_with_each_request_of_a_known_token() {
    let token = issuer().token().scope("orders:read").mint();
    let write = ScopeGuard::all(scopes!["orders:write"]);
    let refusal = Refusal::scope(&["orders:write"], &["orders:write"]);
    for protocol in Protocol::ALL {
        let auth = auth_with(policy()).build().unwrap();
        for _ in 0..3 {
            ask(&auth, &read(), protocol, &token).await.passed();
            let answer = ask(&auth, &write, protocol, &token).await;
            answer.refused(protocol, &refusal);
        }
    }
}

#[tokio::test]
async fn tf_14_tf_27_a_known_token_is_refused_once_it_has_expired() {
    let clock = FakeClock::new();
    let auth = auth_with(policy()).clock(Arc::new(clock.clone()));
    let auth = auth.build().unwrap();
    let token = issuer().token().scope("orders:read").expires_in(60).mint();
    for protocol in Protocol::ALL {
        ask(&auth, &read(), protocol, &token).await.passed();
    }
    clock.advance(Duration::from_secs(90));
    for protocol in Protocol::ALL {
        let answer = ask(&auth, &read(), protocol, &token).await;
        answer.refused(protocol, &Refusal::tok(TokenFault::Expired));
    }
}

/// The other sources and presentations are not remembered with the token.
#[tokio::test]
async fn a_known_token_has_to_be_presented_properly_each_time() {
    let auth = auth_with(policy()).build().unwrap();
    let token = issuer().token().scope("orders:read").mint();
    ask(&auth, &read(), Protocol::Http, &token).await.passed();
    let twice = Request::get("/")
        .header("authorization", bearer(&token))
        .header("authorization", bearer(&token));
    let answer = send(&auth, twice.body(String::new()).unwrap()).await;
    answer.refused(
        Protocol::Http,
        &Refusal::req(gateless::PresentationFault::RepeatedHeader),
    );
    let basic = Request::get("/").header("authorization", format!("Basic {token}"));
    let answer = send(&auth, basic.body(String::new()).unwrap()).await;
    answer.refused(Protocol::Http, &Refusal::none());
}
