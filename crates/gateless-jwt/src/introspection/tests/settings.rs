//! Settings that cannot be used.

use super::*;

fn faults(policy: &IntrospectionPolicy) -> Vec<String> {
    let error = policy.check().err();
    error.map_or_else(Vec::new, |error| {
        let faults = error.faults().iter();
        faults.map(|fault| fault.setting().to_owned()).collect()
    })
}

#[test]
fn every_unusable_setting_is_named_at_once() {
    let policy = IntrospectionPolicy::new("http://idp.example.com", " ")
        .algorithms([])
        .leeway(Duration::from_secs(301))
        .max_lifetime(Duration::ZERO)
        .allowed_clients::<&str>([])
        .scope_claim(ScopeClaim::text(""))
        .client_claim("")
        .subject_claim("")
        .assume_lifetime(Duration::ZERO);
    let named = [
        "issuer",
        "audience",
        "algorithms",
        "leeway",
        "max_lifetime",
        "allowed_clients",
        "scope_claim",
        "client_claim",
        "subject_claim",
        "assume_lifetime",
    ];
    assert_eq!(faults(&policy), named);
}

#[rstest]
#[case(policy(), true)]
#[case(policy().assume_lifetime(Duration::from_secs(60)), true)]
#[case(policy().assume_lifetime(Duration::from_secs(24 * 3600)), true)]
#[case(policy().assume_lifetime(Duration::from_secs(24 * 3600 + 1)), false)]
#[case(policy().assume_lifetime(Duration::ZERO), false)]
#[case(policy().danger_accept_missing_audience(), true)]
#[case(policy().danger_accept_untyped(), true)]
#[case(policy().subject_claim("username"), true)]
#[case(IntrospectionPolicy::new("http://127.0.0.1:8080", "a"), false)]
#[case(IntrospectionPolicy::new("http://127.0.0.1:8080", "a").danger_allow_http_loopback(), true)]
#[case(IntrospectionPolicy::new("http://idp.example.com", "a").danger_allow_http_loopback(), false)]
fn a_setting_is_usable_or_not(#[case] policy: IntrospectionPolicy, #[case] usable: bool) {
    assert_eq!(policy.check().is_ok(), usable);
}

#[test]
fn settings_can_be_asked_for() {
    let policy = IntrospectionPolicy::new(ISSUER, AUDIENCE);
    assert_eq!(policy.issuer(), ISSUER);
    assert!(!policy.is_http_loopback_allowed());
    let policy = policy.algorithms([Algorithm::PS256]);
    assert_eq!(policy.allowed_algorithms(), [Algorithm::PS256]);
    assert!(
        policy
            .danger_allow_http_loopback()
            .is_http_loopback_allowed()
    );
}
