//! Tokens in other places than the `Authorization` field, and over which connections they may come.

use gateless::bearer::{BearerAuth, Credentials, CsrfDefence, SecureTransport, TlsEvidence};
use gateless::{PresentationFault, Principal, TokenFault};
use http::header::CACHE_CONTROL;
use http::{HeaderName, Method, Request};
use rstest::rstest;

use crate::support::{Protocol, Refusal, bearer, issuer, passes, reading, refuses, send};

fn good() -> String {
    issuer().token().mint()
}

fn with_cookie(defence: CsrfDefence) -> BearerAuth {
    reading(Credentials::new().cookie("session", defence))
}

fn origins() -> CsrfDefence {
    CsrfDefence::Origins(vec!["https://app.example.com".into()])
}

fn custom_header() -> CsrfDefence {
    CsrfDefence::CustomHeader(HeaderName::from_static("x-requested-by"))
}

/// Whether a request with a session cookie and these further fields passes, or is taken for a cross-site one.
async fn admits(auth: &BearerAuth, method: Method, fields: &[(&str, &str)]) -> bool {
    let token = good();
    let request = Request::builder()
        .method(method)
        .header("cookie", format!("theme=dark; session={token}; lang=en"));
    let request = fields
        .iter()
        .fold(request, |it, (name, value)| it.header(*name, *value));
    let answer = send(auth, request.body(String::new()).unwrap()).await;
    answer.keeps(&token);
    if answer.rejection.is_none() {
        answer.passed();
        return true;
    }
    answer.refused(Protocol::Http, &Refusal::req(PresentationFault::CrossSite));
    false
}

#[tokio::test]
async fn ta_08_a_cookie_is_defended_against_other_sites_by_origin() {
    let auth = with_cookie(origins());
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        assert!(admits(&auth, method, &[]).await);
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert!(
            admits(
                &auth,
                method.clone(),
                &[("origin", "https://app.example.com")]
            )
            .await
        );
        for fields in [
            &[][..],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "https://app.example.com.evil.example")],
            &[("origin", "https://app.example.com:443")],
            &[("origin", "http://app.example.com")],
            &[("origin", "https://APP.example.com")],
            &[
                ("origin", "https://app.example.com"),
                ("origin", "https://evil.example"),
            ],
            &[("referer", "https://app.example.com/")],
            &[("x-http-method-override", "GET")],
        ] {
            assert!(
                !admits(&auth, method.clone(), fields).await,
                "{method} {fields:?}"
            );
        }
    }
}

#[tokio::test]
async fn ta_08_a_cookie_is_defended_against_other_sites_by_a_field_of_its_own() {
    let auth = with_cookie(custom_header());
    assert!(admits(&auth, Method::GET, &[]).await);
    assert!(admits(&auth, Method::POST, &[("x-requested-by", "app")]).await);
    assert!(admits(&auth, Method::POST, &[("x-requested-by", "")]).await);
    assert!(
        !admits(
            &auth,
            Method::POST,
            &[("origin", "https://app.example.com")]
        )
        .await
    );
}

#[tokio::test]
async fn ta_08_the_authorization_field_needs_no_such_defence() {
    let token = good();
    for defence in [origins(), custom_header()] {
        passes(&with_cookie(defence), &token, |request| {
            request
                .method("POST")
                .header("authorization", bearer(&token))
        })
        .await;
    }
}

#[rstest]
#[case::another_name("sessions={}")]
#[case::a_prefix_of_the_name("__Host-session={}")]
#[case::upper_case("SESSION={}")]
#[case::a_space("session ={}")]
#[case::no_pair("session")]
#[tokio::test]
async fn a_cookie_of_another_name_is_none(#[case] cookie: &str) {
    let token = good();
    let cookie = cookie.replace("{}", &token);
    refuses(
        &with_cookie(custom_header()),
        &Refusal::none(),
        &token,
        |request| {
            request
                .header("cookie", &cookie)
                .header("x-requested-by", "a")
        },
    )
    .await;
}

#[rstest]
#[case::twice_in_a_field(&["session={}; session={}"], PresentationFault::SeveralSources)]
#[case::twice_in_two_fields(&["session={}", "session={}"], PresentationFault::SeveralSources)]
#[case::shadowed(&["session=; a=b; session={}"], PresentationFault::SeveralSources)]
#[case::empty(&["session="], PresentationFault::EmptyToken)]
#[case::quoted(&["session=\"{}\""], PresentationFault::BadCharacters)]
#[case::escaped(&["session=%65{}"], PresentationFault::BadCharacters)]
#[case::with_a_scheme(&["session=Bearer {}"], PresentationFault::BadCharacters)]
#[tokio::test]
async fn a_broken_cookie_is_refused(#[case] cookies: &[&str], #[case] fault: PresentationFault) {
    let token = good();
    refuses(
        &with_cookie(custom_header()),
        &Refusal::req(fault),
        &token,
        |request| {
            cookies
                .iter()
                .fold(request.header("x-requested-by", "a"), |it, cookie| {
                    it.header("cookie", cookie.replace("{}", &token))
                })
        },
    )
    .await;
}

fn with_header() -> BearerAuth {
    let name = HeaderName::from_static("x-api-token");
    reading(Credentials::new().header(name))
}

#[tokio::test]
async fn a_field_of_its_own_holds_a_token_without_a_scheme() {
    let token = good();
    let request = passes(&with_header(), &token, |it| {
        it.header("x-api-token", &token)
    })
    .await;
    assert!(Principal::of(&request.extensions).is_ok());
    for (value, fault) in [
        (bearer(&token), PresentationFault::BadCharacters),
        (String::new(), PresentationFault::EmptyToken),
        (format!("{token},{token}"), PresentationFault::BadCharacters),
        ("a".repeat(8193), PresentationFault::TooLong),
    ] {
        refuses(&with_header(), &Refusal::req(fault), &token, |request| {
            request.header("x-api-token", &value)
        })
        .await;
    }
    let refusal = Refusal::req(PresentationFault::BadCharacters);
    refuses(&with_header(), &refusal, &token, |request| {
        request
            .header("x-api-token", &token)
            .header("x-api-token", &token)
    })
    .await;
}

#[tokio::test]
async fn tl_02_a_token_in_a_field_of_its_own_does_not_print() {
    let token = good();
    let request = passes(&with_header(), &token, |it| {
        it.header("x-api-token", &token)
    })
    .await;
    let printed = format!("{:?}", request.headers);
    assert!(!printed.contains(&token), "{printed}");

    let auth = with_cookie(custom_header());
    let request = passes(&auth, &token, |request| {
        request
            .header("x-requested-by", "a")
            .header("cookie", "theme=dark")
            .header("cookie", format!("session={token}"))
    })
    .await;
    let printed = format!("{:?}", request.headers);
    assert!(!printed.contains(&token), "{printed}");
}

#[tokio::test]
async fn tj_13_a_token_in_a_field_of_its_own_can_be_taken_off() {
    let name = HeaderName::from_static("x-api-token");
    let strict = reading(Credentials::new().header(name).strip());
    let token = good();
    let request = passes(&strict, &token, |it| it.header("x-api-token", &token)).await;
    assert!(!request.headers.contains_key("x-api-token"));
}

fn with_query() -> BearerAuth {
    reading(Credentials::new().danger_query_parameter("access_token"))
}

#[tokio::test]
async fn ta_05_a_token_in_the_query_makes_the_answer_private() {
    let token = good();
    let request = Request::get(format!("/orders?page=2&access_token={token}"));
    let answer = send(&with_query(), request.body(String::new()).unwrap()).await;
    answer.passed();
    answer.keeps(&token);
    assert_eq!(answer.headers[CACHE_CONTROL], "private");
    let expired = issuer().token().issued_in(-600).expires_in(-300).mint();
    refuses(
        &with_query(),
        &Refusal::tok(TokenFault::Expired),
        &expired,
        |request| request.uri(format!("/orders?access_token={expired}")),
    )
    .await;
}

#[rstest]
#[case::twice(
    "access_token={}&access_token={}",
    Some(PresentationFault::SeveralSources)
)]
#[case::empty("access_token=", Some(PresentationFault::EmptyToken))]
#[case::escaped("access_token=%65{}", Some(PresentationFault::BadCharacters))]
#[case::another_case("Access_Token={}", None)]
#[case::an_escaped_name("access%5Ftoken={}", None)]
#[case::an_array("access_token[]={}", None)]
#[case::no_value("access_token", None)]
#[case::another_separator("a=b;access_token={}", None)]
#[tokio::test]
async fn a_broken_query_is_refused(#[case] query: &str, #[case] fault: Option<PresentationFault>) {
    let token = good();
    let refusal = fault.map_or_else(Refusal::none, Refusal::req);
    refuses(&with_query(), &refusal, &token, |request| {
        request.uri(format!("/orders?{}", query.replace("{}", &token)))
    })
    .await;
}

fn behind_proxies(trusted_hops: usize) -> BearerAuth {
    let evidence = TlsEvidence::ForwardedProto { trusted_hops };
    reading(Credentials::new().require_tls(evidence))
}

#[tokio::test]
async fn ta_25_a_token_over_plain_http_is_refused_as_exposed() {
    let over_tls = reading(Credentials::new().require_tls(TlsEvidence::Connection));
    let token = good();
    let refusal = Refusal::req(PresentationFault::Exposed);
    let ask = |request: http::request::Builder| request.header("authorization", bearer(&token));
    refuses(&over_tls, &refusal, &token, ask).await;
    // What a client says about itself is no evidence.
    refuses(&over_tls, &refusal, &token, |request| {
        ask(request)
            .uri("https://api.example.com/orders")
            .header("x-forwarded-proto", "https")
            .header("forwarded", "proto=https")
            .header("x-forwarded-ssl", "on")
            .header("front-end-https", "on")
    })
    .await;
    passes(&over_tls, &token, |it| ask(it).extension(SecureTransport)).await;
    // Without a token there is nothing that could be exposed.
    refuses(&over_tls, &Refusal::none(), "", |request| request).await;
    // A bad token is as exposed as a good one.
    let expired = issuer().token().expires_in(-300).issued_in(-600).mint();
    refuses(&over_tls, &refusal, &expired, |request| {
        request.header("authorization", bearer(&expired))
    })
    .await;
}

#[rstest]
#[case(1, &["https"], true)]
#[case(1, &["HTTPS"], true)]
#[case(1, &[" https "], true)]
#[case(1, &["http"], false)]
#[case(1, &[], false)]
#[case(1, &["https, http"], false)]
#[case(1, &["https", "http"], false)]
#[case(1, &["http, https"], true)]
#[case(1, &["https,"], false)]
#[case(1, &["httpss"], false)]
#[case(1, &["https:"], false)]
#[case(2, &["https"], false)]
#[case(2, &["https, http"], true)]
#[case(2, &["https", "http"], true)]
#[case(2, &["https, http, http"], false)]
#[case(2, &["https, https, http, http"], false)]
#[case(3, &["http, https", "http, http"], true)]
#[tokio::test]
async fn ta_25_ta_26_only_the_entry_of_the_outermost_trusted_proxy_counts(
    #[case] trusted_hops: usize,
    #[case] fields: &[&str],
    #[case] secure: bool,
) {
    let token = good();
    let ask = |request: http::request::Builder| {
        fields.iter().fold(
            request.header("authorization", bearer(&token)),
            |it, field| it.header("x-forwarded-proto", *field),
        )
    };
    let auth = behind_proxies(trusted_hops);
    if secure {
        passes(&auth, &token, ask).await;
    } else {
        let refusal = Refusal::req(PresentationFault::Exposed);
        refuses(&auth, &refusal, &token, ask).await;
    }
}

#[tokio::test]
async fn ta_26_no_other_forwarding_field_is_read() {
    let token = good();
    let refusal = Refusal::req(PresentationFault::Exposed);
    refuses(&behind_proxies(1), &refusal, &token, |request| {
        request
            .header("authorization", bearer(&token))
            .header("x-forwarded_proto", "https")
            .header("x-forwarded-protocol", "https")
            .header("forwarded", "proto=https")
            .header("x-forwarded-host", "https")
            .header("x-forwarded-for", "127.0.0.1")
            .header("x-forwarded-port", "443")
    })
    .await;
    // The mark of the acceptor does not help either: the proxy was asked for.
    refuses(&behind_proxies(1), &refusal, &token, |request| {
        request
            .header("authorization", bearer(&token))
            .extension(SecureTransport)
    })
    .await;
}
