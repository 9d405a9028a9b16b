use std::net::Ipv4Addr;

use gateless_audit::Outcome;
use gateless_core::{
    ConfigError, PresentationFault, PrincipalParts, Rejection, Timestamp, TokenDigest, TokenFault,
};
use proptest::prelude::*;
use rstest::rstest;

use super::*;

const BAD: Rejection = Rejection::TokenInvalid(TokenFault::SignatureInvalid);
const REVOKED: Rejection = Rejection::TokenInvalid(TokenFault::Revoked);
/// No findings.
const NOTHING: [u64; 0] = [];
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

struct Watch(Detectors);

impl Watch {
    fn new(settings: Detection) -> Self {
        let mut faults = ConfigError::collect();
        settings.check(&mut faults);
        faults.into_result().unwrap();
        Self(Detectors::new(settings))
    }

    fn see(&mut self, sighting: &Sighting<'_>) -> Vec<Finding> {
        let mut out = Vec::new();
        self.0.see(sighting, &mut out);
        out
    }

    /// How often it happened by the findings, if there are any.
    fn counts(&mut self, sighting: &Sighting<'_>) -> Vec<u64> {
        self.see(sighting).iter().map(|found| found.count).collect()
    }

    /// So many failures at once; after how many of them something was told.
    fn fail(&mut self, millis: u64, times: u64, peer: u32) -> Vec<u64> {
        let mut told = Vec::new();
        for time in 1..=times {
            if !self
                .see(&from(peer, Sighting::denied(millis, &BAD)))
                .is_empty()
            {
                told.push(time);
            }
        }
        told
    }
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from(number).into()
}

fn from(peer: u32, sighting: Sighting<'_>) -> Sighting<'_> {
    let peer = Some(address(peer));
    Sighting { peer, ..sighting }
}

fn by<'a>(principal: &'a Principal, sighting: Sighting<'a>) -> Sighting<'a> {
    let principal = Some(principal);
    Sighting {
        principal,
        ..sighting
    }
}

fn caller(change: impl FnOnce(&mut PrincipalParts)) -> Principal {
    let mut parts = PrincipalParts::new("https://idp.example.com", Timestamp::MAX);
    change(&mut parts);
    Principal::assert_authenticated(parts)
}

/// The owner of a token with this id.
fn owner(token: &str) -> Principal {
    caller(|parts| parts.token_id = Some(token.into()))
}

fn failures() -> Detection {
    Detection::new().without_validation_failures_everywhere()
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

// Failures from one place.

#[test]
fn failures_of_one_place_are_told_at_twenty_and_whenever_they_doubled() {
    let mut watch = Watch::new(failures());
    assert_eq!(watch.fail(0, 100, 1), [20, 40, 80]);
    assert_eq!(
        watch.fail(0, 19, 2),
        NOTHING,
        "another place has its own count"
    );
    let found = watch.see(&from(2, Sighting::denied(1, &BAD)));
    let [found] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(found.kind, SignalKind::ValidationFailures);
    assert_eq!((found.count, found.within), (20, secs(60)));
    assert_eq!(found.peer, Some(address(2)));
    assert_eq!(found.reason, Some("signature_invalid"));
    assert!(found.principal.is_none());
}

#[test]
fn a_minute_begins_with_the_first_failure_and_starts_over() {
    let mut watch = Watch::new(failures());
    assert_eq!(watch.fail(5_000, 1, 1), NOTHING);
    assert_eq!(watch.fail(64_999, 18, 1), NOTHING);
    // One more would have been enough a millisecond earlier.
    assert_eq!(watch.fail(65_000, 19, 1), NOTHING);
    assert_eq!(watch.fail(124_999, 1, 1), [1]);
    // The next time nothing is left of that it was told.
    assert_eq!(watch.fail(125_000, 40, 1), [20, 40]);
}

#[rstest]
#[case::the_same("192.0.2.7", "192.0.2.7", true)]
#[case::a_neighbour("192.0.2.7", "192.0.2.8", false)]
#[case::one_network("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true)]
#[case::the_next_network("2001:db8:0:1::1", "2001:db8:0:2::1", false)]
#[case::never_the_same_kind("::", "0.0.0.0", false)]
fn a_place_is_an_address_of_ipv4_or_a_network_of_ipv6(
    #[case] one: &str,
    #[case] other: &str,
    #[case] is_one_place: bool,
) {
    let peers = [one, other].map(|peer| Some(peer.parse().unwrap()));
    let settings = Detection::off().validation_failures(2, secs(60));
    let mut watch = Watch::new(settings);
    let told = peers.map(|peer| {
        let sighting = Sighting::denied(0, &BAD);
        watch.counts(&Sighting { peer, ..sighting }).len()
    });
    assert_eq!(told, [0, usize::from(is_one_place)]);

    let owner = owner("token-1");
    let mut watch = Watch::new(Detection::off().many_places(2, secs(60)));
    let told = peers.map(|peer| {
        let sighting = by(&owner, Sighting::allowed(0));
        watch.counts(&Sighting { peer, ..sighting }).len()
    });
    assert_eq!(told, [0, usize::from(!is_one_place)]);
}

#[test]
fn only_what_may_be_a_guess_is_a_failure() {
    let mut all: Vec<(Rejection, bool)> = TokenFault::ALL
        .iter()
        .map(|fault| ((*fault).into(), !fault.proves_origin()))
        .collect();
    all.extend(PresentationFault::ALL.iter().map(|fault| {
        let sent_by_others = [PresentationFault::CrossSite, PresentationFault::Exposed];
        ((*fault).into(), !sent_by_others.contains(fault))
    }));
    all.extend([
        (Rejection::CredentialsMissing, false),
        (Rejection::CallerNotPermitted, false),
        (Rejection::RouteUnknown, false),
        (Rejection::PipelineMisordered, false),
    ]);
    for (rejection, is_failure) in all {
        let settings = Detection::off().validation_failures(1, secs(60));
        let found = Watch::new(settings).see(&Sighting::denied(0, &rejection));
        assert_eq!(!found.is_empty(), is_failure, "{rejection:?}");
    }
    let settings = Detection::off().validation_failures(1, secs(60));
    assert!(Watch::new(settings).see(&Sighting::allowed(0)).is_empty());
}

#[test]
fn a_reason_is_told_if_it_is_the_same_each_time() {
    let mut watch = Watch::new(Detection::off().validation_failures(2, secs(60)));
    let malformed = TokenFault::Malformed.into();
    let mut reason = |millis, rejection| {
        let found = watch.see(&Sighting::denied(millis, rejection));
        found.first().map(|found| found.reason)
    };
    assert_eq!(reason(0, &BAD), None);
    assert_eq!(reason(0, &BAD), Some(Some("signature_invalid")));
    assert_eq!(reason(0, &malformed), None);
    assert_eq!(reason(0, &BAD), Some(None), "there were two");
    assert_eq!(reason(60_000, &malformed), None);
    assert_eq!(reason(60_000, &malformed), Some(Some("malformed")));
}

#[test]
fn without_an_address_there_is_no_place() {
    let mut watch = Watch::new(Detection::off().validation_failures(1, secs(60)));
    let nowhere = Sighting {
        peer: None,
        ..Sighting::denied(0, &BAD)
    };
    assert!(watch.see(&nowhere).is_empty());
}

#[test]
fn tl_10_many_places_that_fail_are_not_all_told() {
    let mut watch = Watch::new(Detection::off().validation_failures(1, secs(60)));
    let tell = |watch: &mut Watch, millis, places| -> usize {
        let mut told = 0;
        for place in places {
            told += watch.fail(millis, 1, place).len();
        }
        told
    };
    assert_eq!(tell(&mut watch, 0, 0..60), 60);
    assert_eq!(tell(&mut watch, 59_999, 100..1_000), 0);
    assert_eq!(tell(&mut watch, 60_000, 1_000..2_000), 60);
    // Another detector has its own minute.
    let mut watch = Watch::new(
        Detection::off()
            .validation_failures(1, secs(60))
            .revoked_token(secs(60)),
    );
    assert_eq!(tell(&mut watch, 0, 0..100), 60);
    assert_eq!(watch.see(&Sighting::denied(0, &REVOKED)).len(), 1);
}

// Failures from everywhere.

#[test]
fn failures_from_everywhere_are_told_at_a_thousand_and_whenever_they_doubled() {
    let mut watch = Watch::new(Detection::new());
    let mut told = Vec::new();
    for place in 1..=4_500 {
        let sighting = from(place, Sighting::denied(u64::from(place), &BAD));
        told.extend(watch.see(&sighting));
    }
    let counts: Vec<_> = told.iter().map(|found| found.count).collect();
    assert_eq!(counts, [1_000, 2_000, 4_000]);
    assert!(told.iter().all(|found| found.peer.is_none()));
    assert!(told.iter().all(|found| found.within == secs(60)));
}

#[test]
fn failures_from_everywhere_begin_anew_after_a_minute() {
    let mut watch = Watch::new(Detection::off().validation_failures_everywhere(10, secs(60)));
    assert_eq!(watch.fail(70_000, 9, 1), NOTHING);
    assert_eq!(watch.fail(130_000, 9, 1), NOTHING);
    assert_eq!(watch.fail(189_999, 1, 2), [1]);
    let nowhere = Sighting {
        peer: None,
        ..Sighting::denied(300_000, &BAD)
    };
    for _ in 0..9 {
        assert_eq!(watch.counts(&nowhere), NOTHING);
    }
    assert_eq!(watch.counts(&nowhere), [10]);
}

// Revoked tokens.

#[test]
fn a_revoked_token_is_told_at_once_and_then_once_in_ten_minutes() {
    let mut watch = Watch::new(Detection::new());
    let (first, second) = (owner("a"), owner("b"));
    let mut see = |who, millis| {
        let found = watch.see(&by(who, Sighting::denied(millis, &REVOKED)));
        let found = found.into_iter();
        found
            .map(|found| (found.count, found.within))
            .collect::<Vec<_>>()
    };
    assert_eq!(see(&first, 1_000), [(1, secs(600))]);
    assert_eq!(see(&first, 1_000), []);
    assert_eq!(see(&second, 2_000), [(1, secs(600))]);
    assert_eq!(see(&first, 600_999), []);
    assert_eq!(see(&first, 601_000), [(3, secs(600))]);
    assert_eq!(see(&first, 700_000), []);
    // What comes after hours of silence was not within ten minutes.
    assert_eq!(see(&first, 10_601_000), [(2, secs(10_000))]);
}

#[test]
fn a_finding_about_a_revoked_token_names_its_owner() {
    let mut watch = Watch::new(Detection::new());
    let found = watch.see(&by(&owner("a"), Sighting::denied(0, &REVOKED)));
    assert_eq!(found[0].kind, SignalKind::RevokedToken);
    assert_eq!(found[0].reason, Some("revoked"));
    let token = found[0].principal.as_ref().and_then(Principal::token_id);
    assert_eq!(token, Some("a"));
    assert_eq!(found[0].peer, Sighting::allowed(0).peer);
}

#[test]
fn without_a_token_what_was_revoked_is_told_apart_by_place() {
    let mut watch = Watch::new(Detection::new());
    for peer in [1, 2] {
        assert_eq!(
            watch.counts(&from(peer, Sighting::denied(0, &REVOKED))),
            [1]
        );
        assert_eq!(
            watch.counts(&from(peer, Sighting::denied(0, &REVOKED))),
            NOTHING
        );
    }
}

#[test]
fn only_what_was_revoked_is_a_revoked_token() {
    let mut watch = Watch::new(Detection::off().revoked_token(secs(600)));
    let who = owner("a");
    let mut others = TokenFault::ALL
        .iter()
        .filter(|fault| **fault != TokenFault::Revoked);
    assert!(others.all(|fault| {
        let rejection = (*fault).into();
        watch
            .see(&by(&who, Sighting::denied(0, &rejection)))
            .is_empty()
    }));
    assert!(watch.see(&by(&who, Sighting::allowed(0))).is_empty());
}

// Tokens from many places.

#[test]
fn a_token_from_five_places_is_told_once_in_ten_minutes() {
    let mut watch = Watch::new(Detection::new());
    let (who, other) = (owner("a"), owner("b"));
    for peer in [1, 2, 3, 4, 1, 2, 3, 4] {
        assert_eq!(
            watch.counts(&from(peer, by(&who, Sighting::allowed(0)))),
            NOTHING
        );
    }
    assert_eq!(
        watch.counts(&from(5, by(&other, Sighting::allowed(0)))),
        NOTHING
    );
    // What is refused counts as well.
    let refused = Sighting::denied(599_999, &Rejection::CallerNotPermitted);
    let found = watch.see(&from(5, by(&who, refused)));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind, SignalKind::ManyPlaces);
    assert_eq!((found[0].count, found[0].within), (5, secs(600)));
    assert_eq!(found[0].peer, Some(address(5)));
    let token = found[0].principal.as_ref().and_then(Principal::token_id);
    assert_eq!(token, Some("a"));
    let told = 599_999;
    for peer in 6..=30 {
        let later = Sighting::allowed(told + 599_999);
        assert_eq!(watch.counts(&from(peer, by(&who, later))), NOTHING);
    }
    let later = Sighting::allowed(told + 600_000);
    assert_eq!(
        watch.counts(&from(30, by(&who, later))),
        [16],
        "no more are known"
    );
}

#[test]
fn a_place_from_which_a_token_did_not_come_for_ten_minutes_does_not_count() {
    for (millis, told) in [(599_999, vec![5]), (600_000, vec![])] {
        let mut watch = Watch::new(Detection::new());
        let who = owner("a");
        for peer in 1..=4 {
            watch.see(&from(peer, by(&who, Sighting::allowed(0))));
        }
        let fifth = from(5, by(&who, Sighting::allowed(millis)));
        assert_eq!(watch.counts(&fifth), told, "{millis}");
    }
    // One that was seen again meanwhile does.
    let mut watch = Watch::new(Detection::off().many_places(2, secs(600)));
    let who = owner("a");
    watch.see(&from(1, by(&who, Sighting::allowed(0))));
    watch.see(&from(1, by(&who, Sighting::allowed(500_000))));
    assert_eq!(
        watch.counts(&from(2, by(&who, Sighting::allowed(700_000)))),
        [2]
    );
}

#[test]
fn of_seventeen_places_the_oldest_makes_way() {
    let mut watch = Watch::new(Detection::off().many_places(16, secs(600)));
    let who = owner("a");
    for peer in 0..20_u32 {
        let millis = u64::from(peer) * 60_000;
        let told = watch.counts(&from(peer, by(&who, Sighting::allowed(millis))));
        assert_eq!(told, NOTHING, "{peer}");
    }
    // Ten of those are in the last ten minutes; with six more there are sixteen.
    let now = 19 * 60_000;
    let mut told = Vec::new();
    for peer in 100..106 {
        told.extend(watch.counts(&from(peer, by(&who, Sighting::allowed(now)))));
    }
    assert_eq!(told, [16]);
}

#[test]
fn tokens_are_told_apart_by_issuer_and_id_or_digest() {
    let digest = |byte| caller(|parts| parts.token_digest = Some(TokenDigest::new([byte; 32])));
    let others = [
        owner("a"),
        owner("b"),
        caller(|parts| {
            parts.issuer = "https://other.example.com".into();
            parts.token_id = Some("a".into());
        }),
        digest(1),
        digest(2),
    ];
    let mut watch = Watch::new(Detection::off().many_places(2, secs(600)));
    for (peer, who) in (0..).zip(&others) {
        assert_eq!(
            watch.counts(&from(peer, by(who, Sighting::allowed(0)))),
            NOTHING
        );
    }
    for (peer, who) in (10..).zip(&others) {
        assert_eq!(
            watch.counts(&from(peer, by(who, Sighting::allowed(0)))),
            [2]
        );
    }
    // Where neither is known, all of a caller's tokens would be one.
    let unknown = caller(|parts| parts.subject = Some("a".into()));
    for peer in 0..100 {
        assert_eq!(
            watch.counts(&from(peer, by(&unknown, Sighting::allowed(0)))),
            NOTHING
        );
        assert_eq!(watch.counts(&from(peer, Sighting::allowed(0))), NOTHING);
    }
    let nowhere = Sighting {
        peer: None,
        ..by(&others[0], Sighting::allowed(0))
    };
    assert_eq!(watch.counts(&nowhere), NOTHING);
}

// Rates.

struct Used {
    watch: Watch,
    who: Principal,
}

impl Used {
    fn new() -> Self {
        let watch = Watch::new(Detection::off().unusual_rate(10, 100));
        Self {
            watch,
            who: owner("a"),
        }
    }

    /// So many times in a minute; with how many it was told.
    fn minute(&mut self, minute: u64, times: u64) -> Vec<u64> {
        let mut told = Vec::new();
        for time in 0..times {
            let millis = 7_000 + minute * MINUTE + time * (MINUTE - 1) / times.max(1);
            told.extend(self.watch.counts(&by(&self.who, Sighting::allowed(millis))));
        }
        told
    }
}

#[test]
fn a_rate_is_told_from_ten_times_the_average_on() {
    let mut used = Used::new();
    for minute in 0..10 {
        assert_eq!(used.minute(minute, 30), NOTHING, "{minute}");
    }
    // Of thirty a minute ten times as many are 300.
    assert_eq!(used.minute(10, 299), NOTHING);
    let mut used = Used::new();
    for minute in 0..10 {
        used.minute(minute, 30);
    }
    assert_eq!(used.minute(10, 1_000), [300]);
}

#[test]
fn below_a_hundred_a_minute_nothing_is_told() {
    for (times, told) in [(99, vec![]), (100, vec![100]), (101, vec![100])] {
        let mut used = Used::new();
        for minute in 0..5 {
            used.minute(minute, 1);
        }
        assert_eq!(used.minute(5, times), told, "{times}");
    }
}

#[test]
fn in_its_first_three_minutes_nothing_is_known_of_a_token() {
    let mut used = Used::new();
    assert_eq!(used.minute(0, 1), NOTHING);
    assert_eq!(used.minute(1, 1_000), NOTHING);
    let mut used = Used::new();
    used.minute(0, 1);
    used.minute(1, 1);
    assert_eq!(used.minute(2, 1_000), NOTHING);
    let mut used = Used::new();
    used.minute(0, 1);
    assert_eq!(used.minute(3, 1_000), [100]);
    // One that begins as it goes on is not unusual at all.
    let mut used = Used::new();
    for minute in 0..20 {
        assert_eq!(used.minute(minute, 500), NOTHING);
    }
}

#[test]
fn a_rate_is_told_once_in_ten_minutes() {
    for (millis, told) in [(14 * MINUTE - 1, 0), (14 * MINUTE, 1)] {
        let mut used = Used::new();
        used.minute(0, 1);
        for _ in 0..100 {
            used.watch
                .see(&by(&used.who, Sighting::allowed(7_000 + 4 * MINUTE)));
        }
        let mut again = 0;
        for _ in 0..1_000 {
            again += used
                .watch
                .see(&by(&used.who, Sighting::allowed(7_000 + millis)))
                .len();
        }
        assert_eq!(again, told, "{millis}");
    }
}

#[test]
fn minutes_without_a_request_are_part_of_the_average() {
    let mut used = Used::new();
    for minute in 0..5 {
        used.minute(minute, 1_000);
    }
    assert_eq!(used.minute(5, 1_000), NOTHING);
    // Of a thousand, thirteen quiet minutes leave 23.8.
    assert_eq!(used.minute(19, 300), [238]);
    // And a very long time leaves nothing, and does not take long to find out.
    let mut used = Used::new();
    used.minute(0, 1_000);
    assert_eq!(used.minute(1 << 40, 300), [100]);
}

#[test]
fn three_times_as_many_each_minute_is_not_unusual_and_four_times_is() {
    for (growth, is_told) in [(3, false), (4, true)] {
        let mut used = Used::new();
        let mut times = 4;
        let mut told = Vec::new();
        for minute in 0..7 {
            told.extend(used.minute(minute, times));
            times *= growth;
        }
        assert_eq!(!told.is_empty(), is_told, "{growth}");
    }
}

#[test]
fn each_token_has_its_own_rate() {
    let mut used = Used::new();
    used.minute(0, 1);
    let others = owner("b");
    for _ in 0..500 {
        let sighting = by(&others, Sighting::allowed(7_000 + 4 * MINUTE));
        assert!(used.watch.see(&sighting).is_empty());
    }
    let found = used.minute(4, 100);
    assert_eq!(found, [100]);
}

#[test]
fn a_finding_about_a_rate_says_what_it_is() {
    let mut used = Used::new();
    used.minute(0, 1);
    used.minute(4, 99);
    let found = used
        .watch
        .see(&by(&used.who, Sighting::allowed(7_000 + 5 * MINUTE - 1)));
    assert_eq!(found[0].kind, SignalKind::UnusualRate);
    assert_eq!((found[0].count, found[0].within), (100, secs(60)));
    let token = found[0].principal.as_ref().and_then(Principal::token_id);
    assert_eq!(token, Some("a"));
}

// All of them.

#[test]
fn what_is_off_finds_nothing() {
    let everything = |watch: &mut Watch| -> usize {
        let who = owner("a");
        let mut found = 0;
        for peer in 0..2_000_u32 {
            let millis = u64::from(peer) * 10;
            found += watch
                .see(&by(&who, from(peer, Sighting::denied(millis, &REVOKED))))
                .len();
            found += watch.fail(millis, 1, 1).len();
            let later = Sighting::allowed(millis + 5 * MINUTE);
            found += watch.see(&by(&who, later)).len();
        }
        found
    };
    let only = |settings: Detection| everything(&mut Watch::new(settings));
    assert_eq!(only(Detection::off()), 0);
    let off = Detection::new()
        .without_validation_failures()
        .without_validation_failures_everywhere()
        .without_revoked_token()
        .without_many_places()
        .without_unusual_rate();
    assert_eq!(only(off), 0);
    for one in [
        Detection::off().validation_failures(20, secs(60)),
        Detection::off().validation_failures_everywhere(1_000, secs(60)),
        Detection::off().revoked_token(secs(600)),
        Detection::off().many_places(5, secs(600)),
        Detection::off().unusual_rate(10, 100),
    ] {
        assert!(only(one) > 0, "{one:?}");
    }
    let one_by_one = [
        Detection::new().without_validation_failures(),
        Detection::new().without_validation_failures_everywhere(),
        Detection::new().without_revoked_token(),
        Detection::new().without_many_places(),
        Detection::new().without_unusual_rate(),
    ];
    let all = only(Detection::new());
    assert!(one_by_one.into_iter().all(|settings| only(settings) < all));
}

#[rstest]
#[case(Detection::new().validation_failures(0, secs(60)), "validation_failures is zero")]
#[case(Detection::new().validation_failures(1, Duration::ZERO), "validation_failures looks at less")]
#[case(Detection::new().validation_failures(1, Duration::from_millis(999)), "validation_failures looks at less")]
#[case(Detection::new().validation_failures(1, secs(86_401)), "validation_failures looks at more")]
#[case(Detection::new().validation_failures_everywhere(0, secs(60)), "validation_failures_everywhere is zero")]
#[case(Detection::new().validation_failures_everywhere(1, secs(0)), "validation_failures_everywhere looks at less")]
#[case(Detection::new().revoked_token(secs(0)), "revoked_token looks at less")]
#[case(Detection::new().revoked_token(Duration::MAX), "revoked_token looks at more")]
#[case(Detection::new().many_places(1, secs(60)), "many_places is below 2")]
#[case(Detection::new().many_places(17, secs(60)), "many_places is above 16")]
#[case(Detection::new().many_places(5, secs(0)), "many_places looks at less")]
#[case(Detection::new().unusual_rate(1, 100), "unusual_rate has a factor below 2")]
#[case(Detection::new().unusual_rate(2, 0), "unusual_rate is zero requests")]
#[case(Detection::new().max_tracked(0), "max_tracked is zero")]
#[case(Detection::new().max_tracked(1_000_001), "max_tracked is above")]
fn unusable_settings_are_named(#[case] settings: Detection, #[case] says: &str) {
    let mut faults = ConfigError::collect();
    settings.check(&mut faults);
    let error = faults.into_result().unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
    assert_eq!(error.faults().len(), 1);
}

#[rstest]
#[case(Detection::default())]
#[case(Detection::off())]
#[case(Detection::new().validation_failures(1, secs(1)).validation_failures_everywhere(u32::MAX, secs(86_400)))]
#[case(Detection::new().many_places(2, secs(1)).unusual_rate(2, 1).max_tracked(1))]
#[case(Detection::new().many_places(16, secs(86_400)).unusual_rate(u32::MAX, u32::MAX).max_tracked(1_000_000))]
fn usable_settings_are_fine(#[case] settings: Detection) {
    let mut faults = ConfigError::collect();
    settings.check(&mut faults);
    assert_eq!(faults.into_result(), Ok(()));
}

#[test]
fn tl_02_debug_prints_nothing_of_a_caller() {
    let mut watch = Watch::new(Detection::new());
    let who = caller(|parts| {
        parts.subject = Some("canary".into());
        parts.client_id = Some("canary".into());
        parts.token_id = Some("canary".into());
    });
    let found = watch.see(&by(&who, Sighting::denied(0, &REVOKED)));
    assert!(!found.is_empty());
    let printed = format!("{found:?} {:?}", watch.0);
    assert!(!printed.contains("canary"), "{printed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn failures_are_told_neither_too_early_nor_too_late(
        pauses in proptest::collection::vec(0u64..12_000, 1..300),
        count in 1u32..10,
    ) {
        let mut watch = Watch::new(Detection::off().validation_failures(count, secs(60)));
        let mut failed: Vec<u64> = Vec::new();
        let mut told: Vec<u64> = Vec::new();
        let mut now = 0;
        for pause in pauses {
            now += pause;
            failed.push(now);
            let found = watch.counts(&Sighting::denied(now, &BAD));
            let last_minute = failed.iter().filter(|at| now - *at < MINUTE).count() as u64;
            if let [found] = found[..] {
                told.push(now);
                prop_assert!(u64::from(count) <= found && found <= last_minute);
            }
            if last_minute >= 2 * u64::from(count) - 1 {
                // By a finding of a minute that is not over for longer than a minute.
                prop_assert!(told.iter().any(|at| now - at < 2 * MINUTE));
            }
        }
    }

    #[test]
    fn no_stream_makes_a_detector_keep_or_tell_more_than_was_said(
        seen in proptest::collection::vec((0u32..200, 0u32..200, 0u64..2_000, 0u8..3), 1..500),
        max_tracked in 1usize..20,
    ) {
        let settings = Detection::new()
            .validation_failures(1, secs(1))
            .revoked_token(secs(1))
            .many_places(2, secs(1))
            .unusual_rate(2, 1)
            .without_validation_failures_everywhere()
            .max_tracked(max_tracked);
        let mut watch = Watch::new(settings);
        let mut now = 0;
        let mut told = Vec::new();
        for (peer, token, pause, what) in seen {
            now += pause;
            let who = owner(&token.to_string());
            let sighting = match what {
                0 => Sighting::denied(now, &BAD),
                1 => by(&who, Sighting::denied(now, &REVOKED)),
                _ => by(&who, Sighting::allowed(now)),
            };
            let found = watch.see(&from(peer, sighting));
            told.extend(found.iter().map(|found| (found.kind, now)));
        }
        let Detectors { failures, revoked, places, rate, .. } = &watch.0;
        let kept = [
            failures.as_ref().unwrap().detector.tracked(),
            revoked.as_ref().unwrap().detector.tracked(),
            places.as_ref().unwrap().detector.tracked(),
            rate.as_ref().unwrap().detector.tracked(),
        ];
        prop_assert!(kept.iter().all(|kept| *kept <= max_tracked), "{kept:?}");
        for kind in SignalKind::ALL {
            let times: Vec<_> = told.iter().filter(|(of, _)| of == kind).map(|(_, at)| *at).collect();
            // In any minute there may be the end of one and the beginning of the next.
            for at in &times {
                let in_minute = times.iter().filter(|other| (*at..at + MINUTE).contains(other));
                prop_assert!(in_minute.count() <= 120);
            }
        }
    }

    #[test]
    fn no_order_of_times_makes_it_panic(
        seen in proptest::collection::vec((any::<u64>(), 0u32..5, 0u32..3), 1..100),
    ) {
        let mut watch = Watch::new(Detection::new().unusual_rate(2, 1).many_places(2, secs(1)));
        for (millis, peer, token) in seen {
            let who = owner(&token.to_string());
            let at = Monotonic::from_start(Duration::from_millis(millis));
            let sighting = Sighting { at, ..Sighting::denied(0, &REVOKED) };
            watch.see(&by(&who, from(peer, sighting)));
        }
    }
}

#[test]
fn a_panic_or_an_abort_is_a_use_of_a_token_too() {
    let mut watch = Watch::new(Detection::off().many_places(2, secs(600)));
    let who = owner("a");
    let panicked = Sighting {
        outcome: Outcome::Panicked,
        ..Sighting::allowed(0)
    };
    let aborted = Sighting {
        outcome: Outcome::Aborted,
        ..Sighting::allowed(0)
    };
    assert_eq!(watch.counts(&from(1, by(&who, panicked))), NOTHING);
    assert_eq!(watch.counts(&from(2, by(&who, aborted))), [2]);
}
