//! A served issuer, asked over a real socket.
// clippy.toml allows both in tests, but takes the helper functions of a test file for something else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod wire;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gateless_testkit::{Fault, Requests, SigningAlgorithm, TestIssuer};
use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task;
use tokio::time::timeout;

use self::wire::{Answer, DEADLINE, address, exchange};

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const JWKS: &str = "/jwks";

async fn get(issuer: &TestIssuer, path: &str) -> Answer {
    ask(address(issuer), "GET", path).await.unwrap()
}

/// The key set, asked for by a client that has the versions with these tags.
async fn get_unless(issuer: &TestIssuer, tags: &str) -> Answer {
    let field = format!("if-none-match: {tags}\r\n");
    exchange(address(issuer), "GET", JWKS, &field, "")
        .await
        .unwrap()
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> io::Result<Answer> {
    exchange(address, method, path, "", "").await
}

/// A connection on which the key set was asked for.
async fn request_keys(issuer: &TestIssuer) -> TcpStream {
    let address = address(issuer);
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {JWKS} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Lets the other tasks run until nothing answers at `address`.
async fn closed(address: SocketAddr) {
    let gone = async {
        while TcpStream::connect(address).await.is_ok() {
            task::yield_now().await;
        }
    };
    timeout(DEADLINE, gone)
        .await
        .expect("the port is still open");
}

/// Lets the other tasks run until the key set was asked for `times` times.
async fn asked(issuer: &TestIssuer, times: u64) {
    let arrived = async {
        while issuer.requests().jwks < times {
            task::yield_now().await;
        }
    };
    timeout(DEADLINE, arrived)
        .await
        .expect("no request arrived");
}

#[tokio::test]
async fn discovery_leads_to_the_keys() {
    let issuer = TestIssuer::serve().await.unwrap();
    for path in [OPENID, OAUTH] {
        let answer = get(&issuer, path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("content-type"), Some("application/json"));
        assert_eq!(answer.json()["issuer"], issuer.issuer());
        assert_eq!(answer.json()["jwks_uri"], issuer.jwks_url());
        assert_eq!(
            answer.json()["introspection_endpoint"],
            issuer.introspection_url()
        );
        let at = |path: &str| format!("{}/{path}", issuer.issuer());
        assert_eq!(answer.json()["authorization_endpoint"], at("authorize"));
        assert_eq!(answer.json()["token_endpoint"], at("token"));
    }
    let answer = get(&issuer, JWKS).await;
    assert_eq!(
        answer.field("content-type"),
        Some("application/jwk-set+json")
    );
    assert_eq!(answer.json(), issuer.jwks());
    assert_eq!(
        issuer.requests(),
        Requests {
            discovery: 2,
            jwks: 1,
            introspection: 0
        }
    );
}

#[rstest]
#[case("GET", "/", 404)]
#[case("GET", "/jwks/", 404)]
#[case("POST", "/jwks", 405)]
#[case("GET", "/introspect", 405)]
#[tokio::test]
async fn nothing_else_is_served(#[case] method: &str, #[case] path: &str, #[case] status: u16) {
    let issuer = TestIssuer::serve().await.unwrap();
    let answer = ask(address(&issuer), method, path).await.unwrap();
    assert_eq!(answer.status, status);
    assert_eq!(issuer.requests(), Requests::default());
}

#[tokio::test]
async fn the_names_can_differ_from_the_address() {
    let builder = TestIssuer::builder().issuer("https://idp.example.com");
    let issuer = builder.clone().serve().await.unwrap();
    assert_eq!(
        get(&issuer, OPENID).await.json()["issuer"],
        "https://idp.example.com"
    );

    let issuer = builder
        .discovery_issuer("https://evil.example")
        .serve()
        .await
        .unwrap();
    assert_eq!(issuer.issuer(), "https://idp.example.com");
    assert_eq!(
        get(&issuer, OPENID).await.json()["issuer"],
        "https://evil.example"
    );
}

#[tokio::test]
async fn what_is_published_follows_the_keys() {
    let issuer = TestIssuer::serve().await.unwrap();
    issuer.add_key(SigningAlgorithm::Es384);
    issuer.rotate();
    assert_eq!(get(&issuer, JWKS).await.json(), issuer.jwks());

    let odd = json!({ "keys": [{ "kty": "odd" }], "more": 1 });
    issuer.set_jwks(odd.clone());
    assert_eq!(get(&issuer, JWKS).await.json(), odd);
    issuer.clear_jwks_override();
    assert_eq!(get(&issuer, JWKS).await.json(), issuer.jwks());
}

#[tokio::test]
async fn faults_are_answers_that_are_wrong_in_one_respect() {
    let issuer = TestIssuer::serve().await.unwrap();

    issuer.set_jwks_fault(Fault::Status(503));
    let answer = get(&issuer, JWKS).await;
    assert_eq!((answer.status, answer.json()), (503, issuer.jwks()));

    issuer.set_jwks_fault(Fault::Redirect("http://169.254.169.254/".into()));
    let answer = get(&issuer, JWKS).await;
    assert_eq!(answer.status, 302);
    assert_eq!(answer.field("location"), Some("http://169.254.169.254/"));

    issuer.set_jwks_fault(Fault::Body("text/html".into(), b"<html>".to_vec()));
    let answer = get(&issuer, JWKS).await;
    assert_eq!((answer.status, &*answer.body), (200, &b"<html>"[..]));
    assert_eq!(answer.field("content-type"), Some("text/html"));

    issuer.set_jwks_fault(Fault::Encoded {
        encoding: "gzip".into(),
        body: b"\x1f\x8b".to_vec(),
    });
    let answer = get(&issuer, JWKS).await;
    assert_eq!((answer.status, &*answer.body), (200, &b"\x1f\x8b"[..]));
    assert_eq!(answer.field("content-encoding"), Some("gzip"));
    assert_eq!(answer.field("content-type"), Some("application/json"));

    issuer.set_jwks_fault(Fault::EmptySet);
    assert_eq!(get(&issuer, JWKS).await.json(), json!({ "keys": [] }));

    issuer.set_jwks_fault(Fault::Slow(Duration::from_millis(1)));
    assert_eq!(get(&issuer, JWKS).await.json(), issuer.jwks());

    let after = Duration::from_millis(1);
    issuer.set_jwks_fault(Fault::SlowStatus { after, status: 502 });
    assert_eq!(get(&issuer, JWKS).await.status, 502);

    issuer.set_fault(Fault::Disconnect);
    for path in [JWKS, OPENID, OAUTH] {
        assert!(ask(address(&issuer), "GET", path).await.is_err());
    }
    assert_eq!(issuer.requests().jwks, 8);
}

#[tokio::test]
async fn a_truncated_answer_breaks_off_halfway() {
    let issuer = TestIssuer::serve().await.unwrap();
    issuer.set_jwks_fault(Fault::Truncated);
    let answer = get(&issuer, JWKS).await;
    let whole = issuer.jwks().to_string();
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.field("content-length"),
        Some(&*whole.len().to_string())
    );
    assert_eq!(answer.body, &whole.as_bytes()[..whole.len() / 2]);
}

#[tokio::test]
async fn a_dripping_answer_takes_its_time_for_every_byte() {
    let issuer = TestIssuer::serve().await.unwrap();
    issuer.set_jwks(json!({ "keys": [] }));
    // Longer than the timer's grain, or half of it would take as long.
    let every = Duration::from_millis(5);
    issuer.set_jwks_fault(Fault::Drip { every });
    let start = Instant::now();
    let answer = get(&issuer, JWKS).await;
    assert!(start.elapsed() >= 11 * every);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("content-length"), Some("11"));
    assert_eq!(answer.body, br#"{"keys":[]}"#);
}

#[tokio::test]
async fn an_answer_that_drips_slowly_begins_at_once() {
    let issuer = TestIssuer::serve().await.unwrap();
    issuer.set_jwks_fault(Fault::Drip {
        every: Duration::MAX,
    });
    let mut stream = request_keys(&issuer).await;
    let mut begin = [0; 12];
    timeout(DEADLINE, stream.read_exact(&mut begin))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
}

#[tokio::test]
async fn an_endless_answer_ends_with_its_client() {
    let issuer = TestIssuer::serve().await.unwrap();
    issuer.set_jwks_fault(Fault::Endless);
    let metrics = Handle::current().metrics();
    let idle = metrics.num_alive_tasks();

    let mut stream = request_keys(&issuer).await;
    let mut begin = vec![0; 4 << 20];
    timeout(DEADLINE, stream.read_exact(&mut begin))
        .await
        .unwrap()
        .unwrap();
    let end = begin.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(begin[..end].to_vec()).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"));
    assert!(!head.contains("content-length"), "{head}");
    let spaces = begin.iter().filter(|it| **it == b' ').count();
    assert!(spaces > begin.len() / 100 * 99, "{spaces} spaces");
    assert_eq!(metrics.num_alive_tasks(), idle + 1);

    drop(stream);
    let ended = async {
        while metrics.num_alive_tasks() > idle {
            task::yield_now().await;
        }
    };
    timeout(DEADLINE, ended)
        .await
        .expect("the connection is still served");
}

#[tokio::test]
async fn caches_are_told_what_was_set_by_the_key_set_alone() {
    let issuer = TestIssuer::serve().await.unwrap();
    let told = async |path| {
        let answer = get(&issuer, path).await;
        ["cache-control", "age", "etag"].map(|name| answer.field(name).map(str::to_owned))
    };
    assert_eq!(told(JWKS).await, [None, None, None]);

    issuer.set_cache_control("public, max-age=600");
    issuer.set_age(60);
    let [cache_control, age, _] = told(JWKS).await;
    assert_eq!(cache_control.as_deref(), Some("public, max-age=600"));
    assert_eq!(age.as_deref(), Some("60"));

    issuer.enable_etags();
    issuer.set_cache_control("no-store");
    issuer.set_jwks_fault(Fault::Status(503));
    let [cache_control, age, etag] = told(JWKS).await;
    assert_eq!(cache_control.as_deref(), Some("no-store"));
    assert!(age.is_some() && etag.is_some());

    for path in [OPENID, OAUTH] {
        assert_eq!(told(path).await, [None, None, None]);
    }
    issuer.clear_cache_control();
    assert_eq!(told(JWKS).await, [None, age, etag]);
}

#[test]
#[should_panic(expected = "cannot be the value of a header")]
fn a_cache_control_that_cannot_be_sent_is_refused_at_once() {
    TestIssuer::new().set_cache_control("no-store\r\n");
}

#[tokio::test]
async fn the_tag_of_the_key_set_changes_exactly_with_its_content() {
    let issuer = TestIssuer::serve().await.unwrap();
    issuer.enable_etags();
    let tag = async || get(&issuer, JWKS).await.field("etag").unwrap().to_owned();
    let own = tag().await;
    assert!(own.starts_with('"') && own.ends_with('"'), "{own} is weak");
    assert_eq!(tag().await, own);

    issuer.set_jwks(json!({ "keys": [] }));
    let empty = tag().await;
    assert_ne!(empty, own);
    issuer.clear_jwks_override();
    assert_eq!(tag().await, own);

    issuer.rotate_keeping_old();
    let rotated = tag().await;
    assert!(rotated != own && rotated != empty);
}

#[tokio::test]
async fn a_client_that_has_the_key_set_is_told_so() {
    let issuer = TestIssuer::serve().await.unwrap();
    assert_eq!(get_unless(&issuer, "*").await.status, 200);

    issuer.enable_etags();
    let old = get(&issuer, JWKS).await.field("etag").unwrap().to_owned();
    issuer.rotate();
    issuer.set_cache_control("max-age=5");
    let whole = get_unless(&issuer, &old).await;
    assert_eq!((whole.status, whole.json()), (200, issuer.jwks()));
    assert_eq!(issuer.not_modified(), 0);

    let tag = whole.field("etag").unwrap();
    for tags in [tag, "*", &format!("{old}, W/{tag}")] {
        let answer = get_unless(&issuer, tags).await;
        assert_eq!((answer.status, &*answer.body), (304, &b""[..]));
        assert_eq!(answer.field("etag"), Some(tag));
        assert_eq!(answer.field("cache-control"), Some("max-age=5"));
        // No length of nothing: it would be taken for that of the key set (RFC 9110 §8.6).
        assert_eq!(answer.field("content-type"), None);
        assert_eq!(answer.field("content-length"), None);
    }
    assert_eq!((issuer.not_modified(), issuer.requests().jwks), (3, 6));
}

#[tokio::test]
async fn a_fault_comes_before_any_condition() {
    let issuer = TestIssuer::serve().await.unwrap();
    issuer.enable_etags();
    let tag = get(&issuer, JWKS).await.field("etag").unwrap().to_owned();

    // The tag of what cannot be read is that of the document, so a client that remembers it is stuck.
    for fault in [Fault::Truncated, Fault::Status(500)] {
        issuer.set_jwks_fault(fault);
        let answer = get_unless(&issuer, &tag).await;
        assert_ne!(answer.status, 304);
        assert_eq!(answer.field("etag"), Some(&*tag));
    }
    issuer.set_jwks_fault(Fault::EmptySet);
    let answer = get_unless(&issuer, "*").await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.field("etag"), Some(&*tag));
    assert_eq!(issuer.not_modified(), 0);

    issuer.set_jwks_fault(Fault::Slow(Duration::from_millis(1)));
    assert_eq!(get_unless(&issuer, &tag).await.status, 304);
}

#[tokio::test]
async fn a_fault_stays_at_its_endpoint_until_it_is_cleared() {
    let issuer = TestIssuer::serve().await.unwrap();
    let statuses = async || {
        [
            get(&issuer, OPENID).await.status,
            get(&issuer, OAUTH).await.status,
            get(&issuer, JWKS).await.status,
        ]
    };
    issuer.set_discovery_fault(Fault::Status(500));
    assert_eq!(statuses().await, [500, 500, 200]);
    issuer.set_fault(Fault::Status(502));
    assert_eq!(statuses().await, [502, 502, 502]);
    issuer.clear_fault();
    assert_eq!(statuses().await, [200, 200, 200]);
}

#[tokio::test]
async fn a_hanging_request_is_answered_once_the_fault_is_cleared() {
    let issuer = TestIssuer::serve().await.unwrap();
    issuer.set_jwks_fault(Fault::Hang);
    let address = address(&issuer);
    let request = tokio::spawn(async move { ask(address, "GET", JWKS).await });
    asked(&issuer, 1).await;
    assert!(!request.is_finished());

    issuer.rotate();
    issuer.clear_fault();
    assert_eq!(request.await.unwrap().unwrap().json(), issuer.jwks());
}

#[tokio::test]
async fn dropping_the_last_clone_stops_the_server_and_cuts_what_hangs() {
    let issuer = TestIssuer::serve().await.unwrap();
    issuer.set_jwks_fault(Fault::Hang);
    let address = address(&issuer);
    let request = tokio::spawn(async move { ask(address, "GET", JWKS).await });
    asked(&issuer, 1).await;

    let clone = issuer.clone();
    drop(issuer);
    assert_eq!(get(&clone, OPENID).await.status, 200);
    drop(clone);
    closed(address).await;
    assert!(request.await.unwrap().is_err());
}

#[tokio::test]
async fn after_a_shutdown_the_port_is_free_and_tokens_are_still_signed() {
    let issuer = TestIssuer::serve().await.unwrap();
    let address = address(&issuer);
    issuer.shutdown().await;
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(issuer.token().mint().split('.').count(), 3);

    let successor = TestIssuer::builder().bind(address).serve().await.unwrap();
    assert_eq!(successor.issuer(), issuer.issuer());
    issuer.shutdown().await;
    assert_eq!(get(&successor, JWKS).await.json(), successor.jwks());
}

#[test]
#[should_panic(expected = "not served")]
fn an_issuer_in_memory_has_no_address() {
    let _ = TestIssuer::new().jwks_url();
}
