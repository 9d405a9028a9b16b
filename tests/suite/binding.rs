//! TI: tokens that are bound to a key of their sender, by DPoP (RFC 9449) or a client certificate (RFC 8705). No binding can be
//! checked here yet, so nothing that is bound gets in anywhere, whatever proof comes with it.

use std::sync::Arc;

use gateless::bearer::{BearerAuth, Profile};
use gateless::hybrid::{HybridAuth, OptionalHybridAuth};
use gateless::introspection::{
    ClientAuthentication, Endpoint, Introspection, IntrospectionBuilder, IntrospectionPolicy,
    Secret,
};
use gateless::strip::StripIdentityHeaders;
use gateless::{Anonymous, OnOutage, Principal, TokenFault};
use gateless_testkit::{FakeClock, OpaqueTokenBuilder, TestIssuer};
use http::request::Builder;
use rstest::rstest;
use serde_json::{Value, json};
use tower::ServiceBuilder;

use crate::sockets::DEADLINE;
use crate::support::{AUDIENCE, Refusal, auth, auth_with, bearer, issuer, passes, policy, refuses};

/// The thumbprint of a key, and of a certificate.
const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
const X5T: &str = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2";

/// A certificate as a proxy hands it on: RFC 9440, and the field of Envoy.
const CERTIFICATE: &str = ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBB:";
const XFCC: &str = "By=spiffe://example.com/a;Hash=468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688";

fn refusal() -> Refusal {
    Refusal::tok(TokenFault::BindingUnsupported)
}

fn bound(cnf: Value) -> String {
    issuer().token().claim("cnf", cnf).mint()
}

/// What a client of DPoP sends along: signed by a key that we happen to know, for the request that it comes with.
fn proof() -> String {
    let claims = json!({"jti": "p1", "htm": "POST", "htu": "https://api.example.com/shop.Orders/List", "iat": 1_750_000_000});
    let proof = issuer()
        .token()
        .header("typ", "dpop+jwt")
        .without_header("kid");
    proof.raw_claims(claims.to_string()).mint()
}

/// An authorization server and a layer that asks it, and both layers in one.
struct Asked {
    server: TestIssuer,
    introspection: Introspection,
    hybrid: HybridAuth,
}

impl Asked {
    /// Also when it is remembered.
    async fn refuses(&self, token: &str) {
        for _ in 0..2 {
            refuses(&self.introspection, &refusal(), token, |it| {
                with_everything(it, token)
            })
            .await;
            refuses(&self.hybrid, &refusal(), token, |it| {
                with_everything(it, token)
            })
            .await;
        }
    }

    async fn new() -> Self {
        let server = TestIssuer::builder().clock(Arc::new(FakeClock::new()));
        let server = server.serve().await.unwrap();
        let introspection = asking(&server).build().unwrap();
        let hybrid = HybridAuth::new(&auth(), &introspection).unwrap();
        Self {
            server,
            introspection,
            hybrid,
        }
    }
}

fn asking(server: &TestIssuer) -> IntrospectionBuilder {
    let policy = IntrospectionPolicy::new(server.issuer(), AUDIENCE).danger_allow_http_loopback();
    let endpoint =
        Endpoint::url(server.introspection_url(), OnOutage::FailClosed).timeout(DEADLINE);
    let secret = Secret::new(TestIssuer::CLIENT_SECRET);
    let client = ClientAuthentication::basic(TestIssuer::CLIENT_ID, secret);
    Introspection::builder(policy, endpoint, client).clock(Arc::new(FakeClock::new()))
}

/// A bound token, sent as a bearer token with everything that a client of the other kind would send along.
fn with_everything(request: Builder, token: &str) -> Builder {
    request
        .header("authorization", bearer(token))
        .header("dpop", proof())
        .header("client-cert", CERTIFICATE)
        .header("x-forwarded-client-cert", XFCC)
}

#[rstest]
#[case::ti_01_by_dpop(json!({"jkt": JKT}))]
#[case::ti_22_by_a_certificate(json!({"x5t#S256": X5T}))]
#[case::ti_25_by_both(json!({"jkt": JKT, "x5t#S256": X5T}))]
#[case::by_something_else(json!({"jwk": {"kty": "OKP"}, "kid": "x"}))]
#[case::by_nothing(json!({}))]
#[tokio::test]
async fn ti_01_ti_22_ti_23_ti_25_a_bound_jwt_gets_in_nowhere(#[case] cnf: Value) {
    let asked = Asked::new().await;
    let token = bound(cnf.clone());
    let forgetful = auth_with(policy()).without_token_cache().build().unwrap();
    let optional = auth_with(policy()).build_optional().unwrap();
    let lax = auth_with(policy().profile(Profile::Lax)).build().unwrap();
    let may_be_hybrid = OptionalHybridAuth::new(
        &auth_with(policy()).build_optional().unwrap(),
        &asking(&asked.server).build_optional().unwrap(),
    );
    let may_be_hybrid = may_be_hybrid.unwrap();
    // Twice: the second time it could come out of a cache.
    for _ in 0..2 {
        for make in [
            (|it: Builder, token: &str| it.header("authorization", bearer(token)))
                as fn(Builder, &str) -> Builder,
            with_everything,
        ] {
            refuses(&auth(), &refusal(), &token, |it| make(it, &token)).await;
            refuses(&forgetful, &refusal(), &token, |it| make(it, &token)).await;
            refuses(&optional, &refusal(), &token, |it| make(it, &token)).await;
            refuses(&lax, &refusal(), &token, |it| make(it, &token)).await;
            refuses(&asked.hybrid, &refusal(), &token, |it| make(it, &token)).await;
            refuses(&may_be_hybrid, &refusal(), &token, |it| make(it, &token)).await;
        }
    }
    // A JWT of the server that is asked: what the server says about it counts.
    asked.server.introspect_jwts(true);
    let token = asked.server.token().claim("cnf", cnf).mint();
    asked.refuses(&token).await;
}

#[rstest]
#[case::ti_01_by_dpop(|it: OpaqueTokenBuilder| it.claim("cnf", json!({"jkt": JKT})))]
#[case::ti_01_by_its_type(|it: OpaqueTokenBuilder| it.token_type("DPoP"))]
#[case::ti_01_by_its_type_in_odd_case(|it: OpaqueTokenBuilder| it.token_type("dPoP"))]
#[case::ti_22_by_a_certificate(|it: OpaqueTokenBuilder| it.claim("cnf", json!({"x5t#S256": X5T})))]
#[case::ti_25_by_both(|it: OpaqueTokenBuilder| it.claim("cnf", json!({"jkt": JKT, "x5t#S256": X5T})))]
#[case::by_nothing(|it: OpaqueTokenBuilder| it.claim("cnf", Value::Null))]
#[tokio::test]
async fn ti_01_ti_22_ti_23_ti_25_a_bound_opaque_token_gets_in_nowhere(
    #[case] bind: fn(OpaqueTokenBuilder) -> OpaqueTokenBuilder,
) {
    let asked = Asked::new().await;
    let token = bind(asked.server.opaque_token()).keep_active().mint();
    asked.refuses(&token).await;
}

#[tokio::test]
async fn ti_01_a_cache_that_knows_the_unbound_token_does_not_vouch_for_the_bound_one() {
    let layer = auth();
    let (unbound, bound) = (
        issuer().token(),
        issuer().token().claim("cnf", json!({"jkt": JKT})),
    );
    let (unbound, bound) = (unbound.token_id("one").mint(), bound.token_id("one").mint());
    for _ in 0..2 {
        passes(&layer, &unbound, |it| {
            it.header("authorization", bearer(&unbound))
        })
        .await;
        refuses(&layer, &refusal(), &bound, |it| {
            it.header("authorization", bearer(&bound))
        })
        .await;
    }
}

/// None, one, two, and a list of proofs (RFC 9449 §4.3).
fn proofs(request: Builder, how: usize) -> Builder {
    match how {
        0 => request,
        1 => request.header("dpop", proof()),
        2 => request.header("dpop", proof()).header("dpop", proof()),
        _ => request.header("dpop", format!("{}, {}", proof(), proof())),
    }
}

#[tokio::test]
async fn ti_02_ti_06_ti_21_no_proof_makes_a_bound_token_a_bearer_token() {
    let token = bound(json!({"jkt": JKT}));
    for how in 0..4 {
        refuses(&auth(), &refusal(), &token, |it| {
            proofs(it.header("authorization", bearer(&token)), how)
        })
        .await;
    }
}

#[tokio::test]
async fn ti_02_ti_21_a_bearer_token_is_what_it_is_whatever_proof_comes_with_it() {
    let token = issuer().token().mint();
    for how in 0..4 {
        let request = passes(&auth(), &token, |it| {
            proofs(it.header("authorization", bearer(&token)), how)
        })
        .await;
        let principal = Principal::of(&request.extensions).unwrap();
        assert_eq!(principal.subject(), Some("user-1"));
    }
}

#[rstest]
#[case::as_it_is_written("DPoP")]
#[case::lower_case("dpop")]
#[case::upper_case("DPOP")]
#[tokio::test]
async fn ti_03_ti_21_the_scheme_of_dpop_is_no_bearer_credentials(#[case] scheme: &str) {
    let asked = Asked::new().await;
    // Neither the unbound token, nor the bound one for which it is meant: only `Bearer` is offered (RFC 6750 §3, no error).
    for token in [issuer().token().mint(), bound(json!({"jkt": JKT}))] {
        let make = |it: Builder| {
            it.header("authorization", format!("{scheme} {token}"))
                .header("dpop", proof())
        };
        refuses(&auth(), &Refusal::none(), &token, make).await;
        refuses(&asked.introspection, &Refusal::none(), &token, make).await;
        refuses(&asked.hybrid, &Refusal::none(), &token, make).await;
        // Where nobody has to be anybody, it makes nobody of anybody.
        let optional = auth_with(policy()).build_optional().unwrap();
        let request = passes(&optional, &token, make).await;
        assert!(request.extensions.get::<Anonymous>().is_some());
        assert!(Principal::optional(&request.extensions).unwrap().is_none());
    }
    assert_eq!(asked.server.requests().introspection, 0);
}

#[tokio::test]
async fn ti_03_two_schemes_are_no_choice() {
    let token = issuer().token().mint();
    let refusal = Refusal::req(gateless::PresentationFault::RepeatedHeader);
    refuses(&auth(), &refusal, &token, |it| {
        it.header("authorization", format!("DPoP {token}"))
            .header("authorization", bearer(&token))
    })
    .await;
}

#[tokio::test]
async fn ti_04_a_proof_is_no_access_token() {
    let proof = proof();
    let refusal = Refusal::tok(TokenFault::TypeNotAllowed);
    let complete = issuer().token().header("typ", "dpop+jwt").mint();
    refuses(&auth(), &refusal, &complete, |it| {
        it.header("authorization", bearer(&complete))
    })
    .await;
    let layer: BearerAuth = auth();
    for protocol in crate::support::Protocol::ALL {
        let request = protocol.request().header("authorization", bearer(&proof));
        let answer = crate::support::send(&layer, request.body(String::new()).unwrap()).await;
        assert!(answer.rejection.is_some() && answer.reached.is_empty());
        answer.keeps(&proof);
    }
}

#[tokio::test]
async fn ti_24_a_certificate_in_a_field_is_nobodys_proof_and_taken_off() {
    const CLAIMED: [(&str, &str); 5] = [
        ("Client-Cert", CERTIFICATE),
        ("Client-Cert-Chain", CERTIFICATE),
        ("client_cert", CERTIFICATE),
        ("X-Forwarded-Client-Cert", XFCC),
        ("x_forwarded_client_cert", XFCC),
    ];
    let claim = |it: Builder| {
        CLAIMED
            .iter()
            .fold(it, |it, (name, value)| it.header(*name, *value))
    };
    let stack = ServiceBuilder::new()
        .layer(StripIdentityHeaders::default())
        .layer(auth())
        .into_inner();
    let token = bound(json!({"x5t#S256": X5T}));
    refuses(&stack, &refusal(), &token, |it| {
        claim(it).header("authorization", bearer(&token))
    })
    .await;
    refuses(&stack, &Refusal::none(), "", claim).await;

    let token = issuer().token().mint();
    let request = passes(&stack, &token, |it| {
        claim(it).header("authorization", bearer(&token))
    })
    .await;
    for (name, _) in CLAIMED {
        assert!(!request.headers.contains_key(name), "{name}");
    }
}
