//! What the server is asked, and how the service proves who asks.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateless::bearer::Algorithm;
use gateless::introspection::{
    AnswerCache, ClientAuthentication, Introspection, IntrospectionPolicy, Secret,
};
use gateless::{OnOutage, PresentationFault};
use gateless_testkit::{ClientAuth, TestIssuer};
use rstest::rstest;

use super::secrets::KeyFile;
use super::stub::{Stub, active};
use super::{World, accepts, ask, known, rejects};
use crate::support::{AUDIENCE, ISSUER, Protocol, Refusal};

/// Asks the stub about one token, as this client.
async fn question(token: &str, client: ClientAuthentication) -> super::stub::Question {
    let stub = Stub::serve(|_| active("user-1")).await;
    let policy = IntrospectionPolicy::new(ISSUER, AUDIENCE).danger_allow_http_loopback();
    let layer = Introspection::builder(policy, stub.endpoint(), client)
        .clock(Arc::new(stub.clock.clone()))
        .build()
        .unwrap();
    ask(&layer, Protocol::Http, token).await.passed();
    let [question] = <[_; 1]>::try_from(stub.questions()).unwrap();
    question
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[rstest]
#[case::tf_06_every_kind_of_character("abcXYZ019-._~+/==")]
#[case::tf_06_pluses("a+b+c+d")]
#[case::tf_06_another_parameter("abc=")]
#[tokio::test]
async fn tf_06_a_token_is_one_parameter_whatever_is_in_it(#[case] token: &str) {
    let question = question(token, known()).await;
    let form = "application/x-www-form-urlencoded";
    assert_eq!(question.content_type.as_deref(), Some(form));
    let sent = [("token", token), ("token_type_hint", "access_token")];
    assert_eq!(question.parameters(), pairs(&sent));
}

/// The characters of a bearer token (RFC 6750 §2.1) leave no room for another parameter to begin with.
#[rstest]
#[case("abc&client_id=admin")]
#[case("abc%26client_id=admin")]
#[case("abc;client_id=admin")]
#[case("abc&token=another")]
#[case("abc=&token=another")]
#[tokio::test]
async fn tf_06_what_would_be_another_parameter_is_not_even_asked_about(#[case] token: &str) {
    let world = World::new().await;
    let fault = Refusal::req(PresentationFault::BadCharacters);
    rejects(&world.layer(), token, &fault).await;
    assert_eq!(world.calls(), 0);
}

#[rstest]
#[case::plain("orders", "hush", "orders:hush")]
#[case::a_colon("or:ders", "hu:sh", "or%3Aders:hu%3Ash")]
#[case::of_a_form("a&b=c", "d%e f", "a%26b%3Dc:d%25e+f")]
#[case::not_ascii("é", "ü", "%C3%A9:%C3%BC")]
#[tokio::test]
async fn tf_06_id_and_secret_are_form_encoded_for_basic(
    #[case] id: &str,
    #[case] secret: &str,
    #[case] pair: &str,
) {
    let client = ClientAuthentication::basic(id, Secret::new(secret));
    let question = question("opaque", client).await;
    let sent = question.authorization.unwrap();
    let sent = STANDARD
        .decode(sent.strip_prefix("Basic ").unwrap())
        .unwrap();
    assert_eq!(String::from_utf8(sent).unwrap(), pair);
    assert!(!question.body.contains("client"));
}

#[tokio::test]
async fn tf_06_id_and_secret_in_the_body_are_parameters_of_their_own() {
    let client = ClientAuthentication::post("or&ders", Secret::new("hu&token=sh"));
    let question = question("opaque", client).await;
    assert_eq!(question.authorization, None);
    let sent = [
        ("token", "opaque"),
        ("token_type_hint", "access_token"),
        ("client_id", "or&ders"),
        ("client_secret", "hu&token=sh"),
    ];
    assert_eq!(question.parameters(), pairs(&sent));
}

#[tokio::test]
async fn an_access_token_of_the_service_goes_into_the_field() {
    let client = ClientAuthentication::bearer(Secret::new("of-this-service"));
    let question = question("opaque", client).await;
    let sent = question.authorization.as_deref();
    assert_eq!(sent, Some("Bearer of-this-service"));
}

/// The server checks each of them, as RFC 6749 and RFC 7523 have it.
#[tokio::test]
async fn the_server_accepts_every_way_to_prove_who_asks() {
    let world = World::new().await;
    let key = KeyFile::new("every-way");
    world.issuer.register_client_key("client-2", key.jwk());
    world.issuer.accept_bearer("of-this-service");
    let secret = || Secret::new(TestIssuer::CLIENT_SECRET);
    let signed = || {
        let key = Secret::file(key.path());
        ClientAuthentication::private_key_jwt("client-2", key, Algorithm::ES256)
    };
    let id = Some(TestIssuer::CLIENT_ID);
    let url = world.issuer.introspection_url();
    for (client, method, client_id) in [
        (known(), ClientAuth::SecretBasic, id),
        (
            ClientAuthentication::post(TestIssuer::CLIENT_ID, secret()),
            ClientAuth::SecretPost,
            id,
        ),
        (signed(), ClientAuth::PrivateKeyJwt, Some("client-2")),
        (
            signed().assertion_audience(url),
            ClientAuth::PrivateKeyJwt,
            Some("client-2"),
        ),
        (
            ClientAuthentication::bearer(Secret::new("of-this-service")),
            ClientAuth::Bearer,
            None,
        ),
    ] {
        let layer = world.asking(world.policy(), world.endpoint(), client);
        let layer = layer.without_answer_cache().build().unwrap();
        // Several calls: an assertion is good for one.
        let token = world.issuer.opaque_token().mint();
        accepts(&layer, &token).await;
        let asked = world.issuer.introspected().pop().unwrap();
        assert_eq!(asked.method, Some(method));
        assert_eq!(asked.client_id.as_deref(), client_id);
        assert_eq!(asked.accept.as_deref(), Some("application/json"));
        assert_eq!(asked.token_type_hint.as_deref(), Some("access_token"));
    }
}

#[tokio::test]
async fn the_endpoint_is_where_the_metadata_say_and_stays_known_without_them() {
    use gateless_testkit::Fault;
    let world = World::new().await;
    let endpoint =
        gateless::introspection::Endpoint::discovery(OnOutage::FailClosed).timeout(super::DEADLINE);
    let layer = world.asking(world.policy(), endpoint, known());
    let layer = layer.answer_cache(AnswerCache::new()).build().unwrap();
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
    assert_eq!(world.issuer.requests().discovery, 1);
    world.issuer.set_discovery_fault(Fault::Status(500));
    world.advance(Duration::from_secs(600));
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
    assert!(world.issuer.requests().discovery > 1);
}

#[tokio::test]
async fn tf_10_metadata_that_cannot_be_used_are_an_outage() {
    use gateless_testkit::Fault;
    use serde_json::json;
    let world = World::new().await;
    let endpoint = gateless::introspection::Endpoint::discovery(OnOutage::FailClosed);
    let layer = world.asking(world.policy(), endpoint, known());
    let layer = layer.build().unwrap();
    let (issuer, url) = (world.issuer.issuer(), world.issuer.introspection_url());
    let elsewhere = Stub::serve(|_| active("user-1")).await;
    let token = world.issuer.opaque_token().mint();
    for metadata in [
        json!({ "issuer": issuer }),
        json!({ "issuer": "https://other.example.com", "introspection_endpoint": url }),
        json!({ "issuer": issuer, "introspection_endpoint": elsewhere.url }),
        json!({ "issuer": issuer, "introspection_endpoint": "http://10.0.0.1/introspect" }),
    ] {
        let body = metadata.to_string().into_bytes();
        let fault = Fault::Body("application/json".into(), body);
        world.issuer.set_discovery_fault(fault);
        rejects(&layer, &token, &Refusal::unanswered(1)).await;
        // For so long they are not asked for again.
        world.advance(Duration::from_secs(1));
    }
    assert_eq!((world.calls(), elsewhere.calls()), (0, 0));
    world.issuer.clear_fault();
    accepts(&layer, &token).await;
}

/// Endpoints hardly ever move: one that is known is asked, whatever its metadata do.
#[tokio::test]
async fn tf_10_metadata_that_hang_take_no_known_address_away() {
    let world = World::new().await;
    let endpoint = gateless::introspection::Endpoint::discovery(OnOutage::FailClosed);
    let layer = world.asking(world.policy(), endpoint, known());
    let layer = layer.build().unwrap();
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
    let lookups = world.issuer.requests().discovery;
    world
        .issuer
        .set_discovery_fault(gateless_testkit::Fault::Hang);
    world.advance(Duration::from_secs(601));
    for _ in 0..3 {
        accepts(&layer, &world.issuer.opaque_token().mint()).await;
    }
    super::until(|| world.issuer.requests().discovery > lookups).await;
    assert_eq!(world.issuer.requests().discovery, lookups + 1);
    // Nor does a new configuration that looks in the same place.
    let other = gateless::introspection::Endpoint::discovery(OnOutage::FailClosed);
    let other = world.asking(world.policy(), other.max_concurrent(8), known());
    layer.handle().reload(other).unwrap();
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
}
