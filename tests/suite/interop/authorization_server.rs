//! `oidc-provider` and `openid-client`, as programs of their own.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A running server. It stops when this is dropped; and when this process dies, because its standard input closes.
pub(super) struct AuthorizationServer {
    issuer: String,
    client: String,
    secret: String,
    _process: Child,
}

impl AuthorizationServer {
    pub(super) async fn start() -> Self {
        let mut process = node(&["server.mjs"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("node: {error}; {ADVICE}"));
        let stdout = process.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(Duration::from_secs(60), lines.next_line())
            .await
            .expect("the authorization server starts within a minute")
            .expect("it prints text")
            .unwrap_or_else(|| panic!("node tests/interop/server.mjs does not start; {ADVICE}"));
        let facts: Value = serde_json::from_str(&line).expect("it prints JSON");
        let fact = |name| {
            let fact = facts.get(name).and_then(Value::as_str);
            fact.expect("it prints these strings").to_owned()
        };
        Self {
            issuer: fact("issuer"),
            client: fact("client_id"),
            secret: fact("client_secret"),
            _process: process,
        }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The client that gets the tokens.
    pub(super) fn client(&self) -> &str {
        &self.client
    }

    /// An access token for `resource`.
    pub(super) async fn token(&self, resource: &str, scopes: &str) -> String {
        let Self {
            issuer,
            client,
            secret,
            ..
        } = self;
        let output = node(&["client.mjs", issuer, client, secret, resource, scopes])
            .output()
            .await
            .unwrap_or_else(|error| panic!("node: {error}; {ADVICE}"));
        assert!(
            output.status.success(),
            "no token for {resource}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let token = String::from_utf8(output.stdout).expect("a token is text");
        token.trim().to_owned()
    }
}

const ADVICE: &str = "`cargo xtask test` puts in place what this test needs";

fn node(args: &[&str]) -> Command {
    let mut command = Command::new("node");
    command
        .args(args)
        .current_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("interop"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}
