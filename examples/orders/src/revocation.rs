//! What was revoked: where it is kept, and the layer that refuses it.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use gateless::denylist::{
    Denylist, Ephemeral, RevocationApi, RevocationFile, RevocationFileError, RevocationOutbox,
};
use gateless::{ConfigError, OnOutage, RevocationLog, scope};
use gateless_redis::{RedisLog, RedisServer};

use crate::auth::Auth;

/// Where revocations are kept.
#[derive(Clone, Debug)]
pub enum Revocations {
    /// In this process: they are forgotten when it ends.
    Process,
    /// In a file, for one instance of the service.
    File(PathBuf),
    /// In Redis, for all instances; and while that is away in a file, if there is one.
    Redis(RedisServer, Option<PathBuf>),
}

impl Revocations {
    /// Opens what they are kept in.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or is damaged.
    pub fn open(&self) -> Result<Arc<dyn RevocationLog>, Box<dyn Error>> {
        Ok(match self {
            Self::Process => {
                tracing::warn!(
                    "what is revoked is forgotten when the process ends: set DENYLIST_PATH"
                );
                Arc::new(Ephemeral::new())
            }
            Self::File(path) => Arc::new(RevocationFile::open(path).map_err(unusable)?),
            Self::Redis(server, queue) => {
                let log = Arc::new(RedisLog::new(server.clone())?);
                match queue {
                    None => log,
                    Some(path) => {
                        let outbox = RevocationOutbox::builder(log, path).open();
                        Arc::new(outbox.map_err(unusable)?)
                    }
                }
            }
        })
    }
}

fn unusable(error: RevocationFileError) -> String {
    format!("DENYLIST_PATH: {error}")
}

/// Refuses what is revoked in `log`. When that cannot be reached for half a minute, every token is refused with 503: what
/// was revoked meanwhile is not known.
///
/// # Errors
///
/// [`ConfigError`] outside of a tokio runtime.
pub fn denylist(log: Arc<dyn RevocationLog>, auth: &Auth) -> Result<Denylist, ConfigError> {
    let mut builder = Denylist::builder(log, OnOutage::FailClosed).forgets(auth.keys().clone());
    if let Some(introspection) = auth.introspection() {
        builder = builder.forgets(introspection.clone());
    }
    builder.build()
}

/// The way in for operators, who revoke tokens of the issuers that are believed.
pub(crate) fn api(denylist: &Denylist, auth: &Auth) -> Result<RevocationApi, ConfigError> {
    let mut builder = RevocationApi::builder(denylist.handle(), scope!("tokens:revoke"));
    for issuer in auth.issuers() {
        builder = builder.issuer(issuer);
    }
    builder.build()
}
