//! What other crates take for the same requests: everybody takes turns in each round, and of many rounds the median and
//! the quartiles are printed. All run in this process, on one thread.
//!
//! Requests are made before a turn. The instance of a service that is called is always the same: a server clones it for each
//! request or connection, which costs some of them more than others, and is left out.

mod contest;
mod limits;
mod tokens;

fn main() {
    // With `--check` only to see that it works.
    let is_measuring = !std::env::args().any(|argument| argument == "--check");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be had");
    let (count, rounds) = if is_measuring {
        (2_000, 1_000)
    } else {
        (400, 2)
    };
    tokens::run(&runtime, count, rounds);
    let counts = if is_measuring { [1, 10_000] } else { [1, 10] };
    limits::run(&runtime, counts, rounds);
}
