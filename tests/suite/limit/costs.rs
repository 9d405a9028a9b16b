//! Requests that cost more than others.

use axum::Router;
use axum::routing::get;
use gateless::limit::LimitKey;
use gateless::{Quota, Route};
use http::Method;

use super::*;
use crate::support::send_to;

fn http_route(method: Method, path: &str) -> Route {
    let path = path.into();
    Route::Http { method, path }
}

fn grpc_route(method: &str) -> Route {
    let method = method.into();
    Route::Grpc { method }
}

#[tokio::test]
async fn a_request_takes_what_it_costs() {
    let world = World::new();
    for (cost, expected) in [(0, 50), (1, 12), (5, 2), (12, 1)] {
        let builder = world.builder(LimitKey::caller(), &[Quota::per_minute(12)]);
        let instance = world.instance_of(builder.cost(cost));
        assert_eq!(
            instance.admits(50, &token_of("user-1").mint()).await,
            expected
        );
    }
}

#[tokio::test]
async fn a_route_has_a_price_of_its_own_whatever_the_path() {
    let world = World::new();
    let builder = world
        .builder(LimitKey::caller(), &[Quota::per_minute(100)])
        .route_cost(http_route(Method::GET, "/export/{id}"), 40)
        .route_cost(http_route(Method::POST, "/export/{id}"), 60);
    let instance = world.instance_of(builder);
    let app = Router::new()
        .route("/export/{id}", get(|| async {}).post(|| async {}))
        .route("/orders", get(|| async {}))
        .layer(instance.layer());
    let mut left = Vec::new();
    for (method, path) in [
        (Method::GET, "/export/1"),
        (Method::HEAD, "/export/%31"),
        (Method::POST, "/export/1"),
        (Method::GET, "/orders"),
    ] {
        let token = token_of(&format!("user-{path}-{method}")).mint();
        let mut admitted = 0;
        for _ in 0..101 {
            let request = http::Request::builder().method(&method).uri(path);
            let request = presenting(&token)(request).body(axum::body::Body::empty());
            admitted += usize::from(send_to(&app, request.unwrap()).await.status == 200);
        }
        left.push(admitted);
    }
    assert_eq!(left, [2, 2, 1, 100]);
}

#[tokio::test]
async fn a_route_has_its_price_however_the_router_calls_its_parameters() {
    let world = World::new();
    let builder = world
        .builder(LimitKey::caller(), &[Quota::per_minute(100)])
        .route_cost(http_route(Method::GET, "/export/{id}"), 50)
        .route_cost(http_route(Method::GET, "/files/{*rest}"), 50);
    let instance = world.instance_of(builder);
    let app = Router::new()
        .route("/export/{export_id}", get(|| async {}))
        .route("/files/{*path}", get(|| async {}))
        .route("/files", get(|| async {}))
        .layer(instance.layer());
    for (path, expected) in [("/export/1", 2), ("/files/a/b", 2), ("/files", 100)] {
        let token = token_of(&format!("user-{path}")).mint();
        let mut admitted = 0;
        for _ in 0..101 {
            let request = presenting(&token)(http::Request::get(path));
            let request = request.body(axum::body::Body::empty()).unwrap();
            admitted += usize::from(send_to(&app, request).await.status == 200);
        }
        assert_eq!(admitted, expected, "{path}");
    }
}

#[tokio::test]
async fn tk_13_what_is_more_than_one_burst_is_paid_for_in_full_by_the_other_quotas() {
    let world = World::new();
    let quotas = [Quota::per_second(20), Quota::per_day(1000)];
    let builder = world.builder(LimitKey::caller(), &quotas).cost_by(|_| 500);
    let instance = world.instance_of(builder);
    let token = token_of("user-1").mint();
    let mut admitted = 0;
    for _ in 0..20 {
        admitted += instance.admits(1, &token).await;
        world.advance(2_000);
    }
    assert_eq!(admitted, 2);
}

#[tokio::test]
async fn a_grpc_method_has_a_price_of_its_own() {
    let world = World::new();
    let builder = world
        .builder(LimitKey::caller(), &[Quota::per_minute(10)])
        .route_cost(grpc_route("shop.Orders/List"), 5);
    let instance = world.instance_of(builder);
    let token = token_of("user-1").mint();
    for _ in 0..2 {
        instance.send(Protocol::Grpc, &token).await.passed();
    }
    let refused = instance.send(Protocol::Grpc, &token).await;
    assert_eq!(refused.headers["grpc-status"], "8");
}

#[tokio::test]
async fn tk_13_a_price_can_come_from_the_request_and_no_number_breaks_it() {
    let world = World::new();
    let builder = world
        .builder(LimitKey::caller(), &[Quota::per_minute(10)])
        .cost_by(|head| {
            let length = head.headers.get("x-weight");
            let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
            length.unwrap_or(u32::MAX)
        });
    let instance = world.instance_of(builder);
    let send_weight = async |user: &str, weight: &str| {
        let token = token_of(user).mint();
        let request = presenting(&token)(Protocol::Http.request()).header("x-weight", weight);
        let answer = send(&instance.layer(), request.body(String::new()).unwrap()).await;
        answer.status.as_u16()
    };
    assert_eq!(send_weight("user-1", "4").await, 200);
    assert_eq!(send_weight("user-1", "7").await, 429);
    assert_eq!(send_weight("user-1", "6").await, 200);
    assert_eq!(send_weight("user-1", "0").await, 200);
    // More than there can ever be takes all of it, and is not refused for ever.
    assert_eq!(send_weight("user-2", "4294967295").await, 200);
    assert_eq!(send_weight("user-2", "1").await, 429);
    world.advance(60_000);
    assert_eq!(send_weight("user-2", "much").await, 200);
}
