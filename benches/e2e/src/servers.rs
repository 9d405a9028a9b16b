//! Who takes part, and what has to be started for it.

use std::env;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use gateless_bench::{AUDIENCE, Case};
use gateless_testkit::TestIssuer;
use orders::store::{Draft, Store};

use crate::load::Load;
use crate::process::Process;
use crate::{Result, proxy};

/// How many orders there are, so that answers have some bytes.
const ORDERS: u32 = 10;

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// The handlers without layers.
    Unprotected,
    /// All layers.
    Protected,
    /// A proxy that looks at nothing, in front of the handlers.
    Proxy,
    /// A proxy that checks tokens.
    ProxyWithTokens,
}

impl Contestant {
    pub(crate) const ALL: [Self; 4] = [
        Self::Unprotected,
        Self::Protected,
        Self::Proxy,
        Self::ProxyWithTokens,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unprotected => "unprotected",
            Self::Protected => "protected",
            Self::Proxy => "plain HAProxy",
            Self::ProxyWithTokens => "HAProxy, jwt_verify",
        }
    }

    /// HAProxy knows no EdDSA.
    pub(crate) fn takes(self, case: Case) -> bool {
        self != Self::ProxyWithTokens || case != Case::EdDsa
    }

    const fn refuses(self) -> bool {
        matches!(self, Self::Protected | Self::ProxyWithTokens)
    }
}

/// One that runs, with all of its processes.
pub(crate) struct Server {
    contestant: Contestant,
    address: SocketAddr,
    processes: Vec<Process>,
    bad: Vec<(u16, String)>,
    good: String,
}

impl Server {
    pub(crate) fn start(
        contestant: Contestant,
        case: Case,
        issuer: &TestIssuer,
        folder: &Path,
    ) -> Result<Self> {
        let (address, processes) = match contestant {
            Contestant::Unprotected => bare(folder)?,
            Contestant::Protected => {
                let (address, process) = protected(issuer, folder)?;
                (address, vec![process])
            }
            Contestant::Proxy | Contestant::ProxyWithTokens => {
                let (inner, mut processes) = bare(folder)?;
                let validates = contestant.refuses().then_some((case, issuer));
                let (process, address) = proxy::start(inner, validates, folder)?;
                processes.push(process);
                (address, processes)
            }
        };
        let token = || {
            let token = issuer
                .token()
                .algorithm(case.algorithm())
                .audience(AUDIENCE);
            token.scope("orders:read orders:write")
        };
        Ok(Self {
            contestant,
            address,
            processes,
            bad: vec![
                (401, token().signature(vec![1; 64]).mint()),
                (
                    401,
                    token().audience("https://elsewhere.example.com").mint(),
                ),
                (401, token().expires_in(-3600).mint()),
                (403, token().scope("orders:write").mint()),
            ],
            good: token().mint(),
        })
    }

    pub(crate) const fn contestant(&self) -> Contestant {
        self.contestant
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU time of all its processes.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let times = self.processes.iter().map(Process::cpu);
        times.sum::<Result<Duration>>()
    }

    /// Sees to it that it refuses what it should.
    pub(crate) fn judges(&self) -> Result<()> {
        let good = [(200, self.good.clone())];
        for (expected, token) in self.bad.iter().chain(&good) {
            let expected = if self.contestant.refuses() {
                *expected
            } else {
                200
            };
            let status = Load::status(self.address, token)?;
            if status != expected {
                let name = self.contestant.name();
                return Err(format!("{name} answers {status} instead of {expected}").into());
            }
        }
        Ok(())
    }
}

/// The handlers, as a process of their own: this program once more.
fn bare(folder: &Path) -> Result<(SocketAddr, Vec<Process>)> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("serve-bare").stdout(Stdio::piped());
    command.stderr(File::create(folder.join("bare.log"))?);
    let mut process = Process::start(&mut command)?;
    let address = process.announced()?;
    Ok((address, vec![process]))
}

/// What that process does.
pub(crate) fn serve_bare() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = Store::new();
        for _ in 0..ORDERS {
            store.create(Draft::new("tea", 2)?, "248289761001")?;
        }
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("listening on {}", listener.local_addr()?);
        let app = orders::bare(store.clone());
        orders::serve(listener, app, store, std::future::pending()).await?;
        Ok(())
    })
}

/// The service as it is delivered, with a limit that nobody reaches.
fn protected(issuer: &TestIssuer, folder: &Path) -> Result<(SocketAddr, Process)> {
    let program = beside("orders")?;
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("BIND", "127.0.0.1:0")
        .env("ISSUER", issuer.issuer())
        .env("AUDIENCE", AUDIENCE)
        .env("AUDIT_PATH", folder.join("audit.jsonl"))
        .env("RATE_LIMIT", "6000000")
        .env("RUST_LOG", "warn")
        .stdout(Stdio::piped())
        .stderr(File::create(folder.join("orders.log"))?);
    let mut process = Process::start(&mut command)?;
    let address = process.announced()?;
    let writer = issuer.token().audience(AUDIENCE).subject("248289761001");
    let writer = writer.scope("orders:read orders:write").mint();
    let begin = Instant::now();
    // Keys are fetched while it starts.
    while Load::status(address, &writer)? == 503 && begin.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(20));
    }
    for _ in 0..ORDERS {
        let status = Load::create(address, &writer)?;
        if status != 201 {
            return Err(format!("an order is answered with {status}").into());
        }
    }
    Ok((address, process))
}

/// A program that was built in the same profile as this one.
fn beside(name: &str) -> Result<PathBuf> {
    let path = env::current_exe()?.with_file_name(format!("{name}{}", env::consts::EXE_SUFFIX));
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "there is no {}: cargo build --release -p {name}",
        path.display()
    )
    .into())
}
