use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::principal::PrincipalParts;
use crate::scope::ScopeSet;
use crate::{acr, scope, scopes};

const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);

fn parts(scopes: &str) -> PrincipalParts {
    PrincipalParts {
        scopes: ScopeSet::parse(scopes).unwrap(),
        ..PrincipalParts::new("https://idp.example.com", NOW)
    }
}

fn check(requirement: &Requirement, parts: PrincipalParts) -> Result<(), Rejection> {
    requirement.check(&Principal::assert_authenticated(parts), NOW)
}

fn shortfall(requirement: &Requirement, scopes: &str) -> Shortfall {
    match check(requirement, parts(scopes)) {
        Err(Rejection::ScopeInsufficient(shortfall)) => shortfall,
        other => panic!("{other:?}"),
    }
}

#[test]
fn any_asks_for_the_alternative_with_the_fewest_missing() {
    let requirement = Requirement::any([
        Requirement::all(scopes!["a", "b", "c"]),
        Requirement::all(scopes!["d", "e"]),
    ]);
    let missing = |scopes| shortfall(&requirement, scopes).missing().to_vec();
    assert_eq!(missing("a b"), scopes!["c"]);
    assert_eq!(missing(""), scopes!["d", "e"]);
    assert_eq!(missing("a d"), scopes!["e"]);
}

#[test]
fn a_scope_asked_for_twice_is_named_once() {
    let requirement = Requirement::all([
        Requirement::all(scopes!["a", "b"]),
        Requirement::any(scopes!["b", "c"]),
    ]);
    assert_eq!(shortfall(&requirement, "").needed(), scopes!["a", "b"]);
}

#[test]
fn one_scope_that_serves_two_purposes_is_preferred() {
    let requirement = Requirement::all([
        Requirement::any(scopes!["a", "b"]),
        Requirement::any(scopes!["c", "b"]),
    ]);
    assert_eq!(shortfall(&requirement, "").needed(), scopes!["b"]);
}

#[test]
fn tj_07_tj_08_an_empty_list_is_refused_at_run_time_too() {
    let none = Vec::<Scope>::new;
    assert_eq!(Requirement::try_all(none()), Err(EmptyRequirement));
    assert_eq!(Requirement::try_any(none()), Err(EmptyRequirement));
    assert_eq!(Requirement::try_acr([]), Err(EmptyRequirement));
}

#[rstest]
#[case("read", true)]
#[case("write", true)]
#[case("admin", true)]
#[case("writer", false)]
#[case("reader", false)]
#[case("", false)]
fn a_scope_is_met_by_those_that_imply_it(#[case] granted: &str, #[case] expected: bool) {
    let hierarchy = ScopeHierarchy::new()
        .implies(scope!("admin"), scopes!["write"])
        .implies(scope!("write"), scopes!["read"])
        .build()
        .unwrap();
    let nested = Requirement::all([Requirement::any([Requirement::from(scope!("read"))])]);
    let requirement = nested.clone().under(&hierarchy);
    assert_eq!(check(&requirement, parts(granted)).is_ok(), expected);
    assert_eq!(check(&nested, parts(granted)).is_ok(), granted == "read");
}

#[test]
fn a_challenge_keeps_the_stronger_scope_that_is_there_and_asks_for_the_least() {
    let hierarchy = ScopeHierarchy::new()
        .implies(scope!("write"), scopes!["read"])
        .build()
        .unwrap();
    let requirement = Requirement::all(scopes!["read", "list"]).under(&hierarchy);
    let lacking = shortfall(&requirement, "write");
    assert_eq!(lacking.needed(), scopes!["write", "list"]);
    assert_eq!(lacking.missing(), scopes!["list"]);
    let lacking = shortfall(&requirement, "");
    assert_eq!(lacking.needed(), scopes!["read", "list"]);
}

#[rstest]
#[case::absent(None, false)]
#[case::weaker(Some("pwd"), false)]
#[case::prefix(Some("phrh2"), false)]
#[case::case_differs(Some("PHR"), false)]
#[case::listed(Some("phr"), true)]
#[case::also_listed(Some("phrh"), true)]
fn tj_14_the_way_of_signing_in_is_one_of_those_listed(
    #[case] acr: Option<&str>,
    #[case] passes: bool,
) {
    let requirement = Requirement::acr([acr!("phr"), acr!("phrh")]);
    let caller = PrincipalParts {
        authentication_context: acr.map(Into::into),
        ..parts("")
    };
    match check(&requirement, caller) {
        Ok(()) => assert!(passes),
        Err(Rejection::AuthenticationInsufficient(step_up)) => {
            assert!(!passes);
            assert_eq!(step_up.acr_values(), [acr!("phr"), acr!("phrh")]);
            assert_eq!(step_up.max_age(), None);
            assert_eq!(step_up.shortfall(), None);
        }
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::missing(None, false)]
#[case::just_now(Some(0), true)]
#[case::at_the_limit(Some(-300_000), true)]
#[case::too_old(Some(-300_001), false)]
#[case::clocks_differ(Some(30_000), true)]
#[case::in_the_future(Some(30_001), false)]
#[case::before_all_time(Some(i64::MIN), false)]
fn tj_14_signing_in_must_not_be_too_long_ago(#[case] millis: Option<i64>, #[case] passes: bool) {
    let requirement = Requirement::max_age(Duration::from_secs(300));
    let at = |offset: i64| Timestamp::from_millis(NOW.as_millis().saturating_add(offset));
    let caller = PrincipalParts {
        authenticated_at: millis.map(at),
        ..parts("")
    };
    match check(&requirement, caller) {
        Ok(()) => assert!(passes),
        Err(Rejection::AuthenticationInsufficient(step_up)) => {
            assert!(!passes);
            assert_eq!(step_up.max_age(), Some(300));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn tj_14_one_sign_in_is_asked_to_bring_all_that_is_missing() {
    let requirement = Requirement::all([
        Requirement::from(scope!("pay")),
        Requirement::acr([acr!("a"), acr!("b")]),
        Requirement::acr([acr!("b"), acr!("c")]),
        Requirement::max_age(Duration::from_secs(600)),
        Requirement::max_age(Duration::from_millis(59_001)),
    ]);
    let Err(Rejection::AuthenticationInsufficient(step_up)) = check(&requirement, parts("x"))
    else {
        panic!();
    };
    assert_eq!(step_up.acr_values(), [acr!("b")]);
    assert_eq!(step_up.max_age(), Some(60));
    assert_eq!(step_up.shortfall().unwrap().missing(), scopes!["pay"]);
    assert_eq!(
        Requirement::max_age(Duration::ZERO).to_string(),
        "max_age(1 s)"
    );
}

#[test]
fn ways_of_signing_in_that_exclude_each_other_are_told_from_those_that_do_not() {
    let possible = Requirement::all([
        Requirement::any([Requirement::acr([acr!("a")]), Requirement::acr([acr!("b")])]),
        Requirement::acr([acr!("b")]),
    ]);
    let Err(Rejection::AuthenticationInsufficient(step_up)) = check(&possible, parts("")) else {
        panic!();
    };
    assert_eq!(step_up.acr_values(), [acr!("b")]);
    let never = Requirement::all([Requirement::acr([acr!("a")]), Requirement::acr([acr!("b")])]);
    assert_eq!(check(&never, parts("")), Err(Rejection::CallerNotPermitted));
}

#[test]
fn tj_15_a_client_is_told_from_a_user_and_not_sent_for_scopes() {
    let requirement = Requirement::all([
        Requirement::from(scope!("consents:give")),
        Requirement::kind(PrincipalKind::User),
    ]);
    let client = |scopes| PrincipalParts {
        kind: PrincipalKind::Client,
        ..parts(scopes)
    };
    assert_eq!(check(&requirement, parts("consents:give")), Ok(()));
    for scopes in ["consents:give", ""] {
        let refusal = Err(Rejection::CallerNotPermitted);
        assert_eq!(check(&requirement, client(scopes)), refusal);
    }
}

#[test]
fn every_scope_is_listed_once_and_alternatives_are_spelt_out() {
    let requirement = Requirement::all([
        Requirement::from(scope!("a")),
        Requirement::any([Requirement::all(scopes!["b", "a"]), scope!("c").into()]),
        Requirement::kind(PrincipalKind::User),
    ]);
    assert_eq!(requirement.scopes(), scopes!["a", "b", "c"]);
    let alternatives = requirement.alternatives(8).unwrap();
    assert_eq!(alternatives, [scopes!["a", "b"], scopes!["a", "c"]]);
    assert!(requirement.alternatives(1).is_none());
    assert!(!requirement.is_scopes_only());
    assert_eq!(
        Requirement::authenticated().alternatives(1),
        Some(vec![vec![]])
    );
}

#[test]
fn a_requirement_with_very_many_ways_is_still_answered() {
    let pairs: Vec<_> = (0..40)
        .map(|index| {
            let [left, right] =
                ["l", "r"].map(|side| Scope::parse(&format!("{side}{index}")).unwrap());
            Requirement::any([left, right])
        })
        .collect();
    let requirement = Requirement::try_all(pairs).unwrap();
    let lacking = shortfall(&requirement, "l0 r1");
    assert_eq!(lacking.missing().len(), 38);
}

#[derive(Clone, Debug)]
struct Caller {
    scopes: Vec<&'static str>,
    acr: Option<&'static str>,
    age: Option<i64>,
    is_client: bool,
    tenant: Option<&'static str>,
}

impl Caller {
    fn parts(&self) -> PrincipalParts {
        let at = |age| Timestamp::from_secs(NOW.as_secs() - age);
        PrincipalParts {
            authentication_context: self.acr.map(Into::into),
            authenticated_at: self.age.map(at),
            kind: PrincipalKind::ALL[usize::from(self.is_client)],
            claims: serde_json::json!({ "tenant": self.tenant })
                .to_string()
                .into(),
            ..parts(&self.scopes.join(" "))
        }
    }
}

const SCOPES: [&str; 5] = ["a", "b", "c", "d", "e"];
const ACRS: [&str; 3] = ["x", "y", "z"];

fn caller() -> impl Strategy<Value = Caller> {
    let tenant = prop::sample::select(vec!["acme", "other"]);
    (
        prop::collection::vec(prop::sample::select(SCOPES.to_vec()), 0..4),
        prop::option::of(prop::sample::select(ACRS.to_vec())),
        prop::option::of(0..400_i64),
        any::<bool>(),
        prop::option::of(tenant),
    )
        .prop_map(|(scopes, acr, age, is_client, tenant)| Caller {
            scopes,
            acr,
            age,
            is_client,
            tenant,
        })
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let scope = prop::sample::select(SCOPES.to_vec())
        .prop_map(|text| Requirement::from(Scope::parse(text).unwrap()));
    let acr = prop::collection::vec(prop::sample::select(ACRS.to_vec()), 1..3).prop_map(|acrs| {
        Requirement::try_acr(acrs.into_iter().map(|acr| Acr::parse(acr).unwrap())).unwrap()
    });
    let leaf = prop_oneof![
        6 => scope,
        2 => acr,
        1 => (1..300_u64).prop_map(|secs| Requirement::max_age(Duration::from_secs(secs))),
        1 => any::<bool>().prop_map(|client| Requirement::kind(PrincipalKind::ALL[usize::from(client)])),
        1 => Just(Requirement::claim("tenant", "acme")),
        1 => Just(Requirement::authenticated()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let items = prop::collection::vec(inner, 1..4);
        prop_oneof![
            items
                .clone()
                .prop_map(|items| Requirement::try_all(items).unwrap()),
            items.prop_map(|items| Requirement::try_any(items).unwrap()),
        ]
    })
}

proptest! {
    #[test]
    fn whoever_does_what_the_challenge_says_passes(requirement in requirement(), caller in caller()) {
        let with = |scopes: &[Scope]| {
            let scopes: Vec<_> = scopes.iter().map(Scope::as_str).collect();
            PrincipalParts { scopes: ScopeSet::parse(scopes.join(" ")).unwrap(), ..caller.parts() }
        };
        match check(&requirement, caller.parts()) {
            Ok(()) => {}
            Err(Rejection::ScopeInsufficient(shortfall)) => {
                prop_assert!(!shortfall.missing().is_empty());
                prop_assert_eq!(check(&requirement, with(shortfall.needed())), Ok(()));
                let fewer = shortfall.needed().iter().filter(|scope| shortfall.missing()[0] != **scope);
                let fewer: Vec<_> = fewer.cloned().collect();
                prop_assert!(check(&requirement, with(&fewer)).is_err(), "asked for more than is needed");
            }
            Err(Rejection::AuthenticationInsufficient(step_up)) => {
                let acrs = step_up.acr_values().iter().map(|acr| Some(acr.as_str().into()));
                let acrs: Vec<Option<Box<str>>> = acrs.collect();
                let unchanged = vec![caller.acr.map(Into::into)];
                for acr in if acrs.is_empty() { unchanged } else { acrs } {
                    let scopes = step_up.shortfall().map(|shortfall| with(shortfall.needed()));
                    let anew = PrincipalParts {
                        authentication_context: acr,
                        authenticated_at: Some(NOW),
                        ..scopes.unwrap_or_else(|| caller.parts())
                    };
                    prop_assert_eq!(check(&requirement, anew), Ok(()));
                }
            }
            Err(Rejection::CallerNotPermitted) => {
                for acr in ACRS {
                    let anew = PrincipalParts {
                        authentication_context: Some(acr.into()),
                        authenticated_at: Some(NOW),
                        scopes: ScopeSet::parse(SCOPES.join(" ")).unwrap(),
                        ..caller.parts()
                    };
                    prop_assert!(check(&requirement, anew).is_err(), "there is a way");
                }
            }
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn json_and_back_changes_nothing(requirement in requirement()) {
        let json = serde_json::to_string(&requirement).unwrap();
        prop_assert_eq!(serde_json::from_str::<Requirement>(&json).unwrap(), requirement);
    }

    #[test]
    fn the_alternatives_are_another_form_of_the_same(requirement in requirement(), caller in caller()) {
        prop_assume!(requirement.is_scopes_only());
        let alternatives = requirement.alternatives(1000).unwrap();
        let any = alternatives.iter().any(|scopes| scopes.iter().all(|scope| caller.scopes.contains(&scope.as_str())));
        prop_assert_eq!(check(&requirement, caller.parts()).is_ok(), any);
    }
}
