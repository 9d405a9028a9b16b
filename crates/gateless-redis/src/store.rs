//! Small values that a fleet shares.

use std::fmt;
use std::time::Duration;

use gateless_core::{ConfigError, SharedStore, StoreFuture, StoreKey};
use redis::cmd;
use tokio::time::timeout;

use crate::error::Fault;
use crate::keys::{DEFAULT_PREFIX, Keys};
use crate::server::{RedisServer, Shared};

/// A [`SharedStore`] in Redis: one string per value, which the server forgets at its end.
///
/// It may run on a server that evicts, as a store may forget anything.
///
/// ```
/// use gateless_redis::{RedisServer, RedisStore};
///
/// # fn main() -> Result<(), gateless_core::ConfigError> {
/// let server = RedisServer::builder("redis://127.0.0.1").build()?;
/// let store = RedisStore::new(server);
/// # let _ = store;
/// # Ok(())
/// # }
/// ```
pub struct RedisStore {
    server: RedisServer,
    keys: Keys,
    shared: Shared,
}

impl RedisStore {
    /// Under the prefix `gateless`.
    #[must_use]
    pub fn new(server: RedisServer) -> Self {
        Self {
            server,
            keys: Keys::new(DEFAULT_PREFIX),
            shared: Shared::default(),
        }
    }

    /// Under a prefix of your own, for fleets that share a server.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is not 1 to 64 letters, digits or characters of `-_.:/`.
    pub fn with_prefix(server: RedisServer, prefix: &str) -> Result<Self, ConfigError> {
        let mut faults = ConfigError::collect();
        Keys::check(prefix, &mut faults);
        faults.into_result()?;
        Ok(Self {
            keys: Keys::new(prefix),
            ..Self::new(server)
        })
    }

    async fn ask<T: redis::FromRedisValue>(
        &self,
        what: &'static str,
        command: &redis::Cmd,
    ) -> Result<T, Fault> {
        let settings = self.server.settings();
        let asked = async {
            let line = self.shared.get(settings, self.keys.meta()).await?;
            let within = settings.response_deadline();
            let answer = line.ask(what, command, within).await;
            if answer.is_err() {
                self.shared.give_up(&line).await;
            }
            answer
        };
        let answer = timeout(settings.deadline(), asked).await;
        answer.unwrap_or_else(|_| Err(settings.silent(what)))
    }
}

impl SharedStore for RedisStore {
    fn get<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let mut command = cmd("GET");
            command.arg(self.keys.value(key));
            Ok(self.ask("GET", &command).await?)
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a StoreKey,
        value: Vec<u8>,
        lifetime: Duration,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            // What no server counts to is as good as for ever.
            let longest = u64::from(u32::MAX) * 1000;
            let millis =
                u64::try_from(lifetime.as_millis()).map_or(longest, |millis| millis.min(longest));
            let mut command = cmd("SET");
            command.arg(self.keys.value(key)).arg(value);
            command.arg("PX").arg(millis.max(1));
            Ok(self.ask("SET", &command).await?)
        })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("server", &self.server)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
