//! Settings that cannot be right.

use rstest::rstest;

use super::*;

#[rstest]
#[case::no_time("fresh_for", |builder: DenylistBuilder| builder.fresh_for(Duration::ZERO))]
#[case::shorter_than_an_answer("fresh_for", |builder: DenylistBuilder| builder.fresh_for(Duration::from_millis(1_999)))]
#[case::too_long("fresh_for", |builder: DenylistBuilder| builder.fresh_for(Duration::from_secs(3601)))]
#[case::no_lifetime("token_lifetime", |builder: DenylistBuilder| builder.token_lifetime(Duration::ZERO))]
#[case::years("token_lifetime", |builder: DenylistBuilder| builder.token_lifetime(Duration::MAX))]
#[case::skew("clock_skew", |builder: DenylistBuilder| builder.clock_skew(Duration::from_secs(301)))]
#[case::no_room("capacity", |builder: DenylistBuilder| builder.capacity(0))]
#[tokio::test]
async fn th_03_a_setting_that_cannot_be_right_is_named_and_nothing_is_built(
    #[case] setting: &str,
    #[case] change: fn(DenylistBuilder) -> DenylistBuilder,
) {
    let world = World::new();
    let error = change(world.builder(OnOutage::FailClosed))
        .build()
        .unwrap_err();
    let [fault] = error.faults() else {
        panic!("{error}")
    };
    assert_eq!(fault.setting(), setting);
}

#[test]
fn th_03_without_a_runtime_nothing_would_keep_the_list_up_to_date() {
    let world = World::new();
    let error = world.builder(OnOutage::FailClosed).build().unwrap_err();
    assert_eq!(error.faults()[0].setting(), "runtime");
}
