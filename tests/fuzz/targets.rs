//! Each target, on its seeds and on mutations that are the same in every run.
// clippy.toml allows these in tests, but takes the helper functions of a test file for something else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use gateless_fuzz::{TARGETS, Target, mutate};

/// One test for each target, so that they run side by side and a name says which of them failed.
macro_rules! targets {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                let target = Target::named(stringify!($name)).unwrap();
                bites(target);
            }
        )*
    };
}

targets! {
    audit claims credentials header introspection jwks logout openapi peer proto revocations token
}

/// Runs it, and sees that its laws were asked: of what is let in, and of what is not.
fn bites(target: &Target) {
    let started = std::time::Instant::now();
    let driven = mutate::drive(target, target.rounds);
    println!("{}: {driven:?} {:?}", target.name, started.elapsed());
    let refused = driven.inputs - driven.accepted;
    assert!(refused >= driven.inputs / 10, "{driven:?}");
    // A token as a whole hardly survives a mutation: of those there are the seeds, and few others.
    let least = match target.name {
        "token" => 3,
        _ => driven.inputs / 300,
    };
    assert!(driven.accepted >= least, "{driven:?}");
}

#[test]
fn every_target_has_a_test() {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, NAMES);
}

#[test]
fn every_folder_of_seeds_is_of_a_target() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for folder in fs::read_dir(seeds).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(Target::named(&name).is_some(), "{name}");
    }
}

#[test]
fn mutations_are_the_same_each_time_and_hardly_two_are_equal() {
    thread_local! {
        static INPUTS: std::cell::RefCell<Vec<Vec<u8>>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    let keep = Target {
        name: "seen",
        run: |data| {
            INPUTS.with_borrow_mut(|inputs| inputs.push(data.to_vec()));
            true
        },
        // As long as a short token, and no byte of it like the next.
        made: || vec![(0..=250).collect(), (0..=250).rev().collect()],
        words: &["word"],
        rounds: 0,
    };
    let [first, second] = [0, 1].map(|_| {
        assert_eq!(mutate::drive(&keep, 1000).inputs, 1002);
        INPUTS.take()
    });
    assert_eq!(first, second);
    let distinct: BTreeSet<_> = first.into_iter().collect();
    assert!(distinct.len() > 950, "{}", distinct.len());
}

#[test]
#[should_panic(expected = "found")]
fn what_does_not_hold_is_found() {
    let picky = Target {
        name: "picky",
        run: |data| {
            assert!(!data.ends_with(b"word"), "found");
            true
        },
        made: || vec![b"seed".to_vec()],
        words: &["word"],
        rounds: 0,
    };
    mutate::drive(&picky, 1000);
}
