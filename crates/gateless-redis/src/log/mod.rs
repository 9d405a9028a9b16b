//! The history of a denylist, as a stream and what is in force.

mod position;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use gateless_core::{
    Appended, ConfigError, LogPosition, LogTail, RevocationChange, RevocationLog, RevocationRecord,
    StoreFuture, Timestamp,
};
use redis::{Cmd, Pipeline, Script, Value, cmd};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use self::position::{Entry, Place, Verdict, judge};
use crate::error::Fault;
use crate::keys::{Bucket, DEFAULT_PREFIX, Keys};
use crate::server::{Connection, Pool, RedisServer};

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(CODE));
const CODE: &str = include_str!("append.lua");

/// A [`RevocationLog`] in Redis, for a fleet: a change reaches all who follow it within milliseconds.
///
/// ```no_run
/// use std::time::Duration;
///
/// use gateless_core::{Revocation, RevocationChange, RevocationLog, Timestamp};
/// use gateless_redis::{RedisLog, RedisServer};
///
/// # async fn run(now: Timestamp) -> Result<(), Box<dyn std::error::Error>> {
/// let server = RedisServer::builder("redis://127.0.0.1").build()?;
/// let log = RedisLog::builder(server).min_replicas(1).build()?;
///
/// let position = log.load(&mut |records| println!("{} are revoked", records.len())).await?;
/// let day = Duration::from_secs(86_400);
/// let record = Revocation::session("https://idp.example.com", "session-1").record(now, day, Duration::ZERO);
/// log.append(&[RevocationChange::Revoke(record)]).await?;
/// println!("{:?}", log.follow(&position, Duration::from_secs(5)).await?);
/// # Ok(())
/// # }
/// ```
pub struct RedisLog {
    server: RedisServer,
    keys: Keys,
    keep_changes: u32,
    settle: Duration,
    min_replicas: u32,
    pool: Pool,
    appends: Semaphore,
    /// The buckets that were there when somebody looked last.
    buckets: Mutex<BTreeSet<Bucket>>,
}

/// What the script says about the log.
struct State {
    head: Place,
    born: Timestamp,
    now: Timestamp,
    is_mended: bool,
}

impl RedisLog {
    /// How many changes one call may append. A thousand at a time hold up the server for less.
    pub const MAX_CHANGES: usize = 10_000;

    /// How many appends are under way at once. More wait for these.
    const APPENDS: usize = 4;
    /// How many records are read at once.
    const PART: usize = 1000;
    /// How many changes are read at once. Who was away for long needs a few rounds.
    const CHANGES: usize = 5000;
    /// How long a follower waits before it looks whether the log is still the same: a server that lost everything wakes
    /// nobody up.
    const SLICE: Duration = Duration::from_secs(1);

    /// A log on `server` with the defaults.
    ///
    /// # Errors
    ///
    /// None with the defaults; see [`RedisLogBuilder::build`].
    pub fn new(server: RedisServer) -> Result<Self, ConfigError> {
        Self::builder(server).build()
    }

    /// A log on `server` with settings of your own.
    pub fn builder(server: RedisServer) -> RedisLogBuilder {
        RedisLogBuilder {
            server,
            prefix: DEFAULT_PREFIX.to_owned(),
            keep_changes: 100_000,
            settle: Duration::from_secs(3),
            min_replicas: 0,
        }
    }

    async fn take(&self) -> Result<Connection, Fault> {
        self.pool
            .take(self.server.settings(), &self.keys.meta())
            .await
    }

    async fn open(&self) -> Result<Connection, Fault> {
        Pool::open(self.server.settings(), &self.keys.meta()).await
    }

    /// Where one connection is dead, the others are likely to be as well.
    fn notice<T>(&self, done: Result<T, Fault>) -> Result<T, Fault> {
        if done.as_ref().is_err_and(Fault::is_of_the_connection) {
            self.pool.clear();
        }
        done
    }

    fn within(&self) -> Duration {
        self.server.settings().response_deadline()
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the script, with every bucket among its keys.
    async fn run(
        &self,
        connection: &Connection,
        changes: &[RevocationChange],
    ) -> Result<State, Fault> {
        const WHAT: &str = "the script that appends";
        let now = wall();
        let needed = changes.iter().filter_map(|change| match change {
            RevocationChange::Revoke(record) => Some(Bucket::of(record.until(), now)),
            _ => None,
        });
        let needed: BTreeSet<Bucket> = needed.chain([Bucket::Ever]).collect();
        // Another instance may come up with a new bucket in between, but not for ever.
        for _ in 0..5 {
            let buckets: Vec<Bucket> = self.known().union(&needed).copied().collect();
            let command = self.command(&buckets, changes, now)?;
            let answer = self.eval(connection, &command).await?;
            let Value::Array(parts) = answer else {
                return Err(Fault::Garbled { what: WHAT });
            };
            if let [Value::BulkString(word), Value::Array(names)] = parts.as_slice()
                && word == b"buckets"
            {
                let mut known = self.known();
                for name in names {
                    let Value::BulkString(name) = name else {
                        continue;
                    };
                    let bucket = Bucket::from_name(name);
                    known.insert(bucket.ok_or(Fault::Garbled { what: WHAT })?);
                }
                continue;
            }
            let state = State::read(&parts).ok_or(Fault::Garbled { what: WHAT })?;
            let mut known = self.known();
            known.extend(buckets);
            known.retain(|bucket| !bucket.is_over(state.now));
            return Ok(state);
        }
        Err(Fault::Moved)
    }

    /// All but the script itself: what comes behind `EVALSHA <digest>`.
    fn command(
        &self,
        buckets: &[Bucket],
        changes: &[RevocationChange],
        now: Timestamp,
    ) -> Result<Vec<Vec<u8>>, Fault> {
        let number = |number: usize| number.to_string().into_bytes();
        let mut args = Vec::with_capacity(10 + 2 * (buckets.len() + changes.len()));
        args.push(number(2 + buckets.len()));
        args.push(self.keys.meta());
        args.push(self.keys.changes());
        args.extend(buckets.iter().map(|bucket| self.keys.bucket(bucket)));
        args.push(random()?.to_vec());
        args.push(random()?.to_vec());
        args.push(self.keep_changes.to_string().into_bytes());
        args.push(number(usize::from(
            self.min_replicas > 0 && !changes.is_empty(),
        )));
        args.push(number(buckets.len()));
        args.extend(buckets.iter().map(|bucket| bucket.name().into_bytes()));
        for change in changes {
            let place = match change {
                RevocationChange::Revoke(record) => {
                    let bucket = Bucket::of(record.until(), now);
                    buckets.iter().position(|other| *other == bucket)
                }
                _ => None,
            };
            args.push(change.to_bytes());
            args.push(number(place.map_or(0, |place| place + 1)));
        }
        Ok(args)
    }

    async fn eval(&self, connection: &Connection, args: &[Vec<u8>]) -> Result<Value, Fault> {
        const WHAT: &str = "EVALSHA";
        let mut requests = connection.requests();
        let mut command = cmd("EVALSHA");
        command.arg(SCRIPT.get_hash()).arg(args);
        match requests.ask(WHAT, &command, self.within()).await {
            Err(Fault::Command { source, .. }) if source.code() == Some("NOSCRIPT") => {
                let mut command = cmd("EVAL");
                command.arg(CODE).arg(args);
                requests.ask("EVAL", &command, self.within()).await
            }
            answer => answer,
        }
    }

    async fn put_at_the_end(&self, changes: &[RevocationChange]) -> Result<Appended, Fault> {
        if changes.len() > Self::MAX_CHANGES {
            return Err(Fault::TooMany(changes.len()));
        }
        let _turn = self.appends.acquire().await;
        let connection = self.take().await?;
        self.run(&connection, changes).await?;
        if self.min_replicas > 0 {
            let patience = self.within().mul_f32(0.75).as_millis().max(1);
            let mut command = cmd("WAIT");
            command.arg(self.min_replicas);
            command.arg(u64::try_from(patience).unwrap_or(u64::MAX));
            let mut requests = connection.requests();
            let got: u64 = requests.ask("WAIT", &command, self.within()).await?;
            if got < u64::from(self.min_replicas) {
                return Err(Fault::Replicas {
                    wanted: self.min_replicas,
                    got,
                });
            }
        }
        self.pool.put(connection);
        Ok(Appended::Stored)
    }

    async fn read_all(
        &self,
        sink: &mut (dyn FnMut(&[RevocationRecord]) + Send),
    ) -> Result<LogPosition, Fault> {
        let connection = self.open().await?;
        let mut state = self.run(&connection, &[]).await?;
        let age = state.now.since(state.born);
        // Once, whatever the clock of the server says then: the next server may be behind the one where the log was born.
        if let Some(left) = self.settle.checked_sub(age)
            && !left.is_zero()
            && !state.is_mended
        {
            sleep(left).await;
            let settled = self.run(&connection, &[]).await?;
            if settled.head.epoch != state.head.epoch && !settled.is_mended {
                return Err(Fault::Moved);
            }
            state = settled;
        }
        if state.is_mended {
            return Err(Fault::Dropped);
        }
        let buckets: Vec<Bucket> = self.known().iter().copied().collect();
        for bucket in buckets {
            self.scan(&connection, &bucket, sink).await?;
        }
        let after = self.run(&connection, &[]).await?;
        if after.is_mended {
            return Err(Fault::Dropped);
        }
        if after.head.epoch != state.head.epoch || after.head.sequence < state.head.sequence {
            return Err(Fault::Moved);
        }
        Ok(state.head.write())
    }

    async fn scan(
        &self,
        connection: &Connection,
        bucket: &Bucket,
        sink: &mut (dyn FnMut(&[RevocationRecord]) + Send),
    ) -> Result<(), Fault> {
        const WHAT: &str = "HSCAN";
        let key = self.keys.bucket(bucket);
        let mut requests = connection.requests();
        let mut cursor = b"0".to_vec();
        loop {
            let mut command = cmd(WHAT);
            command.arg(&key).arg(&cursor).arg("COUNT").arg(Self::PART);
            let (next, pairs): (Vec<u8>, Vec<Vec<u8>>) =
                requests.ask(WHAT, &command, self.within()).await?;
            let records: Option<Vec<_>> = (pairs.chunks(2))
                .map(|pair| RevocationRecord::from_bytes(pair.last()?))
                .collect();
            let records = records.ok_or(Fault::Unknown)?;
            if !records.is_empty() {
                sink(&records);
            }
            if next == b"0" {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// All that is there when the first answer comes, however many answers it takes: whoever has it knows everything then.
    async fn read_behind(&self, position: &LogPosition, wait: Duration) -> Result<LogTail, Fault> {
        let Some(start) = Place::read(position) else {
            return Ok(LogTail::Lost);
        };
        let (mut place, mut all, mut end) = (start, Vec::new(), None);
        let begin = Instant::now();
        let mut was_ahead = false;
        let mut connection = self.take().await?;
        let mut is_tried = false;
        loop {
            let left = wait.saturating_sub(begin.elapsed());
            let block = if was_ahead || end.is_some() {
                Duration::ZERO
            } else {
                left.min(Self::SLICE)
            };
            let (entries, head) = match self.read(&connection, &place, block).await {
                // It may have been closed while nobody used it. Reading twice does no harm.
                Err(fault) if !is_tried && fault.is_closed() => {
                    self.pool.clear();
                    is_tried = true;
                    connection = self.open().await?;
                    continue;
                }
                read => read?,
            };
            is_tried = true;
            let tail = match judge(&place, &entries, head.as_ref())? {
                Verdict::Broken(tail) => tail,
                Verdict::More(changes, at) => {
                    all.extend(changes);
                    (place, was_ahead) = (at, false);
                    let head = head.map_or(at.sequence, |head| head.sequence);
                    let end = *end.get_or_insert(head);
                    if end.saturating_sub(start.sequence) > u64::from(self.keep_changes) {
                        // An instance with other settings keeps more. Loading is cheaper then.
                        LogTail::Gap
                    } else if at.sequence < end {
                        continue;
                    } else {
                        let position = at.write();
                        let changes = all;
                        LogTail::Changes { changes, position }
                    }
                }
                Verdict::UpToDate if end.is_some() || left <= Self::SLICE => LogTail::Changes {
                    changes: all,
                    position: place.write(),
                },
                Verdict::UpToDate => {
                    was_ahead = false;
                    continue;
                }
                Verdict::Ahead if was_ahead => LogTail::Gap,
                Verdict::Ahead => {
                    was_ahead = true;
                    continue;
                }
            };
            self.pool.put(connection);
            return Ok(tail);
        }
    }

    /// What is behind `place`, and then where the log is. In this order, so that nothing is missed between them.
    async fn read(
        &self,
        connection: &Connection,
        place: &Place,
        block: Duration,
    ) -> Result<(Vec<Entry>, Option<Place>), Fault> {
        const WHAT: &str = "XREAD";
        let mut read = Cmd::new();
        read.arg(WHAT).arg("COUNT").arg(Self::CHANGES);
        // Zero would be for ever.
        if let Ok(millis @ 1..) = u64::try_from(block.as_millis()) {
            read.arg("BLOCK").arg(millis);
        }
        let behind = format!("{}-0", place.sequence);
        read.arg("STREAMS").arg(self.keys.changes()).arg(behind);
        let mut commands = Pipeline::new();
        commands.add_command(read);
        let fields = ["epoch", "head", "nonce"];
        commands.cmd("HMGET").arg(self.keys.meta()).arg(&fields);
        commands.cmd("ROLE");
        let mut requests = connection.requests();
        let within = block.saturating_add(self.within());
        let (entries, fields, role): (Value, Vec<Option<Vec<u8>>>, Value) =
            requests.ask_all(WHAT, &commands, within).await?;
        requests.judge_role(&role)?;
        let entries = Entry::read(&entries).ok_or(Fault::Garbled { what: WHAT })?;
        let [epoch, head, nonce] = fields.as_slice() else {
            return Err(Fault::Garbled { what: "HMGET" });
        };
        let head = Place::from_fields(epoch.as_deref(), head.as_deref(), nonce.as_deref());
        Ok((entries, head))
    }
}

/// What the wall clock of this machine says.
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::EPOCH.saturating_add(since.unwrap_or_default())
}

impl State {
    fn read(parts: &[Value]) -> Option<Self> {
        let [_, epoch, head, nonce, born, now, Value::Int(is_mended)] = parts else {
            return None;
        };
        let bytes = |value: &'_ Value| match value {
            Value::BulkString(bytes) => Some(bytes.clone()),
            _ => None,
        };
        let millis = |value| {
            let text = String::from_utf8(bytes(value)?).ok()?;
            text.parse().ok().map(Timestamp::from_millis)
        };
        let (epoch, head, nonce) = (bytes(epoch), bytes(head), bytes(nonce));
        Some(Self {
            head: Place::from_fields(epoch.as_deref(), head.as_deref(), nonce.as_deref())?,
            born: millis(born)?,
            now: millis(now)?,
            is_mended: *is_mended != 0,
        })
    }
}

fn random() -> Result<[u8; 16], Fault> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Fault::Random)?;
    Ok(bytes)
}

impl RevocationLog for RedisLog {
    /// At most [`MAX_CHANGES`](Self::MAX_CHANGES) changes. A revocation that the log has, for as long, is not put there
    /// again.
    fn append<'a>(&'a self, changes: &'a [RevocationChange]) -> StoreFuture<'a, Appended> {
        Box::pin(async move {
            let settings = self.server.settings();
            let appended = timeout(settings.deadline(), self.put_at_the_end(changes)).await;
            let appended = appended.unwrap_or_else(|_| Err(settings.silent("appending")));
            Ok(self.notice(appended)?)
        })
    }

    fn load<'a>(
        &'a self,
        sink: &'a mut (dyn FnMut(&[RevocationRecord]) + Send),
    ) -> StoreFuture<'a, LogPosition> {
        Box::pin(async move { Ok(self.notice(self.read_all(sink).await)?) })
    }

    fn follow<'a>(&'a self, position: &'a LogPosition, wait: Duration) -> StoreFuture<'a, LogTail> {
        Box::pin(async move { Ok(self.notice(self.read_behind(position, wait).await)?) })
    }
}

impl fmt::Debug for RedisLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLog")
            .field("server", &self.server)
            .field("keys", &self.keys)
            .field("keep_changes", &self.keep_changes)
            .field("settle", &self.settle)
            .field("min_replicas", &self.min_replicas)
            .finish_non_exhaustive()
    }
}

/// What a [`RedisLog`] is made from.
#[derive(Debug)]
#[must_use]
pub struct RedisLogBuilder {
    server: RedisServer,
    prefix: String,
    keep_changes: u32,
    settle: Duration,
    min_replicas: u32,
}

impl RedisLogBuilder {
    /// What the keys begin with, for fleets that share a server. By default `gateless`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How many changes stay in the stream, for followers that were away. Who was away for more loads everything. By
    /// default 100,000, which is some 20 MB.
    pub const fn keep_changes(mut self, changes: u32) -> Self {
        self.keep_changes = changes;
        self
    }

    /// How old a log has to be before it is loaded. By default 3 seconds, and at most 60. After a server came back without
    /// its data, instances that have the list need that long to put it back.
    pub const fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// How many replicas have to have a change before it counts as stored. By default none. Where there are fewer, every
    /// append fails.
    pub const fn min_replicas(mut self, replicas: u32) -> Self {
        self.min_replicas = replicas;
        self
    }

    /// Checks it all. Connects to nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that cannot be used.
    pub fn build(self) -> Result<RedisLog, ConfigError> {
        let Self {
            server,
            prefix,
            keep_changes,
            settle,
            min_replicas,
        } = self;
        let mut faults = ConfigError::collect();
        Keys::check(&prefix, &mut faults);
        if keep_changes == 0 {
            faults.add("keep_changes", "is zero: nobody could follow");
        }
        if settle > Duration::from_secs(60) {
            faults.add("settle", format!("{settle:?} is longer than 60 s"));
        }
        faults.into_result()?;
        Ok(RedisLog {
            server,
            keys: Keys::new(&prefix),
            keep_changes,
            settle,
            min_replicas,
            pool: Pool::new(),
            appends: Semaphore::new(RedisLog::APPENDS),
            buckets: Mutex::default(),
        })
    }
}
