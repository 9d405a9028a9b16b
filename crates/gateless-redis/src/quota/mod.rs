//! What callers took, counted for a whole fleet.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use gateless_core::{Ask, ConfigError, Decision, Limit, QuotaStore, StoreFuture, StoreKey, Taken};
use redis::{Cmd, Script, cmd};
use tokio::time::timeout;

use crate::error::Fault;
use crate::keys::{DEFAULT_PREFIX, Keys};
use crate::server::{RedisServer, Shared};

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(CODE));
const CODE: &str = include_str!("take.lua");

/// A [`QuotaStore`] in Redis: one string per caller, which the server forgets when the caller is no longer ahead.
///
/// Each decision is one script on the server, by the clock of the server: instances may disagree on the time. A server
/// that evicts would hand out fresh quotas, so it is refused: `maxmemory-policy` has to be `noeviction`.
///
/// ```
/// use gateless_redis::{RedisQuotas, RedisServer};
///
/// # fn main() -> Result<(), gateless_core::ConfigError> {
/// let server = RedisServer::builder("redis://127.0.0.1").build()?;
/// let quotas = RedisQuotas::new(server);
/// # let _ = quotas;
/// # Ok(())
/// # }
/// ```
pub struct RedisQuotas {
    server: RedisServer,
    keys: Keys,
    shared: Shared,
}

impl RedisQuotas {
    /// The longest time that a burst can be worth, in microseconds: with the time since 1970 it is below 2^53, where the
    /// script counts exactly. A [`Quota`](gateless_core::Quota) that was checked is far from it, a
    /// [share](Limit::share) may not be.
    const LONGEST: u64 = 1 << 52;

    /// Under the prefix `gateless`.
    #[must_use]
    pub fn new(server: RedisServer) -> Self {
        Self {
            server,
            keys: Keys::new(DEFAULT_PREFIX),
            shared: Shared::that_keeps(),
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

    /// Runs the script, which the server may not know yet.
    async fn run(&self, args: &Args) -> Result<Vec<u64>, Fault> {
        let settings = self.server.settings();
        let line = self.shared.get(settings, self.keys.meta()).await?;
        let within = settings.response_deadline();
        let known = args.command("EVALSHA", SCRIPT.get_hash());
        let answer = match line.ask("EVALSHA", &known, within).await {
            Err(Fault::Command { source, .. }) if source.code() == Some("NOSCRIPT") => {
                let unknown = args.command("EVAL", CODE);
                line.ask("EVAL", &unknown, within).await
            }
            answer => answer,
        };
        if (answer.as_ref()).is_err_and(|fault| !fault.is_of_the_request()) {
            self.shared.give_up(&line).await;
        }
        answer
    }

    async fn decide(&self, key: &StoreKey, limits: &[Limit], ask: Ask) -> Result<Taken, Fault> {
        let args = Args::new(self.keys.quota(key), limits, ask)?;
        let settings = self.server.settings();
        let answer = timeout(settings.deadline(), self.run(&args)).await;
        let answer = answer.unwrap_or_else(|_| Err(settings.silent("taking units")))?;
        read(&answer, limits.len()).ok_or(Fault::Garbled {
            what: "the script that takes units",
        })
    }
}

/// What the script is called with.
struct Args {
    key: Vec<u8>,
    numbers: Vec<u64>,
}

impl Args {
    fn new(key: Vec<u8>, limits: &[Limit], ask: Ask) -> Result<Self, Fault> {
        let ask = ask.within(limits);
        let units = [ask.least(), ask.most(), ask.divisor()];
        let mut numbers = Vec::from(units.map(u64::from));
        for limit in limits {
            if limit.tolerance() > RedisQuotas::LONGEST {
                let name = Arc::clone(limit.name());
                return Err(Fault::TooLong { name });
            }
            numbers.extend([limit.interval(), limit.tolerance()]);
        }
        Ok(Self { key, numbers })
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(1).arg(&self.key).arg(&self.numbers);
        command
    }
}

/// What the script answers: whether it is granted; how many units, or the place of a limit; how long to wait; the debts.
fn read(answer: &[u64], limits: usize) -> Option<Taken> {
    let [is_granted, number, wait, debts @ ..] = answer else {
        return None;
    };
    let decision = match is_granted {
        1 => Decision::Granted(u32::try_from(*number).ok()?),
        0 => Decision::Refused {
            limit: usize::try_from(*number)
                .ok()
                .filter(|place| *place < limits)?,
            retry_after: Duration::from_micros(*wait),
        },
        _ => return None,
    };
    let debts = debts.to_vec();
    (debts.len() == limits).then_some(Taken { decision, debts })
}

impl QuotaStore for RedisQuotas {
    /// An error also for a limit whose burst is worth more than a hundred years.
    fn take<'a>(
        &'a self,
        key: &'a StoreKey,
        limits: &'a [Limit],
        ask: Ask,
    ) -> StoreFuture<'a, Taken> {
        Box::pin(async move { Ok(self.decide(key, limits, ask).await?) })
    }
}

impl fmt::Debug for RedisQuotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisQuotas")
            .field("server", &self.server)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use gateless_core::Quota;

    use super::*;

    #[test]
    fn an_answer_that_makes_no_sense_is_none() {
        for answer in [
            &[][..],
            &[1, 2],
            &[1, 2, 0],
            &[1, 2, 0, 5, 5],
            &[2, 2, 0, 5],
            &[0, 1, 7, 5],
            &[1, u64::from(u32::MAX) + 1, 0, 5],
        ] {
            assert_eq!(read(answer, 1), None, "{answer:?}");
        }
        let taken = read(&[1, 2, 0, 5], 1).unwrap();
        assert_eq!(taken.decision, Decision::Granted(2));
        let refused = Decision::Refused {
            limit: 1,
            retry_after: Duration::from_micros(7),
        };
        assert_eq!(read(&[0, 1, 7, 5, 6], 2).unwrap().decision, refused);
    }

    #[test]
    fn tk_13_what_the_script_would_not_count_exactly_is_refused() {
        let years = Duration::from_secs(366 * 86_400);
        let long = Quota::per(1, years).burst(10).check().unwrap();
        let ask = Ask::exactly(u32::MAX);
        let args = Args::new(Vec::new(), std::slice::from_ref(&long), ask).unwrap();
        assert_eq!(args.numbers[..3], [10, 10, 1]);
        let error = Args::new(Vec::new(), &[long.share(1000)], ask)
            .err()
            .unwrap();
        assert!(error.to_string().contains("quota 1-in-"), "{error}");
    }

    /// TK-08: no instance says what time it is.
    #[test]
    fn tk_08_only_units_and_spans_are_sent() {
        let limits = [Quota::per_minute(60).burst(9).check().unwrap()];
        let args = Args::new(b"key".to_vec(), &limits, Ask::stock(1, 20, 4)).unwrap();
        assert_eq!(args.numbers, [1, 9, 4, 1_000_000, 9_000_000]);
    }
}
