use gateless_testkit::Recorder;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use rstest::rstest;
use tower::{Layer as _, ServiceExt as _};

use super::StripIdentityHeaders;

/// What is left of these fields.
async fn left(strip: &StripIdentityHeaders, headers: HeaderMap) -> HeaderMap {
    let recorder = Recorder::new();
    let mut request = Request::new(String::new());
    *request.headers_mut() = headers;
    let service = strip.layer(recorder.clone());
    service.oneshot(request).await.unwrap();
    recorder.requests()[0].headers.clone()
}

fn one(name: &str) -> HeaderMap {
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    [(name, HeaderValue::from_static("admin"))]
        .into_iter()
        .collect()
}

#[rstest]
#[case("X-User")]
#[case("x-user")]
#[case("X_User")]
#[case("x_user")]
#[case("X-User-Id")]
#[case("x_user_groups")]
#[case("X-Forwarded-User")]
#[case("X_Forwarded-User")]
#[case("X-Forwarded_User")]
#[case("x_forwarded_user")]
#[case("X-Forwarded-Email")]
#[case("X-Forwarded-Groups")]
#[case("X-Forwarded-Preferred-Username")]
#[case("X-Forwarded-Access-Token")]
#[case("Remote-User")]
#[case("Remote_User")]
#[case("X-Remote-User")]
#[case("X-Auth-Request-Email")]
#[case("X-Auth-Subject")]
#[case("x_auth_token")]
#[case("X-Authenticated-Userid")]
#[case::ti_24("Client-Cert")]
#[case::ti_24_another_spelling("client_cert")]
#[case::ti_24_a_chain("Client-Cert-Chain")]
#[case::ti_24_of_envoy("X-Forwarded-Client-Cert")]
#[tokio::test]
async fn ta_16_a_claim_of_identity_is_removed(#[case] name: &str) {
    let left = left(&StripIdentityHeaders::default(), one(name)).await;
    assert!(left.is_empty(), "{left:?}");
}

#[rstest]
#[case("authorization")]
#[case("cookie")]
#[case("user-agent")]
#[case("from")]
#[case("x-username")]
#[case("x-forwarded-for")]
#[case("x-forwarded-proto")]
#[case("x-forwarded-users")]
#[case("x-authority")]
#[case("x-forwarded-client")]
#[case("client-certificate")]
#[case("x-request-id")]
#[tokio::test]
async fn what_is_no_claim_of_identity_stays(#[case] name: &str) {
    let left = left(&StripIdentityHeaders::default(), one(name)).await;
    assert_eq!(left, one(name));
}

#[tokio::test]
async fn ta_16_every_value_of_every_spelling_goes() {
    let mut headers = one("x-user");
    headers.append("x-user", HeaderValue::from_static("root"));
    headers.append("x_user", HeaderValue::from_static("root"));
    headers.append("x-request-id", HeaderValue::from_static("1"));
    let left = left(&StripIdentityHeaders::default(), headers).await;
    assert_eq!(left.len(), 1);
}

#[rstest]
#[case("X-Tenant-ID")]
#[case("x_tenant_id")]
#[case("X_TENANT-ID")]
#[tokio::test]
async fn ta_16_further_fields_are_removed_in_any_spelling(#[case] named: &str) {
    let strip = StripIdentityHeaders::default().also(named);
    for name in ["x-tenant-id", "x_tenant_id", "x-tenant_id", "x-user"] {
        assert!(left(&strip, one(name)).await.is_empty(), "{name}");
    }
    assert_eq!(left(&strip, one("x-tenant")).await.len(), 1);
}
