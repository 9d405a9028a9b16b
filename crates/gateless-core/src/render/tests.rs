use std::time::Duration;

use rstest::rstest;

use super::*;
use crate::{
    Dependency, PresentationFault, Principal, PrincipalParts, Requirement, ScopeSet, Timestamp,
    TokenFault, acr, scopes,
};

fn every_rejection() -> Vec<Rejection> {
    let now = Timestamp::from_secs(1_750_000_000);
    let caller = Principal::assert_authenticated(PrincipalParts {
        scopes: ScopeSet::parse("orders:read").unwrap(),
        ..PrincipalParts::new("https://idp.example.com", now)
    });
    let both = Requirement::all(scopes!["orders:read", "orders:write"]);
    let strong = [
        Requirement::acr([acr!("phr"), acr!("phrh")]),
        Requirement::max_age(Duration::from_secs(300)),
    ];
    let strong = Requirement::all(strong);
    let strong_and_both = Requirement::all([strong.clone(), both.clone()]);
    let refusal = |requirement: &Requirement| requirement.check(&caller, now).unwrap_err();
    vec![
        Rejection::CredentialsMissing,
        PresentationFault::RepeatedHeader.into(),
        TokenFault::Expired.into(),
        refusal(&both),
        Rejection::DependencyUnavailable {
            dependency: Dependency::Keys,
            retry_after: Duration::from_millis(1_500),
        },
        Rejection::PipelineMisordered,
        refusal(&strong),
        refusal(&strong_and_both),
        Rejection::CallerNotPermitted,
        Rejection::RouteUnknown,
        Rejection::MethodUnknown {
            allow: "GET, HEAD".into(),
        },
        Rejection::RouteUndeclared,
    ]
}

#[rstest]
#[case(0, 401, Some("Bearer"))]
#[case(
    1,
    400,
    Some(
        "Bearer error=\"invalid_request\", error_description=\"the access token is not presented the way RFC 6750 asks for\""
    )
)]
#[case(
    2,
    401,
    Some("Bearer error=\"invalid_token\", error_description=\"the access token is not valid\"")
)]
#[case(
    3,
    403,
    Some(
        "Bearer error=\"insufficient_scope\", error_description=\"the access token does not grant what this request needs\", scope=\"orders:read orders:write\""
    )
)]
#[case(4, 503, None)]
#[case(5, 500, None)]
#[case::tj_14(
    6,
    401,
    Some(
        "Bearer error=\"insufficient_user_authentication\", error_description=\"this request needs a more recent or a stronger authentication\", acr_values=\"phr phrh\", max_age=\"300\""
    )
)]
#[case::tj_14(
    7,
    401,
    Some(
        "Bearer error=\"insufficient_user_authentication\", error_description=\"this request needs a more recent or a stronger authentication\", acr_values=\"phr phrh\", max_age=\"300\", scope=\"orders:read orders:write\""
    )
)]
#[case(8, 403, None)]
#[case(9, 404, None)]
#[case(10, 405, None)]
#[case(11, 403, None)]
fn http_status_and_challenge(
    #[case] which: usize,
    #[case] status: u16,
    #[case] challenge: Option<&str>,
) {
    let response = Renderer::default().render(&every_rejection()[which], Wire::Http);
    assert_eq!(response.status(), status);
    let sent = response
        .headers()
        .get(WWW_AUTHENTICATE)
        .map(|value| value.to_str().unwrap());
    assert_eq!(sent, challenge);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503);
    let allow = response.headers().get(ALLOW);
    assert_eq!(
        allow.is_some_and(|allow| allow == "GET, HEAD"),
        status == 405
    );
}

#[test]
fn a_missing_scope_is_named_in_the_problem() {
    let response = Renderer::default().render(&every_rejection()[3], Wire::Http);
    let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(
        problem,
        serde_json::json!({
            "type": "about:blank",
            "title": "Forbidden",
            "status": 403,
            "detail": "the access token does not grant what this request needs",
            "code": "scope_insufficient",
            "missing_scopes": ["orders:write"],
            "required_scopes": ["orders:read", "orders:write"],
        })
    );
}

#[test]
fn tj_14_how_to_sign_in_is_in_the_problem() {
    let response = Renderer::default().render(&every_rejection()[7], Wire::Http);
    let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(problem["code"], "authentication_insufficient");
    assert_eq!(problem["acr_values"], serde_json::json!(["phr", "phrh"]));
    assert_eq!(problem["max_age"], 300);
    assert_eq!(
        problem["missing_scopes"],
        serde_json::json!(["orders:write"])
    );
}

#[test]
fn tm_01_grpc_gets_a_status_in_the_headers() {
    for (rejection, code) in every_rejection().iter().zip([
        "16", "16", "16", "7", "14", "13", "16", "16", "7", "12", "12", "7",
    ]) {
        let response = Renderer::default().render(rejection, Wire::Grpc);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
        assert_eq!(response.headers()["grpc-status"], code);
        assert!(response.body().is_empty());
    }
}

#[test]
fn tm_03_grpc_web_gets_a_trailer_frame() {
    let response = Renderer::default().render(&Rejection::CredentialsMissing, Wire::GrpcWeb);
    let (flag, rest) = response.body().split_first().unwrap();
    let (length, block) = rest.split_first_chunk::<4>().unwrap();
    assert_eq!(*flag, 0x80);
    assert_eq!(u32::from_be_bytes(*length) as usize, block.len());
    let block = std::str::from_utf8(block).unwrap();
    assert!(
        block.starts_with("grpc-status:16\r\ngrpc-message:an access token"),
        "{block}"
    );

    let text = Renderer::default().render(&Rejection::CredentialsMissing, Wire::GrpcWebText);
    assert_eq!(STANDARD.decode(text.body()).unwrap(), response.body()[..]);
}

#[test]
fn tm_04_tl_13_messages_need_no_escaping_anywhere() {
    for rejection in every_rejection() {
        let message = rejection.to_string();
        assert!(is_quotable(&message) && !message.contains('%'), "{message}");
    }
}

#[test]
fn a_body_hook_cannot_weaken_status_or_challenge() {
    let renderer = Renderer::builder()
        .body(|_| ProblemBody::new("text/html", "<ok>"))
        .build()
        .unwrap();
    let response = renderer.render(&TokenFault::Expired.into(), Wire::Http);
    assert_eq!(response.status(), 401);
    assert!(response.headers().contains_key(WWW_AUTHENTICATE));
    assert_eq!(response.headers()[CONTENT_TYPE], "text/html");
    assert_eq!(response.body(), "<ok>");
}

#[rstest]
#[case(0, Some("scope=\"orders:read openid\""))]
#[case(1, None)]
#[case(2, Some("scope=\"orders:read openid\""))]
#[case(3, Some("scope=\"orders:read orders:write\""))]
#[case(4, None)]
#[case(5, None)]
fn what_to_ask_for_at_sign_in_is_in_challenges_with_401(
    #[case] which: usize,
    #[case] scope: Option<&str>,
) {
    let renderer = Renderer::builder()
        .scope(scopes!["orders:read", "openid", "orders:read"])
        .build()
        .unwrap();
    for wire in [Wire::Http, Wire::Grpc] {
        let response = renderer.render(&every_rejection()[which], wire);
        let challenge = response.headers().get(WWW_AUTHENTICATE);
        let sent = challenge.and_then(|challenge| {
            let challenge = challenge.to_str().unwrap();
            challenge.find("scope=").map(|at| &challenge[at..])
        });
        assert_eq!(sent, scope);
    }
}

#[test]
fn settings_stand_beside_the_error_in_a_challenge() {
    let renderer = Renderer::builder()
        .realm("orders")
        .scope(scopes!["orders:read"])
        .resource_metadata("https://api.example.com/meta")
        .build()
        .unwrap();
    let response = renderer.render(&Rejection::CredentialsMissing, Wire::Http);
    assert_eq!(
        response.headers()[WWW_AUTHENTICATE],
        "Bearer realm=\"orders\", scope=\"orders:read\", resource_metadata=\"https://api.example.com/meta\""
    );
}

#[test]
fn every_unusable_setting_is_named() {
    let error = Renderer::builder()
        .realm("a\"b")
        .scope([])
        .resource_metadata("orders\r\nSet-Cookie: a=b")
        .build()
        .unwrap_err();
    let settings: Vec<_> = error
        .faults()
        .iter()
        .map(crate::ConfigFault::setting)
        .collect();
    assert_eq!(
        settings,
        ["realm", "scope", "resource_metadata", "resource_metadata"]
    );
}
