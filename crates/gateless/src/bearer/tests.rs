//! Decisions without a service, and as far as possible without a runtime. Whole pipelines are in the top-level
//! `tests/`.
// Without a backend no key can be read.
#![cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use gateless_core::{Principal, Rejection, TokenFault};
use gateless_testkit::{FakeClock, TestIssuer};
use http::{Extensions, HeaderMap, HeaderValue, Method, Uri};

use super::{BearerAuth, Keys, OptionalBearerAuth, TokenPolicy};
use crate::gate::{Gate, Head, Step, Verdict};

const AUDIENCE: &str = "https://api.example.com";

fn issuer() -> TestIssuer {
    TestIssuer::builder()
        .clock(Arc::new(FakeClock::new()))
        .build()
}

fn layers(issuer: &TestIssuer) -> (BearerAuth, OptionalBearerAuth) {
    let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE);
    let keys = policy
        .read_keys(issuer.jwks().to_string().as_bytes())
        .unwrap();
    let builder = || {
        BearerAuth::builder(policy.clone(), Keys::fixed(keys.clone()))
            .clock(Arc::new(FakeClock::new()))
    };
    (
        builder().build().unwrap(),
        builder().build_optional().unwrap(),
    )
}

/// A decision as it is right after the call, polled once where it has to wait.
fn decide<G: Gate>(gate: &G, authorization: Option<&str>) -> Verdict {
    let mut headers = HeaderMap::new();
    if let Some(value) = authorization {
        headers.insert("authorization", HeaderValue::from_str(value).unwrap());
    }
    let (uri, extensions) = (Uri::from_static("/"), Extensions::new());
    let head = Head {
        method: &Method::GET,
        uri: &uri,
        headers: &headers,
        extensions: &extensions,
    };
    match gate.decide(head) {
        Step::Now(verdict) => verdict,
        Step::Wait(wait) => match pin!(wait).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(verdict) => verdict,
            Poll::Pending => panic!("waits for something that does not come"),
        },
    }
}

#[test]
fn fixed_keys_decide_without_a_runtime() {
    let issuer = issuer();
    let (auth, optional) = layers(&issuer);
    let good = format!("Bearer {}", issuer.token().mint());
    let bad = format!("Bearer {}", issuer.token().audience("other").mint());
    assert!(decide(&auth, Some(&good)).is_ok());
    assert!(decide(&optional, Some(&good)).is_ok());
    let mismatch = TokenFault::AudienceMismatch;
    assert_eq!(decide(&auth, Some(&bad)).unwrap_err(), mismatch.into());
    assert_eq!(decide(&optional, Some(&bad)).unwrap_err(), mismatch.into());
    assert_eq!(
        decide(&auth, None).unwrap_err(),
        Rejection::CredentialsMissing
    );
    assert!(decide(&optional, None).is_ok());
}

#[cfg(feature = "jwks")]
#[test]
fn te_09_keys_that_cannot_be_fetched_for_want_of_a_runtime_are_an_outage() {
    let issuer = issuer();
    let policy = TokenPolicy::new(issuer.issuer(), AUDIENCE);
    let keys = Keys::discovery(gateless_core::OnOutage::FailClosed);
    let auth = BearerAuth::builder(policy, keys)
        .clock(Arc::new(FakeClock::new()))
        .build()
        .unwrap();
    let printed = format!("{auth:?}");
    assert!(printed.contains("on_outage: FailClosed"), "{printed}");
    let token = format!("Bearer {}", issuer.token().mint());
    for _ in 0..2 {
        assert!(matches!(
            decide(&auth, Some(&token)).unwrap_err(),
            Rejection::DependencyUnavailable {
                dependency: gateless_core::Dependency::Keys,
                ..
            }
        ));
    }
}

#[test]
fn tl_02_tm_16_neither_a_layer_nor_a_head_prints_what_is_secret() {
    let issuer = issuer();
    let (auth, optional) = layers(&issuer);
    let printed = format!("{auth:?} {optional:?}");
    assert!(printed.contains("https://idp.example.com"), "{printed}");
    let modulus = &issuer.jwks()["keys"][0]["n"];
    assert!(!printed.contains(modulus.as_str().unwrap()), "{printed}");

    let uri = Uri::from_static("/orders?access_token=canary");
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer canary"));
    let head = Head {
        method: &Method::GET,
        uri: &uri,
        headers: &headers,
        extensions: &Extensions::new(),
    };
    let printed = format!("{head:?}");
    assert!(
        printed.contains("/orders") && !printed.contains("canary"),
        "{printed}"
    );
}

#[test]
fn the_identity_is_attached_by_the_gate_alone() {
    let issuer = issuer();
    let (auth, _) = layers(&issuer);
    let good = format!("Bearer {}", issuer.token().mint());
    let pass = decide(&auth, Some(&good)).unwrap();
    let printed = format!("{pass:?}");
    assert!(printed.contains("Principal"), "{printed}");
    assert!(!printed.contains("user-1"), "{printed}");
    assert!(Principal::of(&Extensions::new()).is_err());
}
