//! What a record costs: the request that is recorded, the thread that writes, and who waits for the disk.
//!
//! As in `limit`: all take turns in each round, and of many rounds the median and the quartiles are printed. Requests are made right
//! before their turn, which is not timed; that they are dropped is.

mod hand_over;
mod latency;
mod writing;

use std::convert::Infallible;
use std::fs;
use std::future::{Ready, ready};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateless::bearer::{BearerAuth, Keys, TokenPolicy};
use gateless::denylist::{Denylist, Ephemeral};
use gateless::gate::Gated;
use gateless::limit::{LimitKey, PeerAddress, RateLimit};
use gateless::scope::{MatchedRoute, ScopeGuard};
use gateless::{OnOutage, Quota, scopes};
use gateless_testkit::{SigningAlgorithm, TestIssuer};
use http::{HeaderValue, Request, Response};
use tokio::runtime::Runtime;
use tower::util::ServiceFn;
use tower::{Layer as _, service_fn};

fn main() {
    // `cargo test --all-targets` runs this as well, to see that it works.
    let is_measuring = std::env::args().any(|argument| argument == "--bench");
    hand_over::run(if is_measuring { 400 } else { 2 });
    writing::run(if is_measuring { 60 } else { 2 });
    let longest = if is_measuring { 3_000 } else { 50 };
    latency::run(Duration::from_millis(longest));
}

/// A service that answers at once, with an empty body.
type Noop = ServiceFn<fn(Request<()>) -> Ready<Result<Response<String>, Infallible>>>;

fn noop() -> Noop {
    service_fn(|_| ready(Ok(Response::new(String::new()))))
}

/// All stages but the audit log, and the token that they let through.
type Stack = Gated<Gated<Gated<Gated<Noop, ScopeGuard>, RateLimit>, Denylist>, BearerAuth>;

/// The stages that decide, in front of a service that does nothing.
struct Stages {
    stack: Stack,
    token: HeaderValue,
    /// The denylist follows its log on it.
    _runtime: Runtime,
}

impl Stages {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be had");
        let issuer = TestIssuer::new();
        let audience = "https://api.example.com";
        let policy = TokenPolicy::new(issuer.issuer(), audience);
        let keys = policy.read_keys(issuer.jwks().to_string().as_bytes());
        let keys = Keys::fixed(keys.expect("the keys can be used"));
        let auth = BearerAuth::builder(policy, keys).build();
        let denylist = runtime.block_on(async {
            let denylist = Denylist::builder(Ephemeral::new(), OnOutage::FailClosed).build();
            let denylist = denylist.expect("the settings are sound");
            denylist.handle().ready().await.expect("it is empty");
            denylist
        });
        // More than are ever taken.
        let quota = Quota::per(1, Duration::from_secs(100)).burst(3_000_000);
        let limit = RateLimit::builder(LimitKey::caller(), [quota]).build();
        let guard = ScopeGuard::all(scopes!["orders:read"]);
        let token = issuer
            .token()
            .algorithm(SigningAlgorithm::EdDsa)
            .subject("248289761001")
            .client_id("orders-web")
            .audience(audience)
            .scope("openid orders:read orders:write")
            .expires_in(3600)
            .mint();
        let limited = limit
            .expect("the settings are sound")
            .layer(guard.layer(noop()));
        let auth = auth.expect("the settings are sound");
        Self {
            stack: auth.layer(denylist.layer(limited)),
            token: format!("Bearer {token}").parse().expect("it is ASCII"),
            _runtime: runtime,
        }
    }

    /// A request with a good token, and with what a server and a router leave in its extensions.
    fn request(&self) -> Request<()> {
        let mut request = gateless_bench::request(&self.token);
        let address: std::net::IpAddr = [192, 0, 2, 7].into();
        request.extensions_mut().insert(PeerAddress(address));
        let route = MatchedRoute::new("/orders");
        request.extensions_mut().insert(route);
        request
    }
}

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("gateless-bench-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("it can be made");
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is in a folder for what may go.
        let _ = fs::remove_dir_all(&self.0);
    }
}
