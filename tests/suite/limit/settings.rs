//! Settings that cannot be right.

use gateless::limit::{ConcurrencyLimit, LimitKey};
use gateless::{Quota, Route};
use rstest::rstest;

use super::*;

fn minute() -> RateLimitBuilder {
    World::new().builder(LimitKey::caller(), &[Quota::per_minute(10)])
}

fn with(quotas: &[Quota]) -> RateLimitBuilder {
    World::new().builder(LimitKey::caller(), quotas)
}

#[rstest]
#[case::no_quota(with(&[]), "quotas are none")]
#[case::zero(with(&[Quota::per_minute(0)]), "quota of 0 in 60 s lets nobody through")]
#[case::no_burst(with(&[Quota::per_minute(1).burst(0)]), "has a burst of zero")]
#[case::no_period(with(&[Quota::per(1, Duration::ZERO)]), "has a period that is not between")]
#[case::too_fast(with(&[Quota::per(u32::MAX, Duration::from_secs(1))]), "is more than 100,000 a second")]
#[case::too_long(with(&[Quota::per_day(1).burst(u32::MAX)]), "worth more than ten years")]
#[case::many(with(&[Quota::per_minute(1), Quota::per_minute(2), Quota::per_minute(3), Quota::per_minute(4), Quota::per_minute(5), Quota::per_minute(6), Quota::per_minute(7), Quota::per_minute(8), Quota::per_minute(9)]), "quotas are more than 8")]
#[case::twice(with(&[Quota::per_minute(1), Quota::per_minute(1)]), "have the name 1-in-60s twice")]
#[case::name(minute().named(""), "name is not 1 to 64 letters")]
#[case::odd_name(minute().named("a b"), "name is not 1 to 64 letters")]
#[case::no_keys(minute().max_keys(0), "max_keys is zero")]
#[case::all_keys(minute().max_keys(usize::MAX), "max_keys is above")]
#[case::dear(minute().cost(11), "cost of 11 is above a burst of 10")]
#[case::dear_route(minute().route_cost(Route::Grpc { method: "a.B/C".into() }, 11), "route_cost of gRPC /a.B/C, 11, is above a burst of 10")]
#[case::route_twice(minute().route_cost(Route::Grpc { method: "a.B/C".into() }, 1).route_cost(Route::Grpc { method: "a.B/C".into() }, 2), "route_cost of gRPC a.B/C is there twice")]
#[case::http_route_twice(minute().route_cost(Route::Http { method: http::Method::GET, path: "/a".into() }, 1).route_cost(Route::Http { method: http::Method::GET, path: "/a".into() }, 2), "route_cost of GET /a is there twice")]
#[case::idle_route(minute().route_cost(Route::Grpc { method: "a.B/C".into() }, 1).cost_by(|_| 1), "route_cost has no effect beside cost_by")]
#[case::no_tier(minute().tier_claim("plan"), "tier is told apart, but there is none")]
#[case::untold(minute().tier("pro", [Quota::per_minute(1)]), "tier is never told")]
#[case::tier_twice(minute().tier("pro", [Quota::per_minute(1)]).unlimited_tier("pro").tier_claim("plan"), "tier pro is there twice")]
#[case::nameless(minute().tier("", [Quota::per_minute(1)]).tier_claim("plan"), "tier has no name")]
#[case::empty_tier(minute().tier("pro", []).tier_claim("plan"), "quotas of the tier pro are none")]
#[case::tier_of_nobody(World::new().builder(LimitKey::everybody(), &[Quota::per_minute(1)]).unlimited_tier("x").tier_claim("plan"), "the key names none")]
fn tk_13_tk_14_a_setting_that_cannot_be_right_is_named(
    #[case] builder: RateLimitBuilder,
    #[case] says: &str,
) {
    let error = builder.build().unwrap_err().to_string();
    assert!(error.contains(says), "{error}");
}

#[test]
fn tk_14_all_faults_are_named_at_once() {
    let builder = with(&[Quota::per_minute(0), Quota::per_second(200_000)]).max_keys(0);
    let error = builder.named("no name").build().unwrap_err();
    assert_eq!(error.faults().len(), 5, "{error}");
}

#[test]
fn tk_14_a_limit_of_no_requests_at_once_is_refused() {
    let error = ConcurrencyLimit::builder(LimitKey::caller(), 0)
        .build()
        .unwrap_err();
    assert_eq!(error.faults()[0].setting(), "max");
}

#[test]
fn debug_output_names_no_caller() {
    let limit = minute().build().unwrap();
    let printed = format!("{limit:?} {:?}", minute());
    assert!(printed.contains("Caller"), "{printed}");
}
