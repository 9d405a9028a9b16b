//! The way in for clients that give their tokens back (RFC 7009).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateless::denylist::{ClientCredentials, RevocationEndpoint};
use gateless_testkit::{LogFault, TokenBuilder};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use rstest::rstest;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

async fn is_client(credentials: ClientCredentials) -> bool {
    match credentials.client_id() {
        "web" => credentials.secret() == Some("hush: +%"),
        "app" => credentials.secret().is_none(),
        _ => false,
    }
}

fn endpoint(instance: &Instance) -> RevocationEndpoint {
    RevocationEndpoint::builder(
        instance.handle(),
        ISSUER,
        instance.auth.handle().clone(),
        is_client,
    )
    .build()
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

async fn ask(
    endpoint: RevocationEndpoint,
    fields: &[(&str, &str)],
    body: impl Into<String>,
) -> (Response<()>, Value) {
    let mut request = Request::post("/revoke");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::from(body.into())).unwrap();
    let response = endpoint.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    (Response::from_parts(parts, ()), body)
}

#[rstest]
#[case::basic(Some("web:hush%3A+%2B%25"), "token={token}", "web")]
#[case::basic_with_a_hint(
    Some("web:hush%3A+%2B%25"),
    "token_type_hint=access_token&token={token}",
    "web"
)]
#[case::basic_and_the_same_id(Some("web:hush%3A+%2B%25"), "client_id=web&token={token}", "web")]
#[case::post(
    None,
    "token={token}&client_id=web&client_secret=hush%3A%20%2B%25",
    "web"
)]
#[case::public(None, "token={token}&client_id=app", "app")]
#[tokio::test(start_paused = true)]
async fn th_01_a_client_gives_its_token_back(
    #[case] credentials: Option<&str>,
    #[case] form: &str,
    #[case] client: &str,
) {
    let world = World::new();
    let instance = world.instance().await;
    let token = world.issuer.token().client_id(client).mint();
    let other = world.issuer.token().client_id(client).mint();
    let credentials = credentials.map(basic);
    let mut fields = vec![("content-type", FORM)];
    if let Some(credentials) = &credentials {
        fields.push(("authorization", credentials));
    }
    let form = form.replace("{token}", &token);
    for _ in 0..2 {
        let (response, body) = ask(endpoint(&instance), &fields, form.clone()).await;
        assert_eq!((response.status(), body), (StatusCode::OK, Value::Null));
        assert_eq!(response.headers()["cache-control"], "no-store");
        instance.refuses(&token).await;
    }
    instance.accepts(&other).await;
}

#[tokio::test(start_paused = true)]
async fn th_20_the_session_goes_with_the_token_where_that_is_wanted() {
    let world = World::new();
    let instance = world.instance().await;
    let of = |session: &str| {
        let token = world.issuer.token().client_id("app");
        token.session_id(session).mint()
    };
    let [given_back, sibling, stranger] = [of("session-1"), of("session-1"), of("session-2")];
    let verifier = instance.auth.handle().clone();
    let endpoint = RevocationEndpoint::builder(instance.handle(), ISSUER, verifier, is_client);
    let endpoint = endpoint.revokes_session().build();
    let form = format!("client_id=app&token={given_back}");
    let (response, _) = ask(endpoint, &[("content-type", FORM)], form).await;
    assert_eq!(response.status(), 200);
    instance.refuses(&given_back).await;
    instance.refuses(&sibling).await;
    instance.accepts(&stranger).await;
}

#[rstest]
#[case::made_up("token=made-up", 200, Value::Null)]
#[case::refresh("token=made-up&token_type_hint=refresh_token", 400, json!({"error": "unsupported_token_type"}))]
#[case::no_token("token_type_hint=access_token", 400, json!({"error": "invalid_request"}))]
#[case::empty_token("token=", 400, json!({"error": "invalid_request"}))]
#[case::two_tokens("token=a&token=b", 400, json!({"error": "invalid_request"}))]
#[case::broken("token=%", 400, json!({"error": "invalid_request"}))]
#[case::secret_in_two_places("token=a&client_secret=b", 400, json!({"error": "invalid_request"}))]
#[case::two_clients("token=a&client_id=app", 400, json!({"error": "invalid_request"}))]
#[tokio::test(start_paused = true)]
async fn rfc_7009_what_is_no_good_token_is_answered_as_the_rfc_says(
    #[case] form: &str,
    #[case] status: u16,
    #[case] body: Value,
) {
    let world = World::new();
    let instance = world.instance().await;
    let credentials = basic("web:hush%3A+%2B%25");
    let fields = [("content-type", FORM), ("authorization", &*credentials)];
    let (response, answered) = ask(endpoint(&instance), &fields, form).await;
    assert_eq!((response.status().as_u16(), answered), (status, body));
    assert_eq!(world.log.appends(), 0);
}

#[rstest]
#[case::none(None, "")]
#[case::wrong_secret(Some(basic("web:wrong")), "")]
#[case::secret_left_out(None, "&client_id=web")]
#[case::not_encoded(Some(basic("web:hush: +%")), "")]
#[case::no_colon(Some(basic("web")), "")]
#[case::no_base64(Some("Basic !".to_owned()), "")]
#[case::another_scheme(Some("Bearer abc".to_owned()), "")]
#[case::unknown(None, "&client_id=nobody")]
#[case::a_public_client_with_a_secret(None, "&client_id=app&client_secret=x")]
#[tokio::test(start_paused = true)]
async fn th_14_who_is_no_client_revokes_nothing(
    #[case] credentials: Option<String>,
    #[case] form: &str,
) {
    let world = World::new();
    let instance = world.instance().await;
    let token = world.issuer.token().client_id("web").mint();
    let mut fields = vec![("content-type", FORM)];
    if let Some(credentials) = &credentials {
        fields.push(("authorization", credentials));
    }
    let (response, body) = ask(endpoint(&instance), &fields, format!("token={token}{form}")).await;
    assert_eq!(
        (response.status(), body),
        (StatusCode::UNAUTHORIZED, json!({"error": "invalid_client"}))
    );
    assert!(response.headers().contains_key("www-authenticate"));
    instance.accepts(&token).await;
}

#[tokio::test(start_paused = true)]
async fn th_16_the_token_of_another_client_stays() {
    let world = World::new();
    let instance = world.instance().await;
    let token = world.issuer.token().client_id("web").mint();
    let form = format!("token={token}&client_id=app");
    let (response, body) = ask(endpoint(&instance), &[("content-type", FORM)], form).await;
    assert_eq!(
        (response.status(), body),
        (
            StatusCode::BAD_REQUEST,
            json!({"error": "unauthorized_client"})
        )
    );
    instance.accepts(&token).await;
}

/// A token that is not accepted here may be good later, or elsewhere: who gives it back is not told that it is dead.
#[rstest]
#[case::not_yet(|t: TokenBuilder| t.not_before_in(60), 503, "temporarily_unavailable")]
#[case::issued_later(|t: TokenBuilder| t.issued_in(60), 503, "temporarily_unavailable")]
#[case::a_key_that_is_not_known_yet(|t: TokenBuilder| t.header("kid", "new"), 503, "temporarily_unavailable")]
#[case::for_another_service(|t: TokenBuilder| t.audience("https://other.example.com"), 400, "unsupported_token_type")]
#[case::bound(|t: TokenBuilder| t.claim("cnf", json!({"jkt": "x"})), 400, "unsupported_token_type")]
#[case::expired(|t: TokenBuilder| t.issued_in(-600).expires_in(-300), 200, "")]
#[case::forged(|t: TokenBuilder| t.signature([7; 64]), 200, "")]
#[tokio::test(start_paused = true)]
async fn th_02_only_what_is_dead_for_good_is_called_revoked(
    #[case] change: fn(TokenBuilder) -> TokenBuilder,
    #[case] status: u16,
    #[case] error: &str,
) {
    let world = World::new();
    let instance = world.instance().await;
    let token = change(world.issuer.token().client_id("app")).mint();
    let form = format!("token={token}&client_id=app");
    let (response, body) = ask(endpoint(&instance), &[("content-type", FORM)], form).await;
    assert_eq!(response.status(), status);
    assert_eq!(body["error"].as_str().unwrap_or_default(), error);
    assert_eq!(world.log.appends(), 0);
}

#[tokio::test(start_paused = true)]
async fn th_16_the_client_of_another_issuer_is_another_client() {
    let world = World::new();
    let instance = world.instance().await;
    let token = world.issuer.token().client_id("app").mint();
    let verifier = instance.auth.handle().clone();
    let other = "https://other.example.com";
    let endpoint = RevocationEndpoint::builder(instance.handle(), other, verifier, is_client);
    let form = format!("token={token}&client_id=app");
    let (response, body) = ask(endpoint.build(), &[("content-type", FORM)], form).await;
    assert_eq!(
        (response.status(), body),
        (
            StatusCode::BAD_REQUEST,
            json!({"error": "unauthorized_client"})
        )
    );
    instance.accepts(&token).await;
}

#[tokio::test(start_paused = true)]
async fn th_02_a_client_is_told_when_its_token_is_not_revoked() {
    let world = World::new();
    let instance = world.instance().await;
    let token = world.issuer.token().client_id("app").mint();
    world.log.set_fault(LogFault::Fail);
    let form = format!("token={token}&client_id=app");
    let (response, _) = ask(endpoint(&instance), &[("content-type", FORM)], form).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "5");
}

#[tokio::test(start_paused = true)]
async fn rfc_7009_only_forms_are_taken_and_only_by_post() {
    let world = World::new();
    let instance = world.instance().await;
    let json = [("content-type", "application/json")];
    let (response, _) = ask(endpoint(&instance), &json, "{}").await;
    assert_eq!(response.status(), 415);
    let long = format!("token={}", "a".repeat(40_000));
    let (response, _) = ask(endpoint(&instance), &[("content-type", FORM)], long).await;
    assert_eq!(response.status(), 413);
    let request = Request::builder()
        .method(Method::GET)
        .uri("/revoke?token=a");
    let request = request.body(Full::from("")).unwrap();
    let response = endpoint(&instance).oneshot(request).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["allow"]),
        (
            StatusCode::METHOD_NOT_ALLOWED,
            &http::HeaderValue::from_static("POST")
        )
    );
}
