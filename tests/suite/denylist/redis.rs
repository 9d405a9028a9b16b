//! Whole instances over a real Redis, in real time: whatever happens to the server, to its data or to the way there, what
//! was revoked is not accepted once the bound is over.
//!
//! Nothing is slept through: what has to come about is asked for until it does, and what must not is looked for all the
//! while.

#[path = "../../../crates/gateless-redis/tests/common/mod.rs"]
pub(crate) mod common;
mod full;
mod loss;
mod outage;
pub(crate) mod proxy;
pub(crate) mod random;

use std::time::Instant;

use gateless_redis::{RedisLog, RedisLogBuilder, RedisServer};
use http::Request;
use tower::{Layer as _, ServiceExt as _};

use self::common::{PATIENCE, Server};
use self::proxy::Proxy;
use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// How long a list is as good as new.
const FRESH_FOR: Duration = Duration::from_secs(2);
/// By how much the clocks of the kernel lag behind.
const TICK: Duration = Duration::from_millis(50);
/// When nothing that was revoked may be accepted any more, anywhere; with a margin for a machine that is busy.
const BOUND: Duration = Duration::from_secs(2 * (2 + 1));

/// A server, and an issuer of tokens.
struct Fleet {
    issuer: TestIssuer,
    server: Server,
}

/// A token, and what it takes to revoke it.
#[derive(Clone)]
struct Token {
    text: String,
    revocation: Revocation,
}

impl Fleet {
    fn new(args: &[&str]) -> Self {
        Self {
            issuer: TestIssuer::builder().build(),
            server: Server::with(args),
        }
    }

    /// One whose server keeps what it said that it has.
    fn with_data() -> Self {
        Self::new(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    fn token(&self, name: &str) -> Token {
        Token {
            text: self.issuer.token().token_id(name).mint(),
            revocation: Revocation::token(ISSUER, name),
        }
    }

    fn log(&self, url: String) -> RedisLogBuilder {
        let server = RedisServer::builder(url)
            .connect_deadline(SECOND)
            .response_deadline(SECOND);
        RedisLog::builder(server.build().unwrap()).settle(SECOND)
    }

    fn start(&self, log: RedisLogBuilder) -> Instance {
        self.start_of(Denylist::builder(
            log.build().unwrap(),
            OnOutage::FailClosed,
        ))
    }

    fn start_of(&self, denylist: DenylistBuilder) -> Instance {
        let policy = TokenPolicy::new(ISSUER, AUDIENCE);
        let keys = crate::support::keys_of(&self.issuer, &policy);
        let keys = gateless::bearer::Keys::fixed(keys);
        let auth = BearerAuth::builder(policy, keys).build().unwrap();
        let denylist = denylist
            .fresh_for(FRESH_FOR)
            .forgets(auth.handle().clone())
            .build()
            .unwrap();
        Instance { auth, denylist }
    }

    /// An instance that serves.
    async fn instance(&self) -> Instance {
        let instance = self.start(self.log(self.server.url()));
        self.serves(&instance).await;
        instance
    }

    /// One that reaches the server in a way that can be blocked.
    async fn behind_proxy(&self) -> (Instance, Proxy) {
        let proxy = Proxy::start(self.server.port()).await;
        let instance = self.start(self.log(proxy.url()));
        self.serves(&instance).await;
        (instance, proxy)
    }

    /// Waits until a good token passes.
    async fn serves(&self, instance: &Instance) {
        let good = self.token("good");
        instance.comes_to(200, &good).await;
    }
}

impl Instance {
    /// What a request with that token gets.
    async fn status(&self, token: &Token) -> u16 {
        let request = Request::get("/orders").header("authorization", bearer(&token.text));
        let request = request.body(String::new()).unwrap();
        let service = self.layer().layer(gateless_testkit::Recorder::new());
        service.oneshot(request).await.unwrap().status().as_u16()
    }

    async fn comes_to(&self, status: u16, token: &Token) {
        let what = format!("{status} for {:?}", token.revocation);
        eventually(&what, async || self.status(token).await == status).await;
    }

    /// Waits until nobody passes: it was cut off before `begin`.
    async fn is_closed(&self, begin: Instant, good: &Token) {
        eventually("nobody passes", async || {
            let is_over = begin.elapsed() > FRESH_FOR + TICK;
            self.status(good).await == 503 && is_over
        })
        .await;
    }

    /// Revokes it, if need be several times: a connection may have broken.
    async fn revokes(&self, token: &Token) {
        eventually("it is revoked", async || {
            self.handle().revoke(&token.revocation).await.is_ok()
        })
        .await;
    }

    async fn unrevokes(&self, token: &Token) {
        eventually("it is taken back", async || {
            self.handle().unrevoke(token.revocation.id()).await.is_ok()
        })
        .await;
    }
}

/// Asks until it is so.
async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
