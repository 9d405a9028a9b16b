//! The way in for those who operate the service.

use gateless::denylist::RevocationApi;
use gateless::{TokenDigest, scope};
use gateless_testkit::{LogFault, TokenBuilder};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use rstest::rstest;
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _};

use super::*;

/// Asks the API behind the authentication.
async fn ask(
    instance: &Instance,
    token: Option<&str>,
    method: Method,
    body: impl Into<String>,
) -> (StatusCode, http::HeaderMap, Value) {
    let api = RevocationApi::builder(instance.handle(), scope!("tokens:revoke"))
        .issuer(ISSUER)
        .build()
        .unwrap();
    let mut request = Request::builder()
        .method(method)
        .uri("/admin/revocations")
        .header("content-type", "application/json; charset=utf-8");
    if let Some(token) = token {
        request = request.header("authorization", bearer(token));
    }
    let request = request.body(Full::from(body.into())).unwrap();
    let response = instance.auth.layer(api).oneshot(request).await.unwrap();
    read(response).await
}

async fn read<B: http_body::Body>(response: Response<B>) -> (StatusCode, http::HeaderMap, Value)
where
    B::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    (parts.status, parts.headers, body)
}

#[tokio::test]
async fn a_refusal_has_the_stage_in_its_record_and_no_body_for_head() {
    let world = World::new();
    let instance = world.instance().await;
    let audit = crate::audit::World::new();
    let api = RevocationApi::builder(instance.handle(), scope!("tokens:revoke"))
        .issuer(ISSUER)
        .build()
        .unwrap();
    let token = world.issuer.token().scope("orders:read").mint();
    let request = Request::head("/admin/revocations")
        .header("authorization", bearer(token))
        .body(Full::from(String::new()))
        .unwrap();
    let service = audit.audit.layer(instance.auth.layer(api));
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 403);
    assert_ne!(response.headers()["content-length"], "0");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.is_empty(), "{body:?}");
    let record = audit.only().await;
    assert_eq!(record["stage"], "revocation_api", "{record:#}");
    assert_eq!(record["code"], "scope_insufficient");
}

fn operator(world: &World) -> String {
    let token = world
        .issuer
        .token()
        .subject("operator")
        .client_id("console");
    token.scope("tokens:revoke").mint()
}

#[rstest]
#[case::jti(json!({"jti": "token-1"}), "token")]
#[case::jti_and_end(json!({"jti": "token-1", "exp": FakeClock::START.as_secs() + 3600}), "token")]
#[case::sid(json!({"sid": "session-1"}), "session")]
#[case::sub(json!({"sub": "user-1"}), "subject")]
#[case::sub_until(json!({"sub": "user-1", "issued_until": FakeClock::START.as_secs() + 300}), "subject")]
#[case::client(json!({"client": "client-1"}), "client")]
#[case::with_issuer(json!({"iss": ISSUER, "sid": "session-1"}), "session")]
#[case::issuer(json!({"issuer": ISSUER}), "issuer")]
#[tokio::test(start_paused = true)]
async fn th_01_whoever_may_do_so_revokes_by_any_name(#[case] body: Value, #[case] kind: &str) {
    let world = World::new();
    let instance = world.instance().await;
    let operator = operator(&world);
    let of = |token: TokenBuilder| token.token_id("token-1").session_id("session-1");
    let of = of(world.issuer.token()).client_id("client-1");
    let token = of.subject("user-1").expires_in(3600).mint();
    instance.accepts(&token).await;
    // Twice: the second time changes nothing.
    for _ in 0..2 {
        let (status, headers, answer) =
            ask(&instance, Some(&operator), Method::POST, body.to_string()).await;
        assert_eq!(answer, json!({"revoked": kind, "status": "stored"}));
        assert_eq!(
            (status, &headers["cache-control"]),
            (StatusCode::OK, &http::HeaderValue::from_static("no-store"))
        );
        instance.refuses(&token).await;
        if kind == "issuer" {
            // Whoever did that is out as well.
            return;
        }
    }
    let (status, _, answer) =
        ask(&instance, Some(&operator), Method::DELETE, body.to_string()).await;
    assert_eq!(
        (status, answer),
        (
            StatusCode::OK,
            json!({"unrevoked": kind, "status": "stored"})
        )
    );
    instance.accepts(&token).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_without_an_id_is_revoked_by_its_digest() {
    let world = World::new();
    let instance = world.instance().await;
    let digest = TokenDigest::of("an-opaque-token");
    let hex: String = digest
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let body = json!({"token_sha256": hex}).to_string();
    let (status, _, _) = ask(&instance, Some(&operator(&world)), Method::POST, body).await;
    assert_eq!(status, 200);
    let records = world.log.records();
    assert_eq!(
        records[0].id(),
        Revocation::token_digest(ISSUER, &digest).id()
    );
}

#[tokio::test(start_paused = true)]
async fn th_14_nobody_else_revokes_anything() {
    let world = World::new();
    let instance = world.instance().await;
    let body = json!({"sid": "session-1"}).to_string();
    let user = world.issuer.token().scope("orders:write").mint();
    let expired = world
        .issuer
        .token()
        .scope("tokens:revoke")
        .issued_in(-600)
        .expires_in(-300)
        .mint();
    for (token, expected) in [(None, 401), (Some(&user), 403), (Some(&expired), 401)] {
        for method in [Method::POST, Method::DELETE, Method::GET] {
            let token = token.map(String::as_str);
            let (status, headers, _) = ask(&instance, token, method, body.clone()).await;
            assert_eq!(status, expected);
            assert!(headers.contains_key("www-authenticate"));
        }
    }
    assert_eq!(world.log.appends(), 0);
    // Without an authentication layer nobody may.
    let api = RevocationApi::builder(instance.handle(), scope!("tokens:revoke"));
    let api = api.issuer(ISSUER).build().unwrap();
    let request = Request::post("/").header("content-type", "application/json");
    let response = api.oneshot(request.body(Full::from(body)).unwrap()).await;
    assert_eq!(response.unwrap().status(), 500);
}

#[rstest]
#[case::nothing("{}", "name exactly one")]
#[case::two_names(r#"{"jti":"a","sid":"b"}"#, "name exactly one")]
#[case::no_name(r#"{"iss":"https://idp.example.com"}"#, "name exactly one")]
#[case::an_empty_name(r#"{"jti":""}"#, "a name is empty")]
#[case::another_issuer(
    r#"{"iss":"https://other.example.com","jti":"a"}"#,
    "no tokens of this issuer"
)]
#[case::another_whole_issuer(
    r#"{"issuer":"https://other.example.com"}"#,
    "no tokens of this issuer"
)]
#[case::issuer_twice(
    r#"{"issuer":"https://idp.example.com","iss":"https://idp.example.com"}"#,
    "twice"
)]
#[case::an_end_of_a_session(r#"{"sid":"a","exp":1}"#, "exp is for a single token")]
#[case::a_time_of_a_token(r#"{"jti":"a","issued_until":1}"#, "issued_until is for")]
#[case::an_end_that_has_passed(r#"{"jti":"a","exp":1700000}"#, "exp has passed")]
#[case::a_time_in_milliseconds(r#"{"sub":"a","issued_until":1700000000000}"#, "in the future")]
#[case::no_digest(r#"{"token_sha256":"00"}"#, "64 hexadecimal digits")]
#[case::no_hex(&format!(r#"{{"token_sha256":"{}"}}"#, "zz".repeat(32)), "64 hexadecimal digits")]
#[case::another_type(r#"{"jti":7}"#, "not a JSON object")]
#[case::unknown(r#"{"jti":"a","subject":"b"}"#, "not a JSON object")]
#[case::repeated(r#"{"jti":"a","jti":"b"}"#, "not a JSON object")]
#[case::more(r#"{"jti":"a"} {"jti":"b"}"#, "not a JSON object")]
#[case::no_json("jti=a", "not a JSON object")]
#[tokio::test(start_paused = true)]
async fn what_is_not_clear_is_not_done(#[case] body: &str, #[case] says: &str) {
    let world = World::new();
    let instance = world.instance().await;
    for method in [Method::POST, Method::DELETE] {
        let (status, headers, problem) =
            ask(&instance, Some(&operator(&world)), method, body).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::BAD_REQUEST, &json!("revocation_invalid"))
        );
        assert_eq!(headers["content-type"], "application/problem+json");
        assert!(
            problem["detail"].as_str().unwrap().contains(says),
            "{problem}"
        );
    }
    assert_eq!(world.log.appends(), 0);
}

#[tokio::test(start_paused = true)]
async fn th_17_bodies_are_bounded_and_of_one_kind() {
    let world = World::new();
    let instance = world.instance().await;
    let operator = operator(&world);
    let long = json!({"jti": "a".repeat(40_000)}).to_string();
    let (status, _, _) = ask(&instance, Some(&operator), Method::POST, long).await;
    assert_eq!(status, 413);
    let (status, headers, _) = ask(&instance, Some(&operator), Method::PUT, "{}").await;
    assert_eq!(
        (status, headers["allow"].to_str().unwrap()),
        (StatusCode::METHOD_NOT_ALLOWED, "POST, DELETE")
    );
    let api = RevocationApi::builder(instance.handle(), scope!("tokens:revoke"));
    let api = api.issuer(ISSUER).build().unwrap();
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-encoding", "gzip"),
        ("x-none", ""),
    ] {
        let mut request = Request::post("/")
            .header("authorization", bearer(&operator))
            .header(name, value);
        if name == "content-encoding" {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::from("{}")).unwrap();
        let response = instance
            .auth
            .layer(api.clone())
            .oneshot(request)
            .await
            .unwrap();
        assert_eq!(response.status(), 415);
    }
    assert_eq!(world.log.appends(), 0);
}

#[tokio::test(start_paused = true)]
async fn th_02_what_cannot_be_stored_is_answered_with_503() {
    let world = World::new();
    let instance = world.instance().await;
    let operator = operator(&world);
    world.log.set_fault(LogFault::Fail);
    let body = json!({"sid": "session-1"}).to_string();
    let (status, headers, problem) = ask(&instance, Some(&operator), Method::POST, body).await;
    assert_eq!(
        (status, &problem["code"]),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            &json!("revocation_not_stored")
        )
    );
    assert_eq!(headers["retry-after"], "5");
    instance
        .accepts(&world.issuer.token().session_id("session-1").mint())
        .await;
}

#[tokio::test(start_paused = true)]
async fn th_14_who_was_revoked_takes_nothing_back() {
    let world = World::new();
    let instance = world.instance().await;
    let operator = operator(&world);
    instance
        .revoke(Revocation::subject(ISSUER, "operator"))
        .await;
    // The layer itself is not in front of it here.
    let body = json!({"sub": "operator"}).to_string();
    let (status, _, _) = ask(&instance, Some(&operator), Method::DELETE, body).await;
    assert_eq!(status, 401);
    instance.refuses(&operator).await;
}

#[tokio::test(start_paused = true)]
async fn th_03_an_api_without_issuers_is_not_built() {
    let world = World::new();
    let instance = world.instance().await;
    let api = || RevocationApi::builder(instance.handle(), scope!("tokens:revoke"));
    assert_eq!(api().build().unwrap_err().faults()[0].setting(), "issuer");
    assert_eq!(
        api().issuer("").build().unwrap_err().faults()[0].setting(),
        "issuer"
    );
}
