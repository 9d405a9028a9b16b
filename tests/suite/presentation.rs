//! TA: how credentials are presented. Nothing of what is refused here was decoded.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use gateless::bearer::{BearerAuth, Credentials, CsrfDefence};
use gateless::scope::ScopeGuard;
use gateless::strip::StripIdentityHeaders;
use gateless::{Anonymous, PresentationFault, Principal, TokenFault, scopes};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use rstest::rstest;
use tower::{Layer, ServiceBuilder, ServiceExt as _, service_fn};
use tower_http::cors::CorsLayer;

use crate::sockets::{Http2, exchange, serve, status};
use crate::support::{
    Protocol, Refusal, auth, auth_with, bearer, issuer, passes, policy, reading, refuses, send,
};

fn good() -> String {
    issuer().token().mint()
}

#[tokio::test]
async fn ta_01_no_credentials() {
    refuses(&auth(), &Refusal::none(), "", |request| request).await;
}

#[tokio::test]
async fn ta_01_only_the_optional_layer_lets_anybody_in_and_says_so() {
    let optional = auth_with(policy()).build_optional().unwrap();
    let request = passes(&optional, "", |request| request).await;
    assert!(request.extensions.get::<Anonymous>().is_some());
    assert!(Principal::optional(&request.extensions).unwrap().is_none());

    let token = good();
    let request = passes(&optional, &token, |it| {
        it.header("authorization", bearer(&token))
    })
    .await;
    assert!(request.extensions.get::<Anonymous>().is_none());
    assert!(Principal::of(&request.extensions).is_ok());
}

#[tokio::test]
async fn ta_01_credentials_that_are_there_have_to_be_good_for_the_optional_layer_too() {
    let optional = auth_with(policy()).build_optional().unwrap();
    let expired = issuer().token().issued_in(-600).expires_in(-300).mint();
    let refusal = Refusal::tok(TokenFault::Expired);
    refuses(&optional, &refusal, &expired, |request| {
        request.header("authorization", bearer(&expired))
    })
    .await;
    let refusal = Refusal::req(PresentationFault::EmptyToken);
    refuses(&optional, &refusal, "", |request| {
        request.header("authorization", "Bearer")
    })
    .await;
}

#[tokio::test]
async fn ta_02_two_equal_authorization_fields() {
    let credentials = bearer(good());
    let refusal = Refusal::req(PresentationFault::RepeatedHeader);
    refuses(&auth(), &refusal, &credentials, |request| {
        request
            .header("authorization", &credentials)
            .header("Authorization", &credentials)
    })
    .await;
}

#[rstest]
#[case::another_token(|| bearer(good()))]
#[case::another_scheme(|| "Basic dXNlcjpwYXNzd29yZA==".to_owned())]
#[case::empty(String::new)]
#[tokio::test]
async fn ta_03_two_different_authorization_fields(#[case] other: fn() -> String) {
    let (good, other) = (bearer(good()), other());
    let refusal = Refusal::req(PresentationFault::RepeatedHeader);
    for [first, second] in [[&good, &other], [&other, &good]] {
        refuses(&auth(), &refusal, &good, |request| {
            request
                .header("authorization", first)
                .header("authorization", second)
        })
        .await;
    }
}

/// What [`ta_04_ta_10_ta_12_ta_13_ta_14_broken_credentials`] makes of a good token.
type Spoil = fn(&str) -> Vec<u8>;

#[rstest]
#[case::ta_04_a_list(|token: &str| format!("Bearer {token}, Bearer {token}").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_04_a_list_without_spaces(|token: &str| format!("Bearer {token},Bearer {token}").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_04_two_tokens(|token: &str| format!("Bearer {token} {token}").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_04_another_scheme_behind(|token: &str| format!("Bearer {token}, Basic eDp5").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_10_no_token(|_: &str| b"Bearer".to_vec(), PresentationFault::EmptyToken)]
#[case::ta_10_only_a_space(|_: &str| b"bearer ".to_vec(), PresentationFault::EmptyToken)]
#[case::ta_10_only_spaces(|_: &str| b"Bearer     ".to_vec(), PresentationFault::EmptyToken)]
#[case::ta_12_a_colon(|token: &str| format!("Bearer: {token}").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_12_an_equals_sign(|token: &str| format!("Bearer={token}").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_12_a_tab(|token: &str| format!("Bearer\t{token}").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_12_a_space_and_a_tab(|token: &str| format!("Bearer \t{token}").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_13_percent_zero_zero(|token: &str| format!("Bearer {token}%00").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_13_quotes(|token: &str| format!("Bearer \"{token}\"").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_13_a_comma(|token: &str| format!("Bearer {token},").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_13_latin_1(|token: &str| [b"Bearer ", token.as_bytes(), b"\xe9"].concat(), PresentationFault::BadCharacters)]
#[case::ta_13_invalid_utf_8(|token: &str| [b"Bearer \xff", token.as_bytes()].concat(), PresentationFault::BadCharacters)]
#[case::ta_13_zero_width_space(|token: &str| format!("Bearer {token}\u{200b}").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_13_byte_order_mark(|token: &str| format!("\u{feff}Bearer {token}").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_13_no_break_space(|token: &str| format!("Bearer\u{a0}{token}").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_13_homoglyph_of_bearer(|token: &str| format!("B\u{435}arer {token}").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_13_fullwidth_bearer(|token: &str| format!("\u{ff22}earer {token}").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_13_padding_in_the_middle(|token: &str| format!("Bearer =={token}").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_13_padding_alone(|_: &str| b"Bearer ==".to_vec(), PresentationFault::BadCharacters)]
#[case::ta_14_a_space_in_front(|token: &str| format!(" Bearer {token}").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_14_a_space_behind(|token: &str| format!("Bearer {token} ").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_14_a_tab_behind(|token: &str| format!("Bearer {token}\t").into_bytes(), PresentationFault::BadCharacters)]
#[case::ta_14_a_tab_within(|token: &str| format!("Bearer {}", token.replace('.', ".\t")).into_bytes(), PresentationFault::BadCharacters)]
#[tokio::test]
async fn ta_04_ta_10_ta_12_ta_13_ta_14_broken_credentials(
    #[case] spoil: Spoil,
    #[case] fault: PresentationFault,
) {
    let token = good();
    let credentials = HeaderValue::from_bytes(&spoil(&token)).unwrap();
    refuses(&auth(), &Refusal::req(fault), &token, |request| {
        request.header("authorization", &credentials)
    })
    .await;
}

#[rstest]
#[case::ta_09_odd_case("bEaReR ")]
#[case::ta_09_upper_case("BEARER ")]
#[case::ta_12_two_spaces("Bearer  ")]
#[case::ta_12_many_spaces("Bearer          ")]
#[tokio::test]
async fn ta_09_ta_12_good_credentials(#[case] scheme: &str) {
    let token = good();
    let request = passes(&auth(), &token, |request| {
        request.header("authorization", format!("{scheme}{token}"))
    })
    .await;
    let principal = Principal::of(&request.extensions).unwrap();
    assert_eq!(principal.subject(), Some("user-1"));
}

#[tokio::test]
async fn ta_05_a_token_in_the_query() {
    let token = good();
    for name in ["access_token", "token", "bearer", "authorization"] {
        refuses(&auth(), &Refusal::none(), &token, |request| {
            request.uri(format!("/orders?{name}={token}"))
        })
        .await;
    }
}

#[tokio::test]
async fn ta_06_a_token_in_a_form() {
    let token = good();
    let request = Request::post("/orders")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("access_token={token}"))
        .unwrap();
    let answer = send(&auth(), request).await;
    answer.refused(Protocol::Http, &Refusal::none());
    answer.keeps(&token);
}

#[tokio::test]
async fn ta_07_a_token_in_two_places() {
    let defence = CsrfDefence::CustomHeader(HeaderName::from_static("x-csrf"));
    let everywhere = reading(
        Credentials::new()
            .danger_query_parameter("access_token")
            .cookie("session", defence)
            .header(HeaderName::from_static("x-api-token")),
    );
    let token = good();
    let refusal = Refusal::req(PresentationFault::SeveralSources);
    let places: [fn(http::request::Builder, &str) -> http::request::Builder; 4] = [
        |it, token| it.header("authorization", bearer(token)),
        |it, token| it.header("x-api-token", token),
        |it, token| it.header("cookie", format!("a=b; session={token}")),
        |it, token| it.uri(format!("/orders?access_token={token}")),
    ];
    for (index, first) in places.iter().enumerate() {
        passes(&everywhere, &token, |it| {
            first(it.header("x-csrf", "1"), &token)
        })
        .await;
        for second in &places[index + 1..] {
            refuses(&everywhere, &refusal, &token, |it| {
                second(first(it.header("x-csrf", "1"), &token), &token)
            })
            .await;
        }
    }
}

#[tokio::test]
async fn ta_07_a_place_that_is_not_enabled_is_none() {
    let (token, other) = (good(), issuer().token().subject("mallory").mint());
    let request = passes(&auth(), &token, |request| {
        request
            .uri(format!("/orders?access_token={other}"))
            .header("cookie", format!("session={other}"))
            .header("authorization", bearer(&token))
    })
    .await;
    let principal = Principal::of(&request.extensions).unwrap();
    assert_eq!(principal.subject(), Some("user-1"));
}

#[rstest]
#[case::a_jwt(|token: String| token)]
#[case::another_scheme(|token: String| format!("Token {token}"))]
#[case::a_longer_scheme(|token: String| format!("Bearers {token}"))]
#[case::a_shorter_scheme(|token: String| format!("Bear {token}"))]
#[case::basic(|_: String| "Basic dXNlcjpwYXNzd29yZA==".to_owned())]
#[case::nothing(|_: String| String::new())]
#[tokio::test]
async fn ta_11_no_bearer_credentials(#[case] credentials: fn(String) -> String) {
    let token = good();
    let credentials = credentials(token.clone());
    refuses(&auth(), &Refusal::none(), &token, |request| {
        request.header("authorization", &credentials)
    })
    .await;
}

#[rstest]
#[case(8 * 1024, Refusal::tok(TokenFault::Malformed))]
#[case(8 * 1024 + 1, Refusal::req(PresentationFault::TooLong))]
#[case(1024 * 1024, Refusal::req(PresentationFault::TooLong))]
#[tokio::test]
async fn ta_15_the_length_is_checked_before_anything_is_decoded(
    #[case] length: usize,
    #[case] refusal: Refusal,
) {
    let credentials = bearer("a".repeat(length));
    refuses(&auth(), &refusal, "", |request| {
        request.header("authorization", &credentials)
    })
    .await;
}

#[tokio::test]
async fn ta_15_a_good_token_that_is_too_long_is_refused() {
    let token = good();
    let strict = reading(Credentials::new().max_token_len(token.len() - 1));
    let refusal = Refusal::req(PresentationFault::TooLong);
    refuses(&strict, &refusal, &token, |request| {
        request.header("authorization", bearer(&token))
    })
    .await;
    let exact = reading(Credentials::new().max_token_len(token.len()));
    passes(&exact, &token, |request| {
        request.header("authorization", bearer(&token))
    })
    .await;
}

#[tokio::test]
async fn ta_16_identity_in_header_fields_is_not_read_and_taken_off() {
    const CLAIMED: [&str; 8] = [
        "X-User",
        "x_user",
        "X-Forwarded-User",
        "X-Forwarded_User",
        "X-Auth-Request-User",
        "x_auth_subject",
        "Remote-User",
        "X-Authenticated-Userid",
    ];
    let claim = |request: http::request::Builder| {
        CLAIMED
            .iter()
            .fold(request, |it, name| it.header(*name, "admin"))
    };
    refuses(&auth(), &Refusal::none(), "", claim).await;

    let token = good();
    let stack = ServiceBuilder::new()
        .layer(StripIdentityHeaders::default())
        .layer(auth())
        .into_inner();
    let request = passes(&stack, &token, |request| {
        claim(request).header("authorization", bearer(&token))
    })
    .await;
    assert_eq!(
        Principal::of(&request.extensions).unwrap().subject(),
        Some("user-1")
    );
    for name in CLAIMED {
        assert!(!request.headers.contains_key(name), "{name}");
    }
}

/// Removes the fields that `Connection` names, as a proxy has to (RFC 9110 §7.6.1).
fn drop_hop_by_hop(mut request: Request<Body>) -> Request<Body> {
    let named: Vec<_> = request
        .headers()
        .get_all("connection")
        .iter()
        .flat_map(|value| value.to_str().unwrap().split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    for name in named {
        request.headers_mut().remove(name);
    }
    request
}

/// A handler that says who asks.
async fn whoami(principal: Principal) -> String {
    principal.subject().unwrap().to_owned()
}

fn whoami_app(auth: BearerAuth) -> Router {
    Router::new().route("/whoami", get(whoami)).layer(auth)
}

#[tokio::test]
async fn ta_17_a_field_that_a_proxy_drops_does_not_make_the_request_anonymous() {
    let behind_a_proxy = whoami_app(auth())
        .into_service()
        .map_request(drop_hop_by_hop);
    let token = good();
    let request = Request::get("/whoami")
        .header("connection", "keep-alive, Authorization")
        .header("authorization", bearer(&token))
        .body(Body::empty())
        .unwrap();
    let answer = behind_a_proxy.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");

    let address = serve(whoami_app(auth())).await;
    for credentials in [String::new(), format!("Authorization: Bearer {token}\r\n")] {
        let request = format!(
            "GET /whoami HTTP/1.1\r\nHost: a\r\n{credentials}Connection: close, Authorization\r\n\r\n"
        );
        let answer = exchange(address, request).await;
        let expected = if credentials.is_empty() { 401 } else { 200 };
        assert_eq!(status(&answer), Some(expected), "{answer}");
    }
}

#[rstest]
#[case::ta_13_nul(|token: &str| format!("Bearer {token}\0"))]
#[case::ta_13_nul_within(|token: &str| format!("Bearer \0{token}"))]
#[case::ta_13_bare_cr(|token: &str| format!("Bearer {token}\rX: y"))]
#[case::ta_13_lf_and_another_scheme(|token: &str| format!("Bearer {token}\nBasic dXNlcg=="))]
#[case::ta_13_del(|token: &str| format!("Bearer {token}\x7f"))]
#[case::ta_14_obs_fold(|token: &str| format!("Bearer\r\n {token}"))]
#[case::ta_14_obs_fold_within(|token: &str| format!("Bearer {}", token.replace('.', ".\r\n ")))]
#[case::ta_14_obs_fold_with_a_tab(|token: &str| format!("Bearer\r\n\t{token}"))]
#[case::ta_15_a_mebibyte(|_: &str| bearer("a".repeat(1024 * 1024)))]
#[tokio::test]
async fn ta_13_ta_14_ta_15_over_a_raw_socket(#[case] spoil: fn(&str) -> String) {
    let address = serve(whoami_app(auth())).await;
    let token = good();
    let credentials = spoil(&token);
    let answer = exchange(
        address,
        format!(
            "GET /whoami HTTP/1.1\r\nHost: a\r\nAuthorization: {credentials}\r\nConnection: close\r\n\r\n"
        ),
    )
    .await;
    // Refused by hyper, or by the layer; the caller's connection may be cut before it has read why.
    assert!(
        matches!(status(&answer), None | Some(400 | 431)),
        "{answer}"
    );
    for part in token.split('.') {
        assert!(!answer.contains(part), "{answer}");
    }
}

#[tokio::test]
async fn ta_14_whitespace_around_a_field_value_is_not_part_of_it() {
    let address = serve(whoami_app(auth())).await;
    let answer = exchange(
        address,
        format!(
            "GET /whoami HTTP/1.1\r\nHost: a\r\nAuthorization:  \tBearer {} \t\r\nConnection: close\r\n\r\n",
            good()
        ),
    )
    .await;
    assert_eq!(status(&answer), Some(200), "{answer}");
}

#[tokio::test]
async fn ta_18_pipelined_requests_see_only_their_own_identity() {
    let address = serve(whoami_app(auth())).await;
    let mut pipeline = String::new();
    for number in 0..9 {
        let token = issuer().token().subject(format!("user<{number}>")).mint();
        let credentials = match number % 3 {
            2 => String::new(),
            _ => format!("Authorization: Bearer {token}\r\n"),
        };
        let close = if number == 8 {
            "Connection: close\r\n"
        } else {
            ""
        };
        pipeline += &format!("GET /whoami HTTP/1.1\r\nHost: a\r\n{credentials}{close}\r\n");
    }
    let answer = exchange(address, pipeline).await;
    let answers: Vec<_> = answer.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(answers.len(), 9, "{answer}");
    for (number, answer) in answers.iter().enumerate() {
        if number % 3 == 2 {
            assert!(
                answer.starts_with("401 ") && !answer.contains("user<"),
                "{answer}"
            );
        } else {
            assert!(
                answer.starts_with("200 ") && answer.ends_with(&format!("user<{number}>")),
                "{answer}"
            );
        }
    }
}

#[tokio::test]
async fn ta_18_streams_of_one_connection_see_only_their_own_identity() {
    let client = Http2::connect(serve(whoami_app(auth())).await).await;
    let mut streams = tokio::task::JoinSet::new();
    for number in 0..30 {
        let client = client.clone();
        let mut request = Request::get("http://a/whoami");
        let subject = format!("user-{number}");
        if number % 3 != 2 {
            let token = issuer().token().subject(&*subject).mint();
            request = request.header("authorization", bearer(token));
        }
        let request = request.body(Body::empty()).unwrap();
        streams.spawn(async move { (number, subject, client.send(request).await) });
    }
    while let Some(answer) = streams.join_next().await {
        let (number, subject, answer) = answer.unwrap();
        if number % 3 == 2 {
            assert_eq!(answer.status(), 401);
        } else {
            assert_eq!(answer.body(), &subject);
        }
    }
}

#[tokio::test]
async fn ta_18_a_smuggled_request_is_not_answered() {
    let address = serve(Router::new().route("/whoami", post(whoami)).layer(auth())).await;
    let smuggled = format!(
        "POST /whoami HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n",
        good()
    );
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: xchunked\r\n",
    ] {
        let request =
            format!("POST /whoami HTTP/1.1\r\nHost: a\r\n{framing}\r\n0\r\n\r\n{smuggled}");
        let answer = exchange(address, request).await;
        assert!(!answer.contains("user-1"), "{framing} {answer}");
    }
}

#[tokio::test]
async fn ta_19_an_identity_that_was_there_before_is_replaced() {
    let (token, other) = (good(), issuer().token().subject("mallory").mint());
    let planted = passes(&auth(), &other, |request| {
        request.header("authorization", bearer(&other))
    })
    .await;
    let planted = planted.extensions.get::<Principal>().unwrap().clone();

    let request = passes(&auth(), &token, |request| {
        request
            .extension(planted.clone())
            .header("authorization", bearer(&token))
    })
    .await;
    let principal = Principal::of(&request.extensions).unwrap();
    assert_eq!(principal.subject(), Some("user-1"));

    refuses(&auth(), &Refusal::none(), "", |request| {
        request.extension(planted.clone())
    })
    .await;

    let optional = auth_with(policy()).build_optional().unwrap();
    let request = passes(&optional, "", |request| request.extension(planted.clone())).await;
    assert!(Principal::optional(&request.extensions).unwrap().is_none());
}

#[tokio::test]
async fn ta_20_only_the_real_method_and_path_count() {
    let app = Router::new()
        .route(
            "/orders",
            get(async || "list")
                .layer(ScopeGuard::all(scopes!["orders:read"]))
                .merge(post(async || "create").layer(ScopeGuard::all(scopes!["orders:write"]))),
        )
        .layer(auth());
    let token = issuer().token().scope("orders:read").mint();
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-uri",
    ] {
        for (method, expected) in [(Method::GET, "list"), (Method::POST, "")] {
            let value = if name.contains("method") {
                "GET"
            } else {
                "/public"
            };
            let request = Request::builder()
                .method(&method)
                .uri("/orders")
                .header(name, value)
                .header("authorization", bearer(&token))
                .body(Body::empty())
                .unwrap();
            let answer = app.clone().oneshot(request).await.unwrap();
            assert_eq!(
                answer.status() == 200,
                expected == "list",
                "{name} {method}"
            );
        }
    }
}

#[tokio::test]
async fn ta_21_preflights_are_answered_by_cors_and_open_nothing() {
    let app = Router::new()
        .route("/whoami", get(whoami).options(async || "handler"))
        .layer(auth())
        .layer(CorsLayer::new().allow_origin(HeaderValue::from_static("https://app.example.com")));
    let options = |fields: &[(&str, &str)]| {
        let request = Request::options("/whoami");
        fields
            .iter()
            .fold(request, |it, (name, value)| it.header(*name, *value))
            .body(Body::empty())
            .unwrap()
    };
    let preflight = app
        .clone()
        .oneshot(options(&[
            ("origin", "https://app.example.com"),
            ("access-control-request-method", "GET"),
        ]))
        .await
        .unwrap();
    assert_eq!(preflight.status(), 200);
    let body = axum::body::to_bytes(preflight.into_body(), 99)
        .await
        .unwrap();
    assert!(body.is_empty(), "the handler was reached");

    // Without CORS in front, OPTIONS is a method like any other.
    let app = Router::new()
        .route("/whoami", get(whoami).options(async || "handler"))
        .layer(auth());
    for fields in [
        &[][..],
        &[("origin", "https://app.example.com")],
        &[
            ("origin", "https://a"),
            ("access-control-request-method", "GET"),
        ],
    ] {
        let answer = app.clone().oneshot(options(fields)).await.unwrap();
        assert_eq!(answer.status(), 401, "{fields:?}");
    }
}

#[rstest]
#[case("HEAD", 200)]
#[case("TRACE", 405)]
#[case("CONNECT", 405)]
#[case("OPTIONS", 405)]
#[case("BREW", 405)]
#[tokio::test]
async fn ta_22_every_method_is_authenticated(#[case] method: &str, #[case] routed: u16) {
    let app = whoami_app(auth());
    let token = good();
    for (credentials, expected) in [(None, 401), (Some(bearer(&token)), routed)] {
        let mut request = Request::builder().method(method).uri("/whoami");
        if let Some(credentials) = credentials {
            request = request.header("authorization", credentials);
        }
        let request = request.body(Body::empty()).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), expected, "{method}");
    }
    // The layer itself knows no method that needs no token.
    if method != "HEAD" {
        refuses(&auth(), &Refusal::none(), "", |request| {
            request.method(method)
        })
        .await;
    }
}

#[tokio::test]
async fn ta_22_a_refusal_of_head_is_that_of_get_without_its_body() {
    let ask = async |method: &str| {
        let request = Request::builder().method(method).uri("/orders");
        send(&auth(), request.body(String::new()).unwrap()).await
    };
    let (get, mut head) = (ask("GET").await, ask("HEAD").await);
    get.refused(Protocol::Http, &Refusal::none());
    assert_eq!(head.rejection, get.rejection);
    assert!(head.body.is_empty() && head.reached.is_empty());
    let length = head.headers.remove("content-length").unwrap();
    assert_eq!(length, get.body.len().to_string());
    assert_eq!((head.status, head.headers), (get.status, get.headers));

    // In HTTP/2 no server takes a body off that should not be there: the client would take it for an attack.
    let service =
        ServiceBuilder::new()
            .layer(auth())
            .service(service_fn(async |_: Request<Body>| {
                Ok::<_, Infallible>(Response::new(Body::from("in")))
            }));
    let client = Http2::connect(serve(Router::new().route_service("/", service)).await).await;
    for _ in 0..2 {
        let request = Request::head("http://a/").body(Body::empty()).unwrap();
        let answer = client.send(request).await;
        assert_eq!((answer.status().as_u16(), answer.body().len()), (401, 0));
    }
}

#[tokio::test]
async fn ta_23_an_upgrade_needs_a_token_like_any_request() {
    let address = serve(whoami_app(auth())).await;
    let answer = exchange(
        address,
        "GET /whoami HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
         GET /whoami HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(answer.matches("HTTP/1.1 401").count(), 2, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 2, "{answer}");
}

#[tokio::test]
async fn ta_24_grpc_metadata_repeated_or_binary() {
    let token = good();
    let refusal = Refusal::req(PresentationFault::RepeatedHeader);
    refuses(&auth(), &refusal, &token, |request| {
        request
            .header("authorization", bearer(&token))
            .header("authorization", bearer(&token))
    })
    .await;
    refuses(&auth(), &Refusal::none(), &token, |request| {
        request.header("authorization-bin", bearer(&token))
    })
    .await;
}

#[tokio::test]
async fn the_credentials_of_a_request_that_passes_do_not_print() {
    let token = good();
    let request = passes(&auth(), &token, |request| {
        request.header("authorization", bearer(&token))
    })
    .await;
    assert_eq!(request.headers["authorization"], bearer(&token));
    let printed = format!("{:?} {:?}", request.headers, request.extensions);
    assert!(!printed.contains(&token), "{printed}");
}

#[tokio::test]
async fn tl_02_no_layer_logs_what_it_refuses_to_decode() {
    let canary = "canary-3f9c1d7e5b2a";
    let mut headers = HeaderMap::new();
    headers.insert("authorization", bearer(canary).parse().unwrap());
    let service = auth().layer(gateless_testkit::Recorder::new());
    assert!(!format!("{service:?}").contains(canary));
    let answer = send(
        &auth(),
        Request::get(format!("/orders?access_token={canary}"))
            .header("authorization", format!("Bearer {canary}"))
            .header("cookie", format!("session={canary}"))
            .body(String::new())
            .unwrap(),
    )
    .await;
    answer.refused(Protocol::Http, &Refusal::tok(TokenFault::Malformed));
    assert!(
        answer.logs.contains("request refused"),
        "nothing was logged"
    );
    answer.keeps(canary);
}
