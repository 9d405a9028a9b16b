//! The hot path and nothing else, for a tool that counts instructions: `hot-path KIND REQUESTS`.
//!
//! `cargo xtask instructions` runs it under callgrind, which counts what happens below [`hot_requests`].

use std::env;
use std::hint::black_box;
use std::process::ExitCode;

use gateless_bench::{Case, Kind, Whole, answer, asked};

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let [kind, requests] = &*args else {
        eprintln!("usage: hot-path floor|jwt|opaque REQUESTS");
        return ExitCode::from(2);
    };
    let Ok(requests) = requests.parse() else {
        eprintln!("{requests} is no number");
        return ExitCode::from(2);
    };
    let (kind, is_floor) = match kind.as_str() {
        "floor" => (Kind::Jwt(Case::EdDsa), true),
        "jwt" => (Kind::Jwt(Case::EdDsa), false),
        "opaque" => (Kind::Opaque, false),
        _ => {
            eprintln!("{kind} is neither floor, jwt nor opaque");
            return ExitCode::from(2);
        }
    };
    let whole = Whole::new(kind, 8);
    whole.undisturbed(|| hot_requests(&whole, is_floor, requests));
    ExitCode::SUCCESS
}

/// What is counted.
#[inline(never)]
fn hot_requests(whole: &Whole, is_floor: bool, requests: usize) {
    let (mut floor, mut stack) = (whole.noop, whole.stack.clone());
    for field in whole.fields.iter().cycle().take(requests) {
        let request = asked(field);
        let status = if is_floor {
            answer(&mut floor, request)
        } else {
            answer(&mut stack, request)
        };
        assert!(black_box(status).is_success());
    }
}
