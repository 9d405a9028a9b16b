//! The vectors of C2SP/wycheproof; see `tests/vectors/README.md`.

use std::fs;

use serde_json::Value;

/// One file of vectors.
pub(crate) struct Vectors {
    groups: Vec<Value>,
}

/// What a vector asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Valid,
    Acceptable,
    Invalid,
}

impl Vectors {
    pub(crate) fn read(name: &str) -> Self {
        let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(path).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let groups = document["testGroups"].as_array().unwrap().clone();
        Self { groups }
    }

    /// Calls `run` for each vector with its group, its id and what it asks for, and tells how many there were.
    pub(crate) fn each(&self, mut run: impl FnMut(&Value, &Value, u64, Outcome)) -> usize {
        let mut count = 0;
        for group in &self.groups {
            for test in group["tests"].as_array().unwrap() {
                let outcome = match test["result"].as_str() {
                    Some("valid") => Outcome::Valid,
                    Some("acceptable") => Outcome::Acceptable,
                    Some("invalid") => Outcome::Invalid,
                    other => panic!("unknown result {other:?}"),
                };
                run(group, test, test["tcId"].as_u64().unwrap(), outcome);
                count += 1;
            }
        }
        count
    }
}

/// The bytes of a member that is written in hexadecimal.
pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    assert!(text.len().is_multiple_of(2));
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
