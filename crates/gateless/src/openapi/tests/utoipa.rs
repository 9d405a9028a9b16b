//! With the document that utoipa makes of annotated handlers.
#![expect(dead_code, reason = "of the handlers only their annotations matter")]

use gateless_core::{Access, Declaration, Requirement, Route, scopes};
use http::Method;
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as _};

use super::lines;
use crate::openapi::OpenApi;

#[utoipa::path(get, path = "/orders", security(("token" = ["orders:read"])), responses((status = 200)))]
fn list() {}

#[utoipa::path(
    post,
    path = "/orders",
    security(("token" = ["orders:write"]), ("token" = ["orders:admin"])),
    extensions(("x-gateless-requirement" = json!({"kind": "user"}))),
    responses((status = 201))
)]
fn create() {}

#[utoipa::path(get, path = "/orders/{orderId}", params(("orderId" = u64, Path)), responses((status = 200)))]
fn read() {}

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(list, create, read), modifiers(&Token), security(("token" = [])))]
struct Document;

#[test]
fn what_handlers_are_annotated_with_is_read() {
    let found = OpenApi::of(&Document::openapi())
        .unwrap()
        .declarations()
        .unwrap();
    let expected = [
        "GET /orders = orders:read",
        "POST /orders = all(any(orders:write, orders:admin), kind(user))",
        "GET /orders/{orderId} = any valid token",
    ];
    assert_eq!(lines(&found), expected);
}

#[test]
fn its_type_holds_all_that_is_written() {
    let declared = [
        (Method::GET, "/orders", Access::open("prices are public")),
        (
            Method::POST,
            "/orders",
            Requirement::claim("tenant", "example").into(),
        ),
        (
            Method::GET,
            "/orders/{id}",
            scopes!["orders:read", "orders:one"].into(),
        ),
    ];
    let declared = declared.map(|(method, path, access)| {
        Declaration::new(
            Route::Http {
                method,
                path: path.into(),
            },
            access,
        )
    });
    let document = OpenApi::of(&Document::openapi()).unwrap();
    let written: utoipa::openapi::OpenApi = document.write("token", &declared).unwrap();
    let found = OpenApi::of(&written).unwrap().declarations().unwrap();
    let expected = [
        "GET /orders = open: prices are public",
        "POST /orders = claim(tenant, \"example\")",
        "GET /orders/{orderId} = all(orders:read, orders:one)",
    ];
    assert_eq!(lines(&found), expected);

    // Nothing else is lost or made up on the way through the type.
    let mut left: Value = serde_json::to_value(&written).unwrap();
    let mut right = serde_json::to_value(Document::openapi()).unwrap();
    for document in [&mut left, &mut right] {
        for item in document["paths"].as_object_mut().unwrap().values_mut() {
            for operation in item.as_object_mut().unwrap().values_mut() {
                let members = operation.as_object_mut().unwrap();
                members.retain(|name, _| name != "security" && !name.starts_with("x-gateless-"));
            }
        }
    }
    assert_eq!(left, right);
}
