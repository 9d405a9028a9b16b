//! TH: tokens that were revoked, in one instance and in several, on a clock that the tests move.

mod admin;
mod counted;
mod endpoint;
mod fleet;
mod full;
mod logout;
mod outage;
pub(crate) mod redis;
mod revoked;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use gateless::bearer::{BearerAuth, TokenPolicy};
use gateless::denylist::{Denylist, DenylistBuilder, DenylistHandle};
use gateless::{OnOutage, Revocation, TokenFault};
use gateless_testkit::{FakeClock, MemoryLog, TestIssuer};
use http::request::Builder;
use tokio::time::sleep;
use tower::layer::util::Stack;

use crate::support::{AUDIENCE, Refusal, bearer, passes, refuses};

const ISSUER: &str = "https://idp.example.com";

/// An issuer, a log, and the clock that all share. Time of the runtime stands still in these tests and jumps to where
/// something happens, so that waiting costs nothing.
struct World {
    clock: FakeClock,
    issuer: TestIssuer,
    log: MemoryLog,
}

/// One instance of a service: who is it, and was it revoked?
struct Instance {
    auth: BearerAuth,
    denylist: Denylist,
}

impl World {
    fn new() -> Self {
        let clock = FakeClock::new();
        let shared = Arc::new(clock.clone());
        let issuer = TestIssuer::builder().clock(shared.clone()).build();
        let log = MemoryLog::new(shared);
        Self { clock, issuer, log }
    }

    fn policy(&self) -> TokenPolicy {
        TokenPolicy::new(ISSUER, AUDIENCE)
    }

    fn auth(&self, policy: TokenPolicy) -> BearerAuth {
        let keys = crate::support::keys_of(&self.issuer, &policy);
        BearerAuth::builder(policy, gateless::bearer::Keys::fixed(keys))
            .clock(Arc::new(self.clock.clone()))
            .build()
            .unwrap()
    }

    fn builder(&self, on_outage: OnOutage) -> DenylistBuilder {
        Denylist::builder(self.log.clone(), on_outage).clock(Arc::new(self.clock.clone()))
    }

    async fn instance(&self) -> Instance {
        self.instance_of(self.builder(OnOutage::FailClosed)).await
    }

    async fn instance_of(&self, builder: DenylistBuilder) -> Instance {
        let auth = self.auth(self.policy());
        let denylist = builder.forgets(auth.handle().clone()).build().unwrap();
        denylist.handle().ready().await.unwrap();
        Instance { auth, denylist }
    }

    /// Lets everybody do what they do in that time, on both clocks.
    async fn pass(&self, time: Duration) {
        // In steps, as whoever waits for the one clock may ask the other in between.
        let step = Duration::from_millis(500);
        let mut left = time;
        while !left.is_zero() {
            let now = step.min(left);
            self.clock.advance(now);
            sleep(now).await;
            left -= now;
        }
    }
}

impl Instance {
    fn handle(&self) -> &DenylistHandle {
        self.denylist.handle()
    }

    async fn revoke(&self, revocation: Revocation) {
        self.handle().revoke(&revocation).await.unwrap();
    }

    fn layer(&self) -> Stack<Denylist, BearerAuth> {
        Stack::new(self.denylist.clone(), self.auth.clone())
    }

    async fn accepts(&self, token: &str) {
        passes(&self.layer(), token, presenting(token)).await;
    }

    async fn refuses(&self, token: &str) {
        self.refuses_as(token, &Refusal::tok(TokenFault::Revoked))
            .await;
    }

    async fn is_down_for(&self, token: &str) {
        self.refuses_as(token, &Refusal::unlisted(5)).await;
    }

    /// Refused in every protocol, as `refusal` says.
    async fn refuses_as(&self, token: &str, refusal: &Refusal) {
        refuses(&self.layer(), refusal, token, presenting(token)).await;
    }
}

fn presenting(token: &str) -> impl Fn(Builder) -> Builder {
    move |request| request.header("authorization", bearer(token))
}
