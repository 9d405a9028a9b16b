use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use gateless_core::{Actor, Principal, PrincipalParts, Revocation};
use proptest::prelude::*;
use rstest::rstest;

use super::*;

const ISSUER: &str = "https://idp.example.com";
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const LATER: Timestamp = Timestamp::from_secs(1_800_003_600);

fn principal(name: &str, actors: &[&str]) -> Principal {
    let actor = |subject: &&str| Actor {
        issuer: None,
        subject: (*subject).into(),
    };
    Principal::assert_authenticated(PrincipalParts {
        subject: Some(name.into()),
        client_id: Some(name.into()),
        token_id: Some(name.into()),
        session_id: Some(name.into()),
        key_id: Some(name.into()),
        actors: actors.iter().map(actor).collect(),
        ..PrincipalParts::new(ISSUER, LATER)
    })
}

/// Even bits, the same in every run.
fn digest(number: u64) -> [u8; 12] {
    let mix = |seed: u64| {
        let mixed = (number ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ mixed >> 32).to_be_bytes()
    };
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&mix(0));
    bytes[8..].copy_from_slice(&mix(u64::MAX)[..4]);
    bytes
}

fn token(number: u64) -> RevocationId {
    RevocationId::from_digest(RevocationKind::Token, digest(number))
}

fn until(id: RevocationId, until: Timestamp) -> RevocationRecord {
    RevocationRecord::new(id, None, until)
}

fn everything(list: &RevocationList, now: Timestamp) -> HashMap<RevocationId, RevocationRecord> {
    let mut all = HashMap::new();
    list.for_each(now, |record| {
        assert_eq!(all.insert(record.id(), record), None, "each record once");
    });
    all
}

#[test]
fn th_06_one_id_is_not_taken_for_another() {
    const RECORDS: u64 = 50_000;
    let list = RevocationList::new(usize::MAX);
    for number in 0..RECORDS {
        assert_eq!(list.revoke(&until(token(number), LATER), NOW), Ok(true));
    }
    // One bit from one that is there, in each of its parts.
    for bit in 0..96 {
        let mut bytes = digest(7);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let near = RevocationId::from_digest(RevocationKind::Token, bytes);
        assert!(!list.contains(near, NOW), "bit {bit}");
    }
    for kind in [RevocationKind::Session, RevocationKind::Key] {
        assert!(!list.contains(RevocationId::from_digest(kind, digest(7)), NOW));
    }
    for number in RECORDS..RECORDS + 1_000_000 {
        assert!(!list.contains(token(number), NOW));
    }
    for number in 0..RECORDS {
        assert!(list.contains(token(number), NOW));
    }
    let all = everything(&list, NOW);
    assert_eq!(all.len(), 50_000);
    assert!((0..RECORDS).all(|number| all.contains_key(&token(number))));
}

/// Ids are never of this shape by chance, but nothing depends on that.
#[test]
fn th_06_ids_that_look_alike_are_told_apart() {
    let list = RevocationList::new(usize::MAX);
    let alike: Vec<_> = (0..2000u32)
        .map(|number| {
            let mut bytes = [0; 12];
            let at = if number % 2 == 0 { 0 } else { 8 };
            bytes[at..at + 4].copy_from_slice(&(number / 2).to_be_bytes());
            RevocationId::from_digest(RevocationKind::Session, bytes)
        })
        .collect();
    for (number, id) in alike.iter().enumerate() {
        let is_new = number != 1; // twice the digest of zeros
        assert_eq!(list.contains(*id, NOW), !is_new);
        assert_eq!(list.revoke(&until(*id, LATER), NOW), Ok(is_new));
    }
    assert!(alike.iter().all(|id| list.contains(*id, NOW)));
    assert!(alike.iter().skip(1).all(|id| list.unrevoke(*id)));
    assert!(list.is_empty() && !alike.iter().any(|id| list.contains(*id, NOW)));
}

#[rstest]
#[case::token(Revocation::token(ISSUER, "a"))]
#[case::session(Revocation::session(ISSUER, "a"))]
#[case::subject(Revocation::subject(ISSUER, "a"))]
#[case::client(Revocation::client(ISSUER, "a"))]
#[case::issuer(Revocation::issuer(ISSUER))]
fn th_08_a_record_refuses_until_its_end(#[case] revocation: Revocation) {
    let list = RevocationList::new(10);
    let record = revocation.record(NOW, HOUR, Duration::ZERO);
    assert_eq!(list.revoke(&record, record.until()), Ok(false));
    assert_eq!(list.revoke(&record, NOW), Ok(true));
    assert_eq!(list.revoke(&record, NOW), Ok(false));
    let caller = principal("a", &[]);
    let find = |now| list.find(caller.revocation_ids(), Some(NOW), now);
    let last = record.until().saturating_sub(Duration::from_millis(1));
    let kind = record.id().kind();
    assert_eq!((find(NOW), find(last)), (Some(kind), Some(kind)));
    assert_eq!(find(record.until()), None);
    assert_eq!((list.sweep(last), list.len()), (0, 1));
    assert_eq!((list.sweep(record.until()), list.len()), (1, 0));
    assert_eq!(find(NOW), None);
}

#[test]
fn th_08_ends_are_rounded_up_and_never_down() {
    let at = Timestamp::from_millis;
    for (end, rounded) in [
        (1_800_000_000_001, 1_800_000_001_000),
        (1_800_000_001_000, 1_800_000_001_000),
        (1_800_000_000_999, 1_800_000_001_000),
        (1, 1000),
        (1000, 1000),
        (-5000, 0),
        (
            i64::from(u32::MAX - 3) * 1000,
            i64::from(u32::MAX - 3) * 1000,
        ),
        (i64::from(u32::MAX - 3) * 1000 + 1, i64::MAX),
        (i64::MAX, i64::MAX),
    ] {
        let list = RevocationList::new(10);
        list.revoke(&until(token(1), at(end)), at(i64::MIN))
            .unwrap();
        let record = until(token(1), at(rounded));
        assert_eq!(everything(&list, at(i64::MIN))[&token(1)], record, "{end}");
        assert!(list.contains(token(1), at(rounded - 1)), "{end}");
        let is_for_ever = rounded == i64::MAX;
        assert_eq!(list.contains(token(1), at(rounded)), is_for_ever, "{end}");
        assert_eq!(list.sweep(at(i64::MAX)), usize::from(!is_for_ever), "{end}");
    }
}

#[test]
fn th_10_each_name_of_a_caller_is_looked_for_and_no_other() {
    let names = [
        RevocationId::key(ISSUER, "a"),
        RevocationId::issuer(ISSUER),
        RevocationId::everything(),
        RevocationId::client(ISSUER, "a"),
        RevocationId::subject(ISSUER, "a"),
        RevocationId::subject(ISSUER, "robot"),
        RevocationId::session(ISSUER, "a"),
        RevocationId::token(ISSUER, "a"),
    ];
    let caller = principal("a", &["clerk", "robot"]);
    let nameless = Principal::assert_authenticated(PrincipalParts::new("https://other", LATER));
    for id in names {
        let list = RevocationList::new(10);
        list.revoke(&until(id, LATER), NOW).unwrap();
        let found = list.find(caller.revocation_ids(), Some(NOW), NOW);
        assert_eq!(found, Some(id.kind()));
        assert!(list.contains(id, NOW) && !list.contains(id, LATER));
        let is_everything = id.kind() == RevocationKind::Everything;
        let found = list.find(nameless.revocation_ids(), Some(NOW), NOW);
        assert_eq!(found.is_some(), is_everything, "{id:?}");
        let count = list
            .counts()
            .into_iter()
            .find(|(kind, _)| *kind == id.kind());
        assert_eq!((count, list.len()), (Some((id.kind(), 1)), 1));
    }
    // Of all of them, the one that comes first.
    let list = RevocationList::new(10);
    for id in names.into_iter().rev() {
        list.revoke(&until(id, LATER), NOW).unwrap();
        let found = list.find(caller.revocation_ids(), Some(NOW), NOW);
        assert_eq!(found, Some(id.kind()));
    }
    for id in names {
        let found = list.find(caller.revocation_ids(), Some(NOW), NOW);
        assert_eq!(found, Some(id.kind()));
        assert!(list.unrevoke(id) && !list.unrevoke(id) && !list.contains(id, NOW));
    }
    assert!(list.is_empty());
}

#[rstest]
#[case::subject(RevocationId::subject(ISSUER, "a"))]
#[case::actor(RevocationId::subject(ISSUER, "robot"))]
#[case::client(RevocationId::client(ISSUER, "a"))]
#[case::issuer(RevocationId::issuer(ISSUER))]
#[case::everything(RevocationId::everything())]
fn th_11_what_was_issued_then_or_before_is_refused(#[case] id: RevocationId) {
    let list = RevocationList::new(10);
    let watermark = NOW.saturating_add(Duration::from_millis(500));
    let record = RevocationRecord::new(id, Some(watermark), LATER);
    list.revoke(&record, NOW).unwrap();
    let caller = principal("a", &["robot"]);
    for (issued_at, is_refused) in [
        (Timestamp::EPOCH, true),
        (NOW, true),
        (watermark, true),
        (watermark.saturating_add(Duration::from_millis(1)), false),
        (NOW.saturating_add(Duration::from_secs(1)), false),
    ] {
        let found = list.find(caller.revocation_ids(), Some(issued_at), NOW);
        assert_eq!(found, is_refused.then_some(id.kind()), "{issued_at:?}");
    }
    // TH-12: who does not say when it was issued cannot be newer.
    let found = list.find(caller.revocation_ids(), None, NOW);
    assert_eq!(found, Some(id.kind()));
    assert_eq!(list.find(caller.revocation_ids(), None, LATER), None);
    assert_eq!(everything(&list, NOW)[&id], record);
}

#[rstest]
#[case::token(RevocationId::token(ISSUER, "a"))]
#[case::session(RevocationId::session(ISSUER, "a"))]
#[case::key(RevocationId::key(ISSUER, "a"))]
fn th_12_when_it_was_issued_is_nothing_to_the_others(#[case] id: RevocationId) {
    let list = RevocationList::new(10);
    list.revoke(&until(id, LATER), NOW).unwrap();
    let caller = principal("a", &[]);
    for issued_at in [None, Some(Timestamp::EPOCH), Some(Timestamp::MAX)] {
        let found = list.find(caller.revocation_ids(), issued_at, NOW);
        assert_eq!(found, Some(id.kind()));
    }
}

#[test]
fn th_13_a_full_list_says_so_and_forgets_nothing() {
    let list = RevocationList::new(4);
    let subject = RevocationId::subject(ISSUER, "a");
    for id in [token(1), token(2), RevocationId::key(ISSUER, "a"), subject] {
        list.revoke(&until(id, LATER), NOW).unwrap();
    }
    let before = everything(&list, NOW);
    for id in [
        token(3),
        RevocationId::session(ISSUER, "a"),
        RevocationId::issuer(ISSUER),
    ] {
        assert_eq!(list.revoke(&until(id, LATER), NOW), Err(ListFull));
        assert!(!list.contains(id, NOW));
    }
    assert_eq!((list.len(), list.capacity()), (4, 4));
    assert_eq!(everything(&list, NOW), before);
    // What is there already can be refused for longer.
    let longest = LATER.saturating_add(HOUR);
    for id in [token(1), subject] {
        assert_eq!(list.revoke(&until(id, longest), NOW), Ok(true));
        assert!(list.contains(id, LATER));
    }
    // What is past its end makes room by itself: all but these two.
    for id in [token(4), token(5)] {
        assert_eq!(list.revoke(&until(id, longest), LATER), Ok(true));
    }
    assert_eq!(list.revoke(&until(token(6), longest), LATER), Err(ListFull));
    assert!(list.unrevoke(token(5)));
    assert_eq!(list.revoke(&until(token(6), longest), LATER), Ok(true));
    assert_eq!(list.len(), 4);
    assert_eq!(
        RevocationList::new(0).revoke(&until(token(1), LATER), NOW),
        Err(ListFull)
    );
}

#[test]
fn th_13_a_watermark_takes_the_place_of_the_tokens() {
    let list = RevocationList::new(1003);
    let session = RevocationId::session(ISSUER, "a");
    let (key, subject) = (
        RevocationId::key(ISSUER, "a"),
        RevocationId::subject(ISSUER, "b"),
    );
    let long = until(token(1000), LATER.saturating_add(HOUR));
    (0..999)
        .for_each(|number| assert_eq!(list.revoke(&until(token(number), LATER), NOW), Ok(true)));
    for record in [
        until(session, LATER),
        until(key, LATER),
        until(subject, LATER),
        long,
    ] {
        assert_eq!(list.revoke(&record, NOW), Ok(true));
    }
    let watermark = |issued| RevocationRecord::new(RevocationId::everything(), Some(issued), LATER);
    let other = RevocationRecord::new(RevocationId::issuer(ISSUER), Some(NOW), LATER);
    let stray = RevocationId::from_digest(RevocationKind::Everything, [1; 12]);
    for record in [other, until(stray, LATER)] {
        assert_eq!(list.compact(&record, NOW), 0);
    }
    assert_eq!(list.compact(&watermark(NOW), LATER), 0);
    assert_eq!((list.len(), list.counts()[6].1), (1003, 0));

    assert_eq!(list.compact(&watermark(NOW), NOW), 999);
    assert_eq!(list.len(), 5);
    for id in [
        session,
        key,
        subject,
        token(1000),
        RevocationId::everything(),
    ] {
        assert!(list.contains(id, NOW), "{id:?}");
    }
    let stranger = principal("z", &[]);
    let later = NOW.saturating_add(Duration::from_secs(1));
    let find = |issued| list.find(stranger.revocation_ids(), Some(issued), NOW);
    assert_eq!(find(NOW), Some(RevocationKind::Everything));
    assert_eq!(find(later), None);
    assert_eq!(list.revoke(&until(token(3), LATER), NOW), Ok(true));
    assert_eq!(list.compact(&watermark(later), NOW), 1);
    assert_eq!(find(later), Some(RevocationKind::Everything));
    assert_eq!(list.len(), 5);
}

#[test]
fn what_ended_gives_its_memory_back() {
    let slots = |list: &RevocationList| match list.of(RevocationKind::Token) {
        Records::Exact(tokens) => tokens.slots(),
        Records::Marks(_) => 0,
    };
    let list = RevocationList::new(usize::MAX);
    assert_eq!(slots(&list), 0);
    let mut most = 0.0;
    for number in 0..60_000u32 {
        let end = LATER.saturating_add(Duration::from_secs((number % 2 * 10).into()));
        list.revoke(&until(token(number.into()), end), NOW).unwrap();
        if number > 50_000 {
            most = f64::max(
                most,
                slots(&list) as f64 * (16.0 + 8.0 / 7.0) / list.len() as f64,
            );
        }
    }
    assert!(most < 27.0, "{most} bytes for each of many records");
    assert_eq!(list.sweep(LATER), 30_000);
    assert!(slots(&list) < 60_000);
    for number in (1..60_000).step_by(2) {
        assert!(list.unrevoke(token(number)));
    }
    assert_eq!((list.sweep(NOW), slots(&list)), (0, 0));
    // New ones in place of those that ended need no more memory, also without a sweep.
    for second in 0..200 {
        let now = NOW.saturating_add(Duration::from_secs(second));
        for number in 0..300 {
            let id = token(second * 1000 + number);
            let end = now.saturating_add(Duration::from_secs(2));
            list.revoke(&until(id, end), now).unwrap();
        }
    }
    assert!(slots(&list) < 6000, "{} slots", slots(&list));
    list.sweep(LATER);
    assert_eq!((list.len(), slots(&list)), (0, 0));
}

#[test]
fn a_list_may_be_changed_by_whom_it_is_handed_out_to() {
    let list = RevocationList::new(100);
    for id in [token(1), RevocationId::issuer(ISSUER)] {
        list.revoke(&until(id, LATER), NOW).unwrap();
    }
    list.for_each(NOW, |record| {
        assert!(list.unrevoke(record.id()));
    });
    assert!(list.is_empty());
    assert_eq!(
        format!("{list:?}"),
        "RevocationList { len: 0, capacity: 100, .. }"
    );
}

/// What readers may rely on while others write: what was revoked before is found, and what never was is not.
#[test]
fn th_06_readers_are_right_while_others_write() {
    const KEPT: u64 = 20_000;
    let list = RevocationList::new(usize::MAX);
    let revoked = [const { AtomicUsize::new(0) }; 2];
    let is_over = AtomicBool::new(false);
    let start = Instant::now();
    let writer = |which: u64| {
        let kept = |number: u64| token(number * 2 + which);
        let passing = |number: u64| token((1 << 40) + number * 2 + which);
        for number in 0..KEPT {
            if start.elapsed() > Duration::from_secs(2) {
                break;
            }
            assert_eq!(list.revoke(&until(kept(number), LATER), NOW), Ok(true));
            revoked[usize::try_from(which).unwrap()]
                .store(usize::try_from(number).unwrap() + 1, Ordering::Release);
            // Others come and go between them, by word and by sweep, so that slots die and shards are rebuilt.
            let end = NOW.saturating_add(Duration::from_secs(1));
            list.revoke(&until(passing(number), end), NOW).unwrap();
            if number % 3 == 0 {
                list.unrevoke(passing(number));
            }
            if number % 512 == 0 {
                list.sweep(end);
            }
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let reader = |mut random: u64| {
        let mut probes = 0u64;
        while !is_over.load(Ordering::Relaxed) {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            for which in [0, 1] {
                let until = revoked[which].load(Ordering::Acquire) as u64;
                let which = which as u64;
                if until > 0 {
                    let number = (random >> 20) % until;
                    assert!(list.contains(token(number * 2 + which), NOW), "missed");
                    assert!(list.contains(token((until - 1) * 2 + which), NOW), "missed");
                    probes += 1;
                }
                assert!(
                    !list.contains(token((1 << 50) + (random >> 20)), NOW),
                    "never was"
                );
            }
        }
        assert!(probes > 0);
    };
    thread::scope(|scope| {
        for which in [0, 1] {
            scope.spawn(move || writer(which));
        }
        let reader = &reader;
        for seed in [3, 5] {
            scope.spawn(move || reader(seed));
        }
    });
    list.sweep(NOW.saturating_add(Duration::from_secs(1)));
    let [one, other] = revoked.map(AtomicUsize::into_inner);
    assert_eq!(list.len(), one + other);
    assert_eq!(everything(&list, NOW).len(), one + other);
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Revoke(usize, i64, i64),
    Unrevoke(usize),
    Wait(i64),
    Sweep,
    Compact(i64, i64),
}

fn op() -> impl Strategy<Value = Op> {
    let end = || prop_oneof![8 => 0i64..30_000, 1 => Just(i64::MAX)];
    prop_oneof![
        6 => (0usize..64, 0i64..20_000, end()).prop_map(|(id, issued, end)| Op::Revoke(id, issued, end)),
        2 => (0usize..64).prop_map(Op::Unrevoke),
        2 => (0i64..2_000).prop_map(Op::Wait),
        1 => Just(Op::Sweep),
        1 => (0i64..20_000, end()).prop_map(|(issued, end)| Op::Compact(issued, end)),
    ]
}

/// The same, said simply.
#[derive(Default)]
struct Model(HashMap<RevocationId, RevocationRecord>);

impl Model {
    /// As the list keeps it: an end of a whole second.
    fn kept(record: &RevocationRecord) -> RevocationRecord {
        let end = record.until().as_millis();
        if record.id().kind().is_watermark() || end == i64::MAX {
            return *record;
        }
        until(record.id(), Timestamp::from_secs((end + 999) / 1000))
    }

    fn revoke(&mut self, record: &RevocationRecord, capacity: usize) -> Result<bool, ListFull> {
        let new = Self::kept(record);
        let before = self.0.get(&new.id()).copied();
        if before.is_none() && self.0.len() >= capacity {
            return Err(ListFull);
        }
        let merged = before.and_then(|it| it.merge(&new)).unwrap_or(new);
        Ok(self.0.insert(new.id(), merged) != Some(merged))
    }

    fn find(&self, ids: &[RevocationId], issued: Option<Timestamp>) -> Option<RevocationKind> {
        let is_meant = |record: &RevocationRecord| {
            let until = record.issued_until();
            until.is_none_or(|until| issued.is_none_or(|issued| issued <= until))
        };
        let found = ids.iter().find(|id| self.0.get(id).is_some_and(is_meant));
        found.map(|id| id.kind())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn the_list_is_a_map_of_records(
        ops in prop::collection::vec(op(), 1..120),
        capacity in prop_oneof![0usize..12, Just(1000)],
    ) {
        let callers = ["a", "b", "c"].map(|name| principal(name, &["clerk", "b"]));
        let mut ids: Vec<_> = callers.iter().flat_map(|caller| {
            let ids = caller.revocation_ids();
            let one = [ids.key(), Some(ids.issuer()), Some(RevocationId::everything()), ids.client()];
            let more = [ids.session(), ids.tokens().next()];
            one.into_iter().flatten().chain(ids.subjects()).chain(more.into_iter().flatten()).collect::<Vec<_>>()
        }).collect();
        let names = ids.len() / callers.len();
        for kind in RevocationKind::ALL {
            ids.push(RevocationId::from_digest(kind, [0; 12]));
            ids.push(RevocationId::from_digest(kind, [0xff; 12]));
            ids.extend((0..4).map(|number| RevocationId::from_digest(kind, digest(number))));
        }
        let list = RevocationList::new(capacity);
        let mut model = Model::default();
        let mut now = Timestamp::EPOCH;
        for op in ops {
            match op {
                Op::Revoke(id, issued, end) => {
                    let at = Timestamp::from_millis;
                    let record = RevocationRecord::new(ids[id % ids.len()], Some(at(issued)), at(end));
                    let expected = if record.is_live(now) { model.revoke(&record, capacity) } else { Ok(false) };
                    if list.len() > capacity {
                        // By `compact`: what has ended meanwhile is there beyond the capacity, and may be renewed.
                        list.sweep(now);
                    }
                    prop_assert_eq!(list.revoke(&record, now), expected);
                }
                Op::Unrevoke(id) => {
                    let id = ids[id % ids.len()];
                    let was_there = list.unrevoke(id);
                    prop_assert!(model.0.remove(&id).is_none() || was_there);
                }
                Op::Wait(millis) => now = now.saturating_add(Duration::from_millis(millis.unsigned_abs())),
                Op::Sweep => {
                    list.sweep(now);
                    prop_assert_eq!(list.len(), model.0.len());
                }
                Op::Compact(issued, end) => {
                    let at = Timestamp::from_millis;
                    let mark = RevocationRecord::new(RevocationId::everything(), Some(at(issued)), at(end));
                    list.compact(&mark, now);
                    if mark.is_live(now) {
                        model.revoke(&mark, usize::MAX).unwrap();
                        let last = Model::kept(&until(token(0), at(end))).until();
                        model.0.retain(|id, record| id.kind() != RevocationKind::Token || record.until() > last);
                    }
                }
            }
            model.0.retain(|_, record| record.is_live(now));
            for id in &ids {
                prop_assert_eq!(list.contains(*id, now), model.0.contains_key(id), "{:?}", id);
            }
            for (caller, ids) in callers.iter().zip(ids.chunks(names)) {
                for issued in [None, Some(Timestamp::EPOCH), Some(Timestamp::from_millis(10_000)), Some(now)] {
                    prop_assert_eq!(list.find(caller.revocation_ids(), issued, now), model.find(ids, issued));
                }
            }
            prop_assert_eq!(&everything(&list, now), &model.0);
            let counts: usize = list.counts().iter().map(|(_, count)| count).sum();
            prop_assert_eq!(counts, list.len());
            prop_assert!(list.len() >= model.0.len() && list.len() <= capacity + 1);
        }
    }
}
