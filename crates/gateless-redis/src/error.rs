//! What goes wrong with a server, in words for whoever runs it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use gateless_core::StoreError;
use redis::RedisError;

/// Why a call failed. It becomes the source of a [`StoreError`], and holds no password and no name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("cannot connect to {at}")]
    Connect {
        at: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{what}: no answer within {after:?}")]
    Silent { what: &'static str, after: Duration },
    #[error("{what} failed{}", hint(source))]
    Command {
        what: &'static str,
        source: RedisError,
    },
    #[error("{what}: the answer cannot be understood")]
    Garbled { what: &'static str },
    #[error("{at} is a replica: a list is read from and written to the master")]
    Replica { at: String },
    #[error("no sentinel knows where the master is")]
    NoMaster { source: Option<Box<Self>> },
    #[error("no node of the cluster says who serves the slot of the keys")]
    NoNode { source: Option<Box<Self>> },
    #[error(
        "maxmemory-policy is {policy}: the server may drop what has to be kept; set it to noeviction"
    )]
    Evicts { policy: String },
    #[error(
        "the server dropped a part of the list that is in force: the log begins anew, and who follows it puts back what it has"
    )]
    Dropped,
    #[error("the log began anew while it was read")]
    Moved,
    #[error(
        "{got} of {wanted} replicas confirmed the changes in time: they may have been stored nevertheless"
    )]
    Replicas { wanted: u32, got: u64 },
    #[error("a burst of the quota {name} is worth more than a hundred years")]
    TooLong { name: Arc<str> },
    #[error("{0} changes are too many for one call")]
    TooMany(usize),
    #[error("a change in the log is of a kind that this version does not know")]
    Unknown,
    #[error("the system has no randomness")]
    Random(#[source] getrandom::Error),
}

impl Fault {
    /// Whether the connection ended, rather than the server saying no.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Command { source, .. } => source.is_connection_dropped() || source.is_io_error(),
            _ => false,
        }
    }

    /// Whether nobody may be there any more.
    pub(crate) fn is_of_the_connection(&self) -> bool {
        matches!(self, Self::Silent { .. }) || self.is_closed()
    }

    /// Whether the server said no to this one request, so that another connection would be of no use.
    pub(crate) fn is_of_the_request(&self) -> bool {
        match self {
            Self::Command { source, .. } => {
                matches!(source.code(), Some("OOM" | "WRONGTYPE" | "NOPERM"))
            }
            _ => false,
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}

/// What the code of an error means for whoever runs the server.
fn hint(error: &RedisError) -> &'static str {
    match error.code() {
        Some("OOM") => ": the server has no memory left, and nothing was stored",
        Some("READONLY") => ": the server is a replica, and nothing was stored",
        Some("LOADING") => ": the server is still reading its data",
        Some("MISCONF") => ": the server cannot write its data to disk, and takes nothing more",
        Some("NOREPLICAS") => ": the server has too few replicas, and takes nothing more",
        Some("NOPERM") => {
            ": the user may not do that; the documentation of gateless-redis has the ACL line"
        }
        Some("NOAUTH") => ": the server wants a password",
        Some("WRONGPASS") => ": the server knows no such user and password",
        Some("MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "CROSSSLOT") => {
            ": the cluster is changing, or the server is of a cluster and was not set up as one"
        }
        Some("WRONGTYPE") => ": somebody else uses these keys; choose another prefix",
        _ => "",
    }
}
