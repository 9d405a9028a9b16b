//! The tower contract, for the layers that limit.

use gateless::Quota;
use gateless::gate::Head;
use gateless::limit::{
    ConcurrencyLimit, FailureLimit, Knowledge, KnownTokens, LimitKey, LimitOutage, PeerAddress,
    SharedLimits,
};
use gateless_testkit::MemoryQuotas;
use http::Request;

use super::*;
use crate::contract::{Asked, good, keeps_the_contract};

/// In front of an authentication of somebody else's, which remembers nothing.
struct Nobody;

impl KnownTokens for Nobody {
    fn knows(&self, _: Head<'_>) -> Knowledge {
        Knowledge::Unknown
    }
}

fn from_somewhere() -> Asked {
    let address: std::net::IpAddr = "192.0.2.7".parse().unwrap();
    let request = Request::get("/").extension(PeerAddress(address));
    request.body(String::new()).unwrap()
}

#[tokio::test]
async fn tm_08_rate_limits_call_the_service_that_was_polled() {
    let world = World::new();
    let limit = world.builder(LimitKey::everybody(), &[Quota::per_second(1000)]);
    keeps_the_contract(&limit.build().unwrap(), good).await;
}

#[tokio::test]
async fn tm_08_shared_limits_that_wait_call_the_service_that_was_polled() {
    let world = World::new();
    let store = MemoryQuotas::new(Arc::new(world.clock.clone()));
    let shared = SharedLimits::exact(store.clone(), LimitOutage::FailClosed);
    let builder = world.builder(LimitKey::everybody(), &[Quota::per_second(1000)]);
    keeps_the_contract(&builder.shared(shared).build().unwrap(), good).await;
    assert_eq!(store.calls(), 12, "every request had to wait");
}

#[tokio::test]
async fn tm_08_concurrency_limits_call_the_service_that_was_polled() {
    let limit = ConcurrencyLimit::builder(LimitKey::everybody(), 2)
        .build()
        .unwrap();
    keeps_the_contract(&limit, good).await;
}

#[tokio::test]
async fn tm_08_failure_limits_call_the_service_that_was_polled() {
    let limit = FailureLimit::builder(Quota::per_minute(1), Nobody)
        .build()
        .unwrap();
    keeps_the_contract(&limit, from_somewhere).await;
}
