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
    introspection_url: String,
    post_client: SecretClient,
    jwt_client: KeyClient,
    signed_client: SecretClient,
    refresh_token: String,
    web_client: SecretClient,
    web_redirect_uri: String,
    sessions: [String; 2],
    process: Child,
}

/// A client that has a secret.
pub(super) struct SecretClient {
    pub(super) id: String,
    pub(super) secret: String,
}

/// A client that signs assertions with ES256.
pub(super) struct KeyClient {
    pub(super) id: String,
    pub(super) key_id: String,
    /// PKCS#8 in PEM.
    pub(super) private_key: String,
}

impl AuthorizationServer {
    pub(super) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// One that says at this address when somebody signs out.
    pub(super) async fn start_saying_who_signs_out(at: &str) -> Self {
        Self::start_with(&[("INTEROP_LOGOUT_URI", at)]).await
    }

    async fn start_with(settings: &[(&str, &str)]) -> Self {
        let mut process = node(&["server.mjs"])
            .envs(settings.iter().copied())
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
            introspection_url: fact("introspection_endpoint"),
            post_client: SecretClient {
                id: fact("post_client_id"),
                secret: fact("post_client_secret"),
            },
            jwt_client: KeyClient {
                id: fact("jwt_client_id"),
                key_id: fact("jwt_client_key_id"),
                private_key: fact("jwt_client_private_key"),
            },
            signed_client: SecretClient {
                id: fact("signed_client_id"),
                secret: fact("signed_client_secret"),
            },
            refresh_token: fact("refresh_token"),
            web_client: SecretClient {
                id: fact("web_client_id"),
                secret: fact("web_client_secret"),
            },
            web_redirect_uri: fact("web_redirect_uri"),
            sessions: [fact("session_cookie"), fact("other_session_cookie")],
            process,
        }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The client that gets the tokens.
    pub(super) fn client(&self) -> &str {
        &self.client
    }

    pub(super) fn introspection_url(&self) -> &str {
        &self.introspection_url
    }

    /// A client that introspects by `client_secret_post`.
    pub(super) const fn post_client(&self) -> &SecretClient {
        &self.post_client
    }

    /// A client that introspects by `private_key_jwt`.
    pub(super) const fn jwt_client(&self) -> &KeyClient {
        &self.jwt_client
    }

    /// A client that introspects by `client_secret_basic`, with a secret that has to be form-encoded, and gets signed
    /// answers by ES256.
    pub(super) const fn signed_client(&self) -> &SecretClient {
        &self.signed_client
    }

    /// What is no access token, and introspected as if it were one.
    pub(super) fn refresh_token(&self) -> &str {
        &self.refresh_token
    }

    /// The client at which people sign in.
    pub(super) const fn web_client(&self) -> &SecretClient {
        &self.web_client
    }

    /// Where that client gets its codes.
    pub(super) fn web_redirect_uri(&self) -> &str {
        &self.web_redirect_uri
    }

    /// The cookies of two sessions of the same person.
    pub(super) const fn sessions(&self) -> &[String; 2] {
        &self.sessions
    }

    /// Stops it; afterwards its port is closed.
    pub(super) async fn stop(mut self) {
        self.process.kill().await.expect("it runs until now");
    }

    /// An access token for `resource`.
    pub(super) async fn token(&self, resource: &str, scopes: &str) -> String {
        let Self {
            issuer,
            client,
            secret,
            ..
        } = self;
        let token = run(&["client.mjs", issuer, client, secret, resource, scopes]).await;
        token.trim().to_owned()
    }

    /// Does what an operator does elsewhere.
    pub(super) async fn operate(&self, path: &str) {
        let client = reqwest::Client::builder().no_proxy().build();
        let client = client.expect("a client without settings");
        let answer = client.post(format!("{}{path}", self.issuer)).send().await;
        assert_eq!(answer.expect("an answer").status(), 204);
    }

    /// Revokes a token of [`client`](Self::client), an opaque one.
    pub(super) async fn revoke(&self, token: &str) {
        let Self {
            issuer,
            client,
            secret,
            ..
        } = self;
        run(&["client.mjs", "revoke", issuer, client, secret, token]).await;
    }
}

/// What a program prints that succeeds.
async fn run(args: &[&str]) -> String {
    let output = node(args)
        .output()
        .await
        .unwrap_or_else(|error| panic!("node: {error}; {ADVICE}"));
    assert!(
        output.status.success(),
        "client.mjs fails: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("it prints text")
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
