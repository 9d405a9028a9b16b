//! A served issuer, asked about tokens over a real socket.
// clippy.toml allows both in tests, but takes the helper functions of a test file for something else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod wire;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gateless_core::Clock as _;
use gateless_testkit::{ClientAuth, FakeClock, Fault, SigningAlgorithm, TestIssuer, TokenBuilder};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::task;
use tokio::time::timeout;
use url::form_urlencoded;

use self::wire::{Answer, DEADLINE, address, exchange};

const SIGNED: &str = "application/token-introspection+jwt";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

async fn served() -> (TestIssuer, FakeClock) {
    let clock = FakeClock::new();
    let builder = TestIssuer::builder().clock(Arc::new(clock.clone()));
    (builder.serve().await.unwrap(), clock)
}

fn form(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish()
}

/// The field of a client that encodes id and secret.
fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    raw_basic(&format!("{}:{}", encode(id), encode(secret)))
}

fn raw_basic(pair: &str) -> String {
    format!("authorization: Basic {}\r\n", STANDARD.encode(pair))
}

/// That of the client that is known from the start.
fn known() -> String {
    basic(TestIssuer::CLIENT_ID, TestIssuer::CLIENT_SECRET)
}

async fn try_post(issuer: &TestIssuer, fields: &str, body: &str) -> io::Result<Answer> {
    let fields = format!(
        "content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n{fields}",
        body.len()
    );
    exchange(address(issuer), "POST", "/introspect", &fields, body).await
}

async fn post(issuer: &TestIssuer, fields: &str, parameters: &[(&str, &str)]) -> Answer {
    try_post(issuer, fields, &form(parameters)).await.unwrap()
}

async fn introspect(issuer: &TestIssuer, token: &str) -> Value {
    let answer = post(issuer, &known(), &[("token", token)]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("content-type"), Some("application/json"));
    answer.json()
}

/// Status and error code.
fn error(answer: &Answer) -> (u16, String) {
    let code = answer.json()["error"].as_str().unwrap().to_owned();
    let challenged = answer.field("www-authenticate").is_some();
    assert_eq!(challenged, answer.status == 401);
    (answer.status, code)
}

fn segment(token: &str, number: usize) -> Value {
    let segment = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
}

#[tokio::test]
async fn the_issuer_tells_what_its_opaque_tokens_are_about() {
    let (issuer, clock) = served().await;
    let now = clock.wall().as_secs();
    let good = json!({
        "active": true,
        "iss": issuer.issuer(),
        "token_type": "Bearer",
        "sub": "user-1",
        "client_id": "client-1",
        "aud": "https://api.example.com",
        "iat": now,
        "exp": now + 300,
    });
    let token = issuer.opaque_token().mint();
    assert!(token.starts_with("gateless-test-opaque-"));
    assert_eq!(introspect(&issuer, &token).await, good);
    assert_ne!(issuer.opaque_token().mint(), token);

    let changed = issuer
        .opaque_token()
        .text("chosen&text=+")
        .subject("user-2")
        .client_id("client-2")
        .audience(json!(["a", "b"]))
        .scope("orders:read")
        .token_type("DPoP")
        .issued_in(-5)
        .expires_in(5)
        .not_before_in(1)
        .claim("active", "true")
        .without("iss")
        .mint();
    assert_eq!(changed, "chosen&text=+");
    assert_eq!(
        introspect(&issuer, &changed).await,
        json!({
            "active": "true",
            "token_type": "DPoP",
            "sub": "user-2",
            "client_id": "client-2",
            "aud": ["a", "b"],
            "scope": "orders:read",
            "iat": now - 5,
            "exp": now + 5,
            "nbf": now + 1,
        })
    );
    assert_eq!(issuer.requests().introspection, 2);
}

#[tokio::test]
async fn what_is_unknown_expired_or_revoked_is_not_active() {
    let (issuer, clock) = served().await;
    let inactive = json!({ "active": false });
    assert_eq!(introspect(&issuer, "unheard-of").await, inactive);
    assert!(!issuer.revoke("unheard-of"));

    let token = issuer.opaque_token().mint();
    let kept = issuer.opaque_token().keep_active().mint();
    let odd = issuer.opaque_token().answer(json!(["odd"])).mint();
    clock.advance(Duration::from_secs(299));
    assert_eq!(introspect(&issuer, &token).await["active"], true);
    clock.advance(Duration::from_secs(1));
    assert_eq!(introspect(&issuer, &token).await, inactive);
    assert_eq!(introspect(&issuer, &kept).await["active"], true);
    assert_eq!(introspect(&issuer, &odd).await, json!(["odd"]));

    for token in [&kept, &odd] {
        assert!(issuer.revoke(token));
        assert_eq!(introspect(&issuer, token).await, inactive);
    }
    let again = issuer.opaque_token().text(&*kept).mint();
    assert_eq!(introspect(&issuer, &again).await["active"], true);
}

#[tokio::test]
async fn jwts_are_answered_for_on_request_only() {
    let (issuer, clock) = served().await;
    let token = issuer.token().scope("orders:read").mint();
    let forged = issuer.token().unsigned().mint();
    let foreign = TestIssuer::new().token().mint();
    for token in [&token, &forged, &foreign] {
        let answer = post(&issuer, &known(), &[("token", token)]).await;
        assert_eq!(error(&answer), (400, "unsupported_token_type".into()));
    }
    // Whatever it looks like.
    let chosen = issuer.opaque_token().text(&*foreign).mint();
    assert_eq!(introspect(&issuer, &chosen).await["active"], true);

    issuer.introspect_jwts(true);
    issuer.revoke(&chosen);
    let answer = introspect(&issuer, &token).await;
    assert_eq!(
        (&answer["active"], &answer["scope"]),
        (&json!(true), &json!("orders:read"))
    );
    assert_eq!(answer["jti"], segment(&token, 1)["jti"]);
    let inactive = json!({ "active": false });
    for token in [&forged, &foreign] {
        assert_eq!(introspect(&issuer, token).await, inactive);
    }
    let revoked = issuer.token().mint();
    assert!(issuer.revoke(&revoked) && !issuer.revoke(&forged));
    assert_eq!(introspect(&issuer, &revoked).await, inactive);
    clock.advance(Duration::from_secs(300));
    assert_eq!(introspect(&issuer, &token).await, inactive);
}

#[tokio::test]
async fn each_method_of_authentication_is_enough() {
    let (issuer, _clock) = served().await;
    let client = TestIssuer::new();
    issuer.register_client_key("client-2", client.jwks()["keys"][1].clone());
    issuer.accept_bearer("let-me-in");
    let assertion = assertion(&client, &issuer).mint();
    let token = issuer.opaque_token().mint();
    let basic = known();
    let secret = [
        ("client_id", TestIssuer::CLIENT_ID),
        ("client_secret", TestIssuer::CLIENT_SECRET),
    ];
    let asserted = [
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &*assertion),
    ];
    let bearer = "authorization: bearer let-me-in\r\n";
    let cases: [(&str, &[_], _, _); 4] = [
        (
            &basic,
            &[],
            ClientAuth::SecretBasic,
            Some(TestIssuer::CLIENT_ID),
        ),
        (
            "",
            &secret,
            ClientAuth::SecretPost,
            Some(TestIssuer::CLIENT_ID),
        ),
        ("", &asserted, ClientAuth::PrivateKeyJwt, Some("client-2")),
        (bearer, &[], ClientAuth::Bearer, None),
    ];
    for (fields, parameters, method, client_id) in cases {
        let fields = format!("{fields}accept: application/json\r\n");
        let about = [("token", &*token), ("token_type_hint", "access_token")];
        let answer = post(&issuer, &fields, &[parameters, &about].concat()).await;
        assert_eq!(
            (answer.status, &answer.json()["active"]),
            (200, &json!(true)),
            "{method:?}"
        );
        let noted = issuer.introspected().pop().unwrap();
        assert_eq!(noted.method, Some(method));
        assert_eq!(noted.client_id.as_deref(), client_id);
        assert_eq!(noted.accept.as_deref(), Some("application/json"));
        assert_eq!(noted.token_type_hint.as_deref(), Some("access_token"));
        let printed = format!("{noted:?}");
        assert!(
            !printed.contains(&*token) && !printed.contains("s3cr"),
            "{printed}"
        );
    }
}

/// A good one of `client-2`, signed with ES256.
fn assertion(client: &TestIssuer, issuer: &TestIssuer) -> TokenBuilder {
    let now = FakeClock::START.as_secs();
    client
        .token()
        .algorithm(SigningAlgorithm::Es256)
        .claim("iss", "client-2")
        .subject("client-2")
        .audience(issuer.introspection_url())
        .claim("iat", now)
        .claim("exp", now + 60)
}

#[tokio::test]
async fn an_assertion_has_to_be_right_in_every_respect_and_new() {
    let (issuer, _clock) = served().await;
    let client = TestIssuer::new();
    issuer.register_client_key("client-2", client.jwks()["keys"][1].clone());
    let show = async |assertion: TokenBuilder, kind: &str| {
        let assertion = assertion.mint();
        let shown = [
            ("client_assertion", &*assertion),
            ("client_assertion_type", kind),
        ];
        post(&issuer, "", &[&shown[..], &[("token", "x")]].concat()).await
    };
    let good = || assertion(&client, &issuer);
    let used = good();
    assert_eq!(show(used.clone(), ASSERTION_TYPE).await.status, 200);
    for audience in [json!(issuer.issuer()), json!(["x", issuer.issuer()])] {
        let answer = show(good().audience(audience), ASSERTION_TYPE).await;
        assert_eq!(answer.status, 200);
    }

    let now = FakeClock::START.as_secs();
    for (name, bad) in [
        ("used", used),
        ("issuer", good().claim("iss", "client-3")),
        ("subject", good().subject("client-3")),
        ("audience", good().audience("https://api.example.com")),
        ("no audience", good().without("aud")),
        ("expired", good().claim("exp", now)),
        ("never expires", good().without("exp")),
        ("not yet", good().claim("nbf", now + 1)),
        ("no id", good().without("jti")),
        ("unsigned", good().unsigned()),
        ("none", good().header("alg", "none").unsigned()),
        ("another key", good().algorithm(SigningAlgorithm::EdDsa)),
    ] {
        let answer = show(bad, ASSERTION_TYPE).await;
        assert_eq!(error(&answer), (401, "invalid_client".into()), "{name}");
    }
    let answer = show(
        good(),
        "urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
    )
    .await;
    assert_eq!(error(&answer), (400, "invalid_request".into()));
}

#[rstest]
#[case::nothing("", &[], (401, "invalid_client"))]
#[case::an_id_alone("", &[("client_id", "resource-server")], (401, "invalid_client"))]
#[case::another_secret(&basic("resource-server", "x"), &[], (401, "invalid_client"))]
#[case::another_client(&basic("x", TestIssuer::CLIENT_SECRET), &[], (401, "invalid_client"))]
#[case::not_encoded(&raw_basic("resource-server:s3cr&t: +%/"), &[], (401, "invalid_client"))]
#[case::no_base64("authorization: Basic ?\r\n", &[], (401, "invalid_client"))]
#[case::another_scheme("authorization: Negotiate x\r\n", &[], (401, "invalid_client"))]
#[case::another_bearer("authorization: Bearer x\r\n", &[], (401, "invalid_client"))]
#[case::unreadable("", &[("client_assertion_type", ASSERTION_TYPE), ("client_assertion", "x")], (401, "invalid_client"))]
#[case::no_type("", &[("client_assertion", "x")], (400, "invalid_request"))]
#[case::no_id("", &[("client_secret", "x")], (400, "invalid_request"))]
#[case::twice(&known(), &[("client_id", "resource-server"), ("client_secret", "x")], (400, "invalid_request"))]
#[case::two_fields(&known().repeat(2), &[], (400, "invalid_request"))]
#[case::two_names(&known(), &[("client_id", "x")], (400, "invalid_request"))]
#[tokio::test]
async fn nobody_else_is_answered(
    #[case] fields: &str,
    #[case] parameters: &[(&str, &str)],
    #[case] refused: (u16, &str),
) {
    let (issuer, _clock) = served().await;
    let token = issuer.opaque_token().mint();
    let answer = post(
        &issuer,
        fields,
        &[parameters, &[("token", &*token)]].concat(),
    )
    .await;
    assert_eq!(error(&answer), (refused.0, refused.1.to_owned()));
    assert_eq!(issuer.introspected().len(), 1);
}

#[tokio::test]
async fn a_request_is_a_form_with_a_token() {
    let (issuer, _clock) = served().await;
    for (body, status) in [
        ("", 400),
        ("token=", 400),
        ("token=a&token=b", 400),
        (&*"x".repeat(70_000), 413),
    ] {
        let answer = try_post(&issuer, &known(), body).await.unwrap();
        assert_eq!(error(&answer), (status, "invalid_request".into()));
    }
    for content_type in ["", "content-type: application/json\r\n"] {
        let fields = format!("{}{content_type}content-length: 7\r\n", known());
        let answer = exchange(address(&issuer), "POST", "/introspect", &fields, "token=x");
        let answer = answer.await.unwrap();
        assert_eq!(error(&answer), (400, "invalid_request".into()));
    }
}

#[tokio::test]
async fn the_secret_can_be_rotated() {
    let (issuer, _clock) = served().await;
    issuer.set_client_secret("näch=stes");
    let ask = async |fields: String| post(&issuer, &fields, &[("token", "x")]).await.status;
    assert_eq!(ask(known()).await, 401);
    assert_eq!(ask(basic(TestIssuer::CLIENT_ID, "näch=stes")).await, 200);
}

#[tokio::test]
async fn answers_are_signed_for_those_who_accept_it() {
    let (issuer, clock) = served().await;
    issuer.accept_bearer("let-me-in");
    let token = issuer.opaque_token().mint();
    let answered = introspect(&issuer, &token).await;
    let bearer = "authorization: Bearer let-me-in\r\n".to_owned();
    let ask = async |who: &str, accept: &str, token: &str| {
        let fields = format!("{who}accept: {accept}\r\n");
        post(&issuer, &fields, &[("token", token)]).await
    };
    assert_eq!(ask(&known(), SIGNED, &token).await.json(), answered);

    issuer.sign_introspections(true);
    let plain = ask(&known(), "application/json, */*", &token).await;
    assert_eq!(plain.json(), answered);
    for (who, token, audience) in [
        (known(), &*token, TestIssuer::CLIENT_ID),
        (bearer.clone(), &*token, "https://api.example.com"),
        (bearer, "x", issuer.issuer()),
    ] {
        let answer = ask(&who, &format!("application/json;q=0.1, {SIGNED}"), token).await;
        assert_eq!(
            (answer.status, answer.field("content-type")),
            (200, Some(SIGNED))
        );
        let jwt = String::from_utf8(answer.body).unwrap();
        assert_eq!(segment(&jwt, 0)["typ"], "token-introspection+jwt");
        assert_eq!(segment(&jwt, 0)["alg"], "RS256");
        let told = match token {
            "x" => json!({ "active": false }),
            _ => answered.clone(),
        };
        assert_eq!(
            segment(&jwt, 1),
            json!({
                "iss": issuer.issuer(),
                "aud": audience,
                "iat": clock.wall().as_secs(),
                "token_introspection": told,
            })
        );
        // A JWT that this issuer signed: the signature holds.
        assert!(issuer.revoke(&jwt));
    }

    issuer.sign_introspections_with(SigningAlgorithm::Es384);
    let answer = ask(&known(), SIGNED, &token).await;
    let jwt = String::from_utf8(answer.body).unwrap();
    assert_eq!(segment(&jwt, 0)["alg"], "ES384");

    let refused = ask(&known(), SIGNED, &jwt).await;
    assert_eq!(error(&refused), (400, "unsupported_token_type".into()));
}

#[tokio::test]
async fn a_signed_answer_can_be_spoiled() {
    let (issuer, _clock) = served().await;
    issuer.sign_introspections(true);
    let token = issuer.opaque_token().mint();
    let fields = format!("{}accept: {SIGNED}\r\n", known());
    let good = post(&issuer, &fields, &[("token", &token)]).await;
    let prepared = issuer.introspection_answer(&token, TestIssuer::CLIENT_ID);
    assert_eq!(prepared.clone().mint().as_bytes(), good.body);

    let spoiled = prepared.audience("x").mint();
    issuer.set_introspection_fault(Fault::Body(SIGNED.into(), spoiled.clone().into()));
    let answer = post(&issuer, &fields, &[("token", &token)]).await;
    assert_eq!(answer.field("content-type"), Some(SIGNED));
    assert_eq!(answer.body, spoiled.into_bytes());
}

#[tokio::test]
async fn faults_are_answers_that_are_wrong_in_one_respect() {
    let (issuer, _clock) = served().await;
    let token = issuer.opaque_token().mint();
    let answered = introspect(&issuer, &token).await;
    let ask = async || post(&issuer, &known(), &[("token", &token)]).await;

    issuer.set_introspection_fault(Fault::Status(503));
    let answer = ask().await;
    assert_eq!((answer.status, answer.json()), (503, answered.clone()));

    issuer.set_introspection_fault(Fault::EmptySet);
    let stranger = post(&issuer, "", &[]).await;
    assert_eq!((stranger.status, stranger.json()), (200, json!({})));

    issuer.set_introspection_fault(Fault::Redirect("http://169.254.169.254/".into()));
    assert_eq!(ask().await.status, 302);

    let whole = answered.to_string();
    issuer.set_introspection_fault(Fault::Truncated);
    assert_eq!(ask().await.body, &whole.as_bytes()[..whole.len() / 2]);

    for fault in [
        Fault::Slow(Duration::from_millis(1)),
        Fault::Drip {
            every: Duration::from_micros(1),
        },
    ] {
        issuer.set_introspection_fault(fault);
        assert_eq!(ask().await.json(), answered);
    }

    issuer.set_introspection_fault(Fault::Disconnect);
    let form = form(&[("token", &token)]);
    assert!(try_post(&issuer, &known(), &form).await.is_err());

    issuer.set_fault(Fault::Status(500));
    assert_eq!(ask().await.status, 500);
    issuer.clear_fault();
    assert_eq!(ask().await.json(), answered);
}

#[tokio::test]
async fn the_most_requests_at_once_are_counted_with_those_that_hang() {
    let (issuer, _clock) = served().await;
    for _ in 0..3 {
        introspect(&issuer, "x").await;
    }
    assert_eq!(issuer.most_concurrent_introspections(), 1);

    issuer.set_introspection_fault(Fault::Hang);
    let hanging: Vec<_> = (0..5)
        .map(|_| {
            let issuer = issuer.clone();
            tokio::spawn(async move { introspect(&issuer, "x").await })
        })
        .collect();
    let arrived = async {
        while issuer.requests().introspection < 8 {
            task::yield_now().await;
        }
    };
    timeout(DEADLINE, arrived)
        .await
        .expect("no request arrived");
    issuer.clear_fault();
    for request in hanging {
        assert_eq!(request.await.unwrap(), json!({ "active": false }));
    }
    introspect(&issuer, "x").await;
    assert_eq!(issuer.most_concurrent_introspections(), 5);
}

#[tokio::test]
async fn the_last_64_requests_are_kept() {
    let (issuer, _clock) = served().await;
    for number in 0..66 {
        let hint = number.to_string();
        post(&issuer, "", &[("token_type_hint", &hint)]).await;
    }
    let noted = issuer.introspected();
    let hints: Vec<_> = noted
        .into_iter()
        .map(|it| it.token_type_hint.unwrap())
        .collect();
    assert_eq!(hints, (2..66).map(|it| it.to_string()).collect::<Vec<_>>());
}

#[test]
#[should_panic(expected = "not served")]
fn an_issuer_in_memory_cannot_be_asked() {
    let _ = TestIssuer::new().introspection_url();
}
