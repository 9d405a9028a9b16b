//! What shows when a service starts, and not with its first caller.

use gateless::OnOutage;
use gateless::introspection::{ClientAuthentication, Endpoint, Secret};
use gateless_testkit::{Fault, TestIssuer};
use serde_json::json;

use super::stub::{Stub, active, json as json_of};
use super::{FAILURES, SHORT, World, accepts, known};
use crate::sockets::listen;

#[tokio::test]
async fn a_layer_whose_server_answers_is_ready() {
    let world = World::new().await;
    let layer = world.layer();
    assert!(!layer.handle().status().is_paused());
    layer.handle().ready().await.unwrap();
    assert_eq!(world.calls(), 1);
    let asked = world.issuer.introspected().pop().unwrap();
    assert_eq!(asked.client_id.as_deref(), Some(TestIssuer::CLIENT_ID));
    let found = Endpoint::discovery(OnOutage::FailClosed);
    let found = world.asking(world.policy(), found, known());
    found.build().unwrap().handle().ready().await.unwrap();
}

#[tokio::test]
async fn tf_09_credentials_that_are_not_accepted_show_before_the_first_caller() {
    let world = World::new().await;
    let wrong = ClientAuthentication::basic(TestIssuer::CLIENT_ID, Secret::new("canary"));
    let layer = world.asking(world.policy(), world.endpoint(), wrong);
    let layer = layer.build().unwrap();
    let error = layer.handle().ready().await.unwrap_err().to_string();
    let says = "the endpoint does not accept the credentials of this service";
    assert!(error.ends_with(says), "{error}");
    assert!(error.contains(world.issuer.issuer()) && !error.contains("canary"));
}

#[tokio::test]
async fn tf_10_an_address_where_nobody_answers_shows_before_the_first_caller() {
    let world = World::new().await;
    let (listener, address) = listen().await;
    drop(listener);
    let issuer = world.issuer.issuer();
    for (url, says) in [
        (format!("http://{address}/introspect"), "not reachable"),
        (format!("{issuer}/elsewhere"), "answered 404"),
        (format!("{issuer}/jwks"), "answered 405"),
    ] {
        let endpoint = Endpoint::url(url, OnOutage::FailClosed);
        let layer = world.asking(world.policy(), endpoint, known());
        let layer = layer.build().unwrap();
        let error = layer.handle().ready().await.unwrap_err().to_string();
        assert!(error.ends_with(says), "{error}");
    }
    world.issuer.set_introspection_fault(Fault::Hang);
    let error = world.hasty().handle().ready().await.unwrap_err();
    assert!(
        error.to_string().ends_with("no answer in time"),
        "{SHORT:?}"
    );
}

#[tokio::test]
async fn tf_01_a_server_that_calls_everything_active_shows_before_the_first_caller() {
    let stub = Stub::serve(|_| active("user-1")).await;
    let layer = stub.layer();
    let error = layer.handle().ready().await.unwrap_err().to_string();
    assert!(error.ends_with("calls a made-up token active"), "{error}");
    // Each time about another token, and one that nobody can guess.
    layer.handle().ready().await.unwrap_err();
    let tokens = stub.questions().into_iter();
    let tokens: Vec<_> = tokens.map(|it| it.parameter("token").unwrap()).collect();
    assert_ne!(tokens[0], tokens[1]);
    assert!(tokens.iter().all(|token| token.len() >= 32));
}

#[tokio::test]
async fn tf_01_a_server_that_says_nothing_about_active_is_not_ready() {
    let stub = Stub::serve(|_| json_of(200, &json!({"active": "false"}))).await;
    let error = stub.layer().handle().ready().await.unwrap_err();
    assert!(
        error.to_string().contains("does not say whether"),
        "{error}"
    );
}

/// Serving does not depend on it.
#[tokio::test]
async fn asking_whether_it_is_ready_shuts_nobody_out() {
    let world = World::new().await;
    let layer = world.layer();
    world.issuer.set_introspection_fault(Fault::Disconnect);
    for _ in 0..2 * FAILURES {
        layer.handle().ready().await.unwrap_err();
    }
    assert!(!layer.handle().status().is_paused());
    world.issuer.clear_fault();
    accepts(&layer, &world.issuer.opaque_token().mint()).await;
}
