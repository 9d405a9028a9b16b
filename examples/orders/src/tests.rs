//! The routes as a whole, without a socket.

use std::sync::LazyLock;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Request, Response, StatusCode};
use gateless::bearer::{BearerAuth, Keys, OptionalBearerAuth, TokenPolicy};
use gateless::denylist::{Denylist, Ephemeral};
use gateless::scope::ScopeGuard;
use gateless_testkit::{RouteCheck, TestIssuer};
use rstest::rstest;
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;
use tonic::Code;
use tower::ServiceExt as _;

use super::*;
use crate::proto::WatchRequest;
use crate::proto::orders_client::OrdersClient;
use crate::store::{CAPACITY, Draft};

const AUDIENCE: &str = "https://orders.example.com";

/// One for all tests: its keys take a while.
static ISSUER: LazyLock<TestIssuer> = LazyLock::new(TestIssuer::new);

struct Fixture {
    store: Store,
    app: Router,
}

async fn fixture() -> Fixture {
    let policy = TokenPolicy::new(ISSUER.issuer(), AUDIENCE);
    let document = ISSUER.jwks().to_string();
    let keys = policy.read_keys(document.as_bytes()).unwrap();
    let auth = BearerAuth::builder(policy, Keys::fixed(keys))
        .build_optional()
        .unwrap();
    let store = Store::new();
    let app = app_for(auth, store.clone()).await;
    Fixture { store, app }
}

/// What else the layers do is shown by the tour.
async fn app_for(auth: OptionalBearerAuth, store: Store) -> Router {
    let denylist = Denylist::builder(Ephemeral::new(), OnOutage::FailClosed);
    let denylist = denylist.forgets(auth.handle().clone()).build().unwrap();
    denylist.handle().ready().await.unwrap();
    let stack = Stack::builder(auth)
        .denylist(denylist)
        .guard(ScopeGuard::table(policy::table().unwrap()))
        .build();
    app(&stack.unwrap(), store).unwrap()
}

fn bearer(scope: &str) -> String {
    let token = ISSUER.token().audience(AUDIENCE).scope(scope);
    format!("Bearer {}", token.mint())
}

impl Fixture {
    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.app.clone().oneshot(request).await.unwrap()
    }

    async fn http(&self, method: &str, path: &str, scope: &str, body: &str) -> Response<Body> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", bearer(scope))
            .header("content-type", "application/json")
            .body(body.to_owned().into());
        self.send(request.unwrap()).await
    }

    /// The status of a call with an empty message.
    async fn grpc(&self, path: &str, authorization: Option<String>) -> Code {
        let mut request = Request::post(path)
            .header("content-type", "application/grpc")
            .body(Bytes::from_static(&[0; 5]).into())
            .unwrap();
        if let Some(value) = authorization {
            let headers = request.headers_mut();
            headers.insert("authorization", value.parse().unwrap());
        }
        let response = self.send(request).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "application/grpc");
        let status = response.headers().get("grpc-status");
        // Without one in the headers, the call went through; its trailers are not of interest here.
        status.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
    }
}

async fn json_of(response: Response<Body>) -> Value {
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[rstest]
#[case("/")]
#[case("/orders")]
#[case("/orders/1")]
#[case("/orders/")]
#[case("//orders")]
#[case("/ORDERS")]
#[case("/orders/../healthz")]
#[case("/%68ealthz")]
#[case("/healthz/")]
#[case("/readyz/")]
#[case("/admin")]
#[case("/whoami")]
#[case("/nowhere")]
#[case("/orders.v1.Orders/List")]
#[tokio::test]
async fn tj_03_only_health_and_readiness_are_open(#[case] path: &str) {
    let fixture = fixture().await;
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
        let request = Request::builder().method(method).uri(path);
        let response = fixture.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 401, "{method}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer", "{method}");
    }
}

#[rstest]
#[case("/healthz")]
#[case("/readyz")]
#[tokio::test]
async fn health_and_readiness_need_no_token(#[case] path: &str) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(fixture().await.send(request).await.status(), 200);
}

#[tokio::test]
async fn without_keys_the_service_is_healthy_and_not_ready() {
    let nobody = TokenPolicy::new("http://127.0.0.1:9", AUDIENCE).danger_allow_http_loopback();
    let keys = Keys::discovery(OnOutage::FailClosed).allow_private_addresses();
    let auth = BearerAuth::builder(nobody, keys).build_optional().unwrap();
    let app = app_for(auth, Store::new()).await;
    for (path, status) in [("/healthz", 200), ("/readyz", 503)] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
    }
}

#[rstest]
#[case("GET", "/orders", "orders:read", 200)]
#[case("GET", "/orders", "orders:write orders:admin", 403)]
#[case("GET", "/orders", "orders:reader orders:rea", 403)]
#[case("HEAD", "/orders", "orders:write", 403)]
#[case("POST", "/orders", "orders:write", 201)]
#[case("POST", "/orders", "orders:read orders:admin", 403)]
#[case("DELETE", "/orders", "orders:read", 405)]
#[case("GET", "/orders/1", "orders:read", 404)]
#[case("GET", "/orders/one", "orders:read", 404)]
#[case("GET", "/orders/1", "orders:write", 403)]
#[case("GET", "/admin", "orders:admin", 200)]
#[case("GET", "/admin", "orders:read orders:write", 403)]
#[case("GET", "/whoami", "", 200)]
#[case("GET", "/nowhere", "orders:admin", 404)]
#[case("GET", "/orders/", "orders:read", 404)]
#[tokio::test]
async fn each_route_asks_for_its_scope(
    #[case] method: &str,
    #[case] path: &str,
    #[case] scope: &str,
    #[case] status: u16,
) {
    let body = r#"{"item":"tea","quantity":1}"#;
    let response = fixture().await.http(method, path, scope, body).await;
    assert_eq!(response.status(), status);
}

#[rstest]
#[case::no_json("{", 400, "body_unusable")]
#[case::no_quantity(r#"{"item":"tea"}"#, 422, "body_unusable")]
#[case::negative(r#"{"item":"tea","quantity":-1}"#, 422, "body_unusable")]
#[case::unknown_field(
    r#"{"item":"tea","quantity":1,"placed_by":"root"}"#,
    422,
    "body_unusable"
)]
#[case::nothing(r#"{"item":"","quantity":1}"#, 422, "order_invalid")]
#[case::none(r#"{"item":"tea","quantity":0}"#, 422, "order_invalid")]
#[tokio::test]
async fn an_order_that_makes_no_sense_is_a_problem(
    #[case] body: &str,
    #[case] status: u16,
    #[case] code: &str,
) {
    let response = fixture()
        .await
        .http("POST", "/orders", "orders:write", body)
        .await;
    assert_eq!(response.status(), status);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(json_of(response).await["code"], code);
}

#[tokio::test]
async fn an_order_can_be_found_where_it_was_placed() {
    let fixture = fixture().await;
    let body = r#"{"item":"tea","quantity":2}"#;
    let placed = fixture.http("POST", "/orders", "orders:write", body).await;
    assert_eq!(placed.headers()["location"], "/orders/1");
    let found = fixture.http("GET", "/orders/1", "orders:read", "").await;
    let order = json!({ "id": 1, "item": "tea", "quantity": 2, "placed_by": "user-1" });
    assert_eq!(json_of(found).await, order);
}

#[tokio::test]
async fn a_full_store_and_a_large_body_are_refused() {
    let fixture = fixture().await;
    let large = format!(r#"{{"item":"{}","quantity":1}}"#, "x".repeat(20_000));
    let response = fixture
        .http("POST", "/orders", "orders:write", &large)
        .await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);

    let draft = Draft::new("tea", 1).unwrap();
    for _ in 0..CAPACITY {
        fixture.store.create(draft.clone(), "user-1").unwrap();
    }
    let body = r#"{"item":"tea","quantity":1}"#;
    let response = fixture.http("POST", "/orders", "orders:write", body).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
    assert_eq!(json_of(response).await["code"], "store_full");
}

#[rstest]
#[case("POST", "orders:admin", "{}", 403)]
#[case("POST", "tokens:revoke", "{}", 400)]
#[case("POST", "tokens:revoke", r#"{"sid":"session-1"}"#, 200)]
#[case("DELETE", "tokens:revoke", r#"{"sid":"session-1"}"#, 200)]
#[case("GET", "tokens:revoke", "", 405)]
#[tokio::test]
async fn revoking_asks_for_a_scope_of_its_own(
    #[case] method: &str,
    #[case] scope: &str,
    #[case] body: &str,
    #[case] status: u16,
) {
    let fixture = fixture().await;
    let path = "/admin/revocations";
    let response = fixture.http(method, path, scope, body).await;
    assert_eq!(response.status(), status);
}

#[tokio::test]
async fn th_01_a_subject_is_signed_out_in_both_protocols() {
    let fixture = fixture().await;
    let token = ISSUER.token().audience(AUDIENCE).scope("orders:read");
    let theirs = format!("Bearer {}", token.subject("mallory").mint());
    let list = async || {
        let request = Request::get("/orders").header("authorization", &theirs);
        let http = fixture.send(request.body(Body::empty()).unwrap()).await;
        let grpc = fixture.grpc("/orders.v1.Orders/List", Some(theirs.clone()));
        (http.status().as_u16(), grpc.await)
    };
    assert_eq!(list().await, (200, Code::Ok));
    let body = json!({ "sub": "mallory" }).to_string();
    let path = "/admin/revocations";
    let revoked = fixture.http("POST", path, "tokens:revoke", &body).await;
    assert_eq!(revoked.status(), 200);
    assert_eq!(list().await, (401, Code::Unauthenticated));
    // Nobody else is.
    let others = fixture.http("GET", "/orders", "orders:read", "").await;
    assert_eq!(others.status(), 200);
}

#[tokio::test]
async fn whoami_answers_the_principal() {
    let fixture = fixture().await;
    let token = ISSUER.token().audience(AUDIENCE).subject("batch");
    let token = token.client_id("batch").token_id("t-1").scope("a b").mint();
    let request = Request::get("/whoami")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty());
    let mut answer = json_of(fixture.send(request.unwrap()).await).await;
    assert!(answer["expires_at"].take().as_i64() > Some(1_750_000_000));
    assert_eq!(
        answer,
        json!({
            "issuer": "https://idp.example.com",
            "subject": "batch",
            "client_id": "batch",
            "kind": "client",
            "scopes": ["a", "b"],
            "expires_at": null,
            "token_id": "t-1",
        })
    );
}

#[rstest]
#[case("orders:read", [Code::Ok, Code::NotFound, Code::PermissionDenied, Code::Ok])]
#[case("orders:write", [Code::PermissionDenied, Code::PermissionDenied, Code::InvalidArgument, Code::PermissionDenied])]
#[case("orders:admin", [Code::PermissionDenied; 4])]
#[tokio::test]
async fn each_method_asks_for_its_scope(#[case] scope: &str, #[case] codes: [Code; 4]) {
    let fixture = fixture().await;
    for (method, code) in ["List", "Get", "Create", "Watch"].into_iter().zip(codes) {
        let path = &format!("/orders.v1.Orders/{method}");
        let sent = fixture.grpc(path, Some(bearer(scope))).await;
        assert_eq!(sent, code, "{path}");
    }
}

#[rstest]
#[case("/orders.v1.Orders/Delete")]
#[case("/orders.v1.Orders/list")]
#[case("/orders.v1.Orders/List/")]
#[case("/orders.v1.Orders/List/x")]
#[case("/orders.v1.Orders/%4Cist")]
#[case("/orders.v1.Orders%2FList")]
#[case("/orders.v1.Orders//List")]
#[case("//orders.v1.Orders/List")]
#[case("/orders.v1.Orders")]
#[case("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")]
#[tokio::test]
async fn tj_04_what_is_not_exactly_a_method_is_unimplemented(#[case] path: &str) {
    let fixture = fixture().await;
    let all = bearer("orders:read orders:write orders:admin");
    assert_eq!(fixture.grpc(path, Some(all)).await, Code::Unimplemented);
    assert_eq!(fixture.grpc(path, None).await, Code::Unauthenticated);
}

#[tokio::test]
async fn watch_streams_new_orders_until_the_store_closes() {
    let fixture = fixture().await;
    let bearer = bearer("orders:read").parse().unwrap();
    let mut client = OrdersClient::with_interceptor(
        fixture.app.clone(),
        move |mut request: tonic::Request<()>| {
            let metadata: &mut tonic::metadata::MetadataMap = request.metadata_mut();
            metadata.insert("authorization", Clone::clone(&bearer));
            Ok(request)
        },
    );
    let mut orders = client.watch(WatchRequest {}).await.unwrap().into_inner();
    let draft = Draft::new("tea", 2).unwrap();
    let order = fixture.store.create(draft, "alice").unwrap();
    assert_eq!(orders.next().await.unwrap().unwrap(), order.into());
    fixture.store.close();
    assert!(orders.next().await.is_none());
    assert_eq!(
        client.watch(WatchRequest {}).await.unwrap_err().code(),
        Code::Unavailable
    );
}

#[test]
fn the_documents_say_who_gets_through_to_what() {
    assert_eq!(
        policy::table().unwrap().describe().to_string(),
        "\
GET    /admin                   orders:admin
DELETE /admin/revocations       tokens:revoke
POST   /admin/revocations       tokens:revoke
GET    /healthz                 open: the platform asks, and learns that the process runs
GET    /orders                  orders:read
POST   /orders                  orders:write
GET    /orders/{id}             orders:read
GET    /readyz                  open: the platform asks, and learns whether to send requests
GET    /whoami                  any valid token
gRPC   orders.v1.Orders/Create  orders:write
gRPC   orders.v1.Orders/Get     orders:read
gRPC   orders.v1.Orders/List    orders:read
gRPC   orders.v1.Orders/Watch   orders:read
everything else                 denied
"
    );
}

#[tokio::test]
async fn every_operation_asks_for_what_its_document_declares() {
    let check = RouteCheck::new(ISSUER.token().audience(AUDIENCE));
    let table = policy::table().unwrap();
    let app = fixture().await.app;
    let requests = check.run::<Body, _, _>(table.declarations(), app).await;
    assert!(requests.unwrap() > 100);
}
