use gateless_core::{Access, OnOutage, scope, scopes};
use rstest::rstest;

use super::{Stack, StackBuilder};
use crate::bearer::{BearerAuth, BearerAuthBuilder, Keys, TokenPolicy};
use crate::scope::{ScopeGuard, ScopeTable};

fn bearer() -> BearerAuthBuilder {
    let policy = TokenPolicy::new("https://idp.example.com", "https://orders.example.com");
    BearerAuth::builder(policy, Keys::discovery(OnOutage::FailClosed))
}

fn mandatory() -> StackBuilder {
    Stack::builder(bearer().build().unwrap())
}

fn optional() -> StackBuilder {
    Stack::builder(bearer().build_optional().unwrap())
}

fn table(is_open: bool) -> ScopeGuard {
    let table = ScopeTable::builder().get("/orders", scope!("orders:read"));
    let table = match is_open {
        true => table.get("/healthz", Access::open("the platform asks")),
        false => table,
    };
    ScopeGuard::table(table.build().unwrap())
}

#[rstest]
#[case::guards_on_the_routes(mandatory())]
#[case::one_guard(mandatory().guard(scopes!["orders:read"]))]
#[case::a_table(mandatory().guard(table(false)))]
#[case::an_open_route(optional().guard(table(true)))]
#[case::strangers_are_refused_by_the_guard(optional().guard(scope!("orders:read")))]
fn what_makes_sense_is_built(#[case] stack: StackBuilder) {
    let stack = stack.build().unwrap();
    assert!(stack.bearer().is_some());
    assert!(stack.introspection().is_none());
    assert!(stack.denylist().is_none());
    assert!(stack.audit().is_none());
}

#[rstest]
#[case::nobody_asks_for_a_token(
    optional(),
    "guard is missing, and the authentication is optional: nothing would ask for a token"
)]
#[case::an_open_route_that_is_closed(
    mandatory().guard(table(true)),
    "guard declares GET /healthz as open, but the authentication refuses whoever brings no token: make it with \
     `build_optional`"
)]
fn what_contradicts_itself_is_not(#[case] stack: StackBuilder, #[case] says: &str) {
    let error = stack.build().unwrap_err();
    assert_eq!(error.to_string(), format!("unusable configuration: {says}"));
}
