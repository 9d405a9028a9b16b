//! Every way in which a request ends has its record.

use std::pin::pin;
use std::task::Waker;

use gateless::bearer::OptionalBearerAuth;
use gateless::limit::{LimitKey, RateLimit};
use gateless::scope::{MatchedRoute, ScopeGuard, ScopeTable};
use gateless::{
    Access, Dependency, Principal, PrincipalParts, Quota, Rejection, Renderer, Timestamp,
    TokenFault, Wire, scope, scopes,
};
use gateless_testkit::Recorder;
use http::HeaderValue;
use http_body_util::{BodyExt as _, Full};
use rstest::rstest;
use tower::{ServiceBuilder, service_fn};

use super::*;
use crate::support::{Protocol, auth, bearer, issuer};

/// What was sent is of no interest, as what came back is held against the record.
async fn ask<L, S, B>(layer: L, service: S, request: Request<String>) -> Option<Response<()>>
where
    L: Layer<S>,
    L::Service: Service<Request<String>, Response = Response<B>>,
    B: http_body::Body,
{
    let response = layer.layer(service).oneshot(request).await.ok()?;
    let (parts, body) = response.into_parts();
    drop(body.collect().await);
    Some(Response::from_parts(parts, ()))
}

fn asked(protocol: Protocol, token: Option<&str>) -> Request<String> {
    let mut request = protocol.request();
    if let Some(token) = token {
        request = request.header("authorization", bearer(token));
    }
    request.body(String::new()).unwrap()
}

fn good() -> String {
    issuer()
        .token()
        .scope("orders:read")
        .subject("alice")
        .mint()
}

/// The record of a refusal says what the client was told, and what it was not.
#[track_caller]
fn says(record: &Value, outcome: &str, stage: &str, code: &str, reason: &str) {
    assert_eq!(record["outcome"], outcome, "{record:#}");
    assert_eq!(record["stage"], stage, "{record:#}");
    assert_eq!(record["code"], code, "{record:#}");
    assert_eq!(record["reason"], reason, "{record:#}");
}

#[tokio::test]
async fn tl_11_each_refusal_of_the_authentication_has_its_record_in_every_protocol() {
    let expired = issuer().token().expires_in(-60).issued_in(-90).mint();
    let cases = [
        (None, "credentials_missing", "credentials_missing", 401),
        (Some(expired.as_str()), "token_invalid", "expired", 401),
        (Some("made-up"), "token_invalid", "malformed", 401),
        (
            Some("two words"),
            "credentials_malformed",
            "bad_characters",
            400,
        ),
    ];
    for protocol in Protocol::ALL {
        for (token, code, reason, status) in &cases {
            let world = World::new();
            let layer = ServiceBuilder::new().layer(&world.audit).layer(auth());
            let response = ask(layer, Recorder::new(), asked(protocol, *token)).await;
            let record = world.only().await;
            says(&record, "denied", "bearer", code, reason);
            assert_eq!(record["status"], response.unwrap().status().as_u16());
            if protocol == Protocol::Http {
                assert_eq!(record["status"], *status);
                assert_eq!(record["protocol"], "http");
            }
            // Nobody has answered for it yet: it is what a client wrote.
            assert_eq!(record.get("grpc_method"), None);
            if protocol == Protocol::Grpc {
                assert_eq!(
                    (&record["protocol"], &record["grpc_status"]),
                    (&"grpc".into(), &16.into())
                );
            }
            assert_eq!(record.get("subject"), None);
            assert_eq!(
                record.get("credential").is_some(),
                token.is_some(),
                "{record:#}"
            );
        }
    }
}

#[tokio::test]
async fn tl_11_what_is_allowed_has_its_record() {
    for protocol in Protocol::ALL {
        let world = World::new();
        let guard = ScopeGuard::all(scopes!["orders:read"]);
        let layer = ServiceBuilder::new()
            .layer(&world.audit)
            .layer(auth())
            .layer(guard);
        ask(layer, Recorder::new(), asked(protocol, Some(&good()))).await;
        let record = world.only().await;
        assert_eq!(record["outcome"], "allowed");
        assert_eq!(record["issuer"], crate::support::ISSUER);
        assert_eq!(record["subject_kind"], "user");
        assert_eq!(
            record["scopes_required"],
            serde_json::json!(["orders:read"])
        );
        assert_eq!(record["scopes_granted"], serde_json::json!(["orders:read"]));
        assert_eq!(record["token_found"], "verified");
        assert_eq!(record["end"], "complete");
        assert!(
            record["policy_epoch"].is_u64() && record["key"].is_string(),
            "{record:#}"
        );
        for absent in ["stage", "code", "reason", "credential", "flags"] {
            assert_eq!(record.get(absent), None, "{record:#}");
        }
    }
}

/// A service that knows all methods.
async fn grpc(_: Request<String>) -> Result<Response<String>, Infallible> {
    let response = Response::builder().header("content-type", "application/grpc");
    let response = response.header("grpc-status", "0");
    Ok(response.body(String::new()).unwrap())
}

/// Once a service has answered for a method, it is named also where the request is refused before.
#[tokio::test]
async fn tl_11_grpc_methods_are_recorded_that_there_are() {
    let world = World::of(Shelf::new(), Backpressure::FailRequest, |builder| {
        builder.without_folding()
    });
    let layer = ServiceBuilder::new().layer(&world.audit).layer(auth());
    let (service, token) = (layer.service(service_fn(grpc)), good());
    for token in [None, Some(&*token), None] {
        let request = asked(Protocol::Grpc, token);
        drop(service.clone().oneshot(request).await.unwrap());
    }
    let records = world.written("request").await;
    let methods: Vec<_> = records
        .iter()
        .map(|record| record.get("grpc_method"))
        .collect();
    let list = Value::from("shop.Orders/List");
    assert_eq!(methods, [None, Some(&list), Some(&list)]);
}

/// A table says which methods there are, whether somebody may call them or not.
#[tokio::test]
async fn tl_11_grpc_methods_that_are_declared_are_recorded() {
    let world = World::new();
    let table = ScopeTable::builder().grpc("shop.Orders/List", scope!("orders:write"));
    let layer = ServiceBuilder::new()
        .layer(&world.audit)
        .layer(auth())
        .layer(ScopeGuard::table(table.build().unwrap()));
    ask(layer, Recorder::new(), asked(Protocol::Grpc, Some(&good()))).await;
    let record = world.only().await;
    assert_eq!(
        (&record["outcome"], &record["grpc_method"]),
        (&"denied".into(), &"shop.Orders/List".into())
    );
}

#[tokio::test]
async fn tl_11_a_token_that_is_known_is_recorded_as_such() {
    let world = World::new();
    let layer = ServiceBuilder::new().layer(&world.audit).layer(auth());
    let service = layer.service(Recorder::new());
    for _ in 0..2 {
        let response = service
            .clone()
            .oneshot(asked(Protocol::Http, Some(&good())))
            .await;
        drop(response.unwrap());
    }
    let tokens = issuer().token().subject("bob").mint();
    for _ in 0..2 {
        drop(
            service
                .clone()
                .oneshot(asked(Protocol::Http, Some(&tokens)))
                .await
                .unwrap(),
        );
    }
    let records = world.written("request").await;
    let found: Vec<_> = records
        .iter()
        .map(|record| record["token_found"].as_str().unwrap())
        .collect();
    assert_eq!(found, ["verified", "verified", "verified", "cached"]);
}

/// Refuses each request in one way, with the response that a layer of ours makes of it.
fn refusing(
    rejection: Rejection,
) -> impl Service<
    Request<String>,
    Response = Response<Full<bytes::Bytes>>,
    Error = Infallible,
    Future: Send,
> + Clone {
    service_fn(move |request: Request<String>| {
        let response = Renderer::default().render(&rejection, Wire::of(request.headers()));
        async move { Ok(response.map(Full::new)) }
    })
}

/// Every rejection, made by somebody who is no stage of ours: an extractor, or a gate of somebody else's.
#[rstest]
#[case(Rejection::CredentialsMissing, "denied")]
#[case(Rejection::TokenInvalid(TokenFault::Revoked), "denied")]
#[case(Rejection::CallerNotPermitted, "denied")]
#[case(Rejection::RouteUnknown, "denied")]
#[case(Rejection::MethodUnknown { allow: "GET".into() }, "denied")]
#[case(Rejection::RouteUndeclared, "denied")]
#[case(Rejection::DependencyUnavailable { dependency: Dependency::Keys, retry_after: Duration::from_secs(1) }, "unavailable")]
#[case(Rejection::PipelineMisordered, "failed")]
#[tokio::test]
async fn tl_11_every_outcome_class_is_recorded(
    #[case] rejection: Rejection,
    #[case] outcome: &str,
) {
    for protocol in Protocol::ALL {
        let world = World::new();
        ask(
            world.audit.clone(),
            refusing(rejection.clone()),
            asked(protocol, None),
        )
        .await;
        let record = world.only().await;
        says(
            &record,
            outcome,
            "handler",
            rejection.code(),
            rejection.reason(),
        );
    }
}

#[tokio::test]
async fn tl_11_limits_and_scopes_are_recorded_with_what_they_said() {
    let world = World::new();
    let limit = RateLimit::builder(LimitKey::caller(), [Quota::per_hour(1)]).named("orders");
    let layer = ServiceBuilder::new()
        .layer(&world.audit)
        .layer(auth())
        .layer(limit.clock(Arc::new(world.clock.clone())).build().unwrap())
        .layer(ScopeGuard::all(scopes!["orders:write"]));
    let (service, token) = (layer.service(Recorder::new()), good());
    for _ in 0..2 {
        let response = service.clone().oneshot(asked(Protocol::Http, Some(&token)));
        drop(response.await.unwrap());
    }
    let records = world.written("request").await;
    says(
        &records[0],
        "denied",
        "scope",
        "scope_insufficient",
        "scope_insufficient",
    );
    assert_eq!(
        records[0]["scopes_required"],
        serde_json::json!(["orders:write"])
    );
    assert_eq!(
        records[0]["limits"],
        serde_json::json!([{"name": "orders", "result": "admitted"}])
    );
    says(&records[1], "denied", "limit", "rate_exceeded", "requests");
    assert_eq!(
        records[1]["limits"],
        serde_json::json!([{"name": "orders", "result": "refused"}])
    );
    assert_eq!(records[0]["token"], records[1]["token"]);
    assert_eq!(records[0]["subject"], records[1]["subject"]);
}

#[tokio::test]
async fn tl_11_routes_are_recorded_as_the_router_spells_them_and_paths_never() {
    let world = World::new();
    let table = ScopeTable::builder()
        .get("/orders/{id}", scope!("orders:read"))
        .get("/healthz", Access::open("asked by the platform"))
        .build()
        .unwrap();
    let optional: OptionalBearerAuth = crate::support::auth_with(crate::support::policy())
        .build_optional()
        .unwrap();
    let layer = ServiceBuilder::new()
        .layer(&world.audit)
        .layer(optional)
        .layer(ScopeGuard::table(table));
    for (path, route) in [
        ("/orders/canary-7?access_token=canary", Some("/orders/{id}")),
        ("/healthz", Some("/healthz")),
        ("/canary", None),
    ] {
        let mut request = Request::get(path).body(String::new()).unwrap();
        if let Some(route) = route {
            request.extensions_mut().insert(MatchedRoute::new(route));
        }
        ask(layer.clone(), Recorder::new(), request).await;
    }
    let records = world.written("request").await;
    assert_eq!(records[0]["route"], "/orders/{id}");
    assert_eq!(
        (&records[1]["route"], &records[1]["outcome"]),
        (&"/healthz".into(), &"allowed".into())
    );
    assert_eq!(records[1]["flags"], serde_json::json!(["anonymous"]));
    assert_eq!(records[2].get("route"), None);
    assert!(!world.shelf.lines().concat().contains("canary"));
}

#[tokio::test]
async fn tl_11_handlers_that_answer_with_an_error_were_allowed_to() {
    let world = World::new();
    let service = service_fn(async |_: Request<String>| {
        let response = Response::builder().status(500).body(String::new());
        Ok::<_, Infallible>(response.unwrap())
    });
    ask(world.audit.clone(), service, asked(Protocol::Http, None)).await;
    let record = world.only().await;
    assert_eq!(
        (&record["outcome"], &record["status"]),
        (&"allowed".into(), &500.into())
    );
}

#[tokio::test]
async fn tl_11_a_service_that_fails_has_its_record() {
    let world = World::new();
    let service = service_fn(async |_: Request<String>| Err::<Response<String>, _>("broken"));
    let response = ask(world.audit.clone(), service, asked(Protocol::Http, None)).await;
    assert!(response.is_none());
    let record = world.only().await;
    assert_eq!(record["outcome"], "failed");
    assert_eq!(record.get("status"), None);
}

#[tokio::test]
async fn tl_11_a_handler_that_panics_has_its_record() {
    #[derive(Clone)]
    struct AtOnce;

    impl Service<Request<String>> for AtOnce {
        type Response = Response<String>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<String>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<String>) -> Self::Future {
            panic!("expected by the test")
        }
    }

    let later = service_fn(async |request: Request<String>| {
        assert!(request.headers().is_empty(), "expected by the test");
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let world = World::new();
    let request = || asked(Protocol::Grpc, None);
    let first = tokio::spawn(ask(world.audit.clone(), later, request()));
    assert!(first.await.unwrap_err().is_panic());
    let second = tokio::spawn(ask(world.audit.clone(), AtOnce, request()));
    assert!(second.await.unwrap_err().is_panic());
    let records = world.written("request").await;
    assert_eq!(records.len(), 2);
    for record in records {
        assert_eq!(record["outcome"], "panicked");
        assert_eq!(record.get("status"), None);
    }
}

/// A service of somebody else's that says by itself who the caller is, and refuses.
#[tokio::test]
async fn a_trail_can_be_told_by_other_services() {
    use gateless::audit::Trail;

    let world = World::new();
    let service = service_fn(async |request: Request<String>| {
        let trail = Trail::of(request.extensions()).unwrap();
        let parts = PrincipalParts::new("https://other.example.com", Timestamp::MAX);
        trail.authenticated(&Principal::assert_authenticated(parts));
        trail.refused("weekdays", &Rejection::CallerNotPermitted);
        let mut response = Response::new(String::new());
        *response.status_mut() = http::StatusCode::FORBIDDEN;
        response
            .headers_mut()
            .insert("x-why", HeaderValue::from_static("weekend"));
        Ok::<_, Infallible>(response)
    });
    ask(world.audit.clone(), service, asked(Protocol::Http, None)).await;
    let record = world.only().await;
    says(
        &record,
        "denied",
        "weekdays",
        "caller_not_permitted",
        "caller_not_permitted",
    );
    assert_eq!(record["issuer"], "https://other.example.com");
}

/// Somebody further in refused, and somebody between made something else of it.
#[tokio::test]
async fn a_refusal_that_came_to_nothing_is_none() {
    let world = World::new();
    let layer = ServiceBuilder::new().layer(&world.audit);
    let inner = auth().layer(Recorder::new());
    let service = service_fn(move |request: Request<String>| {
        let refused = inner.clone().oneshot(request);
        async move {
            assert_eq!(refused.await.unwrap().status(), 401);
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    ask(layer, service, asked(Protocol::Http, None)).await;
    let record = world.only().await;
    assert_eq!(
        (&record["outcome"], record.get("code")),
        (&"allowed".into(), None)
    );
}

#[tokio::test]
async fn mounted_twice_it_records_once() {
    let world = World::new();
    let layer = ServiceBuilder::new()
        .layer(&world.audit)
        .layer(&world.audit)
        .layer(auth());
    ask(layer, Recorder::new(), asked(Protocol::Http, Some(&good()))).await;
    world.only().await;
}

#[tokio::test]
async fn a_response_that_was_not_asked_for_is_aborted() {
    struct Never;

    impl Future for Never {
        type Output = Result<Response<String>, Infallible>;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Pending
        }
    }

    let world = World::new();
    let mut service = world.audit.layer(service_fn(|_: Request<String>| Never));
    // Dropped before it was polled, and after that.
    drop(service.call(asked(Protocol::Http, None)));
    {
        let under_way = pin!(service.call(asked(Protocol::Http, None)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(under_way.poll(&mut cx).is_pending());
    }
    let records = world.written("request").await;
    assert_eq!(records.len(), 2);
    for record in records {
        assert_eq!(record["outcome"], "aborted");
    }
    assert_eq!(world.audit.handle().status().waiting, 0);
}

/// Somebody between hides that there is something: that does not hide the refusal.
#[tokio::test]
async fn a_refusal_that_was_given_another_status_is_one_still() {
    let world = World::new();
    let inner = auth().layer(Recorder::new());
    let service = service_fn(move |request: Request<String>| {
        let refused = inner.clone().oneshot(request);
        async move {
            assert_eq!(refused.await.unwrap().status(), 401);
            let hidden = Response::builder().status(404).body(String::new());
            Ok::<_, Infallible>(hidden.unwrap())
        }
    });
    ask(world.audit.clone(), service, asked(Protocol::Http, None)).await;
    let record = world.only().await;
    says(
        &record,
        "denied",
        "bearer",
        "credentials_missing",
        "credentials_missing",
    );
    assert_eq!(record["status"], 404);
}
