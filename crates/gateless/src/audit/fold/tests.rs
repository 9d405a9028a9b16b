use std::net::{IpAddr, Ipv4Addr};

use gateless_core::{Dependency, PresentationFault, PrincipalParts, TokenDigest, TokenFault};
use proptest::prelude::*;

use super::*;

const EXPIRED: Rejection = Rejection::TokenInvalid(TokenFault::Expired);

/// Does what the writer does, and knows what was written.
struct Writer {
    fold: Fold,
    seq: u64,
    seen: u64,
    firsts: u64,
    repeated: Vec<Repeated>,
}

impl Writer {
    fn new(max_kinds: usize) -> Self {
        Self {
            fold: Fold::new(Settings {
                max_kinds,
                ..Settings::default()
            }),
            seq: 0,
            seen: 0,
            firsts: 0,
            repeated: Vec::new(),
        }
    }

    /// Whether it was written.
    fn see(&mut self, sighting: &Sighting<'_>) -> bool {
        self.seen += 1;
        match self.fold.see(sighting) {
            Seen::Counted => false,
            Seen::Write(key) => {
                if let Some(key) = key {
                    self.fold.wrote(key, self.seq);
                    self.firsts += 1;
                }
                self.seq += 1;
                true
            }
        }
    }

    fn flush(&mut self, millis: u64, everything: bool) -> Vec<Repeated> {
        let mut out = Vec::new();
        let now = Monotonic::from_start(Duration::from_millis(millis));
        self.fold.flush(now, everything, &mut out);
        self.repeated.extend(&out);
        out
    }

    fn counted(&self) -> u64 {
        self.repeated.iter().map(|repeated| repeated.count).sum()
    }

    fn kinds(&self) -> usize {
        let levels = self.fold.levels.iter();
        levels.map(|level| level.kinds.len()).sum()
    }
}

fn time(millis: u64) -> Timestamp {
    Sighting::allowed(millis).time
}

fn from(peer: u32, sighting: Sighting<'_>) -> Sighting<'_> {
    let peer = Some(IpAddr::from(Ipv4Addr::from(peer)));
    Sighting { peer, ..sighting }
}

fn at_route<'a>(route: &'a str, sighting: Sighting<'a>) -> Sighting<'a> {
    let route = Some(route);
    Sighting { route, ..sighting }
}

#[test]
fn tl_10_the_first_is_written_and_the_others_are_counted_once_a_window() {
    let mut writer = Writer::new(10);
    assert!(writer.see(&Sighting::allowed(0)));
    assert!(writer.see(&Sighting::denied(100, &EXPIRED)));
    for millis in [200, 300, 10_050] {
        assert!(!writer.see(&Sighting::denied(millis, &EXPIRED)));
    }
    assert_eq!(writer.flush(10_099, false), []);
    let repeated = Repeated {
        of: 1,
        count: 3,
        first: time(200),
        last: time(10_050),
        is_mixed: false,
    };
    assert_eq!(writer.flush(10_100, false), [repeated]);
    // It goes on, and nothing is told twice.
    assert!(!writer.see(&Sighting::denied(15_000, &EXPIRED)));
    assert_eq!(writer.flush(20_099, false), []);
    let repeated = Repeated {
        count: 1,
        first: time(15_000),
        last: time(15_000),
        ..repeated
    };
    assert_eq!(writer.flush(20_100, false), [repeated]);
}

#[test]
fn what_stops_for_a_window_is_written_again() {
    for is_flushed in [true, false] {
        let mut writer = Writer::new(10);
        assert!(writer.see(&Sighting::denied(0, &EXPIRED)));
        if is_flushed {
            assert_eq!(writer.flush(9_999, false), []);
            assert_eq!(writer.kinds(), 1);
            assert_eq!(writer.flush(10_000, false), []);
            assert_eq!(writer.kinds(), 0, "nothing is kept of it");
        }
        assert!(writer.see(&Sighting::denied(10_000, &EXPIRED)));
        assert!(!writer.see(&Sighting::denied(19_999, &EXPIRED)));
        assert_eq!(writer.flush(20_000, false)[0].of, 1);
    }
}

#[test]
fn one_that_was_not_flushed_in_time_is_counted_and_not_lost() {
    let mut writer = Writer::new(10);
    for millis in [0, 1, 25_000] {
        writer.see(&Sighting::denied(millis, &EXPIRED));
    }
    assert_eq!(writer.flush(25_000, false)[0].count, 2);
}

#[test]
fn everything_is_given_out_when_asked_for_and_the_window_begins_anew() {
    let mut writer = Writer::new(10);
    for millis in [0, 4_000, 5_000] {
        writer.see(&Sighting::denied(millis, &EXPIRED));
    }
    assert_eq!(writer.flush(5_000, true)[0].count, 2);
    assert_eq!(writer.flush(5_000, true), []);
    assert!(!writer.see(&Sighting::denied(14_999, &EXPIRED)));
    assert_eq!(writer.flush(14_999, true)[0].count, 1);
    assert_eq!(writer.flush(24_998, true), []);
    assert!(!writer.see(&Sighting::denied(24_998, &EXPIRED)));
    assert_eq!(writer.flush(24_998, true)[0].count, 1);
    assert!(writer.see(&Sighting::denied(34_998, &EXPIRED)));
}

#[test]
fn what_does_not_stop_is_written_whole_every_ten_minutes() {
    let mut writer = Writer::new(10);
    let mut written = Vec::new();
    for secs in 0..=1_300 {
        let millis = secs * 1_000;
        writer.flush(millis, false);
        if writer.see(&Sighting::denied(millis, &EXPIRED)) {
            written.push(secs);
        }
    }
    assert_eq!(written, [0, 600, 1_200]);
    writer.flush(1_300_000, true);
    assert_eq!(writer.firsts + writer.counted(), writer.seen);
    let ofs: Vec<_> = writer.repeated.iter().map(|repeated| repeated.of).collect();
    assert!(ofs.is_sorted() && ofs[0] == 0 && ofs.last() == Some(&2));
}

#[test]
fn tl_11_only_refusals_are_folded() {
    let mut writer = Writer::new(10);
    let away = Rejection::DependencyUnavailable {
        dependency: Dependency::Keys,
        retry_after: Duration::ZERO,
    };
    for outcome in Outcome::ALL {
        let is_folded = matches!(outcome, Outcome::Denied | Outcome::Unavailable);
        for rejection in [Some(&away), None] {
            let sighting = Sighting {
                outcome: *outcome,
                rejection,
                ..Sighting::denied(0, &away)
            };
            assert!(writer.see(&sighting), "{outcome:?}");
            let is_written = writer.see(&sighting);
            assert_eq!(is_written, !is_folded || rejection.is_none(), "{outcome:?}");
        }
    }
}

#[test]
fn whatever_a_record_would_tell_apart_is_told_apart() {
    let revoked = TokenFault::Revoked.into();
    let missing = Rejection::CredentialsMissing;
    let malformed = PresentationFault::TooLong.into();
    let caller = |change: fn(&mut PrincipalParts)| {
        let mut parts = PrincipalParts::new("https://idp.example.com", Timestamp::MAX);
        change(&mut parts);
        Principal::assert_authenticated(parts)
    };
    let callers = [
        caller(|_| ()),
        caller(|parts| parts.issuer = "https://other.example.com".into()),
        caller(|parts| parts.subject = Some("a".into())),
        caller(|parts| parts.subject = Some("b".into())),
        caller(|parts| parts.client_id = Some("a".into())),
        caller(|parts| parts.token_id = Some("a".into())),
        caller(|parts| parts.token_digest = Some(TokenDigest::new([1; 32]))),
        caller(|parts| parts.token_digest = Some(TokenDigest::new([2; 32]))),
    ];
    let plain = Sighting::denied(0, &EXPIRED);
    let mut all = vec![
        plain,
        Sighting::denied(0, &revoked),
        Sighting::denied(0, &missing),
        Sighting::denied(0, &malformed),
        at_route("/orders", plain),
        from(1, plain),
        from(2, plain),
        Sighting {
            route: None,
            ..plain
        },
        Sighting {
            peer: None,
            ..plain
        },
        Sighting {
            method: "POST",
            ..plain
        },
        Sighting {
            status: Some(400),
            ..plain
        },
        Sighting {
            status: None,
            ..plain
        },
        Sighting {
            stage: Some("denylist"),
            ..plain
        },
        Sighting {
            stage: None,
            ..plain
        },
        Sighting {
            outcome: Outcome::Unavailable,
            ..plain
        },
    ];
    all.extend(callers.iter().map(|caller| Sighting {
        principal: Some(caller),
        ..plain
    }));
    let mut writer = Writer::new(100);
    for (index, sighting) in all.iter().enumerate() {
        assert!(writer.see(sighting), "{index}");
    }
    for (index, sighting) in all.iter().enumerate() {
        assert!(!writer.see(sighting), "{index}");
    }
    // Neither when it was, nor what a later attempt may do, makes a difference.
    let later = Sighting::denied(1_000, &EXPIRED);
    assert!(!writer.see(&later));
}

#[test]
fn of_too_many_kinds_the_next_are_told_apart_less_and_less() {
    let mut writer = Writer::new(2);
    let plain = Sighting::denied(0, &EXPIRED);
    assert!(writer.see(&from(1, plain)));
    assert!(writer.see(&from(2, plain)));
    // From here on by stage, reason, method and route.
    assert!(writer.see(&from(3, plain)));
    assert!(!writer.see(&from(4, plain)));
    assert!(!writer.see(&from(5, plain)));
    assert!(
        !writer.see(&from(2, plain)),
        "those who have a place keep it"
    );
    let missing = Sighting::denied(0, &Rejection::CredentialsMissing);
    assert!(writer.see(&missing));
    let routes: Vec<_> = (0..300).map(|route| format!("/{route}")).collect();
    // Two of 256 are taken.
    let written = routes
        .iter()
        .filter(|route| writer.see(&at_route(route, plain)));
    // Then by code.
    assert_eq!(written.count(), 254 + 1);
    let repeated = writer.flush(10_000, false);
    let summary = |of: u64| {
        let mut found = repeated.iter().filter(|repeated| repeated.of == of);
        found
            .next()
            .map(|repeated| (repeated.count, repeated.is_mixed))
    };
    assert_eq!(summary(1), Some((1, false)));
    assert_eq!(summary(2), Some((2, true)));
    assert_eq!(summary(4 + 254), Some((45, true)));
    assert_eq!(repeated.len(), 3);
}

#[test]
fn tl_10_a_flood_without_tokens_leaves_room_for_callers_who_are_known() {
    let mut writer = Writer::new(8);
    let plain = Sighting::denied(0, &EXPIRED);
    for peer in 0..100 {
        writer.see(&from(peer, plain));
    }
    assert_eq!(writer.fold.levels[0].kinds.len(), 6);
    let parts = PrincipalParts::new("https://idp.example.com", Timestamp::MAX);
    let who = Principal::assert_authenticated(parts);
    let principal = Some(&who);
    for (peer, is_written) in [(1, true), (2, true), (3, false), (1, false)] {
        let refused = Sighting { principal, ..plain };
        assert_eq!(writer.see(&from(peer, refused)), is_written, "{peer}");
    }
    let repeated = writer.flush(10_000, false);
    let exact = repeated.iter().filter(|repeated| !repeated.is_mixed);
    assert_eq!(exact.map(|repeated| repeated.count).sum::<u64>(), 1);
}

#[test]
fn what_is_written_again_loses_nothing_of_a_window_that_is_not_over() {
    let mut writer = Writer::new(10);
    for secs in 0..=595 {
        writer.flush(secs * 1_000, false);
        writer.see(&Sighting::denied(secs * 1_000, &EXPIRED));
        if secs == 591 {
            writer.see(&Sighting::denied(591_000, &Rejection::CredentialsMissing));
        }
    }
    // From here on, the window of the one is another than that of its ten minutes.
    assert_eq!(writer.flush(595_000, true).len(), 1);
    assert!(!writer.see(&Sighting::denied(600_000, &EXPIRED)));
    // The window of the other is over, and this one's is not.
    assert_eq!(writer.flush(601_000, false), []);
    assert_eq!(writer.kinds(), 1);
    assert_eq!(writer.flush(605_000, false)[0].count, 1);
    assert!(writer.see(&Sighting::denied(605_000, &EXPIRED)));
    assert_eq!(writer.firsts + writer.counted(), writer.seen);
}

#[test]
fn the_last_kind_takes_all_that_is_left() {
    let mut writer = Writer::new(0);
    let stages: Vec<&'static str> = (0..400)
        .map(|stage| -> &'static str { format!("stage-{stage}").leak() })
        .collect();
    let plain = Sighting::denied(0, &EXPIRED);
    let all = stages.iter().map(|stage| Sighting {
        stage: Some(stage),
        ..plain
    });
    let written = all.filter(|sighting| writer.see(sighting)).count();
    assert_eq!(written, 256 + 64 + 1);
    let repeated = writer.flush(10_000, false);
    assert_eq!(repeated.len(), 1);
    assert_eq!((repeated[0].count, repeated[0].is_mixed), (400 - 321, true));
}

#[test]
fn a_first_that_was_not_written_is_no_first() {
    let mut fold = Fold::new(Settings::default());
    let sighting = Sighting::denied(0, &EXPIRED);
    let Seen::Write(Some(key)) = fold.see(&sighting) else {
        panic!("the first is written");
    };
    assert_eq!(fold.see(&sighting), Seen::Write(Some(key)));
    fold.wrote(key, 7);
    assert_eq!(fold.see(&sighting), Seen::Counted);
    let mut out = Vec::new();
    fold.flush(sighting.at, true, &mut out);
    assert_eq!((out[0].of, out[0].count), (7, 1));
}

#[test]
fn it_says_when_it_wants_to_be_flushed() {
    let mut writer = Writer::new(10);
    let at = |millis| Some(Monotonic::from_start(Duration::from_millis(millis)));
    assert_eq!(writer.fold.due(), None);
    writer.see(&Sighting::denied(500, &EXPIRED));
    writer.see(&from(1, Sighting::denied(700, &EXPIRED)));
    writer.see(&from(1, Sighting::denied(800, &EXPIRED)));
    assert_eq!(writer.fold.due(), at(10_500));
    writer.flush(10_500, false);
    assert_eq!(writer.fold.due(), at(10_700));
    assert_eq!(writer.flush(10_800, false).len(), 1);
    assert_eq!(writer.fold.due(), at(20_800));
    writer.flush(20_800, false);
    assert_eq!(writer.fold.due(), None);
}

#[test]
fn a_wall_clock_that_is_set_back_mixes_up_no_times() {
    let mut writer = Writer::new(10);
    for (millis, shown) in [(0, 5_000), (1, 6_000), (2, 1_000), (3, 3_000)] {
        let time = time(shown);
        writer.see(&Sighting {
            time,
            ..Sighting::denied(millis, &EXPIRED)
        });
    }
    let repeated = writer.flush(20_000, false)[0];
    assert_eq!((repeated.first, repeated.last), (time(1_000), time(6_000)));
}

#[test]
fn tl_02_debug_prints_nothing_of_a_caller() {
    let mut parts = PrincipalParts::new("https://idp.example.com", Timestamp::MAX);
    parts.subject = Some("canary".into());
    parts.token_id = Some("canary".into());
    let principal = Some(&Principal::assert_authenticated(parts)).cloned();
    let mut fold = Fold::new(Settings::default());
    let seen = fold.see(&Sighting {
        principal: principal.as_ref(),
        route: Some("/canary"),
        ..Sighting::denied(0, &EXPIRED)
    });
    assert!(!format!("{fold:?} {seen:?}").contains("canary"));
}

#[derive(Clone, Debug)]
enum Step {
    See {
        peer: u32,
        route: usize,
        fault: usize,
        stage: usize,
    },
    Flush {
        everything: bool,
    },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0u32..40, 0usize..20, 0usize..TokenFault::ALL.len(), 0usize..3)
            .prop_map(|(peer, route, fault, stage)| Step::See { peer, route, fault, stage }),
        1 => (proptest::bool::weighted(0.2)).prop_map(|everything| Step::Flush { everything }),
        2 => (0u64..6_000).prop_map(Step::Wait),
        // Long enough that kinds are written again.
        1 => (0u64..60_000).prop_map(Step::Wait),
    ]
}

const STAGES: [&str; 3] = ["bearer", "denylist", "scope"];

proptest! {
    #[test]
    fn tl_10_each_refusal_is_written_or_counted(
        max_kinds in 0usize..30,
        steps in proptest::collection::vec(step(), 1..600),
    ) {
        let mut writer = Writer::new(max_kinds);
        let mut now = 0;
        for step in steps {
            match step {
                Step::Wait(millis) => now += millis,
                Step::Flush { everything } => drop(writer.flush(now, everything)),
                Step::See { peer, route, fault, stage } => {
                    let rejection = TokenFault::ALL[fault].into();
                    let route = format!("/{route}");
                    let stage = Some(STAGES[stage]);
                    let sighting = Sighting { stage, ..Sighting::denied(now, &rejection) };
                    writer.see(&from(peer, at_route(&route, sighting)));
                }
            }
            prop_assert!(writer.kinds() <= max_kinds + 256 + 64 + 1);
        }
        writer.flush(now, true);
        prop_assert_eq!(writer.firsts + writer.counted(), writer.seen);
        // What is counted is counted with something that was written.
        prop_assert!(writer.repeated.iter().all(|repeated| repeated.of < writer.seq && repeated.count > 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn tl_10_no_flood_writes_more_lines_in_a_window_than_the_bound(
        max_kinds in 0usize..20,
        seed: u32,
        pause in 1u64..400,
        flushed_each in 1u64..5_000,
    ) {
        let mut writer = Writer::new(max_kinds);
        let bound = writer.fold.most_lines();
        let mut lines = Vec::new();
        let mut flushed = 0;
        let mut now = 0;
        let mut random = seed;
        // Each comes from another place, and asks for another route.
        for _ in 0..3_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            now += u64::from(random >> 16) % pause;
            if now >= flushed + flushed_each {
                flushed = now;
                let repeated = writer.flush(now, false).len();
                lines.extend(std::iter::repeat_n(now, repeated));
            }
            let route = format!("/{}", random >> 20);
            let sighting = Sighting::denied(now, &EXPIRED);
            if writer.see(&from(random, at_route(&route, sighting))) {
                lines.push(now);
            }
        }
        // Up to where the window reaches that begins with a line.
        let end = |at: u64| lines.partition_point(|later| *later < at + 10_000);
        let in_windows = lines.iter().enumerate().map(|(index, at)| end(*at) - index);
        let most = in_windows.max().unwrap_or_default();
        prop_assert!(most <= bound, "{most} > {bound}");
        prop_assert_eq!(bound, 2 * (max_kinds + 256 + 64 + 1));
    }
}
