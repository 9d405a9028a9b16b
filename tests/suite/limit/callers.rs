//! Who shares a quota with whom.

use axum::Router;
use axum::routing::get;
use gateless::limit::{LimitKey, Peer, PeerAddress};
use gateless::{MatchedRoute, Quota};
use gateless_testkit::TestIssuer;
use rstest::rstest;
use serde_json::json;
use tower::ServiceExt as _;

use super::*;
use crate::support::{Refusal, send_to};

const TWO: Quota = Quota::per_minute(2);

#[tokio::test]
async fn tk_12_what_is_left_comes_back_evenly_and_there_is_no_edge_to_wait_for() {
    let world = World::new();
    let instance = world.instance(LimitKey::caller(), &[Quota::per_minute(60)]);
    let token = token_of("user-1").mint();
    assert_eq!(instance.admits(100, &token).await, 60);
    // Nothing comes back all at once: neither at the end of a minute, nor at any other time.
    for _ in 0..5 {
        world.advance(999);
        assert_eq!(instance.admits(3, &token).await, 0);
        world.advance(1);
        assert_eq!(instance.admits(3, &token).await, 1);
    }
    world.advance(60_000);
    assert_eq!(instance.admits(100, &token).await, 60);
}

#[tokio::test]
async fn several_quotas_hold_at_once_and_a_refusal_takes_from_none() {
    let world = World::new();
    let quotas = [Quota::per_second(2), Quota::per_hour(5)];
    let instance = world.instance(LimitKey::caller(), &quotas);
    let token = token_of("user-1").mint();
    let mut admitted = Vec::new();
    for _ in 0..4 {
        admitted.push(instance.admits(20, &token).await);
        world.advance(1000);
    }
    // 18 refusals a second have cost nothing.
    assert_eq!(admitted, [2, 2, 1, 0]);
}

#[rstest]
#[case::one_subject_with_many_tokens(LimitKey::subject(), |n: u32| token_of("user-1").token_id(format!("t-{n}")), 2)]
#[case::one_caller_with_many_tokens(LimitKey::caller(), |n: u32| token_of("user-1").token_id(format!("t-{n}")), 2)]
#[case::one_caller_with_many_clients(LimitKey::caller(), |n: u32| token_of("user-1").client_id(format!("c-{n}")), 2)]
#[case::many_subjects(LimitKey::caller(), |n: u32| token_of(&format!("user-{n}")), 18)]
#[case::one_client_with_many_subjects(LimitKey::client(), |n: u32| token_of(&format!("user-{n}")).client_id("c-1"), 2)]
#[case::many_clients(LimitKey::client(), |n: u32| token_of("user-1").client_id(format!("c-{n}")), 18)]
#[case::many_tokens(LimitKey::token(), |n: u32| token_of("user-1").token_id(format!("t-{n}")), 18)]
#[case::one_tenant(LimitKey::claim("tenant"), |n: u32| token_of(&format!("user-{n}")).claim("tenant", json!("a")), 2)]
#[case::many_tenants(LimitKey::claim("tenant"), |n: u32| token_of("user-1").claim("tenant", json!(n)), 18)]
#[case::no_tenant_is_one(LimitKey::claim("tenant"), |n: u32| token_of(&format!("user-{n}")), 2)]
#[case::a_tenant_in_an_object(LimitKey::claim(["org", "id"]), |n: u32| token_of("u").claim("org", json!({"id": n})), 18)]
#[case::both(LimitKey::client().and(LimitKey::subject()), |n: u32| token_of(&format!("user-{}", n % 2)).client_id(format!("c-{}", n % 3)), 12)]
#[case::everybody(LimitKey::everybody(), |n: u32| token_of(&format!("user-{n}")), 2)]
#[tokio::test]
async fn tk_06_requests_with_the_same_key_share_a_quota(
    #[case] key: LimitKey,
    #[case] token: fn(u32) -> TokenBuilder,
    #[case] expected: usize,
) {
    let world = World::new();
    let instance = world.instance(key, &[TWO]);
    let mut admitted = 0;
    for n in 0..18 {
        admitted += instance.admits(1, &token(n).mint()).await;
    }
    assert_eq!(admitted, expected);
}

#[tokio::test]
async fn tk_06_the_same_subject_at_two_issuers_is_two_callers() {
    let world = World::new();
    let other = TestIssuer::builder()
        .issuer("https://other.example.com")
        .clock(Arc::new(world.clock.clone()))
        .build();
    let policy = policy();
    let theirs = gateless::bearer::TokenPolicy::new(other.issuer(), crate::support::AUDIENCE);
    let keys = crate::support::keys_of(&other, &theirs);
    let auth = crate::support::auth_with(policy)
        .clock(Arc::new(world.clock.clone()))
        .issuer(theirs, gateless::bearer::Keys::fixed(keys))
        .build()
        .unwrap();
    for key in [
        LimitKey::caller(),
        LimitKey::subject(),
        LimitKey::client(),
        LimitKey::token(),
        LimitKey::claim("sub"),
    ] {
        let instance = Instance {
            auth: auth.clone(),
            limit: world.builder(key, &[TWO]).build().unwrap(),
        };
        let one = token_of("user-1").client_id("c").token_id("t").mint();
        let two = other
            .token()
            .subject("user-1")
            .client_id("c")
            .token_id("t")
            .mint();
        assert_eq!(instance.admits(3, &one).await, 2);
        assert_eq!(instance.admits(3, &two).await, 2);
    }
}

#[tokio::test]
async fn tk_05_a_forged_token_takes_nothing_from_its_victim() {
    let world = World::new();
    let instance = world.instance(LimitKey::caller(), &[TWO]);
    let forger = TestIssuer::builder()
        .clock(Arc::new(world.clock.clone()))
        .build();
    let forged = forger.token().subject("user-1").mint();
    for protocol in Protocol::ALL {
        for _ in 0..10 {
            let answer = instance.send(protocol, &forged).await;
            assert_eq!(answer.rejection.unwrap().code(), "token_invalid");
        }
    }
    assert_eq!(instance.admits(5, &token_of("user-1").mint()).await, 2);
}

#[tokio::test]
async fn tk_01_no_field_of_a_request_makes_another_caller() {
    let world = World::new();
    let instance = world.instance(LimitKey::caller(), &[TWO]);
    let token = token_of("user-1").mint();
    let mut admitted = 0;
    for n in 0..20 {
        let address = format!("192.0.2.{n}");
        let request = presenting(&token)(Protocol::Http.request())
            .header("x-forwarded-for", &address)
            .header("forwarded", format!("for={address}"))
            .header("x-real-ip", &address)
            .header("x-user", &address);
        let answer = send(&instance.layer(), request.body(String::new()).unwrap()).await;
        admitted += usize::from(answer.status == 200);
    }
    assert_eq!(admitted, 2);
}

#[tokio::test]
async fn a_route_is_the_one_that_the_router_chose_and_never_a_path() {
    let world = World::new();
    let instance = world.instance(LimitKey::caller().and(LimitKey::route()), &[TWO]);
    let app = Router::new()
        .route("/orders/{id}", get(|| async {}))
        .route("/users/{id}", get(|| async {}))
        .fallback(|| async {})
        .layer(instance.layer());
    let token = token_of("user-1").mint();
    for (path, expected) in [("orders", 2), ("users", 2), ("else", 2), ("other", 0)] {
        let mut admitted = 0;
        for n in 0..6 {
            let request = http::Request::get(format!("/{path}/{n}"));
            let request = presenting(&token)(request).header("content-type", "application/grpc");
            let answer = send_to(&app, request.body(axum::body::Body::empty()).unwrap()).await;
            let is_refused = answer.headers.contains_key("grpc-status");
            admitted += usize::from(!is_refused);
        }
        assert_eq!(admitted, expected, "{path}");
    }
}

#[tokio::test]
async fn a_router_of_another_kind_says_which_route_it_chose() {
    let world = World::new();
    let instance = world.instance(LimitKey::route(), &[TWO]);
    let mut admitted = 0;
    for n in 0..6 {
        let mut request = presenting(&token_of("user-1").mint())(Protocol::Http.request())
            .body(String::new())
            .unwrap();
        let route = ["/a", "/b"][n % 2];
        request.extensions_mut().insert(MatchedRoute::new(route));
        admitted += usize::from(send(&instance.layer(), request).await.status == 200);
    }
    assert_eq!(admitted, 4);
}

#[tokio::test]
async fn th_17_what_has_no_authentication_can_be_limited_by_where_requests_come_from() {
    let world = World::new();
    let key = LimitKey::peer(Peer::connection()).and(LimitKey::route());
    let limit = world.builder(key, &[TWO]).build().unwrap();
    let mut admitted = Vec::new();
    for from in [
        "192.0.2.7",
        "192.0.2.7",
        "192.0.2.8",
        "192.0.2.7",
        "::ffff:192.0.2.7",
    ] {
        let address: std::net::IpAddr = from.parse().unwrap();
        let request = Protocol::Http.request().extension(PeerAddress(address));
        let answer = send(&limit, request.body(String::new()).unwrap()).await;
        admitted.push(answer.status == 200);
    }
    assert_eq!(admitted, [true, true, true, false, false]);
    // Nobody says where it comes from: a fault of the deployment.
    crate::support::refuses(&limit, &Refusal::misordered(), "", |request| request).await;
}

#[tokio::test]
async fn without_an_authentication_in_front_it_is_the_deployments_fault() {
    let world = World::new();
    let limit = world.builder(LimitKey::caller(), &[TWO]).build().unwrap();
    crate::support::refuses(&limit, &Refusal::misordered(), "", |request| request).await;
}

#[tokio::test]
async fn nobody_is_counted_who_is_not_signed_in() {
    let world = World::new();
    let auth = crate::support::auth_with(policy())
        .build_optional()
        .unwrap();
    let limit = world.builder(LimitKey::caller(), &[TWO]).build().unwrap();
    let layer = Stack::new(limit, auth);
    for _ in 0..5 {
        crate::support::passes(&layer, "", |request| request).await;
    }
}

/// What counts is one value, however many places it is mounted in.
#[tokio::test]
async fn clones_and_mounts_share_the_quotas() {
    let world = World::new();
    let instance = world.instance(LimitKey::caller(), &[TWO]);
    let app = Router::new()
        .route("/a", get(|| async {}).layer(instance.limit.clone()))
        .route("/b", get(|| async {}).layer(instance.limit.clone()))
        .layer(instance.auth.clone());
    let token = token_of("user-1").mint();
    let mut statuses = Vec::new();
    for path in ["/a", "/b", "/a", "/b"] {
        let request = presenting(&token)(http::Request::get(path));
        let response = app
            .clone()
            .oneshot(request.body(axum::body::Body::empty()).unwrap());
        statuses.push(response.await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
}
