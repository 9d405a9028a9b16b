//! The way of a client that knows nothing but the address of the server, step by step, with rmcp's own client.

use std::error::Error;
use std::io::{self, Write};

use gateless_testkit::TestIssuer;
use reqwest::Url;
use rmcp::model::{CallToolRequestParams, ClientConfig};
use rmcp::service::{ClientInitializeError, RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{
    AuthorizationManager, AuthorizationMetadataSource, WWWAuthenticateParams,
};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ServiceExt as _, object};
use serde::Deserialize;

/// What came back, a line each; or what was wrong with it.
type Outcome = Result<Vec<String>, Box<dyn Error>>;

/// Walks from no token to a tool that answers, at a server that is known as `resource` and trusts `issuer`, and prints
/// what came back. True when all of it was right.
///
/// # Errors
///
/// When `out` cannot be written to.
pub async fn run(resource: &str, issuer: &TestIssuer, out: &mut impl Write) -> io::Result<bool> {
    // Not by a proxy that the environment names: it could not get to a loopback address of this machine.
    let http = reqwest::Client::builder().no_proxy().build();
    let walk = Walk {
        http: http.map_err(io::Error::other)?,
        resource,
        issuer,
    };
    let right = [
        print(out, "1. no token", walk.no_token().await)?,
        print(out, "2. where tokens are from", walk.metadata().await)?,
        print(out, "3. for another service", walk.other_audience().await)?,
        print(out, "4. without the scope", walk.missing_scope().await)?,
        print(out, "5. the right token", walk.right_token().await)?,
        print(out, "6. in the address", walk.token_in_query().await)?,
    ];
    let count = right.iter().filter(|right| **right).count();
    writeln!(out, "{count} of {} answers were right", right.len())?;
    Ok(count == right.len())
}

/// Whether it was right.
fn print(out: &mut impl Write, title: &str, outcome: Outcome) -> io::Result<bool> {
    writeln!(out, "{title}")?;
    let is_right = outcome.is_ok();
    for line in outcome.unwrap_or_else(|why| vec![format!("WRONG: {why}")]) {
        writeln!(out, "   {line}")?;
    }
    writeln!(out)?;
    Ok(is_right)
}

struct Walk<'a> {
    http: reqwest::Client,
    resource: &'a str,
    issuer: &'a TestIssuer,
}

impl Walk<'_> {
    async fn no_token(&self) -> Outcome {
        let refusal = self.refused(self.resource, None).await?;
        refusal.must_be(401, None)?;
        Ok(refusal.lines())
    }

    async fn metadata(&self) -> Outcome {
        let refusal = self.refused(self.resource, None).await?;
        let url = refusal.said.resource_metadata_url.clone();
        let url = url.ok_or("the challenge names no metadata")?;
        let document = self.http.get(url.clone()).send().await?.text().await?;
        let metadata: Metadata = serde_json::from_str(&document)?;
        // A client must not believe a document about something else (RFC 9728 §3.3).
        let is_about_it = metadata.resource == self.resource;
        must(is_about_it, "the document is about another resource")?;
        let issuer = self.issuer.issuer();
        let names_issuer = metadata.authorization_servers == [issuer];
        must(names_issuer, "the document does not name the issuer")?;

        // What rmcp's client makes of the same challenge.
        let mut manager = AuthorizationManager::new(self.resource).await?;
        manager.with_client(self.http.clone())?;
        let found = manager
            .resolve_metadata_from_challenge(Some(&refusal.challenge))
            .await?;
        let is_ours = found.source == AuthorizationMetadataSource::ProtectedResourceMetadata
            && found.metadata.issuer.as_deref() == Some(issuer);
        must(is_ours, "rmcp did not find the issuer")?;
        let scopes = manager.select_initial_scopes(&[]).await.join(" ");
        must(scopes == "mcp:tools", "rmcp would ask for something else")?;
        Ok(vec![
            format!("GET {url}"),
            document,
            format!("rmcp would sign in at {issuer} and ask for {scopes}"),
        ])
    }

    async fn other_audience(&self) -> Outcome {
        let token = self.token("https://billing.example.com/mcp", "mcp:tools");
        let refusal = self.refused(self.resource, Some(token)).await?;
        refusal.must_be(401, Some("invalid_token"))?;
        Ok(refusal.lines())
    }

    async fn missing_scope(&self) -> Outcome {
        let token = self.token(self.resource, "openid");
        let refusal = self.refused(self.resource, Some(token)).await?;
        refusal.must_be(403, Some("insufficient_scope"))?;
        Ok(refusal.lines())
    }

    async fn right_token(&self) -> Outcome {
        let token = self.token(self.resource, "mcp:tools");
        let server = self.connect(self.resource, Some(token)).await?;
        let tools = server.list_all_tools().await?;
        let mut tools: Vec<_> = tools.iter().map(|tool| tool.name.as_ref()).collect();
        tools.sort_unstable();
        must(tools == ["count_words", "whoami"], "the tools are others")?;

        let caller = call(&server, CallToolRequestParams::new("whoami")).await?;
        must(caller == "alice", "the caller is somebody else")?;
        let text = object!({ "text": "a token for one service only" });
        let count = CallToolRequestParams::new("count_words").with_arguments(text);
        let words = call(&server, count).await?;
        must(words == "6", "the words are counted wrong")?;
        server.cancel().await?;
        Ok(vec![
            format!("tools: {}", tools.join(", ")),
            format!("whoami: {caller}"),
            format!("count_words: {words}"),
        ])
    }

    async fn token_in_query(&self) -> Outcome {
        let token = self.token(self.resource, "mcp:tools");
        let url = format!("{}?access_token={token}", self.resource);
        let refusal = self.refused(&url, None).await?;
        refusal.must_be(401, None)?;
        Ok(refusal.lines())
    }

    fn token(&self, audience: &str, scope: &str) -> String {
        let token = self.issuer.token().subject("alice");
        token.audience(audience).scope(scope).mint()
    }

    /// `initialize`, by rmcp's client.
    async fn connect(
        &self,
        url: &str,
        token: Option<String>,
    ) -> Result<RunningService<RoleClient, ClientConfig>, Box<ClientInitializeError>> {
        let mut config = StreamableHttpClientTransportConfig::with_uri(url);
        config.auth_header = token;
        let transport = StreamableHttpClientTransport::with_client(self.http.clone(), config);
        Ok(ClientConfig::default().serve(transport).await?)
    }

    /// Tries to connect, which has to fail.
    async fn refused(&self, url: &str, token: Option<String>) -> Result<Refusal, Box<dyn Error>> {
        let error = match self.connect(url, token).await {
            Ok(_) => return Err("it was let in".into()),
            Err(error) => error,
        };
        // rmcp knows two kinds of refusal that have a challenge: 401 and 403.
        let Some(challenge) = error.auth_challenge() else {
            return Err(error.into());
        };
        let is_401 = error.is_authorization_required();
        Ok(Refusal {
            status: if is_401 { 401 } else { 403 },
            challenge: challenge.to_owned(),
            said: WWWAuthenticateParams::parse(challenge, &Url::parse(self.resource)?),
        })
    }
}

/// What matters in the document.
#[derive(Deserialize)]
struct Metadata {
    resource: String,
    authorization_servers: Vec<String>,
}

/// An answer that lets nobody in, and how rmcp's client reads its challenge.
struct Refusal {
    status: u16,
    challenge: String,
    said: WWWAuthenticateParams,
}

impl Refusal {
    fn must_be(&self, status: u16, error: Option<&str>) -> Result<(), String> {
        let is_right = self.status == status
            && self.said.error.as_deref() == error
            && self.said.scope.as_deref() == Some("mcp:tools")
            && self.said.resource_metadata_url.is_some();
        must(is_right, &self.lines().join(" "))
    }

    fn lines(&self) -> Vec<String> {
        vec![
            self.status.to_string(),
            format!("WWW-Authenticate: {}", self.challenge),
        ]
    }
}

/// What a tool says, as text.
async fn call(
    server: &RunningService<RoleClient, ClientConfig>,
    tool: CallToolRequestParams,
) -> Result<String, Box<dyn Error>> {
    let result = server.call_tool(tool).await?;
    let text = result.content.first().and_then(|content| content.as_text());
    Ok(text.ok_or("the tool says nothing")?.text.clone())
}

fn must(is_right: bool, otherwise: &str) -> Result<(), String> {
    is_right.then_some(()).ok_or_else(|| otherwise.to_owned())
}
