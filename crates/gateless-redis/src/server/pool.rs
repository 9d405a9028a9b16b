//! Connections that are kept between calls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, FromRedisValue};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::{Connection, Settings};
use crate::error::Fault;

/// Connections for one call at a time. A call that fails or is dropped takes its connection with it, so that no other
/// gets its answer.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<Idle<Connection>>,
}

/// What nobody uses now, with the time when somebody last did.
#[derive(Debug)]
struct Idle<C>(Vec<(C, Instant)>);

impl<C> Idle<C> {
    /// How many are kept: a follower, some that append, and one that loads.
    const KEPT: usize = 6;
    /// What lies between may forget a connection on which nothing happens, and tell nobody.
    const LONGEST: Duration = Duration::from_secs(30);

    /// The one that was used last, of those that may still be used.
    fn take(&mut self, now: Instant, is_open: impl Fn(&C) -> bool) -> Option<C> {
        let is_young = |since: &Instant| now.duration_since(*since) <= Self::LONGEST;
        self.0
            .retain(|(one, since)| is_open(one) && is_young(since));
        self.0.pop().map(|(one, _)| one)
    }

    fn put(&mut self, one: C, now: Instant) {
        if self.0.len() < Self::KEPT {
            self.0.push((one, now));
        }
    }
}

impl Pool {
    pub(crate) const fn new() -> Self {
        Self {
            idle: Mutex::new(Idle(Vec::new())),
        }
    }

    /// One that was used before, or a new one. Nothing that keeps a list may forget by itself.
    pub(crate) async fn take(&self, settings: &Settings, key: &[u8]) -> Result<Connection, Fault> {
        let idle = self.lock().take(Instant::now(), Connection::is_open);
        if let Some(connection) = idle {
            return Ok(connection);
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
        self.lock().put(connection, Instant::now());
    }

    /// Gives up what is idle.
    pub(crate) fn clear(&self) {
        self.lock().0.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Idle<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection for many calls at once, none of which waits on purpose.
///
/// A call may be dropped at any point, by somebody who is in more of a hurry than the deadlines here. So connecting goes on
/// without whoever began it, and a connection that owes an answer for too long is given up by whoever asks next.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    current: Arc<AsyncMutex<Option<Arc<Line>>>>,
    /// Whether the server may not forget by itself.
    has_to_keep: bool,
}

/// A connection, and since when it owes an answer.
#[derive(Debug)]
pub(crate) struct Line {
    connection: Connection,
    silent_since: Mutex<Option<Instant>>,
}

impl Shared {
    /// To a server that may not forget by itself.
    pub(crate) fn that_keeps() -> Self {
        Self {
            current: Arc::default(),
            has_to_keep: true,
        }
    }

    pub(crate) async fn get(
        &self,
        settings: &Arc<Settings>,
        key: Vec<u8>,
    ) -> Result<Arc<Line>, Fault> {
        let mut current = Arc::clone(&self.current).lock_owned().await;
        let within = settings.response_deadline();
        let open = current.as_ref().filter(|line| line.is_of_use(within));
        if let Some(line) = open {
            return Ok(Arc::clone(line));
        }
        let (settings, has_to_keep) = (Arc::clone(settings), self.has_to_keep);
        let opening = tokio::spawn(async move {
            *current = None;
            let connection = if has_to_keep {
                Pool::open(&settings, &key).await?
            } else {
                Connection::open(&settings, &key).await?
            };
            let line = Arc::new(Line {
                connection,
                silent_since: Mutex::default(),
            });
            *current = Some(Arc::clone(&line));
            Ok(line)
        });
        opening.await.unwrap_or_else(|ended| {
            Err(Fault::Connect {
                at: "the server".to_owned(),
                source: ended.into(),
            })
        })
    }

    /// Something went wrong on this one: the next call has a new one.
    pub(crate) async fn give_up(&self, failed: &Arc<Line>) {
        let mut current = self.current.lock().await;
        if (current.as_ref()).is_some_and(|line| Arc::ptr_eq(line, failed)) {
            *current = None;
        }
    }
}

impl Line {
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        what: &'static str,
        command: &Cmd,
        within: Duration,
    ) -> Result<T, Fault> {
        self.silent_since().get_or_insert_with(Instant::now);
        let answer = self.connection.requests().ask(what, command, within).await;
        if !matches!(answer, Err(Fault::Silent { .. })) {
            *self.silent_since() = None;
        }
        answer
    }

    fn is_of_use(&self, within: Duration) -> bool {
        let is_silent = |since: Instant| since.elapsed() > within;
        self.connection.is_open() && !self.silent_since().is_some_and(is_silent)
    }

    fn silent_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.silent_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_idle_for_long_is_not_used_again() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut idle = Idle(Vec::new());
        for (one, seconds) in [(1, 0), (2, 0), (3, 5), (4, 6)] {
            idle.put(one, after(seconds));
        }
        assert_eq!(idle.take(after(30), |_| true), Some(4));
        assert_eq!(idle.take(after(30), |one| *one != 3), Some(2));
        assert_eq!(idle.take(after(31), |_| true), None);
        for one in 0..20 {
            idle.put(one, after(40));
        }
        assert_eq!(idle.0.len(), Idle::<u8>::KEPT);
    }
}
