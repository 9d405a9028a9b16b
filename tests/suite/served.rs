//! A served issuer and a layer that trusts it, on one clock: what tests of the life of keys begin with.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gateless::bearer::{BearerAuth, BearerAuthBuilder, BearerHandle, KeyStatus, Keys, TokenPolicy};
use gateless::{OnOutage, TokenFault};
use gateless_testkit::{FakeClock, TestIssuer};
use http::Request;
use tokio::task;
use tokio::time::timeout;

use crate::sockets::{DEADLINE, exchange};
use crate::support::{AUDIENCE, Answer, Protocol, Refusal, bearer, send};

pub(crate) const LIFETIME: Duration = Duration::from_secs(600);
pub(crate) const COOLDOWN: Duration = Duration::from_secs(30);
pub(crate) const HOUR: OnOutage = OnOutage::StaleFor(Duration::from_secs(3600));

/// A served issuer and a layer that trusts it, on one clock.
pub(crate) struct Setup {
    pub(crate) clock: FakeClock,
    pub(crate) issuer: TestIssuer,
    pub(crate) auth: BearerAuth,
}

pub(crate) fn policy(issuer: &TestIssuer) -> TokenPolicy {
    TokenPolicy::new(issuer.issuer(), AUDIENCE).danger_allow_http_loopback()
}

impl Setup {
    pub(crate) async fn new(keys: Keys) -> Self {
        let clock = FakeClock::new();
        let builder = TestIssuer::builder().clock(Arc::new(clock.clone()));
        let issuer = builder.serve().await.unwrap();
        let auth = BearerAuth::builder(policy(&issuer), keys)
            .clock(Arc::new(clock.clone()))
            .build()
            .unwrap();
        Self {
            clock,
            issuer,
            auth,
        }
    }

    /// One that has fetched its keys already.
    pub(crate) async fn warm(keys: Keys) -> Self {
        let setup = Self::new(keys).await;
        setup.auth.ready().await.unwrap();
        assert_eq!(setup.fetches(), 1);
        setup
    }

    pub(crate) fn fetches(&self) -> u64 {
        self.issuer.requests().jwks
    }

    pub(crate) async fn ask(&self, token: &str) -> Answer {
        let request = Request::get("/").header("authorization", bearer(token));
        let answer = send(&self.auth, request.body(String::new()).unwrap()).await;
        answer.keeps(token);
        answer
    }

    pub(crate) async fn accepts(&self, token: &str) {
        self.ask(token).await.passed();
    }

    /// Refused in HTTP, and as `Refusal` says.
    pub(crate) async fn refuses(&self, token: &str, refusal: &Refusal) {
        self.ask(token).await.refused(Protocol::Http, refusal);
    }

    pub(crate) async fn accepts_new(&self) {
        self.accepts(&self.issuer.token().mint()).await;
    }

    /// Lets the other tasks run until the key set was asked for `times` times, and the answer has arrived.
    pub(crate) async fn fetched(&self, times: u64) {
        self.until(|| self.fetches() >= times).await;
    }

    pub(crate) async fn until(&self, condition: impl Fn() -> bool) {
        let arrived = async {
            while !condition() {
                task::yield_now().await;
            }
        };
        timeout(DEADLINE, arrived).await.expect("it never happened");
    }

    /// The same settings again, on the same clock.
    pub(crate) fn builder(&self, policy: TokenPolicy, keys: Keys) -> BearerAuthBuilder {
        BearerAuth::builder(policy, keys).clock(Arc::new(self.clock.clone()))
    }

    pub(crate) fn handle(&self) -> &BearerHandle {
        self.auth.handle()
    }

    pub(crate) fn status(&self) -> KeyStatus {
        let [status] = <[_; 1]>::try_from(self.handle().key_status()).unwrap();
        status
    }

    /// Lets the other tasks run until what the issuer answered to fetch number `times` is in place. The clock has to
    /// have moved since the one before.
    pub(crate) async fn renewed(&self, times: u64) {
        self.fetched(times).await;
        self.until(|| self.status().age() == Some(Duration::ZERO))
            .await;
        assert_eq!(self.fetches(), times);
    }

    /// Asks once, so that a renewal that is due begins, and waits until it has failed.
    pub(crate) async fn fails_to_renew(&self) {
        self.accepts_new().await;
        self.until(|| self.status().last_failure().is_some()).await;
    }

    /// Talks to the issuer without asking for anything. Whatever was begun before has reached it then.
    pub(crate) async fn settle(&self) {
        let address = self.issuer.issuer().strip_prefix("http://").unwrap();
        for _ in 0..2 {
            let request = "GET /nothing HTTP/1.1\r\nhost: idp\r\nconnection: close\r\n\r\n";
            exchange(address.parse().unwrap(), request).await;
        }
    }
}

/// What a future comes to when it is polled once.
pub(crate) fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

pub(crate) fn stranger() -> TokenFault {
    TokenFault::KeyUnknown
}
