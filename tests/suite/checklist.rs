//! That the checklist is complete: every row has a test that is named after it, or a reason why it has none yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// How many rows the checklist has.
const ROWS: usize = 303;

/// Its sections, and how many rows each has: they are numbered from 1, and none is left out.
const SECTIONS: [(&str, u32); 12] = [
    ("TA", 26),
    ("TB", 40),
    ("TC", 18),
    ("TD", 36),
    ("TE", 30),
    ("TF", 28),
    ("TH", 23),
    ("TI", 27),
    ("TJ", 17),
    ("TK", 20),
    ("TL", 18),
    ("TM", 20),
];

fn rows() -> impl Iterator<Item = String> {
    SECTIONS
        .iter()
        .flat_map(|(section, last)| (1..=*last).map(move |number| format!("{section}-{number:02}")))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The Rust files below `folder`, with what is in them.
pub(crate) fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("node_modules") && !path.ends_with("target") {
                files.extend(sources(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            files.push((path, text));
        }
    }
    files
}

/// The names of test functions and of their cases.
fn test_names() -> BTreeSet<String> {
    let files = ["crates", "tests"].map(|folder| sources(&root().join(folder)));
    let names = files.iter().flatten().flat_map(|(_, text)| {
        text.lines().filter_map(|line| {
            let line = line.trim_start();
            let line = line.strip_prefix("#[test] ").unwrap_or(line);
            let name = ["fn ", "async fn ", "#[case::"]
                .iter()
                .find_map(|start| line.strip_prefix(start))?;
            let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
            Some(name[..end].to_owned())
        })
    });
    names.collect()
}

/// The rows in a name such as `tb_13_tb_14_one_spelling_only`.
fn rows_of(name: &str) -> Vec<String> {
    let parts: Vec<_> = name.split('_').collect();
    parts
        .windows(2)
        .filter(|pair| {
            pair[0].len() == 2
                && pair[0].starts_with('t')
                && pair[1].len() == 2
                && pair[1].bytes().all(|byte| byte.is_ascii_digit())
        })
        .map(|pair| format!("{}-{}", pair[0].to_uppercase(), pair[1]))
        .collect()
}

/// The lines of `CHECKLIST.md` that are about a row: its id, and the rest.
fn listed() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("tests/CHECKLIST.md")).unwrap();
    let mut listed = BTreeMap::new();
    for line in text.lines() {
        if let Some((row, rest)) = line
            .strip_prefix("| T")
            .and_then(|line| line.split_once(" | "))
        {
            let earlier = listed.insert(format!("T{row}"), rest.to_owned());
            assert!(earlier.is_none(), "T{row} is listed twice");
        }
    }
    listed
}

#[test]
fn no_row_is_left_out_and_none_is_made_up() {
    let rows: Vec<_> = rows().collect();
    assert_eq!(rows.len(), ROWS);
    // In the file each stands once, one after the other.
    let text = fs::read_to_string(root().join("tests/CHECKLIST.md")).unwrap();
    let begins = text.lines().filter_map(|line| line.strip_prefix("| T"));
    let listed: Vec<_> = begins
        .map(|line| format!("T{}", line.split(' ').next().unwrap()))
        .collect();
    assert_eq!(listed, rows);
    // A test that is named after a row of another checklist, or after a slip of the pen, proves nothing.
    let named: BTreeSet<_> = test_names().iter().flat_map(|name| rows_of(name)).collect();
    let unknown: Vec<_> = named.iter().filter(|row| !rows.contains(row)).collect();
    assert!(unknown.is_empty(), "no such row: {unknown:?}");
}

#[test]
fn every_row_has_a_test_or_a_reason() {
    let covered: BTreeSet<_> = test_names().iter().flat_map(|name| rows_of(name)).collect();
    let listed = listed();
    let silent: Vec<_> = rows()
        .filter(|row| {
            !covered.contains(row) && !listed.get(row).is_some_and(|it| it.contains("no test:"))
        })
        .collect();
    assert!(silent.is_empty(), "neither test nor reason: {silent:?}");
    let stale: Vec<_> = rows()
        .filter(|row| {
            covered.contains(row) && listed.get(row).is_some_and(|it| it.contains("no test:"))
        })
        .collect();
    assert!(stale.is_empty(), "there is a test now: {stale:?}");
}

#[test]
fn every_row_is_listed_and_every_test_in_the_list_exists() {
    let (names, listed) = (test_names(), listed());
    let missing: Vec<_> = rows().filter(|row| !listed.contains_key(row)).collect();
    assert!(missing.is_empty(), "not in CHECKLIST.md: {missing:?}");
    let gone: Vec<_> = listed
        .values()
        .flat_map(|rest| rest.split('`').skip(1).step_by(2))
        .filter(|name| !names.contains(*name))
        .collect();
    assert!(gone.is_empty(), "no such test: {gone:?}");
}

/// The lines of code that end up in a service: no comments, no tests, nothing of the testkit.
fn shipped() -> Vec<(PathBuf, String)> {
    let crates = fs::read_dir(root().join("crates")).unwrap();
    let crates = crates.map(|entry| entry.unwrap().path());
    let shipped = crates.filter(|path| !path.ends_with("gateless-testkit"));
    let files = shipped.flat_map(|path| sources(&path.join("src")));
    let is_test = |path: &Path| {
        path.ends_with("tests.rs")
            || path
                .components()
                .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "testing")
    };
    let src = |path: &Path| path.strip_prefix(root().join("crates")).unwrap().to_owned();
    let lines = files.filter(|(path, _)| !is_test(&src(path)));
    lines
        .flat_map(|(path, text)| {
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let lines: Vec<_> = lines.map(str::to_owned).collect();
            lines.into_iter().map(move |line| (path.clone(), line))
        })
        .collect()
}

/// No shipped line has any of `words` in it.
#[track_caller]
fn nobody_writes(words: &[&str]) {
    let shipped = shipped();
    assert!(shipped.len() > 1000, "{} lines", shipped.len());
    let found: Vec<_> = shipped
        .iter()
        .filter(|(_, line)| words.iter().any(|word| line.contains(word)))
        // The scripts that Redis runs, and the form of a record: their text is read in review like any other.
        .filter(|(_, line)| {
            let texts = ["append.lua", "take.lua", "../schema/record.schema.json"];
            !texts
                .map(|name| format!("= include_str!(\"{name}\");"))
                .iter()
                .any(|end| line.ends_with(end))
        })
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn tc_16_only_a_verified_token_makes_a_principal() {
    let vouching: BTreeSet<_> = shipped()
        .into_iter()
        .filter(|(_, line)| line.contains("assert_authenticated("))
        .map(|(path, _)| path.file_name().unwrap().to_owned())
        .collect();
    // Where it is defined, and where verified tokens and answers about tokens become one.
    let expected = ["principal.rs", "statement.rs"];
    assert_eq!(vouching, expected.map(Into::into).into());
}

#[test]
fn te_11_no_key_is_built_in() {
    // A key in PEM, in JWK, or in a file that becomes part of the program.
    let literals = [
        "-----BEGIN ",
        "\"kty\":",
        "\\\"kty\\\"",
        "include_bytes!",
        "include_str!",
    ];
    nobody_writes(&literals);
    // The beginnings of DER in base64: of a public key for RSA, an elliptic curve, Ed25519.
    nobody_writes(&["MIIBIjAN", "MFkwEwYH", "MCowBQYD"]);
}

#[test]
fn te_18_nothing_switches_the_verification_of_certificates_off() {
    nobody_writes(&[
        "danger_accept_invalid",
        "tls_danger",
        "accept_invalid",
        "ServerCertVerifier",
        "dangerous()",
        "tls_built_in_root_certs(false)",
        "verify_mode",
    ]);
}

#[test]
fn te_20_keys_are_held_in_the_process_and_nowhere_else() {
    let bearer = root().join("crates/gateless/src/bearer");
    let writes = ["fs::write", "File::create", "OpenOptions", "redis"];
    let is_shared = |line: &str| {
        // The epoch of a configuration counts up for the whole process, and is no key.
        let line = line.trim_start();
        (line.starts_with("static ") && !line.starts_with("static LAST: AtomicU64"))
            || writes.iter().any(|word| line.contains(word))
    };
    let shared: Vec<_> = shipped()
        .into_iter()
        .filter(|(path, line)| path.starts_with(&bearer) && is_shared(line))
        .collect();
    assert!(shared.is_empty(), "{shared:?}");
}

#[test]
fn names_are_read_as_they_are_written() {
    assert_eq!(rows_of("tb_13_tb_14_one_spelling"), ["TB-13", "TB-14"]);
    assert_eq!(rows_of("te_10_te_15"), ["TE-10", "TE-15"]);
    assert!(rows_of("the_first_2_of_10").is_empty());
    assert!(test_names().contains("names_are_read_as_they_are_written"));
}
