//! `cargo run -p fleet` starts three instances and a Redis, revokes a token, and takes Redis away and gives it back.
//!
//! With `REDIS_URL` it uses that server, and leaves it running. The exit code is 0 only if every answer was right.

use std::env;
use std::error::Error;
use std::io;
use std::process::ExitCode;

use fleet::redis::OwnRedis;
use fleet::walk::{self, Shared};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fleet: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<bool, Box<dyn Error>> {
    let mut shared = match env::var("REDIS_URL") {
        Ok(url) => Shared::Others(url),
        Err(_) => Shared::Own(OwnRedis::start().await?),
    };
    walk::run(&mut shared, &mut io::stdout()).await
}
