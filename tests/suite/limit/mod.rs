//! TK: callers who have too much, on a clock that the tests move.

mod answers;
mod callers;
mod concurrency;
mod contract;
mod costs;
mod counted;
mod failures;
mod failures_counted;
mod fleet;
mod law;
mod meter;
mod redis;
mod served;
mod settings;
mod tiers;

use std::sync::Arc;
use std::time::Duration;

use gateless::Quota;
use gateless::bearer::BearerAuth;
use gateless::limit::{LimitKey, RateLimit, RateLimitBuilder};
use gateless_testkit::{FakeClock, TestIssuer, TokenBuilder};
use http::request::Builder;
use tower::layer::util::Stack;

use crate::support::{Answer, Protocol, bearer, issuer, policy, send};

/// Callers and the clock that everything goes by.
struct World {
    clock: FakeClock,
}

/// One instance of a service: who is it, and have they had enough?
struct Instance {
    auth: BearerAuth,
    limit: RateLimit,
}

impl World {
    fn new() -> Self {
        Self {
            clock: FakeClock::new(),
        }
    }

    fn builder(&self, key: LimitKey, quotas: &[Quota]) -> RateLimitBuilder {
        RateLimit::builder(key, quotas.to_vec()).clock(Arc::new(self.clock.clone()))
    }

    fn instance(&self, key: LimitKey, quotas: &[Quota]) -> Instance {
        self.instance_of(self.builder(key, quotas))
    }

    fn instance_of(&self, builder: RateLimitBuilder) -> Instance {
        Instance {
            auth: self.auth(),
            limit: builder.build().unwrap(),
        }
    }

    fn auth(&self) -> BearerAuth {
        crate::support::auth_with(policy())
            .clock(Arc::new(self.clock.clone()))
            .build()
            .unwrap()
    }

    fn advance(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }
}

impl Instance {
    fn layer(&self) -> Stack<RateLimit, BearerAuth> {
        Stack::new(self.limit.clone(), self.auth.clone())
    }

    async fn send(&self, protocol: Protocol, token: &str) -> Answer {
        let request = presenting(token)(protocol.request());
        send(&self.layer(), request.body(String::new()).unwrap()).await
    }

    /// How many of `requests` pass. All others are refused as too many.
    async fn admits(&self, requests: usize, token: &str) -> usize {
        let mut admitted = 0;
        for _ in 0..requests {
            let answer = self.send(Protocol::Http, token).await;
            match answer.status.as_u16() {
                200 => admitted += 1,
                429 => assert!(answer.reached.is_empty()),
                other => panic!("{other}: {answer:?}"),
            }
        }
        admitted
    }
}

/// A token of somebody, which lives for a while.
fn token_of(subject: &str) -> TokenBuilder {
    let issuer: &TestIssuer = issuer();
    issuer.token().subject(subject)
}

fn presenting(token: &str) -> impl Fn(Builder) -> Builder {
    move |request| request.header("authorization", bearer(token))
}
