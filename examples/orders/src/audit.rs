//! Where records of what was decided go.

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::ConnectInfo;
use gateless::audit::{AuditLog, Backpressure, BootId, FileSink, SealKey, SealPublicKey};
use gateless::{ConfigError, Peer};

/// The log of the service.
#[derive(Clone, Debug)]
pub struct Records {
    path: PathBuf,
}

/// How long the last records may take to be written.
pub const LAST_RECORDS: Duration = Duration::from_secs(5);

impl Records {
    /// In this file, with full ones beside it.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// In a folder of its own among temporary files: for a service that is only tried out.
    #[must_use]
    pub fn temporary() -> Self {
        let folder = format!("orders-audit-{}", BootId::random());
        Self::at(std::env::temp_dir().join(folder).join("audit.jsonl"))
    }

    /// The file that is written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins to write, and says which key the records are sealed with. Nobody is served who cannot be recorded.
    ///
    /// The key is made anew each time and never stored: once the process has ended, nobody can sign a history that
    /// never was. Its public half lies beside the log. A service of your own takes its key from the secrets of the deployment.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn open(&self, address: SocketAddr) -> Result<(AuditLog, SealPublicKey), Box<dyn Error>> {
        let key = SealKey::random();
        let public = key.public().clone();
        let peer = Peer::from_extensions(|extensions| {
            let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
            Some(address.ip())
        });
        let sink = FileSink::new(&self.path).keep_files(10);
        let log = AuditLog::builder(format!("orders {address}"), sink, Backpressure::FailRequest)
            .seal(key)
            .peer(peer)
            .build()
            .map_err(named)?;
        let beside = self.path.with_extension(format!("{}.pem", public.id()));
        fs::write(&beside, public.to_pem())
            .map_err(|error| format!("AUDIT_PATH: cannot write {}: {error}", beside.display()))?;
        Ok((log, public))
    }
}

/// As the setting is called here.
fn named(error: ConfigError) -> String {
    let problem = error.faults().first().map_or("", |fault| fault.problem());
    format!("AUDIT_PATH {problem}")
}
