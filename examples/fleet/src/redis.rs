//! The Redis of the walk: one that runs already, or one of its own.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gateless_redis::RedisServer;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that this process started; it ends with the value.
#[derive(Debug)]
pub struct OwnRedis {
    port: u16,
    child: Option<Child>,
}

impl OwnRedis {
    /// Starts the program that `GATELESS_REDIS_SERVER` names, or the `redis-server` of the `PATH`, on a free port.
    ///
    /// # Errors
    ///
    /// When there is none, or it does not start.
    pub async fn start() -> Result<Self, Box<dyn Error>> {
        let program = env::var_os("GATELESS_REDIS_SERVER");
        Self::start_program(program.unwrap_or_else(|| "redis-server".into())).await
    }

    pub(crate) async fn start_program(program: OsString) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        drop(listener);
        let mut redis = Self { port, child: None };
        redis.run(program).await?;
        Ok(redis)
    }

    /// Starts it again, empty.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn restart(&mut self) -> Result<(), Box<dyn Error>> {
        let program = env::var_os("GATELESS_REDIS_SERVER");
        self.run(program.unwrap_or_else(|| "redis-server".into()))
            .await
    }

    async fn run(&mut self, program: OsString) -> Result<(), Box<dyn Error>> {
        let port = self.port.to_string();
        let child = Command::new(&program)
            .args(["--port", &port, "--bind", "127.0.0.1"])
            // Nothing on the disk: what it loses, the instances put back.
            .args(["--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let child = child.map_err(|error| missing(&program, &error))?;
        let child = self.child.insert(child);
        let server = RedisServer::builder(format!("redis://127.0.0.1:{port}")).build()?;
        let begin = Instant::now();
        while let Err(error) = server.check().await {
            if let Some(status) = child.try_wait()? {
                return Err(format!("redis-server ended at once: {status}").into());
            }
            if begin.elapsed() > PATIENCE {
                return Err(error.into());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// When the system does not let it.
    pub async fn stop(&mut self) -> io::Result<()> {
        match self.child.take() {
            Some(mut child) => child.kill().await,
            None => Ok(()),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

fn missing(program: &OsString, error: &io::Error) -> String {
    format!(
        "{} does not start: {error}. Set REDIS_URL to a Redis that runs, or GATELESS_REDIS_SERVER to a redis-server; \
         `cargo xtask test` finds or installs one",
        program.display()
    )
}
