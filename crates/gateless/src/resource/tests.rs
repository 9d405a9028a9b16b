use bytes::Bytes;
use gateless_core::{ConfigError, ConfigFault, Renderer, scopes};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use rstest::rstest;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::ResourceMetadata;

const RESOURCE: &str = "https://api.example.com/mcp";
const ISSUER: &str = "https://idp.example.com";

fn metadata() -> ResourceMetadata {
    ResourceMetadata::builder(RESOURCE)
        .authorization_server(ISSUER)
        .build()
        .unwrap()
}

async fn send(metadata: &ResourceMetadata, request: Request<()>) -> Response<Full<Bytes>> {
    metadata.service().oneshot(request).await.unwrap()
}

async fn document(metadata: &ResourceMetadata) -> Value {
    let body = send(metadata, Request::default()).await.into_body();
    serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap()
}

fn settings(error: &ConfigError) -> Vec<&str> {
    error.faults().iter().map(ConfigFault::setting).collect()
}

#[tokio::test]
async fn without_further_settings_the_document_says_the_least() {
    assert_eq!(
        document(&metadata()).await,
        json!({
            "resource": RESOURCE,
            "authorization_servers": [ISSUER],
            "bearer_methods_supported": ["header"],
        })
    );
}

#[tokio::test]
async fn lists_keep_their_order_and_name_nothing_twice() {
    let metadata = ResourceMetadata::builder(RESOURCE)
        .authorization_server("https://b.example.com")
        .authorization_server("https://a.example.com/realms/one")
        .scopes_supported(scopes!["mcp:tools", "mcp:admin", "mcp:tools"])
        .resource_name("Tools & \"more\"")
        .resource_documentation("https://docs.example.com/mcp?lang=en#tokens")
        .build()
        .unwrap();
    assert_eq!(
        document(&metadata).await,
        json!({
            "resource": RESOURCE,
            "authorization_servers": ["https://b.example.com", "https://a.example.com/realms/one"],
            "scopes_supported": ["mcp:tools", "mcp:admin"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Tools & \"more\"",
            "resource_documentation": "https://docs.example.com/mcp?lang=en#tokens",
        })
    );
}

#[rstest]
#[case::root("https://api.example.com", "https://api.example.com", "")]
#[case::slash("https://api.example.com/", "https://api.example.com", "")]
#[case::path("https://api.example.com/mcp", "https://api.example.com", "/mcp")]
#[case::its_slash_stays("https://api.example.com/mcp/", "https://api.example.com", "/mcp/")]
#[case::encoded(
    "https://api.example.com/a%20b/c",
    "https://api.example.com",
    "/a%20b/c"
)]
#[case::port(
    "https://api.example.com:8443/v1",
    "https://api.example.com:8443",
    "/v1"
)]
#[case::loopback("http://127.0.0.1:8080/mcp", "http://127.0.0.1:8080", "/mcp")]
#[case::loopback_6("http://[::1]:8080/mcp", "http://[::1]:8080", "/mcp")]
#[case::localhost("http://localhost", "http://localhost", "")]
#[tokio::test]
async fn the_document_stands_between_host_and_path(
    #[case] resource: &str,
    #[case] origin: &str,
    #[case] path: &str,
) {
    let metadata = ResourceMetadata::builder(resource)
        .authorization_server(ISSUER)
        .build()
        .unwrap();
    let path = format!("/.well-known/oauth-protected-resource{path}");
    assert_eq!(metadata.path(), path);
    assert_eq!(metadata.url(), format!("{origin}{path}"));
    assert_eq!(metadata.resource(), resource);
    assert_eq!(document(&metadata).await["resource"], resource);
    let renderer = Renderer::builder().resource_metadata(metadata.url());
    assert!(renderer.build().is_ok());
}

#[rstest]
#[case("https://api.example.com/:tenant")]
#[case("https://api.example.com/mcp/*rest")]
fn a_path_that_no_router_takes_is_refused(#[case] resource: &str) {
    let builder = ResourceMetadata::builder(resource).authorization_server(ISSUER);
    let error = builder.build().unwrap_err();
    assert_eq!(settings(&error), ["resource"]);
    assert!(error.to_string().contains("for a parameter"), "{error}");
}

#[rstest]
#[case::empty("")]
#[case::no_url("mcp")]
#[case::relative("/mcp")]
#[case::no_host("https://")]
#[case::plain_http("http://api.example.com/mcp")]
#[case::no_loopback("http://127.0.0.1.example.com/mcp")]
#[case::other_scheme("urn:example:mcp")]
#[case::user("https://user@api.example.com/mcp")]
#[case::password("https://:secret@api.example.com/mcp")]
#[case::no_port("https://user:secret/1@api.example.com/mcp")]
#[case::query("https://api.example.com/mcp?tenant=a")]
#[case::empty_query("https://api.example.com/mcp?")]
#[case::fragment("https://api.example.com/mcp#tools")]
#[case::blank(" https://api.example.com/mcp")]
#[case::line_break("https://api.example.com/mcp\r\nSet-Cookie: a=b")]
#[case::backslash("https://api.example.com\\mcp")]
fn neither_resource_nor_authorization_server(#[case] text: &str) {
    let error = ResourceMetadata::builder(text)
        .authorization_server(text)
        .build()
        .unwrap_err();
    assert_eq!(settings(&error), ["resource", "authorization_server"]);
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[rstest]
#[case::upper_case("https://API.example.com/mcp", "https://api.example.com/mcp")]
#[case::default_port("https://api.example.com:443/mcp", "https://api.example.com/mcp")]
#[case::bare_port("https://api.example.com:443", "https://api.example.com")]
#[case::dots("https://api.example.com/a/../mcp", "https://api.example.com/mcp")]
#[case::not_a_route("https://api.example.com/{id}", "https://api.example.com/%7Bid%7D")]
#[case::quote("https://api.example.com/\"", "https://api.example.com/%22")]
fn a_resource_that_clients_would_spell_differently(#[case] resource: &str, #[case] normal: &str) {
    let error = ResourceMetadata::builder(resource)
        .authorization_server(ISSUER)
        .build()
        .unwrap_err();
    let says = format!("resource is spelled {normal} by URL parsers");
    assert!(error.to_string().ends_with(&says), "{error}");
}

#[test]
fn every_unusable_setting_is_named() {
    let error = ResourceMetadata::builder("mcp")
        .resource_name(" ")
        .resource_documentation("javascript:alert(1)")
        .build()
        .unwrap_err();
    assert_eq!(
        settings(&error),
        [
            "resource",
            "authorization_server",
            "resource_name",
            "resource_documentation"
        ]
    );

    let error = ResourceMetadata::builder(RESOURCE)
        .authorization_server(ISSUER)
        .authorization_server("https://other.example.com")
        .authorization_server(ISSUER)
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "unusable configuration: authorization_server https://idp.example.com is named twice"
    );
}

#[tokio::test]
async fn tm_18_the_document_never_follows_the_host_header() {
    let metadata = metadata();
    let expected = document(&metadata).await;
    for uri in ["/", "https://evil.example.com/.well-known/elsewhere?a=b"] {
        let request = Request::get(uri)
            .header("host", "evil.example.com")
            .header("x-forwarded-host", "evil.example.com")
            .header("x-forwarded-proto", "http")
            .header("forwarded", "host=evil.example.com;proto=http")
            .body(())
            .unwrap();
        let body = send(&metadata, request).await.into_body();
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
    }
    assert_eq!(expected["resource"], RESOURCE);
}

#[tokio::test]
async fn browsers_and_caches_may_keep_it() {
    for (method, has_body) in [(Method::GET, true), (Method::HEAD, false)] {
        let request = Request::builder().method(method).body(()).unwrap();
        let (head, body) = send(&metadata(), request).await.into_parts();
        assert_eq!(head.status, 200);
        assert_eq!(head.headers["content-type"], "application/json");
        assert_eq!(head.headers["cache-control"], "public, max-age=300");
        assert_eq!(head.headers["access-control-allow-origin"], "*");
        let body = body.collect().await.unwrap().to_bytes();
        let length: usize = head.headers["content-length"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(body.len(), if has_body { length } else { 0 });
        assert!(length > 0);
    }
}

#[rstest]
#[case::preflight("OPTIONS", &["origin", "access-control-request-method"], 204)]
#[case::no_method("OPTIONS", &["origin"], 405)]
#[case::no_origin("OPTIONS", &["access-control-request-method"], 405)]
#[case::not_options("POST", &["origin", "access-control-request-method"], 405)]
#[case::put("PUT", &[], 405)]
#[case::delete("DELETE", &[], 405)]
#[case::lower_case("get", &[], 405)]
#[tokio::test]
async fn other_methods(#[case] method: &str, #[case] fields: &[&str], #[case] status: u16) {
    let mut request = Request::builder().method(method).body(()).unwrap();
    for field in fields {
        let name = http::HeaderName::from_bytes(field.as_bytes()).unwrap();
        request.headers_mut().insert(name, "GET".parse().unwrap());
    }
    let (head, body) = send(&metadata(), request).await.into_parts();
    assert_eq!(head.status, status);
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
    let sent = |name: &str| header(&head.headers, name);
    assert_eq!(sent("access-control-allow-origin"), Some("*"));
    let methods = Some("GET, HEAD");
    if status == 204 {
        assert_eq!(sent("access-control-allow-methods"), methods);
        assert_eq!(sent("access-control-allow-headers"), Some("*"));
        assert_eq!(sent("allow"), None);
    } else {
        assert_eq!(sent("allow"), methods);
        assert_eq!(sent("access-control-allow-methods"), None);
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}
