//! The orders service as it is deployed: its own program, told by its environment whom to trust.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::denylist::redis::common::{PATIENCE, Server};

use super::{
    AUDIENCE, AuthorizationServer, Caller, OPAQUE, Outcome, Wallet, reading_needs_a_good_token,
};

#[tokio::test]
async fn orders_serves_the_clients_of_a_real_authorization_server_and_nobody_else() {
    let (server, binary) = tokio::join!(AuthorizationServer::start(), build());
    let wallet = Wallet::fill(&server).await;
    let orders = Orders::start(binary, server.issuer()).await;
    let caller = Caller::of(&orders.address).await;

    reading_needs_a_good_token(&caller, &wallet).await;

    let (read, write) = (Some(&*wallet.read), Some(&*wallet.write));
    let lacks = Outcome::Lacks;
    for (method, path, token, outcome) in [
        (Method::GET, "/healthz", None, Outcome::Passes),
        (Method::GET, "/readyz", None, Outcome::Passes),
        (Method::POST, "/orders", None, Outcome::NoCredentials),
        (Method::POST, "/orders", read, lacks("orders:write")),
        (Method::GET, "/admin", write, lacks("orders:admin")),
        (Method::GET, "/whoami", None, Outcome::NoCredentials),
        (Method::GET, "/whoami", write, Outcome::Passes),
    ] {
        let what = format!("{method} {path}");
        let answer = caller.http(method, path, token).await;
        answer.assert(outcome, &what);
    }

    let whoami = caller.get("/whoami", read).await.body;
    for part in [server.issuer(), server.client()] {
        assert!(
            whoami.contains(part),
            "whoami does not name {part}: {whoami}"
        );
    }
    let answer = caller.grpc("/orders.v1.Orders/Create", read).await;
    answer.assert(lacks("orders:write"), "gRPC Create");
}

#[tokio::test]
async fn orders_asks_a_real_authorization_server_about_opaque_tokens() {
    let (server, binary) = tokio::join!(AuthorizationServer::start(), build());
    let (known, revoked, late) = tokio::join!(
        server.token(OPAQUE, "orders:read"),
        server.token(OPAQUE, "orders:read"),
        server.token(OPAQUE, "orders:read"),
    );
    server.revoke(&revoked).await;
    let asking = server.signed_client();
    let orders = Orders::start_with(
        binary,
        &[
            ("ISSUER", server.issuer()),
            ("AUDIENCE", OPAQUE),
            ("INTROSPECTION_URL", server.introspection_url()),
            ("CLIENT_ID", &asking.id),
            ("CLIENT_SECRET", &asking.secret),
        ],
    )
    .await;
    let caller = Caller::of(&orders.address).await;
    let outcomes = async |says: &str, token: &str, outcome| {
        let answer = caller.get("/orders", Some(token)).await;
        answer.assert(outcome, says);
        let answer = caller.grpc("/orders.v1.Orders/List", Some(token)).await;
        answer.assert(outcome, says);
    };

    outcomes("active", &known, Outcome::Passes).await;
    outcomes("revoked", &revoked, Outcome::BadToken).await;
    outcomes("made up", "made-up", Outcome::BadToken).await;
    outcomes("a refresh token", server.refresh_token(), Outcome::BadToken).await;
    let whoami = caller.get("/whoami", Some(&known)).await.body;
    assert!(whoami.contains(r#""kind":"client""#), "{whoami}");

    server.stop().await;
    outcomes("known, without the server", &known, Outcome::Passes).await;
    outcomes("not known, without it", &late, Outcome::Unavailable).await;
}

#[tokio::test]
async fn instances_of_orders_with_one_redis_count_a_caller_together() {
    let (server, binary) = tokio::join!(AuthorizationServer::start(), build());
    let wallet = Wallet::fill(&server).await;
    let redis = Server::start();
    let settings = [
        ("ISSUER", server.issuer()),
        ("AUDIENCE", AUDIENCE),
        ("REDIS_URL", &redis.url()),
        ("RATE_LIMIT", "6"),
        ("FAILURE_LIMIT", "5"),
    ];
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |orders: &Orders, token: &str| {
        let request = client.get(format!("http://{}/orders", orders.address));
        let answer = request.bearer_auth(token).send().await.unwrap();
        answer.status().as_u16()
    };
    let mut fleet = Vec::new();
    for _ in 0..2 {
        let orders = Orders::start_with(binary.clone(), &settings).await;
        // Until it knows what was revoked, nobody passes, and nobody is counted.
        let begin = std::time::Instant::now();
        while ask(&orders, &wallet.write).await == 503 {
            assert!(begin.elapsed() < PATIENCE, "it does not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        fleet.push(orders);
    }
    let mut statuses = Vec::new();
    for number in 0..12 {
        statuses.push(ask(&fleet[number % 2], &wallet.read).await);
    }
    // Both tokens are of one client, which had two of its six already; one comes back in ten seconds.
    let admitted = statuses.iter().filter(|status| **status == 200).count();
    assert!((4..=6).contains(&admitted), "{statuses:?}");
    assert_eq!(
        statuses.iter().filter(|status| **status == 429).count(),
        12 - admitted
    );

    // Who guesses is known to the instance where they guess, and what it knows as good goes on: here, up to the quota.
    let mut guesses = Vec::new();
    for number in 0..8 {
        guesses.push(ask(&fleet[0], &format!("guess.{number}.x")).await);
    }
    assert_eq!(guesses, [[401; 5].as_slice(), &[429; 3]].concat());
    assert_eq!(ask(&fleet[1], "guess.0.x").await, 401);
}

/// The running service. It stops when this is dropped.
struct Orders {
    address: String,
    _process: Child,
}

impl Orders {
    async fn start(binary: PathBuf, issuer: &str) -> Self {
        Self::start_with(binary, &[("ISSUER", issuer), ("AUDIENCE", AUDIENCE)]).await
    }

    async fn start_with(binary: PathBuf, settings: &[(&str, &str)]) -> Self {
        let mut process = Command::new(&binary)
            .env("BIND", "127.0.0.1:0")
            .env("RATE_LIMIT", "off")
            .env("FAILURE_LIMIT", "off")
            .envs(settings.iter().copied())
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        let stdout = process.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(stdout).lines();
        let address = timeout(Duration::from_secs(60), async {
            while let Some(line) = lines.next_line().await.expect("orders prints text") {
                if let Some(address) = line.strip_prefix("listening on ") {
                    return address.trim_start_matches("http://").to_owned();
                }
            }
            panic!("orders ended before it listened; its standard error says why")
        })
        .await
        .expect("orders listens within a minute");
        // Whatever else it prints must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            address,
            _process: process,
        }
    }
}

/// Builds the service and says where it is.
///
/// cargo names the programs of its own package only to a test, and one that happens to lie around may be an old one.
/// With the features of `cargo test --workspace --all-features` this finds everything compiled already.
async fn build() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--workspace", "--all-features"])
        .args(["--bin=orders", "--test=suite"]) // the test for its share of the features
        .arg("--message-format=json-render-diagnostics")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .expect("cargo can be started");
    assert!(output.status.success(), "orders cannot be built");
    String::from_utf8(output.stdout)
        .expect("cargo prints text")
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| {
            message
                .pointer("/target/name")
                .is_some_and(|name| name == "orders")
        })
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .expect("cargo names the program it built")
}
