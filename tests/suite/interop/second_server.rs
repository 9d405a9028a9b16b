//! Tokens of a second authorization server, which shares no code with the first: Authlib, in Python. It names its keys and
//! types its answers in its own way, and has a client of its own.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
use gateless::hybrid::HybridAuth;
use gateless::introspection::{
    AnswerCache, ClientAuthentication, Endpoint, Introspection, IntrospectionPolicy, Secret,
};
use gateless::scope::ScopeGuard;
use gateless::{OnOutage, Principal, scopes};
use gateless_testkit::FakeClock;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::layers::{empty_message, spawn};
use super::opaque::now;
use super::rotation::rotates_under_load;
use super::{AUDIENCE, Caller, Outcome, with_another_signature};

#[tokio::test]
async fn its_jwts_are_taken_and_no_others() {
    let server = Authlib::start().await;
    let (rs256, es256, foreign, expired, opaque) = tokio::join!(
        server.token("rs256-client", "orders:read orders:write"),
        server.token("es256-client", "orders:read"),
        server.token("other-client", "orders:read"),
        server.token("expired-client", "orders:read"),
        server.token("opaque-client", "orders:read"),
    );
    let scopeless = server.token("rs256-client", "orders:write").await;
    let mut tasks = JoinSet::new();
    let router = orders().layer(bearer(&server));
    let caller = Caller::of(&spawn(router, &mut tasks).await).await;

    let forged = with_another_signature(&rs256);
    for (says, token, outcome) in [
        ("nothing", None, Outcome::NoCredentials),
        ("RS256", Some(&rs256), Outcome::Passes),
        ("ES256", Some(&es256), Outcome::Passes),
        ("forged", Some(&forged), Outcome::BadToken),
        ("for another service", Some(&foreign), Outcome::BadToken),
        ("expired", Some(&expired), Outcome::BadToken),
        ("opaque", Some(&opaque), Outcome::BadToken),
        (
            "without scope",
            Some(&scopeless),
            Outcome::Lacks("orders:read"),
        ),
    ] {
        both(&caller, token.map(String::as_str), outcome, says).await;
    }
    let answer = caller.get("/orders", Some(&rs256)).await;
    let issuer = &server.issuer;
    assert_eq!(
        answer.body,
        format!("Client rs256-client at {issuer} may orders:read orders:write")
    );
}

/// As long as only one key could have signed it, nobody needs to say which.
#[tokio::test]
async fn a_token_that_does_not_name_its_key_is_taken_while_there_is_one() {
    let server = Authlib::start().await;
    let token = server.token("anonymous-key-client", "orders:read").await;
    let mut tasks = JoinSet::new();
    let router = orders().layer(bearer(&server));
    let caller = Caller::of(&spawn(router, &mut tasks).await).await;
    both(&caller, Some(&token), Outcome::Passes, "without kid").await;
}

#[tokio::test]
async fn what_it_says_of_opaque_tokens_is_understood() {
    let server = Authlib::start().await;
    let (good, foreign, scopeless, jwt) = tokio::join!(
        server.token("opaque-client", "orders:read orders:write"),
        server.token("opaque-other-client", "orders:read"),
        server.token("opaque-client", "orders:write"),
        server.token("rs256-client", "orders:read"),
    );
    let revoked = server.token("opaque-client", "orders:read").await;
    server.revoke("opaque-client", &revoked).await;
    let clock = FakeClock::at(now());
    let cache = AnswerCache::new().lifetime(Duration::from_secs(30));
    let policy = IntrospectionPolicy::new(&*server.issuer, AUDIENCE).danger_allow_http_loopback();
    let endpoint = Endpoint::discovery(OnOutage::FailClosed);
    let secret = Secret::new(&*server.secret("resource-server"));
    let basic = ClientAuthentication::basic("resource-server", secret);
    let introspection = Introspection::builder(policy, endpoint, basic)
        .answer_cache(cache)
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let auth = HybridAuth::new(&bearer(&server), &introspection);
    let mut tasks = JoinSet::new();
    let caller = spawn(orders().layer(auth.unwrap()), &mut tasks).await;
    let caller = Caller::of(&caller).await;

    for (says, token, outcome) in [
        ("good", &*good, Outcome::Passes),
        ("a JWT", &jwt, Outcome::Passes),
        ("for another service", &foreign, Outcome::BadToken),
        ("without scope", &scopeless, Outcome::Lacks("orders:read")),
        ("revoked", &revoked, Outcome::BadToken),
        ("made up", "made-up", Outcome::BadToken),
    ] {
        both(&caller, Some(token), outcome, says).await;
    }
    let answer = caller.get("/orders", Some(&good)).await;
    let issuer = &server.issuer;
    assert_eq!(
        answer.body,
        format!("Client opaque-client at {issuer} may orders:read orders:write")
    );

    server.revoke("opaque-client", &good).await;
    both(&caller, Some(&good), Outcome::Passes, "an answer in use").await;
    clock.advance(Duration::from_secs(30));
    both(&caller, Some(&good), Outcome::BadToken, "revoked meanwhile").await;
}

#[tokio::test]
async fn its_keys_rotate_under_load() {
    let server = Authlib::start().await;
    let old = server.token("rs256-client", "orders:read").await;
    let rotate = async || {
        server.post("/test/rotate").await;
        server.token("rs256-client", "orders:read").await
    };
    let withdraw = async || server.post("/test/withdraw").await;
    rotates_under_load(&server.issuer, old, rotate, withdraw).await;
}

#[tokio::test]
async fn its_own_client_gets_through_and_reads_the_challenges() {
    let server = Authlib::start().await;
    let (good, weak) = tokio::join!(
        server.token("rs256-client", "orders:read"),
        server.token("rs256-client", "orders:write"),
    );
    let mut tasks = JoinSet::new();
    let router = orders().layer(bearer(&server));
    let address = spawn(router, &mut tasks).await;
    let url = format!("http://{address}/orders");

    let told = call(&url, &good).await;
    assert_eq!(told["status"], 200, "{told}");
    assert!(
        told["body"]
            .as_str()
            .unwrap()
            .starts_with("Client rs256-client")
    );

    let told = call(&url, "").await;
    assert_eq!(told["status"], 401);
    assert_eq!(told["scheme"], "bearer");
    assert!(told["parameters"].get("error").is_none(), "{told}");

    let told = call(&url, &with_another_signature(&good)).await;
    assert_eq!(told["status"], 401);
    assert_eq!(told["scheme"], "bearer");
    assert_eq!(told["parameters"]["error"], "invalid_token");

    let told = call(&url, &weak).await;
    assert_eq!(told["status"], 403);
    assert_eq!(told["parameters"]["error"], "insufficient_scope");
    assert_eq!(told["parameters"]["scope"], "orders:read");
}

fn bearer(server: &Authlib) -> BearerAuth {
    let policy = TokenPolicy::new(&*server.issuer, AUDIENCE).danger_allow_http_loopback();
    let layer = BearerAuth::builder(policy, Keys::discovery(OnOutage::FailClosed)).build();
    layer.expect("settings that can be used")
}

/// A service as small as it gets, over HTTP and gRPC.
fn orders() -> Router {
    Router::new()
        .route("/orders", get(introduce))
        .route("/orders.v1.Orders/List", post(empty_message))
        .route_layer(ScopeGuard::all(scopes!["orders:read"]))
}

async fn introduce(principal: Principal) -> String {
    format!(
        "{:?} {} at {} may {}",
        principal.kind(),
        principal.client_id().unwrap_or("nobody"),
        principal.issuer(),
        principal.scopes()
    )
}

async fn both(caller: &Caller, token: Option<&str>, outcome: Outcome, says: &str) {
    let answer = caller.get("/orders", token).await;
    answer.assert(outcome, &format!("GET /orders, {says}"));
    let answer = caller.grpc("/orders.v1.Orders/List", token).await;
    answer.assert(outcome, &format!("gRPC List, {says}"));
}

/// A running server. It stops when this is dropped, and when this process dies, because its standard input closes.
struct Authlib {
    issuer: String,
    secrets: Value,
    _process: Child,
}

impl Authlib {
    async fn start() -> Self {
        let mut process = python(&["server.py"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("python: {error}; {ADVICE}"));
        let stdout = process.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(Duration::from_secs(120), lines.next_line())
            .await
            .expect("the authorization server starts within two minutes")
            .expect("it prints text")
            .unwrap_or_else(|| panic!("tests/interop/authlib/server.py does not start; {ADVICE}"));
        let mut facts: Value = serde_json::from_str(&line).expect("it prints JSON");
        Self {
            issuer: facts["issuer"].as_str().expect("its name").to_owned(),
            secrets: facts["secrets"].take(),
            _process: process,
        }
    }

    fn secret(&self, client: &str) -> String {
        self.secrets[client].as_str().expect("a client").to_owned()
    }

    async fn token(&self, client: &str, scopes: &str) -> String {
        let secret = self.secret(client);
        let output = run(
            &["client.py", "token", &self.issuer, client, &secret, scopes],
            "",
        )
        .await;
        output.trim().to_owned()
    }

    async fn revoke(&self, client: &str, token: &str) {
        let secret = self.secret(client);
        run(
            &["client.py", "revoke", &self.issuer, client, &secret],
            token,
        )
        .await;
    }

    async fn post(&self, path: &str) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.post(format!("{}{path}", self.issuer)).send().await;
        assert_eq!(answer.expect("an answer").status(), 204);
    }
}

/// What the client of Authlib makes of an answer.
async fn call(url: &str, token: &str) -> Value {
    let told = run(&["client.py", "call", url], token).await;
    serde_json::from_str(&told).expect("it prints JSON")
}

/// What a program prints that succeeds. Tokens go to its standard input, where nobody else sees them.
async fn run(args: &[&str], input: &str) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = {
        let process = python(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut process = process.unwrap_or_else(|error| panic!("python: {error}; {ADVICE}"));
        let mut stdin = process.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).await.expect("it reads");
        drop(stdin);
        process.wait_with_output().await.expect("it ends")
    };
    let says = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "client.py fails: {says}; {ADVICE}");
    String::from_utf8(stdout).expect("it prints text")
}

const ADVICE: &str = "`cargo xtask test` puts in place what this test needs";

/// The Python that `cargo xtask test` found, or the one on the `PATH`; it brings the packages, or has them.
fn python(args: &[&str]) -> Command {
    let program = std::env::var_os("GATELESS_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(program);
    if let Some(packages) = std::env::var_os("GATELESS_PYTHON_PACKAGES") {
        command.env("PYTHONPATH", packages);
    }
    command
        .args(args)
        .current_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("interop/authlib"))
        .env("NO_PROXY", "127.0.0.1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .kill_on_drop(true);
    command
}
