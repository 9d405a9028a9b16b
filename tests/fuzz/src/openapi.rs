//! An OpenAPI document: what is declared can be written into it, means the same when it is read again, and opens nothing.

use std::collections::BTreeSet;

use gateless::openapi::OpenApi;
use gateless::scope::ScopeTable;
use gateless::{Access, Declaration, Principal, Requirement, Route, ScopeSet};
use gateless_core::{PrincipalParts, Timestamp};
use serde_json::{Value, json};

use crate::Target;
use crate::kit;

pub(crate) const TARGET: Target = Target {
    name: "openapi",
    run,
    made,
    words: &[
        "\"openapi\":",
        "\"3.0.3\"",
        "\"3.1.0\"",
        "\"3.2.0\"",
        "\"paths\":",
        "\"security\":",
        "\"security\":[]",
        "\"security\":[{}]",
        "\"get\":",
        "\"post\":",
        "\"query\":",
        "\"$ref\":",
        "\"#/components/pathItems/a\"",
        "\"token\":",
        "\"securitySchemes\":",
        "\"http\"",
        "\"bearer\"",
        "\"oauth2\"",
        "\"x-gateless-open\":\"why\"",
        "\"x-gateless-requirement\":",
        "\"all\":",
        "\"any\":",
        "\"scope\":",
        "\"/orders/{id}\"",
        "\"/\"",
        "{}",
        "[]",
        "null",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"",
        "\"a:b\"",
    ],
    rounds: 20_000,
};

/// Checks what comes of this as a document.
pub(crate) fn run(data: &[u8]) -> bool {
    let Ok(document) = OpenApi::parse(data) else {
        return false;
    };
    let said = kit::plain(data).expect("a document that is no JSON, or says something twice");
    let Ok(declared) = document.declarations() else {
        return false;
    };
    let callers = callers(&said, &declared);
    for one in &declared {
        is_as_said(&said, one, &callers);
    }
    let table = ScopeTable::builder()
        .extend(declared.iter().cloned())
        .build();
    if let Ok(table) = table {
        let described = table.describe().to_string();
        assert!(
            declared
                .iter()
                .all(|one| described.contains(&*path_of(one))),
            "a route is not shown"
        );
    }
    // Not everything can be written: a document may name no scheme of this name, or one without scopes.
    let Ok(written) = document.write::<Value>("token", &declared) else {
        return false;
    };
    let first = OpenApi::of(&written).unwrap().bearer_token("token");
    let first_declared = first
        .declarations()
        .expect("what is written cannot be read");
    assert_eq!(declared.len(), first_declared.len());
    for (before, after) in declared.iter().zip(&first_declared) {
        assert_eq!(before.route, after.route);
        for caller in &callers {
            assert_eq!(
                passes(&before.access, caller),
                passes(&after.access, caller),
                "{}: {} and {}",
                before.route,
                before.access,
                after.access
            );
        }
    }
    // Once it is written, it stays as it is.
    let again: Value = first
        .write("token", &first_declared)
        .expect("written once, and not again");
    let again = OpenApi::of(&again)
        .unwrap()
        .bearer_token("token")
        .declarations();
    assert_eq!(again.unwrap(), first_declared);
    true
}

fn passes(access: &Access, caller: &Principal) -> bool {
    access
        .requirement()
        .is_none_or(|requirement| requirement.check(caller, kit::now()).is_ok())
}

/// Somebody with each set of a few of the scopes that are named, who signed in at different times and in different ways.
fn callers(said: &Value, declared: &[Declaration]) -> Vec<Principal> {
    let mut scopes = BTreeSet::new();
    for one in declared {
        let named = one.access.requirement().map(Requirement::scopes);
        scopes.extend(named.into_iter().flatten().map(|one| one.to_string()));
    }
    let scopes = Vec::from_iter(scopes);
    let mut sets: Vec<Vec<_>> = (0..1_usize << scopes.len().min(4))
        .map(|set| {
            let few = scopes.iter().enumerate().take(4);
            few.filter(|(at, _)| set >> at & 1 == 1)
                .map(|(_, scope)| scope.as_str())
                .collect()
        })
        .collect();
    sets.push(scopes.iter().map(String::as_str).collect());
    let mut ways = BTreeSet::new();
    find(said, "acr", &mut ways);
    let mut levels = vec![
        (None, None),
        (None, Some(kit::NOW)),
        (None, Some(kit::NOW - 3_000)),
    ];
    levels.extend(
        ways.into_iter()
            .take(2)
            .map(|way| (Some(way), Some(kit::NOW))),
    );
    let of = |scopes: &[&str], (acr, signed_in): &(Option<&str>, Option<i64>)| {
        Principal::assert_authenticated(PrincipalParts {
            scopes: ScopeSet::parse(scopes.join(" ")).unwrap(),
            authentication_context: acr.map(Into::into),
            authenticated_at: signed_in.map(Timestamp::from_secs),
            ..PrincipalParts::new(kit::ISSUER, Timestamp::from_secs(kit::NOW + 300))
        })
    };
    let all = sets
        .iter()
        .flat_map(|set| levels.iter().map(move |level| of(set, level)));
    all.collect()
}

/// The texts under a name, in lists or alone, wherever it stands.
fn find<'v>(value: &'v Value, name: &str, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| find(item, name, found)),
        Value::Object(members) => {
            if let Some(value) = members.get(name) {
                found.extend(value.as_str());
                found.extend(
                    value
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(Value::as_str),
                );
            }
            members.values().for_each(|value| find(value, name, found));
        }
        _ => {}
    }
}

/// What the document says of one operation, read plainly: who has all scopes of one alternative, and meets what is needed
/// besides, gets through, and nobody else.
fn is_as_said(said: &Value, declared: &Declaration, callers: &[Principal]) {
    let Route::Http { method, path } = &declared.route else {
        panic!("a document with a gRPC method");
    };
    let item = &said["paths"][&**path];
    if item.get("$ref").is_some() {
        return;
    }
    let name = method.as_str().to_ascii_lowercase();
    let Some(operation) = item.get(&name) else {
        // One of version 3.2 that has no name of its own.
        return assert!(item.get("additionalOperations").is_some(), "{name} {path}");
    };
    let security = operation.get("security").or(said.get("security"));
    let security = security.and_then(Value::as_array).expect("nothing is said");
    let is_open = security.is_empty() || security.contains(&json!({}));
    assert_eq!(
        matches!(declared.access, Access::Open { .. }),
        is_open,
        "{}",
        declared.route
    );
    if is_open {
        // By the word of this very operation, or with a reason.
        let is_meant = operation.get("security") == Some(&json!([]))
            || operation["x-gateless-open"]
                .as_str()
                .is_some_and(|why| !why.trim().is_empty());
        return assert!(is_meant, "{} opens by itself", declared.route);
    }
    let besides = operation
        .get("x-gateless-requirement")
        .map(|it| serde_json::from_value::<Requirement>(it.clone()).unwrap());
    for caller in callers {
        let has = |scope: &Value| caller.scopes().iter().any(|one| *scope == *one);
        let is_enough = |schemes: &Value| {
            let scopes = schemes.as_object().unwrap().values();
            scopes.flat_map(|one| one.as_array().unwrap()).all(has)
        };
        let expected = security.iter().any(is_enough)
            && besides
                .as_ref()
                .is_none_or(|it| it.check(caller, kit::now()).is_ok());
        assert_eq!(
            passes(&declared.access, caller),
            expected,
            "{} = {}",
            declared.route,
            declared.access
        );
    }
}

fn path_of(declaration: &Declaration) -> String {
    declaration
        .route
        .to_string()
        .split(' ')
        .next_back()
        .unwrap_or_default()
        .to_owned()
}

fn made() -> Vec<Vec<u8>> {
    let document = |version: &str, scheme: Value, paths: Value| {
        json!({
            "openapi": version,
            "info": {"title": "orders", "version": "1"},
            "components": {"securitySchemes": {"token": scheme, "key": {"type": "apiKey", "in": "header", "name": "x"}}},
            "paths": paths,
        })
    };
    let bearer = json!({"type": "http", "scheme": "bearer"});
    let oauth = json!({"type": "oauth2", "flows": {}});
    let paths = json!({
        "/orders": {
            "get": {"security": [{"token": ["orders:read"]}]},
            "post": {"security": [{"token": ["orders:write"]}, {"token": ["admin", "orders:read"]}]},
        },
        "/orders/{id}": {"delete": {"security": [{"token": []}]}, "parameters": []},
        "/health": {"get": {"security": [], "x-gateless-open": "asked by the platform"}},
    });
    let step_up = json!({"/pay": {"post": {"x-gateless-requirement": {"all": ["pay", {"max_age": 60}]}, "security": [{"token": ["pay"]}]}}});
    let op =
        |operation: Value| document("3.1.0", bearer.clone(), json!({"/a": {"get": operation}}));
    let ways = json!([{"token": ["a", "b"]}, {"token": ["b", "c"]}]);
    let mut anonymous = op(json!({}));
    anonymous["security"] = json!([{"token": ["a"]}, {}]);
    let mut empty = op(json!({}));
    empty["security"] = json!([]);
    let twice = op(json!({"security": [{"token": ["a"]}]}))
        .to_string()
        .replace("{\"security\":", "{\"security\":[],\"security\":");
    let mut made = [
        op(json!({"security": ways})),
        op(json!({"security": ways, "x-gateless-requirement": {"any": ["b", {"acr": ["phr"]}]}})),
        op(json!({"security": ways, "x-gateless-requirement": {"any": [{"all": ["a", "b"]}, {"all": ["b", "c", {"max_age": 60}]}]}})),
        op(json!({"security": [{"token": []}, {"token": ["a"]}]})),
        op(json!({"security": [{"token": ["a"]}, {}]})),
        op(json!({"security": [{"token": ["a"]}, {}], "x-gateless-open": "why"})),
        op(json!({"security": [{"token": ["a"], "key": []}]})),
        op(json!({"security": [{"token": ["a"]}, {"key": []}]})),
        op(json!({"security": [{"none": []}]})),
        anonymous,
        empty,
        document("3.1.0", bearer.clone(), paths.clone()),
        document("3.0.3", oauth, paths),
        document("3.2.0", bearer, step_up),
        json!({"openapi": "3.1.0", "paths": {}}),
    ]
    .map(|document| document.to_string().into_bytes())
    .to_vec();
    made.push(twice.into_bytes());
    made
}
