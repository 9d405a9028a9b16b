//! The tool as somebody runs it.
#![cfg(feature = "cli")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use gateless_audit::file_name::{self, Rotated};
use gateless_audit::{
    Batch, BootId, Chain, Event, LineHash, Link, Outcome, Protocol, PseudonymKey, Request, SealKey,
    Start, Text,
};
use gateless_core::Timestamp;

const NOW: i64 = 1_795_000_000_000;
const IDP: &str = "https://idp.example.com";
const SECRET: &str = "a secret of more than 16 bytes";

/// A folder with a log of two runs, of which the first was rotated, and the keys.
struct Folder {
    path: PathBuf,
    boots: [BootId; 2],
}

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("gateless-audit-{}", BootId::random()));
        fs::create_dir_all(path.join("log")).unwrap();
        let key = SealKey::random();
        fs::write(path.join("pub.pem"), key.public().to_pem()).unwrap();
        fs::write(path.join("names"), format!("{SECRET}\n")).unwrap();
        let names = PseudonymKey::new("k", SECRET.as_bytes()).unwrap();
        let current = path.join("log/audit.jsonl");
        let boots = [BootId::random(), BootId::random()];
        let mut previous = None;
        let mut copies = String::new();
        for (run, boot) in (0..).zip(boots) {
            let mut chain = Chain::new("orders-1", boot);
            let mut batch = Batch::new();
            let mut at = 0;
            let mut clock = || {
                at += 1000;
                let up = Duration::from_millis(at);
                let time = Timestamp::from_millis(NOW + run * 60_000 + at.cast_signed());
                (time, up)
            };
            let start = Start {
                heartbeat_secs: Some(10),
                previous,
                ..Start::default()
            };
            let (time, up) = clock();
            chain.append(Event::Start(start), time, up, &mut batch);
            let (time, up) = clock();
            chain.checkpoint(&key, time, up, &mut batch);
            for (outcome, status) in [(Outcome::Allowed, 200), (Outcome::Denied, 401)] {
                let request = {
                    let mut request = Request::new(Protocol::Http, outcome);
                    request.method = Text::from("GET");
                    request.route = Some(Text::from("/orders/{id}"));
                    request.status = Some(status);
                    request.issuer = Some(Text::from(IDP));
                    request.subject = Some(Text::from(names.subject(IDP, "alice")));
                    request.token = Some(Text::from(names.token(IDP, "token-1")));
                    request.code = (status == 401).then(|| Text::from("token_invalid"));
                    request.reason = (status == 401).then(|| Text::from("\u{1b}[31mexpired"));
                    request
                };
                let (time, up) = clock();
                chain.append(Event::Request(Box::new(request)), time, up, &mut batch);
            }
            let (time, up) = clock();
            chain.append(Event::Stop, time, up, &mut batch);
            let (time, up) = clock();
            chain.checkpoint(&key, time, up, &mut batch);
            let lines: Vec<_> = batch.lines().collect();
            let last = lines.last().unwrap();
            previous = Some(Link {
                boot,
                seq: 5,
                hash: LineHash::of_line(last.as_bytes()),
            });
            for line in lines
                .iter()
                .filter(|it| it.contains("\"kind\":\"checkpoint\""))
            {
                copies.push_str(line);
                copies.push('\n');
            }
            if run == 0 {
                for (number, lines) in (1..).zip(lines.chunks(4)) {
                    let name = Rotated {
                        time: Timestamp::from_millis(NOW + i64::from(number)),
                        boot: file_name::short(boot),
                        number,
                    };
                    let text = lines.join("\n") + "\n";
                    fs::write(file_name::format(&current, &name), text).unwrap();
                }
            } else {
                fs::write(&current, batch.as_bytes()).unwrap();
            }
        }
        fs::write(path.join("log/audit.checkpoints.jsonl"), copies).unwrap();
        Self { path, boots }
    }

    fn log(&self) -> PathBuf {
        self.path.join("log/audit.jsonl")
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, "")
    }

    fn run_with(&self, args: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateless-audit"));
        command.args(args).current_dir(&self.path);
        let pipes = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        for bytes in [&output.stdout, &output.stderr] {
            let is_fine = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n');
            assert!(
                bytes.iter().all(is_fine),
                "{}",
                String::from_utf8_lossy(bytes).escape_debug()
            );
        }
        output
    }

    fn change(&self, change: impl FnOnce(&mut Vec<String>)) {
        let text = fs::read_to_string(self.log()).unwrap();
        let mut lines = text.lines().map(str::to_owned).collect();
        change(&mut lines);
        fs::write(self.log(), lines.join("\n") + "\n").unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
    }
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{}{errors}", text(output));
}

const COPIES: &str = "log/audit.checkpoints.jsonl";

#[test]
fn tl_07_a_log_is_verified_by_its_current_file_its_folder_or_its_files() {
    let folder = Folder::new();
    let files = file_name::set(&folder.log()).unwrap();
    assert_eq!(files.len(), 3);
    let files: Vec<_> = files.iter().map(|it| it.to_str().unwrap()).collect();
    for paths in [vec!["log/audit.jsonl"], vec!["log"], files] {
        let mut args = vec![
            "verify",
            "--now",
            "--key",
            "pub.pem",
            "--checkpoints",
            COPIES,
        ];
        args.extend(paths);
        let output = folder.run(&args);
        assert_code(&output, 0);
        let says = text(&output);
        assert!(says.contains("nothing is wrong in 16 lines"), "{says}");
        assert_eq!(says.matches("signed up to record 5").count(), 2, "{says}");
    }
    let says = text(&folder.run(&["verify", "log"]));
    assert!(says.contains("signatures were not checked"), "{says}");
}

#[test]
fn tl_07_the_first_bad_position_is_the_first_line() {
    let folder = Folder::new();
    folder.change(|lines| lines[2] = lines[2].replace("allowed", "denied"));
    let output = folder.run(&["verify", "--key", "pub.pem", "log/audit.jsonl"]);
    assert_code(&output, 1);
    let first = text(&output).lines().next().unwrap().to_owned();
    let boot = folder.boots[1];
    let says = format!("FIRST BAD POSITION: log/audit.jsonl line 3, boot {boot}, seq 2: altered: ");
    assert!(first.starts_with(&says), "{first}");
    let output = folder.run(&["verify", "--json", "log/audit.jsonl"]);
    assert_code(&output, 1);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["findings"][0]["kind"], "altered");
    assert_eq!(report["findings"][0]["at"]["seq"], 2);
}

#[test]
fn tl_08_a_cut_log_is_found_with_the_second_place() {
    let folder = Folder::new();
    folder.change(|lines| lines.truncate(3));
    let args = ["verify", "--key", "pub.pem", "log"];
    assert_code(&folder.run(&args), 0);
    let output = folder.run(&[&args[..], &["--checkpoints", COPIES]].concat());
    assert_code(&output, 1);
    assert!(text(&output).contains("end_missing"));
    let output = folder.run(&[&args[..], &["--now"]].concat());
    assert_code(&output, 1);
    assert!(text(&output).contains("silent"));
}

#[test]
fn tl_08_only_a_live_log_may_end_with_a_part_of_a_line() {
    let folder = Folder::new();
    let mut text = fs::read(folder.log()).unwrap();
    text.extend(b"{\"v\":1");
    fs::write(folder.log(), text).unwrap();
    assert_code(&folder.run(&["verify", "log"]), 1);
    assert_code(&folder.run(&["verify", "--live", "log"]), 0);
}

#[test]
fn a_folder_is_read_by_the_names_of_its_files_and_what_is_no_log_is_named() {
    // The name of the folder says nothing.
    let folder = Folder::new();
    let checkpoints = folder.path.join("checkpoints");
    fs::rename(folder.path.join("log"), &checkpoints).unwrap();
    let rotated = Rotated {
        time: Timestamp::from_millis(NOW),
        boot: 1,
        number: 1,
    };
    let copies = checkpoints.join("audit.checkpoints.jsonl");
    fs::copy(&copies, file_name::format(&copies, &rotated)).unwrap();
    fs::write(checkpoints.join("other.jsonl"), "{}\n").unwrap();
    fs::create_dir(checkpoints.join("folder.jsonl")).unwrap();
    let output = folder.run(&["verify", "--key", "pub.pem", "checkpoints"]);
    assert_code(&output, 0);
    assert!(text(&output).contains("nothing is wrong in 12 lines"));
    let says = String::from_utf8(output.stderr).unwrap();
    assert!(says.contains("other.jsonl is skipped"), "{says}");
    assert!(
        says.contains("audit.checkpoints.jsonl is skipped"),
        "{says}"
    );
    assert!(!says.contains("folder.jsonl"), "{says}");
    // The second place brings its full files along.
    let path = "checkpoints/audit.checkpoints.jsonl";
    let args = [
        "verify",
        "--key",
        "pub.pem",
        "--checkpoints",
        path,
        "checkpoints",
    ];
    let output = folder.run(&args);
    assert_code(&output, 0);
    let says = text(&output);
    assert!(
        says.contains("the second place has 8 checkpoints since 2026-11-18"),
        "{says}"
    );
    fs::write(&copies, "{\"v\":1").unwrap();
    assert_code(&folder.run(&args), 0);
}

#[test]
fn a_log_of_another_instance_or_of_none_is_a_finding() {
    let folder = Folder::new();
    let args = ["verify", "--instance", "orders-1", "log"];
    assert_code(&folder.run(&args), 0);
    let output = folder.run(&["verify", "--instance", "orders-2", "log"]);
    assert_code(&output, 1);
    assert!(text(&output).contains("other_instance"));
    fs::create_dir(folder.path.join("empty")).unwrap();
    fs::write(folder.path.join("empty/audit.jsonl"), "").unwrap();
    assert_code(&folder.run(&["verify", "empty"]), 0);
    assert_code(
        &folder.run(&["verify", "--instance", "orders-1", "empty"]),
        1,
    );
    assert_code(&folder.run(&["verify", "--now", "empty"]), 1);
}

#[test]
fn what_was_found_is_in_the_exit_code_also_where_nobody_reads() {
    let folder = Folder::new();
    folder.change(|lines| lines[2] = lines[2].replace("allowed", "denied"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_gateless-audit"))
        .args(["verify", "log"])
        .current_dir(&folder.path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_token_is_no_argument() {
    let folder = Folder::new();
    let token = "e30.e30.c2ln";
    let args = [
        "query",
        "--pseudonyms",
        "k=names",
        "--issuer",
        IDP,
        "--token-id",
    ];
    let output = folder.run(&[&args[..], &[token, "log"]].concat());
    assert_code(&output, 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--token-id -"));
    assert_code(
        &folder.run_with(&[&args[..], &["-", "log"]].concat(), token),
        0,
    );
    let output = folder.run_with(&["query", "--token-id", "-", "log"], token);
    assert_code(&output, 2);
}

#[test]
fn what_cannot_be_read_is_no_finding() {
    let folder = Folder::new();
    for args in [
        &["verify"][..],
        &["verify", "nothing.jsonl"],
        &["verify", "--key", "log/audit.jsonl", "log"],
        &["query", "--since", "yesterday", "log"],
        &[
            "query",
            "--subject",
            "alice",
            "--pseudonyms",
            "k=names",
            "log",
        ],
        &["prove", "99", "--boot", &folder.boots[0].to_string(), "log"],
        &["check", "pub.pem", "--key", "pub.pem"],
    ] {
        assert_code(&folder.run(args), 2);
    }
}

#[test]
fn tl_01_a_hostile_log_sends_nothing_to_the_terminal() {
    let folder = Folder::new();
    folder.change(|lines| {
        lines[2] = lines[2].replace("/orders/{id}", "\u{202e}\u{9b}31m\u{7f}é");
        lines[3] = lines[3].replace("orders-1", "\u{202e}\u{9b}");
        lines.push("\u{1b}]0;x\u{7}".to_owned());
    });
    // `run` looks at each byte.
    for args in [
        &["verify", "log"][..],
        &["verify", "--json", "log"],
        &["query", "log"],
        &["query", "--table", "log"],
        &["query", "--ocsf", "log"],
        &["stats", "log"],
        &["tail", "-n", "99", "log/audit.jsonl"],
        &["verify", "log/\u{1b}[31m"],
    ] {
        folder.run(args);
    }
}

#[test]
fn records_are_found_by_who_what_and_when() {
    let folder = Folder::new();
    let names = ["--pseudonyms", "k=names", "--issuer", IDP];
    let alice = PseudonymKey::new("k", SECRET.as_bytes())
        .unwrap()
        .subject(IDP, "alice");
    for (args, count) in [
        (&[][..], 12),
        (&["--limit", "3"], 3),
        (&["--outcome", "denied"], 2),
        (&["--status", "200"], 2),
        (&["--status", "500"], 0),
        (&["--code", "token_invalid"], 2),
        (&["--reason", "expired"], 0),
        (&["--route", "/orders/{id}"], 4),
        (&["--trace", "0af7651916cd43dd8448eb211c80319c"], 0),
        (&["--subject", &alice], 4),
        (&["--subject", "bob"], 0),
        (&["--since", "2026-11-18T11:07:30Z"], 6),
        (&["--until", "2026-11-18T11:07:30Z"], 6),
        (&["--ocsf"], 4),
    ] {
        let output = folder.run(&[&["query"], args, &["log/audit.jsonl"]].concat());
        assert_code(&output, 0);
        assert_eq!(
            text(&output).lines().count(),
            count,
            "{args:?}\n{}",
            text(&output)
        );
    }
    for (args, input, count) in [
        (["--subject", "alice"], "", 4),
        (["--subject", "bob"], "", 0),
        (["--token-id", "token-1"], "", 4),
        (["--token-id", "token-2"], "", 0),
        (["--token-id", "-"], "token-1\n", 4),
        (["--token-id", "-"], "token-2\n", 0),
    ] {
        let args = [&["query"], &names[..], &args, &["log"]].concat();
        let output = folder.run_with(&args, input);
        assert_code(&output, 0);
        assert_eq!(text(&output).lines().count(), count, "{args:?}");
    }
}

#[test]
fn counts_and_the_last_records_are_for_people() {
    let folder = Folder::new();
    let says = text(&folder.run(&["stats", "log"]));
    for part in [
        "records: 12",
        "         2 denied",
        "         4 /orders/{id}",
        "to 2026-11-18",
    ] {
        assert!(says.contains(part), "{part}: {says}");
    }
    let says = text(&folder.run(&["tail", "-n", "3", "log/audit.jsonl"]));
    assert_eq!(says.lines().count(), 3);
    assert!(
        says.contains("denied 401 GET /orders/{id} code=token_invalid"),
        "{says}"
    );
}

#[test]
fn the_tail_follows_across_rotation() {
    let folder = Folder::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_gateless-audit"))
        .args(["tail", "-f", "-n", "1", "log/audit.jsonl"])
        .current_dir(&folder.path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut rows = std::io::BufRead::lines(out);
    assert!(rows.next().unwrap().unwrap().contains("checkpoint"));
    let line = fs::read_to_string(folder.log())
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    let append = |path: &Path, line: &str| {
        let file = fs::OpenOptions::new().append(true).create(true).open(path);
        file.unwrap()
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    };
    append(&folder.log(), &line.replace("\"seq\":0", "\"seq\":6"));
    assert!(rows.next().unwrap().unwrap().contains(" 6 start"));
    let name = Rotated {
        time: Timestamp::from_millis(NOW + 9),
        boot: 1,
        number: 1,
    };
    fs::rename(folder.log(), file_name::format(&folder.log(), &name)).unwrap();
    append(&folder.log(), &line.replace("\"seq\":0", "\"seq\":7"));
    assert!(rows.next().unwrap().unwrap().contains(" 7 start"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn new_keys_are_for_their_owner_and_replace_nothing() {
    let folder = Folder::new();
    let output = folder.run(&["keygen", "seal.pem"]);
    assert_code(&output, 0);
    let pem = fs::read_to_string(folder.path.join("seal.pem")).unwrap();
    let key = SealKey::from_pem(&pem).unwrap();
    let says = text(&output);
    assert!(
        says.starts_with(&key.public().to_pem()) && says.contains(key.id()),
        "{says}"
    );
    assert!(!says.contains("PRIVATE"));
    assert_code(&folder.run(&["pseudonym-key", "new-names"]), 0);
    let secret = fs::read_to_string(folder.path.join("new-names")).unwrap();
    assert_eq!(secret.len(), 44);
    for file in ["seal.pem", "new-names"] {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(folder.path.join(file))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_code(&folder.run(&["keygen", file]), 2);
        assert_code(&folder.run(&["pseudonym-key", file]), 2);
    }
    assert_eq!(
        fs::read_to_string(folder.path.join("seal.pem")).unwrap(),
        pem
    );
}

#[test]
fn one_record_is_proven_without_the_others() {
    let folder = Folder::new();
    let boot = folder.boots[0].to_string();
    let output = folder.run(&["prove", "2", "--boot", &boot, "log/audit.jsonl"]);
    assert_code(&output, 0);
    let proof = text(&output);
    fs::write(folder.path.join("proof.json"), &proof).unwrap();
    let output = folder.run(&["check", "proof.json", "--key", "pub.pem"]);
    assert_code(&output, 0);
    assert!(text(&output).starts_with("signed: {\"v\":1,\"seq\":2,"));
    fs::write(
        folder.path.join("proof.json"),
        proof.replace("allowed", "denied"),
    )
    .unwrap();
    let output = folder.run(&["check", "proof.json", "--key", "pub.pem"]);
    assert_code(&output, 1);
}
