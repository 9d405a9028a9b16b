//! Callers who may have more than others.

use gateless::limit::LimitKey;
use gateless::{Principal, Quota};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn tiers(world: &World) -> RateLimitBuilder {
    world
        .builder(LimitKey::caller(), &[Quota::per_minute(2)])
        .tier("pro", [Quota::per_minute(5), Quota::per_hour(7)])
        .unlimited_tier("internal")
}

#[rstest]
#[case::none(None, 2)]
#[case::unknown(Some(json!("platinum")), 2)]
#[case::no_text(Some(json!(["pro"])), 2)]
#[case::empty(Some(json!("")), 2)]
#[case::other_case(Some(json!("PRO")), 2)]
#[case::pro(Some(json!("pro")), 5)]
#[case::internal(Some(json!("internal")), 20)]
#[tokio::test]
async fn the_tier_is_what_the_verified_token_says(
    #[case] plan: Option<Value>,
    #[case] expected: usize,
) {
    let world = World::new();
    let instance = world.instance_of(tiers(&world).tier_claim("plan"));
    let token = match plan {
        Some(plan) => token_of("user-1").claim("plan", plan),
        None => token_of("user-1"),
    };
    let token = token.mint();
    assert_eq!(instance.admits(20, &token).await, expected);
    world.advance(60_000);
    let then = if expected == 5 { 2 } else { expected };
    assert_eq!(instance.admits(20, &token).await, then);
}

#[tokio::test]
async fn the_tier_can_be_looked_up() {
    let world = World::new();
    let lookup = |caller: &Principal| match caller.subject()? {
        "user-1" => Some("pro".to_owned()),
        "user-2" => Some("internal".to_owned()),
        _ => None,
    };
    let instance = world.instance_of(tiers(&world).tier_by(lookup));
    for (user, expected) in [("user-1", 5), ("user-2", 20), ("user-3", 2)] {
        let token = token_of(user).claim("plan", json!("internal")).mint();
        assert_eq!(instance.admits(20, &token).await, expected);
    }
}
