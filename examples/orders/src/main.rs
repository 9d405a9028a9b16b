//! Starts the orders service: `cargo run -p orders`, or `cargo run -p orders -- --tour`; `-- --routes` lists its routes.
//!
//! Standard output has one line `listening on ADDR`, and then the guide or the tour; logs go to standard error. The
//! exit code is 2 for settings that cannot be used, and 1 when the tour, or serving, went wrong.

use std::env;
use std::error::Error;
use std::future::Future;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use gateless::stack::Stack;
use gateless_testkit::TestIssuer;
use orders::config::{Config, Mode};
use orders::store::Store;
use orders::{LAST_RECORDS, policy, tour};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

const USAGE: &str = "usage: orders [--tour | --routes [--json]]

Without arguments it serves until it is told to stop. Environment: BIND, ISSUER, AUDIENCE,
INTROSPECTION_URL, CLIENT_ID, CLIENT_SECRET, DENYLIST_PATH,
REDIS_URL, AUDIT_PATH, RATE_LIMIT, FAILURE_LIMIT, RUST_LOG.
--tour serves, asks itself a number of things, and checks the answers.
--routes prints every route and who gets through to it, for people or as JSON.";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let mode = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Mode::Serve,
        ["--tour"] => Mode::Tour,
        ["--routes"] => return print_routes(false),
        ["--routes", "--json"] => return print_routes(true),
        ["--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let config = match Config::read(mode, |name| env::var_os(name)) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("orders: {error}");
            return ExitCode::from(2);
        }
    };
    match run(mode, config).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("orders: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Who gets through to which route, for people or for programs.
fn print_routes(as_json: bool) -> ExitCode {
    let print = || {
        let table = policy::table()?;
        let mut out = io::stdout();
        if as_json {
            serde_json::to_writer_pretty(&mut out, &table.describe())?;
            writeln!(out)?;
        } else {
            write!(out, "{}", table.describe())?;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    match print() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orders: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well.
async fn run(mode: Mode, config: Config) -> Result<bool, Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(config.log.clone())
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    if config.is_forgetful {
        tracing::warn!("what is revoked is forgotten when the process ends: set DENYLIST_PATH");
    }

    let issuer = match config.is_embedded {
        true => Some(TestIssuer::serve().await?),
        false => None,
    };
    let bind = config.bind;
    let listener = TcpListener::bind(bind)
        .await
        .map_err(|error| format!("cannot listen on {bind}: {error}"))?;
    let address = listener.local_addr()?;
    let (stack, seal) = config.stack(address, issuer.as_ref())?;
    let recorded = stack.audit().ok_or("gateless.toml has no audit")?;
    let store = Store::new();
    let app = orders::app(&stack, store.clone())?;

    // Nobody may be reading any more, which is no reason to stop serving.
    let mut out = io::stdout();
    let announce = |out: &mut io::Stdout| writeln!(out, "listening on {address}");
    match (mode, issuer) {
        (Mode::Tour, Some(issuer)) => {
            let (stop, stopped) = oneshot::channel::<()>();
            let stopped = async {
                let _ = stopped.await;
            };
            let server = tokio::spawn(orders::serve(listener, app, store, stopped));
            stack.ready().await?;
            announce(&mut out)?;
            let subject = tour::Subject {
                address,
                issuer: &issuer,
                audience: &config.audience,
                limits: config.limits,
            };
            let log = tour::Log {
                records: &config.records,
                seal: &seal,
                audit: &recorded,
            };
            let all_right = tour::run(subject, log, &mut out).await?;
            drop(stop);
            server.await??;
            recorded.close(LAST_RECORDS).await?;
            Ok(all_right)
        }
        (_, issuer) => {
            tokio::spawn(warm_up(stack));
            let stop = stop_signal()?;
            let _ = announce(&mut out);
            if let Some(issuer) = &issuer {
                let subject = tour::Subject {
                    address,
                    issuer,
                    audience: &config.audience,
                    limits: config.limits,
                };
                let _ = tour::print_guide(subject, &config.records, &mut out);
            }
            orders::serve(listener, app, store, stop).await?;
            recorded.close(LAST_RECORDS).await?;
            Ok(true)
        }
    }
}

/// Fetches keys before the first request needs them, and finds out whether tokens can be asked about and what is
/// revoked. A service may start while others are away.
async fn warm_up(stack: Stack) {
    match stack.ready().await {
        Ok(()) => tracing::info!("keys are here, and so is what was revoked"),
        Err(error) => tracing::warn!(%error, "starting without: requests get 503 until it is here"),
    }
}

/// Done at ctrl-c, or at SIGTERM where there is such a thing.
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    #[cfg(unix)]
    let mut terminate = {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate())?
    };
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    })
}
