//! Claims that are true, judged at one time or another.

use std::sync::LazyLock;
use std::time::Duration;

use gateless_core::PrincipalKind;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::testing::{AUDIENCE, ISSUER, NOW, Signer, claims, key_set};
use crate::{Algorithm, HmacSecret, Key, Unverified};

/// The one key that signs here.
fn keys() -> &'static KeySet {
    static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
        let secret = HmacSecret::new(b"0123456789abcdefghijklmnopqrstuv").unwrap();
        KeySet::new([Key::hmac(Algorithm::HS256, &secret).unwrap()])
    });
    &KEYS
}

/// Facts with these times, in milliseconds from [`NOW`].
fn facts(expires_at: i64, issued_at: Option<i64>, not_before: Option<i64>) -> Facts {
    let principal = Principal::assert_authenticated(gateless_core::PrincipalParts {
        issuer: ISSUER.into(),
        subject: Some("user-1".into()),
        client_id: Some("web".into()),
        token_id: None,
        token_digest: None,
        session_id: None,
        kind: PrincipalKind::User,
        scopes: gateless_core::ScopeSet::empty(),
        audience: [AUDIENCE.into()].into(),
        expires_at: at(expires_at),
        is_end_assumed: false,
        issued_at: issued_at.map(at),
        authenticated_at: None,
        authentication_context: None,
        actors: [].into(),
        key_id: None,
        claims: "{}".into(),
    });
    let statement = Statement {
        principal,
        not_before: not_before.map(at),
        is_bound: false,
    };
    Facts::new(statement, keys().keys()[0].stamp(), false)
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis((NOW * 1000).saturating_add(millis))
}

fn policy() -> TokenPolicy {
    TokenPolicy::new(ISSUER, AUDIENCE)
}

fn fault(facts: &Facts, policy: &TokenPolicy, now: i64) -> Option<TokenFault> {
    facts.clone().judge(keys(), policy, at(now)).err()
}

#[rstest]
#[case::td_02(Duration::ZERO)]
#[case::td_02(Duration::from_millis(1))]
#[case::td_02(Duration::from_secs(30))]
#[case::td_02(Duration::from_secs(300))]
fn a_token_ends_at_exp_plus_leeway_to_the_millisecond(#[case] leeway: Duration) {
    let policy = policy().leeway(leeway);
    let facts = facts(0, Some(-60_000), None);
    let leeway = i64::try_from(leeway.as_millis()).unwrap();
    assert_eq!(fault(&facts, &policy, leeway - 1), None);
    for late in [leeway, leeway + 1, leeway + 1_000_000] {
        assert_eq!(fault(&facts, &policy, late), Some(TokenFault::Expired));
    }
}

#[rstest]
#[case::td_07(Duration::ZERO)]
#[case::td_07(Duration::from_millis(1))]
#[case::td_07(Duration::from_secs(30))]
fn a_token_begins_at_nbf_minus_leeway_to_the_millisecond(#[case] leeway: Duration) {
    let policy = policy().leeway(leeway);
    let facts = facts(600_000, Some(-60_000), Some(0));
    let leeway = i64::try_from(leeway.as_millis()).unwrap();
    for good in [-leeway, 1 - leeway, 0, 1] {
        assert_eq!(fault(&facts, &policy, good), None);
    }
    for early in [-leeway - 1, -leeway - 1_000] {
        assert_eq!(fault(&facts, &policy, early), Some(TokenFault::NotYetValid));
    }
}

#[rstest]
#[case::td_08(Duration::ZERO)]
#[case::td_08(Duration::from_secs(30))]
fn a_token_is_not_issued_in_the_future_to_the_millisecond(#[case] leeway: Duration) {
    let policy = policy().leeway(leeway);
    let facts = facts(600_000, Some(0), None);
    let leeway = i64::try_from(leeway.as_millis()).unwrap();
    assert_eq!(fault(&facts, &policy, -leeway), None);
    let expected = Some(TokenFault::IssuedInFuture);
    assert_eq!(fault(&facts, &policy, -leeway - 1), expected);
}

#[test]
fn td_09_a_token_is_not_issued_after_it_ends() {
    assert_eq!(fault(&facts(0, Some(0), None), &policy(), 0), None);
    let expected = Some(TokenFault::IssuedInFuture);
    assert_eq!(fault(&facts(0, Some(1), None), &policy(), 0), expected);
}

#[test]
fn td_06_a_life_has_a_length_to_the_millisecond() {
    let policy = policy().max_lifetime(Duration::from_secs(600));
    let expected = Some(TokenFault::LifetimeTooLong);
    assert_eq!(
        fault(&facts(540_000, Some(-60_000), None), &policy, 0),
        None
    );
    assert_eq!(
        fault(&facts(540_001, Some(-60_000), None), &policy, 0),
        expected
    );
    assert_eq!(
        fault(&facts(540_000, Some(-60_001), None), &policy, 0),
        expected
    );
    // Without `iat` what is left of it counts, without the leeway.
    assert_eq!(fault(&facts(600_000, None, None), &policy, 0), None);
    assert_eq!(fault(&facts(600_001, None, None), &policy, 0), expected);
    // The default is a day; ten years and the year 9999 are too long.
    let day = 24 * 60 * 60 * 1000;
    let default = self::policy();
    assert_eq!(fault(&facts(day, Some(0), None), &default, 0), None);
    for (expires_at, issued_at) in [(day + 1, 0), (3650 * day, 0), (251_000_000_000_000, 0)] {
        let facts = facts(expires_at, Some(issued_at), None);
        assert_eq!(fault(&facts, &default, 0), expected);
    }
}

#[test]
fn td_05_the_ends_of_time_do_not_overflow() {
    let generous = policy().leeway(Duration::MAX).max_lifetime(Duration::MAX);
    for policy in [policy(), generous] {
        for expires_at in [i64::MIN, -1, 0, 1, i64::MAX] {
            for issued_at in [None, Some(i64::MIN), Some(0), Some(i64::MAX)] {
                for not_before in [None, Some(i64::MIN), Some(0), Some(i64::MAX)] {
                    for now in [i64::MIN, 0, i64::MAX] {
                        let _ = fault(&facts(expires_at, issued_at, not_before), &policy, now);
                    }
                }
            }
        }
    }
}

#[test]
fn td_11_a_clock_that_jumps_is_followed_both_ways() {
    let facts = facts(60_000, Some(-60_000), None);
    for (now, expected) in [
        (0, None),
        (3_600_000, Some(TokenFault::Expired)),
        (0, None),
        (-3_600_000, Some(TokenFault::IssuedInFuture)),
        (0, None),
    ] {
        assert_eq!(fault(&facts, &policy(), now), expected);
    }
}

#[test]
fn td_13_facts_of_one_issuer_are_no_facts_of_another() {
    let facts = facts(60_000, Some(-60_000), None);
    let other = TokenPolicy::new("https://other.example.com", AUDIENCE);
    assert_eq!(fault(&facts, &other, 0), Some(TokenFault::IssuerUnknown));
}

#[test]
fn td_15_td_21_the_audience_is_asked_of_the_policy_that_judges() {
    let facts = facts(60_000, Some(-60_000), None);
    let other = TokenPolicy::new(ISSUER, "https://other.example.com");
    assert_eq!(fault(&facts, &other, 0), Some(TokenFault::AudienceMismatch));
    assert_eq!(fault(&facts, &other.audience(AUDIENCE), 0), None);
}

#[rstest]
#[case(&["web"], None)]
#[case(&["batch", "web"], None)]
#[case(&["batch"], Some(TokenFault::ClientNotAllowed))]
#[case(&["Web"], Some(TokenFault::ClientNotAllowed))]
#[case(&["we"], Some(TokenFault::ClientNotAllowed))]
#[case(&["*"], Some(TokenFault::ClientNotAllowed))]
#[case(&[], Some(TokenFault::ClientNotAllowed))]
fn only_allowed_clients_are_let_in(#[case] allowed: &[&str], #[case] expected: Option<TokenFault>) {
    let policy = policy().allowed_clients(allowed.iter().copied());
    assert_eq!(fault(&facts(60_000, None, None), &policy, 0), expected);
}

#[test]
fn a_token_without_a_client_is_of_no_allowed_client() {
    use crate::testing::{authenticate, claims_without, policy, signer};
    let issuer = signer(Algorithm::EdDSA);
    let token = issuer.token(&claims_without("client_id"));
    let lax = policy().profile(crate::Profile::Lax);
    assert!(authenticate(&token, &issuer.keys(), &lax).is_ok());
    let result = authenticate(&token, &issuer.keys(), &lax.allowed_clients(["web"]));
    assert_eq!(result.err(), Some(TokenFault::ClientNotAllowed));
}

proptest! {
    /// Time only ever opens a token once and closes it once.
    #[test]
    fn a_token_is_good_during_one_interval(
        expires_at in -100_000_i64..100_000,
        issued_at in prop::option::of(-100_000_i64..100_000),
        not_before in prop::option::of(-100_000_i64..100_000),
        leeway in 0_u64..60_000,
        max_lifetime in 1_u64..200_000,
        mut times in prop::array::uniform8(-400_000_i64..400_000),
    ) {
        let policy = policy()
            .leeway(Duration::from_millis(leeway))
            .max_lifetime(Duration::from_millis(max_lifetime));
        let facts = facts(expires_at, issued_at, not_before);
        times.sort_unstable();
        let good: Vec<_> = times
            .iter()
            .map(|now| facts.clone().judge(keys(), &policy, at(*now)).is_ok())
            .collect();
        let first = good.iter().position(|good| *good);
        let last = good.iter().rposition(|good| *good);
        if let (Some(first), Some(last)) = (first, last) {
            prop_assert!(good[first..=last].iter().all(|good| *good), "{times:?} {good:?}");
        }
    }

    /// More leeway never refuses what less of it accepts, and never moves the end by more than itself.
    #[test]
    fn leeway_only_widens(
        expires_at in -100_000_i64..100_000,
        issued_at in -100_000_i64..100_000,
        not_before in prop::option::of(-100_000_i64..100_000),
        leeway in 0_u64..60_000,
        now in -200_000_i64..200_000,
    ) {
        let facts = facts(expires_at, Some(issued_at), not_before);
        let none = policy().leeway(Duration::ZERO);
        let some = policy().leeway(Duration::from_millis(leeway));
        let accepted = facts.clone().judge(keys(), &some, at(now)).is_ok();
        if facts.judge(keys(), &none, at(now)).is_ok() {
            prop_assert!(accepted);
        }
        prop_assert!(!accepted || now < expires_at + i64::try_from(leeway).unwrap());
    }
}

/// A set of some of the [`signers`], with the ids that were given to them.
fn set_of(chosen: &[(usize, Option<&'static str>)]) -> KeySet {
    let jwks: Vec<_> = chosen
        .iter()
        .map(|(signer, id)| {
            let mut jwk = signers()[*signer].jwk();
            jwk["kid"] = json!(id);
            if id.is_none() {
                jwk.as_object_mut().unwrap().remove("kid");
            }
            jwk
        })
        .collect();
    key_set(&jwks)
}

fn signers() -> &'static [Signer; 6] {
    static SIGNERS: LazyLock<[Signer; 6]> =
        LazyLock::new(|| std::array::from_fn(|_| Signer::generate(Algorithm::EdDSA)));
    &SIGNERS
}

fn token_of(signer: usize, id: Option<&str>) -> String {
    let mut header = json!({ "alg": "EdDSA", "typ": "at+jwt" });
    if let Some(id) = id {
        header["kid"] = json!(id);
    }
    signers()[signer].sign(header.to_string(), claims().to_string())
}

fn verified(token: &str, keys: &KeySet) -> Result<Facts, TokenFault> {
    Unverified::parse(token)?.verify(keys, &policy())
}

fn judged(facts: &Facts, keys: &KeySet) -> Result<(), TokenFault> {
    facts.clone().judge(keys, &policy(), at(0)).map(drop)
}

#[test]
fn te_12_facts_are_vouched_for_as_long_as_their_key_is_there() {
    let first = set_of(&[(0, Some("a")), (1, Some("b"))]);
    let facts = verified(&token_of(0, Some("a")), &first).unwrap();
    assert_eq!(judged(&facts, &first), Ok(()));

    let read_again = || set_of(&[(0, Some("a")), (2, Some("c"))]);
    assert_eq!(judged(&facts, &read_again().succeeding(&first)), Ok(()));
    // Nothing but succession makes two keys one: keys that were thrown away vouch for nothing.
    assert_eq!(judged(&facts, &read_again()), Err(TokenFault::KeyUnknown));

    for gone in [
        set_of(&[(1, Some("b"))]),
        set_of(&[(0, Some("b"))]),
        set_of(&[(0, None)]),
        set_of(&[(3, Some("a"))]),
    ] {
        let gone = gone.succeeding(&first);
        assert_eq!(judged(&facts, &gone), Err(TokenFault::KeyUnknown));
    }
}

#[test]
fn te_13_a_refused_key_vouches_for_nothing() {
    let keys = set_of(&[(0, Some("a")), (1, Some("b"))]);
    let named = verified(&token_of(0, Some("a")), &keys).unwrap();
    let unnamed = verified(&token_of(0, None), &keys).unwrap();
    let other = verified(&token_of(1, None), &keys).unwrap();

    let keys = keys.refusing(["a"]);
    assert_eq!(keys.refused(), ["a".into()]);
    assert_eq!(judged(&named, &keys), Err(TokenFault::KeyRefused));
    assert_eq!(judged(&unnamed, &keys), Err(TokenFault::KeyUnknown));
    assert_eq!(judged(&other, &keys), Ok(()));
    let verify = |id| verified(&token_of(0, id), &keys).err();
    assert_eq!(verify(Some("a")), Some(TokenFault::KeyRefused));
    assert_eq!(verify(None), Some(TokenFault::SignatureInvalid));
    // Also where the set does not have it: newer keys would not help.
    let none = set_of(&[(1, Some("b"))]).refusing(["a"]);
    assert_eq!(
        verified(&token_of(0, Some("a")), &none).err(),
        Some(TokenFault::KeyRefused)
    );
}

fn some_keys() -> impl Strategy<Value = KeySet> {
    let key = (
        0_usize..6,
        prop::option::of(prop::sample::select(&["a", "b"][..])),
    );
    let refused = prop::sample::subsequence(&["a", "b"][..], 0..=1);
    (prop::collection::vec(key, 1..8), refused)
        .prop_map(|(keys, refused)| set_of(&keys).refusing(refused))
}

proptest! {
    /// What was verified once is decided as if it were verified again, whatever became of the keys.
    #[test]
    fn kept_facts_are_judged_as_new_ones_would_be(
        before in some_keys(),
        after in some_keys(),
        signer in 0_usize..6,
        id in prop::option::of(prop::sample::select(&["a", "b"][..])),
    ) {
        let token = token_of(signer, id);
        let after = after.succeeding(&before);
        if let Ok(facts) = verified(&token, &before) {
            let anew = verified(&token, &after).and_then(|facts| judged(&facts, &after));
            match judged(&facts, &after) {
                // Asks for a verification, and gets it.
                Err(TokenFault::KeyUnknown) => {}
                kept => prop_assert_eq!(kept, anew),
            }
        }
    }
}
