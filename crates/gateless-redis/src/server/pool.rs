//! Connections that are kept between calls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

use super::connect::Requests;
use super::{Connection, Settings};
use crate::error::Fault;

/// Connections for one call at a time. A call that fails or is dropped takes its connection with it, so that no other
/// gets its answer.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// How many are kept: a follower, some that append, and one that loads.
    const KEPT: usize = 6;

    pub(crate) const fn new() -> Self {
        Self {
            idle: Mutex::new(Vec::new()),
        }
    }

    /// One that was used before, or a new one. Nothing that keeps a list may forget by itself.
    pub(crate) async fn take(&self, settings: &Settings, key: &[u8]) -> Result<Connection, Fault> {
        {
            let mut idle = self.lock();
            idle.retain(Connection::is_open);
            if let Some(connection) = idle.pop() {
                return Ok(connection);
            }
        }
        Self::open(settings, key).await
    }

    /// A new one.
    pub(crate) async fn open(settings: &Settings, key: &[u8]) -> Result<Connection, Fault> {
        let connection = Connection::open(settings, key).await?;
        let within = settings.response_deadline();
        connection.refuse_eviction(within).await?;
        Ok(connection)
    }

    /// For the next call. Only after every answer of this one has come.
    pub(crate) fn put(&self, connection: Connection) {
        let mut idle = self.lock();
        if idle.len() < Self::KEPT {
            idle.push(connection);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection for many calls at once, none of which waits on purpose.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    current: AsyncMutex<Option<Arc<Connection>>>,
}

impl Shared {
    pub(crate) async fn get(
        &self,
        settings: &Settings,
        key: &[u8],
    ) -> Result<(Arc<Connection>, Requests), Fault> {
        let mut current = self.current.lock().await;
        let open = current.as_ref().filter(|connection| connection.is_open());
        let connection = match open {
            Some(connection) => Arc::clone(connection),
            None => Arc::new(Connection::open(settings, key).await?),
        };
        *current = Some(Arc::clone(&connection));
        let requests = connection.requests();
        Ok((connection, requests))
    }

    /// Something went wrong on this one: the next call has a new one.
    pub(crate) async fn give_up(&self, failed: &Arc<Connection>) {
        let mut current = self.current.lock().await;
        if (current.as_ref()).is_some_and(|connection| Arc::ptr_eq(connection, failed)) {
            *current = None;
        }
    }
}
