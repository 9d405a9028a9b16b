//! TJ-05: spellings of paths, against a table.

use axum::Router;
use axum::routing::{any, get};
use gateless::scope::ScopeTable;
use gateless::{Access, scope};
use http::{Method, Request, Uri};

use super::{Reached, behind, credentials};
use crate::authorization::TRICKS;
use crate::sockets::{Http2, exchange, serve, status};
use crate::support::bearer;

/// Public, guarded and admin routes, and one that was forgotten.
fn shop(reached: &Reached) -> Router {
    let table = ScopeTable::builder()
        .get("/public/{*rest}", Access::open("for everybody"))
        .get("/orders/{id}", scope!("orders:read"))
        .get("/admin/users", scope!("admin"))
        .get("/admin/users/{id}", scope!("admin"))
        .build()
        .unwrap();
    let admin = Router::new()
        .route("/users", get(reached.at("SECRET users")))
        .route("/users/{id}", get(reached.at("SECRET user")))
        .route("/keys", any(reached.at("SECRET keys")))
        .fallback(reached.at("SECRET fallback"));
    let app = Router::new()
        .route("/public/{*rest}", any(reached.at("public")))
        .route("/orders/{id}", any(reached.at("order")))
        .nest("/admin", admin)
        .fallback(reached.at("SECRET outer fallback"));
    behind(app, table)
}

/// The spellings of the route of all users, and the same for the one that was forgotten.
fn spellings() -> impl Iterator<Item = String> {
    let forgotten = TRICKS.map(|path| path.replace("users", "keys"));
    TRICKS.into_iter().map(str::to_owned).chain(forgotten)
}

/// Who may read orders gets the open route and orders; who is nobody the open route alone; nobody anything else.
fn judge(target: &str, is_known: bool, status: u16, body: &str, reached: &Reached) {
    let names = reached.take();
    let is_fine = |name: &String| name == "public" || name == "order" && is_known;
    assert!(names.iter().all(is_fine), "{target} reached {names:?}");
    assert!(!body.contains("SECRET"), "{target}: {body}");
    let is_right = match (status, is_known) {
        (200, _) => names.len() == 1,
        // What is no request at all is refused by the server.
        (400, _) | (401, false) | (403 | 404, true) => names.is_empty(),
        _ => false,
    };
    assert!(is_right, "{target}: {status}, reached {names:?}");
}

#[tokio::test]
async fn tj_05_no_spelling_of_a_path_gets_around_a_table_in_http_1() {
    let reached = Reached::default();
    let address = serve(shop(&reached)).await;
    let get = async |target: &str, scope: Option<&str>| {
        let credentials = credentials(scope).map(|it| format!("Authorization: {it}\r\n"));
        let credentials = credentials.unwrap_or_default();
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: a\r\n{credentials}Connection: close\r\n\r\n");
        exchange(address, request).await
    };
    for (path, name) in [
        ("/admin/users", "SECRET users"),
        ("/admin/users/7", "SECRET user"),
    ] {
        assert!(get(path, Some("admin")).await.ends_with(name));
        assert_eq!(reached.take(), [name]);
    }
    let absolute = spellings().map(|path| format!("http://a{path}"));
    let further = [
        "admin/users",
        "*",
        "a:80",
        "http://a@b/admin/users",
        "http://a",
        "/admin/users\0",
        "/admin/us\ters",
        "/public/",
        "/public",
        "/public/?/admin/users",
        "/public/a/../../../admin/users",
        "/orders/%2e%2e%2fadmin%2fusers",
        "/orders/..%2f..%2fadmin%2fusers",
        "/admin/keys",
        "/admin",
        "/admin/",
    ];
    for target in spellings()
        .chain(absolute)
        .chain(further.map(str::to_owned))
    {
        for scope in [Some("orders:read"), None] {
            let answer = get(&target, scope).await;
            let status = status(&answer).expect("an answer");
            judge(&target, scope.is_some(), status, &answer, &reached);
        }
        // The forgotten route and what is left over are not for admins either.
        let answer = get(&target, Some("admin")).await;
        for name in reached.take() {
            let is_declared = ["public", "SECRET users", "SECRET user"].contains(&&*name);
            assert!(is_declared, "{target}: {name}, {answer}");
        }
    }
}

#[tokio::test]
async fn tj_05_no_spelling_of_a_path_gets_around_a_table_in_http_2() {
    let reached = Reached::default();
    let client = Http2::connect(serve(shop(&reached)).await).await;
    let token = crate::support::issuer().token().scope("orders:read").mint();
    let mut sent = 0;
    for path in spellings() {
        let Ok(uri) = format!("http://a{path}").parse::<Uri>() else {
            continue;
        };
        sent += 1;
        for is_known in [true, false] {
            let mut request = Request::builder().method(Method::GET).uri(&uri);
            if is_known {
                request = request.header("authorization", bearer(&token));
            }
            let request = request.body(axum::body::Body::empty()).unwrap();
            let answer = client.send(request).await;
            let body = String::from_utf8_lossy(answer.body()).into_owned();
            judge(&path, is_known, answer.status().as_u16(), &body, &reached);
        }
    }
    assert!(sent > 60, "{sent}");
}
