use std::time::Duration;

use gateless_core::{
    Access, Declaration, PrincipalKind, Requirement, Route, Scope, acr, scope, scopes,
};
use http::Method;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::{declarations, document, faults, get};
use crate::openapi::OpenApi;

fn declared(method: &str, path: &str, access: impl Into<Access>) -> Declaration {
    Declaration::new(
        Route::Http {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            path: path.into(),
        },
        access.into(),
    )
}

#[test]
fn what_is_checked_elsewhere_stays_in_each_alternative() {
    let old = json!({"security": [{"oauth": ["x"], "tls": []}]});
    let document = OpenApi::of(&get(old)).unwrap().checked_elsewhere("tls");
    let access = Requirement::any(scopes!["a", "b"]);
    let written: Result<Value, _> = document.write("oauth", &[declared("GET", "/orders", access)]);
    let ways = json!([{"oauth": ["a"], "tls": []}, {"oauth": ["b"], "tls": []}]);
    assert_eq!(
        written.unwrap()["paths"]["/orders"]["get"]["security"],
        ways
    );
}

#[test]
fn an_operation_that_is_a_reference_is_not_written_to() {
    let document = get(json!({"$ref": "#/paths/~1other/get"}));
    let error = written(&document, "oauth", scope!("a")).unwrap_err();
    assert!(error.contains("GET /orders is a reference"), "{error}");
}

/// What is written at the one operation of a document, declared like this.
fn written(document: &Value, scheme: &str, access: impl Into<Access>) -> Result<Value, String> {
    let declaration = declared("GET", "/orders", access);
    let document: Result<Value, _> = OpenApi::of(document).unwrap().write(scheme, &[declaration]);
    match document {
        Ok(document) => Ok(document["paths"]["/orders"]["get"].clone()),
        Err(error) => Err(faults::<()>(Err(error)).join("; ")),
    }
}

#[rstest]
#[case::one(scope!("a").into(), json!({"security": [{"oauth": ["a"]}]}))]
#[case::all(scopes!["a", "b"].into(), json!({"security": [{"oauth": ["a", "b"]}]}))]
#[case::any(Requirement::any(scopes!["a", "b"]).into(), json!({"security": [{"oauth": ["a"]}, {"oauth": ["b"]}]}))]
#[case::authenticated(Access::authenticated(), json!({"security": [{"oauth": []}]}))]
#[case::open(Access::open("why"), json!({"security": [], "x-gateless-open": "why"}))]
#[case::besides(
    Requirement::all([scope!("a").into(), Requirement::acr([acr!("phr")])]).into(),
    json!({"security": [{"oauth": ["a"]}], "x-gateless-requirement": {"all": ["a", {"acr": ["phr"]}]}})
)]
fn an_operation_says_what_is_declared(#[case] access: Access, #[case] expected: Value) {
    let before = json!({
        "security": [{"key": []}],
        "x-gateless-open": "before",
        "x-gateless-requirement": "before",
    });
    assert_eq!(written(&get(before), "oauth", access), Ok(expected));
}

#[test]
fn all_else_stays_as_it_was() {
    let before =
        json!({"operationId": "list", "x-note": 1, "responses": {"200": {"description": "ok"}}});
    let mut expected = before.clone();
    expected["security"] = json!([{"oidc": ["a"]}]);
    assert_eq!(written(&get(before), "oidc", scope!("a")), Ok(expected));
}

#[rstest]
#[case::undefined("nobody", "openapi has no security scheme \"nobody\"")]
#[case::key(
    "key",
    "openapi has a security scheme \"key\" that is not the bearer token"
)]
#[case::basic(
    "basic",
    "openapi has a security scheme \"basic\" that is not the bearer token"
)]
fn only_the_bearer_token_can_be_written(#[case] scheme: &str, #[case] says: &str) {
    assert_eq!(
        written(&get(json!({})), scheme, scope!("a")),
        Err(says.into())
    );
}

#[rstest]
#[case::old_http("3.0.3", "token", false)]
#[case::old_oauth("3.0.3", "oauth", true)]
#[case::http("3.1.0", "token", true)]
#[case::new_http("3.2.0", "token", true)]
fn scopes_stand_only_where_the_version_allows_them(
    #[case] version: &str,
    #[case] scheme: &str,
    #[case] allowed: bool,
) {
    let mut document = get(json!({}));
    document["openapi"] = version.into();
    assert!(written(&document, scheme, Access::authenticated()).is_ok());
    match written(&document, scheme, scope!("a")) {
        Ok(_) => assert!(allowed),
        Err(problem) => {
            assert!(!allowed);
            assert!(
                problem.contains("GET /orders needs scopes, which OpenAPI 3.0"),
                "{problem}"
            );
        }
    }
}

#[test]
fn tj_01_both_sides_have_the_same_routes() {
    let document = document(json!({
        "/orders": {"get": {}, "post": {}},
        "/orders/{orderId}": {"get": {}, "delete": {}},
    }));
    let declarations = [
        declared("GET", "/v1/orders", scope!("a")),
        declared("PUT", "/v1/orders", scope!("a")),
        declared("GET", "/v1/orders/{id}", scope!("a")),
        declared("DELETE", "/orders/{id}", scope!("a")),
        declared("GET", "/v1/orders/{anything}", scope!("b")),
        Declaration::new(
            Route::Grpc {
                method: "orders.v1.Orders/List".into(),
            },
            scope!("a"),
        ),
    ];
    let document = OpenApi::of(&document).unwrap().under("/v1");
    let found = faults(document.write::<Value>("oauth", &declarations));
    let expected = [
        "openapi GET /v1/orders/{anything} is declared twice",
        "openapi POST /orders is not declared",
        "openapi DELETE /orders/{orderId} is not declared",
        "openapi has no operation PUT /v1/orders",
        "openapi has no operation DELETE /orders/{id}",
    ];
    assert_eq!(found, expected);
}

#[rstest]
#[case("/files/{name}", "/files/{*rest}", true)]
#[case("/a/{b}/c/{d}", "/a/{x}/c/{y}", true)]
#[case("/a/{b}.json", "/a/{c}.json", true)]
#[case("/a/{b}.json", "/a/{c}", false)]
#[case("/a/{b}", "/a/b", false)]
#[case("/a/{b}", "/a/{b}/", false)]
#[case("/a/{b}", "/A/{b}", false)]
#[case("/a/{b", "/a/{c", false)]
fn paths_are_compared_by_structure(#[case] path: &str, #[case] other: &str, #[case] same: bool) {
    let document = document(json!({path: {"get": {}}}));
    let declarations = [declared("GET", other, scope!("a"))];
    let result = OpenApi::of(&document)
        .unwrap()
        .write::<Value>("oauth", &declarations);
    assert_eq!(result.is_ok(), same);
}

#[test]
fn what_cannot_be_said_is_a_fault() {
    let pairs: Vec<_> = (0..7)
        .map(|index| {
            let scope = |side| Scope::parse(&format!("{side}{index}")).unwrap();
            Requirement::any([scope('l'), scope('r')])
        })
        .collect();
    let many = Requirement::try_all(pairs).unwrap();
    for (access, says) in [
        (
            many.into(),
            "openapi GET /orders needs one of more than 64 alternatives of scopes",
        ),
        (
            Access::open(" "),
            "openapi GET /orders is declared open without a reason",
        ),
    ] {
        assert_eq!(written(&get(json!({})), "oauth", access), Err(says.into()));
    }
}

#[test]
fn a_path_item_that_is_shared_becomes_a_copy() {
    let mut document = document(json!({
        "/a": {"$ref": "#/components/pathItems/shared"},
        "/b": {"$ref": "#/components/pathItems/shared"},
    }));
    document["components"]["pathItems"]["shared"] = json!({"get": {}});
    let declared = [
        declared("GET", "/a", scope!("a")),
        declared("GET", "/b", scope!("b")),
    ];
    let written: Value = OpenApi::of(&document)
        .unwrap()
        .write("oauth", &declared)
        .unwrap();
    assert_eq!(declarations(&written).unwrap(), declared);
}

#[test]
fn a_type_that_cannot_hold_the_document_is_a_fault() {
    let declared = [declared("GET", "/orders", scope!("a"))];
    let document = OpenApi::of(&get(json!({}))).unwrap();
    let found = faults(document.write::<Vec<u8>>("oauth", &declared));
    assert!(
        found[0].starts_with("openapi cannot be read back"),
        "{found:?}"
    );
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let scope = prop::sample::select(scopes!["a", "b", "c"].to_vec()).prop_map(Requirement::from);
    let leaf = prop_oneof![
        6 => scope,
        1 => Just(Requirement::authenticated()),
        1 => Just(Requirement::acr([acr!("phr")])),
        1 => Just(Requirement::max_age(Duration::from_secs(60))),
        1 => Just(Requirement::kind(PrincipalKind::User)),
        1 => Just(Requirement::claim("tenant", true)),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        let items = prop::collection::vec(inner, 1..4);
        prop_oneof![
            items
                .clone()
                .prop_map(|items| Requirement::try_all(items).unwrap()),
            items.prop_map(|items| Requirement::try_any(items).unwrap()),
        ]
    })
}

/// Without order and repetition.
fn alternatives(requirement: &Requirement) -> Vec<Vec<Scope>> {
    let mut found = requirement.alternatives(64).unwrap();
    found.iter_mut().for_each(|scopes| scopes.sort());
    found.sort();
    found.dedup();
    found
}

proptest! {
    #[test]
    fn what_is_written_is_read_the_same(requirement in requirement()) {
        prop_assume!(requirement.alternatives(64).is_some());
        let declared = [declared("GET", "/orders", requirement.clone())];
        let document: Value = OpenApi::of(&get(json!({}))).unwrap().write("oauth", &declared).unwrap();
        let read = declarations(&document).unwrap();
        let read = read[0].access.requirement().unwrap();
        if requirement.is_scopes_only() {
            prop_assert!(read.is_scopes_only());
            prop_assert_eq!(alternatives(read), alternatives(&requirement));
        } else {
            prop_assert_eq!(read, &requirement);
        }
    }
}
