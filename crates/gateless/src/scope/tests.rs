use gateless_core::{Anonymous, Principal, PrincipalParts, Rejection, ScopeSet, Timestamp, scopes};
use http::{Extensions, Request};
use rstest::rstest;

use super::ScopeGuard;
use crate::gate::{Gate as _, Head, Step};

fn principal(scopes: &str) -> Principal {
    Principal::assert_authenticated(PrincipalParts {
        scopes: ScopeSet::parse(scopes).unwrap(),
        ..PrincipalParts::new("https://idp.example.com", Timestamp::EPOCH)
    })
}

/// Decides on the spot: a guard never waits.
fn decide(guard: &ScopeGuard, identity: impl FnOnce(&mut Extensions)) -> Result<(), Rejection> {
    let mut request = Request::new(());
    identity(request.extensions_mut());
    match guard.decide(Head::of(&request)) {
        Step::Now(verdict) => verdict.map(|_| ()),
        Step::Wait(_) => panic!("a guard has nothing to wait for"),
    }
}

#[rstest]
#[case("orders:read orders:write", true)]
#[case("orders:write orders:read profile", true)]
#[case("orders:read", false)]
#[case("", false)]
fn all_of_the_scopes_are_asked_for(#[case] granted: &str, #[case] passes: bool) {
    let guard = ScopeGuard::all(scopes!["orders:read", "orders:write"]);
    let decided = decide(&guard, |extensions| principal(granted).attach(extensions));
    assert_eq!(decided.is_ok(), passes);
}

#[test]
fn what_is_missing_is_named() {
    let guard = ScopeGuard::any(scopes!["orders:read", "orders:write"]);
    let decided = decide(&guard, |extensions| principal("profile").attach(extensions));
    let Err(Rejection::ScopeInsufficient(shortfall)) = decided else {
        panic!("{decided:?}");
    };
    assert_eq!(shortfall.missing(), scopes!["orders:read"]);
}

#[test]
fn tj_02_nobody_is_told_from_no_authentication() {
    let guard = ScopeGuard::all(scopes!["orders:read"]);
    assert_eq!(
        decide(&guard, Anonymous::attach),
        Err(Rejection::CredentialsMissing)
    );
    assert_eq!(decide(&guard, |_| ()), Err(Rejection::PipelineMisordered));
}
