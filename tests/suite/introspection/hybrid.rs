//! Which way a token goes: by its form and its issuer, never by trying, and never to a stranger.

use std::sync::Arc;

use gateless::bearer::{BearerAuth, BearerAuthBuilder, Credentials, TokenPolicy};
use gateless::hybrid::{HybridAuth, OptionalHybridAuth};
use gateless::introspection::Introspection;
use gateless::{Anonymous, ConfigFault, PresentationFault, Principal, TokenFault};
use gateless_testkit::{Fault, TestIssuer, encode_segments};
use http::HeaderName;
use rstest::rstest;
use serde_json::json;

use super::{World, accepts, ask, rejects};
use crate::support::{AUDIENCE, Protocol, Refusal, bearer, issuer, keys_of, passes, refuses, send};

/// JWTs of the issuer of most tests are checked here; the world is asked about everything else.
struct Both {
    world: World,
    bearer: BearerAuth,
    introspection: Introspection,
    auth: HybridAuth,
}

fn local(world: &World, credentials: Credentials) -> BearerAuthBuilder {
    crate::support::auth_with(crate::support::policy())
        .clock(Arc::new(world.clock.clone()))
        .credentials(credentials)
}

impl Both {
    async fn new() -> Self {
        let world = World::new().await;
        let bearer = local(&world, Credentials::new()).build().unwrap();
        let introspection = world.layer();
        let auth = HybridAuth::new(&bearer, &introspection).unwrap();
        Self {
            world,
            bearer,
            introspection,
            auth,
        }
    }
}

#[tokio::test]
async fn tf_25_a_jwt_of_a_local_issuer_is_checked_here_and_sent_to_nobody() {
    let both = Both::new().await;
    for _ in 0..3 {
        let token = issuer().token().scope("orders:read").mint();
        for _ in 0..2 {
            let passed = accepts(&both.auth, &token).await;
            let principal = Principal::of(&passed.extensions).unwrap();
            assert_eq!(principal.issuer(), issuer().issuer());
        }
    }
    assert_eq!(both.world.calls(), 0);
    // Also while the server is away, and while all of it hangs.
    both.world.issuer.set_fault(Fault::Hang);
    accepts(&both.auth, &issuer().token().mint()).await;
    assert_eq!(both.world.calls(), 0);
}

#[rstest]
#[case::expired(issuer().token().issued_in(-99).expires_in(-60).mint(), TokenFault::Expired)]
#[case::for_another(issuer().token().audience("other").mint(), TokenFault::AudienceMismatch)]
#[case::forged(issuer().token().signature([1; 256]).mint(), TokenFault::SignatureInvalid)]
#[case::an_unknown_key(issuer().token().header("kid", "unknown").mint(), TokenFault::KeyUnknown)]
#[case::not_signed(issuer().token().header("alg", "none").unsigned().mint(), TokenFault::Malformed)]
#[case::another_type(issuer().token().header("typ", "dpop+jwt").mint(), TokenFault::TypeNotAllowed)]
#[case::without_an_id(issuer().token().without("jti").mint(), TokenFault::ClaimMissing)]
#[tokio::test]
async fn tf_25_a_jwt_of_a_local_issuer_that_fails_here_is_not_tried_elsewhere(
    #[case] token: String,
    #[case] fault: TokenFault,
) {
    let both = Both::new().await;
    // It would be called active there.
    let chosen = both.world.issuer.opaque_token().text(&*token).mint();
    for _ in 0..2 {
        rejects(&both.auth, &chosen, &Refusal::tok(fault)).await;
    }
    assert_eq!(both.world.calls(), 0);
}

/// Some with a server that would call them active, if only it were asked.
fn of_nobody() -> Vec<(&'static str, String, TokenFault)> {
    let stranger = TestIssuer::builder()
        .issuer("https://stranger.example.com")
        .build();
    let header = br#"{"alg":"RS256","typ":"at+jwt"}"#;
    let encrypted = br#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#;
    let segments = |segments: &[&[u8]]| {
        use base64::Engine as _;
        let encode = |it: &&[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(it);
        segments.iter().map(encode).collect::<Vec<_>>().join(".")
    };
    let claims = |claims: serde_json::Value| claims.to_string().into_bytes();
    let many = json!({"iss": [issuer().issuer()]});
    let twice = format!(r#"{{"iss":"{}","iss":"x"}}"#, issuer().issuer());
    vec![
        (
            "of a stranger",
            stranger.token().mint(),
            TokenFault::IssuerUnknown,
        ),
        (
            "encrypted",
            segments(&[encrypted, b"key", b"iv", b"text", b"tag"]),
            TokenFault::Encrypted,
        ),
        (
            "of two segments",
            segments(&[header, b"{}"]),
            TokenFault::Malformed,
        ),
        (
            "of four segments",
            segments(&[header, b"{}", b"x", b"y"]),
            TokenFault::Malformed,
        ),
        (
            "without an issuer",
            encode_segments(header, b"{}", b"x"),
            TokenFault::Malformed,
        ),
        (
            "of two issuers",
            encode_segments(header, &claims(many), b"x"),
            TokenFault::Malformed,
        ),
        (
            "of an issuer named twice",
            encode_segments(header, twice.as_bytes(), b"x"),
            TokenFault::Malformed,
        ),
        (
            "no object",
            encode_segments(header, b"[]", b"x"),
            TokenFault::Malformed,
        ),
        (
            "not base64",
            format!("{}.?.x", segments(&[header])),
            TokenFault::Malformed,
        ),
        (
            "with a header of two values",
            encode_segments(br#"{"alg":1,"alg":2}"#, b"{}", b""),
            TokenFault::Malformed,
        ),
    ]
}

#[tokio::test]
async fn tf_25_a_jwt_of_anybody_else_and_a_broken_one_is_sent_to_nobody() {
    let both = Both::new().await;
    let tokens = of_nobody().into_iter().chain([(
        "of an issuer that is trusted elsewhere",
        issuer().token().mint(),
        TokenFault::IssuerUnknown,
    )]);
    for (name, token, fault) in tokens {
        if token.contains('?') {
            continue;
        }
        let chosen = both.world.issuer.opaque_token().text(&*token).mint();
        let answer = ask(&both.introspection, Protocol::Http, &chosen).await;
        answer.refused(Protocol::Http, &Refusal::tok(fault));
        rejects(&both.introspection, &chosen, &Refusal::tok(fault)).await;
        if name != "of an issuer that is trusted elsewhere" {
            rejects(&both.auth, &chosen, &Refusal::tok(fault)).await;
        }
        assert_eq!(both.world.calls(), 0, "{name} was sent");
    }
}

#[tokio::test]
async fn tf_25_an_opaque_token_goes_to_exactly_one_server() {
    let both = Both::new().await;
    let other = World::new().await;
    let token = both.world.issuer.opaque_token().mint();
    let passed = accepts(&both.auth, &token).await;
    let principal = Principal::of(&passed.extensions).unwrap();
    assert_eq!(principal.issuer(), both.world.issuer.issuer());
    assert_eq!((both.world.calls(), other.calls()), (1, 0));
    // One that only another knows is asked about here, refused, and taken nowhere else.
    let foreign = other.issuer.opaque_token().mint();
    rejects(&both.auth, &foreign, &Refusal::tok(TokenFault::Inactive)).await;
    assert_eq!((both.world.calls(), other.calls()), (2, 0));
    for odd in [
        "a.b.c",
        "eyJ",
        "ey.x.y",
        "....",
        "e30",
        "eyJhbGciOiJSUzI1NiJ9",
    ] {
        let chosen = both.world.issuer.opaque_token().text(odd).mint();
        accepts(&both.auth, &chosen).await;
    }
}

#[tokio::test]
async fn tf_25_a_jwt_of_the_server_itself_may_be_asked_about() {
    let both = Both::new().await;
    both.world.issuer.introspect_jwts(true);
    let token = both.world.issuer.token().mint();
    let passed = accepts(&both.auth, &token).await;
    let principal = Principal::of(&passed.extensions).unwrap();
    assert_eq!(principal.issuer(), both.world.issuer.issuer());
    assert_eq!(both.world.calls(), 1);
}

/// The one issuer makes tokens of both kinds.
#[tokio::test]
async fn tf_25_where_one_issuer_makes_both_its_jwts_stay_here() {
    let world = World::new().await;
    world.issuer.introspect_jwts(true);
    let policy = TokenPolicy::new(world.issuer.issuer(), AUDIENCE).danger_allow_http_loopback();
    let keys = gateless::bearer::Keys::fixed(keys_of(&world.issuer, &policy));
    let bearer = BearerAuth::builder(policy, keys).clock(Arc::new(world.clock.clone()));
    let auth = HybridAuth::new(&bearer.build().unwrap(), &world.layer()).unwrap();
    accepts(&auth, &world.issuer.token().mint()).await;
    let orphan = world.issuer.token().header("kid", "gone").mint();
    rejects(&auth, &orphan, &Refusal::tok(TokenFault::KeyUnknown)).await;
    assert_eq!(world.calls(), 0);
    accepts(&auth, &world.issuer.opaque_token().mint()).await;
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn the_two_layers_go_on_to_be_what_they_are() {
    let both = Both::new().await;
    let token = both.world.issuer.opaque_token().mint();
    accepts(&both.auth, &token).await;
    accepts(&both.introspection, &token).await;
    assert_eq!(both.world.calls(), 1, "what one knows the other does");
    both.introspection.handle().forget_tokens();
    accepts(&both.auth, &token).await;
    assert_eq!(both.world.calls(), 2);
    let jwt = issuer().token().mint();
    accepts(&both.auth, &jwt).await;
    let other = TokenPolicy::new("https://other.example.com", AUDIENCE);
    let keys = gateless::bearer::Keys::fixed(keys_of(issuer(), &other));
    let reloaded = BearerAuth::builder(other, keys).clock(Arc::new(both.world.clock.clone()));
    both.bearer.handle().reload(reloaded).await.unwrap();
    rejects(&both.auth, &jwt, &Refusal::tok(TokenFault::IssuerUnknown)).await;
    assert_eq!(both.world.calls(), 2);
}

#[tokio::test]
async fn what_is_presented_badly_is_refused_before_anybody_is_asked() {
    let both = Both::new().await;
    let token = both.world.issuer.opaque_token().mint();
    let repeated = Refusal::req(PresentationFault::RepeatedHeader);
    refuses(&both.auth, &repeated, &token, |request| {
        let request = request.header("authorization", bearer(&token));
        request.header("authorization", bearer(&token))
    })
    .await;
    refuses(&both.auth, &Refusal::none(), "", |request| request).await;
    assert_eq!(both.world.calls(), 0);
}

#[tokio::test]
async fn the_optional_layer_lets_nobody_in_as_somebody() {
    let world = World::new().await;
    let bearer_auth = local(&world, Credentials::new()).build_optional().unwrap();
    let introspection = world.builder().build_optional().unwrap();
    let auth = OptionalHybridAuth::new(&bearer_auth, &introspection).unwrap();
    for passed in [
        passes(&auth, "", |request| request).await,
        passes(&introspection, "", |request| request).await,
    ] {
        assert!(Principal::optional(&passed.extensions).unwrap().is_none());
        assert!(passed.extensions.get::<Anonymous>().is_some());
    }
    for token in [issuer().token().mint(), world.issuer.opaque_token().mint()] {
        let passed = accepts(&auth, &token).await;
        assert!(Principal::of(&passed.extensions).is_ok());
        assert!(passed.extensions.get::<Anonymous>().is_none());
    }
    // Credentials that are there have to be good.
    let inactive = Refusal::tok(TokenFault::Inactive);
    rejects(&auth, "unknown-opaque-token", &inactive).await;
    rejects(&introspection, "unknown-opaque-token", &inactive).await;
    let expired = issuer().token().issued_in(-99).expires_in(-60).mint();
    rejects(&auth, &expired, &Refusal::tok(TokenFault::Expired)).await;
    world.issuer.set_fault(Fault::Status(500));
    rejects(&auth, "opaque-in-an-outage", &Refusal::unanswered(1)).await;
    rejects(
        &introspection,
        "opaque-in-an-outage",
        &Refusal::unanswered(1),
    )
    .await;
}

#[tokio::test]
async fn layers_that_look_for_tokens_in_different_places_are_not_put_together() {
    let world = World::new().await;
    let elsewhere = || Credentials::new().header(HeaderName::from_static("x-access-token"));
    let bearer_auth = local(&world, elsewhere()).build().unwrap();
    let error = HybridAuth::new(&bearer_auth, &world.layer()).unwrap_err();
    let named: Vec<_> = error.faults().iter().map(ConfigFault::setting).collect();
    assert_eq!(named, ["credentials"]);
    let optional = local(&world, elsewhere()).build_optional().unwrap();
    let there = world.builder().build_optional().unwrap();
    OptionalHybridAuth::new(&optional, &there).unwrap_err();

    let there = world.builder().credentials(elsewhere()).build().unwrap();
    let auth = HybridAuth::new(&bearer_auth, &there).unwrap();
    for token in [issuer().token().mint(), world.issuer.opaque_token().mint()] {
        let request = Protocol::Http.request().header("x-access-token", &token);
        let answer = send(&auth, request.body(String::new()).unwrap()).await;
        answer.passed();
        answer.keeps(&token);
    }
}

/// The two looked in the same places when they were put together; where one looks later is where both do.
#[tokio::test]
async fn tj_13_a_field_that_is_read_after_a_reload_is_taken_off_as_well() {
    let both = Both::new().await;
    let name = HeaderName::from_static("x-api-token");
    let credentials = Credentials::new().header(name).strip();
    let reloaded = both.bearer.handle().reload(local(&both.world, credentials));
    reloaded.await.unwrap();
    let opaque = both.world.issuer.opaque_token().mint();
    for token in [issuer().token().mint(), opaque.clone(), opaque] {
        let request = passes(&both.auth, &token, |it| it.header("x-api-token", &token)).await;
        assert!(!request.headers.contains_key("x-api-token"));
    }
}

#[tokio::test]
async fn encrypted_tokens_are_sent_to_a_server_that_issues_them() {
    let world = World::new().await;
    let (_, encrypted, _) = of_nobody().remove(1);
    let chosen = world.issuer.opaque_token().text(&*encrypted).mint();
    rejects(
        &world.layer(),
        &chosen,
        &Refusal::tok(TokenFault::Encrypted),
    )
    .await;
    let layer = world.builder().encrypted_tokens().build().unwrap();
    accepts(&layer, &chosen).await;
    let (_, broken, fault) = of_nobody().remove(3);
    let broken = world.issuer.opaque_token().text(&*broken).mint();
    rejects(&layer, &broken, &Refusal::tok(fault)).await;
    let (_, stranger, fault) = of_nobody().remove(0);
    rejects(&layer, &stranger, &Refusal::tok(fault)).await;
}
