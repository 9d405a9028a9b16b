//! BUILD: what cannot be right is refused when the layer is made, all of it at once, and never with a secret in the text.

use std::time::Duration;

use gateless::bearer::{Algorithm, Credentials, Keys};
use gateless::introspection::{
    AnswerCache, ClientAuthentication, Endpoint, Introspection, IntrospectionBuilder,
    IntrospectionPolicy, Secret, SharedAnswers,
};
use gateless::{ConfigError, ConfigFault, OnOutage};
use gateless_testkit::{FakeClock, MemoryStore};
use rstest::rstest;

use crate::support::{AUDIENCE, ISSUER};

const SECRET: &str = "canary-secret";

fn policy() -> IntrospectionPolicy {
    IntrospectionPolicy::new(ISSUER, AUDIENCE)
}

fn url(url: &str) -> Endpoint {
    Endpoint::url(url, OnOutage::FailClosed)
}

fn good() -> Endpoint {
    url("https://idp.example.com/introspect")
}

fn client() -> ClientAuthentication {
    ClientAuthentication::basic("orders", Secret::new(SECRET))
}

fn builder() -> IntrospectionBuilder {
    Introspection::builder(policy(), good(), client())
}

fn with_endpoint(endpoint: Endpoint) -> IntrospectionBuilder {
    Introspection::builder(policy(), endpoint, client())
}

fn with_client(client: ClientAuthentication) -> IntrospectionBuilder {
    Introspection::builder(policy(), good(), client)
}

fn with_cache(cache: AnswerCache) -> IntrospectionBuilder {
    builder().answer_cache(cache)
}

fn shared(secret: &[u8]) -> SharedAnswers {
    let store = MemoryStore::new(std::sync::Arc::new(FakeClock::new()));
    SharedAnswers::new(std::sync::Arc::new(store), secret)
}

fn keys() -> Keys {
    Keys::discovery(OnOutage::FailClosed)
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MILLI: Duration = Duration::from_millis(1);

#[test]
fn the_settings_of_these_tests_are_good_but_for_what_they_spoil() {
    builder().build().unwrap();
    builder().shared_answers(shared(&[7; 32])).build().unwrap();
    builder().signed_answers(keys()).build().unwrap();
    builder().build_optional().unwrap();
}

#[rstest]
#[case::no_issuer(|| Introspection::builder(IntrospectionPolicy::new("", AUDIENCE), good(), client()), &["issuer"])]
#[case::an_http_issuer(|| Introspection::builder(IntrospectionPolicy::new("http://idp.example.com", AUDIENCE), good(), client()), &["issuer"])]
#[case::no_audience(|| Introspection::builder(IntrospectionPolicy::new(ISSUER, ""), good(), client()), &["audience"])]
#[case::too_much_leeway(|| Introspection::builder(policy().leeway(Duration::from_secs(301)), good(), client()), &["leeway"])]
#[case::assumed_for_no_time(|| Introspection::builder(policy().assume_lifetime(Duration::ZERO), good(), client()), &["assume_lifetime"])]
#[case::assumed_for_too_long(|| Introspection::builder(policy().assume_lifetime(DAY + MILLI), good(), client()), &["assume_lifetime"])]
#[case::plain_http(|| with_endpoint(url("http://idp.example.com/introspect")), &["endpoint"])]
#[case::http_to_loopback(|| with_endpoint(url("http://127.0.0.1:1/introspect")), &["endpoint"])]
#[case::no_url(|| with_endpoint(url("introspect")), &["endpoint"])]
#[case::credentials_in_the_url(|| with_endpoint(url("https://orders:canary-secret@idp.example.com/")), &["endpoint"])]
#[case::no_timeout(|| with_endpoint(good().timeout(Duration::ZERO)), &["timeout"])]
#[case::a_long_timeout(|| with_endpoint(good().timeout(Duration::from_secs(60) + MILLI)), &["timeout"])]
#[case::no_calls(|| with_endpoint(good().max_concurrent(0)), &["max_concurrent"])]
#[case::many_calls(|| with_endpoint(good().max_concurrent(10_001)), &["max_concurrent"])]
#[case::many_waiting(|| with_endpoint(good().max_waiting(1_000_001)), &["max_waiting"])]
#[case::no_certificate(|| with_endpoint(good().root_certificate("canary-secret")), &["root_certificate"])]
#[case::no_client_id(|| with_client(ClientAuthentication::basic("", Secret::new(SECRET))), &["client_authentication"])]
#[case::no_secret(|| with_client(ClientAuthentication::basic("orders", Secret::new(""))), &["client_authentication"])]
#[case::a_blank_secret(|| with_client(ClientAuthentication::post("orders", Secret::new(" \n"))), &["client_authentication"])]
#[case::no_file(|| with_client(ClientAuthentication::basic("orders", Secret::file("/nowhere/at/all"))), &["client_authentication"])]
#[case::a_folder(|| with_client(ClientAuthentication::basic("orders", Secret::file(std::env::temp_dir()))), &["client_authentication"])]
#[case::no_variable(|| with_client(ClientAuthentication::basic("orders", Secret::env("GATELESS_NOT_SET"))), &["client_authentication"])]
#[case::a_callback_without(|| with_client(ClientAuthentication::basic("orders", Secret::callback(|| Err::<String, _>("the vault is sealed")))), &["client_authentication"])]
#[case::tf_26_no_private_key(|| with_client(ClientAuthentication::private_key_jwt("orders", Secret::new(SECRET), Algorithm::ES256)), &["client_authentication"])]
#[case::tf_26_no_bearer_token(|| with_client(ClientAuthentication::bearer(Secret::new("canary-secret\n2"))), &["client_authentication"])]
#[case::no_lifetime(|| with_cache(AnswerCache::new().lifetime(Duration::ZERO)), &["answer_cache"])]
#[case::a_long_lifetime(|| with_cache(AnswerCache::new().lifetime(DAY + MILLI)), &["answer_cache"])]
#[case::tf_23_refusals_for_too_long(|| with_cache(AnswerCache::new().refused_lifetime(Duration::from_millis(5001))), &["answer_cache"])]
#[case::no_tokens(|| with_cache(AnswerCache::new().max_tokens(0)), &["answer_cache"])]
#[case::no_room(|| with_cache(AnswerCache::new().max_bytes(1)), &["answer_cache"])]
#[case::shared_without_a_cache(|| builder().shared_answers(shared(&[7; 32])).without_answer_cache(), &["shared_answers"])]
#[case::a_short_secret(|| builder().shared_answers(shared(b"canary-secret-that-is-too-short")), &["shared_answers"])]
#[case::a_slow_store(|| builder().shared_answers(shared(&[7; 32]).timeout(Duration::from_secs(6))), &["shared_answers"])]
#[case::an_empty_prefix(|| builder().token_prefix(""), &["token_prefix"])]
#[case::no_length(|| builder().token_lengths(std::ops::RangeInclusive::new(2, 1)), &["token_lengths"])]
#[case::no_token_at_all(|| builder().credentials(Credentials::new().max_token_len(0)), &["max_token_len"])]
#[case::a_recipient_of_nothing(|| builder().recipient("orders"), &["recipient"])]
#[case::signed_for_nobody(|| with_client(ClientAuthentication::bearer(Secret::new(SECRET))).signed_answers(keys()), &["recipient"])]
#[case::shared_by_nobody(|| with_client(ClientAuthentication::bearer(Secret::new(SECRET))).shared_answers(shared(&[7; 32])), &["recipient"])]
#[case::a_key_id_without_a_key(|| with_client(client().key_id("a")), &["key_id"])]
#[case::an_assertion_without_a_key(|| with_client(client().assertion_audience("a")), &["assertion_audience"])]
#[case::a_host_beside_an_address(|| with_endpoint(good().allow_host("other.example.com")), &["allow_host"])]
#[case::nothing_to_go_on_with(|| with_endpoint(Endpoint::url("https://idp.example.com/", OnOutage::StaleFor(MILLI))).without_answer_cache(), &["on_outage"])]
#[case::keys_from_nowhere(|| builder().signed_answers(Keys::file("/nowhere/at/all")), &["keys"])]
fn what_cannot_be_right_is_named(
    #[case] spoilt: fn() -> IntrospectionBuilder,
    #[case] expected: &[&str],
) {
    assert_eq!(settings(&spoilt().build().unwrap_err()), expected);
    assert_eq!(settings(&spoilt().build_optional().unwrap_err()), expected);
}

fn settings(error: &ConfigError) -> Vec<&str> {
    let said = format!("{error} {error:?}");
    assert!(!said.contains("canary"), "{said}");
    error.faults().iter().map(ConfigFault::setting).collect()
}

#[test]
fn every_setting_that_is_wrong_is_named_at_once() {
    let endpoint = url("http://idp.example.com/").timeout(Duration::ZERO);
    let client = ClientAuthentication::basic("", Secret::env("GATELESS_NOT_SET"));
    let policy = IntrospectionPolicy::new(ISSUER, "");
    let builder = Introspection::builder(policy, endpoint, client)
        .token_prefix("")
        .answer_cache(AnswerCache::new().lifetime(Duration::ZERO));
    let error = builder.build().unwrap_err();
    let mut named = settings(&error);
    named.sort_unstable();
    let expected = [
        "answer_cache",
        "audience",
        "client_authentication",
        "client_authentication",
        "endpoint",
        "timeout",
        "token_prefix",
    ];
    assert_eq!(named, expected);
}
