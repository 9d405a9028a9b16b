use gateless_core::{ConfigError, Requirement, ScopeHierarchy, scope, scopes};
use http::{Method, Request};
use rstest::rstest;
use serde_json::json;

use super::*;

fn table() -> ScopeTable {
    ScopeTable::builder()
        .get("/orders", scope!("read"))
        .post("/orders", scope!("write"))
        .get("/orders/{id}", scope!("read"))
        .http(Method::HEAD, "/orders/{id}", scope!("head"))
        .get("/orders/{id}/items/{item}", scope!("items"))
        .get("/files/{*rest}", scope!("files"))
        .get("/{{literal}}", scope!("braces"))
        .grpc("orders.v1.Orders/List", scope!("read"))
        .grpc("Bare/Method", Access::open("for a test"))
        .build()
        .unwrap()
}

/// The row that a request finds, or why it finds none.
fn find(matched: Matched<'_>, method: Method, path: &str) -> String {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(())
        .unwrap();
    match table().find(matched, Head::of(&request)) {
        Found::Declared(access) => access.to_string(),
        Found::NoMethod { allow } => format!("405 {allow}"),
        Found::Undeclared => "undeclared".to_owned(),
        Found::Nothing => "nothing".to_owned(),
    }
}

#[rstest]
#[case(Method::GET, "/orders", "read")]
#[case(Method::HEAD, "/orders", "read")]
#[case(Method::POST, "/orders", "write")]
#[case::tj_16(Method::PUT, "/orders", "405 GET, HEAD, POST")]
#[case::tj_16(Method::OPTIONS, "/orders", "405 GET, HEAD, POST")]
#[case::ta_22(Method::TRACE, "/orders", "405 GET, HEAD, POST")]
#[case(Method::GET, "/orders/{id}", "read")]
#[case(Method::GET, "/orders/{order_id}", "read")]
#[case::ta_22(Method::HEAD, "/orders/{id}", "head")]
#[case(Method::GET, "/orders/{a}/items/{b}", "items")]
#[case(Method::GET, "/files/{*path}", "files")]
#[case(Method::GET, "/{{literal}}", "braces")]
#[case(Method::GET, "/files/{path}", "undeclared")]
#[case(Method::GET, "/orders/", "undeclared")]
#[case(Method::GET, "/orders/{id}/", "undeclared")]
#[case(Method::GET, "/Orders", "undeclared")]
#[case(Method::GET, "/orders/1", "undeclared")]
#[case(Method::GET, "/{literal}", "undeclared")]
#[case(Method::GET, "/", "undeclared")]
#[case(Method::GET, "", "undeclared")]
fn tj_05_a_row_is_found_by_the_route_that_matched(
    #[case] method: Method,
    #[case] route: &str,
    #[case] says: &str,
) {
    // Whatever the client wrote.
    for path in ["/orders", "/x/../admin", "/orders.v1.Orders/List"] {
        assert_eq!(find(Matched::Route(route), method.clone(), path), says);
    }
}

#[rstest]
#[case("/orders.v1.Orders/List", "read")]
#[case("/Bare/Method", "open: for a test")]
#[case("/orders.v1.Orders/list", "nothing")]
#[case("/orders.v1.Orders/List/", "nothing")]
#[case("/orders.v1.Orders/List/x", "nothing")]
#[case("/orders.v1.orders/List", "nothing")]
#[case("//orders.v1.Orders/List", "nothing")]
#[case("/orders.v1.Orders//List", "nothing")]
#[case("/orders.v1.Orders%2FList", "nothing")]
#[case("/orders.v1.Orders/%4Cist", "nothing")]
#[case("/v1.Orders/List", "nothing")]
#[case("/List", "nothing")]
#[case("/orders", "nothing")]
fn tj_04_a_grpc_method_is_found_by_its_exact_path(#[case] path: &str, #[case] says: &str) {
    assert_eq!(find(Matched::Unrouted, Method::POST, path), says);
    let by_service = path
        .split('/')
        .nth(1)
        .map(|service| format!("/{service}/{{*rest}}"));
    let route = by_service.unwrap();
    let is_declared = ["/orders.v1.Orders/{*rest}", "/Bare/{*rest}"].contains(&&*route);
    let expected = if is_declared { says } else { "undeclared" };
    assert_eq!(find(Matched::Route(&route), Method::POST, path), expected);
    assert_eq!(
        find(Matched::Unrouted, Method::POST, "/orders.v1.Orders"),
        "nothing"
    );
    // On its way to a fallback, it is no method of a service.
    #[cfg(feature = "axum")]
    assert_eq!(find(Matched::Fallback, Method::POST, path), "nothing");
    assert_eq!(find(Matched::Unrouted, Method::GET, path), "nothing");
}

#[rstest]
#[case("/{*rest}")]
#[case("/{service}/{method}")]
#[case("/Bare/{method}")]
#[case("/Bare")]
#[case("/other/Bare/{*rest}")]
fn tj_04_an_open_method_opens_no_route_that_only_looks_like_it(#[case] route: &str) {
    assert_eq!(
        find(Matched::Route(route), Method::POST, "/Bare/Method"),
        "undeclared"
    );
    assert_eq!(
        find(Matched::Route("/Bare/Method"), Method::POST, "/Bare/Method"),
        "open: for a test"
    );
}

fn faults(builder: ScopeTableBuilder) -> Vec<String> {
    let error: ConfigError = builder.build().unwrap_err();
    let faults = error.faults().iter();
    faults
        .map(|fault| format!("{} {}", fault.setting(), fault.problem()))
        .collect()
}

#[rstest]
#[case("orders", "does not begin with a slash")]
#[case("", "does not begin with a slash")]
#[case("/orders?x=1", "query or a fragment")]
#[case("/orders#x", "query or a fragment")]
#[case("/or ders", "a character that no path")]
#[case("/or\nders", "a character that no path")]
#[case("/a\\b", "a character that no path")]
#[case("/a/../b", "a segment of dots")]
#[case("/./a", "a segment of dots")]
#[case("/orders/:id", "with a colon; write {name}")]
#[case("/files/*rest", "without braces; write {*name}")]
#[case("/orders/{id", "does not close it")]
#[case("/orders/id}", "closes a brace that is not open")]
#[case("/orders/{}", "without a proper name")]
#[case("/orders/{*}", "without a proper name")]
#[case("/{*rest}/orders", "not its last segment")]
#[case("/a{*rest}", "not its last segment")]
#[case("/orders/{a}-{b}", "text behind a parameter")]
#[case("/orders/{id}:cancel", "text behind a parameter")]
#[case("/orders/{id}.json", "text behind a parameter")]
fn a_path_that_no_router_has_is_refused(#[case] path: &str, #[case] says: &str) {
    let faults = faults(ScopeTable::builder().get(path, scope!("a")));
    assert!(
        matches!(&*faults, [one] if one.contains(says)),
        "{faults:?}"
    );
}

#[rstest]
#[case("/orders.v1.Orders/List")]
#[case("orders.v1.Orders.List")]
#[case("orders.v1.Orders/List/x")]
#[case("orders.v1.Orders/")]
#[case("/List")]
#[case("orders..Orders/List")]
#[case("orders.v1.Orders/Li st")]
#[case("orders.v1.Orders/*")]
#[case("1.Orders/List")]
fn tj_04_a_name_that_is_no_grpc_method_is_refused(#[case] method: &str) {
    let faults = faults(ScopeTable::builder().grpc(method, scope!("a")));
    assert!(
        matches!(&*faults, [one] if one.contains("package.Service/Method")),
        "{faults:?}"
    );
}

#[test]
fn every_row_that_cannot_be_right_is_named_at_once() {
    let builder = ScopeTable::builder()
        .get("/orders/{id}", scope!("a"))
        .get("/orders/{order}", scope!("b"))
        .get("/orders/{id}", scope!("a"))
        .http(Method::CONNECT, "/tunnel", scope!("a"))
        .get("/healthz", Access::open("  "))
        .grpc("a.B/C", scope!("a"))
        .grpc("a.B/C", scope!("a"))
        .post("/a.B/C", scope!("a"))
        .grpc("d.E/F", scope!("a"))
        .get("/d.E/{*rest}", scope!("a"))
        .hierarchy(ScopeHierarchy::new().implies(scope!("x"), scopes!["x"]));
    assert_eq!(
        faults(builder),
        [
            "hierarchy x implies itself",
            "routes GET /orders/{order} is declared twice",
            "routes GET /orders/{id} is declared twice",
            "routes CONNECT /tunnel can never be reached: CONNECT has no path",
            "routes GET /healthz is open without a reason",
            "routes gRPC a.B/C is declared twice",
            "routes /a.B/C can never be reached: it is the route of gRPC a.B/C",
            "routes /d.E/{*rest} can never be reached: it is the route of gRPC d.E/F",
        ]
    );
    let none = faults(ScopeTable::builder());
    assert_eq!(none, ["routes are none: everything would be denied"]);
}

#[test]
fn a_table_lists_itself_for_people_and_for_programs() {
    let table = ScopeTable::builder()
        .grpc("a.B/C", Access::authenticated())
        .post("/orders", Requirement::any(scopes!["write", "admin"]))
        .get("/orders", scope!("read"))
        .get("/healthz", Access::open("asked by the platform"))
        .build()
        .unwrap();
    assert_eq!(
        table.describe().to_string(),
        "GET  /healthz    open: asked by the platform\n\
         GET  /orders     read\n\
         POST /orders     any(write, admin)\n\
         gRPC a.B/C       any valid token\n\
         everything else  denied\n"
    );
    assert_eq!(
        serde_json::to_value(table.describe()).unwrap(),
        json!({
            "routes": [
                { "method": "GET", "path": "/healthz", "open": "asked by the platform" },
                { "method": "GET", "path": "/orders", "requires": "read" },
                { "method": "POST", "path": "/orders", "requires": { "any": ["write", "admin"] } },
                { "grpc": "a.B/C", "requires": { "authenticated": true } },
            ],
            "otherwise": "denied",
        })
    );
    assert_eq!(table.scopes(), scopes!["admin", "read", "write"]);
    let hierarchy = ScopeHierarchy::new().implies(scope!("admin"), scopes!["read"]);
    let implied = ScopeTable::builder()
        .get(
            "/orders",
            Requirement::from(scope!("read")).under(&hierarchy),
        )
        .build()
        .unwrap();
    let text = implied.describe().to_string();
    assert!(
        text.starts_with("GET /orders      read (implied by admin)\n"),
        "{text}"
    );
    let json = serde_json::to_value(implied.describe()).unwrap();
    assert_eq!(
        json["routes"][0]["implied_by"],
        json!({ "read": ["admin"] })
    );
    let again = ScopeTable::builder().extend(table.declarations().iter().cloned());
    assert_eq!(again.build().unwrap().declarations(), table.declarations());
}
