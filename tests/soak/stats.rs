//! What was sent, what came back, and what was wrong about it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::fleet::lock;
use crate::oracle::Answer;

/// So many wrong answers are told in full.
const TOLD: usize = 40;

#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    runs: BTreeMap<(usize, usize), Run>,
    /// By what was sent, what came back, and whether something was broken.
    answers: BTreeMap<(String, String), u64>,
    wrong: Vec<String>,
    more_wrong: u64,
}

/// What one run of an instance was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// At most so many requests reached it.
    pub(crate) sent: u64,
    /// So many got through.
    pub(crate) passed: u64,
    /// So many were refused, by the second in which the answer came.
    pub(crate) refused: BTreeMap<u64, u64>,
}

impl Stats {
    /// A request that went to `instance` while its run was one of these.
    pub(crate) fn sent(&self, instance: usize, from: usize, to: usize) {
        let mut inner = lock(&self.0);
        for run in from..=to {
            inner.runs.entry((instance, run)).or_default().sent += 1;
        }
    }

    /// An answer that `run` of `instance` gave.
    pub(crate) fn answered(&self, instance: usize, run: usize, passed: bool, at: Duration) {
        let mut inner = lock(&self.0);
        let run = inner.runs.entry((instance, run)).or_default();
        if passed {
            run.passed += 1;
        } else {
            *run.refused.entry(at.as_secs()).or_default() += 1;
        }
    }

    pub(crate) fn count(&self, sent: String, answer: &Answer) {
        let key = (sent, answer.name().to_owned());
        *lock(&self.0).answers.entry(key).or_default() += 1;
    }

    pub(crate) fn wrong(&self, says: String) {
        let mut inner = lock(&self.0);
        if inner.wrong.len() < TOLD {
            println!("WRONG: {says}");
            inner.wrong.push(says);
        } else {
            inner.more_wrong += 1;
        }
    }

    pub(crate) fn run(&self, instance: usize, run: usize) -> Run {
        let inner = lock(&self.0);
        inner
            .runs
            .get(&(instance, run))
            .cloned()
            .unwrap_or_default()
    }

    /// The table of answers; what was wrong is returned.
    pub(crate) fn print(&self) -> Vec<String> {
        let inner = lock(&self.0);
        let total: u64 = inner.answers.values().sum();
        println!("{total} requests");
        for ((sent, answer), count) in &inner.answers {
            println!("  {count:8} {sent}: {answer}");
        }
        let mut wrong = inner.wrong.clone();
        if inner.more_wrong > 0 {
            wrong.push(format!("and {} more", inner.more_wrong));
        }
        wrong
    }
}
