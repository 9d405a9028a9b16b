//! `cargo xtask soak`: a small fleet under mixed load for minutes, while all that it depends on breaks down and comes back.
//!
//! Two processes of `orders` share one Redis and one issuer. Each answer is held against what it has to be at that moment;
//! the memory of the processes has to stay flat; and at the end their audit logs are verified and counted. The README beside
//! this file says what exactly is asserted.

mod audit;
#[allow(
    clippy::indexing_slicing,
    reason = "written for tests, where clippy.toml allows it"
)]
#[path = "../../crates/gateless-redis/tests/common/mod.rs"]
mod common;
mod faults;
mod fleet;
mod front;
mod load;
mod memory;
mod oracle;
mod stats;
mod tokens;
mod wire;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::fleet::Fleet;
use self::stats::Stats;

const USAGE: &str = "usage: soak ORDERS MINUTES [SEED]

ORDERS is the program of the service. `cargo xtask soak [MINUTES]` builds it and starts this.";

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["front", port, upstream] => front::run(port, upstream).await,
        [orders, minutes] => soak(orders, minutes, &from_the_clock()).await,
        [orders, minutes, seed] => soak(orders, minutes, seed).await,
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// A seed that was not used before.
fn from_the_clock() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs().to_string()
}

async fn soak(orders: &str, minutes: &str, seed: &str) -> ExitCode {
    let (Ok(minutes), Ok(seed)) = (minutes.parse::<u32>(), seed.parse::<u64>()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let duration = Duration::from_secs(60) * minutes.max(1);
    let schedule = faults::schedule(seed, duration);
    println!("soak: {} min, seed {seed}", minutes.max(1));
    for planned in &schedule {
        println!("  {planned}");
    }
    let stats = Arc::new(Stats::default());
    let fleet = Arc::new(Fleet::start(PathBuf::from(orders), Arc::clone(&stats)).await);
    println!("ready: {}", fleet.describe());
    fleet.begin(duration);
    let load = load::start(&fleet, seed);
    let sampler = memory::watch(Arc::clone(&fleet));
    faults::carry_out(&fleet, &schedule).await;
    load.finish().await;
    let memory = sampler.finish().await;
    let ends = fleet.stop().await;

    let mut faults = stats.print();
    faults.extend(ends);
    faults.extend(memory::check(&memory, duration));
    faults.extend(audit::check(&fleet));
    fleet.clean_up(faults.is_empty());
    if faults.is_empty() {
        println!("soak: all of it was right");
        return ExitCode::SUCCESS;
    }
    for fault in &faults {
        println!("WRONG: {fault}");
    }
    println!("soak: {} faults; again with seed {seed}", faults.len());
    ExitCode::FAILURE
}
