use std::collections::HashSet;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::principal::{Actor, PrincipalParts};

const ISSUER: &str = "https://idp.example.com";
const OTHER: &str = "https://other.example.com";
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const LIFETIME: Duration = Duration::from_secs(86_400);
const SKEW: Duration = Duration::from_secs(5);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn every_id(issuer: &str, name: &str) -> [RevocationId; 7] {
    [
        RevocationId::token(issuer, name),
        RevocationId::token_digest(issuer, &TokenDigest::of(name)),
        RevocationId::session(issuer, name),
        RevocationId::key(issuer, name),
        RevocationId::subject(issuer, name),
        RevocationId::client(issuer, name),
        RevocationId::issuer(issuer),
    ]
}

#[test]
fn th_10_each_kind_issuer_and_name_has_an_id_of_its_own() {
    let names = ["a", "b", "", "ab"];
    let mut ids: Vec<_> = [ISSUER, OTHER, ""]
        .iter()
        .flat_map(|issuer| names.iter().flat_map(|name| every_id(issuer, name)))
        .collect();
    // An issuer has no further name.
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3 * (6 * names.len() + 1));
    // What ends here does not begin there.
    assert_ne!(
        RevocationId::token("https://a", "bc"),
        RevocationId::token("https://ab", "c")
    );
    assert!(!ids.contains(&RevocationId::everything()));
}

/// Logs and whole fleets hold these: they never change.
#[test]
fn ids_are_the_same_everywhere() {
    let printed = |id: RevocationId| id.to_bytes().map(|byte| format!("{byte:02x}")).concat();
    // printf 'gateless/revocation/1\001\0\0\0\0\0\0\0\027https://idp.example.comitoken-1' | sha256sum
    assert_eq!(
        printed(RevocationId::token(ISSUER, "token-1")),
        "01352329876d27a4870f65c8a4"
    );
}

#[test]
fn th_01_a_caller_has_all_its_names() {
    let parts = PrincipalParts {
        subject: Some("user-7".into()),
        client_id: Some("web".into()),
        token_id: Some("token-1".into()),
        token_digest: Some(TokenDigest::of("opaque")),
        session_id: Some("session-1".into()),
        key_id: Some("key-1".into()),
        actors: [
            Actor {
                issuer: None,
                subject: "clerk".into(),
            },
            Actor {
                issuer: Some(OTHER.into()),
                subject: "robot".into(),
            },
        ]
        .into(),
        ..PrincipalParts::new(ISSUER, NOW)
    };
    let principal = Principal::assert_authenticated(parts.clone());
    let ids = principal.revocation_ids();
    let digest = RevocationId::token_digest(ISSUER, &TokenDigest::of("opaque"));
    let tokens = [RevocationId::token(ISSUER, "token-1"), digest];
    assert_eq!(ids.tokens().collect::<Vec<_>>(), tokens);
    assert_eq!(
        ids.session(),
        Some(RevocationId::session(ISSUER, "session-1"))
    );
    assert_eq!(ids.key(), Some(RevocationId::key(ISSUER, "key-1")));
    assert_eq!(ids.client(), Some(RevocationId::client(ISSUER, "web")));
    assert_eq!(ids.issuer(), RevocationId::issuer(ISSUER));
    assert_eq!(
        ids.subjects().collect::<Vec<_>>(),
        [
            RevocationId::subject(ISSUER, "user-7"),
            RevocationId::subject(ISSUER, "clerk"),
            RevocationId::subject(OTHER, "robot"),
        ]
    );
    let without_id = Principal::assert_authenticated(PrincipalParts {
        token_id: None,
        ..parts
    });
    assert_eq!(
        Revocation::this_token(&without_id).unwrap().id(),
        RevocationId::token_digest(ISSUER, &TokenDigest::of("opaque"))
    );
    let nameless = PrincipalParts::new(ISSUER, NOW);
    let nameless = Principal::assert_authenticated(nameless);
    assert_eq!(Revocation::this_token(&nameless), None);
    assert_eq!(nameless.revocation_ids().subjects().count(), 0);
}

#[rstest]
#[case::of_unknown_end(Revocation::token(ISSUER, "a"), None, LIFETIME + secs(600))]
#[case::of_known_end(Revocation::token(ISSUER, "a").expires_at(NOW.saturating_add(secs(60))), None, secs(660))]
#[case::session(Revocation::session(ISSUER, "a"), None, LIFETIME + secs(600))]
#[case::an_end_is_for_tokens(Revocation::session(ISSUER, "a").expires_at(NOW), None, LIFETIME + secs(600))]
#[case::subject(Revocation::subject(ISSUER, "a"), Some(NOW.saturating_add(SKEW)), LIFETIME + secs(605))]
#[case::client(Revocation::client(ISSUER, "a"), Some(NOW.saturating_add(SKEW)), LIFETIME + secs(605))]
#[case::issuer(Revocation::issuer(ISSUER), Some(NOW.saturating_add(SKEW)), LIFETIME + secs(605))]
#[case::until_then(Revocation::subject(ISSUER, "a").issued_until(Timestamp::from_secs(7)), Some(Timestamp::from_secs(7)), LIFETIME + secs(600))]
#[case::until_later(Revocation::subject(ISSUER, "a").issued_until(NOW.saturating_add(secs(60))), Some(NOW.saturating_add(secs(60))), LIFETIME + secs(660))]
fn th_08_a_record_outlives_every_token_that_it_is_about(
    #[case] revocation: Revocation,
    #[case] issued_until: Option<Timestamp>,
    #[case] kept: Duration,
) {
    let record = revocation.record(NOW, LIFETIME, SKEW);
    assert_eq!(record.id(), revocation.id());
    assert_eq!(record.issued_until(), issued_until);
    assert_eq!(record.until(), NOW.saturating_add(kept));
    let last = record.until().saturating_sub(Duration::from_millis(1));
    assert!(record.is_live(last) && !record.is_live(record.until()));
}

#[rstest]
#[case(0, 0)]
#[case(1, 1000)]
#[case(999, 1000)]
#[case(1000, 1000)]
fn th_08_ends_are_whole_seconds_and_never_earlier(#[case] said: i64, #[case] kept: i64) {
    let later = |millis| Timestamp::from_millis(NOW.as_millis() + millis);
    let token = Revocation::token(ISSUER, "a").expires_at(later(said));
    let record = token.record(NOW, LIFETIME, SKEW);
    let leeway = RevocationRecord::LEEWAY;
    assert_eq!(record.until(), later(kept).saturating_add(leeway));
    let session = Revocation::session(ISSUER, "a").record(later(said), LIFETIME, SKEW);
    assert_eq!(session.until().as_millis() % 1000, 0);
}

#[test]
fn th_08_an_end_that_no_token_can_have_is_not_kept_for() {
    let token = Revocation::token(ISSUER, "a").expires_at(Timestamp::MAX);
    let any = Revocation::token(ISSUER, "a");
    let record = |revocation: Revocation| revocation.record(NOW, LIFETIME, SKEW);
    assert_eq!(record(token), record(any));
}

#[test]
fn te_13_a_key_is_refused_for_ever() {
    let record = Revocation::key(ISSUER, "a").record(NOW, LIFETIME, SKEW);
    assert_eq!(record.until(), Timestamp::MAX);
    assert!(record.is_live(Timestamp::from_secs(i64::MAX / 2000)));
}

#[test]
fn tl_02_nothing_prints_a_name() {
    let revocation = Revocation::subject("https://canary.example.com", "canary");
    let record = revocation.record(NOW, LIFETIME, SKEW);
    let digest = TokenDigest::of("canary");
    let ids = every_id("canary", "canary");
    let printed = format!("{revocation:?} {record:?} {digest:?} {ids:?}");
    assert!(!printed.contains("canary"), "{printed}");
}

fn any_id() -> impl Strategy<Value = RevocationId> {
    (0..RevocationKind::ALL.len(), any::<[u8; 12]>())
        .prop_map(|(kind, digest)| RevocationId::from_digest(RevocationKind::ALL[kind], digest))
}

fn any_record() -> impl Strategy<Value = RevocationRecord> {
    (any_id(), any::<Option<i64>>(), any::<i64>()).prop_map(|(id, issued_until, until)| {
        let issued_until = issued_until.map(Timestamp::from_millis);
        RevocationRecord::new(id, issued_until, Timestamp::from_millis(until))
    })
}

proptest! {
    #[test]
    fn bytes_are_read_back(record in any_record()) {
        for change in [RevocationChange::Revoke(record), RevocationChange::Unrevoke(record.id())] {
            let bytes = change.to_bytes();
            prop_assert_eq!(RevocationChange::from_bytes(&bytes), Some(change));
            prop_assert_eq!(RevocationChange::from_bytes(&bytes[1..]), None);
        }
    }

    /// There is one spelling for each change, so that logs can compare bytes.
    #[test]
    fn other_bytes_are_refused_or_mean_something_else(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Some(change) = RevocationChange::from_bytes(&bytes) {
            prop_assert_eq!(change.to_bytes(), bytes);
        }
    }

    #[test]
    fn th_15_records_merge_in_any_order_and_any_number_of_times(a in any_record(), b in any_record(), c in any_record()) {
        let same = |record: RevocationRecord| {
            RevocationRecord::new(a.id(), record.issued_until(), record.until())
        };
        let (b, c) = (same(b), same(c));
        let merge = |a: RevocationRecord, b: RevocationRecord| a.merge(&b).unwrap();
        prop_assert_eq!(merge(a, b), merge(b, a));
        prop_assert_eq!(merge(merge(a, b), c), merge(a, merge(b, c)));
        prop_assert_eq!(merge(merge(a, b), a), merge(a, b));
        prop_assert!(merge(a, b).until() >= a.until() && merge(a, b).issued_until() >= a.issued_until());
    }
}

#[test]
fn records_of_different_things_are_not_merged() {
    let of = |name| Revocation::token(ISSUER, name).record(NOW, LIFETIME, SKEW);
    assert_eq!(of("a").merge(&of("b")), None);
    assert_eq!(
        RevocationKind::ALL
            .map(RevocationKind::name)
            .iter()
            .collect::<HashSet<_>>()
            .len(),
        7
    );
}
