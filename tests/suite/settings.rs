//! BUILD: what cannot be right is refused when the layer is made, all of it at once.

use std::time::Duration;

use gateless::bearer::{
    Algorithm, BearerAuth, Credentials, CsrfDefence, HmacSecret, Key, KeySet, Keys, TlsEvidence,
    TokenPolicy,
};
use gateless::{ConfigError, OnOutage};
use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};
use rstest::rstest;

use crate::support::{AUDIENCE, ISSUER, auth_with, issuer, policy};

fn settings<T: std::fmt::Debug>(built: Result<T, ConfigError>) -> Vec<String> {
    let error = built.unwrap_err();
    let faults = error.faults().iter();
    faults.map(|fault| fault.setting().to_owned()).collect()
}

fn try_reading(credentials: Credentials) -> Result<BearerAuth, ConfigError> {
    auth_with(policy()).credentials(credentials).build()
}

fn discovery() -> Keys {
    Keys::discovery(OnOutage::FailClosed)
}

#[test]
fn every_setting_that_is_wrong_is_named_at_once() {
    let policy = TokenPolicy::new("http://idp.example.com", "")
        .algorithms([])
        .leeway(Duration::from_secs(301))
        .max_lifetime(Duration::ZERO)
        .allowed_clients::<&str>([])
        .client_claim("");
    let keys = discovery()
        .lifetime(Duration::ZERO)
        .cooldown(Duration::from_millis(999))
        .timeout(Duration::from_secs(61))
        .root_certificate("not PEM");
    let builder = || {
        BearerAuth::builder(policy.clone(), keys.clone())
            .issuer(policy.clone(), keys.clone())
            .issuer(
                TokenPolicy::new("https://other.example.com", " "),
                Keys::file("/nowhere"),
            )
            .credentials(
                Credentials::new()
                    .max_token_len(0)
                    .cookie("", CsrfDefence::Origins(Vec::new()))
                    .header(AUTHORIZATION)
                    .danger_query_parameter("")
                    .require_tls(TlsEvidence::ForwardedProto { trusted_hops: 0 }),
            )
    };
    let expected = [
        "max_token_len",
        "cookie",
        "cookie",
        "header",
        "danger_query_parameter",
        "require_tls",
        "issuer",
        "audience",
        "algorithms",
        "leeway",
        "max_lifetime",
        "allowed_clients",
        "client_claim",
        "lifetime",
        "cooldown",
        "timeout",
        "root_certificate",
        "issuer",
        "audience",
        "keys",
    ];
    let mut named = settings(builder().build());
    let mut expected = Vec::from(expected);
    assert_eq!(named, settings(builder().build_optional()));
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected);
    let said = builder().build().unwrap_err().to_string();
    for named in [
        "http://idp.example.com is not an https URL",
        "/nowhere",
        "configured twice",
    ] {
        assert!(said.contains(named), "{said}");
    }
}

#[test]
fn an_issuer_that_is_wrong_and_configured_twice_is_reported_as_twice() {
    let wrong = || (TokenPolicy::new("http://idp.example.com", "a"), discovery());
    let ((policy, keys), (again, further)) = (wrong(), wrong());
    let error = BearerAuth::builder(policy, keys)
        .issuer(again, further)
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("configured twice"), "{error}");
}

#[rstest]
#[case::ta_08_no_origin(|| try_reading(Credentials::new().cookie("s", CsrfDefence::Origins(Vec::new()))), "cookie")]
#[case::ta_08_a_wildcard(|| try_reading(Credentials::new().cookie("s", CsrfDefence::Origins(vec!["*".into()]))), "cookie")]
#[case::ta_08_a_wildcard_host(|| try_reading(Credentials::new().cookie("s", CsrfDefence::Origins(vec!["https://*.example.com".into()]))), "cookie")]
#[case::ta_08_a_path(|| try_reading(Credentials::new().cookie("s", CsrfDefence::Origins(vec!["https://app.example.com/".into()]))), "cookie")]
#[case::ta_08_null(|| try_reading(Credentials::new().cookie("s", CsrfDefence::Origins(vec!["null".into()]))), "cookie")]
#[case::ta_15_no_length(|| try_reading(Credentials::new().max_token_len(0)), "max_token_len")]
#[case::the_cookie_field(|| try_reading(Credentials::new().header(COOKIE)), "header")]
#[case::ta_26_no_proxy(|| try_reading(Credentials::new().require_tls(TlsEvidence::ForwardedProto { trusted_hops: 0 })), "require_tls")]
#[case::td_14_no_audience(|| auth_with(TokenPolicy::new(ISSUER, "")).build(), "audience")]
#[case::td_14_a_blank_audience(|| auth_with(policy().audience(" \t")).build(), "audience")]
#[case::td_10_a_long_leeway(|| auth_with(policy().leeway(Duration::from_secs(301))).build(), "leeway")]
#[case::no_keys(|| BearerAuth::builder(policy(), Keys::fixed(KeySet::default())).build(), "keys")]
#[case::tb_05_keys_for_what_is_not_allowed(|| BearerAuth::builder(policy(), Keys::fixed(hmac())).build(), "keys")]
#[case::an_issuer_twice(|| auth_with(policy()).issuer(policy(), Keys::fixed(keys())).build(), "issuer")]
#[case::te_18_a_plain_issuer(|| BearerAuth::builder(TokenPolicy::new("http://127.0.0.1:9", AUDIENCE), discovery()).build(), "issuer")]
#[case::te_16_a_plain_address(|| BearerAuth::builder(policy(), Keys::jwks_url("http://idp.example.com/jwks", OnOutage::FailClosed)).build(), "jwks_url")]
#[case::te_16_a_plain_loopback_address(|| BearerAuth::builder(policy(), Keys::jwks_url("http://127.0.0.1/jwks", OnOutage::FailClosed)).build(), "jwks_url")]
#[case::te_16_no_address(|| BearerAuth::builder(policy(), Keys::jwks_url("", OnOutage::FailClosed)).build(), "jwks_url")]
#[case::te_01_no_cooldown(|| BearerAuth::builder(policy(), discovery().cooldown(Duration::ZERO)).build(), "cooldown")]
#[case::no_timeout(|| BearerAuth::builder(policy(), discovery().timeout(Duration::ZERO)).build(), "timeout")]
#[case::no_lifetime(|| BearerAuth::builder(policy(), discovery().lifetime(Duration::ZERO)).build(), "lifetime")]
#[case::keys_end_before_the_next(|| BearerAuth::builder(policy(), discovery().lifetime(Duration::from_millis(29_999))).build(), "lifetime")]
fn a_setting_that_cannot_be_right_is_named(
    #[case] build: fn() -> Result<BearerAuth, ConfigError>,
    #[case] setting: &str,
) {
    assert!(settings(build()).contains(&setting.to_owned()));
}

fn hmac() -> KeySet {
    let secret = HmacSecret::new(b"3fd1b6e0c9a84f7d92e5170a6bc8d4f2").unwrap();
    KeySet::new([Key::hmac(Algorithm::HS256, &secret).unwrap()])
}

fn keys() -> KeySet {
    crate::support::keys_of(issuer(), &policy())
}

#[test]
fn tl_02_no_secret_prints_with_a_layer_or_an_error() {
    let secret = b"canary-9a84f7d92e5170a6bc8d4f2-x";
    let secret = HmacSecret::new(secret).unwrap();
    let key = Key::hmac(Algorithm::HS256, &secret).unwrap();
    let policy = policy().algorithms([Algorithm::HS256]);
    let builder = BearerAuth::builder(policy, Keys::fixed(KeySet::new([key.clone()])))
        .credentials(Credentials::new().header(HeaderName::from_static("x-api-token")));
    let printed = format!("{secret:?} {key:?} {builder:?}");
    let built = builder.build().unwrap();
    let error = BearerAuth::builder(crate::support::policy(), Keys::fixed(KeySet::new([key])));
    let printed = format!("{printed} {built:?} {:?}", error.build().unwrap_err());
    assert!(!printed.contains("canary"), "{printed}");
    // As bytes, either.
    assert!(!printed.contains("99, 97, 110, 97, 114, 121"), "{printed}");
}

#[test]
fn what_is_right_is_built() {
    assert!(BearerAuth::builder(policy(), discovery()).build().is_ok());
    let origins = CsrfDefence::Origins(vec!["https://app.example.com:8443".into()]);
    let credentials = Credentials::new()
        .cookie("session", origins)
        .header(HeaderName::from_static("x-api-token"))
        .danger_query_parameter("access_token")
        .require_tls(TlsEvidence::Connection);
    let other = TokenPolicy::new("https://other.example.com", AUDIENCE);
    let full = auth_with(policy())
        .credentials(credentials)
        .issuer(other, discovery());
    assert!(full.build().is_ok());
}
