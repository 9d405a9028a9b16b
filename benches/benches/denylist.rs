//! What it costs to look up whether something was revoked, beside one look-up in a bare `HashSet` of 128-bit numbers,
//! which knows no ends, no kinds and no writers.
//!
//! As in `hot`: both take turns with the same ids in each round, and of many rounds the median and the quartiles are
//! printed. Each round asks for other ids, picked at random, so that with many records memory is part of it.

use std::fs;
use std::hint::black_box;
use std::sync::atomic::{Ordering, fence};
use std::thread;
use std::time::Instant;

use foldhash::fast::RandomState;
use gateless::denylist::RevocationList;
use gateless::{
    Principal, PrincipalParts, RevocationId, RevocationKind, RevocationRecord, Timestamp,
};
use gateless_bench::quartiles;
use hashbrown::HashSet;

/// How many ids are looked up before it is the other's turn.
const TURN: u64 = 1000;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const END: Timestamp = Timestamp::from_secs(1_800_003_600);

type Set = HashSet<u128, RandomState>;

fn main() {
    // `cargo test --all-targets` runs this as well, to see that it works.
    let is_measuring = std::env::args().any(|argument| argument == "--bench");
    let (rounds, counts) = if is_measuring {
        (2000, [0, 1_000_000, 10_000_000])
    } else {
        (2, [0, 100, 1_000])
    };
    println!("A look-up of an id, ns: medians of {rounds} rounds, and quartiles of list / set.\n");
    println!(
        "{:>10}{:>7}{:>8}{:>8}{:>9}{:>18}",
        "records", "", "list", "set", "ratio", "quartiles"
    );
    for count in counts {
        lookups(count, rounds);
    }
    let [_, few, many] = counts;
    callers(few, rounds);
    memory(many);
    writes(few);
}

/// Even bits, which no two numbers share.
fn number(index: u64) -> u128 {
    let mix = |index: u64| {
        let mixed = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 32)
    };
    (u128::from(mix(index)) << 32) | u128::from(mix(!index) >> 32)
}

fn token(index: u64) -> RevocationId {
    let [_, _, _, _, digest @ ..] = number(index).to_be_bytes();
    RevocationId::from_digest(RevocationKind::Token, digest)
}

fn fill(list: &RevocationList, indices: impl Iterator<Item = u64>) {
    for index in indices {
        let record = RevocationRecord::new(token(index), None, END);
        assert_eq!(list.revoke(&record, NOW), Ok(true));
    }
}

fn list(count: u64) -> RevocationList {
    let list = RevocationList::new(usize::MAX);
    fill(&list, 0..count);
    list
}

fn set(count: u64) -> Set {
    let mut set = Set::default();
    set.extend((0..count).map(number));
    set
}

fn lookups(count: u64, rounds: u64) {
    let (list, set) = (list(count), set(count));
    for (name, from, range) in [("hit", 0, count), ("miss", count, 1 << 40)] {
        if range == 0 {
            continue;
        }
        let is_hit = name == "hit";
        let mut results: Vec<[f64; 2]> = Vec::new();
        for round in 0..rounds {
            let picked = |turn| from + pick(round * TURN + turn) % range;
            let ids: Vec<_> = (0..TURN).map(|turn| token(picked(turn))).collect();
            let numbers: Vec<_> = (0..TURN).map(|turn| number(picked(turn))).collect();
            let of_list = || time(&ids, |id| list.contains(*id, NOW) == is_hit);
            let of_set = || time(&numbers, |number| set.contains(number) == is_hit);
            // Both orders, so that neither always comes second.
            results.push(if round % 2 == 0 {
                [of_list(), of_set()]
            } else {
                let of_set = of_set();
                [of_list(), of_set]
            });
        }
        let of = |value: fn(&[f64; 2]) -> f64| quartiles(results.iter().map(value).collect());
        let [_, of_list, _] = of(|[list, _]| *list);
        let [_, of_set, _] = of(|[_, set]| *set);
        let [lower, ratio, upper] = of(|[list, set]| list / set);
        println!(
            "{count:10}{name:>7}{of_list:8.1}{of_set:8.1}{ratio:9.2}{:>18}",
            format!("{lower:.2} to {upper:.2}")
        );
    }
}

/// A number for each turn that tells nobody the next one.
fn pick(turn: u64) -> u64 {
    let mixed = (turn ^ 0x5bd1_e995).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 20
}

fn time<T>(ids: &[T], mut is_right: impl FnMut(&T) -> bool) -> f64 {
    let start = Instant::now();
    for id in ids {
        assert!(black_box(is_right(black_box(id))));
        // A request asks once. This keeps look-ups apart somewhat; memory may still be fetched ahead for the next.
        fence(Ordering::SeqCst);
    }
    start.elapsed().as_nanos() as f64 / ids.len() as f64
}

/// Somebody who could be revoked under every kind of name, and is not.
fn callers(count: u64, rounds: u64) {
    let caller = Principal::assert_authenticated(PrincipalParts {
        subject: Some("user-7".into()),
        client_id: Some("web".into()),
        token_id: Some("token-1".into()),
        session_id: Some("session-1".into()),
        key_id: Some("key-1".into()),
        ..PrincipalParts::new("https://idp.example.com", END)
    });
    let every_kind = list(count);
    for kind in RevocationKind::ALL {
        let stranger = RevocationId::from_digest(kind, [7; 12]);
        let record = RevocationRecord::new(stranger, Some(NOW), END);
        assert_eq!(every_kind.revoke(&record, NOW), Ok(true));
    }
    let lists = [
        ("empty".to_owned(), list(0)),
        (format!("{count} tokens"), list(count)),
        (format!("{count} tokens, and one of each kind"), every_kind),
    ];
    println!("\nA caller with an id of each kind who was not revoked, ns.\n");
    for (name, list) in &lists {
        let turns = vec![caller.revocation_ids(); 1000];
        let times =
            (0..rounds).map(|_| time(&turns, |ids| list.find(ids, Some(NOW), NOW).is_none()));
        let [lower, median, upper] = quartiles(times.collect());
        println!("{name:40}{median:8.1}   ({lower:.1} to {upper:.1})");
    }
}

/// What `count` records take, and how long it takes until they are there.
fn memory(count: u64) {
    println!("\n{count} records that are added one by one to none.\n");
    println!(
        "{:10}{:>10}{:>18}{:>18}{:>16}",
        "", "seconds", "allocated, each", "most, each", "resident, each"
    );
    measure("list", count, || list(count));
    measure("set", count, || set(count));
}

fn measure<T>(name: &str, count: u64, make: impl FnOnce() -> T) {
    let mut made = None;
    let before = resident();
    let start = Instant::now();
    let allocated = allocation_counter::measure(|| made = Some(make()));
    let seconds = start.elapsed().as_secs_f64();
    let after = resident();
    let each = |bytes: f64| format!("{:.1}", bytes / count as f64);
    println!(
        "{name:10}{seconds:10.2}{:>18}{:>18}{:>16}",
        each(allocated.bytes_current as f64),
        each(allocated.bytes_max as f64),
        before
            .zip(after)
            .map_or_else(String::new, |(before, after)| each(after - before)),
    );
    drop(made);
}

/// Bytes of this process that are in memory, where the system says so.
fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

fn writes(count: u64) {
    println!("\nRecords a second that are added to none, until there are {count}: of 9 runs.\n");
    for threads in [1u8, 2] {
        let rates = (0..9).map(|_| {
            let list = RevocationList::new(usize::MAX);
            let start = Instant::now();
            thread::scope(|scope| {
                for thread in 0..threads {
                    let list = &list;
                    let indices = (u64::from(thread)..count).step_by(threads.into());
                    scope.spawn(move || fill(list, indices));
                }
            });
            list.len() as f64 / start.elapsed().as_secs_f64()
        });
        let [lower, median, upper] = quartiles(rates.collect());
        println!("{threads} threads: {median:.0}   ({lower:.0} to {upper:.0})");
    }
}
