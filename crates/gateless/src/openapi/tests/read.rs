use rstest::rstest;
use serde_json::{Value, json};

use super::{declarations, document, faults, get, lines};
use crate::openapi::OpenApi;

#[rstest]
#[case::one_scope(json!({"security": [{"oauth": ["a"]}]}), "a")]
#[case::all_scopes(json!({"security": [{"oauth": ["a", "b"]}]}), "all(a, b)")]
#[case::alternatives(json!({"security": [{"oauth": ["a"]}, {"oauth": ["b", "c"]}]}), "any(a, all(b, c))")]
#[case::no_scope(json!({"security": [{"oauth": []}]}), "any valid token")]
#[case::by_openid(json!({"security": [{"oidc": ["a"]}]}), "a")]
#[case::roles(json!({"security": [{"token": ["a"]}]}), "a")]
#[case::plain_bearer(json!({"security": [{"token": []}]}), "any valid token")]
#[case::scheme_by_reference(json!({"security": [{"also": ["a"]}]}), "a")]
#[case::two_schemes(json!({"security": [{"oauth": ["a"], "oidc": ["b", "a"]}]}), "all(a, b)")]
#[case::the_same_by_two(json!({"security": [{"oauth": ["a"]}, {"oidc": ["a"]}]}), "a")]
#[case::besides(
    json!({"security": [{"oauth": ["a"]}], "x-gateless-requirement": {"kind": "user"}}),
    "all(a, kind(user))"
)]
#[case::besides_any_token(
    json!({"security": [{"oauth": []}], "x-gateless-requirement": {"max_age": 60}}),
    "max_age(60 s)"
)]
#[case::besides_nothing_new(
    json!({"security": [{"oauth": ["a"]}], "x-gateless-requirement": {"authenticated": true}}),
    "a"
)]
#[case::besides_says_it_all(
    json!({"security": [{"oauth": ["a"]}], "x-gateless-requirement": {"all": ["a", {"acr": ["phr"]}]}}),
    "all(a, acr(phr))"
)]
#[case::besides_says_only_one_way(
    json!({"security": [{"oauth": ["a"]}], "x-gateless-requirement": {"any": ["a", {"acr": ["phr"]}]}}),
    "all(a, any(a, acr(phr)))"
)]
#[case::open(json!({"security": []}), "open: `security: []` in the OpenAPI document")]
#[case::open_with_reason(json!({"security": [], "x-gateless-open": "says nothing"}), "open: says nothing")]
#[case::optional(
    json!({"security": [{}, {"oauth": ["a"]}], "x-gateless-open": "greets by name"}),
    "open: greets by name"
)]
fn security_is_read_as_openapi_means_it(#[case] operation: Value, #[case] access: &str) {
    let found = declarations(&get(operation)).unwrap();
    assert_eq!(lines(&found), [format!("GET /orders = {access}")]);
}

#[rstest]
#[case::nothing(json!({}), "says nothing about security; write `security: []`")]
#[case::null(json!({"security": null}), "has a `security` that is no list")]
#[case::no_list(json!({"security": {"oauth": []}}), "has a `security` that is no list")]
#[case::no_object(json!({"security": ["oauth"]}), "has an alternative in its `security` that is no object")]
#[case::no_scopes(json!({"security": [{"oauth": "a"}]}), "has scopes of \"oauth\" that are no list")]
#[case::no_text(json!({"security": [{"oauth": [1]}]}), "names the scope 1, which is no text")]
#[case::no_scope(json!({"security": [{"oauth": ["a b"]}]}), "names the scope \"a b\": a scope is")]
#[case::undefined(json!({"security": [{"oaut": ["a"]}]}), "names the security scheme \"oaut\", which")]
#[case::astray(json!({"security": [{"astray": ["a"]}]}), "names the security scheme \"astray\", which")]
#[case::other_beside(json!({"security": [{"oauth": ["a"], "key": []}]}), "needs the security scheme \"key\"")]
#[case::basic_beside(json!({"security": [{"oauth": ["a"], "basic": []}]}), "needs the security scheme \"basic\"")]
#[case::no_reason(json!({"security": [], "x-gateless-open": " "}), "has an x-gateless-open that is no reason")]
#[case::reason_is_true(json!({"security": [], "x-gateless-open": true}), "has an x-gateless-open that is no")]
#[case::not_open(json!({"security": [{"oauth": []}], "x-gateless-open": "why"}), "needs a token, and yet has")]
#[case::open_and_besides(
    json!({"security": [], "x-gateless-requirement": "a"}),
    "is open, and yet has an x-gateless-requirement"
)]
#[case::besides_is_none(
    json!({"security": [{"oauth": []}], "x-gateless-requirement": {"al": ["a"]}}),
    "has an x-gateless-requirement that is none: unknown field"
)]
#[case::besides_null(
    json!({"security": [{"oauth": []}], "x-gateless-requirement": null}),
    "has an x-gateless-requirement that is none"
)]
#[case::reference(
    json!({"$ref": "#/paths/~1orders/post", "security": [{"oauth": []}]}),
    "is a reference; only a path item can be one"
)]
fn what_is_not_clear_is_a_fault_of_its_operation(#[case] operation: Value, #[case] says: &str) {
    let found = faults(declarations(&get(operation)));
    assert_eq!(found.len(), 1, "{found:?}");
    let expected = format!("openapi GET /orders {says}");
    assert!(found[0].starts_with(&expected), "{found:?}");
}

#[rstest]
#[case::anonymous(json!({"security": [{}]}), "lets anonymous callers through")]
#[case::anonymous_beside(json!({"security": [{"oauth": ["a"]}, {}]}), "lets anonymous callers through")]
#[case::empty_besides(
    json!({"security": [{"oauth": []}], "x-gateless-requirement": {"all": []}}),
    "an empty list would allow everybody"
)]
fn tj_07_an_empty_list_does_not_open_a_route(#[case] operation: Value, #[case] says: &str) {
    let found = faults(declarations(&get(operation)));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("openapi GET /orders "), "{found:?}");
    assert!(found[0].contains(says), "{found:?}");
}

#[rstest]
#[case::all_of_them(json!([]), "is open only by the empty `security` of the whole document")]
#[case::optional(json!([{"oauth": ["a"]}, {}]), "lets anonymous callers through")]
fn tj_07_what_is_open_from_above_is_open_only_with_a_reason(
    #[case] above: Value,
    #[case] says: &str,
) {
    let with = |operation| {
        let mut document = get(operation);
        document["security"] = above.clone();
        declarations(&document)
    };
    let found = faults(with(json!({})));
    assert!(
        found[0].starts_with(&format!("openapi GET /orders {says}")),
        "{found:?}"
    );
    let found = with(json!({"x-gateless-open": "why"})).unwrap();
    assert_eq!(lines(&found), ["GET /orders = open: why"]);
}

#[rstest]
#[case::own(json!({"get": {"security": [{"oauth": ["b"]}]}}), "b")]
#[case::none(json!({"get": {}}), "a")]
#[case::open(json!({"get": {"security": []}}), "open: `security: []` in the OpenAPI document")]
fn the_security_of_an_operation_replaces_that_of_the_document(
    #[case] item: Value,
    #[case] access: &str,
) {
    let mut document = document(json!({"/orders": item}));
    document["security"] = json!([{"oauth": ["a"]}]);
    let found = declarations(&document).unwrap();
    assert_eq!(lines(&found), [format!("GET /orders = {access}")]);
}

#[test]
fn tj_01_every_operation_without_security_is_named() {
    let found = faults(declarations(&document(json!({
        "/orders": {"get": {"security": [{"oauth": ["a"]}]}, "post": {}},
        "/orders/{id}": {"delete": {}},
        "x-note": {"get": {}},
    }))));
    assert_eq!(found.len(), 2);
    for (found, name) in found.iter().zip(["POST /orders", "DELETE /orders/{id}"]) {
        assert!(
            found.starts_with(&format!("openapi {name} says nothing")),
            "{found}"
        );
    }
}

#[test]
fn tj_16_each_method_is_an_operation_of_its_own() {
    let methods = [
        "get", "put", "post", "delete", "options", "head", "patch", "trace",
    ];
    let operation = |method: &str| json!({"security": [{"oauth": [method]}]});
    let item: serde_json::Map<_, _> = methods
        .into_iter()
        .map(|method| (method.to_owned(), operation(method)))
        .collect();
    let found = declarations(&document(json!({"/orders": item}))).unwrap();
    let expected = methods.map(|method| format!("{} /orders = {method}", method.to_uppercase()));
    assert_eq!(lines(&found), expected);
}

#[rstest]
#[case::upper_case(json!({"GET": {"security": []}}), "path /orders has a member \"GET\"")]
#[case::capital(json!({"Get": {"security": []}}), "path /orders has a member \"Get\"")]
#[case::unknown(json!({"purge": {"security": []}}), "path /orders has a member \"purge\"")]
#[case::too_new(json!({"query": {"security": []}}), "path /orders has a member \"query\"")]
#[case::not_there(json!({"get": null}), "GET /orders is no object")]
#[case::no_item(json!([]), "path /orders: its path item is no object")]
#[case::out(json!({"$ref": "other.json"}), "path /orders: \"other.json\" leads out of the document")]
#[case::nowhere(json!({"$ref": "#/components/pathItems/none"}), "path /orders: \"#/components/pathItems/none\" leads")]
#[case::no_text(json!({"$ref": 1}), "path /orders: its $ref is no text")]
#[case::circle(json!({"$ref": "#/paths/~1orders"}), "path /orders: more than 16 references, or a circle")]
fn tj_16_no_member_of_a_path_is_passed_over(#[case] item: Value, #[case] says: &str) {
    let mut document = document(json!({"/orders": item}));
    document["paths"]["/ok"] = json!({"get": {"security": []}, "summary": "", "description": "", "servers": [],
        "parameters": [], "x-note": 1});
    let found = faults(declarations(&document));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with(&format!("openapi {says}")),
        "{found:?}"
    );
}

#[test]
fn tj_16_further_methods_are_read_where_the_version_has_them() {
    let mut document = document(json!({"/orders": {
        "query": {"security": [{"oauth": ["q"]}]},
        "additionalOperations": {"COPY": {"security": [{"oauth": ["c"]}]}},
    }}));
    document["openapi"] = "3.2.0".into();
    assert_eq!(
        lines(&declarations(&document).unwrap()),
        ["COPY /orders = c", "QUERY /orders = q"]
    );
    for (name, says) in [
        ("get", "has no place"),
        ("POST", "has no place"),
        ("a b", "no HTTP method"),
    ] {
        document["paths"]["/orders"]["additionalOperations"] = json!({name: {"security": []}});
        let found = faults(declarations(&document));
        assert!(found[0].contains(says), "{found:?}");
    }
}

#[test]
fn a_path_item_behind_references_is_read_with_what_stands_beside_them() {
    let mut document = document(json!({
        "/orders": {"$ref": "#/components/pathItems/orders", "post": {"security": [{"oauth": ["write"]}]}},
        "/same": {"$ref": "#/paths/~1orders", "summary": "the same"},
    }));
    document["components"]["pathItems"]["orders"] =
        json!({"get": {"security": [{"oauth": ["read"]}]}, "summary": "orders"});
    let expected = [
        "GET /orders = read",
        "POST /orders = write",
        "GET /same = read",
        "POST /same = write",
    ];
    assert_eq!(lines(&declarations(&document).unwrap()), expected);

    document["paths"]["/orders"]["get"] = json!({"security": []});
    let found = faults(declarations(&document));
    assert_eq!(found.len(), 2);
    assert!(
        found[0].contains("\"get\" stands beside a $ref and behind it too"),
        "{found:?}"
    );
}

#[rstest]
#[case::beside_the_token(json!([{"oauth": ["a"], "key": [], "tls": []}]), Ok("a"))]
#[case::beside_both(json!([{"oauth": ["a"], "tls": []}, {"oauth": ["b"], "tls": []}]), Ok("any(a, b)"))]
#[case::beside_one_of_two(
    json!([{"oauth": ["a"], "tls": []}, {"oauth": ["b"]}]),
    Err("needs what is checked elsewhere in some of its alternatives only")
)]
#[case::scopes_of_others(json!([{"oauth": ["a"], "tls": ["b"]}]), Ok("a"))]
#[case::alone(json!([{"key": []}]), Err("lets callers through without a bearer token, by key alone"))]
#[case::alone_in_one(
    json!([{"oauth": ["a"]}, {"key": [], "tls": []}]),
    Err("lets callers through without a bearer token, by key, tls alone")
)]
#[case::unknown_beside(json!([{"oauth": ["a"], "basic": []}]), Err("needs the security scheme \"basic\""))]
fn what_is_checked_elsewhere_stands_beside_the_token_never_for_it(
    #[case] security: Value,
    #[case] expected: Result<&str, &str>,
) {
    let found = OpenApi::of(&get(json!({ "security": security })))
        .unwrap()
        .checked_elsewhere("key")
        .checked_elsewhere("tls")
        .declarations();
    match expected {
        Ok(access) => assert_eq!(lines(&found.unwrap()), [format!("GET /orders = {access}")]),
        Err(says) => {
            let found = faults(found);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].starts_with(&format!("openapi GET /orders {says}")),
                "{found:?}"
            );
        }
    }
}

#[test]
fn tj_07_a_token_under_another_name_is_not_taken_for_ours() {
    let document = get(json!({"security": [{"oauth": ["admin"]}, {"token": []}]}));
    let read = || OpenApi::of(&document).unwrap();
    let found = faults(read().declarations());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("could be the bearer token: oauth, token;"),
        "{found:?}"
    );
    let found = faults(read().bearer_token("oauth").declarations());
    assert!(
        found[0].contains("needs the security scheme \"token\""),
        "{found:?}"
    );
    let both = read()
        .bearer_token("oauth")
        .bearer_token("token")
        .declarations();
    assert_eq!(
        lines(&both.unwrap()),
        ["GET /orders = any(admin, any valid token)"]
    );

    let beside = get(json!({"security": [{"oauth": ["admin"], "token": []}]}));
    let read = || OpenApi::of(&beside).unwrap().bearer_token("oauth");
    let beside = read().checked_elsewhere("token").declarations();
    assert_eq!(lines(&beside.unwrap()), ["GET /orders = admin"]);
    for (name, says) in [
        ("none", "bearer_token \"none\" is no security scheme"),
        ("key", "bearer_token \"key\" is a security scheme without"),
    ] {
        let found = faults(read().bearer_token(name).declarations());
        assert!(
            found.iter().any(|fault| fault.starts_with(says)),
            "{found:?}"
        );
    }
}

#[rstest]
#[case::at_the_root("", "the document has a member \"x-gateless-requirement\"")]
#[case::among_paths("/paths", "`paths` has a member")]
#[case::at_a_path("/paths/~1orders", "path /orders has a member")]
fn a_restriction_where_nobody_reads_it_is_a_fault(#[case] place: &str, #[case] says: &str) {
    let mut document = get(json!({"security": [{"oauth": ["a"]}]}));
    let place = document.pointer_mut(place).unwrap();
    place["x-gateless-requirement"] = json!({"max_age": 60});
    let found = faults(declarations(&document));
    assert!(found[0].contains(says), "{found:?}");
}

#[rstest]
#[case("x-gateless-requirements")]
#[case("x-gateless-max-age")]
#[case("X-Gateless-Open")]
fn a_misspelt_restriction_is_a_fault(#[case] name: &str) {
    let found = faults(declarations(&get(
        json!({"security": [{"oauth": ["a"]}], name: "why"}),
    )));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("which says nothing to gateless"),
        "{found:?}"
    );
}

#[rstest]
#[case("keys", "\"keys\" is no security scheme of the document")]
#[case("oauth", "\"oauth\" is the bearer token itself")]
#[case("token", "\"token\" is the bearer token itself")]
fn only_other_schemes_can_be_checked_elsewhere(#[case] name: &str, #[case] says: &str) {
    let document = OpenApi::of(&get(json!({"security": []}))).unwrap();
    let found = faults(document.checked_elsewhere(name).declarations());
    assert_eq!(found, [format!("checked_elsewhere {says}")]);
}

#[rstest]
#[case("", &["GET / = a", "GET /orders/{orderId} = a"])]
#[case("/v1", &["GET /v1 = a", "GET /v1/orders/{orderId} = a"])]
#[case("/api/{tenant}", &["GET /api/{tenant} = a", "GET /api/{tenant}/orders/{orderId} = a"])]
fn paths_are_those_of_the_router(#[case] prefix: &str, #[case] expected: &[&str]) {
    let operation = json!({"security": [{"oauth": ["a"]}]});
    let document = document(json!({
        "/": {"get": operation},
        "/orders/{orderId}": {"get": operation, "servers": [{"url": "https://example.com/v9"}]},
    }));
    let found = OpenApi::of(&document).unwrap().under(prefix).declarations();
    assert_eq!(lines(&found.unwrap()), expected);
}

#[rstest]
#[case("v1")]
#[case("/v1/")]
#[case("/")]
fn a_prefix_begins_with_a_slash_and_ends_in_none(#[case] prefix: &str) {
    let document = OpenApi::of(&get(json!({"security": []}))).unwrap();
    let found = faults(document.under(prefix).declarations());
    assert!(found[0].starts_with("under \""), "{found:?}");
}

#[rstest]
#[case::no_json("{", "openapi is no JSON document: EOF")]
#[case::no_object("[]", "openapi has no text `openapi`")]
#[case::no_version(r#"{"paths": {}}"#, "openapi has no text `openapi`")]
#[case::number(r#"{"openapi": 3.1}"#, "openapi has no text `openapi`")]
#[case::swagger(r#"{"swagger": "2.0"}"#, "openapi is a Swagger 2.0 document")]
#[case::next(r#"{"openapi": "3.3.0"}"#, "openapi is of version \"3.3.0\"")]
#[case::longer(r#"{"openapi": "3.10.0"}"#, "openapi is of version \"3.10.0\"")]
#[case::twice(
    r#"{"openapi": "3.1.0", "paths": {"/a": {}, "/a": {}}}"#,
    "\"/a\" stands there twice"
)]
#[case::twice_in_a_list(
    r#"{"openapi": "3.1.0", "tags": [{"a": 1, "a": 1.5}]}"#,
    "\"a\" stands there twice"
)]
fn what_is_no_document_is_refused(#[case] json: &str, #[case] says: &str) {
    let found = faults(OpenApi::parse(json));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains(says), "{found:?}");
}

#[rstest]
#[case("3.0.3")]
#[case("3.1.1")]
#[case("3.2.0")]
fn each_version_is_read(#[case] version: &str) {
    let mut document = get(json!({"security": [{"oauth": ["a"]}]}));
    document["openapi"] = version.into();
    document["webhooks"] = json!({"news": {"post": {}}});
    document["x-numbers"] = json!([null, true, -1, 1, 0.5, "text"]);
    let found = OpenApi::parse(document.to_string()).unwrap().declarations();
    assert_eq!(lines(&found.unwrap()), ["GET /orders = a"]);
}

#[rstest]
#[case::none(json!({}), "openapi has no operation")]
#[case::list(json!([]), "openapi has `paths` that are no object")]
#[case::relative(json!({"orders": {"get": {}}}), "openapi path \"orders\" does not begin with a slash")]
fn tj_01_a_document_without_operations_is_refused(#[case] paths: Value, #[case] says: &str) {
    let found = faults(declarations(&document(paths)));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(says), "{found:?}");
}

#[test]
fn every_fault_is_reported_at_once() {
    let found = faults(declarations(&document(json!({
        "/a": {"get": {"security": [{"nobody": ["a b"], "oauth": ["c d"]}], "x-gateless-open": ""}, "Put": {}},
        "/b": {"$ref": "b.json"},
    }))));
    assert_eq!(found.len(), 5, "{found:?}");
}
