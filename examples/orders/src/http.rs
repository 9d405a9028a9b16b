//! The HTTP half: routes, what they take, and what they answer.
//!
//! Errors of the service itself have the same form as the refusals of gateless: problem details (RFC 9457) with a
//! stable `code`.

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use gateless::Principal;
use gateless::bearer::BearerHandle;
use gateless::denylist::DenylistHandle;
use gateless::stack::Stack;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::store::{CAPACITY, Draft, InvalidOrder, Order, Store, StoreFull};

/// The largest body that is read, in bytes: an order is far smaller.
const MAX_BODY: usize = 16 * 1024;

/// The routes. Who gets through to which stands in `openapi.json`.
pub(crate) fn routes(store: Store) -> Router {
    Router::new()
        .route("/orders", get(list).post(create))
        .route("/orders/{id}", get(get_one))
        .route("/admin", get(admin))
        .route("/whoami", get(whoami))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(store)
}

/// What the platform asks.
pub(crate) fn probes(stack: Stack) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(stack)
}

/// Whether tokens can be checked. Without keys, or without knowing what was revoked, every one of them would get `503`.
/// An introspection endpoint that is away does not count: tokens that are known, and JWTs, are served, and no other
/// instance would do better.
async fn ready(State(stack): State<Stack>) -> (StatusCode, &'static str) {
    let has_keys = stack.bearer().is_none_or(BearerHandle::is_ready);
    if has_keys && stack.denylist().is_none_or(DenylistHandle::is_ready) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

#[derive(Serialize)]
struct Orders {
    orders: Vec<Order>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOrder {
    item: String,
    quantity: u32,
}

async fn list(State(store): State<Store>) -> Json<Orders> {
    Json(Orders {
        orders: store.list(),
    })
}

async fn get_one(
    State(store): State<Store>,
    Path(id): Path<String>,
) -> Result<Json<Order>, Problem> {
    let order = id.parse().ok().and_then(|id| store.get(id));
    order.map(Json).ok_or(Problem::NoSuchOrder)
}

async fn create(
    State(store): State<Store>,
    principal: Principal,
    body: Result<Json<NewOrder>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(NewOrder { item, quantity }) = body?;
    let order = store.create(Draft::new(&item, quantity)?, caller(&principal))?;
    let location = [(LOCATION, format!("/orders/{}", order.id))];
    Ok((StatusCode::CREATED, location, Json(order)).into_response())
}

async fn admin(State(store): State<Store>) -> Json<Value> {
    Json(json!({ "orders": store.count(), "capacity": CAPACITY }))
}

async fn whoami(principal: Principal) -> Json<Value> {
    Json(json!({
        "issuer": principal.issuer(),
        "subject": principal.subject(),
        "client_id": principal.client_id(),
        "kind": principal.kind().name(),
        "scopes": principal.scopes().iter().collect::<Vec<_>>(),
        "expires_at": principal.expires_at().as_secs(),
        "token_id": principal.token_id(),
    }))
}

/// In whose name an order is placed.
pub(crate) fn caller(principal: &Principal) -> &str {
    let name = principal.subject().or_else(|| principal.client_id());
    name.unwrap_or_default()
}

/// What can go wrong behind the layers.
#[derive(Debug)]
enum Problem {
    NoSuchOrder,
    Body(JsonRejection),
    Invalid(InvalidOrder),
    Full,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, detail) = match self {
            Self::NoSuchOrder => (
                StatusCode::NOT_FOUND,
                "order_unknown",
                "there is no such order".to_owned(),
            ),
            Self::Body(rejection) => (rejection.status(), "body_unusable", rejection.body_text()),
            Self::Invalid(fault) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "order_invalid",
                fault.to_string(),
            ),
            Self::Full => (StatusCode::CONFLICT, "store_full", StoreFull.to_string()),
        };
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail,
            "code": code,
        });
        let content_type = [(CONTENT_TYPE, "application/problem+json")];
        (status, content_type, body.to_string()).into_response()
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::Body(rejection)
    }
}

impl From<InvalidOrder> for Problem {
    fn from(fault: InvalidOrder) -> Self {
        Self::Invalid(fault)
    }
}

impl From<StoreFull> for Problem {
    fn from(_: StoreFull) -> Self {
        Self::Full
    }
}
